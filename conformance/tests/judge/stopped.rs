//! A server that has no directive to hold a snapshot back or open is led through the same moments by stopping its
//! processes (Linux).
use std::sync::atomic::AtomicBool;

use psync_conformance::needs::missing;
use psync_conformance::profile::{ControlName, Profile};
use psync_conformance::run::run;
use psync_conformance::verdict::Verdict;
use psync_model::casting::Casting;
use psync_model::rulebook::Era;
use psync_model::step::Step;

use crate::redis_server::has_redis;
use crate::support::{JOBS, suite};

/// How many cases are played.
const SAMPLE: usize = 4;

#[test]
fn a_real_server_without_such_directives_is_held_by_stopping_its_processes() {
    if !has_redis() {
        return;
    }
    let mut profile = Profile::load("redis").unwrap();
    profile.controls.remove(&ControlName::DisklessDelay);
    profile.controls.remove(&ControlName::KeySaveDelay);
    profile.deviations.clear();
    let mut suite = suite(Era::Psync2V7, Casting::Primary);
    let joins = |step: &Step| matches!(step, Step::AttachToSnapshot { .. });
    suite.cases.retain(|case| case.steps.iter().any(joins));
    let out_of_reach = missing(&suite.cases[0], &profile);
    assert!(out_of_reach.is_some(), "nothing holds a snapshot open");

    profile.controls.insert(ControlName::StopSnapshot);
    suite.cases.retain(|case| missing(case, &profile).is_none());
    suite.cases.truncate(SAMPLE);
    let report = run(&suite, &profile, JOBS, &AtomicBool::new(false), |_| {});
    assert_eq!(report.outcomes.len(), SAMPLE);
    for outcome in &report.outcomes {
        assert_eq!(outcome.verdict, Verdict::Pass, "{}", outcome.case);
        let met = outcome.met.iter().any(|target| joins(&target.step));
        assert!(met, "{} joined no snapshot", outcome.case);
    }
}
