//! `psync-model graph`: the state graph of a small scope, as DOT for Graphviz.

use super::Outcome;
use super::own_scope::Changes;
use super::select::{fault_named, one_era, rulebook, scope_named};
use anyhow::{Context, ensure};
use psync_model::dot::dot;
use psync_model::fault::Fault;
use psync_model::graph::Graph;
use psync_model::rulebook::Era;
use psync_model::scope::NamedScope;
use psync_model::search::Search;
use psync_model::walk::End;
use std::io::{self, Write};
use std::num::NonZeroUsize;

const DETAILS: &str = "\
Examples:
  psync-model graph --era sync | dot -Tsvg > sync.svg
  psync-model graph --expiry off --stranger off --sockets off --failures off | dot -Tsvg > small.svg
  psync-model graph --fault request-not-plus-one | dot -Tsvg > broken.svg

Dashed arrows are the environment's, blue ones a primary's, brown ones a replica's; the beginning has a second
frame, and a world in which a property is broken is red. Every field of a world is in its tooltip.";

/// What to draw.
#[derive(Debug, clap::Args)]
#[command(after_help = DETAILS)]
pub(crate) struct Args {
    /// The generation of the protocol
    #[arg(long, value_enum)]
    era: Vec<Era>,
    /// How far the graph goes
    #[arg(long, value_parser = scope_named, default_value = "smoke")]
    scope: &'static NamedScope,
    /// A flaw to put into the specification
    #[arg(long, value_parser = fault_named)]
    fault: Option<&'static Fault>,
    /// The most states to draw: more than some hundreds are hard to look at, and slow to lay out
    #[arg(long, default_value = "2000")]
    max_states: NonZeroUsize,
    #[command(flatten)]
    changes: Changes,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let home = args.fault.map_or(Era::Psync2V7, Fault::home);
    let era = one_era(&args.era, home)?;
    let chosen = args.changes.on(args.scope)?;
    let search = Search::new(rulebook(era, args.fault)?, chosen.scope);
    let most = args.max_states.get();
    let graph = Graph::explore(&search, most.saturating_add(1));
    ensure!(
        graph.end == End::Complete,
        "scope {} has more than {most} states in era {era}, too many to look at: take a smaller scope \
         (`--scope smoke`), leave something out (`--expiry off --stranger off --failures off`), or insist with \
         --max-states",
        chosen.name
    );
    let (worlds, edges) = (graph.worlds.len(), graph.edges());
    let fault = args
        .fault
        .map_or_else(String::new, |fault| format!(", fault {}", fault.name));
    let title = format!(
        "era {era}, scope {}{fault}: {worlds} states, {edges} edges",
        chosen.name
    );
    let mut out = io::stdout().lock();
    out.write_all(dot(&search, &graph, &title).as_bytes())
        .and_then(|()| out.flush())
        .context("standard output")?;
    eprintln!("{title}");
    Ok(Outcome::Proved)
}
