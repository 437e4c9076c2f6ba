//! The decisions of the protocol as pure functions over plain numbers.
//!
//! The rules call them with units of the model; a program that watches real streams of any length calls them
//! with bytes. Nothing here knows a world, a link or a data set.

use crate::offset::{NextByte, ReplOffset};
use crate::rulebook::{
    IdCheck, Identity, LowerBound, NextRequest, Rulebook, SecondaryCheck, SecondaryLimit,
    UpperBound,
};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// A replication ID (or, in era `psync`, a run ID) as a number; what matters is which are equal.
pub type IdNumber = u64;

/// What a primary knows when it is asked to continue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The name of its history; `None` while nobody can know it.
    pub id: Option<IdNumber>,
    /// The former name, and the first byte that is no longer common.
    pub secondary: Option<(IdNumber, NextByte)>,
    /// The stream bytes it still has.
    pub window: Option<Window>,
}

/// The part of a stream that a backlog holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The first byte held.
    pub first: NextByte,
    /// The offset of the last byte held, which is the last one produced.
    pub end: ReplOffset,
    /// The configured size, in the same unit as the numbers.
    pub capacity: i64,
}

/// Which of its names a primary was addressed by when it agreed to continue.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Via {
    /// The current ID.
    Current,
    /// The secondary ID.
    Secondary,
    /// Neither: possible only for a primary that does not compare.
    Unchecked,
}

/// Why a primary refuses to continue.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// The request named no history: `PSYNC ? -1`, or SYNC.
    NoLabel,
    /// The ID is neither the current nor the secondary one.
    UnknownId,
    /// The ID is the secondary one, but the byte lies beyond what the two histories share.
    BeyondSecondary,
    /// There is no backlog.
    NoBacklog,
    /// The byte is no longer in the backlog.
    TooOld,
    /// The byte lies beyond the next one that will be produced.
    TooNew,
}

/// The answer to a request for a partial resynchronization.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// `+CONTINUE`, and the bytes from the one asked for.
    Continue(Via),
    /// A full resynchronization, for this reason.
    Full(Refusal),
}

/// Whether a primary continues a replica that asks for byte `asked.1` of history `asked.0`.
///
/// Source: `PROTOCOL §3.1`; `masterTryPartialResynchronization`, Redis 2.8 to 7.2.
pub fn answer(book: &Rulebook, primary: &Standing, asked: Option<(IdNumber, NextByte)>) -> Answer {
    let Some((id, byte)) = asked else {
        return Answer::Full(Refusal::NoLabel);
    };
    let via = match recognise(book, primary, id, byte) {
        Ok(via) => via,
        Err(refusal) => return Answer::Full(refusal),
    };
    let Some(window) = primary.window else {
        return Answer::Full(Refusal::NoBacklog);
    };
    if book.lower_bound == LowerBound::FirstHeld && byte < window.first {
        return Answer::Full(Refusal::TooOld);
    }
    if byte > highest_byte(book, &window) {
        return Answer::Full(Refusal::TooNew);
    }
    Answer::Continue(via)
}

fn recognise(
    book: &Rulebook,
    primary: &Standing,
    id: IdNumber,
    byte: NextByte,
) -> Result<Via, Refusal> {
    if primary.id == Some(id) {
        return Ok(Via::Current);
    }
    match primary.secondary {
        Some((former, _)) if former == id && book.secondary_check == SecondaryCheck::Ignored => {
            Ok(Via::Secondary)
        }
        Some((former, limit)) if former == id && byte <= limit => Ok(Via::Secondary),
        Some((former, _)) if former == id => Err(Refusal::BeyondSecondary),
        _ if book.id_check == IdCheck::Ignored => Ok(Via::Unchecked),
        _ => Err(Refusal::UnknownId),
    }
}

fn highest_byte(book: &Rulebook, window: &Window) -> NextByte {
    match book.upper_bound {
        UpperBound::JustAfterLast => window.end.next_byte(),
        UpperBound::Last => window.end.next_byte().plus(-1),
        UpperBound::OneBeyond => window.end.next_byte().plus(1),
        UpperBound::ByCapacity => window.first.plus(window.capacity),
    }
}

