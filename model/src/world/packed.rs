//! A world in few machine words: what is hashed, and what [`crate::world::squeezed`] keeps of a world that waits.
//!
//! Every value has a place of fixed width, so that packing is a handful of shifts. Nothing is left out: what is
//! packed can be unpacked, and tests do so with every world of whole scopes. A field or a variant without a place
//! here does not compile.

use crate::decision::{Answer, Refusal, Via};
use crate::history::History;
use crate::link::{
    Connection, ErrorReply, Link, PrimaryPhase, ReplicaPhase, Reply, Request, Stream, Wire,
};
use crate::offset::{NextByte, ReplOffset};
use crate::parts::Parts;
use crate::token::{Begun, Data, Database, Token, Tokens};
use crate::world::{
    Backlog, Framing, IDS, Id, Label, MAX_NODES, Node, NodeId, Question, Role, Saved, Secondary,
    Snapshot, Stranger, World,
};
use foldhash::quality::FixedState;
use std::hash::{BuildHasher, Hash, Hasher};

/// The words of one node, one link and one history.
const NODE_WORDS: usize = 5;
const LINK_WORDS: usize = 4;
const HISTORY_WORDS: usize = 2;

/// The most words that a world takes, made even: they are hashed in pairs.
pub const MAX_WORDS: usize =
    (1 + MAX_NODES * (NODE_WORDS + LINK_WORDS) + IDS * HISTORY_WORDS).next_multiple_of(2);

/// A packed world: a word about the whole, then the nodes, the links that are not absent, and the
/// histories that have a name.
#[derive(Clone, Copy)]
pub struct Packed {
    words: [u64; MAX_WORDS],
    len: usize,
}

impl World {
    /// This world in few words.
    pub fn pack(&self) -> Packed {
        let mut packed = Packed::EMPTY;
        self.pack_into(&mut packed);
        packed
    }

    /// The same, into words that are there already.
    pub fn pack_into(&self, packed: &mut Packed) {
        self.pack_changed(&Packed::EMPTY, Parts::ALL, packed);
    }

    /// The same, where all but these parts are as in another world of as many nodes, of which the words are known.
    pub fn pack_changed(&self, before: &Packed, changed: Parts, packed: &mut Packed) {
        let Self {
            count,
            nodes,
            links,
            histories,
            named,
            stranger,
            broken,
            touched: _,
        } = self;
        let mut head = Word::unread(before.words[0]);
        let (_, linked_before): (u8, u8) = (head.take(), head.take());
        let there = ..usize::from(*count);
        let mut known = &before.words[1..];
        let mut room = Room(&mut packed.words[1..]);
        for (node, id) in nodes[there].iter().zip(NodeId::ALL) {
            let (words, before) = (room.take(), take_first(&mut known));
            if changed.has_any(Parts::node(id)) {
                pack_node(node, words);
            } else {
                *words = *before;
            }
        }
        let mut linked = 0_u8;
        for (link, id) in links[there].iter().zip(NodeId::ALL) {
            let bit = 1 << id as u8;
            let before = (linked_before & bit != 0).then(|| take_first::<LINK_WORDS>(&mut known));
            if changed.has_any(Parts::link(id)) {
                if !matches!(*link, Link::ABSENT) {
                    linked |= bit;
                    pack_link(link, room.take());
                }
            } else if let Some(before) = before {
                linked |= bit;
                *room.take() = *before;
            }
        }
        let named = named_among(&histories[..usize::from(*named)]);
        for history in named {
            let (words, before) = (room.take(), take_first(&mut known));
            if changed.has_any(Parts::HISTORIES) {
                pack_history(history, words);
            } else {
                *words = *before;
            }
        }
        if let Some(partner) = room.0.first_mut() {
            *partner = 0;
        }
        packed.len = MAX_WORDS - room.0.len();
        let parts = Word::of(count).and(&linked).and(&(named.len() as u8));
        packed.words[0] = parts.and(stranger).and(broken).bits;
    }

    /// The world of these words, which [`Self::pack`] has made.
    ///
    /// # Panics
    /// When they are too few.
    pub fn unpack(words: &[u64]) -> Self {
        let mut world = Self::of_primaries(0);
        let mut head = Word::unread(words[0]);
        world.count = head.take();
        let (linked, named): (u8, u8) = (head.take(), head.take());
        world.stranger = head.take();
        world.broken = head.take();
        let there = ..usize::from(world.count);
        let mut rest = &words[1..];
        for node in &mut world.nodes[there] {
            *node = unpack_node(take_first(&mut rest));
        }
        for (place, link) in world.links[there].iter_mut().enumerate() {
            if linked >> place & 1 == 1 {
                *link = unpack_link(take_first(&mut rest));
            }
        }
        world.named = named;
        for history in &mut world.histories[..usize::from(named)] {
            *history = unpack_history(take_first(&mut rest));
        }
        world
    }
}

