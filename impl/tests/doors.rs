//! Who is let in and how much may be asked for: each limit on what is sent, at the limit and one beyond it. The function
//! that names all limits is as long as their list. What each command does before the password is in `every_command`.

// A test file uses only a part of the simulation.
#[allow(dead_code)]
mod simulation;

use psync_server::rulebook::Era;
use simulation::{World, array};

/// A node with a password, which is not given.
fn guarded() -> World {
    let mut world = World::new();
    let directives = [("requirepass", "secret"), ("repl-diskless-sync", "no")];
    world.node(Era::Psync2V7, &directives);
    world
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
    let cases: [Case; 18] = [
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
        ("nesting", "*1\r\n$4\r\nPING\r\n".to_owned(), true, "+PONG"),
        (
            "nesting",
            "*1\r\n*1\r\n$4\r\nPING\r\n".to_owned(),
            false,
            "-ERR Protocol error: expected '$', got '*'",
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

#[test]
fn a_name_is_given_by_who_is_let_in_and_fits_into_a_line() {
    for (introduction, name) in [
        ("HELLO 2 SETNAME one", ""),
        ("HELLO 2 AUTH default wrong SETNAME one", ""),
        ("HELLO 2 AUTH default secret SETNAME one", "one"),
        ("HELLO 2 AUTH default secret SETNAME \"one\\nid=2\"", ""),
    ] {
        let mut world = guarded();
        let client = world.connect(0);
        world.say(0, client, format!("{introduction}\r\n"));
        let witness = world.connect(0);
        let listed = world.say(0, witness, "AUTH secret\r\nCLIENT LIST\r\n");
        assert!(listed.contains(&format!(" name={name} ")), "{listed}");
        assert_eq!(listed.matches("id=").count(), 2, "{listed}");
    }
}

#[test]
fn a_transaction_has_a_longest_length() {
    const MOST: usize = 1 << 20;
    let mut world = World::new();
    world.node(Era::Psync2V7, &[]);
    let client = world.connect(0);
    world.say(0, client, "MULTI\r\n");
    let queued = world.say(0, client, "PING\r\n".repeat(MOST));
    assert!(queued == "+QUEUED\r\n".repeat(MOST));
    let answer = world.say(0, client, "PING\r\nEXEC\r\n");
    assert!(answer.starts_with("-ERR too many commands"), "{answer}");
    assert!(answer.contains("\r\n-EXECABORT"), "{answer}");
}

#[test]
fn a_replica_may_lag_by_as_much_as_its_limit_and_no_more() {
    /// More than the backlog, which is kept anyhow.
    const LAG: usize = 100_000;
    let around = "*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$99999\r\n\r\n";
    let write = array(&["SET", "x", &"v".repeat(LAG - around.len())]);
    for (beyond, left) in [(0, "1"), (1, "0")] {
        let mut world = World::new();
        let limit = format!("replica {} 0 0", LAG - beyond);
        let directives = [
            ("client-output-buffer-limit", limit.as_str()),
            ("repl-backlog-size", "16384"),
        ];
        world.node(Era::Psync2V7, &directives);
        world.hold_snapshots = true;
        let (_, answer) = world.ask(0, "?", "-1");
        assert!(answer.starts_with("+FULLRESYNC"), "{answer}");
        let user = world.connect(0);
        world.say(0, user, &write);
        world.pass(100);
        let offset = world.info(0, "master_repl_offset");
        assert_eq!(offset, LAG.to_string(), "so much waits for it");
        assert_eq!(world.info(0, "connected_slaves"), left, "{beyond} beyond");
    }
}

#[test]
fn without_a_password_only_this_machine_is_let_in() {
    let here = "127.0.0.1:50000";
    let (elsewhere, mapped) = ("192.0.2.1:50000", "[::ffff:127.0.0.1]:50000");
    for (directive, from, let_in) in [
        (("protected-mode", "yes"), here, true),
        (("protected-mode", "yes"), mapped, true),
        (("protected-mode", "yes"), elsewhere, false),
        (("protected-mode", "no"), elsewhere, true),
        (("requirepass", "secret"), elsewhere, true),
    ] {
        let mut world = World::new();
        world.node(Era::Psync2V7, &[directive]);
        let client = world.connect_from(0, from.parse().expect("an address"));
        let heard = world.heard(0, client);
        assert_eq!(heard.starts_with("-DENIED"), !let_in, "{from}: {heard}");
        assert_eq!(world.is_closed(0, client), !let_in, "{from}");
        // What only tests need is for this machine, whatever the network is trusted with.
        world.say(0, client, "AUTH secret\r\n");
        let answer = world.say(0, client, "DEBUG DIGEST\r\n");
        assert_eq!(
            answer.starts_with('$'),
            from != elsewhere,
            "{from}: {answer}"
        );
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
