//! The processes that a subject has started itself, on Linux: those that write its snapshots.
//!
//! One that stands still keeps its snapshot open. They outlive their subject: one that has not run yet holds the port that
//! it inherited, so that the next life could not listen there; one that goes on writes its file into the disk of that life.
use std::fs;
use std::thread;
use std::time::Duration;

use anyhow::ensure;
use rustix::process::{Pid, Signal, kill_process};

use crate::conn::Deadline;

/// The pause between two looks whether one is there or has ended: a moment, since it was asked for or killed.
pub(super) const LOOK_PAUSE: Duration = Duration::from_millis(1);

/// Those of a process.
pub(super) fn of(process: u32) -> Vec<i32> {
    let listed = fs::read_to_string(format!("/proc/{process}/task/{process}/children"));
    listed
        .unwrap_or_default()
        .split_whitespace()
        .filter_map(|child| child.parse().ok())
        .collect()
}

/// Processes that stand still; they go on when this is dropped.
#[derive(Debug)]
pub(super) struct Stopped(Vec<i32>);

impl Stopped {
    /// Stops them.
    pub(super) fn stop(processes: Vec<i32>) -> Self {
        for &process in &processes {
            signal(process, Signal::STOP);
        }
        Self(processes)
    }
}

/// Processes that stand still and are never to go on: they are killed at the latest when this is dropped.
#[derive(Debug)]
pub(super) struct Blocking {
    processes: Vec<i32>,
    are_killed: bool,
}

impl Blocking {
    /// Ends them. They are remembered: whoever started them has yet to notice.
    pub(super) fn kill(&mut self) {
        // Once only: their numbers may be those of others later.
        if !std::mem::replace(&mut self.are_killed, true) {
            for &process in &self.processes {
                signal(process, Signal::KILL);
            }
        }
    }

    /// Whether this is one of them.
    pub(super) fn has(&self, process: i32) -> bool {
        self.processes.contains(&process)
    }
}

impl From<Stopped> for Blocking {
    fn from(mut stopped: Stopped) -> Self {
        Self {
            processes: std::mem::take(&mut stopped.0),
            are_killed: false,
        }
    }
}

impl Drop for Blocking {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        for &process in &self.0 {
            signal(process, Signal::CONT);
        }
    }
}

/// It may have ended meanwhile, and then there is nothing to stop or to kill.
fn signal(process: i32, signal: Signal) {
    if let Some(process) = Pid::from_raw(process) {
        let _ = kill_process(process, signal);
    }
}

/// Kills them, and waits until they have ended.
pub(super) fn end(processes: Vec<i32>, limit: Duration) -> anyhow::Result<()> {
    for process in processes {
        signal(process, Signal::KILL);
        let deadline = Deadline::after(limit);
        while is_running(process) {
            ensure!(
                deadline.remaining().is_some(),
                "process {process}, which the subject had started, did not end within {} ms of SIGKILL",
                deadline.limit_ms()
            );
            thread::sleep(LOOK_PAUSE);
        }
    }
    Ok(())
}

/// Whether it is there and has not ended. Who inherits it may leave it as a zombie, which holds nothing.
fn is_running(process: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let state = stat
        .rsplit_once(')')
        .and_then(|(_, rest)| rest.split_whitespace().next());
    state.is_some_and(|state| !matches!(state, "Z" | "X"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn who_was_killed_is_waited_for_and_may_stay_a_zombie() {
        let mut child = Command::new("sleep").arg("600").spawn().unwrap();
        let process = i32::try_from(child.id()).unwrap();
        assert!(is_running(process));
        end(vec![process], Duration::from_mins(1)).unwrap();
        assert!(!is_running(process));
        child.wait().unwrap();
    }
}
