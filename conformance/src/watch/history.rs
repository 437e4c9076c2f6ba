//! What is remembered of one history: the last bytes that passed under its ID, with their offsets, and where its commands
//! end. Every link that carries the history compares its bytes with the memory and adds what is new; so each byte is
//! scanned once, however many replicas it is sent to. The memory has a fixed size: of what is older, nothing is said.
use std::collections::VecDeque;

use psync_model::offset::ReplOffset;

use super::finding::SHOWN_BYTES;
use super::scanner::{Alphabet, Garbage, Item, Scanner};

/// For so many bytes that may be remembered, one end of a command may be, too: a quarter of the memory more.
const BYTES_A_BOUNDARY: usize = 32;

/// How sure it is that commands are read from their first byte on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Anchor {
    /// A snapshot was cut here, or an acknowledgement agreed with what was read.
    Sure,
    /// Somebody asked for this byte; he may have asked for the middle of a command.
    Assumed,
    /// It was not so.
    Lost,
}

/// Something that cannot be, at an offset of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Another byte than before.
    Clash {
        /// The offset of the first byte that differs.
        at: ReplOffset,
        /// What had passed before, with some bytes around it.
        known: Vec<u8>,
        /// What came now.
        came: Vec<u8>,
    },
    /// Something that is no command.
    Stray {
        /// The offset of its first byte.
        at: ReplOffset,
        /// How it begins.
        came: Vec<u8>,
    },
}

/// The memory of one history.
#[derive(Debug, Clone)]
pub(super) struct History {
    bytes: VecDeque<u8>,
    end: ReplOffset,
    capacity: usize,
    scanner: Scanner,
    anchor: Anchor,
    is_in_transaction: bool,
    boundaries: VecDeque<ReplOffset>,
    /// Where a snapshot was cut, if the bytes before have not all passed yet.
    cut: Option<ReplOffset>,
}

impl History {
    /// A memory that begins behind this offset; `is_sure` says that a command begins there.
    pub(super) fn new(start: ReplOffset, is_sure: bool, capacity: usize) -> Self {
        let mut history = Self {
            bytes: VecDeque::new(),
            end: start,
            capacity,
            scanner: Scanner::new(Alphabet::Stream, 1),
            anchor: Anchor::Lost,
            is_in_transaction: false,
            boundaries: VecDeque::new(),
            cut: None,
        };
        history.restart(start, is_sure);
        history
    }

    /// The offset of the last byte that passed.
    pub(super) fn end(&self) -> ReplOffset {
        self.end
    }

    /// How many bytes are remembered.
    pub(super) fn held(&self) -> usize {
        self.bytes.len()
    }

    /// A snapshot was cut at this offset: a command begins behind it.
    pub(super) fn cut_at(&mut self, offset: ReplOffset) {
        if offset >= self.end {
            self.cut = Some(offset);
        }
    }

    /// Bytes pass behind this offset.
    pub(super) fn pass(&mut self, before: ReplOffset, bytes: &[u8]) -> Result<(), Trouble> {
        if before > self.end {
            self.restart(before, self.cut == Some(before));
        }
        let known = (self.end.since(before) as usize).min(bytes.len());
        self.compare(before, &bytes[..known], bytes)?;
        let (up_to_cut, rest) = bytes[known..].split_at(self.before_cut(bytes.len() - known));
        self.add(up_to_cut)?;
        if !rest.is_empty() && self.cut == Some(self.end) {
            self.begin_command();
        }
        self.add(rest)
    }

    /// How many of the next bytes come before the place of a cut, if reading has to begin anew there.
    fn before_cut(&self, count: usize) -> usize {
        match self.cut {
            Some(cut) if cut >= self.end && self.anchor != Anchor::Sure => {
                (cut.since(self.end) as usize).min(count)
            }
            _ => 0,
        }
    }

    /// A command begins here, whatever was read before.
    fn begin_command(&mut self) {
        self.cut = None;
        if self.anchor != Anchor::Sure {
            self.scanner = Scanner::new(Alphabet::Stream, 1);
            self.is_in_transaction = false;
            self.boundaries.clear();
            self.boundaries.push_back(self.end);
            self.anchor = Anchor::Sure;
        }
    }

