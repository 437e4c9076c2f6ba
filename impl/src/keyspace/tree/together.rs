//! Many keys looked up at once, so that their memory is waited for together.

use std::hint::black_box;
use std::ops::Range;

use super::super::sought::{EVERYWHERE, Sought, expected_rank, rank};
use super::{Item, Node, Tree, descend};

impl<T: Item> Tree<T> {
    /// Of a sorted tree, the items with the keys that are sought, or those before them. All ways are gone a step at a time:
    /// what the steps of one round read depends on nothing that another of them reads, so that memory is waited for once
    /// and not once for each.
    pub(in crate::keyspace) fn find_together<W: Sought<T::Key>>(&self, sought: &[W]) -> Vec<&T> {
        let mut ways = vec![(&*self.root, EVERYWHERE); sought.len()];
        loop {
            // How long the nodes are and where their slots, then the slots in the middle of those that will be compared.
            black_box(ways.iter().fold(0, |all, (node, _)| all ^ node.slots()));
            let pairs = ways.iter().zip(sought);
            black_box(pairs.fold(0, |all, (way, sought)| all ^ position_near(way, sought)));
            if matches!(ways[..], [] | [(Node::Leaf(_), _), ..]) {
                break;
            }
            for ((node, bounds), sought) in ways.iter_mut().zip(sought) {
                if let Node::Inner(children) = node {
                    let at = descend(children, sought, bounds).saturating_sub(1);
                    *node = &children[at].node;
                }
            }
        }
        let pairs = ways.into_iter().zip(sought);
        let found = pairs.filter_map(|((node, bounds), sought)| match node {
            Node::Leaf(items) => items.get(rank(items, T::key, sought, &bounds).saturating_sub(1)),
            Node::Inner(_) => None,
        });
        found.collect()
    }
}

/// The position of a key near to the one that is sought on this way.
fn position_near<T: Item, W: Sought<T::Key>>(
    (node, bounds): &(&Node<T>, Range<u64>),
    sought: &W,
) -> u64 {
    let at = expected_rank(node.slots(), sought, bounds).saturating_sub(1);
    match node {
        Node::Inner(children) => W::position_of(&children[at].first),
        Node::Leaf(items) => items.get(at).map_or(0, |item| W::position_of(item.key())),
    }
}
