//! What people say about replication, each sentence proved in the model or refuted by a shortest example.
//!
//! A claim is a sentence about one edge of the graph: the world before, the step, the world after. It is
//! proved for an era when it holds on every edge of its scope, and refuted by the nearest edge on which it
//! does not hold. The properties of [`crate::property`] say what must hold; these say what is believed, by
//! the notes this project began from among others, and which half of it is true.
//!
//! Where a claim compares the offsets of unrelated histories it is judged among plain worlds, because the
//! canonical form keeps no such comparison; such a claim can only be refuted here, never proved.

use crate::decision::{Answer, Standing, Window, answer};
use crate::history::Meaning;
use crate::offset::ReplOffset;
use crate::property::{Edge, Property, lag};
use crate::rulebook::{Era, PartialCommand};
use crate::rules::stranger::wanted_by_stranger;
use crate::scope;
use crate::search::{Search, Sentence};
use crate::step::Step;
use crate::token::{Begun, COMMAND_UNITS};
use crate::walk::{End, Limits, Progress, walk};
use crate::world::{Byte, Id, NodeId, PrimaryPhase, Stream, World};

/// What became of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It holds on every edge of the scope.
    Proved,
    /// There is an edge on which it does not hold.
    Refuted,
}

/// Whether a claim is judged among canonical worlds, all of them, or plain ones, the nearest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Every edge of the scope.
    Canonical,
    /// Only until the claim is refuted.
    Plain,
}

/// A sentence people say, with what we know about it.
#[derive(Clone, Copy, Debug)]
pub struct Claim {
    /// The name on the command line.
    pub name: &'static str,
    /// What is said.
    pub sentence: &'static str,
    /// Why it is so, or what goes wrong.
    pub because: &'static str,
    /// The name of the scope it is judged on.
    pub scope: &'static str,
    /// Among which worlds.
    pub form: Form,
    /// What is expected, for each era in which the sentence makes sense.
    pub verdicts: &'static [(Era, Verdict)],
    /// Whether it holds on one edge.
    pub holds: Sentence,
}

/// A claim judged in one era.
#[derive(Clone, Debug)]
pub struct ClaimResult {
    /// The claim.
    pub claim: &'static Claim,
    /// The era.
    pub era: Era,
    /// What is expected.
    pub expected: Verdict,
    /// What was found; `None` when the walk was stopped before it could say.
    pub found: Option<Verdict>,
    /// The shortest counterexample; empty unless refuted.
    pub steps: Vec<Step>,
    /// How many worlds were looked at.
    pub states: usize,
    /// How many edges were looked at.
    pub edges: u64,
}

impl ClaimResult {
    /// Whether the claim turned out as expected.
    pub fn is_as_expected(&self) -> bool {
        self.found == Some(self.expected)
    }
}

/// The claim of this name, if there is one.
pub fn named(name: &str) -> Option<&'static Claim> {
    CLAIMS.iter().find(|claim| claim.name == name)
}

/// Judges one claim in one era. `watch` is told of the progress and may stop it by answering `false`.
pub fn check(
    claim: &'static Claim,
    era: Era,
    expected: Verdict,
    watch: impl FnMut(Progress) -> bool,
) -> ClaimResult {
    let scope = scope::named(claim.scope).expect("a claim names a scope that exists");
    let search = Search::new(era.rulebook(), scope.scope)
        .watching([])
        .claiming(claim.holds);
    let search = match claim.form {
        Form::Canonical => search,
        Form::Plain => search.plain(),
    };
    let walked = walk(&search, Limits::PROVE, watch);
    let found = match (walked.end, claim.form) {
        (End::Violated, _) => Some(Verdict::Refuted),
        (End::Complete, Form::Canonical) => Some(Verdict::Proved),
        _ => None,
    };
    let steps = walked.violations.into_iter().next();
    ClaimResult {
        claim,
        era,
        expected,
        found,
        steps: steps.map_or_else(Vec::new, |violation| violation.steps),
        states: walked.states,
        edges: walked.edges,
    }
}

