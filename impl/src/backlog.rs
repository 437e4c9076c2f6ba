//! The backlog: the most recent bytes of the stream, kept so that a replica can be continued.
//!
//! It holds the same shared bytes that the replicas are sent; nothing is copied. Sizes are in bytes.
//! Invariant: `first + held = offset of the stream + 1` (PROTOCOL §6 S5).

use std::collections::VecDeque;

use bytes::Bytes;

use crate::offset::NextByte;
use crate::rulebook::Trim;

/// The smallest backlog; smaller wishes are raised to it (PROTOCOL §1).
pub const MINIMUM_SIZE: u64 = 16 * 1024;

/// The smallest block of the stream by which trimming goes from 7.0 on (PROTOCOL §1).
const MINIMUM_BLOCK: u64 = 16 * 1024;

/// Blocks are at most this fraction of the backlog, unless that is less than the smallest block.
const BLOCKS_IN_BACKLOG: u64 = 16;

/// A stretch of the stream that is trimmed as a whole.
#[derive(Debug, Clone, Copy)]
struct Block {
    used: u64,
    capacity: u64,
}

/// The retained end of the stream.
#[derive(Debug)]
pub struct Backlog {
    first: NextByte,
    held: u64,
    size: u64,
    pieces: VecDeque<Bytes>,
    blocks: VecDeque<Block>,
}

impl Backlog {
    /// An empty backlog that will begin with byte `first` and hold `size` bytes.
    pub fn new(first: NextByte, size: u64) -> Self {
        let size = size.max(MINIMUM_SIZE);
        Self {
            first,
            held: 0,
            size,
            pieces: VecDeque::new(),
            blocks: VecDeque::new(),
        }
    }

    /// The number of the first byte held.
    pub fn first(&self) -> NextByte {
        self.first
    }

    /// How many bytes are held; from 7.0 on this may exceed the size.
    pub fn held(&self) -> u64 {
        self.held
    }

    /// The configured size.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The number of the byte that will be appended next.
    pub fn end(&self) -> NextByte {
        self.first.advanced(self.held)
    }

    /// Takes the bytes at the end of the stream, then trims; `pinned` is the oldest byte that some replica still lacks.
    pub fn append(&mut self, bytes: Bytes, trim: Trim, pinned: Option<NextByte>) {
        let length = bytes.len() as u64;
        self.held += length;
        if trim == Trim::Blocks {
            self.fill_blocks(length);
        }
        self.pieces.push_back(bytes);
        self.trim(trim, pinned);
    }

    /// Cuts the front down to the size by the era's rule (PROTOCOL §3.6).
    pub fn trim(&mut self, trim: Trim, pinned: Option<NextByte>) {
        match trim {
            Trim::Ring => self.drop_front(self.held.saturating_sub(self.size)),
            Trim::Blocks => self.trim_blocks(pinned),
        }
    }

    /// Gives the backlog another size: a ring loses its content, blocks are only trimmed (PROTOCOL §3.6).
    pub fn resize(&mut self, size: u64, trim: Trim, pinned: Option<NextByte>) {
        match trim {
            Trim::Ring => *self = Self::new(self.end(), size),
            Trim::Blocks => {
                self.size = size.max(MINIMUM_SIZE);
                self.trim(trim, pinned);
            }
        }
    }

    /// The bytes from number `from` on, or all when `from` lies before the window.
    pub fn copy_from(&self, from: NextByte) -> Vec<Bytes> {
        let mut skip = from.distance_from(self.first) as usize;
        let mut found = Vec::new();
        for piece in &self.pieces {
            if skip >= piece.len() {
                skip -= piece.len();
            } else {
                found.push(piece.slice(skip..));
                skip = 0;
            }
        }
        found
    }

    fn fill_blocks(&mut self, mut length: u64) {
        let largest = (self.size / BLOCKS_IN_BACKLOG).max(MINIMUM_BLOCK);
        while length > 0 {
            let room = self
                .blocks
                .back()
                .map_or(0, |block| block.capacity - block.used);
            if room == 0 {
                let capacity = length.clamp(MINIMUM_BLOCK, largest);
                self.blocks.push_back(Block { used: 0, capacity });
                continue;
            }
            let part = length.min(room);
            if let Some(block) = self.blocks.back_mut() {
                block.used += part;
            }
            length -= part;
        }
    }

