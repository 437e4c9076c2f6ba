//! The core as a replica of a primary that the test plays: PROTOCOL §8 T5, and the reactions of §4.3.

// A test file uses only a part of the simulation.
#[allow(dead_code)]
mod simulation;

use psync_server::keyspace::{Entry, Keyspace};
use psync_server::rdb::{ReplicationFields, write_all};
use psync_server::rulebook::{Era, Rulebook};
use simulation::{World, array};

const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
const C: &str = "cccccccccccccccccccccccccccccccccccccccc";

/// A snapshot that holds the key `old`.
fn snapshot() -> Vec<u8> {
    let mut keyspace = Keyspace::new();
    keyspace.insert(0, b"old", Entry::string("data"));
    write_all(keyspace.snapshot(), None).to_vec()
}

fn framed(payload: &[u8]) -> Vec<u8> {
    [format!("${}\r\n", payload.len()).as_bytes(), payload].concat()
}

fn replica(era: Era) -> (World, usize) {
    let mut world = World::new();
    let node = world.node(era, &[("replicaof", "127.0.0.1 9999")]);
    world.pass(50);
    (world, node)
}

/// A replica that has loaded the snapshot labelled (a…a, 1000).
fn synchronized(era: Era) -> (World, usize) {
    let (mut world, node) = replica(era);
    assert_eq!(world.played_question(node), "? -1");
    world.played_say(node, format!("+FULLRESYNC {A} 1000\r\n"));
    world.played_say(node, framed(&snapshot()));
    assert_eq!(world.info(node, "master_link_status"), "up");
    (world, node)
}

/// Cuts the link and gives the next question.
fn question_after_cut(world: &mut World, node: usize) -> String {
    world.cut(node);
    world.pass(1_000);
    world.played_question(node)
}

#[test]
fn half_a_command_is_asked_for_again_or_counted_by_era() {
    for (era, byte) in [
        (Era::Psync, 1025),
        (Era::Psync2, 1015),
        (Era::Psync2V7, 1015),
    ] {
        let (mut world, node) = synchronized(era);
        world.played_say(node, array(&["PING"]));
        world.played_say(node, &array(&["SET", "half", "x"])[..10]);
        assert_eq!(
            question_after_cut(&mut world, node),
            format!("{A} {byte}"),
            "{era}"
        );
    }
}

#[test]
fn in_the_run_id_era_the_other_half_completes_the_command() {
    let (mut world, node) = synchronized(Era::Psync);
    let command = array(&["SET", "half", "whole"]);
    world.played_say(node, &command[..12]);
    question_after_cut(&mut world, node);
    world.played_say(node, "+CONTINUE\r\n");
    world.played_say(node, &command[12..]);
    assert_eq!(world.command(node, "GET half"), "$5\r\nwhole\r\n");
    assert_eq!(
        world.info(node, "slave_repl_offset"),
        (1000 + command.len()).to_string()
    );
}

#[test]
fn an_open_transaction_is_not_applied_and_not_counted() {
    let (mut world, node) = synchronized(Era::Psync2V7);
    world.played_say(node, array(&["MULTI"]) + &array(&["SET", "x", "1"]));
    assert_eq!(world.info(node, "slave_repl_offset"), "1000");
    assert_eq!(world.command(node, "GET x"), "$-1\r\n");
    assert_eq!(question_after_cut(&mut world, node), format!("{A} 1001"));
}

#[test]
fn every_byte_of_the_stream_counts() {
    for era in [Era::Psync, Era::Psync2, Era::Psync2V7] {
        let (mut world, node) = synchronized(era);
        world.played_say(node, format!("\n\n{}", array(&["PING"])));
        world.pass(1_100);
        assert!(
            world
                .played_heard(node)
                .contains(&array(&["REPLCONF", "ACK", "1016"])),
            "{era}"
        );
        assert_eq!(
            question_after_cut(&mut world, node),
            format!("{A} 1017"),
            "{era}"
        );
    }
}

#[test]
fn an_acknowledgement_asked_for_does_not_include_the_question() {
    let (mut world, node) = synchronized(Era::Psync2V7);
    let answer = world.played_say(node, array(&["REPLCONF", "GETACK", "*"]));
    assert_eq!(answer, array(&["REPLCONF", "ACK", "1000"]));
    world.pass(1_100);
    assert!(world.played_heard(node).contains("1037"));
}

