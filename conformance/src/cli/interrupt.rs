//! Ctrl-C and SIGTERM: the run ends after the cases in hand, and what is known so far is printed.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;

/// Set by the first signal and by whoever wants the run to end.
pub(crate) static STOP: AtomicBool = AtomicBool::new(false);

/// Set by a signal only.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Takes signals from now on, for a run of cases.
pub(crate) fn take_signals() -> anyhow::Result<()> {
    take_signals_saying("stopping after the cases in hand")
}

/// Takes signals from now on, and says this when one comes.
pub(crate) fn take_signals_saying(what: &'static str) -> anyhow::Result<()> {
    ctrlc::set_handler(move || {
        INTERRUPTED.store(true, Ordering::Relaxed);
        STOP.store(true, Ordering::Relaxed);
        eprintln!("psync-conformance: {what}");
    })
    .context("could not prepare for Ctrl-C")
}

/// Whether a signal has come.
pub(crate) fn came() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}
