//! The specification as stateright sees it: a `Model` over the same rules that [`crate::walk`] walks.
//!
//! stateright gives a second opinion on the counts, symmetry later, and the explorer. Its verdicts are not
//! taken at face value (it calls a run that was stopped early done, and the paths it reports are not the
//! shortest); counts and `broken` bits are.

use crate::property::Property;
use crate::search::Search;
use crate::step::Step;
use crate::walk::{End, Progress};
use crate::world::World;
use stateright::report::{ReportData, ReportDiscovery, Reporter};
use stateright::{Checker, Model, Property as Claim};
use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

impl Model for Search {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        vec![self.beginning()]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Step>) {
        actions.extend(self.steps_from(world).map(|(_, step)| step));
    }

    fn next_state(&self, world: &World, step: Step) -> Option<World> {
        self.next(world, step)
    }

    fn properties(&self) -> Vec<Claim<Self>> {
        properties()
    }

    fn format_action(&self, step: &Step) -> String {
        step.to_string()
    }
}

/// Every property that looks at one step, for any model whose states have a world in them.
pub fn properties<M: Model<State: Borrow<World>>>() -> Vec<Claim<M>> {
    vec![
        always::<M, { Property::S1 as u32 }>("S1"),
        always::<M, { Property::S2 as u32 }>("S2"),
        always::<M, { Property::S3 as u32 }>("S3"),
        always::<M, { Property::S4 as u32 }>("S4"),
        always::<M, { Property::S5 as u32 }>("S5"),
        always::<M, { Property::S6 as u32 }>("S6"),
        always::<M, { Property::S7 as u32 }>("S7"),
        always::<M, { Property::S8 as u32 }>("S8"),
        always::<M, { Property::S9 as u32 }>("S9"),
        always::<M, { Property::S10 as u32 }>("S10"),
        always::<M, { Property::S11 as u32 }>("S11"),
        always::<M, { Property::S12 as u32 }>("S12"),
        always::<M, { Property::S13 as u32 }>("S13"),
        always::<M, { Property::S14 as u32 }>("S14"),
        always::<M, { Property::S15 as u32 }>("S15"),
        always::<M, { Property::S16 as u32 }>("S16"),
        always::<M, { Property::L2 as u32 }>("L2"),
    ]
}

fn always<M: Model<State: Borrow<World>>, const PROPERTY: u32>(name: &'static str) -> Claim<M> {
    Claim::always(name, |_, state: &M::State| {
        state.borrow().broken >> PROPERTY & 1 == 0
    })
}

/// What stateright found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opinion {
    /// Distinct states.
    pub states: usize,
    /// Steps that applied, from whatever state to whatever state.
    pub edges: u64,
    /// The longest path taken. Threads run ahead of each other, so that it may exceed the longest of the
    /// shortest paths, and differ from run to run.
    pub depth: usize,
    /// The properties broken anywhere, as bits.
    pub broken: u32,
    /// Why it ended.
    pub end: End,
}

/// How often stateright tells of its progress.
const REPORT_EVERY: Duration = Duration::from_millis(200);

/// Has stateright visit a whole scope, breadth first, on all processors, or as far as so many states and so much time go.
pub fn second_opinion(
    search: &Search,
    max_states: Option<usize>,
    timeout: Option<Duration>,
    watch: impl FnMut(Progress),
) -> Opinion {
    let threads = available_parallelism().map_or(1, usize::from);
    let mut builder = search.clone().checker().threads(threads);
    if let Some(most) = max_states {
        builder = builder.target_state_count(most);
    }
    if let Some(most) = timeout {
        builder = builder.timeout(most);
    }
    let started = Instant::now();
    let mut listener = Listener { watch, broken: 0 };
    let done = builder.spawn_bfs().report(&mut listener);
    let broken = listener.broken;
    let generated = done.state_count();
    let end = match max_states {
        _ if broken != 0 => End::Violated,
        Some(most) if generated >= most => End::TooManyStates,
        // It does not say whether it was done just then.
        _ if timeout.is_some_and(|most| started.elapsed() >= most) => End::Interrupted,
        _ => End::Complete,
    };
    Opinion {
        states: done.unique_state_count(),
        // It counts the initial world among the generated ones, and the depth from one.
        edges: generated as u64 - 1,
        depth: done.max_depth().saturating_sub(1),
        broken,
        end,
    }
}

struct Listener<W> {
    watch: W,
    broken: u32,
}

impl<W: FnMut(Progress)> Reporter<Search> for Listener<W> {
    fn report_checking(&mut self, data: ReportData) {
        (self.watch)(Progress {
            states: data.unique_states,
            queue: 0,
            depth: data.max_depth,
        });
    }

    fn report_discoveries(
        &mut self,
        _: &Search,
        discoveries: BTreeMap<&'static str, ReportDiscovery<Search>>,
    ) {
        self.broken = discoveries
            .values()
            .fold(0, |bits, found| bits | found.path.last_state().broken);
    }

    fn delay(&self) -> Duration {
        REPORT_EVERY
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stateright_is_told_of_every_property_that_looks_at_one_step() {
        let told: Vec<&str> = properties::<Search>()
            .iter()
            .map(|claim| claim.name)
            .collect();
        let steps = Property::ALL
            .into_iter()
            .filter(|property| *property != Property::L1);
        let steps: Vec<String> = steps.map(|property| format!("{property:?}")).collect();
        assert_eq!(told, steps);
    }
}
