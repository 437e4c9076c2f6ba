//! A failing case is shortened before it is shown: steps are left out as long as the rest is still a plan and fails at
//! the same check. What is left is played three more times with the full waits; only if it fails each time is it
//! shown instead of the case it came from.

use std::time::{Duration, Instant};

use psync_model::case::Case;
use psync_model::cover;
use psync_model::step::Step;

use crate::play::play;
use crate::profile::{Millis, Profile};
use crate::verdict::{Check, Failure, Verdict};

/// How long the subject may take for what is due while steps are tried: a wrong one never does it, and a right one
/// takes some milliseconds. What is kept is confirmed with the waits of the profile.
const TRIAL_OBSERVE: Millis = Millis::of_ms(1_500);

/// How often the shortened case must fail.
const CONFIRMATIONS: usize = 3;

/// A case that fails as the one it was made from does, with fewer steps.
#[derive(Debug)]
pub struct Shortened {
    /// The case.
    pub case: Case,
    /// How it fails.
    pub failure: Box<Failure>,
}

/// Looks for a shorter case that fails at the same check, for as long as `budget` lasts. `None` if there is none, or
/// if it does not fail every time. An error is the harness's own failure.
pub fn shorten(
    case: &Case,
    failure: &Failure,
    profile: &Profile,
    budget: Duration,
) -> anyhow::Result<Option<Shortened>> {
    let until = Instant::now() + budget;
    let mut trial = profile.clone();
    trial.waits.observe_ms = trial.waits.observe_ms.min(TRIAL_OBSERVE);
    let check = failure.mismatch.check;
    let mut shortest = without_the_end(case, failure);
    let mut chunk = shortest.steps.len().div_ceil(2).max(1);
    while Instant::now() < until {
        let mut shorter = false;
        let mut from = shortest.steps.len();
        while from > 0 && Instant::now() < until {
            from = from.saturating_sub(chunk);
            let candidate = without(&shortest, from, chunk);
            if is_plan(&candidate) && fails(&candidate, &trial, check)?.is_some() {
                shortest = candidate;
                shorter = true;
            }
        }
        if chunk == 1 && !shorter {
            break;
        }
        chunk = (chunk / 2).max(1);
    }
    if shortest.steps.len() >= case.steps.len() {
        return Ok(None);
    }
    let mut last = None;
    for _ in 0..CONFIRMATIONS {
        last = fails(&shortest, profile, check)?;
        if last.is_none() {
            return Ok(None);
        }
    }
    Ok(last.map(|failure| Shortened {
        case: shortest,
        failure,
    }))
}

/// The case up to the step at which it failed. One that failed on the way to rest keeps all its steps.
fn without_the_end(case: &Case, failure: &Failure) -> Case {
    let steps = case.steps.get(..=failure.at).unwrap_or(&case.steps);
    case.with_steps(steps.to_vec())
}

fn without(case: &Case, from: usize, count: usize) -> Case {
    let kept = |place: &usize| !(from..from + count).contains(place);
    let steps = (0..case.steps.len()).filter(kept);
    case.with_steps(steps.map(|place| case.steps[place]).collect())
}

/// Whether every step can come next where it stands, with this subject under test.
fn is_plan(case: &Case) -> bool {
    let Ok(setting) = case.setting() else {
        return false;
    };
    let scope = case.header.scope;
    let worlds = cover::run(&setting, scope.topology, &case.steps);
    if case.steps.is_empty() || worlds.len() <= case.steps.len() {
        return false;
    }
    let all: Vec<Step> = Step::among(scope.topology)
        .into_iter()
        .filter(|step| scope.allows(*step))
        .collect();
    let next = |world| case.header.casting.possible_next(world, &setting, &all);
    worlds
        .iter()
        .zip(&case.steps)
        .all(|(world, step)| next(world).contains(step))
}

fn fails(case: &Case, profile: &Profile, check: Check) -> anyhow::Result<Option<Box<Failure>>> {
    Ok(match play(case, profile)?.verdict {
        Verdict::Fail(failure) if failure.mismatch.check == check => Some(failure),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use psync_model::casting::Casting;
    use psync_model::rulebook::Era;

    use super::*;

    #[test]
    fn every_case_of_a_cover_is_a_plan_and_one_that_lost_its_beginning_is_not() {
        let suites = crate::run::suites(Era::Psync, &Casting::OF_PAIR, false).unwrap();
        for case in suites.iter().flat_map(|suite| &suite.cases) {
            assert!(is_plan(case), "{}", case.header.id);
        }
        let longest = suites.iter().flat_map(|suite| &suite.cases);
        let longest = longest.max_by_key(|case| case.steps.len()).unwrap();
        assert!(!is_plan(&without(longest, 0, 1)));
        assert_ne!(without(longest, 1, 1).header.id, longest.header.id);
    }
}
