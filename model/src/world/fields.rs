//! The walk over the fields of a world that hold an ID, an offset or writes.
//!
//! A [`Reader`] is shown what stands in each of them, an [`Editor`] may change it. The fields are listed once, in a macro
//! that gives the same walk to both: it takes nodes, links and histories apart by patterns, which borrow as whatever they
//! are matched with is borrowed. It names every field, so that a new one does not compile before it has found its place.

use crate::history::History;
use crate::link::{Connection, Link, Reply, Request, Stream};
use crate::token::{Begun, Data, Token, Tokens};
use crate::world::{
    Backlog, Byte, Id, Label, MAX_NODES, Node, Offset, Role, Saved, Secondary, Snapshot, World,
};

/// Somebody who is shown fields. What does not concern it, it lets pass.
// One walk serves readers and editors, so that both are handed references.
#[allow(clippy::trivially_copy_pass_by_ref)]
pub(super) trait Reader {
    fn id(&mut self, _: &Id) {}

    fn offset(&mut self, _under: Id, _: &Offset) {}

    fn byte(&mut self, _under: Id, _: &Byte) {}

    fn data(&mut self, _: &Data) {}

    fn tokens(&mut self, _: &Tokens) {}

    fn token(&mut self, _: &Token) {}

    #[inline]
    fn label(&mut self, label: &Label) {
        self.offset(label.id, &label.offset);
        self.id(&label.id);
    }
}

/// Somebody who changes fields, likewise.
pub(super) trait Editor {
    fn id(&mut self, _: &mut Id) {}

    fn offset(&mut self, _under: Id, _: &mut Offset) {}

    fn data(&mut self, _: &mut Data) {}

    fn tokens(&mut self, _: &mut Tokens) {}

