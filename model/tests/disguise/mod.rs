//! A world as it might look after a long life: other names, larger offsets, other numbers of writes. It names
//! every field anew, on purpose: a field that the canonical form's own visitors forget shows here.

use psync_model::token::{Begun, Data, Token, Tokens};
use psync_model::world::{
    Backlog, Byte, Connection, IDS, Id, Label, Link, Node, Offset, Reply, Request, Saved,
    Secondary, Snapshot, Stream, World,
};

/// How far offsets are moved, in units.
const FURTHER: i64 = 40;

/// How much the numbers of writes grow.
const LATER: u8 = 2;

/// The same world in everything that means something.
pub(crate) fn disguised(world: &World) -> World {
    let mut disguised = *world;
    for name in (1..=IDS as u8).map(Id) {
        let (Some(history), Some(moved)) = (world.history(name), disguised.history_mut(id(name)))
        else {
            continue;
        };
        moved.base = offset(history.base);
        moved.base_data = data(history.base_data);
        moved.tokens = tokens(history.tokens);
    }
    for place in world.node_ids() {
        *disguised.node_mut(place) = node(*world.node(place));
        *disguised.link_mut(place) = link(*world.link(place));
    }
    disguised
}

fn id(id: Id) -> Id {
    match id.0 {
        0 => id,
        number => Id(number % IDS as u8 + 1),
    }
}

fn offset(offset: Offset) -> Offset {
    offset.plus(FURTHER)
}

fn byte(byte: Byte) -> Byte {
    byte.plus(FURTHER)
}

fn data(data: Data) -> Data {
    data.renumbered(|write| Some(write + LATER))
}

fn tokens(tokens: Tokens) -> Tokens {
    tokens.renumbered(|write| write + LATER)
}

fn token(token: Token) -> Token {
    token.as_write().map_or(token, |(number, database)| {
        Token::write(number + LATER, database)
    })
}

fn label(label: Label) -> Label {
    Label {
        id: id(label.id),
        offset: offset(label.offset),
    }
}

fn snapshot(snapshot: Snapshot) -> Snapshot {
    Snapshot {
        data: data(snapshot.data),
        label: label(snapshot.label),
        ..snapshot
    }
}

fn node(node: Node) -> Node {
    Node {
        role: node.role,
        data: data(node.data),
        id: id(node.id),
        offset: offset(node.offset),
        secondary: node.secondary.map(|former| Secondary {
            id: id(former.id),
            limit: byte(former.limit),
        }),
        backlog: node.backlog.map(|backlog| Backlog {
            first: byte(backlog.first),
            tokens: tokens(backlog.tokens),
        }),
        snapshot: node.snapshot.map(snapshot),
        saved: node.saved.map(|saved| Saved {
            data: data(saved.data),
            label: saved.label.map(label),
            ..saved
        }),
        following: node.following.map(label),
        begun: Begun {
            transaction: tokens(node.begun.transaction),
            half: node.begun.half.map(token),
        },
        told: id(node.told),
        ..node
    }
}

fn link(link: Link) -> Link {
    Link {
        request: link.request.map(|request| Request {
            wanted: request
                .wanted
                .map(|(name, wanted)| (id(name), byte(wanted))),
        }),
        acknowledgement: link.acknowledgement.map(offset),
        reply: link.reply.map(|reply| match reply {
            Reply::Continue(name) => Reply::Continue(name.map(id)),
            Reply::FullResync(announced) => Reply::FullResync(label(announced)),
            Reply::Error(kind) => Reply::Error(kind),
        }),
        payload: link.payload.map(snapshot),
        stream: Stream {
            tokens: tokens(link.stream.tokens),
            ..link.stream
        },
        announced: link.announced.map(label),
        acknowledged: link.acknowledged.map(offset),
        unsent_from: link.unsent_from.map(offset),
        stale: link.stale.map(|stale| Connection {
            unsent_from: stale.unsent_from.map(offset),
            ..stale
        }),
        ..link
    }
}
