//! What must be in a world for a step to be worth trying.
//!
//! In most worlds most rules have nothing to act on: no request is on its way, no snapshot is being made. What each
//! of them looks for is said once more here, as bits, so that the engines ask for all steps of a world at
//! once what the guards of each rule would find out one by one. Nothing is decided here: a rule that is tried
//! without need says so itself, and a test shows that none applies where its need is not met. Where a guard is not
//! what it should be ([`crate::mutate`]), every step is tried.

use crate::bits;
use crate::link::{PrimaryPhase, ReplicaPhase, Reply, Wire};
use crate::step::Step;
use crate::world::{Framing, MAX_NODES, NodeId, Role, World};

/// Something a rule looks for at one node, or on the link of that node to its primary.
#[derive(Clone, Copy)]
enum Need {
    /// The node is a primary.
    Primary,
    /// The node is a replica.
    Replica,
    /// The node has a backlog.
    Backlog,
    /// The node remembers a former name.
    Secondary,
    /// The node is making no snapshot.
    NoSnapshot,
    /// The node is making a snapshot.
    Snapshot,
    /// The node is making a snapshot that goes through a file.
    FileSnapshot,
    /// The node is making a snapshot that it sends directly.
    DirectSnapshot,
    /// The node knows of no connection of its replicas, older ones apart.
    Unattached,
    /// The node knows of no connection at all.
    Alone,
    /// Somebody waits for a snapshot of the node to begin.
    Waiting,
    /// Somebody waits for a snapshot of the node to end.
    Accumulating,
    /// The replica has no connection.
    Idle,
    /// The replica has a connection, or takes it for one.
    Linked,
    /// The replica applies the stream.
    Connected,
    /// The primary knows of the connection.
    Known,
    /// The connection is whole.
    Whole,
    /// The connection is lost.
    Cut,
    /// A request is on its way.
    Request,
    /// An acknowledgement is on its way.
    Acknowledgement,
    /// `+CONTINUE` is on its way.
    Continue,
    /// `+FULLRESYNC` is on its way.
    FullResync,
    /// An error is on its way.
    Error,
    /// A snapshot is on its way.
    Payload,
    /// A command is on its way.
    Command,
    /// Some primary believes in an older connection.
    Stale,
    /// The stranger is there.
    Stranger,
    /// The stranger is not there.
    NoStranger,
}

impl Need {
    /// What a rule looks for, the absence of the stranger apart.
    const fn all_of(step: Step) -> &'static [Self] {
        match step {
            Step::Write { .. }
            | Step::WriteElsewhere { .. }
            | Step::Transact { .. }
            | Step::FollowInTransaction { .. }
            | Step::RestartPrimary { .. }
            | Step::RestartAsReplica { .. } => &[Need::Primary],
            Step::StrangerLeaves { .. } => &[Need::Primary, Need::Stranger],
            Step::StrangerAsks { question, .. } if question.is_about_former_name() => &[
                Need::Primary,
                Need::Backlog,
                Need::NoSnapshot,
                Need::Unattached,
                Need::Secondary,
            ],
            Step::StrangerAsks { .. } => &[
                Need::Primary,
                Need::Backlog,
                Need::NoSnapshot,
                Need::Unattached,
            ],
            Step::RestartReplica { .. } | Step::RestartAsPrimary { .. } | Step::Promote { .. } => {
                &[Need::Replica]
            }
            Step::ExpireBacklog { .. } => &[Need::Backlog, Need::Alone],
            Step::ResizeBacklog { .. } => &[Need::Backlog],
            Step::Save { .. } => &[Need::NoSnapshot],
            Step::StartSnapshot { .. } => &[Need::NoSnapshot, Need::Waiting],
            Step::FinishSnapshot { .. } => &[Need::Snapshot],
            Step::FailSnapshot {
                framing: Framing::Disk,
                ..
            } => &[Need::FileSnapshot, Need::Accumulating],
            Step::FailSnapshot {
                framing: Framing::Socket,
                ..
            } => &[Need::DirectSnapshot, Need::Accumulating],
            Step::Ask { .. } => &[Need::Replica, Need::Idle],
            Step::AcceptPartial { .. }
            | Step::DeclinePartial { .. }
            | Step::AttachToSnapshot { .. }
            | Step::RefuseForNow { .. }
            | Step::AnswerWithError { .. } => &[Need::Request],
            Step::ReceiveContinue { .. } => &[Need::Continue],
            Step::ReceiveFullResync { .. } => &[Need::FullResync],
            Step::ReceiveError { .. } => &[Need::Error],
            Step::ReceiveSnapshot { .. } | Step::FailLoad { .. } => &[Need::Payload],
            Step::ReadHead { .. } | Step::Apply { .. } => {
                &[Need::Whole, Need::Connected, Need::Command]
            }
            Step::ReceiveAcknowledgement { .. } => &[Need::Acknowledgement],
            Step::CutLink { .. } => &[Need::Whole],
            Step::Acknowledge { .. } => &[Need::Whole, Need::Connected],
            Step::PrimaryNoticesLoss { .. } => &[Need::Cut, Need::Known],
            Step::ReplicaNoticesLoss { .. } => &[Need::Cut, Need::Linked],
            Step::PrimaryNoticesStale { .. } => &[Need::Stale],
            Step::Ping { .. } | Step::Follow { .. } => &[],
        }
    }
}

/// How many [`Need`]s there are.
const NEEDS: usize = Need::NoStranger as usize + 1;

/// A set of needs, a bit for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs(u32);

/// The steps that name one node, by what they need to find there.
#[derive(Clone, Debug)]
pub struct NeedsOfSteps {
    /// The place of the first of them in the list of all; the others follow it.
    first: usize,
    /// A bit for each of them.
    all: u64,
    /// Of each need, a bit for each step that has it.
    having: [u64; NEEDS],
}

