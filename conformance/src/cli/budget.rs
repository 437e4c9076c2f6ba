//! How long a run may take, and what each suite gets of it.

use std::str::FromStr;
use std::time::{Duration, Instant};

/// The smallest part of the budget, its reciprocal, that is left for what is still to be played.
const LEAST_SHARE: u32 = 8;

/// How long a run may take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Budget {
    /// As long as it takes.
    #[default]
    All,
    /// So long.
    Time(Duration),
}

impl FromStr for Budget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "all" {
            return Ok(Self::All);
        }
        let wrong = || format!("{text} is no budget; one is 90s, 10m, 2h or all");
        let (number, unit_s) = match text.chars().last() {
            Some('s') => (&text[..text.len() - 1], 1),
            Some('m') => (&text[..text.len() - 1], 60),
            Some('h') => (&text[..text.len() - 1], 3_600),
            _ => return Err(wrong()),
        };
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let seconds = number.checked_mul(unit_s).filter(|seconds| *seconds > 0);
        seconds
            .map(|seconds| Self::Time(Duration::from_secs(seconds)))
            .ok_or_else(wrong)
    }
}

impl Budget {
    /// When it ends, if it began at `started`.
    pub(crate) fn end(self, started: Instant) -> Option<Instant> {
        match self {
            Self::All => None,
            Self::Time(all) => Some(started + all),
        }
    }

    /// Until when a suite may begin cases, if the budget began at `started` and the suite has `mine` of the `left` cases
    /// that are still to be played: its share of what time is left.
    pub(crate) fn share(self, started: Instant, mine: usize, left: usize) -> Option<Instant> {
        let Self::Time(all) = self else {
            return None;
        };
        let now = Instant::now();
        // Cases in hand are played to their end: where that took too long, the next suite still gets a little.
        let remaining = all.saturating_sub(now - started).max(all / LEAST_SHARE);
        Some(now + remaining.mul_f64(mine as f64 / left.max(1) as f64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_a_time_with_its_unit_or_all() {
        let of = |text: &str| text.parse::<Budget>();
        assert_eq!(of("90s"), Ok(Budget::Time(Duration::from_secs(90))));
        assert_eq!(of("2m"), Ok(Budget::Time(Duration::from_mins(2))));
        assert_eq!(of("all"), Ok(Budget::All));
        for wrong in [
            "",
            "s",
            "0s",
            "-1s",
            "10",
            "1d",
            "99999999999999999999h",
            "1é",
        ] {
            assert!(of(wrong).is_err(), "{wrong}");
        }
    }
}
