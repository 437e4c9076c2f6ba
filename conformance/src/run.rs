//! A run: the cases of an era and a casting, played on one subject, several at a time, and what they covered.
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::Instant;

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

impl Suite {
    /// The case of this name.
    pub fn case(&self, id: &str) -> Option<&Case> {
        self.cases.iter().find(|case| case.header.id == id)
    }

    /// Puts first the cases that together show every rule and branch, for whoever has no time for all of them.
    pub fn put_most_telling_first(&mut self) {
        let rules_of = |case: &Case| -> BTreeSet<String> {
            case.steps.iter().map(ToString::to_string).collect()
        };
        let mut rest: Vec<(Case, BTreeSet<String>)> = std::mem::take(&mut self.cases)
            .into_iter()
            .map(|case| {
                let rules = rules_of(&case);
                (case, rules)
            })
            .collect();
        let mut seen = BTreeSet::new();
        loop {
            let news = |at: &usize| rest[*at].1.difference(&seen).count();
            let best = (0..rest.len()).rev().max_by_key(news);
            let Some(best) = best.filter(|at| news(at) > 0) else {
                break;
            };
            let (case, rules) = rest.remove(best);
            seen.extend(rules);
            self.cases.push(case);
        }
        self.cases.extend(rest.into_iter().map(|(case, _)| case));
    }

    /// Keeps every `count`-th case, beginning with the one at `place`, from 0: one machine's share of a run.
    pub fn keep_shard(&mut self, place: usize, count: usize) {
        let cases = std::mem::take(&mut self.cases);
        self.cases = cases.into_iter().skip(place).step_by(count).collect();
    }
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

impl Report {
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
            let worlds = psync_model::cover::run(&setting, case.header.scope.topology, &case.steps);
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
    watch: impl FnMut(&Outcome),
) -> Report {
    run_until(suite, profile, jobs, stop, None, watch)
}

/// The same, where no case is begun after a moment.
pub fn run_until(
    suite: &Suite,
    profile: &Profile,
    jobs: usize,
    stop: &AtomicBool,
    until: Option<Instant>,
    mut watch: impl FnMut(&Outcome),
) -> Report {
    let started = Instant::now();
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
                let over = || until.is_some_and(|until| Instant::now() >= until);
                while !stop.load(Ordering::Relaxed) && !over() {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    let Some(case) = suite.cases.get(place) else {
                        break;
                    };
                    if send.send((place, play_or_note(case, profile))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        for (place, outcome) in receive {
            if !stop.load(Ordering::Relaxed) {
                watch(&outcome);
                outcomes.insert(place, outcome);
            }
        }
    });
    Report {
        era: suite.era,
        casting: suite.casting,
        outcomes: outcomes.into_values().collect(),
        targets: suite.targets.clone(),
        elapsed_ms: started.elapsed().as_millis() as u64,
    }
}

/// Plays a case. If the harness fails at it, that is what becomes of this case: the others are played all the same.
fn play_or_note(case: &Case, profile: &Profile) -> Outcome {
    let started = Instant::now();
    play(case, profile).unwrap_or_else(|error| Outcome {
        case: case.header.id.clone(),
        verdict: Verdict::NotJudged {
            reason: format!("{error:#}"),
        },
        met: BTreeSet::new(),
        elapsed_ms: started.elapsed().as_millis() as u64,
    })
}
