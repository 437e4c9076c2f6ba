//! A sign of life on standard error: a bar on a terminal, a line now and then elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// How often a line is written where a bar cannot be drawn.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Progress through the cases of a suite.
pub(crate) struct Meter {
    what: String,
    bar: Option<ProgressBar>,
    total: usize,
    done: usize,
    failed: usize,
    next: Instant,
}

impl Meter {
    /// Begins.
    pub(crate) fn new(what: String, total: usize) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(total as u64).with_prefix(what.clone());
            let template = "{prefix:22} {wide_bar} {pos}/{len} {msg} {eta:>4}";
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar
        });
        let next = Instant::now() + LINE_EVERY;
        Self {
            what,
            bar,
            total,
            done: 0,
            failed: 0,
            next,
        }
    }

    /// One more case is done; `trouble` says what became of it if it did not pass.
    pub(crate) fn done(&mut self, trouble: Option<&str>) {
        self.done += 1;
        if let Some(trouble) = trouble {
            self.failed += 1;
            self.print(trouble);
        }
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{} did not pass", self.failed));
            bar.inc(1);
        } else if Instant::now() >= self.next {
            let (what, done, total, failed) = (&self.what, self.done, self.total, self.failed);
            eprintln!("{what}: {done} of {total} cases, {failed} did not pass");
            self.next = Instant::now() + LINE_EVERY;
        }
    }

    fn print(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.println(line),
            None => eprintln!("{line}"),
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
