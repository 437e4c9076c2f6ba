//! Our server beside real ones: what it takes in time, processor time and memory, as ratios within one run.
//!
//! `cargo bench -p psync-server --bench beside` measures our server and the `redis-server` on the PATH in turn, round by
//! round, prints a table and writes `impl/BENCHMARKS.md` with its pictures; `-- --help` tells what else it can do.
//! Nothing here is a test: a figure that is missed is shown as missed and nothing fails. Sizes are in bytes, times in the
//! unit of the figure.

mod arguments;
mod chart;
mod document;
mod figures;
mod load;
mod machine;
mod marks;
mod node;
mod processes;
mod results;
mod scenarios;
mod ticks;

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;

use crate::arguments::{Arguments, Plan};
use crate::machine::Machine;
use crate::results::Results;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match &arguments.load {
        Some(described) => load::make(described),
        None => processes::with_folder(|| run(arguments)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("beside: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<()> {
    let plan = Plan::of(arguments)?;
    let mut machine = Machine::look()?;
    let mut results = Results::new(plan.servers.clone());
    for round in 0..plan.rounds {
        machine.look_at_others();
        for scenario in &plan.scenarios {
            // In turn, and not always in the same order: who comes first meets another machine than who comes last.
            for place in 0..plan.servers.len() {
                let number = (round + place) % plan.servers.len();
                let server = &plan.servers[number];
                eprintln!(
                    "round {} of {}: {}, {}",
                    round + 1,
                    plan.rounds,
                    scenario.name(),
                    server.name
                );
                let samples = scenario
                    .measure(&plan, server)
                    .with_context(|| format!("{} with {}", scenario.name(), server.name))?;
                results.add(number, samples);
            }
        }
    }
    println!("{}", document::text(&results, &plan));
    document::write(&results, &plan, &machine)
}
