//! `FAILOVER`, pauses and the end of a server, on simulated links: who may write when, and who is asked for what.

// A test file uses only a part of the simulation.
#[allow(dead_code)]
mod simulation;

use psync_server::event::ClientId;
use psync_server::rulebook::Era;
use simulation::{World, array};

const FAILOVER_ERAS: [Era; 2] = [Era::Psync2, Era::Psync2V7];

/// A pair whose replica applies nothing any more, and a write that it therefore lacks.
fn pair_with_a_write_missing() -> World {
    let mut world = World::pair(Era::Psync2V7, &[]);
    assert_eq!(world.command(1, "CLIENT PAUSE 100000 WRITE"), "+OK\r\n");
    world.command(0, "SET y 2");
    world
}

fn state(world: &mut World) -> String {
    world.info(0, "master_failover_state")
}

#[test]
fn a_failover_exchanges_the_roles_and_needs_no_snapshot() {
    for era in FAILOVER_ERAS {
        let mut world = World::pair(era, &[]);
        world.command(0, "SET y 2");
        let name = world.info(0, "master_replid");
        assert_eq!(world.command(0, "FAILOVER"), "+OK\r\n", "{era}");
        world.pass(1_500);
        assert_eq!(
            (world.info(0, "role"), world.info(1, "role")),
            ("slave".into(), "master".into())
        );
        assert_eq!(state(&mut world), "no-failover");
        assert_eq!(world.info(1, "sync_partial_ok"), "1");
        assert_eq!(
            (
                world.info(0, "master_replid2"),
                world.info(1, "master_replid2")
            ),
            (name.clone(), name)
        );
        world.command(1, "SET z 3");
        assert_eq!(world.command(0, "MGET y z"), "*2\r\n$1\r\n2\r\n$1\r\n3\r\n");
    }
}

#[test]
fn writes_wait_for_a_failover_and_reads_do_not() {
    let mut world = pair_with_a_write_missing();
    assert_eq!(world.command(0, "FAILOVER TIMEOUT 500"), "+OK\r\n");
    assert_eq!(state(&mut world), "waiting-for-sync");
    let writer = world.connect(0);
    assert_eq!(world.say(0, writer, "SET y 3\r\nGET y\r\n"), "");
    assert_eq!(world.command(0, "GET y"), "$1\r\n2\r\n");
    world.pass(600);
    assert_eq!(state(&mut world), "no-failover");
    assert_eq!(
        world.heard(0, writer),
        "+OK\r\n$1\r\n3\r\n",
        "the replica was too slow, the write goes on"
    );
    assert_eq!(world.info(0, "role"), "master");
}

#[test]
fn a_failover_can_be_aborted_and_only_when_there_is_one() {
    let mut world = pair_with_a_write_missing();
    assert_eq!(
        world.command(0, "FAILOVER ABORT"),
        "-ERR No failover in progress.\r\n"
    );
    world.command(0, "FAILOVER");
    assert_eq!(
        world.command(0, "FAILOVER"),
        "-ERR FAILOVER already in progress.\r\n"
    );
    assert!(
        world
            .command(0, "REPLICAOF NO ONE")
            .starts_with("-ERR REPLICAOF not allowed")
    );
    assert_eq!(world.command(0, "FAILOVER ABORT"), "+OK\r\n");
    assert_eq!(world.command(0, "SET z 1"), "+OK\r\n");
}

#[test]
fn force_goes_on_without_the_last_bytes() {
    let mut world = pair_with_a_write_missing();
    assert_eq!(
        world.command(0, "FAILOVER TO 127.0.0.1 7001 TIMEOUT 200 FORCE"),
        "+OK\r\n"
    );
    world.pass(2_000);
    assert_eq!(
        (world.info(0, "role"), world.info(1, "role")),
        ("slave".into(), "master".into())
    );
    assert_eq!(state(&mut world), "no-failover");
    assert_eq!(
        world.command(0, "GET y"),
        "$-1\r\n",
        "the write that the new primary never saw is lost"
    );
}

#[test]
fn impossible_failovers_are_refused_with_the_reason() {
    let mut world = World::new();
    world.node(Era::Psync2V7, &[]);
    assert_eq!(
        world.command(0, "FAILOVER"),
        "-ERR FAILOVER requires connected replicas.\r\n"
    );
    let mut world = World::pair(Era::Psync2V7, &[]);
    for (line, reason) in [
        (
            "FAILOVER TO 127.0.0.1 1",
            "FAILOVER target HOST and PORT is not a replica.",
        ),
        ("FAILOVER TO 127.0.0.1 x", "syntax error"),
        (
            "FAILOVER TIMEOUT 0",
            "FAILOVER timeout must be greater than 0",
        ),
        (
            "FAILOVER FORCE TIMEOUT 10",
            "FAILOVER with force option requires both a timeout and target HOST and IP.",
        ),
    ] {
        assert_eq!(
            world.command(0, line),
            format!("-ERR {reason}\r\n"),
            "{line}"
        );
    }
    assert_eq!(
        world.command(1, "FAILOVER"),
        "-ERR FAILOVER is not valid when server is a replica.\r\n"
    );
}

