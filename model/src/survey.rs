//! The wide engine: every world and every edge of a scope, on several threads, in as little memory as there is.
//!
//! Of a world that was visited a 64-bit fingerprint is kept and nothing else, of one that waits its squeezed
//! words. So there is no way back: where a survey finds a violation, [`crate::walk`] finds the path to it. It is
//! breadth first, level by level, which makes every figure the same on any number of threads.
//!
//! Outcomes of steps are told apart by fingerprints too, before they are put into canonical form: each is compared with
//! one that was remembered, which is nothing beside the chance that two of all visited worlds are confused.

use crate::outcome::{Both, Outcome};
use crate::parts::Parts;
use crate::search::Search;
use crate::seen::{Asked, Seen};
use crate::step::Step;
use crate::walk::{End, Progress};
use crate::world::World;
use crate::world::packed::Packed;
use crate::world::squeezed::Squeezed;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

/// How far a survey goes, and with how much help.
#[derive(Clone, Copy, Debug)]
pub struct Means {
    /// The most states to visit, give or take a block of each thread.
    pub max_states: usize,
    /// How many threads.
    pub threads: NonZeroUsize,
}

impl Means {
    /// Everything, on all processors.
    pub fn all() -> Self {
        Self {
            max_states: usize::MAX,
            threads: thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
        }
    }
}

/// What a survey found.
#[derive(Debug)]
pub struct Survey {
    /// Distinct states.
    pub states: usize,
    /// Steps that applied, from whatever state to whatever state.
    pub edges: u64,
    /// The longest of the shortest paths.
    pub depth: usize,
    /// How often each rule and branch fired.
    pub fired: BTreeMap<Step, u64>,
    /// How many states have so many steps that apply, by that number.
    pub degrees: Vec<u64>,
    /// The properties broken on the level where the first violation is, as bits.
    pub broken: u32,
    /// Why it ended.
    pub end: End,
}

/// How many worlds a thread takes at a time.
const BLOCK: usize = 512;

/// How many outcomes of steps a thread remembers.
const REMEMBERED: usize = 1 << 15;

/// How many worlds are expanded before anybody looks which of their successors are new.
const AT_ONCE: usize = 32;

/// A thread that panics ends the survey as it is; what it left is not looked at.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the threads share on one level.
struct Level<'a> {
    search: &'a Search,
    seen: &'a Seen,
    max_states: usize,
    waiting: Mutex<Vec<Squeezed>>,
    /// Worlds found for the next level.
    found: AtomicUsize,
    stopped: AtomicBool,
}

/// What one thread counts.
struct Tally {
    fired: Vec<u64>,
    degrees: Vec<u64>,
    broken: u32,
    next_level: Vec<Squeezed>,
}

impl Tally {
    fn new(search: &Search) -> Self {
        Self {
            fired: vec![0; search.steps.len()],
            degrees: vec![0; search.steps.len() + 1],
            broken: 0,
            next_level: Vec::new(),
        }
    }

    fn add(&mut self, other: Self) {
        let pairs = [
            (&mut self.fired, other.fired),
            (&mut self.degrees, other.degrees),
        ];
        for (own, others) in pairs {
            own.iter_mut()
                .zip(others)
                .for_each(|(own, other)| *own += other);
        }
        self.broken |= other.broken;
        self.next_level.extend(other.next_level);
    }
}

/// Visits a whole scope, up to the level of the first violation. `watch` is told of the progress now and then,
/// and may end the survey by answering `false`.
pub fn survey(search: &Search, means: Means, mut watch: impl FnMut(Progress) -> bool) -> Survey {
    let seen = Seen::new();
    let beginning = search.pack(&search.beginning());
    let mut asked = Asked::default();
    asked.push(beginning.fingerprint());
    seen.insert_all(&asked, |_| ());
    let mut total = Tally::new(search);
    total.next_level.push(Squeezed::of(&beginning));
    let batch = || Batch::new(&search.beginning());
    let mut batches: Vec<Batch> = (0..means.threads.get()).map(|_| batch()).collect();
    let mut depth = 0;
    let end = loop {
        let waiting = std::mem::take(&mut total.next_level);
        let level = Level {
            search,
            seen: &seen,
            max_states: means.max_states,
            waiting: Mutex::new(waiting),
            found: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
        };
        let goes_on = level.visit(&mut batches, &mut total, depth, &mut watch);
        if !goes_on {
            break End::Interrupted;
        }
        if seen.len() >= means.max_states {
            break End::TooManyStates;
        }
        if total.next_level.is_empty() && total.broken == 0 {
            break End::Complete;
        }
        depth += 1;
        if total.broken != 0 {
            break End::Violated;
        }
    };
    Survey {
        states: seen.len(),
        edges: total.fired.iter().sum(),
        depth,
        fired: search.steps.iter().copied().zip(total.fired).collect(),
        degrees: total.degrees,
        broken: total.broken,
        end,
    }
}

