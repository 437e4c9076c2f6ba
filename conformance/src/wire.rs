//! The replication wire as the judge reads it: bytes in, items out, each with the exact number of bytes it took.
//! It is a format reader and knows no rule: it says *what* came, never whether it was allowed to come.
//! All counts are bytes. Nothing here waits or owns a socket; `conn` does.
use std::fmt;

use bytes::{Buf, BytesMut};
use thiserror::Error;

use crate::transcript::escaped;

/// The longest line taken, without its end: an error text or an inline command. Redis itself stops at 64 KiB.
pub const MAX_LINE_BYTES: usize = 64 * 1024;
/// The longest line that holds only a length or a mark: `$EOF:` and 40 characters, or 20 digits, with room to show garbage.
pub const MAX_HEADER_BYTES: usize = 64;
/// The longest bulk string taken in a command or a reply: a value of the judge's has 32 KiB, an INFO less.
pub const MAX_BULK_BYTES: u64 = 16 * 1024 * 1024;
/// The most words of one command, and the most elements of one array in a reply: the judge's data sets are smaller.
pub const MAX_ARRAY_ITEMS: u64 = 65_536;
/// The longest command taken, all its words together: the judge's longest has one value of 32 KiB.
pub const MAX_COMMAND_BYTES: u64 = 64 * 1024 * 1024;
/// The longest snapshot taken: the judge's data sets have a few megabytes at most.
pub const MAX_PAYLOAD_BYTES: u64 = 256 * 1024 * 1024;
/// The number of characters of the mark that closes a snapshot of unknown length (`PROTOCOL §2.4`).
pub const MARK_BYTES: usize = 40;
/// How many of the first bytes of something wrong an error keeps.
const EXCERPT_BYTES: usize = 64;

/// The first bytes of something that came and was not understood, printable.
#[derive(Clone, PartialEq, Eq)]
pub struct Excerpt(Vec<u8>);

impl Excerpt {
    /// Keeps at most the first 64 bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(bytes[..bytes.len().min(EXCERPT_BYTES)].to_vec())
    }

    /// The bytes kept.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", escaped(&self.0))
    }
}

impl fmt::Debug for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Bytes that are no RESP, no snapshot framing, or larger than the judge is willing to hold.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WireError {
    /// A line did not end within its limit.
    #[error("a line of more than {limit} bytes came, beginning {came}")]
    LineTooLong {
        /// The limit in bytes.
        limit: usize,
        /// How the line begins.
        came: Excerpt,
    },
    /// A length is a number, but not one the judge takes.
    #[error("{what} must be between 0 and {limit}, and {came} came")]
    LengthOutOfRange {
        /// What was being measured.
        what: &'static str,
        /// The number as it was read.
        came: i128,
        /// The largest number taken.
        limit: u64,
    },
    /// Where a number belongs there is none.
    #[error("{what} must be a decimal number, and {came} came")]
    NotANumber {
        /// What was being measured.
        what: &'static str,
        /// What stood there instead.
        came: Excerpt,
    },
    /// These bytes cannot stand here at all.
    #[error("expected {expected}, and {came} came")]
    Unexpected {
        /// What may stand here.
        expected: &'static str,
        /// How the bytes begin.
        came: Excerpt,
    },
    /// Arrays inside arrays, deeper than any reply of a server.
    #[error("a reply nested deeper than {limit} levels came")]
    TooDeep {
        /// The deepest level taken.
        limit: usize,
    },
}

/// How a snapshot says where it ends (`PROTOCOL §2.4`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Framing {
    /// `$<length>`: that many bytes, and nothing after them.
    Length(u64),
    /// `$EOF:<mark>`: the snapshot ends where the mark is seen; the mark is not part of it.
    Mark([u8; MARK_BYTES]),
}

impl Framing {
    /// The line that announces a snapshot in this framing, with its end.
    pub fn header(&self) -> Vec<u8> {
        match self {
            Self::Length(length) => format!("${length}\r\n").into_bytes(),
            Self::Mark(mark) => [b"$EOF:".as_slice(), mark, b"\r\n"].concat(),
        }
    }
}

