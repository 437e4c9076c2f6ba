//! `run`: derive the cases, play them on a subject, and say whether it conforms.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::Ordering;

use anyhow::{Context, ensure};
use psync_conformance::profile::Profile;
use psync_conformance::report::{self, Row};
use psync_conformance::run::{self, Report, SCOPE, Suite};
use psync_conformance::stage::as_replica::played_era;
use psync_conformance::verdict::{Failure, Outcome, Verdict};
use psync_model::case::Case;

use super::list::Choice;
use super::progress::Meter;
use super::subject::{self, SubjectArgs};
use super::{DOES_NOT_CONFORM, MISUSE, interrupt};

/// How many cases are played at a time unless told otherwise: they mostly wait.
const DEFAULT_JOBS: u8 = 8;

/// Where the cases that fail are kept.
const FAILURES: &str = "target/psync/failures";

/// What to play, on whom.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    subject: SubjectArgs,
    #[command(flatten)]
    choice: Choice,
    /// How many cases to play at a time; each has a server of its own
    #[arg(long, value_name = "N", default_value_t = DEFAULT_JOBS, value_parser = clap::value_parser!(u8).range(1..=64))]
    jobs: u8,
    /// End at the first case that does not pass
    #[arg(long)]
    fail_fast: bool,
    /// Write everything that was found into this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl Default for Args {
    fn default() -> Self {
        Self {
            subject: SubjectArgs::default(),
            choice: Choice::default(),
            jobs: DEFAULT_JOBS,
            fail_fast: false,
            json: None,
        }
    }
}

/// A suite and what became of it.
type Played = (Suite, Report);

/// Judges the subject.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut profile = args.subject.profile()?;
    let eras = args.choice.eras(args.subject.eras(&profile));
    interrupt::take_signals()?;
    let mut played = Vec::new();
    for era in eras {
        profile.era = played_era(era);
        subject::sanity(&profile)?;
        eprintln!("{era}: exploring the scope `{SCOPE}` of the specification");
        let suites = args.choice.suites(era)?;
        announce(&suites);
        for suite in suites {
            if !interrupt::STOP.load(Ordering::Relaxed) && !suite.cases.is_empty() {
                let report = play(args, &profile, &suite)?;
                played.push((suite, report));
            }
        }
        if interrupt::STOP.load(Ordering::Relaxed) {
            break;
        }
        subject::sanity(&profile)?;
    }
    ensure!(
        !played.is_empty() || interrupt::came(),
        "no case has a name that contains what --filter says"
    );
    conclude(args, &profile, &played)
}

fn announce(suites: &[Suite]) {
    let Some(first) = suites.first() else {
        return;
    };
    let (worlds, edges) = first.explored;
    let cases: Vec<String> = suites
        .iter()
        .map(|suite| format!("{} as {}", suite.cases.len(), suite.casting.name()))
        .collect();
    println!(
        "{}: {worlds} worlds and {edges} edges, no property broken; cases: {}",
        first.era,
        cases.join(", ")
    );
}

fn play(args: &Args, profile: &Profile, suite: &Suite) -> anyhow::Result<Report> {
    let what = format!("{} {}", suite.era, suite.casting.name());
    let mut meter = Meter::new(what, suite.cases.len());
    let jobs = usize::from(args.jobs);
    run::run(suite, profile, jobs, &interrupt::STOP, |outcome| {
        let trouble = trouble(outcome);
        meter.done(trouble.as_deref());
        if args.fail_fast && trouble.is_some() {
            interrupt::STOP.store(true, Ordering::Relaxed);
        }
    })
}

/// One line for what neither passed nor was skipped.
fn trouble(outcome: &Outcome) -> Option<String> {
    match &outcome.verdict {
        Verdict::Pass | Verdict::Skipped { .. } => None,
        Verdict::Fail(failure) => Some(format!(
            "FAIL {} at {}: {}",
            outcome.case, failure.step, failure.mismatch.check
        )),
        Verdict::Inconclusive { reason, .. } => {
            Some(format!("inconclusive {}: {reason}", outcome.case))
        }
    }
}

fn conclude(args: &Args, profile: &Profile, played: &[Played]) -> anyhow::Result<ExitCode> {
    for (suite, report) in played {
        print_troubles(args, suite, report)?;
        print_skipped(suite, report);
    }
    let rows: Vec<Row> = played.iter().map(|(_, report)| Row::of(report)).collect();
    print!("\n{}", report::table(&rows));
    if let Some(path) = &args.json {
        write_json(path, profile, played)?;
    }
    let conforms = rows.iter().all(Row::conforms);
    let name = &profile.name;
    if interrupt::came() {
        println!("stopped before the end: what is known so far is above");
        return Ok(if conforms { MISUSE } else { DOES_NOT_CONFORM }.into());
    }
    if conforms {
        println!("{name} conforms, as far as these cases go");
        return Ok(ExitCode::SUCCESS);
    }
    println!("{name} does not conform");
    Ok(DOES_NOT_CONFORM.into())
}

fn print_troubles(args: &Args, suite: &Suite, report: &Report) -> anyhow::Result<()> {
    for outcome in &report.outcomes {
        let case = suite
            .cases
            .iter()
            .find(|case| case.header.id == outcome.case);
        match (&outcome.verdict, case) {
            (Verdict::Fail(failure), Some(case)) => print_failure(args, case, failure)?,
            (Verdict::Inconclusive { at, reason }, _) => {
                println!(
                    "\n{}: inconclusive at step {}: {reason}",
                    outcome.case,
                    at + 1
                );
            }
            _ => {}
        }
    }
    Ok(())
}

fn print_failure(args: &Args, case: &Case, failure: &Failure) -> anyhow::Result<()> {
    let path = report::write_case(case, Path::new(FAILURES))?;
    let again = format!(
        "psync-conformance replay {} {}",
        path.display(),
        args.subject.as_options()
    );
    print!("\n{}", report::failure(case, failure, &again));
    Ok(())
}

fn print_skipped(suite: &Suite, report: &Report) {
    for (control, targets) in report.skipped_targets(&suite.cases) {
        println!(
            "{}/{}: {targets} targets are out of reach, because the subject does not offer {control:?}",
            suite.era,
            suite.casting.name()
        );
    }
}

fn write_json(path: &Path, profile: &Profile, played: &[Played]) -> anyhow::Result<()> {
    let reports: Vec<&Report> = played.iter().map(|(_, report)| report).collect();
    let text = serde_json::to_string_pretty(&report::as_json(&profile.name, &reports))?;
    fs::write(path, text + "\n").with_context(|| format!("could not write {}", path.display()))
}
