//! A world as a list of named fields, and what one step changed in it.
//!
//! The list has the same fields in the same order for every world, so that two lists can be laid side by side.

use crate::narrate::words;
use crate::rules::Setting;
use crate::token::Database;
use crate::world::{Link, Node, NodeId, Role, World};
use std::fmt::Write;

/// What stands for a field that holds nothing.
pub const NOTHING: &str = "-";

/// Whose field it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A server.
    Node(NodeId),
    /// The link of a replica to its primary.
    Link(NodeId),
    /// The stranger.
    Stranger,
}

impl Place {
    /// Its heading.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Node(node) => node.name(),
            Self::Link(NodeId::Primary) => "link of the primary",
            Self::Link(NodeId::Replica) => "link",
            Self::Link(NodeId::Second) => "link of the second replica",
            Self::Link(NodeId::Third) => "link of the third replica",
            Self::Stranger => "stranger",
        }
    }
}

/// One field of a world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Whose.
    pub place: Place,
    /// Its name.
    pub name: &'static str,
    /// Its value, in words; `-` for nothing.
    pub value: String,
}

/// One field that a step changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Whose.
    pub place: Place,
    /// Its name.
    pub name: &'static str,
    /// Its value before.
    pub before: String,
    /// Its value after.
    pub after: String,
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            place,
            name,
            before,
            after,
        } = self;
        write!(f, "{} {name}: {before} → {after}", place.name())
    }
}

/// Every field of a world, in a fixed order.
pub fn fields(world: &World, setting: &Setting) -> Vec<Field> {
    let mut all = Vec::new();
    for node in world.node_ids() {
        push_all(
            &mut all,
            Place::Node(node),
            node_fields(world.node(node)).into(),
        );
    }
    for replica in world.node_ids() {
        let mut fields = link_fields(world, setting, replica);
        if world.is_primary(replica) && *world.link(replica) == Link::ABSENT {
            for (_, value) in &mut fields {
                NOTHING.clone_into(value);
            }
        }
        push_all(&mut all, Place::Link(replica), fields.into());
    }
    let stranger = world
        .stranger
        .map(|stranger| words::answer(stranger.answer));
    push_all(&mut all, Place::Stranger, vec![("was told", or(stranger))]);
    all
}

/// The fields that differ between two worlds.
pub fn changes(before: &World, after: &World, setting: &Setting) -> Vec<Change> {
    fields(before, setting)
        .into_iter()
        .zip(fields(after, setting))
        .filter(|(before, after)| before.value != after.value)
        .map(|(before, after)| Change {
            place: after.place,
            name: after.name,
            before: before.value,
            after: after.value,
        })
        .collect()
}

/// The world after a step as a table for each node, the changed fields marked with `*` and their old value.
/// Fields that held nothing and still do are left out.
pub fn table(before: &World, after: &World, setting: &Setting) -> String {
    let mut text = String::new();
    let mut place = None;
    for (was, is) in fields(before, setting).iter().zip(fields(after, setting)) {
        if is.value == NOTHING && was.value == NOTHING {
            continue;
        }
        if place != Some(is.place) {
            place = Some(is.place);
            let _ = writeln!(text, "{}", is.place.name());
        }
        let _ = if was.value == is.value {
            writeln!(text, "    {:<16}{}", is.name, is.value)
        } else {
            writeln!(text, "  * {:<16}{} → {}", is.name, was.value, is.value)
        };
    }
    text
}

fn push_all(all: &mut Vec<Field>, place: Place, named: Vec<(&'static str, String)>) {
    all.extend(
        named
            .into_iter()
            .map(|(name, value)| Field { place, name, value }),
    );
}

fn or(value: Option<String>) -> String {
    value.unwrap_or_else(|| NOTHING.to_owned())
}

/// The database that a snapshot names for the stream, if it is not the one everything begins in.
fn stream_in(database: Option<Database>) -> String {
    match database {
        None | Some(Database::First) => String::new(),
        Some(other) => format!(", stream in {}", words::database(other)),
    }
}

fn node_fields(node: &Node) -> [(&'static str, String); 13] {
    let role = match node.role {
        Role::Primary => "primary".to_owned(),
        Role::ReplicaOf(parent) => format!("replica of the {}", parent.name()),
    };
    let secondary = node
        .secondary
        .map(|former| format!("{} to byte {}", words::id(former.id), former.limit.0));
    let snapshot = node.snapshot.map(|snapshot| {
        let (data, label) = (words::data(snapshot.data), words::label(snapshot.label));
        let framing = words::framing(snapshot.framing);
        format!(
            "{data} as {label}{}, {framing}",
            stream_in(snapshot.database)
        )
    });
    let saved = node.saved.map(|saved| {
        let (data, label) = (words::data(saved.data), words::label_or_none(saved.label));
        format!("{data}, {label}{}", stream_in(saved.database))
    });
    let elsewhere = node.selected != Database::First;
    let reads_in = elsewhere.then(|| words::database(node.selected));
    let produces = node.backlog.is_some() || node.offset.0 != 0 || node.id.0 != 0;
    [
        ("role", role),
        ("data", words::data(node.data)),
        ("ID", or(produces.then(|| words::id(node.id)))),
        ("offset", or(produces.then(|| node.offset.0.to_string()))),
        ("secondary ID", or(secondary)),
        ("backlog", or(node.backlog.as_ref().map(words::backlog))),
        ("snapshot", or(snapshot)),
        ("saved file", or(saved)),
        ("follows", or(node.following.map(words::label))),
        ("half read", or(node.begun.half.map(words::token))),
        ("not executed", words::tokens(&node.begun.transaction)),
        (
            "stream's database",
            or(node.stream_database.map(words::database)),
        ),
        ("reads in", or(reads_in)),
    ]
}

fn link_fields(world: &World, setting: &Setting, replica: NodeId) -> [(&'static str, String); 11] {
    let link = world.link(replica);
    let acknowledgement =
        |offset: Option<crate::world::Offset>| or(offset.map(|o| o.0.to_string()));
    let payload = link.payload.map(|snapshot| {
        format!(
            "{} as {}",
            words::data(snapshot.data),
            words::label(snapshot.label)
        )
    });
    let stale = link.stale.map(|stale| {
        let phase = words::primary_phase(stale.phase);
        match world.parent(replica) {
            Some(parent) if parent == stale.at => phase.to_owned(),
            _ => format!("{phase}, says the {}", stale.at.name()),
        }
    });
    let request = link.request.map(|request| words::request(setting, request));
    [
        ("wire", words::wire(link.wire).to_owned()),
        (
            "replica's end",
            words::replica_phase(link.replica).to_owned(),
        ),
        (
            "primary's end",
            words::primary_phase(link.primary).to_owned(),
        ),
        ("older link", or(stale)),
        ("request", or(request)),
        ("reply", or(link.reply.map(words::reply))),
        ("snapshot", or(payload)),
        ("stream", words::stream(&link.stream)),
        ("announced", or(link.announced.map(words::label))),
        ("ack on its way", acknowledgement(link.acknowledgement)),
        ("acknowledged", acknowledgement(link.acknowledged)),
    ]
}
