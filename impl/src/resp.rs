//! RESP2 and RESP3: requests in, replies and stream commands out, all as bytes in memory.
//!
//! The decoder is exactly as strict as Redis: no more, so that real clients work, and no less, so that nobody comes to
//! rely on our leniency. It counts every byte, because a replica's offset is that count (PROTOCOL §2.5). It never
//! allocates by an announced length: memory grows only with bytes that have arrived. Arguments are slices of the input
//! buffer and keep it alive; whoever stores one for long makes it a [`Blob`], which copies it when it is small.

use bytes::{BufMut, Bytes, BytesMut};

use crate::keyspace::Blob;
use crate::numbers::exact;

mod decoder;
mod inline;

pub use decoder::{Limits, ProtocolError, Request, RequestDecoder};

/// The version of the protocol in which a connection is answered. Requests are the same in both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// Strings, numbers and arrays.
    #[default]
    Resp2,
    /// Also doubles, sets and maps, and one absence for all types (`HELLO 3`).
    Resp3,
}

impl Protocol {
    /// As `HELLO` numbers it.
    pub fn number(self) -> i64 {
        match self {
            Self::Resp2 => 2,
            Self::Resp3 => 3,
        }
    }
}

/// What a client is answered.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// A status line, without `+`.
    Simple(&'static str),
    /// An error line, without `-`; its first word is the code. Line breaks are written as spaces.
    Error(String),
    /// A signed number.
    Integer(i64),
    /// A string of any bytes.
    Bulk(Bytes),
    /// The same, as it is stored.
    Stored(Blob),
    /// The absent string.
    NullBulk,
    /// The absent array.
    NullArray,
    /// Several replies in one.
    Array(Vec<Reply>),
    /// A floating-point number; in RESP2 the string of its digits.
    Double(f64),
    /// A text for people; in RESP2 a string.
    Verbatim(String),
    /// Several replies without an order; in RESP2 an array.
    Set(Vec<Reply>),
    /// Replies under names; in RESP2 an array of name, value, name, value.
    Map(Vec<(Reply, Reply)>),
    /// An array of arrays of two; in RESP2 one array of all of them.
    Pairs(Vec<(Reply, Reply)>),
}

impl Reply {
    /// `+OK`.
    pub const OK: Self = Self::Simple("OK");

    /// A bulk string of a text.
    pub fn text(text: &str) -> Self {
        Self::Bulk(Bytes::copy_from_slice(text.as_bytes()))
    }

    /// A bulk string, or the absent string.
    pub fn bulk_or_null(value: Option<Bytes>) -> Self {
        value.map_or(Self::NullBulk, Self::Bulk)
    }

    /// A stored string, or the absent string.
    pub fn stored_or_null(value: Option<Blob>) -> Self {
        value.map_or(Self::NullBulk, Self::Stored)
    }

    /// Bytes of the strings in the reply, which are nearly all of one that is long.
    pub fn payload_bytes(&self) -> u64 {
        match self {
            Self::Bulk(bytes) => bytes.len() as u64,
            Self::Stored(blob) => blob.len() as u64,
            Self::Verbatim(text) => text.len() as u64,
            Self::Array(items) | Self::Set(items) => items.iter().map(Self::payload_bytes).sum(),
            Self::Map(pairs) | Self::Pairs(pairs) => {
                let bytes =
                    |(one, other): &(Self, Self)| one.payload_bytes() + other.payload_bytes();
                pairs.iter().map(bytes).sum()
            }
            _ => 0,
        }
    }

    /// Appends the reply to a buffer.
    pub fn encode_into(&self, protocol: Protocol, out: &mut BytesMut) {
        let old = protocol == Protocol::Resp2;
        match self {
            Self::Simple(text) => put_line(out, b'+', text.as_bytes()),
            Self::Error(text) => put_line(out, b'-', text.replace(['\r', '\n'], " ").as_bytes()),
            Self::Integer(number) => put_line(out, b':', number.to_string().as_bytes()),
            Self::Bulk(bytes) => put_bulk(out, bytes),
            Self::Stored(blob) => put_bulk(out, blob),
            Self::NullBulk if old => out.put_slice(b"$-1\r\n"),
            Self::NullArray if old => out.put_slice(b"*-1\r\n"),
            Self::NullBulk | Self::NullArray => out.put_slice(b"_\r\n"),
            Self::Double(number) if old => put_bulk(out, exact(*number).as_bytes()),
            Self::Double(number) => put_line(out, b',', exact(*number).as_bytes()),
            Self::Verbatim(text) if old => put_bulk(out, text.as_bytes()),
            Self::Verbatim(text) => {
                put_length(out, b'=', text.len() + b"txt:".len());
                out.put_slice(b"txt:");
                put_end(out, text.as_bytes());
            }
            Self::Array(items) => put_items(out, b'*', items, protocol),
            Self::Set(items) => put_items(out, if old { b'*' } else { b'~' }, items, protocol),
            Self::Map(pairs) | Self::Pairs(pairs) => {
                match self {
                    _ if old => put_length(out, b'*', 2 * pairs.len()),
                    Self::Map(_) => put_length(out, b'%', pairs.len()),
                    _ => put_length(out, b'*', pairs.len()),
                }
                let nested = !old && matches!(self, Self::Pairs(_));
                for (one, other) in pairs {
                    if nested {
                        put_length(out, b'*', 2);
                    }
                    one.encode_into(protocol, out);
                    other.encode_into(protocol, out);
                }
            }
        }
    }

