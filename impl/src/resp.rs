//! RESP2: requests in, replies and stream commands out, all as bytes in memory.
//!
//! The decoder is exactly as strict as Redis: no more, so that real clients work, and no less, so that nobody comes to
//! rely on our leniency. It counts every byte, because a replica's offset is that count (PROTOCOL §2.5). It never
//! allocates by an announced length: memory grows only with bytes that have arrived. Arguments are slices of the input
//! buffer and keep it alive; whoever stores one for long makes it a [`Blob`], which copies it when it is small.

use bytes::{BufMut, Bytes, BytesMut};

use crate::keyspace::Blob;

mod decoder;
mod inline;

pub use decoder::{Limits, ProtocolError, Request, RequestDecoder};

/// What a client is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
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
}

impl Reply {
    /// `+OK`.
    pub const OK: Self = Self::Simple("OK");

    /// A bulk string, or the absent string.
    pub fn bulk_or_null(value: Option<Bytes>) -> Self {
        value.map_or(Self::NullBulk, Self::Bulk)
    }

    /// A stored string, or the absent string.
    pub fn stored_or_null(value: Option<Blob>) -> Self {
        value.map_or(Self::NullBulk, Self::Stored)
    }

    /// Appends the reply to a buffer.
    pub fn encode_into(&self, out: &mut BytesMut) {
        match self {
            Self::Simple(text) => put_line(out, b'+', text.as_bytes()),
            Self::Error(text) => put_line(out, b'-', text.replace(['\r', '\n'], " ").as_bytes()),
            Self::Integer(number) => put_line(out, b':', number.to_string().as_bytes()),
            Self::Bulk(bytes) => put_bulk(out, bytes),
            Self::Stored(blob) => put_bulk(out, blob),
            Self::NullBulk => out.put_slice(b"$-1\r\n"),
            Self::NullArray => out.put_slice(b"*-1\r\n"),
            Self::Array(items) => {
                put_line(out, b'*', items.len().to_string().as_bytes());
                for item in items {
                    item.encode_into(out);
                }
            }
        }
    }

    /// The reply as bytes of its own.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        self.encode_into(&mut out);
        out.freeze()
    }
}

/// A command as it stands in the replication stream: an array of bulk strings (PROTOCOL §2.5).
pub fn encode_command<A: AsRef<[u8]>>(args: &[A]) -> Bytes {
    let payload: usize = args.iter().map(|arg| arg.as_ref().len() + 16).sum();
    let mut out = BytesMut::with_capacity(payload + 16);
    put_line(&mut out, b'*', args.len().to_string().as_bytes());
    for arg in args {
        put_bulk(&mut out, arg.as_ref());
    }
    out.freeze()
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

fn put_bulk(out: &mut BytesMut, bytes: &[u8]) {
    put_line(out, b'$', bytes.len().to_string().as_bytes());
    out.put_slice(bytes);
    out.put_slice(b"\r\n");
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
            assert_eq!(reply.encode(), wire);
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
