//! Nodes in the states that decide what a command may do, and what one line does there: what is answered, whether the
//! connection is closed, and whether anything that outlives the connection is different afterwards.

use std::fmt;
use std::sync::LazyLock;

use psync_server::event::ClientId;
use psync_server::keyspace::Value;
use psync_server::rdb;
use psync_server::rulebook::Era;

use crate::request;
use crate::simulation::{World, array};

pub(crate) const PASSWORD: &str = "secret";

/// A value of every type under a letter of its own; `e` has a deadline.
pub(crate) const DATA: [&str; 7] = [
    "set s abc",
    "set n 5",
    "set e v ex 100000",
    "rpush l a b c",
    "hset h f 1",
    "sadd t a b c",
    "zadd z 1 a 2 b",
];

/// What makes a snapshot large enough that its reading is noticed.
const LARGE: &str = "setrange large 3000000 v";

/// So much of the later snapshot is there: more than passes unnoticed, and not all of it.
const BEGINNING_BYTES: usize = 2_900_000;

/// The mark that ends a snapshot sent as it is made, and the name of the history that is played.
const MARK: [u8; 40] = [b'm'; 40];
const PLAYED_ID: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

/// Longer than whatever is done later is put off.
const A_WHILE_MS: u64 = 1_100;

/// Fields of `INFO` that tell of connections and of the time, not of what was changed.
const PASSING: [&str; 3] = [
    "uptime_in_seconds",
    "connected_clients",
    "master_last_io_seconds_ago",
];

/// Those that tell which replicas are attached, and what they acknowledged.
const ATTACHED: [&str; 3] = ["connected_slaves", "slave0", "slave1"];

/// Those that move with the stream, whatever is in it.
const MOVING: [&str; 5] = [
    "slave_read_repl_offset",
    "slave_repl_offset",
    "master_repl_offset",
    "repl_backlog_first_byte_offset",
    "repl_backlog_histlen",
];

/// Where a line comes from, and in which state of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// From somebody who gave the password.
    User,
    /// From somebody who has not.
    Stranger,
    /// The same, while the server reads its own file.
    StrangerWhileLoading,
    /// From a replica, on the connection that carries the stream.
    ReplicaLink,
    /// From the primary, in the stream.
    Stream,
    /// From a user, while the server reads its own file.
    WhileLoading,
    /// From a user, while a later state of the data that are served is read.
    BesideLater,
}

impl State {
    /// In the order of the columns of the table.
    pub(crate) const ALL: [Self; 7] = [
        Self::User,
        Self::Stranger,
        Self::StrangerWhileLoading,
        Self::ReplicaLink,
        Self::Stream,
        Self::WhileLoading,
        Self::BesideLater,
    ];
}

/// What came of a line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Came {
    pub(crate) answer: String,
    pub(crate) closed: bool,
    /// What is told otherwise than if nothing had been sent.
    pub(crate) changes: Vec<String>,
}

impl fmt::Display for Came {
    /// Lines as they are, errors with a name by that, of everything longer only the type.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let answer = match self.answer.as_bytes().first() {
            None => None,
            Some(b'-') if !self.answer.starts_with("-ERR") => self.answer.split(' ').next(),
            Some(b'+' | b'-') => self.answer.lines().next(),
            Some(b':') => Some("a number"),
            Some(b'$' | b'=') => Some("a string"),
            Some(b'*' | b'%' | b'~') => Some("an array"),
            Some(_) => Some("something else"),
        };
        let changes = (!self.changes.is_empty()).then_some("a change");
        let closed = self.closed.then_some("the end of the connection");
        let all: Vec<&str> = [answer, changes, closed].into_iter().flatten().collect();
        f.write_str(if all.is_empty() { "nothing" } else { "" })?;
        f.write_str(&all.join(", "))
    }
}

/// What comes of a line in a state.
pub(crate) fn come_of(state: State, line: &str) -> Came {
    let mut with = Place::new(state);
    let mut without = Place::new(state);
    let (answer, closed) = with.send(line);
    let ignored: &[&str] = match state {
        State::ReplicaLink => &ATTACHED,
        State::Stream => &MOVING,
        _ => &[],
    };
    let told = without.fingerprint(ignored);
    let mut changes = with.fingerprint(ignored);
    changes.retain(|line| !told.contains(line));
    Came {
        answer,
        closed,
        changes,
    }
}

/// A server in a state, with somebody who looks on.
struct Place {
    world: World,
    node: usize,
    witness: ClientId,
    /// Who sends the line, unless that is the primary.
    sender: Option<ClientId>,
}

