//! A world in few machine words: what is hashed, and what [`crate::world::squeezed`] keeps of a world that waits.
//!
//! Every value has a place of fixed width, so that packing is a handful of shifts. Nothing is left out: what is
//! packed can be unpacked, and tests do so with every world of whole scopes. A field or a variant without a place
//! here does not compile.

use crate::history::History;
use crate::link::{Link, Stream};
use crate::parts::Parts;
use crate::token::{Begun, Tokens};
use crate::world::word::Word;
use crate::world::{Backlog, IDS, Id, MAX_NODES, Node, NodeId, World};
use foldhash::quality::FixedState;
use std::hash::{BuildHasher, Hash, Hasher};

/// The words of one node, one link and one history.
const NODE_WORDS: usize = 5;
const LINK_WORDS: usize = 4;
const HISTORY_WORDS: usize = 2;

/// The words of a node and its link, which stand side by side behind the first word.
const OWN_WORDS: usize = NODE_WORDS + LINK_WORDS;

/// The most words that a world takes.
pub const MAX_WORDS: usize = 1 + MAX_NODES * OWN_WORDS + IDS * HISTORY_WORDS;

/// A packed world: a word about the whole, then each node with its link, then the histories. What is blank is zero.
#[derive(Clone, Copy, Debug)]
pub struct Packed {
    pub(super) words: [u64; MAX_WORDS],
    /// How many of them may be other than zero.
    pub(super) len: usize,
}

/// A packed world with its fingerprints.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Marked {
    packed: Packed,
    marks: Marks,
}

/// The fingerprints of the parts of a world, and their sum.
#[derive(Clone, Copy, Debug)]
struct Marks {
    parts: [u64; Parts::PLACES],
    sum: u64,
}

impl World {
    /// This world in few words.
    pub fn pack(&self) -> Packed {
        Marked::of(self).packed
    }

    /// The world of these words, which [`Self::pack`] has made.
    pub fn unpack(packed: &Packed) -> Self {
        let mut world = Self::of_primaries(0);
        world.unpack_parts(packed, Parts::ALL);
        world
    }

    /// Makes these parts what the words say, where the others are so already.
    pub(crate) fn unpack_parts(&mut self, packed: &Packed, parts: Parts) {
        let mut whole = Word::unread(packed.words[0]);
        self.count = whole.take();
        self.stranger = whole.take();
        self.broken = whole.take();
        let named = packed.named().max(self.named);
        self.named = packed.named();
        let parts = parts.both(Parts::of(self.count, named));
        for node in parts.nodes() {
            self.nodes[node as usize] = unpack_node(packed.node(node));
        }
        for replica in parts.links() {
            self.links[replica as usize] = unpack_link(packed.link(replica));
        }
        for id in parts.histories() {
            self.histories[usize::from(id.0) - 1] = unpack_history(packed.history(id));
        }
    }
}

impl Packed {
    /// Room for one.
    pub const EMPTY: Self = Self {
        words: [0; MAX_WORDS],
        len: 0,
    };

    /// Which parts are not as in another world of as many nodes. What is broken counts as the stranger's.
    pub fn difference(&self, other: &Self) -> Parts {
        let among = Parts::of(self.count(), self.named().max(other.named()));
        let mut differing = Parts::STRANGER.when(self.words[0] != other.words[0]);
        for node in among.nodes() {
            let differs = differ(self.node(node), other.node(node));
            differing = differing.and(Parts::node(node).when(differs));
        }
        for replica in among.links() {
            let differs = differ(self.link(replica), other.link(replica));
            differing = differing.and(Parts::link(replica).when(differs));
        }
        for id in among.histories() {
            let differs = differ(self.history(id), other.history(id));
            differing = differing.and(Parts::history(id).when(differs));
        }
        differing
    }

    /// A fingerprint of the world; equal worlds have equal ones, and the converse fails once in 2^64 pairs.
    pub fn fingerprint(&self) -> u64 {
        let mut marked = Marked::EMPTY;
        marked.turn_into(self, Parts::of(self.count(), self.named()));
        marked.fingerprint()
    }

    /// The words up to the last one that is not zero.
    pub fn words(&self) -> &[u64] {
        let words = &self.words[..self.len];
        let last = words.iter().rposition(|word| *word != 0);
        &words[..last.map_or(0, |last| last + 1)]
    }

