//! Peers that are slow, leave at any moment or send what is broken, and clocks that are set: what was there stays, and
//! what comes afterwards works.
//!
//! `PSYNC_CORRUPTIONS` says at how many positions a snapshot is corrupted (default 1,000).

// A test file uses only a part of the simulation.
#[allow(dead_code)]
mod simulation;

use bytes::Bytes;
use psync_server::rulebook::Era;
use simulation::{World, array};

/// The history of the played primary, and the mark behind a snapshot that is sent as it is made.
const ID: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const MARK: &str = "mmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmm";

const SECOND_MS: u64 = 1_000;
const HOUR_MS: i64 = 3_600_000;

/// Data of every type, in every way in which a snapshot spells them, and in two databases.
const DATA: [&str; 10] = [
    "SET x new",
    "SET number 12345",
    "SET ends v EX 100000",
    "SETRANGE long 20000 v",
    "RPUSH list a b 1 2000000 c",
    "HSET hash field 1 other 2",
    "SADD numbers 1 2 3 70000",
    "SADD words a b c",
    "ZADD sorted 1 a 2.5 b inf c",
    "COPY x x DB 9",
];

/// The checksum at the end of a snapshot; zeros mean that there is none.
const CHECKSUM_BYTES: usize = 8;

/// A snapshot of what some lines make.
fn snapshot_of(lines: &[&str]) -> Bytes {
    let mut world = World::new();
    let node = world.node(Era::Psync2V7, &[]);
    for line in lines {
        let answer = world.command(node, line);
        assert!(!answer.starts_with('-'), "{line}: {answer}");
    }
    world.command(node, "SAVE");
    world.nodes[node].file.clone().expect("it was saved")
}

/// Both ways in which a payload travels.
fn framed(payload: &[u8]) -> [Vec<u8>; 2] {
    let announced = format!("${}\r\n", payload.len()).into_bytes();
    let marked = format!("$EOF:{MARK}\r\n").into_bytes();
    [
        [&announced, payload].concat(),
        [&marked, payload, MARK.as_bytes()].concat(),
    ]
}

/// A replica of a played primary that has the key `x` with the value `old`, under a name and an offset; it has just
/// connected again.
fn replica(directives: &[(&str, &str)]) -> (World, usize) {
    let mut world = World::new();
    let mut all = vec![("replicaof", "127.0.0.1 9")];
    all.extend_from_slice(directives);
    let node = world.node(Era::Psync2V7, &all);
    world.pass(SECOND_MS);
    world.played_question(node);
    world.played_say(node, format!("+FULLRESYNC {ID} 0\r\n"));
    world.played_say(node, &framed(&snapshot_of(&[]))[0]);
    world.played_say(node, array(&["SELECT", "0"]) + &array(&["SET", "x", "old"]));
    world.cut(node);
    world.pass(2 * SECOND_MS);
    (world, node)
}

/// What a primary says from the beginning of a connection to the end of a snapshot, in the parts that answer something.
fn conversation(payload: &[u8]) -> Vec<Vec<u8>> {
    let label = format!("+FULLRESYNC {} 1000\r\n", "b".repeat(40)).into_bytes();
    let [announced, _] = framed(payload);
    vec![
        b"+PONG\r\n".to_vec(),
        b"+OK\r\n+OK\r\n".to_vec(),
        [label, announced].concat(),
        array(&["SELECT", "0"]).into_bytes(),
        array(&["SET", "later", "1"]).into_bytes(),
    ]
}

fn label(world: &mut World, node: usize) -> [String; 2] {
    ["master_replid", "slave_repl_offset"].map(|field| world.info(node, field))
}

#[test]
fn a_primary_that_sends_a_byte_a_second_is_followed() {
    for (period_ms, followed) in [(SECOND_MS, true), (61 * SECOND_MS, false)] {
        let (mut world, node) = replica(&[("repl-timeout", "60")]);
        world.played_accept(node);
        let link = world.nodes[node].link;
        // A larger snapshot would only take longer.
        let small = snapshot_of(&DATA[..1]);
        for byte in conversation(&small).concat().chunks(1) {
            world.pass(period_ms);
            if world.nodes[node].link != link {
                break;
            }
            world.played_say(node, byte);
        }
        let came = world.command(node, "GET later");
        assert_eq!(
            came == "$1\r\n1\r\n",
            followed,
            "every {period_ms} ms: {came}"
        );
        assert_eq!(world.nodes[node].link == link, followed, "{period_ms}");
    }
}

#[test]
fn a_user_that_sends_a_byte_a_second_is_answered_and_holds_up_nobody() {
    let mut world = World::new();
    world.node(Era::Psync2V7, &[("timeout", "5")]);
    let slow = world.connect(0);
    let command = array(&["SET", "slow", "1"]);
    for (sent, byte) in command.as_bytes().chunks(1).enumerate() {
        world.pass(SECOND_MS);
        let answer = world.say(0, slow, byte);
        let last = sent + 1 == command.len();
        assert_eq!(answer, if last { "+OK\r\n" } else { "" });
        assert_eq!(world.command(0, "SET other 1"), "+OK\r\n");
    }
    world.pass(7 * SECOND_MS);
    assert!(world.is_closed(0, slow), "silence is another matter");
}

