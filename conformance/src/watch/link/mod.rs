//! One link: the conversation from the handshake to the stream, as far as both directions have passed. What is seen is
//! compared with what the protocol allows at this point; what has to be remembered beyond the link is in `known`.
//!
//! Bytes are judged before they are passed on. So an answer is never seen before its question, and an acknowledgement
//! never before the bytes it acknowledges. Between two links there is no such order, and none is assumed.
mod primary;
mod replica;

use std::sync::Arc;

use psync_model::offset::ReplOffset;
use psync_model::rulebook::Era;

use super::answers::Lines;
use super::finding::{From, Rule, Wrong};
use super::history::History;
use super::known::{Given, Id, Known, ReplicaKey};
use super::payload::Payload;
use super::requests::Asked;
use super::scanner::{Alphabet, Garbage, Item, Scanner};

/// How many words of a command are looked at.
const LOOKED_AT_WORDS: usize = 8;

/// What comes out of a few bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The protocol does not allow it.
    Wrong(Wrong),
    /// Worth a line, and no offence.
    Note {
        /// The line.
        text: String,
        /// Whether it says what is not judged.
        is_limit: bool,
    },
}

/// How far the conversation is.
#[derive(Debug)]
enum Stage {
    /// The handshake, or nothing yet.
    Talking,
    /// A request has passed and its answer has not.
    Asking(Asked),
    /// The answer promised a snapshot, whose first line has not passed.
    Promised,
    /// A snapshot is passing.
    Receiving(Payload),
    /// A snapshot that was sent directly has passed: the first acknowledgement is due.
    Gated,
    /// The stream.
    Streaming,
    /// Something that is not judged.
    Unjudged,
}

/// The copy that a link carries, and how far it has come.
#[derive(Debug)]
struct Copy {
    /// Its name, if it has one.
    id: Option<Id>,
    /// The first label, counted from 0 where there is none.
    start: ReplOffset,
    sent: ReplOffset,
    acknowledged: Option<ReplOffset>,
    /// Whether its bytes are still compared: not after the first that was wrong.
    is_sound: bool,
    /// The commands of a copy without a name, which has no history to be compared with.
    nameless: Option<History>,
}

/// One connection of a replica, or of somebody else.
#[derive(Debug)]
pub(super) struct Link {
    number: u64,
    host: String,
    port: Option<u16>,
    stage: Stage,
    requests: Scanner,
    /// Whether what the replica says can still be read.
    is_heard: bool,
    lines: Lines,
    /// How many replies are due before the answer to the request.
    due: u32,
    era: Era,
    is_rdb_only: bool,
    has_asked: bool,
    copy: Option<Copy>,
    from_replica: u64,
    from_primary: u64,
    blamed: Vec<Rule>,
    outcomes: Vec<Outcome>,
}

impl Link {
    /// A connection that was just opened from this host.
    pub(super) fn new(number: u64, host: String) -> Self {
        Self {
            number,
            host,
            port: None,
            stage: Stage::Talking,
            requests: Scanner::new(Alphabet::Requests, LOOKED_AT_WORDS),
            is_heard: true,
            lines: Lines::default(),
            due: 0,
            era: Era::Psync,
            is_rdb_only: false,
            has_asked: false,
            copy: None,
            from_replica: 0,
            from_primary: 0,
            blamed: Vec::new(),
            outcomes: Vec::new(),
        }
    }

    /// The host, and the port that was announced.
    pub(super) fn replica(&self) -> String {
        match self.port {
            Some(port) => format!("{} listening on {port}", self.host),
            None => self.host.clone(),
        }
    }

    /// Whether somebody asked to replicate on it.
    pub(super) fn is_replication(&self) -> bool {
        self.has_asked
    }

    /// Bytes of the stream that were sent and not acknowledged, on a link that carries one.
    pub(super) fn lag(&self) -> Option<i64> {
        let copy = self.copy.as_ref()?;
        let is_online = matches!(self.stage, Stage::Gated | Stage::Streaming);
        let acknowledged = copy.acknowledged.filter(|_| is_online)?;
        Some(copy.sent.since(acknowledged))
    }

    /// Whether a snapshot is passing of which the beginning has passed: its bytes are not looked at, but for its end.
    pub(super) fn is_inside_snapshot(&self) -> bool {
        matches!(&self.stage, Stage::Receiving(payload) if payload.has_head())
    }

