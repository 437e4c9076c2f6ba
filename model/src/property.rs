//! What must hold: the safety properties of `PROTOCOL §6`, each a named function with its sentence.
//!
//! A property looks at one step: the world before, the step, the world after. Most read only the world
//! after. They read the ghosts ([`crate::history`]), which no rule does. The convergence property L1 speaks
//! about whole behaviours and is judged on the graph ([`crate::liveness`]).

use crate::decision::Answer;
use crate::history::Meaning;
use crate::rulebook::{Identity, PartialCommand};
use crate::rules::Setting;
use crate::rules::environment::wanted_by_stranger;
use crate::step::Step;
use crate::token::{Data, Token};
use crate::world::{Byte, Framing, Id, Label, NodeId, PrimaryPhase, Reply, Wire, World};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// A property of the protocol, by its number in `PROTOCOL §6`.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ValueEnum,
)]
pub enum Property {
    /// Label truth.
    S1,
    /// Equal label, equal data.
    S2,
    /// Continued exactly.
    S3,
    /// Snapshot and label belong together.
    S4,
    /// The backlog is the stream's end.
    S5,
    /// The secondary ID names a common past.
    S6,
    /// An uncounted write retires labels.
    S7,
    /// One writer for one name.
    S8,
    /// Offsets lie between commands.
    S9,
    /// Nothing but the stream on a link.
    S10,
    /// No data go before their replacement is there.
    S14,
    /// Offsets do not go back.
    S15,
    /// What is foreign is refused.
    S16,
    /// Everybody converges when the world is calm.
    L1,
    /// Whoever can be continued is.
    L2,
}

/// One step, with the worlds on both sides.
#[derive(Clone, Copy)]
pub struct Edge<'a> {
    /// The world before.
    pub before: &'a World,
    /// What happened.
    pub step: Step,
    /// The world after.
    pub after: &'a World,
    /// Era and configuration.
    pub setting: &'a Setting,
}

impl Property {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 15] = [
        Self::S1,
        Self::S2,
        Self::S3,
        Self::S4,
        Self::S5,
        Self::S6,
        Self::S7,
        Self::S8,
        Self::S9,
        Self::S10,
        Self::S14,
        Self::S15,
        Self::S16,
        Self::L1,
        Self::L2,
    ];

    /// Its bit in [`World::broken`].
    pub const fn bit(self) -> u32 {
        1 << self as u32
    }

    /// The properties whose bits are set.
    pub fn in_bits(bits: u32) -> impl Iterator<Item = Self> {
        Self::ALL
            .into_iter()
            .filter(move |property| bits & property.bit() != 0)
    }

    /// The sentence it stands for.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::S1 => {
                "a usable label (replication ID and offset) says truly which data its owner has"
            }
            Self::S2 => "two nodes with the same usable label have the same data",
            Self::S3 => {
                "a replica that is continued had exactly the data before the byte it asked for, and gets exactly what follows"
            }
            Self::S4 => {
                "a snapshot is the data at the offset announced with it, and the stream after it begins with the next byte"
            }
            Self::S5 => {
                "the backlog is the end of the stream, without a gap, up to the current offset"
            }
            Self::S6 => "up to its limit, the secondary ID names a past that is truly shared",
            Self::S7 => {
                "once data have changed without being counted, no label given out before is good for anything"
            }
            Self::S8 => "no two processes ever extend the history of one ID differently",
            Self::S9 => "from 4.0 on, a replica's offset lies between two commands",
            Self::S10 => {
                "an established link carries the stream and nothing else, and none of it before its time"
            }
            Self::S14 => {
                "a replica keeps its data until a complete snapshot is there to replace them"
            }
            Self::S15 => "within one process and under one ID, no offset ever goes back",
            Self::S16 => {
                "a request under a foreign ID, or for a byte outside the backlog, is never continued"
            }
            Self::L1 => {
                "when the world is calm, every replica ends up with its primary's data and says so"
            }
            Self::L2 => "a replica that could be continued is continued",
        }
    }

    /// Whether somebody outside the servers can see it broken: replies, snapshots, streams, data.
    pub const fn is_visible_outside(self) -> bool {
        matches!(
            self,
            Self::S2
                | Self::S3
                | Self::S4
                | Self::S10
                | Self::S14
                | Self::S16
                | Self::L1
                | Self::L2
        )
    }

    /// Whether it holds on this step; L1, which is about behaviours, holds on every step.
    pub fn holds(self, edge: &Edge<'_>) -> bool {
        match self {
            Self::S1 => labels_are_true(edge),
            Self::S2 => equal_labels_have_equal_data(edge),
            Self::S3 => continued_exactly(edge),
            Self::S4 => snapshots_match_their_labels(edge),
            Self::S5 => backlogs_end_the_stream(edge),
            Self::S6 => secondary_ids_name_a_common_past(edge),
            Self::S7 => uncounted_writes_retire_labels(edge),
            Self::S8 => histories_have_one_writer(edge),
            Self::S9 => offsets_lie_between_commands(edge),
            Self::S10 => links_carry_only_the_stream(edge),
            Self::S14 => data_stay_until_replaced(edge),
            Self::S15 => offsets_do_not_go_back(edge),
            Self::S16 => foreign_requests_are_refused(edge),
            Self::L1 => true,
            Self::L2 => whoever_can_be_continued_is(edge),
        }
    }
}