    /// Whether this offset lies between two commands, outside of transactions; nothing if that is not known.
    pub(super) fn is_boundary(&self, offset: ReplOffset) -> Option<bool> {
        let first = *self.boundaries.front()?;
        let is_covered = self.anchor == Anchor::Sure && first <= offset && offset <= self.end;
        is_covered.then(|| self.boundaries.binary_search(&offset).is_ok())
    }

    /// A replica that counts whole commands stands here: if commands were read so, they were read rightly.
    pub(super) fn stands_at(&mut self, offset: ReplOffset) {
        let is_behind_start = self.boundaries.front().is_some_and(|first| *first < offset);
        let agrees = is_behind_start && self.boundaries.binary_search(&offset).is_ok();
        if self.anchor == Anchor::Assumed && agrees {
            self.anchor = Anchor::Sure;
        }
    }

    /// The same history up to this offset: what is common with one that goes on under another ID.
    pub(super) fn branch(&self, offset: ReplOffset) -> Self {
        if offset >= self.end {
            return self.clone();
        }
        let is_sure = self.is_boundary(offset) == Some(true);
        let mut branch = Self::new(offset, is_sure, self.capacity);
        let gone = (self.end.since(offset) as usize).min(self.bytes.len());
        branch
            .bytes
            .extend(self.bytes.iter().take(self.bytes.len() - gone));
        if is_sure {
            let earlier = self.boundaries.iter().take_while(|end| **end <= offset);
            branch.boundaries = earlier.copied().collect();
        }
        branch
    }

    /// The offset of the first byte, of those that both remember up to `limit`, that is not the same in both.
    pub(super) fn parts_from(&self, other: &Self, limit: ReplOffset) -> Option<ReplOffset> {
        let start = self.start().max(other.start());
        let end = self.end.min(other.end).min(limit);
        let count = usize::try_from(end.since(start)).ok()?;
        let from = |history: &Self| start.since(history.start()) as usize;
        let mine = self.bytes.range(from(self)..from(self) + count);
        let mut both = mine.zip(other.bytes.range(from(other)..from(other) + count));
        let same = both.position(|(mine, theirs)| mine != theirs)?;
        Some(start.plus(same as i64 + 1))
    }

    /// The offset behind which the memory begins.
    fn start(&self) -> ReplOffset {
        self.end.plus(-(self.bytes.len() as i64))
    }

    fn restart(&mut self, offset: ReplOffset, is_sure: bool) {
        self.bytes.clear();
        self.end = offset;
        self.anchor = Anchor::Assumed;
        self.scanner = Scanner::new(Alphabet::Stream, 1);
        self.is_in_transaction = false;
        self.boundaries.clear();
        self.boundaries.push_back(offset);
        if is_sure {
            self.begin_command();
        }
    }

    fn compare(&self, before: ReplOffset, bytes: &[u8], all: &[u8]) -> Result<(), Trouble> {
        let skipped = self.start().since(before).max(0) as usize;
        let Some(bytes) = bytes.get(skipped..).filter(|bytes| !bytes.is_empty()) else {
            return Ok(());
        };
        let from = before.plus(skipped as i64).since(self.start()) as usize;
        let Some(same) = first_difference(&self.bytes, from, bytes) else {
            return Ok(());
        };
        let around = |at: usize| at.saturating_sub(SHOWN_BYTES);
        let (mine, theirs) = (from + same, skipped + same);
        let back = around(mine).max(mine - theirs.min(SHOWN_BYTES).min(mine));
        let shown = (mine + SHOWN_BYTES).min(self.bytes.len());
        let known = self.bytes.range(back..shown).copied().collect();
        let back = theirs - (mine - back);
        let came = all[back..(theirs + SHOWN_BYTES).min(all.len())].to_vec();
        let at = before.plus(theirs as i64 + 1);
        Err(Trouble::Clash { at, known, came })
    }

