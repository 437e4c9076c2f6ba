//! The two ways in which the protocol counts bytes of a replication stream, and the only `+ 1` between them.
//!
//! A replication offset is a count: how many bytes have been produced or applied. A next byte is a name: the
//! 1-based number of the first byte wanted. Both are signed because the wire allows `-1` (`PSYNC ? -1`).

use std::fmt;

/// How many bytes of the stream have been produced or applied; what `+FULLRESYNC`, `REPLCONF ACK` and `INFO` speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ReplOffset(i64);

/// The 1-based number of the first byte wanted; what `PSYNC`, the backlog and the secondary limit speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NextByte(i64);

impl ReplOffset {
    /// Nothing produced, nothing applied.
    pub const ZERO: Self = Self(0);

    /// An offset as it stands on the wire or in a file.
    pub fn new(bytes: i64) -> Self {
        Self(bytes)
    }

    /// The plain number, for printing and for the wire.
    pub fn get(self) -> i64 {
        self.0
    }

    /// The offset after `bytes` more bytes.
    pub fn advanced(self, bytes: u64) -> Self {
        Self(self.0.saturating_add(bytes as i64))
    }

    /// The first byte that an owner of this many bytes lacks. The `+ 1` of the whole server is here.
    pub fn next_byte(self) -> NextByte {
        NextByte(self.0.saturating_add(1))
    }
}

impl NextByte {
    /// A byte number as it stands on the wire; any signed value may come.
    pub fn new(number: i64) -> Self {
        Self(number)
    }

    /// The plain number, for printing and for the wire.
    pub fn get(self) -> i64 {
        self.0
    }

    /// The offset of somebody who wants this byte next.
    pub fn offset(self) -> ReplOffset {
        ReplOffset(self.0.saturating_sub(1))
    }

    /// The byte `bytes` further on.
    pub fn advanced(self, bytes: u64) -> Self {
        Self(self.0.saturating_add(bytes as i64))
    }

    /// How many bytes lie from `earlier` up to just before this one; zero when `earlier` is not earlier.
    pub fn distance_from(self, earlier: NextByte) -> u64 {
        u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0)
    }
}

impl fmt::Display for ReplOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for NextByte {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_conversions_undo_each_other() {
        for number in [-1, 0, 1, 50, 1 << 40] {
            let offset = ReplOffset::new(number);
            assert_eq!(offset.next_byte().get(), number + 1);
            assert_eq!(offset.next_byte().offset(), offset);
        }
    }
}
