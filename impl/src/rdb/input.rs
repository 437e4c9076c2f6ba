//! The payload as a sequence of bytes, lengths and strings: the only place that knows where the bytes are.

use std::vec;

use bytes::{Bytes, BytesMut};
use crc::{Digest, Table};

use super::format::{CHECKSUM, ENCODED_I8, ENCODED_I16, ENCODED_I32, ENCODED_LZF};
use super::length::{LENGTH_32, LENGTH_64};
use super::{RdbError, lzf};
use crate::keyspace::DATABASES;

/// A length, or the announcement of an encoded string.
enum Length {
    Plain(u64),
    Encoded(u64),
}

/// The payload, which may have come in pieces, and how far it has been read.
pub(super) struct Input {
    piece: Bytes,
    /// How much of the piece has been read.
    read: usize,
    /// How much came before the piece.
    before: usize,
    further: vec::IntoIter<Bytes>,
    /// The checksum of what came before the piece.
    sum: Digest<'static, u64, Table<16>>,
}

impl Input {
    pub(super) fn new(pieces: Vec<Bytes>) -> Self {
        Self {
            piece: Bytes::new(),
            read: 0,
            before: 0,
            further: pieces.into_iter(),
            sum: CHECKSUM.digest(),
        }
    }

    /// How many bytes have been read.
    pub(super) fn position(&self) -> usize {
        self.before + self.read
    }

    /// How many bytes there are beyond.
    pub(super) fn left(&self) -> usize {
        let further: usize = self.further.as_slice().iter().map(Bytes::len).sum();
        self.piece.len() - self.read + further
    }

    /// The checksum of everything read so far.
    pub(super) fn sum(&self) -> u64 {
        let mut sum = self.sum.clone();
        sum.update(&self.piece[..self.read]);
        sum.finalize()
    }

    /// The next bytes, as a slice of a piece, or put together if they lie in several: no more is allocated than has come.
    pub(super) fn take(&mut self, count: u64) -> Result<Bytes, RdbError> {
        let within = self.piece.len() - self.read;
        let taken = match usize::try_from(count) {
            Ok(count) if count <= within => self.piece.slice(self.read..self.read + count),
            _ => return self.put_together(count),
        };
        self.read += taken.len();
        Ok(taken)
    }

    fn put_together(&mut self, count: u64) -> Result<Bytes, RdbError> {
        let left = self.left() as u64;
        if count > left {
            return Err(RdbError::Truncated {
                position: self.position(),
                needed: count - left,
            });
        }
        let mut taken = BytesMut::with_capacity(count as usize);
        while taken.len() < count as usize {
            if self.read == self.piece.len() {
                self.next_piece();
            }
            let end = (self.read + count as usize - taken.len()).min(self.piece.len());
            taken.extend_from_slice(&self.piece[self.read..end]);
            self.read = end;
        }
        Ok(taken.freeze())
    }

    fn next_piece(&mut self) {
        self.sum.update(&self.piece);
        self.before += self.piece.len();
        self.piece = self.further.next().unwrap_or_default();
        self.read = 0;
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], RdbError> {
        if let Some(next) = self.piece[self.read..].first_chunk() {
            self.read += N;
            return Ok(*next);
        }
        let taken = self.put_together(N as u64)?;
        Ok(taken[..]
            .try_into()
            .expect("just as many were put together"))
    }

    pub(super) fn byte(&mut self) -> Result<u8, RdbError> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn length_or_encoding(&mut self) -> Result<Length, RdbError> {
        let position = self.position();
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
        let position = self.position();
        match self.length_or_encoding()? {
            Length::Plain(length) => Ok(length),
            Length::Encoded(_) => Err(RdbError::BadLength { position }),
        }
    }

    pub(super) fn skip_lengths(&mut self, count: usize) -> Result<(), RdbError> {
        (0..count).try_for_each(|_| self.length().map(|_| ()))
    }

    pub(super) fn database(&mut self) -> Result<usize, RdbError> {
        let position = self.position();
        let number = self.length()?;
        let known = usize::try_from(number)
            .ok()
            .filter(|number| *number < DATABASES);
        known.ok_or(RdbError::BadDatabase { number, position })
    }

    pub(super) fn string(&mut self) -> Result<Bytes, RdbError> {
        let position = self.position();
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
