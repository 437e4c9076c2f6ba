//! States per processor second, bytes per state and peak memory, for the named scopes and the engines.
//!
//! `cargo bench -p psync-model --bench engines -- [SCOPE[/ERA]]...`; without names, the scopes that take seconds.
//! Processor time is read from the kernel, so that a busy machine disturbs the figures little; still, only ratios
//! within one run mean anything.

use psync_model::rulebook::Era;
use psync_model::scope;
use psync_model::search::Search;
use psync_model::survey::{Means, survey};
use psync_model::walk::{Limits, walk};
use psync_model::world::World;
use stateright::{Checker, Model};
use std::num::NonZeroUsize;
use std::time::Instant;

/// The scopes looked at unless others are named.
const USUAL: [&str; 4] = ["replay", "pair", "chain", "failover"];

fn main() {
    let names: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with("--"))
        .collect();
    let names = if names.is_empty() {
        USUAL.map(String::from).to_vec()
    } else {
        names
    };
    println!("a world takes {} bytes", size_of::<World>());
    println!(
        "{:12} {:9} {:12} {:>11} {:>12} {:>8} {:>12} {:>12}",
        "scope", "era", "engine", "states", "edges", "cpu s", "states/cpu s", "edges/cpu s"
    );
    for name in names {
        let (scope, eras) = match name.split_once('/') {
            Some((scope, era)) => (scope, vec![era_named(era)]),
            None => (name.as_str(), vec![Era::Psync, Era::Psync2V7]),
        };
        for era in eras {
            measure_all(scope, era);
        }
    }
}

fn era_named(name: &str) -> Era {
    let found = Era::ALL.into_iter().find(|era| era.name() == name);
    found.unwrap_or_else(|| panic!("no era is called `{name}`"))
}

fn measure_all(name: &str, era: Era) {
    let named = scope::named(name).unwrap_or_else(|| panic!("no scope is called `{name}`"));
    let search = Search::new(era.rulebook(), named.scope);
    let one = Means {
        threads: NonZeroUsize::MIN,
        ..Means::all()
    };
    measure(name, era, "survey", || {
        let found = survey(&search, one, |_| true);
        (found.states, found.edges)
    });
    measure(name, era, "survey, all", || {
        let found = survey(&search, Means::all(), |_| true);
        (found.states, found.edges)
    });
    if std::env::args().any(|argument| argument == "--survey-only") {
        return;
    }
    measure(name, era, "walk", || {
        let found = walk(&search, Limits::PROVE, |_| true);
        (found.states, found.edges)
    });
    measure(name, era, "stateright", || {
        let found = search.clone().checker().spawn_bfs().join();
        (found.unique_state_count(), found.state_count() as u64 - 1)
    });
}

fn measure(scope: &str, era: Era, engine: &str, visit: impl FnOnce() -> (usize, u64)) {
    let (cpu, wall) = (processor_seconds(), Instant::now());
    let (states, edges) = visit();
    let (cpu, wall) = (processor_seconds() - cpu, wall.elapsed().as_secs_f64());
    println!(
        "{scope:12} {:9} {engine:12} {states:11} {edges:12} {cpu:8.2} {:12.0} {:12.0}  wall {wall:.2}",
        era.name(),
        states as f64 / cpu,
        edges as f64 / cpu,
    );
}

/// The processor time of this process so far, all threads together, to a hundredth of a second.
fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux describes each process");
    let (_, fields) = stat
        .rsplit_once(')')
        .expect("the name stands in parentheses");
    let ticks = fields.split_whitespace().skip(11).take(2);
    let ticks: u64 = ticks.filter_map(|field| field.parse::<u64>().ok()).sum();
    ticks as f64 / 100.0
}
