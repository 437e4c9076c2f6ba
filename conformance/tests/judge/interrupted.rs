//! A run that somebody interrupts ends in order: no process and no file is left behind.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::PROGRAM;

/// Longer than the cases in hand and the start of a loaded machine take.
const LIMIT: Duration = Duration::from_mins(2);

/// The pause between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

fn await_that(what: &str, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < LIMIT, "it never came to: {what}");
        thread::sleep(LOOK_AGAIN);
    }
}

/// The processes that were told of a folder, such as servers whose data are in it.
fn processes_in(folder: &Path) -> Vec<String> {
    let folder = folder.to_str().unwrap();
    let processes = fs::read_dir("/proc").unwrap();
    // A process may end while it is looked at.
    let lines = processes.filter_map(|process| fs::read(process.ok()?.path().join("cmdline")).ok());
    let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    lines.filter(|line| line.contains(folder)).collect()
}

fn run_in(folder: &Path, temporary: &Path) -> Child {
    Command::new(PROGRAM)
        .args([
            "run",
            "--subject",
            "psync",
            "--era",
            "psync2-v7",
            "--budget",
            "all",
        ])
        .current_dir(folder)
        .env("TMPDIR", temporary)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn a_run_that_is_interrupted_leaves_no_process_and_no_file_behind() {
    for signal in [Signal::INT, Signal::TERM] {
        let (folder, temporary) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut run = run_in(folder.path(), temporary.path());
        await_that("servers that are judged", || {
            !processes_in(temporary.path()).is_empty()
        });
        kill_process(Pid::from_child(&run), signal).unwrap();
        await_that("the end of the run", || run.try_wait().unwrap().is_some());
        assert_eq!(processes_in(temporary.path()), Vec::<String>::new());
        let left: Vec<_> = fs::read_dir(temporary.path()).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
    }
}
