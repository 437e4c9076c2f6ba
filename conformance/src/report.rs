//! Reports: a failure for a reader, a table for a run, and everything as JSON for other tools.

use std::fmt::Write;
use std::fs;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context;
use psync_model::case::Case;
use psync_model::rulebook::Era;
use psync_model::step::Step;
use serde::Serialize;

use crate::run::{Report, Tally};
use crate::verdict::{Check, Failure, Mismatch, Verdict};

/// How many of the other possibilities a failure shows.
const MOST_OTHERS: usize = 8;

/// The most characters of an observation that are shown: data sets are long.
const MOST_CHARACTERS: usize = 400;

/// Where a check lives: `<era>/<casting>/<rule>[/<branch>]/<check>`.
pub fn address(case: &Case, step: Step, check: Check) -> String {
    format!(
        "{}/{}/{step}/{check}",
        case.header.era,
        case.header.casting.name()
    )
}

/// Everything a failure has to say; `again` is the command that shows it once more.
pub fn failure(case: &Case, failure: &Failure, again: &str) -> String {
    let check = failure.mismatch.check;
    let property = check.property().map_or_else(String::new, |property| {
        format!(", {property:?}: {}", property.sentence())
    });
    let mut text = format!(
        "FAIL {}\n  case      {}, step {} of {}\n  required  {}\n  source    {}{property}\n",
        address(case, failure.step, check),
        case.header.id,
        failure.at + 1,
        case.steps.len().max(failure.at + 1),
        check.sentence(),
        check.source(),
    );
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
        text += &indented("bytes", transcript);
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

fn cut(text: &str) -> String {
    match text.char_indices().nth(MOST_CHARACTERS) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}… ({} bytes)", &text[..end], text.len()),
    }
}

/// Writes a case into a folder, under a name made from its identifier; returns the file.
pub fn write_case(case: &Case, folder: &Path) -> anyhow::Result<PathBuf> {
    let (era, casting) = (case.header.era, case.header.casting.name());
    let digest = case.header.id.rsplit('/').next().unwrap_or("case");
    let path = folder.join(format!("{era}-{casting}-{digest}.jsonl"));
    let written = || -> std::io::Result<()> {
        fs::create_dir_all(folder)?;
        let mut file = BufWriter::new(fs::File::create(&path)?);
        case.write(&mut file)?;
        file.flush()
    };
    written().with_context(|| format!("could not write {}", path.display()))?;
    Ok(path)
}

/// A suite in the summary.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    era: Era,
    casting: &'static str,
    passed: usize,
    failed: usize,
    inconclusive: usize,
    skipped: usize,
    targets_met: usize,
    targets: usize,
    elapsed_ms: u64,
}

impl Row {
    /// The row of a report.
    pub fn of(report: &Report) -> Self {
        let Tally {
            passed,
            failed,
            inconclusive,
            skipped,
        } = report.tally();
        Self {
            era: report.era,
            casting: report.casting.name(),
            passed,
            failed,
            inconclusive,
            skipped,
            targets_met: report.met().len(),
            targets: report.targets.len(),
            elapsed_ms: report.elapsed_ms,
        }
    }

    /// Whether nothing failed and nothing was left open.
    pub fn conforms(&self) -> bool {
        self.failed == 0 && self.inconclusive == 0
    }
}

/// The summary of a run, a line for each era and casting.
pub fn table(rows: &[Row]) -> String {
    let mut text = format!(
        "{:<10} {:<8} {:>6} {:>7} {:>7} {:>13} {:>8} {:>15} {:>8}\n",
        "era",
        "subject",
        "cases",
        "passed",
        "failed",
        "inconclusive",
        "skipped",
        "targets met",
        "seconds"
    );
    for row in rows {
        let cases = row.passed + row.failed + row.inconclusive + row.skipped;
        let targets = format!("{} / {}", row.targets_met, row.targets);
        let seconds = row.elapsed_ms as f64 / 1_000.0;
        // Writing into a string does not fail.
        let _ = writeln!(
            text,
            "{:<10} {:<8} {cases:>6} {:>7} {:>7} {:>13} {:>8} {targets:>15} {seconds:>8.1}",
            row.era.name(),
            row.casting,
            row.passed,
            row.failed,
            row.inconclusive,
            row.skipped,
        );
    }
    text
}

/// A case as JSON.
#[derive(Debug, Serialize)]
struct CaseResult<'a> {
    case: &'a str,
    #[serde(flatten)]
    verdict: &'a Verdict,
    targets_met: usize,
    elapsed_ms: u64,
}

/// A suite as JSON.
#[derive(Debug, Serialize)]
struct SuiteResult<'a> {
    summary: Row,
    cases: Vec<CaseResult<'a>>,
}

/// A run as JSON.
#[derive(Debug, Serialize)]
pub struct RunResult<'a> {
    format: &'static str,
    version: &'static str,
    subject: &'a str,
    suites: Vec<SuiteResult<'a>>,
}

/// Everything that was found, to be written as JSON.
pub fn as_json<'a>(subject: &'a str, reports: &[&'a Report]) -> RunResult<'a> {
    let suites = reports.iter().map(|report| SuiteResult {
        summary: Row::of(report),
        cases: report
            .outcomes
            .iter()
            .map(|outcome| CaseResult {
                case: &outcome.case,
                verdict: &outcome.verdict,
                targets_met: outcome.met.len(),
                elapsed_ms: outcome.elapsed_ms,
            })
            .collect(),
    });
    RunResult {
        format: "psync-report",
        version: "1.0",
        subject,
        suites: suites.collect(),
    }
}
