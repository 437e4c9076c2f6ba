//! Sorted sets: members with scores, found by either.

use std::cmp::Ordering;
use std::sync::Arc;

use super::blob::Blob;
use super::place::{Place, scaled};
use super::tree::{Item, Tree};

/// A member as it is found by name.
#[derive(Debug, Clone)]
struct Member {
    place: Place,
    score: f64,
}

impl Item for Member {
    type Key = Place;

    fn key(&self) -> &Place {
        &self.place
    }
}

/// A member as it is found by score.
#[derive(Debug, Clone)]
struct Ranked {
    score: f64,
    member: Blob,
}

impl Item for Ranked {
    type Key = Self;

    fn key(&self) -> &Self {
        self
    }
}

impl Ranked {
    /// By score, then by the bytes of the member. Zero has one place, whatever its sign.
    fn compare(&self, score: f64, member: &[u8]) -> Ordering {
        let by_score = self.score.partial_cmp(&score);
        by_score
            .expect("no score is not a number: `SortedSet::insert` asserts it")
            .then_with(|| (*self.member).cmp(member))
    }
}

#[derive(Debug, Clone, Default)]
struct Trees {
    by_member: Tree<Member>,
    by_score: Tree<Ranked>,
}

/// A set of members, each with a score. It is kept twice, sorted by hash and by score; members too long to be stored in
/// place are shared between the two.
#[derive(Debug, Clone, Default)]
pub struct SortedSet {
    // One pointer, because two trees would make every value of the keyspace larger.
    trees: Arc<Trees>,
}

impl SortedSet {
    /// Number of members.
    pub fn len(&self) -> usize {
        self.trees.by_score.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The score of a member.
    pub fn score(&self, member: &[u8]) -> Option<f64> {
        let found = self.trees.by_member.look_up(member);
        found.map(|member| member.score)
    }

    /// The number of members before this one.
    pub fn rank(&self, member: &[u8]) -> Option<usize> {
        let score = self.score(member)?;
        Some(self.rank_at(score, member))
    }

    fn rank_at(&self, score: f64, member: &[u8]) -> usize {
        let before = |ranked: &Ranked| ranked.compare(score, member).is_lt();
        self.trees.by_score.search(before).0
    }

    /// The number of leading members that are `before` something, told by score and member.
    pub fn count_before(&self, before: impl Fn(f64, &[u8]) -> bool) -> usize {
        let before = |ranked: &Ranked| before(ranked.score, &ranked.member);
        self.trees.by_score.search(before).0
    }

    /// Gives a member a score, which must be a number, and returns the one it had.
    pub fn insert(&mut self, member: Blob, score: f64) -> Option<f64> {
        assert!(!score.is_nan(), "a score is a number");
        let previous = self.score(&member);
        match previous {
            // Negative zero in the place of zero is no change of order, but one of bytes.
            Some(previous) if previous.to_bits() == score.to_bits() => return Some(previous),
            Some(previous) => {
                let rank = self.rank_at(previous, &member);
                Arc::make_mut(&mut self.trees).by_score.remove(rank);
            }
            None => {}
        }
        let rank = self.rank_at(score, &member);
        let trees = Arc::make_mut(&mut self.trees);
        let ranked = Ranked {
            score,
            member: member.clone(),
        };
        trees.by_score.insert(rank, ranked);
        let place = Place::of(member);
        trees.by_member.put(Member { place, score });
        previous
    }

    /// Takes out a member and returns its score.
    pub fn remove(&mut self, member: &[u8]) -> Option<f64> {
        let score = self.score(member)?;
        let rank = self.rank_at(score, member);
        let trees = Arc::make_mut(&mut self.trees);
        trees.by_score.remove(rank);
        trees.by_member.take(member);
        Some(score)
    }

    /// Takes out the member at a rank below the length.
    pub fn remove_at(&mut self, rank: usize) -> (Blob, f64) {
        let trees = Arc::make_mut(&mut self.trees);
        let Ranked { score, member } = trees.by_score.remove(rank);
        trees.by_member.take(&member);
        (member, score)
    }

    /// All members in the order of their scores.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&Blob, f64)> + ExactSizeIterator {
        self.range(0, self.len())
    }

    /// The members from one rank to before another.
    pub fn range(
        &self,
        start: usize,
        end: usize,
    ) -> impl DoubleEndedIterator<Item = (&Blob, f64)> + ExactSizeIterator {
        let ranked = self.trees.by_score.range(start, end);
        ranked.map(|ranked| (&ranked.member, ranked.score))
    }

    /// A member and its score chosen by a number; each equally often.
    pub fn choose(&self, seed: u64) -> Option<(&Blob, f64)> {
        let rank = scaled(seed, self.len());
        self.range(rank, rank + 1).next()
    }

    /// The next members of a scan and the next cursor; see [`super::Keyspace::scan`].
    pub fn scan(&self, cursor: u64, count: usize) -> (u64, Vec<(&Blob, f64)>) {
        let (next, members) = self.trees.by_member.scan(cursor, count);
        let pairs = members.into_iter();
        (
            next,
            pairs
                .map(|member| (&member.place.key, member.score))
                .collect(),
        )
    }
}

impl<'a> FromIterator<(&'a Blob, f64)> for SortedSet {
    fn from_iter<I: IntoIterator<Item = (&'a Blob, f64)>>(members: I) -> Self {
        let mut set = Self::default();
        for (member, score) in members {
            set.insert(member.clone(), score);
        }
        set
    }
}

impl PartialEq for SortedSet {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for SortedSet {}
