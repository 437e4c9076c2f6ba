//! One database's map from keys to entries, in the fixed order of positions, copied on write in shards.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;

use super::Entry;

/// Shards of a database: enough that copying one after a snapshot takes microseconds with a million keys.
const SHARDS: usize = 1024;

/// Bits of a position. Cursors are positions plus one, and clients keep them in signed or floating-point numbers.
const POSITION_BITS: u32 = 48;

/// The bits of a position below its shard.
const SHARD_SHIFT: u32 = POSITION_BITS - SHARDS.ilog2();

/// A key with its position in front, so that the order is that of positions.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) position: u64,
    pub(super) key: Bytes,
}

impl Place {
    pub(super) fn of(key: Bytes) -> Self {
        // Unkeyed on purpose: the order must be the same in every process, and within an ordered map a collision
        // costs a comparison, not a chain.
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        Self {
            position: hasher.finish() >> (u64::BITS - POSITION_BITS),
            key,
        }
    }

    fn shard(&self) -> usize {
        shard_of(self.position)
    }
}

fn shard_of(position: u64) -> usize {
    (position >> SHARD_SHIFT) as usize
}

type Shard = BTreeMap<Place, Entry>;

/// The map. Cloning it costs one reference count.
#[derive(Debug, Clone)]
pub(super) struct Table {
    shards: Arc<Vec<Arc<Shard>>>,
    len: usize,
}

impl Default for Table {
    fn default() -> Self {
        Self {
            shards: Arc::new(vec![Arc::default(); SHARDS]),
            len: 0,
        }
    }
}

impl Table {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn get(&self, key: &Bytes) -> Option<&Entry> {
        let place = Place::of(key.clone());
        self.shards[place.shard()].get(&place)
    }

    pub(super) fn insert(&mut self, key: Bytes, entry: Entry) -> Option<Entry> {
        let place = Place::of(key);
        let previous = self.shard_mut(&place).insert(place, entry);
        self.len += usize::from(previous.is_none());
        previous
    }

    pub(super) fn remove(&mut self, key: &Bytes) -> Option<Entry> {
        let place = Place::of(key.clone());
        // Looking first spares the copy of a shared shard when there is nothing to delete.
        if !self.shards[place.shard()].contains_key(&place) {
            return None;
        }
        self.len -= 1;
        self.shard_mut(&place).remove(&place)
    }

    fn shard_mut(&mut self, place: &Place) -> &mut Shard {
        Arc::make_mut(&mut Arc::make_mut(&mut self.shards)[place.shard()])
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Bytes, &Entry)> {
        self.places().map(|(place, entry)| (&place.key, entry))
    }

    fn places(&self) -> impl Iterator<Item = (&Place, &Entry)> {
        self.shards.iter().flat_map(|shard| shard.iter())
    }

    /// The places from a position on.
    fn places_from(&self, position: u64) -> impl Iterator<Item = (&Place, &Entry)> {
        let start = Place {
            position,
            key: Bytes::new(),
        };
        let shards = self.shards.get(shard_of(position)..).unwrap_or_default();
        let (first, rest) = shards.split_at(shards.len().min(1));
        let first = first
            .iter()
            .flat_map(move |shard| shard.range(start.clone()..));
        first.chain(rest.iter().flat_map(|shard| shard.iter()))
    }

    /// The place after another one, or the first.
    pub(super) fn next_after(&self, previous: Option<&Place>) -> Option<(&Place, &Entry)> {
        let Some(previous) = previous else {
            return self.places().next();
        };
        let (first, rest) = self.shards[previous.shard()..].split_first()?;
        let within = first
            .range((Bound::Excluded(previous), Bound::Unbounded))
            .next();
        within.or_else(|| rest.iter().find_map(|shard| shard.iter().next()))
    }

    pub(super) fn scan(&self, cursor: u64, count: usize) -> (u64, Vec<Bytes>) {
        let mut keys = Vec::new();
        let mut last = None;
        for (place, _) in self.places_from(cursor) {
            // Keys that share a position are told together: the cursor cannot point between them.
            if let Some(last) = last.filter(|last| keys.len() >= count && *last != place.position) {
                return (last + 1, keys);
            }
            last = Some(place.position);
            keys.push(place.key.clone());
        }
        (0, keys)
    }

    pub(super) fn pick(&self, seed: u64) -> Option<&Bytes> {
        let position = seed >> (u64::BITS - POSITION_BITS);
        let chosen = self
            .places_from(position)
            .next()
            .or_else(|| self.places().next());
        chosen.map(|(place, _)| &place.key)
    }
}