    /// How many bytes of what passed are held.
    pub(super) fn held_bytes(&self) -> usize {
        let head = match &self.stage {
            Stage::Receiving(payload) => payload.held_bytes(),
            _ => 0,
        };
        self.lines.held_bytes() + head
    }

    /// Bytes pass to the primary.
    pub(super) fn hear_replica(&mut self, known: &mut Known, bytes: &[u8]) -> Vec<Outcome> {
        let mut rest = bytes;
        while !rest.is_empty() && self.is_heard && !matches!(self.stage, Stage::Unjudged) {
            let (taken, found) = self.requests.next(rest);
            let begin = self.from_replica;
            self.from_replica += taken as u64;
            match found {
                Ok(None | Some(Item::LineFeed)) => {}
                Ok(Some(Item::Command)) => self.understand(known),
                Err(Garbage) => self.noise(begin + taken as u64, &rest[taken..]),
            }
            rest = &rest[taken..];
        }
        self.from_replica += rest.len() as u64;
        self.remember(known);
        std::mem::take(&mut self.outcomes)
    }

    /// Bytes pass to the replica.
    pub(super) fn hear_primary(&mut self, known: &mut Known, bytes: &[u8]) -> Vec<Outcome> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let taken = self.take(known, rest);
            self.from_primary += taken as u64;
            rest = &rest[taken..];
        }
        self.remember(known);
        std::mem::take(&mut self.outcomes)
    }

    /// The link has ended.
    pub(super) fn end(&mut self, known: &mut Known) {
        let now_ms = known.now_ms;
        if let (Some(key), Some(_)) = (self.key(), &self.copy) {
            let past = known.past(&key);
            if past.link == self.number {
                past.gone_ms = Some(now_ms);
            }
        }
    }

    fn key(&self) -> Option<ReplicaKey> {
        Some((self.host.clone(), self.port?))
    }

    /// A copy begins; `is_cut` says that a command begins behind its first offset.
    fn begin(&mut self, id: Option<Id>, start: ReplOffset, is_cut: bool) {
        let nameless = id.is_none().then(|| History::new(start, is_cut, 0));
        self.copy = Some(Copy {
            id,
            start,
            sent: start,
            acknowledged: None,
            is_sound: true,
            nameless,
        });
    }

    /// The replica is back.
    fn back(&mut self, known: &mut Known) {
        let now_ms = known.now_ms;
        let Some(key) = self.key() else { return };
        if let Some(gone_ms) = known.past(&key).gone_ms.take() {
            known.figures.came_back(now_ms.saturating_sub(gone_ms));
        }
    }

    /// Keeps for the next link what this one has given.
    fn remember(&mut self, known: &mut Known) {
        let (Some(key), Some(copy)) = (self.key(), &self.copy) else {
            return;
        };
        if !matches!(self.stage, Stage::Gated | Stage::Streaming) {
            return;
        }
        let given = match &copy.id {
            Some(id) => Given::Labelled {
                id: Arc::clone(id),
                sent: copy.sent,
                acknowledged: copy.acknowledged,
                is_sound: copy.is_sound,
            },
            None => Given::Unlabelled {
                streamed: copy.sent,
            },
        };
        let past = known.past(&key);
        if past.link == self.number {
            past.given = Some(given);
        }
    }

    fn unjudged(&mut self, why: &str, known: &mut Known) {
        known.figures.counts.unjudged += 1;
        self.stage = Stage::Unjudged;
        self.note(format!("not judged: {why}"));
    }

    fn note(&mut self, text: String) {
        let is_limit = matches!(self.stage, Stage::Unjudged);
        self.outcomes.push(Outcome::Note { text, is_limit });
    }

    /// The next byte of the primary.
    fn at_primary(&self) -> (From, u64) {
        (From::Primary, self.from_primary)
    }

    /// The byte of the replica that came last: requests and acknowledgements are judged when they are complete.
    fn at_replica(&self) -> (From, u64) {
        (From::Replica, self.from_replica.saturating_sub(1))
    }

    /// Each rule once on a link: what follows from a mistake is no other one.
    fn blame(
        &mut self,
        rule: Rule,
        (from, before): (From, u64),
        offset: Option<ReplOffset>,
        expected: &str,
        seen: String,
    ) {
        if self.blamed.contains(&rule) {
            return;
        }
        self.blamed.push(rule);
        self.outcomes.push(Outcome::Wrong(Wrong {
            rule,
            from,
            before,
            offset,
            expected: expected.to_owned(),
            seen,
        }));
    }
}