/// The bits of all properties in `watched` that this step breaks.
pub fn broken_by(edge: &Edge<'_>, watched: u32) -> u32 {
    Property::in_bits(watched)
        .filter(|property| !property.holds(edge))
        .fold(0, |bits, property| bits | property.bit())
}

/// What a node truly has: its data, and the command it has begun to read if the era counts that.
type Holding = (Data, Option<Token>);

fn holding(edge: &Edge<'_>, node: NodeId) -> Holding {
    let own = edge.after.node(node);
    let counts_half = edge.setting.book.partial_command == PartialCommand::KeptAndCounted;
    (own.data, own.half.filter(|_| counts_half))
}

/// Whether a label says truly that its owner has `holding`. Where run IDs name processes, a label may also be
/// retired: from then on it must be good for nothing, which is S7.
fn is_true(edge: &Edge<'_>, label: Label, (data, half): Holding) -> bool {
    match edge.after.meaning(label) {
        Meaning::Data(true_data, begun) => data == true_data && half == begun,
        Meaning::Retired => edge.setting.book.identity != Identity::ReplicationId,
        Meaning::Future => false,
    }
}

fn labels_are_true(edge: &Edge<'_>) -> bool {
    NodeId::ALL.into_iter().all(|node| {
        let own = edge.after.node(node);
        let following = own
            .following
            .is_none_or(|label| is_true(edge, label, holding(edge, node)));
        let producing = own.backlog.is_none() || is_true(edge, own.label(), (own.data, None));
        let saved = own.saved.is_none_or(|saved| {
            saved
                .label
                .is_none_or(|label| is_true(edge, label, (saved.data, None)))
        });
        following && producing && saved
    })
}

fn equal_labels_have_equal_data(edge: &Edge<'_>) -> bool {
    let usable = |node: NodeId| {
        let own = edge.after.node(node);
        let label = own.following.or_else(|| own.backlog.map(|_| own.label()))?;
        Some((label, holding(edge, node)))
    };
    let [one, other] = NodeId::ALL.map(usable);
    match (one, other) {
        (Some((label, one)), Some((same, other))) if label == same => one == other,
        _ => true,
    }
}

fn continued_exactly(edge: &Edge<'_>) -> bool {
    let Step::AcceptPartial { replica, .. } = edge.step else {
        return true;
    };
    let Some(parent) = edge.before.parent(replica) else {
        return true;
    };
    let Some((_, byte)) = edge
        .before
        .link(replica)
        .request
        .and_then(|request| request.wanted)
    else {
        return false;
    };
    let own = edge.before.node(parent);
    let Some(history) = edge.before.history(own.id) else {
        return false;
    };
    let Meaning::Data(data, half) = history.meaning(byte.offset_before()) else {
        return false;
    };
    let stream = edge.after.link(replica).stream;
    let exact = stream.tokens == history.tokens_after(byte.offset_before())
        && stream.starts_with_tail == half.is_some();
    exact && (data, half) == holding(edge, replica)
}

fn snapshots_match_their_labels(edge: &Edge<'_>) -> bool {
    NodeId::ALL.into_iter().all(|replica| {
        let Some(parent) = edge.after.parent(replica) else {
            return true;
        };
        let link = edge.after.link(replica);
        let announced = match link.reply {
            Some(Reply::FullResync(label)) => Some(label),
            _ => link.announced,
        };
        let making = edge
            .after
            .node(parent)
            .snapshot
            .filter(|_| link.primary == PrimaryPhase::Accumulating);
        let Some(snapshot) = link.payload.or(making) else {
            return true;
        };
        if link.wire != Wire::Whole {
            return true;
        }
        let label = announced.unwrap_or(snapshot.label);
        let Some(history) = edge.after.history(label.id) else {
            return false;
        };
        let follows = link
            .stream
            .tokens
            .iter()
            .filter(|token| *token != Token::Stray);
        history.meaning(label.offset) == Meaning::Data(snapshot.data, None)
            && follows.eq(history.tokens_after(label.offset).iter())
    })
}

