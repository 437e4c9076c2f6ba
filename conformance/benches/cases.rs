//! How many cases a second the judge plays on our server and on redis-server, by casting, and where the time goes.
//!
//! `cargo bench -p psync-conformance --bench cases -- [--cases N] [--document FILE]`. Without redis-server on the PATH, on our
//! server alone. 32 cases are played at a time; what is not processor time of the judge or of its subjects is waiting:
//! for a timer of the subject, or for a processor.
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use psync_conformance::profile::Profile;
use psync_conformance::run::{Suite, run, suites};
use psync_conformance::verdict::Verdict;
use psync_model::casting::Casting;
use psync_model::rulebook::Era;

/// Written and counted like those of the server.
#[path = "../../impl/benches/beside/marks.rs"]
mod marks;
#[path = "../../impl/benches/beside/ticks.rs"]
mod ticks;

use marks::write_between;

/// The program that holds our server.
const PROGRAM: &str = env!("CARGO_BIN_EXE_psync-conformance");

/// How many cases are played at a time, as a run does unless told otherwise.
const JOBS: usize = 32;

/// How many cases of each casting are played unless told otherwise, evenly spread.
const CASES: usize = 160;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let after = |name: &str| {
        let place = words.iter().position(|word| word == name)?;
        words.get(place + 1)
    };
    let cases = after("--cases").map_or(CASES, |text| text.parse().expect("a number of cases"));
    let table = table(cases);
    if let Some(file) = after("--document") {
        write_between(Path::new(file), &table).unwrap_or_else(|error| panic!("{file}: {error}"));
    }
}

/// Measures and prints each line as it is known.
fn table(cases: usize) -> String {
    let mut table = "| subject | casting | cases | passed | cases a second | a case takes | processor of the judge | of the subjects |\n\
                     |---|---|---:|---:|---:|---:|---:|---:|\n"
        .to_owned();
    print!("{table}");
    let all = suites(Era::Psync2V7, &Casting::ALL, false).expect("the cases of an era");
    for profile in subjects() {
        for suite in &all {
            let line = line(&profile, &sample(suite, cases));
            print!("{line}");
            table += &line;
        }
    }
    table
}

/// Our server, and redis-server if it is there.
fn subjects() -> Vec<Profile> {
    let own = include_str!("../profiles/psync.toml").replace("{self}", PROGRAM);
    let mut subjects = vec![Profile::parse(&own, "psync.toml").expect("a profile that ships")];
    let version = Command::new("redis-server")
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    if version.is_ok() {
        subjects.push(Profile::load("redis").expect("a profile that ships"));
    }
    subjects
}

/// So many cases of a suite, evenly spread.
fn sample(suite: &Suite, cases: usize) -> Suite {
    let every = suite.cases.len().div_ceil(cases);
    Suite {
        cases: suite.cases.iter().step_by(every).cloned().collect(),
        ..suite.clone()
    }
}

fn line(profile: &Profile, suite: &Suite) -> String {
    let spent = || ticks::processor_seconds("self").expect("Linux counts for each process");
    let (began, [judge, subjects]) = (Instant::now(), spent());
    let report = run(suite, profile, JOBS, &AtomicBool::new(false), |_| {});
    let wall = began.elapsed().as_secs_f64();
    let [judge_after, subjects_after] = spent();
    let played = report.outcomes.len() as f64;
    let passed = report.outcomes.iter();
    let passed = passed
        .filter(|outcome| outcome.verdict == Verdict::Pass)
        .count();
    let in_cases: u64 = report
        .outcomes
        .iter()
        .map(|outcome| outcome.elapsed_ms)
        .sum();
    format!(
        "| {} | {} | {played} | {passed} | {:.1} | {:.0} ms | {:.1} ms | {:.1} ms |\n",
        profile.name,
        suite.casting.name(),
        played / wall,
        in_cases as f64 / played,
        (judge_after - judge) * 1e3 / played,
        (subjects_after - subjects) * 1e3 / played,
    )
}
