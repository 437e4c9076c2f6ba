//! `SET` and `GET` per second by pipeline and number of replicas, and the processor time of the primary for each `SET`.

use anyhow::Result;

use super::Samples;
use crate::arguments::{Plan, Program};
use crate::load::{self, Load};
use crate::node::Node;

/// Pipelines, and the requests that are enough for a figure at each.
pub(crate) const PIPELINES: [(u64, u64); 3] = [(1, 100_000), (16, 600_000), (64, 1_000_000)];

/// Most replicas.
pub(crate) const REPLICAS: usize = 2;

const KEYS: u64 = 100_000;
const VALUE_BYTES: usize = 64;

/// The name of a throughput.
pub(crate) fn rate_of(command: &str, pipeline: u64, replicas: usize) -> String {
    format!("{command}, pipeline {pipeline}, {}", replicas_of(replicas))
}

/// The name of a processor time.
pub(crate) fn cost_at(pipeline: u64, replicas: usize) -> String {
    format!(
        "primary's processor per SET, pipeline {pipeline}, {}",
        replicas_of(replicas)
    )
}

fn replicas_of(count: usize) -> &'static str {
    ["no replica", "1 replica", "2 replicas"][count]
}

pub(super) fn measure(plan: &Plan, program: &Program) -> Result<Samples> {
    // Replicas may fall behind by more than the usual backlog while both processors are busy.
    let mut primary = Node::start(program, &["--repl-backlog-size", "64mb"])?;
    load::fill(&primary, 0..KEYS, VALUE_BYTES)?;
    let (mut replicas, mut samples) = (Vec::new(), Samples::new());
    for count in 0..=REPLICAS {
        if count > 0 {
            let mut replica = Node::start(program, &[])?;
            replica.follow(&primary)?;
            replicas.push(replica);
        }
        for (pipeline, requests) in PIPELINES {
            for command in ["SET", "GET"] {
                let load = Load {
                    command: command.to_owned(),
                    requests: plan.scaled(requests),
                    pipeline,
                    keys: KEYS,
                    value_bytes: VALUE_BYTES,
                };
                let before = primary.processor_seconds()?;
                let rate = load.apply(plan, &primary)?;
                samples.push((rate_of(command, pipeline, count), rate / 1e3));
                // What is still on its way to the replicas is a part of the price.
                for replica in &mut replicas {
                    replica.catch_up(&mut primary)?;
                }
                let spent = primary.processor_seconds()? - before;
                if command == "SET" {
                    let each = spent / load.requests as f64;
                    samples.push((cost_at(pipeline, count), each * 1e6));
                }
            }
        }
    }
    Ok(samples)
}
