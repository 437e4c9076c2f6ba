//! States per processor second, memory per state and what a second thread adds, for the named scopes and the engines.
//!
//! `cargo bench -p psync-model --bench engines -- [SCOPE[/ERA]]... [--survey-only] [--document FILE]`; without names, the
//! scopes that take seconds. With a document go pictures, in `figures` beside it. Each measurement is a process of its own, so that its memory is its own. Processor time is read
//! from the kernel: a busy machine disturbs these figures little; still, only ratios within one run mean anything.

use psync_model::rulebook::Era;
use psync_model::scope;
use psync_model::search::Search;
use psync_model::survey::{Means, survey};
use psync_model::walk::{Limits, walk};
use psync_model::world::World;
use stateright::{Checker, Model};
use std::fmt::Write as _;
use std::num::NonZeroUsize;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

/// Drawn, written and counted like those of the server.
#[path = "../../impl/benches/beside/chart.rs"]
mod chart;
#[path = "../../impl/benches/beside/marks.rs"]
mod marks;
#[path = "../../impl/benches/beside/ticks.rs"]
mod ticks;

use chart::{Chart, Panel, Series};
use marks::write_between;

/// The scopes looked at unless others are named.
const USUAL: [&str; 5] = ["replay", "pair", "chain", "failover", "everything"];

/// The era of the pictures.
const DRAWN: Era = Era::Psync2V7;

/// The word before scope, era and engine in the processes that this program starts.
const ONE: &str = "--one";

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
    era: Era,
    /// Its place in [`ENGINES`].
    engine: usize,
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
    let (table, measured) = table(names, engines);
    if let Some(file) = file {
        let pictures = draw(file, &measured);
        write_between(Path::new(file), &(table + &pictures))
            .unwrap_or_else(|error| panic!("{file}: {error}"));
    }
}

/// Measures and prints each line as it is known.
fn table(names: &[&str], engines: &[&str]) -> (String, Vec<Measured>) {
    let mut table = format!(
        "A world takes {} bytes; {} threads.\n\n\
         | scope | era | engine | states | edges | thousand states a processor second | bytes a state | processors |\n\
         |---|---|---|---:|---:|---:|---:|---:|\n",
        size_of::<World>(),
        Means::all().threads,
    );
    print!("{table}");
    let mut measured = Vec::new();
    for name in names {
        let (scope, eras) = match name.split_once('/') {
            Some((scope, era)) => (scope, vec![era_named(era)]),
            None => (*name, vec![Era::Psync, Era::Psync2V7]),
        };
        let both = eras
            .iter()
            .flat_map(|era| (0..engines.len()).map(move |engine| (*era, engine)));
        for (era, engine) in both {
            let found = of_process(scope, era, engine);
            let line = format!(
                "| `{scope}` | {} | {} | {} | {} | {:.0} | {:.0} | {:.2} |\n",
                era.name(),
                engines[engine],
                found.states,
                found.edges,
                found.states as f64 / found.cpu_s / 1e3,
                found.memory_bytes as f64 / found.states as f64,
                found.cpu_s / found.wall_s,
            );
            print!("{line}");
            table += &line;
            measured.push(found);
        }
    }
    (table, measured)
}

/// Draws seconds and memory against states beside the document; the lines of the document that show it.
fn draw(document: &str, measured: &[Measured]) -> String {
    let mut drawn: Vec<_> = measured.iter().filter(|one| one.era == DRAWN).collect();
    drawn.sort_by_key(|one| one.states);
    let marks = drawn.iter().filter(|one| one.engine == 0);
    let marks: Vec<_> = marks.map(|one| (one.states / 1000).to_string()).collect();
    if marks.len() < 2 {
        return String::new();
    }
    let panel = |title: &str, value: fn(&Measured) -> f64| {
        let line = |(place, name): (usize, &&str)| {
            let own = drawn.iter().filter(|one| one.engine == place);
            let values: Vec<_> = own.map(|one| value(one)).collect();
            let name = (*name).to_owned();
            (values.len() == marks.len()).then_some(Series { name, values })
        };
        Panel {
            title: title.to_owned(),
            marks: marks.clone(),
            series: ENGINES.iter().enumerate().filter_map(line).collect(),
        }
    };
    let chart = Chart {
        title: format!(
            "What a scope of era {} takes, by its number of states",
            DRAWN.name()
        ),
        axis: "thousand states".to_owned(),
        panels: vec![
            panel("seconds", |one| one.wall_s),
            panel("MB of memory", |one| one.memory_bytes as f64 / 1e6),
        ],
    };
    let folder = Path::new(document).with_file_name("figures");
    let picture = folder.join("engines.svg");
    std::fs::create_dir_all(&folder)
        .and_then(|()| std::fs::write(&picture, chart.svg()))
        .unwrap_or_else(|error| panic!("{}: {error}", picture.display()));
    let mut lines = String::new();
    let _ = writeln!(lines, "\n![{}](figures/engines.svg)", chart.title);
    lines
}

/// Starts this program for one measurement.
fn of_process(scope: &str, era: Era, engine: usize) -> Measured {
    let program = std::env::current_exe().expect("a program knows where it is");
    let output = Command::new(program)
        .args([ONE, scope, era.name(), ENGINES[engine]])
        .output()
        .expect("this program can be started again");
    assert!(
        output.status.success(),
        "{scope}/{}: {} failed",
        era.name(),
        ENGINES[engine]
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
        era,
        engine,
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
    let spent = || {
        let [own, _] = ticks::processor_seconds("self").expect("Linux counts for each process");
        own
    };
    let (memory, cpu, wall) = (peak_memory_bytes(), spent(), Instant::now());
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
        spent() - cpu,
        wall.elapsed().as_secs_f64(),
        peak_memory_bytes() - memory,
    );
}

fn era_named(name: &str) -> Era {
    let found = Era::ALL.into_iter().find(|era| era.name() == name);
    found.unwrap_or_else(|| panic!("no era is called `{name}`"))
}

/// The most memory that this process ever had.
fn peak_memory_bytes() -> u64 {
    let status =
        std::fs::read_to_string("/proc/self/status").expect("Linux describes each process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.expect("Linux knows the peak of each process") * 1024
}
