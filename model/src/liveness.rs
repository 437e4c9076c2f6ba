//! Property L1, convergence: when the world is calm, every replica ends up with its primary's data and the
//! primary knows it.
//!
//! Safety looks at one step; this looks at whole behaviours, on the graph of a scope held in memory
//! ([`crate::graph`]). From some point on the world is calm: only [calm steps](is_calm) happen, and they are
//! fair. Then one of two things goes wrong, or nothing does:
//!
//! * a world in which no calm step applies although some replica has not converged;
//! * a cycle of calm steps that can go on for ever, fairly, through a world that has not converged. Cycles
//!   are judged by strongly connected component: it offends unless some step that applies in *all* of its
//!   worlds never happens inside it. That step, by weak fairness, would have to happen, and lead out. The
//!   judgement is exact: if the whole component is excused so is every cycle in it, and if it is not then the
//!   way through all of its edges is fair.
//!
//! A stranger counts as calm when it leaves: it has its answer, nothing else can happen while it is there
//! (the server answers in one go), and another one would be the environment's doing.
//!
//! A step that the scope cuts off must not make a world look final. A world that could go on only outside the
//! scope is reported as [`NotProved::LeavesScope`]: neither proof nor refutation. None occurs in the scopes named
//! below, where calm steps make no history longer; without `stale` a replica cannot ask again before its
//! primary has noticed the loss, which is a calm step itself.
//!
//! Proved on `smoke`, `errors`, `pings`, `restarts`, `chain`, `fan`, `transactions` and `replay` in every era, on `failover` in
//! eras `sync`, `psync` and `psync2-v7`, and not beyond: a world takes 784 bytes and an edge 8, so that larger graphs would
//! need gigabytes. Where roles change, replicas that follow each other in a circle are left out by name
//! ([`has_caught_up`]).

use crate::graph::{Arrow, Graph, WorldIndex};
use crate::property::{has_caught_up, has_converged};
use crate::search::Search;
use crate::step::Step;
use crate::walk::End;
use crate::world::{NodeId, World};

/// How a behaviour that never converges goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// No calm step applies any more.
    Terminal,
    /// These steps can repeat for ever, and fairness does not break the repetition.
    Cycle {
        /// Every step that happens inside, in the order of [`Step`].
        steps: Vec<Step>,
        /// How many worlds take part.
        worlds: usize,
    },
}

/// A behaviour that does not converge.
#[derive(Clone, Debug)]
pub struct Stuck {
    /// A shortest way from the initial world to where it is stuck.
    pub steps: Vec<Step>,
    /// The world reached.
    pub world: World,
    /// The replicas that have not converged there.
    pub waiting: Vec<NodeId>,
    /// What can happen from then on.
    pub ending: Ending,
}

/// What was judged when nothing is stuck.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Convergence {
    /// Worlds from which every calm behaviour was followed.
    pub worlds: usize,
    /// Edges that are calm.
    pub calm_edges: usize,
    /// Worlds in which no calm step applies; all of them have converged.
    pub terminals: usize,
    /// Components with a cycle inside that a step enabled throughout leads out of.
    pub unfair_cycles: usize,
}

/// Why there is no proof of convergence.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NotProved {
    /// A behaviour that does not converge, with the shortest way to it.
    #[error("a calm world stays without convergence after {} steps", .0.steps.len())]
    Stuck(Box<Stuck>),
    /// In a world that has not converged calm steps apply, and each leads out of the scope.
    #[error("a behaviour leads out of the scope: widen it to know")]
    LeavesScope,
    /// The graph is only a part of the scope's.
    #[error("the graph was left after {worlds} worlds: {end:?}")]
    Incomplete {
        /// How many worlds it has.
        worlds: usize,
        /// Why it ends there.
        end: End,
    },
}

/// Whether a step belongs to a world at rest, for the purposes of this property.
pub const fn is_calm(step: Step) -> bool {
    step.is_calm() || matches!(step, Step::StrangerLeaves { .. })
}