    /// Which of so many words are not as in another world, a bit for each.
    pub(super) fn differing_words(&self, other: &Self, places: usize) -> u64 {
        let pairs = self.words[..places].iter().zip(&other.words[..places]);
        pairs
            .rev()
            .fold(0, |bits, (own, other)| bits << 1 | u64::from(own != other))
    }

    /// How many nodes there are.
    const fn count(&self) -> u8 {
        self.words[0] as u8
    }

    /// How many histories may have anything in them.
    fn named(&self) -> u8 {
        let behind_nodes = at_history(self.count(), 1);
        let words = self.len.saturating_sub(behind_nodes);
        words.div_ceil(HISTORY_WORDS) as u8
    }

    fn node(&self, node: NodeId) -> &[u64; NODE_WORDS] {
        self.part(at_node(node))
    }

    fn link(&self, replica: NodeId) -> &[u64; LINK_WORDS] {
        self.part(at_link(replica))
    }

    fn history(&self, id: Id) -> &[u64; HISTORY_WORDS] {
        self.part(at_history(self.count(), id.0))
    }

    #[inline]
    fn part<const N: usize>(&self, at: usize) -> &[u64; N] {
        let words = self.words[at..].first_chunk();
        words.expect("every part has a place")
    }

    #[inline]
    fn part_mut<const N: usize>(&mut self, at: usize) -> &mut [u64; N] {
        let words = self.words[at..].first_chunk_mut();
        words.expect("every part has a place")
    }
}

impl Marked {
    const EMPTY: Self = Self {
        packed: Packed::EMPTY,
        marks: Marks {
            parts: [0; Parts::PLACES],
            sum: 0,
        },
    };

    /// A world in few words, with its fingerprints.
    pub(crate) fn of(world: &World) -> Self {
        let mut marked = Self::EMPTY;
        marked.write(world, Parts::ALL, &Packed::EMPTY, &mut { Parts::NONE });
        marked
    }

    /// Makes this another world, of which these parts may be other ones.
    pub(crate) fn turn_into(&mut self, packed: &Packed, parts: Parts) {
        let marks = &mut self.marks;
        for node in parts.nodes() {
            marks.note(Parts::node(node), packed.node(node));
        }
        for replica in parts.links() {
            marks.note(Parts::link(replica), packed.link(replica));
        }
        for id in parts.histories() {
            marks.note(Parts::history(id), packed.history(id));
        }
        marks.note(Parts::STRANGER, &[packed.words[0]]);
        self.packed = *packed;
    }

    /// Writes these parts of a world, where the others are written already. Of what is written, `changed` says whether it is
    /// not as in the world before; of the stranger too, and of what is broken as if it were the stranger's.
    pub(crate) fn write(
        &mut self,
        world: &World,
        parts: Parts,
        before: &Packed,
        changed: &mut Parts,
    ) {
        let World {
            count,
            nodes,
            links,
            histories,
            named,
            stranger,
            broken,
            touched: _,
        } = world;
        let most_named = self.packed.named().max(*named);
        self.packed.len = at_history(*count, named + 1);
        let parts = parts.both(Parts::of(*count, most_named));
        let mut differing = Parts::NONE;
        for node in parts.nodes() {
            let words = pack_node(&nodes[node as usize]);
            let own = self.put(Parts::node(node), at_node(node), words, before);
            differing = differing.and(own);
        }
        for replica in parts.links() {
            let words = pack_link(&links[replica as usize]);
            let own = self.put(Parts::link(replica), at_link(replica), words, before);
            differing = differing.and(own);
        }
        for id in parts.histories() {
            let words = pack_history(&histories[usize::from(id.0) - 1]);
            let own = self.put(Parts::history(id), at_history(*count, id.0), words, before);
            differing = differing.and(own);
        }
        let whole = [Word::of(count).and(stranger).and(broken).bits];
        differing = differing.and(if self.packed.words[..1] == whole {
            Parts::STRANGER.when(before.words[..1] != whole)
        } else {
            self.put(Parts::STRANGER, 0, whole, before)
        });
        *changed = changed.without(parts.and(Parts::STRANGER)).and(differing);
    }

    /// Puts the words of a part into their place. Answers the part, if other words stand there in the world before.
    #[inline]
    fn put<const N: usize>(
        &mut self,
        part: Parts,
        at: usize,
        words: [u64; N],
        before: &Packed,
    ) -> Parts {
        self.marks.note(part, &words);
        *self.packed.part_mut(at) = words;
        part.when(differ(&words, before.part(at)))
    }

