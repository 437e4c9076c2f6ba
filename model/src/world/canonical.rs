//! One representative for all worlds that differ in nothing a rule or a property can tell.
//!
//! Names of histories, absolute offsets and the numbers of writes mean nothing in themselves: only which are
//! equal, how far apart they are, and in which order they came. After each step the engines put a world into
//! canonical form, which makes the number of states finite without counting writes, cuts or restarts:
//!
//! 1. IDs to which nothing refers are forgotten, the others numbered by first appearance;
//! 2. what lies before and after every reference to a history is forgotten;
//! 3. offsets are counted from there;
//! 4. writes that no data set and no command distinguishes become one, and the rest are renumbered in order.
//!
//! The rules never do this, and a step names nodes and not numbers, so that a plan found among canonical
//! worlds runs unchanged in plain ones. Everything here rests on the walk over the fields, in `fields.rs`.

use crate::history::{History, Meaning};
use crate::offset::ReplOffset;
use crate::parts::Parts;
use crate::token::{COMMAND_UNITS, Data, Kinds, MAX_WRITES, Token, Tokens, WriteNumber};
use crate::world::fields::{Editor, Reader, axis, edit_history, read_history};
use crate::world::{Byte, IDS, Id, Label, Node, Offset, World};

/// Room for every ID and the anonymous one: a power of two, so that no index made by [`place`] need be checked.
const PLACES: usize = (IDS + 1).next_power_of_two();

/// One for each ID; index 0 is the anonymous one.
type ById<T> = [T; PLACES];

/// At which offsets something refers to each history.
///
/// Lent to [`Look`] and not part of it: what is indexed lives in memory, and the rest of a look can stay in registers.
struct References {
    /// The offset of the first bit: [`MARGIN`] before each history begins. The anonymous ID has none, and begins at zero.
    first: ById<Offset>,
    /// A bit for each offset from there on. What is further away counts as the outermost.
    bits: ById<u64>,
}

/// How many retired offsets have a bit: the one just before a history begins, which stands for all, and one astray.
const MARGIN: Offset = ReplOffset(2);
const ASTRAY: u64 = 0b001;
const RETIRED: u64 = 0b011;

/// The bit of the offset at which a history begins.
const BEGINNING: u64 = 0b100;

/// What one look at every field finds.
struct Look<'a> {
    /// The IDs to which something refers and the anonymous one, a bit each.
    used: u32,
    /// Bits of IDs that appeared before a lower one. Without any, each ID keeps the number it has.
    early: u32,
    references: &'a mut References,
    /// The writes in data sets, and those that are the newest in one.
    in_data: Data,
    newest: Data,
    commands: Kinds,
}

/// The writes that are in the same data sets as one, as far as it has seen.
struct Alike {
    write: WriteNumber,
    alike: Data,
}

/// Numbers the IDs by first appearance.
struct Appearance {
    /// The new number of each ID, by the old one; zero for an ID to which nothing refers.
    names: ById<u8>,
    count: u8,
    /// Whether any ID got another number than it had.
    moved: bool,
}

/// Counts the offsets of each history from its zero.
struct Shift<'a> {
    bases: &'a ById<Offset>,
    zeros: &'a ById<Offset>,
}

/// Numbers the writes that are kept from one, and forgets the others.
struct Renumbering {
    kept: Data,
    /// The new number of each write, by the old one.
    numbers: [WriteNumber; MAX_WRITES as usize + 1],
}

impl World {
    /// This world in canonical form.
    #[must_use]
    pub fn canonical(mut self) -> Self {
        self.make_canonical();
        self
    }

    /// Puts the world into canonical form, and answers how many writes it tells apart. One look at every field finds
    /// that most worlds are in canonical form already.
    pub fn make_canonical(&mut self) -> WriteNumber {
        let mut references = References::none(&self.histories);
        let mut look = Look::new(&mut references);
        self.read(&mut look);
        let highest = look.highest();
        if !self.forget_unreferenced(&mut look) {
            self.touched = Parts::ALL;
            self.count_from_zero(highest);
        }
        if look.early != 0 {
            self.touched = Parts::ALL;
            self.rename_by_appearance();
        }
        let (all, kept) = self.told_apart(&look);
        if kept == all && kept.has_no_gap() {
            return kept.newest();
        }
        self.touched = Parts::ALL;
        self.renumber_writes(highest, kept);
        kept.count()
    }

    /// Names the histories anew, in the order in which they appear.
    pub(crate) fn rename_by_appearance(&mut self) {
        let mut appearance = Appearance {
            names: [0; PLACES],
            count: 0,
            moved: false,
        };
        self.edit(&mut appearance);
        if !appearance.moved {
            return;
        }
        let histories = std::mem::take(&mut self.histories);
        for (history, name) in histories.into_iter().zip(&appearance.names[1..]) {
            if *name != 0 {
                self.histories[usize::from(*name) - 1] = history;
            }
        }
    }

