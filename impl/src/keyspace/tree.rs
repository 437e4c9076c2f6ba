//! The one structure behind everything that is stored: a sequence in a tree of shared nodes.
//!
//! Leaves hold up to [`LEAF_ITEMS`] items, inner nodes up to [`BRANCHES`] children with the number of items below each
//! and the key of the first. So an item is found by its index and, if the sequence is sorted, by its key, in a few steps.
//! A clone costs one reference count and shares all nodes. A write to a tree that shares nodes copies those on the path
//! from the root to one leaf, some kilobytes whatever the length; then they are its own, and further writes there cost
//! nothing extra. That is what a forked process pays for a page, without the fork.

use std::ops::Range;
use std::sync::Arc;

use super::sought::{EVERYWHERE, Sought, rank};

mod together;

/// Most items of a leaf: few enough that moving half of them is quick, enough that a node's own size is spread thin.
const LEAF_ITEMS: usize = 32;

/// Most children of an inner node.
const BRANCHES: usize = 32;

/// Nodes with fewer slots than this are joined with a neighbour if both fit into one that is not quite full.
const SPARSE: usize = 8;

/// Slots that a joined node may have, so that the next insertion does not part it again.
const JOINED: usize = 24;

/// What a tree can hold: a cheaply copied item with a key to sort by. Items of unsorted sequences have the key `()`.
pub(super) trait Item: Clone {
    /// What items are sorted by.
    type Key: Clone + std::fmt::Debug;

    /// The key of this item.
    fn key(&self) -> &Self::Key;
}

#[derive(Debug, Clone)]
enum Node<T: Item> {
    Leaf(Vec<T>),
    Inner(Vec<Child<T>>),
}

#[derive(Debug, Clone)]
struct Child<T: Item> {
    len: usize,
    first: T::Key,
    node: Arc<Node<T>>,
}

/// What comes to the place of a key.
pub(super) trait Coming<T: Item> {
    /// What is told of an item that was there.
    type Was;

    /// Where it belongs.
    fn key(&self) -> &T::Key;

    /// Takes the place of an item with the same key.
    fn replace(self, item: &mut T) -> Self::Was;

    /// Takes a place that is free.
    fn into_item(self) -> T;
}

impl<T: Item> Coming<T> for T {
    type Was = T;

    fn key(&self) -> &T::Key {
        Item::key(self)
    }

    fn replace(self, item: &mut T) -> T {
        std::mem::replace(item, self)
    }

    fn into_item(self) -> T {
        self
    }
}

/// A sequence of items. Indices at or beyond its length panic where they are documented to lie below it.
#[derive(Debug, Clone)]
pub(super) struct Tree<T: Item> {
    root: Arc<Node<T>>,
    len: usize,
}

impl<T: Item> Default for Tree<T> {
    fn default() -> Self {
        Self {
            root: Arc::new(Node::Leaf(Vec::new())),
            len: 0,
        }
    }
}

impl<T: Item> Tree<T> {
    /// Number of items.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The item at an index.
    pub(super) fn get(&self, index: usize) -> Option<&T> {
        (index < self.len).then(|| {
            let (leaf, offset) = self.leaf(index);
            &leaf[offset]
        })
    }

    /// Puts an item before the one at `index`, at most `len`.
    pub(super) fn insert(&mut self, index: usize, item: T) {
        assert!(index <= self.len, "insertion beyond the end");
        let split = Arc::make_mut(&mut self.root).insert(index, item, self.len);
        self.grow(split);
    }

    /// Takes out the item at an index below `len`.
    pub(super) fn remove(&mut self, index: usize) -> T {
        assert!(index < self.len, "removal beyond the end");
        let item = Arc::make_mut(&mut self.root).remove(index, self.len);
        self.len -= 1;
        while let Node::Inner(children) = &*self.root {
            match &children[..] {
                [] => self.root = Arc::new(Node::Leaf(Vec::new())),
                [only] => self.root = Arc::clone(&only.node),
                _ => break,
            }
        }
        item
    }

    /// Puts an item in the place of the one at an index below `len`, which it returns.
    pub(super) fn replace(&mut self, index: usize, item: T) -> T {
        assert!(index < self.len, "replacement beyond the end");
        Arc::make_mut(&mut self.root).replace(index, item, self.len)
    }

    /// Puts something where its key belongs in a sorted tree; what it tells of the item with that key, if one was there.
    pub(super) fn put<C: Coming<T>>(&mut self, coming: C) -> Option<C::Was>
    where
        T::Key: Sought<T::Key>,
    {
        let mut was = None;
        let split = Arc::make_mut(&mut self.root).put(coming, EVERYWHERE, &mut was);
        if was.is_none() {
            self.grow(split);
        }
        was
    }

