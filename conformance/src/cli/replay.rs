//! `replay`: one case, step by step.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, anyhow};
use psync_conformance::play::play_with;
use psync_conformance::report::text;
use psync_conformance::run;
use psync_conformance::stage::as_replica::played_era;
use psync_conformance::verdict::Verdict;
use psync_model::case::Case;
use psync_model::casting::Casting;
use psync_model::rulebook::Era;

use super::list::Choice;
use super::subject::{self, SubjectArgs};
use super::{DOES_NOT_CONFORM, MISUSE, interrupt};

/// Which case, and on whom.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A case file, or the name of a case as `list` prints it
    #[arg(value_name = "CASE")]
    case: String,
    #[command(flatten)]
    subject: SubjectArgs,
}

/// Plays the case.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let case = find(&args.case)?;
    let mut profile = args.subject.choose(&Choice::default())?.profile;
    profile.era = played_era(case.header.era);
    interrupt::take_signals()?;
    subject::sanity(&profile, &[case.header.casting])?;
    let casting = case.header.casting;
    println!("{}, {} steps", case.header.id, case.steps.len());
    let outcome = play_with(&case, &profile, None, |at, step| {
        if at == case.steps.len() {
            println!("      (the plan is done; the world calms down)");
        }
        let who = if casting.is_hidden(step) {
            "subject"
        } else {
            "judge"
        };
        println!("{:>4}  {who:<8} {step}", at + 1);
    })?;
    subject::sanity(&profile, &[case.header.casting])?;
    Ok(conclude(args, &case, &outcome))
}

fn conclude(args: &Args, case: &Case, outcome: &psync_conformance::verdict::Outcome) -> ExitCode {
    match &outcome.verdict {
        Verdict::Pass => println!("pass, in {} ms", outcome.elapsed_ms),
        Verdict::Skipped { missing } => {
            println!("skipped: the subject does not offer {missing:?}");
        }
        Verdict::NotJudged { reason } => {
            println!("not judged, because the judge failed: {reason}");
            return MISUSE.into();
        }
        Verdict::Inconclusive { at, reason } => {
            println!("inconclusive at step {}: {reason}", at + 1);
            return DOES_NOT_CONFORM.into();
        }
        Verdict::Fail(failure) => {
            let again = format!(
                "psync-conformance replay {} {}",
                args.case,
                args.subject.as_options()
            );
            print!("\n{}", text::failure(case, failure, &again));
            return DOES_NOT_CONFORM.into();
        }
    }
    ExitCode::SUCCESS
}

/// The case of this name, or in this file.
fn find(name: &str) -> anyhow::Result<Case> {
    let path = Path::new(name);
    let is_file = path.extension().is_some_and(|end| end == "jsonl") || path.exists();
    if is_file {
        let file = File::open(path).with_context(|| format!("could not open {name}"))?;
        return Case::read(BufReader::new(file))
            .with_context(|| format!("{name} is no case that can be played"));
    }
    let parts: Vec<&str> = name.split('/').collect();
    let era = Era::ALL
        .into_iter()
        .find(|era| parts.first() == Some(&era.name()));
    let casting = Casting::ALL
        .into_iter()
        .find(|casting| parts.get(1) == Some(&casting.name()));
    let unknown = || {
        anyhow!(
            "{name} is neither a file nor the name of a case; `psync-conformance list` lists them"
        )
    };
    let (era, casting) = era.zip(casting).ok_or_else(unknown)?;
    let suites = run::suites(era, &[casting], false)?;
    let mut cases = suites.into_iter().flat_map(|suite| suite.cases);
    cases
        .find(|case| case.header.id == name)
        .ok_or_else(unknown)
}