/// Judges every claim in every era it is about, in the order of [`CLAIMS`].
pub fn check_all(
    mut progress: impl FnMut(&'static Claim, Era, Progress) -> bool,
) -> Vec<ClaimResult> {
    let pairs = CLAIMS
        .iter()
        .flat_map(|claim| claim.verdicts.iter().map(move |verdict| (claim, *verdict)));
    pairs
        .map(|(claim, (era, expected))| {
            check(claim, era, expected, |now| progress(claim, era, now))
        })
        .collect()
}

const PROVED_WITH_OFFSETS: &[(Era, Verdict)] = &[
    (Era::Psync, Verdict::Proved),
    (Era::Psync2, Verdict::Proved),
    (Era::Psync2V7, Verdict::Proved),
];

const REFUTED_WITH_OFFSETS: &[(Era, Verdict)] = &[
    (Era::Psync, Verdict::Refuted),
    (Era::Psync2, Verdict::Refuted),
    (Era::Psync2V7, Verdict::Refuted),
];

/// All claims.
pub const CLAIMS: &[Claim] = &[
    Claim {
        name: "offsets-count-bytes-sent",
        sentence: "the primary's and the replica's offset each move by exactly the bytes of the stream",
        because: "the primary counts what it appends, the replica what it has applied (up to 3.2: read). \
                  Everything else sets an offset anew, with a label, and moves none",
        scope: "smoke",
        form: Form::Canonical,
        verdicts: PROVED_WITH_OFFSETS,
        holds: offsets_count_bytes,
    },
    Claim {
        name: "equal-offsets-equal-data",
        sentence: "a primary and a replica with equal offsets have equal data",
        because: "an offset without the ID says nothing: what is written while there is no backlog is not \
                  counted",
        scope: "smoke",
        form: Form::Plain,
        verdicts: REFUTED_WITH_OFFSETS,
        holds: equal_offsets_equal_data,
    },
    Claim {
        name: "equal-labels-equal-data",
        sentence: "nodes with equal offsets under the same usable ID have equal data",
        because: "this is property S2: an ID is retired before an uncounted write can make it lie",
        scope: "restarts",
        form: Form::Canonical,
        verdicts: PROVED_WITH_OFFSETS,
        holds: |edge| Property::S2.holds(edge),
    },
    Claim {
        name: "different-offsets-different-data",
        sentence: "under one ID, different offsets mean different data",
        because: "a PING moves the offset and changes nothing",
        scope: "pings",
        form: Form::Canonical,
        verdicts: REFUTED_WITH_OFFSETS,
        holds: different_offsets_different_data,
    },
    Claim {
        name: "partial-iff-id-and-window",
        sentence: "a partial resynchronization happens if and only if the ID is the primary's and the byte \
                   after the offset is still in the backlog",
        because: "from 7.0 on a restarted primary also answers to its secondary ID. So do promoted replicas \
                  from 4.0 on; roles do not change in this scope",
        scope: "restarts",
        form: Form::Canonical,
        verdicts: &[
            (Era::Psync, Verdict::Proved),
            (Era::Psync2, Verdict::Proved),
            (Era::Psync2V7, Verdict::Refuted),
        ],
        holds: partial_iff_own_id,
    },
    Claim {
        name: "partial-iff-known-id-and-window",
        sentence: "a partial resynchronization happens if and only if the ID is the primary's, or its \
                   secondary one up to the limit, and the byte after the offset is still in the backlog",
        because: "this is the acceptance rule, at its edges too: a stranger asks there",
        scope: "restarts",
        form: Form::Canonical,
        verdicts: PROVED_WITH_OFFSETS,
        holds: partial_iff_known_id,
    },
    Claim {
        name: "every-reconnection-is-full",
        sentence: "every reconnection is a full resynchronization",
        because: "true of SYNC, which has nothing to say about the past; PSYNC was made to change it",
        scope: "replay",
        form: Form::Canonical,
        verdicts: &[
            (Era::Sync, Verdict::Proved),
            (Era::Psync, Verdict::Refuted),
            (Era::Psync2, Verdict::Refuted),
            (Era::Psync2V7, Verdict::Refuted),
        ],
        holds: |edge| !matches!(edge.step, Step::AcceptPartial { .. }),
    },
    Claim {
        name: "full-copy-is-the-announced-data",
        sentence: "after a full resynchronization the replica has the primary's data as of the announced \
                   offset",
        because: "snapshot, label and the beginning of the stream are made in one step",
        scope: "restarts",
        form: Form::Canonical,
        verdicts: PROVED_WITH_OFFSETS,
        holds: copy_is_what_was_announced,
    },
    Claim {
        name: "larger-backlog-never-hurts",
        sentence: "a larger backlog never turns a continuation into a full copy",
        because: "it begins no later and ends at the same byte. Judged on every answer, with the backlog one \
                  to three commands larger, full and not yet full",
        scope: "restarts",
        form: Form::Canonical,
        verdicts: PROVED_WITH_OFFSETS,
        holds: larger_backlog_continues_too,
    },
    Claim {
        name: "backlog-covers-what-is-missing",
        sentence: "a backlog no smaller than what the replica lacks makes the reconnection partial",
        because: "as long as the ID is still the primary's and the backlog did not expire. What was on its \
                  way when the link broke is lacking too, beside what was written during the outage",
        scope: "restarts",
        form: Form::Canonical,
        verdicts: PROVED_WITH_OFFSETS,
        holds: |edge| a_backlog_suffices(edge, 0),
    },
    Claim {
        name: "one-command-less-suffices",
        sentence: "a backlog one command smaller than what the replica lacks makes the reconnection partial",
        because: "the oldest command is gone. Hence the advice: twice the seconds of an outage times the \
                  bytes a second",
        scope: "smoke",
        form: Form::Canonical,
        verdicts: REFUTED_WITH_OFFSETS,
        holds: |edge| a_backlog_suffices(edge, 1),
    },
    Claim {
        name: "wait-counts-who-has-it",
        sentence: "whoever WAIT counts for a write has executed it",
        because: "an acknowledgement says how far a replica has come in the stream (S12). That is not yet on its \
                  disk: nothing is said here of a process that dies afterwards",
        scope: "smoke",
        form: Form::Canonical,
        verdicts: PROVED_WITH_OFFSETS,
        holds: whom_wait_counts_has_it,
    },
];

fn offsets_count_bytes(edge: &Edge<'_>) -> bool {
    edge.after
        .node_ids()
        .all(|node| production_is_counted(edge, node) && application_is_counted(edge, node))
}

fn production_is_counted(edge: &Edge<'_>, node: NodeId) -> bool {
    let (before, after) = (edge.before.node(node), edge.after.node(node));
    let (Some(had), Some(has)) = (edge.before.history(before.id), edge.after.history(after.id))
    else {
        return true;
    };
    if before.id != after.id || before.backlog.is_none() || after.backlog.is_none() {
        return true;
    }
    after.offset.since(before.offset) == has.tokens.units() - had.tokens.units()
}

fn application_is_counted(edge: &Edge<'_>, replica: NodeId) -> bool {
    let (before, after) = (edge.before.node(replica), edge.after.node(replica));
    let (Some(was), Some(is)) = (before.following, after.following) else {
        return true;
    };
    let moved = is.offset.since(was.offset);
    match edge.step {
        Step::Apply { .. } | Step::ReadHead { .. } => {
            let counts_halves = edge.setting.book.partial_command == PartialCommand::KeptAndCounted;
            let left = |world: &World| units_left(&world.link(replica).stream, counts_halves);
            moved == left(edge.before) - left(edge.after)
        }
        Step::ReceiveSnapshot { .. } | Step::RestartReplica { .. } => true,
        _ => moved == 0,
    }
}

fn units_left(stream: &Stream, counts_halves: bool) -> i64 {
    stream.tokens.units() - i64::from(counts_halves && stream.starts_with_tail)
}

fn equal_offsets_equal_data(edge: &Edge<'_>) -> bool {
    each_following(edge.after).all(|(primary, replica, following)| {
        let (primary, replica) = (edge.after.node(primary), edge.after.node(replica));
        primary.offset != following.1 || primary.data == replica.data
    })
}

fn different_offsets_different_data(edge: &Edge<'_>) -> bool {
    each_following(edge.after).all(|(primary, replica, (id, offset))| {
        let (primary, replica) = (edge.after.node(primary), edge.after.node(replica));
        primary.id != id || primary.offset == offset || primary.data != replica.data
    })
}

/// WAIT counts the replicas whose acknowledgement has reached the offset after the client's last write
/// (`waitCommand`, `replicationCountAcksByOffset`, Redis 3.0 on).
fn whom_wait_counts_has_it(edge: &Edge<'_>) -> bool {
    let world = edge.after;
    world.node_ids().all(|replica| {
        let Some(parent) = world.parent(replica) else {
            return true;
        };
        let (link, primary) = (world.link(replica), world.node(parent));
        let is_counted =
            link.primary == PrimaryPhase::Online && link.acknowledged == Some(primary.offset);
        !is_counted || world.node(replica).data == primary.data
    })
}

/// Each replica that has a label, with its primary and the label.
fn each_following(
    world: &World,
) -> impl Iterator<Item = (NodeId, NodeId, (Id, ReplOffset<i16>))> + '_ {
    world.node_ids().filter_map(|replica| {
        let label = world.node(replica).following?;
        Some((world.parent(replica)?, replica, (label.id, label.offset)))
    })
}

