//! The graph of a scope, one edge at a time: what both engines walk over.

use crate::need::{Needs, NeedsOfSteps};
use crate::outcome::{Both, Outcome};
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
        let before = Both::of(world);
        let mut outcome = Outcome::from(&before);
        let reached = self.take(step, &mut outcome) && self.settle(&mut outcome);
        reached.then(|| self.judged(&outcome))
    }

    /// Shows every world that one step from here leads to, with the place of that step in [`Self::steps`]. An engine
    /// comes to most worlds many times, and the invariants are the same each time: they are left to [`Self::judged`],
    /// which need only see a world that is new.
    pub fn each_next<B>(
        &self,
        world: &World,
        mut show: impl FnMut(usize, &mut Outcome) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        self.each_outcome(&Both::of(world), |place, outcome| {
            if self.settle(outcome) {
                show(place, outcome)
            } else {
                ControlFlow::Continue(())
            }
        })
    }

    /// Shows the same before [`Self::settle`] was asked: as the rules leave a world, what nobody sees apart, with the
    /// properties that the step breaks. An engine that comes to the same outcome again need not settle it again.
    pub(crate) fn each_outcome<B>(
        &self,
        before: &Both,
        mut show: impl FnMut(usize, &mut Outcome) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        let mut outcome = Outcome::from(before);
        for (place, step) in self.steps_from(&before.world) {
            if self.take(step, &mut outcome) {
                show(place, &mut outcome)?;
            }
            outcome.put_back();
        }
        ControlFlow::Continue(())
    }

    /// Takes a step, and judges it. Answers whether it leads to another world.
    fn take(&self, step: Step, outcome: &mut Outcome) -> bool {
        let (before, after) = (&outcome.before.world, &mut outcome.now.world);
        before.broken == 0
            && self.scope.has_time_for(before, step)
            && step.change(before, after, &self.setting).is_some()
            && self.judge_step(step, outcome)
    }

    /// Notes the properties that a step breaks, and forgets what nobody sees. Answers whether the outcome is another
    /// world. Far fewer steps come here than are tried.
    #[inline(never)]
    fn judge_step(&self, step: Step, outcome: &mut Outcome) -> bool {
        outcome.write();
        if outcome.changed == Parts::NONE {
            return false;
        }
        let (before, after) = (&outcome.before.world, &mut outcome.now.world);
        let edge = Edge::changing(outcome.changed, before, step, after, &self.setting);
        let claimed = self.claim.is_none_or(|holds| holds(&edge));
        let mut broken = broken_of(&edge, self.watched) | if claimed { 0 } else { CLAIM_BIT };
        let unseen = self
            .scope
            .unseen(after, outcome.changed, &self.setting.book);
        if !unseen.is_empty() {
            // What is forgotten is judged before.
            let place = Place::changed(after, outcome.changed, &self.setting);
            broken |= broken_in(&place, self.watched);
            unseen.forget(after);
            outcome.write();
        }
        if broken != 0 {
            outcome.note_broken(broken);
        }
        broken != 0 || outcome.changed != Parts::NONE
    }

    /// Puts the outcome of a step into canonical form, unless told otherwise. Answers whether it lies in the scope.
    pub(crate) fn settle(&self, outcome: &mut Outcome) -> bool {
        let world = &mut outcome.now.world;
        let writes = if self.canonical {
            world.make_canonical()
        } else {
            world.writes_in_use().newest()
        };
        if world.touched != Parts::NONE {
            outcome.write();
        }
        self.scope.admits_writes(&outcome.now.world, writes)
    }

    /// The world after a step, with the properties that do not hold, the invariants among them.
    pub fn judged(&self, outcome: &Outcome) -> World {
        let mut world = outcome.now.world;
        world.broken |= self.judge(&world, outcome.changed);
        world
    }

    /// The invariants that do not hold in a world that one step has led to, where it is known what has changed.
    pub(crate) fn judge(&self, world: &World, changed: Parts) -> u32 {
        broken_in(&Place::changed(world, changed, &self.setting), self.watched)
    }

    /// A world of this search in few words; with symmetry, the one that stands for all its arrangements.
    pub fn pack(&self, world: &World) -> Packed {
        if self.symmetry {
            world.least()
        } else {
            world.pack()
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
    use crate::fault::FAULTS;
    use crate::graph::Graph;
    use crate::rulebook::Era;
    use crate::scope;

    /// With every fault, whether a rule applies or not: the words of an outcome are written by parts, and what a step has
    /// touched is put back by parts.
    #[test]
    fn an_outcome_has_the_words_of_its_world_and_leaves_nothing_behind() {
        let faults = FAULTS
            .iter()
            .map(|fault| fault.in_era(fault.home()).expect("a fault has a home"));
        for book in Era::ALL.map(Era::rulebook).into_iter().chain(faults) {
            for name in ["everything", "errors", "chain", "failover", "role-restarts"] {
                let scope = scope::named(name)
                    .expect("tests name scopes that exist")
                    .scope;
                let search = Search::new(book, scope);
                for world in &Graph::explore(&search, 500).worlds {
                    compare_outcomes(&search, world);
                }
            }
        }
    }

    fn compare_outcomes(search: &Search, world: &World) {
        let (before, mut turned) = (Both::of(world), Both::of(world));
        let mut outcome = Outcome::from(&before);
        for &step in &search.steps {
            if search.take(step, &mut outcome) {
                for settled in [false, true] {
                    if settled {
                        search.settle(&mut outcome);
                    }
                    let (now, packed) = (&outcome.now, outcome.now.world.pack());
                    assert_eq!(
                        now.packed().words(),
                        packed.words(),
                        "{step} from {world:?}"
                    );
                    let changed = packed.difference(before.packed());
                    assert_eq!(outcome.changed, changed, "{step} from {world:?}");
                    assert_eq!(
                        now.fingerprint(),
                        packed.fingerprint(),
                        "{step} from {world:?}"
                    );
                    turned.turn_into(&packed);
                    assert_eq!(turned.world, now.world, "{step} from {world:?}");
                }
            }
            outcome.put_back();
            assert_eq!(outcome.now.world, *world, "after {step}");
            assert_eq!(
                outcome.now.packed().words(),
                before.packed().words(),
                "after {step}"
            );
        }
    }
}
