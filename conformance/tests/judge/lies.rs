//! A real server made wrong on the way by a proxy, in ways no fault of ours foresees.
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use psync_conformance::play::{MakeProxy, play_with};
use psync_conformance::profile::Profile;
use psync_conformance::proxy::{Honest, Lie, Proxy};
use psync_conformance::run::Suite;
use psync_conformance::verdict::{Check, Verdict};
use psync_model::case::Case;
use psync_model::casting::Casting;
use psync_model::rulebook::Era;
use psync_model::step::Step;

use crate::redis_server::has_redis;
use crate::support::suite;

/// How many cases are played for each lie, those first in which it can be told.
const CASES: usize = 12;

/// How many at a time.
const JOBS: usize = 4;

/// Plays cases through a proxy; returns the check of each failure, or `None` for each case that passed.
fn checks(
    cases: &[Case],
    proxy: &(dyn Fn(std::net::SocketAddr) -> std::io::Result<Proxy> + Sync),
) -> Vec<Option<Check>> {
    let profile = Profile::load("redis").unwrap();
    let (next, found) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|threads| {
        for _ in 0..JOBS {
            threads.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let make: MakeProxy<'_> = &|server| proxy(server);
                    let outcome = play_with(case, &profile, Some(make), |_, _| {}).unwrap();
                    let check = match outcome.verdict {
                        Verdict::Fail(failure) => Some(failure.mismatch.check),
                        Verdict::Pass => None,
                        other => panic!("{}: {other:?}", outcome.case),
                    };
                    found.lock().unwrap().push(check);
                }
            });
        }
    });
    found.into_inner().unwrap()
}

/// The first cases in which a step is followed by some other.
fn cases_with(suite: &Suite, first: fn(Step) -> bool, then: fn(Step) -> bool) -> Vec<Case> {
    let fits = |case: &&Case| {
        let mut steps = case.steps.iter();
        steps.any(|step| first(*step)) && steps.any(|step| then(*step))
    };
    let mut cases: Vec<Case> = suite.cases.iter().filter(fits).cloned().collect();
    cases.sort_by_key(|case| case.steps.len());
    cases.truncate(CASES);
    assert!(!cases.is_empty());
    cases
}

fn full_reply(step: Step) -> bool {
    matches!(step, Step::ReceiveFullResync { .. })
}

fn snapshot(step: Step) -> bool {
    matches!(step, Step::ReceiveSnapshot { .. })
}

fn continued(step: Step) -> bool {
    matches!(step, Step::ReceiveContinue { .. })
}

fn command(step: Step) -> bool {
    matches!(step, Step::Apply { .. })
}

#[test]
fn every_lie_in_front_of_a_real_server_is_named_for_what_it_is() {
    if !has_redis() {
        return;
    }
    let suite = suite(Era::Psync2V7, Casting::Primary);
    let after_snapshot = cases_with(&suite, full_reply, snapshot);
    let after_continue = cases_with(&suite, continued, command);
    let snapshot_then_command = cases_with(&suite, snapshot, command);
    let table = [
        (
            Lie::DropByteAfterContinue,
            &after_continue,
            &[Check::Stream][..],
        ),
        (Lie::EmptySnapshot, &after_snapshot, &[Check::SnapshotData]),
        (Lie::AlwaysContinue, &after_snapshot, &[Check::Answer]),
        (
            Lie::OffsetPlusOne,
            &after_snapshot,
            &[Check::AnnouncedOffset],
        ),
        (Lie::SameId, &after_snapshot, &[Check::AnnouncedId]),
        (
            Lie::LineEndAfterSnapshot,
            &snapshot_then_command,
            &[Check::Stream, Check::StreamGate],
        ),
        (Lie::ErrorInStream, &after_continue, &[Check::Stream]),
    ];
    for (lie, cases, expected) in table {
        let found = checks(cases, &move |server| Proxy::lying(server, lie));
        eprintln!("{lie:?}: {found:?}");
        assert!(found.iter().any(Option::is_some), "{lie:?} is never found");
        let unfit = found
            .iter()
            .flatten()
            .find(|check| !expected.contains(check));
        assert_eq!(unfit, None, "{lie:?}");
    }
    let found = checks(&after_continue, &|server| {
        Proxy::start(server, || Box::new(Honest))
    });
    assert!(
        found.iter().all(Option::is_none),
        "an honest proxy: {found:?}"
    );
}
