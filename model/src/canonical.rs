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
//! worlds runs unchanged in plain ones. Everything here rests on the two visitors at the end, which name
//! each field that holds an ID, an offset or writes: a new field must be added there.

use crate::history::{History, Meaning};
use crate::offset::ReplOffset;
use crate::token::{Data, MAX_WRITES, Tokens, WriteNumber};
use crate::world::{Byte, Connection, IDS, Id, Label, Link, Node, NodeId, Offset, Reply, World};

/// Lowest and highest offset at which something refers to each history; index 0 is the anonymous ID.
#[derive(Clone, Copy)]
struct References {
    low: [Offset; IDS + 1],
    high: [Offset; IDS + 1],
    /// Whether there is an offset that says nothing: retired, or counted under no name.
    idle: bool,
}

/// The new number of each ID, by first appearance.
#[derive(Clone, Copy)]
struct Renaming {
    /// By the old number; zero for an ID to which nothing refers.
    names: [u8; IDS + 1],
    /// The highest old number.
    highest: usize,
    /// Whether any ID gets another number than it has.
    moves: bool,
}

/// What becomes of each write.
struct Renumbering {
    /// The new number, by the old one; zero for a write that is forgotten.
    numbers: [WriteNumber; MAX_WRITES as usize + 1],
    /// How many stay.
    count: WriteNumber,
    /// Whether any is forgotten or gets another number than it has.
    moves: bool,
}

impl World {
    /// This world in canonical form.
    #[must_use]
    pub fn canonical(mut self) -> Self {
        self.make_canonical();
        self
    }

    /// Puts the world into canonical form, and answers how many writes it tells apart.
    pub fn make_canonical(&mut self) -> WriteNumber {
        let renaming = self.names_by_appearance();
        let idle = self.forget_unreferenced(&renaming);
        self.count_from_zero(renaming.highest, idle);
        let writes = self.renumber_writes(renaming.highest);
        if renaming.moves {
            self.rename_ids(&renaming.names);
        }
        writes
    }

    /// Names the histories anew, in the order in which they appear.
    pub(crate) fn rename_by_appearance(&mut self) {
        let renaming = self.names_by_appearance();
        if renaming.moves {
            self.rename_ids(&renaming.names);
        }
    }

    fn names_by_appearance(&mut self) -> Renaming {
        let mut names = [0_u8; IDS + 1];
        let (mut count, mut highest, mut moves) = (0, 0, false);
        self.visit_ids(|id| {
            let slot = usize::from(id.0);
            if slot != 0 && names[slot] == 0 {
                count += 1;
                names[slot] = count;
                highest = highest.max(slot);
                moves |= count != id.0;
            }
        });
        Renaming {
            names,
            highest,
            moves,
        }
    }

    /// Answers whether there is an offset that says nothing.
    fn forget_unreferenced(&mut self, renaming: &Renaming) -> bool {
        let References { low, high, idle } = self.references(renaming.highest);
        let low = self.lowest_of_axis(low);
        let (named, unnamed) = self.histories.split_at_mut(renaming.highest);
        for (history, slot) in named.iter_mut().zip(1..) {
            if renaming.names[slot] == 0 {
                *history = History::default();
            } else if !history.tokens.is_empty() {
                history.forget_before(low[slot]);
                history.forget_after(high[slot]);
            }
        }
        unnamed.fill(History::default());
        idle
    }

    /// A retired offset does not keep anything alive.
    fn references(&mut self, highest: usize) -> References {
        let mut references = References {
            low: [ReplOffset(i16::MAX); IDS + 1],
            high: [ReplOffset(i16::MIN); IDS + 1],
            idle: false,
        };
        let bases = self.bases(highest);
        self.visit_offsets(|id, offset| {
            let slot = usize::from(id.0);
            references.high[slot] = references.high[slot].max(*offset);
            if *offset >= bases[slot] {
                references.low[slot] = references.low[slot].min(*offset);
            }
            references.idle |= *offset < bases[slot] || (slot == 0 && offset.0 != 0);
        });
        references
    }

