//! Our own engine: a breadth-first walk over every edge of a scope.
//!
//! It keeps a 64-bit fingerprint, the parent and the step of each state, and whole states only at the edge of
//! what is explored. It gives what stateright does not: the shortest path to each violation, every edge,
//! which rules and branches ever fired, and an honest account of why it stopped.

use crate::search::Search;
use crate::step::Step;
use crate::world::World;
use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;

/// When to stop.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The most states to visit.
    pub max_states: usize,
    /// Whether to stop at the first violation, which is a nearest one.
    pub stop_at_violation: bool,
}

impl Limits {
    /// Everything, up to the first violation.
    pub const PROVE: Self = Self {
        max_states: u32::MAX as usize,
        stop_at_violation: true,
    };
}

/// Why a walk ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Every state of the scope was visited.
    Complete,
    /// The limit on states was reached.
    TooManyStates,
    /// A property was broken.
    Violated,
    /// Somebody who watches the progress said stop.
    Interrupted,
}

/// A broken property with a shortest way to break it.
#[derive(Clone, Debug)]
pub struct Violation {
    /// The properties the last step broke, as bits.
    pub broken: u32,
    /// The steps from the initial world.
    pub steps: Vec<Step>,
}

/// What a walk found.
#[derive(Debug)]
pub struct Walk {
    /// Distinct states.
    pub states: usize,
    /// Steps that applied, from whatever state to whatever state.
    pub edges: u64,
    /// The longest of the shortest paths.
    pub depth: usize,
    /// How often each rule and branch fired.
    pub fired: BTreeMap<Step, u64>,
    /// How many states have so many steps that apply, by that number; states that were not expanded to the end
    /// are left out.
    pub degrees: Vec<u64>,
    /// The violations, nearest first.
    pub violations: Vec<Violation>,
    /// Why it ended.
    pub end: End,
}

/// What a walk tells whoever watches it.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// States so far.
    pub states: usize,
    /// States waiting to be expanded.
    pub queue: usize,
    /// The depth reached.
    pub depth: usize,
}

/// A fingerprint of a world; equal worlds have equal ones, and the converse fails once in 2^64 pairs.
pub fn fingerprint(world: &World) -> u64 {
    world.pack().fingerprint()
}

/// The fingerprint is a hash already.
#[derive(Default, Clone, Copy)]
pub(crate) struct Passed(u64);

impl std::hash::Hasher for Passed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("only fingerprints, which are u64, are hashed here");
    }

    fn write_u64(&mut self, fingerprint: u64) {
        self.0 = fingerprint;
    }
}

type ByFingerprint = HashMap<u64, u32, std::hash::BuildHasherDefault<Passed>>;

/// How many states pass between two reports of progress.
const REPORT_EVERY: usize = 1 << 14;

/// The walk in progress.
struct Walker<'a> {
    search: &'a Search,
    limits: Limits,
    visited: ByFingerprint,
    came_from: Vec<(u32, u16)>,
    fired: Vec<u64>,
    degrees: Vec<u64>,
    edges: u64,
    violations: Vec<Violation>,
}

/// Walks over a whole scope. `watch` is told of the progress now and then, and may stop the walk by
/// answering `false`.
pub fn walk(search: &Search, limits: Limits, mut watch: impl FnMut(Progress) -> bool) -> Walk {
    let mut walker = Walker {
        search,
        limits,
        visited: ByFingerprint::default(),
        came_from: Vec::new(),
        fired: vec![0; search.steps.len()],
        degrees: vec![0; search.steps.len() + 1],
        edges: 0,
        violations: Vec::new(),
    };
    let mut level = vec![(0, search.beginning())];
    walker.visited.insert(fingerprint(&level[0].1), 0);
    walker.came_from.push((0, 0));
    let mut depth = 0;
    let end = loop {
        let mut next_level = Vec::new();
        let mut stopped = None;
        for (done, (index, world)) in level.iter().enumerate() {
            let queue = level.len() - done + next_level.len();
            if index % REPORT_EVERY as u32 == 0
                && !watch(Progress {
                    states: walker.came_from.len(),
                    queue,
                    depth,
                })
            {
                stopped = Some(End::Interrupted);
                break;
            }
            stopped = walker.expand(*index, world, &mut next_level).break_value();
            if stopped.is_some() {
                break;
            }
        }
        if let Some(end) = stopped {
            break end;
        }
        if next_level.is_empty() {
            break if walker.violations.is_empty() {
                End::Complete
            } else {
                End::Violated
            };
        }
        depth += 1;
        level = next_level;
    };
    walker.finish(end, depth)
}

impl Walker<'_> {
    fn expand(
        &mut self,
        index: u32,
        world: &World,
        next_level: &mut Vec<(u32, World)>,
    ) -> ControlFlow<End> {
        let edges_before = self.edges;
        self.search.each_next(world, |place, next| {
            self.edges += 1;
            self.fired[place] += 1;
            let new = self.came_from.len() as u32;
            let fingerprint = next.now.fingerprint();
            if *self.visited.entry(fingerprint).or_insert(new) != new {
                return ControlFlow::Continue(());
            }
            self.came_from.push((index, place as u16));
            let world = self.search.judged(next);
            if world.broken != 0 {
                self.violations.push(Violation {
                    broken: world.broken,
                    steps: self.path(new),
                });
                if self.limits.stop_at_violation {
                    return ControlFlow::Break(End::Violated);
                }
            }
            next_level.push((new, world));
            if self.came_from.len() >= self.limits.max_states {
                return ControlFlow::Break(End::TooManyStates);
            }
            ControlFlow::Continue(())
        })?;
        self.degrees[(self.edges - edges_before) as usize] += 1;
        ControlFlow::Continue(())
    }

    fn path(&self, mut index: u32) -> Vec<Step> {
        let mut steps = Vec::new();
        while index != 0 {
            let (parent, place) = self.came_from[index as usize];
            steps.push(self.search.steps[usize::from(place)]);
            index = parent;
        }
        steps.reverse();
        steps
    }

    fn finish(self, end: End, depth: usize) -> Walk {
        let fired = self.search.steps.iter().copied().zip(self.fired).collect();
        Walk {
            states: self.came_from.len(),
            edges: self.edges,
            depth,
            fired,
            degrees: self.degrees,
            violations: self.violations,
            end,
        }
    }
}