    fn add(&mut self, bytes: &[u8]) -> Result<(), Trouble> {
        let mut at = 0;
        while self.anchor != Anchor::Lost && at < bytes.len() {
            let (taken, found) = self.scanner.next(&bytes[at..]);
            let is_stray = match found {
                Ok(None) => false,
                Ok(Some(Item::Command)) => {
                    self.end_of_command(self.end.plus((at + taken) as i64));
                    false
                }
                Ok(Some(Item::LineFeed)) => true,
                Err(Garbage) => {
                    let was_sure = self.anchor == Anchor::Sure;
                    self.anchor = Anchor::Lost;
                    at += taken;
                    if was_sure {
                        return self.stray(bytes, at);
                    }
                    break;
                }
            };
            if is_stray && self.anchor == Anchor::Sure {
                return self.stray(bytes, at);
            }
            at += taken;
        }
        self.append(bytes);
        Ok(())
    }

    /// Keeps what came before the stray bytes, and refuses them.
    fn stray(&mut self, bytes: &[u8], at: usize) -> Result<(), Trouble> {
        self.append(&bytes[..at]);
        let came = bytes[at..(at + SHOWN_BYTES).min(bytes.len())].to_vec();
        let at = self.end.plus(1);
        Err(Trouble::Stray { at, came })
    }

    fn end_of_command(&mut self, end: ReplOffset) {
        match self.scanner.words().first() {
            Some(name) if name.eq_ignore_ascii_case(b"MULTI") => self.is_in_transaction = true,
            Some(name) if name.eq_ignore_ascii_case(b"EXEC") => self.is_in_transaction = false,
            _ => {}
        }
        if self.is_in_transaction {
            return;
        }
        self.boundaries.push_back(end);
        if self.boundaries.len() > self.capacity / BYTES_A_BOUNDARY {
            self.boundaries.pop_front();
        }
    }

    fn append(&mut self, bytes: &[u8]) {
        self.end = self.end.plus(bytes.len() as i64);
        let kept = &bytes[bytes.len().saturating_sub(self.capacity)..];
        let surplus = (self.bytes.len() + kept.len()).saturating_sub(self.capacity);
        self.bytes.drain(..surplus);
        self.bytes.extend(kept);
    }
}

/// The place of the first of these bytes that differs from the memory, which is compared from `from` on.
fn first_difference(memory: &VecDeque<u8>, from: usize, bytes: &[u8]) -> Option<usize> {
    let (front, back) = memory.as_slices();
    let front = front.get(from..).unwrap_or_default();
    let back = &back[from.saturating_sub(memory.len() - back.len())..];
    let (first, second) = bytes.split_at(bytes.len().min(front.len()));
    let in_front = unlike(first, &front[..first.len()]);
    in_front.or_else(|| {
        let place = unlike(second, &back[..second.len().min(back.len())])?;
        Some(first.len() + place)
    })
}