impl Place {
    fn new(state: State) -> Self {
        let (mut world, node) = match state {
            State::User | State::Stranger | State::ReplicaLink => primary(),
            State::StrangerWhileLoading | State::WhileLoading => {
                let mut world = World::new();
                let node = world.starting_node(Era::Psync2V7, &[("requirepass", PASSWORD)]);
                (world, node)
            }
            State::Stream => replica(),
            State::BesideLater => beside_later(),
        };
        let witness = user(&mut world, node);
        let sender = match state {
            State::User | State::WhileLoading | State::BesideLater => Some(user(&mut world, node)),
            State::Stranger | State::StrangerWhileLoading => Some(world.connect(node)),
            State::ReplicaLink => Some(attached(&mut world, node)),
            State::Stream => None,
        };
        Self {
            world,
            node,
            witness,
            sender,
        }
    }

    /// Sends a line; the answer, and whether the connection is over.
    fn send(&mut self, line: &str) -> (String, bool) {
        let dumped = rdb::dump(&Value::String("abc".into()));
        let id = self.look("INFO replication");
        let id = id
            .lines()
            .find_map(|line| line.strip_prefix("master_replid:"))
            .expect("the name of the history");
        let bytes = request(line, &dumped, id);
        let (world, node) = (&mut self.world, self.node);
        if let Some(sender) = self.sender {
            let answer = world.say(node, sender, bytes);
            return (answer, world.is_closed(node, sender));
        }
        let before = world.nodes[node].link;
        // What the replica says to its primary is an acknowledgement, no answer.
        world.played_say(node, bytes);
        (String::new(), world.nodes[node].link != before)
    }

    /// What the witness is answered.
    fn look(&mut self, line: &str) -> String {
        self.world
            .say(self.node, self.witness, format!("{line}\r\n"))
    }

    /// Everything that the server tells of itself, a while later, but for some fields.
    fn fingerprint(&mut self, ignored: &[&str]) -> Vec<String> {
        self.world.pass(A_WHILE_MS);
        let mut told = vec![format!("ended: {}", self.world.nodes[self.node].ended)];
        for line in [
            "DEBUG DIGEST",
            "CONFIG GET *",
            "INFO server clients persistence replication keyspace",
            "EXISTS s",
        ] {
            let answer = self.look(line);
            let passing = |line: &str| {
                let field = line.split(':').next().unwrap_or(line);
                field.starts_with('$') || PASSING.contains(&field) || ignored.contains(&field)
            };
            let kept = answer.lines().filter(|line| !passing(line));
            told.extend(kept.map(str::to_owned));
        }
        told
    }
}

/// A primary that wants a password, with data and a backlog.
fn primary() -> (World, usize) {
    let mut world = World::new();
    let node = world.node(Era::Psync2V7, &[("requirepass", PASSWORD)]);
    let user = user(&mut world, node);
    for line in DATA {
        let answer = world.say(node, user, format!("{line}\r\n"));
        assert!(!answer.starts_with('-'), "{line}: {answer}");
    }
    attached(&mut world, node);
    (world, node)
}

/// A connection that gave the password.
fn user(world: &mut World, node: usize) -> ClientId {
    let user = world.connect(node);
    assert_eq!(
        world.say(node, user, format!("AUTH {PASSWORD}\r\n")),
        "+OK\r\n"
    );
    user
}

/// A connection that carries the stream.
fn attached(world: &mut World, node: usize) -> ClientId {
    let replica = user(world, node);
    world.say(node, replica, array(&["REPLCONF", "capa", "eof"]));
    let answer = world.say(node, replica, array(&["PSYNC", "?", "-1"]));
    assert!(answer.starts_with("+FULLRESYNC"), "{answer}");
    replica
}

/// A snapshot of the data and of what else a line adds, as it is sent while it is made.
fn snapshot(line: &str) -> Vec<u8> {
    let (mut world, node) = primary();
    let user = user(&mut world, node);
    world.say(node, user, format!("{line}\r\nSAVE\r\n"));
    let file = world.nodes[node].file.clone().expect("it was saved");
    [b"$EOF:", &MARK[..], b"\r\n", &file, &MARK].concat()
}

/// A replica of a played primary, in its stream.
fn replica() -> (World, usize) {
    static SNAPSHOT: LazyLock<Vec<u8>> = LazyLock::new(|| snapshot("PING"));
    let mut world = World::new();
    let directives = [
        ("replicaof", "127.0.0.1 9"),
        ("repl-diskless-load", "swapdb"),
        ("requirepass", PASSWORD),
    ];
    let node = world.node(Era::Psync2V7, &directives);
    world.pass(A_WHILE_MS);
    world.played_question(node);
    world.played_say(node, format!("+FULLRESYNC {PLAYED_ID} 0\r\n"));
    world.played_say(node, &*SNAPSHOT);
    (world, node)
}

/// The same, while another snapshot of the same history arrives.
fn beside_later() -> (World, usize) {
    static SNAPSHOT: LazyLock<Vec<u8>> = LazyLock::new(|| snapshot(LARGE));
    let (mut world, node) = replica();
    world.cut(node);
    world.pass(A_WHILE_MS);
    world.played_question(node);
    world.played_say(node, format!("+FULLRESYNC {PLAYED_ID} 500\r\n"));
    world.played_say(node, &SNAPSHOT[..BEGINNING_BYTES]);
    (world, node)
}
