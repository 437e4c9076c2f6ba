//! What a replica knows of its primary: the link in its phases, the cached primary, and the lines it reads.
//!
//! Only values and the reading of bytes are here; the module `link` acts on them.

use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};

use crate::client::Session;
use crate::config::PrimaryAddress;
use crate::event::LinkId;
use crate::ids::ReplicationId;
use crate::offset::ReplOffset;
use crate::payload::{MAX_PAYLOAD_BYTES, Payload};
use crate::resp::{Limits, RequestDecoder};

/// The longest status line a primary may send: the longest of the protocol is under 100 bytes.
const MAX_LINE_BYTES: usize = 64 * 1024;

/// Wait before the first attempt after a failure; it doubles up to [`MAX_BACKOFF_MS`].
const FIRST_BACKOFF_MS: u64 = 50;

/// The longest wait between two attempts (PROTOCOL §4.1: one second).
const MAX_BACKOFF_MS: u64 = 1_000;

/// What this node is to others.
#[derive(Debug)]
pub enum Role {
    /// It writes its own history.
    Primary,
    /// It follows another node.
    Replica(Box<Following>),
}

/// A replica's knowledge of its primary.
#[derive(Debug)]
pub struct Following {
    /// Where the primary listens.
    pub address: PrimaryAddress,
    /// The link, or the wait for one.
    pub link: Link,
    /// What can be asked for when the link is lost.
    pub cached: Option<CachedPrimary>,
    /// The wait before the next attempt.
    pub backoff_ms: u64,
    /// Since when the link is down.
    pub down_since_ms: u64,
}

/// The suspended state of a lost link (PROTOCOL §1, §4.5).
#[derive(Debug)]
pub struct CachedPrimary {
    /// The name of the history.
    pub id: ReplicationId,
    /// How much of it we have.
    pub offset: ReplOffset,
    /// Database and, in the run-ID era, the open transaction.
    pub session: Session,
    /// Bytes read but not executed, kept in the run-ID era only.
    pub unparsed: Bytes,
}

/// The connection to the primary, in its phases (PROTOCOL §4.1).
#[derive(Debug)]
pub enum Link {
    /// No connection; the next attempt is due then.
    Down {
        /// When.
        retry_at_ms: u64,
    },
    /// The connection is being made.
    Connecting {
        /// Which attempt.
        id: LinkId,
        /// Since when.
        since_ms: u64,
    },
    /// The two sides introduce themselves.
    Handshake(Handshake),
    /// The snapshot arrives.
    Transfer(Transfer),
    /// The snapshot is being read; nothing is replaced yet.
    Loading(Loading),
    /// The stream arrives.
    Connected(Box<Connected>),
}

/// A handshake under way.
#[derive(Debug)]
pub struct Handshake {
    /// Which attempt.
    pub id: LinkId,
    /// The replies awaited, in order.
    pub awaited: VecDeque<Stage>,
    /// Bytes without a line end so far.
    pub input: BytesMut,
    /// When the primary was last heard.
    pub heard_ms: u64,
}

/// A reply awaited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// To `PING`.
    Pong,
    /// To `AUTH`.
    Password,
    /// To `REPLCONF listening-port`.
    Port,
    /// To `REPLCONF ip-address`.
    Address,
    /// To `REPLCONF capa`.
    Capabilities,
    /// To `PSYNC`.
    Answer,
}

/// A snapshot arriving.
#[derive(Debug)]
pub struct Transfer {
    /// Which attempt.
    pub id: LinkId,
    /// What it will be the data of; nothing after `SYNC`.
    pub label: Option<Label>,
    /// What has come so far.
    pub payload: Payload,
    /// When the primary was last heard.
    pub heard_ms: u64,
}

/// A snapshot that has arrived and is being read.
#[derive(Debug)]
pub struct Loading {
    /// Which attempt.
    pub id: LinkId,
    /// What it will be the data of; nothing after `SYNC`.
    pub label: Option<Label>,
    /// The stream that came meanwhile.
    pub rest: BytesMut,
    /// Whether an acknowledgement is due at once.
    pub had_mark: bool,
    /// The length of the snapshot.
    pub payload_bytes: u64,
    /// When the primary is told again that we are alive.
    pub next_newline_ms: u64,
    /// When the primary was last heard.
    pub heard_ms: u64,
}