fn unlike(one: &[u8], other: &[u8]) -> Option<usize> {
    if one == other {
        return None;
    }
    one.iter().zip(other).position(|(one, other)| one != other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::encode;

    const CAPACITY: usize = 320;

    fn at(offset: i64) -> ReplOffset {
        ReplOffset(offset)
    }

    /// A history that begins at 1000, with these commands.
    fn history(commands: &[&str]) -> History {
        let mut history = History::new(at(1000), true, CAPACITY);
        history.pass(at(1000), &stream(commands)).unwrap();
        history
    }

    fn stream(commands: &[&str]) -> Vec<u8> {
        let words = |command: &&str| encode(&command.split(' ').collect::<Vec<_>>());
        commands.iter().flat_map(words).collect()
    }

    #[test]
    fn the_same_bytes_again_are_fine_at_every_split_and_others_are_named() {
        let commands = ["SET a 1", "PING", "SET b 2"];
        let bytes = stream(&commands);
        for wrong in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[wrong] ^= 1;
            for step in [1, 7, bytes.len()] {
                let mut history = history(&commands);
                let mut before = at(1000);
                let found = changed.chunks(step).find_map(|piece| {
                    let found = history.pass(before, piece).err();
                    before = before.plus(piece.len() as i64);
                    found
                });
                let Some(Trouble::Clash {
                    at: place,
                    known,
                    came,
                }) = found
                else {
                    panic!("byte {wrong}: {found:?}")
                };
                assert_eq!(place, at(1001 + wrong as i64));
                assert_ne!(known, came);
                assert_eq!(history.pass(at(1000), &bytes), Ok(()));
            }
        }
    }

    #[test]
    fn memory_is_bounded_and_what_is_forgotten_is_not_judged() {
        let mut history = history(&[]);
        let ping = stream(&["PING"]);
        for round in 0..50 {
            history.pass(at(1000 + round * 14), &ping).unwrap();
        }
        assert_eq!((history.held(), history.end()), (CAPACITY, at(1700)));
        assert_eq!(history.pass(at(1000), &[b'x'; 380]), Ok(()));
        assert!(history.pass(at(1000), &[b'x'; 381]).is_err());
    }

    #[test]
    fn boundaries_lie_between_commands_and_outside_of_transactions() {
        let history = history(&["PING", "MULTI", "SET a 1", "EXEC", "PING"]);
        let sure: Vec<i64> = (1000..=history.end().0)
            .filter(|offset| history.is_boundary(at(*offset)) == Some(true))
            .collect();
        let multi = stream(&["MULTI", "SET a 1", "EXEC"]).len() as i64;
        assert_eq!(sure, [1000, 1014, 1014 + multi, 1028 + multi]);
        assert_eq!(history.is_boundary(at(999)), None);
    }

    #[test]
    fn after_a_gap_nothing_is_sure_until_an_acknowledgement_agrees() {
        let mut history = history(&["PING"]);
        history.pass(at(2000), &stream(&["PING", "PING"])).unwrap();
        assert_eq!(history.is_boundary(at(2014)), None);
        history.stands_at(at(2014));
        assert_eq!(history.is_boundary(at(2014)), Some(true));
        assert_eq!(history.is_boundary(at(2015)), Some(false));
        // From the middle of a command: it is not accused, and not read.
        history.pass(at(3000), b"SET\r\n").unwrap();
        assert_eq!(history.is_boundary(at(3000)), None);
    }

    #[test]
    fn where_a_snapshot_was_cut_reading_begins_anew() {
        for gap in [0, 7] {
            let mut history = history(&["PING"]);
            history.pass(at(2000), b"SET\r\n").unwrap();
            history.cut_at(at(2005 + gap));
            history.pass(at(2005), &vec![b'x'; gap as usize]).unwrap();
            history.pass(at(2005 + gap), &stream(&["PING"])).unwrap();
            assert_eq!(history.is_boundary(at(2019 + gap)), Some(true));
            assert_eq!(history.is_boundary(at(2018 + gap)), Some(false));
        }
        let mut history = history(&["PING"]);
        history.cut_at(at(3000));
        history.pass(at(3000), &stream(&["PING"])).unwrap();
        assert_eq!(history.is_boundary(at(3014)), Some(true));
    }

    #[test]
    fn stray_bytes_are_refused_and_the_history_goes_on_without_them() {
        let mut history = history(&["PING"]);
        let ping = stream(&["PING"]);
        let with_stray = [ping.as_slice(), b"\n", &ping].concat();
        let Err(Trouble::Stray { at: place, .. }) = history.pass(at(1014), &with_stray) else {
            panic!("the line feed passed")
        };
        assert_eq!((place, history.end()), (at(1029), at(1028)));
        assert_eq!(
            history.pass(at(1014), &[ping.as_slice(), &ping].concat()),
            Ok(())
        );
        let error = history.pass(history.end(), b"-ERR no\r\n");
        assert!(matches!(error, Err(Trouble::Stray { at: place, .. }) if place == at(1043)));
    }

    #[test]
    fn histories_that_part_know_where() {
        let old = history(&["PING", "SET a 1"]);
        let mut new = old.branch(at(1014));
        assert_eq!(
            (new.end(), new.is_boundary(at(1014))),
            (at(1014), Some(true))
        );
        new.pass(at(1014), &stream(&["SET a 2"])).unwrap();
        let parting = at(1014 + 25);
        assert_eq!(old.parts_from(&new, at(i64::MAX)), Some(parting));
        assert_eq!(old.parts_from(&new, parting.plus(-1)), None);
    }
}