#[test]
fn a_primary_may_leave_after_any_byte() {
    let whole = conversation(&snapshot_of(&DATA));
    let bytes: usize = whole.iter().map(Vec::len).sum();
    // Around the snapshot after each byte, in it now and then.
    let positions = (0..bytes).filter(|at| *at < 200 || at + 100 > bytes || at % 997 == 0);
    for stop in positions {
        let (mut world, node) = replica(&[]);
        let before = label(&mut world, node);
        world.played_accept(node);
        world.played_say(node, &whole.concat()[..stop]);
        let replaced = world.command(node, "EXISTS list") == ":1\r\n";
        if !replaced {
            assert_eq!(world.command(node, "GET x"), "$3\r\nold\r\n", "{stop}");
            assert_eq!(label(&mut world, node), before, "after {stop} bytes");
        }
        world.cut(node);
        world.pass(2 * SECOND_MS);
        // The next attempt begins at the beginning, whatever came of this one.
        world.played_accept(node);
        for part in &whole {
            world.played_say(node, part);
        }
        assert_eq!(world.command(node, "GET later"), "$1\r\n1\r\n", "{stop}");
        assert_eq!(world.info(node, "master_link_status"), "up", "{stop}");
    }
}

#[test]
fn a_user_may_leave_in_any_state() {
    let mut world = World::pair(Era::Psync2V7, &[]);
    let clean = |world: &mut World| {
        ["connected_clients", "blocked_clients", "connected_slaves"]
            .map(|field| world.info(0, field))
    };
    let before = clean(&mut world);
    for said in [
        "",
        "SET half",
        "*2\r\n$3\r\nGET\r\n$100\r\nx",
        "MULTI\r\nSET queued 1\r\n",
        "WATCH x\r\n",
        "BLPOP none 0\r\n",
        "BLMOVE none other LEFT LEFT 0\r\n",
        "WAIT 5 0\r\n",
        "SAVE\r\n",
        "CLIENT PAUSE 50\r\nSET paused 1\r\n",
        "SUBSCRIBE x\r\n",
    ] {
        let client = world.connect(0);
        world.say(0, client, said);
        world.hang_up(0, client);
        world.pass(SECOND_MS);
        assert_eq!(clean(&mut world), before, "{said}");
        assert_eq!(world.command(0, "RPUSH none 1"), ":1\r\n", "{said}");
        assert_eq!(world.command(0, "DEL none"), ":1\r\n", "{said}");
    }
    assert_eq!(world.command(0, "EXISTS queued paused"), ":0\r\n");
    assert_eq!(world.info(1, "master_link_status"), "up");
}

#[test]
fn a_replica_may_leave_in_any_state() {
    for diskless in ["yes", "no"] {
        for (stop, finished) in [(0, false), (1, false), (2, false), (3, false), (3, true)] {
            let mut world = World::new();
            world.node(Era::Psync2V7, &[("repl-diskless-sync", diskless)]);
            world.command(0, "SET x 1");
            world.hold_snapshots = true;
            let client = world.connect(0);
            let said = [
                array(&["PING"]),
                array(&["REPLCONF", "capa", "eof", "capa", "psync2"]),
                array(&["PSYNC", "?", "-1"]),
            ];
            world.say(0, client, said[..stop].concat());
            if finished {
                world.finish_snapshot(0);
                world.say(0, client, array(&["REPLCONF", "ACK", "0"]));
                assert_eq!(world.info(0, "connected_slaves"), "1");
            }
            world.hang_up(0, client);
            world.pass(2 * SECOND_MS);
            let where_it_was = format!("diskless {diskless}, after {stop}, finished {finished}");
            assert_eq!(world.info(0, "connected_slaves"), "0", "{where_it_was}");
            assert!(!world.writes_snapshot(0), "{where_it_was}: for nobody");
            world.hold_snapshots = false;
            let (next, answer) = world.ask(0, "?", "-1");
            assert!(
                answer.starts_with("+FULLRESYNC"),
                "{where_it_was}: {answer}"
            );
            world.say(0, next, array(&["REPLCONF", "ACK", "0"]));
            assert!(
                world.info(0, "slave0").contains("state=online"),
                "{where_it_was}"
            );
        }
    }
}

fn corruptions() -> usize {
    let text = std::env::var("PSYNC_CORRUPTIONS").unwrap_or_else(|_| "1000".to_owned());
    text.parse().expect("PSYNC_CORRUPTIONS is a number")
}

/// The bytes with one bit of one of them turned.
fn corrupted(bytes: &[u8], at: usize) -> Vec<u8> {
    let mut corrupted = bytes.to_vec();
    corrupted[at] ^= 1 << (at % 8);
    corrupted
}

