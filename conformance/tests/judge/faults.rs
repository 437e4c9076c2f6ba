//! Our own server with one rule wrong, for each rule that can be wrong: it must fail, and at a check that names it.
//!
//! The judge is told nothing: the fault is a word in the command that starts the subject.
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use psync_conformance::flaws;
use psync_conformance::run::run;
use psync_conformance::verdict::{Check, Failure, Verdict};
use psync_model::case::Case;
use psync_model::casting::Casting;
use psync_model::fault::{FAULTS, Fault, named};
use psync_model::rulebook::Era;
use psync_model::step::Step;
use psync_model::world::{NodeId, Topology};
use psync_server::faults as server;

use crate::support::{JOBS, embedded, program, suite};

/// How long a wrong server may take for what is due; a right one takes some milliseconds.
const OBSERVE_MS: u64 = 1_500;

/// How long it may take at most, before what did not happen is called a failure.
const PATIENT_MS: u64 = 10_000;

/// The checks at which each fault may come to light; which of them it is depends on what is seen first.
const EXPECTED: &[(&str, &[Check])] = &[
    ("backlog-upper-bound-exclusive", &[Check::Answer]),
    ("backlog-upper-bound-one-beyond", &[Check::Answer]),
    ("backlog-upper-bound-by-size", &[Check::Answer]),
    ("backlog-lower-bound-ignored", &[Check::Answer]),
    ("replication-id-not-checked", &[Check::Answer]),
    ("secondary-limit-one-short", &[Check::Answer]),
    ("secondary-limit-ignored", &[Check::Answer]),
    ("label-at-request", &[Check::AnnouncedOffset]),
    ("full-resync-offset-one-more", &[Check::AnnouncedOffset]),
    ("attach-label-current", &[Check::AnnouncedOffset]),
    ("attach-loses-pending", &[Check::Stream, Check::Progress]),
    (
        "accumulation-starts-late",
        &[Check::Stream, Check::Progress],
    ),
    (
        "expired-backlog-keeps-id",
        &[Check::ReplicationId, Check::SecondaryId],
    ),
    ("backlog-birth-skips-no-byte", &[Check::Answer]),
    ("primary-adopts-saved-id", &[Check::ReplicationId]),
    ("backlog-differs-from-stream", &[Check::Stream]),
    ("stream-before-first-acknowledgement", &[Check::StreamGate]),
    ("last-command-withheld", &[Check::Progress]),
    ("uncounted-byte-in-stream", &[Check::Stream]),
    ("request-not-plus-one", &[Check::Request]),
    ("half-command-counted", &[Check::Request]),
    ("label-adopted-before-load", &[Check::Request]),
    ("data-discarded-before-snapshot", &[Check::Data]),
    ("restart-label-too-new", &[Check::SnapshotLabel]),
    ("continue-id-not-adopted", &[Check::ReplicationId]),
    ("offset-reset-on-continue", &[Check::Offset]),
    ("cached-primary-lost", &[Check::Request]),
    (
        "no-acknowledgement-after-continue",
        &[Check::Progress, Check::Acknowledgement],
    ),
    ("acknowledges-unapplied", &[Check::Acknowledgement]),
    ("same-id-after-promotion", &[Check::ReplicationId]),
    ("former-id-forgotten-at-promotion", &[Check::SecondaryId]),
    ("promotion-frees-backlog", &[Check::Backlog]),
    ("demotion-loses-offset", &[Check::Request, Check::Offset]),
    ("full-load-keeps-replicas", &[Check::ReplicaState]),
    ("no-backlog-after-continue", &[Check::Backlog]),
    ("label-lost-on-passing-error", &[Check::Request]),
    ("sync-fallback-keeps-id", &[Check::Request]),
    ("transaction-counted-by-command", &[Check::Offset]),
    ("transaction-left-open", &[Check::Stream, Check::Progress]),
    ("full-resync-without-select", &[Check::Stream]),
    ("stream-database-not-saved", &[Check::Data]),
    ("promotion-without-select", &[Check::Stream]),
    ("backlog-birth-keeps-id", &[Check::ReplicaState]),
    ("renaming-keeps-replicas", &[Check::ReplicaState]),
];

/// The faults that show only where every node is a subject, and the rule that must be driven for it. They are looked for
/// in the cases that drive it, the shortest first.
const WHOLE: &[(&str, &str)] = &[
    ("same-id-after-promotion", "promote"),
    ("former-id-forgotten-at-promotion", "promote"),
    ("promotion-frees-backlog", "promote"),
    ("demotion-loses-offset", "follow"),
    ("full-load-keeps-replicas", "receive-snapshot"),
    ("no-backlog-after-continue", "restart-replica"),
    ("transaction-counted-by-command", "transact"),
    ("transaction-left-open", "follow-in-transaction"),
    ("full-resync-without-select", "write-elsewhere"),
];

/// Whether a case of its own looks for it.
fn is_deep(fault: &Fault) -> bool {
    flaws::DEEP.iter().any(|(name, _)| *name == fault.name)
}