/// The histories up to the last one that has anything in it.
fn named_among(histories: &[History]) -> &[History] {
    let last = histories
        .iter()
        .rposition(|history| *history != History::BLANK);
    &histories[..last.map_or(0, |last| last + 1)]
}

/// Words that have yet to be written.
struct Room<'a>(&'a mut [u64]);

impl<'a> Room<'a> {
    /// Takes the room for some words from the front.
    #[inline]
    fn take<const N: usize>(&mut self) -> &'a mut [u64; N] {
        let (first, rest) = std::mem::take(&mut self.0)
            .split_first_chunk_mut()
            .expect("there is room for the widest world");
        self.0 = rest;
        first
    }
}

/// Takes some words from the front.
#[inline]
fn take_first<'a, const N: usize>(words: &mut &'a [u64]) -> &'a [u64; N] {
    let (first, rest) = words.split_first_chunk().expect("a packed world is whole");
    *words = rest;
    first
}

/// Two words at a time; how many there are follows from the first one.
impl Hash for Packed {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for [low, high] in self.pairs() {
            state.write_u128(u128::from(*low) | u128::from(*high) << 64);
        }
    }
}

impl Packed {
    /// Room for one.
    pub const EMPTY: Self = Self {
        words: [0; MAX_WORDS],
        len: 0,
    };

    /// A fingerprint of the world; equal worlds have equal ones, and the converse fails once in 2^64 pairs.
    pub fn fingerprint(&self) -> u64 {
        FixedState::with_seed(0).hash_one(self)
    }

    /// The words in use.
    pub fn words(&self) -> &[u64] {
        &self.words[..self.len]
    }

    /// The same two at a time, with a zero at the end where they are odd.
    pub(super) fn pairs(&self) -> &[[u64; 2]] {
        &self.words.as_chunks().0[..self.len.div_ceil(2)]
    }

    /// So many pairs of words, for a world to be written there.
    #[inline]
    pub(super) fn room_for_pairs(&mut self, count: usize) -> &mut [[u64; 2]] {
        self.len = 2 * count;
        self.words[..self.len].as_chunks_mut().0
    }
}

#[inline]
fn pack_node(node: &Node, words: &mut [u64; NODE_WORDS]) {
    let Node {
        role,
        data,
        id,
        offset,
        secondary,
        backlog,
        snapshot,
        saved,
        following,
        begun: Begun { transaction, half },
        stream_database,
        selected,
        told,
    } = node;
    let [held, own, stream, past, open] = words;
    *held = low_first(
        backlog
            .as_ref()
            .map_or(Tokens::EMPTY, |backlog| backlog.tokens),
    );
    let first = backlog.as_ref().map(|backlog| backlog.first);
    let databases = Word::of(&first).and(stream_database).and(selected);
    *stream = databases.and(snapshot).bits;
    *past = Word::of(saved).and(following).and(half).bits;
    let name = Word::of(role).and(data).and(id).and(offset);
    *own = name.and(secondary).and(told).bits;
    *open = low_first(*transaction);
}

#[inline]
fn unpack_node(words: &[u64; NODE_WORDS]) -> Node {
    let [held, mut own, mut stream, mut past, open] = words.map(Word::unread);
    let first = stream.take::<Option<_>>();
    Node {
        role: own.take(),
        data: own.take(),
        id: own.take(),
        offset: own.take(),
        secondary: own.take(),
        told: own.take(),
        backlog: first.map(|first| Backlog {
            first,
            tokens: tokens_of(held.bits),
        }),
        stream_database: stream.take(),
        selected: stream.take(),
        snapshot: stream.take(),
        saved: past.take(),
        following: past.take(),
        begun: Begun {
            half: past.take(),
            transaction: tokens_of(open.bits),
        },
    }
}

#[inline]
fn pack_link(link: &Link, words: &mut [u64; LINK_WORDS]) {
    let Link {
        wire,
        replica,
        primary,
        with_sync,
        request,
        acknowledgement,
        reply,
        payload,
        stream: Stream {
            tokens,
            starts_with_tail,
        },
        announced,
        acknowledged,
        unsent_from,
        stale,
    } = link;
    let [sent, down, up, ends] = words;
    *sent = low_first(*tokens);
    let way = Word::of(wire).and(with_sync).and(starts_with_tail);
    *down = way.and(reply).and(payload).bits;
    *up = Word::of(acknowledgement).and(request).and(stale).bits;
    let phases = Word::of(replica).and(primary);
    *ends = phases
        .and(acknowledged)
        .and(unsent_from)
        .and(announced)
        .bits;
}

