//! What the watcher costs: the same writes on redis-server, followed by a replica directly and through the watcher, as
//! the ratio of the two throughputs. It prints, and judges nothing: a machine has other things to do.
//!
//! `cargo bench -p psync-conformance --bench watch`; needs redis-server and redis-benchmark on the PATH.
// A measurement that cannot be made has nobody to report to.
#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use psync_conformance::control::Control;
use psync_conformance::process::{StartOptions, Subject};
use psync_conformance::profile::Profile;
use psync_conformance::transcript::{CaseClock, Transcript};
use psync_conformance::watch::{Tap, TapOptions};

/// How often each way is measured, in turn.
const ROUNDS: usize = 3;
/// The writes of one measurement: many small commands, and fewer large ones.
const LOADS: [[&str; 6]; 2] = [
    ["-n", "1000000", "-d", "16", "-P", "64"],
    ["-n", "200000", "-d", "4096", "-P", "16"],
];

fn main() {
    for load in LOADS {
        let (mut direct, mut watched) = (0.0, 0.0);
        for _ in 0..ROUNDS {
            direct += bytes_per_second(&load, false);
            watched += bytes_per_second(&load, true);
        }
        println!(
            "redis-benchmark {}: {:.1} MB/s direct, {:.1} MB/s watched, ratio {:.2}",
            load.join(" "),
            direct / ROUNDS as f64 / 1e6,
            watched / ROUNDS as f64 / 1e6,
            watched / direct
        );
    }
}

/// Bytes of the stream, over the time from the first write until the replica has applied the last.
fn bytes_per_second(load: &[&str], is_watched: bool) -> f64 {
    let profile = Profile::load("redis").unwrap();
    let start = || Subject::start(&profile, &StartOptions::default()).unwrap();
    let (primary, replica) = (start(), start());
    let tap = is_watched.then(|| watch(primary.addr()));
    let followed = tap.as_ref().map_or(primary.addr(), Tap::addr);
    let (mut source, mut copy) = (control(primary.addr()), control(replica.addr()));
    let (host, port) = (followed.ip().to_string(), followed.port().to_string());
    copy.expect_ok(&["REPLICAOF", &host, &port]).unwrap();
    await_equal(&mut source, &mut copy);

    let started = Instant::now();
    let written = Command::new("redis-benchmark")
        .args([
            "-p",
            &primary.addr().port().to_string(),
            "-t",
            "set",
            "-r",
            "100000",
            "-q",
        ])
        .args(load)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    assert!(written.unwrap().success(), "redis-benchmark failed");
    let bytes = await_equal(&mut source, &mut copy);
    let rate = bytes as f64 / started.elapsed().as_secs_f64();
    if let Some(figures) = tap.map(|tap| tap.stop().unwrap()) {
        assert_eq!(figures.counts.violations, 0, "a good pair was accused");
    }
    rate
}

fn watch(primary: SocketAddr) -> Tap {
    let options = TapOptions {
        listen: "127.0.0.1:0".parse().unwrap(),
        primary,
        memory_bytes: 64 << 20,
        log: None,
    };
    Tap::start(&options, |said| println!("{said:?}")).unwrap()
}

fn control(addr: SocketAddr) -> Control {
    let transcript = Transcript::new("control", CaseClock::start());
    Control::connect(addr, Duration::from_mins(1), transcript).unwrap()
}

/// Waits until the replica has applied all that was written; the offset.
fn await_equal(source: &mut Control, copy: &mut Control) -> i64 {
    let offset = |control: &mut Control, field: &str| {
        let info = control.info("replication").unwrap();
        let is_up = info
            .get("master_link_status")
            .is_none_or(|status| status == "up");
        info.get(field)
            .filter(|_| is_up)
            .and_then(|text| text.parse::<i64>().ok())
    };
    loop {
        let theirs = offset(source, "master_repl_offset");
        if theirs.is_some() && theirs == offset(copy, "slave_repl_offset") {
            return theirs.unwrap_or_default();
        }
        thread::sleep(Duration::from_millis(2));
    }
}
