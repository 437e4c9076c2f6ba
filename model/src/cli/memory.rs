//! How much memory a check may take: it stops before the system would stop it.

use std::fs;
use std::time::{Duration, Instant};

/// How often the system is asked.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Of the memory that is free at the beginning, the part that is left to others.
const LEFT_TO_OTHERS: u64 = 10;

/// The limit on a container's memory, where there is one.
const CONTAINER_LIMIT: &str = "/sys/fs/cgroup/memory.max";

/// The memory of this process and its limit, in bytes.
#[derive(Debug)]
pub(crate) struct Memory {
    most: Option<u64>,
    used: u64,
    next_look: Instant,
}

impl Memory {
    /// As much as was asked for, or nine tenths of what is free now. Where the system does not say, without limit.
    pub(crate) fn limited_to(asked: Option<u64>) -> Self {
        Self {
            most: asked
                .or_else(|| Some(resident()? + free()? / LEFT_TO_OTHERS * (LEFT_TO_OTHERS - 1))),
            used: 0,
            next_look: Instant::now(),
        }
    }

    /// Looks how much it is now, unless that was done a moment ago.
    pub(crate) fn look(&mut self) {
        let now = Instant::now();
        if now >= self.next_look {
            self.used = resident().unwrap_or(0);
            self.next_look = now + LOOK_EVERY;
        }
    }

    /// How much it was at the last look.
    pub(crate) const fn used(&self) -> u64 {
        self.used
    }

    /// Whether that is all there may be.
    pub(crate) fn is_used_up(&self) -> bool {
        self.most.is_some_and(|most| self.used >= most)
    }
}

/// What this process holds at present.
fn resident() -> Option<u64> {
    bytes_in("/proc/self/status", "VmRSS:")
}

/// The most that this process has held so far.
pub(crate) fn peak() -> Option<u64> {
    bytes_in("/proc/self/status", "VmHWM:")
}

/// What this process can still get without anything being swapped out.
fn free() -> Option<u64> {
    let free = bytes_in("/proc/meminfo", "MemAvailable:")?;
    let limit = fs::read_to_string(CONTAINER_LIMIT).ok();
    let limit = limit.and_then(|text| text.trim().parse().ok());
    Some(limit.map_or(free, |limit: u64| limit.min(free)))
}

/// The number after a word in a file of the system, where there is one.
fn bytes_in(file: &str, word: &str) -> Option<u64> {
    bytes_after(&fs::read_to_string(file).ok()?, word)
}

/// The number after a word in a table of the system that counts by 1024 bytes.
fn bytes_after(table: &str, word: &str) -> Option<u64> {
    let number = table.lines().find_map(|line| line.strip_prefix(word))?;
    let kib: u64 = number.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_says_how_much_is_used_and_free() {
        let table = "VmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n";
        assert_eq!(bytes_after(table, "VmRSS:"), Some(1 << 20));
        assert_eq!(bytes_after(table, "VmSwap:"), None);
    }

    #[test]
    fn what_is_beyond_the_limit_is_noticed() {
        let mut small = Memory::limited_to(Some(1));
        assert!(!small.is_used_up());
        small.look();
        assert!(small.is_used_up() && small.used() > 1);
        let mut large = Memory::limited_to(None);
        large.look();
        assert!(!large.is_used_up());
    }
}
