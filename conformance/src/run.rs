//! A run: the cases of an era and a casting, played on one subject, several at a time, and what they covered.
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use psync_model::case::{Case, cases};
use psync_model::casting::Casting;
use psync_model::cover::cover;
use psync_model::graph::Graph;
use psync_model::rulebook::Era;
use psync_model::scope::{self, Scope};
use psync_model::search::Search;
use psync_model::situation::Target;
use psync_model::step::Step;
use psync_model::walk::End;
use psync_model::world::World;

use crate::flaws;
use crate::play::{play, targets_from};
use crate::profile::{ControlName, Profile};
use crate::verdict::{Outcome, Verdict};
use crate::wander::walk;

/// The scope whose targets are driven on servers.
pub const SCOPE: &str = "replay";

/// The scope in which requests are answered with errors, which a played primary can do to a replica.
pub const ERRORS: &str = "errors";

/// The scopes in which every node is a subject, and the stranger stays away.
pub const WHOLE: [&str; 6] = [
    "handover",
    "failover",
    "chain",
    "restart",
    "databases",
    "succession",
];

/// The most worlds of a scope that plans are made from; `replay` has far fewer in every era.
const MAX_WORLDS: usize = 2_000_000;

/// How many worlds of a scope as shipped are looked at, the nearest first: what comes after harm has no end there.
const NEAREST_SHIPPED_WORLDS: usize = 200_000;

/// How many worlds of a scope in which every node is a subject are looked at, the nearest first.
const NEAREST_WORLDS: usize = 20_000;

/// Everything to be played on a subject in one era and one casting.
#[derive(Debug, Clone)]
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
    /// How often each case is played.
    pub repeat: u32,
}

impl Suite {
    /// Nothing to be played yet.
    fn empty(era: Era, casting: Casting) -> Self {
        Self {
            era,
            casting,
            cases: Vec::new(),
            targets: BTreeSet::new(),
            explored: (0, 0),
            repeat: 1,
        }
    }

    /// So many random walks from this seed on; they have no targets.
    #[must_use]
    pub fn of_walks(era: Era, casting: Casting, as_shipped: bool, seed: u64, number: u64) -> Self {
        let walks = (0..number).map(|n| walk(era, casting, as_shipped, seed.wrapping_add(n)));
        Self {
            cases: walks
                .filter(|walk| !as_shipped || has_bytes(walk))
                .collect(),
            ..Self::empty(era, casting)
        }
    }

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

    /// Adds what another scope has beyond `scope`, that of the cases so far: every case with a step that this one leaves
    /// out, since a situation looks the same after such a step as without it, and is not. Its targets are those that its
    /// plans meet in plain worlds: the other scope may forget what is on a disk, and a server does not.
    fn add(&mut self, other: Self, scope: &Scope) {
        self.explored.0 += other.explored.0;
        self.explored.1 += other.explored.1;
        let beyond = |case: &Case| case.steps.iter().any(|step| !scope.allows(*step));
        for case in other.cases.into_iter().filter(beyond) {
            self.targets.extend(targets_from(&case, 0));
            self.cases.push(case);
        }
    }

    /// Keeps every `count`-th case, beginning with the one at `place`, from 0: one machine's share of a run.
    pub fn keep_shard(&mut self, place: usize, count: usize) {
        let cases = std::mem::take(&mut self.cases);
        self.cases = cases.into_iter().skip(place).step_by(count).collect();
    }
}

/// Derives the suites of an era from the specification: the clean one, or, `as_shipped`, the one with the flaws that
/// servers of the era still have.
pub fn suites(era: Era, castings: &[Casting], as_shipped: bool) -> anyhow::Result<Vec<Suite>> {
    let mut suites = Vec::new();
    let has = |casting| castings.contains(&casting);
    if has(Casting::Primary) || has(Casting::Replica) {
        let replay = Explored::of(era, SCOPE, as_shipped)?;
        let of_pair = Casting::OF_PAIR.into_iter().filter(|casting| has(*casting));
        suites.extend(of_pair.map(|casting| replay.suite(casting)));
        if let Some(replica) = suites.last_mut().filter(|_| has(Casting::Replica)) {
            let errors = Explored::of(era, ERRORS, as_shipped)?;
            replica.add(errors.suite(Casting::Replica), &replay.scope);
            replica.cases.extend(errors.telling_case(Casting::Replica));
        }
    }
    if has(Casting::Whole) {
        suites.push(whole_suite(era, as_shipped)?);
    }
    Ok(suites)
}