fn backlogs_end_the_stream(edge: &Edge<'_>) -> bool {
    NodeId::ALL.into_iter().all(|node| {
        let own = edge.after.node(node);
        let Some(backlog) = own.backlog else {
            return true;
        };
        let Some(history) = edge.after.history(own.id) else {
            return false;
        };
        let before_first = backlog.first.offset_before();
        before_first.plus(backlog.tokens.units()) == own.offset
            && before_first >= history.base
            && history.tokens_after(before_first) == backlog.tokens
    })
}

fn secondary_ids_name_a_common_past(edge: &Edge<'_>) -> bool {
    NodeId::ALL.into_iter().all(|node| {
        let own = edge.after.node(node);
        let Some(former) = own.secondary else {
            return true;
        };
        former.limit.offset_before() <= own.offset
            && shared_past(edge.after, own.id, former.id, former.limit)
    })
}

/// Whether two histories are the same before `byte`.
fn shared_past(world: &World, one: Id, other: Id, byte: Byte) -> bool {
    match (world.history(one), world.history(other)) {
        (Some(one), Some(other)) => {
            let offset = byte.offset_before();
            one.agrees_with(other, offset) && !matches!(other.meaning(offset), Meaning::Future)
        }
        _ => false,
    }
}

/// With replication IDs: the name of a primary without backlog is unknown, or still true. With run IDs: no
/// label whose truth is gone lies where the backlog could serve it.
fn uncounted_writes_retire_labels(edge: &Edge<'_>) -> bool {
    NodeId::ALL
        .into_iter()
        .filter(|&node| edge.after.is_primary(node))
        .all(|node| {
            let own = edge.after.node(node);
            match (edge.setting.book.identity, own.backlog) {
                (Identity::None, _) => true,
                (Identity::ReplicationId, None) => {
                    own.id == Id::ANONYMOUS
                        || edge.after.meaning(own.label()) == Meaning::Data(own.data, None)
                }
                (_, None) => true,
                (_, Some(backlog)) => edge.after.replicas_of(node).all(|replica| {
                    let given = edge
                        .after
                        .node(replica)
                        .following
                        .filter(|label| label.id == own.id);
                    given.is_none_or(|label| {
                        label.offset.next_byte() < backlog.first
                            || is_true(edge, label, holding(edge, replica))
                    })
                }),
            }
        })
}

fn histories_have_one_writer(edge: &Edge<'_>) -> bool {
    let (Step::Write { node } | Step::Ping { node }) = edge.step else {
        return true;
    };
    let own = edge.before.node(node);
    // A replication ID names a history: a write extends it, counted or not. A run ID names a process, and
    // what it writes uncounted is S7's concern.
    let counted = edge.after.node(node).offset != own.offset
        || edge.setting.book.identity == Identity::ReplicationId;
    edge.before
        .history(own.id)
        .is_none_or(|history| !counted || history.end() == own.offset)
}

fn offsets_lie_between_commands(edge: &Edge<'_>) -> bool {
    edge.setting.book.identity != Identity::ReplicationId
        || NodeId::ALL.into_iter().all(|node| {
            let following = edge.after.node(node).following;
            following.is_none_or(|label| {
                edge.after
                    .history(label.id)
                    .is_none_or(|history| history.is_boundary(label.offset))
            })
        })
}

fn links_carry_only_the_stream(edge: &Edge<'_>) -> bool {
    NodeId::ALL.into_iter().all(|replica| {
        let link = edge.after.link(replica);
        let stray = link.stream.tokens.iter().any(|token| token == Token::Stray);
        let early = link.primary == PrimaryPhase::Online
            && link
                .payload
                .is_some_and(|payload| payload.framing == Framing::Socket);
        !stray && !early
    })
}

fn data_stay_until_replaced(edge: &Edge<'_>) -> bool {
    NodeId::ALL.into_iter().all(|node| {
        let replaced = matches!(
            edge.step,
            Step::ReceiveSnapshot { .. }
                | Step::RestartPrimary { .. }
                | Step::RestartReplica { .. }
        );
        let (before, after) = (edge.before.node(node).data, edge.after.node(node).data);
        replaced || before.writes().all(|write| after.contains(write))
    })
}