    /// The reply as bytes of its own.
    pub fn encode(&self, protocol: Protocol) -> Bytes {
        let mut out = BytesMut::new();
        self.encode_into(protocol, &mut out);
        out.freeze()
    }
}

/// A command as it stands in the replication stream: an array of bulk strings (PROTOCOL §2.5).
pub fn encode_command<A: AsRef<[u8]>>(args: &[A]) -> Bytes {
    let mut out = BytesMut::with_capacity(command_room(args));
    put_command(&mut out, args);
    out.freeze()
}

/// Bytes that a command takes in the stream, or a little more.
pub(crate) fn command_room<A: AsRef<[u8]>>(args: &[A]) -> usize {
    /// A mark, the digits of any length, and two ends of line.
    const AROUND: usize = 1 + 20 + 2 * 2;
    AROUND
        + args
            .iter()
            .map(|arg| AROUND + arg.as_ref().len())
            .sum::<usize>()
}

/// The same as [`encode_command`], behind what a buffer holds.
pub(crate) fn put_command<A: AsRef<[u8]>>(out: &mut BytesMut, args: &[A]) {
    put_length(out, b'*', args.len());
    for arg in args {
        put_bulk(out, arg.as_ref());
    }
}

/// A signed 64-bit decimal in the one spelling that Redis accepts: no plus, no leading zeros, no spaces, no `-0`.
pub fn parse_integer(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let canonical = match digits {
        [b'0'] => digits.len() == text.len(),
        [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    if !canonical {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn put_line(out: &mut BytesMut, kind: u8, text: &[u8]) {
    out.put_u8(kind);
    out.put_slice(text);
    out.put_slice(b"\r\n");
}

fn put_length(out: &mut BytesMut, kind: u8, length: usize) {
    // Lengths are the most of what is written; a text of each would be allocated and thrown away.
    let (mut digits, mut first, mut rest) = ([0; 20], 20, length);
    loop {
        first -= 1;
        digits[first] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    put_line(out, kind, &digits[first..]);
}

fn put_bulk(out: &mut BytesMut, bytes: &[u8]) {
    put_length(out, b'$', bytes.len());
    put_end(out, bytes);
}

fn put_end(out: &mut BytesMut, bytes: &[u8]) {
    out.put_slice(bytes);
    out.put_slice(b"\r\n");
}

fn put_items(out: &mut BytesMut, kind: u8, items: &[Reply], protocol: Protocol) {
    put_length(out, kind, items.len());
    for item in items {
        item.encode_into(protocol, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_have_their_wire_form() {
        let table = [
            (Reply::OK, "+OK\r\n"),
            (Reply::Error("ERR a\r\nb".into()), "-ERR a  b\r\n"),
            (Reply::Integer(-7), ":-7\r\n"),
            (Reply::Bulk(Bytes::from_static(b"hi")), "$2\r\nhi\r\n"),
            (Reply::NullBulk, "$-1\r\n"),
            (Reply::NullArray, "*-1\r\n"),
            (
                Reply::Array(vec![Reply::Integer(1), Reply::Array(vec![])]),
                "*2\r\n:1\r\n*0\r\n",
            ),
        ];
        for (reply, wire) in table {
            assert_eq!(reply.encode(Protocol::Resp2), wire);
        }
    }

    #[test]
    fn what_resp3_tells_apart_is_flat_in_resp2() {
        let pair = || vec![(Reply::text("m"), Reply::Double(2.5))];
        let text = || Reply::Verbatim("hello".into());
        let table = [
            (Reply::NullBulk, "$-1\r\n", "_\r\n"),
            (Reply::NullArray, "*-1\r\n", "_\r\n"),
            (
                Reply::Double(0.1),
                "$19\r\n0.10000000000000001\r\n",
                ",0.10000000000000001\r\n",
            ),
            (
                Reply::Double(f64::NEG_INFINITY),
                "$4\r\n-inf\r\n",
                ",-inf\r\n",
            ),
            (text(), "$5\r\nhello\r\n", "=9\r\ntxt:hello\r\n"),
            (
                Reply::Set(vec![Reply::Integer(1)]),
                "*1\r\n:1\r\n",
                "~1\r\n:1\r\n",
            ),
            (
                Reply::Map(pair()),
                "*2\r\n$1\r\nm\r\n$3\r\n2.5\r\n",
                "%1\r\n$1\r\nm\r\n,2.5\r\n",
            ),
            (
                Reply::Pairs(pair()),
                "*2\r\n$1\r\nm\r\n$3\r\n2.5\r\n",
                "*1\r\n*2\r\n$1\r\nm\r\n,2.5\r\n",
            ),
        ];
        for (reply, old, new) in table {
            assert_eq!(reply.encode(Protocol::Resp2), old);
            assert_eq!(reply.encode(Protocol::Resp3), new);
        }
    }

    #[test]
    fn lengths_are_written_in_decimal() {
        for length in [0, 7, 10, 909, 1_048_576, usize::MAX] {
            let mut out = BytesMut::new();
            put_length(&mut out, b'$', length);
            assert_eq!(out, format!("${length}\r\n"));
        }
    }

    #[test]
    fn stream_commands_are_arrays_of_bulk_strings() {
        assert_eq!(
            encode_command(&["SELECT", "0"]),
            "*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n"
        );
    }

    #[test]
    fn integers_have_one_spelling() {
        for (text, value) in [
            ("0", Some(0)),
            ("-1", Some(-1)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("", None),
            ("-", None),
            ("-0", None),
            ("01", None),
            ("+1", None),
            (" 1", None),
            ("1a", None),
        ] {
            assert_eq!(parse_integer(text.as_bytes()), value, "{text}");
        }
    }
}
