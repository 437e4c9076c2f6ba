//! The payload as a sequence of bytes, lengths and strings: the only place that knows where the bytes are.

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

/// Of a string that lies in several pieces, so much is reserved before more of it has come than that.
const RESERVED_BYTES: u64 = 64 * 1024;

/// The payload, piece by piece, and how far it has been read. A piece that is still on its way is waited for.
pub(super) struct Input<'a> {
    piece: Bytes,
    /// How much of the piece has been read.
    read: usize,
    /// How much came before the piece.
    before: usize,
    further: &'a mut dyn Iterator<Item = Bytes>,
    /// The checksum of what came before the piece.
    sum: Digest<'static, u64, Table<16>>,
}

impl<'a> Input<'a> {
    pub(super) fn new(pieces: &'a mut dyn Iterator<Item = Bytes>) -> Self {
        Self {
            piece: Bytes::new(),
            read: 0,
            before: 0,
            further: pieces,
            sum: CHECKSUM.digest(),
        }
    }

    /// How many bytes have been read.
    pub(super) fn position(&self) -> usize {
        self.before + self.read
    }

    /// How many bytes there are beyond, which ends the reading.
    pub(super) fn left(self) -> usize {
        let further: usize = self.further.map(|piece| piece.len()).sum();
        self.piece.len() - self.read + further
    }

    /// The checksum of everything read so far.
    pub(super) fn sum(&self) -> u64 {
        let mut sum = self.sum.clone();
        sum.update(&self.piece[..self.read]);
        sum.finalize()
    }

    /// The next bytes, as a slice of a piece, or put together if they lie in several: little more is allocated than has come.
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
        let position = self.position();
        let mut taken = BytesMut::with_capacity(count.min(RESERVED_BYTES) as usize);
        loop {
            let needed = count - taken.len() as u64;
            let there = (self.piece.len() - self.read) as u64;
            let end = self.read + needed.min(there) as usize;
            taken.extend_from_slice(&self.piece[self.read..end]);
            self.read = end;
            if needed <= there {
                return Ok(taken.freeze());
            }
            if !self.next_piece() {
                let needed = needed - there;
                return Err(RdbError::Truncated { position, needed });
            }
        }
    }

    /// Goes on to the next piece, if there is one.
    fn next_piece(&mut self) -> bool {
        let Some(next) = self.further.next() else {
            return false;
        };
        self.sum.update(&self.piece);
        self.before += self.piece.len();
        self.piece = next;
        self.read = 0;
        true
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