/// One command of a stream or a handshake: at least one word.
#[derive(Clone, PartialEq, Eq)]
pub struct Command {
    /// The words as they came, the name first.
    pub words: Vec<Vec<u8>>,
}

impl Command {
    /// The name in upper case; some servers write `ping` (`PROTOCOL §2.5`).
    pub fn name(&self) -> String {
        self.words
            .first()
            .map(|word| String::from_utf8_lossy(word).to_ascii_uppercase())
            .unwrap_or_default()
    }

    /// The words after the name.
    pub fn args(&self) -> &[Vec<u8>] {
        self.words.get(1..).unwrap_or_default()
    }

    /// The argument at this place as text, when there is one.
    pub fn arg_text(&self, place: usize) -> Option<String> {
        self.args()
            .get(place)
            .map(|word| String::from_utf8_lossy(word).into_owned())
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<String> = self
            .words
            .iter()
            .map(|word| Excerpt::of(word).to_string())
            .collect();
        write!(f, "{}", words.join(" "))
    }
}

/// What came, without its length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// A line beginning with `+`, without that sign and without its end.
    Status(String),
    /// A line beginning with `-`, without that sign and without its end.
    Error(String),
    /// A bare line end: a keep-alive before the payload; in an established stream a byte that counts (`PROTOCOL §2.5`).
    KeepAlive,
    /// The line that announces a snapshot.
    PayloadStart(Framing),
    /// A whole snapshot, without its closing mark.
    Payload(Vec<u8>),
    /// A command, in an array or inline.
    Command(Command),
}

/// One thing that came, and how many bytes of the connection it took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// What came.
    pub body: Body,
    /// All its bytes on the wire, ends of lines and closing mark included.
    pub bytes: u64,
}

/// Which alphabet is read: it depends on the direction and on how far the conversation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// From the primary, up to the end of the snapshot or to `+CONTINUE`: lines, keep-alives, a payload.
    Answers,
    /// From the primary, afterwards: commands in arrays and counted line ends, nothing else.
    Stream,
    /// From the replica: commands in arrays or inline, and keep-alives.
    Requests,
}

/// What has arrived of an item that is not complete yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partial {
    /// How many bytes of it are here.
    pub bytes: u64,
    /// How it begins.
    pub begins: Excerpt,
}

/// An incremental reader of one direction of one replication connection.
///
/// It moves from [`Phase::Answers`] to [`Phase::Stream`] by itself after `+CONTINUE` and after a payload, because the
/// bytes that follow may be in the same read.
#[derive(Debug)]
pub struct Reader {
    buffer: BytesMut,
    phase: Phase,
    payload: Option<Framing>,
    searched: usize,
    stream_bytes: u64,
}

impl Reader {
    /// A reader that begins in this phase.
    pub fn new(phase: Phase) -> Self {
        Self {
            buffer: BytesMut::new(),
            phase,
            payload: None,
            searched: 0,
            stream_bytes: 0,
        }
    }

    /// The alphabet being read now.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Adds bytes that arrived.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// How many bytes of the stream have arrived, those of an incomplete command included.
    pub fn stream_received(&self) -> u64 {
        match self.phase {
            Phase::Stream => self.stream_bytes + self.buffer.len() as u64,
            Phase::Answers | Phase::Requests => 0,
        }
    }

    /// What is here of the item that has not fully arrived, if anything is.
    pub fn partial(&self) -> Option<Partial> {
        (!self.buffer.is_empty()).then(|| Partial {
            bytes: self.buffer.len() as u64,
            begins: Excerpt::of(&self.buffer),
        })
    }

    /// The bytes that have arrived and were not taken yet.
    pub fn buffered(&self) -> &[u8] {
        &self.buffer
    }

    /// Takes up to `limit` bytes as they are, without reading them as items.
    pub fn take_raw(&mut self, limit: usize) -> Vec<u8> {
        let taken = self.buffer.split_to(limit.min(self.buffer.len())).to_vec();
        if self.phase == Phase::Stream {
            self.stream_bytes += taken.len() as u64;
        }
        taken
    }

