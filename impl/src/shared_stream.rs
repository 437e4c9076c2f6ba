//! The stream as bytes in memory: written once, shared by the backlog and by every replica.
//!
//! Small commands are copied into blocks, large ones are kept as they came; both are reference-counted, so that handing
//! them to a connection copies nothing. Who still needs bytes says so by position; what nobody needs is released.
//! Positions count everything this process has put into its stream. They are not offsets: in eras and situations
//! without a backlog bytes have no offset, and still replicas are sent them. Sizes are in bytes.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use crate::resp::{command_room, encode_command, put_command};

/// Commands from this length on are kept as they came instead of being copied.
const SHARED_FROM: usize = 4 * 1024;

/// The block into which smaller ones are gathered (PROTOCOL §1).
const BLOCK: usize = 16 * 1024;

/// How many bytes this process put into its stream before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Position(u64);

impl Position {
    /// The position `bytes` further on.
    pub fn advanced(self, bytes: u64) -> Self {
        Self(self.0 + bytes)
    }

    /// The position `bytes` before, at least the beginning.
    pub fn back(self, bytes: u64) -> Self {
        Self(self.0.saturating_sub(bytes))
    }

    /// How many bytes lie between `earlier` and here; zero when `earlier` is not earlier.
    pub fn distance_from(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// A stretch of the stream, and where it begins.
#[derive(Debug)]
struct Piece {
    start: Position,
    bytes: Bytes,
}

impl Piece {
    fn end(&self) -> Position {
        self.start.advanced(self.bytes.len() as u64)
    }
}

/// The part of the stream that somebody still needs.
#[derive(Debug, Default)]
pub struct SharedStream {
    pieces: VecDeque<Piece>,
    tail: BytesMut,
    end: Position,
}

impl SharedStream {
    /// Appends a command, and says how many bytes it takes. A short one is written where it stays.
    pub fn append_command(&mut self, args: &[Bytes]) -> u64 {
        let room = command_room(args);
        if room >= SHARED_FROM {
            let bytes = encode_command(args);
            self.append(&bytes);
            return bytes.len() as u64;
        }
        self.make_room(room);
        let before = self.tail.len();
        put_command(&mut self.tail, args);
        let length = (self.tail.len() - before) as u64;
        self.end = self.end.advanced(length);
        length
    }

    /// Takes another block if the rest of this one is too short.
    fn make_room(&mut self, bytes: usize) {
        if self.tail.capacity() - self.tail.len() < bytes {
            self.seal();
            self.tail.reserve(BLOCK);
        }
    }

    /// Appends bytes.
    pub fn append(&mut self, bytes: &Bytes) {
        if bytes.len() < SHARED_FROM {
            self.make_room(bytes.len());
            self.tail.extend_from_slice(bytes);
        } else {
            self.seal();
            self.pieces.push_back(Piece {
                start: self.end,
                bytes: bytes.clone(),
            });
        }
        self.end = self.end.advanced(bytes.len() as u64);
    }

    /// Where the next byte will stand.
    pub fn end(&self) -> Position {
        self.end
    }

    /// How many bytes are in memory.
    pub fn held(&self) -> u64 {
        self.pieces.front().map_or(self.tail.len() as u64, |piece| {
            self.end.distance_from(piece.start)
        })
    }

    /// The bytes between two positions, at most about `most` of them (a piece is not cut), without a copy.
    pub fn share(&mut self, from: Position, to: Position, most: u64) -> Vec<Bytes> {
        self.seal();
        let to = to.max(from);
        let first = self.pieces.partition_point(|piece| piece.end() <= from);
        let (mut shared, mut length) = (Vec::new(), 0);
        for piece in self
            .pieces
            .range(first..)
            .take_while(|piece| piece.start < to)
        {
            if length >= most {
                break;
            }
            let skipped = from.distance_from(piece.start) as usize;
            let end = to.min(piece.end()).distance_from(piece.start) as usize;
            shared.push(piece.bytes.slice(skipped..end));
            length += (end - skipped) as u64;
        }
        shared
    }

    /// Forgets what lies before a position.
    pub fn release_before(&mut self, position: Position) {
        if position == self.end {
            self.seal();
        }
        while self
            .pieces
            .front()
            .is_some_and(|piece| piece.end() <= position)
        {
            self.pieces.pop_front();
        }
    }

    /// Makes what was gathered a piece that can be shared; the rest of its block is filled later.
    fn seal(&mut self) {
        if !self.tail.is_empty() {
            let bytes = self.tail.split().freeze();
            let start = self.end.back(bytes.len() as u64);
            self.pieces.push_back(Piece { start, bytes });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Positions are as in the text "0123456789…" repeated.
    fn filled(lengths: &[usize]) -> SharedStream {
        let mut stream = SharedStream::default();
        for length in lengths {
            let start = stream.end.0 as usize;
            let bytes: Vec<u8> = (start..start + length)
                .map(|i| b'0' + (i % 10) as u8)
                .collect();
            stream.append(&Bytes::from(bytes));
        }
        stream
    }

    #[test]
    fn what_is_shared_is_what_was_appended_from_any_position() {
        let mut stream = filled(&[3, 5, 10_000, 7, BLOCK, 2]);
        let end = stream.end();
        for from in [0, 2, 3, 8, 9, 10_007, 10_015, 26_000, end.0] {
            let shared = stream.share(Position(from), end, u64::MAX).concat();
            assert_eq!(shared.len() as u64, end.0 - from, "from {from}");
            assert!(
                shared
                    .iter()
                    .enumerate()
                    .all(|(i, b)| *b == b'0' + ((from as usize + i) % 10) as u8)
            );
        }
        let short = stream.share(Position(1), Position(4), u64::MAX).concat();
        assert_eq!(short, b"123");
        let backwards = stream.share(Position(4), Position(1), u64::MAX).concat();
        assert_eq!(backwards, b"");
    }

    #[test]
    fn a_share_stops_after_the_piece_that_fills_it() {
        let mut stream = filled(&[5_000, 5_000, 5_000]);
        let end = stream.end();
        assert_eq!(stream.share(Position(0), end, 1).concat().len(), 5_000);
        assert_eq!(stream.share(Position(0), end, 5_001).concat().len(), 10_000);
    }

    #[test]
    fn a_command_is_written_as_it_is_encoded_however_long() {
        let (mut stream, mut expected) = (SharedStream::default(), Vec::new());
        for length in [0, 1, 9, 10, 1_000, SHARED_FROM - 30, SHARED_FROM, BLOCK, 3] {
            let args = [Bytes::from_static(b"SET"), Bytes::from(vec![b'v'; length])];
            let command = encode_command(&args);
            assert_eq!(stream.append_command(&args), command.len() as u64);
            expected.extend_from_slice(&command);
        }
        let end = stream.end();
        assert_eq!(end.0, expected.len() as u64);
        let shared = stream.share(Position(0), end, u64::MAX).concat();
        assert!(shared == expected);
    }

    #[test]
    fn what_nobody_needs_is_released() {
        let mut stream = filled(&[5_000, 5_000, 100]);
        stream.release_before(Position(7_000));
        assert_eq!(stream.held(), 5_100);
        stream.release_before(stream.end());
        assert_eq!(stream.held(), 0);
    }

    #[test]
    fn small_commands_share_a_block() {
        let mut stream = SharedStream::default();
        let command = Bytes::from_static(&[b'x'; 100]);
        for _ in 0..50 {
            stream.append(&command);
            stream.seal();
        }
        let places: Vec<_> = stream
            .pieces
            .iter()
            .map(|piece| piece.bytes.as_ptr() as usize)
            .collect();
        assert!(
            places.windows(2).all(|pair| pair[1] == pair[0] + 100),
            "one allocation"
        );
    }
}
