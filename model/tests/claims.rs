//! What became of each claim, with the length of its shortest counterexample.

use expect_test::expect;
use psync_model::claims::{Verdict, check_all};
use psync_model::rulebook::Era;
use psync_model::scope;
use psync_model::step::Step;
use psync_model::world::{NodeId, World};
use std::fmt::Write;

#[test]
fn claims_are_proved_or_refuted_as_stated() {
    let mut table = String::new();
    for result in check_all(|_, _, _| true) {
        assert!(
            result.is_as_expected(),
            "{} in era {}: {:?}",
            result.claim.name,
            result.era,
            result.found
        );
        let found = match result.found {
            Some(Verdict::Refuted) => format!("refuted {}", result.steps.len()),
            _ => format!("proved on {} worlds", result.states),
        };
        writeln!(
            table,
            "{:32} {:9} {found}",
            result.claim.name,
            result.era.name()
        )
        .unwrap();
    }
    expect![[r#"
        offsets-count-bytes-sent         psync     proved on 1848 worlds
        offsets-count-bytes-sent         psync2    proved on 1990 worlds
        offsets-count-bytes-sent         psync2-v7 proved on 896 worlds
        equal-offsets-equal-data         psync     refuted 10
        equal-offsets-equal-data         psync2    refuted 10
        equal-offsets-equal-data         psync2-v7 refuted 10
        equal-labels-equal-data          psync     proved on 38214 worlds
        equal-labels-equal-data          psync2    proved on 75784 worlds
        equal-labels-equal-data          psync2-v7 proved on 68834 worlds
        different-offsets-different-data psync     refuted 7
        different-offsets-different-data psync2    refuted 7
        different-offsets-different-data psync2-v7 refuted 7
        partial-iff-id-and-window        psync     proved on 38214 worlds
        partial-iff-id-and-window        psync2    proved on 75784 worlds
        partial-iff-id-and-window        psync2-v7 refuted 7
        partial-iff-known-id-and-window  psync     proved on 38214 worlds
        partial-iff-known-id-and-window  psync2    proved on 75784 worlds
        partial-iff-known-id-and-window  psync2-v7 proved on 68834 worlds
        every-reconnection-is-full       sync      proved on 4306 worlds
        every-reconnection-is-full       psync     refuted 10
        every-reconnection-is-full       psync2    refuted 9
        every-reconnection-is-full       psync2-v7 refuted 9
        full-copy-is-the-announced-data  psync     proved on 38214 worlds
        full-copy-is-the-announced-data  psync2    proved on 75784 worlds
        full-copy-is-the-announced-data  psync2-v7 proved on 68834 worlds
        larger-backlog-never-hurts       psync     proved on 38214 worlds
        larger-backlog-never-hurts       psync2    proved on 75784 worlds
        larger-backlog-never-hurts       psync2-v7 proved on 68834 worlds
        backlog-covers-what-is-missing   psync     proved on 38214 worlds
        backlog-covers-what-is-missing   psync2    proved on 75784 worlds
        backlog-covers-what-is-missing   psync2-v7 proved on 68834 worlds
        one-command-less-suffices        psync     refuted 13
        one-command-less-suffices        psync2    refuted 13
        one-command-less-suffices        psync2-v7 refuted 13
        wait-counts-who-has-it           psync     proved on 1848 worlds
        wait-counts-who-has-it           psync2    proved on 1990 worlds
        wait-counts-who-has-it           psync2-v7 proved on 896 worlds
    "#]]
    .assert_eq(&table);
}

/// What was on its way when the link broke is missing too: counting only what is written during the outage
/// gives a backlog that is too small.
#[test]
fn a_backlog_for_the_writes_of_the_outage_alone_is_too_small() {
    let (node, replica) = (NodeId::Primary, NodeId::Replica);
    let setting = scope::named("smoke")
        .expect("there is a scope of this name")
        .scope
        .setting(Era::Psync2V7.rulebook());
    assert_eq!(setting.backlog_commands, 1);
    let synchronize: Vec<Step> = serde_json::from_str(
        r#"[
            {"rule": "ask", "replica": "replica"},
            {"rule": "decline-partial", "replica": "replica", "refusal": "no-label"},
            {"rule": "start-snapshot", "node": "primary", "framing": "disk"},
            {"rule": "finish-snapshot", "node": "primary"},
            {"rule": "receive-full-resync", "replica": "replica"},
            {"rule": "receive-snapshot", "replica": "replica"}
        ]"#,
    )
    .expect("the steps are written as traces write them");
    let outage = [
        Step::Write { node },
        Step::CutLink { replica },
        Step::PrimaryNoticesLoss { replica },
        Step::Write { node },
        Step::ReplicaNoticesLoss { replica },
        Step::Ask { replica },
    ];
    let world = synchronize
        .into_iter()
        .chain(outage)
        .fold(World::pair(), |world, step| {
            step.apply(&world, &setting)
                .unwrap_or_else(|| panic!("{step} applies"))
        });
    let refused = Step::DeclinePartial {
        replica,
        refusal: psync_model::decision::Refusal::TooOld,
    };
    assert!(refused.apply(&world, &setting).is_some());
}
