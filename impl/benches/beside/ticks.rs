//! The time that processes have had a processor, as Linux counts it.

use std::io::{Error, ErrorKind, Result};

/// Hundredths of a second on every Linux that matters.
const TICKS_PER_SECOND: f64 = 100.0;

/// Seconds that a process has had so far, all its threads together, and those of its children that have ended and been
/// waited for.
pub(crate) fn processor_seconds(process: &str) -> Result<[f64; 2]> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name, in parentheses, may hold anything.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let ticks = fields.split_whitespace().skip(11).take(4);
    let ticks: Vec<f64> = ticks.filter_map(|field| field.parse().ok()).collect();
    let [user, system, of_children, system_of_children] = ticks[..] else {
        return Err(Error::new(ErrorKind::InvalidData, stat));
    };
    Ok([user + system, of_children + system_of_children].map(|ticks| ticks / TICKS_PER_SECOND))
}