    fn trim_blocks(&mut self, pinned: Option<NextByte>) {
        while self.held > self.size && self.blocks.len() > 1 {
            let Some(block) = self.blocks.front().copied() else {
                return;
            };
            let needed = pinned.is_some_and(|byte| byte < self.first.advanced(block.used));
            if needed || self.held - block.used <= self.size {
                return;
            }
            self.blocks.pop_front();
            self.drop_front(block.used);
        }
    }

    fn drop_front(&mut self, mut excess: u64) {
        self.first = self.first.advanced(excess);
        self.held -= excess;
        while excess > 0 {
            let Some(mut piece) = self.pieces.pop_front() else {
                return;
            };
            let length = piece.len() as u64;
            if length > excess {
                self.pieces.push_front(piece.split_off(excess as usize));
            }
            excess = excess.saturating_sub(length);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: usize = 32 * 1024;

    /// Appends a SELECT and `count` commands of 32 KiB each; the numbers at which commands begin come back.
    fn filled(size: u64, trim: Trim, count: usize) -> (Backlog, Vec<NextByte>) {
        let mut backlog = Backlog::new(NextByte::new(1), size);
        backlog.append(Bytes::from_static(&[b's'; 23]), trim, None);
        let mut starts = Vec::new();
        for _ in 0..count {
            starts.push(backlog.end());
            backlog.append(Bytes::from(vec![b'x'; TOKEN]), trim, None);
        }
        (backlog, starts)
    }

    #[test]
    fn exactly_the_last_k_commands_remain_when_the_size_is_k_commands_and_a_quarter() {
        for trim in [Trim::Ring, Trim::Blocks] {
            for k in 1..=3 {
                for written in k..12 {
                    let (backlog, starts) = filled((k * TOKEN + TOKEN / 4) as u64, trim, written);
                    let kept = starts
                        .iter()
                        .filter(|start| **start >= backlog.first())
                        .count();
                    assert_eq!(kept, k, "{trim:?}, k = {k}, {written} commands");
                }
            }
        }
    }

    #[test]
    fn first_and_held_always_meet_the_end_of_the_stream() {
        for trim in [Trim::Ring, Trim::Blocks] {
            let (backlog, _) = filled(20_000, trim, 5);
            assert_eq!(backlog.end().get(), 1 + 23 + 5 * TOKEN as i64);
            let copied: usize = backlog
                .copy_from(backlog.first())
                .iter()
                .map(Bytes::len)
                .sum();
            assert_eq!(copied as u64, backlog.held());
        }
    }

    #[test]
    fn blocks_that_a_replica_lacks_are_kept() {
        let mut backlog = Backlog::new(NextByte::new(1), MINIMUM_SIZE);
        for _ in 0..4 {
            backlog.append(
                Bytes::from(vec![b'x'; TOKEN]),
                Trim::Blocks,
                Some(NextByte::new(1)),
            );
        }
        assert_eq!(backlog.first(), NextByte::new(1));
        backlog.trim(Trim::Blocks, None);
        assert!(backlog.held() <= 2 * MINIMUM_SIZE);
    }

    #[test]
    fn another_size_empties_a_ring_and_spares_blocks() {
        let (mut ring, _) = filled(1 << 20, Trim::Ring, 2);
        ring.resize(1 << 19, Trim::Ring, None);
        assert_eq!(
            (ring.held(), ring.end().get()),
            (0, 1 + 23 + 2 * TOKEN as i64)
        );
        let (mut blocks, _) = filled(1 << 20, Trim::Blocks, 2);
        blocks.resize(1 << 19, Trim::Blocks, None);
        assert_eq!(blocks.held(), 23 + 2 * TOKEN as u64);
    }

    #[test]
    fn a_copy_may_begin_inside_a_command() {
        let mut backlog = Backlog::new(NextByte::new(101), MINIMUM_SIZE);
        backlog.append(Bytes::from_static(b"abc"), Trim::Ring, None);
        backlog.append(Bytes::from_static(b"def"), Trim::Ring, None);
        assert_eq!(backlog.copy_from(NextByte::new(102)).concat(), b"bcdef");
        assert_eq!(backlog.copy_from(NextByte::new(107)).concat(), b"");
    }
}