#[test]
fn a_cut_during_the_snapshot_changes_nothing_from_version_7_on() {
    for (era, question) in [
        (Era::Psync2V7, format!("{A} 1015")),
        (Era::Psync2, "? -1".into()),
        (Era::Psync, "? -1".into()),
    ] {
        let (mut world, node) = synchronized(era);
        world.played_say(node, array(&["PING"]));
        question_after_cut(&mut world, node);
        world.played_say(node, format!("+FULLRESYNC {B} 5000\r\n$100\r\nREDIS"));
        assert_eq!(question_after_cut(&mut world, node), question, "{era}");
        assert_eq!(
            world.command(node, "GET old"),
            "$4\r\ndata\r\n",
            "{era}: the data are still the old ones"
        );
    }
}

#[test]
fn a_new_name_is_adopted_and_the_old_one_becomes_secondary() {
    let (mut world, node) = synchronized(Era::Psync2V7);
    world.played_say(node, array(&["PING"]));
    question_after_cut(&mut world, node);
    world.played_say(node, format!("+CONTINUE {C}\r\n{}", array(&["PING"])));
    let fields = ["master_replid", "master_replid2", "second_repl_offset"]
        .map(|field| world.info(node, field));
    assert_eq!(fields, [C, A, "1015"]);
    assert_eq!(question_after_cut(&mut world, node), format!("{C} 1029"));
}

#[test]
fn a_bare_continue_changes_no_name() {
    let (mut world, node) = synchronized(Era::Psync2V7);
    world.played_say(node, array(&["PING"]));
    question_after_cut(&mut world, node);
    world.played_say(node, format!("+CONTINUE\r\n{}", array(&["PING"])));
    assert_eq!(question_after_cut(&mut world, node), format!("{A} 1029"));
}

#[test]
fn a_transient_refusal_is_tried_again_with_the_same_question() {
    for reply in ["-NOMASTERLINK Can't SYNC\r\n", "-LOADING\r\n"] {
        let (mut world, node) = synchronized(Era::Psync2V7);
        assert_eq!(question_after_cut(&mut world, node), format!("{A} 1001"));
        world.played_say(node, reply);
        world.pass(1_000);
        assert_eq!(world.played_question(node), format!("{A} 1001"));
    }
}

#[test]
fn after_an_unexpected_refusal_a_snapshot_without_label_leaves_no_label() {
    let (mut world, node) = synchronized(Era::Psync2V7);
    question_after_cut(&mut world, node);
    assert_eq!(world.played_say(node, "-ERR boo\r\n"), "SYNC\r\n");
    world.played_say(node, framed(&snapshot()));
    assert_eq!(world.info(node, "master_link_status"), "up");
    assert_ne!(world.info(node, "master_replid"), A);
    world.played_say(node, array(&["SET", "x", "1"]));
    assert_eq!(world.command(node, "GET x"), "$1\r\n1\r\n");
    assert_eq!(question_after_cut(&mut world, node), "? -1");
}

#[test]
fn a_snapshot_that_cannot_be_read_leaves_data_and_label() {
    let (mut world, node) = synchronized(Era::Psync2V7);
    question_after_cut(&mut world, node);
    world.played_say(node, format!("+FULLRESYNC {B} 5000\r\n"));
    let mut payload = snapshot();
    let last = payload.len() - 1;
    payload[last] ^= 1;
    payload[5..9].copy_from_slice(b"0006");
    world.played_say(node, framed(&payload));
    assert_eq!(world.command(node, "GET old"), "$4\r\ndata\r\n");
    world.pass(1_000);
    assert_eq!(world.played_question(node), format!("{A} 1001"));
}

#[test]
fn an_inline_command_in_the_stream_ends_link_and_label() {
    let (mut world, node) = synchronized(Era::Psync2V7);
    world.played_say(node, "SET inl 1\r\n");
    world.pass(1_000);
    assert_eq!(world.played_question(node), "? -1");
    assert_eq!(world.command(node, "GET inl"), "$-1\r\n");
}

#[test]
fn a_node_told_by_command_offers_its_own_history_and_one_told_at_the_start_does_not() {
    let mut world = World::new();
    let node = world.node(Era::Psync2V7, &[]);
    let id = world.info(node, "master_replid");
    world.command(node, "REPLICAOF 127.0.0.1 9999");
    assert_eq!(world.played_question(node), format!("{id} 1"));
    let (mut world, node) = replica(Era::Psync2V7);
    assert_eq!(world.played_question(node), "? -1");
    let mut world = World::new();
    let node = world.node(Era::Psync, &[]);
    world.command(node, "SLAVEOF 127.0.0.1 9999");
    assert_eq!(world.played_question(node), "? -1");
}

