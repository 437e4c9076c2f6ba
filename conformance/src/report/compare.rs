//! Two runs side by side: what changed between two versions of a server, or between two servers.

use std::collections::BTreeMap;
use std::fmt;

use super::record::{CaseRecord, Record, SuiteRecord};
use crate::verdict::Verdict;

/// What became of a case, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// Everything was allowed.
    Passes,
    /// Something was not, as is known of the subject.
    Deviates,
    /// Something was not.
    Fails,
    /// It could not be driven there.
    Inconclusive,
    /// A control is missing.
    Skipped,
    /// The harness itself failed.
    NotJudged,
    /// It was not played.
    NotPlayed,
}

/// A case that came out differently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The case.
    pub case: String,
    /// In the first run.
    pub before: Outcome,
    /// In the second.
    pub after: Outcome,
    /// What is looked at where it fails, in whichever run it does.
    pub check: Option<String>,
}

/// The difference between two runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// The subjects.
    pub subjects: [String; 2],
    /// The cases that came out differently, those that got worse first.
    pub changes: Vec<Change>,
    /// How many came out alike.
    pub alike: usize,
    /// Targets met in the first and in the second run, by era and casting, where they differ.
    pub coverage: Vec<(String, usize, usize)>,
}

impl Outcome {
    fn of(case: &CaseRecord) -> Self {
        match (&case.verdict, &case.deviation) {
            (Verdict::Pass, _) => Self::Passes,
            (Verdict::Fail(_), Some(_)) => Self::Deviates,
            (Verdict::Fail(_), None) => Self::Fails,
            (Verdict::Inconclusive { .. }, _) => Self::Inconclusive,
            (Verdict::Skipped { .. }, _) => Self::Skipped,
            (Verdict::NotJudged { .. }, _) => Self::NotJudged,
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::Passes => "passes",
            Self::Deviates => "deviates as known",
            Self::Fails => "fails",
            Self::Inconclusive => "is inconclusive",
            Self::Skipped => "is skipped",
            Self::NotJudged => "is not judged",
            Self::NotPlayed => "is not played",
        }
    }
}

impl Change {
    /// Whether a case fails, or is left open, that did not before.
    pub fn is_worse(&self) -> bool {
        matches!(
            self.after,
            Outcome::Fails | Outcome::Inconclusive | Outcome::NotJudged
        )
    }
}

impl Comparison {
    /// Sets two runs side by side.
    pub fn of(before: &Record, after: &Record) -> Self {
        let (first, second) = (by_name(before), by_name(after));
        let mut comparison = Self {
            subjects: [before.run.subject.clone(), after.run.subject.clone()],
            changes: Vec::new(),
            alike: 0,
            coverage: coverage(before, after),
        };
        let mut names: Vec<&str> = first.keys().chain(second.keys()).copied().collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            let (one, other) = (first.get(name).copied(), second.get(name).copied());
            let outcome = |case: Option<&CaseRecord>| case.map_or(Outcome::NotPlayed, Outcome::of);
            let (before, after) = (outcome(one), outcome(other));
            if before == after {
                comparison.alike += 1;
                continue;
            }
            let failure = other.and_then(CaseRecord::failure);
            let failure = failure.or_else(|| one.and_then(CaseRecord::failure));
            comparison.changes.push(Change {
                case: name.to_owned(),
                before,
                after,
                check: failure.map(|failure| failure.mismatch.check.to_string()),
            });
        }
        comparison.changes.sort_by_key(|change| !change.is_worse());
        comparison
    }

    /// Whether something fails, or is left open, that did not before.
    pub fn is_worse(&self) -> bool {
        self.changes.iter().any(Change::is_worse)
    }
}

fn by_name(record: &Record) -> BTreeMap<&str, &CaseRecord> {
    let cases = record.cases();
    cases.map(|(_, case)| (case.case.as_str(), case)).collect()
}

fn coverage(before: &Record, after: &Record) -> Vec<(String, usize, usize)> {
    let met = |suites: &[SuiteRecord]| -> BTreeMap<String, usize> {
        let place = |suite: &SuiteRecord| format!("{}/{}", suite.era, suite.casting);
        suites
            .iter()
            .map(|suite| (place(suite), suite.targets_met))
            .collect()
    };
    let (first, second) = (met(&before.suites), met(&after.suites));
    let mut places: Vec<&String> = first.keys().chain(second.keys()).collect();
    places.sort_unstable();
    places.dedup();
    let in_both = |place: &String| {
        let met = |suites: &BTreeMap<String, usize>| suites.get(place).copied().unwrap_or_default();
        (place.clone(), met(&first), met(&second))
    };
    let all = places.into_iter().map(in_both);
    all.filter(|(_, one, other)| one != other).collect()
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [before, after] = &self.subjects;
        writeln!(f, "{before} → {after}")?;
        for change in &self.changes {
            let mark = if change.is_worse() { "worse" } else { "other" };
            let (before, after) = (change.before.words(), change.after.words());
            let check = change.check.as_deref().unwrap_or("-");
            writeln!(
                f,
                "  {mark}  {:<58} {before} → {after}  ({check})",
                change.case
            )?;
        }
        for (place, one, other) in &self.coverage {
            writeln!(f, "  targets met in {place}: {one} → {other}")?;
        }
        let worse = self.changes.iter().filter(|change| change.is_worse());
        writeln!(
            f,
            "{} alike, {} changed, {} of them for the worse",
            self.alike,
            self.changes.len(),
            worse.count()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::sample;
    use super::*;

    #[test]
    fn what_gets_worse_is_told_first_and_what_is_mended_is_not_worse() {
        let (broken, mut mended) = (sample(), sample());
        mended.run.subject = "mine 2".to_owned();
        mended.suites[0].cases[1].verdict = Verdict::Pass;
        mended.suites[0].cases.remove(0);
        mended.suites[0].targets_met = 5;
        let better = Comparison::of(&broken, &mended);
        assert!(!better.is_worse());
        assert_eq!(better.changes.len(), 2);
        assert_eq!(better.coverage, [("sync/replica".to_owned(), 4, 5)]);
        let worse = Comparison::of(&mended, &broken);
        assert!(worse.is_worse());
        assert_eq!(worse.changes[0].case, "sync/replica/ask/2");
        assert_eq!(worse.changes[0].check.as_deref(), Some("request"));
        assert!(worse.to_string().contains("passes → fails  (request)"));
    }
}
