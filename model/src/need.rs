//! What must be in a world for a step to be worth trying.
//!
//! In most worlds most rules have nothing to act on: no request is on its way, no snapshot is being made. What each
//! of them looks for is said once more here, as bits, so that the engines ask for all steps of a world at
//! once what the guards of each rule would find out one by one. Nothing is decided here: a rule that is tried
//! without need says so itself, and a test shows that none applies where its need is not met. Where a guard is not
//! what it should be ([`crate::mutate`]), every step is tried.

use crate::bits;
use crate::link::{Link, PrimaryPhase, ReplicaPhase, Reply, Wire};
use crate::step::Step;
use crate::world::{Framing, MAX_NODES, Node, NodeId, Role, World};

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

/// How many needs are looked up at once: a table for each of them would be more work, one for more of them less at hand.
const GROUP: usize = 4;

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
    /// Of each [`GROUP`] of needs, and of each set of them that is lacking: a bit for each step that has any of these.
    blocked: [[u64; 1 << GROUP]; NEEDS.div_ceil(GROUP)],
}

impl Needs {
    /// Nothing.
    const NONE: Self = Self(0);

    /// Everything there can be.
    pub const ALL: Self = Self((1 << NEEDS) - 1);

    const fn with(self, need: Need) -> Self {
        Self(self.0 | 1 << need as u32)
    }

    const fn and(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    const fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }

    const fn one(need: Need) -> Self {
        Self::NONE.with(need)
    }

    const fn two(one: Need, other: Need) -> Self {
        Self::one(one).with(other)
    }

    /// This one where the condition holds, none otherwise.
    const fn when(condition: bool, need: Need) -> Self {
        Self((condition as u32) << need as u32)
    }

    /// What is there, at each node.
    pub fn found_in(world: &World) -> [Self; MAX_NODES] {
        let mut found = Self::of_connections(world);
        let stranger = match world.stranger {
            Some(_) => Self::one(Need::Stranger),
            None => Self::one(Need::NoStranger),
        };
        for id in world.node_ids() {
            let own = Self::of_node(world.node(id)).and(Self::of_link(world.link(id)));
            let found = &mut found[id as usize];
            *found = found.and(own).and(stranger);
        }
        found
    }

    /// What each node knows of the connections of its replicas.
    fn of_connections(world: &World) -> [Self; MAX_NODES] {
        let mut found = [Self::two(Need::Unattached, Need::Alone); MAX_NODES];
        let mut note = |primary: NodeId, phase: PrimaryPhase, excluded: Self| {
            let found = &mut found[primary as usize];
            let phase = match phase {
                PrimaryPhase::Waiting => Self::one(Need::Waiting),
                PrimaryPhase::Accumulating => Self::one(Need::Accumulating),
                PrimaryPhase::None | PrimaryPhase::Held | PrimaryPhase::Online => Self::NONE,
            };
            *found = found.without(excluded).and(phase);
        };
        for replica in world.node_ids() {
            let link = world.link(replica);
            if let Some(parent) = world.parent(replica)
                && link.primary != PrimaryPhase::None
            {
                let excluded = Self::two(Need::Unattached, Need::Alone);
                note(parent, link.primary, excluded);
            }
            if let Some(stale) = link.stale {
                note(stale.at, stale.phase, Self::one(Need::Alone));
            }
        }
        found
    }

    /// What a node has.
    fn of_node(node: &Node) -> Self {
        let role = match node.role {
            Role::Primary => Self::one(Need::Primary),
            Role::ReplicaOf(_) => Self::one(Need::Replica),
        };
        let making = match node.snapshot.map(|snapshot| snapshot.framing) {
            None => Self::one(Need::NoSnapshot),
            Some(Framing::Disk) => Self::two(Need::Snapshot, Need::FileSnapshot),
            Some(Framing::Socket) => Self::two(Need::Snapshot, Need::DirectSnapshot),
        };
        role.and(making)
            .and(Self::when(node.backlog.is_some(), Need::Backlog))
            .and(Self::when(node.secondary.is_some(), Need::Secondary))
    }

    /// What is on a link, and what its ends believe of it.
    fn of_link(link: &Link) -> Self {
        let replica = match link.replica {
            ReplicaPhase::Idle => Self::one(Need::Idle),
            ReplicaPhase::Asked | ReplicaPhase::Transferring => Self::one(Need::Linked),
            ReplicaPhase::Connected | ReplicaPhase::ConnectedMute => {
                Self::two(Need::Linked, Need::Connected)
            }
        };
        let wire = match link.wire {
            Wire::Absent => Self::NONE,
            Wire::Whole => Self::one(Need::Whole),
            Wire::Cut => Self::one(Need::Cut),
        };
        let reply = match link.reply {
            None => Self::NONE,
            Some(Reply::Continue(_)) => Self::one(Need::Continue),
            Some(Reply::FullResync(_)) => Self::one(Need::FullResync),
            Some(Reply::Error(_)) => Self::one(Need::Error),
        };
        let acknowledged = link.acknowledgement.is_some();
        let known = link.primary != PrimaryPhase::None;
        replica
            .and(wire)
            .and(reply)
            .and(Self::when(known, Need::Known))
            .and(Self::when(link.request.is_some(), Need::Request))
            .and(Self::when(acknowledged, Need::Acknowledgement))
            .and(Self::when(link.payload.is_some(), Need::Payload))
            .and(Self::when(!link.stream.tokens.is_empty(), Need::Command))
            .and(Self::when(link.stale.is_some(), Need::Stale))
    }

    /// The same, some needs at a time: a number for each [`GROUP`].
    fn in_groups(self) -> impl Iterator<Item = usize> {
        let groups = (0..NEEDS).step_by(GROUP);
        groups.map(move |first| (self.0 >> first) as usize % (1 << GROUP))
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
            blocked: Default::default(),
        };
        for (place, &step) in steps.iter().enumerate() {
            needs.all |= 1 << place;
            for (own, blocked) in Needs::of(step).in_groups().zip(&mut needs.blocked) {
                for lacking in (0..1 << GROUP).filter(|lacking| own & lacking != 0) {
                    blocked[lacking] |= 1 << place;
                }
            }
        }
        needs
    }

    /// The places of the steps whose needs are met by what was found at the node.
    pub fn met_by(&self, found: Needs) -> impl Iterator<Item = usize> + use<> {
        let lacking = Needs::ALL.without(found).in_groups().zip(&self.blocked);
        let blocked = lacking.fold(0, |all, (lacking, blocked)| all | blocked[lacking]);
        let first = self.first;
        bits::places(self.all & !blocked).map(move |place| first + place)
    }
}
