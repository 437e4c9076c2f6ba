//! What a replica knows of its primary: the link in its phases, the cached primary, and the lines it reads.
//!
//! Only values and the reading of bytes are here; the module `link` acts on them.

use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};

use crate::client::Session;
use crate::config::PrimaryAddress;
use crate::event::LinkId;
use crate::ids::{ID_LENGTH, ReplicationId};
use crate::offset::ReplOffset;
use crate::resp::{Limits, RequestDecoder};

/// The longest status line a primary may send: the longest of the protocol is under 100 bytes.
const MAX_LINE_BYTES: usize = 64 * 1024;

/// The longest snapshot that a primary may announce; more than any machine this server is for can hold.
const MAX_PAYLOAD_BYTES: u64 = 1 << 40;

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
    /// All bytes that are not yet part of an applied unit, as they came.
    pub unapplied: BytesMut,
    /// How many of these belong to commands that were executed or queued.
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

/// Pieces of a payload shorter than this are gathered, so that one that comes byte by byte takes no more memory.
const GATHERED_BELOW_BYTES: usize = 16 * 1024;

/// A snapshot as it arrives (PROTOCOL §2.4).
#[derive(Debug)]
pub struct Payload {
    header: BytesMut,
    framing: Option<PayloadEnd>,
    /// What has come, as it came, but small pieces are gathered in `open`.
    pieces: Vec<Bytes>,
    open: BytesMut,
    received: u64,
    /// The last bytes, as many as a mark has.
    last: [u8; ID_LENGTH],
}

/// How the end of the payload is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PayloadEnd {
    Length(u64),
    Mark([u8; ID_LENGTH]),
}

/// What came of some bytes of a payload.
#[derive(Debug)]
pub enum PayloadStep {
    /// More is to come.
    Incomplete,
    /// This is all of it.
    Complete(Received),
}

/// A whole payload.
#[derive(Debug)]
pub struct Received {
    /// The snapshot, in pieces.
    pub payload: Vec<Bytes>,
    /// Its length in bytes.
    pub payload_bytes: u64,
    /// What came behind it.
    pub rest: Bytes,
    /// Whether a mark ended it, so that an acknowledgement is due at once.
    pub had_mark: bool,
}

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
            unapplied: BytesMut::new(),
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

impl Default for Payload {
    fn default() -> Self {
        Self {
            header: BytesMut::new(),
            framing: None,
            pieces: Vec::new(),
            open: BytesMut::new(),
            received: 0,
            last: [0; ID_LENGTH],
        }
    }
}

impl Payload {
    /// Takes bytes from the link.
    pub fn push(&mut self, bytes: Bytes) -> Result<PayloadStep, PrimaryMisbehaved> {
        if self.framing.is_some() {
            return Ok(self.push_body(bytes));
        }
        self.header.extend_from_slice(&bytes);
        while self.framing.is_none() {
            let Some(line) = take_line(&mut self.header)? else {
                return Ok(PayloadStep::Incomplete);
            };
            if !line.is_empty() {
                self.framing = Some(parse_header(&line)?);
            }
        }
        let body = self.header.split().freeze();
        Ok(self.push_body(body))
    }

    fn push_body(&mut self, mut bytes: Bytes) -> PayloadStep {
        match self.framing {
            Some(PayloadEnd::Length(length)) => {
                let wanted = (length - self.received).min(bytes.len() as u64);
                let rest = bytes.split_off(wanted as usize);
                self.keep(bytes);
                if self.received == length {
                    self.complete(rest, false)
                } else {
                    PayloadStep::Incomplete
                }
            }
            Some(PayloadEnd::Mark(mark)) => {
                self.keep(bytes);
                if self.last == mark && self.received >= ID_LENGTH as u64 {
                    self.drop_mark();
                    return self.complete(Bytes::new(), true);
                }
                PayloadStep::Incomplete
            }
            None => PayloadStep::Incomplete,
        }
    }

    /// Adds to what has come; memory grows by that, never by what was announced.
    fn keep(&mut self, bytes: Bytes) {
        self.received += bytes.len() as u64;
        let fresh = bytes.len().min(ID_LENGTH);
        self.last.copy_within(fresh.., 0);
        self.last[ID_LENGTH - fresh..].copy_from_slice(&bytes[bytes.len() - fresh..]);
        if bytes.len() < GATHERED_BELOW_BYTES {
            self.open.extend_from_slice(&bytes);
        }
        if bytes.len() >= GATHERED_BELOW_BYTES || self.open.len() >= GATHERED_BELOW_BYTES {
            self.seal();
        }
        if bytes.len() >= GATHERED_BELOW_BYTES {
            self.pieces.push(bytes);
        }
    }

    fn seal(&mut self) {
        if !self.open.is_empty() {
            self.pieces.push(self.open.split().freeze());
        }
    }