/// Positions spread over so many bytes.
fn positions(bytes: usize) -> impl Iterator<Item = usize> {
    let count = corruptions().min(bytes);
    (0..count).map(move |number| number * bytes / count)
}

#[test]
fn a_corrupt_snapshot_is_refused_and_the_old_data_are_kept() {
    let sound = snapshot_of(&DATA);
    for at in positions(sound.len()) {
        for framed in framed(&corrupted(&sound, at)) {
            let (mut world, node) = replica(&[]);
            let before = label(&mut world, node);
            world.played_question(node);
            world.played_say(node, format!("+FULLRESYNC {} 500\r\n", "b".repeat(40)));
            world.played_say(node, framed);
            assert_eq!(world.info(node, "master_link_status"), "down", "byte {at}");
            assert_eq!(world.command(node, "GET x"), "$3\r\nold\r\n", "byte {at}");
            assert_eq!(world.command(node, "DBSIZE"), ":1\r\n", "byte {at}");
            assert_eq!(label(&mut world, node), before, "byte {at}");
            world.pass(2 * SECOND_MS);
            let asked = world.played_question(node);
            assert!(asked.starts_with(ID), "byte {at}: it asks for {asked}");
        }
    }
}

#[test]
fn a_corrupt_snapshot_without_a_checksum_is_refused_or_taken_as_a_whole() {
    let sound = snapshot_of(&DATA);
    let content = sound.len() - CHECKSUM_BYTES;
    let unchecked = [&sound[..content], &[0; CHECKSUM_BYTES]].concat();
    let (mut refused, mut taken) = (0, 0);
    for at in positions(content) {
        let (mut world, node) = replica(&[]);
        let before = label(&mut world, node);
        world.played_question(node);
        world.played_say(node, format!("+FULLRESYNC {} 500\r\n", "b".repeat(40)));
        world.played_say(node, &framed(&corrupted(&unchecked, at))[0]);
        if world.info(node, "master_link_status") == "up" {
            assert_ne!(label(&mut world, node), before, "byte {at}");
            taken += 1;
        } else {
            assert_eq!(world.command(node, "GET x"), "$3\r\nold\r\n", "byte {at}");
            assert_eq!(label(&mut world, node), before, "byte {at}");
            refused += 1;
        }
    }
    assert!(refused > 0 && taken > 0, "{refused} refused, {taken} taken");
}

#[test]
fn a_clock_that_is_set_forward_ends_deadlines_and_nothing_else() {
    let mut world = World::pair(Era::Psync2V7, &[("repl-timeout", "10"), ("timeout", "10")]);
    let user = world.connect(0);
    world.command(0, "SET ends 1 EX 3600");
    world.command(0, "SET stays 1 EX 172800");
    let full = world.info(0, "sync_full");
    for node in [0, 1] {
        world.set_clock(node, 24 * HOUR_MS);
    }
    world.pass(5 * SECOND_MS);
    for node in [0, 1] {
        assert_eq!(world.command(node, "EXISTS ends"), ":0\r\n");
        assert_eq!(world.command(node, "TTL stays"), ":86395\r\n");
    }
    assert_eq!(
        world.info(1, "db0"),
        "keys=2,expires=1,avg_ttl=0",
        "the stream says so"
    );
    assert_eq!(world.info(1, "master_link_status"), "up");
    assert_eq!(world.info(0, "sync_full"), full);
    assert_eq!(world.info(0, "uptime_in_seconds"), "6");
    assert!(!world.is_closed(0, user), "it was silent for five seconds");
}

#[test]
fn a_clock_that_is_set_back_delays_deadlines_and_nothing_else() {
    let mut world = World::new();
    world.now_ms += 2 * HOUR_MS as u64;
    world.node(Era::Psync2V7, &[("timeout", "10")]);
    let directives = [("replicaof", "127.0.0.1 7000"), ("repl-timeout", "10")];
    world.node(Era::Psync2V7, &directives);
    world.command(0, "CONFIG SET repl-ping-replica-period 3");
    world.pass(2 * SECOND_MS);
    let user = world.connect(0);
    world.command(0, "SET ends 1 EX 5");
    let full = world.info(0, "sync_full");
    for node in [0, 1] {
        world.set_clock(node, -HOUR_MS);
    }
    world.pass(9 * SECOND_MS);
    assert_eq!(world.command(0, "TTL ends"), ":3596\r\n");
    assert_eq!(world.command(1, "TTL ends"), ":3596\r\n");
    assert!(!world.is_closed(0, user));
    world.pass(3 * SECOND_MS);
    assert!(world.is_closed(0, user), "silence is measured all the same");
    assert_eq!(world.info(1, "master_link_status"), "up");
    assert_eq!(world.info(0, "sync_full"), full);
    // So is that of a primary.
    world.command(0, "CONFIG SET repl-ping-replica-period 3600");
    world.pass(15 * SECOND_MS);
    assert_eq!(world.info(0, "sync_partial_ok"), "1", "it came again");
}
