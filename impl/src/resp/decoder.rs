//! The incremental decoder of requests, for clients, for replicas and for the stream of a primary.
//!
//! Everything it has understood is taken out of the buffer, so a large request is never scanned twice.

use std::collections::VecDeque;
use std::ops::Range;

use bytes::{Buf, Bytes, BytesMut};

use super::{inline, parse_integer};

/// What the decoder refuses to exceed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest inline request, and longest line announcing a count or a length, in bytes.
    pub inline_bytes: usize,
    /// Most arguments in one request.
    pub multibulk_count: usize,
    /// Longest argument in bytes (`proto-max-bulk-len`). A primary may send any length.
    pub bulk_bytes: usize,
    /// Whether these are the limits of somebody who has yet to give the password; errors say so.
    pub before_password: bool,
}

impl Default for Limits {
    /// The limits of Redis: 64 KiB, 1024 × 1024 arguments (the limit up to 6.2; 7.0 allows 2^31 - 1, which no honest
    /// client needs), and 512 MiB.
    fn default() -> Self {
        Self {
            inline_bytes: 64 * 1024,
            multibulk_count: 1024 * 1024,
            bulk_bytes: 512 * 1024 * 1024,
            before_password: false,
        }
    }
}

impl Limits {
    /// What a stranger may make us keep: ten arguments of 16 KiB, enough for `HELLO` and `AUTH` (Redis 7.0).
    pub fn before_password() -> Self {
        Self {
            multibulk_count: 10,
            bulk_bytes: 16 * 1024,
            before_password: true,
            ..Self::default()
        }
    }
}

/// One request, complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Command name and arguments; none for an empty line (a keep-alive from a replica) and for `*0` or `*-1`.
    pub args: Vec<Bytes>,
    /// Bytes this request took from the connection.
    pub wire_bytes: usize,
    /// Whether it came as a line instead of an array. From a primary a non-empty one is a violation (PROTOCOL §2.5).
    pub inline: bool,
}

/// Bytes that are no request; the connection is beyond repair. The text is what Redis answers after `-ERR `.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// A line without an end.
    #[error("Protocol error: too big inline request")]
    InlineTooBig,
    /// An announced count without an end.
    #[error("Protocol error: too big mbulk count string")]
    MultibulkLineTooBig,
    /// An announced length without an end.
    #[error("Protocol error: too big bulk count string")]
    BulkLineTooBig,
    /// A count that is no number, or too many arguments.
    #[error("Protocol error: invalid multibulk length")]
    MultibulkLength,
    /// A length that is no number, or negative, or too large.
    #[error("Protocol error: invalid bulk length")]
    BulkLength,
    /// Too many arguments before the password.
    #[error("Protocol error: unauthenticated multibulk length")]
    UnauthenticatedMultibulk,
    /// Too long an argument before the password.
    #[error("Protocol error: unauthenticated bulk length")]
    UnauthenticatedBulk,
    /// An argument that is not announced as a bulk string.
    #[error("Protocol error: expected '$', got '{}'", char::from(*got))]
    ExpectedBulk {
        /// The byte in its place.
        got: u8,
    },
    /// A quote that is not closed, or is followed by something else than a space.
    #[error("Protocol error: unbalanced quotes in request")]
    UnbalancedQuotes,
}

/// Where in a request we are.
#[derive(Debug, Default)]
enum State {
    #[default]
    Start,
    Multibulk {
        remaining: usize,
        args: Vec<Bytes>,
        wire_bytes: usize,
        length: Option<usize>,
    },
}

/// Turns bytes into requests. After an error it must not be used again.
#[derive(Debug, Default)]
pub struct RequestDecoder {
    limits: Limits,
    state: State,
    /// Bytes at the front of the buffer known to hold no end of line.
    scanned: usize,
    /// Where the arguments of a whole request lie in it; kept for its allocation.
    ranges: Vec<Range<usize>>,
}

/// `\r\n` after an argument; Redis skips the two bytes without looking at them.
const ARGUMENT_END: usize = 2;

impl RequestDecoder {
    /// A decoder with limits of your choice.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    /// Its limits.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Changes the limits, for what is not yet decoded.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Bytes already taken from the buffer for a request that is not complete yet.
    pub fn partial_bytes(&self) -> usize {
        match &self.state {
            State::Start => 0,
            State::Multibulk { wire_bytes, .. } => *wire_bytes,
        }
    }

