//! What must hold: the safety properties of `PROTOCOL §6`, each a named function with its sentence.
//!
//! Most are invariants: they look at a world ([`Place`]), and hold in each that can be reached. The others say how a
//! world may change, and look at one step ([`Edge`]): the world before, what happened, the world after. S13 is of both kinds.
//! They read the ghosts ([`crate::history`]). The convergence property L1 speaks
//! about whole behaviours and is judged on the graph ([`crate::liveness`]). `labels` holds what concerns names,
//! offsets and data, `answers` what concerns requests and what is sent for them, `links` established links.

mod answers;
mod labels;
mod links;

use crate::parts::Parts;
use crate::rules::Setting;
use crate::step::Step;
use crate::world::{Label, NodeId, PrimaryPhase, Wire, World};
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
    /// Commands are executed where they were made.
    S11,
    /// Acknowledgements are sound.
    S12,
    /// Who follows a replica follows its history.
    S13,
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
    /// What has changed.
    changed: Parts,
}

/// A world, and how much of it has to be judged: what an invariant looks at.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// The world.
    pub world: &'a World,
    /// Era and configuration.
    pub setting: &'a Setting,
    /// What has to be judged.
    change: Parts,
    /// The links that have to be judged together with the nodes at their ends.
    with_ends: Parts,
}

impl<'a> Edge<'a> {
    /// A step from one world to another.
    pub fn new(before: &'a World, step: Step, after: &'a World, setting: &'a Setting) -> Self {
        let changed = after.difference(before);
        Self::changing(changed, before, step, after, setting)
    }

    /// The same, where it is known what has changed.
    pub const fn changing(
        changed: Parts,
        before: &'a World,
        step: Step,
        after: &'a World,
        setting: &'a Setting,
    ) -> Self {
        Self {
            before,
            step,
            after,
            setting,
            changed,
        }
    }
}

impl<'a> Place<'a> {
    /// A world of which nothing is known.
    pub fn new(world: &'a World, setting: &'a Setting) -> Self {
        Self::changed(world, Parts::ALL, setting)
    }

    /// A world that one step leads to from a world in which every invariant that is watched holds: only what has
    /// changed need be judged.
    pub fn changed(world: &'a World, change: Parts, setting: &'a Setting) -> Self {
        let change = change.both(Parts::among(world.count));
        let mut with_ends = Parts::NONE;
        for replica in world.node_ids() {
            let mut concerned = Parts::link(replica).and(Parts::node(replica));
            if let Some(parent) = world.parent(replica) {
                concerned = concerned.and(Parts::node(parent));
            }
            let link = Parts::link(replica).when(change.has_any(concerned));
            with_ends = with_ends.and(link);
        }
        Self {
            world,
            setting,
            change,
            with_ends,
        }
    }

    /// Whether any node has to be judged, or what truly happened.
    const fn concerns_nodes(&self) -> bool {
        self.change.has_any(Parts::NODES.and(Parts::HISTORIES))
    }

    /// Whether what truly happened has to be judged.
    const fn concerns_histories(&self) -> bool {
        self.change.has_any(Parts::HISTORIES)
    }

    /// The nodes to be judged.
    fn nodes(&self) -> impl Iterator<Item = NodeId> + use<> {
        self.change.nodes()
    }

    /// The nodes to be judged where what truly happened is read too.
    fn nodes_by_history(&self) -> impl Iterator<Item = NodeId> + use<> {
        self.or_all_by_history(self.change).nodes()
    }

    /// The replicas whose link has to be judged, the nodes at its ends apart.
    fn links(&self) -> impl Iterator<Item = NodeId> + use<> {
        self.change.links()
    }

    /// The replicas whose link has to be judged together with the nodes at its ends.
    fn links_with_ends(&self) -> impl Iterator<Item = NodeId> + use<> {
        self.with_ends.links()
    }

    /// The same where what truly happened is read too.
    fn links_by_history(&self) -> impl Iterator<Item = NodeId> + use<> {
        self.or_all_by_history(self.with_ends).links()
    }

    /// These parts, or all there are where what truly happened has to be judged.
    const fn or_all_by_history(&self, parts: Parts) -> Parts {
        if self.concerns_histories() {
            Parts::among(self.world.count)
        } else {
            parts
        }
    }
}

impl Property {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 18] = [
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
        Self::S11,
        Self::S12,
        Self::S13,
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
            Self::S11 => {
                "a replica executes every command in the database in which its primary executed it"
            }
            Self::S12 => "a primary never believes that a replica has applied more than it has",
            Self::S13 => {
                "the replicas of a replica follow the history it has now: none stays attached across a full load, \
                 and all call it by the same name"
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
                | Self::S11
                | Self::S14
                | Self::S16
                | Self::L1
                | Self::L2
        )
    }

    /// Its bit, unless it holds.
    const fn unless(self, holds: bool) -> u32 {
        if holds { 0 } else { self.bit() }
    }

    /// Whether it holds in the world that a step has led to, as far as it is an invariant.
    pub fn holds_in(self, place: &Place<'_>) -> bool {
        broken_in(place, self.bit()) == 0
    }

    /// Whether it holds of a step, as far as it says how the world may change.
    pub fn holds_of(self, edge: &Edge<'_>) -> bool {
        broken_of(edge, self.bit()) == 0
    }

    /// Whether it holds on this step and after it; L1, which is about behaviours, holds on every step.
    pub fn holds(self, edge: &Edge<'_>) -> bool {
        self.holds_of(edge) && self.holds_in(&Place::new(edge.after, edge.setting))
    }
}

