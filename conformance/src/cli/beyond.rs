//! What a run does with the time that its cases leave: the sweep, as fine as there is time for, and then random walks.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use psync_conformance::needs::missing;
use psync_conformance::profile::{Access, Profile};
use psync_conformance::report::record::Record;
use psync_conformance::run::Suite;
use psync_conformance::stage::as_replica::played_era;
use psync_conformance::verdict::{Outcome, Verdict};
use psync_model::casting::Casting;
use psync_model::rulebook::Era;
use psync_model::world::Framing;

use super::run::{Args, play};
use super::{interrupt, sweep};

/// The least time that a sweep of one conversation is begun with.
const LEAST_SWEEP: Duration = Duration::from_secs(20);

/// How many walks of a casting are played before it is another's turn.
const WALKS_IN_A_ROW: u64 = 16;

/// Goes on until the budget is used up. What was found before is kept, whatever happens here.
pub(super) fn go(
    args: &Args,
    profile: &mut Profile,
    suites: &[Suite],
    until: Instant,
    record: &mut Record,
) {
    // A filter or a share of the cases asks for these and no others.
    if args.choice.is_partial() {
        return;
    }
    if let Err(error) = sweep_all(args, profile, suites, until, record) {
        let reason = format!("the sweep could not be made: {error:#}");
        record.run.harness_failure.get_or_insert(reason);
    }
    walk_on(args, profile, suites, until, record);
}

fn time_left(until: Instant) -> Duration {
    let over = interrupt::STOP.load(Ordering::Relaxed);
    if over {
        Duration::ZERO
    } else {
        until.saturating_duration_since(Instant::now())
    }
}

/// Of every era and casting, an equal share of half the time; what they do not need is for the walks.
fn sweep_all(
    args: &Args,
    profile: &Profile,
    suites: &[Suite],
    until: Instant,
    record: &mut Record,
) -> anyhow::Result<()> {
    // The sweep starts a new server for each byte.
    if !matches!(profile.access, Access::Start { .. }) {
        return Ok(());
    }
    let half = Instant::now() + time_left(until) / 2;
    for (number, suite) in suites.iter().enumerate() {
        let share = time_left(half) / u32::try_from(suites.len() - number)?;
        if share < LEAST_SWEEP {
            continue;
        }
        let folder = args.folder(profile).join("sweep");
        let sweeping = sweep::Args::until(args.subject.clone(), folder, Instant::now() + share);
        let setup = sweep::setup(profile, suite.era, suite.casting, Framing::Disk)?;
        record
            .sweeps
            .extend(sweep::sweep(&sweeping, &setup, suite.era)?);
    }
    Ok(())
}

/// Walks of all eras and castings in turn. Those that need what the subject does not offer are not played, and counted.
/// A casting of which none in a row is in reach, or all fail, has nothing more to tell.
fn walk_on(
    args: &Args,
    profile: &mut Profile,
    suites: &[Suite],
    until: Instant,
    record: &mut Record,
) {
    let seed = seed(args);
    let (mut first, mut walked, mut out_of_reach) = (seed, 0, 0);
    let mut telling: Vec<&Suite> = suites.iter().collect();
    while !time_left(until).is_zero() && !telling.is_empty() {
        telling.retain(|suite| {
            profile.era = played_era(suite.era);
            let mut walks = of_walks(args, suite.era, suite.casting, first, WALKS_IN_A_ROW);
            let all = walks.cases.len();
            walks.cases.retain(|case| missing(case, profile).is_none());
            out_of_reach += all - walks.cases.len();
            let report = play(args, profile, &walks, Some(until));
            walked += report.outcomes.len();
            record.add_more(&walks, &report, profile);
            let failed = |outcome: &Outcome| matches!(outcome.verdict, Verdict::Fail(_));
            !report.outcomes.iter().all(failed)
        });
        first = first.wrapping_add(WALKS_IN_A_ROW);
    }
    if walked > 0 {
        let each = first.wrapping_sub(seed);
        println!(
            "{walked} random walks were among the cases: --walks {each} --seed {seed} plays them again"
        );
    }
    if out_of_reach > 0 {
        println!("{out_of_reach} walks need what the subject does not offer, and were left out");
    }
}

/// Where the walks of this run begin.
pub(super) fn seed(args: &Args) -> u64 {
    args.seed.unwrap_or_else(|| u64::from(fastrand::u32(..)))
}

/// So many walks, as the run is to be judged.
pub(super) fn of_walks(args: &Args, era: Era, casting: Casting, seed: u64, number: u64) -> Suite {
    Suite {
        repeat: args.repeat,
        ..Suite::of_walks(era, casting, args.choice.as_shipped, seed, number)
    }
}
