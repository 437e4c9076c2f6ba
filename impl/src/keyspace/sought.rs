//! Where a key stands among sorted ones, found by what its hash says of its place.

use std::cmp::Ordering;
use std::ops::Range;

/// A key that is sought in a sorted tree.
pub(super) trait Sought<K> {
    /// How a key stands to this one.
    fn compare(&self, key: &K) -> Ordering;

    /// A number below 2^48 that grows with the key, all numbers being about equally frequent.
    fn position(&self) -> u64;

    /// The same of a key.
    fn position_of(key: &K) -> u64;
}

/// The positions that there are.
pub(super) const EVERYWHERE: Range<u64> = 0..1 << 48;

/// Of slots sorted by keys that lie between two positions, the number of those whose key is not beyond what is sought.
/// It looks first where that would stand if the keys were spread evenly, and goes on from there: positions are hash values,
/// so it is rarely more than a few slots away, all of them neighbours in memory.
pub(super) fn rank<S, K>(
    slots: &[S],
    key: impl Fn(&S) -> &K,
    sought: &impl Sought<K>,
    bounds: &Range<u64>,
) -> usize {
    let mut at = expected_rank(slots.len(), sought, bounds);
    while at > 0 && sought.compare(key(&slots[at - 1])).is_gt() {
        at -= 1;
    }
    while at < slots.len() && sought.compare(key(&slots[at])).is_le() {
        at += 1;
    }
    at
}

/// The rank among so many keys if they were spread evenly.
pub(super) fn expected_rank<K>(
    slots: usize,
    sought: &impl Sought<K>,
    bounds: &Range<u64>,
) -> usize {
    let passed = sought.position().saturating_sub(bounds.start);
    let width = bounds.end.saturating_sub(bounds.start).max(1);
    let guess = passed * slots as u64 / width;
    slots.min(guess as usize)
}
