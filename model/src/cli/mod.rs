//! The command line: what can be asked of the specification, and how the answers are printed.
//!
//! Answers go to standard output, progress to standard error. The exit status says what came out
//! ([`Outcome`]).

mod backlog;
mod cases;
mod check;
mod claims;
mod counterexample;
mod explain;
mod explore;
mod faults;
mod graph;
mod job;
mod keep;
mod memory;
mod mutate;
mod own_scope;
mod page;
mod progress;
mod record;
mod report;
mod select;
mod units;
mod unreachable;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

const EXAMPLES: &str = "\
Examples:
  psync-model check                                  prove the properties, in every era
  psync-model check --era psync2-v7 --scope smoke    one era, in under a second
  psync-model check --fault request-not-plus-one     see a flaw break a property
  psync-model faults                                 every flaw, and the property that catches it
  psync-model claims                                 what people say about replication, proved or refuted
  psync-model explore --scope smoke                  walk through the states in a browser
  psync-model explain decline-partial/too-old        what it is, its source, and a path that shows it
  psync-model graph --era sync | dot -Tsvg > g.svg   draw every state of a small scope
  psync-model cases --scope smoke > cases.jsonl      plans that meet every rule, branch and situation
  psync-model mutate                                 which property misses which guard of which rule
  psync-model backlog --outage 5s --rate 2MB         how large a backlog should be, and why

Exit status:
  0  everything that was asked is proved within the stated bounds
  1  something is violated
  2  the question was wrong, or the work was stopped before its end";

/// A checked specification of Redis replication: SYNC and PSYNC from Redis 2.6 to 7.2.
#[derive(Debug, Parser)]
#[command(name = "psync-model", version, about, after_help = EXAMPLES, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Visit every state of a scope and prove the properties, or show the shortest way to break one.
    Check(check::Args),
    /// Put each known flaw into the specification and show which property catches it, and how soon.
    Faults(faults::Args),
    /// Judge the common sayings about replication: each proved, or refuted by its shortest counterexample.
    Claims(claims::Args),
    /// Walk through the states in a browser, with a diagram of the path so far.
    Explore(explore::Args),
    /// Say what a rule, a property or a fault is, where it comes from, and show it.
    Explain(explain::Args),
    /// Draw the states and steps of a small scope, in the language of Graphviz.
    Graph(graph::Args),
    /// Derive plans that together meet every target, for a judge to replay.
    Cases(cases::Args),
    /// Take every guard of every rule away in turn, and say which property notices.
    Mutate(mutate::Args),
    /// Advise on repl-backlog-size for an outage to be bridged.
    Backlog(backlog::Args),
}

/// What came out, as the exit status says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// All is as it should be, within the stated bounds.
    Proved,
    /// The work was stopped before its end, and nothing was found until then.
    Stopped,
    /// Something is violated.
    Violated,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Proved => Self::SUCCESS,
            Outcome::Violated => Self::from(1),
            Outcome::Stopped => MISUSE.into(),
        }
    }
}

/// The exit status of a wrong question.
pub(crate) const MISUSE: u8 = 2;

/// Does what was asked.
pub(crate) fn run(cli: Cli) -> anyhow::Result<Outcome> {
    match cli.command {
        Command::Check(args) => check::run(&args),
        Command::Faults(args) => Ok(faults::run(&args)),
        Command::Claims(args) => claims::run(&args),
        Command::Explore(args) => explore::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Graph(args) => graph::run(&args),
        Command::Cases(args) => cases::run(&args),
        Command::Mutate(args) => Ok(mutate::run(&args)),
        Command::Backlog(args) => backlog::run(&args),
    }
}