#[inline]
fn unpack_link(words: &[u64; LINK_WORDS]) -> Link {
    let [sent, mut down, mut up, mut ends] = words.map(Word::unread);
    Link {
        wire: down.take(),
        with_sync: down.take(),
        stream: Stream {
            tokens: tokens_of(sent.bits),
            starts_with_tail: down.take(),
        },
        reply: down.take(),
        payload: down.take(),
        acknowledgement: up.take(),
        request: up.take(),
        stale: up.take(),
        replica: ends.take(),
        primary: ends.take(),
        acknowledged: ends.take(),
        unsent_from: ends.take(),
        announced: ends.take(),
    }
}

#[inline]
fn pack_history(history: &History, words: &mut [u64; HISTORY_WORDS]) {
    let History {
        base,
        base_data,
        tokens,
    } = history;
    *words = [low_first(*tokens), Word::of(base).and(base_data).bits];
}

#[inline]
fn unpack_history(words: &[u64; HISTORY_WORDS]) -> History {
    let [tokens, mut beginning] = words.map(Word::unread);
    History {
        base: beginning.take(),
        base_data: beginning.take(),
        tokens: tokens_of(tokens.bits),
    }
}

/// Commands as a number that is the smaller the fewer they are.
const fn low_first(tokens: Tokens) -> u64 {
    tokens.bits().rotate_left(4)
}

/// The commands of this number.
const fn tokens_of(word: u64) -> Tokens {
    Tokens::from_bits(word.rotate_right(4))
}

/// A word that is filled, or read, from the lowest bit up.
#[derive(Clone, Copy, Default)]
struct Word {
    bits: u64,
    used: u32,
}

impl Word {
    /// A word that begins with a value.
    fn of(value: &impl Bits) -> Self {
        Self::default().and(value)
    }

    /// The same with one more value.
    #[inline]
    fn and(mut self, value: &impl Bits) -> Self {
        self.put(value);
        self
    }

    /// A word to be read.
    fn unread(bits: u64) -> Self {
        Self { bits, used: 0 }
    }

    #[inline]
    fn put<T: Bits>(&mut self, value: &T) {
        debug_assert!(self.used + T::WIDTH <= u64::BITS);
        self.bits |= value.pack() << self.used;
        self.used += T::WIDTH;
    }

    #[inline]
    fn take<T: Bits>(&mut self) -> T {
        let value = T::unpack(self.bits & ((1 << T::WIDTH) - 1));
        self.bits >>= T::WIDTH;
        value
    }
}

/// A value with a place of fixed width.
trait Bits: Copy {
    /// How many bits it takes: fewer than 64.
    const WIDTH: u32;

    /// As a number below `2^WIDTH`.
    fn pack(&self) -> u64;

    /// Back from that number.
    fn unpack(bits: u64) -> Self;
}

impl<T: Bits> Bits for Option<T> {
    const WIDTH: u32 = 1 + T::WIDTH;

    #[inline]
    fn pack(&self) -> u64 {
        self.as_ref().map_or(0, |value| 1 | value.pack() << 1)
    }

    #[inline]
    fn unpack(bits: u64) -> Self {
        (bits & 1 == 1).then(|| T::unpack(bits >> 1))
    }
}

impl<A: Bits, B: Bits> Bits for (A, B) {
    const WIDTH: u32 = A::WIDTH + B::WIDTH;

    #[inline]
    fn pack(&self) -> u64 {
        Word::of(&self.0).and(&self.1).bits
    }

    #[inline]
    fn unpack(bits: u64) -> Self {
        let mut word = Word::unread(bits);
        (word.take(), word.take())
    }
}

/// Whole numbers, and what wraps one.
macro_rules! numbers {
    ($($type:ty: $width:literal, $value:ident => $to:expr, $bits:ident => $from:expr;)+) => {
        $(impl Bits for $type {
            const WIDTH: u32 = $width;

            #[inline]
            fn pack(&self) -> u64 {
                let $value = *self;
                u64::from($to)
            }

            #[inline]
            fn unpack($bits: u64) -> Self {
                $from
            }
        })+
    };
}

