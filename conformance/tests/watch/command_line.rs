//! What the verb prints and how it ends, on logs written by hand.
use std::fs::File;
use std::path::Path;
use std::process::{Command, Output};

use psync_conformance::watch::{From, LogWriter};
use psync_conformance::wire::encode;

/// Judges a log of one full copy, with these bytes behind the snapshot and before its acknowledgement.
fn judged(folder: &Path, behind: &str) -> Output {
    let file = folder.join("wire.jsonl");
    let mut log = LogWriter::new(File::create(&file).unwrap(), 1 << 20).unwrap();
    let mark = "0123456789012345678901234567890123456789";
    let answer = format!(
        "+FULLRESYNC {} 7\r\n$EOF:{mark}\r\nREDIS0009{mark}{behind}",
        "a".repeat(40)
    );
    log.opened(0, 1, "127.0.0.1").unwrap();
    let request = encode(&["PSYNC", "?", "-1"]);
    log.passed(1, 1, From::Replica, &request, false).unwrap();
    log.passed(2, 1, From::Primary, answer.as_bytes(), false)
        .unwrap();
    log.passed(
        3,
        1,
        From::Replica,
        &encode(&["REPLCONF", "ACK", "7"]),
        false,
    )
    .unwrap();
    log.closed(4, 1).unwrap();
    log.finish().unwrap();
    watch(&["--replay", file.to_str().unwrap()])
}

fn watch(args: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_psync-conformance");
    Command::new(program)
        .arg("watch")
        .args(args)
        .output()
        .unwrap()
}

#[test]
fn a_log_is_judged_and_the_status_says_how() {
    let folder = tempfile::tempdir().unwrap();
    let clean = judged(folder.path(), "");
    let text = String::from_utf8(clean.stdout).unwrap();
    assert_eq!(clean.status.code(), Some(0), "{text}");
    assert!(
        text.contains("1 full copies") && text.contains("0 violations"),
        "{text}"
    );

    let wrong = judged(folder.path(), "\n");
    let text = String::from_utf8(wrong.stdout).unwrap();
    assert_eq!(wrong.status.code(), Some(1), "{text}");
    assert!(
        text.contains("VIOLATION stream-gate") && text.contains("PROTOCOL §3.4"),
        "{text}"
    );
}

#[test]
fn misuse_is_told_with_status_two() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("none.jsonl");
    for args in [
        &["--replay", missing.to_str().unwrap()][..],
        &["--listen", "127.0.0.1:0"],
        &["--listen", "nowhere", "--primary", "127.0.0.1:1"],
        &[
            "--listen",
            "127.0.0.1:0",
            "--primary",
            "127.0.0.1:1",
            "--for",
            "soon",
        ],
    ] {
        let output = watch(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(!output.stderr.is_empty(), "{args:?}");
    }
}
