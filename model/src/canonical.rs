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
use crate::world::{Byte, IDS, Id, Label, Link, Node, NodeId, Offset, Reply, Request, World};

/// Lowest and highest offset at which something refers to each history; index 0 is the anonymous ID.
#[derive(Clone, Copy)]
struct References {
    low: [Offset; IDS + 1],
    high: [Offset; IDS + 1],
}

/// The new number of each ID, by first appearance; zero for one to which nothing refers.
type Renaming = [u8; IDS + 1];

impl World {
    /// This world in canonical form.
    #[must_use]
    pub fn canonical(mut self) -> Self {
        self.make_canonical();
        self
    }

    /// Puts the world into canonical form, and answers how many writes it tells apart.
    pub fn make_canonical(&mut self) -> WriteNumber {
        let names = self.names_by_appearance();
        self.forget_unreferenced(&names);
        self.count_from_zero();
        let writes = self.renumber_writes();
        self.rename_ids(&names);
        writes
    }

    fn names_by_appearance(&mut self) -> Renaming {
        let mut names = [0_u8; IDS + 1];
        let mut count = 0;
        self.visit_ids(|id| {
            let slot = usize::from(id.0);
            if slot != 0 && names[slot] == 0 {
                count += 1;
                names[slot] = count;
            }
        });
        names
    }

    fn forget_unreferenced(&mut self, names: &Renaming) {
        let References { low, high } = self.references();
        let low = self.lowest_of_axis(low);
        for slot in 1..=IDS {
            let history = &mut self.histories[slot - 1];
            if names[slot] == 0 {
                *history = History::default();
            } else {
                history.forget_before(low[slot]);
                history.forget_after(high[slot]);
            }
        }
    }

    /// A retired offset does not keep anything alive.
    fn references(&mut self) -> References {
        let mut references = References {
            low: [ReplOffset(i16::MAX); IDS + 1],
            high: [ReplOffset(i16::MIN); IDS + 1],
        };
        let bases = self.bases();
        self.visit_offsets(|id, offset| {
            let slot = usize::from(id.0);
            references.high[slot] = references.high[slot].max(*offset);
            if *offset >= bases[slot] {
                references.low[slot] = references.low[slot].min(*offset);
            }
        });
        references
    }

    /// Where each history begins; for the anonymous ID, which has none, zero.
    fn bases(&self) -> [Offset; IDS + 1] {
        std::array::from_fn(|slot| match slot {
            0 => ReplOffset(0),
            _ => self.histories[slot - 1].base,
        })
    }

    /// Histories that a node compares, because one is the other's secondary, have a common axis: a replica may
    /// be told tomorrow to call by the one name what it calls by the other today. What each lets go, all do.
    fn lowest_of_axis(&self, mut low: [Offset; IDS + 1]) -> [Offset; IDS + 1] {
        for _ in 0..self.count {
            for node in self.nodes_in_use() {
                let Some(former) = node.secondary else {
                    continue;
                };
                let (own, former) = (usize::from(axis(node).0), usize::from(former.id.0));
                let lowest = low[own].min(low[former]);
                (low[own], low[former]) = (lowest, lowest);
            }
        }
        low
    }

    /// Histories with a common axis keep a common zero. All retired offsets of a history mean the same: nothing.
    /// The highest stands for them all. So does zero for the offset of a node that has no name to count under.
    fn count_from_zero(&mut self) {
        let bases = self.bases();
        let zero = self.lowest_of_axis(bases);
        self.visit_offsets(|id, offset| match id.0 {
            0 => *offset = ReplOffset(0),
            slot => {
                let slot = usize::from(slot);
                *offset = from((*offset).max(bases[slot].plus(-1)), zero[slot]);
            }
        });
        for (history, zero) in self.histories.iter_mut().zip(&zero[1..]) {
            history.base = from(history.base, *zero);
        }
    }

    fn renumber_writes(&mut self) -> WriteNumber {
        let (map, writes) = self.write_map();
        let moved = |write: WriteNumber| map[usize::from(write)] != write;
        if !(1..=MAX_WRITES).any(moved) {
            return writes;
        }
        let keep =
            |write: WriteNumber| (map[usize::from(write)] != 0).then_some(map[usize::from(write)]);
        self.visit_writes(
            |data| *data = data.renumbered(keep),
            |tokens| *tokens = tokens.renumbered(|write| map[usize::from(write)]),
        );
        writes
    }

    /// For each write its new number, or zero if it is forgotten. Two writes that stand in no command and
    /// in the same data sets are one; the higher number stays, because order is all that a number says.
    fn write_map(&mut self) -> ([WriteNumber; MAX_WRITES as usize + 1], WriteNumber) {
        let mut columns = [0_u64; MAX_WRITES as usize + 1];
        let mut in_command = Data::EMPTY;
        let mut column = 0;
        self.visit_writes(
            |data| {
                data.writes()
                    .for_each(|write| columns[usize::from(write)] |= 1 << column);
                column += 1;
            },
            |tokens| in_command = in_command.union(tokens.writes()),
        );
        let mut map = [0; MAX_WRITES as usize + 1];
        let mut kept = Data::EMPTY;
        for write in (1..=MAX_WRITES).rev() {
            let own = columns[usize::from(write)];
            let doubled = kept
                .writes()
                .any(|other| !in_command.contains(other) && columns[usize::from(other)] == own);
            if in_command.contains(write) || (own != 0 && !doubled) {
                kept = kept.with(write);
            }
        }
        let mut count = 0;
        for write in kept.writes() {
            count += 1;
            map[usize::from(write)] = count;
        }
        // What is nowhere needs no other number.
        for write in 1..=MAX_WRITES {
            if columns[usize::from(write)] == 0 && !in_command.contains(write) {
                map[usize::from(write)] = write;
            }
        }
        (map, count)
    }