    /// What is left of the histories is looked at, too: it is at hand here. Answers whether all offsets are counted from
    /// zero.
    #[inline]
    fn forget_unreferenced(&mut self, look: &mut Look) -> bool {
        let highest = usize::from(look.highest());
        let held = highest.max(usize::from(self.named));
        let nodes = &self.nodes[..usize::from(self.count)];
        let (named, unnamed) = self.histories[..held].split_at_mut(highest);
        let mut from_zero = !look.references.any_nameless();
        let mut forgot = held > highest;
        for (history, id) in named.iter_mut().zip(1..) {
            if look.used >> id & 1 == 0 {
                forgot |= *history != History::BLANK;
                *history = History::BLANK;
            } else if !history.tokens.is_empty() {
                if !look.references.any_in_first_command(id) {
                    let low = look.references.lowest_in_common(highest, nodes)[id];
                    if low.since(history.base) >= COMMAND_UNITS {
                        history.forget_before(low);
                        from_zero = false;
                        forgot = true;
                    }
                }
                forgot |= history.forget_after(look.references.highest(id));
            }
            from_zero &= history.base == ReplOffset(0) && !look.references.any_astray(id);
            read_history(history, look);
        }
        unnamed.fill(History::BLANK);
        self.named = highest as u8;
        self.touched = self.touched.and(Parts::HISTORIES.when(forgot));
        from_zero
    }

    /// Histories with a common axis keep a common zero. All retired offsets of a history mean the same: nothing.
    /// The highest stands for them all. So does zero for the offset of a node that has no name to count under.
    fn count_from_zero(&mut self, highest: u8) {
        let bases = bases(&self.histories);
        let mut zeros = bases;
        share_lowest(self.nodes_in_use(), &mut zeros);
        self.edit(&mut Shift {
            bases: &bases,
            zeros: &zeros,
        });
        for (history, zero) in self.histories[..usize::from(highest)]
            .iter_mut()
            .zip(&zeros[1..])
        {
            history.base = from(history.base, *zero);
        }
    }

    /// All writes, and those to keep. Two that stand in no command and in the same data sets are one; the higher number
    /// stays, because order is all that a number says. No newer write is in the same sets as the newest of any.
    #[inline]
    fn told_apart(&self, look: &Look) -> (Data, Data) {
        let (in_data, in_command) = (look.in_data.sound(), look.commands.writes());
        let alone = in_data.without(in_command);
        let kept = look.newest.with(alone.newest()).both(alone);
        let stays = |write: &WriteNumber| self.alike(*write, alone).newest() == *write;
        let others = alone.without(kept).writes().filter(stays);
        let kept = others.fold(kept.union(in_command), Data::with);
        (in_data.union(in_command), kept)
    }

    /// Those among so many writes that are in the same data sets as this one.
    fn alike(&self, write: WriteNumber, among: Data) -> Data {
        let mut alike = Alike {
            write,
            alike: among,
        };
        self.read(&mut alike);
        for history in self.named_histories() {
            read_history(history, &mut alike);
        }
        alike.alike
    }

    fn renumber_writes(&mut self, highest: u8, kept: Data) {
        let mut renumbering = Renumbering::of(kept);
        self.edit(&mut renumbering);
        for history in &mut self.histories[..usize::from(highest)] {
            edit_history(history, &mut renumbering);
        }
    }

    /// What a label means, in the history it names.
    pub fn meaning(&self, label: Label) -> Meaning {
        self.history(label.id)
            .map_or(Meaning::Future, |history| history.meaning(label.offset))
    }

    fn nodes_in_use(&self) -> &[Node] {
        &self.nodes[..usize::from(self.count)]
    }
}

impl References {
    fn none(histories: &[History; IDS]) -> Self {
        let mut first = bases(histories);
        for first in &mut first {
            *first = from(*first, MARGIN);
        }
        Self {
            first,
            bits: [0; PLACES],
        }
    }

    #[inline]
    fn add(&mut self, under: Id, offset: ReplOffset) {
        let place = place(under);
        self.bits[place] |= match offset.since(self.first[place].wide()) {
            bit @ 0..64 => 1 << bit,
            bit => outermost(bit),
        };
    }

    /// The lowest offset at which something refers to a history. A retired offset keeps nothing alive.
    fn lowest(&self, place: usize) -> Offset {
        match self.bits[place] & !RETIRED {
            0 => ReplOffset(i16::MAX),
            alive => self.offset(place, alive.trailing_zeros()),
        }
    }

    /// The same for so many histories, where those that a node compares have the lowest of all.
    #[inline(never)]
    fn lowest_in_common(&self, highest: usize, nodes: &[Node]) -> ById<Offset> {
        let mut low = [ReplOffset(i16::MAX); PLACES];
        for (low, place) in low[1..=highest].iter_mut().zip(1..) {
            *low = self.lowest(place);
        }
        share_lowest(nodes, &mut low);
        low
    }

    /// Whether something refers to the beginning of a history, or to within its first command.
    fn any_in_first_command(&self, place: usize) -> bool {
        let units = (1 << COMMAND_UNITS) - 1;
        self.bits[place] & (BEGINNING * units) != 0
    }

