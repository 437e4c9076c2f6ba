//! `run`: derive the cases, play them on a subject, and say whether it conforms.

use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use psync_conformance::needs;
use psync_conformance::profile::{Access, Profile};
use psync_conformance::report::record::{CaseRecord, Record, SuiteRecord, plan_lines};
use psync_conformance::report::{self, html, junit, text};
use psync_conformance::run::{self, ERRORS, Report, SCOPE, Suite};
use psync_conformance::shorten::{Shortened, shorten};
use psync_conformance::stage::as_replica::played_era;
use psync_conformance::verdict::{Outcome, Verdict};
use psync_model::casting::Casting;
use psync_model::rulebook::Era;

use super::beyond;
use super::budget::Budget;
use super::list::Choice;
use super::progress::Meter;
use super::subject::{self, Chosen, SubjectArgs};
use super::{DOES_NOT_CONFORM, MISUSE, interrupt};

/// How many cases are played at a time unless told otherwise, for each processor and in all: they mostly wait.
const JOBS_PER_PROCESSOR: usize = 16;
const MOST_JOBS: u8 = 64;

/// What is played at a time on this machine unless told otherwise.
fn default_jobs() -> u8 {
    let processors = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    u8::try_from(processors * JOBS_PER_PROCESSOR).map_or(MOST_JOBS, |jobs| jobs.min(MOST_JOBS))
}

/// Where reports go unless told otherwise, a folder for each subject.
pub(crate) const REPORTS: &str = "target/psync";

/// How long the run may look for shorter cases in all, and for one of them.
const SHORTEN: Duration = Duration::from_mins(1);
const SHORTEN_ONE: Duration = Duration::from_secs(20);

/// How many of the cases that were not judged are told at the end.
const MOST_NOT_JUDGED: usize = 5;

/// What to play, on whom.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(super) subject: SubjectArgs,
    #[command(flatten)]
    pub(super) choice: Choice,
    /// How long to play, `90s`, `10m`, or `all` for all cases and no more. With little time, first what shows every rule
    /// and branch; with more than the cases take, then the sweep, as fine as there is time for, and then random walks
    #[arg(long, value_name = "TIME", default_value = "all")]
    budget: Budget,
    /// Play so many random walks of each era and casting, and nothing else
    #[arg(long, value_name = "N", conflicts_with_all = ["filter", "shard"], value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    walks: Option<u64>,
    /// Where the random walks begin; the n-th of a casting has the seed N + n [default: another in each run, printed]
    #[arg(long, value_name = "N")]
    pub(super) seed: Option<u64>,
    /// How many cases to play at a time; each has a server of its own [default: 16 for each processor]
    #[arg(long, value_name = "N", default_value_t = default_jobs(), hide_default_value = true, value_parser = clap::value_parser!(u8).range(1..=i64::from(MOST_JOBS)))]
    jobs: u8,
    /// Play each case so often: one that does not come to the same every time is not judged
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) repeat: u32,
    /// End at the first case that does not pass
    #[arg(long)]
    fail_fast: bool,
    /// Show failing cases as they are, without looking for shorter ones that fail in the same way
    #[arg(long)]
    no_shorten: bool,
    /// Judge as if no deviation of the subject were known
    #[arg(long)]
    no_deviations: bool,
    /// Only say what would be played, and what is missing for the rest
    #[arg(long)]
    dry_run: bool,
    /// The folder for the reports: report.jsonl, report.html, junit.xml and the cases that failed
    /// [default: target/psync/<name of the subject>]
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
}

/// The main job: our own server, in every era and every casting.
impl Default for Args {
    fn default() -> Self {
        Self {
            subject: SubjectArgs::default(),
            choice: Choice {
                casting: Casting::ALL.to_vec(),
                ..Choice::default()
            },
            budget: Budget::All,
            walks: None,
            seed: None,
            jobs: default_jobs(),
            repeat: 1,
            fail_fast: false,
            no_shorten: false,
            no_deviations: false,
            dry_run: false,
            report: None,
        }
    }
}

impl Args {
    /// How many cases are played at a time on this subject: a server that ran already is the only one of its kind.
    fn jobs_on(&self, profile: &Profile) -> usize {
        match profile.access {
            Access::Connect(_) => 1,
            Access::Start { .. } => usize::from(self.jobs),
        }
    }

