//! Lists.

use super::blob::Blob;
use super::tree::{Item, Iter, Tree};

/// An element of a list: lists are not sorted, so it has no key.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Element(Blob);

impl Item for Element {
    type Key = ();

    fn key(&self) -> &() {
        &()
    }
}

/// A list of strings. Every operation on one element costs a few steps down a tree, wherever the element stands.
#[derive(Debug, Clone, Default)]
pub struct List {
    elements: Tree<Element>,
}

impl List {
    /// Number of elements.
    pub fn len(&self) -> usize {
        self.elements.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.elements.is_empty()
    }

    /// The element at an index from the head.
    pub fn get(&self, index: usize) -> Option<&Blob> {
        self.elements.get(index).map(|element| &element.0)
    }

    /// Adds an element before the head.
    pub fn push_front(&mut self, element: Blob) {
        self.elements.insert(0, Element(element));
    }

    /// Adds an element after the tail.
    pub fn push_back(&mut self, element: Blob) {
        self.elements.push(Element(element));
    }

    /// Takes the head.
    pub fn pop_front(&mut self) -> Option<Blob> {
        (!self.is_empty()).then(|| self.remove(0))
    }

    /// Takes the tail.
    pub fn pop_back(&mut self) -> Option<Blob> {
        let last = self.len().checked_sub(1)?;
        Some(self.remove(last))
    }

    /// Puts an element before the one at an index, at most the length.
    pub fn insert(&mut self, index: usize, element: Blob) {
        self.elements.insert(index, Element(element));
    }

    /// Puts an element in the place of the one at an index below the length.
    pub fn replace(&mut self, index: usize, element: Blob) -> Blob {
        self.elements.replace(index, Element(element)).0
    }

    /// Takes the element at an index below the length.
    pub fn remove(&mut self, index: usize) -> Blob {
        self.elements.remove(index).0
    }

    /// The elements from head to tail.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Blob> + ExactSizeIterator {
        self.range(0, self.len())
    }

    /// The elements from one index to before another.
    pub fn range(
        &self,
        start: usize,
        end: usize,
    ) -> impl DoubleEndedIterator<Item = &Blob> + ExactSizeIterator {
        let elements: Iter<'_, Element> = self.elements.range(start, end);
        elements.map(|element| &element.0)
    }
}

impl FromIterator<Blob> for List {
    fn from_iter<I: IntoIterator<Item = Blob>>(elements: I) -> Self {
        Self {
            elements: elements.into_iter().map(Element).collect(),
        }
    }
}

impl PartialEq for List {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for List {}