    /// Where each history begins, up to that of the highest ID in use; for the anonymous ID, which has none, zero.
    fn bases(&self, highest: usize) -> [Offset; IDS + 1] {
        let mut bases = [ReplOffset(0); IDS + 1];
        for (base, history) in bases[1..].iter_mut().zip(&self.histories[..highest]) {
            *base = history.base;
        }
        bases
    }

    /// Histories that a node compares, because one is the other's secondary, have a common axis: a replica may
    /// be told tomorrow to call by the one name what it calls by the other today. What each lets go, all do.
    fn lowest_of_axis(&self, mut low: [Offset; IDS + 1]) -> [Offset; IDS + 1] {
        for _ in 0..self.count {
            let mut moved = false;
            for node in self.nodes_in_use() {
                let Some(former) = node.secondary else {
                    continue;
                };
                let (own, former) = (usize::from(axis(node).0), usize::from(former.id.0));
                let lowest = low[own].min(low[former]);
                moved |= low[own] != low[former];
                (low[own], low[former]) = (lowest, lowest);
            }
            if !moved {
                break;
            }
        }
        low
    }

    /// Histories with a common axis keep a common zero. All retired offsets of a history mean the same: nothing.
    /// The highest stands for them all. So does zero for the offset of a node that has no name to count under.
    fn count_from_zero(&mut self, highest: usize, idle: bool) {
        let bases = self.bases(highest);
        let zero = self.lowest_of_axis(bases);
        if !idle && zero == [ReplOffset(0); IDS + 1] {
            return;
        }
        self.visit_offsets(|id, offset| match id.0 {
            0 => *offset = ReplOffset(0),
            slot => {
                let slot = usize::from(slot);
                *offset = from((*offset).max(bases[slot].plus(-1)), zero[slot]);
            }
        });
        for (history, zero) in self.histories[..highest].iter_mut().zip(&zero[1..]) {
            history.base = from(history.base, *zero);
        }
    }

    fn renumber_writes(&mut self, histories: usize) -> WriteNumber {
        let renumbering = self.renumbering(histories);
        let number = |write: WriteNumber| renumbering.numbers[usize::from(write)];
        if renumbering.moves {
            self.visit_writes(
                histories,
                |data| *data = data.renumbered(|write| (number(write) != 0).then(|| number(write))),
                |tokens| *tokens = tokens.renumbered(number),
            );
        }
        renumbering.count
    }

    /// Two writes that stand in no command and in the same data sets are one; the higher number stays, because
    /// order is all that a number says.
    fn renumbering(&mut self, histories: usize) -> Renumbering {
        let (in_data, in_command) = self.writes_by_place(histories);
        let all = in_data.union(in_command);
        let mut kept = in_command;
        let alone = in_data.without(in_command);
        if alone.count() < 2 {
            kept = all;
        } else {
            let columns = self.columns(histories, alone);
            let (mut seen, mut len) = ([0; MAX_WRITES as usize], 0);
            for write in alone.writes().rev() {
                let own = columns[usize::from(write)];
                if !seen[..len].contains(&own) {
                    seen[len] = own;
                    len += 1;
                    kept = kept.with(write);
                }
            }
        }
        let mut numbers = [0; MAX_WRITES as usize + 1];
        for (write, number) in kept.writes().zip(1..) {
            numbers[usize::from(write)] = number;
        }
        Renumbering {
            numbers,
            count: kept.count(),
            moves: kept != all || kept.newest() != kept.count(),
        }
    }

    /// The writes in data sets, and those in commands.
    fn writes_by_place(&mut self, histories: usize) -> (Data, Data) {
        let (mut in_data, mut in_command) = (Data::EMPTY, Data::EMPTY);
        self.visit_writes(
            histories,
            |data| in_data = in_data.union(*data),
            |tokens| in_command = in_command.union(tokens.writes()),
        );
        (in_data.sound(), in_command)
    }

