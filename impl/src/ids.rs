//! Names of 40 hexadecimal characters: run IDs, replication IDs and the marks that end a snapshot.
//!
//! The core draws fresh names from an [`IdSource`] that the shell seeds from the operating system and a test
//! seeds with a constant, so that the core itself holds no source of chance.

use std::fmt;

/// Characters of every such name (PROTOCOL §1).
pub const ID_LENGTH: usize = 40;

/// A replication ID, a run ID, or an end mark.
#[derive(Clone, Copy, Eq)]
pub struct ReplicationId([u8; ID_LENGTH]);

impl ReplicationId {
    /// What stands for "none" on the wire: forty zeros.
    pub const NONE: Self = Self([b'0'; ID_LENGTH]);

    /// Reads a name of exactly 40 characters; anything else is `None`.
    pub fn parse(text: &[u8]) -> Option<Self> {
        text.try_into().ok().map(Self)
    }

    /// The name as it goes on the wire.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether `text` is this name; the case of letters does not count (PROTOCOL §3.1).
    pub fn matches(&self, text: &[u8]) -> bool {
        self.0.eq_ignore_ascii_case(text)
    }
}

impl PartialEq for ReplicationId {
    fn eq(&self, other: &Self) -> bool {
        self.matches(&other.0)
    }
}

impl fmt::Display for ReplicationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for ReplicationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A supply of fresh names, the same for the same seed.
#[derive(Debug, Clone)]
pub struct IdSource {
    state: [u64; 4],
}

impl IdSource {
    /// A supply from 256 bits of chance.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        let mut state = [0x9e37_79b9_7f4a_7c15_u64; 4];
        for (word, bytes) in state.iter_mut().zip(seed.chunks_exact(8)) {
            for byte in bytes {
                *word = word.rotate_left(8) ^ u64::from(*byte);
            }
        }
        Self { state }
    }

    /// A name that was not given out before.
    pub fn fresh(&mut self) -> ReplicationId {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut name = [b'0'; ID_LENGTH];
        for chunk in name.chunks_mut(16) {
            let mut bits = self.next_word();
            for character in chunk {
                *character = DIGITS[(bits & 15) as usize];
                bits >>= 4;
            }
        }
        ReplicationId(name)
    }

    /// Any number, different each time.
    pub fn number(&mut self) -> u64 {
        self.next_word()
    }

    /// One step of the generator xoshiro256++ of Blackman and Vigna.
    fn next_word(&mut self) -> u64 {
        let [a, b, c, d] = self.state;
        let word = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
        let (c, d) = (c ^ a, d ^ b);
        self.state = [a ^ d, b ^ c, c ^ (b << 17), d.rotate_left(45)];
        word
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_forty_lower_case_hexadecimal_characters_and_differ() {
        let mut ids = IdSource::from_seed([7; 32]);
        let (one, two) = (ids.fresh(), ids.fresh());
        assert_ne!(one, two);
        assert!(
            one.as_bytes()
                .iter()
                .all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'))
        );
    }

    #[test]
    fn upper_case_names_the_same_history() {
        let id = IdSource::from_seed([1; 32]).fresh();
        assert!(id.matches(&id.as_bytes().to_ascii_uppercase()));
        assert!(!id.matches(b"?"));
    }
}
