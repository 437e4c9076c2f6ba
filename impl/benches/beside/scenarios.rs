//! What is measured: one module each, and what they share.
//!
//! A scenario starts servers, does something with them and hands back samples, each under the name of its figure.

pub(crate) mod data;
pub(crate) mod partial;
pub(crate) mod snapshot;
pub(crate) mod stopped;
pub(crate) mod throughput;
pub(crate) mod waiting;

use anyhow::Result;
use clap::ValueEnum;

use crate::arguments::{Plan, Program};

/// What was seen once, under the name of a figure.
pub(crate) type Samples = Vec<(String, f64)>;

/// Rows of the table that are measured together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scenario {
    /// SET and GET per second, and what a SET costs the primary.
    Throughput,
    /// Memory, full resynchronization and start-up with a gigabyte.
    Large,
    /// Memory and full resynchronization with three million small keys.
    Small,
    /// Partial resynchronization.
    Partial,
    /// SET, then WAIT 1.
    Wait,
    /// Memory and pauses during a snapshot.
    Snapshot,
    /// Memory for replicas that do not read.
    Stopped,
}

impl Scenario {
    pub(crate) const ALL: [Self; 7] = [
        Self::Throughput,
        Self::Large,
        Self::Small,
        Self::Partial,
        Self::Wait,
        Self::Snapshot,
        Self::Stopped,
    ];

    /// As `--only` has it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Throughput => "throughput",
            Self::Large => "large",
            Self::Small => "small",
            Self::Partial => "partial",
            Self::Wait => "wait",
            Self::Snapshot => "snapshot",
            Self::Stopped => "stopped",
        }
    }

    pub(crate) fn measure(self, plan: &Plan, program: &Program) -> Result<Samples> {
        match self {
            Self::Throughput => throughput::measure(plan, program),
            Self::Large => data::large(plan, program),
            Self::Small => data::small(plan, program),
            Self::Partial => partial::measure(plan, program),
            Self::Wait => waiting::measure(plan, program),
            Self::Snapshot => snapshot::measure(plan, program),
            Self::Stopped => stopped::measure(plan, program),
        }
    }
}

/// A value below which the given part of all lies.
pub(crate) fn quantile(mut values: Vec<f64>, part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = (values.len() as f64 * part) as usize;
    values[at.min(values.len() - 1)]
}