    /// The next complete item, or nothing until more bytes arrive.
    pub fn next_item(&mut self) -> Result<Option<Item>, WireError> {
        if let Some(framing) = self.payload.clone() {
            return self.payload_item(&framing);
        }
        if self.buffer.is_empty() {
            return Ok(None);
        }
        let found = match self.phase {
            Phase::Answers => answer(&self.buffer)?,
            Phase::Stream => stream_item(&self.buffer)?,
            Phase::Requests => request(&self.buffer)?,
        };
        Ok(found.map(|(body, taken)| self.take(body, taken)))
    }

    fn take(&mut self, body: Body, taken: usize) -> Item {
        self.buffer.advance(taken);
        match (&body, self.phase) {
            (_, Phase::Stream) => self.stream_bytes += taken as u64,
            (Body::Status(text), Phase::Answers) if first_word(text) == "CONTINUE" => {
                self.phase = Phase::Stream;
            }
            (Body::PayloadStart(framing), _) => self.payload = Some(framing.clone()),
            _ => {}
        }
        Item {
            body,
            bytes: taken as u64,
        }
    }

    fn payload_item(&mut self, framing: &Framing) -> Result<Option<Item>, WireError> {
        let (end, after) = match framing {
            Framing::Length(length) => (*length as usize, *length as usize),
            Framing::Mark(mark) => match self.find_mark(mark)? {
                Some(end) => (end, end + MARK_BYTES),
                None => return Ok(None),
            },
        };
        if self.buffer.len() < after {
            return Ok(None);
        }
        let snapshot = self.buffer[..end].to_vec();
        self.buffer.advance(after);
        (self.payload, self.searched, self.phase) = (None, 0, Phase::Stream);
        Ok(Some(Item {
            body: Body::Payload(snapshot),
            bytes: after as u64,
        }))
    }

    /// Looks for the mark only in bytes not looked at before, save for those that may hold its first part.
    fn find_mark(&mut self, mark: &[u8; MARK_BYTES]) -> Result<Option<usize>, WireError> {
        let from = self.searched.saturating_sub(MARK_BYTES - 1);
        if let Some(at) = self.buffer[from..]
            .windows(MARK_BYTES)
            .position(|window| window == mark)
        {
            return Ok(Some(from + at));
        }
        self.searched = self.buffer.len();
        in_range(
            "a snapshot without its closing mark",
            self.searched as i128,
            MAX_PAYLOAD_BYTES,
        )?;
        Ok(None)
    }
}

/// A command as an array of bulk strings: what clients send and what a stream holds.
pub fn encode<W: AsRef<[u8]>>(words: &[W]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        let word = word.as_ref();
        out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
    out
}

type Found = Option<(Body, usize)>;

fn answer(buffer: &[u8]) -> Result<Found, WireError> {
    match buffer[0] {
        b'\n' => Ok(Some((Body::KeepAlive, 1))),
        b'+' => Ok(
            line(buffer, 1, MAX_LINE_BYTES)?.map(|(text, end)| (Body::Status(lossy(text)), end))
        ),
        b'-' => {
            Ok(line(buffer, 1, MAX_LINE_BYTES)?.map(|(text, end)| (Body::Error(lossy(text)), end)))
        }
        b'$' => payload_start(buffer),
        _ => Err(unexpected(
            "a status, an error, a keep-alive or a snapshot from the primary",
            buffer,
        )),
    }
}

fn stream_item(buffer: &[u8]) -> Result<Found, WireError> {
    match buffer[0] {
        b'\n' => Ok(Some((Body::KeepAlive, 1))),
        b'*' => array_command(buffer),
        _ => Err(unexpected(
            "a command of the stream, as an array of bulk strings",
            buffer,
        )),
    }
}

fn request(buffer: &[u8]) -> Result<Found, WireError> {
    match buffer[0] {
        b'\n' => Ok(Some((Body::KeepAlive, 1))),
        b'*' => array_command(buffer),
        first if first.is_ascii_alphabetic() => inline_command(buffer),
        _ => Err(unexpected("a command from the replica", buffer)),
    }
}

fn inline_command(buffer: &[u8]) -> Result<Found, WireError> {
    let Some((text, end)) = line(buffer, 0, MAX_LINE_BYTES)? else {
        return Ok(None);
    };
    let words = text
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty())
        .map(<[u8]>::to_vec)
        .collect();
    Ok(Some((Body::Command(Command { words }), end)))
}

