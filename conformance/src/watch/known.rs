//! What all links together have shown: the histories by their IDs, the name the primary goes by, and what each replica
//! was given. Everything here has a limit; what exceeds it is forgotten, oldest first, and then no longer judged.
use std::collections::BTreeMap;
use std::sync::Arc;

use psync_model::decision::{Answer, IdNumber, Standing, Window, answer};
use psync_model::offset::{NextByte, ReplOffset};
use psync_model::rulebook::Era;

use super::figures::Figures;
use super::history::History;

/// The most histories remembered: a node has two names, and a failover adds one.
const MAX_HISTORIES: usize = 8;
/// The most replicas remembered.
const MAX_REPLICAS: usize = 1_024;
/// An offset that no stream reaches, and to which everything can be added.
pub(super) const FAR: i64 = i64::MAX / 4;
/// The name of the history that is asked for, as a number; the primary's current one is another.
const ASKED: IdNumber = 0;
/// The primary's current name, where it is not the one asked for.
const CURRENT: IdNumber = 1;
/// The secondary name, where it is not the one asked for either.
const FORMER: IdNumber = 2;

/// A replication ID, in lower case: IDs are compared without case (`PROTOCOL §3.1`).
pub(super) type Id = Arc<str>;

/// Whose link it is: the address it came from and the port it announced.
pub(super) type ReplicaKey = (String, u16);

#[derive(Debug)]
struct Entry {
    history: History,
    /// The one name that was its name before, once an answer has told.
    former: Option<Id>,
    touched: u64,
}

/// What a replica has been given.
#[derive(Debug, Clone)]
pub(super) enum Given {
    /// A history, from some offset to another.
    Labelled {
        /// Its name.
        id: Id,
        /// The last byte sent.
        sent: ReplOffset,
        /// The last one acknowledged.
        acknowledged: Option<ReplOffset>,
        /// Whether the two ends still count alike: not after something stray.
        is_sound: bool,
    },
    /// A copy without a name, and so many bytes of a stream.
    Unlabelled {
        /// The bytes.
        streamed: ReplOffset,
    },
}

/// What is remembered of a replica.
#[derive(Debug, Clone, Default)]
pub(super) struct Past {
    /// The link it asked on last.
    pub(super) link: u64,
    /// What it was given last, if it was given anything.
    pub(super) given: Option<Given>,
    /// The name in the last `+FULLRESYNC` for it.
    pub(super) announced: Option<Id>,
    /// When its last link ended.
    pub(super) gone_ms: Option<u64>,
    /// Two links under this key were in use at once: nothing is said about it.
    pub(super) is_ambiguous: bool,
    touched: u64,
}

/// What all links together have shown.
#[derive(Debug)]
pub(super) struct Known {
    histories: BTreeMap<Id, Entry>,
    replicas: BTreeMap<ReplicaKey, Past>,
    /// The name the primary said last.
    pub(super) current: Option<Id>,
    /// What was measured.
    pub(super) figures: Figures,
    /// Milliseconds since the watch began.
    pub(super) now_ms: u64,
    history_bytes: usize,
    touches: u64,
}

impl Known {
    /// Nothing yet; all histories together may take so many bytes.
    pub(super) fn new(memory_bytes: usize) -> Self {
        Self {
            histories: BTreeMap::new(),
            replicas: BTreeMap::new(),
            current: None,
            figures: Figures::default(),
            now_ms: 0,
            history_bytes: memory_bytes / MAX_HISTORIES,
            touches: 0,
        }
    }

    /// The history of this name; one that is new begins behind this offset.
    pub(super) fn history(&mut self, id: &Id, start: ReplOffset) -> &mut History {
        let capacity = self.history_bytes;
        &mut self
            .entry(id, || History::new(start, false, capacity))
            .history
    }

    /// The history of this name, if it is known.
    pub(super) fn known_history(&mut self, id: &Id) -> Option<&mut History> {
        self.histories.get_mut(id).map(|entry| &mut entry.history)
    }

    fn entry(&mut self, id: &Id, begin: impl FnOnce() -> History) -> &mut Entry {
        self.touches += 1;
        let touched = self.touches;
        if !self.histories.contains_key(id) {
            forget_oldest(&mut self.histories, MAX_HISTORIES, |entry| entry.touched);
        }
        let begin = || Entry {
            history: begin(),
            former: None,
            touched,
        };
        let entry = self.histories.entry(Arc::clone(id)).or_insert_with(begin);
        entry.touched = touched;
        entry
    }