    /// For each of these writes the data sets it is in, a bit for each.
    fn columns(&mut self, histories: usize, of: Data) -> [u64; MAX_WRITES as usize + 1] {
        let mut columns = [0_u64; MAX_WRITES as usize + 1];
        let mut column = 1;
        self.visit_writes(
            histories,
            |data| {
                for write in data.both(of).writes() {
                    columns[usize::from(write)] |= column;
                }
                column <<= 1;
            },
            |_| (),
        );
        columns
    }

    fn rename_ids(&mut self, names: &[u8; IDS + 1]) {
        self.visit_ids(|id| id.0 = names[usize::from(id.0)]);
        for (old, history) in std::mem::take(&mut self.histories).into_iter().enumerate() {
            if names[old + 1] != 0 {
                self.histories[usize::from(names[old + 1]) - 1] = history;
            }
        }
    }

    /// Which IDs something in the world refers to, one bit each.
    pub fn ids_in_use(&self) -> u16 {
        let mut used = 0;
        let mut copy = *self;
        copy.visit_ids(|id| used |= 1 << id.0);
        used
    }

    /// Every write that something in the world contains.
    pub fn writes_in_use(&self) -> Data {
        let mut copy = *self;
        let (in_data, in_command) = copy.writes_by_place(IDS);
        in_data.union(in_command)
    }

    /// What a label means, in the history it names.
    pub fn meaning(&self, label: Label) -> Meaning {
        self.history(label.id)
            .map_or(Meaning::Future, |history| history.meaning(label.offset))
    }

    fn nodes_in_use(&self) -> &[Node] {
        &self.nodes[..usize::from(self.count)]
    }

    /// Shows every field that holds an ID, in the order in which they are renamed.
    #[inline]
    fn visit_ids(&mut self, mut see: impl FnMut(&mut Id)) {
        for node in &mut self.nodes[..usize::from(self.count)] {
            see(&mut node.id);
            see(&mut node.told);
            if let Some(former) = &mut node.secondary {
                see(&mut former.id);
            }
            if let Some(snapshot) = &mut node.snapshot {
                see(&mut snapshot.label.id);
            }
            if let Some(label) = saved_label(node) {
                see(&mut label.id);
            }
            if let Some(label) = &mut node.following {
                see(&mut label.id);
            }
        }
        for link in &mut self.links[..usize::from(self.count)] {
            if let Some((id, _)) = wanted(link) {
                see(id);
            }
            if let Some(Reply::FullResync(Label { id, .. }) | Reply::Continue(Some(id))) =
                &mut link.reply
            {
                see(id);
            }
            if let Some(payload) = &mut link.payload {
                see(&mut payload.label.id);
            }
            if let Some(label) = &mut link.announced {
                see(&mut label.id);
            }
        }
    }

    /// Shows every field that holds an offset, with the ID under which it is counted.
    #[inline]
    fn visit_offsets(&mut self, mut see: impl FnMut(Id, &mut Offset)) {
        for node in &mut self.nodes[..usize::from(self.count)] {
            let axis = axis(node);
            see(axis, &mut node.offset);
            if let Some(backlog) = &mut node.backlog {
                see_byte(axis, &mut backlog.first, &mut see);
            }
            if let Some(former) = &mut node.secondary {
                // The limit is a place in both histories.
                let mut again = former.limit.offset_before();
                see(former.id, &mut again);
                see_byte(node.id, &mut former.limit, &mut see);
            }
            if let Some(snapshot) = &mut node.snapshot {
                see(snapshot.label.id, &mut snapshot.label.offset);
            }
            if let Some(label) = saved_label(node) {
                see(label.id, &mut label.offset);
            }
            if let Some(label) = &mut node.following {
                see(label.id, &mut label.offset);
            }
        }
        for replica in self.node_ids() {
            let axis_of =
                |node: Option<NodeId>| node.map_or(Id::ANONYMOUS, |node| axis(self.node(node)));
            let following = self.node(replica).following;
            let ids = LinkIds {
                parent: axis_of(self.parent(replica)),
                stale: axis_of(self.link(replica).stale.map(|stale| stale.at)),
                following: following.map_or(Id::ANONYMOUS, |label| label.id),
            };
            visit_link_offsets(self.link_mut(replica), ids, &mut see);
        }
    }