/// A case that failed, the number of its steps, and how.
type Found = (String, usize, Box<Failure>);

/// The first case that a server with this fault fails. On a busy machine a step may be late without being
/// wrong: a failure that may be of that kind counts only if it is the first with the full wait too.
fn first_failure(fault: &Fault) -> Option<Found> {
    let found = first_failure_within(fault, OBSERVE_MS)?;
    match found.2.mismatch.check {
        Check::Progress | Check::ReplicaState | Check::LinkState => {
            first_failure_within(fault, PATIENT_MS)
        }
        _ => Some(found),
    }
}

fn first_failure_within(fault: &Fault, observe_ms: u64) -> Option<Found> {
    let era = fault.home();
    let rule = WHOLE.iter().find(|(name, _)| *name == fault.name);
    let casting = match fault.side {
        _ if rule.is_some() || is_deep(fault) => Casting::Whole,
        NodeId::Primary => Casting::Primary,
        _ => Casting::Replica,
    };
    let mut suite = suite(era, casting);
    if let Some((_, rule)) = rule {
        let drives = |case: &Case| case.steps.iter().any(|step| step.rule_name() == *rule);
        suite.cases.retain(drives);
    } else if is_deep(fault) {
        let against = format!("/{}/", fault.name);
        suite.cases.retain(|case| case.header.id.contains(&against));
    }
    suite.cases.sort_by_key(|case| case.steps.len());
    let profile = embedded(era, &["--fault", fault.name], observe_ms);
    let (stop, mut found) = (AtomicBool::new(false), None);
    run(&suite, &profile, JOBS, &stop, |outcome| {
        if let Verdict::Fail(failure) = &outcome.verdict {
            let steps = suite.case(&outcome.case).map_or(0, |case| case.steps.len());
            found = Some((outcome.case.clone(), steps, failure.clone()));
            stop.store(true, Ordering::Relaxed);
        }
    });
    found
}

#[test]
fn every_fault_fails_at_a_check_that_names_the_broken_rule() {
    let mut unfit = Vec::new();
    for fault in FAULTS {
        let started = Instant::now();
        let found = first_failure(fault);
        let ms = started.elapsed().as_millis();
        let Some((case, steps, failure)) = found else {
            eprintln!("{:<38} NOT FOUND {ms} ms", fault.name);
            unfit.push(fault.name);
            continue;
        };
        let check = failure.mismatch.check;
        eprintln!(
            "{:<38} {check:<17} at {} of {case} ({steps} steps) in {ms} ms: expected {:.120}, came {:.120}",
            fault.name, failure.step, failure.mismatch.allowed, failure.mismatch.came
        );
        let expected = EXPECTED.iter().find(|(name, _)| *name == fault.name);
        let fits = expected.is_some_and(|(_, checks)| checks.contains(&check));
        if !fits {
            unfit.push(fault.name);
        }
    }
    assert!(
        unfit.is_empty(),
        "not found, or at an unfitting check: {unfit:?}"
    );
}

#[test]
fn what_the_model_says_is_replayed_is_found_on_a_pair() {
    for (fault, rule) in WHOLE {
        let fault = named(fault).expect("a fault of this name");
        assert!(!fault.is_replayed(), "{}", fault.name);
        let mut steps = Step::among(Topology::Pair).into_iter();
        assert!(steps.any(|step| step.rule_name() == *rule), "{rule}");
    }
}

#[test]
fn model_and_server_can_be_wrong_in_the_same_ways() {
    let names = |faults: &mut dyn Iterator<Item = &'static str>| {
        let mut names: Vec<_> = faults.collect();
        names.sort_unstable();
        names
    };
    assert_eq!(
        names(&mut FAULTS.iter().map(|fault| fault.name)),
        names(&mut server::FAULTS.iter().map(|fault| fault.name)),
    );
    for era in Era::ALL {
        let theirs = era.name().parse().expect("the server has every era");
        for fault in FAULTS.iter().filter(|fault| fault.in_era(era).is_some()) {
            let had = server::rulebook_with(theirs, fault.name);
            assert!(had.is_ok(), "{} in {era}: {had:?}", fault.name);
        }
    }
}

#[test]
fn the_printed_command_reproduces_a_failure() {
    let folder = tempfile::tempdir().unwrap();
    let run = std::process::Command::new(crate::support::PROGRAM)
        .args([
            "run",
            "--era",
            "psync2-v7",
            "--casting",
            "replica",
            "--fault",
            "request-not-plus-one",
        ])
        .args(["--fail-fast", "--filter", "/ask/"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert_eq!(run.status.code(), Some(1));
    let text = String::from_utf8(run.stdout).unwrap();
    let printed = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("replay "));
    let words: Vec<&str> = printed.unwrap().split_whitespace().skip(1).collect();
    let again = std::process::Command::new(crate::support::PROGRAM)
        .args(&words)
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8(again.stdout).unwrap().contains("FAIL "));
    assert_eq!(
        program(&["replay", "no-such-file.jsonl"]).status.code(),
        Some(2)
    );
}
