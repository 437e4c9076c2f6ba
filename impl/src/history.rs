//! The history a node calls its own: its name, the name it had before, how far it goes, the bytes and the backlog.
//!
//! Decisions are here, effects on connections are not. Offsets are in bytes of the stream.

use bytes::Bytes;

use crate::backlog::Backlog;
use crate::ids::{IdSource, ReplicationId};
use crate::offset::{NextByte, ReplOffset};
use crate::rulebook::{
    BacklogBirth, Expiry, FullLoad, IdCheck, LowerBound, Rulebook, SecondaryLimit, UpperBound,
};
use crate::shared_stream::{Position, SharedStream};

/// The name the history had before, and the last request honoured under it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Secondary {
    /// The former replication ID.
    pub id: ReplicationId,
    /// The last next byte that may be asked for under it (PROTOCOL §3.7).
    pub limit: NextByte,
}

/// What `PSYNC` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartialRequest {
    /// The name as it was written; `?` for "I have nothing".
    pub id: Vec<u8>,
    /// The first byte wanted.
    pub from: NextByte,
}

impl PartialRequest {
    /// Whether the replica asked for nothing to continue from.
    pub fn is_anonymous(&self) -> bool {
        self.id.first() == Some(&b'?')
    }
}

/// Why a partial resynchronization is declined (PROTOCOL §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Declined {
    /// The replica has nothing.
    #[error("the replica has no history")]
    Anonymous,
    /// The name is neither ours nor our secondary one.
    #[error("the replication ID is not known here")]
    ForeignId,
    /// The name is our secondary one, but the histories had parted by then.
    #[error("the secondary replication ID is good for requests up to {limit} only")]
    BeyondSecondary {
        /// The last request honoured.
        limit: NextByte,
    },
    /// There is no backlog.
    #[error("there is no backlog")]
    NoBacklog,
    /// The bytes are gone.
    #[error("the backlog begins at {first}")]
    TooOld {
        /// The first byte held.
        first: NextByte,
    },
    /// The bytes do not exist yet.
    #[error("the next byte to be written is {next}")]
    TooNew {
        /// The byte after the last.
        next: NextByte,
    },
}

/// Name, former name, offset, bytes and backlog.
#[derive(Debug)]
pub struct History {
    /// The replication ID; the run ID in the era `psync`.
    pub id: ReplicationId,
    /// The former name, where there is one.
    pub secondary: Option<Secondary>,
    /// The last byte produced here, or applied here on a replica.
    pub offset: ReplOffset,
    /// The bytes that the backlog covers or a replica has not been sent.
    pub stream: SharedStream,
    backlog: Option<Backlog>,
    backlog_size: u64,
}

impl History {
    /// A history at its beginning.
    pub fn new(id: ReplicationId, backlog_size: u64) -> Self {
        Self {
            id,
            secondary: None,
            offset: ReplOffset::ZERO,
            stream: SharedStream::default(),
            backlog: None,
            backlog_size,
        }
    }

    /// The backlog, where there is one.
    pub fn backlog(&self) -> Option<&Backlog> {
        self.backlog.as_ref()
    }

    /// Whether bytes are counted at all: without a backlog they are not (PROTOCOL §2.5).
    pub fn has_backlog(&self) -> bool {
        self.backlog.is_some()
    }

    /// Makes the backlog that the first replica needs, and every older label unusable (PROTOCOL §3.2, §3.6).
    pub fn create_first_backlog(&mut self, rules: &Rulebook, ids: &mut IdSource) {
        match rules.backlog_birth {
            BacklogBirth::Never => return,
            BacklogBirth::SkipsOneByte => self.offset = self.offset.advanced(1),
            BacklogBirth::FreshId => self.rename_afresh(ids),
            BacklogBirth::SkipsNothing => {}
        }
        self.create_backlog();
    }

    /// Makes an empty backlog that begins with the next byte, if there is none.
    pub fn create_backlog(&mut self) {
        let size = self.backlog_size;
        self.backlog
            .get_or_insert_with(|| Backlog::new(self.offset.next_byte(), size));
    }

    /// Gives up the backlog; from now on bytes go uncounted.
    pub fn free_backlog(&mut self) {
        self.backlog = None;
    }

    /// What happens when no replica was attached for too long (PROTOCOL §3.6).
    pub fn expire_backlog(&mut self, rules: &Rulebook, ids: &mut IdSource) {
        self.free_backlog();
        match rules.expiry {
            Expiry::KeepsId => {}
            Expiry::FreshId => self.rename_afresh(ids),
        }
    }

