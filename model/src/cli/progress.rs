//! A sign of life on standard error: a line that renews itself on a terminal, a line now and then elsewhere.

use super::units::readable_bytes;
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use psync_model::walk::Progress;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// How often a line is written where it cannot renew itself.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// How often a terminal is redrawn.
const REDRAW_EVERY: Duration = Duration::from_millis(100);

/// Progress of one piece of work.
pub(crate) struct Meter {
    what: String,
    bar: Option<ProgressBar>,
    started: Instant,
    next: Instant,
}

/// A count of states at a moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Count {
    /// States so far.
    states: usize,
    /// The depth reached.
    depth: usize,
    /// States waiting, if the engine says.
    queue: Option<usize>,
    /// Bytes of memory, if somebody looks at them.
    memory: Option<u64>,
}

impl Count {
    /// From our own walk.
    pub(crate) const fn with_queue(progress: Progress) -> Self {
        Self {
            states: progress.states,
            depth: progress.depth,
            queue: Some(progress.queue),
            memory: None,
        }
    }

    /// From stateright, which does not say how much waits.
    pub(crate) const fn without_queue(progress: Progress) -> Self {
        Self {
            states: progress.states,
            depth: progress.depth,
            queue: None,
            memory: None,
        }
    }

    /// The same, with so many bytes of memory.
    pub(crate) const fn and_memory(self, bytes: u64) -> Self {
        Self {
            memory: Some(bytes),
            ..self
        }
    }
}

impl Meter {
    /// Begins, silently: short work says nothing.
    pub(crate) fn new(what: impl Into<String>) -> Self {
        let what = what.into();
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
                bar.set_style(style);
            }
            bar
        });
        let started = Instant::now();
        let wait = if bar.is_some() {
            REDRAW_EVERY
        } else {
            LINE_EVERY
        };
        Self {
            what,
            bar,
            started,
            next: started + wait,
        }
    }

    /// Reports a count, if it is time.
    pub(crate) fn count(&mut self, count: Count) {
        let seconds = self.started.elapsed().as_secs_f64().max(0.001);
        let rate = (count.states as f64 / seconds) as u64;
        self.say(|| {
            let queue = count
                .queue
                .map(|queue| format!(", queue {}", HumanCount(queue as u64)));
            let memory = count
                .memory
                .map(|bytes| format!(", {}", readable_bytes(bytes)));
            format!(
                "{} states, {}/s, depth {}{}{}",
                HumanCount(count.states as u64),
                HumanCount(rate),
                count.depth,
                queue.unwrap_or_default(),
                memory.unwrap_or_default()
            )
        });
    }

    /// Reports some words, if it is time.
    pub(crate) fn say(&mut self, words: impl FnOnce() -> String) {
        let now = Instant::now();
        if now < self.next {
            return;
        }
        let words = format!("{}: {}", self.what, words());
        if let Some(bar) = &self.bar {
            bar.set_message(words);
            bar.tick();
            self.next = now + REDRAW_EVERY;
        } else {
            eprintln!("{words}");
            self.next = now + LINE_EVERY;
        }
    }

    /// How long it has taken so far.
    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
