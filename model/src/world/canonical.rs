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
//! worlds runs unchanged in plain ones. Everything here rests on the functions at the end that show a
//! `Visitor` each field that holds an ID, an offset or writes: a new field must be added there.

use crate::history::{History, Meaning};
use crate::offset::ReplOffset;
use crate::parts::Parts;
use crate::token::{COMMAND_UNITS, Data, Kinds, MAX_WRITES, Token, Tokens, WriteNumber};
use crate::world::{
    Byte, Connection, IDS, Id, Label, Link, MAX_NODES, Node, Offset, Reply, Request, Role, World,
};

/// How many data sets a world holds at most: three of a node, one on its link, and the one each history begins with.
const DATA_SETS: usize = 4 * MAX_NODES + IDS;

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
    /// Whether any node compares two histories.
    compares: bool,
    /// Every data set, and how many there are.
    data_sets: &'a mut [Data; DATA_SETS],
    count: usize,
    /// The writes in data sets, and those that are the newest in one.
    in_data: Data,
    newest: Data,
    commands: Kinds,
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

/// The IDs to which something refers, one bit each.
struct IdsInUse(u16);

/// The writes in data sets and commands.
struct WritesInUse(Data);

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
        let mut references = References::none(self.named_histories());
        let mut data_sets = [Data::EMPTY; DATA_SETS];
        let mut look = Look::new(&mut references, &mut data_sets);
        self.visit(&mut look);
        let highest = look.highest();
        if !self.forget_unreferenced(&mut look) {
            self.touched = Parts::ALL;
            self.count_from_zero(highest);
        }
        if look.early != 0 {
            self.touched = Parts::ALL;
            self.rename_by_appearance();
        }
        let (all, kept) = look.writes();
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
        self.visit(&mut appearance);
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
        let in_common = look.compares.then(|| {
            let mut low = [ReplOffset(i16::MAX); PLACES];
            for (low, id) in low[1..=highest].iter_mut().zip(1..) {
                *low = look.references.lowest(id);
            }
            self.share_lowest(&mut low);
            low
        });
        let mut from_zero = !look.references.any_nameless();
        let held = highest.max(usize::from(self.named));
        let mut forgot = held > highest;
        let (named, unnamed) = self.histories[..held].split_at_mut(highest);
        for (history, id) in named.iter_mut().zip(1..) {
            if look.used >> id & 1 == 0 {
                forgot |= *history != History::BLANK;
                *history = History::BLANK;
            } else if !history.tokens.is_empty() {
                let commands = history.tokens.len();
                // Mostly the first command is still needed.
                let low = match &in_common {
                    Some(low) => low[id],
                    None => look.references.lowest(id),
                };
                if low.since(history.base) >= COMMAND_UNITS {
                    history.forget_before(low);
                    from_zero = false;
                }
                history.forget_after(look.references.highest(id));
                forgot |= history.tokens.len() != commands;
            }
            from_zero &= history.base == ReplOffset(0) && !look.references.any_astray(id);
            visit_history(history, look);
        }
        unnamed.fill(History::BLANK);
        self.named = highest as u8;
        self.touched = self.touched.and(Parts::HISTORIES.when(forgot));
        from_zero
    }

    /// Histories that a node compares, because one is the other's secondary, have a common axis: a replica may
    /// be told tomorrow to call by the one name what it calls by the other today. What each lets go, all do.
    fn share_lowest(&self, low: &mut ById<Offset>) {
        for _ in 0..self.count {
            let mut moved = false;
            for node in self.nodes_in_use() {
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

    /// Histories with a common axis keep a common zero. All retired offsets of a history mean the same: nothing.
    /// The highest stands for them all. So does zero for the offset of a node that has no name to count under.
    fn count_from_zero(&mut self, highest: u8) {
        let bases = bases(&self.histories);
        let mut zeros = bases;
        self.share_lowest(&mut zeros);
        self.visit(&mut Shift {
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

    fn renumber_writes(&mut self, highest: u8, kept: Data) {
        let mut renumbering = Renumbering::of(kept);
        self.visit(&mut renumbering);
        self.visit_histories(highest, &mut renumbering);
    }

    /// Which IDs something in the world refers to, one bit each.
    pub fn ids_in_use(&self) -> u16 {
        let mut used = IdsInUse(0);
        let mut copy = *self;
        copy.visit(&mut used);
        used.0
    }

    /// Every write that something in the world contains.
    pub fn writes_in_use(&self) -> Data {
        let mut used = WritesInUse(Data::EMPTY);
        let mut copy = *self;
        copy.visit(&mut used);
        copy.visit_histories(self.named, &mut used);
        used.0.sound()
    }

    /// What a label means, in the history it names.
    pub fn meaning(&self, label: Label) -> Meaning {
        self.history(label.id)
            .map_or(Meaning::Future, |history| history.meaning(label.offset))
    }

    fn nodes_in_use(&self) -> &[Node] {
        &self.nodes[..usize::from(self.count)]
    }

    /// Shows every field of nodes and links that holds an ID, an offset or writes; IDs in the order in which they
    /// are renamed, offsets with the ID under which they are counted.
    #[inline]
    fn visit(&mut self, visitor: &mut impl Visitor) {
        let count = usize::from(self.count);
        for node in &mut self.nodes[..count] {
            visit_node(node, visitor);
        }
        for (replica, link) in self.links[..count].iter_mut().enumerate() {
            visit_link(link, replica, &self.nodes, visitor);
        }
    }

    /// Shows the data sets and commands of so many histories.
    #[inline]
    fn visit_histories(&mut self, highest: u8, visitor: &mut impl Visitor) {
        for history in &mut self.histories[..usize::from(highest)] {
            visit_history(history, visitor);
        }
    }
}

/// Somebody to whom fields are shown, to read or to change them. What does not concern it, it lets pass.
trait Visitor {
    fn id(&mut self, _: &mut Id) {}

    fn offset(&mut self, _under: Id, _: &mut Offset) {}

    fn data(&mut self, _: &mut Data) {}

    fn tokens(&mut self, _: &mut Tokens) {}

    fn token(&mut self, _: &mut Token) {}

    /// A node comes that compares two histories.
    fn comparing(&mut self) {}

    #[inline]
    fn byte(&mut self, under: Id, byte: &mut Byte) {
        let mut offset = byte.offset_before();
        self.offset(under, &mut offset);
        *byte = offset.next_byte();
    }

    #[inline]
    fn label(&mut self, label: &mut Label) {
        self.offset(label.id, &mut label.offset);
        self.id(&mut label.id);
    }
}

impl References {
    fn none(histories: &[History]) -> Self {
        let mut first = [from(ReplOffset(0), MARGIN); PLACES];
        for (first, history) in first[1..].iter_mut().zip(histories) {
            *first = from(history.base, MARGIN);
        }
        Self {
            first,
            bits: [0; PLACES],
        }
    }

    #[inline]
    fn add(&mut self, under: Id, offset: Offset) {
        let place = place(under);
        let bit = i32::from(offset.0) - i32::from(self.first[place].0);
        self.bits[place] |= 1 << bit.clamp(0, 63);
    }

    /// The lowest offset at which something refers to a history. A retired offset keeps nothing alive.
    fn lowest(&self, place: usize) -> Offset {
        match self.bits[place] & !RETIRED {
            0 => ReplOffset(i16::MAX),
            alive => self.offset(place, alive.trailing_zeros()),
        }
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
    fn new(references: &'a mut References, data_sets: &'a mut [Data; DATA_SETS]) -> Self {
        Self {
            used: 1,
            early: 0,
            references,
            compares: false,
            data_sets,
            count: 0,
            in_data: Data::EMPTY,
            newest: Data::EMPTY,
            commands: Kinds::NONE,
        }
    }

    /// All writes, and those to keep. Two that stand in no command and in the same data sets are one; the higher number
    /// stays, because order is all that a number says. No newer write is in the same sets as the newest of any.
    #[inline]
    fn writes(&self) -> (Data, Data) {
        let (in_data, in_command) = (self.in_data.sound(), self.commands.writes());
        let alone = in_data.without(in_command);
        let kept = self.newest.with(alone.newest()).both(alone);
        let stays = |write: &WriteNumber| self.alike(*write, alone).newest() == *write;
        let others = alone.without(kept).writes().filter(stays);
        let kept = others.fold(kept.union(in_command), Data::with);
        (in_data.union(in_command), kept)
    }

    /// Those among so many writes that are in the same data sets as this one.
    fn alike(&self, write: WriteNumber, among: Data) -> Data {
        let sets = &self.data_sets[..self.count];
        sets.iter().fold(among, |alike, set| {
            if set.contains(write) {
                alike.both(*set)
            } else {
                alike.without(*set)
            }
        })
    }

    /// The highest ID to which something refers.
    fn highest(&self) -> u8 {
        self.used.ilog2() as u8
    }
}

impl Visitor for Look<'_> {
    #[inline]
    fn id(&mut self, id: &mut Id) {
        self.used |= 1 << id.0;
        self.early |= self.used & (self.used + 1);
    }

    #[inline]
    fn offset(&mut self, under: Id, offset: &mut Offset) {
        self.references.add(under, *offset);
    }

    #[inline]
    fn byte(&mut self, under: Id, byte: &mut Byte) {
        self.offset(under, &mut byte.offset_before());
    }

    #[inline]
    fn data(&mut self, data: &mut Data) {
        self.in_data = self.in_data.union(*data);
        self.newest = self.newest.with(data.newest());
        self.data_sets[self.count] = *data;
        self.count += 1;
    }

    #[inline]
    fn tokens(&mut self, tokens: &mut Tokens) {
        self.commands = self.commands.and(*tokens);
    }

    #[inline]
    fn token(&mut self, token: &mut Token) {
        self.commands = self.commands.with(*token);
    }

    #[inline]
    fn comparing(&mut self) {
        self.compares = true;
    }
}

impl Visitor for IdsInUse {
    #[inline]
    fn id(&mut self, id: &mut Id) {
        self.0 |= 1 << id.0;
    }
}

impl Visitor for WritesInUse {
    #[inline]
    fn data(&mut self, data: &mut Data) {
        self.0 = self.0.union(*data);
    }

    #[inline]
    fn tokens(&mut self, tokens: &mut Tokens) {
        self.0 = self.0.union(tokens.writes());
    }

    #[inline]
    fn token(&mut self, token: &mut Token) {
        if let Some((write, _)) = token.as_write() {
            self.0 = self.0.with(write);
        }
    }
}

impl Visitor for Appearance {
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

impl Visitor for Shift<'_> {
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

impl Visitor for Renumbering {
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

#[inline]
fn visit_node(node: &mut Node, visitor: &mut impl Visitor) {
    let axis = axis(node);
    visitor.data(&mut node.data);
    visitor.offset(axis, &mut node.offset);
    if let Some(backlog) = &mut node.backlog {
        visitor.byte(axis, &mut backlog.first);
        visitor.tokens(&mut backlog.tokens);
    }
    let own = node.id;
    visitor.id(&mut node.id);
    visitor.id(&mut node.told);
    if let Some(former) = &mut node.secondary {
        visitor.comparing();
        // The limit is a place in both histories.
        let mut again = former.limit;
        visitor.byte(former.id, &mut again);
        visitor.byte(own, &mut former.limit);
        visitor.id(&mut former.id);
    }
    if let Some(snapshot) = &mut node.snapshot {
        visitor.data(&mut snapshot.data);
        visitor.label(&mut snapshot.label);
    }
    if let Some(saved) = &mut node.saved {
        visitor.data(&mut saved.data);
        if let Some(label) = &mut saved.label {
            visitor.label(label);
        }
    }
    if let Some(label) = &mut node.following {
        visitor.label(label);
    }
    if !node.begun.transaction.is_empty() {
        visitor.tokens(&mut node.begun.transaction);
    }
    if let Some(half) = &mut node.begun.half {
        visitor.token(half);
    }
}

/// Some offsets of a link stand there without an ID: what the replica acknowledges is counted under the ID that it
/// follows, what a primary has yet to send under that of the primary's own offset.
#[inline]
fn visit_link(
    link: &mut Link,
    replica: usize,
    nodes: &[Node; MAX_NODES],
    visitor: &mut impl Visitor,
) {
    if let Some(Request {
        wanted: Some((id, byte)),
    }) = &mut link.request
    {
        visitor.byte(*id, byte);
        visitor.id(id);
    }
    match &mut link.reply {
        Some(Reply::FullResync(label)) => visitor.label(label),
        Some(Reply::Continue(Some(id))) => visitor.id(id),
        Some(Reply::Continue(None) | Reply::Error(_)) | None => (),
    }
    if let Some(payload) = &mut link.payload {
        visitor.data(&mut payload.data);
        visitor.label(&mut payload.label);
    }
    visitor.tokens(&mut link.stream.tokens);
    if let Some(label) = &mut link.announced {
        visitor.label(label);
    }
    let following = || {
        nodes[replica]
            .following
            .map_or(Id::ANONYMOUS, |label| label.id)
    };
    if let Some(offset) = &mut link.acknowledgement {
        visitor.offset(following(), offset);
    }
    if let Some(offset) = &mut link.acknowledged {
        visitor.offset(following(), offset);
    }
    if let Some(offset) = &mut link.unsent_from {
        let under = match nodes[replica].role {
            Role::Primary => Id::ANONYMOUS,
            Role::ReplicaOf(parent) => axis(&nodes[parent as usize]),
        };
        visitor.offset(under, offset);
    }
    if let Some(Connection {
        at,
        unsent_from: Some(offset),
        ..
    }) = &mut link.stale
    {
        visitor.offset(axis(&nodes[*at as usize]), offset);
    }
}

#[inline]
fn visit_history(history: &mut History, visitor: &mut impl Visitor) {
    visitor.data(&mut history.base_data);
    visitor.tokens(&mut history.tokens);
}

/// The ID under which a node counts its own offset. A node whose name nobody knows may still count on from the
/// history it remembers as its former one.
fn axis(node: &Node) -> Id {
    match (node.id, node.secondary) {
        (Id::ANONYMOUS, Some(former)) => former.id,
        (id, _) => id,
    }
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
