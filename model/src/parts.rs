//! Parts of a world: what a step may have changed, and what it has.

use crate::bits;
use crate::world::{IDS, Id, MAX_NODES, NodeId};

/// Some parts of a world, a bit for each: the nodes, the links, the histories, the stranger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts(u32);

const NODES: u32 = (1 << MAX_NODES) - 1;
const FIRST_LINK: u32 = MAX_NODES as u32;
const LINKS: u32 = NODES << FIRST_LINK;
const FIRST_HISTORY: u32 = FIRST_LINK + MAX_NODES as u32;
const HISTORIES: u32 = ((1 << IDS) - 1) << FIRST_HISTORY;
const FIRST_BEHIND: u32 = FIRST_HISTORY + IDS as u32;

impl Parts {
    /// How many there can be.
    pub const PLACES: usize = FIRST_BEHIND as usize + 1;

    /// None of them.
    pub const NONE: Self = Self(0);

    /// Whatever there can be.
    pub const ALL: Self = Self((2 << FIRST_BEHIND) - 1);

    /// The nodes.
    pub const NODES: Self = Self(NODES);

    /// What truly happened.
    pub const HISTORIES: Self = Self(HISTORIES);

    /// The stranger.
    pub const STRANGER: Self = Self(1 << FIRST_BEHIND);

    /// A node.
    pub const fn node(node: NodeId) -> Self {
        Self(1 << node as u32)
    }

    /// The link of a replica to its primary.
    pub const fn link(replica: NodeId) -> Self {
        Self(1 << (FIRST_LINK + replica as u32))
    }

    /// The history of an ID, which is not the anonymous one.
    pub const fn history(id: Id) -> Self {
        Self(1 << (FIRST_HISTORY + id.0 as u32 - 1))
    }

    /// What a world has of so many nodes, in which so many histories may have anything in them.
    pub const fn of(nodes: u8, named: u8) -> Self {
        let (nodes, named) = ((1 << nodes) - 1, (1 << named) - 1);
        Self(nodes | nodes << FIRST_LINK | named << FIRST_HISTORY | 1 << FIRST_BEHIND)
    }

    /// What a world of so many nodes has.
    pub const fn among(nodes: u8) -> Self {
        Self::of(nodes, IDS as u8)
    }

    /// These, and those.
    #[must_use]
    pub const fn and(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// These without those.
    #[must_use]
    pub const fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }

    /// These where the condition holds, none otherwise.
    #[must_use]
    pub const fn when(self, condition: bool) -> Self {
        Self(self.0 * condition as u32)
    }

    /// Which of them are among those.
    #[must_use]
    pub const fn both(self, others: Self) -> Self {
        Self(self.0 & others.0)
    }

    /// Whether any of those is among them.
    pub const fn has_any(self, others: Self) -> bool {
        self.0 & others.0 != 0
    }

    /// The nodes among them, in order.
    pub fn nodes(self) -> impl Iterator<Item = NodeId> {
        bits::places(self.0 & NODES).map(|place| NodeId::ALL[place])
    }

    /// The replicas whose links are among them, in order.
    pub fn links(self) -> impl Iterator<Item = NodeId> {
        bits::places((self.0 & LINKS) >> FIRST_LINK).map(|place| NodeId::ALL[place])
    }

    /// The IDs whose histories are among them, in order.
    pub fn histories(self) -> impl Iterator<Item = Id> {
        bits::places((self.0 & HISTORIES) >> FIRST_HISTORY).map(|place| Id(place as u8 + 1))
    }

    /// Of one part, its place among all there can be: below [`Self::PLACES`].
    pub const fn place(self) -> usize {
        self.0.trailing_zeros() as usize
    }
}
