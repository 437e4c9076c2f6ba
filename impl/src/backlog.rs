//! The backlog: which of the most recent bytes of the stream a replica can be continued from.
//!
//! It is a window over the [`SharedStream`](crate::shared_stream::SharedStream), which holds the bytes. Sizes are in
//! bytes. Invariant: `first + held = offset of the stream + 1` (PROTOCOL §6 S5).

use std::collections::VecDeque;

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

    /// Takes in `length` bytes at the end of the stream; trimming is another step.
    pub fn append(&mut self, length: u64, trim: Trim) {
        self.held += length;
        if trim == Trim::Blocks {
            self.fill_blocks(length);
        }
    }

    /// Whether trimming would do anything, if no replica stood in the way.
    pub fn is_too_large(&self, trim: Trim) -> bool {
        let droppable = match trim {
            Trim::Ring => 0,
            Trim::Blocks => self.blocks.front().map_or(0, |block| block.used),
        };
        self.held - droppable.min(self.held) > self.size
    }

    /// Cuts the front down to the size by the era's rule; `pinned` is the oldest byte that some replica still lacks
    /// (PROTOCOL §3.6).
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

    fn drop_front(&mut self, excess: u64) {
        self.first = self.first.advanced(excess);
        self.held -= excess;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: u64 = 32 * 1024;

    fn put(backlog: &mut Backlog, length: u64, trim: Trim, pinned: Option<NextByte>) {
        backlog.append(length, trim);
        if backlog.is_too_large(trim) {
            backlog.trim(trim, pinned);
        }
    }

    /// Appends a SELECT and `count` commands of 32 KiB each; the numbers at which commands begin come back.
    fn filled(size: u64, trim: Trim, count: u64) -> (Backlog, Vec<NextByte>) {
        let mut backlog = Backlog::new(NextByte::new(1), size);
        put(&mut backlog, 23, trim, None);
        let mut starts = Vec::new();
        for _ in 0..count {
            starts.push(backlog.end());
            put(&mut backlog, TOKEN, trim, None);
        }
        (backlog, starts)
    }

    #[test]
    fn exactly_the_last_k_commands_remain_when_the_size_is_k_commands_and_a_quarter() {
        for trim in [Trim::Ring, Trim::Blocks] {
            for k in 1..=3 {
                for written in k..12 {
                    let (backlog, starts) = filled(k * TOKEN + TOKEN / 4, trim, written);
                    let kept = starts
                        .iter()
                        .filter(|start| **start >= backlog.first())
                        .count();
                    assert_eq!(kept as u64, k, "{trim:?}, k = {k}, {written} commands");
                }
            }
        }
    }

    #[test]
    fn first_and_held_always_meet_the_end_of_the_stream() {
        for trim in [Trim::Ring, Trim::Blocks] {
            let (backlog, _) = filled(20_000, trim, 5);
            assert_eq!(backlog.end().get(), 1 + 23 + 5 * TOKEN as i64);
        }
    }

    #[test]
    fn blocks_that_a_replica_lacks_are_kept() {
        let mut backlog = Backlog::new(NextByte::new(1), MINIMUM_SIZE);
        for _ in 0..4 {
            put(&mut backlog, TOKEN, Trim::Blocks, Some(NextByte::new(1)));
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
        assert_eq!(blocks.held(), 23 + 2 * TOKEN);
    }
}
