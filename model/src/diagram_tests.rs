//! Short plans, drawn.

// `UPDATE_EXPECT=1` writes expectations in this form.
#![allow(clippy::needless_raw_string_hashes)]

use super::*;
use crate::decision::{Refusal, Via};
use crate::narrate::moments;
use crate::rulebook::Era;
use crate::scope;
use crate::world::{Framing, Topology};
use expect_test::expect;

const NODE: NodeId = NodeId::Primary;
const REPLICA: NodeId = NodeId::Replica;

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
    ]
}

fn after_outage(writes: usize) -> Vec<Step> {
    let mut steps = first_sync();
    steps.extend([
        Step::Write { node: NODE },
        Step::CutLink { replica: REPLICA },
        Step::ReplicaNoticesLoss { replica: REPLICA },
        Step::PrimaryNoticesLoss { replica: REPLICA },
    ]);
    steps.extend(vec![Step::Write { node: NODE }; writes - 1]);
    steps.push(Step::Ask { replica: REPLICA });
    steps
}

fn draw(steps: &[Step]) -> (String, String) {
    let setting = scope::named("smoke")
        .unwrap()
        .scope
        .setting(Era::Psync2V7.rulebook());
    let story = moments(steps, &setting, Topology::Pair).unwrap();
    (text(&story, &setting), svg(&story, &setting))
}

#[test]
fn a_first_synchronization_is_drawn_from_the_question_to_the_data() {
    expect![[r#"
                                             primary                                replica   primary    replica   backlog
        1    ask                             │                               PSYNC ? -1 ●─│   unnamed:0  -         -
        2    decline-partial/no-label        ◀──────────────── PSYNC ? -1 ────────────────│   R1:0       -         [1, 1)
                                             │ (the request names no history)             │
        3    start-snapshot/disk             │ (a snapshot is cut)                        │   R1:0       -         [1, 1)
                                             │─● +FULLRESYNC R1 0                         │
        4    receive-full-resync             │───────────── +FULLRESYNC R1 0 ─────────────▶   R1:0       -         [1, 1)
        5    finish-snapshot                 │ (the snapshot is complete)                 │   R1:0       -         [1, 1)
                                             │─● snapshot {}                              │
        6    receive-snapshot                │─────────────── snapshot {} ────────────────▶   R1:0       R1:0      [1, 1)
    "#]].assert_eq(&draw(&first_sync()).0);
}

#[test]
fn a_cut_loses_a_command_and_continuing_brings_it_back() {
    let mut steps = after_outage(1);
    steps.extend([
        Step::AcceptPartial {
            replica: REPLICA,
            via: Via::Current,
        },
        Step::ReceiveContinue { replica: REPLICA },
        Step::Apply { replica: REPLICA },
        Step::Acknowledge { replica: REPLICA },
    ]);
    expect![[r#"
                                             primary                                replica   primary    replica   backlog
        1    ask                             │                               PSYNC ? -1 ●─│   unnamed:0  -         -
        2    decline-partial/no-label        ◀──────────────── PSYNC ? -1 ────────────────│   R1:0       -         [1, 1)
                                             │ (the request names no history)             │
        3    start-snapshot/disk             │ (a snapshot is cut)                        │   R1:0       -         [1, 1)
                                             │─● +FULLRESYNC R1 0                         │
        4    receive-full-resync             │───────────── +FULLRESYNC R1 0 ─────────────▶   R1:0       -         [1, 1)
        5    finish-snapshot                 │ (the snapshot is complete)                 │   R1:0       -         [1, 1)
                                             │─● snapshot {}                              │
        6    receive-snapshot                │─────────────── snapshot {} ────────────────▶   R1:0       R1:0      [1, 1)
        7    write                           │ (a client writes)                          │   R1:2       R1:0      [1, 3)
                                             │─● w1                                       │
        8    cut-link                        │╌╌╌╌╌╌╌╌╌ (the connection is cut) ╌╌╌╌╌╌╌╌╌╌│   R1:2       R1:0      [1, 3)
                                             │                 ✗ lost: w1                 │
        9    replica-notices-loss            │                         (notices the loss) │   R1:2       R1:0      [1, 3)
        10   primary-notices-loss            │ (notices the loss)                         │   R1:2       R1:0      [1, 3)
        11   ask                             │                               PSYNC R1 1 ●─│   R1:2       R1:0      [1, 3)
        12   accept-partial/current          ◀──────────────── PSYNC R1 1 ────────────────│   R1:2       R1:0      [1, 3)
                                             │─● +CONTINUE R1, w1                         │
        13   receive-continue                │─────────────── +CONTINUE R1 ───────────────▶   R1:2       R1:0      [1, 3)
        14   apply                           │──────────────────── w1 ────────────────────▶   R1:2       R1:2      [1, 3)
        15   acknowledge                     │                                    ACK 2 ●─│   R1:2       R1:2      [1, 3)
    "#]].assert_eq(&draw(&steps).0);
}

#[test]
fn a_replica_too_far_behind_starts_again() {
    let mut steps = after_outage(2);
    steps.push(Step::DeclinePartial {
        replica: REPLICA,
        refusal: Refusal::TooOld,
    });
    expect![[r#"
                                             primary                                replica   primary    replica   backlog
        1    ask                             │                               PSYNC ? -1 ●─│   unnamed:0  -         -
        2    decline-partial/no-label        ◀──────────────── PSYNC ? -1 ────────────────│   R1:0       -         [1, 1)
                                             │ (the request names no history)             │
        3    start-snapshot/disk             │ (a snapshot is cut)                        │   R1:0       -         [1, 1)
                                             │─● +FULLRESYNC R1 0                         │
        4    receive-full-resync             │───────────── +FULLRESYNC R1 0 ─────────────▶   R1:0       -         [1, 1)
        5    finish-snapshot                 │ (the snapshot is complete)                 │   R1:0       -         [1, 1)
                                             │─● snapshot {}                              │
        6    receive-snapshot                │─────────────── snapshot {} ────────────────▶   R1:0       R1:0      [1, 1)
        7    write                           │ (a client writes)                          │   R1:2       R1:0      [1, 3)
                                             │─● w1                                       │
        8    cut-link                        │╌╌╌╌╌╌╌╌╌ (the connection is cut) ╌╌╌╌╌╌╌╌╌╌│   R1:2       R1:0      [1, 3)
                                             │                 ✗ lost: w1                 │
        9    replica-notices-loss            │                         (notices the loss) │   R1:2       R1:0      [1, 3)
        10   primary-notices-loss            │ (notices the loss)                         │   R1:2       R1:0      [1, 3)
        11   write                           │ (a client writes)                          │   R1:4       R1:0      [3, 5)
        12   ask                             │                               PSYNC R1 1 ●─│   R1:4       R1:0      [3, 5)
        13   decline-partial/too-old         ◀──────────────── PSYNC R1 1 ────────────────│   R1:4       R1:0      [3, 5)
                                             │ (the byte is no longer in the backlog)     │
    "#]].assert_eq(&draw(&steps).0);
}

#[test]
fn every_message_has_its_line_and_no_special_character_escapes() {
    let (_, drawing) = draw(&after_outage(1));
    assert_eq!(drawing.matches("<circle").count(), 5, "{drawing}");
    assert_eq!(drawing.matches("ps-lost ps-words").count(), 1);
    assert!(drawing.starts_with("<svg ") && drawing.ends_with("</svg>"));
    assert!(!drawing.contains("<&") && !drawing.contains("& "));
}
