//! Packed worlds that wait to be expanded, in as few bytes as their words need.

use crate::world::packed::{MAX_WORDS, Packed};

/// Worlds one after the other, each word without the zero bytes at its upper end.
#[derive(Debug, Default)]
pub struct Squeezed {
    /// For each world the number of its words; for each pair of them half a byte for the length of either word, and
    /// their bytes. Behind the last world there is room, so that any word can be written and read whole.
    bytes: Vec<u8>,
    /// Where the room begins.
    end: usize,
    len: usize,
}

/// The bytes of a word, and the most of a pair.
const WORD: usize = size_of::<u64>();
const PAIR: usize = 1 + 2 * WORD;

/// The most bytes a world takes, and those that may be read behind them.
const MOST_BYTES: usize = 1 + MAX_WORDS / 2 * PAIR + PAIR;

/// How much room is made at a time: for many worlds, and not for as many again.
const MORE_ROOM: usize = 16 * MOST_BYTES;

/// The bits that count in a word of which so many bytes do; no word has more than eight.
const COUNTING: [u64; 16] = {
    let mut masks = [u64::MAX; 16];
    let mut len = 0;
    while len < WORD {
        masks[len] = (1 << (8 * len)) - 1;
        len += 1;
    }
    masks
};

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
        let room = &mut self.bytes[self.end..];
        room[0] = packed.words().len() as u8;
        let mut room = &mut room[1..];
        for &pair in packed.pairs() {
            let bytes = room.first_chunk_mut();
            let len = squeeze(pair, bytes.expect("there is room for the widest world"));
            room = &mut room[len..];
        }
        let room_left = room.len();
        self.end = self.bytes.len() - room_left;
        self.len += 1;
    }

    /// The worlds, in the order in which they came.
    pub fn worlds(&self) -> impl Iterator<Item = Packed> + '_ {
        let (mut packed, mut rest) = (Packed::EMPTY, &self.bytes[..]);
        (0..self.len).map(move |_| {
            let (len, mut bytes) = rest.split_first().expect("there is another world");
            for pair in packed.room_for((*len).into()) {
                let (own, len) = unsqueezed(bytes.first_chunk().expect("a pair can be read whole"));
                *pair = own;
                bytes = &bytes[len..];
            }
            rest = bytes;
            packed
        })
    }
}

/// Writes a pair of words, and returns how many of the bytes count.
#[inline]
fn squeeze(pair: [u64; 2], bytes: &mut [u8; PAIR]) -> usize {
    let [low, high] = pair.map(|word| WORD - word.leading_zeros() as usize / 8);
    bytes[0] = (low | high << 4) as u8;
    bytes[1..][..WORD].copy_from_slice(&pair[0].to_le_bytes());
    bytes[1 + low..][..WORD].copy_from_slice(&pair[1].to_le_bytes());
    1 + low + high
}

/// The pair of words that was written here, and how many of the bytes count.
#[inline]
fn unsqueezed(bytes: &[u8; PAIR]) -> ([u64; 2], usize) {
    let [low, high] = [bytes[0] & 15, bytes[0] >> 4].map(usize::from);
    let word = |at: usize, len: usize| {
        let bytes = bytes[at..].first_chunk().expect("a word has its place");
        u64::from_le_bytes(*bytes) & COUNTING[len]
    };
    ([word(1, low), word(1 + low, high)], 1 + low + high)
}
