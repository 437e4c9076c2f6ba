//! The graph of a scope, one edge at a time: what both engines walk over.

use crate::packed::Packed;
use crate::property::{Edge, Property, broken_by};
use crate::rulebook::Rulebook;
use crate::rules::{Mutant, Setting};
use crate::scope::Scope;
use crate::step::Step;
use crate::world::World;

/// A rulebook, a scope and the properties to watch.
#[derive(Clone, Debug)]
pub struct Search {
    /// Era and configuration.
    pub setting: Setting,
    /// How far to go.
    pub scope: Scope,
    /// Every step that may apply, in a fixed order.
    pub steps: Vec<Step>,
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
        let steps = Step::among(scope.topology)
            .into_iter()
            .filter(|step| scope.allows(*step))
            .collect();
        let watched = Property::ALL
            .iter()
            .fold(0, |bits, property| bits | property.bit());
        Self {
            setting: scope.setting(book),
            scope,
            steps,
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

    /// The world after a step, in canonical form unless told otherwise, with the properties it breaks;
    /// `None` where the rule does not apply or changes nothing that matters here, where the result lies outside
    /// the scope, and after a violation.
    pub fn next(&self, world: &World, step: Step) -> Option<World> {
        if world.broken != 0 || !self.scope.has_time_for(world, step) {
            return None;
        }
        let after = step.outcome(world, &self.setting)?;
        self.judge(world, step, after)
    }

    /// What [`Self::next`] does with the outcome of a step: far fewer steps come here than are tried.
    #[inline(never)]
    fn judge(&self, world: &World, step: Step, mut next: World) -> Option<World> {
        let edge = Edge::from_sound(world, step, &next, &self.setting)?;
        let claimed = self.claim.is_none_or(|holds| holds(&edge));
        let broken = broken_by(&edge, self.watched) | if claimed { 0 } else { CLAIM_BIT };
        let forgot = self.scope.forget_unseen(&mut next, &self.setting.book);
        if forgot && broken == 0 && next == *world {
            return None;
        }
        let writes = if self.canonical {
            next.make_canonical()
        } else {
            next.writes_in_use().newest()
        };
        next.broken = broken;
        self.scope.admits_writes(&next, writes).then_some(next)
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
        self.scope.forget_unseen(&mut world, &self.setting.book);
        if self.canonical {
            world.make_canonical();
        }
        world
    }
}
