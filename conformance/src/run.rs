//! A run: the cases of an era and a casting, played on one subject, several at a time, and what they covered.
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, mpsc};
use std::thread;

use psync_model::case::{Case, cases};
use psync_model::casting::Casting;
use psync_model::cover::cover;
use psync_model::graph::Graph;
use psync_model::rulebook::Era;
use psync_model::scope;
use psync_model::search::Search;
use psync_model::situation::Target;
use psync_model::walk::End;

use crate::play::play;
use crate::profile::{ControlName, Profile};
use crate::verdict::{Outcome, Verdict};

/// The scope whose targets are driven on servers.
pub const SCOPE: &str = "replay";

/// The most worlds of a scope that plans are made from; `replay` has far fewer in every era.
const MAX_WORLDS: usize = 2_000_000;

/// Everything to be played on a subject in one era and one casting.
#[derive(Debug)]
pub struct Suite {
    /// The era.
    pub era: Era,
    /// The casting.
    pub casting: Casting,
    /// The cases.
    pub cases: Vec<Case>,
    /// Every target that the casting can reach in the scope.
    pub targets: BTreeSet<Target>,
    /// How many worlds and edges of the specification the cases were made from.
    pub explored: (usize, usize),
}

/// Derives the suites of an era from the specification.
pub fn suites(era: Era, castings: &[Casting]) -> anyhow::Result<Vec<Suite>> {
    let named = scope::named(SCOPE)
        .ok_or_else(|| anyhow::anyhow!("the model has no scope called {SCOPE}"))?;
    let search = Search::new(era.rulebook(), named.scope);
    let graph = Graph::explore(&search, MAX_WORLDS);
    anyhow::ensure!(
        graph.end == End::Complete,
        "the scope {SCOPE} has more than {MAX_WORLDS} worlds in era {era}"
    );
    let broken = graph
        .worlds
        .iter()
        .filter(|world| world.broken != 0)
        .count();
    anyhow::ensure!(
        broken == 0,
        "the specification breaks its own properties in {broken} worlds of era {era}"
    );
    let suite = |&casting: &Casting| {
        let cover = cover(&search, &graph, casting);
        let cases = cases(era, named.scope, casting, &cover);
        Suite {
            era,
            casting,
            cases,
            targets: cover.targets,
            explored: (graph.worlds.len(), graph.edges()),
        }
    };
    Ok(castings.iter().map(suite).collect())
}

/// What a run found.
#[derive(Debug)]
pub struct Report {
    /// The era.
    pub era: Era,
    /// The casting.
    pub casting: Casting,
    /// The verdicts, in the order of the cases.
    pub outcomes: Vec<Outcome>,
    /// The targets to be met.
    pub targets: BTreeSet<Target>,
    /// How long it took, in milliseconds.
    pub elapsed_ms: u64,
}

/// How many cases came to what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Everything was allowed.
    pub passed: usize,
    /// Something was not.
    pub failed: usize,
    /// The subject went another way than the plan.
    pub inconclusive: usize,
    /// A control is missing.
    pub skipped: usize,
}

impl Report {
    /// How many cases came to what.
    pub fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        for outcome in &self.outcomes {
            *match outcome.verdict {
                Verdict::Pass => &mut tally.passed,
                Verdict::Fail(_) => &mut tally.failed,
                Verdict::Inconclusive { .. } => &mut tally.inconclusive,
                Verdict::Skipped { .. } => &mut tally.skipped,
            } += 1;
        }
        tally
    }

    /// The targets that were met.
    pub fn met(&self) -> BTreeSet<Target> {
        self.outcomes
            .iter()
            .flat_map(|outcome| outcome.met.intersection(&self.targets))
            .copied()
            .collect()
    }

    /// For each missing control, how many targets no other case met.
    pub fn skipped_targets(&self, cases: &[Case]) -> BTreeMap<ControlName, usize> {
        let met = self.met();
        let setting = |case: &Case| case.setting().ok();
        let mut missing: BTreeMap<ControlName, BTreeSet<Target>> = BTreeMap::new();
        for outcome in &self.outcomes {
            let Verdict::Skipped { missing: control } = outcome.verdict else {
                continue;
            };
            let Some(case) = cases.iter().find(|case| case.header.id == outcome.case) else {
                continue;
            };
            let Some(setting) = setting(case) else {
                continue;
            };
            let worlds = psync_model::cover::run(&setting, &case.steps);
            let targets = worlds
                .iter()
                .zip(&case.steps)
                .filter_map(|(world, step)| Target::of(self.casting, world, *step));
            missing
                .entry(control)
                .or_default()
                .extend(targets.filter(|target| !met.contains(target)));
        }
        missing
            .into_iter()
            .map(|(control, targets)| (control, targets.len()))
            .collect()
    }
}

/// Plays cases on a subject, `jobs` at a time. `watch` is told of each outcome as it comes and may set `stop`, as
/// anybody else may: that ends the run after the cases in hand, whose outcomes no longer count.
pub fn run(
    suite: &Suite,
    profile: &Profile,
    jobs: usize,
    stop: &AtomicBool,
    mut watch: impl FnMut(&Outcome),
) -> anyhow::Result<Report> {
    let started = std::time::Instant::now();
    let next = AtomicUsize::new(0);
    let (send, receive) = mpsc::channel();
    let sender = Mutex::new(send);
    let mut outcomes: BTreeMap<usize, Outcome> = BTreeMap::new();
    thread::scope(|threads| {
        for _ in 0..jobs.max(1) {
            let send = sender
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .clone();
            let next = &next;
            threads.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    let Some(case) = suite.cases.get(place) else {
                        break;
                    };
                    if send.send((place, play(case, profile))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        for (place, outcome) in receive {
            if stop.load(Ordering::Relaxed) {
                continue;
            }
            match outcome {
                Ok(outcome) => {
                    watch(&outcome);
                    outcomes.insert(place, outcome);
                }
                Err(error) => {
                    stop.store(true, Ordering::Relaxed);
                    return Err(error);
                }
            }
        }
        Ok(())
    })?;
    Ok(Report {
        era: suite.era,
        casting: suite.casting,
        outcomes: outcomes.into_values().collect(),
        targets: suite.targets.clone(),
        elapsed_ms: started.elapsed().as_millis() as u64,
    })
}