fn payload_start(buffer: &[u8]) -> Result<Found, WireError> {
    let Some((text, end)) = line(buffer, 1, MAX_HEADER_BYTES)? else {
        return Ok(None);
    };
    let framing = match text.strip_prefix(b"EOF:") {
        Some(mark) => Framing::Mark(
            mark.try_into()
                .map_err(|_| unexpected("a mark of 40 characters", buffer))?,
        ),
        None => Framing::Length(in_range(
            "the length of a snapshot",
            number("the length of a snapshot", text)?,
            MAX_PAYLOAD_BYTES,
        )?),
    };
    Ok(Some((Body::PayloadStart(framing), end)))
}

fn array_command(buffer: &[u8]) -> Result<Found, WireError> {
    let Some((text, mut at)) = line(buffer, 1, MAX_HEADER_BYTES)? else {
        return Ok(None);
    };
    let count = in_range(
        "the number of words of a command",
        number("the number of words of a command", text)?,
        MAX_ARRAY_ITEMS,
    )?;
    if count == 0 {
        return Err(unexpected("a command of at least one word", buffer));
    }
    let mut words = Vec::new();
    for _ in 0..count {
        let Some((word, end)) = bulk(buffer, at)? else {
            return Ok(None);
        };
        words.push(word.to_vec());
        at = end;
        in_range("the length of a command", at as i128, MAX_COMMAND_BYTES)?;
    }
    Ok(Some((Body::Command(Command { words }), at)))
}

/// The bulk string that begins at `at` and the place after it, when all of it is here.
pub(crate) fn bulk(buffer: &[u8], at: usize) -> Result<Option<(&[u8], usize)>, WireError> {
    match buffer.get(at) {
        None => return Ok(None),
        Some(b'$') => {}
        Some(_) => return Err(unexpected("a bulk string ($)", &buffer[at..])),
    }
    let Some((text, start)) = line(buffer, at + 1, MAX_HEADER_BYTES)? else {
        return Ok(None);
    };
    let length = in_range(
        "the length of a bulk string",
        number("the length of a bulk string", text)?,
        MAX_BULK_BYTES,
    )?;
    let end = start + length as usize;
    match buffer.get(end..end + 2) {
        None => Ok(None),
        Some(b"\r\n") => Ok(Some((&buffer[start..end], end + 2))),
        Some(other) => Err(unexpected("the end of a bulk string (\\r\\n)", other)),
    }
}

/// The line from `at` without its end, and the place after it. A bare `\n` ends a line too, as real servers have it.
pub(crate) fn line(
    buffer: &[u8],
    at: usize,
    limit: usize,
) -> Result<Option<(&[u8], usize)>, WireError> {
    let rest = &buffer[at..];
    match rest.iter().take(limit + 2).position(|&byte| byte == b'\n') {
        Some(end) => Ok(Some((
            rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]),
            at + end + 1,
        ))),
        None if rest.len() >= limit + 2 => Err(WireError::LineTooLong {
            limit,
            came: Excerpt::of(rest),
        }),
        None => Ok(None),
    }
}

/// A decimal number of at most 20 characters: 64 bits and a sign.
pub(crate) fn number(what: &'static str, text: &[u8]) -> Result<i128, WireError> {
    let not_a_number = || WireError::NotANumber {
        what,
        came: Excerpt::of(text),
    };
    let digits = std::str::from_utf8(text).map_err(|_| not_a_number())?;
    if digits.len() > 20 || digits.starts_with('+') {
        return Err(not_a_number());
    }
    digits.parse().map_err(|_| not_a_number())
}

pub(crate) fn in_range(what: &'static str, came: i128, limit: u64) -> Result<u64, WireError> {
    match u64::try_from(came) {
        Ok(length) if length <= limit => Ok(length),
        _ => Err(WireError::LengthOutOfRange { what, came, limit }),
    }
}

pub(crate) fn unexpected(expected: &'static str, came: &[u8]) -> WireError {
    WireError::Unexpected {
        expected,
        came: Excerpt::of(came),
    }
}

pub(crate) fn lossy(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

fn first_word(text: &str) -> &str {
    text.split_whitespace().next().unwrap_or_default()
}

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
