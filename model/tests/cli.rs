//! The command line from outside: exit statuses, what is printed, what is kept.

use serde_json::Value;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};
use tempfile::TempDir;

/// The states and edges of scope `smoke` in era `sync`.
const SMOKE: (u64, u64) = (194, 584);

fn run_in(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_psync-model"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .expect("the program that was just built can be run")
}

fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let folder = TempDir::new().expect("a folder for the run");
    let output = run_in(folder.path(), arguments);
    let text = |bytes| String::from_utf8(bytes).expect("the program prints text");
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

fn json(arguments: &[&str]) -> (Option<i32>, Value) {
    let (status, out, _) = run(arguments);
    (
        status,
        serde_json::from_str(&out).expect("--json prints JSON"),
    )
}

#[test]
fn a_complete_check_says_so_and_counts_in_json_as_in_text() {
    let smoke = ["check", "--era", "sync", "--scope", "smoke"];
    let (status, out, _) = run(&smoke);
    assert_eq!(status, Some(0));
    assert!(
        out.contains("complete: every state") && out.contains("proved within bounds"),
        "{out}"
    );
    let (status, document) = json(&[smoke.as_slice(), &["--json"]].concat());
    assert_eq!(
        (status, &document["verdict"]),
        (Some(0), &"complete".into())
    );
    let run = &document["runs"][0];
    assert_eq!(
        (run["states"].as_u64(), run["edges"].as_u64()),
        (Some(SMOKE.0), Some(SMOKE.1))
    );
    let mut counted = (0, 0);
    for row in run["branching"]["distribution"].as_array().unwrap() {
        let of = row["states"].as_u64().unwrap();
        counted.0 += of;
        counted.1 += of * row["steps"].as_u64().unwrap();
    }
    assert_eq!(counted, SMOKE);
    let fired = run["coverage"].as_array().unwrap().iter();
    assert_eq!(
        fired.map(|row| row["times"].as_u64().unwrap()).sum::<u64>(),
        SMOKE.1
    );
    assert!(
        run["coverage"]
            .as_array()
            .unwrap()
            .iter()
            .all(|row| row["missing"] == false)
    );
    assert!(run["collision_probability"].as_f64().unwrap() > 0.0);
}

#[test]
fn a_survey_on_two_threads_counts_what_the_walk_counts_and_shows_the_same_flaw() {
    let survey = ["--engine", "survey", "--threads", "2", "--json"];
    let right = ["check", "--era", "sync", "--scope", "smoke"];
    let (_, walked) = json(&[right.as_slice(), &["--json"]].concat());
    let (status, surveyed) = json(&[right.as_slice(), &survey].concat());
    assert_eq!(status, Some(0));
    for field in [
        "states",
        "edges",
        "depth",
        "branching",
        "coverage",
        "properties",
    ] {
        assert_eq!(
            surveyed["runs"][0][field], walked["runs"][0][field],
            "{field}"
        );
    }
    let wrong = [
        "check",
        "--fault",
        "request-not-plus-one",
        "--scope",
        "smoke",
    ];
    let (status, surveyed) = json(&[wrong.as_slice(), &survey].concat());
    assert_eq!(status, Some(1));
    let steps = &surveyed["runs"][0]["counterexample"]["steps"];
    assert_eq!(steps.as_array().map(Vec::len), Some(12));
    let (status, _, error) = run(&["check", "--threads", "2"]);
    assert_eq!(status, Some(2));
    assert!(error.contains("--engine survey"), "{error}");
}

#[test]
fn a_check_that_was_stopped_proves_nothing() {
    let (status, out, _) = run(&[
        "check",
        "--era",
        "psync",
        "--scope",
        "smoke",
        "--max-states",
        "500",
    ]);
    assert_eq!(status, Some(2));
    assert!(out.contains("bounded: stopped after 500 states"), "{out}");
    let arguments = [
        "check",
        "--era",
        "psync",
        "--scope",
        "pair",
        "--timeout",
        "1ms",
        "--json",
    ];
    let (status, document) = json(&arguments);
    assert_eq!((status, &document["verdict"]), (Some(2), &"bounded".into()));
    assert_eq!(document["runs"][0]["stopped_after"], "1 ms");
    let properties = document["runs"][0]["properties"].as_array().unwrap();
    assert!(
        properties
            .iter()
            .all(|property| property["verdict"] != "proved")
    );
}

#[test]
fn whichever_engine_lacks_memory_or_time_says_so() {
    let pair = ["check", "--era", "psync", "--scope", "pair"];
    for engine in ["walk", "survey"] {
        let short = ["--engine", engine, "--memory", "1MB"];
        let (status, out, _) = run(&[&pair[..], &short].concat());
        assert_eq!(status, Some(2), "{engine}");
        assert!(
            out.contains("of memory, and the whole scope takes more"),
            "{engine}: {out}"
        );
    }
    let other = ["--engine", "stateright"];
    let (status, out, error) = run(&[&pair[..], &other, &["--memory", "1MB"]].concat());
    assert_eq!((status, out.as_str()), (Some(2), ""));
    assert!(
        error.contains("of memory, and the whole scope takes more"),
        "{error}"
    );
    let (status, out, _) = run(&[&pair[..], &other, &["--timeout", "300ms"]].concat());
    assert_eq!(status, Some(2));
    assert!(out.contains("bounded: stopped after 300 ms"), "{out}");
}

