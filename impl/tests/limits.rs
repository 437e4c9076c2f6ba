//! What a server refuses or gives up: passwords, too few replicas, replicas that are too slow, clients that ask too much.

// A test file uses only a part of the simulation.
#[allow(dead_code)]
mod simulation;

use bytes::Bytes;
use psync_server::event::Event;
use psync_server::rulebook::{Era, Rulebook};
use simulation::{World, array};

#[test]
fn a_password_is_asked_for_and_a_replica_knows_its_own() {
    for era in Era::ALL {
        let mut world = World::new();
        world.node(
            era,
            &[("requirepass", "secret"), ("repl-diskless-sync", "no")],
        );
        let client = world.connect(0);
        assert_eq!(
            world.say(0, client, "SET x 1\r\n"),
            "-NOAUTH Authentication required.\r\n"
        );
        assert!(
            world
                .say(0, client, "AUTH wrong\r\n")
                .starts_with("-WRONGPASS")
        );
        assert_eq!(
            world.say(0, client, "AUTH secret\r\nSET x 1\r\n"),
            "+OK\r\n+OK\r\n"
        );
        world.node(
            era,
            &[("replicaof", "127.0.0.1 7000"), ("masterauth", "secret")],
        );
        world.node(
            era,
            &[("replicaof", "127.0.0.1 7000"), ("masterauth", "wrong")],
        );
        world.pass(2_000);
        assert_eq!(world.info(1, "master_link_status"), "up", "{era}");
        assert_eq!(world.info(2, "master_link_status"), "down", "{era}");
        assert_eq!(world.command(1, "GET x"), "$1\r\n1\r\n", "{era}");
    }
}

#[test]
fn without_enough_replicas_nothing_is_written() {
    let mut world = World::pair(
        Era::Psync2V7,
        &[
            ("min-replicas-to-write", "1"),
            ("min-replicas-max-lag", "2"),
        ],
    );
    assert_eq!(world.command(0, "SET y 1"), "+OK\r\n");
    assert_eq!(world.info(0, "min_slaves_good_slaves"), "1");
    world.command(0, "CONFIG SET min-replicas-to-write 2");
    assert_eq!(
        world.command(0, "SET y 2"),
        "-NOREPLICAS Not enough good replicas to write.\r\n"
    );
    assert_eq!(world.command(0, "GET y"), "$1\r\n1\r\n");
    world.command(1, "CONFIG SET replica-read-only no");
    world.command(1, "CONFIG SET min-replicas-to-write 2");
    assert_eq!(
        world.command(1, "SET own 1"),
        "+OK\r\n",
        "it concerns primaries only"
    );
}

#[test]
fn a_replica_that_may_not_serve_old_data_says_so() {
    let mut world = World::pair(Era::Psync2V7, &[]);
    world.command(1, "CONFIG SET replica-serve-stale-data no");
    assert_eq!(world.command(1, "GET x"), "$1\r\n1\r\n");
    world.command(1, "REPLICAOF 127.0.0.1 1");
    assert!(world.command(1, "GET x").starts_with("-MASTERDOWN"));
    assert!(world.command(1, "INFO").contains("master_link_status:down"));
}

/// Replicas that wait for their snapshot, which is not finished, while `bytes` are written.
fn waiting_replicas(count: usize, directives: &[(&str, &str)], bytes: usize) -> World {
    let mut world = World::new();
    world.node(Era::Psync2V7, directives);
    world.hold_snapshots = true;
    for _ in 0..count {
        let client = world.connect(0);
        world.say(0, client, array(&["PSYNC", "?", "-1"]));
    }
    let value = "v".repeat(10_000);
    for _ in 0..bytes / value.len() {
        world.command(0, &format!("SET x {value}"));
    }
    world
}

#[test]
fn ten_slow_replicas_cost_the_memory_of_one() {
    let no_file = [("repl-diskless-sync", "no"), ("repl-backlog-size", "16384")];
    let held = |count: usize| {
        let mut world = waiting_replicas(count, &no_file, 1_000_000);
        assert_eq!(world.info(0, "connected_slaves"), count.to_string());
        world
            .info(0, "mem_total_replication_buffers")
            .parse::<u64>()
            .expect("a number")
    };
    let (none, one, ten) = (held(0), held(1), held(10));
    assert!(none < 100_000 && one > 1_000_000, "{none} and {one} bytes");
    assert_eq!(one, ten);
}

#[test]
fn a_replica_for_which_too_much_waits_is_cut_off_and_the_memory_comes_back() {
    for (limit, left) in [
        ("replica 500000 0 0", "0"),
        ("replica 2000000 0 0", "1"),
        ("replica 0 0 0", "1"),
    ] {
        let directives = [
            ("client-output-buffer-limit", limit),
            ("repl-diskless-sync", "no"),
            ("repl-backlog-size", "16384"),
        ];
        let mut world = waiting_replicas(1, &directives, 1_000_000);
        world.pass(100);
        assert_eq!(world.info(0, "connected_slaves"), left, "{limit}");
        let held: u64 = world
            .info(0, "mem_total_replication_buffers")
            .parse()
            .expect("a number");
        assert_eq!(held < 100_000, left == "0", "{limit}: {held}");
    }
}

#[test]
fn a_soft_limit_may_be_exceeded_for_its_time() {
    let directives = [
        ("client-output-buffer-limit", "replica 0 500000 5"),
        ("repl-backlog-size", "16384"),
    ];
    let mut world = waiting_replicas(1, &directives, 1_000_000);
    world.pass(4_000);
    assert_eq!(world.info(0, "connected_slaves"), "1");
    world.pass(2_000);
    assert_eq!(world.info(0, "connected_slaves"), "0");
}