    /// Puts bytes into the stream; with a backlog they are counted too.
    pub fn append(&mut self, bytes: &Bytes, rules: &Rulebook) {
        self.stream.append(bytes);
        self.count(bytes.len() as u64, rules);
    }

    /// The same for a command, whose length in bytes it says.
    pub fn append_command(&mut self, args: &[Bytes], rules: &Rulebook) -> u64 {
        let length = self.stream.append_command(args);
        self.count(length, rules);
        length
    }

    fn count(&mut self, length: u64, rules: &Rulebook) {
        if let Some(backlog) = &mut self.backlog {
            self.offset = self.offset.advanced(length);
            backlog.append(length, rules.trim);
        }
    }

    /// Whether the backlog has grown enough to be trimmed.
    pub fn wants_trim(&self, rules: &Rulebook) -> bool {
        self.backlog
            .as_ref()
            .is_some_and(|backlog| backlog.is_too_large(rules.trim))
    }

    /// Trims the backlog; `pinned` is where the replica that is furthest behind stands.
    pub fn trim(&mut self, rules: &Rulebook, pinned: Option<Position>) {
        let pinned = pinned.map(|position| self.byte_at(position));
        if let Some(backlog) = &mut self.backlog {
            backlog.trim(rules.trim, pinned);
        }
    }

    /// Releases the bytes that neither the backlog covers nor a replica lacks.
    pub fn release(&mut self, pinned: Option<Position>) {
        let end = self.stream.end();
        let held = self.backlog.as_ref().map_or(0, Backlog::held);
        self.stream.release_before(
            pinned
                .map_or(end, |pinned| pinned.min(end))
                .min(end.back(held)),
        );
    }

    /// Gives the backlog, present or future, another size in bytes.
    pub fn resize_backlog(&mut self, size: u64, rules: &Rulebook, pinned: Option<Position>) {
        self.backlog_size = size;
        let pinned = pinned.map(|position| self.byte_at(position));
        if let Some(backlog) = &mut self.backlog {
            backlog.resize(size, rules.trim, pinned);
        }
    }

    /// The number of the byte at a position.
    fn byte_at(&self, position: Position) -> NextByte {
        let behind = self.stream.end().distance_from(position);
        NextByte::new(self.offset.next_byte().get() - behind as i64)
    }

    /// Where a byte stands in the stream; the edge of the backlog for one outside of it.
    pub fn position_of(&self, byte: NextByte) -> Position {
        let held = self.backlog.as_ref().map_or(0, Backlog::held);
        let behind = self.offset.next_byte().distance_from(byte).min(held);
        self.stream.end().back(behind)
    }

    /// Promotion: the name becomes the secondary one, good up to the next byte (PROTOCOL §3.7).
    pub fn shift(&mut self, ids: &mut IdSource) {
        self.secondary = Some(Secondary {
            id: self.id,
            limit: self.offset.next_byte(),
        });
        self.id = ids.fresh();
    }

    /// The primary tells the new name of the same history (PROTOCOL §3.7).
    pub fn rename(&mut self, id: ReplicationId) {
        self.secondary = Some(Secondary {
            id: self.id,
            limit: self.offset.next_byte(),
        });
        self.id = id;
    }

    /// A full resynchronization is complete: this is its label (PROTOCOL §3.7).
    pub fn adopt(&mut self, id: ReplicationId, offset: ReplOffset, rules: &Rulebook) {
        let backlog = match rules.full_load {
            FullLoad::CutsReplicas => None,
            FullLoad::KeepsReplicas => self.backlog.take(),
        };
        *self = Self {
            offset,
            stream: std::mem::take(&mut self.stream),
            backlog,
            ..Self::new(id, self.backlog_size)
        };
    }

    /// A primary restarted from a labelled snapshot goes on under a fresh name (PROTOCOL §3.7, §4.8).
    pub fn continue_saved(&mut self, id: ReplicationId, offset: ReplOffset) {
        self.secondary = Some(Secondary {
            id,
            limit: offset.next_byte(),
        });
        self.offset = offset;
        self.create_backlog();
    }

