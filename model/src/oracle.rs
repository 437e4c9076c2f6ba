//! The oracle: the set of worlds that are compatible with everything seen so far.
//!
//! What the harness does moves every world; what it observes filters them; what the subject may have done
//! unseen is closed over, lazily, when something is observed. If no world is left, the subject did what the
//! specification does not allow, and the oracle says what would have been allowed. It knows nothing of bytes:
//! whoever observes keeps, with each world, a binding of names and numbers to what was seen on the wire.

use crate::casting::Casting;
use crate::rules::Setting;
use crate::situation::Target;
use crate::step::Step;
use crate::world::{Topology, World};
use std::collections::BTreeSet;

/// The most worlds that are kept; one more is a failure of whoever uses the oracle.
pub const MAX_WORLDS: usize = 4_096;

/// How many unseen steps in a row a subject is given credit for before something must be observed.
const MAX_HIDDEN_STEPS: usize = 8;

/// A world the subject may be in.
#[derive(Clone, Debug)]
pub struct Possible<B> {
    /// The world, in plain form: numbers as they came.
    pub world: World,
    /// What was bound on the way.
    pub binding: B,
    /// The targets met on the way.
    pub met: BTreeSet<Target>,
    /// The steps that led here.
    pub path: Vec<Step>,
}

/// Why the oracle cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OracleError {
    /// More worlds are possible than can be kept apart.
    #[error("more than {MAX_WORLDS} worlds are compatible with what was seen")]
    TooManyWorlds,
    /// The step does not apply to any possible world: the plan and the subject have parted.
    #[error("{0} does not apply to any world that is compatible with what was seen")]
    NotApplicable(Step),
}

/// The set of possible worlds.
#[derive(Clone, Debug)]
pub struct Oracle<B> {
    setting: Setting,
    topology: Topology,
    casting: Casting,
    hidden: Vec<Step>,
    possible: Vec<Possible<B>>,
}

impl<B: Clone + PartialEq> Oracle<B> {
    /// An oracle that begins with fresh nodes.
    pub fn new(
        setting: Setting,
        topology: Topology,
        casting: Casting,
        allowed: impl Fn(Step) -> bool,
        binding: B,
    ) -> Self {
        let start = Possible {
            world: topology.beginning(),
            binding,
            met: BTreeSet::new(),
            path: Vec::new(),
        };
        let mut oracle = Self {
            setting,
            topology,
            casting,
            hidden: Vec::new(),
            possible: vec![start],
        };
        oracle.allow(allowed);
        oracle
    }

    /// From now on the subject may take only those of its own steps that are allowed: what its configuration
    /// rules out it will not do.
    pub fn allow(&mut self, allowed: impl Fn(Step) -> bool) {
        let own = Step::among(self.topology)
            .into_iter()
            .filter(|step| self.casting.is_hidden(*step));
        self.hidden = own.filter(|step| allowed(*step)).collect();
    }

    /// The worlds that are possible now; never none.
    pub fn possible(&self) -> &[Possible<B>] {
        &self.possible
    }

    /// The targets that were met whichever of the possible worlds is the true one.
    pub fn met(&self) -> BTreeSet<Target> {
        let mut sets = self.possible.iter().map(|possible| possible.met.clone());
        let first = sets.next().unwrap_or_default();
        sets.fold(first, |met, other| {
            met.intersection(&other).copied().collect()
        })
    }

    /// Something happens that the harness brings about, or knows to have happened, after whatever the subject
    /// may have done unseen before.
    pub fn drive(&mut self, step: Step) -> Result<(), OracleError> {
        let before = self.closure()?;
        let next: Vec<_> = before
            .iter()
            .filter_map(|possible| self.after(possible, step))
            .collect();
        if next.is_empty() {
            return Err(OracleError::NotApplicable(step));
        }
        self.replace(next)
    }

    /// Whether a step applies to some possible world.
    pub fn may(&self, step: Step) -> bool {
        self.possible
            .iter()
            .any(|possible| step.apply(&possible.world, &self.setting).is_some())
    }

