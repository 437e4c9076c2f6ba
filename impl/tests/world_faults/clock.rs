//! A clock that is set while a server runs: a few lines of C, loaded in front of the library, tell it another time of day.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::process::Process;

/// Adds the seconds that a file says to the time of day, and to no other clock.
const LIBRARY: &str = r#"
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *time) {
    int failed = (int)syscall(SYS_clock_gettime, clock, time);
    long ahead = 0;
    FILE *file = clock == CLOCK_REALTIME ? fopen(getenv("PSYNC_CLOCK_AHEAD"), "r") : NULL;
    if (file) {
        if (fscanf(file, "%ld", &ahead) == 1) time->tv_sec += ahead;
        fclose(file);
    }
    return failed;
}
"#;

const HOUR_S: i64 = 3_600;

/// Compiles the library; `None` where nothing compiles, which a build machine cannot afford.
fn library(folder: &Path) -> Option<String> {
    let (source, library) = (folder.join("clock.c"), folder.join("clock.so"));
    fs::write(&source, LIBRARY).expect("the source can be written");
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .args([&library, &source])
        .status();
    let compiled = compiled.is_ok_and(|status| status.success());
    assert!(
        compiled || std::env::var_os("CI").is_none(),
        "a C compiler must be installed where CI is set"
    );
    if !compiled {
        eprintln!("skipped: there is no C compiler");
    }
    compiled.then(|| library.display().to_string())
}

/// A server whose clock can be set.
struct Clocked {
    server: Process,
    ahead: std::path::PathBuf,
}

impl Clocked {
    fn start(library: &str, folder: &Path, name: &str, options: &[&str]) -> Self {
        let ahead = folder.join(name);
        fs::write(&ahead, "0").expect("the file can be written");
        let words = [
            "env",
            &format!("LD_PRELOAD={library}"),
            &format!("PSYNC_CLOCK_AHEAD={}", ahead.display()),
        ];
        let server = Process::ours_by(&words, options);
        Self { server, ahead }
    }

    /// Sets the clock, and waits until the server has noticed.
    fn set(&self, ahead_s: i64) {
        // In one step, so that nobody reads half a number.
        let next = self.ahead.with_extension("next");
        fs::write(&next, ahead_s.to_string()).expect("the file can be written");
        fs::rename(&next, &self.ahead).expect("the file can be renamed");
        let told = || {
            let told = self.server.connect().list(&["TIME"]);
            told[0].parse::<i64>().expect("seconds")
        };
        let expected = || {
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            now.expect("after 1970").as_secs() as i64 + ahead_s
        };
        self.server.wait_until(
            || format!("the time {}, it is {}", expected(), told()),
            || (told() - expected()).abs() <= 1,
        );
    }
}

#[test]
fn when_the_clock_is_set_deadlines_move_and_links_and_waits_do_not() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let Some(library) = library(folder.path()) else {
        return;
    };
    let quick = [
        "--repl-timeout",
        "5",
        "--repl-diskless-sync-delay",
        "0",
        "--repl-ping-replica-period",
        "1",
    ];
    let primary = Clocked::start(&library, folder.path(), "primary", &quick);
    let port = primary.server.port().to_string();
    let follows = [&quick[..], &["--replicaof", "127.0.0.1", &port]].concat();
    let replica = Clocked::start(&library, folder.path(), "replica", &follows);
    replica.server.await_info("master_link_status", "up");
    let mut user = primary.server.connect();
    user.query(&["SET", "day", "1", "EX", "80000"]);
    user.query(&["SET", "week", "1", "EX", "600000"]);

    for ahead_s in [-HOUR_S, 24 * HOUR_S, 0] {
        let both = [&primary, &replica];
        for clocked in both {
            clocked.set(ahead_s);
        }
        let waited = Instant::now();
        user.query(&["BLPOP", "nothing", "0.2"]);
        let waited = waited.elapsed();
        assert!(waited >= Duration::from_millis(200), "{waited:?}");
        assert_eq!(user.query(&["SET", "last", &ahead_s.to_string()]), "ok");
        assert_eq!(user.query(&["WAIT", "1", "10000"]), "int(1)");
        for clocked in both {
            let left: i64 = clocked
                .server
                .command(&["TTL", "week"])
                .trim_matches(|letter: char| !letter.is_ascii_digit())
                .parse()
                .expect("seconds");
            let expected = 600_000 - ahead_s;
            assert!(
                (expected - 60..=expected).contains(&left),
                "{left} at {ahead_s}"
            );
        }
    }
    // What the day ended is gone for good, on both; the link never broke.
    for clocked in [&primary, &replica] {
        assert_eq!(clocked.server.command(&["EXISTS", "day"]), "int(0)");
    }
    assert_eq!(primary.server.info("sync_full"), "1");
    assert_eq!(primary.server.info("sync_partial_ok"), "0");
    assert_eq!(replica.server.info("master_link_status"), "up");
}
