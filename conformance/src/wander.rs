//! Random walks: plans beyond the scopes of which every situation is covered.
//!
//! A walk takes any step that comes next in a larger scope, one of a world at rest more often than another, so that links
//! come up again after they were cut. Its seed gives it back.
use fastrand::Rng;
use psync_model::case::Case;
use psync_model::casting::Casting;
use psync_model::narrate::has_room;
use psync_model::rulebook::Era;
use psync_model::scope::{self, Scope};
use psync_model::search::Search;
use psync_model::step::Step;
use psync_model::world::{Topology, World};

use crate::run;

/// How long a walk is at most, in steps: longer than any plan of a cover, and still to be read by a person.
const MAX_STEPS: usize = 40;

/// Of so many steps one is none of a world at rest, where there is a choice.
const RESTLESS: u8 = 3;

/// The walk with this seed. It ends early where a plain world has no room for more.
pub fn walk(era: Era, casting: Casting, as_shipped: bool, seed: u64) -> Case {
    let mut random = Rng::with_seed(seed);
    let scope = larger_scope(casting, &mut random);
    let clean = era.rulebook();
    let book = if as_shipped {
        clean.as_shipped()
    } else {
        clean
    };
    let search = Search::new(book, scope).plain();
    let mut world = search.beginning();
    let mut steps = Vec::new();
    while steps.len() < MAX_STEPS && has_room(&world) && scope.admits(&world) {
        let Some((step, next)) = next(&search, casting, &world, &mut random) else {
            break;
        };
        steps.push(step);
        world = next;
    }
    let mut case = Case::named(era, scope, casting, &format!("walk-{seed}"), steps);
    case.header.as_shipped = as_shipped;
    case
}

/// Any step that can come next: first what kind of rule, then which rule, then which of its steps.
fn next(
    search: &Search,
    casting: Casting,
    world: &World,
    random: &mut Rng,
) -> Option<(Step, World)> {
    let possible = casting.possible_next(world, &search.setting, &search.steps);
    let in_time = |step: &Step| search.scope.has_time_for(world, *step);
    let (calm, restless): (Vec<Step>, Vec<Step>) = possible
        .into_iter()
        .filter(in_time)
        .partition(|step| step.is_calm());
    let takes_a_risk = random.u8(..RESTLESS) == 0;
    let among = if calm.is_empty() || takes_a_risk && !restless.is_empty() {
        restless
    } else {
        calm
    };
    let mut rules: Vec<&str> = among.iter().map(|step| step.rule_name()).collect();
    rules.dedup();
    let rule = random.choice(rules)?;
    let of_rule = among.into_iter().filter(|step| step.rule_name() == rule);
    let step = random.choice(of_rule.collect::<Vec<Step>>())?;
    Some((step, step.apply(world, &search.setting)?))
}

/// What a casting can be led through, all at once, with a backlog of more than one command. Nobody saves: real servers
/// refuse to while a snapshot is being made, and begin with a backlog where a node without a name was saved. Nor are there
/// transactions and databases at once: whether a `SELECT` stands before a `MULTI` or behind it is a matter of versions that
/// the model does not tell apart (`PROTOCOL §2.5`).
fn larger_scope(casting: Casting, random: &mut Rng) -> Scope {
    let named = |name: &str| {
        let scope = scope::named(name);
        scope
            .expect("the model has the scopes that cases are made from")
            .scope
    };
    let databases = random.bool();
    match casting {
        Casting::Primary => Scope {
            backlog_commands: 2,
            lag_commands: 6,
            resizes: true,
            ..named(run::SCOPE)
        },
        Casting::Replica => Scope {
            errors: true,
            ..larger_scope(Casting::Primary, random)
        },
        Casting::Whole => Scope {
            topology: random
                .choice([Topology::Pair, Topology::Chain])
                .unwrap_or_default(),
            backlog_commands: 2,
            lag_commands: 6,
            databases,
            transactions: !databases,
            stranger: false,
            prompt: true,
            ..named("role-restarts")
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_seed_gives_its_walk_back_and_the_walk_is_a_case() {
        for (era, casting) in Era::ALL
            .into_iter()
            .flat_map(|era| Casting::ALL.map(|casting| (era, casting)))
        {
            let case = walk(era, casting, false, 7);
            assert_eq!(case, walk(era, casting, false, 7));
            let mut text = Vec::new();
            case.write(&mut text).unwrap();
            assert_eq!(Case::read(text.as_slice()).unwrap(), case);
        }
    }

    #[test]
    fn some_walks_come_by_everything_that_a_casting_can_be_led_through() {
        let walks = (0..200).map(|seed| walk(Era::Psync2V7, Casting::Whole, false, seed));
        let rules: BTreeSet<&str> = walks
            .flat_map(|case| case.steps)
            .map(Step::rule_name)
            .collect();
        for rule in [
            "accept-partial",
            "receive-snapshot",
            "apply",
            "promote",
            "restart-as-replica",
            "follow-in-transaction",
        ] {
            assert!(rules.contains(rule), "{rule} is in none of the walks");
        }
    }
}