    /// The folder for the reports.
    pub(super) fn folder(&self, profile: &Profile) -> PathBuf {
        let folder = self.report.clone();
        folder.unwrap_or_else(|| Path::new(REPORTS).join(&profile.name))
    }
}

/// Judges the subject.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let Chosen { mut profile, eras } = args.subject.choose(&args.choice)?;
    if args.no_deviations {
        profile.deviations.clear();
    }
    if args.dry_run {
        // Whoever has read enough may close the pipe.
        sigpipe::reset();
        announce_cases(&profile, &derive(args, &profile, &eras)?);
        return Ok(ExitCode::SUCCESS);
    }
    interrupt::take_signals()?;
    if let Some(&era) = eras.first() {
        profile.era = played_era(era);
    }
    subject::sanity(&profile, &args.choice.castings(&profile))?;
    let suites = derive(args, &profile, &eras)?;
    let kept = subject::settings(&profile)?;
    let record = play_all(args, &mut profile, &suites);
    subject::restore(&profile, kept.as_ref())?;
    conclude(args, &profile, &record)
}

/// The suites of every era asked for.
fn derive(args: &Args, profile: &Profile, eras: &[Era]) -> anyhow::Result<Vec<Suite>> {
    if let Some(number) = args.walks {
        return Ok(walks(args, profile, eras, number));
    }
    let mut all = Vec::new();
    for &era in eras {
        eprintln!("{era}: exploring the scopes `{SCOPE}` and `{ERRORS}` of the specification");
        let mut suites = args.choice.suites(era, profile)?;
        for suite in &mut suites {
            suite.repeat = args.repeat;
        }
        if args.budget != Budget::All {
            suites.iter_mut().for_each(Suite::put_most_telling_first);
        }
        announce(&suites);
        all.extend(suites);
    }
    all.retain(|suite| !suite.cases.is_empty());
    ensure!(
        !all.is_empty(),
        "no case is left: `psync-conformance list` shows the names that --filter and --shard choose from"
    );
    Ok(all)
}

/// So many random walks of every era and casting asked for.
fn walks(args: &Args, profile: &Profile, eras: &[Era], number: u64) -> Vec<Suite> {
    let seed = beyond::seed(args);
    println!("random walks from --seed {seed} on");
    let castings = args.choice.castings(profile);
    let of_era = |&era: &Era| {
        let castings = castings.iter();
        castings.map(move |&casting| beyond::of_walks(args, era, casting, seed, number))
    };
    eras.iter().flat_map(of_era).collect()
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
        "{}: {worlds} worlds and {edges} edges; cases: {}",
        first.era,
        cases.join(", ")
    );
}

fn announce_cases(profile: &Profile, suites: &[Suite]) {
    for case in suites.iter().flat_map(|suite| &suite.cases) {
        let missing = needs::missing(case, profile);
        let note = missing.map_or_else(String::new, |control| {
            format!("  skipped: the subject does not offer {control:?}")
        });
        println!("{:<60} {:>3} steps{note}", case.header.id, case.steps.len());
    }
}

fn play_all(args: &Args, profile: &mut Profile, suites: &[Suite]) -> Record {
    let started = Instant::now();
    let mut record = Record::begin(&profile.name);
    let mut left: usize = suites.iter().map(|suite| suite.cases.len()).sum();
    for suite in suites {
        if interrupt::STOP.load(Ordering::Relaxed) {
            break;
        }
        profile.era = played_era(suite.era);
        let until = args.budget.share(started, suite.cases.len(), left);
        left -= suite.cases.len();
        record.add(suite, &play(args, profile, suite, until), profile);
        if let Err(error) = subject::sanity(profile, &[suite.casting]) {
            record.run.harness_failure = Some(format!("{error:#}"));
            break;
        }
    }
    record.run.cut_short = cut_short(&record, suites);
    if let Some(until) = args.budget.end(started)
        && args.walks.is_none()
        && record.run.cut_short.is_none()
    {
        beyond::go(args, profile, suites, until, &mut record);
    }
    // By the rules as shipped what deviates from the clean ones is right.
    let looked_for = !args.choice.is_partial() && !args.choice.as_shipped && args.walks.is_none();
    if record.run.cut_short.is_none() && looked_for {
        record.note_stale_deviations(profile);
    }
    if !args.no_shorten {
        shorten_failures(args, profile, &mut record);
    }
    record
}