/// A request that a step answers: who answers, what was asked, and whether it is continued.
struct Answered {
    primary: NodeId,
    wanted: (Id, Byte),
    continued: bool,
}

fn answered(edge: &Edge<'_>) -> Option<Answered> {
    let (replica, continued) = match edge.step {
        Step::AcceptPartial { replica, .. } => (replica, true),
        Step::DeclinePartial { replica, .. } => (replica, false),
        Step::StrangerAsks { node, question } => {
            return Some(Answered {
                primary: node,
                wanted: wanted_by_stranger(edge.before, node, question)?,
                continued: matches!(edge.after.stranger?.answer, Answer::Continue(_)),
            });
        }
        _ => return None,
    };
    Some(Answered {
        primary: edge.before.parent(replica)?,
        wanted: edge.before.link(replica).request?.wanted?,
        continued,
    })
}

fn partial_iff_own_id(edge: &Edge<'_>) -> bool {
    answered(edge).is_none_or(|asked| {
        let own = edge.before.node(asked.primary);
        let known = asked.wanted.0 == own.id;
        asked.continued == (known && is_held(edge.before, asked.primary, asked.wanted.1))
    })
}

fn partial_iff_known_id(edge: &Edge<'_>) -> bool {
    answered(edge).is_none_or(|asked| {
        let own = edge.before.node(asked.primary);
        let (id, byte) = asked.wanted;
        let former = own
            .secondary
            .is_some_and(|former| former.id == id && byte <= former.limit);
        let known = id == own.id || former;
        asked.continued == (known && is_held(edge.before, asked.primary, byte))
    })
}

