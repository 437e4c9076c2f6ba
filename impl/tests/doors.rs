//! Who is let in and how much may be asked for: every command before the password, and each limit on what is sent, at the
//! limit and one beyond it. The function that names all limits is as long as their list.

// A test file uses only a part of the simulation.
#[allow(dead_code)]
mod simulation;

use psync_server::commands::{self, CommandSpec, Flags};
use psync_server::rulebook::Era;
use simulation::{World, array};

/// A node with a password, which is not given.
fn guarded() -> World {
    let mut world = World::new();
    let directives = [("requirepass", "secret"), ("repl-diskless-sync", "no")];
    world.node(Era::Psync2V7, &directives);
    world
}

/// The command with as many words as it needs.
fn words(spec: &CommandSpec) -> Vec<&'static str> {
    let count = spec.arity.unsigned_abs() as usize;
    let mut words = vec!["1"; count];
    words[0] = spec.name;
    words
}

#[test]
fn without_the_password_no_command_does_anything() {
    let mut open = Vec::new();
    for spec in commands::all() {
        if spec.flags.contains(Flags::NO_AUTH) {
            open.push(spec.name);
            continue;
        }
        for name in [spec.name.to_owned(), spec.name.to_uppercase()] {
            let mut world = guarded();
            let client = world.connect(0);
            let mut words = words(spec);
            words[0] = &name;
            let refused = "-NOAUTH Authentication required.\r\n";
            assert_eq!(world.say(0, client, array(&words)), refused, "{name}");
            assert!(!world.is_closed(0, client), "{name}");
            // Nor was it remembered for later.
            world.pass(1_100);
            assert_eq!(world.say(0, client, "AUTH secret\r\n"), "+OK\r\n", "{name}");
            let shown = world.say(0, client, "INFO replication\r\n");
            assert!(shown.contains("role:master"), "{name}");
            assert!(shown.contains("connected_slaves:0"), "{name}");
            assert_eq!(world.say(0, client, "DBSIZE\r\n"), ":0\r\n", "{name}");
        }
    }
    open.sort_unstable();
    assert_eq!(open, ["auth", "hello", "quit", "reset"]);
}

#[test]
fn a_wrong_password_opens_nothing_by_any_way_in() {
    for way in [
        "AUTH wrong",
        "AUTH default wrong",
        "AUTH other secret",
        "HELLO 3 AUTH default wrong",
        "RESET",
    ] {
        let mut world = guarded();
        let client = world.connect(0);
        world.say(0, client, format!("{way}\r\n"));
        let answer = world.say(0, client, "SET x 1\r\n");
        assert_eq!(answer, "-NOAUTH Authentication required.\r\n", "{way}");
    }
}

#[test]
fn before_the_password_little_may_be_sent() {
    let bulk = |bytes: usize| array(&["AUTH", &"x".repeat(bytes)]);
    let words = |count: usize| array(&vec!["x"; count]);
    let cases: [(String, bool, &str); 4] = [
        (bulk(16_384), true, "-WRONGPASS"),
        (
            bulk(16_385),
            false,
            "-ERR Protocol error: unauthenticated bulk length",
        ),
        (words(10), true, "-ERR unknown command"),
        (
            words(11),
            false,
            "-ERR Protocol error: unauthenticated multibulk length",
        ),
    ];
    for (sent, stays, beginning) in cases {
        let mut world = guarded();
        let client = world.connect(0);
        let answer = world.say(0, client, &sent);
        assert!(answer.starts_with(beginning), "{beginning}, not {answer}");
        assert_eq!(!world.is_closed(0, client), stays, "{beginning}");
        if stays {
            world.say(0, client, "AUTH secret\r\n");
            let long = array(&["ECHO", &"x".repeat(16_385)]);
            assert!(world.say(0, client, long).starts_with("$16385"));
            // Until it is a stranger again.
            world.say(0, client, "RESET\r\n");
            world.say(0, client, words(11));
            assert!(world.is_closed(0, client));
        }
    }
}

/// What is sent, whether the connection may stay, and the beginning of the answer.
type Case = (&'static str, String, bool, &'static str);

