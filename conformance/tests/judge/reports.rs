//! What a run leaves behind: a wrong server's failure is shortened, written down, and can be compared and replayed.
use std::path::Path;
use std::process::{Command, Output};

use psync_conformance::report::record::Record;

use crate::support::PROGRAM;

fn run_in(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(PROGRAM);
    command.args(args).current_dir(folder).output().unwrap()
}

#[test]
fn a_run_leaves_reports_that_can_be_compared_and_replayed() {
    let folder = tempfile::tempdir().unwrap();
    let choice = ["run", "--era", "psync2-v7", "--casting", "primary"];
    // A case with an attached replica in it, and what came before and after.
    let few = ["--filter", "/attach-to-snapshot/", "--shard", "1/4"];
    let right = run_in(
        folder.path(),
        &[&choice[..], &few, &["--report", "right"]].concat(),
    );
    assert_eq!(right.status.code(), Some(0));
    let fault = ["--fault", "attach-label-current", "--report", "wrong"];
    let wrong = run_in(folder.path(), &[&choice[..], &few, &fault].concat());
    assert_eq!(wrong.status.code(), Some(1));

    let record = Record::read(&folder.path().join("wrong/report.jsonl")).unwrap();
    let failed = record.cases().find(|(_, case)| case.failure().is_some());
    let (_, failed) = failed.unwrap();
    let (steps, before) = (failed.plan().unwrap().steps.len(), failed.shortened_from);
    assert!(
        before.is_some_and(|before| steps < before),
        "{steps} of {before:?}"
    );
    for file in ["report.html", "junit.xml"] {
        let text = std::fs::read_to_string(folder.path().join("wrong").join(file)).unwrap();
        assert!(text.contains("announced-offset"), "{file}");
    }
    let failures = std::fs::read_dir(folder.path().join("wrong/failures")).unwrap();
    let case = failures.last().unwrap().unwrap().path();
    let again = [
        "replay",
        case.to_str().unwrap(),
        "--fault",
        "attach-label-current",
    ];
    assert_eq!(run_in(folder.path(), &again).status.code(), Some(1));

    let reports = ["right/report.jsonl", "wrong/report.jsonl"];
    let worse = run_in(folder.path(), &["compare", reports[0], reports[1]]);
    assert_eq!(worse.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&worse.stdout).contains("(announced-offset)"));
    let better = run_in(folder.path(), &["compare", reports[1], reports[0]]);
    assert_eq!(better.status.code(), Some(0));
    let page = run_in(
        folder.path(),
        &["report", reports[0], reports[1], "--html", "both.html"],
    );
    assert_eq!(page.status.code(), Some(0));
    assert!(folder.path().join("both.html").is_file());
}
