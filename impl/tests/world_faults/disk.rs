//! A disk that takes no more, and one that takes nothing.
//!
//! A full disk is played by the limit of the size of a file, which needs no rights: writing fails at that byte. A disk
//! that may only be read is a mount of its own; where the system does not allow that the test says so and passes.

use std::fs;
use std::process::{Command, Stdio};

use crate::fill_key;
use crate::process::Process;

/// A disk with room for half a megabyte or a whole one: shells disagree about the unit. The signal is the one that such a
/// write sends.
const FULL_DISK: [&str; 4] = [
    "sh",
    "-c",
    "trap '' XFSZ; ulimit -f 1024; exec \"$@\"",
    "sh",
];

/// The folder is the seventh word of the command line: behind the program, the port and the save points.
const READ_ONLY: [&str; 6] = [
    "unshare",
    "--mount",
    "--map-root-user",
    "sh",
    "-c",
    "mount --bind \"$6\" \"$6\" && mount -o remount,bind,ro \"$6\" && exec \"$0\" \"$@\"",
];

fn follow(replica: &Process, primary: &Process) {
    replica.command(&["REPLICAOF", "127.0.0.1", &primary.port().to_string()]);
}

fn assert_same_data(one: &Process, other: &Process) {
    let [one, other] = [one, other].map(|server| server.command(&["DEBUG", "DIGEST"]));
    assert_eq!(one, other);
}

#[test]
fn a_snapshot_for_which_there_is_no_room_leaves_the_old_one() {
    let mut server = Process::ours_by(&FULL_DISK, &[]);
    server.command(&["SET", "x", "1"]);
    server.command(&["SAVE"]);
    let file = server.folder().join("dump.rdb");
    let saved = fs::read(&file).expect("the snapshot");
    fill_key(&server, "large");
    let refused = server.try_command(&["SAVE"]);
    assert!(refused.is_err(), "{refused:?}");
    server.command(&["BGSAVE"]);
    server.await_info("rdb_bgsave_in_progress", "0");
    assert_eq!(server.info("rdb_last_bgsave_status"), "err");
    assert_eq!(server.files(), ["dump.rdb"]);
    assert!(fs::read(&file).expect("the snapshot") == saved);

    // It says so to those who write, if it was to save by itself, and only to them.
    server.command(&["CONFIG", "SET", "save", "3600 1"]);
    let refused = server.try_command(&["SET", "y", "1"]);
    assert!(refused.is_err_and(|error| error.code() == Some("MISCONF")));
    assert_eq!(server.command(&["GET", "x"]), "1");
    server.command(&["CONFIG", "SET", "save", ""]);
    server.command(&["DEL", "large"]);
    assert_eq!(server.command(&["SAVE"]), "ok");
    server.command(&["CONFIG", "SET", "save", "3600 1"]);
    assert_eq!(server.command(&["SET", "y", "1"]), "ok");
    server.kill();
    server.restart(&[]);
    assert_eq!(server.command(&["GET", "x"]), "1");
}

#[test]
fn a_primary_without_room_for_a_snapshot_gives_it_to_its_replica_without_a_file() {
    let options = [
        "--repl-diskless-sync",
        "no",
        "--repl-diskless-sync-delay",
        "0",
    ];
    let primary = Process::ours_by(&FULL_DISK, &options);
    fill_key(&primary, "large");
    let replica = Process::ours(&[]);
    follow(&replica, &primary);
    // It tries again and again.
    let tries = || primary.info("sync_full").parse::<u64>().expect("a number");
    primary.wait_until(|| "three attempts".to_owned(), || tries() >= 3);
    assert_eq!(replica.info("master_link_status"), "down");
    primary.command(&["CONFIG", "SET", "repl-diskless-sync", "yes"]);
    replica.await_info("master_link_status", "up");
    assert_same_data(&primary, &replica);
    assert!(primary.files().is_empty(), "{:?}", primary.files());
}

#[test]
fn a_replica_without_room_for_a_snapshot_has_it_in_memory_and_keeps_its_old_file() {
    let primary = Process::ours(&["--repl-diskless-sync-delay", "0"]);
    let mut replica = Process::ours_by(&FULL_DISK, &["--repl-diskless-load", "disabled"]);
    replica.command(&["SET", "old", "1"]);
    replica.command(&["SAVE"]);
    let file = replica.folder().join("dump.rdb");
    let saved = fs::read(&file).expect("the snapshot");
    fill_key(&primary, "large");
    follow(&replica, &primary);
    replica.await_info("master_link_status", "up");
    assert_same_data(&primary, &replica);
    assert_eq!(replica.files(), ["dump.rdb"]);
    assert!(fs::read(&file).expect("the snapshot") == saved);
    replica.kill();
    replica.restart(&[]);
    assert_eq!(replica.command(&["GET", "old"]), "1");
    follow(&replica, &primary);
    replica.await_info("master_link_status", "up");
    assert_same_data(&primary, &replica);
}

/// Whether this machine lets us have a mount of our own.
fn may_mount() -> bool {
    let script = "mount --bind /tmp /tmp && mount -o remount,bind,ro /tmp";
    let tried = Command::new(READ_ONLY[0])
        .args(&READ_ONLY[1..5])
        .arg(script)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    let may = tried.is_ok_and(|status| status.success());
    if !may {
        eprintln!("skipped: this machine does not let us mount");
    }
    may
}

#[test]
fn on_a_disk_that_may_only_be_read_a_server_serves_and_follows() {
    if !may_mount() {
        return;
    }
    let mut server = Process::ours(&[]);
    server.command(&["SET", "x", "1"]);
    server.command(&["SAVE"]);
    server.kill();
    server.start_next_by(&READ_ONLY);
    server.restart(&[]);
    assert_eq!(server.command(&["GET", "x"]), "1");
    assert!(server.try_command(&["SAVE"]).is_err());
    assert_eq!(server.command(&["SET", "y", "1"]), "ok");
    let primary = Process::ours(&["--repl-diskless-sync-delay", "0"]);
    fill_key(&primary, "large");
    follow(&server, &primary);
    server.await_info("master_link_status", "up");
    assert_same_data(&primary, &server);
    assert_eq!(server.files(), ["dump.rdb"]);
}

#[test]
fn a_folder_that_vanishes_costs_the_snapshot_and_nothing_else() {
    let server = Process::ours(&["--repl-diskless-sync-delay", "0"]);
    server.command(&["SET", "x", "1"]);
    fs::remove_dir_all(server.folder()).expect("the folder can be removed");
    assert!(server.try_command(&["SAVE"]).is_err());
    let replica = Process::ours(&[]);
    follow(&replica, &server);
    replica.await_info("master_link_status", "up");
    assert_same_data(&server, &replica);
    fs::create_dir(server.folder()).expect("the folder can be made again");
    assert_eq!(server.command(&["SAVE"]), "ok");
    assert_eq!(server.files(), ["dump.rdb"]);
}