#[test]
fn a_replica_restarts_from_its_label() {
    let mut keyspace = Keyspace::new();
    keyspace.insert(3, b"k", Entry::string("v"));
    let fields = ReplicationFields {
        stream_db: 3,
        id: [b'a'; 40],
        offset: 1000,
    };
    let file = write_all(keyspace.snapshot(), Some(fields));
    for (era, question) in [
        (Era::Psync2V7, format!("{A} 1001")),
        (Era::Psync2, format!("{A} 1001")),
        (Era::Psync, "? -1".into()),
    ] {
        let mut world = World::new();
        let node = world.node_with(
            Rulebook::of(era),
            &[("replicaof", "127.0.0.1 9999")],
            Some(file.clone()),
        );
        world.pass(50);
        assert_eq!(world.played_question(node), question, "{era}");
    }
}

#[test]
fn the_database_of_the_stream_survives_a_restart() {
    let mut world = World::new();
    let fields = ReplicationFields {
        stream_db: 3,
        id: [b'a'; 40],
        offset: 1000,
    };
    let file = write_all(Keyspace::new().snapshot(), Some(fields));
    let node = world.node_with(
        Rulebook::of(Era::Psync2V7),
        &[("replicaof", "127.0.0.1 9999")],
        Some(file),
    );
    world.pass(50);
    world.played_question(node);
    world.played_say(node, format!("+CONTINUE\r\n{}", array(&["SET", "x", "1"])));
    let client = world.connect(node);
    assert_eq!(
        world.say(node, client, "SELECT 3\r\nGET x\r\n"),
        "+OK\r\n$1\r\n1\r\n"
    );
}

#[test]
fn in_the_oldest_era_a_replica_asks_for_everything_and_never_acknowledges() {
    let (mut world, node) = replica(Era::Sync);
    world.played_accept(node);
    world.played_say(node, "+PONG\r\n");
    assert_eq!(world.played_say(node, "+OK\r\n"), "SYNC\r\n");
    world.played_say(node, framed(&snapshot()));
    world.played_say(node, array(&["SET", "x", "1"]));
    world.pass(3_000);
    assert_eq!(world.played_heard(node), "");
    assert_eq!(world.command(node, "GET x"), "$1\r\n1\r\n");
}

#[test]
fn a_replica_refuses_writes_and_requests_while_its_link_is_down() {
    let (mut world, node) = replica(Era::Psync2V7);
    assert!(world.command(node, "SET x 1").starts_with("-READONLY"));
    assert!(
        world
            .command(node, "PSYNC ? -1")
            .starts_with("-NOMASTERLINK")
    );
}

#[test]
fn a_command_we_do_not_have_ends_the_link_before_any_of_its_unit_is_applied() {
    let (mut world, node) = synchronized(Era::Psync2V7);
    let unit = [
        array(&["MULTI"]),
        array(&["SET", "x", "1"]),
        array(&["XADD", "s", "*", "f", "v"]),
        array(&["EXEC"]),
    ];
    world.played_say(node, unit.concat());
    assert_eq!(world.command(node, "GET x"), "$-1\r\n");
    world.pass(1_000);
    assert_eq!(world.played_question(node), "? -1");
}

#[test]
fn a_primary_may_send_more_arguments_than_a_client() {
    const COUNT: usize = (1 << 20) + 1;
    let command = format!("*{COUNT}\r\n") + &array(&["RPUSH", "l"])[4..];
    let command = command + &"$1\r\nx\r\n".repeat(COUNT - 2);
    let (mut world, node) = synchronized(Era::Psync2V7);
    world.played_say(node, command);
    assert_eq!(world.command(node, "LLEN l"), format!(":{}\r\n", COUNT - 2));
}

#[test]
fn a_published_message_counts_and_changes_nothing() {
    let (mut world, node) = synchronized(Era::Psync2V7);
    let message = array(&["PUBLISH", "channel", "text"]);
    world.played_say(node, &message);
    assert_eq!(
        question_after_cut(&mut world, node),
        format!("{A} {}", 1001 + message.len())
    );
}
