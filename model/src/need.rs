//! What must be in a world for a step to be worth trying.
//!
//! In most worlds most rules have nothing to act on: no request is on its way, no snapshot is being made. What each
//! of them looks for first is said once more here, as one bit, so that the engines ask for all steps of a world at
//! once what the guards of each rule would find out one by one. Nothing is decided here: a rule that is tried
//! without need says so itself, and a test shows that none applies where its need is not met. Where a guard is not
//! what it should be ([`crate::mutate`]), every step is tried.

use crate::link::{ReplicaPhase, Wire};
use crate::step::Step;
use crate::world::{NodeId, Role, World};

/// Something a rule looks for at one node, or on the link of that node to its primary.
#[derive(Clone, Copy)]
enum Need {
    /// The node is a primary.
    Primary,
    /// The node is a replica.
    Replica,
    /// The node has a backlog.
    Backlog,
    /// The node is making a snapshot.
    Snapshot,
    /// The node is making none.
    NoSnapshot,
    /// The replica has no connection.
    Idle,
    /// The connection is whole.
    Whole,
    /// The connection is lost.
    Cut,
    /// A request is on its way.
    Request,
    /// An acknowledgement is on its way.
    Acknowledgement,
    /// A reply is on its way.
    Reply,
    /// A snapshot is on its way.
    Payload,
    /// A command is on its way.
    Command,
    /// Some primary believes in an older connection.
    Stale,
}

/// How many [`Need`]s there are.
const NEEDS: u32 = Need::Stale as u32 + 1;

/// A set of needs, a bit for each at each node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs(u64);

impl Needs {
    /// Nothing.
    pub const NONE: Self = Self(0);

    /// Everything there can be.
    pub const ALL: Self = Self(u64::MAX);

    /// The stranger is there.
    const STRANGER: Self = Self(1 << 63);

    /// The stranger is not there.
    const NO_STRANGER: Self = Self(1 << 62);

    const fn at(node: NodeId, need: Need) -> Self {
        Self(1 << (node as u32 * NEEDS + need as u32))
    }

    const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether everything in this set is in `found`.
    pub const fn are_met_by(self, found: Self) -> bool {
        self.0 & !found.0 == 0
    }

    /// What is there.
    pub fn found_in(world: &World) -> Self {
        let mut found = match world.stranger {
            Some(_) => Self::STRANGER,
            None => Self::NO_STRANGER,
        };
        for id in world.node_ids() {
            let (node, link) = (world.node(id), world.link(id));
            let conditions = [
                (Need::Primary, node.role == Role::Primary),
                (Need::Replica, node.role != Role::Primary),
                (Need::Backlog, node.backlog.is_some()),
                (Need::Snapshot, node.snapshot.is_some()),
                (Need::NoSnapshot, node.snapshot.is_none()),
                (Need::Idle, link.replica == ReplicaPhase::Idle),
                (Need::Whole, link.wire == Wire::Whole),
                (Need::Cut, link.wire == Wire::Cut),
                (Need::Request, link.request.is_some()),
                (Need::Acknowledgement, link.acknowledgement.is_some()),
                (Need::Reply, link.reply.is_some()),
                (Need::Payload, link.payload.is_some()),
                (Need::Command, !link.stream.tokens.is_empty()),
                (Need::Stale, link.stale.is_some()),
            ];
            for (need, holds) in conditions {
                if holds {
                    found = found.and(Self::at(id, need));
                }
            }
        }
        found
    }

    /// What the rule of a step looks for first.
    pub const fn of(step: Step) -> Self {
        let needs: &[Need] = match step {
            Step::Write { .. }
            | Step::WriteElsewhere { .. }
            | Step::Transact { .. }
            | Step::FollowInTransaction { .. }
            | Step::RestartPrimary { .. }
            | Step::RestartAsReplica { .. }
            | Step::StrangerLeaves { .. } => &[Need::Primary],
            Step::StrangerAsks { .. } => &[Need::Primary, Need::Backlog, Need::NoSnapshot],
            Step::RestartReplica { .. } | Step::RestartAsPrimary { .. } | Step::Promote { .. } => {
                &[Need::Replica]
            }
            Step::ExpireBacklog { .. } | Step::ResizeBacklog { .. } => &[Need::Backlog],
            Step::Save { .. } | Step::StartSnapshot { .. } => &[Need::NoSnapshot],
            Step::FinishSnapshot { .. } | Step::FailSnapshot { .. } => &[Need::Snapshot],
            Step::Ask { .. } => &[Need::Replica, Need::Idle],
            Step::AcceptPartial { .. }
            | Step::DeclinePartial { .. }
            | Step::AttachToSnapshot { .. }
            | Step::RefuseForNow { .. }
            | Step::AnswerWithError { .. } => &[Need::Request],
            Step::ReceiveContinue { .. }
            | Step::ReceiveFullResync { .. }
            | Step::ReceiveError { .. } => &[Need::Reply],
            Step::ReceiveSnapshot { .. } | Step::FailLoad { .. } => &[Need::Payload],
            Step::ReadHead { .. } | Step::Apply { .. } => &[Need::Whole, Need::Command],
            Step::ReceiveAcknowledgement { .. } => &[Need::Acknowledgement],
            Step::CutLink { .. } | Step::Acknowledge { .. } => &[Need::Whole],
            Step::PrimaryNoticesLoss { .. } | Step::ReplicaNoticesLoss { .. } => &[Need::Cut],
            Step::PrimaryNoticesStale { .. } => &[Need::Stale],
            Step::Ping { .. } | Step::Follow { .. } => &[],
        };
        let mut all = match step {
            Step::StrangerLeaves { .. } => Self::STRANGER,
            _ => Self::NO_STRANGER,
        };
        let mut place = 0;
        while place < needs.len() {
            all = all.and(Self::at(step.node(), needs[place]));
            place += 1;
        }
        all
    }
}
