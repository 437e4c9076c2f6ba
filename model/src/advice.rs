//! How large a backlog should be: the practical end of the claims about outages.
//!
//! A replica that comes back is continued if the byte it asks for is still in the backlog. During an outage the
//! stream grows by outage × rate bytes. A backlog no smaller makes the reconnection partial (claim
//! `backlog-covers-what-is-missing`); with one byte less it need not be (claim
//! `one-command-less-suffices`, refuted). Units: bytes of the replication stream, and bytes a second.

use std::time::Duration;
use thiserror::Error;

/// The backlog Redis keeps unless told otherwise (`PROTOCOL §1`).
pub const REDIS_DEFAULT_BYTES: u64 = 1 << 20;

/// The backlog Valkey 8 keeps unless told otherwise (`PROTOCOL §1`).
pub const VALKEY_DEFAULT_BYTES: u64 = 10 << 20;

/// The smallest backlog that Redis accepts; it raises anything less to this (`PROTOCOL §1`).
pub const LEAST_BACKLOG_BYTES: u64 = 16 << 10;

/// The largest value of `repl-backlog-size`, which Redis keeps in a signed 64-bit number.
pub const MOST_BACKLOG_BYTES: u64 = i64::MAX as u64;

/// The largest safety factor: beyond it the estimate of the rate is worth nothing.
pub const MOST_SAFETY: u32 = 1000;

/// Advice that cannot be given.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum AdviceError {
    /// No backlog can be that large.
    #[error(
        "{outage:?} at {bytes_per_second} bytes a second, {safety} times over, is more than the largest repl-backlog-size, {MOST_BACKLOG_BYTES} bytes"
    )]
    TooLarge {
        /// The outage.
        outage: Duration,
        /// The rate.
        bytes_per_second: u64,
        /// The safety factor.
        safety: u32,
    },
    /// A factor below one would advise a backlog that is too small.
    #[error("a safety factor of {safety} makes no sense: give one from 1 to {MOST_SAFETY}")]
    Safety {
        /// The factor.
        safety: u32,
    },
}

/// A size with what it was made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advice {
    /// What the stream grows by during the outage, rounded up: the least that is enough.
    pub written_bytes: u64,
    /// What to configure.
    pub backlog_bytes: u64,
}

/// The backlog for an outage at a rate, `safety` times what is strictly needed.
pub fn advise(outage: Duration, bytes_per_second: u64, safety: u32) -> Result<Advice, AdviceError> {
    if safety == 0 || safety > MOST_SAFETY {
        return Err(AdviceError::Safety { safety });
    }
    let too_large = AdviceError::TooLarge {
        outage,
        bytes_per_second,
        safety,
    };
    let written = written_during(outage, bytes_per_second);
    let wanted = written
        .checked_mul(u128::from(safety))
        .filter(|&bytes| bytes <= u128::from(MOST_BACKLOG_BYTES))
        .ok_or(too_large)?;
    Ok(Advice {
        written_bytes: written as u64,
        backlog_bytes: (wanted as u64).max(LEAST_BACKLOG_BYTES),
    })
}

/// Bytes of the stream that an outage lets pass, rounded up.
fn written_during(outage: Duration, bytes_per_second: u64) -> u128 {
    const NANOSECONDS: u128 = 1_000_000_000;
    // A duration has less than 2^94 nanoseconds and a rate less than 2^64: only absurd pairs saturate.
    outage
        .as_nanos()
        .saturating_mul(u128::from(bytes_per_second))
        .div_ceil(NANOSECONDS)
}

/// The longest outage, in whole milliseconds, that a backlog of this size is sure to bridge; `None` if nothing
/// is ever written.
pub fn bridges(backlog_bytes: u64, bytes_per_second: u64) -> Option<Duration> {
    let milliseconds = u128::from(backlog_bytes) * 1000 / u128::from(bytes_per_second.max(1));
    (bytes_per_second != 0)
        .then(|| Duration::from_millis(u64::try_from(milliseconds).unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTAGES_MS: [u64; 6] = [0, 1, 333, 5_000, 90_000, 86_400_000];
    const RATES: [u64; 6] = [0, 1, 999, 2_000_000, 1 << 30, 100_000_000_000];

    #[test]
    fn the_advice_is_never_below_what_is_written() {
        for outage in OUTAGES_MS.map(Duration::from_millis) {
            for rate in RATES {
                for safety in [1, 2, 10] {
                    let advice = advise(outage, rate, safety).unwrap();
                    let needed = outage.as_millis() * u128::from(rate);
                    assert!(u128::from(advice.backlog_bytes) * 1000 >= needed);
                    assert!(u128::from(advice.written_bytes) * 1000 >= needed);
                    assert!(advice.backlog_bytes >= LEAST_BACKLOG_BYTES);
                }
            }
        }
    }

    #[test]
    fn more_of_anything_never_advises_less() {
        let size = |ms, rate, safety| {
            advise(Duration::from_millis(ms), rate, safety)
                .unwrap()
                .backlog_bytes
        };
        for ms in OUTAGES_MS {
            for rate in RATES {
                let here = size(ms, rate, 2);
                assert!(size(ms + 1, rate, 2) >= here);
                assert!(size(ms, rate + 1, 2) >= here);
                assert!(size(ms, rate, 3) >= here);
            }
        }
    }

    #[test]
    fn five_seconds_of_two_megabytes_want_twenty() {
        let advice = advise(Duration::from_secs(5), 2_000_000, 2).unwrap();
        assert_eq!(
            (advice.written_bytes, advice.backlog_bytes),
            (10_000_000, 20_000_000)
        );
        let bridged = bridges(REDIS_DEFAULT_BYTES, 2_000_000).unwrap();
        assert_eq!(bridged.as_millis(), 524);
        assert_eq!(bridges(REDIS_DEFAULT_BYTES, 0), None);
    }

    #[test]
    fn what_no_backlog_can_hold_is_refused() {
        let outage = Duration::MAX;
        assert_eq!(
            advise(outage, u64::MAX, 2),
            Err(AdviceError::TooLarge {
                outage,
                bytes_per_second: u64::MAX,
                safety: 2
            })
        );
        assert_eq!(advise(outage, 1, 0), Err(AdviceError::Safety { safety: 0 }));
    }
}