    /// One item more, and perhaps a root more.
    fn grow(&mut self, split: Option<Child<T>>) {
        self.len += 1;
        if let Some(right) = split {
            let left = Child::of(Arc::clone(&self.root));
            self.root = Arc::new(Node::Inner(vec![left, right]));
        }
    }

    /// Adds an item at the end.
    pub(super) fn push(&mut self, item: T) {
        self.insert(self.len, item);
    }

    /// Of a sorted tree, the number of leading items whose key is `before`, and the next item.
    pub(super) fn search(&self, before: impl Fn(&T::Key) -> bool) -> (usize, Option<&T>) {
        let (mut node, mut passed) = (&self.root, 0);
        loop {
            match &**node {
                Node::Inner(children) => {
                    let at = children.partition_point(|child| before(&child.first));
                    let at = at.saturating_sub(1);
                    passed += lengths(&children[..at]);
                    node = &children[at].node;
                }
                Node::Leaf(items) => {
                    let at = items.partition_point(|item| before(item.key()));
                    let index = passed + at;
                    // At the end of a leaf the next item, if any, is the first of the next leaf.
                    return (index, items.get(at).or_else(|| self.get(index)));
                }
            }
        }
    }

    /// Of a sorted tree, the item with the key that is sought; the quickest way to find one.
    pub(super) fn find(&self, sought: &impl Sought<T::Key>) -> Option<&T> {
        let (mut node, mut bounds) = (&self.root, EVERYWHERE);
        loop {
            match &**node {
                Node::Inner(children) => {
                    let at = descend(children, sought, &mut bounds).saturating_sub(1);
                    node = &children[at].node;
                }
                Node::Leaf(items) => {
                    let at = rank(items, T::key, sought, &bounds).checked_sub(1)?;
                    return Some(&items[at]).filter(|item| sought.compare(item.key()).is_eq());
                }
            }
        }
    }

    /// The same, to be changed in all but its key.
    pub(super) fn find_mut(&mut self, sought: &impl Sought<T::Key>) -> Option<&mut T> {
        let (mut node, mut bounds) = (&mut self.root, EVERYWHERE);
        loop {
            match Arc::make_mut(node) {
                Node::Inner(children) => {
                    let at = descend(children, sought, &mut bounds).saturating_sub(1);
                    node = &mut children[at].node;
                }
                Node::Leaf(items) => {
                    let at = rank(items, T::key, sought, &bounds).checked_sub(1)?;
                    return Some(&mut items[at]).filter(|item| sought.compare(item.key()).is_eq());
                }
            }
        }
    }

    /// Lets go of items at the front, in whole leaves and not beyond `index`; how many they were.
    pub(super) fn forget_before(&mut self, index: usize) -> usize {
        let forgotten = Arc::make_mut(&mut self.root).forget_before(index);
        self.len -= forgotten;
        forgotten
    }

    /// All items in order.
    pub(super) fn iter(&self) -> Iter<'_, T> {
        self.range(0, self.len)
    }

    /// The items from one index to before another, both cut to the length; to be read from either end.
    pub(super) fn range(&self, start: usize, end: usize) -> Iter<'_, T> {
        let end = end.min(self.len);
        Iter {
            tree: self,
            start: start.min(end),
            end,
            front: [].iter(),
            back: [].iter(),
        }
    }

    /// The leaf around an index below `len`, and the offset in it.
    fn leaf(&self, index: usize) -> (&[T], usize) {
        let (mut node, mut offset, mut len) = (&self.root, index, self.len);
        loop {
            match &**node {
                Node::Leaf(items) => return (items, offset),
                Node::Inner(children) => {
                    let (at, rest) = locate(children, offset, len);
                    (offset, len, node) = (rest, children[at].len, &children[at].node);
                }
            }
        }
    }
}

/// The [`rank`] among children, and the bounds narrowed down to the one before it.
fn descend<T: Item, W: Sought<T::Key>>(
    children: &[Child<T>],
    sought: &W,
    bounds: &mut Range<u64>,
) -> usize {
    let after = rank(children, |child| &child.first, sought, bounds);
    if let Some(child) = after.checked_sub(1).map(|at| &children[at]) {
        bounds.start = W::position_of(&child.first);
    }
    if let Some(next) = children.get(after.max(1)) {
        bounds.end = W::position_of(&next.first);
    }
    after
}

fn lengths<T: Item>(children: &[Child<T>]) -> usize {
    children.iter().map(|child| child.len).sum()
}

/// The child that an index below `len` falls into, and the index within it; counted from the nearer end.
fn locate<T: Item>(children: &[Child<T>], index: usize, len: usize) -> (usize, usize) {
    if index < len / 2 {
        let mut offset = index;
        for (at, child) in children.iter().enumerate() {
            if offset < child.len {
                return (at, offset);
            }
            offset -= child.len;
        }
    } else {
        let mut end = len;
        for (at, child) in children.iter().enumerate().rev() {
            end -= child.len;
            if index >= end {
                return (at, index - end);
            }
        }
    }
    unreachable!("an index below the length falls into some child")
}

