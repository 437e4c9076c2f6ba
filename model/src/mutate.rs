//! A way to doubt the specification: every guard of every rule is switched off, and negated, and the scopes are
//! visited again. What notices kills the mutant. A mutant that survives means a guard without which everything
//! still holds, and wants an argument, or a property that is missing.
//!
//! What can notice: a property; L1, on the graph; the reachability of a rule or branch that no longer fires; and
//! the bounds, where a rule that should not apply makes the worlds grow without end.

use crate::liveness::{self, NotProved};
use crate::property::Property;
use crate::rulebook::Era;
use crate::rules::guard::Mutation;
use crate::rules::{Guard, Mutant};
use crate::scope::{self, NamedScope, Scope};
use crate::search::Search;
use crate::step::Step;
use crate::walk::{End, Limits, Walk, walk};
use std::collections::BTreeSet;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The scopes in which a mutant is looked for, those that show most for the least work first, with the eras in which
/// they show something that no scope before does.
const LADDER: [(&str, &[Era]); 11] = [
    ("smoke", &Era::ALL),
    ("errors", &Era::ALL),
    ("pings", &[Era::Psync, Era::Psync2V7]),
    ("fan", &[Era::Psync2V7]),
    ("restarts", &[Era::Psync, Era::Psync2V7]),
    ("chain", &[Era::Psync, Era::Psync2V7]),
    ("failover", &[Era::Sync, Era::Psync2, Era::Psync2V7]),
    ("role-restarts", &[Era::Psync2, Era::Psync2V7]),
    ("replay", &[Era::Psync2V7]),
    ("transactions", &[Era::Psync, Era::Psync2V7]),
    ("databases", &[Era::Psync2V7]),
];

/// Four more, for guards about what no scope above has.
const MORE: [NamedScope; 4] = [
    NamedScope {
        name: "saves",
        purpose: "snapshots saved at any moment",
        scope: Scope {
            saves: true,
            ..scope::RESTARTS
        },
    },
    NamedScope {
        name: "errors-direct",
        purpose: "errors, and snapshots sent directly",
        scope: Scope {
            sockets: true,
            ..scope::ERRORS
        },
    },
    NamedScope {
        name: "chain-pings",
        purpose: "PINGs that a replica of a replica gets",
        scope: Scope {
            pings: true,
            ..scope::CHAIN
        },
    },
    NamedScope {
        name: "chain-handover",
        purpose: "three nodes that change roles within transactions",
        scope: Scope {
            lag_commands: 3,
            roles: true,
            transactions: true,
            ..scope::CHAIN
        },
    },
];

/// The most worlds of a scope that is visited to its end.
const MOST_WORLDS: usize = 100_000;

/// The most worlds of a scope whose graph is searched for behaviours that do not converge.
const MOST_IN_MEMORY: usize = 20_000;

/// How many worlds are visited of a scope that has more, the nearest first. Of those only a broken property counts:
/// that a rule does not fire so near means nothing.
const NEAREST_WORLDS: usize = 25_000;

/// What noticed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Noticed {
    /// A property, on the last of so many steps.
    Property(Property, usize),
    /// A rule or branch that fires where the guard is as it should be, and no longer does.
    NeverFires(Step),
    /// There is no end of worlds, or one that this representation has no place for.
    LeavesBounds,
}

impl fmt::Display for Noticed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Property(property, steps) => write!(f, "{property:?} in {steps} steps"),
            Self::NeverFires(step) => write!(f, "{step} never fires"),
            Self::LeavesBounds => f.write_str("there is no end of worlds"),
        }
    }
}

/// A scope in an era, as it is with every guard in its place.
#[derive(Debug)]
pub struct Rung {
    /// The era.
    pub era: Era,
    /// The scope.
    pub scope: &'static NamedScope,
    search: Search,
    states: usize,
    edges: u64,
    complete: bool,
    fired: BTreeSet<Step>,
}

/// What became of a mutant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It was noticed in this era and scope.
    Killed(Noticed, Era, &'static str),
    /// The worlds are others, or more, in at least one scope, and nothing noticed.
    Survived,
    /// Not a world and not an edge is different anywhere.
    Indistinct,
}

