//! What users are told while data are being read, and those who want a snapshot and nothing after it.

// A test file uses only a part of the simulation.
#[allow(dead_code)]
mod simulation;

use bytes::Bytes;
use psync_server::event::{Action, Event};
use psync_server::keyspace::{Entry, Keyspace};
use psync_server::rdb;
use psync_server::rulebook::Era;
use simulation::{World, array};

const LOADING: &str = "-LOADING Redis is loading the dataset in memory\r\n";

/// The mark that ends a snapshot sent as it is made.
const MARK: &str = "mmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmm";

/// More than Redis reads before it looks at its connections.
const LARGE_BYTES: usize = 3 << 20;

fn data() -> Keyspace {
    let mut keyspace = Keyspace::new();
    keyspace.insert(0, b"x", Entry::string("new"));
    keyspace.insert(0, b"large", Entry::string(vec![b'v'; LARGE_BYTES]));
    keyspace
}

#[test]
fn until_its_file_is_read_a_server_answers_only_what_needs_no_data() {
    let mut world = World::new();
    let node = world.starting_node(Era::Psync2V7, &[]);
    for line in [
        "GET x",
        "SET x 1",
        "PING",
        "REPLICAOF 127.0.0.1 1",
        "PSYNC ? -1",
        "WAIT 0 0",
    ] {
        assert_eq!(world.command(node, line), LOADING, "{line}");
    }
    assert_eq!(world.info(node, "loading"), "1");
    assert_eq!(world.command(node, "CONFIG SET maxclients 9"), "+OK\r\n");
    let client = world.connect(node);
    world.say(node, client, "MULTI\r\n");
    assert_eq!(world.say(node, client, "GET x\r\n"), LOADING);
    assert!(
        world
            .say(node, client, "EXEC\r\n")
            .starts_with("-EXECABORT")
    );
    world.pass(5_000);
    assert_eq!(world.command(node, "GET x"), LOADING);

    let keyspace = Box::new(data());
    let event = Event::FileLoaded {
        keyspace,
        label: None,
    };
    world.nodes[node].server.handle(event, world.now_ms);
    assert_eq!(world.command(node, "GET x"), "$3\r\nnew\r\n");
    assert_eq!(world.info(node, "loading"), "0");
}

#[test]
fn a_server_that_has_not_read_its_file_never_writes_it() {
    for words in ["SHUTDOWN SAVE\r\n", ""] {
        let mut world = World::new();
        let node = world.starting_node(Era::Psync2V7, &[("save", "1 1")]);
        let client = world.connect(node);
        let event = match words {
            "" => Event::Terminate,
            words => Event::Received {
                client,
                bytes: Bytes::from(words),
            },
        };
        let server = &mut world.nodes[node].server;
        server.handle(event, world.now_ms);
        let actions = server.take_actions();
        assert!(
            actions.iter().any(|action| matches!(action, Action::Exit)),
            "{actions:?}"
        );
        let writes = |action: &Action| matches!(action, Action::WriteSnapshot { .. });
        assert!(!actions.iter().any(writes), "{actions:?}");
    }
}

/// So much of it comes in the beginning.
const UP_TO: usize = LARGE_BYTES - 1_000;

/// A replica of a played primary, with the key `x` and a label.
fn replica(load: &str) -> (World, usize, String) {
    let mut world = World::new();
    let directives = [("replicaof", "127.0.0.1 9"), ("repl-diskless-load", load)];
    let node = world.node(Era::Psync2V7, &directives);
    world.pass(1_000);
    world.played_question(node);
    let id = "r".repeat(40);
    world.played_say(node, format!("+FULLRESYNC {id} 0\r\n"));
    world.played_say(node, snapshot());
    world.played_say(node, array(&["SET", "x", "old"]));
    assert_eq!(world.command(node, "GET x"), "$3\r\nold\r\n");
    (world, node, id)
}

/// A whole snapshot, sent as it was made.
fn snapshot() -> Vec<u8> {
    let payload = rdb::write_all(data().snapshot(), None);
    [
        format!("$EOF:{MARK}\r\n").as_bytes(),
        &payload,
        MARK.as_bytes(),
    ]
    .concat()
}

/// Another snapshot begins to arrive, of the history `id`.
fn another_begins(world: &mut World, node: usize, id: &str) {
    world.cut(node);
    world.pass(1_500);
    world.played_question(node);
    world.played_say(node, format!("+FULLRESYNC {id} 500\r\n"));
    world.played_say(node, &snapshot()[..UP_TO]);
}

#[test]
fn a_replica_says_that_it_loads_and_has_its_old_data_if_that_fails() {
    let (mut world, node, _) = replica("swapdb");
    another_begins(&mut world, node, &"s".repeat(40));
    assert_eq!(world.info(node, "loading"), "1");
    assert_eq!(world.command(node, "GET x"), LOADING);
    assert_eq!(world.command(node, "PSYNC ? -1"), LOADING);
    world.cut(node);
    assert_eq!(world.command(node, "GET x"), "$3\r\nold\r\n");
}

#[test]
fn while_a_later_state_of_its_data_is_loaded_a_replica_serves_the_old_one() {
    let (mut world, node, id) = replica("swapdb");
    another_begins(&mut world, node, &id);
    assert_eq!(world.info(node, "loading"), "0");
    assert_eq!(world.info(node, "async_loading"), "1");
    assert_eq!(world.command(node, "GET x"), "$3\r\nold\r\n");
    for line in ["REPLICAOF NO ONE", "CONFIG SET repl-diskless-load disabled"] {
        assert_eq!(world.command(node, line), LOADING, "{line}");
    }
    world.played_say(node, &snapshot()[UP_TO..]);
    assert_eq!(world.command(node, "GET x"), "$3\r\nnew\r\n");
    assert_eq!(world.info(node, "async_loading"), "0");
}

#[test]
fn a_snapshot_that_needs_a_file_first_is_loaded_only_when_it_is_whole() {
    let (mut world, node, _) = replica("disabled");
    another_begins(&mut world, node, &"s".repeat(40));
    assert_eq!(world.info(node, "loading"), "0");
    assert_eq!(world.command(node, "GET x"), "$3\r\nold\r\n");
}

#[test]
fn who_wants_the_snapshot_alone_gets_it_and_is_let_go() {
    for diskless in ["yes", "no"] {
        let mut world = World::new();
        let node = world.node(Era::Psync2V7, &[("repl-diskless-sync", diskless)]);
        world.command(node, "SET x new");
        world.hold_snapshots = true;
        let client = world.connect(node);
        world.say(
            node,
            client,
            array(&["REPLCONF", "capa", "eof", "rdb-only", "1"]),
        );
        let begin = world.say(node, client, "SYNC\r\n");
        world.command(node, "SET y later");
        world.finish_snapshot(node);
        let mut heard = begin.into_bytes();
        heard.extend_from_slice(&world.heard_bytes(node, client));
        let text = String::from_utf8_lossy(&heard);
        assert!(text.contains("REDIS0006"), "{text}");
        assert!(!text.contains("later"), "{text}");
        assert!(world.is_closed(node, client), "diskless {diskless}");
        assert_eq!(world.info(node, "connected_slaves"), "0");
    }
}