    /// Makes these parts what they are in another world of as many nodes, where the others are so already.
    pub(crate) fn put_back(&mut self, before: &Self, parts: Parts) {
        let Self { packed, marks } = self;
        packed.words[0] = before.packed.words[0];
        for node in parts.nodes() {
            *packed.part_mut(at_node(node)) = *before.packed.node(node);
        }
        for replica in parts.links() {
            *packed.part_mut(at_link(replica)) = *before.packed.link(replica);
        }
        for id in parts.histories() {
            *packed.part_mut(at_history(packed.count(), id.0)) = *before.packed.history(id);
        }
        packed.len = before.packed.len;
        *marks = before.marks;
    }

    /// The words.
    pub(crate) const fn packed(&self) -> &Packed {
        &self.packed
    }

    /// As [`Packed::fingerprint`].
    pub(crate) const fn fingerprint(&self) -> u64 {
        self.marks.sum
    }
}

impl Marks {
    /// Notes the fingerprint of a part that has these words.
    #[inline]
    fn note<const N: usize>(&mut self, part: Parts, words: &[u64; N]) {
        let own = &mut self.parts[part.place()];
        let before = std::mem::replace(own, mark(part, words));
        self.sum = self.sum.wrapping_sub(before).wrapping_add(*own);
    }
}

/// The fingerprint of a part; zero if it is blank, so that it does not matter how many blank histories there are.
#[inline]
fn mark<const N: usize>(part: Parts, words: &[u64; N]) -> u64 {
    if words.iter().fold(0, |bits, word| bits | word) == 0 {
        return 0;
    }
    let mut hasher = FixedState::with_seed(0).build_hasher();
    let mut write = |low: u64, high: u64| {
        hasher.write_u128(u128::from(low) | u128::from(high) << 64);
    };
    let (pairs, rest) = words.as_chunks();
    for [low, high] in pairs {
        write(*low, *high);
    }
    let odd = rest.first().copied().unwrap_or_default();
    write(odd, part.place() as u64);
    hasher.finish()
}

/// Whether the words of a part are other ones, without a way out before the last of them.
#[inline]
fn differ<const N: usize>(own: &[u64; N], other: &[u64; N]) -> bool {
    let pairs = own.iter().zip(other);
    pairs.fold(0, |bits, (own, other)| bits | (own ^ other)) != 0
}

/// Where the words of a node begin.
const fn at_node(node: NodeId) -> usize {
    1 + OWN_WORDS * node as usize
}

/// Where the words of a link begin.
const fn at_link(replica: NodeId) -> usize {
    at_node(replica) + NODE_WORDS
}

/// Where the words of a history begin, the first of which is behind so many nodes.
const fn at_history(count: u8, id: u8) -> usize {
    1 + OWN_WORDS * count as usize + HISTORY_WORDS * (id as usize - 1)
}

impl Hash for Packed {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.words().hash(state);
    }
}

#[inline]
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
        begun: Begun { transaction, half },
        stream_database,
        selected,
        told,
    } = node;
    let tokens = |backlog: &Backlog| low_first(backlog.tokens);
    let first = backlog.as_ref().map(|backlog| backlog.first);
    let name = Word::of(role).and(data).and(id).and(offset);
    let databases = Word::of(&first).and(stream_database).and(selected);
    [
        backlog.as_ref().map_or(0, tokens),
        name.and(secondary).and(told).bits,
        databases.and(snapshot).bits,
        Word::of(saved).and(following).and(half).bits,
        low_first(*transaction),
    ]
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
        stream: Stream {
            tokens,
            starts_with_tail,
        },
        announced,
        acknowledged,
        unsent_from,
        stale,
    } = link;
    let way = Word::of(wire).and(with_sync).and(starts_with_tail);
    let phases = Word::of(replica).and(primary);
    let ends = phases.and(acknowledged).and(unsent_from).and(announced);
    [
        low_first(*tokens),
        way.and(reply).and(payload).bits,
        Word::of(acknowledgement).and(request).and(stale).bits,
        ends.bits,
    ]
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
fn pack_history(history: &History) -> [u64; HISTORY_WORDS] {
    let History {
        base,
        base_data,
        tokens,
    } = history;
    [low_first(*tokens), Word::of(base).and(base_data).bits]
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
