//! `SET`, then `WAIT 1`, over and over on one connection: how long until a write is known to be in two places.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::{Samples, quantile};
use crate::arguments::{Plan, Program};
use crate::node::{self, Node};

/// The figures.
pub(crate) const MEDIAN: &str = "SET then WAIT 1, median";
pub(crate) const HIGH: &str = "SET then WAIT 1, 99th percentile";

/// How long it goes on.
const LENGTH: Duration = Duration::from_secs(3);

pub(super) fn measure(_plan: &Plan, program: &Program) -> Result<Samples> {
    let primary = Node::start(program, &[])?;
    let mut replica = Node::start(program, &[])?;
    replica.follow(&primary)?;
    let mut client = primary.connect()?;
    let value = "v".repeat(64);
    let (begun, mut times) = (Instant::now(), Vec::new());
    while begun.elapsed() < LENGTH {
        let started = Instant::now();
        node::ask::<()>(&mut client, &["SET", "key", &value])?;
        let reached: u64 = node::ask(&mut client, &["WAIT", "1", "5000"])?;
        ensure!(reached == 1, "no replica had it within five seconds");
        times.push(started.elapsed().as_secs_f64() * 1e6);
    }
    Ok(vec![
        (MEDIAN.to_owned(), quantile(times.clone(), 0.5)),
        (HIGH.to_owned(), quantile(times, 0.99)),
    ])
}
