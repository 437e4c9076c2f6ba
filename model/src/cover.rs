//! Plans that together meet every target of a casting.
//!
//! The graph is that of the scope, restricted to what can be carried out with the subject under test
//! ([`Casting::possible_next`]). Plans are grown greedily: the nearest target not yet met, then on from there
//! to the nearest next one, until the plan is long enough to be read by a person.

use crate::casting::Casting;
use crate::graph::{Graph, WorldIndex};
use crate::rules::Setting;
use crate::search::Search;
use crate::situation::Target;
use crate::step::Step;
use crate::token::MAX_WRITES;
use crate::world::{Topology, World};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

/// The longest plan, in steps: one that a person can follow.
pub const MAX_STEPS: usize = 30;

/// The most writes in a plan; a plain world can tell no more apart.
const MAX_PLAN_WRITES: usize = MAX_WRITES as usize - 2;

/// How many worlds are looked at for a next target before the plan ends.
const MAX_LOOKAHEAD: usize = 400;

/// A plan with the targets it meets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The steps from the initial world.
    pub steps: Vec<Step>,
    /// The targets that carrying them out meets, in order of first meeting.
    pub targets: Vec<Target>,
}

/// All plans of a casting, and how many targets there are.
#[derive(Debug)]
pub struct Cover {
    /// The plans.
    pub plans: Vec<Plan>,
    /// Every target the casting can reach in the scope.
    pub targets: BTreeSet<Target>,
}

/// The part of a graph that a casting can reach.
struct Reachable<'a> {
    search: &'a Search,
    graph: &'a Graph,
    casting: Casting,
    /// By which world and step each world was first reached; worlds that cannot be reached are absent.
    came_from: HashMap<WorldIndex, (WorldIndex, Step)>,
    /// Every reachable world, nearest first.
    order: Vec<WorldIndex>,
}

/// Plans that together meet every target of `casting` in a scope whose whole graph is given.
pub fn cover(search: &Search, graph: &Graph, casting: Casting) -> Cover {
    let reachable = Reachable::of(search, graph, casting);
    let mut unmet: BTreeMap<Target, WorldIndex> = BTreeMap::new();
    for &world in &reachable.order {
        for (step, _) in reachable.next(world) {
            if let Some(target) = reachable.target(world, step) {
                unmet.entry(target).or_insert(world);
            }
        }
    }
    let targets = unmet.keys().copied().collect();
    let mut nearest: Vec<(WorldIndex, Target)> = unmet
        .iter()
        .map(|(target, world)| (*world, *target))
        .collect();
    nearest.sort_unstable();
    let mut plans = Vec::new();
    for (world, target) in nearest {
        if unmet.contains_key(&target) {
            let plan = reachable.plan(world, target, &unmet);
            for met in &plan.targets {
                unmet.remove(met);
            }
            plans.push(plan);
        }
    }
    Cover { plans, targets }
}

impl<'a> Reachable<'a> {
    fn of(search: &'a Search, graph: &'a Graph, casting: Casting) -> Self {
        let mut reachable = Self {
            search,
            graph,
            casting,
            came_from: HashMap::new(),
            order: vec![0],
        };
        let mut seen = vec![false; graph.worlds.len()];
        seen[0] = true;
        let mut done = 0;
        while done < reachable.order.len() {
            let world = reachable.order[done];
            for (step, to) in reachable.next(world) {
                if !std::mem::replace(&mut seen[to as usize], true) {
                    reachable.came_from.insert(to, (world, step));
                    reachable.order.push(to);
                }
            }
            done += 1;
        }
        reachable
    }

    /// The edges that can come next with the subject under test.
    fn next(&self, world: WorldIndex) -> Vec<(Step, WorldIndex)> {
        let all = self.graph.arrows_from(world).iter();
        let all = all.map(|arrow| (self.search.steps[usize::from(arrow.step)], arrow.to));
        let (prompt, others): (Vec<_>, Vec<_>) =
            all.partition(|(step, _)| self.casting.is_prompt(*step));
        if prompt.is_empty() { others } else { prompt }
    }

    fn target(&self, world: WorldIndex, step: Step) -> Option<Target> {
        Target::of(self.casting, &self.graph.worlds[world as usize], step)
    }