/// Every rung of the ladder, visited with all guards in place.
pub fn ladder() -> Vec<Rung> {
    let named = LADDER.iter().flat_map(|(name, eras)| {
        let scope = scope::named(name);
        scope
            .into_iter()
            .flat_map(|scope| eras.iter().map(move |era| (*era, scope)))
    });
    let more = MORE.iter().map(|scope| (Era::Psync2V7, scope));
    named
        .chain(more)
        .map(|(era, scope)| Rung::new(era, scope))
        .collect()
}

/// Every mutant: each guard switched off, and negated.
pub fn mutants(guards: &[Guard]) -> Vec<Mutant> {
    let both = |&guard| Mutation::ALL.map(|mutation| Mutant { guard, mutation });
    guards.iter().flat_map(both).collect()
}

/// Looks for whatever notices a mutant, on one rung of the ladder after the other.
pub fn judge(mutant: Mutant, ladder: &[Rung]) -> Fate {
    let mut distinct = false;
    for rung in ladder {
        match rung.look_at(mutant) {
            Look::Noticed(what) => return Fate::Killed(what, rung.era, rung.scope.name),
            Look::Different => distinct = true,
            Look::TheSame => {}
        }
    }
    if distinct {
        Fate::Survived
    } else {
        Fate::Indistinct
    }
}

/// What one rung shows.
enum Look {
    Noticed(Noticed),
    Different,
    TheSame,
}

impl Rung {
    /// Visits the nearest worlds.
    pub fn new(era: Era, scope: &'static NamedScope) -> Self {
        let search = Search::new(era.rulebook(), scope.scope);
        let mut found = nearest(&search, MOST_WORLDS);
        let complete = found.end == End::Complete;
        if !complete {
            found = nearest(&search, NEAREST_WORLDS);
        }
        assert!(
            found.violations.is_empty(),
            "{era}, {}: with every guard in its place nothing breaks",
            scope.name
        );
        Self {
            era,
            scope,
            search,
            states: found.states,
            edges: found.edges,
            complete,
            fired: fired(&found).collect(),
        }
    }

    fn look_at(&self, mutant: Mutant) -> Look {
        let search = self.search.clone().with_mutant(mutant);
        let most = if self.complete {
            4 * self.states + 1_000
        } else {
            NEAREST_WORLDS
        };
        // A mutant may lead to worlds for which there is no place; the rules say so by panicking.
        let Ok(found) = catch_unwind(AssertUnwindSafe(|| nearest(&search, most))) else {
            return Look::Noticed(Noticed::LeavesBounds);
        };
        if let Some(violation) = found.violations.first() {
            let broken = Property::in_bits(violation.broken).next();
            let broken = broken.expect("a violation names what it breaks");
            return Look::Noticed(Noticed::Property(broken, violation.steps.len()));
        }
        if !self.complete {
            return self.compare(&found);
        }
        if found.end != End::Complete {
            return Look::Noticed(Noticed::LeavesBounds);
        }
        let still: BTreeSet<Step> = fired(&found).collect();
        if let Some(step) = self.fired.difference(&still).next() {
            return Look::Noticed(Noticed::NeverFires(*step));
        }
        match self.compare(&found) {
            Look::Different if found.states <= MOST_IN_MEMORY => {
                judge_liveness(search, found.states)
            }
            look => look,
        }
    }

    fn compare(&self, found: &Walk) -> Look {
        if (found.states, found.edges) == (self.states, self.edges) {
            Look::TheSame
        } else {
            Look::Different
        }
    }
}

fn judge_liveness(search: Search, states: usize) -> Look {
    match liveness::prove(search, states + 1) {
        Err(NotProved::LeavesScope) => Look::Noticed(Noticed::LeavesBounds),
        Err(NotProved::Stuck(stuck)) => {
            Look::Noticed(Noticed::Property(Property::L1, stuck.steps.len()))
        }
        _ => Look::Different,
    }
}

fn nearest(search: &Search, most: usize) -> Walk {
    let limits = Limits {
        max_states: most,
        ..Limits::PROVE
    };
    walk(search, limits, |_| true)
}

fn fired(found: &Walk) -> impl Iterator<Item = Step> + '_ {
    let fired = found.fired.iter().filter(|(_, times)| **times > 0);
    fired.map(|(step, _)| *step)
}
