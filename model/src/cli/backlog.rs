//! `psync-model backlog`: how large a backlog should be, with the claims that say why.

use super::Outcome;
use super::units::{duration, rate, readable_bytes, readable_duration};
use psync_model::advice::{REDIS_DEFAULT_BYTES, VALKEY_DEFAULT_BYTES, advise, bridges};
use psync_model::claims;
use std::time::Duration;

const DETAILS: &str = "\
Durations: ms, s, m, h. Sizes: KB, MB, GB count by thousands, KiB, MiB, GiB by 1024s.

How to measure the rate: read master_repl_offset from INFO replication twice, a minute apart at the
busiest time of the day, and divide the difference by sixty.

Example:
  psync-model backlog --outage 5s --rate 2MB";

/// The claims that the advice rests on, with what became of them; `psync-model claims` judges them anew.
const REASONS: [(&str, &str); 3] = [
    ("backlog-covers-what-is-missing", "Proved "),
    ("one-command-less-suffices", "Refuted"),
    ("larger-backlog-never-hurts", "Proved "),
];

/// What to size for.
#[derive(Debug, clap::Args)]
#[command(after_help = DETAILS)]
pub(crate) struct Args {
    /// The longest outage that should end in a partial resynchronization, for example 5s or 2m
    #[arg(long, value_parser = duration)]
    outage: Duration,
    /// How fast the replication stream grows, for example 2MB (a second)
    #[arg(long, value_parser = rate)]
    rate: u64,
    /// How many times what is strictly needed
    #[arg(long, default_value_t = 2)]
    safety: u32,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let advice = advise(args.outage, args.rate, args.safety)?;
    println!("repl-backlog-size {}", advice.backlog_bytes);
    println!();
    println!(
        "That is {}. In {} at {}/s the stream grows by {} bytes ({}).",
        readable_bytes(advice.backlog_bytes),
        readable_duration(args.outage),
        readable_bytes(args.rate),
        advice.written_bytes,
        readable_bytes(advice.written_bytes),
    );
    for (name, verdict) in REASONS {
        if let Some(claim) = claims::named(name) {
            println!("{verdict}: {}  [claim {name}]", claim.sentence);
        }
    }
    println!(
        "Hence {} × seconds × bytes a second: the factor {} is for a rate or an outage that was guessed.",
        args.safety, args.safety
    );
    println!();
    for (server, bytes) in [
        ("Redis", REDIS_DEFAULT_BYTES),
        ("Valkey 8", VALKEY_DEFAULT_BYTES),
    ] {
        let bridged = bridges(bytes, args.rate).map_or_else(
            || "any outage, as nothing is written".to_owned(),
            |outage| format!("an outage of {}", readable_duration(outage)),
        );
        println!(
            "The default of {server}, {}, bridges {bridged} at this rate.",
            readable_bytes(bytes)
        );
    }
    Ok(Outcome::Proved)
}

#[cfg(test)]
mod tests {
    use super::*;
    use psync_model::claims::Verdict;

    #[test]
    fn the_advice_rests_on_claims_that_turned_out_as_it_says() {
        for (name, word) in REASONS {
            let claim = claims::named(name).unwrap();
            let expected = match word.trim_end() {
                "Proved" => Verdict::Proved,
                _ => Verdict::Refuted,
            };
            assert!(
                claim
                    .verdicts
                    .iter()
                    .all(|(_, verdict)| *verdict == expected),
                "{name}"
            );
        }
    }
}
