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
use crate::world::{Byte, IDS, Id, Label, Link, NODES, NodeId, Offset, Reply, Request, World};

/// Lowest and highest offset at which something refers to each history; index 0 is the anonymous ID.
#[derive(Clone, Copy)]
struct References {
    low: [Offset; IDS + 1],
    high: [Offset; IDS + 1],
}

impl World {
    /// This world in canonical form.
    #[must_use]
    pub fn canonical(mut self) -> Self {
        self.forget_unreferenced();
        self.retire_together();
        self.count_from_zero();
        self.renumber_writes();
        self.rename_ids();
        self
    }

    fn forget_unreferenced(&mut self) {
        let used = self.ids_in_use();
        let References { low, high } = self.references();
        for slot in 1..=IDS {
            let current = self.nodes.iter().any(|node| usize::from(node.id.0) == slot);
            let history = &mut self.histories[slot - 1];
            if used >> slot & 1 == 0 {
                *history = History::default();
                continue;
            }
            history.forget_before(low[slot]);
            if !current {
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
        let histories = self.histories;
        self.visit_offsets(|id, offset| {
            let slot = usize::from(id.0);
            references.high[slot] = references.high[slot].max(*offset);
            if slot == 0 || *offset >= histories[slot - 1].base {
                references.low[slot] = references.low[slot].min(*offset);
            }
        });
        references
    }

    /// All retired offsets of a history mean the same: nothing. The highest stands for them all. So does
    /// zero for the offset of a node that has no name to count under.
    fn retire_together(&mut self) {
        let histories = self.histories;
        self.visit_offsets(|id, offset| match id.0 {
            0 => *offset = ReplOffset(0),
            slot => *offset = (*offset).max(histories[usize::from(slot) - 1].base.plus(-1)),
        });
    }

    /// Histories that a node compares, because one is the other's secondary, keep a common zero.
    fn count_from_zero(&mut self) {
        let mut zero: [Offset; IDS + 1] = std::array::from_fn(|slot| match slot {
            0 => ReplOffset(0),
            _ => self.histories[slot - 1].base,
        });
        for _ in 0..NODES {
            for node in &self.nodes {
                let Some(former) = node.secondary else {
                    continue;
                };
                let (own, former) = (usize::from(node.id.0), usize::from(former.id.0));
                let lowest = zero[own].min(zero[former]);
                (zero[own], zero[former]) = (lowest, lowest);
            }
        }
        self.visit_offsets(|id, offset| *offset = from(*offset, zero[usize::from(id.0)]));
        for (history, zero) in self.histories.iter_mut().zip(&zero[1..]) {
            history.base = from(history.base, *zero);
        }
    }

    fn renumber_writes(&mut self) {
        let map = self.write_map();
        let keep =
            |write: WriteNumber| (map[usize::from(write)] != 0).then_some(map[usize::from(write)]);
        self.visit_writes(
            |data| *data = data.renumbered(keep),
            |tokens| *tokens = tokens.renumbered(|write| map[usize::from(write)]),
        );
    }

    /// For each write its new number, or zero if it is forgotten. Two writes that stand in no command and
    /// in the same data sets are one; the higher number stays, because order is all that a number says.
    fn write_map(&mut self) -> [WriteNumber; MAX_WRITES as usize + 1] {
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
        for (place, write) in kept.writes().enumerate() {
            map[usize::from(write)] = place as WriteNumber + 1;
        }
        map
    }

    fn rename_ids(&mut self) {
        let mut map = [0_u8; IDS + 1];
        let mut named = 0;
        self.visit_ids(|id| {
            let slot = usize::from(id.0);
            if slot != 0 && map[slot] == 0 {
                named += 1;
                map[slot] = named;
            }
            id.0 = map[slot];
        });
        for (old, history) in std::mem::take(&mut self.histories).into_iter().enumerate() {
            if map[old + 1] != 0 {
                self.histories[usize::from(map[old + 1]) - 1] = history;
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

    /// Shows every field that holds an ID, in the order in which they are renamed.
    fn visit_ids(&mut self, mut see: impl FnMut(&mut Id)) {
        for node in &mut self.nodes {
            see(&mut node.id);
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
        for link in &mut self.links {
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
        for node in &mut self.nodes {
            see(node.id, &mut node.offset);
            node.backlog
                .iter_mut()
                .for_each(|backlog| see_byte(node.id, &mut backlog.first, &mut see));
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
        for replica in NodeId::ALL {
            let parent = self
                .parent(replica)
                .map_or(Id::ANONYMOUS, |parent| self.node(parent).id);
            let following = self
                .node(replica)
                .following
                .map_or(Id::ANONYMOUS, |label| label.id);
            visit_link_offsets(self.link_mut(replica), parent, following, &mut see);
        }
    }

    /// Shows every data set and every sequence of commands.
    fn visit_writes(
        &mut self,
        mut see_data: impl FnMut(&mut Data),
        mut see_tokens: impl FnMut(&mut Tokens),
    ) {
        for node in &mut self.nodes {
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
        for link in &mut self.links {
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

fn visit_link_offsets(
    link: &mut Link,
    parent: Id,
    following: Id,
    see: &mut impl FnMut(Id, &mut Offset),
) {
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
        .for_each(|offset| see(following, offset));
    let stale = link
        .stale
        .as_mut()
        .and_then(|stale| stale.unsent_from.as_mut());
    link.unsent_from
        .iter_mut()
        .chain(stale)
        .for_each(|offset| see(parent, offset));
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
