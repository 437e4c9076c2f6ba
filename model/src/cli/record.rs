//! What a check found, as JSON for programs: everything that is printed for people, and nothing else.
//!
//! Readers ignore fields they do not know and refuse a major version they do not know, as with cases.

use super::Outcome;
use super::job::{Engine, Findings, Job, Verdict};
use super::keep::Kept;
use super::memory;
use super::report::{collision, coverage, distribution, mean};
use anyhow::Context;
use psync_model::narrate::moments;
use psync_model::walk::End;
use serde_json::{Value, json};
use std::io::{self, Write};

/// The format's name.
const FORMAT: &str = "psync-check";

/// Its version: `major.minor`.
const VERSION: &str = "1.0";

/// One era's part of the document.
pub(crate) fn of(
    job: &Job,
    engine: Engine,
    found: &Findings,
    kept: Option<&Kept>,
) -> anyhow::Result<Value> {
    let engine = match engine {
        Engine::Walk => "walk",
        Engine::Survey => "survey",
        Engine::Stateright => "stateright",
    };
    Ok(json!({
        "era": job.era,
        "scope": {"name": job.scope.name, "fields": job.scope.scope},
        "bounds": job.scope.scope.bounds(),
        "fault": job.fault.map(|fault| json!({
            "name": fault.name, "sentence": fault.sentence, "source": fault.source,
        })),
        "as_shipped": job.as_shipped,
        "engine": engine,
        "verdict": verdict(found.outcome()),
        "stopped_after": found.limit,
        "states": found.states,
        "edges": found.edges,
        "depth": found.depth,
        "branching": branching(found),
        "properties": found.verdicts.iter().map(property).collect::<Vec<_>>(),
        "coverage": covered(job, found),
        "seconds": found.elapsed.as_secs_f64(),
        "peak_memory_kib": memory::peak().map(|bytes| bytes / 1024),
        "collision_probability": collision(found.states),
        "counterexample": counterexample(job, found, kept)?,
    }))
}

/// Prints the document.
pub(crate) fn print(worst: Outcome, records: &[Value]) -> anyhow::Result<()> {
    let document = json!({
        "format": FORMAT,
        "version": VERSION,
        "verdict": verdict(worst),
        "runs": records,
    });
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, &document)
        .map_err(io::Error::from)
        .and_then(|()| writeln!(out))
        .context("standard output")
}

const fn verdict(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Proved => "complete",
        Outcome::Stopped => "bounded",
        Outcome::Violated => "violated",
    }
}

/// The distribution of how many steps apply in a state.
fn branching(found: &Findings) -> Option<Value> {
    let all = found.degrees.as_ref()?;
    let pairs: Vec<_> = distribution(all)
        .map(|(steps, states)| json!({"steps": steps, "states": states}))
        .collect();
    Some(json!({"mean": mean(all), "distribution": pairs}))
}

fn property((property, verdict): &(psync_model::property::Property, Verdict)) -> Value {
    let why = match verdict {
        Verdict::Proved | Verdict::Violated => None,
        Verdict::NotApplicable(why) => Some(*why),
        Verdict::NotJudged(why) => Some(why.as_str()),
    };
    json!({
        "name": property,
        "sentence": property.sentence(),
        "verdict": verdict.word().to_lowercase(),
        "why": why,
    })
}

/// How often each rule and branch fired; only where every state was visited does never mean never.
fn covered(job: &Job, found: &Findings) -> Option<Vec<Value>> {
    let rows = coverage(found.fired.as_ref()?, job.era, &job.scope.scope);
    let complete = found.end == End::Complete;
    let row = |row: super::report::Covered| {
        json!({
            "step": row.name,
            "times": row.times,
            "never_because": row.reason,
            "missing": complete && row.is_missing(),
        })
    };
    Some(rows.into_iter().map(row).collect())
}

fn counterexample(
    job: &Job,
    found: &Findings,
    kept: Option<&Kept>,
) -> anyhow::Result<Option<Value>> {
    let Some((steps, broken)) = found.counterexample() else {
        return Ok(None);
    };
    let setting = &job.search.setting;
    let story = moments(steps, setting, job.search.scope.topology)?;
    let steps: Vec<_> = story
        .iter()
        .map(|moment| {
            json!({
                "actor": moment.step.actor(&moment.before),
                "step": moment.step,
                "sentence": moment.sentence(setting),
            })
        })
        .collect();
    let then = found.stuck.as_ref();
    Ok(Some(json!({
        "broken": broken.split('-').collect::<Vec<_>>(),
        "steps": steps,
        "then": then.map(|stuck| super::counterexample::goes_on(&stuck.ending)),
        "files": kept.map(|kept| json!({"case": kept.case, "can_be_replayed": kept.is_driven, "svg": kept.svg, "itf": kept.itf})),
    })))
}
