//! States per processor second, memory per state and what a second thread adds, for the named scopes and the engines.
//!
//! `cargo bench -p psync-model --bench engines -- [SCOPE[/ERA]]... [--survey-only] [--document FILE]`; without names, the
//! scopes that take seconds. Each measurement is a process of its own, so that its memory is its own. Processor time is read
//! from the kernel: a busy machine disturbs these figures little; still, only ratios within one run mean anything.

use psync_model::rulebook::Era;
use psync_model::scope;
use psync_model::search::Search;
use psync_model::survey::{Means, survey};
use psync_model::walk::{Limits, walk};
use psync_model::world::World;
use stateright::{Checker, Model};
use std::num::NonZeroUsize;
use std::process::Command;
use std::time::Instant;

/// The scopes looked at unless others are named.
const USUAL: [&str; 4] = ["replay", "pair", "chain", "failover"];

/// The word before scope, era and engine in the processes that this program starts.
const ONE: &str = "--one";

/// The marks between which a document is written anew.
const BEGIN: &str = "<!-- measured: begin -->";
const END: &str = "<!-- measured: end -->";

/// Who visits the states.
const ENGINES: [&str; 5] = [
    "survey",
    "survey, all threads",
    "walk",
    "stateright, breadth first",
    "stateright, depth first",
];

/// What one process came to.
#[derive(Clone, Copy)]
struct Measured {
    states: u64,
    edges: u64,
    cpu_s: f64,
    wall_s: f64,
    /// The most memory it had, beyond what it had before it began.
    memory_bytes: u64,
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [one, scope, era, engine] = words.as_slice()
        && one == ONE
    {
        return measure(scope, era_named(era), engine);
    }
    let document = words.iter().position(|word| word == "--document");
    let file = document.and_then(|at| words.get(at + 1));
    let names = words.iter().filter(|word| !word.starts_with("--"));
    let names: Vec<&str> = names
        .filter(|word| Some(*word) != file)
        .map(String::as_str)
        .collect();
    let names = if names.is_empty() { &USUAL } else { &names[..] };
    let engines = if words.iter().any(|word| word == "--survey-only") {
        &ENGINES[..2]
    } else {
        &ENGINES[..]
    };
    let table = table(names, engines);
    if let Some(file) = file {
        write_into(file, &table);
    }
}

/// Measures and prints each line as it is known.
fn table(names: &[&str], engines: &[&str]) -> String {
    let mut table = format!(
        "A world takes {} bytes; {} threads.\n\n\
         | scope | era | engine | states | edges | thousand states a processor second | bytes a state | processors |\n\
         |---|---|---|---:|---:|---:|---:|---:|\n",
        size_of::<World>(),
        Means::all().threads,
    );
    print!("{table}");
    for name in names {
        let (scope, eras) = match name.split_once('/') {
            Some((scope, era)) => (scope, vec![era_named(era)]),
            None => (*name, vec![Era::Psync, Era::Psync2V7]),
        };
        for (era, engine) in eras
            .iter()
            .flat_map(|era| engines.iter().map(move |one| (era, one)))
        {
            let found = of_process(scope, *era, engine);
            let line = format!(
                "| `{scope}` | {} | {engine} | {} | {} | {:.0} | {:.0} | {:.2} |\n",
                era.name(),
                found.states,
                found.edges,
                found.states as f64 / found.cpu_s / 1e3,
                found.memory_bytes as f64 / found.states as f64,
                found.cpu_s / found.wall_s,
            );
            print!("{line}");
            table += &line;
        }
    }
    table
}

/// Starts this program for one measurement.
fn of_process(scope: &str, era: Era, engine: &str) -> Measured {
    let program = std::env::current_exe().expect("a program knows where it is");
    let output = Command::new(program)
        .args([ONE, scope, era.name(), engine])
        .output()
        .expect("this program can be started again");
    assert!(
        output.status.success(),
        "{scope}/{}: {engine} failed",
        era.name()
    );
    let text = String::from_utf8(output.stdout).expect("numbers are text");
    let numbers: Vec<f64> = text
        .split_whitespace()
        .map(|word| word.parse().expect("a number"))
        .collect();
    let [states, edges, cpu_s, wall_s, memory] = numbers[..] else {
        panic!("five numbers are expected, and {text} came");
    };
    Measured {
        states: states as u64,
        edges: edges as u64,
        cpu_s,
        wall_s,
        memory_bytes: memory as u64,
    }
}

/// Visits all states of a scope and prints what [`of_process`] reads.
fn measure(name: &str, era: Era, engine: &str) {
    let named = scope::named(name).unwrap_or_else(|| panic!("no scope is called `{name}`"));
    let search = Search::new(era.rulebook(), named.scope);
    let one = Means {
        threads: NonZeroUsize::MIN,
        ..Means::all()
    };
    let (memory, cpu, wall) = (peak_memory_bytes(), processor_seconds(), Instant::now());
    let (states, edges) = match engine {
        "survey" | "survey, all threads" => {
            let means = if engine == "survey" {
                one
            } else {
                Means::all()
            };
            let found = survey(&search, means, |_| true);
            (found.states, found.edges)
        }
        "walk" => {
            let found = walk(&search, Limits::PROVE, |_| true);
            (found.states, found.edges)
        }
        "stateright, breadth first" => {
            let found = search.checker().spawn_bfs().join();
            (found.unique_state_count(), found.state_count() as u64 - 1)
        }
        "stateright, depth first" => {
            let found = search.checker().spawn_dfs().join();
            (found.unique_state_count(), found.state_count() as u64 - 1)
        }
        _ => panic!("no engine is called `{engine}`"),
    };
    println!(
        "{states} {edges} {} {} {}",
        processor_seconds() - cpu,
        wall.elapsed().as_secs_f64(),
        peak_memory_bytes() - memory,
    );
}

fn era_named(name: &str) -> Era {
    let found = Era::ALL.into_iter().find(|era| era.name() == name);
    found.unwrap_or_else(|| panic!("no era is called `{name}`"))
}

/// Replaces what stands between the marks of a document.
fn write_into(file: &str, table: &str) {
    let old = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{file}: {error}"));
    let (before, rest) = old.split_once(BEGIN).expect("a document with its marks");
    let (_, after) = rest.split_once(END).expect("a document with both marks");
    let new = format!("{before}{BEGIN}\n{table}{END}{after}");
    std::fs::write(file, new).unwrap_or_else(|error| panic!("{file}: {error}"));
}

/// The most memory that this process ever had.
fn peak_memory_bytes() -> u64 {
    let status =
        std::fs::read_to_string("/proc/self/status").expect("Linux describes each process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.expect("Linux knows the peak of each process") * 1024
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