/// The suite in which every node is a subject. The scopes overlap: each adds the cases that meet what those of the scopes
/// before do not. At the end come the mistakes that lie deeper than any of them is covered.
fn whole_suite(era: Era, as_shipped: bool) -> anyhow::Result<Suite> {
    let mut whole = Suite::empty(era, Casting::Whole);
    for scope in WHOLE {
        let other = Explored::nearest(era, scope, as_shipped)?.suite(Casting::Whole);
        whole.explored.0 += other.explored.0;
        whole.explored.1 += other.explored.1;
        for case in other.cases {
            let targets = targets_from(&case, 0);
            if !targets.is_subset(&whole.targets) {
                whole.targets.extend(targets);
                whole.cases.push(case);
            }
        }
    }
    if !as_shipped {
        for case in flaws::harming_cases(era) {
            whole.targets.extend(targets_from(&case, 0));
            whole.cases.push(case);
        }
    }
    Ok(whole)
}

/// The graph of a scope.
struct Explored {
    era: Era,
    as_shipped: bool,
    scope: Scope,
    search: Search,
    graph: Graph,
}

impl Explored {
    /// All of a scope; as shipped, its nearest worlds.
    fn of(era: Era, scope: &str, as_shipped: bool) -> anyhow::Result<Self> {
        if as_shipped {
            return Self::up_to(era, scope_named(scope)?, true, NEAREST_SHIPPED_WORLDS);
        }
        let explored = Self::up_to(era, scope_named(scope)?, false, MAX_WORLDS)?;
        anyhow::ensure!(
            explored.graph.end == End::Complete,
            "the scope {scope} has more than {MAX_WORLDS} worlds in era {era}"
        );
        Ok(explored)
    }

    /// The nearest worlds of a scope, without the stranger.
    fn nearest(era: Era, scope: &str, as_shipped: bool) -> anyhow::Result<Self> {
        let scope = Scope {
            stranger: false,
            ..scope_named(scope)?
        };
        Self::up_to(era, scope, as_shipped, NEAREST_WORLDS)
    }

    fn up_to(era: Era, scope: Scope, as_shipped: bool, most: usize) -> anyhow::Result<Self> {
        let clean = era.rulebook();
        let book = if as_shipped {
            clean.as_shipped()
        } else {
            clean
        };
        let search = Search::new(book, scope);
        let graph = Graph::explore(&search, most);
        let broken = graph.worlds.iter().filter(|world| world.broken != 0);
        let broken = broken.count();
        anyhow::ensure!(
            broken == 0 || as_shipped,
            "the specification breaks its own properties in {broken} worlds of era {era}"
        );
        Ok(Self {
            era,
            as_shipped,
            scope,
            search,
            graph,
        })
    }

    /// The case that tells the flaws of the era, if there is one.
    fn telling_case(&self, casting: Casting) -> Option<Case> {
        let steps = flaws::telling_plan(self.era, self.scope)?;
        let last = steps.last()?.to_string();
        let mut case = Case::named(self.era, self.scope, casting, &last, steps);
        case.header.as_shipped = self.as_shipped;
        Some(case)
    }

    fn suite(&self, casting: Casting) -> Suite {
        let cover = cover(&self.search, &self.graph, casting);
        let mut cases = cases(self.era, self.scope, casting, &cover);
        for case in &mut cases {
            case.header.as_shipped = self.as_shipped;
        }
        cases.retain(|case| !self.as_shipped || has_bytes(case));
        Suite {
            cases,
            targets: cover.targets,
            explored: (self.graph.worlds.len(), self.graph.edges()),
            ..Suite::empty(self.era, casting)
        }
    }
}

fn scope_named(name: &str) -> anyhow::Result<Scope> {
    let named = scope::named(name);
    let named = named.ok_or_else(|| anyhow::anyhow!("the model has no scope called {name}"))?;
    Ok(named.scope)
}