/// What a replica asks for, from the label it has: `None` is `PSYNC ? -1`, or SYNC.
///
/// Source: `PROTOCOL §2.2`, `PROTOCOL §4.2`; `slaveTryPartialResynchronization`, Redis 2.8 to 7.2.
pub fn next_request(
    book: &Rulebook,
    label: Option<(IdNumber, ReplOffset)>,
) -> Option<(IdNumber, NextByte)> {
    if book.identity == Identity::None {
        return None;
    }
    let (id, offset) = label?;
    match book.next_request {
        NextRequest::OffsetPlusOne => Some((id, offset.next_byte())),
        NextRequest::Offset => Some((id, offset.next_byte().plus(-1))),
    }
}

/// The first byte that is no longer common when a history with this offset goes on under a new ID.
///
/// Source: `PROTOCOL §3.7-4`, `PROTOCOL §3.7-7`; `shiftReplicationId`, Redis 4.0; `loadDataFromDisk`, Redis 7.0.
pub fn secondary_limit(book: &Rulebook, offset: ReplOffset) -> NextByte {
    match book.secondary_limit {
        SecondaryLimit::NextByte => offset.next_byte(),
        SecondaryLimit::Offset => offset.next_byte().plus(-1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rulebook::Era;

    const OWN: IdNumber = 7;
    const FORMER: IdNumber = 8;

    fn standing(first: i64, end: i64) -> Standing {
        Standing {
            id: Some(OWN),
            secondary: Some((FORMER, NextByte(20))),
            window: Some(Window {
                first: NextByte(first),
                end: ReplOffset(end),
                capacity: 100,
            }),
        }
    }

    #[test]
    fn the_edges_of_the_window_are_those_seen_on_real_servers() {
        // PROTOCOL §3.1 lists these answers for a backlog that starts at byte 1, at offset 50.
        let book = Era::Psync2V7.rulebook();
        let table = [
            (0, Answer::Full(Refusal::TooOld)),
            (1, Answer::Continue(Via::Current)),
            (50, Answer::Continue(Via::Current)),
            (51, Answer::Continue(Via::Current)),
            (52, Answer::Full(Refusal::TooNew)),
            (-1, Answer::Full(Refusal::TooOld)),
        ];
        for (byte, expected) in table {
            assert_eq!(
                answer(&book, &standing(1, 50), Some((OWN, NextByte(byte)))),
                expected,
                "byte {byte}"
            );
        }
    }

    #[test]
    fn the_secondary_id_serves_up_to_its_limit_and_only_what_is_held() {
        let book = Era::Psync2V7.rulebook();
        let ask = |byte| answer(&book, &standing(10, 50), Some((FORMER, NextByte(byte))));
        assert_eq!(ask(20), Answer::Continue(Via::Secondary));
        assert_eq!(ask(21), Answer::Full(Refusal::BeyondSecondary));
        assert_eq!(ask(9), Answer::Full(Refusal::TooOld));
    }

    #[test]
    fn without_label_id_or_backlog_there_is_no_continuing() {
        let book = Era::Psync2V7.rulebook();
        let mut primary = standing(1, 50);
        assert_eq!(
            answer(&book, &primary, None),
            Answer::Full(Refusal::NoLabel)
        );
        assert_eq!(
            answer(&book, &primary, Some((99, NextByte(51)))),
            Answer::Full(Refusal::UnknownId)
        );
        primary.window = None;
        assert_eq!(
            answer(&book, &primary, Some((OWN, NextByte(51)))),
            Answer::Full(Refusal::NoBacklog)
        );
    }

    #[test]
    fn a_replica_of_the_oldest_era_has_nothing_to_ask_with() {
        let label = Some((OWN, ReplOffset(5)));
        assert_eq!(next_request(&Era::Sync.rulebook(), label), None);
        assert_eq!(
            next_request(&Era::Psync.rulebook(), label),
            Some((OWN, NextByte(6)))
        );
    }
}