    fn rename_ids(&mut self, names: &Renaming) {
        if (1..=IDS).all(|slot| names[slot] == 0 || usize::from(names[slot]) == slot) {
            return;
        }
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
        let (mut in_data, mut in_commands) = (Data::EMPTY, Data::EMPTY);
        copy.visit_writes(
            |data| in_data = in_data.union(*data),
            |tokens| in_commands = in_commands.union(tokens.writes()),
        );
        in_data.union(in_commands)
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
    fn visit_ids(&mut self, mut see: impl FnMut(&mut Id)) {
        for node in &mut self.nodes[..usize::from(self.count)] {
            see(&mut node.id);
            see(&mut node.told);
            node.secondary
                .iter_mut()
                .for_each(|former| see(&mut former.id));
            node.snapshot
                .iter_mut()
                .for_each(|snapshot| see(&mut snapshot.label.id));
            let saved = node.saved.as_mut().and_then(|saved| saved.label.as_mut());
            saved
                .into_iter()
                .chain(&mut node.following)
                .for_each(|label| see(&mut label.id));
        }
        for link in &mut self.links[..usize::from(self.count)] {
            if let Some(Request {
                wanted: Some((id, _)),
            }) = &mut link.request
            {
                see(id);
            }
            if let Some(Reply::FullResync(Label { id, .. }) | Reply::Continue(Some(id))) =
                &mut link.reply
            {
                see(id);
            }
            let payload = link.payload.as_mut().map(|payload| &mut payload.label);
            payload
                .into_iter()
                .chain(&mut link.announced)
                .for_each(|label| see(&mut label.id));
        }
    }

    /// Shows every field that holds an offset, with the ID under which it is counted.
    fn visit_offsets(&mut self, mut see: impl FnMut(Id, &mut Offset)) {
        for node in &mut self.nodes[..usize::from(self.count)] {
            let axis = axis(node);
            see(axis, &mut node.offset);
            node.backlog
                .iter_mut()
                .for_each(|backlog| see_byte(axis, &mut backlog.first, &mut see));
            if let Some(former) = &mut node.secondary {
                // The limit is a place in both histories.
                let mut again = former.limit.offset_before();
                see(former.id, &mut again);
                see_byte(node.id, &mut former.limit, &mut see);
            }
            node.snapshot
                .iter_mut()
                .for_each(|snapshot| see(snapshot.label.id, &mut snapshot.label.offset));
            let saved = node.saved.as_mut().and_then(|saved| saved.label.as_mut());
            saved
                .into_iter()
                .chain(&mut node.following)
                .for_each(|label| see(label.id, &mut label.offset));
        }
        for replica in self.node_ids() {
            let axis_of = |node: NodeId| axis(self.node(node));
            let parent = self.parent(replica).map_or(Id::ANONYMOUS, axis_of);
            let stale = self.link(replica).stale;
            let stale = stale.map_or(Id::ANONYMOUS, |stale| axis_of(stale.at));
            let following = self
                .node(replica)
                .following
                .map_or(Id::ANONYMOUS, |label| label.id);
            let ids = LinkIds {
                parent,
                stale,
                following,
            };
            visit_link_offsets(self.link_mut(replica), ids, &mut see);
        }
    }

    /// Shows every data set and every sequence of commands.
    fn visit_writes(
        &mut self,
        mut see_data: impl FnMut(&mut Data),
        mut see_tokens: impl FnMut(&mut Tokens),
    ) {
        for node in &mut self.nodes[..usize::from(self.count)] {
            see_data(&mut node.data);
            node.snapshot
                .iter_mut()
                .for_each(|snapshot| see_data(&mut snapshot.data));
            node.saved
                .iter_mut()
                .for_each(|saved| see_data(&mut saved.data));
            node.backlog
                .iter_mut()
                .for_each(|backlog| see_tokens(&mut backlog.tokens));
            if let Some(half) = &mut node.half {
                let mut tokens = Tokens::EMPTY;
                tokens.push(*half);
                see_tokens(&mut tokens);
                *half = tokens.first().expect("one token was put in");
            }
        }
        for link in &mut self.links[..usize::from(self.count)] {
            link.payload
                .iter_mut()
                .for_each(|payload| see_data(&mut payload.data));
            see_tokens(&mut link.stream.tokens);
        }
        for history in &mut self.histories {
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

fn visit_link_offsets(link: &mut Link, ids: LinkIds, see: &mut impl FnMut(Id, &mut Offset)) {
    if let Some(Request {
        wanted: Some((id, byte)),
    }) = &mut link.request
    {
        see_byte(*id, byte, see);
    }
    if let Some(Reply::FullResync(label)) = &mut link.reply {
        see(label.id, &mut label.offset);
    }
    let payload = link.payload.as_mut().map(|payload| &mut payload.label);
    payload
        .into_iter()
        .chain(&mut link.announced)
        .for_each(|label| see(label.id, &mut label.offset));
    let acknowledgements = [&mut link.acknowledgement, &mut link.acknowledged];
    acknowledgements
        .into_iter()
        .flatten()
        .for_each(|offset| see(ids.following, offset));
    link.unsent_from
        .iter_mut()
        .for_each(|offset| see(ids.parent, offset));
    let stale = link.stale.as_mut();
    stale
        .and_then(|stale| stale.unsent_from.as_mut())
        .into_iter()
        .for_each(|offset| see(ids.stale, offset));
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
