//! A world in few machine words: what is hashed, and what is kept of a world that waits to be expanded.
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
use crate::token::{Begun, Data, Database, Token, Tokens};
use crate::world::{
    Backlog, Framing, IDS, Id, Label, MAX_NODES, Node, NodeId, Question, Role, Saved, Secondary,
    Snapshot, Stranger, World,
};
use foldhash::quality::FixedState;
use std::hash::{BuildHasher, Hash, Hasher};

/// The words of one node, one link and one history.
const NODE_WORDS: usize = 5;
const LINK_WORDS: usize = 5;
const HISTORY_WORDS: usize = 2;

/// The most words that a world takes, made even: they are hashed in pairs.
pub const MAX_WORDS: usize =
    (1 + MAX_NODES * (NODE_WORDS + LINK_WORDS) + IDS * HISTORY_WORDS).next_multiple_of(2);

/// A packed world: a word about the whole, then the nodes, the links, and the histories that have a name.
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
        let Self {
            count,
            nodes,
            links,
            histories,
            stranger,
            broken,
        } = self;
        let unnamed = histories.iter().rev();
        let unnamed = unnamed.take_while(|history| **history == History::default());
        let named = histories.len() - unnamed.count();
        let nodes = &nodes[..usize::from(*count)];
        let links = &links[..usize::from(*count)];

        packed.len = 0;
        let mut head = Word::default();
        head.put(*broken);
        head.put(*count);
        head.put(named as u8);
        head.put(*stranger);
        packed.push([head.bits]);
        for node in nodes {
            packed.push(pack_node(node));
        }
        for link in links {
            packed.push(pack_link(link));
        }
        for history in &histories[..named] {
            packed.push(pack_history(history));
        }
        if packed.len % 2 == 1 {
            packed.words[packed.len] = 0;
        }
    }

    /// The world of these words, which [`Self::pack`] has made.
    ///
    /// # Panics
    /// When they are too few.
    pub fn unpack(words: &[u64]) -> Self {
        let mut words = words.iter().copied();
        let mut next = || words.next().expect("a packed world is whole");
        let mut head = Word {
            bits: next(),
            used: 0,
        };
        let mut world = Self::of_primaries(0);
        world.broken = head.take();
        world.count = head.take();
        let named: u8 = head.take();
        world.stranger = head.take();
        for node in &mut world.nodes[..usize::from(world.count)] {
            *node = unpack_node(&mut next);
        }
        for link in &mut world.links[..usize::from(world.count)] {
            *link = unpack_link(&mut next);
        }
        for history in &mut world.histories[..usize::from(named)] {
            *history = unpack_history(&mut next);
        }
        world
    }
}

/// Two words at a time; how many there are follows from the first one.
impl Hash for Packed {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let pairs = self.words[..self.len.next_multiple_of(2)].chunks_exact(2);
        for pair in pairs {
            state.write_u128(u128::from(pair[0]) | u128::from(pair[1]) << 64);
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

    fn push<const N: usize>(&mut self, words: [u64; N]) {
        self.words[self.len..self.len + N].copy_from_slice(&words);
        self.len += N;
    }
}

/// Worlds one after the other, each word without the zero bytes at its upper end.
#[derive(Debug, Default)]
pub struct Squeezed {
    /// For each world the number of its words, half a byte for the length of each of them, and their bytes.
    bytes: Vec<u8>,
    len: usize,
}

/// The bytes of one word.
const WORD: usize = size_of::<u64>();

/// The most bytes a world takes; at its end a whole word is written, however few of its bytes count.
const MOST_BYTES: usize = 1 + MAX_WORDS.div_ceil(2) + MAX_WORDS * WORD + WORD;

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
        let mut bytes = [0; MOST_BYTES];
        bytes[0] = packed.len as u8;
        let mut at = 1 + packed.len.div_ceil(2);
        for (index, word) in packed.words().iter().enumerate() {
            let len = WORD - word.leading_zeros() as usize / 8;
            bytes[1 + index / 2] |= (len as u8) << (index % 2 * 4);
            bytes[at..at + WORD].copy_from_slice(&word.to_le_bytes());
            at += len;
        }
        self.bytes.extend_from_slice(&bytes[..at]);
        self.len += 1;
    }

    /// The worlds, in the order in which they came.
    pub fn worlds(&self) -> impl Iterator<Item = World> + '_ {
        let mut rest = &self.bytes[..];
        (0..self.len).map(move |_| {
            let words = usize::from(rest[0]);
            let (lens, mut bytes) = rest[1..].split_at(words.div_ceil(2));
            let mut packed = [0; MAX_WORDS];
            for (index, word) in packed[..words].iter_mut().enumerate() {
                let len = usize::from(lens[index / 2] >> (index % 2 * 4) & 15);
                let mut whole = [0; WORD];
                whole[..len].copy_from_slice(&bytes[..len]);
                *word = u64::from_le_bytes(whole);
                bytes = &bytes[len..];
            }
            rest = bytes;
            World::unpack(&packed[..words])
        })
    }
}

