//! Commands, data sets and sequences of commands, as small as a state that is copied millions of times wants.
//!
//! A write has a number; later writes have higher ones, whoever makes them. A data set is the set of writes
//! it contains, so that a gap, a repetition and a foreign write all show. A command is two units of the
//! stream, head and tail; it takes effect at its tail, or in a transaction at the tail of EXEC.

use crate::bits;
use serde::{Deserialize, Serialize};

/// The number of a write, from 1 to [`MAX_WRITES`].
pub type WriteNumber = u8;

/// How many different writes one world can tell apart. The canonical form forgets what nothing distinguishes.
pub const MAX_WRITES: WriteNumber = 12;

/// How many commands a [`Tokens`] can hold.
pub const MAX_TOKENS: usize = 12;

/// The width of a command in the numbering of the stream, in units.
pub const COMMAND_UNITS: i64 = 2;

/// A database of a server. Two show everything that a choice between sixteen can go wrong in.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Database {
    /// The one that every connection begins in.
    #[default]
    First,
    /// Another.
    Other,
}

/// One thing in a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Token {
    /// A command that changes the data, made in the first database. Which one that was does not stand in the stream:
    /// whoever executes the command does so in the database it has selected, and ought to have selected this one.
    Write(WriteNumber),
    /// The same, made in the other database.
    OtherWrite(WriteNumber),
    /// The commands that follow are meant for this database.
    Select(Database),
    /// The commands that follow are executed together.
    Multi,
    /// They are executed now.
    Exec,
    /// A command that does not: PING, or REPLCONF GETACK.
    Ping,
    /// A command that no primary ever executed; only a wrong server sends one.
    Foreign,
    /// One byte that the sender does not count; only a wrong server sends one.
    Stray,
}

impl Token {
    /// A write of this number, made in this database.
    pub const fn write(number: WriteNumber, database: Database) -> Self {
        match database {
            Database::First => Self::Write(number),
            Database::Other => Self::OtherWrite(number),
        }
    }

    /// The number of a write, and the database it was made in.
    pub const fn as_write(self) -> Option<(WriteNumber, Database)> {
        match self {
            Self::Write(number) => Some((number, Database::First)),
            Self::OtherWrite(number) => Some((number, Database::Other)),
            _ => None,
        }
    }

    /// As a number from 1 to 31. Of writes in either database the lower four bits are the number of the write; of nothing
    /// else are they a number of a write.
    pub(crate) const fn code(self) -> u64 {
        match self {
            Self::Write(number) => number as u64,
            Self::Foreign => 13,
            Self::Stray => 14,
            Self::Ping => 15,
            Self::Multi => 16,
            Self::OtherWrite(number) => 16 + number as u64,
            Self::Exec => 29,
            Self::Select(Database::First) => 30,
            Self::Select(Database::Other) => 31,
        }
    }

    /// The reverse of [`Self::code`].
    pub(crate) const fn from_code(code: u64) -> Self {
        match code {
            13 => Self::Foreign,
            14 => Self::Stray,
            15 => Self::Ping,
            16 => Self::Multi,
            29 => Self::Exec,
            30 => Self::Select(Database::First),
            31 => Self::Select(Database::Other),
            1..=12 => Self::Write(code as WriteNumber),
            _ => Self::OtherWrite((code - 16) as WriteNumber),
        }
    }

    /// How far the token moves the offset of whoever counts it, in units.
    pub const fn units(self) -> i64 {
        match self {
            Self::Stray => 1,
            _ => COMMAND_UNITS,
        }
    }

    /// Whether the token weighs in the backlog's size: what is no write is too short to matter (`PROTOCOL §3.6`).
    pub const fn weighs(self) -> bool {
        matches!(self, Self::Write(_) | Self::OtherWrite(_) | Self::Foreign)
    }
}

/// A short sequence of tokens, five bits each from the lowest up, unused places zero, the length on top.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Tokens(u64);

/// Where the length begins.
const LENGTH_BIT: u32 = 60;

/// How many bits a token takes, and a mask of so many.
const TOKEN_BITS: usize = 5;
const TOKEN_MASK: u64 = (1 << TOKEN_BITS) - 1;