/// Judges L1 on a graph explored from `search`. Worlds in which another property is already broken have no
/// future in the graph and are passed over; watch no property to judge L1 alone.
pub fn converges(search: &Search, graph: &Graph) -> Result<Convergence, NotProved> {
    if graph.end != End::Complete {
        return Err(NotProved::Incomplete {
            worlds: graph.worlds.len(),
            end: graph.end,
        });
    }
    let calm = Calm::of(search, graph);
    let (cycles, unfair_cycles) = fair_cycles(&calm);
    let last = calm
        .indices()
        .find(|&world| calm.is_last(world) && !calm.has_converged(world));
    let terminal = last.map(|world| (world, Ending::Terminal));
    // A nearer world has the lower index.
    match cycles
        .into_iter()
        .chain(terminal)
        .min_by_key(|stuck| stuck.0)
    {
        Some((world, Ending::Terminal)) if calm.leaves_scope(world) => Err(NotProved::LeavesScope),
        Some((world, ending)) => Err(NotProved::Stuck(Box::new(calm.stuck(world, ending)))),
        None => Ok(calm.summary(unfair_cycles)),
    }
}

/// Explores `search` without watching any other property, and judges L1 on what it finds.
pub fn prove(search: Search, max_worlds: usize) -> Result<Convergence, NotProved> {
    let search = search.watching([]);
    let graph = Graph::explore(&search, max_worlds);
    converges(&search, &graph)
}

/// The calm part of a graph.
struct Calm<'a> {
    search: &'a Search,
    graph: &'a Graph,
    /// For each place in [`Search::steps`], whether the step is calm.
    steps: Vec<bool>,
}

impl<'a> Calm<'a> {
    fn of(search: &'a Search, graph: &'a Graph) -> Self {
        let steps = search.steps.iter().map(|&step| is_calm(step)).collect();
        Self {
            search,
            graph,
            steps,
        }
    }

    fn indices(&self) -> std::ops::Range<WorldIndex> {
        0..self.graph.worlds.len() as WorldIndex
    }

    fn arrows(&self, world: WorldIndex) -> impl Iterator<Item = Arrow> + '_ {
        let arrows = self.graph.arrows_from(world).iter().copied();
        arrows.filter(|arrow| self.steps[usize::from(arrow.step)])
    }

    fn world(&self, index: WorldIndex) -> &World {
        &self.graph.worlds[index as usize]
    }

    fn waiting(&self, world: &World) -> Vec<NodeId> {
        let setting = &self.search.setting;
        let known = self.search.scope.acknowledgements;
        let nodes = world.node_ids();
        nodes
            .filter(|&node| {
                !has_caught_up(world, node) || (known && !has_converged(world, setting, node))
            })
            .collect()
    }

    fn has_converged(&self, index: WorldIndex) -> bool {
        self.waiting(self.world(index)).is_empty()
    }

    /// Whether no calm step leads on from this world, and not because another property is broken in it.
    fn is_last(&self, index: WorldIndex) -> bool {
        self.world(index).broken == 0 && self.arrows(index).next().is_none()
    }

    /// Whether a calm step applies, be it one that the scope cuts off.
    fn leaves_scope(&self, last: WorldIndex) -> bool {
        let (world, setting) = (self.world(last), &self.search.setting);
        let mut calm_steps = self.search.steps.iter().filter(|&&step| is_calm(step));
        calm_steps.any(|step| step.apply(world, setting).is_some())
    }

    fn stuck(&self, index: WorldIndex, ending: Ending) -> Stuck {
        let world = *self.world(index);
        Stuck {
            steps: self.graph.path_to(self.search, index),
            world,
            waiting: self.waiting(&world),
            ending,
        }
    }

    fn summary(&self, unfair_cycles: usize) -> Convergence {
        Convergence {
            worlds: self.graph.worlds.len(),
            calm_edges: self.indices().map(|world| self.arrows(world).count()).sum(),
            terminals: self.indices().filter(|&world| self.is_last(world)).count(),
            unfair_cycles,
        }
    }
}