    /// Takes the next complete request from the front of the buffer; `None` until more bytes have come.
    pub fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Request>, ProtocolError> {
        if matches!(self.state, State::Start) {
            match buffer.first() {
                None => return Ok(None),
                Some(b'*') => {}
                Some(_) => return self.decode_inline(buffer),
            }
            if let Some(request) = self.cut_whole(buffer) {
                return Ok(Some(request));
            }
            if let Some(finished) = self.begin_multibulk(buffer)? {
                return Ok(Some(finished));
            }
        }
        self.continue_multibulk(buffer)
    }

    /// Takes complete requests until there are `most`, or no more; an error is about what comes behind them.
    pub fn decode_up_to(
        &mut self,
        most: usize,
        buffer: &mut BytesMut,
        requests: &mut VecDeque<Request>,
    ) -> Result<(), ProtocolError> {
        while requests.len() < most {
            let Some(request) = self.decode(buffer)? else {
                break;
            };
            requests.push_back(request);
        }
        Ok(())
    }

    /// A request that is there as a whole and in its usual form, as nearly all are: cut out in one piece. Whatever else it
    /// is, errors included, is left to the longer way.
    fn cut_whole(&mut self, buffer: &mut BytesMut) -> Option<Request> {
        let mut front = Front {
            bytes: buffer,
            position: 0,
        };
        let count = front.number(b'*', self.limits.multibulk_count)?;
        self.ranges.clear();
        for _ in 0..count {
            let length = front.number(b'$', self.limits.bulk_bytes)?;
            self.ranges.push(front.argument(length)?);
        }
        let wire_bytes = front.position;
        self.scanned = 0;
        let mut whole = buffer.split_to(wire_bytes).freeze();
        let mut args = Vec::with_capacity(self.ranges.len());
        if let Some((last, others)) = self.ranges.split_last() {
            args.extend(others.iter().map(|range| whole.slice(range.clone())));
            // One reference less to count.
            whole.truncate(last.end);
            whole.advance(last.start);
            args.push(whole);
        }
        Some(Request {
            args,
            wire_bytes,
            inline: false,
        })
    }

    fn decode_inline(&mut self, buffer: &mut BytesMut) -> Result<Option<Request>, ProtocolError> {
        let Some(end) = self.find(
            buffer,
            b'\n',
            self.limits.inline_bytes,
            ProtocolError::InlineTooBig,
        )?
        else {
            return Ok(None);
        };
        let line = buffer.split_to(end + 1).freeze();
        let text = line.strip_suffix(b"\r\n").unwrap_or(&line[..end]);
        let args = inline::split(text).ok_or(ProtocolError::UnbalancedQuotes)?;
        Ok(Some(Request {
            args,
            wire_bytes: line.len(),
            inline: true,
        }))
    }

    /// Reads `*<count>\r\n`. A count of zero or less is a whole request without arguments.
    fn begin_multibulk(&mut self, buffer: &mut BytesMut) -> Result<Option<Request>, ProtocolError> {
        let Some(line) = self.take_line(buffer, ProtocolError::MultibulkLineTooBig)? else {
            return Ok(None);
        };
        let count =
            parse_integer(&line[1..line.len() - 2]).ok_or(ProtocolError::MultibulkLength)?;
        let wire_bytes = line.len();
        let Ok(remaining) = usize::try_from(count) else {
            return Ok(Some(Request {
                args: Vec::new(),
                wire_bytes,
                inline: false,
            }));
        };
        if remaining == 0 {
            return Ok(Some(Request {
                args: Vec::new(),
                wire_bytes,
                inline: false,
            }));
        }
        if remaining > self.limits.multibulk_count {
            return Err(if self.limits.before_password {
                ProtocolError::UnauthenticatedMultibulk
            } else {
                ProtocolError::MultibulkLength
            });
        }
        self.state = State::Multibulk {
            remaining,
            args: Vec::new(),
            wire_bytes,
            length: None,
        };
        Ok(None)
    }

    fn continue_multibulk(
        &mut self,
        buffer: &mut BytesMut,
    ) -> Result<Option<Request>, ProtocolError> {
        while let State::Multibulk {
            remaining: 1..,
            length,
            ..
        } = &self.state
        {
            let progressed = match *length {
                None => self.read_length(buffer)?,
                Some(length) => self.read_argument(buffer, length),
            };
            if !progressed {
                return Ok(None);
            }
        }
        match std::mem::take(&mut self.state) {
            State::Multibulk {
                args, wire_bytes, ..
            } => Ok(Some(Request {
                args,
                wire_bytes,
                inline: false,
            })),
            State::Start => Ok(None),
        }
    }

