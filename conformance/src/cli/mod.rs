//! The command line: what can be asked of the judge, and how the answers are printed.
//!
//! Answers go to standard output, progress to standard error. The exit status says what came out.

mod beyond;
mod budget;
mod cases;
mod compare;
mod interrupt;
mod list;
mod progress;
mod replay;
mod report;
mod run;
mod subject;
mod sweep;
mod watch;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The exit status of a harness that failed, was stopped or was misused.
pub(crate) const MISUSE: u8 = 2;

/// The exit status when a subject does not conform.
pub(crate) const DOES_NOT_CONFORM: u8 = 1;

const EXAMPLES: &str = "\
Examples:
  psync-conformance                                  check the specification, judge our own server by it
  psync-conformance run --subject redis              judge the redis-server on the PATH
  psync-conformance run --subject redis-6.2 --program src/redis-server
                                                     judge your build of a server whose profile ships
  psync-conformance run --command 'my-server --port {port} --replicaof {primary_host} {primary_port}'
                                                     judge your own server, without a profile
  psync-conformance run --connect 127.0.0.1:6379 --budget 2m
                                                     judge one that runs already, as a primary; it must be empty
  psync-conformance run --subject mine.toml          with a profile; profiles/README.md says what may stand in it
  psync-conformance run --era sync --casting replica one era, one side
  psync-conformance run --budget 60s                 what can be said in a minute
  psync-conformance run --budget 1h                  all cases, the sweep, and random walks until the hour is over
  psync-conformance run --walks 100 --seed 7         a hundred random walks, the same ones every time
  psync-conformance list --casting primary           what would be played, and what is looked at
  psync-conformance replay FILE --subject redis      one case, step by step; a failure prints this line
  psync-conformance cases --out cases                every case as JSON Lines, for other tools
  psync-conformance compare OLD NEW                  what changed between two runs (target/psync/NAME/report.jsonl)
  psync-conformance sweep --subject redis            cut the network at every byte of a short conversation
  psync-conformance watch --listen 127.0.0.1:7777 --primary 127.0.0.1:6379
                                                     judge what passes between real servers

A case is a plan derived from the specification. It is played with the subject as the primary (the judge plays
its replica) or as the replica (the judge plays its primary); what the subject does is compared with everything
that the specification allows at that moment.

Exit status:
  0  the subject conforms: no case failed, none was inconclusive
  1  it does not
  2  the judge failed, was stopped, or was misused";

/// Judges whether a server replicates as Redis does, by a specification that was checked exhaustively.
#[derive(Debug, Parser)]
#[command(name = "psync-conformance", version, about, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Play the cases on a subject and say whether it conforms (without a subcommand: on our own server).
    Run(run::Args),
    /// List the cases with their number of steps, and the checks with their sentences.
    List(list::Args),
    /// Play one case and show each step.
    Replay(replay::Args),
    /// Write the cases as JSON Lines, one file each.
    Cases(cases::Args),
    /// Say what changed between two runs: two versions of a server, or two servers.
    Compare(compare::Args),
    /// Make one page of several runs.
    Report(report::Args),
    /// Let the network fail at every byte of a conversation between the subject and our own server.
    Sweep(sweep::Args),
    /// Stand between real replicas and a real primary, and say what the protocol does not allow.
    Watch(watch::Args),
    /// Be the embedded server until standard input ends; the judge starts itself so.
    #[command(hide = true, disable_help_flag = true)]
    EmbeddedServer {
        /// As those of `psync-server`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
}

/// Does what was asked.
pub(crate) fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        None => run::run(&run::Args::default()),
        Some(Command::Run(args)) => run::run(&args),
        Some(Command::List(args)) => list::run(&args),
        Some(Command::Replay(args)) => replay::run(&args),
        Some(Command::Cases(args)) => cases::run(&args),
        Some(Command::Compare(args)) => compare::run(&args),
        Some(Command::Report(args)) => report::run(&args),
        Some(Command::Sweep(args)) => sweep::run(&args),
        Some(Command::Watch(args)) => watch::run(&args),
        Some(Command::EmbeddedServer { args }) => Ok(embedded_server(args)),
    }
}

/// Serves until asked to end, or until whoever holds the other end of standard input is gone.
fn embedded_server(args: Vec<OsString>) -> ExitCode {
    std::thread::spawn(|| {
        // Whether input ends or fails, nobody is left to serve.
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(0)
    });
    psync_server::run(args)
}
