//! The payload as a sequence of bytes, lengths and strings: the only place that knows where the bytes are.

use bytes::Bytes;

use super::format::{ENCODED_I8, ENCODED_I16, ENCODED_I32, ENCODED_LZF};
use super::length::{LENGTH_32, LENGTH_64};
use super::{RdbError, lzf};
use crate::keyspace::DATABASES;

/// A length, or the announcement of an encoded string.
enum Length {
    Plain(u64),
    Encoded(u64),
}

/// The payload and how far it has been read.
pub(super) struct Input<'a> {
    pub(super) payload: &'a Bytes,
    pub(super) position: usize,
}

impl<'a> Input<'a> {
    pub(super) fn new(payload: &'a Bytes) -> Self {
        Self {
            payload,
            position: 0,
        }
    }

    /// The next bytes, as a slice of the payload: nothing is allocated whatever the count.
    pub(super) fn take(&mut self, count: u64) -> Result<Bytes, RdbError> {
        let available = self.payload.len() - self.position;
        let truncated = RdbError::Truncated {
            position: self.position,
            needed: count.saturating_sub(available as u64),
        };
        let count = usize::try_from(count)
            .ok()
            .filter(|count| *count <= available)
            .ok_or(truncated)?;
        let taken = self.payload.slice(self.position..self.position + count);
        self.position += count;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], RdbError> {
        let taken = self.take(N as u64)?;
        Ok(taken[..]
            .try_into()
            .expect("take returns exactly the count asked for"))
    }

    pub(super) fn byte(&mut self) -> Result<u8, RdbError> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn length_or_encoding(&mut self) -> Result<Length, RdbError> {
        let position = self.position;
        let first = self.byte()?;
        let low = u64::from(first & 0x3f);
        Ok(match first >> 6 {
            0 => Length::Plain(low),
            1 => Length::Plain(low << 8 | u64::from(self.byte()?)),
            3 => Length::Encoded(low),
            _ if first == LENGTH_32 => Length::Plain(u32::from_be_bytes(self.array()?).into()),
            _ if first == LENGTH_64 => Length::Plain(u64::from_be_bytes(self.array()?)),
            _ => return Err(RdbError::BadLength { position }),
        })
    }

    pub(super) fn length(&mut self) -> Result<u64, RdbError> {
        let position = self.position;
        match self.length_or_encoding()? {
            Length::Plain(length) => Ok(length),
            Length::Encoded(_) => Err(RdbError::BadLength { position }),
        }
    }

    pub(super) fn skip_lengths(&mut self, count: usize) -> Result<(), RdbError> {
        (0..count).try_for_each(|_| self.length().map(|_| ()))
    }

    pub(super) fn database(&mut self) -> Result<usize, RdbError> {
        let position = self.position;
        let number = self.length()?;
        let known = usize::try_from(number)
            .ok()
            .filter(|number| *number < DATABASES);
        known.ok_or(RdbError::BadDatabase { number, position })
    }

    pub(super) fn string(&mut self) -> Result<Bytes, RdbError> {
        let position = self.position;
        match self.length_or_encoding()? {
            Length::Plain(length) => self.take(length),
            Length::Encoded(ENCODED_I8) => Ok(decimal(i8::from_le_bytes(self.array()?))),
            Length::Encoded(ENCODED_I16) => Ok(decimal(i16::from_le_bytes(self.array()?))),
            Length::Encoded(ENCODED_I32) => Ok(decimal(i32::from_le_bytes(self.array()?))),
            Length::Encoded(ENCODED_LZF) => self.compressed(position),
            Length::Encoded(_) => Err(RdbError::BadLength { position }),
        }
    }

    fn compressed(&mut self, position: usize) -> Result<Bytes, RdbError> {
        let packed = self.length()?;
        let length = self.length()?;
        let packed = self.take(packed)?;
        let length = usize::try_from(length).map_err(|_| RdbError::BadCompression { position })?;
        lzf::decompress(&packed, length)
            .map(Bytes::from)
            .ok_or(RdbError::BadCompression { position })
    }
}

fn decimal(number: impl Into<i64>) -> Bytes {
    Bytes::from(number.into().to_string())
}
