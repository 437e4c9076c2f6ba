//! A server that is right passes: a sample of the cases of each era and casting, evenly spread.
use std::sync::atomic::AtomicBool;

use psync_conformance::run::{Suite, run};
use psync_conformance::verdict::Verdict;
use psync_model::casting::Casting;
use psync_model::rulebook::Era;

use crate::support::{JOBS, embedded, suite};

/// How many cases of each suite are played here; all of them are in the main job.
const SAMPLE: usize = 8;

/// The same where every node is a subject, which takes longer.
const SAMPLE_OF_WHOLE: usize = 3;

/// How many random walks of each era and casting are played here, and where they begin.
const WALKS: u64 = 3;
const SEED: u64 = 1;

/// In this walk of a replica of `psync` a new backlog skips a byte under a name that goes on.
const SKIPS_A_BYTE: u64 = 305_459_387;

#[test]
fn our_own_server_passes_a_sample_of_every_suite() {
    for era in Era::ALL {
        for casting in Casting::ALL {
            let mut suite = suite(era, casting);
            let sample = match casting {
                Casting::Whole => SAMPLE_OF_WHOLE,
                _ => SAMPLE,
            };
            let every = suite.cases.len().div_ceil(sample);
            suite.cases = suite.cases.into_iter().step_by(every).collect();
            let profile = embedded(era, &[], 10_000);
            let report = run(&suite, &profile, JOBS, &AtomicBool::new(false), |_| {});
            assert_eq!(report.outcomes.len(), suite.cases.len());
            for outcome in &report.outcomes {
                assert_eq!(outcome.verdict, Verdict::Pass, "{}", outcome.case);
            }
        }
    }
}

#[test]
fn our_own_server_passes_random_walks() {
    let every = Era::ALL.into_iter().flat_map(|era| {
        Casting::ALL.map(|casting| Suite::of_walks(era, casting, false, SEED, WALKS))
    });
    let telling = Suite::of_walks(Era::Psync, Casting::Replica, false, SKIPS_A_BYTE, 1);
    for walks in every.chain([telling]) {
        let profile = embedded(walks.era, &[], 10_000);
        let report = run(&walks, &profile, JOBS, &AtomicBool::new(false), |_| {});
        assert_eq!(report.outcomes.len(), walks.cases.len());
        for outcome in &report.outcomes {
            assert_eq!(outcome.verdict, Verdict::Pass, "{}", outcome.case);
        }
    }
}
