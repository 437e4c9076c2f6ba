//! Ctrl-C and SIGTERM: the run ends after the cases in hand, and what is known so far is printed.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;

/// Set by the first signal and by whoever wants the run to end.
pub(crate) static STOP: AtomicBool = AtomicBool::new(false);

/// Set by a signal only.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Takes signals from now on.
pub(crate) fn take_signals() -> anyhow::Result<()> {
    ctrlc::set_handler(|| {
        INTERRUPTED.store(true, Ordering::Relaxed);
        STOP.store(true, Ordering::Relaxed);
        eprintln!("psync-conformance: stopping after the cases in hand");
    })
    .context("could not prepare for Ctrl-C")
}

/// Whether a signal has come.
pub(crate) fn came() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}