/// Why not everything was played, if it was not.
fn cut_short(record: &Record, suites: &[Suite]) -> Option<String> {
    let played = record.cases().count();
    let planned: usize = suites.iter().map(|suite| suite.cases.len()).sum();
    let why = if interrupt::came() {
        "the run was interrupted"
    } else if record.run.harness_failure.is_some() {
        "the subject no longer works"
    } else if interrupt::STOP.load(Ordering::Relaxed) {
        "a case did not pass"
    } else {
        "the budget was used up"
    };
    let left = planned - played;
    (left > 0).then(|| format!("{left} of {planned} cases were not played: {why}"))
}

pub(super) fn play(
    args: &Args,
    profile: &Profile,
    suite: &Suite,
    until: Option<Instant>,
) -> Report {
    let what = format!("{} {}", suite.era, suite.casting.name());
    let mut meter = Meter::new(what, suite.cases.len());
    let jobs = args.jobs_on(profile);
    run::run_until(suite, profile, jobs, &interrupt::STOP, until, |outcome| {
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
        Verdict::NotJudged { reason } => Some(format!("not judged {}: {reason}", outcome.case)),
    }
}

/// Of the cases that fail alike, looks for a shorter form of the shortest.
fn shorten_failures(args: &Args, profile: &mut Profile, record: &mut Record) {
    let until = Instant::now() + SHORTEN;
    for suite in &mut record.suites {
        profile.era = played_era(suite.era);
        let shortest: Vec<usize> = alike(suite).iter().map(|places| places[0]).collect();
        let shorten_one = |group: usize| {
            let case = &suite.cases[shortest[group]];
            let (Some(plan), Some(failure)) = (case.plan(), case.failure()) else {
                return Ok(None);
            };
            let budget = SHORTEN_ONE.min(until.saturating_duration_since(Instant::now()));
            if budget.is_zero() || interrupt::came() {
                return Ok(None);
            }
            shorten(&plan, failure, profile, budget)
        };
        let (jobs, never) = (args.jobs_on(profile), AtomicBool::new(false));
        let found = run::in_parallel(
            shortest.len(),
            jobs,
            &never,
            Some(until),
            shorten_one,
            |_, _| (),
        );
        for (group, shorter) in found {
            take_shorter(&mut suite.cases[shortest[group]], shorter);
        }
    }
}

fn take_shorter(case: &mut CaseRecord, shorter: anyhow::Result<Option<Shortened>>) {
    match shorter {
        Ok(None) => {}
        Ok(Some(shorter)) => {
            case.shortened_from = case.plan().map(|plan| plan.steps.len());
            case.case.clone_from(&shorter.case.header.id);
            case.plan = plan_lines(&shorter.case);
            case.verdict = Verdict::Fail(shorter.failure);
        }
        Err(error) => eprintln!("{} could not be shortened: {error:#}", case.case),
    }
}

/// The failing cases of a suite by what was looked at where, the shortest of each first.
fn alike(suite: &SuiteRecord) -> Vec<Vec<usize>> {
    let mut groups = std::collections::BTreeMap::<String, Vec<usize>>::new();
    for (place, case) in suite.cases.iter().enumerate() {
        if let Some(failure) = case.failure() {
            let key = format!("{}/{}", failure.mismatch.check, failure.step);
            groups.entry(key).or_default().push(place);
        }
    }
    let mut groups: Vec<Vec<usize>> = groups.into_values().collect();
    for places in &mut groups {
        places.sort_by_key(|place| suite.cases[*place].plan.len());
    }
    groups
}

fn conclude(args: &Args, profile: &Profile, record: &Record) -> anyhow::Result<ExitCode> {
    let folder = args.folder(profile);
    write_reports(&folder, record)?;
    for suite in &record.suites {
        print_troubles(args, suite, &folder)?;
        print_out_of_reach(suite);
    }
    for known in &record.run.stale_deviations {
        println!("the known deviation {known} was not seen: take it off the profile's list");
    }
    print!("\n{}", text::table(&record.suites));
    for sweep in &record.sweeps {
        println!("{}", sweep.line());
    }
    println!("reports: {}", folder.join("report.html").display());
    if let Some(reason) = &record.run.cut_short {
        println!("not everything was played: {reason}");
    }
    let name = &profile.name;
    ensure!(
        record.cases().next().is_some() || interrupt::came(),
        "no case was played, so nothing is known: the budget is too small"
    );
    if interrupt::came() {
        println!("stopped before the end: what is known so far is above");
        let status = if record.conforms() {
            MISUSE
        } else {
            DOES_NOT_CONFORM
        };
        return Ok(status.into());
    }
    if let Some(reason) = &record.run.harness_failure {
        println!("the run ended early: {reason}");
    }
    if record.harness_failed() {
        println!("the judge itself failed: what is known of {name} is above");
        return Ok(MISUSE.into());
    }
    if record.conforms() {
        println!("{name} conforms, as far as these cases go");
        return Ok(ExitCode::SUCCESS);
    }
    println!("{name} does not conform");
    Ok(DOES_NOT_CONFORM.into())
}

fn write_reports(folder: &Path, record: &Record) -> anyhow::Result<()> {
    let written = || -> anyhow::Result<()> {
        fs::create_dir_all(folder)?;
        record.write(&folder.join("report.jsonl"))?;
        fs::write(folder.join("junit.xml"), junit::xml(record)?)?;
        fs::write(
            folder.join("report.html"),
            html::page(std::slice::from_ref(record)),
        )?;
        Ok(())
    };
    written().with_context(|| format!("could not write the reports into {}", folder.display()))
}

/// Of the cases that fail alike one is told, the others are counted.
fn print_troubles(args: &Args, suite: &SuiteRecord, folder: &Path) -> anyhow::Result<()> {
    for places in alike(suite) {
        let case = &suite.cases[places[0]];
        print_failure(args, case, folder)?;
        if places.len() > 1 {
            println!(
                "  and {} more cases fail at the same check of the same step",
                places.len() - 1
            );
        }
    }
    for case in &suite.cases {
        if let Verdict::Inconclusive { at, reason } = &case.verdict {
            println!("\n{}: inconclusive at step {}: {reason}", case.case, at + 1);
        }
    }
    print_not_judged(suite);
    Ok(())
}

/// Where the harness itself failed, for the first few cases.
fn print_not_judged(suite: &SuiteRecord) {
    let reasons = suite.cases.iter().filter_map(|case| match &case.verdict {
        Verdict::NotJudged { reason } => Some((&case.case, reason)),
        _ => None,
    });
    let reasons: Vec<_> = reasons.collect();
    for (case, reason) in reasons.iter().take(MOST_NOT_JUDGED) {
        println!("\n{case}: not judged, because the judge failed: {reason}");
    }
    let more = reasons.len().saturating_sub(MOST_NOT_JUDGED);
    if more > 0 {
        println!("  and {more} more cases were not judged; the reports name them");
    }
}

fn print_failure(args: &Args, case: &CaseRecord, folder: &Path) -> anyhow::Result<()> {
    let (Some(plan), Some(failure)) = (case.plan(), case.failure()) else {
        return Ok(());
    };
    let path = report::write_case(&plan, &folder.join("failures"))?;
    let again = format!(
        "psync-conformance replay {} {}",
        path.display(),
        args.subject.as_options()
    );
    print!("\n{}", text::failure(&plan, failure, &again));
    if let Some(steps) = case.shortened_from {
        println!("  shortened from {steps} to {} steps", plan.steps.len());
    }
    if let Some(reason) = &case.deviation {
        println!("  known of this subject: {reason}");
    }
    Ok(())
}

fn print_out_of_reach(suite: &SuiteRecord) {
    for (control, targets) in &suite.out_of_reach {
        println!(
            "{}/{}: {targets} targets are out of reach, because the subject does not offer {control:?}",
            suite.era,
            suite.casting.name()
        );
    }
    if suite.spared > 0 {
        println!(
            "{}/{}: {} targets more are only for those who drop their data before they look at a snapshot",
            suite.era,
            suite.casting.name(),
            suite.spared
        );
    }
}
