//! When the harness itself fails at one case, the others are judged all the same, and everything known is reported.
use std::process::Command;

use psync_conformance::report::record::Record;
use psync_conformance::verdict::Verdict;

use crate::support::PROGRAM;

/// A server whose first start fails, which is that for the first case: nobody greets who is only to be a replica.
fn failing_once(folder: &std::path::Path) -> String {
    let folder = folder.display();
    let script = format!("mkdir {folder}/first 2>/dev/null || exec \\\"$@\\\"; exit 3");
    format!(
        r#"
name = "failing-once"
era = "sync"
command = ["sh", "-c", "{script}", "sh", "{PROGRAM}", "embedded-server", "--port", "{{port}}", "--dir", "{{dir}}", "--era", "{{era}}"]
replica_args = ["--replicaof", "{{primary_host}}", "{{primary_port}}"]
controls = ["info", "restart"]
"#
    )
}

#[test]
fn one_case_that_cannot_be_judged_does_not_cost_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let profile = folder.path().join("failing-once.toml");
    std::fs::write(&profile, failing_once(folder.path())).unwrap();
    let output = Command::new(PROGRAM)
        .args([
            "run",
            "--era",
            "sync",
            "--casting",
            "replica",
            "--jobs",
            "1",
        ])
        .args(["--shard", "1/8", "--report", "report", "--subject"])
        .arg(&profile)
        .current_dir(folder.path())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("not judged"), "{text}");

    let record = Record::read(&folder.path().join("report/report.jsonl")).unwrap();
    let tally = record.suites[0].tally();
    assert_eq!(
        (tally.not_judged, tally.failed, tally.inconclusive),
        (1, 0, 0)
    );
    assert_eq!(tally.passed, record.suites[0].planned - 1);
    let (_, first) = record.cases().next().unwrap();
    assert!(
        matches!(&first.verdict, Verdict::NotJudged { reason } if reason.contains("exit status: 3"))
    );
}
