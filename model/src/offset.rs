//! The two ways of speaking about a place in the replication stream, kept apart by type.
//!
//! Redis counts bytes produced so far in some places and names the first byte wanted in others; the two
//! differ by one, and that one has been the source of many flaws (`FLAWS B-16`, `FLAWS B-17`). The conversions
//! below are the only two ways from the one to the other.
//!
//! Units: bytes of the stream where a real server is watched, in 64 bits; units of the model (two a command)
//! where the specification is checked, in 16, because millions of worlds are kept. Both are signed: a replica
//! that fell back to SYNC counts from -1, as shipped (`PROTOCOL §4.4`).

use serde::{Deserialize, Serialize};

/// How wide a number is kept.
pub trait Width: Copy + Ord + Into<i64> + TryFrom<i64> {}

impl Width for i16 {}
impl Width for i64 {}

/// How much of a stream has been produced or applied: a count. `+FULLRESYNC`, `REPLCONF ACK` and INFO's
/// `master_repl_offset` speak this.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct ReplOffset<N = i64>(pub N);

/// The number, from one, of the first byte wanted or held. `PSYNC`, `repl_backlog_first_byte_offset` and
/// `second_repl_offset` speak this.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct NextByte<N = i64>(pub N);

impl<N: Width> ReplOffset<N> {
    /// The first byte that this count does not include.
    pub fn next_byte(self) -> NextByte<N> {
        NextByte(moved(self.0, 1))
    }

    /// This count after `units` more.
    #[must_use]
    pub fn plus(self, units: i64) -> Self {
        Self(moved(self.0, units))
    }

    /// How much more this is than `earlier`; negative if it is less.
    pub fn since(self, earlier: Self) -> i64 {
        self.0.into() - earlier.0.into()
    }

    /// The same in 64 bits.
    pub fn wide(self) -> ReplOffset {
        ReplOffset(self.0.into())
    }
}

impl<N: Width> NextByte<N> {
    /// The count of everything before this byte.
    pub fn offset_before(self) -> ReplOffset<N> {
        ReplOffset(moved(self.0, -1))
    }

    /// The byte that lies `units` further on.
    #[must_use]
    pub fn plus(self, units: i64) -> Self {
        Self(moved(self.0, units))
    }

    /// The same in 64 bits.
    pub fn wide(self) -> NextByte {
        NextByte(self.0.into())
    }
}

impl NextByte {
    /// The same in the model's 16 bits.
    ///
    /// # Panics
    /// When it does not fit, which no number that came from a world does.
    pub fn narrow(self) -> NextByte<i16> {
        NextByte(moved(0, self.0))
    }
}

fn moved<N: Width>(number: N, units: i64) -> N {
    N::try_from(number.into() + units)
        .unwrap_or_else(|_| panic!("an offset {units} further does not fit its width"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_conversions_undo_each_other() {
        for count in [-1_i64, 0, 1, 41] {
            assert_eq!(
                ReplOffset(count).next_byte().offset_before(),
                ReplOffset(count)
            );
        }
        assert_eq!(ReplOffset(0_i16).next_byte(), NextByte(1));
    }

    #[test]
    fn widths_change_nothing_but_the_width() {
        assert_eq!(ReplOffset(-1_i16).wide(), ReplOffset(-1));
        assert_eq!(NextByte(7_i16).wide().narrow(), NextByte(7));
        assert_eq!(ReplOffset(9_i16).since(ReplOffset(4)), 5);
    }
}