    /// Takes the mark off the end again, over as many pieces as it came in.
    fn drop_mark(&mut self) {
        self.seal();
        self.received -= ID_LENGTH as u64;
        let mut excess = ID_LENGTH;
        while let Some(mut piece) = self.pieces.pop() {
            let kept = piece.len().saturating_sub(excess);
            excess -= piece.len() - kept;
            piece.truncate(kept);
            if excess == 0 {
                self.pieces.push(piece);
                return;
            }
        }
    }

    /// Whether the payload itself has begun, and a mark will end it.
    pub fn is_direct(&self) -> bool {
        matches!(self.framing, Some(PayloadEnd::Mark(_)))
    }

    /// Bytes that have come, and how many there will be if that is known.
    pub fn progress(&self) -> (u64, Option<u64>) {
        let total = match self.framing {
            Some(PayloadEnd::Length(length)) => Some(length),
            Some(PayloadEnd::Mark(_)) | None => None,
        };
        (self.received, total)
    }

    fn complete(&mut self, rest: Bytes, had_mark: bool) -> PayloadStep {
        self.seal();
        PayloadStep::Complete(Received {
            payload_bytes: self.received,
            payload: std::mem::take(&mut self.pieces),
            rest,
            had_mark,
        })
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

fn parse_header(line: &[u8]) -> Result<PayloadEnd, PrimaryMisbehaved> {
    let text = || String::from_utf8_lossy(line).into_owned();
    let announced = line
        .strip_prefix(b"$")
        .ok_or_else(|| PrimaryMisbehaved::NoPayload { line: text() })?;
    if let Some(mark) = announced.strip_prefix(b"EOF:") {
        let mark = mark
            .try_into()
            .map_err(|_| PrimaryMisbehaved::NoPayload { line: text() })?;
        return Ok(PayloadEnd::Mark(mark));
    }
    let length = std::str::from_utf8(announced)
        .ok()
        .and_then(|digits| digits.parse::<u64>().ok());
    let length = length.filter(|length| *length <= MAX_PAYLOAD_BYTES);
    length
        .map(PayloadEnd::Length)
        .ok_or_else(|| PrimaryMisbehaved::ImpossibleLength { line: text() })
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

    fn pushed(bytes: &[u8], chunk: usize) -> Result<PayloadStep, PrimaryMisbehaved> {
        let mut payload = Payload::default();
        let mut step = PayloadStep::Incomplete;
        for part in bytes.chunks(chunk) {
            step = payload.push(Bytes::copy_from_slice(part))?;
        }
        Ok(step)
    }

    #[test]
    fn a_payload_with_a_length_ends_there_and_the_rest_is_stream() {
        let step = pushed(b"\n\n$5\r\nREDISrest", 64).unwrap();
        let PayloadStep::Complete(received) = step else {
            panic!("{step:?}")
        };
        assert_eq!(
            (received.payload.concat(), received.rest.as_ref()),
            (b"REDIS".to_vec(), &b"rest"[..])
        );
    }

    #[test]
    fn a_mark_is_found_however_the_bytes_are_cut() {
        let mark = [b'm'; ID_LENGTH];
        let bytes = [b"$EOF:".as_slice(), &mark, b"\r\n", b"REDIS", &mark].concat();
        for chunk in [1, 3, 7, 40, 1000] {
            let step = pushed(&bytes, chunk).unwrap();
            let PayloadStep::Complete(received) = step else {
                panic!("{chunk}: {step:?}")
            };
            assert_eq!(received.payload.concat(), b"REDIS");
            assert!(received.had_mark);
        }
    }

    #[test]
    fn a_payload_of_several_pieces_is_all_of_them_without_the_mark() {
        let mark = [b'm'; ID_LENGTH];
        let body: Vec<u8> = (0..100_000_u32).map(|number| number as u8).collect();
        let bytes = [b"$EOF:".as_slice(), &mark, b"\r\n", &body, &mark].concat();
        for chunk in [1, 7_001, GATHERED_BELOW_BYTES, 50_020, 200_000] {
            let PayloadStep::Complete(received) = pushed(&bytes, chunk).unwrap() else {
                panic!("{chunk}")
            };
            assert_eq!(received.payload.concat(), body, "{chunk}");
            assert_eq!(received.payload_bytes, body.len() as u64);
        }
    }

    #[test]
    fn impossible_lengths_are_refused_before_anything_is_kept() {
        for line in ["$4611686018427387904\r\n", "$-1\r\n", "$x\r\n"] {
            assert!(
                matches!(
                    pushed(line.as_bytes(), 64),
                    Err(PrimaryMisbehaved::ImpossibleLength { .. })
                ),
                "{line}"
            );
        }
        assert!(matches!(
            pushed(b"-ERR no\r\n", 64),
            Err(PrimaryMisbehaved::NoPayload { .. })
        ));
    }
}
