//! The machine, the day, and what else was going on.

use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};

/// For how long we look at what others do before each round.
const LOOK: Duration = Duration::from_secs(1);

/// Where and when a run took place.
#[derive(Debug)]
pub(crate) struct Machine {
    /// Processor, number of cores, memory, kernel.
    pub(crate) description: String,
    /// As in `2026-01-31`.
    pub(crate) date: String,
    /// The part of the processors that was in use before each round, while we did nothing.
    others: Vec<f64>,
}

impl Machine {
    pub(crate) fn look() -> Result<Self> {
        let read = |path: &str| std::fs::read_to_string(path).with_context(|| path.to_owned());
        let (processor, memory) = (read("/proc/cpuinfo")?, read("/proc/meminfo")?);
        let model = field(&processor, "model name").unwrap_or("a processor without a name");
        let kilobytes = field(&memory, "MemTotal").unwrap_or_default();
        let kilobytes: f64 = kilobytes.trim_end_matches(" kB").parse().unwrap_or(0.0);
        let cores = thread::available_parallelism().context("the number of cores")?;
        let description = format!(
            "{model}, {cores} cores, {:.0} GB of memory, Linux {}",
            kilobytes / 1e6,
            read("/proc/sys/kernel/osrelease")?.trim()
        );
        Ok(Self {
            description,
            date: today(),
            others: Vec::new(),
        })
    }

    /// Looks for a second at how busy the processors are without us.
    pub(crate) fn look_at_others(&mut self) {
        let before = busy_and_all();
        thread::sleep(LOOK);
        let after = busy_and_all();
        let (busy, all) = (after.0 - before.0, after.1 - before.1);
        self.others.push(busy / all.max(1.0));
    }

    /// How busy others kept the processors, at least and at most, as a part of all of them.
    pub(crate) fn others(&self) -> (f64, f64) {
        let others = self.others.iter().copied();
        (
            others.clone().fold(f64::INFINITY, f64::min),
            others.fold(0.0, f64::max),
        )
    }
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim())
}

/// Ticks of the processors so far: with work, and all of them.
fn busy_and_all() -> (f64, f64) {
    let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let ticks = text.lines().next().unwrap_or_default().split_whitespace();
    let ticks: Vec<f64> = ticks.filter_map(|number| number.parse().ok()).collect();
    // The fourth and fifth count idleness: with nothing to do, and with nothing but waiting for a disk.
    let idle: f64 = ticks.iter().skip(3).take(2).sum();
    let all: f64 = ticks.iter().sum();
    (all - idle, all)
}

fn today() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let mut days = since.unwrap_or_default().as_secs() / 86_400;
    let leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let mut year = 1970;
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let february = 28 + u64::from(leap(year));
    let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while days >= lengths[month] {
        days -= lengths[month];
        month += 1;
    }
    format!("{year}-{:02}-{:02}", month + 1, days + 1)
}
