//! For a build server: the run as `JUnit` XML, a suite for each era and casting.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::record::{CaseRecord, Record, SuiteRecord};
use super::text;
use crate::verdict::{Failure, Verdict};

/// The run as XML.
pub fn xml(record: &Record) -> Result<String, quick_junit::SerializeError> {
    let mut report = Report::new(format!("psync-conformance: {}", record.run.subject));
    for suite in &record.suites {
        report.add_test_suite(test_suite(suite));
    }
    for sweep in &record.sweeps {
        report.add_test_suite(sweep.test_suite());
    }
    report.to_string()
}

fn test_suite(suite: &SuiteRecord) -> TestSuite {
    let mut tests = TestSuite::new(format!("{}/{}", suite.era, suite.casting));
    tests.set_time(Duration::from_millis(suite.elapsed_ms));
    for case in &suite.cases {
        let mut test = TestCase::new(case.case.clone(), status(case));
        test.set_classname(format!("{}.{}", suite.era, suite.casting));
        test.set_time(Duration::from_millis(case.elapsed_ms));
        if let Some(failure) = case.failure() {
            test.set_system_out(story(case, failure));
        }
        tests.add_test_case(test);
    }
    tests
}

fn status(case: &CaseRecord) -> TestCaseStatus {
    match (&case.verdict, &case.deviation) {
        (Verdict::Pass, _) => TestCaseStatus::success(),
        (Verdict::Fail(_), Some(reason)) => known(reason),
        (Verdict::Fail(failure), None) => {
            let check = failure.mismatch.check;
            let message = format!("{check}: {}", check.sentence());
            not(NonSuccessKind::Failure, message)
        }
        (Verdict::Inconclusive { at, reason }, _) => {
            let message = format!("inconclusive at step {}: {reason}", at + 1);
            not(NonSuccessKind::Error, message)
        }
        (Verdict::NotJudged { reason }, _) => {
            not(NonSuccessKind::Error, format!("the judge failed: {reason}"))
        }
        (Verdict::Skipped { missing }, _) => {
            skipped(format!("the subject does not offer {missing:?}"))
        }
    }
}

/// A test that fails as it is known to.
pub(super) fn known(reason: &str) -> TestCaseStatus {
    skipped(format!("known deviation: {reason}"))
}

fn skipped(message: String) -> TestCaseStatus {
    let mut status = TestCaseStatus::skipped();
    status.set_message(message);
    status
}

/// A test that does not succeed, with its reason.
pub(super) fn not(kind: NonSuccessKind, message: String) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind);
    status.set_message(message);
    status
}

fn story(case: &CaseRecord, failure: &Failure) -> String {
    let told = case.plan().map(|plan| {
        let again = format!("psync-conformance replay {}", case.case);
        text::failure(&plan, failure, &again)
    });
    told.unwrap_or_else(|| format!("{:?}", failure.mismatch))
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::sample;

    #[test]
    fn a_build_server_sees_what_passed_and_what_did_not() {
        let xml = super::xml(&sample()).unwrap();
        assert!(xml.contains("tests=\"2\" skipped=\"0\" failures=\"1\" errors=\"0\""));
        assert!(xml.contains("psync-conformance: mine &amp; yours"));
        assert!(xml.contains("request: a replica asks for the byte after the last it has"));
        assert!(xml.contains("SYNC\\r\\n"));
    }
}
