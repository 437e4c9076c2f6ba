//! Every node a subject: what shows only where nodes change roles.
use psync_conformance::play::play;
use psync_conformance::profile::Profile;
use psync_conformance::verdict::{Check, Verdict};
use psync_model::case::Case;
use psync_model::casting::Casting;
use psync_model::cover;
use psync_model::rulebook::Era;
use psync_model::step::Step;

use crate::redis_server::has_redis;
use crate::support::{embedded, suite};

/// The shortest plan in which a primary whose writes are counted is told, within a transaction, to follow another.
fn handover_in_a_transaction() -> Case {
    let counted = |case: &Case| {
        let setting = case.setting().unwrap();
        let worlds = cover::run(&setting, case.header.scope.topology, &case.steps);
        let mut steps = worlds.iter().zip(&case.steps);
        steps.any(|(world, step)| {
            matches!(step, Step::FollowInTransaction { .. })
                && world.node(step.node()).backlog.is_some()
        })
    };
    let cases = suite(Era::Psync2V7, Casting::Whole).cases;
    let counted = cases.into_iter().filter(counted);
    counted.min_by_key(|case| case.steps.len()).unwrap()
}

#[test]
fn what_a_transaction_wrote_before_its_replicaof_is_in_our_stream() {
    let profile = embedded(Era::Psync2V7, &[], 10_000);
    let outcome = play(&handover_in_a_transaction(), &profile).unwrap();
    assert_eq!(outcome.verdict, Verdict::Pass);
}

/// F-21, by the plan that any server is judged by.
#[test]
fn what_it_wrote_is_not_in_the_stream_of_redis_7_which_agrees_with_the_era_as_shipped() {
    if !has_redis() {
        return;
    }
    let redis = Profile::load("redis").unwrap();
    let mut case = handover_in_a_transaction();
    let Verdict::Fail(failure) = play(&case, &redis).unwrap().verdict else {
        panic!("{} shows nothing", case.header.id);
    };
    assert!(matches!(failure.step, Step::FollowInTransaction { .. }));
    assert_eq!(failure.mismatch.check, Check::Offset);
    case.header.as_shipped = true;
    assert_eq!(play(&case, &redis).unwrap().verdict, Verdict::Pass);
}