/// What a `+FULLRESYNC` line announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Label {
    /// The name of the history.
    pub id: ReplicationId,
    /// The offset of the snapshot.
    pub offset: ReplOffset,
}

/// The stream arriving.
#[derive(Debug)]
pub struct Connected {
    /// Which attempt.
    pub id: LinkId,
    /// The name of the history, as it will be asked for.
    pub history: ReplicationId,
    /// Database and transaction.
    pub session: Session,
    /// Bytes that are not yet a whole command.
    pub input: BytesMut,
    /// Finds the commands in them.
    pub decoder: RequestDecoder,
    /// All bytes that are not yet in our own stream, as they came.
    pub unrelayed: Pieces,
    /// How many of these are part of applied units.
    pub relayable: usize,
    /// How many after those belong to commands that were executed or queued.
    pub consumed: usize,
    /// All bytes read.
    pub read: ReplOffset,
    /// All bytes applied.
    pub applied: ReplOffset,
    /// We came by `SYNC`: there is no label, and nothing to acknowledge.
    pub without_label: bool,
    /// Whether to acknowledge at all; the one fault says no.
    pub acknowledges: bool,
    /// When the next acknowledgement is due.
    pub next_ack_ms: u64,
    /// When the primary was last heard.
    pub heard_ms: u64,
}

/// Bytes in the pieces in which they came, to be handed on without a copy.
#[derive(Debug, Default)]
pub struct Pieces(VecDeque<Bytes>);

/// A primary that does not keep to the protocol.
#[derive(Debug, thiserror::Error)]
pub enum PrimaryMisbehaved {
    /// A line does not end.
    #[error("a line of more than {MAX_LINE_BYTES} bytes")]
    EndlessLine,
    /// Something else stands where a snapshot must begin.
    #[error("`$` was expected, `{line}` came")]
    NoPayload {
        /// What came.
        line: String,
    },
    /// The announced length is no length, or none that can be.
    #[error("`{line}` announces no possible length; the limit is {MAX_PAYLOAD_BYTES}")]
    ImpossibleLength {
        /// What came.
        line: String,
    },
}

impl Role {
    /// A replica that has not yet tried to connect.
    pub fn replica_of(address: PrimaryAddress, cached: Option<CachedPrimary>, now_ms: u64) -> Self {
        let link = Link::Down {
            retry_at_ms: now_ms,
        };
        Self::Replica(Box::new(Following {
            address,
            link,
            cached,
            backoff_ms: 0,
            down_since_ms: now_ms,
        }))
    }
}

impl Following {
    /// The database selected in the stream at our offset, if there is a primary, live or cached (PROTOCOL §2.4).
    pub fn selected_database(&self) -> Option<usize> {
        match &self.link {
            Link::Connected(connected) => Some(connected.session.database),
            _ => self.cached.as_ref().map(|cached| cached.session.database),
        }
    }

    /// The wait before the next attempt; each further one is twice as long.
    pub fn next_backoff_ms(&mut self) -> u64 {
        self.backoff_ms = (self.backoff_ms * 2).clamp(FIRST_BACKOFF_MS, MAX_BACKOFF_MS);
        self.backoff_ms
    }
}

impl CachedPrimary {
    /// A primary remembered by name, offset and database only.
    pub fn at(id: ReplicationId, offset: ReplOffset, database: usize) -> Self {
        Self {
            id,
            offset,
            session: Session {
                database,
                transaction: None,
            },
            unparsed: Bytes::new(),
        }
    }
}

impl Link {
    /// The attempt that is under way or stands.
    pub fn id(&self) -> Option<LinkId> {
        match self {
            Self::Down { .. } => None,
            Self::Connecting { id, .. } => Some(*id),
            Self::Handshake(handshake) => Some(handshake.id),
            Self::Transfer(transfer) => Some(transfer.id),
            Self::Loading(loading) => Some(loading.id),
            Self::Connected(connected) => Some(connected.id),
        }
    }

