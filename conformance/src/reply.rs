//! Replies of a server to an ordinary client, RESP version 2. A format only: nothing here knows what a reply means.
use std::fmt;

use crate::transcript::shortened;
use crate::wire::{
    MAX_ARRAY_ITEMS, MAX_BULK_BYTES, MAX_HEADER_BYTES, MAX_LINE_BYTES, WireError, bulk, in_range,
    line, lossy, number, unexpected,
};

/// How deep arrays may stand in arrays: ROLE has three levels.
pub const MAX_REPLY_DEPTH: usize = 8;

/// One reply.
#[derive(Clone, PartialEq, Eq)]
pub enum Reply {
    /// `+text`.
    Status(String),
    /// `-text`; the first word is the code.
    Error(String),
    /// `:number`.
    Integer(i64),
    /// `$length` and bytes.
    Bulk(Vec<u8>),
    /// `$-1` or `*-1`: there is no such value.
    Nil,
    /// `*count` and replies.
    Array(Vec<Reply>),
}

impl Reply {
    /// The number of an integer reply.
    pub fn integer(&self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(*number),
            _ => None,
        }
    }

    /// The text of a status or a bulk string.
    pub fn text(&self) -> Option<String> {
        match self {
            Self::Status(text) => Some(text.clone()),
            Self::Bulk(bytes) => Some(lossy(bytes)),
            _ => None,
        }
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(text) => write!(f, "+{text}"),
            Self::Error(text) => write!(f, "-{text}"),
            Self::Integer(number) => write!(f, ":{number}"),
            Self::Bulk(bytes) => write!(f, "\"{}\"", shortened(bytes)),
            Self::Nil => write!(f, "nil"),
            Self::Array(items) => {
                let items: Vec<String> = items.iter().map(Self::to_string).collect();
                write!(f, "[{}]", items.join(", "))
            }
        }
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The reply at the beginning of the buffer and its length in bytes, or nothing until more bytes arrive.
pub fn parse_reply(buffer: &[u8]) -> Result<Option<(Reply, usize)>, WireError> {
    reply_at(buffer, 0, 0)
}

type Found = Option<(Reply, usize)>;

fn reply_at(buffer: &[u8], at: usize, depth: usize) -> Result<Found, WireError> {
    if depth > MAX_REPLY_DEPTH {
        return Err(WireError::TooDeep {
            limit: MAX_REPLY_DEPTH,
        });
    }
    match buffer.get(at) {
        None => Ok(None),
        Some(b'+') => Ok(line(buffer, at + 1, MAX_LINE_BYTES)?
            .map(|(text, end)| (Reply::Status(lossy(text)), end))),
        Some(b'-') => Ok(line(buffer, at + 1, MAX_LINE_BYTES)?
            .map(|(text, end)| (Reply::Error(lossy(text)), end))),
        Some(b':') => integer_at(buffer, at),
        Some(b'$') => bulk_at(buffer, at),
        Some(b'*') => array_at(buffer, at, depth),
        Some(_) => Err(unexpected("a reply (one of + - : $ *)", &buffer[at..])),
    }
}

fn integer_at(buffer: &[u8], at: usize) -> Result<Found, WireError> {
    let Some((text, end)) = line(buffer, at + 1, MAX_HEADER_BYTES)? else {
        return Ok(None);
    };
    let value = number("an integer reply", text)?;
    let value = i64::try_from(value).map_err(|_| unexpected("an integer of 64 bits", text))?;
    Ok(Some((Reply::Integer(value), end)))
}

fn bulk_at(buffer: &[u8], at: usize) -> Result<Found, WireError> {
    match line(buffer, at + 1, MAX_HEADER_BYTES)? {
        Some((b"-1", end)) => Ok(Some((Reply::Nil, end))),
        Some(_) => Ok(bulk(buffer, at)?.map(|(bytes, end)| (Reply::Bulk(bytes.to_vec()), end))),
        None => Ok(None),
    }
}

fn array_at(buffer: &[u8], at: usize, depth: usize) -> Result<Found, WireError> {
    let Some((text, mut end)) = line(buffer, at + 1, MAX_HEADER_BYTES)? else {
        return Ok(None);
    };
    if text == b"-1" {
        return Ok(Some((Reply::Nil, end)));
    }
    let count = in_range(
        "the length of an array",
        number("the length of an array", text)?,
        MAX_ARRAY_ITEMS,
    )?;
    let mut items = Vec::new();
    for _ in 0..count {
        let Some((item, after)) = reply_at(buffer, end, depth + 1)? else {
            return Ok(None);
        };
        items.push(item);
        end = after;
        in_range("the bytes of one reply", (end - at) as i128, MAX_BULK_BYTES)?;
    }
    Ok(Some((Reply::Array(items), end)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_reply_is_read_and_waits_for_its_last_byte() {
        let input = b"*6\r\n+OK\r\n-ERR no\r\n:-7\r\n$3\r\na\r\n\r\n$-1\r\n*1\r\n*-1\r\n";
        for end in 0..input.len() {
            assert_eq!(parse_reply(&input[..end]).unwrap(), None, "{end}");
        }
        let (reply, taken) = parse_reply(input).unwrap().unwrap();
        assert_eq!(taken, input.len());
        assert_eq!(
            reply.to_string(),
            r#"[+OK, -ERR no, :-7, "a\r\n", nil, [nil]]"#
        );
    }

    #[test]
    fn hostile_replies_are_refused_by_name() {
        let deep = b"*1\r\n".repeat(100);
        assert_eq!(
            parse_reply(&deep),
            Err(WireError::TooDeep {
                limit: MAX_REPLY_DEPTH
            })
        );
        for input in [
            b"$4611686018427387904\r\n".as_slice(),
            b"*99999999\r\n",
            b"*-2\r\n",
        ] {
            assert!(
                matches!(parse_reply(input), Err(WireError::LengthOutOfRange { .. })),
                "{input:?}"
            );
        }
        for input in [b"HTTP/1.1".as_slice(), b":99999999999999999999\r\n"] {
            assert!(
                matches!(parse_reply(input), Err(WireError::Unexpected { .. })),
                "{input:?}"
            );
        }
        assert!(matches!(
            parse_reply(b":twelve\r\n"),
            Err(WireError::NotANumber { .. })
        ));
    }
}
