//! The fingerprints of what was visited, which all threads share.
//!
//! Eight bytes each, in tables that are between half and three quarters full. Large tables are in nobody's cache, and looking
//! into them is most of what a visit costs: so fingerprints come many at a time, and all of their places are asked for
//! before the first one is looked at. There are several tables because a table that grows is there twice meanwhile.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

/// What stands in a place that is free; a fingerprint that happens to be this one counts as another.
const FREE: u64 = 0;
const INSTEAD_OF_FREE: u64 = 8;

/// How many tables there are. The lowest bits of a fingerprint choose one, the highest a place in it.
const TABLES: usize = 8;

/// The places of a new table.
const FIRST_PLACES: usize = 512;

/// A set of fingerprints.
#[derive(Debug)]
pub(crate) struct Seen {
    tables: [Table; TABLES],
}

/// Fingerprints that somebody asks about, by the table in which each of them would be; kept, because its memory is used
/// again.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    /// With the place of each in the list of all.
    of_tables: [Vec<(usize, u64)>; TABLES],
    count: usize,
}

impl Asked {
    /// Adds one at the end of the list.
    pub(crate) fn push(&mut self, fingerprint: u64) {
        let fingerprint = if fingerprint == FREE {
            INSTEAD_OF_FREE
        } else {
            fingerprint
        };
        self.of_tables[fingerprint as usize % TABLES].push((self.count, fingerprint));
        self.count += 1;
    }

    pub(crate) fn clear(&mut self) {
        self.of_tables.iter_mut().for_each(Vec::clear);
        self.count = 0;
    }
}

#[derive(Debug)]
struct Table {
    places: RwLock<Vec<AtomicU64>>,
    /// How many fingerprints there are, and how many are about to be added.
    reserved: AtomicUsize,
}

impl Seen {
    pub(crate) fn new() -> Self {
        Self {
            tables: std::array::from_fn(|_| Table {
                places: RwLock::new(free(FIRST_PLACES)),
                reserved: AtomicUsize::new(0),
            }),
        }
    }

    /// How many there are; more by what other threads are adding just now.
    pub(crate) fn len(&self) -> usize {
        let tables = self.tables.iter();
        tables
            .map(|table| table.reserved.load(Ordering::Relaxed))
            .sum()
    }

    /// Adds all of these, and shows the places in the list of those that were not there.
    pub(crate) fn insert_all(&self, asked: &Asked, mut show_new: impl FnMut(usize)) {
        for (table, own) in self.tables.iter().zip(&asked.of_tables) {
            table.insert_all(own, &mut show_new);
        }
    }
}

impl Table {
    fn insert_all(&self, fingerprints: &[(usize, u64)], show_new: &mut impl FnMut(usize)) {
        let places = self.with_room(fingerprints.len());
        let asked = fingerprints.iter().fold(0, |all, &(_, fingerprint)| {
            all ^ places[place(fingerprint, places.len())].load(Ordering::Relaxed)
        });
        black_box(asked);
        let mut known = 0;
        for &(index, fingerprint) in fingerprints {
            if insert(&places, fingerprint) {
                show_new(index);
            } else {
                known += 1;
            }
        }
        self.reserved.fetch_sub(known, Ordering::Relaxed);
    }

    /// The table, with room for so many more, which is reserved.
    fn with_room(&self, more: usize) -> RwLockReadGuard<'_, Vec<AtomicU64>> {
        loop {
            let places = self.places.read().unwrap_or_else(PoisonError::into_inner);
            let before = self.reserved.fetch_add(more, Ordering::Relaxed);
            if before + more <= most_in(places.len()) {
                return places;
            }
            self.reserved.fetch_sub(more, Ordering::Relaxed);
            drop(places);
            self.grow(more);
        }
    }

    /// Makes room for so many more, unless another thread did. Nobody adds anything meanwhile.
    fn grow(&self, more: usize) {
        let mut places = self.places.write().unwrap_or_else(PoisonError::into_inner);
        let wanted = self.reserved.load(Ordering::Relaxed) + more;
        let mut count = places.len();
        while most_in(count) < wanted {
            count += count / 2;
        }
        if count == places.len() {
            return;
        }
        // Places follow the size of fingerprints, so that both tables are gone through from front to end.
        let larger = free(count);
        for place in places.iter_mut() {
            if *place.get_mut() != FREE {
                insert(&larger, *place.get_mut());
            }
        }
        *places = larger;
    }
}

/// So many free places.
fn free(places: usize) -> Vec<AtomicU64> {
    (0..places).map(|_| AtomicU64::new(FREE)).collect()
}

/// How many fingerprints so many places may hold.
const fn most_in(places: usize) -> usize {
    places / 4 * 3
}

/// Where among so many places a fingerprint ought to stand.
fn place(fingerprint: u64, places: usize) -> usize {
    ((u128::from(fingerprint) * places as u128) >> u64::BITS) as usize
}

/// Puts a fingerprint into the first place that is free or has it already; whether it is new.
fn insert(places: &[AtomicU64], fingerprint: u64) -> bool {
    let mut place = place(fingerprint, places.len());
    loop {
        let found = places[place].load(Ordering::Relaxed);
        if found == fingerprint {
            return false;
        }
        if found == FREE {
            let (old, new) = (FREE, fingerprint);
            match places[place].compare_exchange(old, new, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(other) if other == fingerprint => return false,
                Err(_) => {}
            }
        }
        place += 1;
        if place == places.len() {
            place = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::thread;

    fn asked(fingerprints: impl IntoIterator<Item = u64>) -> Asked {
        let mut asked = Asked::default();
        fingerprints.into_iter().for_each(|one| asked.push(one));
        asked
    }

    #[test]
    fn what_was_added_is_known_however_the_table_has_grown() {
        let (seen, mut known) = (Seen::new(), HashSet::new());
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..2_000 {
            // Small numbers come often, and all of them want the first place.
            let mut batch = [0; 30];
            batch.fill_with(|| random.u64(..) >> random.u32(..=56));
            let mut new = Vec::new();
            seen.insert_all(&asked(batch), |place| new.push(batch[place]));
            new.sort_unstable();
            let mut expected = batch.to_vec();
            expected.retain(|one| known.insert(if *one == FREE { INSTEAD_OF_FREE } else { *one }));
            expected.sort_unstable();
            assert_eq!(new, expected);
        }
        assert_eq!(seen.len(), known.len());
        assert!(known.len() > 10 * TABLES * FIRST_PLACES);
    }

    #[test]
    fn of_threads_that_add_the_same_one_is_told_that_it_is_new() {
        let seen = Seen::new();
        let all: Vec<u64> = (1..=50_000_u64).map(u64::reverse_bits).collect();
        let counts = thread::scope(|scope| {
            let count = || {
                let mut count = 0;
                for batch in all.chunks(20) {
                    seen.insert_all(&asked(batch.iter().copied()), |_| count += 1);
                }
                count
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(count)).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect::<Vec<usize>>()
        });
        assert_eq!(
            (counts.iter().sum::<usize>(), seen.len()),
            (all.len(), all.len())
        );
    }
}
