//! A run as data: JSON Lines that other tools read, and that this program reads back to show and to compare.
//!
//! The first line says what was judged, then each suite has a line, followed by one for each of its cases. Readers
//! ignore fields they do not know and refuse a major version they do not know, as with cases (`psync_model::case`).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;

use psync_model::case::Case;
use psync_model::casting::Casting;
use psync_model::rulebook::Era;
use serde::{Deserialize, Serialize};

use super::address;
use super::swept::SweepRecord;
use crate::deviation::Deviation;
use crate::profile::{ControlName, Profile};
use crate::run::{Report, Suite};
use crate::verdict::{Failure, Mismatch, Outcome, Verdict};

/// The format's name, on the first line.
pub const FORMAT: &str = "psync-report";

/// The version this program writes: `major.minor`.
pub const VERSION: &str = "1.2";

/// The longest line a reader accepts, in bytes: a failure with its logs and room to spare.
const MAX_LINE_BYTES: u64 = 16 * 1024 * 1024;

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Always [`FORMAT`].
    pub format: String,
    /// As [`VERSION`].
    pub version: String,
    /// Who was judged.
    pub subject: String,
    /// The version of the judge.
    pub judge: String,
    /// Why not everything was played, if it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut_short: Option<String>,
    /// Why the run ended before its end, if the harness or the subject as a whole failed; since 1.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub harness_failure: Option<String>,
    /// Known deviations that were not seen although everything was played.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stale_deviations: Vec<String>,
}

/// The cases of one era and casting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SuiteRecord {
    /// The era.
    pub era: Era,
    /// The place of the subject.
    pub casting: Casting,
    /// How many worlds of the specification the cases were made from.
    pub worlds: usize,
    /// How many edges.
    pub edges: usize,
    /// How many cases were to be played.
    pub planned: usize,
    /// How many targets the casting can reach.
    pub targets: usize,
    /// How many of them were met.
    pub targets_met: usize,
    /// The same for each rule and branch.
    pub rules: Vec<RuleCoverage>,
    /// For each control that is missing, how many targets are out of reach for that reason.
    pub out_of_reach: BTreeMap<ControlName, usize>,
    /// How many targets left the count because the subject looks at a snapshot before it drops its data for it; since 1.2.
    #[serde(default)]
    pub spared: usize,
    /// How long it took, in milliseconds.
    pub elapsed_ms: u64,
    /// The cases that were played; in the file, the lines that follow.
    #[serde(skip)]
    pub cases: Vec<CaseRecord>,
}

/// How much of a rule was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleCoverage {
    /// The rule and its branch.
    pub rule: String,
    /// The situations it was seen in.
    pub met: usize,
    /// The situations it can occur in.
    pub targets: usize,
}

/// What became of a case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaseRecord {
    /// Its name.
    pub case: String,
    /// The verdict, with the whole failure.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Why the failure was expected of this subject, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deviation: Option<String>,
    /// How many targets it met for certain.
    pub targets_met: usize,
    /// How long it took, in milliseconds.
    pub elapsed_ms: u64,
    /// The lines of the case, if it did not pass: a file that can be replayed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub plan: Vec<String>,
    /// How many steps the case had before it was shortened, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shortened_from: Option<usize>,
}

/// A run on one subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// What was judged.
    pub run: Run,
    /// The suites, with their cases.
    pub suites: Vec<SuiteRecord>,
    /// The sweeps; since 1.2.
    pub sweeps: Vec<SweepRecord>,
}

