//! Worlds that differ only in which node is which.
//!
//! No rule asks for a node by name, so that nodes which change places change nothing but the names in the steps. Of
//! all worlds that come from each other in this way one stands for all: the least in a fixed order. The order compares
//! what is cheap to see first, one node after the other, so that most arrangements need not be made at all; it is a
//! minimum over all of them all the same.
//!
//! What is lost: a step that leads from one such world to the next names nodes as they stand in the first. Paths and
//! the fairness of L1 need the nodes themselves, and so the walk and the graph do not use it.

use crate::world::packed::Packed;
use crate::world::{MAX_NODES, NodeId, Role, World};

/// Where each node goes, by where it was.
pub type Places = [NodeId; MAX_NODES];

/// What is looked at first: equal in all arrangements of one world.
type Sight = (bool, u64, u64, u64);

impl World {
    /// The same world with the nodes in other places.
    #[must_use]
    pub fn rearranged(&self, places: &Places) -> Self {
        let mut next = *self;
        for node in self.node_ids() {
            let place = places[node as usize];
            let (mut own, mut link) = (*self.node(node), *self.link(node));
            if let Role::ReplicaOf(parent) = own.role {
                own.role = Role::ReplicaOf(places[parent as usize]);
            }
            if let Some(stale) = &mut link.stale {
                stale.at = places[stale.at as usize];
            }
            *next.node_mut(place) = own;
            *next.link_mut(place) = link;
        }
        next
    }

    /// Of a canonical world and all its arrangements the least, in canonical form and packed.
    pub fn least(&self) -> Packed {
        let sights = NodeId::ALL.map(|node| self.sight(node));
        let mut least: Option<Packed> = None;
        self.each_arrangement(&sights, &mut |places| {
            let mut world = self.rearranged(places);
            world.rename_by_appearance();
            let packed = world.pack();
            if least.is_none_or(|least| packed.words() < least.words()) {
                least = Some(packed);
            }
        });
        least.expect("every world has an arrangement")
    }

    /// What shows of a node without the names of nodes and histories.
    fn sight(&self, node: NodeId) -> Sight {
        let (own, link) = (self.node(node), self.link(node));
        let backlog = own
            .backlog
            .map_or(0, |backlog| 1 + (backlog.tokens.bits() << 1));
        let ends = (link.wire as u64) << 8 | (link.replica as u64) << 4 | link.primary as u64;
        let counted = u64::from(own.data.bits()) << 16 | u64::from(own.offset.0.cast_unsigned());
        (
            self.is_primary(node),
            counted << 16 | ends,
            backlog,
            link.stream.tokens.bits(),
        )
    }

    /// Shows every arrangement in which the sights come in order.
    fn each_arrangement(&self, sights: &[Sight; MAX_NODES], show: &mut impl FnMut(&Places)) {
        let mut nodes = NodeId::ALL;
        let nodes = &mut nodes[..usize::from(self.count)];
        nodes.sort_unstable_by_key(|&node| sights[node as usize]);
        let equal = |one: NodeId, other: NodeId| sights[one as usize] == sights[other as usize];
        permute(nodes, 0, &equal, &mut |nodes| {
            let mut places = NodeId::ALL;
            for (&node, place) in nodes.iter().zip(NodeId::ALL) {
                places[node as usize] = place;
            }
            show(&places);
        });
    }
}

/// Every order of the nodes from `from` on that exchanges only neighbours in sight.
fn permute(
    nodes: &mut [NodeId],
    from: usize,
    equal: &impl Fn(NodeId, NodeId) -> bool,
    show: &mut impl FnMut(&[NodeId]),
) {
    if from == nodes.len() {
        return show(nodes);
    }
    for other in from..nodes.len() {
        if !equal(nodes[from], nodes[other]) {
            break;
        }
        nodes[from..=other].rotate_right(1);
        permute(nodes, from + 1, equal, show);
        nodes[from..=other].rotate_left(1);
    }
}
