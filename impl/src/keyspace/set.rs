//! Sets.

use super::blob::Blob;
use super::place::{Place, scaled};
use super::tree::Tree;

/// A set of strings, in the fixed order of hashed members.
#[derive(Debug, Clone, Default)]
pub struct Set {
    members: Tree<Place>,
}

impl Set {
    /// Number of members.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Whether it has a member.
    pub fn contains(&self, member: &[u8]) -> bool {
        self.members.look_up(member).is_some()
    }

    /// Adds a member; false if it was there.
    pub fn insert(&mut self, member: Blob) -> bool {
        self.members.put(Place::of(member)).is_none()
    }

    /// Takes out a member; false if it was not there.
    pub fn remove(&mut self, member: &[u8]) -> bool {
        self.members.take(member).is_some()
    }

    /// All members.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Blob> {
        self.range(0)
    }

    /// The members from an index of the fixed order on.
    pub fn range(&self, start: usize) -> impl ExactSizeIterator<Item = &Blob> {
        let members = self.members.range(start, self.len());
        members.map(|place| &place.key)
    }

    /// A member chosen by a number; each equally often.
    pub fn choose(&self, seed: u64) -> Option<&Blob> {
        self.range(scaled(seed, self.len())).next()
    }

    /// The next members of a scan and the next cursor; see [`super::Keyspace::scan`].
    pub fn scan(&self, cursor: u64, count: usize) -> (u64, Vec<&Blob>) {
        let (next, members) = self.members.scan(cursor, count);
        (next, members.into_iter().map(|place| &place.key).collect())
    }
}

impl FromIterator<Blob> for Set {
    fn from_iter<I: IntoIterator<Item = Blob>>(members: I) -> Self {
        let mut places: Vec<_> = members.into_iter().map(Place::of).collect();
        places.sort_unstable();
        places.dedup();
        Self {
            members: places.into_iter().collect(),
        }
    }
}

impl PartialEq for Set {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Set {}
