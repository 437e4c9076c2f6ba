//! The graph of a scope, one edge at a time: what both engines walk over.

use crate::need::{Needs, NeedsOfSteps};
use crate::parts::Parts;
use crate::property::{Edge, Place, Property, broken_in, broken_of};
use crate::rulebook::Rulebook;
use crate::rules::{Mutant, Setting};
use crate::scope::Scope;
use crate::step::Step;
use crate::world::packed::Packed;
use crate::world::{MAX_NODES, World};
use std::ops::ControlFlow;

/// A rulebook, a scope and the properties to watch.
#[derive(Clone, Debug)]
pub struct Search {
    /// Era and configuration.
    pub setting: Setting,
    /// How far to go.
    pub scope: Scope,
    /// Every step that may apply, in a fixed order.
    pub steps: Vec<Step>,
    /// What those of each node need to find there.
    needs: Vec<NeedsOfSteps>,
    /// The properties to watch, as bits of [`Property::bit`].
    pub watched: u32,
    /// One more sentence about edges to watch, from [`crate::claims`].
    pub claim: Option<Sentence>,
    /// Whether worlds are put into canonical form. Without it the lag bounds whole histories.
    pub canonical: bool,
    /// Whether worlds that differ only in which node is which count as one. Only the survey asks.
    pub symmetry: bool,
}

