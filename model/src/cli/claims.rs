//! `psync-model claims`: what people say about replication, each saying proved or refuted.

use super::progress::{Count, Meter};
use super::{Outcome, counterexample};
use psync_model::claims::{self, CLAIMS, Claim, ClaimResult, Verdict};
use psync_model::rulebook::Era;
use psync_model::scope;
use psync_model::search::Search;

/// Which claims.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only these claims, by name
    #[arg(value_name = "CLAIM", value_parser = claim_named)]
    claims: Vec<&'static Claim>,
    /// Only this era
    #[arg(long, value_enum)]
    era: Option<Era>,
}

fn claim_named(name: &str) -> Result<&'static Claim, String> {
    claims::named(name).ok_or_else(|| {
        let known: Vec<_> = CLAIMS
            .iter()
            .map(|claim| format!("  {:<34}{}", claim.name, claim.sentence))
            .collect();
        format!("there is no such claim; there are\n{}", known.join("\n"))
    })
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let chosen: Vec<_> = if args.claims.is_empty() {
        CLAIMS.iter().collect()
    } else {
        args.claims.clone()
    };
    let (mut judged, mut surprises) = (0, 0);
    for claim in chosen {
        println!("{}\n  “{}”", claim.name, claim.sentence);
        println!("  {}.", claim.because);
        let results: Vec<_> = claim
            .verdicts
            .iter()
            .filter(|(era, _)| args.era.is_none_or(|only| only == *era))
            .map(|&(era, expected)| judge(claim, era, expected))
            .collect();
        judged += results.len();
        surprises += results
            .iter()
            .filter(|result| !result.is_as_expected())
            .count();
        print_example(claim, &results)?;
        println!();
    }
    println!("{judged} verdicts, {surprises} of them not as expected");
    Ok(if surprises == 0 {
        Outcome::Proved
    } else {
        Outcome::Violated
    })
}

fn judge(claim: &'static Claim, era: Era, expected: Verdict) -> ClaimResult {
    let mut meter = Meter::new(format!("{} {era}", claim.name));
    let result = claims::check(claim, era, expected, |progress| {
        meter.count(Count::with_queue(progress));
        true
    });
    drop(meter);
    let verdict = match result.found {
        Some(Verdict::Proved) => format!("proved, {} states", result.states),
        Some(Verdict::Refuted) => format!("refuted in {} steps", result.steps.len()),
        None => "not judged".to_owned(),
    };
    let surprise = if result.is_as_expected() {
        String::new()
    } else {
        format!("   NOT AS EXPECTED ({:?})", result.expected)
    };
    println!(
        "    {:<10} {verdict} (scope {}){surprise}",
        era.name(),
        claim.scope
    );
    result
}

/// The counterexample of the newest era in which the claim is refuted.
fn print_example(claim: &Claim, results: &[ClaimResult]) -> anyhow::Result<()> {
    let refuted = results
        .iter()
        .rfind(|result| result.found == Some(Verdict::Refuted));
    let (Some(result), Some(scope)) = (refuted, scope::named(claim.scope)) else {
        return Ok(());
    };
    println!("    the shortest counterexample, era {}:", result.era);
    let search = Search::new(result.era.rulebook(), scope.scope);
    counterexample::print_steps(&search, &result.steps)
}