/// Where a full node of `len` slots is parted when something comes in at `index`: at an end nothing moves, so that a
/// sequence filled from one end has full nodes.
fn parting(index: usize, len: usize) -> usize {
    if index == 0 || index == len {
        index
    } else {
        len / 2
    }
}

/// Inserts into a vector of at most `limit` slots; what does not fit is returned as a second one.
fn insert_or_part<S>(slots: &mut Vec<S>, index: usize, slot: S, limit: usize) -> Option<Vec<S>> {
    if slots.len() < limit {
        slots.insert(index, slot);
        return None;
    }
    let at = parting(index, slots.len());
    let mut right = slots.split_off(at);
    if index < at || at == 0 {
        slots.insert(index, slot);
    } else {
        right.insert(index - at, slot);
    }
    Some(right)
}

impl<T: Item> Child<T> {
    fn of(node: Arc<Node<T>>) -> Self {
        Self {
            len: node.len(),
            first: node.first().clone(),
            node,
        }
    }
}

impl<T: Item> Node<T> {
    fn len(&self) -> usize {
        match self {
            Self::Leaf(items) => items.len(),
            Self::Inner(children) => lengths(children),
        }
    }

    fn slots(&self) -> usize {
        match self {
            Self::Leaf(items) => items.len(),
            Self::Inner(children) => children.len(),
        }
    }

    /// The key of the first item; only for nodes that are not empty.
    fn first(&self) -> &T::Key {
        match self {
            Self::Leaf(items) => items[0].key(),
            Self::Inner(children) => &children[0].first,
        }
    }

    /// Inserts below this node, which holds `len` items; a new right neighbour is returned.
    fn insert(&mut self, index: usize, item: T, len: usize) -> Option<Child<T>> {
        let right = match self {
            Self::Leaf(items) => Self::Leaf(insert_or_part(items, index, item, LEAF_ITEMS)?),
            Self::Inner(children) => {
                // Between two children the left one takes it, for it ends where the other begins.
                let (at, offset) = match index.checked_sub(1) {
                    None => (0, 0),
                    Some(before) => {
                        let (at, offset) = locate(children, before, len);
                        (at, offset + 1)
                    }
                };
                let child = &mut children[at];
                let split = Arc::make_mut(&mut child.node).insert(offset, item, child.len);
                child.len += 1;
                if offset == 0 {
                    child.first = child.node.first().clone();
                }
                let right = split?;
                child.len -= right.len;
                Self::Inner(insert_or_part(children, at + 1, right, BRANCHES)?)
            }
        };
        Some(Child::of(Arc::new(right)))
    }

    /// Puts something where its key belongs below this node, which is not empty unless it is a leaf. `was` tells of the
    /// item that was there; if none was, a new right neighbour may be returned. Nothing but the leaf writes it, so that it
    /// is not copied at every level.
    fn put<C: Coming<T>>(
        &mut self,
        coming: C,
        mut bounds: Range<u64>,
        was: &mut Option<C::Was>,
    ) -> Option<Child<T>>
    where
        T::Key: Sought<T::Key>,
    {
        let right = match self {
            Self::Leaf(items) => {
                let after = rank(items, T::key, coming.key(), &bounds);
                let before = after.checked_sub(1).map(|at| &mut items[at]);
                if let Some(same) = before.filter(|item| coming.key().compare(item.key()).is_eq()) {
                    *was = Some(coming.replace(same));
                    return None;
                }
                Self::Leaf(insert_or_part(
                    items,
                    after,
                    coming.into_item(),
                    LEAF_ITEMS,
                )?)
            }
            Self::Inner(children) => {
                let after = descend(children, coming.key(), &mut bounds);
                let at = after.saturating_sub(1);
                let child = &mut children[at];
                let split = Arc::make_mut(&mut child.node).put(coming, bounds, was);
                if was.is_some() {
                    return None;
                }
                child.len += 1;
                if after == 0 {
                    child.first = child.node.first().clone();
                }
                let right = split?;
                child.len -= right.len;
                Self::Inner(insert_or_part(children, at + 1, right, BRANCHES)?)
            }
        };
        Some(Child::of(Arc::new(right)))
    }

    fn remove(&mut self, index: usize, len: usize) -> T {
        match self {
            Self::Leaf(items) => items.remove(index),
            Self::Inner(children) => {
                let (at, offset) = locate(children, index, len);
                let child = &mut children[at];
                let item = Arc::make_mut(&mut child.node).remove(offset, child.len);
                child.len -= 1;
                if child.len == 0 {
                    children.remove(at);
                    return item;
                }
                if offset == 0 {
                    child.first = child.node.first().clone();
                }
                if child.node.slots() < SPARSE {
                    join(children, at);
                }
                item
            }
        }
    }

