//! A snapshot while clients overwrite the data as fast as they can: the memory that takes, and the longest wait of a
//! client that asks one thing at a time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::Samples;
use crate::arguments::{Plan, Program};
use crate::load::{self, Load};
use crate::node::{self, Node};

/// The figures.
pub(crate) const PEAK: &str = "peak memory during a snapshot under write load, relative to before";
pub(crate) const PAUSE: &str = "longest pause of a client meanwhile";
pub(crate) const PAUSE_WITHOUT: &str =
    "the same load for as long without a snapshot, longest pause";

const KEYS: u64 = 1_000_000;
const VALUE_BYTES: usize = 1_000;

/// For how long the load goes on before the snapshot begins.
const WARM_UP: Duration = Duration::from_secs(1);

/// Time between two questions of the client whose waits are measured.
const BETWEEN: Duration = Duration::from_micros(500);

pub(super) fn measure(plan: &Plan, program: &Program) -> Result<Samples> {
    let mut primary = Node::start(program, &[])?;
    let keys = plan.scaled(KEYS);
    load::fill(&primary, 0..keys, VALUE_BYTES)?;
    let idle = primary.resident()?;
    let load = Load {
        command: "SET".to_owned(),
        requests: u64::from(u32::MAX >> 1),
        pipeline: 16,
        keys,
        value_bytes: VALUE_BYTES,
    };
    let load = load.start(plan, &primary)?;
    thread::sleep(WARM_UP);
    primary.forget_peak()?;
    let mut saving = Duration::ZERO;
    let during = longest_pause(primary.connect()?, || {
        let started = Instant::now();
        let primary = &mut primary;
        primary.ask::<()>(&["BGSAVE"])?;
        node::wait_for("the snapshot to be written", || {
            Ok(primary.info("persistence", "rdb_bgsave_in_progress")? == 0)
        })?;
        saving = started.elapsed();
        Ok(())
    })?;
    // A server that forks tells how much of its memory the other process had to copy.
    let copied = primary.info("persistence", "rdb_last_cow_size")?;
    let peak = primary.peak()? + copied;
    let without = longest_pause(primary.connect()?, || {
        thread::sleep(saving);
        Ok(())
    })?;
    drop(load);
    Ok(vec![
        (PEAK.to_owned(), peak as f64 / idle as f64),
        (PAUSE.to_owned(), during.as_secs_f64() * 1e3),
        (PAUSE_WITHOUT.to_owned(), without.as_secs_f64() * 1e3),
    ])
}

/// The longest wait of a client for a small answer while something is done.
fn longest_pause(
    mut client: redis::Connection,
    work: impl FnOnce() -> Result<()>,
) -> Result<Duration> {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let pauses = scope.spawn(|| -> Result<Duration> {
            let mut longest = Duration::ZERO;
            while !done.load(Ordering::Relaxed) {
                let started = Instant::now();
                node::ask::<()>(&mut client, &["PING"])?;
                longest = longest.max(started.elapsed());
                thread::sleep(BETWEEN);
            }
            Ok(longest)
        });
        let worked = work();
        done.store(true, Ordering::Relaxed);
        let longest = pauses.join().ok().context("the client panicked")?;
        worked.and(longest)
    })
}