    fn token(&mut self, _: &mut Token) {}

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

macro_rules! walk {
    ($visitor:ident: $nodes_and_links:ident, $node:ident, $link:ident, $history:ident $(, $mut:ident)?) => {
        impl World {
            /// Shows nodes and links: IDs in the order in which they are renamed, offsets with the ID under which they
            /// are counted.
            #[inline]
            pub(super) fn $nodes_and_links(&$($mut)? self, visitor: &mut impl $visitor) {
                let there = ..usize::from(self.count);
                for node in &$($mut)? self.nodes[there] {
                    $node(node, visitor);
                }
                for (replica, link) in (&$($mut)? self.links[there]).into_iter().enumerate() {
                    $link(link, replica, &self.nodes, visitor);
                }
            }
        }

        #[inline]
        fn $node(node: &$($mut)? Node, visitor: &mut impl $visitor) {
            let axis = axis(node);
            let Node {
                role: _,
                data,
                id,
                offset,
                secondary,
                backlog,
                snapshot,
                saved,
                following,
                begun: Begun { transaction, half },
                stream_database: _,
                selected: _,
                told,
            } = node;
            visitor.data(data);
            visitor.offset(axis, offset);
            if let Some(Backlog { first, tokens }) = backlog {
                visitor.byte(axis, first);
                visitor.tokens(tokens);
            }
            let own = *id;
            visitor.id(id);
            visitor.id(told);
            if let Some(Secondary { id: former, limit }) = secondary {
                // The limit is a place in both histories.
                let $($mut)? again = *limit;
                visitor.byte(*former, &$($mut)? again);
                visitor.byte(own, limit);
                visitor.id(former);
            }
            if let Some(Snapshot { data, label, framing: _, database: _ }) = snapshot {
                visitor.data(data);
                visitor.label(label);
            }
            if let Some(Saved { data, label, database: _ }) = saved {
                visitor.data(data);
                if let Some(label) = label {
                    visitor.label(label);
                }
            }
            if let Some(label) = following {
                visitor.label(label);
            }
            if !transaction.is_empty() {
                visitor.tokens(transaction);
            }
            if let Some(half) = half {
                visitor.token(half);
            }
        }

        /// Some offsets of a link stand there without an ID: what the replica acknowledges is counted under the ID that
        /// it follows, what a primary has yet to send under that of the primary's own offset.
        #[inline]
        fn $link(
            link: &$($mut)? Link,
            replica: usize,
            nodes: &[Node; MAX_NODES],
            visitor: &mut impl $visitor,
        ) {
            let Link {
                wire: _,
                replica: _,
                primary: _,
                with_sync: _,
                request,
                acknowledgement,
                reply,
                payload,
                stream: Stream { tokens, starts_with_tail: _ },
                announced,
                acknowledged,
                unsent_from,
                stale,
            } = link;
            if let Some(Request { wanted: Some((id, byte)) }) = request {
                visitor.byte(*id, byte);
                visitor.id(id);
            }
            match reply {
                Some(Reply::FullResync(label)) => visitor.label(label),
                Some(Reply::Continue(Some(id))) => visitor.id(id),
                Some(Reply::Continue(None) | Reply::Error(_)) | None => (),
            }
            if let Some(Snapshot { data, label, framing: _, database: _ }) = payload {
                visitor.data(data);
                visitor.label(label);
            }
            visitor.tokens(tokens);
            if let Some(label) = announced {
                visitor.label(label);
            }
            let following = || nodes[replica].following.map_or(Id::ANONYMOUS, |label| label.id);
            if let Some(offset) = acknowledgement {
                visitor.offset(following(), offset);
            }
            if let Some(offset) = acknowledged {
                visitor.offset(following(), offset);
            }
            if let Some(offset) = unsent_from {
                let under = match nodes[replica].role {
                    Role::Primary => Id::ANONYMOUS,
                    Role::ReplicaOf(parent) => axis(&nodes[parent as usize]),
                };
                visitor.offset(under, offset);
            }
            if let Some(Connection { at, phase: _, unsent_from: Some(offset) }) = stale {
                visitor.offset(axis(&nodes[*at as usize]), offset);
            }
        }

        #[inline]
        pub(super) fn $history(history: &$($mut)? History, visitor: &mut impl $visitor) {
            let History { base: _, base_data, tokens } = history;
            visitor.data(base_data);
            visitor.tokens(tokens);
        }
    };
}

walk!(Reader: read, read_node, read_link, read_history);
walk!(Editor: edit, edit_node, edit_link, edit_history, mut);

/// The ID under which a node counts its own offset. A node whose name nobody knows may still count on from the
/// history it remembers as its former one.
pub(super) fn axis(node: &Node) -> Id {
    match (node.id, node.secondary) {
        (Id::ANONYMOUS, Some(former)) => former.id,
        (id, _) => id,
    }
}

/// The IDs to which something refers, one bit each.
struct IdsInUse(u16);

impl Reader for IdsInUse {
    #[inline]
    fn id(&mut self, id: &Id) {
        self.0 |= 1 << id.0;
    }
}

/// The writes in data sets and commands.
struct WritesInUse(Data);

impl Reader for WritesInUse {
    #[inline]
    fn data(&mut self, data: &Data) {
        self.0 = self.0.union(*data);
    }

    #[inline]
    fn tokens(&mut self, tokens: &Tokens) {
        self.0 = self.0.union(tokens.writes());
    }

    #[inline]
    fn token(&mut self, token: &Token) {
        if let Some((write, _)) = token.as_write() {
            self.0 = self.0.with(write);
        }
    }
}

impl World {
    /// Which IDs something in the world refers to, one bit each.
    pub fn ids_in_use(&self) -> u16 {
        let mut used = IdsInUse(0);
        self.read(&mut used);
        used.0
    }

    /// Every write that something in the world contains.
    pub fn writes_in_use(&self) -> Data {
        let mut used = WritesInUse(Data::EMPTY);
        self.read(&mut used);
        for history in self.named_histories() {
            read_history(history, &mut used);
        }
        used.0.sound()
    }
}
