//! Trees sorted by a hash of the key: tables of keys, fields and members.
//!
//! Every key has a fixed position, a 48-bit hash of its bytes. The order of positions makes scans stable: a key never
//! moves, so a cursor meets every key that is there throughout.

use std::cmp::Ordering;
use std::hash::{DefaultHasher, Hasher};
use std::hint::black_box;

use bytes::Bytes;

use super::blob::Blob;
use super::sought::Sought;
use super::tree::{Item, Tree};

/// Bits of a position. Cursors are positions plus one, and clients keep them in signed or floating-point numbers.
const POSITION_BITS: u32 = 48;

/// A key with its position in front, so that the order is that of positions.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) position: u64,
    pub(super) key: Blob,
}

impl Item for Place {
    type Key = Self;

    fn key(&self) -> &Self {
        self
    }
}

fn position_of(key: &[u8]) -> u64 {
    // Unkeyed on purpose: the order must be the same in every process, and within a sorted tree a collision costs a
    // comparison, not a chain.
    let mut hasher = DefaultHasher::new();
    hasher.write(key);
    hasher.finish() >> (u64::BITS - POSITION_BITS)
}

impl Place {
    pub(super) fn of(key: Blob) -> Self {
        Self {
            position: position_of(&key),
            key,
        }
    }
}

impl Sought<Self> for Place {
    fn compare(&self, place: &Self) -> Ordering {
        place.cmp(self)
    }

    fn position(&self) -> u64 {
        self.position
    }

    fn position_of(place: &Self) -> u64 {
        place.position
    }
}

/// A place that is looked for, with somebody else's key.
struct Probe<'a> {
    position: u64,
    key: &'a [u8],
}

impl<'a> Probe<'a> {
    fn of(key: &'a [u8]) -> Self {
        Self {
            position: position_of(key),
            key,
        }
    }
}

impl Sought<Place> for Probe<'_> {
    fn compare(&self, place: &Place) -> Ordering {
        let positions = place.position.cmp(&self.position);
        positions.then_with(|| (*place.key).cmp(self.key))
    }

    fn position(&self) -> u64 {
        self.position
    }

    fn position_of(place: &Place) -> u64 {
        place.position
    }
}

impl<T: Item<Key = Place>> Tree<T> {
    /// The item of a key.
    pub(super) fn look_up(&self, key: &[u8]) -> Option<&T> {
        self.find(&Probe::of(key))
    }

    /// Reads what looking these keys up will read, and what `beside` reads for each item that is there.
    pub(super) fn touch<'k>(
        &self,
        keys: impl Iterator<Item = &'k Bytes>,
        beside: impl Fn(&T) -> usize,
    ) {
        let probes: Vec<_> = keys.map(|key| Probe::of(key)).collect();
        // One alone has nobody to wait together with.
        if probes.len() > 1 {
            let found = self.find_together(&probes).into_iter();
            black_box(found.fold(0, |all, item| all ^ beside(item)));
        }
    }

    /// The item of a key, to be changed in all but its key.
    pub(super) fn look_up_mut(&mut self, key: &[u8]) -> Option<&mut T> {
        let probe = Probe::of(key);
        // Looking first spares the copy of shared nodes when there is nothing to change.
        self.find(&probe)?;
        self.find_mut(&probe)
    }

    /// Takes out the item of a key.
    pub(super) fn take(&mut self, key: &[u8]) -> Option<T> {
        let probe = Probe::of(key);
        let (index, next) = self.search(|place| probe.compare(place).is_lt());
        if probe.compare(next?.key()).is_ne() {
            return None;
        }
        Some(self.remove(index))
    }

    /// The items from a cursor on (0 begins), at least `count` if there are so many, and the next cursor (0 ends).
    /// An item that is there from the first call to the last is met exactly once.
    pub(super) fn scan(&self, cursor: u64, count: usize) -> (u64, Vec<&T>) {
        let (start, _) = self.search(|place| place.position < cursor);
        let mut items = Vec::new();
        let mut last = None;
        for item in self.range(start, self.len()) {
            let position = item.key().position;
            // Keys that share a position are told together: the cursor cannot point between them.
            if let Some(last) = last.filter(|last| items.len() >= count && *last != position) {
                return (last + 1, items);
            }
            last = Some(position);
            items.push(item);
        }
        (0, items)
    }

    /// An item chosen by a number, all numbers together choosing each equally often.
    pub(super) fn choose(&self, seed: u64) -> Option<&T> {
        self.get(scaled(seed, self.len()))
    }
}

/// A number below `len` (or 0), proportional to `seed`.
pub fn scaled(seed: u64, len: usize) -> usize {
    ((u128::from(seed) * len as u128) >> u64::BITS) as usize
}
