//! The matrix of interchange: our server and each real one follow each other, in both directions, whole and in part.
//!
//! `PSYNC_SERVERS` names the programs, separated by spaces; without it the `redis-server` on the PATH is used. The matrix
//! is printed (`--nocapture` shows it): for each pair what was refused, continued and copied, and how the data were
//! compared. Servers of any age from Redis 2.8 on are driven with what all of them understand.

// A test file uses only a part of the helpers.
#[allow(dead_code)]
mod process;

use std::collections::BTreeMap;
use std::fmt;

use process::{Process, redis_server_missing};

/// Cuts of each link that must be continued.
const CUTS: usize = 3;

/// A backlog that holds the writes of a cut, and not those that end the history.
const BACKLOG_BYTES: usize = 65_536;

/// Commands that fill two databases; those of a type that one side lacks are left out on both.
const DATA: &[&str] = &[
    "SET text hello",
    "SET number 12345",
    "SET long-lived value",
    "EXPIRE long-lived 500000",
    "APPEND text -world",
    "RPUSH list a b c 1 2 3",
    "SADD numbers 1 2 3",
    "SADD words x y z",
    "HSET map field value",
    "HSET map other 7",
    "ZADD scores 1.5 a 2 b -3 c",
];

/// What a pair did.
struct Outcome {
    full: usize,
    partial: usize,
    keys: usize,
    digest: bool,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            full,
            partial,
            keys,
            digest,
        } = self;
        let how = if *digest {
            "and by DEBUG DIGEST"
        } else {
            "only"
        };
        write!(
            f,
            "{full} copies, {partial} continuations, {keys} keys equal by reading back {how}"
        )
    }
}

fn servers() -> Vec<String> {
    match std::env::var("PSYNC_SERVERS") {
        Ok(list) => list.split_whitespace().map(str::to_owned).collect(),
        Err(_) if redis_server_missing() => Vec::new(),
        Err(_) => vec!["redis-server".to_owned()],
    }
}

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

/// Everything in databases 0 and 3, read back with commands.
fn contents(server: &Process) -> BTreeMap<String, Vec<String>> {
    let mut found = BTreeMap::new();
    for database in ["0", "3"] {
        let mut connection = server.connect();
        connection.query(&["SELECT", database]);
        for key in connection.list(&["KEYS", "*"]) {
            let kind = connection.query(&["TYPE", &key]);
            let mut value = match kind.as_str() {
                "list" => connection.list(&["LRANGE", &key, "0", "-1"]),
                "set" => connection.list(&["SMEMBERS", &key]),
                "hash" => connection.list(&["HGETALL", &key]),
                "zset" => connection.list(&["ZRANGE", &key, "0", "-1", "WITHSCORES"]),
                _ => vec![connection.query(&["GET", &key])],
            };
            if matches!(kind.as_str(), "set" | "hash") {
                value.sort();
            }
            value.push(kind);
            value.push(connection.query(&["TTL", &key]).len().to_string());
            found.insert(format!("{database}/{key}"), value);
        }
    }
    found
}

/// Waits until the replica holds what the primary holds; how many keys that is.
fn await_equal(primary: &Process, replica: &Process) -> usize {
    let wanted = contents(primary);
    let what = || format!("{wanted:#?}, it has {:#?}", contents(replica));
    replica.wait_until(what, || contents(replica) == wanted);
    wanted.len()
}

fn fill(primary: &Process, other: &Process) {
    for database in ["0", "3"] {
        let mut connection = primary.connect();
        connection.query(&["SELECT", database]);
        let known = |line: &&&str| {
            let name = words(line)[0];
            let unknown = |server: &Process| {
                let answer = server.try_command(&[name]);
                answer.is_err_and(|error| error.to_string().contains("unknown command"))
            };
            !unknown(primary) && !unknown(other)
        };
        for line in DATA.iter().filter(known) {
            connection.query(&words(line));
        }
    }
}

/// Full, partial after each cut, full again when the backlog does not reach back.
fn follow(primary: &Process, replica: &Process) -> Outcome {
    primary.command(&[
        "CONFIG",
        "SET",
        "repl-backlog-size",
        &BACKLOG_BYTES.to_string(),
    ]);
    // Older servers have no such directive, and nothing to wait for.
    let _ = primary.try_command(&["CONFIG", "SET", "repl-diskless-sync-delay", "0"]);
    fill(primary, replica);
    replica.command(&["SLAVEOF", "127.0.0.1", &primary.port().to_string()]);
    replica.await_info("master_link_status", "up");
    await_equal(primary, replica);
    for cut in 1..=CUTS {
        primary.command(&["SET", &format!("before-cut-{cut}"), "1"]);
        await_equal(primary, replica);
        primary.command(&["CLIENT", "KILL", "TYPE", "slave"]);
        primary.command(&["SET", &format!("after-cut-{cut}"), "1"]);
        primary.await_info("sync_partial_ok", &cut.to_string());
        replica.await_info("master_link_status", "up");
        await_equal(primary, replica);
    }
    assert_eq!(primary.info("sync_full"), "1");
    replica.command(&["SLAVEOF", "127.0.0.1", "1"]);
    primary.await_info("connected_slaves", "0");
    for _ in 0..8 {
        primary.command(&["SET", "large", &"v".repeat(BACKLOG_BYTES / 4)]);
    }
    replica.command(&["SLAVEOF", "127.0.0.1", &primary.port().to_string()]);
    primary.await_info("sync_full", "2");
    replica.await_info("master_link_status", "up");
    let keys = await_equal(primary, replica);
    primary.command(&["SET", "last", "1"]);
    await_equal(primary, replica);
    let digest = digests_agree(primary, replica);
    Outcome {
        full: 2,
        partial: CUTS,
        keys: keys + 1,
        digest,
    }
}

/// Whether both sides have Redis's digest of the data; if they have, it must be the same.
fn digests_agree(primary: &Process, replica: &Process) -> bool {
    let digest = |server: &Process| server.try_command(&["DEBUG", "DIGEST"]).ok();
    match (digest(primary), digest(replica)) {
        (Some(one), Some(other)) => {
            assert_eq!(one, other, "DEBUG DIGEST");
            true
        }
        _ => false,
    }
}

#[test]
fn every_server_follows_us_and_we_follow_it() {
    for program in servers() {
        let version = process::version(&program);
        let debug: &[&str] = if process::is_at_least(&version, 7) {
            &["--enable-debug-command", "local"]
        } else {
            &[]
        };
        for ours_leads in [true, false] {
            let (ours, theirs) = (Process::ours(&[]), Process::start(&program, debug));
            let outcome = if ours_leads {
                follow(&ours, &theirs)
            } else {
                follow(&theirs, &ours)
            };
            let (primary, replica) = if ours_leads {
                ("psync", version.as_str())
            } else {
                (version.as_str(), "psync")
            };
            println!("{primary:>16} -> {replica:<16} {outcome}");
        }
    }
}
