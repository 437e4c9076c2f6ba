//! The same lines, sent to a real redis-server of 7.0: what it answers a stranger and a user while it loads, and which of
//! them end the connection of a replica. Other versions are passed over: they describe some commands otherwise.

// Helpers of tests may fail loudly like tests; the lint knows only functions marked as tests.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use psync_server::keyspace::{Entry, Keyspace};
use psync_server::rdb;

use crate::answer::Answer;
use crate::redis_server::{Redis, redis_is_there, version};
use crate::states::{DATA, PASSWORD, State};
use crate::{lines, outcomes_in, request};

/// Keys of the file that a server is slow to load: longer altogether than all lines take. It looks at its connections
/// after each.
const SLOW_KEYS: usize = 30_000;
const SLOW_KEY_BYTES: usize = 1_100;
const SLOW_LOADING: [&str; 4] = [
    "--key-load-delay",
    "500",
    "--loading-process-events-interval-bytes",
    "1024",
];

/// Lines that are not sent to it because the next ones could not be: it ends, asks for a password or another role, cuts
/// off everybody, pauses for ever because its clock stands still while it loads, or changes data under the hands of its
/// loader.
const LASTING: [&str; 11] = [
    "client pause 1",
    "config set requirepass other",
    "client kill type normal skipme yes",
    "debug populate 3",
    "debug reload",
    "replicaof 127.0.0.1 1",
    "replicaof no one",
    "slaveof 127.0.0.1 1",
    "failover",
    "failover abort",
    "shutdown nosave",
];

/// Lines that do not end the connection of a replica there, as they do here, or the other way round: Redis executes what
/// a replica sends, and notices that when it answers.
const STAYS: &[&str] = &[];

fn redis_7_0_is_there() -> bool {
    if !redis_is_there() {
        return false;
    }
    let is_7_0 = version() == (7, 0);
    if !is_7_0 {
        eprintln!("skipped: other versions describe some commands otherwise");
    }
    is_7_0
}

fn sent() -> impl Iterator<Item = &'static str> {
    lines().filter(|line| !LASTING.contains(line))
}

fn dumped() -> Vec<u8> {
    rdb::dump(&psync_server::keyspace::Value::String("abc".into())).to_vec()
}

fn field(redis: &mut Redis, name: &str) -> String {
    let Answer::Bulk(Some(text)) = redis.call(&["INFO", "replication"]) else {
        panic!("INFO is a text")
    };
    let text = String::from_utf8(text).unwrap();
    let found = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    found.unwrap().to_owned()
}

/// The first line of the answer to one line on a connection of its own.
fn first_line(connection: &mut BufReader<TcpStream>, line: &str, id: &str) -> String {
    let bytes = request(line, &dumped(), id);
    connection.get_mut().write_all(&bytes).unwrap();
    let mut heard = String::new();
    connection.read_line(&mut heard).unwrap();
    heard
}

#[test]
fn a_stranger_is_answered_as_by_redis() {
    if !redis_7_0_is_there() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let redis = Redis::start_with(folder.path(), &["--requirepass", PASSWORD]);
    for (line, came) in outcomes_in(State::Stranger) {
        let theirs = first_line(&mut redis.connect(), line, &"a".repeat(40));
        assert_eq!(came.answer, theirs, "ours left, redis-server right: {line}");
    }
}

#[test]
fn while_redis_loads_it_refuses_the_same_commands() {
    if !redis_7_0_is_there() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut keyspace = Keyspace::new();
    for number in 0..SLOW_KEYS {
        let value = Entry::string(vec![b'v'; SLOW_KEY_BYTES]);
        keyspace.insert(0, number.to_string().as_bytes(), value);
    }
    let file = rdb::write_all(keyspace.snapshot(), None);
    std::fs::write(folder.path().join("dump.rdb"), file).unwrap();
    let mut redis = Redis::start_with(folder.path(), &SLOW_LOADING);
    for (line, came) in outcomes_in(State::WhileLoading) {
        // An acknowledgement is not answered.
        if LASTING.contains(&line) || came.answer.is_empty() {
            continue;
        }
        let theirs = first_line(&mut redis.connect(), line, &"a".repeat(40));
        let refused = [&came.answer, &theirs].map(|answer| answer.starts_with("-LOADING"));
        assert_eq!(refused[0], refused[1], "{line}: {came}, there {theirs}");
    }
    let loading = Answer::Line("-LOADING Redis is loading the dataset in memory".to_owned());
    assert_eq!(redis.call(&["GET", "x"]), loading, "it loaded all the time");
}

/// Whether a replica's connection outlives a line: the next write comes over it, or its end.
fn stays(redis: &mut Redis, line: &str) -> bool {
    for data in DATA {
        redis.call(&data.split(' ').collect::<Vec<_>>());
    }
    let id = field(redis, "master_replid");
    let next: i64 = field(redis, "master_repl_offset").parse().unwrap();
    let mut replica = redis.connect();
    let asked = first_line(&mut replica, &format!("psync {id} {}", next + 1), &id);
    assert!(asked.starts_with("+CONTINUE"), "{line}: {asked}");
    let bytes = request(line, &dumped(), &id);
    replica.get_mut().write_all(&bytes).unwrap();
    redis.call(&["SET", "probe", line]);
    let probe = format!("probe\r\n${}\r\n{line}\r\n", line.len());
    let (mut heard, mut buffer) = (Vec::new(), [0; 4_096]);
    while !heard.ends_with(probe.as_bytes()) {
        match replica.read(&mut buffer) {
            Ok(count @ 1..) => heard.extend_from_slice(&buffer[..count]),
            // Closed or reset, which is the same here.
            _ => return false,
        }
    }
    true
}

#[test]
fn redis_cuts_off_a_replica_for_the_same_commands() {
    if !redis_7_0_is_there() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut redis = Redis::start(folder.path());
    // The backlog comes into being with the first replica.
    let mut first = redis.connect();
    first_line(&mut first, "psync ? -1", "");
    let sent: Vec<&str> = sent().collect();
    let mut otherwise = Vec::new();
    for (line, came) in outcomes_in(State::ReplicaLink) {
        if sent.contains(&line) && stays(&mut redis, line) == came.closed {
            otherwise.push(line);
        }
    }
    assert_eq!(otherwise, STAYS);
}