impl Level<'_> {
    /// Expands every waiting world, and adds what was found to the total. Answers whether to go on.
    fn visit(
        &self,
        batches: &mut [Batch],
        total: &mut Tally,
        depth: usize,
        watch: &mut impl FnMut(Progress) -> bool,
    ) -> bool {
        let threads = batches.len().min(self.blocks_waiting());
        let report = || {
            watch(Progress {
                states: self.seen.len(),
                queue: self.blocks_waiting() * BLOCK + self.found.load(Ordering::Relaxed),
                depth,
            })
        };
        thread::scope(|scope| {
            let mut batches = batches[..threads].iter_mut();
            let own = batches.next();
            let helpers: Vec<_> = batches
                .map(|batch| scope.spawn(|| self.work(batch, || true)))
                .collect();
            if let Some(own) = own {
                total.add(self.work(own, report));
            }
            for helper in helpers {
                match helper.join() {
                    Ok(tally) => total.add(tally),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
        });
        !self.stopped.load(Ordering::Relaxed)
    }

    fn blocks_waiting(&self) -> usize {
        locked(&self.waiting).len()
    }

    /// One thread's part: a block after the other, until none is left or somebody says stop.
    fn work(&self, batch: &mut Batch, mut report: impl FnMut() -> bool) -> Tally {
        let mut tally = Tally::new(self.search);
        while self.seen.len() < self.max_states && !self.stopped.load(Ordering::Relaxed) {
            let Some(block) = locked(&self.waiting).pop() else {
                break;
            };
            let mut worlds = block.worlds();
            while batch.take(&mut worlds) {
                self.expand(batch, &mut tally);
            }
            if !report() {
                self.stopped.store(true, Ordering::Relaxed);
            }
        }
        tally
    }

    fn expand(&self, batch: &mut Batch, tally: &mut Tally) {
        let next = &mut batch.next;
        for (origin, before) in batch.origins[..batch.count].iter().enumerate() {
            let mut degree = 0;
            let ControlFlow::Continue(()) = self.search.each_outcome(before, |place, outcome| {
                if next.take(self.search, origin, outcome) {
                    degree += 1;
                    tally.fired[place] += 1;
                }
                ControlFlow::<Infallible>::Continue(())
            });
            tally.degrees[degree] += 1;
        }
        self.seen.insert_all(&next.asked, |place| {
            let Successor {
                origin,
                changed,
                packed,
            } = &mut next.worlds[place];
            let mut world = batch.origins[*origin].world;
            world.unpack_parts(packed, *changed);
            let broken = self.search.judge(&world, *changed);
            if broken != 0 {
                world.broken |= broken;
                *packed = world.pack();
            }
            tally.broken |= world.broken;
            self.found.fetch_add(1, Ordering::Relaxed);
            tally.keep(packed);
        });
    }
}

/// Some worlds, and what one step from them leads to.
struct Batch {
    /// The worlds, and behind them room for as many as are expanded at once.
    origins: Vec<Both>,
    count: usize,
    next: Successors,
}

/// What one step leads to from some worlds, with the fingerprints.
#[derive(Default)]
struct Successors {
    asked: Asked,
    worlds: Vec<Successor>,
    remembered: Remembered,
}

/// What one step leads to.
struct Successor {
    /// The place of the world it leads from.
    origin: usize,
    /// What is not as there.
    changed: Parts,
    packed: Packed,
}

/// Outcomes of steps that were settled and looked up lately, as far as none has taken the place of another. A third of the
/// edges lead to one of them: where two steps do not concern each other, either order leads to the same outcome.
struct Remembered {
    /// Fingerprints, whose lowest bit says whether the outcome lies in the scope.
    places: Vec<u64>,
}

impl Default for Remembered {
    fn default() -> Self {
        // What stands in a place at first belongs into another.
        let places = (0..REMEMBERED as u64).map(|place| !(place << 1));
        Self {
            places: places.collect(),
        }
    }
}

impl Remembered {
    const INSIDE: u64 = 1;

    /// Whether the outcome with this fingerprint lies in the scope, if it is one of these.
    fn find(&self, fingerprint: u64) -> Option<bool> {
        let found = self.places[Self::place(fingerprint)];
        (found | Self::INSIDE == fingerprint | Self::INSIDE).then_some(found & Self::INSIDE != 0)
    }

    fn note(&mut self, fingerprint: u64, inside: bool) {
        self.places[Self::place(fingerprint)] =
            fingerprint & !Self::INSIDE | if inside { Self::INSIDE } else { 0 };
    }

    const fn place(fingerprint: u64) -> usize {
        (fingerprint >> 1) as usize % REMEMBERED
    }
}

impl Batch {
    fn new(any: &World) -> Self {
        Self {
            origins: vec![Both::of(any); AT_ONCE],
            count: 0,
            next: Successors::default(),
        }
    }

    /// Takes the next worlds, whose successors are not known yet; false when there are none.
    fn take(&mut self, worlds: &mut impl Iterator<Item = Packed>) -> bool {
        self.count = 0;
        for (origin, packed) in self.origins.iter_mut().zip(worlds) {
            origin.turn_into(&packed);
            self.count += 1;
        }
        self.next.asked.clear();
        self.next.worlds.clear();
        self.count > 0
    }
}

impl Successors {
    /// Settles the outcome of a step, unless that was done lately. Answers whether it lies in the scope.
    fn take(&mut self, search: &Search, origin: usize, outcome: &mut Outcome) -> bool {
        let unsettled = outcome.now.fingerprint();
        if let Some(inside) = self.remembered.find(unsettled) {
            return inside;
        }
        let inside = search.settle(outcome);
        self.remembered.note(unsettled, inside);
        if inside {
            let Outcome { now, changed, .. } = outcome;
            let (packed, changed, fingerprint) = if search.symmetry {
                let least = now.world.least();
                (least, Parts::ALL, least.fingerprint())
            } else {
                (*now.packed(), *changed, now.fingerprint())
            };
            self.asked.push(fingerprint);
            self.worlds.push(Successor {
                origin,
                changed,
                packed,
            });
        }
        inside
    }
}

impl Tally {
    fn keep(&mut self, world: &Packed) {
        match self.next_level.last_mut() {
            Some(block) if block.len() < BLOCK => block.push(world),
            _ => self.next_level.push(Squeezed::of(world)),
        }
    }
}