/// A sentence about one edge.
pub type Sentence = fn(&Edge<'_>) -> bool;

/// The bit of [`World::broken`] that stands for [`Search::claim`]; properties use the lower ones.
pub const CLAIM_BIT: u32 = 1 << 31;

impl Search {
    /// A search that watches every property.
    pub fn new(book: Rulebook, scope: Scope) -> Self {
        let steps: Vec<Step> = Step::among(scope.topology)
            .into_iter()
            .filter(|step| scope.allows(*step))
            .collect();
        let needs = NeedsOfSteps::by_node(&steps);
        let watched = Property::ALL
            .iter()
            .fold(0, |bits, property| bits | property.bit());
        Self {
            setting: scope.setting(book),
            scope,
            steps,
            needs,
            watched,
            claim: None,
            canonical: !book.compares_absolute_numbers(),
            symmetry: false,
        }
    }

    /// The world everything begins with.
    pub fn beginning(&self) -> World {
        self.scope.topology.beginning()
    }

    /// The same search, watching one more sentence.
    #[must_use]
    pub fn claiming(self, claim: Sentence) -> Self {
        Self {
            claim: Some(claim),
            ..self
        }
    }

    /// The same search with a guard that is not what it should be.
    #[must_use]
    pub fn with_mutant(mut self, mutant: Mutant) -> Self {
        self.setting.mutant = Some(mutant);
        self
    }

    /// The same search among plain worlds.
    #[must_use]
    pub fn plain(self) -> Self {
        Self {
            canonical: false,
            ..self
        }
    }

    /// The same search, in which it does not matter which node is which.
    #[must_use]
    pub fn symmetric(self) -> Self {
        Self {
            symmetry: true,
            ..self
        }
    }

    /// The same search, watching only these properties.
    #[must_use]
    pub fn watching(self, properties: impl IntoIterator<Item = Property>) -> Self {
        let watched = properties
            .into_iter()
            .fold(0, |bits, property| bits | property.bit());
        Self { watched, ..self }
    }

    /// The steps that are worth trying in a world, with their places in [`Self::steps`].
    pub fn steps_from(&self, world: &World) -> impl Iterator<Item = (usize, Step)> + '_ {
        let found = match self.setting.mutant {
            Some(_) => [Needs::ALL; MAX_NODES],
            None => Needs::found_in(world),
        };
        let of_nodes = self.needs.iter().zip(found);
        of_nodes
            .flat_map(|(needs, found)| needs.met_by(found))
            .map(|place| (place, self.steps[place]))
    }

    /// The world after a step, in canonical form unless told otherwise, with the properties that do not hold; `None`
    /// where the rule does not apply or changes nothing that matters here, where the result lies outside the scope,
    /// and after a violation.
    pub fn next(&self, world: &World, step: Step) -> Option<World> {
        let mut next = self.outcome(world, step)?;
        let reached = self.judge_step(world, step, &mut next) && self.settle(&mut next);
        reached.then(|| {
            next.touched = Parts::NONE;
            self.judge(world, &mut next);
            next
        })
    }

    /// Shows every world that one step from here leads to, with the place of that step in [`Self::steps`]. An engine
    /// comes to most worlds many times, and the invariants are the same each time: they are left to [`Self::judge`],
    /// which need only see a world that is new.
    pub fn each_next<B>(
        &self,
        world: &World,
        mut show: impl FnMut(usize, &mut World) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        self.each_outcome(world, |place, next| {
            if !self.settle(next) {
                return ControlFlow::Continue(());
            }
            next.touched = Parts::NONE;
            show(place, next)
        })
    }

    /// Shows the same before [`Self::settle`] was asked: as the rules leave a world, what nobody sees apart, with the
    /// properties that the step breaks. What has changed counts as touched. An engine that comes to the same outcome
    /// again need not settle it again.
    pub(crate) fn each_outcome<B>(
        &self,
        world: &World,
        mut show: impl FnMut(usize, &mut World) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        for (place, step) in self.steps_from(world) {
            if let Some(next) = &mut self.outcome(world, step)
                && self.judge_step(world, step, next)
            {
                show(place, next)?;
            }
        }
        ControlFlow::Continue(())
    }

    fn outcome(&self, world: &World, step: Step) -> Option<World> {
        let goes_on = world.broken == 0 && self.scope.has_time_for(world, step);
        goes_on.then(|| step.outcome(world, &self.setting))?
    }

    /// Notes the properties that a step breaks, and forgets what nobody sees. Answers whether the outcome is another
    /// world. Far fewer steps come here than are tried.
    #[inline(never)]
    fn judge_step(&self, world: &World, step: Step, next: &mut World) -> bool {
        let mut changed = next.difference(world, next.touched);
        if changed == Parts::NONE {
            return false;
        }
        let edge = Edge::changing(changed, world, step, next, &self.setting);
        let claimed = self.claim.is_none_or(|holds| holds(&edge));
        let mut broken = broken_of(&edge, self.watched) | if claimed { 0 } else { CLAIM_BIT };
        let unseen = self.scope.unseen(next, changed, &self.setting.book);
        if !unseen.is_empty() {
            // What is forgotten is judged before.
            let place = Place::changed(next, changed, &self.setting);
            broken |= broken_in(&place, self.watched);
            unseen.forget(next);
            changed = next.difference(world, next.touched);
        }
        next.broken = broken;
        next.touched = changed;
        broken != 0 || changed != Parts::NONE
    }

    /// Puts the outcome of a step into canonical form, unless told otherwise. What that changes counts as touched. Answers
    /// whether it lies in the scope.
    pub(crate) fn settle(&self, outcome: &mut World) -> bool {
        let writes = if self.canonical {
            outcome.make_canonical()
        } else {
            outcome.writes_in_use().newest()
        };
        self.scope.admits_writes(outcome, writes)
    }

    /// Judges the invariants in a world that one step has led to from this one: all of it where another arrangement of its
    /// nodes may stand for it, what has changed otherwise.
    pub fn judge(&self, before: &World, world: &mut World) {
        let place = if self.symmetry {
            Place::new(world, &self.setting)
        } else {
            let changed = world.difference(before, Parts::ALL);
            Place::changed(world, changed, &self.setting)
        };
        world.broken |= broken_in(&place, self.watched);
    }

    /// A world of this search in few words; with symmetry, the one that stands for all its arrangements.
    pub fn pack(&self, world: &World, packed: &mut Packed) {
        if self.symmetry {
            *packed = world.least();
        } else {
            world.pack_into(packed);
        }
    }

    /// The one world that stands for all that differ from this one in nothing that matters in the scope.
    pub fn settled(&self, mut world: World) -> World {
        self.scope
            .unseen(&world, Parts::among(world.count), &self.setting.book)
            .forget(&mut world);
        if self.canonical {
            world.make_canonical();
        }
        world
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Graph;
    use crate::rulebook::Era;
    use crate::scope;
    use std::convert::Infallible;

    /// What no step has touched is packed as it was, and so it must be as it was.
    #[test]
    fn packing_what_was_touched_is_packing_everything() {
        for era in Era::ALL {
            for name in ["everything", "errors", "chain", "failover", "role-restarts"] {
                let scope = scope::named(name)
                    .expect("tests name scopes that exist")
                    .scope;
                let search = Search::new(era.rulebook(), scope);
                for world in &Graph::explore(&search, 10_000).worlds {
                    pack_both_ways(&search, world);
                }
            }
        }
    }

    fn pack_both_ways(search: &Search, world: &World) {
        let (before, mut packed) = (world.pack(), Packed::EMPTY);
        let ControlFlow::Continue(()) = search.each_outcome(world, |_, outcome| {
            let changed = std::mem::replace(&mut outcome.touched, Parts::NONE);
            outcome.pack_changed(&before, changed, &mut packed);
            assert_eq!(packed.words(), outcome.pack().words(), "from {world:?}");
            search.settle(outcome);
            let changed = changed.and(outcome.touched);
            outcome.pack_changed(&before, changed, &mut packed);
            assert_eq!(packed.words(), outcome.pack().words(), "from {world:?}");
            ControlFlow::<Infallible>::Continue(())
        });
    }
}
