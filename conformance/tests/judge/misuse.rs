//! Bad input: one clear error on standard error, nothing on standard output, and exit status 2.
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};

use psync_model::case::VERSION;
use rustix::process::Signal;

use crate::support::{PROGRAM, program};

/// Runs the program and returns its error, after making sure that it is one.
fn refusal(args: &[&str]) -> String {
    let output = program(args);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{args:?}: {error}");
    assert!(output.stdout.is_empty(), "{args:?}");
    assert!(!error.contains("panicked"), "{error}");
    error
}

fn written(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn unknown_words_are_refused() {
    for args in [
        &["run", "--no-such-option"][..],
        &["no-such-command"],
        &["run", "--era", "psync9"],
        &["run", "--casting", "bystander"],
        &["run", "--jobs", "0"],
        &["replay"],
        &["replay", "no/such/case"],
        &["replay", "psync/primary/no-such-case"],
        &["run", "--era", "sync", "--subject", "nobody"],
    ] {
        assert!(!refusal(args).is_empty());
    }
}

#[test]
fn a_case_file_that_is_none_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let cases = program(&[
        "cases",
        "--era",
        "sync",
        "--casting",
        "primary",
        "--out",
        folder.path().to_str().unwrap(),
    ]);
    assert!(cases.status.success());
    let some = fs::read_dir(folder.path())
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    let good = fs::read_to_string(some.path()).unwrap();
    let header = good.lines().next().unwrap();
    let files = [
        written(folder.path(), "empty.jsonl", ""),
        written(folder.path(), "header-only.jsonl", header),
        written(folder.path(), "truncated.jsonl", &good[..good.len() - 20]),
        written(folder.path(), "alien.jsonl", "{\"some\":\"thing\"}\n"),
        written(
            folder.path(),
            "newer.jsonl",
            &good.replace(&format!("\"{VERSION}\""), "\"9.0\""),
        ),
        written(folder.path(), "binary.jsonl", "\u{0}\u{1}\u{2}"),
        folder
            .path()
            .join("missing.jsonl")
            .to_str()
            .unwrap()
            .to_owned(),
        folder.path().to_str().unwrap().to_owned(),
    ];
    for file in &files {
        let error = refusal(&["replay", file]);
        assert!(error.contains(file.as_str()), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

#[test]
fn a_profile_that_cannot_be_used_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let profile = |name: &str, text: &str| written(folder.path(), name, text);
    let files = [
        profile("garbage.toml", "this is no profile"),
        profile("empty.toml", ""),
        profile("no-era.toml", "name = \"x\"\ncommand = [\"true\"]\n"),
        profile(
            "remote.toml",
            "name = \"x\"\nera = \"psync\"\nconnect = \"192.0.2.1:6379\"\n",
        ),
        profile(
            "nobody-there.toml",
            "name = \"x\"\nera = \"psync\"\nconnect = \"127.0.0.1:1\"\n",
        ),
        folder
            .path()
            .join("missing.toml")
            .to_str()
            .unwrap()
            .to_owned(),
    ];
    for file in &files {
        assert!(!refusal(&["run", "--era", "sync", "--subject", file]).is_empty());
    }
}

#[test]
fn a_subject_that_does_not_start_is_called_so() {
    let folder = tempfile::tempdir().unwrap();
    let with_command = |name: &str, command: &str| {
        let text = format!(
            "name = \"{name}\"\nera = \"sync\"\ncommand = {command}\n[waits]\nstart_ms = 300\n"
        );
        written(folder.path(), &format!("{name}.toml"), &text)
    };
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let on_taken_port = format!("[\"{PROGRAM}\", \"embedded-server\", \"--port\", \"{port}\"]");
    for file in [
        with_command("absent", "[\"/no/such/program\", \"{port}\"]"),
        with_command(
            "ends",
            "[\"sh\", \"-c\", \"echo gone; exit 3\", \"{port}\"]",
        ),
        with_command("silent", "[\"sh\", \"-c\", \"cat\", \"{port}\"]"),
        with_command("port-in-use", &on_taken_port),
    ] {
        let error = refusal(&["run", "--subject", &file]);
        assert!(error.contains("does not work as a server"), "{error}");
    }
}

#[test]
fn a_fault_is_only_for_our_own_server_in_a_build_that_has_them() {
    assert!(
        refusal(&[
            "run",
            "--subject",
            "redis",
            "--fault",
            "cached-primary-lost"
        ])
        .contains("--fault")
    );
    assert!(refusal(&["run", "--fault", "no-such-fault"]).contains("fault"));
}

#[test]
fn help_teaches() {
    let output = program(&["--help"]);
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    for word in ["run", "list", "replay", "cases", "Exit status", "Examples"] {
        assert!(text.contains(word), "{word}");
    }
    assert!(!text.contains("embedded-server"));
}

/// More lines than any pipe holds are cut short by whoever has read enough.
#[test]
fn a_list_may_be_left_unread() {
    for args in [
        &["list", "--era", "sync"][..],
        &["run", "--dry-run", "--era", "sync"],
    ] {
        let mut child = Command::new(PROGRAM)
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(!errors.contains("panicked"), "{errors}");
        assert_eq!(output.status.signal(), Some(Signal::PIPE.as_raw()));
    }
}

#[test]
fn a_report_that_is_none_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let alien = written(folder.path(), "alien.jsonl", "{\"some\":\"thing\"}\n");
    for args in [
        &["compare", &alien, &alien][..],
        &["report", &alien],
        &["report", "no-such-report.jsonl"],
    ] {
        assert!(refusal(args).contains("is no report that can be read"));
    }
    for args in [
        &["run", "--budget", "0s"][..],
        &["run", "--budget", "soon"],
        &["run", "--shard", "3/2"],
        &["run", "--filter", "["],
    ] {
        assert!(!refusal(args).is_empty());
    }
}
