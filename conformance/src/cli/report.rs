//! `report`: one page of several runs, a column for each subject.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use psync_conformance::report::html;
use psync_conformance::report::record::Record;

use super::compare::read;

/// Which runs, and where to.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Reports of runs, as `run` writes them
    #[arg(value_name = "REPORT.jsonl", required = true)]
    reports: Vec<PathBuf>,
    /// The page to write
    #[arg(long, value_name = "FILE", default_value = "target/psync/report.html")]
    html: PathBuf,
}

/// Writes the page.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let records: Vec<Record> = args
        .reports
        .iter()
        .map(|path| read(path))
        .collect::<anyhow::Result<_>>()?;
    let path = &args.html;
    let written = || -> std::io::Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(path, html::page(&records))
    };
    written().with_context(|| format!("could not write {}", path.display()))?;
    println!("{}", path.display());
    Ok(ExitCode::SUCCESS)
}