impl Needs {
    /// Nothing.
    const NONE: Self = Self(0);

    /// Everything there can be.
    pub const ALL: Self = Self((1 << NEEDS) - 1);

    const fn with(self, need: Need) -> Self {
        Self(self.0 | 1 << need as u32)
    }

    /// What is there, at each node.
    pub fn found_in(world: &World) -> [Self; MAX_NODES] {
        let mut found = [Self::NONE; MAX_NODES];
        let connections = Connections::of(world);
        for id in world.node_ids() {
            let (node, link, bit) = (world.node(id), world.link(id), 1 << id as u8);
            let making = node.snapshot.map(|snapshot| snapshot.framing);
            let conditions = [
                (Need::Primary, node.role == Role::Primary),
                (Need::Replica, node.role != Role::Primary),
                (Need::Backlog, node.backlog.is_some()),
                (Need::Secondary, node.secondary.is_some()),
                (Need::NoSnapshot, making.is_none()),
                (Need::Snapshot, making.is_some()),
                (Need::FileSnapshot, making == Some(Framing::Disk)),
                (Need::DirectSnapshot, making == Some(Framing::Socket)),
                (Need::Unattached, connections.current & bit == 0),
                (
                    Need::Alone,
                    (connections.current | connections.older) & bit == 0,
                ),
                (Need::Waiting, connections.waiting & bit != 0),
                (Need::Accumulating, connections.accumulating & bit != 0),
                (Need::Idle, link.replica == ReplicaPhase::Idle),
                (Need::Linked, link.replica != ReplicaPhase::Idle),
                (Need::Connected, link.is_connected()),
                (Need::Known, link.primary != PrimaryPhase::None),
                (Need::Whole, link.wire == Wire::Whole),
                (Need::Cut, link.wire == Wire::Cut),
                (Need::Request, link.request.is_some()),
                (Need::Acknowledgement, link.acknowledgement.is_some()),
                (
                    Need::Continue,
                    matches!(link.reply, Some(Reply::Continue(_))),
                ),
                (
                    Need::FullResync,
                    matches!(link.reply, Some(Reply::FullResync(_))),
                ),
                (Need::Error, matches!(link.reply, Some(Reply::Error(_)))),
                (Need::Payload, link.payload.is_some()),
                (Need::Command, !link.stream.tokens.is_empty()),
                (Need::Stale, link.stale.is_some()),
                (Need::Stranger, world.stranger.is_some()),
                (Need::NoStranger, world.stranger.is_none()),
            ];
            let bits = conditions.map(|(need, holds)| u32::from(holds) << need as u32);
            found[id as usize] = Self(bits.iter().fold(0, |all, bit| all | bit));
        }
        found
    }

    /// What the rule of a step looks for at the node that the step names. While the stranger is there, nothing but its
    /// leaving comes.
    pub const fn of(step: Step) -> Self {
        let mut all = match step {
            Step::StrangerLeaves { .. } => Self::NONE,
            _ => Self::NONE.with(Need::NoStranger),
        };
        let needs = Need::all_of(step);
        let mut place = 0;
        while place < needs.len() {
            all = all.with(needs[place]);
            place += 1;
        }
        all
    }
}

impl NeedsOfSteps {
    /// The needs of all steps in a list in which those of one node follow each other, node after node.
    ///
    /// # Panics
    /// When a node has more than 64 steps.
    pub fn by_node(steps: &[Step]) -> Vec<Self> {
        let mut first = 0;
        let of_node = steps.chunk_by(|one, other| one.node() == other.node());
        of_node
            .map(|own| {
                let needs = Self::of(first, own);
                first += own.len();
                needs
            })
            .collect()
    }

    fn of(first: usize, steps: &[Step]) -> Self {
        assert!(steps.len() <= u64::BITS as usize, "a bit for each step");
        let mut needs = Self {
            first,
            all: 0,
            having: [0; NEEDS],
        };
        for (place, &step) in steps.iter().enumerate() {
            needs.all |= 1 << place;
            for need in bits::places(Needs::of(step).0) {
                needs.having[need] |= 1 << place;
            }
        }
        needs
    }

    /// The places of the steps whose needs are met by what was found at the node.
    pub fn met_by(&self, found: Needs) -> impl Iterator<Item = usize> + use<> {
        let lacking = bits::places(Needs::ALL.0 & !found.0);
        let blocked = lacking.fold(0, |blocked, need| blocked | self.having[need]);
        let first = self.first;
        bits::places(self.all & !blocked).map(move |place| first + place)
    }
}

/// What each primary knows of the connections of its replicas, a bit for each primary.
#[derive(Default)]
struct Connections {
    current: u8,
    older: u8,
    waiting: u8,
    accumulating: u8,
}

impl Connections {
    fn of(world: &World) -> Self {
        let mut all = Self::default();
        for replica in world.node_ids() {
            let link = world.link(replica);
            if let (Some(parent), true) =
                (world.parent(replica), link.primary != PrimaryPhase::None)
            {
                all.current |= 1 << parent as u8;
                all.note_phase(parent, link.primary);
            }
            if let Some(stale) = link.stale {
                all.older |= 1 << stale.at as u8;
                all.note_phase(stale.at, stale.phase);
            }
        }
        all
    }

    fn note_phase(&mut self, primary: NodeId, phase: PrimaryPhase) {
        self.waiting |= u8::from(phase == PrimaryPhase::Waiting) << primary as u8;
        self.accumulating |= u8::from(phase == PrimaryPhase::Accumulating) << primary as u8;
    }
}