/// Whether every label of the plan can be told in bytes. A copy by SYNC, as shipped, is numbered from -1, and from its
/// first command on no unit of that numbering is a command boundary of the history whose name it has.
fn has_bytes(case: &Case) -> bool {
    let Ok(setting) = case.setting() else {
        return false;
    };
    let worlds = psync_model::cover::run(&setting, case.header.scope.topology, &case.steps);
    let reads = |step: &Step| matches!(step, Step::Apply { .. } | Step::ReadHead { .. });
    let by_sync =
        |world: &World, step: &Step| world.link(step.node()).with_sync && setting.book.has_psync();
    let mut steps = worlds.iter().zip(&case.steps);
    !steps.any(|(world, step)| reads(step) && by_sync(world, step))
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
    /// How many others there would be for a subject that drops its data before it looks at the snapshot for which it does.
    pub spared: usize,
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
        let mut missing: BTreeMap<ControlName, BTreeSet<Target>> = BTreeMap::new();
        for outcome in &self.outcomes {
            let Verdict::Skipped { missing: control } = outcome.verdict else {
                continue;
            };
            let Some(case) = cases.iter().find(|case| case.header.id == outcome.case) else {
                continue;
            };
            let targets = targets_from(case, 0);
            missing
                .entry(control)
                .or_default()
                .extend(targets.difference(&met));
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
    let play = |place: usize| {
        let once = || play_or_note(&suite.cases[place], profile);
        repeatedly(suite.repeat, stop, once)
    };
    let count = suite.cases.len();
    let outcomes = in_parallel(count, jobs, stop, until, play, |_, outcome| watch(outcome));
    let outcomes: Vec<Outcome> = outcomes.into_values().collect();
    let of_all = |part: fn(&Outcome) -> &BTreeSet<Target>| -> BTreeSet<Target> {
        outcomes.iter().flat_map(part).copied().collect()
    };
    let (met, spared) = (
        of_all(|outcome| &outcome.met),
        of_all(|outcome| &outcome.spared),
    );
    let is_due = |target: &&Target| met.contains(target) || !spared.contains(target);
    let targets: BTreeSet<Target> = suite.targets.iter().filter(is_due).copied().collect();
    Report {
        era: suite.era,
        casting: suite.casting,
        outcomes,
        spared: suite.targets.len() - targets.len(),
        targets,
        elapsed_ms: started.elapsed().as_millis() as u64,
    }
}

/// Does the work of each place below `count`, `jobs` at a time, and begins none after a moment. `watch` is told of each
/// result as it comes, unless somebody has set `stop`: that ends it all after what is in hand, which no longer counts.
pub fn in_parallel<T: Send>(
    count: usize,
    jobs: usize,
    stop: &AtomicBool,
    until: Option<Instant>,
    work: impl Fn(usize) -> T + Sync,
    mut watch: impl FnMut(usize, &T),
) -> BTreeMap<usize, T> {
    let next = AtomicUsize::new(0);
    let (send, receive) = mpsc::channel();
    let mut results = BTreeMap::new();
    thread::scope(|threads| {
        for _ in 0..jobs.max(1) {
            let (send, next, work) = (send.clone(), &next, &work);
            threads.spawn(move || {
                let over = || until.is_some_and(|until| Instant::now() >= until);
                while !stop.load(Ordering::Relaxed) && !over() {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    if place >= count || send.send((place, work(place))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(send);
        for (place, result) in receive {
            if !stop.load(Ordering::Relaxed) {
                watch(place, &result);
                results.insert(place, result);
            }
        }
    });
    results
}

/// Plays a case so often. Where it does not come to the same every time, nothing is known.
fn repeatedly(times: u32, stop: &AtomicBool, mut play: impl FnMut() -> Outcome) -> Outcome {
    let mut first = play();
    for time in 1..times {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let next = play();
        first.elapsed_ms += next.elapsed_ms;
        let (one, other) = (first.verdict.summary(), next.verdict.summary());
        if one != other {
            first.verdict = Verdict::NotJudged {
                reason: format!("{one} {time} times, and then {other}"),
            };
            break;
        }
    }
    first
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
        spared: BTreeSet::new(),
        elapsed_ms: started.elapsed().as_millis() as u64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_that_does_not_come_to_the_same_every_time_is_not_judged() {
        let of = |verdict: Verdict| Outcome {
            case: "a case".to_owned(),
            verdict,
            met: BTreeSet::new(),
            spared: BTreeSet::new(),
            elapsed_ms: 2,
        };
        let parted = Verdict::Inconclusive {
            at: 3,
            reason: "it went another way".to_owned(),
        };
        let (go_on, mut played) = (AtomicBool::new(false), 0);
        let outcome = repeatedly(5, &go_on, || {
            played += 1;
            of(if played == 3 {
                parted.clone()
            } else {
                Verdict::Pass
            })
        });
        let reason = "passed 2 times, and then inconclusive at step 4".to_owned();
        assert_eq!(outcome.verdict, Verdict::NotJudged { reason });
        assert_eq!((played, outcome.elapsed_ms), (3, 6));
        let steady = repeatedly(5, &go_on, || of(Verdict::Pass));
        assert_eq!((steady.verdict, steady.elapsed_ms), (Verdict::Pass, 10));
    }
}
