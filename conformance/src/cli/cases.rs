//! `cases`: every case as a file of JSON Lines, for other tools.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use psync_conformance::report;

use super::list::Choice;
use super::subject::SubjectArgs;

/// What to write, and where.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The folder to write into; it is made if it is not there
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    subject: SubjectArgs,
    #[command(flatten)]
    choice: Choice,
}

/// Writes the cases.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let chosen = args.subject.choose(&args.choice)?;
    fs::create_dir_all(&args.out)
        .with_context(|| format!("could not make {}", args.out.display()))?;
    let mut written = 0;
    for era in chosen.eras {
        for suite in args.choice.suites(era, &chosen.profile)? {
            for case in &suite.cases {
                report::write_case(case, &args.out)?;
                written += 1;
            }
        }
    }
    println!("{written} cases in {}", args.out.display());
    Ok(ExitCode::SUCCESS)
}