/// A bit for every write there can be.
const ALL_WRITES: u16 = (2 << MAX_WRITES) - 2;

impl Tokens {
    /// Nothing.
    pub const EMPTY: Self = Self(0);

    const fn of(codes: u64, len: usize) -> Self {
        Self(codes & ((1 << (TOKEN_BITS * len)) - 1) | (len as u64) << LENGTH_BIT)
    }

    /// The sequence as a number; [`Self::from_bits`] undoes it.
    pub(crate) const fn bits(self) -> u64 {
        self.0
    }

    /// The sequence of this number.
    pub(crate) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    const fn codes(self) -> u64 {
        self.0 & ((1 << LENGTH_BIT) - 1)
    }

    /// How many tokens.
    pub const fn len(&self) -> usize {
        (self.0 >> LENGTH_BIT) as usize
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.0 == 0
    }

    /// The token at `index`, if there is one.
    pub const fn get(&self, index: usize) -> Option<Token> {
        if index < self.len() {
            Some(Token::from_code(
                self.0 >> (TOKEN_BITS * index) & TOKEN_MASK,
            ))
        } else {
            None
        }
    }

    /// The first token.
    pub const fn first(&self) -> Option<Token> {
        self.get(0)
    }

    /// Adds a token at the end.
    ///
    /// # Panics
    /// When there are [`MAX_TOKENS`] already: a scope that allows that is too wide for this representation.
    pub fn push(&mut self, token: Token) {
        let len = self.len();
        assert!(
            len < MAX_TOKENS,
            "more than {MAX_TOKENS} commands in one sequence: the scope is too wide"
        );
        *self = Self::of(self.codes() | token.code() << (TOKEN_BITS * len), len + 1);
    }

    /// Takes the first token away.
    pub fn pop_first(&mut self) -> Option<Token> {
        let first = self.first()?;
        *self = self.suffix(1);
        Some(first)
    }

    /// The tokens from `index` on.
    #[must_use]
    pub const fn suffix(&self, index: usize) -> Self {
        if index >= self.len() {
            Self::EMPTY
        } else {
            Self::of(self.0 >> (TOKEN_BITS * index), self.len() - index)
        }
    }

    /// The first `count` tokens.
    #[must_use]
    pub const fn prefix(&self, count: usize) -> Self {
        if count >= self.len() {
            *self
        } else {
            Self::of(self.0, count)
        }
    }

    /// All of them in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Token> + '_ {
        (0..self.len()).map(|index| Token::from_code(self.0 >> (TOKEN_BITS * index) & TOKEN_MASK))
    }

    /// The writes among them.
    pub const fn writes(&self) -> Data {
        Kinds::NONE.and(*self).writes()
    }

    /// How many of them weigh in the backlog's size.
    pub fn weight(&self) -> usize {
        self.iter().filter(|token| token.weighs()).count()
    }

    /// Whether those that weigh are more than so many.
    pub fn outweighs(&self, most: usize) -> bool {
        self.len() > most && self.weight() > most
    }

    /// Their width in the numbering of the stream.
    pub fn units(&self) -> i64 {
        self.iter().map(Token::units).sum()
    }

    /// The same sequence with every write renumbered.
    #[must_use]
    pub fn renumbered(&self, number: impl Fn(WriteNumber) -> WriteNumber) -> Self {
        if self.is_empty() {
            return Self::EMPTY;
        }
        let mut codes = 0;
        for place in (0..self.len()).map(|index| TOKEN_BITS * index) {
            let code = self.0 >> place & TOKEN_MASK;
            let renumbered = match (code & 15) as WriteNumber {
                old @ 1..=MAX_WRITES => code & 16 | u64::from(number(old)),
                _ => code,
            };
            codes |= renumbered << place;
        }
        Self::of(codes, self.len())
    }
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Which tokens there are, wherever they stand: a bit for each code.
#[derive(Clone, Copy)]
pub(crate) struct Kinds(u32);

impl Kinds {
    /// None.
    pub(crate) const NONE: Self = Self(0);