/// Whether a byte is in the backlog, or is the one just after it.
fn is_held(world: &World, primary: NodeId, byte: Byte) -> bool {
    let own = world.node(primary);
    let backlog = own.backlog;
    backlog.is_some_and(|backlog| backlog.first <= byte && byte <= own.offset.next_byte())
}

fn copy_is_what_was_announced(edge: &Edge<'_>) -> bool {
    let Step::ReceiveSnapshot { replica } = edge.step else {
        return true;
    };
    let own = edge.after.node(replica);
    let announced = edge.before.link(replica).announced;
    announced.is_some()
        && own.following == announced
        && announced.is_some_and(|label| {
            // A label that was retired meanwhile says nothing any more; S7 keeps it from being used.
            matches!(edge.after.meaning(label), Meaning::Retired)
                || edge.after.meaning(label) == Meaning::Data(own.data, Begun::NOTHING)
        })
}

fn larger_backlog_continues_too(edge: &Edge<'_>) -> bool {
    let Some(asked) = answered(edge).filter(|asked| asked.continued) else {
        return true;
    };
    let own = edge.before.node(asked.primary);
    let standing = own.standing(edge.setting.backlog_commands);
    let wanted = Some((u64::from(asked.wanted.0.0), asked.wanted.1.wide()));
    let given = answer(&edge.setting.book, &standing, wanted);
    (1..=3).all(|more| {
        (0..=more).all(|fuller| {
            let larger = with_larger_backlog(&standing, more, fuller);
            answer(&edge.setting.book, &larger, wanted) == given
        })
    })
}

/// The same primary, configured with a backlog that is `more` commands larger, of which `fuller` are filled.
fn with_larger_backlog(standing: &Standing, more: i64, fuller: i64) -> Standing {
    let window = standing.window.map(|window| Window {
        first: window.first.plus(-fuller * COMMAND_UNITS),
        capacity: window.capacity + more * COMMAND_UNITS,
        ..window
    });
    Standing {
        window,
        ..*standing
    }
}

/// Whether a replica that lacks at most `short` commands more than the backlog is configured for is continued.
fn a_backlog_suffices(edge: &Edge<'_>, short: usize) -> bool {
    let Step::DeclinePartial { replica, .. } = edge.step else {
        return true;
    };
    let (Some(asked), Some(label)) = (answered(edge), edge.before.node(replica).following) else {
        return true;
    };
    let own = edge.before.node(asked.primary);
    let lacks = lag(edge.before, asked.primary, label);
    let enough = lacks.is_some_and(|lacks| lacks <= edge.setting.backlog_commands + short);
    own.backlog.is_none() || !enough
}
