//! `psync-model cases`: plans that together meet every target, as JSON Lines for whoever replays them.

use super::Outcome;
use super::select::{one_era, scope_named};
use anyhow::Context;
use psync_model::case::{Case, cases};
use psync_model::casting::Casting;
use psync_model::cover::cover;
use psync_model::graph::Graph;
use psync_model::rulebook::Era;
use psync_model::scope::NamedScope;
use psync_model::search::Search;
use psync_model::walk::End;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// The most worlds whose graph is held in memory: some 400 bytes each.
const MOST_WORLDS: usize = 2_000_000;

const DETAILS: &str = "\
A case is a header line and then one step a line. On standard
output the cases follow each other. With --out each has a file of its own, named by era, casting and number.

Examples:
  psync-model cases --scope smoke > cases.jsonl
  psync-model cases --era psync --casting replica --out cases";

/// What to derive cases from, and where they go.
#[derive(Debug, clap::Args)]
#[command(after_help = DETAILS)]
pub(crate) struct Args {
    /// The generation of the protocol
    #[arg(long, value_enum)]
    era: Vec<Era>,
    /// How far the plans go: smoke or replay; larger scopes cannot all be driven on a real server
    #[arg(long, value_parser = scope_named, default_value = "replay")]
    scope: &'static NamedScope,
    /// The node under test, `whole` for every node; primary and replica if not given
    #[arg(long, value_enum)]
    casting: Option<Casting>,
    /// A folder for one file per case; it is made if it is not there
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let era = one_era(&args.era, Era::Psync2V7)?;
    let search = Search::new(era.rulebook(), args.scope.scope);
    let graph = Graph::explore(&search, MOST_WORLDS);
    anyhow::ensure!(
        graph.end == End::Complete,
        "scope {} has more than {MOST_WORLDS} worlds in era {era}: choose a smaller one",
        args.scope.name
    );
    let castings = args
        .casting
        .map_or(Casting::OF_PAIR.to_vec(), |one| vec![one]);
    for casting in castings {
        let cover = cover(&search, &graph, casting);
        let cases = cases(era, args.scope.scope, casting, &cover);
        match &args.out {
            None => print(&cases)?,
            Some(folder) => save(&cases, folder, &format!("{era}-{casting}"))?,
        }
        let steps: usize = cases.iter().map(|case| case.steps.len()).sum();
        eprintln!(
            "era {era}, scope {}, casting {casting}: {} targets, {} plans, {steps} steps",
            args.scope.name,
            cover.targets.len(),
            cases.len()
        );
    }
    Ok(Outcome::Proved)
}

fn print(cases: &[Case]) -> anyhow::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    for case in cases {
        case.write(&mut out).context("standard output")?;
    }
    out.flush().context("standard output")
}

fn save(cases: &[Case], folder: &Path, name: &str) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("{}", folder.display()))?;
    for (number, case) in cases.iter().enumerate() {
        let path = folder.join(format!("{name}-{:04}.jsonl", number + 1));
        write_file(case, &path).with_context(|| format!("{}", path.display()))?;
    }
    Ok(())
}

fn write_file(case: &Case, path: &Path) -> io::Result<()> {
    let mut out = BufWriter::new(File::create(path)?);
    case.write(&mut out)?;
    out.flush()
}
