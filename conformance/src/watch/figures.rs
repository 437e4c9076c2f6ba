//! What was measured on the way: how fast the stream grows, how long replicas were away, how they came back, and the
//! backlog that follows from it. Rates are bytes of the stream a second; times are milliseconds since the watch began.
use std::sync::Arc;
use std::time::Duration;

use psync_model::advice::{self, Advice, AdviceError};
use psync_model::offset::ReplOffset;

/// Over how long the highest rate is a mean: shorter ones measure how a burst is delivered, not how it is produced.
pub const WINDOW_MS: u64 = 10_000;
/// The factor of the advice: both the outage and the rate are guesses about the future.
pub const SAFETY: u32 = 2;
/// How long the stream is silent before its next bytes may be those of the silence, delivered at once.
const SILENCE_MS: u64 = 1_000;
/// For how long after a silence the offset is no measure.
const SETTLING_MS: u64 = 2_000;
/// The most samples of the offset that are kept: two in a second of the window, with room for the silence before it.
const MAX_SAMPLES: usize = 64;
/// How far apart samples are.
const SAMPLE_MS: u64 = 500;

/// How often replicas came back, and how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Links on which somebody asked to replicate.
    pub links: u64,
    /// Answers that continued.
    pub continued: u64,
    /// Answers that began with a snapshot.
    pub full: u64,
    /// Requests that were answered with an error.
    pub refused: u64,
    /// Links that are not judged.
    pub unjudged: u64,
    /// Violations.
    pub violations: u64,
    /// Doubts.
    pub doubts: u64,
}

/// The offset at a moment.
#[derive(Debug, Clone, Copy)]
struct Sample {
    at_ms: u64,
    end: ReplOffset,
}

/// What was measured.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    /// How often replicas came, and what came of it.
    pub counts: Counts,
    /// The longest time a replica was away, if one came back.
    pub longest_outage: Option<Duration>,
    id: Option<Arc<str>>,
    end: ReplOffset,
    first_ms: Option<u64>,
    last_ms: u64,
    settles_ms: u64,
    grown_bytes: u64,
    samples: Vec<Sample>,
    highest: u64,
}

impl Figures {
    /// The history that grows has reached this offset.
    pub(super) fn reached(&mut self, at_ms: u64, id: &Arc<str>, end: ReplOffset) {
        if self.id.as_ref() != Some(id) {
            self.samples.clear();
            (self.id, self.end) = (Some(Arc::clone(id)), end);
        }
        if end < self.end {
            return;
        }
        self.grown_bytes += end.since(self.end) as u64;
        self.end = end;
        if at_ms.saturating_sub(self.last_ms) > SILENCE_MS && !self.samples.is_empty() {
            self.settles_ms = at_ms + SETTLING_MS;
        }
        self.first_ms.get_or_insert(at_ms);
        self.last_ms = at_ms;
        if at_ms >= self.settles_ms {
            self.sample(at_ms);
        }
    }

    fn sample(&mut self, at_ms: u64) {
        let is_due = |last: &Sample| at_ms >= last.at_ms + SAMPLE_MS;
        if !self.samples.last().is_none_or(is_due) {
            return;
        }
        self.highest = self.highest.max(self.rate_over_window(at_ms));
        if self.samples.len() == MAX_SAMPLES {
            self.samples.remove(0);
        }
        self.samples.push(Sample {
            at_ms,
            end: self.end,
        });
    }

    /// The mean from the last sample that is as old as the window; zero when there is none.
    fn rate_over_window(&self, at_ms: u64) -> u64 {
        let is_old = |sample: &&Sample| sample.at_ms + WINDOW_MS <= at_ms;
        let start = self.samples.iter().rev().find(is_old);
        start.map_or(0, |start| {
            per_second(self.end.since(start.end) as u64, at_ms - start.at_ms)
        })
    }

    /// A replica came back after so long.
    pub(super) fn came_back(&mut self, outage_ms: u64) {
        let outage = Duration::from_millis(outage_ms);
        self.longest_outage = self.longest_outage.max(Some(outage));
    }

    /// The offset the stream has reached.
    pub fn offset(&self) -> ReplOffset {
        self.end
    }

    /// The mean over all the time in which bytes came; `None` for less than a second of it.
    pub fn mean_rate(&self) -> Option<u64> {
        let time_ms = self.last_ms - self.first_ms?;
        (time_ms >= 1_000).then(|| per_second(self.grown_bytes, time_ms))
    }

    /// The highest mean over [`WINDOW_MS`], or the mean of all where the watch was shorter or was never higher.
    pub fn highest_rate(&self) -> Option<u64> {
        self.mean_rate().map(|mean| mean.max(self.highest))
    }

    /// The backlog to set: nothing when no replica went and came back, or nothing was written.
    pub fn advice(&self) -> Option<Result<Advice, AdviceError>> {
        let (outage, rate) = (self.longest_outage?, self.highest_rate()?);
        Some(advice::advise(outage, rate, SAFETY))
    }
}

fn per_second(bytes: u64, time_ms: u64) -> u64 {
    let rate = u128::from(bytes) * 1000 / u128::from(time_ms.max(1));
    u64::try_from(rate).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Figures of a stream that grows by `step` bytes each 100 ms, except while nobody is there to see it.
    fn steady(step: i64, until_ms: u64, away_ms: std::ops::Range<u64>) -> Figures {
        let (mut figures, id) = (Figures::default(), Arc::from("r"));
        for at_ms in (0..=until_ms).step_by(100) {
            if !away_ms.contains(&at_ms) {
                figures.reached(at_ms, &id, ReplOffset(at_ms as i64 / 100 * step));
            }
        }
        figures
    }

    #[test]
    fn a_steady_stream_has_one_rate_also_when_an_outage_hid_a_part_of_it() {
        for away in [0..0, 30_000..42_000, 5_000..5_900] {
            let figures = steady(500, 60_000, away.clone());
            assert_eq!(figures.mean_rate(), Some(5_000), "{away:?}");
            assert_eq!(figures.highest_rate(), Some(5_000), "{away:?}");
        }
    }

    #[test]
    fn the_advice_is_twice_the_longest_outage_at_the_highest_rate() {
        let mut figures = steady(100_000, 20_000, 0..0);
        assert_eq!(figures.advice(), None);
        figures.came_back(700);
        figures.came_back(3_000);
        figures.came_back(200);
        let advice = figures.advice().unwrap().unwrap();
        assert_eq!(advice.backlog_bytes, 2 * 3 * 1_000_000);
    }

    #[test]
    fn another_history_is_no_growth() {
        let mut figures = steady(100, 10_000, 0..0);
        figures.reached(10_100, &Arc::from("s"), ReplOffset(1 << 40));
        assert!(figures.highest_rate().unwrap() < 2_000);
    }
}