    fn read_length(&mut self, buffer: &mut BytesMut) -> Result<bool, ProtocolError> {
        let Some(line) = self.take_line(buffer, ProtocolError::BulkLineTooBig)? else {
            return Ok(false);
        };
        if line[0] != b'$' {
            return Err(ProtocolError::ExpectedBulk { got: line[0] });
        }
        let announced =
            parse_integer(&line[1..line.len() - 2]).and_then(|length| usize::try_from(length).ok());
        let announced = announced.ok_or(ProtocolError::BulkLength)?;
        if announced > self.limits.bulk_bytes {
            return Err(if self.limits.before_password {
                ProtocolError::UnauthenticatedBulk
            } else {
                ProtocolError::BulkLength
            });
        }
        if let State::Multibulk {
            length, wire_bytes, ..
        } = &mut self.state
        {
            *length = Some(announced);
            *wire_bytes += line.len();
        }
        Ok(true)
    }

    fn read_argument(&mut self, buffer: &mut BytesMut, announced: usize) -> bool {
        // A primary's limit may be as large as a number can be.
        let Some(needed) = announced
            .checked_add(ARGUMENT_END)
            .filter(|needed| buffer.len() >= *needed)
        else {
            return false;
        };
        let argument = buffer.split_to(announced).freeze();
        buffer.advance(ARGUMENT_END);
        if let State::Multibulk {
            remaining,
            args,
            wire_bytes,
            length,
        } = &mut self.state
        {
            args.push(argument);
            *remaining -= 1;
            *wire_bytes += needed;
            *length = None;
        }
        true
    }

    /// A line up to a carriage return and the byte after it, whatever that is (Redis does not look either).
    fn take_line(
        &mut self,
        buffer: &mut BytesMut,
        error: ProtocolError,
    ) -> Result<Option<Bytes>, ProtocolError> {
        match self.find(buffer, b'\r', self.limits.inline_bytes, error)? {
            Some(end) if end + 1 < buffer.len() => Ok(Some(buffer.split_to(end + 2).freeze())),
            Some(end) => {
                self.scanned = end;
                Ok(None)
            }
            None => Ok(None),
        }
    }

    /// The position of a byte, or an error once more than `limit` bytes have come without it.
    fn find(
        &mut self,
        buffer: &BytesMut,
        byte: u8,
        limit: usize,
        error: ProtocolError,
    ) -> Result<Option<usize>, ProtocolError> {
        let start = self.scanned.min(buffer.len());
        let found = buffer[start..]
            .iter()
            .position(|candidate| *candidate == byte)
            .map(|at| start + at);
        self.scanned = if found.is_some() { 0 } else { buffer.len() };
        match found {
            // The limit must not depend on how the bytes were cut into segments.
            Some(at) if at > limit => Err(error),
            None if buffer.len() > limit => Err(error),
            _ => Ok(found),
        }
    }
}

/// The front of a buffer, as far as it holds what is asked for.
struct Front<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl Front<'_> {
    /// The longest number here: whoever sends more digits gets no more for it.
    const MOST_DIGITS: usize = 10;

    /// A mark, a number from 0 to `most` in its one spelling, and an end of line; nothing is taken if it is anything else.
    fn number(&mut self, mark: u8, most: usize) -> Option<usize> {
        let rest = self.bytes.get(self.position..)?.strip_prefix(&[mark])?;
        let digits = rest.iter().take(Self::MOST_DIGITS);
        let length = digits.take_while(|byte| byte.is_ascii_digit()).count();
        let (digits, rest) = rest.split_at(length);
        let value = |number: usize, digit: &u8| number * 10 + usize::from(digit - b'0');
        let number = digits.iter().fold(0, value);
        let usual = matches!(digits, [b'1'..=b'9', ..] | [b'0']) && number <= most;
        if !usual || !rest.starts_with(b"\r\n") {
            return None;
        }
        self.position += 1 + length + ARGUMENT_END;
        Some(number)
    }

    /// The place of an argument with its end.
    fn argument(&mut self, length: usize) -> Option<Range<usize>> {
        let start = self.position;
        let end = start.checked_add(length)?;
        self.position = end.checked_add(ARGUMENT_END)?;
        (self.position <= self.bytes.len()).then_some(start..end)
    }
}

#[cfg(test)]
#[path = "decoder_tests.rs"]
mod tests;