/// The bits of all properties in `watched` that this step breaks, or that do not hold after it.
pub fn broken_by(edge: &Edge<'_>, watched: u32) -> u32 {
    broken_of(edge, watched) | broken_in(&Place::new(edge.after, edge.setting), watched)
}

/// The bits of all properties in `watched` that say how the world may change, and that this step breaks. An engine asks
/// for them on every step: so each is asked only about the steps, or the nodes, that it speaks of.
pub fn broken_of(edge: &Edge<'_>, watched: u32) -> u32 {
    let of_nodes = edge.changed.nodes().fold(0, |broken, node| {
        broken
            | Property::S14.unless(labels::data_stay_until_replaced(edge, node))
            | Property::S15.unless(labels::offsets_do_not_go_back(edge, node))
            | Property::L2.unless(answers::enough_is_remembered(edge, node))
    });
    watched & (of_nodes | broken_by_kind(edge))
}

/// The bits of the properties that speak of steps of some kinds, and that this step breaks.
fn broken_by_kind(edge: &Edge<'_>) -> u32 {
    match edge.step {
        Step::Write { node }
        | Step::WriteElsewhere { node }
        | Step::Transact { node }
        | Step::FollowInTransaction { node, .. }
        | Step::Ping { node } => Property::S8.unless(labels::histories_have_one_writer(edge, node)),
        Step::Apply { replica } => {
            Property::S8.unless(labels::histories_have_one_writer(edge, replica))
                | Property::S11.unless(links::commands_find_their_database(edge, replica))
        }
        Step::AcceptPartial { replica, .. } => {
            Property::S3.unless(answers::continued_exactly(edge, replica))
                | Property::S16.unless(answers::foreign_requests_are_refused(edge))
        }
        Step::StrangerAsks { .. } => {
            Property::S16.unless(answers::foreign_requests_are_refused(edge))
                | Property::L2.unless(answers::whoever_can_be_continued_is(edge))
        }
        Step::DeclinePartial { .. } | Step::AttachToSnapshot { .. } => {
            Property::L2.unless(answers::whoever_can_be_continued_is(edge))
        }
        Step::ReplicaNoticesLoss { .. } | Step::ReceiveError { .. } | Step::Promote { .. } => {
            Property::L2.unless(answers::means_are_kept(edge))
        }
        Step::ReceiveSnapshot { replica } | Step::FailLoad { replica } => {
            Property::S13.unless(links::none_stays_across_a_load(edge, replica))
        }
        _ => 0,
    }
}

/// The bits of all invariants in `watched` that do not hold in this place.
pub fn broken_in(place: &Place<'_>, watched: u32) -> u32 {
    let of_nodes = if place.concerns_nodes() {
        broken_at_nodes(place)
    } else {
        0
    };
    watched & (of_nodes | broken_on_links(place))
}

/// The bits of the invariants that speak of nodes and of what truly happened, and that do not hold.
fn broken_at_nodes(place: &Place<'_>) -> u32 {
    Property::S1.unless(labels::are_true(place))
        | Property::S2.unless(labels::equal_ones_have_equal_data(place))
        | Property::S5.unless(labels::backlogs_end_the_stream(place))
        | Property::S6.unless(labels::secondary_ids_name_a_common_past(place))
        | Property::S7.unless(labels::uncounted_writes_retire_them(place))
        | Property::S9.unless(labels::offsets_lie_between_commands(place))
}

/// The bits of the invariants that speak of links, and that do not hold.
fn broken_on_links(place: &Place<'_>) -> u32 {
    Property::S4.unless(answers::snapshots_match_their_labels(place))
        | Property::S10.unless(links::carry_only_the_stream(place))
        | Property::S12.unless(links::acknowledgements_are_sound(place))
        | Property::S13.unless(links::share_one_name(place))
}

/// Whether a replica is where it should be, and its primary knows it. Used by L1.
pub fn has_converged(world: &World, setting: &Setting, replica: NodeId) -> bool {
    let (link, following) = (world.link(replica), world.node(replica).following);
    let acknowledges = setting.book.has_psync() && !link.with_sync && has_place(world, replica);
    let known = !acknowledges || link.acknowledged == following.map(|label| label.offset);
    known && has_caught_up(world, replica)
}

/// Whether a replica is where it should be: connected, with everything. Replicas that follow each other in a
/// circle, with no primary above them, have nowhere to be.
pub fn has_caught_up(world: &World, replica: NodeId) -> bool {
    let Some(parent) = world.parent(replica).filter(|_| has_place(world, replica)) else {
        return true;
    };
    let (own, link, primary) = (world.node(replica), world.link(replica), world.node(parent));
    let connected =
        link.is_connected() && link.wire == Wire::Whole && link.primary == PrimaryPhase::Online;
    connected && own.data == primary.data && own.begun.is_nothing() && link.stream.tokens.is_empty()
}

/// Whether a node is a replica with a primary above it, however far.
fn has_place(world: &World, replica: NodeId) -> bool {
    world.parent(replica).is_some() && has_primary_above(world, replica)
}

fn has_primary_above(world: &World, replica: NodeId) -> bool {
    let mut at = replica;
    for _ in 0..world.count {
        match world.parent(at) {
            Some(parent) => at = parent,
            None => return true,
        }
    }
    false
}

/// How far, in commands that weigh, a label lies behind a primary's offset; `None` under another ID.
pub fn lag(world: &World, node: NodeId, label: Label) -> Option<usize> {
    let own = world.node(node);
    let history = world.history(own.id).filter(|_| own.id == label.id)?;
    (label.offset >= history.base).then(|| history.tokens_after(label.offset).weight())
}
