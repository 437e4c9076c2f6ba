//! Packed worlds that wait to be expanded, in as few bytes as tell one from the next.
//!
//! Worlds that are found one after the other come from one or from similar ones: most of their words are the same.

use crate::bits;
use crate::world::packed::{MAX_WORDS, Packed};

/// Worlds one after the other, each of them as what differs from the one before it.
#[derive(Debug)]
pub struct Squeezed {
    /// For each world how many words it has; a bit for each word that differs; and of these words the bits that do, without
    /// the zero bytes at either end. Behind the last world there is room, so that any word can be written and read whole.
    bytes: Vec<u8>,
    /// Where the room begins.
    end: usize,
    len: usize,
    last: Packed,
}

/// The bytes of a word, and with one more for where they are and how many.
const WORD: usize = size_of::<u64>();
const WHOLE_WORD: usize = 1 + WORD;

/// The most bytes a world takes.
const MOST_BYTES: usize = 1 + MAX_WORDS.div_ceil(8) + MAX_WORDS * WHOLE_WORD;

/// How much room is made at a time: for many worlds, and not for as many again.
const MORE_ROOM: usize = 8 * MOST_BYTES;

impl Default for Squeezed {
    fn default() -> Self {
        Self {
            bytes: Vec::new(),
            end: 0,
            len: 0,
            last: Packed::EMPTY,
        }
    }
}

impl Squeezed {
    /// One world, and room for more.
    pub fn of(packed: &Packed) -> Self {
        let mut squeezed = Self::default();
        squeezed.push(packed);
        squeezed
    }

    /// How many worlds.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds a world.
    pub fn push(&mut self, packed: &Packed) {
        if self.bytes.len() < self.end + MOST_BYTES {
            let len = self.end + MORE_ROOM;
            self.bytes.reserve_exact(len - self.bytes.len());
            self.bytes.resize(len, 0);
        }
        let places = self.last.len.max(packed.len);
        let differing = packed.differing_words(&self.last, places);
        let mask_bytes = places.div_ceil(8);
        let (head, mut room) = self.bytes[self.end..].split_at_mut(1 + mask_bytes);
        head[0] = packed.len as u8;
        head[1..].copy_from_slice(&differing.to_le_bytes()[..mask_bytes]);
        for place in bits::places(differing) {
            let bytes = room.first_chunk_mut();
            let bytes = bytes.expect("there is room for the widest world");
            let len = squeeze(packed.words[place] ^ self.last.words[place], bytes);
            room = &mut room[len..];
        }
        let room_left = room.len();
        self.end = self.bytes.len() - room_left;
        self.len += 1;
        self.last = *packed;
    }

    /// The worlds, in the order in which they came.
    pub fn worlds(&self) -> impl Iterator<Item = Packed> + '_ {
        let (mut packed, mut rest) = (Packed::EMPTY, &self.bytes[..]);
        (0..self.len).map(move |_| {
            let len = usize::from(rest[0]);
            let places = packed.len.max(len);
            packed.len = len;
            let differing = word(&rest[1..]) & below(places);
            rest = &rest[1 + places.div_ceil(8)..];
            for place in bits::places(differing) {
                packed.words[place] ^= unsqueezed(&mut rest);
            }
            packed
        })
    }
}

/// Writes a word that is not zero, and returns how many of the bytes count.
#[inline]
fn squeeze(word: u64, bytes: &mut [u8; WHOLE_WORD]) -> usize {
    let low = word.trailing_zeros() as usize / 8;
    let count = WORD - low - word.leading_zeros() as usize / 8;
    bytes[0] = (low | count << 4) as u8;
    bytes[1..].copy_from_slice(&(word >> (8 * low)).to_le_bytes());
    1 + count
}

/// Takes the word that was written first.
#[inline]
fn unsqueezed(bytes: &mut &[u8]) -> u64 {
    let (low, count) = (bytes[0] & 15, bytes[0] >> 4);
    let found = word(&bytes[1..]) & below(8 * usize::from(count));
    *bytes = &bytes[1 + usize::from(count)..];
    found << (8 * low)
}

/// The word that begins here.
#[inline]
fn word(bytes: &[u8]) -> u64 {
    let bytes = bytes.first_chunk();
    u64::from_le_bytes(*bytes.expect("a word can be read whole"))
}

/// So many bits, the lowest ones.
const fn below(count: usize) -> u64 {
    !u64::MAX.unbounded_shl(count as u32)
}