    /// Whether the request can be served from the backlog (PROTOCOL §3.1).
    pub fn decide(&self, request: &PartialRequest, rules: &Rulebook) -> Result<(), Declined> {
        if request.is_anonymous() {
            return Err(Declined::Anonymous);
        }
        self.check_id(request, rules)?;
        let backlog = self.backlog.as_ref().ok_or(Declined::NoBacklog)?;
        if request.from < backlog.first() && rules.lower_bound == LowerBound::Checked {
            return Err(Declined::TooOld {
                first: backlog.first(),
            });
        }
        let end = match rules.upper_bound {
            UpperBound::Inclusive => backlog.end(),
            UpperBound::Exclusive => NextByte::new(backlog.end().offset().get()),
            UpperBound::BySize => backlog.first().advanced(backlog.size()),
            UpperBound::OneBeyond => backlog.end().advanced(1),
        };
        if request.from > end {
            Err(Declined::TooNew {
                next: backlog.end(),
            })
        } else {
            Ok(())
        }
    }

    fn check_id(&self, request: &PartialRequest, rules: &Rulebook) -> Result<(), Declined> {
        if self.id.matches(&request.id) || rules.id_check == IdCheck::Ignored {
            return Ok(());
        }
        let secondary = self
            .secondary
            .filter(|former| former.id.matches(&request.id));
        let limit = secondary.ok_or(Declined::ForeignId)?.limit;
        let allowed = match rules.secondary_limit {
            SecondaryLimit::NextByte => request.from <= limit,
            SecondaryLimit::OneShort => request.from < limit,
            SecondaryLimit::Ignored => true,
        };
        if allowed {
            Ok(())
        } else {
            Err(Declined::BeyondSecondary { limit })
        }
    }

    /// The history goes on under a fresh name, and without the one it had before.
    pub fn rename_afresh(&mut self, ids: &mut IdSource) {
        self.id = ids.fresh();
        self.secondary = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rulebook::Era;

    fn history_of_50_bytes(era: Era) -> (History, IdSource) {
        let mut ids = IdSource::from_seed([3; 32]);
        let mut history = History::new(ids.fresh(), 1 << 20);
        let rules = Rulebook::of(era);
        history.create_first_backlog(&rules, &mut ids);
        history.append(&Bytes::from(vec![b'x'; 50]), &rules);
        (history, ids)
    }

    fn ask(history: &History, era: Era, id: ReplicationId, from: i64) -> Result<(), Declined> {
        let request = PartialRequest {
            id: id.as_bytes().to_vec(),
            from: NextByte::new(from),
        };
        history.decide(&request, &Rulebook::of(era))
    }

    #[test]
    fn the_window_includes_its_first_byte_and_the_one_after_its_last() {
        let (history, _) = history_of_50_bytes(Era::Psync2V7);
        let answers = [-1, 0, 1, 6, 50, 51, 52]
            .map(|from| ask(&history, Era::Psync2V7, history.id, from).is_ok());
        assert_eq!(answers, [false, false, true, true, true, true, false]);
    }

    #[test]
    fn in_the_run_id_era_everything_is_shifted_by_one() {
        let (history, _) = history_of_50_bytes(Era::Psync);
        let answers =
            [1, 2, 51, 52, 53].map(|from| ask(&history, Era::Psync, history.id, from).is_ok());
        assert_eq!(answers, [false, true, true, true, false]);
    }

    #[test]
    fn a_promoted_node_honours_its_former_name_up_to_the_next_byte() {
        let (mut history, mut ids) = history_of_50_bytes(Era::Psync2V7);
        let former = history.id;
        history.shift(&mut ids);
        history.append(&Bytes::from(vec![b'y'; 50]), &Rulebook::of(Era::Psync2V7));
        assert_eq!(ask(&history, Era::Psync2V7, former, 51), Ok(()));
        assert_eq!(
            ask(&history, Era::Psync2V7, former, 52),
            Err(Declined::BeyondSecondary {
                limit: NextByte::new(51)
            })
        );
        assert_eq!(ask(&history, Era::Psync2V7, history.id, 101), Ok(()));
    }

    #[test]
    fn a_restarted_primary_continues_exactly_the_saved_offset() {
        let mut ids = IdSource::from_seed([3; 32]);
        let saved = ids.fresh();
        let mut history = History::new(ids.fresh(), 1 << 20);
        history.continue_saved(saved, ReplOffset::new(171));
        let answers = [171, 172, 173].map(|from| ask(&history, Era::Psync2V7, saved, from).is_ok());
        assert_eq!(answers, [false, true, false]);
    }

    #[test]
    fn an_expired_backlog_takes_its_name_along() {
        let (mut history, mut ids) = history_of_50_bytes(Era::Psync2);
        let former = history.id;
        history.expire_backlog(&Rulebook::of(Era::Psync2), &mut ids);
        assert_ne!(history.id, former);
        assert_eq!(
            ask(&history, Era::Psync2, former, 51),
            Err(Declined::ForeignId)
        );
    }
}
