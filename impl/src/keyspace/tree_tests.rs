//! Trees beside plain sequences, within the bounds of their nodes, and what a clone keeps and shares.

use std::cmp::Ordering;

use proptest::prelude::*;

use super::*;

impl Item for u32 {
    type Key = u32;

    fn key(&self) -> &u32 {
        self
    }
}

impl Sought<u32> for u32 {
    fn compare(&self, key: &u32) -> Ordering {
        key.cmp(self)
    }

    fn position(&self) -> u64 {
        u64::from(*self) << 16
    }

    fn position_of(key: &u32) -> u64 {
        key.position()
    }
}

/// Every node within its bounds, counts and first keys right, all leaves at one depth, which is returned.
fn checked_depth(node: &Node<u32>, root: bool) -> usize {
    assert!(root || node.slots() > 0);
    match node {
        Node::Leaf(items) => {
            assert!(items.len() <= LEAF_ITEMS);
            0
        }
        Node::Inner(children) => {
            assert!(children.len() <= BRANCHES && (!root || children.len() > 1));
            let mut depths = Vec::new();
            for child in children {
                assert_eq!(child.len, child.node.len());
                assert_eq!(child.first, *child.node.first());
                depths.push(checked_depth(&child.node, false));
            }
            depths.dedup();
            assert_eq!(depths.len(), 1);
            depths[0] + 1
        }
    }
}

fn check(tree: &Tree<u32>, model: &[u32]) {
    checked_depth(&tree.root, true);
    assert_eq!(tree.len(), model.len());
    assert!(tree.iter().eq(model));
    assert!(tree.iter().rev().eq(model.iter().rev()));
}

#[test]
fn filled_from_either_end_nodes_are_full() {
    let (mut pushed, mut unshifted) = (Tree::default(), Tree::default());
    for number in 0..10_000 {
        pushed.push(number);
        unshifted.insert(0, number);
    }
    let numbers: Vec<_> = (0..10_000).collect();
    check(&pushed, &numbers);
    let reversed: Vec<_> = numbers.iter().rev().copied().collect();
    check(&unshifted, &reversed);
    let packed: Tree<u32> = numbers.iter().copied().collect();
    check(&packed, &numbers);
    assert_eq!(
        checked_depth(&pushed.root, true),
        checked_depth(&packed.root, true)
    );
}

#[test]
fn what_a_clone_forgets_is_gone_from_it_alone() {
    let mut tree: Tree<u32> = (0..100_000).collect();
    let mut cut = tree.clone();
    let mut start = 0;
    for index in [0, 31, 32, 33, 5_000, 40_000, 99_990] {
        start += cut.forget_before(index - start);
        assert!(start <= index && index - start <= LEAF_ITEMS, "{index}");
        assert!(cut.iter().copied().eq(start as u32..100_000));
        assert_eq!(cut.get(index - start), Some(&(index as u32)));
    }
    assert_eq!(tree.len(), 100_000);
    // What is held by nobody else is changed in place.
    let place = |tree: &Tree<u32>| tree.leaf(20).0.as_ptr();
    let before = place(&tree);
    tree.replace(20, 7);
    let Node::Inner(children) = &*tree.root else {
        panic!("deep")
    };
    assert_eq!(Arc::strong_count(&children[0].node), 1);
    assert_eq!(place(&tree), before);
}

#[test]
fn a_write_beside_a_clone_copies_one_path_only() {
    let mut tree: Tree<u32> = (0..100_000).collect();
    let cut = tree.clone();
    tree.replace(50_000, 7);
    let Node::Inner(old) = &*cut.root else {
        panic!("deep")
    };
    let Node::Inner(new) = &*tree.root else {
        panic!("deep")
    };
    let copied = old
        .iter()
        .zip(new)
        .filter(|(old, new)| !Arc::ptr_eq(&old.node, &new.node));
    assert_eq!(copied.count(), 1);
    assert_eq!(
        (cut.get(50_000), tree.get(50_000)),
        (Some(&50_000), Some(&7))
    );
}

proptest! {
    #[test]
    fn what_is_put_into_a_sorted_tree_stands_in_order_and_once(
        start in 0_u32..2_000,
        numbers in prop::collection::vec(0_u32..5_000, 0..2_000),
    ) {
        let mut tree: Tree<u32> = (0..start).map(|number| number * 2).collect();
        let mut model: std::collections::BTreeSet<u32> = (0..start).map(|number| number * 2).collect();
        for number in numbers {
            prop_assert_eq!(tree.put(number).is_none(), model.insert(number));
        }
        check(&tree, &model.into_iter().collect::<Vec<_>>());
    }
}

#[test]
fn sorted_trees_are_searched_by_key() {
    let tree: Tree<u32> = (0..1_000).map(|number| number * 2).collect();
    for key in 0..2_002 {
        let (index, next) = tree.search(|item| *item < key);
        assert_eq!(index as u32, key.div_ceil(2).min(1_000));
        assert_eq!(next, tree.get(index));
        assert_eq!(tree.find(&key).is_some(), key % 2 == 0 && key < 2_000);
    }
}

#[test]
fn several_are_found_together_as_each_would_be_alone() {
    for len in [1, 2, 40, 5_000] {
        let tree: Tree<u32> = (0..len).map(|number| number * 2 + 2).collect();
        for first in [0, 1, 2, 7, len, len * 2 + 9] {
            let sought: Vec<_> = (0..16).map(|step| first + step * 3).collect();
            let found = tree.find_together(&sought);
            let expected = sought.iter().map(|sought| {
                let last = (*sought).min(len * 2 + 1) / 2 * 2;
                last.max(2)
            });
            assert!(found.into_iter().copied().eq(expected), "{len} {first}");
        }
    }
    assert!(Tree::<u32>::default().find_together(&[1, 2]).is_empty());
}

proptest! {
    #[test]
    fn a_tree_behaves_like_a_vector(
        start in 0_u32..3_000,
        steps in prop::collection::vec((0_u8..5, any::<prop::sample::Index>(), 0_u32..9), 0..400),
    ) {
        let (mut tree, mut model): (Tree<u32>, Vec<u32>) = ((0..start).collect(), (0..start).collect());
        let cut = (tree.clone(), model.clone());
        for (action, place, number) in steps {
            match action {
                0 | 1 => {
                    let at = place.index(model.len() + 1);
                    tree.insert(at, number);
                    model.insert(at, number);
                }
                2 if !model.is_empty() => {
                    let at = place.index(model.len());
                    prop_assert_eq!(tree.replace(at, number), std::mem::replace(&mut model[at], number));
                }
                // Runs of removals make nodes sparse.
                _ => for _ in 0..number * 20 {
                    if model.is_empty() { break; }
                    let at = place.index(model.len());
                    prop_assert_eq!(tree.remove(at), model.remove(at));
                },
            }
        }
        check(&tree, &model);
        check(&cut.0, &cut.1);
        let (from, to) = (model.len() / 3, model.len() / 2);
        let mut range = tree.range(from, to);
        let ends = (range.next().copied(), range.next_back().copied());
        prop_assert_eq!(range.len(), (to - from).saturating_sub(2));
        let expected = &model[from..to];
        prop_assert_eq!(ends.0, expected.first().copied());
        prop_assert!(to - from < 2 || ends.1 == expected.last().copied());
    }
}
