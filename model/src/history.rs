//! Ghosts: what truly happened under each replication ID.
//!
//! A history is the data at the moment its numbering began, and the commands since. Rules write histories,
//! and read them only where a server has the same at hand: the commands queued for a replica since the cut of its
//! snapshot, and the past that goes on under a new name. Properties read them (`PROTOCOL §6`). While a node has no backlog
//! its writes move no offset: its history begins anew one unit further on, each time with the new data, and every label
//! up to the present offset is retired.

use crate::offset::ReplOffset;
use crate::token::{Begun, COMMAND_UNITS, Data, Token, Tokens};
use crate::world::Offset;

/// What truly happened under one replication ID. Offsets below `base` are retired: no true statement about
/// the data can be made with them any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct History {
    /// The offset at which the remembered part begins; always between two commands, and within no transaction.
    pub base: Offset,
    /// The data at that offset.
    pub base_data: Data,
    /// The commands since.
    pub tokens: Tokens,
}

/// What a label, an ID with an offset, says about the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// The data are these, and that is begun: the transaction, or the command, within which the offset lies.
    Data(Data, Begun),
    /// The offset lies before anything still known of this history.
    Retired,
    /// The offset lies beyond everything that ever happened.
    Future,
}

impl History {
    /// A history that begins here, with these data.
    pub const fn beginning(base: Offset, base_data: Data) -> Self {
        Self {
            base,
            base_data,
            tokens: Tokens::EMPTY,
        }
    }

    /// A history with nothing in it.
    pub(crate) const BLANK: Self = Self::beginning(ReplOffset(0), Data::EMPTY);

    /// The offset after the last command.
    pub fn end(&self) -> Offset {
        self.base.plus(self.units())
    }

    /// The width of the remembered part.
    const fn units(&self) -> i64 {
        COMMAND_UNITS * self.tokens.len() as i64
    }

    /// What `offset` means in this history.
    pub fn meaning(&self, offset: Offset) -> Meaning {
        if offset < self.base {
            return Meaning::Retired;
        }
        if offset == self.base {
            return Meaning::Data(self.base_data, Begun::NOTHING);
        }
        let units = offset.since(self.base);
        if units > self.units() {
            return Meaning::Future;
        }
        let whole = (units / COMMAND_UNITS) as usize;
        let (mut data, mut begun) = (self.base_data, Begun::NOTHING);
        for token in self.tokens.prefix(whole).iter() {
            if begun.transaction.is_empty() && token != Token::Multi {
                data = data.after(token);
                continue;
            }
            let (executed, rest) = begun.with(token);
            data = executed.iter().fold(data, Data::after);
            begun = rest;
        }
        if units % COMMAND_UNITS != 0 {
            begun.half = self.tokens.get(whole);
        }
        Meaning::Data(data, begun)
    }

    /// Whether `offset` falls between two commands, and within no transaction. What is retired, or not yet there,
    /// falls where commands of equal width would have it.
    pub fn is_boundary(&self, offset: Offset) -> bool {
        match self.meaning(offset) {
            Meaning::Data(_, begun) => begun.is_nothing(),
            Meaning::Retired | Meaning::Future => offset.since(self.base) % COMMAND_UNITS == 0,
        }
    }

    /// How many commands are executed together at the beginning; `None` if there are none, or the transaction is open.
    fn first_unit(&self) -> Option<usize> {
        match self.tokens.first()? {
            Token::Multi => Some(1 + self.tokens.iter().position(|token| token == Token::Exec)?),
            _ => Some(1),
        }
    }

    /// The commands after `offset`, the one it lies in included.
    pub fn tokens_after(&self, offset: Offset) -> Tokens {
        let units = offset.since(self.base).max(0);
        self.tokens.suffix((units / COMMAND_UNITS) as usize)
    }

    /// This history up to `offset`, as the beginning of another.
    #[must_use]
    pub fn up_to(&self, offset: Offset) -> Self {
        let whole = offset.since(self.base).max(0) / COMMAND_UNITS;
        Self {
            tokens: self.tokens.prefix(whole as usize),
            ..*self
        }
    }

    /// Whether two histories tell the same story up to `offset`.
    pub fn agrees_with(&self, other: &Self, offset: Offset) -> bool {
        let later = self.base.max(other.base);
        let from = if later > offset { offset } else { later };
        let same_path =
            self.up_to(offset).tokens_after(from) == other.up_to(offset).tokens_after(from);
        same_path && self.meaning(offset) == other.meaning(offset)
    }

    /// Forgets what lies before `offset`, rounded down to where a command begins that is executed by itself.
    pub fn forget_before(&mut self, offset: Offset) {
        while let Some(commands) = self.first_unit() {
            let end = self.base.plus(COMMAND_UNITS * commands as i64);
            if end > offset {
                return;
            }
            let executed = self.tokens.prefix(commands);
            self.base_data = executed.iter().fold(self.base_data, Data::after);
            self.tokens = self.tokens.suffix(commands);
            self.base = end;
        }
    }

    /// Forgets what lies after `offset`, rounded up to a command boundary. Answers whether there was anything.
    pub fn forget_after(&mut self, offset: Offset) -> bool {
        let units = offset.since(self.base).max(0);
        let whole = (units + COMMAND_UNITS - 1) / COMMAND_UNITS;
        let some = whole < self.tokens.len() as i64;
        if some {
            self.tokens = self.tokens.prefix(whole as usize);
        }
        some
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offset::ReplOffset;

    fn three_writes() -> History {
        let mut history = History::beginning(ReplOffset(10), Data::EMPTY);
        for write in 1..=3 {
            history.tokens.push(Token::Write(write));
        }
        history
    }

    #[test]
    fn an_offset_means_the_commands_before_it() {
        let history = three_writes();
        let one = Data::EMPTY.after(Token::Write(1));
        assert_eq!(
            history.meaning(ReplOffset(12)),
            Meaning::Data(one, Begun::NOTHING)
        );
        assert_eq!(
            history.meaning(ReplOffset(13)),
            Meaning::Data(
                one,
                Begun {
                    half: Some(Token::Write(2)),
                    ..Begun::NOTHING
                }
            )
        );
        assert_eq!(history.meaning(ReplOffset(9)), Meaning::Retired);
        assert_eq!(history.meaning(ReplOffset(17)), Meaning::Future);
    }

    #[test]
    fn forgetting_changes_no_meaning_that_remains() {
        let full = three_writes();
        let mut short = full;
        short.forget_before(ReplOffset(13));
        short.forget_after(ReplOffset(15));
        assert_eq!(short.base, ReplOffset(12));
        for offset in 12..=15 {
            assert_eq!(
                short.meaning(ReplOffset(offset)),
                full.meaning(ReplOffset(offset))
            );
        }
    }

    #[test]
    fn histories_agree_up_to_where_they_part() {
        let one = three_writes();
        let mut other = one.up_to(ReplOffset(14));
        other.tokens.push(Token::Write(9));
        assert!(one.agrees_with(&other, ReplOffset(14)));
        assert!(!one.agrees_with(&other, ReplOffset(16)));
    }
}