#[test]
fn a_suite_is_many_scopes_and_one_verdict() {
    let (status, out, _) = run(&["check", "--scope", "standard", "--era", "sync"]);
    assert_eq!(status, Some(0), "{out}");
    let rows = out.lines().filter(|line| line.ends_with("complete"));
    assert_eq!(rows.count(), 15, "{out}");
    assert!(out.contains("  712,767 states and "), "{out}");
    assert!(out.contains("proved within bounds, except what was not judged: sync, scope standard"));
    let fault = [
        "check",
        "--scope",
        "standard",
        "--fault",
        "attach-loses-pending",
    ];
    let (status, out, _) = run(&[&fault[..], &["--max-states", "20000"]].concat());
    assert_eq!(status, Some(1));
    assert!(out.contains("The shortest counterexample has"), "{out}");
    assert!(out.contains("VIOLATED"), "{out}");
}

#[test]
fn a_violation_is_shown_and_kept_as_a_case_a_drawing_and_a_trace() {
    let folder = TempDir::new().unwrap();
    let flaw = [
        "check",
        "--fault",
        "request-not-plus-one",
        "--scope",
        "smoke",
    ];
    let output = run_in(folder.path(), &flaw);
    assert_eq!(output.status.code(), Some(1));
    let out = String::from_utf8(output.stdout).unwrap();
    assert!(
        out.contains("broken: S3") && out.contains("violated: "),
        "{out}"
    );
    let stem = "target/psync/model/psync2-v7-smoke-request-not-plus-one";
    for end in ["jsonl", "svg", "itf.json"] {
        let file = format!("{stem}.{end}");
        assert!(out.contains(&file), "{out}");
        assert!(folder.path().join(&file).is_file(), "{file}");
    }
}

#[test]
fn as_shipped_the_flaw_is_found_and_what_is_kept_can_be_explored_no_further_than_a_taken_port() {
    let folder = TempDir::new().unwrap();
    let shipped = ["check", "--era", "psync2-v7", "--as-shipped"];
    assert_eq!(run_in(folder.path(), &shipped).status.code(), Some(1));
    let case = "target/psync/model/psync2-v7-errors-as-shipped.jsonl";
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = run_in(folder.path(), &["explore", case, "--port", &port]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        error.contains("cannot serve on") && error.contains("--port"),
        "{error}"
    );
    let output = run_in(folder.path(), &["explore", case, "--era", "sync"]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("no plan in this era"), "{error}");
}

#[test]
fn what_is_not_watched_is_not_proved() {
    // The oldest era has no flaw as shipped, so that every state is visited.
    let (status, document) = json(&["check", "--era", "sync", "--as-shipped", "--json"]);
    assert_eq!(status, Some(0));
    let properties = document["runs"][0]["properties"].as_array().unwrap();
    let verdict = |name: &str| {
        let mut all = properties.iter();
        let property = all.find(|property| property["name"] == name).unwrap();
        property["verdict"].as_str().unwrap()
    };
    assert_eq!((verdict("S1"), verdict("S4")), ("not judged", "proved"));
}

#[test]
fn a_scope_of_ones_own_is_named_and_nonsense_is_refused() {
    let own = [
        "check",
        "--era",
        "sync",
        "--scope",
        "smoke",
        "--lag",
        "3",
        "--sockets",
        "off",
    ];
    let (status, out, _) = run(&own);
    assert_eq!(status, Some(0));
    assert!(out.contains("scope smoke, lag 3, sockets off"), "{out}");
    let (status, _, error) = run(&["check", "--scope", "smoke", "--lag", "1"]);
    assert_eq!(status, Some(2));
    assert!(error.contains("--lag 2 or more"), "{error}");
}

#[test]
fn a_graph_is_drawn_where_it_can_be_looked_at_and_refused_elsewhere() {
    let (status, out, _) = run(&["graph", "--era", "sync"]);
    assert_eq!(status, Some(0));
    assert_eq!(out.matches(" -> ").count() as u64, SMOKE.1);
    let (status, out, error) = run(&["graph", "--scope", "replay"]);
    assert_eq!((status, out.as_str()), (Some(2), ""));
    assert!(
        error.contains("more than 2000 states") && error.contains("--scope smoke"),
        "{error}"
    );
}

#[test]
fn a_rule_a_property_and_a_fault_are_explained_and_a_mistake_is_answered() {
    let (status, out, _) = run(&["explain", "decline-partial/too-old"]);
    assert_eq!(status, Some(0));
    for part in [
        "source: ",
        "model/src/rules/primary.rs:",
        "§3.2 goes wrong as attach-label-current (S4)",
        "shortest path",
    ] {
        assert!(out.contains(part), "{part}: {out}");
    }
    let (status, out, _) = run(&["explain", "S14"]);
    assert_eq!(status, Some(0));
    for part in [
        "PROTOCOL §6 S14",
        "data-discarded-before-snapshot",
        "breaks S14",
    ] {
        assert!(out.contains(part), "{part}: {out}");
    }
    let (status, out, _) = run(&["explain", "request-not-plus-one"]);
    assert_eq!(status, Some(0));
    for part in [
        "FLAWS F-08",
        "OffsetPlusOne",
        "model/src/decision.rs:",
        "breaks S3",
    ] {
        assert!(out.contains(part), "{part}: {out}");
    }
    let (status, _, error) = run(&["explain", "acept-partial"]);
    assert_eq!(status, Some(2));
    assert!(error.contains("accept-partial"), "{error}");
}
