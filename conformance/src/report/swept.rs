//! A sweep in a report: its record, its line at the terminal, its part of the page and its tests for a build server.
use std::fmt::Write as _;
use std::time::Duration;

use maud::{Markup, html};
use psync_model::casting::Casting;
use psync_model::rulebook::Era;
use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};
use serde::{Deserialize, Serialize};

use super::junit::{known, not};
use crate::deviation::Deviation;
use crate::profile::Profile;
use crate::sweep::Wrong;

/// One conversation, held again and again with the network failing at another byte each time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweepRecord {
    /// The era.
    pub era: Era,
    /// The place of the subject; our own server is in the other.
    pub casting: Casting,
    /// How many bytes lie between two places.
    pub every: u64,
    /// At how many places nothing came of it.
    pub right: usize,
    /// How many were not reached, as fewer bytes came.
    pub missed: usize,
    /// At how many the harness itself failed.
    pub not_judged: usize,
    /// What went wrong, those that are alike as one.
    pub wrong: Vec<WrongRecord>,
    /// How long it took, in milliseconds.
    pub elapsed_ms: u64,
}

/// What went wrong in the same way at some places.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrongRecord {
    /// Its address: `<era>/<casting>/sweep/<requirement>`.
    pub check: String,
    /// The sentence of the requirement, with its source.
    pub requirement: String,
    /// Where: how the network failed, and after which bytes.
    pub place: String,
    /// At how many places.
    pub places: usize,
    /// What was expected and what came, at the first of them.
    pub story: String,
    /// The command that does it again.
    pub again: String,
    /// Why it was expected of this subject, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deviation: Option<String>,
}

impl WrongRecord {
    /// What went wrong at this place, and alike at others.
    pub fn of(
        (era, casting): (Era, Casting),
        wrong: &Wrong,
        place: String,
        places: usize,
        again: String,
        profile: &Profile,
    ) -> Self {
        let required = &wrong.required;
        let check = format!("{era}/{casting}/sweep/{}", required.name());
        let mut known = profile.deviations.iter();
        let known = known.find(|known| known.explains(&check, &wrong.story, &[]));
        Self {
            requirement: format!("{} ({})", required.sentence(), required.source()),
            place,
            places,
            story: wrong.story.clone(),
            again,
            deviation: known.map(Deviation::told),
            check,
        }
    }
}

impl SweepRecord {
    /// Whether nothing came of any failure that was not known to.
    pub fn conforms(&self) -> bool {
        self.not_judged == 0 && self.wrong.iter().all(|wrong| wrong.deviation.is_some())
    }

    /// How many places were tried.
    fn tried(&self) -> usize {
        let wrong: usize = self.wrong.iter().map(|wrong| wrong.places).sum();
        self.right + wrong + self.missed + self.not_judged
    }

    /// What came of it, in one line.
    pub fn line(&self) -> String {
        let mut line = format!(
            "{:<10} {:<8} sweep: the network failed at {} places, one in {} bytes; right {}",
            self.era.name(),
            self.casting.name(),
            self.tried(),
            self.every,
            self.right
        );
        let (known, wrong): (Vec<_>, Vec<_>) = self
            .wrong
            .iter()
            .partition(|wrong| wrong.deviation.is_some());
        let count = |some: &[&WrongRecord]| some.iter().map(|wrong| wrong.places).sum::<usize>();
        let others = [
            ("wrong", count(&wrong)),
            ("deviating", count(&known)),
            ("not reached", self.missed),
            ("not judged", self.not_judged),
        ];
        for (word, number) in others.into_iter().filter(|(_, number)| *number > 0) {
            // Writing into a string does not fail.
            let _ = write!(line, ", {word} {number}");
        }
        line
    }

    /// Its part of the page.
    pub(super) fn markup(&self) -> Markup {
        html! {
            details open[!self.conforms()] {
                summary { (self.line()) }
                @for wrong in &self.wrong {
                    p { b { code { (wrong.check) } } ": " (wrong.requirement) }
                    @if let Some(reason) = &wrong.deviation { p.note { "Known of this subject: " (reason) "." } }
                    p { (wrong.place) }
                    pre { (wrong.story) "\n  again     " (wrong.again) }
                }
            }
        }
    }

    /// Its tests: one for each thing that went wrong, and one for the rest.
    pub(super) fn test_suite(&self) -> TestSuite {
        let name = format!("{}/{}/sweep", self.era, self.casting);
        let mut tests = TestSuite::new(name.clone());
        tests.set_time(Duration::from_millis(self.elapsed_ms));
        for wrong in &self.wrong {
            let status = match &wrong.deviation {
                Some(reason) => known(reason),
                None => not(NonSuccessKind::Failure, wrong.requirement.clone()),
            };
            let mut test = TestCase::new(wrong.check.clone(), status);
            test.set_classname(name.clone());
            test.set_system_out(format!("{}\n{}\n{}", wrong.place, wrong.story, wrong.again));
            tests.add_test_case(test);
        }
        let status = match self.not_judged {
            0 => TestCaseStatus::success(),
            number => not(
                NonSuccessKind::Error,
                format!("the judge failed at {number} places"),
            ),
        };
        let mut rest = TestCase::new(self.line(), status);
        rest.set_classname(name);
        tests.add_test_case(rest);
        tests
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(deviation: Option<&str>) -> SweepRecord {
        SweepRecord {
            era: Era::Psync2,
            casting: Casting::Replica,
            every: 3,
            right: 10,
            missed: 1,
            not_judged: 0,
            wrong: vec![WrongRecord {
                check: "psync2/replica/sweep/continuation".to_owned(),
                requirement: "it is continued (PROTOCOL §3.1)".to_owned(),
                place: "cut in the primary's bytes after byte 7, 8".to_owned(),
                places: 2,
                story: "  expected  <a>\n  came      b".to_owned(),
                again: "psync-conformance sweep".to_owned(),
                deviation: deviation.map(str::to_owned),
            }],
            elapsed_ms: 5,
        }
    }

    #[test]
    fn what_is_known_of_a_subject_does_not_fail_it() {
        let (wrong, known) = (sample(None), sample(Some("so it is")));
        assert!(!wrong.conforms() && known.conforms());
        assert!(
            wrong
                .line()
                .ends_with("13 places, one in 3 bytes; right 10, wrong 2, not reached 1")
        );
        assert!(known.line().contains("deviating 2"));
    }

    #[test]
    fn the_page_tells_what_went_wrong_without_believing_it() {
        let page = sample(None).markup().into_string();
        assert!(
            page.contains("after byte 7, 8") && page.contains("&lt;a&gt;"),
            "{page}"
        );
    }
}