    /// Shows every data set and every sequence of commands, in so many histories.
    fn visit_writes(
        &mut self,
        histories: usize,
        mut see_data: impl FnMut(&mut Data),
        mut see_tokens: impl FnMut(&mut Tokens),
    ) {
        for node in &mut self.nodes[..usize::from(self.count)] {
            see_data(&mut node.data);
            if let Some(snapshot) = &mut node.snapshot {
                see_data(&mut snapshot.data);
            }
            if let Some(saved) = &mut node.saved {
                see_data(&mut saved.data);
            }
            if let Some(backlog) = &mut node.backlog {
                see_tokens(&mut backlog.tokens);
            }
            see_tokens(&mut node.begun.transaction);
            if let Some(half) = &mut node.begun.half {
                let mut tokens = Tokens::EMPTY;
                tokens.push(*half);
                see_tokens(&mut tokens);
                *half = tokens.first().expect("one token was put in");
            }
        }
        for link in &mut self.links[..usize::from(self.count)] {
            if let Some(payload) = &mut link.payload {
                see_data(&mut payload.data);
            }
            see_tokens(&mut link.stream.tokens);
        }
        for history in &mut self.histories[..histories] {
            see_data(&mut history.base_data);
            see_tokens(&mut history.tokens);
        }
    }
}

/// The ID under which a node counts its own offset. A node whose name nobody knows may still count on from the
/// history it remembers as its former one.
fn axis(node: &Node) -> Id {
    match (node.id, node.secondary) {
        (Id::ANONYMOUS, Some(former)) => former.id,
        (id, _) => id,
    }
}

/// Under which IDs the offsets of a link are counted that stand there without one.
#[derive(Clone, Copy)]
struct LinkIds {
    /// Of the primary.
    parent: Id,
    /// Of the primary that believes in an older connection.
    stale: Id,
    /// Of what the replica follows.
    following: Id,
}

#[inline]
fn visit_link_offsets(link: &mut Link, ids: LinkIds, see: &mut impl FnMut(Id, &mut Offset)) {
    if let Some((id, byte)) = wanted(link) {
        see_byte(*id, byte, see);
    }
    if let Some(Reply::FullResync(label)) = &mut link.reply {
        see(label.id, &mut label.offset);
    }
    if let Some(payload) = &mut link.payload {
        see(payload.label.id, &mut payload.label.offset);
    }
    if let Some(label) = &mut link.announced {
        see(label.id, &mut label.offset);
    }
    if let Some(offset) = &mut link.acknowledgement {
        see(ids.following, offset);
    }
    if let Some(offset) = &mut link.acknowledged {
        see(ids.following, offset);
    }
    if let Some(offset) = &mut link.unsent_from {
        see(ids.parent, offset);
    }
    if let Some(Connection {
        unsent_from: Some(offset),
        ..
    }) = &mut link.stale
    {
        see(ids.stale, offset);
    }
}

/// The label of a node's snapshot file.
fn saved_label(node: &mut Node) -> Option<&mut Label> {
    node.saved.as_mut()?.label.as_mut()
}

/// What a request on its way asks for.
fn wanted(link: &mut Link) -> Option<&mut (Id, Byte)> {
    link.request.as_mut()?.wanted.as_mut()
}

/// An offset, counted from another.
fn from(offset: Offset, zero: Offset) -> Offset {
    ReplOffset(offset.0 - zero.0)
}

fn see_byte(id: Id, byte: &mut Byte, see: &mut impl FnMut(Id, &mut Offset)) {
    let mut offset = byte.offset_before();
    see(id, &mut offset);
    *byte = offset.next_byte();
}