fn pack_node(node: &Node) -> [u64; NODE_WORDS] {
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
        begun,
        stream_database,
        selected,
        told,
    } = *node;
    let first = backlog.map(|backlog| backlog.first);
    let tokens = backlog.map_or(Tokens::EMPTY, |backlog| backlog.tokens);
    let own = Word::of((role, data)).and((id, offset));
    let databases = (stream_database, selected);
    [
        low_first(tokens),
        own.and((secondary, told)).bits,
        Word::of((first, snapshot)).and(databases).bits,
        Word::of((saved, following)).and(begun.half).bits,
        low_first(begun.transaction),
    ]
}

fn unpack_node(next: &mut impl FnMut() -> u64) -> Node {
    let tokens = tokens_of(next());
    let mut word = Word::unread(next());
    let ((role, data), (id, offset), (secondary, told)) = (word.take(), word.take(), word.take());
    let mut word = Word::unread(next());
    let ((first, snapshot), (stream_database, selected)): ((Option<_>, _), _) =
        (word.take(), word.take());
    let mut word = Word::unread(next());
    let ((saved, following), half) = (word.take(), word.take());
    let transaction = tokens_of(next());
    Node {
        role,
        data,
        id,
        offset,
        secondary,
        backlog: first.map(|first| Backlog { first, tokens }),
        snapshot,
        saved,
        following,
        begun: Begun { transaction, half },
        stream_database,
        selected,
        told,
    }
}

fn pack_link(link: &Link) -> [u64; LINK_WORDS] {
    let Link {
        wire,
        replica,
        primary,
        with_sync,
        request,
        acknowledgement,
        reply,
        payload,
        stream,
        announced,
        acknowledged,
        unsent_from,
        stale,
    } = *link;
    let ends = Word::of((wire, (replica, primary)));
    let up = (request, acknowledgement);
    [
        low_first(stream.tokens),
        ends.and((with_sync, stream.starts_with_tail)).and(up).bits,
        Word::of((reply, payload)).bits,
        Word::of(announced).and((acknowledged, unsent_from)).bits,
        Word::of(stale).bits,
    ]
}

fn unpack_link(next: &mut impl FnMut() -> u64) -> Link {
    let tokens = tokens_of(next());
    let mut word = Word::unread(next());
    let (wire, (replica, primary)) = word.take();
    let (with_sync, starts_with_tail) = word.take();
    let (request, acknowledgement) = word.take();
    let (reply, payload) = Word::unread(next()).take();
    let mut word = Word::unread(next());
    let (announced, (acknowledged, unsent_from)) = (word.take(), word.take());
    Link {
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
        stale: Word::unread(next()).take(),
    }
}

fn pack_history(history: &History) -> [u64; HISTORY_WORDS] {
    let History {
        base,
        base_data,
        tokens,
    } = *history;
    [low_first(tokens), Word::of((base, base_data)).bits]
}

fn unpack_history(next: &mut impl FnMut() -> u64) -> History {
    let tokens = tokens_of(next());
    let (base, base_data) = Word::unread(next()).take();
    History {
        base,
        base_data,
        tokens,
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
    fn of(value: impl Bits) -> Self {
        Self::default().and(value)
    }

    /// The same with one more value.
    #[inline]
    fn and(mut self, value: impl Bits) -> Self {
        self.put(value);
        self
    }

    /// A word to be read.
    fn unread(bits: u64) -> Self {
        Self { bits, used: 0 }
    }

    #[inline]
    fn put<T: Bits>(&mut self, value: T) {
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
    fn pack(self) -> u64;

    /// Back from that number.
    fn unpack(bits: u64) -> Self;
}

impl<T: Bits> Bits for Option<T> {
    const WIDTH: u32 = 1 + T::WIDTH;

    #[inline]
    fn pack(self) -> u64 {
        self.map_or(0, |value| 1 | value.pack() << 1)
    }

    #[inline]
    fn unpack(bits: u64) -> Self {
        (bits & 1 == 1).then(|| T::unpack(bits >> 1))
    }
}

impl<A: Bits, B: Bits> Bits for (A, B) {
    const WIDTH: u32 = A::WIDTH + B::WIDTH;

    #[inline]
    fn pack(self) -> u64 {
        Word::of(self.0).and(self.1).bits
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
            fn pack(self) -> u64 {
                let $value = self;
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
            fn pack(self) -> u64 {
                match self {
                    $(Self::$variant)|+ => self as u64,
                }
            }

            #[inline]
            fn unpack(bits: u64) -> Self {
                [$(Self::$variant),+][bits as usize]
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
            fn pack(self) -> u64 {
                Word::default()$(.and(self.$field))+.bits
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
    fn pack(self) -> u64 {
        match self {
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
    fn pack(self) -> u64 {
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
    fn pack(self) -> u64 {
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