fn offsets_do_not_go_back(edge: &Edge<'_>) -> bool {
    NodeId::ALL.into_iter().all(|node| {
        let restarted = edge.step == Step::RestartPrimary { node }
            || edge.step == Step::RestartReplica { replica: node };
        let (before, after) = (edge.before.node(node), edge.after.node(node));
        let produced =
            before.id != after.id || before.id == Id::ANONYMOUS || after.offset >= before.offset;
        let applied = match (before.following, after.following) {
            // A snapshot may begin anywhere; only going on may not go back.
            (Some(was), Some(is))
                if was.id == is.id && !matches!(edge.step, Step::ReceiveSnapshot { .. }) =>
            {
                is.offset >= was.offset
            }
            _ => true,
        };
        restarted || (produced && applied)
    })
}

/// Whether a primary may continue somebody at `byte` of `id`, by what truly happened.
fn may_continue(world: &World, node: NodeId, id: Id, byte: Byte) -> bool {
    let own = world.node(node);
    let Some(backlog) = own.backlog else {
        return false;
    };
    let held = backlog.first <= byte && byte <= own.offset.next_byte();
    let remembered = own.secondary.is_some_and(|former| former.id == id);
    held && (id == own.id || (remembered && shared_past(world, own.id, id, byte)))
}

/// The node that answers a request, what is asked for, and whether it continues.
type Answered = (NodeId, Option<(Id, Byte)>, bool);

/// The request that a step answers.
fn answered(edge: &Edge<'_>) -> Option<Answered> {
    let (replica, accepted) = match edge.step {
        Step::AcceptPartial { replica, .. } => (replica, true),
        Step::DeclinePartial { replica, .. } => (replica, false),
        Step::StrangerAsks { node, question } => {
            let accepted = matches!(edge.after.stranger?.answer, Answer::Continue(_));
            return Some((
                node,
                wanted_by_stranger(edge.before, node, question),
                accepted,
            ));
        }
        _ => return None,
    };
    Some((
        edge.before.parent(replica)?,
        edge.before.link(replica).request?.wanted,
        accepted,
    ))
}

fn foreign_requests_are_refused(edge: &Edge<'_>) -> bool {
    match answered(edge) {
        Some((node, Some((id, byte)), true)) => may_continue(edge.before, node, id, byte),
        Some((_, None, accepted)) => !accepted,
        _ => true,
    }
}

/// Whether a primary should continue somebody at `byte` of `id`: it may, and it can know that it may. Two
/// histories that went on with a PING each look alike for that long, but no server can be asked to see it.
fn should_continue(world: &World, node: NodeId, id: Id, byte: Byte) -> bool {
    let own = world.node(node);
    let within_limit = own.secondary.is_some_and(|former| byte <= former.limit);
    let by_chance = world.history(own.id).is_some_and(|history| {
        let mut shared = *history;
        shared.forget_after(byte.offset_before());
        shared.tokens.iter().next_back() == Some(Token::Ping)
    });
    may_continue(world, node, id, byte) && (id == own.id || within_limit || !by_chance)
}

fn whoever_can_be_continued_is(edge: &Edge<'_>) -> bool {
    let refused = match answered(edge) {
        Some((node, Some((id, byte)), false)) => should_continue(edge.before, node, id, byte),
        _ => false,
    };
    !refused && !label_lost(edge)
}

/// A lost link takes the label with it that would have allowed to continue.
fn label_lost(edge: &Edge<'_>) -> bool {
    let Step::ReplicaNoticesLoss { replica } = edge.step else {
        return false;
    };
    let had = edge.before.node(replica).following.is_some();
    edge.setting.book.identity != Identity::None
        && had
        && edge.after.node(replica).following.is_none()
}

/// Whether a replica is where it should be: connected, with everything, acknowledged. Used by L1.
pub fn has_converged(world: &World, setting: &Setting, replica: NodeId) -> bool {
    let Some(parent) = world.parent(replica) else {
        return true;
    };
    let (own, link, primary) = (world.node(replica), world.link(replica), world.node(parent));
    let connected =
        link.is_connected() && link.wire == Wire::Whole && link.primary == PrimaryPhase::Online;
    let acknowledged =
        !setting.book.has_psync() || link.acknowledged == own.following.map(|label| label.offset);
    connected
        && own.data == primary.data
        && own.half.is_none()
        && link.stream.tokens.is_empty()
        && acknowledged
}

/// How far, in commands that weigh, a label lies behind a primary's offset; `None` under another ID.
pub fn lag(world: &World, node: NodeId, label: Label) -> Option<usize> {
    let own = world.node(node);
    let history = world.history(own.id).filter(|_| own.id == label.id)?;
    (label.offset >= history.base).then(|| history.tokens_after(label.offset).weight())
}
