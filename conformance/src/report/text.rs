//! For a reader at a terminal: a failure with everything it has to say, and a run as a table.

use std::fmt::Write;

use psync_model::case::Case;
use psync_model::narrate::moments;

use super::address;
use super::record::SuiteRecord;
use crate::transcript::Log;
use crate::verdict::{Failure, Mismatch};

/// How many of the other possibilities a failure shows.
const MOST_OTHERS: usize = 8;

/// How many of the last runs of bytes of each connection are shown; the other reports have all that is remembered.
const MOST_RUNS: usize = 24;

/// The most characters of an observation that are shown: data sets are long.
const MOST_CHARACTERS: usize = 400;

/// Everything a failure has to say; `again` is the command that shows it once more.
pub fn failure(case: &Case, failure: &Failure, again: &str) -> String {
    let check = failure.mismatch.check;
    let property = check.property().map_or_else(String::new, |property| {
        format!(", {property:?}: {}", property.sentence())
    });
    let mut text = format!(
        "FAIL {}\n  case      {}, step {} of {}\n  required  {}\n  source    {}{property}\n",
        address(case.header.era, case.header.casting, failure.step, check),
        case.header.id,
        failure.at + 1,
        case.steps.len().max(failure.at + 1),
        check.sentence(),
        check.source(),
    );
    text += &indented("so far", &matched(case, failure));
    text += &mismatch_lines(&failure.mismatch, "expected");
    for other in failure.others.iter().take(MOST_OTHERS) {
        text += &mismatch_lines(other, "or");
    }
    let left_out = failure.others.len().saturating_sub(MOST_OTHERS);
    if left_out > 0 {
        line(
            &mut text,
            "or",
            &format!("{left_out} other things that did not come either"),
        );
    }
    for transcript in &failure.transcripts {
        text += &indented("bytes", &last_runs(transcript));
    }
    text += &indented("output", &failure.output);
    line(&mut text, "replay", again);
    text
}

fn mismatch_lines(mismatch: &Mismatch, word: &str) -> String {
    let mut text = String::new();
    let allowed = format!("{} ({})", cut(&mismatch.allowed), mismatch.check);
    line(&mut text, word, &allowed);
    line(&mut text, "came", &cut(&mismatch.came));
    text
}

fn line(text: &mut String, word: &str, rest: &str) {
    // Writing into a string does not fail.
    let _ = writeln!(text, "  {word:<9} {rest}");
}

fn indented(word: &str, lines: &str) -> String {
    let mut text = String::new();
    for (number, each) in lines.lines().enumerate() {
        line(&mut text, if number == 0 { word } else { "" }, each);
    }
    text
}

/// The name of a connection, and the last that was said on it.
fn last_runs(log: &Log) -> String {
    let left_out = log.lines.len().saturating_sub(MOST_RUNS);
    let last = Log {
        lines: log.lines[left_out..].to_vec(),
        ..log.clone()
    };
    last.to_string()
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(MOST_CHARACTERS) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}… ({} bytes)", &text[..end], text.len()),
    }
}

/// The longest prefix of the plan that agreed with the specification, a sentence a step, and the step that did not.
fn matched(case: &Case, failure: &Failure) -> String {
    let agreed = case.steps.get(..failure.at).unwrap_or(&case.steps);
    let mut lines = sentences(case, agreed);
    lines.push(format!("here: {}", failure.step));
    let numbered = lines.iter().enumerate();
    let numbered = numbered.map(|(number, line)| format!("{:>2}. {line}", number + 1));
    numbered.collect::<Vec<_>>().join("\n")
}

/// What happens in the first steps of a case, a sentence a step.
pub fn sentences(case: &Case, steps: &[psync_model::step::Step]) -> Vec<String> {
    let told = case.setting().ok().and_then(|setting| {
        let moments = moments(steps, &setting, case.header.scope.topology).ok()?;
        let sentences = moments.iter().map(|moment| moment.sentence(&setting));
        Some(sentences.collect())
    });
    told.unwrap_or_else(|| steps.iter().map(ToString::to_string).collect())
}

/// The summary of a run, a line for each era and casting.
pub fn table(suites: &[SuiteRecord]) -> String {
    let mut text = format!(
        "{:<10} {:<8} {:>6} {:>7} {:>7} {:>9} {:>13} {:>8} {:>11} {:>15} {:>8}\n",
        "era",
        "subject",
        "cases",
        "passed",
        "failed",
        "deviating",
        "inconclusive",
        "skipped",
        "not judged",
        "targets met",
        "seconds"
    );
    for suite in suites {
        let tally = suite.tally();
        let targets = format!("{} / {}", suite.targets_met, suite.targets);
        let seconds = suite.elapsed_ms as f64 / 1_000.0;
        // Writing into a string does not fail.
        let _ = writeln!(
            text,
            "{:<10} {:<8} {:>6} {:>7} {:>7} {:>9} {:>13} {:>8} {:>11} {targets:>15} {seconds:>8.1}",
            suite.era.name(),
            suite.casting.name(),
            suite.planned,
            tally.passed,
            tally.failed,
            tally.deviating,
            tally.inconclusive,
            tally.skipped,
            tally.not_judged,
        );
    }
    text
}
