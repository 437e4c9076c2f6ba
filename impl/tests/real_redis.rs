//! Our server and a real redis-server follow each other: real processes, real sockets, files on disk.
//!
//! Skipped with a sentence when redis-server is not installed, an error on a machine that sets `CI`.

// A test file uses only a part of the helpers.
#[allow(dead_code)]
mod process;

use process::{Process, redis_server_missing};

/// Cuts the link at the primary and waits until the replica is back.
fn cut_and_reconnect(primary: &Process, replica: &Process) {
    primary.command(&["CLIENT", "KILL", "TYPE", "replica"]);
    replica.await_info("master_link_status", "up");
    primary.await_info("connected_slaves", "1");
}

/// Writes through the primary and waits until the replica has it.
fn write_and_await(primary: &Process, replica: &Process, key: &str, value: &str) {
    primary.command(&["SET", key, value]);
    replica.await_reply(&["GET", key], value);
}

/// Full, then partial, then full again because the backlog is too small.
fn follow(primary: &Process, replica: &Process) {
    primary.command(&["SET", "before", "1"]);
    replica.command(&["REPLICAOF", "127.0.0.1", &primary.port().to_string()]);
    replica.await_info("master_link_status", "up");
    replica.await_reply(&["GET", "before"], "1");
    write_and_await(primary, replica, "after", "2");
    assert_eq!(primary.info("sync_full"), "1");

    cut_and_reconnect(primary, replica);
    write_and_await(primary, replica, "partial", "3");
    primary.await_info("sync_partial_ok", "1");
    assert_eq!(primary.info("sync_full"), "1");

    replica.command(&["REPLICAOF", "127.0.0.1", "1"]);
    primary.await_info("connected_slaves", "0");
    let value = "v".repeat(40_000);
    for _ in 0..3 {
        primary.command(&["SET", "large", &value]);
    }
    replica.command(&["REPLICAOF", "127.0.0.1", &primary.port().to_string()]);
    primary.await_info("sync_full", "2");
    replica.await_reply(&["GET", "large"], &value);
    write_and_await(primary, replica, "last", "4");
}

const SMALL_BACKLOG: [&str; 4] = [
    "--repl-backlog-size",
    "16384",
    "--repl-diskless-sync-delay",
    "0",
];

fn options(diskless: &str) -> Vec<&str> {
    [&SMALL_BACKLOG[..], &["--repl-diskless-sync", diskless]].concat()
}

#[test]
fn redis_follows_us() {
    if redis_server_missing() {
        return;
    }
    for diskless in ["yes", "no"] {
        let (primary, replica) = (Process::ours(&options(diskless)), Process::redis(&[]));
        follow(&primary, &replica);
    }
}

#[test]
fn we_follow_redis() {
    if redis_server_missing() {
        return;
    }
    for diskless in ["yes", "no"] {
        let (primary, replica) = (Process::redis(&options(diskless)), Process::ours(&[]));
        follow(&primary, &replica);
    }
}

#[test]
fn a_real_replica_follows_every_era_of_ours() {
    if redis_server_missing() {
        return;
    }
    for era in ["sync", "psync", "psync2"] {
        let (primary, replica) = (Process::ours(&["--era", era]), Process::redis(&[]));
        primary.command(&["SET", "before", "1"]);
        replica.command(&["REPLICAOF", "127.0.0.1", &primary.port().to_string()]);
        replica.await_info("master_link_status", "up");
        replica.await_reply(&["GET", "before"], "1");
        write_and_await(&primary, &replica, "after", "2");
    }
}

#[test]
fn we_are_killed_as_a_replica_and_continue_from_our_snapshot() {
    if redis_server_missing() {
        return;
    }
    let (primary, mut replica) = (Process::redis(&options("no")), Process::ours(&[]));
    replica.command(&["REPLICAOF", "127.0.0.1", &primary.port().to_string()]);
    replica.await_info("master_link_status", "up");
    write_and_await(&primary, &replica, "saved", "1");
    replica.command(&["SAVE"]);
    replica.kill();
    primary.command(&["SET", "missed", "2"]);
    replica.restart(&["--replicaof", &format!("127.0.0.1 {}", primary.port())]);
    replica.await_reply(&["GET", "missed"], "2");
    replica.await_reply(&["GET", "saved"], "1");
    primary.await_info("sync_partial_ok", "1");
}

#[test]
fn we_are_killed_as_a_primary_and_continue_our_replica() {
    if redis_server_missing() {
        return;
    }
    let (mut primary, replica) = (Process::ours(&options("no")), Process::redis(&[]));
    replica.command(&["REPLICAOF", "127.0.0.1", &primary.port().to_string()]);
    replica.await_info("master_link_status", "up");
    write_and_await(&primary, &replica, "saved", "1");
    primary.command(&["SAVE"]);
    primary.kill();
    primary.restart(&options("no"));
    replica.await_info("master_link_status", "up");
    primary.await_info("sync_partial_ok", "1");
    write_and_await(&primary, &replica, "after", "2");
    assert_eq!(replica.info("master_replid"), primary.info("master_replid"));
}

#[test]
fn a_promoted_server_of_ours_continues_a_real_former_primary() {
    if redis_server_missing() {
        return;
    }
    let (redis, ours) = (Process::redis(&options("no")), Process::ours(&[]));
    ours.command(&["REPLICAOF", "127.0.0.1", &redis.port().to_string()]);
    ours.await_info("master_link_status", "up");
    write_and_await(&redis, &ours, "x", "1");
    ours.await_info("master_repl_offset", &redis.info("master_repl_offset"));
    ours.command(&["REPLICAOF", "NO", "ONE"]);
    ours.command(&["SET", "y", "2"]);
    redis.command(&["REPLICAOF", "127.0.0.1", &ours.port().to_string()]);
    redis.await_reply(&["GET", "y"], "2");
    assert_eq!(ours.info("sync_partial_ok"), "1");
}

#[test]
fn a_real_replica_follows_a_real_primary_through_us() {
    if redis_server_missing() {
        return;
    }
    let (top, middle, end) = (
        Process::redis(&options("no")),
        Process::ours(&options("no")),
        Process::redis(&[]),
    );
    top.command(&["SELECT", "0"]);
    top.command(&["SET", "before", "1"]);
    middle.command(&["REPLICAOF", "127.0.0.1", &top.port().to_string()]);
    middle.await_info("master_link_status", "up");
    end.command(&["REPLICAOF", "127.0.0.1", &middle.port().to_string()]);
    end.await_info("master_link_status", "up");
    write_and_await(&top, &end, "after", "2");
    assert_eq!(end.info("master_replid"), top.info("master_replid"));
    end.await_info("slave_repl_offset", &top.info("master_repl_offset"));
}
