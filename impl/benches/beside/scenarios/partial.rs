//! Partial resynchronization: a replica sleeps through a stretch of the stream, loses its link, wakes and catches up.

use std::time::Instant;

use anyhow::{Context, Result, ensure};

use super::{Samples, quantile};
use crate::arguments::{Plan, Program};
use crate::load::{self, Load};
use crate::node::Node;

/// The figure.
pub(crate) const TIME: &str = "partial resynchronization over 50 MB";

const KEYS: u64 = 10_000;
const VALUE_BYTES: usize = 1_000;

/// Commands in the gap.
const MISSED: u64 = 50_000;

/// How often a replica sleeps in one round.
const TIMES: usize = 3;

pub(super) fn measure(plan: &Plan, program: &Program) -> Result<Samples> {
    let mut primary = Node::start(program, &["--repl-backlog-size", "256mb"])?;
    load::fill(&primary, 0..KEYS, VALUE_BYTES)?;
    let mut replica = Node::start(program, &[])?;
    replica.follow(&primary)?;
    let mut times = Vec::new();
    for _ in 0..TIMES {
        replica.catch_up(&mut primary)?;
        times.push(sleep_through(plan, &mut primary, &mut replica)?);
    }
    Ok(vec![(TIME.to_owned(), quantile(times, 0.5) * 1e3)])
}

/// Seconds from the moment the replica wakes until it has executed all that it missed.
fn sleep_through(plan: &Plan, primary: &mut Node, replica: &mut Node) -> Result<f64> {
    let granted = primary.info("stats", "sync_partial_ok")?;
    replica.stop();
    primary
        .ask::<()>(&["CLIENT", "KILL", "TYPE", "replica"])
        .context("the link cannot be cut")?;
    let load = Load {
        command: "SET".to_owned(),
        requests: plan.scaled(MISSED),
        pipeline: 16,
        keys: KEYS,
        value_bytes: VALUE_BYTES,
    };
    load.apply(plan, primary)?;
    let end = primary.info("replication", "master_repl_offset")?;
    let started = Instant::now();
    replica.resume();
    replica.reach_offset(end)?;
    let time = started.elapsed().as_secs_f64();
    ensure!(
        primary.info("stats", "sync_partial_ok")? == granted + 1,
        "the replica was not continued but resynchronized in full"
    );
    Ok(time)
}