    fn replace(&mut self, index: usize, item: T, len: usize) -> T {
        match self {
            Self::Leaf(items) => std::mem::replace(&mut items[index], item),
            Self::Inner(children) => {
                let (at, offset) = locate(children, index, len);
                let child = &mut children[at];
                let previous = Arc::make_mut(&mut child.node).replace(offset, item, child.len);
                if offset == 0 {
                    child.first = child.node.first().clone();
                }
                previous
            }
        }
    }

    /// Lets go of leaves that end before an index, but for the last; how many items were in them.
    fn forget_before(&mut self, index: usize) -> usize {
        let Self::Inner(children) = self else {
            return 0;
        };
        let (mut whole, mut forgotten) = (0, 0);
        while whole + 1 < children.len() && forgotten + children[whole].len <= index {
            forgotten += children[whole].len;
            whole += 1;
        }
        children.drain(..whole);
        let child = &mut children[0];
        if forgotten < index && matches!(*child.node, Self::Inner(_)) {
            let within = Arc::make_mut(&mut child.node).forget_before(index - forgotten);
            child.len -= within;
            child.first = child.node.first().clone();
            forgotten += within;
        }
        forgotten
    }

    /// Appends the slots of a node of the same height.
    fn append(&mut self, other: Self) {
        match (self, other) {
            (Self::Leaf(items), Self::Leaf(mut more)) => items.append(&mut more),
            (Self::Inner(children), Self::Inner(mut more)) => children.append(&mut more),
            _ => unreachable!("all leaves of a tree have the same depth"),
        }
    }
}

/// Joins a sparse child with a neighbour, if there is one with room.
fn join<T: Item>(children: &mut Vec<Child<T>>, at: usize) {
    let fits = |left: usize| {
        let pair = children.get(left..left + 2)?;
        (pair[0].node.slots() + pair[1].node.slots() <= JOINED).then_some(left)
    };
    let Some(left) = fits(at).or_else(|| fits(at.checked_sub(1)?)) else {
        return;
    };
    let right = children.remove(left + 1);
    children[left].len += right.len;
    Arc::make_mut(&mut children[left].node).append(Arc::unwrap_or_clone(right.node));
}

impl<T: Item> FromIterator<T> for Tree<T> {
    /// Packs items, sorted already if they have to be, into full nodes.
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        let mut items = items.into_iter().peekable();
        let mut level = Vec::new();
        while items.peek().is_some() {
            let leaf = items.by_ref().take(LEAF_ITEMS).collect();
            level.push(Child::of(Arc::new(Node::Leaf(leaf))));
        }
        while level.len() > 1 {
            let mut children = level.into_iter().peekable();
            level = Vec::new();
            while children.peek().is_some() {
                let inner = children.by_ref().take(BRANCHES).collect();
                level.push(Child::of(Arc::new(Node::Inner(inner))));
            }
        }
        level.pop().map_or_else(Self::default, |child| Self {
            root: child.node,
            len: child.len,
        })
    }
}

/// Items of a tree in order.
#[derive(Debug)]
pub(super) struct Iter<'a, T: Item> {
    tree: &'a Tree<T>,
    /// What neither end has been handed out or put into `front` and `back`.
    start: usize,
    end: usize,
    front: std::slice::Iter<'a, T>,
    back: std::slice::Iter<'a, T>,
}

impl<'a, T: Item> Iterator for Iter<'a, T> {
    type Item = &'a T;

    fn next(&mut self) -> Option<&'a T> {
        if let Some(item) = self.front.next() {
            return Some(item);
        }
        if self.start == self.end {
            return self.back.next();
        }
        let (leaf, offset) = self.tree.leaf(self.start);
        let taken = (leaf.len() - offset).min(self.end - self.start);
        self.start += taken;
        self.front = leaf[offset..offset + taken].iter();
        self.front.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let count = self.front.len() + (self.end - self.start) + self.back.len();
        (count, Some(count))
    }
}

impl<T: Item> DoubleEndedIterator for Iter<'_, T> {
    fn next_back(&mut self) -> Option<Self::Item> {
        if let Some(item) = self.back.next_back() {
            return Some(item);
        }
        if self.start == self.end {
            return self.front.next_back();
        }
        let (leaf, offset) = self.tree.leaf(self.end - 1);
        let taken = (offset + 1).min(self.end - self.start);
        self.end -= taken;
        self.back = leaf[offset + 1 - taken..=offset].iter();
        self.back.next_back()
    }
}

impl<T: Item> ExactSizeIterator for Iter<'_, T> {}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
