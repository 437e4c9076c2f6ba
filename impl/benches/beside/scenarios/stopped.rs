//! What a primary keeps for replicas that do not read: once for all of them, or once for each.

use anyhow::Result;

use super::Samples;
use crate::arguments::{Plan, Program};
use crate::load::{self, Load};
use crate::node::Node;

/// The figures.
pub(crate) const RATIO: &str = "memory kept for ten stopped replicas, relative to one";
pub(crate) const ONE: &str = "memory kept for one stopped replica, 100 MB written";

const KEYS: u64 = 10_000;
const VALUE_BYTES: usize = 1_000;

/// Commands that are written while they sleep.
const WRITTEN: u64 = 100_000;

pub(super) fn measure(plan: &Plan, program: &Program) -> Result<Samples> {
    let one = growth(plan, program, 1)?;
    let ten = growth(plan, program, 10)?;
    Ok(vec![
        (RATIO.to_owned(), ten / one),
        (ONE.to_owned(), one / 1e6),
    ])
}

/// Bytes that the memory of a primary grows by.
fn growth(plan: &Plan, program: &Program, replicas: usize) -> Result<f64> {
    let mut primary = Node::start(program, &[])?;
    load::fill(&primary, 0..KEYS, VALUE_BYTES)?;
    let mut asleep = Vec::new();
    for _ in 0..replicas {
        let mut replica = Node::start(program, &[])?;
        replica.follow(&primary)?;
        replica.catch_up(&mut primary)?;
        asleep.push(replica);
    }
    for replica in &asleep {
        replica.stop();
    }
    let before = primary.resident()?;
    let load = Load {
        command: "SET".to_owned(),
        requests: plan.scaled(WRITTEN),
        pipeline: 16,
        keys: KEYS,
        value_bytes: VALUE_BYTES,
    };
    load.apply(plan, &primary)?;
    Ok(primary.resident()?.saturating_sub(before) as f64)
}