    /// When the primary was last heard, where that has a limit.
    pub fn heard_ms(&self) -> Option<u64> {
        match self {
            Self::Down { .. } => None,
            Self::Connecting { since_ms, .. } => Some(*since_ms),
            Self::Handshake(handshake) => Some(handshake.heard_ms),
            Self::Transfer(transfer) => Some(transfer.heard_ms),
            // Reading has no limit, and the primary may be silent meanwhile.
            Self::Loading(_) => None,
            Self::Connected(connected) => Some(connected.heard_ms),
        }
    }

    /// The word `ROLE` has for the phase.
    pub fn state_word(&self) -> &'static str {
        match self {
            Self::Down { .. } => "connect",
            Self::Connecting { .. } => "connecting",
            Self::Handshake(_) => "handshake",
            Self::Transfer(_) | Self::Loading(_) => "sync",
            Self::Connected(_) => "connected",
        }
    }
}

impl Pieces {
    /// Adds bytes behind the others.
    pub fn push(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.0.push_back(bytes);
        }
    }

    /// Takes so many bytes off the front, or all if there are fewer.
    pub fn take(&mut self, mut count: usize) -> Vec<Bytes> {
        let mut taken = Vec::new();
        while count > 0
            && let Some(mut first) = self.0.pop_front()
        {
            let part = first.split_to(count.min(first.len()));
            count -= part.len();
            taken.push(part);
            if !first.is_empty() {
                self.0.push_front(first);
            }
        }
        taken
    }

    /// All of them in one.
    pub fn concat(self) -> Bytes {
        Vec::from(self.0).concat().into()
    }
}

impl Connected {
    /// A stream that begins after `offset`.
    pub fn new(
        id: LinkId,
        history: ReplicationId,
        offset: ReplOffset,
        session: Session,
        now_ms: u64,
    ) -> Self {
        // A primary may send arguments of any length and as many as Redis 7.0 takes from its own clients.
        let limits = Limits {
            multibulk_count: i32::MAX as usize,
            bulk_bytes: usize::MAX,
            ..Limits::default()
        };
        Self {
            id,
            history,
            session,
            input: BytesMut::new(),
            decoder: RequestDecoder::new(limits),
            unrelayed: Pieces::default(),
            relayable: 0,
            consumed: 0,
            read: offset,
            applied: offset,
            without_label: false,
            acknowledges: true,
            next_ack_ms: now_ms + 1_000,
            heard_ms: now_ms,
        }
    }
}

/// Takes a line off the front, without its end; `None` when none is complete.
pub fn take_line(input: &mut BytesMut) -> Result<Option<Bytes>, PrimaryMisbehaved> {
    let Some(end) = input.iter().position(|byte| *byte == b'\n') else {
        return if input.len() > MAX_LINE_BYTES {
            Err(PrimaryMisbehaved::EndlessLine)
        } else {
            Ok(None)
        };
    };
    let mut line = input.split_to(end).freeze();
    input.advance(1);
    if line.last() == Some(&b'\r') {
        line.truncate(line.len() - 1);
    }
    Ok(Some(line))
}

/// Reads `<id> <offset>` of a `+FULLRESYNC` line; a malformed one announces no label (PROTOCOL §4.3).
pub fn parse_label(rest: &[u8]) -> Option<Label> {
    let mut words = rest.splitn(2, |byte| *byte == b' ');
    let id = ReplicationId::parse(words.next()?)?;
    let offset = std::str::from_utf8(words.next()?)
        .ok()?
        .trim()
        .parse()
        .ok()?;
    Some(Label {
        id,
        offset: ReplOffset::new(offset),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_taken_over_their_borders_and_the_rest_stays() {
        let mut pieces = Pieces::default();
        for text in ["abc", "", "def", "ghi"] {
            pieces.push(Bytes::from(text));
        }
        assert_eq!(pieces.take(0), Vec::<Bytes>::new());
        assert_eq!(pieces.take(4), ["abc", "d"]);
        assert_eq!(pieces.take(2), ["ef"]);
        assert_eq!(pieces.concat(), "ghi");
    }
}