/// A replica played by the test that listens on port 9999 and has every byte.
fn played_replica(world: &mut World) -> ClientId {
    let client = world.connect(0);
    world.say(0, client, array(&["REPLCONF", "listening-port", "9999"]));
    world.say(0, client, array(&["PSYNC", "?", "-1"]));
    world.say(0, client, array(&["REPLCONF", "ACK", "0"]));
    client
}

#[test]
fn a_target_that_refuses_leaves_a_primary_under_a_new_name() {
    let mut world = World::new();
    world.node(Era::Psync2V7, &[("repl-diskless-sync", "no")]);
    played_replica(&mut world);
    let name = world.info(0, "master_replid");
    assert_eq!(world.command(0, "FAILOVER"), "+OK\r\n");
    assert_eq!(state(&mut world), "failover-in-progress");
    assert_eq!(world.info(0, "role"), "slave");
    let stranger = world.connect(0);
    let answer = world.say(0, stranger, array(&["PSYNC", "?", "-1"]));
    assert_eq!(answer, "-NOMASTERLINK Can't SYNC while failing over\r\n");
    world.played_accept(0);
    let mut heard = String::new();
    for reply in ["+PONG\r\n", "+OK\r\n", "+OK\r\n"] {
        heard.push_str(&world.played_say(0, reply));
    }
    assert!(
        heard.ends_with(&array(&["PSYNC", &name, "1", "FAILOVER"])),
        "{heard}"
    );
    world.played_say(0, "-ERR not now\r\n");
    assert_eq!(
        (world.info(0, "role"), state(&mut world)),
        ("master".into(), "no-failover".into())
    );
    assert_eq!(world.info(0, "master_replid2"), name);
}

#[test]
fn only_the_primary_of_the_same_history_may_hand_over() {
    let mut world = World::pair(Era::Psync2V7, &[]);
    let (name, next) = (world.info(1, "master_replid"), "1");
    let ask = |world: &mut World, node: usize, id: &str| {
        let client = world.connect(node);
        world.say(node, client, array(&["PSYNC", id, next, "FAILOVER"]))
    };
    assert!(
        ask(&mut world, 0, &name).starts_with("-ERR PSYNC FAILOVER can't be sent to a master.")
    );
    assert!(
        ask(&mut world, 1, &"f".repeat(40)).starts_with("-ERR PSYNC FAILOVER replid must match")
    );
    assert_eq!(world.info(1, "role"), "slave");
    assert!(ask(&mut world, 1, &name).starts_with("+CONTINUE"));
    assert_eq!(world.info(1, "role"), "master");
}

#[test]
fn a_pause_of_writes_lets_reads_and_the_stream_of_others_pass() {
    let mut world = World::new();
    world.node(Era::Psync2V7, &[]);
    world.command(0, "CLIENT PAUSE 1000 WRITE");
    let client = world.connect(0);
    assert_eq!(
        world.say(0, client, "MULTI\r\nGET x\r\nSET x 1\r\nEXEC\r\n"),
        "+OK\r\n+QUEUED\r\n"
    );
    world.pass(500);
    assert_eq!(world.heard(0, client), "");
    assert_eq!(world.command(0, "CLIENT UNPAUSE"), "+OK\r\n");
    world.pass(50);
    assert_eq!(world.heard(0, client), "+QUEUED\r\n*2\r\n$-1\r\n+OK\r\n");
}

#[test]
fn a_paused_replica_reads_but_does_not_apply() {
    let mut world = World::pair(Era::Psync2V7, &[]);
    world.command(1, "CLIENT PAUSE 1000 WRITE");
    world.command(0, "SET y 2");
    assert_eq!(world.command(1, "GET y"), "$-1\r\n");
    assert_eq!(
        world.info(1, "slave_read_repl_offset"),
        world.info(0, "master_repl_offset")
    );
    assert_ne!(
        world.info(1, "slave_repl_offset"),
        world.info(0, "master_repl_offset")
    );
    world.pass(1_100);
    assert_eq!(world.command(1, "GET y"), "$1\r\n2\r\n");
    assert_eq!(
        world.info(1, "slave_repl_offset"),
        world.info(0, "master_repl_offset")
    );
}

#[test]
fn a_primary_that_ends_waits_for_its_replicas_and_not_for_ever() {
    let mut world = pair_with_a_write_missing();
    let client = world.connect(0);
    assert_eq!(world.say(0, client, "SHUTDOWN\r\n"), "");
    assert!(!world.nodes[0].ended, "the replica lacks a write");
    let writer = world.connect(0);
    assert_eq!(
        world.say(0, writer, "SET z 1\r\n"),
        "",
        "no write may come after it"
    );
    world.pass(11_000);
    assert!(world.nodes[0].ended);
    let mut world = World::pair(Era::Psync2V7, &[]);
    world.pass(1_000);
    world.command(0, "SHUTDOWN");
    assert!(world.nodes[0].ended, "nobody lacks anything");
}