    /// The primary continues `asked` under the name `now`: both are one history up to there. Whether it may is asked of
    /// the model, with the most that the primary can have for all that has passed: the widest window, the name it
    /// gives, and the former name that answers have shown, up to the first byte known to differ.
    pub(super) fn continued(&mut self, era: Era, asked: (&Id, NextByte), now: &Id) -> Answer {
        let (id, byte) = asked;
        let is_same = id == now;
        let former = self
            .histories
            .get(now)
            .and_then(|entry| entry.former.clone());
        let parting = self.parting(id, now).unwrap_or(ReplOffset(FAR));
        let secondary = match former {
            Some(former) if former != *id => FORMER,
            _ => ASKED,
        };
        let standing = Standing {
            id: Some(if is_same { ASKED } else { CURRENT }),
            secondary: (!is_same).then_some((secondary, NextByte(parting.0))),
            window: Some(Window {
                first: NextByte(1),
                end: ReplOffset(FAR),
                capacity: FAR,
            }),
        };
        let answer = answer(&era.rulebook(), &standing, Some((ASKED, byte)));
        if matches!(answer, Answer::Continue(_)) && !is_same {
            self.join(id, byte.offset_before(), now);
        }
        answer
    }

    /// The first byte known to differ between two histories.
    fn parting(&self, one: &Id, other: &Id) -> Option<ReplOffset> {
        let (one, other) = (self.histories.get(one)?, self.histories.get(other)?);
        one.history.parts_from(&other.history, ReplOffset(FAR))
    }

    /// The history `now` is that of `former` up to this offset.
    fn join(&mut self, former: &Id, offset: ReplOffset, now: &Id) {
        let capacity = self.history_bytes;
        let common = self
            .histories
            .get(former)
            .map(|entry| entry.history.branch(offset));
        let begin = || common.unwrap_or_else(|| History::new(offset, false, capacity));
        self.entry(now, begin).former = Some(Arc::clone(former));
    }

    /// How many bytes of the streams are remembered.
    pub(super) fn held_bytes(&self) -> usize {
        self.histories
            .values()
            .map(|entry| entry.history.held())
            .sum()
    }

    /// What is remembered of a replica.
    pub(super) fn past(&mut self, key: &ReplicaKey) -> &mut Past {
        self.touches += 1;
        if !self.replicas.contains_key(key) {
            forget_oldest(&mut self.replicas, MAX_REPLICAS, |past| past.touched);
        }
        let past = self.replicas.entry(key.clone()).or_default();
        past.touched = self.touches;
        past
    }
}

/// Makes room for one more.
fn forget_oldest<K: Ord + Clone, V>(map: &mut BTreeMap<K, V>, limit: usize, age: fn(&V) -> u64) {
    if map.len() < limit {
        return;
    }
    let oldest = map.iter().min_by_key(|(_, value)| age(value));
    if let Some(key) = oldest.map(|(key, _)| key.clone()) {
        map.remove(&key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use psync_model::decision::{Refusal, Via};

    const ERA: Era = Era::Psync2V7;

    fn known() -> (Known, Id, Id, Id) {
        let mut known = Known::new(8_000);
        let [r, s, t] = ["r", "s", "t"].map(Id::from);
        known
            .history(&r, ReplOffset(0))
            .pass(ReplOffset(0), b"abcdef")
            .unwrap();
        (known, r, s, t)
    }

    #[test]
    fn a_name_has_one_predecessor_and_another_is_refused() {
        let (mut known, r, s, t) = known();
        let byte = NextByte(4);
        assert_eq!(
            known.continued(ERA, (&r, byte), &s),
            Answer::Continue(Via::Secondary)
        );
        assert_eq!(
            known.continued(ERA, (&s, byte), &s),
            Answer::Continue(Via::Current)
        );
        assert_eq!(
            known.continued(ERA, (&r, byte), &s),
            Answer::Continue(Via::Secondary)
        );
        assert_eq!(
            known.continued(ERA, (&t, byte), &s),
            Answer::Full(Refusal::UnknownId)
        );
    }

    #[test]
    fn the_secondary_name_serves_up_to_the_first_byte_that_differs() {
        let (mut known, r, s, _) = known();
        assert_eq!(
            known.continued(ERA, (&r, NextByte(3)), &s),
            Answer::Continue(Via::Secondary)
        );
        known
            .history(&s, ReplOffset(0))
            .pass(ReplOffset(2), b"cDe")
            .unwrap();
        assert_eq!(
            known.continued(ERA, (&r, NextByte(4)), &s),
            Answer::Continue(Via::Secondary)
        );
        let refused = known.continued(ERA, (&r, NextByte(5)), &s);
        assert_eq!(refused, Answer::Full(Refusal::BeyondSecondary));
    }

    #[test]
    fn no_window_holds_byte_zero() {
        let (mut known, r, ..) = known();
        assert_eq!(
            known.continued(ERA, (&r, NextByte(0)), &r),
            Answer::Full(Refusal::TooOld)
        );
    }

    #[test]
    fn memory_is_bounded_whatever_names_come() {
        let (mut known, ..) = known();
        for number in 0..5_000_i64 {
            let id = Id::from(format!("{number:040}"));
            known
                .history(&id, ReplOffset(number))
                .pass(ReplOffset(number), &[b'x'; 3_000])
                .unwrap();
            known.past(&(String::new(), number as u16));
        }
        assert_eq!(
            (known.histories.len(), known.replicas.len()),
            (MAX_HISTORIES, MAX_REPLICAS)
        );
        assert!(
            known
                .histories
                .values()
                .all(|entry| entry.history.held() <= 1_000)
        );
    }
}
