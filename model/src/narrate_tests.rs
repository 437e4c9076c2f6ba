//! Short plans, told.

// `UPDATE_EXPECT=1` writes expectations in this form.
#![allow(clippy::needless_raw_string_hashes)]

use super::*;
use crate::decision::Via;
use crate::rulebook::Era;
use crate::scope;
use crate::world::{Framing, Topology};
use expect_test::expect;

const NODE: NodeId = NodeId::Primary;
const REPLICA: NodeId = NodeId::Replica;

fn setting() -> Setting {
    scope::named("smoke")
        .unwrap()
        .scope
        .setting(Era::Psync2V7.rulebook())
}

fn first_sync() -> Vec<Step> {
    vec![
        Step::Ask { replica: REPLICA },
        Step::DeclinePartial {
            replica: REPLICA,
            refusal: Refusal::NoLabel,
        },
        Step::StartSnapshot {
            node: NODE,
            framing: Framing::Disk,
        },
        Step::ReceiveFullResync { replica: REPLICA },
        Step::FinishSnapshot { node: NODE },
        Step::ReceiveSnapshot { replica: REPLICA },
        Step::Write { node: NODE },
        Step::Apply { replica: REPLICA },
    ]
}

fn tell(steps: &[Step]) -> String {
    let setting = setting();
    let story = moments(steps, &setting, Topology::Pair).unwrap();
    let lines: Vec<_> = story
        .iter()
        .map(|moment| moment.sentence(&setting) + "\n")
        .collect();
    lines.concat()
}

#[test]
fn a_first_synchronization_reads_like_a_story() {
    expect![[r#"
        the replica connects and asks: PSYNC ? -1
        the primary declines: the request names no history
        the primary cuts a snapshot of {}, labels it R1:0 and queues commands from here on (through a file)
        the replica reads +FULLRESYNC R1 0, and has no label
        the snapshot is complete and is sent, with the stream behind it
        the replica loads the snapshot: its data are {}, its label is R1:0
        a client writes w1, and the primary is at R1:2
        the replica applies w1: its data are {w1}, its label is R1:2
    "#]].assert_eq(&tell(&first_sync()));
}

#[test]
fn a_byte_that_is_gone_is_named() {
    let mut steps = first_sync();
    steps.extend([
        Step::CutLink { replica: REPLICA },
        Step::PrimaryNoticesLoss { replica: REPLICA },
        Step::ReplicaNoticesLoss { replica: REPLICA },
        Step::Write { node: NODE },
        Step::Write { node: NODE },
        Step::Ask { replica: REPLICA },
        Step::DeclinePartial {
            replica: REPLICA,
            refusal: Refusal::TooOld,
        },
    ]);
    let told = tell(&steps);
    let last: Vec<_> = told.lines().skip(12).collect();
    expect![[r#"
        a client writes w3, and the primary is at R1:6
        the replica connects and asks: PSYNC R1 3
        the primary declines: the byte is no longer in the backlog (first 5)"#]]
    .assert_eq(&last.join("\n"));
}

#[test]
fn only_what_changed_is_marked() {
    let setting = setting();
    let story = moments(&first_sync(), &setting, Topology::Pair).unwrap();
    let last = story.last().unwrap();
    expect![[r#"
        primary
            role            primary
            data            {w1}
            ID              R1
            offset          2
            backlog         bytes 1 to 2: w1
            saved file      {}, R1:0
        replica
            role            replica of the primary
          * data            {} → {w1}
            ID              R1
          * offset          0 → 2
          * backlog         empty, next byte 1 → bytes 1 to 2: w1
            saved file      {}, R1:0
          * follows         R1:0 → R1:2
        link
            wire            whole
            replica's end   connected
            primary's end   online
          * stream          w1 → -
    "#]]
    .assert_eq(&fields::table(&last.before, &last.after, &setting));
    assert_eq!(
        fields::changes(&last.before, &last.before, &setting),
        Vec::new()
    );
}

#[test]
fn a_plan_of_any_length_can_be_told() {
    let mut steps = first_sync();
    // Up to 3.2 a saved file has no label, so that nothing keeps the beginning of the history alive.
    let setting = scope::named("smoke")
        .unwrap()
        .scope
        .setting(Era::Psync.rulebook());
    for _ in 0..40 {
        steps.extend([Step::Write { node: NODE }, Step::Apply { replica: REPLICA }]);
    }
    assert_eq!(
        moments(&steps, &setting, Topology::Pair).unwrap().len(),
        steps.len()
    );
}

#[test]
fn a_step_that_does_not_apply_is_named() {
    let steps = [
        Step::Ask { replica: REPLICA },
        Step::AcceptPartial {
            replica: REPLICA,
            via: Via::Current,
        },
    ];
    let refused = moments(&steps, &setting(), Topology::Pair).unwrap_err();
    assert_eq!(refused.number, 2);
}