    fn path_to(&self, mut world: WorldIndex) -> Vec<(WorldIndex, Step)> {
        let mut path = Vec::new();
        while let Some(&(from, step)) = self.came_from.get(&world) {
            path.push((from, step));
            world = from;
        }
        path.reverse();
        path
    }

    /// A plan that goes to `target` by a shortest way and on to whatever else is near.
    fn plan(
        &self,
        world: WorldIndex,
        target: Target,
        unmet: &BTreeMap<Target, WorldIndex>,
    ) -> Plan {
        let mut path = self.path_to(world);
        path.push((world, target.step));
        let mut met = BTreeSet::new();
        let mut targets = Vec::new();
        let mut note_targets = |path: &[(WorldIndex, Step)]| {
            for &(world, step) in path {
                targets.extend(
                    self.target(world, step)
                        .filter(|target| met.insert(*target)),
                );
            }
            met.clone()
        };
        let mut done = note_targets(&path);
        let mut end = self.after(world, target.step);
        while self.may_go_on() && path.len() < MAX_STEPS {
            let room = MAX_STEPS - path.len();
            let Some(more) = end.and_then(|end| self.nearest_unmet(end, room, unmet, &done)) else {
                break;
            };
            if writes(&path) + writes(&more) > MAX_PLAN_WRITES {
                break;
            }
            done = note_targets(&more);
            end = more
                .last()
                .and_then(|&(world, step)| self.after(world, step));
            path.extend(more);
        }
        Plan {
            steps: path.into_iter().map(|(_, step)| step).collect(),
            targets,
        }
    }

    /// What a replica has become shows only in what it asks and applies next, and a restart would wipe it out:
    /// a plan for a replica ends with the target it was made for, so that whoever carries it out can let the
    /// world calm down and look. A primary shows what it has become at once, and whoever is all the network sees it in
    /// whatever passes.
    fn may_go_on(&self) -> bool {
        self.casting != Casting::Replica
    }

    fn after(&self, world: WorldIndex, step: Step) -> Option<WorldIndex> {
        self.next(world)
            .into_iter()
            .find(|(other, _)| *other == step)
            .map(|(_, to)| to)
    }

    /// The shortest way from a world to a target that is met neither by other plans nor by this one so far.
    fn nearest_unmet(
        &self,
        start: WorldIndex,
        room: usize,
        unmet: &BTreeMap<Target, WorldIndex>,
        met: &BTreeSet<Target>,
    ) -> Option<Vec<(WorldIndex, Step)>> {
        let mut came_from: HashMap<WorldIndex, (WorldIndex, Step, usize)> = HashMap::new();
        let mut queue = VecDeque::from([(start, 0)]);
        while let Some((world, distance)) = queue.pop_front() {
            if came_from.len() > MAX_LOOKAHEAD || distance >= room {
                return None;
            }
            for (step, to) in self.next(world) {
                let target = self.target(world, step);
                if target
                    .is_some_and(|target| unmet.contains_key(&target) && !met.contains(&target))
                {
                    let mut path = vec![(world, step)];
                    let mut at = world;
                    while at != start {
                        let (from, step, _) = came_from[&at];
                        path.push((from, step));
                        at = from;
                    }
                    path.reverse();
                    return Some(path);
                }
                if to != start && !came_from.contains_key(&to) {
                    came_from.insert(to, (world, step, distance));
                    queue.push_back((to, distance + 1));
                }
            }
        }
        None
    }
}

fn writes(path: &[(WorldIndex, Step)]) -> usize {
    path.iter()
        .filter(|(_, step)| {
            matches!(
                step,
                Step::Write { .. } | Step::WriteElsewhere { .. } | Step::Transact { .. }
            )
        })
        .count()
}

/// The plain worlds along a plan, the initial one first, as far as its steps apply.
pub fn run(setting: &Setting, topology: Topology, steps: &[Step]) -> Vec<World> {
    let mut worlds = vec![topology.beginning()];
    for step in steps {
        match step.apply(&worlds[worlds.len() - 1], setting) {
            Some(next) => worlds.push(next),
            None => break,
        }
    }
    worlds
}