    /// Whether from each possible world the subject may come, by steps of its own, to one that is `enough`. What it can
    /// no longer come to is not due.
    pub fn may_come_to(&self, enough: impl Fn(&Possible<B>) -> bool) -> Result<bool, OracleError> {
        for possible in &self.possible {
            let alone = Self {
                possible: vec![possible.clone()],
                ..self.clone()
            };
            if !alone.closure()?.iter().any(&enough) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Every world the subject may be in by now, having done what it can do unseen.
    pub fn closure(&self) -> Result<Vec<Possible<B>>, OracleError> {
        let mut all = self.possible.clone();
        let mut begin = 0;
        for _ in 0..MAX_HIDDEN_STEPS {
            let end = all.len();
            for index in begin..end {
                for &step in &self.hidden {
                    if let Some(next) = self.after(&all[index], step) {
                        insert(&mut all, next)?;
                    }
                }
            }
            if all.len() == end {
                break;
            }
            begin = end;
        }
        Ok(all)
    }

    /// Something is observed: the worlds that agree with it stay, each with what the observation binds.
    /// Answers whether any did; if none, the oracle is left as it was.
    pub fn observe(
        &mut self,
        agrees: impl Fn(&Possible<B>) -> Option<B>,
    ) -> Result<bool, OracleError> {
        let mut agreeing = Vec::new();
        for possible in self.closure()? {
            if let Some(binding) = agrees(&possible) {
                insert(
                    &mut agreeing,
                    Possible {
                        binding,
                        ..possible
                    },
                )?;
            }
        }
        if agreeing.is_empty() {
            return Ok(false);
        }
        self.replace(agreeing)?;
        Ok(true)
    }

    fn after(&self, possible: &Possible<B>, step: Step) -> Option<Possible<B>> {
        let world = step.apply(&possible.world, &self.setting)?;
        let mut next = Possible {
            world,
            ..possible.clone()
        };
        next.path.push(step);
        next.met
            .extend(Target::of(self.casting, &possible.world, step));
        Some(next)
    }

    fn replace(&mut self, worlds: Vec<Possible<B>>) -> Result<(), OracleError> {
        let mut kept = Vec::new();
        for possible in worlds {
            insert(&mut kept, possible)?;
        }
        self.possible = kept;
        Ok(())
    }
}

/// Adds a world unless it is there; a world reached twice has met only what it met both times.
fn insert<B: Clone + PartialEq>(
    worlds: &mut Vec<Possible<B>>,
    new: Possible<B>,
) -> Result<(), OracleError> {
    let same = |old: &Possible<B>| old.world == new.world && old.binding == new.binding;
    if let Some(place) = worlds.iter().position(same) {
        worlds[place].met.retain(|target| new.met.contains(target));
    } else if worlds.len() >= MAX_WORLDS {
        return Err(OracleError::TooManyWorlds);
    } else {
        worlds.push(new);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rulebook::Era;
    use crate::world::{NodeId, PrimaryPhase};

    const REPLICA: NodeId = NodeId::Replica;

    fn oracle() -> Oracle<()> {
        let scope = crate::scope::named("replay")
            .expect("the scope exists")
            .scope;
        Oracle::new(
            scope.setting(Era::Psync2V7.rulebook()),
            scope.topology,
            Casting::Primary,
            |step| scope.allows(step),
            (),
        )
    }

    #[test]
    fn what_the_subject_may_have_done_unseen_is_allowed_until_it_is_seen() {
        let mut oracle = oracle();
        oracle.drive(Step::Ask { replica: REPLICA }).unwrap();
        let online = |possible: &Possible<()>| {
            (possible.world.link(REPLICA).primary == PrimaryPhase::Online).then_some(())
        };
        assert!(oracle.observe(online).unwrap());
        assert!(
            oracle
                .possible()
                .iter()
                .all(|possible| online(possible).is_some())
        );
    }

    #[test]
    fn what_no_world_allows_leaves_the_oracle_as_it_was() {
        let mut oracle = oracle();
        let before = oracle.possible().len();
        assert!(
            !oracle
                .observe(|possible| possible.world.node(NodeId::Primary).backlog.map(|_| ()))
                .unwrap()
        );
        assert_eq!(oracle.possible().len(), before);
    }

    #[test]
    fn what_no_own_step_of_the_subject_leads_to_is_not_due() {
        let mut oracle = oracle();
        let answered =
            |possible: &Possible<()>| possible.world.link(REPLICA).primary != PrimaryPhase::None;
        assert!(!oracle.may_come_to(answered).unwrap(), "nobody has asked");
        oracle.drive(Step::Ask { replica: REPLICA }).unwrap();
        assert!(oracle.may_come_to(answered).unwrap());
    }

    #[test]
    fn a_target_counts_only_if_every_possible_past_met_it() {
        let mut oracle = oracle();
        oracle.drive(Step::Ask { replica: REPLICA }).unwrap();
        oracle.observe(|_| Some(())).unwrap();
        let declined = |target: &Target| matches!(target.step, Step::DeclinePartial { .. });
        assert!(
            !oracle.met().iter().any(declined),
            "it may not have been looked at yet"
        );
        let waiting = |possible: &Possible<()>| {
            (possible.world.link(REPLICA).primary != PrimaryPhase::None).then_some(())
        };
        assert!(oracle.observe(waiting).unwrap());
        assert!(oracle.met().iter().any(declined));
    }
}