    /// The highest; if there is none, one that lies before the history.
    fn highest(&self, place: usize) -> Offset {
        self.offset(place, (self.bits[place] | ASTRAY).ilog2())
    }

    fn offset(&self, place: usize, bit: u32) -> Offset {
        ReplOffset(self.first[place].0 + bit as i16)
    }

    /// Whether a retired offset is another than the one that stands for all.
    fn any_astray(&self, place: usize) -> bool {
        self.bits[place] & ASTRAY != 0
    }

    /// Whether an offset without a history is another than zero.
    fn any_nameless(&self) -> bool {
        self.bits[0] & !BEGINNING != 0
    }
}

impl<'a> Look<'a> {
    fn new(references: &'a mut References) -> Self {
        Self {
            used: 1,
            early: 0,
            references,
            in_data: Data::EMPTY,
            newest: Data::EMPTY,
            commands: Kinds::NONE,
        }
    }

    /// The highest ID to which something refers.
    fn highest(&self) -> u8 {
        self.used.ilog2() as u8
    }
}

impl Reader for Look<'_> {
    #[inline]
    fn id(&mut self, id: &Id) {
        self.used |= 1 << id.0;
        self.early |= self.used & (self.used + 1);
    }

    #[inline]
    fn offset(&mut self, under: Id, offset: &Offset) {
        self.references.add(under, offset.wide());
    }

    #[inline]
    fn byte(&mut self, under: Id, byte: &Byte) {
        self.references.add(under, byte.wide().offset_before());
    }

    #[inline]
    fn data(&mut self, data: &Data) {
        self.in_data = self.in_data.union(*data);
        self.newest = self.newest.with(data.newest());
    }

    #[inline]
    fn tokens(&mut self, tokens: &Tokens) {
        self.commands = self.commands.and(*tokens);
    }

    #[inline]
    fn token(&mut self, token: &Token) {
        self.commands = self.commands.with(*token);
    }
}

impl Reader for Alike {
    fn data(&mut self, data: &Data) {
        self.alike = if data.contains(self.write) {
            self.alike.both(*data)
        } else {
            self.alike.without(*data)
        };
    }
}

impl Editor for Appearance {
    #[inline]
    fn id(&mut self, id: &mut Id) {
        if *id == Id::ANONYMOUS {
            return;
        }
        let name = &mut self.names[usize::from(id.0)];
        if *name == 0 {
            self.count += 1;
            *name = self.count;
        }
        self.moved |= *name != id.0;
        id.0 = *name;
    }
}

impl Editor for Shift<'_> {
    #[inline]
    fn offset(&mut self, under: Id, offset: &mut Offset) {
        let slot = place(under);
        *offset = match slot {
            0 => ReplOffset(0),
            _ => from((*offset).max(self.bases[slot].plus(-1)), self.zeros[slot]),
        };
    }
}

impl Renumbering {
    fn of(kept: Data) -> Self {
        let mut numbers = [0; MAX_WRITES as usize + 1];
        for (write, number) in kept.writes().zip(1..) {
            numbers[usize::from(write)] = number;
        }
        Self { kept, numbers }
    }

    fn number(&self, write: WriteNumber) -> WriteNumber {
        self.numbers[usize::from(write)]
    }
}

impl Editor for Renumbering {
    fn data(&mut self, data: &mut Data) {
        *data = data.renumbered_among(self.kept);
    }

    fn tokens(&mut self, tokens: &mut Tokens) {
        *tokens = tokens.renumbered(|write| self.number(write));
    }

    fn token(&mut self, token: &mut Token) {
        if let Some((write, database)) = token.as_write() {
            *token = Token::write(self.number(write), database);
        }
    }
}

/// Histories that a node compares, because one is the other's secondary, have a common axis: a replica may
/// be told tomorrow to call by the one name what it calls by the other today. What each lets go, all do.
fn share_lowest(nodes: &[Node], low: &mut ById<Offset>) {
    for _ in nodes {
        let mut moved = false;
        for node in nodes {
            let Some(former) = node.secondary else {
                continue;
            };
            let (own, former) = (place(axis(node)), place(former.id));
            let lowest = low[own].min(low[former]);
            moved |= low[own] != low[former];
            (low[own], low[former]) = (lowest, lowest);
        }
        if !moved {
            break;
        }
    }
}

/// What an offset that has no bit counts as.
#[cold]
fn outermost(bit: i64) -> u64 {
    if bit < 0 { ASTRAY } else { 1 << 63 }
}

/// The index of what belongs to an ID.
fn place(id: Id) -> usize {
    usize::from(id.0) % PLACES
}

/// Where each history begins; for the anonymous ID, which has none, zero.
fn bases(histories: &[History; IDS]) -> ById<Offset> {
    let mut bases = [ReplOffset(0); PLACES];
    for (base, history) in bases[1..].iter_mut().zip(histories) {
        *base = history.base;
    }
    bases
}

/// An offset, counted from another.
fn from(offset: Offset, zero: Offset) -> Offset {
    ReplOffset(offset.0 - zero.0)
}
