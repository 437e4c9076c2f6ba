//! Nothing is left behind: every process and file of a run is known here and goes with it, also when it is interrupted.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

/// The exit status of a program that was interrupted.
const INTERRUPTED: i32 = 130;

/// How often the folder is removed again while processes that are ending still write into it.
const REMOVALS: usize = 100;

/// The processes that we started and that have not ended; none once we are told to end.
static RUNNING: Mutex<Option<BTreeSet<u32>>> = Mutex::new(Some(BTreeSet::new()));

/// The folder of all files of this run.
static FOLDER: OnceLock<PathBuf> = OnceLock::new();

/// Runs with a folder that vanishes afterwards, and with a signal handler that leaves nothing behind either.
pub(crate) fn with_folder(run: impl FnOnce() -> Result<()>) -> Result<()> {
    let folder = tempfile::Builder::new().prefix("psync-beside-").tempdir();
    let folder = folder.context("a temporary folder")?;
    let path = FOLDER.get_or_init(|| folder.path().to_owned());
    ctrlc::set_handler(move || clean_up_and_end(path)).context("a signal handler")?;
    let done = run();
    // What fails because the handler takes everything away is no news; it ends the program when it is done.
    while running().is_none() {
        std::thread::park();
    }
    done
}

fn running() -> MutexGuard<'static, Option<BTreeSet<u32>>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A folder of its own inside the folder of this run.
pub(crate) fn subfolder() -> Result<tempfile::TempDir> {
    let folder = FOLDER.get().context("the folder of this run")?;
    tempfile::tempdir_in(folder).context("a folder for a server")
}

fn clean_up_and_end(folder: &Path) {
    let processes = running().take();
    for number in processes.iter().flatten() {
        kill(*number, Signal::KILL);
    }
    for _ in 0..REMOVALS {
        if std::fs::remove_dir_all(folder).is_ok() || !folder.exists() {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    std::process::exit(INTERRUPTED);
}

/// Signals a process that we started and have not waited for, so that the number is still its own.
fn kill(number: u32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(number as i32) {
        // One that has just ended needs no signal.
        let _ = kill_process(pid, signal);
    }
}

/// A process that ends when this value does.
#[derive(Debug)]
pub(crate) struct Running(Child);

impl Running {
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let mut running = running();
        let Some(running) = running.as_mut() else {
            bail!("interrupted");
        };
        let child = command
            .spawn()
            .with_context(|| format!("{} cannot be started", command.get_program().display()))?;
        running.insert(child.id());
        Ok(Self(child))
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.0
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.id(), signal);
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.0.try_wait(), Ok(None))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(running) = running().as_mut() {
            running.remove(&self.id());
        }
        // Both fail only for a process that has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