/// One line of the file.
#[derive(Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "kebab-case")]
enum Line<'a> {
    Run(Cow<'a, Run>),
    Suite(Cow<'a, SuiteRecord>),
    Case(Cow<'a, CaseRecord>),
    Sweep(Cow<'a, SweepRecord>),
}

/// How many cases came to what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Everything was allowed.
    pub passed: usize,
    /// Something was not.
    pub failed: usize,
    /// Something was not, as is known of this subject.
    pub deviating: usize,
    /// The subject went another way than the plan.
    pub inconclusive: usize,
    /// A control is missing.
    pub skipped: usize,
    /// The harness itself failed.
    pub not_judged: usize,
}

/// What is wrong with a report file.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// It cannot be read or written.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// A line is not what it should be.
    #[error("line {line}: {reason}")]
    Malformed {
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
}

impl Record {
    /// An empty record of a run on this subject.
    pub fn begin(subject: &str) -> Self {
        let run = Run {
            format: FORMAT.to_owned(),
            version: VERSION.to_owned(),
            subject: subject.to_owned(),
            judge: env!("CARGO_PKG_VERSION").to_owned(),
            cut_short: None,
            harness_failure: None,
            stale_deviations: Vec::new(),
        };
        Self {
            run,
            suites: Vec::new(),
            sweeps: Vec::new(),
        }
    }

    /// Adds what was found in a suite.
    pub fn add(&mut self, suite: &Suite, report: &Report, profile: &Profile) {
        self.suites.push(SuiteRecord::of(suite, report, profile));
    }

    /// Adds what was found in more cases of an era and casting.
    pub fn add_more(&mut self, suite: &Suite, report: &Report, profile: &Profile) {
        let more = SuiteRecord::of(suite, report, profile);
        let is_same = |one: &&mut SuiteRecord| (one.era, one.casting) == (more.era, more.casting);
        match self.suites.iter_mut().find(is_same) {
            Some(same) => {
                same.planned += more.planned;
                same.elapsed_ms += more.elapsed_ms;
                same.cases.extend(more.cases);
            }
            None => self.suites.push(more),
        }
    }

    /// Every case with its suite.
    pub fn cases(&self) -> impl Iterator<Item = (&SuiteRecord, &CaseRecord)> {
        let suites = self.suites.iter();
        suites.flat_map(|suite| suite.cases.iter().map(move |case| (suite, case)))
    }

    /// Notes the known deviations of which nothing was seen, once everything has been played.
    pub fn note_stale_deviations(&mut self, profile: &Profile) {
        let played = |known: &Deviation| {
            // A sweep is as fine as its time allowed.
            if known.check.as_str().contains("/sweep/") {
                return false;
            }
            let concerns = |suite: &SuiteRecord| {
                let place = format!("{}/{}/", suite.era, suite.casting);
                let check = known.check.as_str();
                check.starts_with(&place) || check.starts_with('*')
            };
            self.suites.iter().any(concerns)
        };
        let seen = |known: &Deviation| {
            let mut cases = self.cases();
            cases.any(|(suite, case)| {
                let (plan, failure) = (case.plan(), case.failure());
                failure.is_some_and(|failure| {
                    explains(known, suite.era, suite.casting, plan.as_ref(), failure)
                })
            })
        };
        let known = profile.deviations.iter();
        let stale = known.filter(|known| played(known) && !seen(known));
        self.run.stale_deviations = stale.map(Deviation::name).collect();
    }

    /// Whether the harness failed, at some case or as a whole.
    pub fn harness_failed(&self) -> bool {
        let not_judged = |suite: &SuiteRecord| suite.tally().not_judged > 0;
        self.run.harness_failure.is_some()
            || self.suites.iter().any(not_judged)
            || self.sweeps.iter().any(|sweep| sweep.not_judged > 0)
    }

    /// Whether nothing failed that was not known to, nothing was left open, and no deviation is out of date.
    pub fn conforms(&self) -> bool {
        let fine = |suite: &SuiteRecord| {
            let tally = suite.tally();
            tally.failed == 0 && tally.inconclusive == 0 && tally.not_judged == 0
        };
        self.run.stale_deviations.is_empty()
            && self.suites.iter().all(fine)
            && self.sweeps.iter().all(SweepRecord::conforms)
    }

    /// Writes the record.
    pub fn write(&self, path: &Path) -> std::io::Result<()> {
        let mut out = BufWriter::new(File::create(path)?);
        let mut line = |line: &Line| -> std::io::Result<()> {
            serde_json::to_writer(&mut out, line)?;
            out.write_all(b"\n")
        };
        line(&Line::Run(Cow::Borrowed(&self.run)))?;
        for suite in &self.suites {
            line(&Line::Suite(Cow::Borrowed(suite)))?;
            for case in &suite.cases {
                line(&Line::Case(Cow::Borrowed(case)))?;
            }
        }
        for sweep in &self.sweeps {
            line(&Line::Sweep(Cow::Borrowed(sweep)))?;
        }
        out.flush()
    }

    /// Reads a record.
    pub fn read(path: &Path) -> Result<Self, RecordError> {
        let mut lines = lines(BufReader::new(File::open(path)?));
        let wrong = |line, reason: &str| RecordError::Malformed {
            line,
            reason: reason.to_owned(),
        };
        let first = lines.next().unwrap_or(Err(wrong(1, "the file is empty")))?;
        let (_, Line::Run(run)) = first else {
            return Err(wrong(1, "a report begins with a line about its run"));
        };
        let major = |version: &str| version.split('.').next().map(str::to_owned);
        if run.format != FORMAT || major(&run.version) != major(VERSION) {
            let reason = format!(
                "the file says {} {}; this program reads {FORMAT} {VERSION} and its successors with the same first number",
                run.format, run.version
            );
            return Err(wrong(1, &reason));
        }
        let mut record = Self {
            run: run.into_owned(),
            suites: Vec::new(),
            sweeps: Vec::new(),
        };
        for line in lines {
            match line? {
                (_, Line::Suite(suite)) => record.suites.push(suite.into_owned()),
                (number, Line::Case(case)) => {
                    let suite = record.suites.last_mut();
                    let suite = suite.ok_or_else(|| wrong(number, "a case without its suite"))?;
                    suite.cases.push(case.into_owned());
                }
                (_, Line::Sweep(sweep)) => record.sweeps.push(sweep.into_owned()),
                (number, Line::Run(_)) => return Err(wrong(number, "a second run")),
            }
        }
        Ok(record)
    }
}

/// The lines with their numbers, none longer than [`MAX_LINE_BYTES`].
fn lines(
    mut input: impl BufRead,
) -> impl Iterator<Item = Result<(usize, Line<'static>), RecordError>> {
    let mut number = 0;
    std::iter::from_fn(move || {
        number += 1;
        let mut text = String::new();
        let mut limited = std::io::Read::take(&mut input, MAX_LINE_BYTES);
        match limited.read_line(&mut text) {
            Err(error) => Some(Err(error.into())),
            Ok(0) => None,
            Ok(_) => Some(parsed(number, &text)),
        }
    })
}

fn parsed(line: usize, text: &str) -> Result<(usize, Line<'static>), RecordError> {
    let parsed = serde_json::from_str(text);
    parsed
        .map(|record| (line, record))
        .map_err(|error| RecordError::Malformed {
            line,
            reason: format!("not a line of a report: {error}"),
        })
}

impl SuiteRecord {
    fn of(suite: &Suite, report: &Report, profile: &Profile) -> Self {
        let (met, mut rules) = (report.met(), BTreeMap::<String, RuleCoverage>::new());
        for target in &report.targets {
            let rule = target.step.to_string();
            let covered = rules.entry(rule.clone()).or_insert(RuleCoverage {
                rule,
                met: 0,
                targets: 0,
            });
            covered.targets += 1;
            covered.met += usize::from(met.contains(target));
        }
        let cases = report.outcomes.iter().map(|outcome| {
            let case = suite.case(&outcome.case);
            CaseRecord {
                case: outcome.case.clone(),
                deviation: deviation(suite, outcome, profile),
                targets_met: outcome.met.len(),
                elapsed_ms: outcome.elapsed_ms,
                plan: match outcome.verdict {
                    Verdict::Fail(_) | Verdict::Inconclusive { .. } | Verdict::NotJudged { .. } => {
                        case.map_or_else(Vec::new, plan_lines)
                    }
                    Verdict::Pass | Verdict::Skipped { .. } => Vec::new(),
                },
                shortened_from: None,
                verdict: outcome.verdict.clone(),
            }
        });
        Self {
            era: suite.era,
            casting: suite.casting,
            worlds: suite.explored.0,
            edges: suite.explored.1,
            planned: suite.cases.len(),
            targets: report.targets.len(),
            targets_met: met.len(),
            rules: rules.into_values().collect(),
            out_of_reach: report.skipped_targets(&suite.cases),
            spared: report.spared,
            elapsed_ms: report.elapsed_ms,
            cases: cases.collect(),
        }
    }

    /// How many cases came to what.
    pub fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        for case in &self.cases {
            *match (&case.verdict, &case.deviation) {
                (Verdict::Pass, _) => &mut tally.passed,
                (Verdict::Fail(_), None) => &mut tally.failed,
                (Verdict::Fail(_), Some(_)) => &mut tally.deviating,
                (Verdict::Inconclusive { .. }, _) => &mut tally.inconclusive,
                (Verdict::Skipped { .. }, _) => &mut tally.skipped,
                (Verdict::NotJudged { .. }, _) => &mut tally.not_judged,
            } += 1;
        }
        tally
    }
}

impl CaseRecord {
    /// The failure, if it is one.
    pub fn failure(&self) -> Option<&Failure> {
        match &self.verdict {
            Verdict::Fail(failure) => Some(failure),
            _ => None,
        }
    }

    /// The plan, if it is kept and can be read by this version.
    pub fn plan(&self) -> Option<Case> {
        Case::read(self.plan.join("\n").as_bytes()).ok()
    }
}

/// The lines of a case file.
pub fn plan_lines(case: &Case) -> Vec<String> {
    let mut text = Vec::new();
    case.write(&mut text)
        .expect("writing into memory does not fail");
    let text = String::from_utf8_lossy(&text);
    text.lines().map(str::to_owned).collect()
}

/// Why a failure was expected, if it was.
fn deviation(suite: &Suite, outcome: &Outcome, profile: &Profile) -> Option<String> {
    let Verdict::Fail(failure) = &outcome.verdict else {
        return None;
    };
    let plan = suite.case(&outcome.case);
    let known = profile.deviations.iter();
    let mut known = known.filter(|known| explains(known, suite.era, suite.casting, plan, failure));
    known.next().map(Deviation::told)
}

/// Whether a deviation is known to come to this failure of this plan.
fn explains(
    known: &Deviation,
    era: Era,
    casting: Casting,
    plan: Option<&Case>,
    failure: &Failure,
) -> bool {
    let Mismatch { check, came, .. } = &failure.mismatch;
    let steps = plan.map_or(&[][..], |plan| &plan.steps);
    let before = &steps[..failure.at.min(steps.len())];
    known.explains(&address(era, casting, failure.step, *check), came, before)
}

#[cfg(test)]
pub(crate) mod tests {
    use psync_model::step::Step;
    use psync_model::world::NodeId;

    use super::*;
    use crate::transcript::{Direction, Log, LogLine};
    use crate::verdict::Check;

    /// A record with a case that passed and one that failed.
    pub(crate) fn sample() -> Record {
        let suites = crate::run::suites(Era::Sync, &[Casting::Replica], false).unwrap();
        let plan = plan_lines(&suites[0].cases[0]);
        let failure = Failure {
            at: 0,
            step: Step::Ask {
                replica: NodeId::Replica,
            },
            mismatch: Mismatch::new(Check::Request, "SYNC", "PSYNC <?> -1"),
            others: vec![Mismatch::new(Check::Progress, "a request", "nothing")],
            transcripts: vec![Log {
                connection: "replica 1".to_owned(),
                exchanges: 1,
                lines: vec![LogLine {
                    at_ms: 7,
                    direction: Direction::Sent,
                    forgotten: 0,
                    bytes: "SYNC\\r\\n".to_owned(),
                    times: 1,
                }],
            }],
            output: "ready\n".to_owned(),
        };
        let case = |name: &str, verdict, plan| CaseRecord {
            case: name.to_owned(),
            verdict,
            deviation: None,
            targets_met: 2,
            elapsed_ms: 30,
            plan,
            shortened_from: None,
        };
        let mut record = Record::begin("mine & yours");
        record.suites.push(SuiteRecord {
            era: Era::Sync,
            casting: Casting::Replica,
            worlds: 10,
            edges: 20,
            planned: 2,
            targets: 5,
            targets_met: 4,
            rules: vec![RuleCoverage {
                rule: "ask".to_owned(),
                met: 4,
                targets: 5,
            }],
            out_of_reach: BTreeMap::from([(ControlName::Restart, 1)]),
            spared: 0,
            elapsed_ms: 60,
            cases: vec![
                case("sync/replica/ask/1", Verdict::Pass, Vec::new()),
                case("sync/replica/ask/2", Verdict::Fail(Box::new(failure)), plan),
            ],
        });
        record
    }

    #[test]
    fn a_record_survives_writing_and_reading() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.jsonl");
        sample().write(&path).unwrap();
        let read = Record::read(&path).unwrap();
        assert_eq!(read, sample());
        assert!(!read.conforms());
        let (_, failed) = read.cases().nth(1).unwrap();
        assert!(failed.plan().is_some());
    }

    #[test]
    fn what_is_no_report_is_refused_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.jsonl");
        sample().write(&path).unwrap();
        let good = std::fs::read_to_string(&path).unwrap();
        let bad = [
            (String::new(), 1),
            ("{}\n".to_owned(), 1),
            (good.replacen(&format!("\"{VERSION}\""), "\"2.0\"", 1), 1),
            (
                good.lines().next().unwrap().to_owned() + "\n{\"record\":\"case\"}\n",
                2,
            ),
            (good[..good.len() - 9].to_owned(), good.lines().count()),
        ];
        for (text, at) in bad {
            std::fs::write(&path, &text).unwrap();
            match Record::read(&path) {
                Err(RecordError::Malformed { line, .. }) => assert_eq!(line, at, "{text}"),
                other => panic!("{other:?}"),
            }
        }
    }
}