/// The offending components, each with its nearest world that has not converged, and how many were excused.
fn fair_cycles(calm: &Calm<'_>) -> (Vec<(WorldIndex, Ending)>, usize) {
    let (mut offending, mut excused) = (Vec::new(), 0);
    let mut inside = vec![false; calm.graph.worlds.len()];
    for_each_component(calm, |component| {
        let mark = |inside: &mut Vec<bool>, value| {
            for &world in component {
                inside[world as usize] = value;
            }
        };
        mark(&mut inside, true);
        let nearest = component
            .iter()
            .copied()
            .filter(|&world| !calm.has_converged(world))
            .min();
        let (fired, always) = steps_of(calm, component, &inside);
        mark(&mut inside, false);
        match nearest {
            Some(world) if fired != 0 && always & !fired == 0 => {
                offending.push((world, cycle(calm, fired, component.len())));
            }
            Some(_) if fired != 0 => excused += 1,
            _ => {}
        }
    });
    (offending, excused)
}

/// One bit for each place in [`Search::steps`].
type StepSet = u128;

/// The steps that happen inside a component, and those that apply in all of its worlds.
fn steps_of(calm: &Calm<'_>, component: &[WorldIndex], inside: &[bool]) -> (StepSet, StepSet) {
    assert!(
        calm.search.steps.len() <= StepSet::BITS as usize,
        "there are more steps than a set of them has bits"
    );
    let (mut fired, mut always) = (0, StepSet::MAX);
    for &world in component {
        let mut enabled = 0;
        for arrow in calm.arrows(world) {
            enabled |= 1 << arrow.step;
            if inside[arrow.to as usize] {
                fired |= 1 << arrow.step;
            }
        }
        always &= enabled;
    }
    (fired, always)
}

fn cycle(calm: &Calm<'_>, fired: StepSet, worlds: usize) -> Ending {
    let places = 0..calm.search.steps.len();
    let steps = places
        .filter(|&place| fired >> place & 1 == 1)
        .map(|place| calm.search.steps[place])
        .collect();
    Ending::Cycle { steps, worlds }
}

/// A world being visited, and how many of its edges were followed.
struct Visit {
    world: WorldIndex,
    followed: usize,
}

/// Tarjan's search for strongly connected components, with a stack of its own because behaviours are long.
struct Components {
    /// The order in which worlds were first seen, from one; zero before, and [`DONE`] when their component is.
    order: Vec<u32>,
    /// The earliest world still open that can be reached.
    low: Vec<u32>,
    open: Vec<WorldIndex>,
    visits: Vec<Visit>,
    seen: u32,
}

const DONE: u32 = u32::MAX;

/// Shows each component of the calm part of a graph once.
fn for_each_component(calm: &Calm<'_>, mut show: impl FnMut(&[WorldIndex])) {
    let mut components = Components {
        order: vec![0; calm.graph.worlds.len()],
        low: vec![0; calm.graph.worlds.len()],
        open: Vec::new(),
        visits: Vec::new(),
        seen: 0,
    };
    for root in calm.indices() {
        if components.order[root as usize] == 0 {
            components.enter(root);
        }
        while let Some(visit) = components.visits.last_mut() {
            let (world, next) = (visit.world, calm.arrows(visit.world).nth(visit.followed));
            visit.followed += 1;
            match next {
                Some(arrow) => components.follow(world, arrow.to),
                None => components.leave(world, &mut show),
            }
        }
    }
}

impl Components {
    fn enter(&mut self, world: WorldIndex) {
        self.seen += 1;
        self.order[world as usize] = self.seen;
        self.low[world as usize] = self.seen;
        self.open.push(world);
        self.visits.push(Visit { world, followed: 0 });
    }

    fn follow(&mut self, from: WorldIndex, to: WorldIndex) {
        match self.order[to as usize] {
            0 => self.enter(to),
            DONE => {}
            order => self.low[from as usize] = self.low[from as usize].min(order),
        }
    }

    fn leave(&mut self, world: WorldIndex, show: &mut impl FnMut(&[WorldIndex])) {
        self.visits.pop();
        let low = self.low[world as usize];
        if let Some(before) = self.visits.last() {
            let before = before.world as usize;
            self.low[before] = self.low[before].min(low);
        }
        if low != self.order[world as usize] {
            return;
        }
        let begins = self
            .open
            .iter()
            .rposition(|&open| open == world)
            .expect("a world stays open until its component is shown");
        let component = self.open.split_off(begins);
        for &world in &component {
            self.order[world as usize] = DONE;
        }
        show(&component);
    }
}
