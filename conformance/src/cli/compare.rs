//! `compare`: what changed between two runs.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use psync_conformance::report::compare::Comparison;
use psync_conformance::report::record::Record;

use super::DOES_NOT_CONFORM;

/// Which runs.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The report of the first run, as `run` writes it
    #[arg(value_name = "BEFORE.jsonl")]
    before: PathBuf,
    /// The report of the second
    #[arg(value_name = "AFTER.jsonl")]
    after: PathBuf,
}

/// Prints the difference; the status is 1 if something fails, or is left open, that did not before.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let comparison = Comparison::of(&read(&args.before)?, &read(&args.after)?);
    print!("{comparison}");
    Ok(if comparison.is_worse() {
        DOES_NOT_CONFORM.into()
    } else {
        ExitCode::SUCCESS
    })
}

/// Reads the report of a run.
pub(crate) fn read(path: &Path) -> anyhow::Result<Record> {
    let what = || format!("{} is no report that can be read", path.display());
    Record::read(path).with_context(what)
}