#[test]
fn each_limit_holds_at_its_value_and_one_beyond() {
    const INLINE: usize = 64 * 1024;
    const MEBIBYTE: usize = 1 << 20;
    let bulk = |bytes: usize| format!("*2\r\n$4\r\nECHO\r\n${bytes}\r\n{}\r\n", "v".repeat(bytes));
    let cases: [Case; 16] = [
        ("line", "a".repeat(INLINE), true, ""),
        (
            "line",
            "a".repeat(INLINE + 1),
            false,
            "-ERR Protocol error: too big inline",
        ),
        ("arguments", format!("*{MEBIBYTE}\r\n"), true, ""),
        (
            "arguments",
            format!("*{}\r\n", MEBIBYTE + 1),
            false,
            "-ERR Protocol error: invalid multibulk",
        ),
        ("argument", bulk(MEBIBYTE), true, "$1048576\r\n"),
        (
            "argument",
            bulk(MEBIBYTE + 1),
            false,
            "-ERR Protocol error: invalid bulk length",
        ),
        ("database", array(&["SELECT", "15"]), true, "+OK"),
        (
            "database",
            array(&["SELECT", "16"]),
            true,
            "-ERR DB index is out of range",
        ),
        (
            "offset",
            array(&["SETRANGE", "k", "1048575", "v"]),
            true,
            ":1048576",
        ),
        (
            "offset",
            array(&["SETRANGE", "k", "1048576", "v"]),
            true,
            "-ERR string exceeds maximum allowed size",
        ),
        ("bit", array(&["SETBIT", "k", "8388607", "1"]), true, ":0"),
        (
            "bit",
            array(&["SETBIT", "k", "8388608", "1"]),
            true,
            "-ERR bit offset is not an integer or out of range",
        ),
        (
            "number",
            array(&["SET", "k", "9223372036854775806"]) + "INCR k\r\n",
            true,
            "+OK\r\n:9223372036854775807",
        ),
        (
            "number",
            array(&["SET", "k", "9223372036854775807"]) + "INCR k\r\n",
            true,
            "+OK\r\n-ERR increment or decrement would overflow",
        ),
        (
            "count",
            "*2147483648\r\n".to_owned(),
            false,
            "-ERR Protocol error: invalid multibulk length",
        ),
        (
            "length",
            "*1\r\n$9223372036854775808\r\n".to_owned(),
            false,
            "-ERR Protocol error: invalid bulk length",
        ),
    ];
    for (what, sent, stays, beginning) in cases {
        let mut world = World::new();
        world.node(Era::Psync2V7, &[("proto-max-bulk-len", "1mb")]);
        let client = world.connect(0);
        let answer = world.say(0, client, &sent);
        let shown = &sent[..sent.len().min(40)];
        assert!(
            answer.starts_with(beginning),
            "{what}: {shown} is answered {answer:.80}"
        );
        assert_eq!(!world.is_closed(0, client), stays, "{what}: {shown}");
    }
}

#[test]
fn more_than_the_query_buffer_allows_is_not_gathered() {
    for (bytes, stays) in [(1 << 20, true), ((1 << 20) + 1, false)] {
        let mut world = World::new();
        let directives = [
            ("client-query-buffer-limit", "1mb"),
            ("proto-max-bulk-len", "1gb"),
        ];
        world.node(Era::Psync2V7, &directives);
        let client = world.connect(0);
        let announced = "*2\r\n$4\r\nECHO\r\n$999999999\r\n";
        world.say(0, client, announced);
        world.say(0, client, "v".repeat(bytes));
        assert_eq!(!world.is_closed(0, client), stays, "{bytes}");
    }
}

/// What a primary may announce of a snapshot, and how long its lines may be.
#[test]
fn what_a_primary_announces_has_limits_too() {
    const LINE: usize = 64 * 1024;
    for (what, sent, stays) in [
        ("length", format!("${}\r\n", 1_u64 << 40), true),
        ("length", format!("${}\r\n", (1_u64 << 40) + 1), false),
        ("line", "x".repeat(LINE), true),
        ("line", "x".repeat(LINE + 1), false),
    ] {
        let mut world = World::new();
        let node = world.node(Era::Psync2V7, &[("replicaof", "127.0.0.1 9999")]);
        world.pass(50);
        world.played_question(node);
        world.played_say(node, format!("+FULLRESYNC {} 1\r\n", "a".repeat(40)));
        let before = world.nodes[node].link;
        world.played_say(node, &sent);
        let same = world.nodes[node].link == before;
        assert_eq!(same, stays, "{what}: {:.20}, {} bytes", sent, sent.len());
    }
}