#[test]
fn too_many_connections_and_idle_ones_are_turned_away() {
    let mut world = World::new();
    world.node(Era::Psync2V7, &[("maxclients", "2"), ("timeout", "1")]);
    let (one, two, three) = (world.connect(0), world.connect(0), world.connect(0));
    assert_eq!(
        world.heard(0, three),
        "-ERR max number of clients reached\r\n"
    );
    assert!(world.is_closed(0, three));
    world.pass(1_000);
    assert_eq!(world.say(0, two, "PING\r\n"), "+PONG\r\n");
    world.pass(1_000);
    assert!(world.is_closed(0, one) && !world.is_closed(0, two));
}

#[test]
fn a_writable_replica_looks_after_the_deadlines_of_its_own_keys() {
    let mut world = World::pair(Era::Psync2V7, &[]);
    world.command(0, "DEBUG SET-ACTIVE-EXPIRE 0");
    world.command(0, "SET theirs 1 PX 500");
    world.command(1, "CONFIG SET replica-read-only no");
    world.command(1, "SET own 1 PX 500");
    world.command(1, "SET kept 1 PX 500");
    world.command(1, "PERSIST kept");
    world.pass(1_000);
    assert_eq!(
        world.command(1, "DBSIZE"),
        ":3\r\n",
        "x, kept, and what only the primary may delete"
    );
    assert_eq!(world.command(1, "EXISTS own theirs"), ":0\r\n");
}

#[test]
fn a_restarted_primary_tells_its_replica_what_expired_meanwhile() {
    let mut world = World::pair(Era::Psync2V7, &[]);
    for number in 0..10 {
        world.command(0, &format!("SET key{number} 1 PX 500"));
    }
    world.command(0, "SAVE");
    let file = world.nodes[0].file.clone();
    let offset: i64 = world
        .info(0, "master_repl_offset")
        .parse()
        .expect("a number");
    world.now_ms += 1_000;
    let again = world.node_with(Rulebook::of(Era::Psync2V7), &[], file);
    assert_eq!(world.info(again, "rdb_last_load_keys_expired"), "10");
    let added: i64 = world
        .info(again, "repl_backlog_histlen")
        .parse()
        .expect("a number");
    assert_eq!(
        world.info(again, "master_repl_offset"),
        (offset + added).to_string()
    );
    world.command(1, "REPLICAOF 127.0.0.1 7002");
    world.pass(1_500);
    assert_eq!(world.info(again, "sync_partial_ok"), "1");
    assert_eq!(world.command(1, "DBSIZE"), ":1\r\n");
}

#[test]
fn a_replica_that_takes_nothing_of_its_snapshot_is_cut_off() {
    let mut world = World::new();
    world.node(Era::Psync2V7, &[("repl-timeout", "5")]);
    world.command(0, "SET x 1");
    world.hold_snapshots = true;
    let client = world.connect(0);
    world.say(0, client, array(&["REPLCONF", "capa", "eof"]));
    world.unread.insert((0, client));
    world.say(0, client, array(&["PSYNC", "?", "-1"]));
    world.pass(4_000);
    assert_eq!(world.info(0, "connected_slaves"), "1");
    world.pass(3_000);
    assert_eq!(world.info(0, "connected_slaves"), "0");
    assert_eq!(
        world.info(0, "rdb_bgsave_in_progress"),
        "0",
        "nobody wants it any more"
    );
}

#[test]
fn a_short_question_is_answered_between_the_commands_of_a_long_pipeline() {
    let mut world = World::new();
    world.node(Era::Psync2V7, &[]);
    let [long, short] = [(); 2].map(|()| world.connect(0));
    let server = &mut world.nodes[0].server;
    for (client, bytes) in [
        (long, "INCR x\r\n".repeat(100)),
        (short, "GET x\r\n".into()),
    ] {
        let bytes = Bytes::from(bytes);
        server.handle(Event::Received { client, bytes }, world.now_ms);
    }
    assert!(server.awaits_turn(long) && !server.awaits_turn(short));
    world.settle();
    assert_eq!(world.heard(0, short), "$2\r\n64\r\n");
    assert!(world.heard(0, long).ends_with(":99\r\n:100\r\n"));
    assert!(!world.nodes[0].server.has_turns());
}

#[test]
fn who_ends_his_side_after_a_long_pipeline_has_all_of_it_executed() {
    let mut world = World::new();
    world.node(Era::Psync2V7, &[]);
    let client = world.connect(0);
    let server = &mut world.nodes[0].server;
    let bytes = Bytes::from("INCR x\r\n".repeat(100));
    server.handle(Event::Received { client, bytes }, world.now_ms);
    server.handle(Event::Closed { client }, world.now_ms);
    assert_eq!(world.command(0, "GET x"), "$3\r\n100\r\n");
}

/// What waits for its turn is in memory: somebody who sends without end is executed as he sends.
#[test]
fn what_waits_for_its_turn_is_never_more_than_64_kib() {
    let mut world = World::new();
    world.node(Era::Psync2V7, &[]);
    let [long, short] = [(); 2].map(|()| world.connect(0));
    let server = &mut world.nodes[0].server;
    let command = "INCR x\r\n";
    let bytes = Bytes::from(command.repeat(100_000));
    server.handle(
        Event::Received {
            client: long,
            bytes,
        },
        world.now_ms,
    );
    let bytes = Bytes::from("GET x\r\n");
    server.handle(
        Event::Received {
            client: short,
            bytes,
        },
        world.now_ms,
    );
    world.settle();
    let executed = 100_000 - 64 * 1024 / command.len();
    assert_eq!(world.heard(0, short), format!("$5\r\n{executed}\r\n"));
}