numbers! {
    bool: 1, value => value, bits => bits == 1;
    u8: 8, value => value, bits => bits as Self;
    u32: 32, value => value, bits => bits as Self;
    Id: 4, value => value.0, bits => Self(bits as u8);
    Data: 13, value => value.bits(), bits => Self::from_bits(bits as u16);
    Token: 5, value => value.code(), bits => Self::from_code(bits);
    ReplOffset<i16>: 16, value => value.0.cast_unsigned(), bits => Self((bits as u16).cast_signed());
    NextByte<i16>: 16, value => value.0.cast_unsigned(), bits => Self((bits as u16).cast_signed());
}

/// Enums without content. Each variant is named once more, in the order of its declaration.
macro_rules! variants {
    ($($type:ident: $width:literal, $($variant:ident)+;)+) => {
        $(impl Bits for $type {
            const WIDTH: u32 = $width;

            #[inline]
            fn pack(&self) -> u64 {
                match self {
                    $(Self::$variant)|+ => *self as u64,
                }
            }

            #[inline]
            fn unpack(bits: u64) -> Self {
                match bits {
                    $(_ if bits == Self::$variant as u64 => Self::$variant,)+
                    _ => unreachable!("what was packed is a variant"),
                }
            }
        })+
    };
}

variants! {
    NodeId: 2, Primary Replica Second Third;
    Wire: 2, Absent Whole Cut;
    ReplicaPhase: 3, Idle Asked Transferring Connected ConnectedMute;
    PrimaryPhase: 3, None Waiting Accumulating Held Online;
    Framing: 1, Disk Socket;
    Database: 1, First Other;
    ErrorReply: 1, Transient Unexpected;
    Question: 3, BelowFirst First JustAfterLast OneBeyond SecondaryFirst SecondaryLimit SecondaryBeyond ForeignId;
    Via: 2, Current Secondary Unchecked;
    Refusal: 3, NoLabel UnknownId BeyondSecondary NoBacklog TooOld TooNew;
}

/// Structs, field by field.
macro_rules! fields {
    ($($type:ident { $($field:ident: $of:ty),+ })+) => {
        $(impl Bits for $type {
            const WIDTH: u32 = 0 $(+ <$of>::WIDTH)+;

            #[inline]
            fn pack(&self) -> u64 {
                Word::default()$(.and(&self.$field))+.bits
            }

            #[inline]
            fn unpack(bits: u64) -> Self {
                let mut word = Word::unread(bits);
                Self { $($field: word.take()),+ }
            }
        })+
    };
}

fields! {
    Label { id: Id, offset: ReplOffset<i16> }
    Secondary { id: Id, limit: NextByte<i16> }
    Saved { data: Data, label: Option<Label>, database: Option<Database> }
    Snapshot { data: Data, label: Label, framing: Framing, database: Option<Database> }
    Request { wanted: Option<(Id, NextByte<i16>)> }
    Connection { at: NodeId, phase: PrimaryPhase, unsent_from: Option<ReplOffset<i16>> }
    Stranger { question: Question, answer: Answer }
}

impl Bits for Role {
    const WIDTH: u32 = Option::<NodeId>::WIDTH;

    #[inline]
    fn pack(&self) -> u64 {
        match *self {
            Self::Primary => None,
            Self::ReplicaOf(parent) => Some(parent),
        }
        .pack()
    }

    #[inline]
    fn unpack(bits: u64) -> Self {
        Option::unpack(bits).map_or(Self::Primary, Self::ReplicaOf)
    }
}

impl Bits for Reply {
    const WIDTH: u32 = 2 + Label::WIDTH;

    #[inline]
    fn pack(&self) -> u64 {
        match self {
            Self::Continue(id) => id.pack() << 2,
            Self::FullResync(label) => 1 | label.pack() << 2,
            Self::Error(error) => 2 | error.pack() << 2,
        }
    }

    #[inline]
    fn unpack(bits: u64) -> Self {
        let content = bits >> 2;
        match bits & 3 {
            0 => Self::Continue(Bits::unpack(content)),
            1 => Self::FullResync(Bits::unpack(content)),
            _ => Self::Error(Bits::unpack(content)),
        }
    }
}

impl Bits for Answer {
    const WIDTH: u32 = 1 + Refusal::WIDTH;

    #[inline]
    fn pack(&self) -> u64 {
        match self {
            Self::Continue(via) => via.pack() << 1,
            Self::Full(refusal) => 1 | refusal.pack() << 1,
        }
    }

    #[inline]
    fn unpack(bits: u64) -> Self {
        let content = bits >> 1;
        if bits & 1 == 0 {
            Self::Continue(Bits::unpack(content))
        } else {
            Self::Full(Bits::unpack(content))
        }
    }
}
