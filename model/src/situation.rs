//! Situations and targets: what the judge wants to have seen.
//!
//! A situation is what a subject's guards read, and nothing else: offsets only relative to the window, no
//! ghosts, no data. A target is a step in a situation. Coverage is a fact about a run on a subject: targets
//! met of targets that the casting can reach.

use crate::casting::Casting;
use crate::step::{Actor, Part, Step};
use crate::token::Data;
use crate::world::{
    Backlog, Framing, Link, Node, NodeId, PrimaryPhase, ReplicaPhase, Reply, Saved, Wire, World,
};
use serde::{Deserialize, Serialize};

/// Where a request points, seen from the primary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// Nowhere.
    Nothing,
    /// To a history the primary does not know.
    Elsewhere,
    /// Before the backlog, or to a primary without one.
    Before,
    /// Into the backlog.
    Inside,
    /// Just after its end.
    JustAfter,
    /// Further on.
    Beyond,
}

/// What a node has on its disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Disk {
    /// No snapshot.
    Empty,
    /// A snapshot without a label.
    Unlabelled,
    /// A snapshot with a label.
    Labelled,
}

/// What the guards of the subject read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "casting", rename_all = "kebab-case")]
pub enum Situation {
    /// Of a primary.
    Primary {
        /// How many commands the backlog holds, if there is one.
        backlog: Option<u8>,
        /// Whether there is a secondary ID.
        secondary: bool,
        /// The snapshot in progress.
        snapshot: Option<Framing>,
        /// What it does for its replica, as in [`PrimaryPhase`].
        phase: u8,
        /// The same for an older connection.
        stale: u8,
        /// Whether the connection is lost.
        cut: bool,
        /// Where the request in hand points.
        request: Option<Place>,
        /// Whether an acknowledgement is there.
        acknowledgement: bool,
        /// The disk.
        disk: Disk,
    },
    /// Of a replica.
    Replica {
        /// What it does, as in [`ReplicaPhase`].
        phase: u8,
        /// Whether the connection is lost.
        cut: bool,
        /// The reply that arrives: none, `+CONTINUE` under the same name, under another, `+FULLRESYNC`, an error.
        reply: u8,
        /// The snapshot that arrives.
        payload: Option<Framing>,
        /// Whether a command arrives, whole.
        command: bool,
        /// Whether a command was read in part.
        half: bool,
        /// Whether it has a label.
        label: bool,
        /// Whether it has any data.
        data: bool,
        /// The disk.
        disk: Disk,
    },
}

/// A step in a situation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Target {
    /// The step.
    #[serde(flatten)]
    pub step: Step,
    /// The situation it is taken in.
    pub situation: Situation,
}

impl Target {
    /// The target that taking `step` in `world` meets, if the step concerns the subject.
    pub fn of(casting: Casting, world: &World, step: Step) -> Option<Self> {
        let concerns = casting.concerns_subject(step);
        concerns.then(|| Self {
            step,
            situation: Situation::of(casting, world, step),
        })
    }
}

impl Situation {
    /// The situation of the subject in a world; where every node is one, of the node that is to take the step.
    pub fn of(casting: Casting, world: &World, step: Step) -> Self {
        let link = world.link(NodeId::Replica);
        match casting {
            Casting::Primary => Self::of_primary(world.node(NodeId::Primary), link),
            Casting::Replica => Self::of_replica(world.node(NodeId::Replica), link),
            Casting::Whole => Self::of_whoever_takes(world, step),
        }
    }

    /// The node that takes the step or, if the world does it to a node, that one: in the part in which it does.
    fn of_whoever_takes(world: &World, step: Step) -> Self {
        let named = step.node();
        let feeds = match step.part() {
            Part::Primary => true,
            Part::Replica => false,
            Part::Environment => world.is_primary(named),
        };
        if !feeds {
            return Self::of_replica(world.node(named), world.link(named));
        }
        let own = match step.actor(world) {
            Actor::Node(node) => node,
            Actor::Environment => named,
        };
        // A step that names the node itself is about all of its replicas, of which the first stands for the others.
        let replica = if own == named {
            world.replicas_of(own).next()
        } else {
            Some(named)
        };
        Self::of_primary(world.node(own), world.link(replica.unwrap_or(own)))
    }

    fn of_primary(own: &Node, link: &Link) -> Self {
        Self::Primary {
            backlog: own.backlog.map(|backlog| backlog.tokens.weight() as u8),
            secondary: own.secondary.is_some(),
            snapshot: own.snapshot.map(|snapshot| snapshot.framing),
            phase: link.primary as u8,
            stale: link.stale.map_or(PrimaryPhase::None, |stale| stale.phase) as u8,
            cut: link.wire == Wire::Cut && link.primary != PrimaryPhase::None,
            request: link.request.map(|request| match request.wanted {
                None => Place::Nothing,
                Some((id, byte))
                    if id == own.id || own.secondary.is_some_and(|former| former.id == id) =>
                {
                    place_of(byte, own)
                }
                Some(_) => Place::Elsewhere,
            }),
            acknowledgement: link.acknowledgement.is_some(),
            disk: disk(own.saved),
        }
    }

    /// Only what is next in the pipe can be read.
    fn of_replica(own: &Node, link: &Link) -> Self {
        let token = link.stream.tokens.first();
        Self::Replica {
            phase: link.replica as u8,
            cut: link.wire == Wire::Cut && link.replica != ReplicaPhase::Idle,
            reply: match link.reply {
                Some(Reply::Continue(id))
                    if id.is_none() || id == own.following.map(|label| label.id) =>
                {
                    1
                }
                Some(Reply::Continue(_)) => 2,
                Some(Reply::FullResync(_)) => 3,
                Some(Reply::Error(_)) => 4,
                None => 0,
            },
            payload: link
                .payload
                .filter(|_| link.reply.is_none())
                .map(|payload| payload.framing),
            command: link.is_connected() && token.is_some() && !link.stream.starts_with_tail,
            half: own.begun.half.is_some(),
            label: own.following.is_some(),
            data: own.data != Data::EMPTY,
            disk: disk(own.saved),
        }
    }
}

fn place_of(byte: crate::world::Byte, own: &Node) -> Place {
    let end = own.offset.next_byte();
    match own.backlog {
        Some(Backlog { first, .. }) if first <= byte && byte < end => Place::Inside,
        Some(Backlog { first, .. }) if first <= byte && byte == end => Place::JustAfter,
        Some(Backlog { first, .. }) if byte > end && first <= byte => Place::Beyond,
        _ => Place::Before,
    }
}

fn disk(saved: Option<Saved>) -> Disk {
    match saved {
        None => Disk::Empty,
        Some(Saved { label: None, .. }) => Disk::Unlabelled,
        Some(Saved { label: Some(_), .. }) => Disk::Labelled,
    }
}