    /// These, and those of a sequence.
    #[must_use]
    pub(crate) const fn and(self, tokens: Tokens) -> Self {
        let (mut kinds, mut left) = (self.0, tokens.codes());
        // Four at a time, because few sequences are longer; an unused place counts as no write.
        while left != 0 {
            kinds |= 1 << (left & TOKEN_MASK);
            kinds |= 1 << (left >> TOKEN_BITS & TOKEN_MASK);
            kinds |= 1 << (left >> (2 * TOKEN_BITS) & TOKEN_MASK);
            kinds |= 1 << (left >> (3 * TOKEN_BITS) & TOKEN_MASK);
            left >>= 4 * TOKEN_BITS;
        }
        Self(kinds)
    }

    /// These, and one more.
    #[must_use]
    pub(crate) const fn with(self, token: Token) -> Self {
        Self(self.0 | 1 << token.code())
    }

    /// The writes among them, in whichever database.
    pub(crate) const fn writes(self) -> Data {
        Data((self.0 | self.0 >> 16) as u16 & ALL_WRITES)
    }
}

/// What somebody has read of a stream and not executed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Begun {
    /// The transaction that is open, from MULTI on.
    pub transaction: Tokens,
    /// The command of which the head has come and not the tail.
    pub half: Option<Token>,
}

impl Begun {
    /// Nothing.
    pub const NOTHING: Self = Self {
        transaction: Tokens::EMPTY,
        half: None,
    };

    /// Whether everything read has been executed.
    pub fn is_nothing(&self) -> bool {
        *self == Self::NOTHING
    }

    /// A command has come whole: what is to be executed now, and what remains begun.
    #[must_use]
    pub fn with(self, token: Token) -> (Tokens, Self) {
        let mut read = self.transaction;
        read.push(token);
        let opens = read.first() == Some(Token::Multi);
        if opens && token != Token::Exec {
            let transaction = read;
            return (
                Tokens::EMPTY,
                Self {
                    transaction,
                    half: None,
                },
            );
        }
        (read, Self::NOTHING)
    }
}

/// A data set: which writes it contains, and whether something happened to it that never happens to the
/// data of a true history (a write applied twice, or out of order, or one that nobody made).
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Data(u16);

impl Data {
    /// A data set without any write.
    pub const EMPTY: Self = Self(0);

    /// Whether the write is in it.
    pub const fn contains(self, write: WriteNumber) -> bool {
        self.0 >> write & 1 == 1
    }

    /// Whether it holds what no true history yields.
    pub const fn is_corrupt(self) -> bool {
        self.0 & 1 == 1
    }

    /// The same set with one more write in it, in whatever order.
    #[must_use]
    pub const fn with(self, write: WriteNumber) -> Self {
        Self((self.0 as u32 | 1 << write) as u16)
    }

    /// Everything in either.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The data set as a number below `2^(MAX_WRITES + 1)`; [`Self::from_bits`] undoes it.
    pub(crate) const fn bits(self) -> u16 {
        self.0
    }

    /// The data set of this number.
    pub(crate) const fn from_bits(bits: u16) -> Self {
        Self(bits)
    }

    /// The highest write in it, or zero.
    pub const fn newest(self) -> WriteNumber {
        (self.0 | 1).ilog2() as WriteNumber
    }

    /// The writes in it, lowest first.
    pub fn writes(self) -> impl DoubleEndedIterator<Item = WriteNumber> {
        bits::places(self.0 & ALL_WRITES).map(|place| place as WriteNumber)
    }

    /// How many writes are in it.
    pub const fn count(self) -> WriteNumber {
        (self.0 & ALL_WRITES).count_ones() as WriteNumber
    }

    /// Whether the writes in it are numbered from one without a gap.
    pub const fn has_no_gap(self) -> bool {
        let writes = self.0 & ALL_WRITES;
        writes & (writes + 2) == 0
    }

    /// The writes in it, as a true history would have them.
    #[must_use]
    pub const fn sound(self) -> Self {
        Self(self.0 & ALL_WRITES)
    }

    /// What is in both.
    #[must_use]
    pub const fn both(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// What is not in the other.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// This data set after one more command.
    #[must_use]
    pub const fn after(self, token: Token) -> Self {
        match token {
            // A write that is not newer than everything present was applied twice or out of order.
            Token::Write(write) | Token::OtherWrite(write) if self.0 >> write != 0 => {
                Self(self.0 | 1)
            }
            Token::Write(write) | Token::OtherWrite(write) => Self(self.0 | 1 << write),
            Token::Foreign => Self(self.0 | 1),
            Token::Select(_) | Token::Multi | Token::Exec | Token::Ping | Token::Stray => self,
        }
    }

    /// The same data set with something in it that no history has.
    #[must_use]
    pub const fn corrupted(self) -> Self {
        Self(self.0 | 1)
    }

    /// The writes that are also in `kept`, with the numbers that they have when those are counted from one.
    #[must_use]
    pub const fn renumbered_among(self, kept: Self) -> Self {
        let mut bits = self.0 & (kept.0 | 1);
        let mut gaps = ALL_WRITES & !kept.0 & ((1 << kept.newest()) - 1);
        while let Some(gap) = gaps.checked_ilog2() {
            let below = (1 << gap) - 1;
            // What lies below the gap is doubled first, so that halving moves only the rest.
            bits = (bits + (bits & below)) >> 1;
            gaps &= below;
        }
        Self(bits)
    }

    /// The same data set with every write renumbered; `None` forgets a write.
    pub fn renumbered(self, number: impl Fn(WriteNumber) -> Option<WriteNumber>) -> Self {
        let corrupt = self.0 & 1;
        Self(
            self.writes()
                .filter_map(number)
                .fold(corrupt, |bits, write| bits | 1 << write),
        )
    }
}

impl std::fmt::Debug for Data {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.writes()).finish()?;
        if self.is_corrupt() {
            f.write_str("!")
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_applied_twice_or_out_of_order_shows_for_ever() {
        let data = Data::EMPTY.after(Token::Write(1)).after(Token::Write(3));
        assert!(!data.is_corrupt());
        assert!(data.after(Token::Write(3)).is_corrupt());
        assert!(data.after(Token::Write(2)).is_corrupt());
        assert!(!data.after(Token::Ping).is_corrupt());
    }

    #[test]
    fn writes_are_found_and_renumbered_wherever_they_stand() {
        let mut tokens = Tokens::EMPTY;
        for number in [2, 5, 12] {
            tokens.push(Token::Select(Database::Other));
            tokens.push(Token::OtherWrite(number));
            tokens.push(Token::Exec);
            tokens.push(Token::Foreign);
        }
        assert_eq!(tokens.writes().writes().collect::<Vec<_>>(), [2, 5, 12]);
        assert_eq!(tokens.prefix(5).writes().writes().collect::<Vec<_>>(), [2]);
        let lower = tokens.renumbered(|write| write - 1);
        let expected = tokens.iter().map(|token| match token {
            Token::OtherWrite(write) => Token::OtherWrite(write - 1),
            other => other,
        });
        assert!(lower.iter().eq(expected));
    }

    #[test]
    fn closing_gaps_is_renumbering_in_order() {
        for kept in (0..=ALL_WRITES).step_by(2).map(Data) {
            let number = |write| kept.writes().position(|other| other == write);
            let slowly = |data: Data| {
                data.renumbered(|write| number(write).map(|index| index as WriteNumber + 1))
            };
            for data in [0, 1, 0b1010, 0b1_1011_0011_0101, ALL_WRITES].map(Data) {
                assert_eq!(data.renumbered_among(kept), slowly(data));
            }
            let counted = kept.newest() == kept.count();
            assert_eq!(kept.has_no_gap(), counted);
        }
    }

    #[test]
    fn sequences_keep_their_order_and_zero_what_they_drop() {
        let mut tokens = Tokens::EMPTY;
        for token in [Token::Write(1), Token::Ping, Token::Write(2)] {
            tokens.push(token);
        }
        assert_eq!(
            tokens.suffix(1).iter().collect::<Vec<_>>(),
            [Token::Ping, Token::Write(2)]
        );
        assert_eq!(
            tokens.prefix(1).iter().collect::<Vec<_>>(),
            [Token::Write(1)]
        );
        assert_eq!((tokens.weight(), tokens.units()), (2, 6));
        let mut emptied = tokens;
        while emptied.pop_first().is_some() {}
        assert_eq!(emptied, Tokens::EMPTY);
    }
}
