//! Plans that tell a server as it should be from one with the flaws of its era.
//!
//! Covering every situation of the clean rulebook does not find what only a flaw keeps in mind: the situation looks the
//! same to the clean one. So both rulebooks are walked side by side, along the same steps, to the nearest moment at
//! which a replica asks its primary for something else.
//!
//! Where a mistake lies deeper than the worlds that are covered, the wrong rulebook is asked itself: its nearest harm that
//! somebody outside can see ends the plan, which the right one carries out as far as it can.
use psync_model::case::Case;
use psync_model::casting::Casting;
use psync_model::catch;
use psync_model::fault::{self, Fault};
use psync_model::property::Property;
use psync_model::reach;
use psync_model::rulebook::Era;
use psync_model::scope::{Scope, named};
use psync_model::search::Search;
use psync_model::step::Step;
use psync_model::walk::fingerprint;
use psync_model::world::{NodeId, Request, World};

/// The most pairs of worlds that are looked at; the nearest difference of each era is found among a few thousand.
const MAX_PAIRS: usize = 200_000;

/// A shortest plan at whose end the replica of a flawed server asks for something else than that of a clean one; `None`
/// where the flaws of the era do not come to that.
pub fn telling_plan(era: Era, scope: Scope) -> Option<Vec<Step>> {
    let scope = Scope {
        // Not every server lets it come to that: some look at a snapshot before they drop their data for it.
        load_failures: false,
        ..scope
    };
    let clean = Search::new(era.rulebook(), scope).plain();
    // What comes after harm is done is what is looked for.
    let flawed = Search::new(era.rulebook().as_shipped(), scope).watching([]);
    let next = |(one, other): &(World, World)| {
        let steps = Casting::Replica.possible_next(one, &clean.setting, &clean.steps);
        let both = |step| Some((step, (clean.next(one, step)?, flawed.next(other, step)?)));
        steps.into_iter().filter_map(both).collect()
    };
    reach::nearest(
        (clean.beginning(), flawed.beginning()),
        |(one, other)| (fingerprint(one), fingerprint(other)),
        MAX_PAIRS,
        next,
        |_, (one, other)| asked(one) != asked(other),
    )
}

/// The mistakes that lie deeper in their scope than the worlds that cases are made from, and the scope.
pub const DEEP: &[(&str, &str)] = &[
    ("stream-database-not-saved", "databases"),
    ("promotion-without-select", "succession"),
    ("renaming-keeps-replicas", "restart"),
    ("backlog-birth-keeps-id", "role-restarts"),
];

/// For each of them that is a mistake in an era, the plan of its nearest harm as a case that bears its name.
pub fn harming_cases(era: Era) -> Vec<Case> {
    let of_mistake = |(fault, scope): &(&str, &str)| {
        // No case of a whole topology has a stranger in it.
        let scope = Scope {
            stranger: false,
            ..named(scope)?.scope
        };
        let steps = harming_plan(fault::named(fault)?, era, scope)?;
        Some(Case::named(era, scope, Casting::Whole, fault, steps))
    };
    DEEP.iter().filter_map(of_mistake).collect()
}

/// The way to the nearest harm of a fault that somebody outside can see, as far as the clean rulebook goes it too; `None`
/// where it is no fault, or does none among the nearest worlds.
fn harming_plan(fault: &Fault, era: Era, scope: Scope) -> Option<Vec<Step>> {
    let visible = Property::ALL
        .into_iter()
        .filter(|property| property.is_visible_outside());
    let flawed = Search::new(fault.in_era(era)?, scope).watching(visible);
    let harm = catch::nearest(&flawed, |_| ())?;
    let clean = Search::new(era.rulebook(), scope);
    let mut world = clean.beginning();
    let goes_on = |step: &Step| {
        let next = step.apply(&world, &clean.setting);
        next.map(|next| world = next).is_some()
    };
    Some(harm.steps.into_iter().take_while(goes_on).collect())
}

fn asked(world: &World) -> Option<Request> {
    world.link(NodeId::Replica).request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_too_deep_for_a_cover_has_a_case_of_its_own() {
        let cases: Vec<Case> = Era::ALL.into_iter().flat_map(harming_cases).collect();
        for (fault, scope) in DEEP {
            let home = fault::named(fault).unwrap().home();
            let of_fault = format!("{home}/whole/{fault}/");
            let case = cases
                .iter()
                .find(|case| case.header.id.starts_with(&of_fault));
            assert_eq!(
                case.unwrap().header.scope.topology,
                named(scope).unwrap().scope.topology
            );
        }
    }

    #[test]
    fn a_fallback_to_sync_under_an_old_name_is_told_by_the_next_request() {
        let errors = named(crate::run::ERRORS).unwrap().scope;
        assert_eq!(telling_plan(Era::Sync, errors), None);
        for era in [Era::Psync, Era::Psync2, Era::Psync2V7] {
            let plan = telling_plan(era, errors).unwrap();
            let has = |wanted: fn(&Step) -> bool| plan.iter().any(wanted);
            assert!(
                has(|step| matches!(step, Step::ReceiveFullResync { .. })),
                "{era}"
            );
            assert!(
                has(|step| matches!(step, Step::ReceiveError { .. })),
                "{era}"
            );
            assert!(matches!(plan.last(), Some(Step::Ask { .. })), "{era}");
        }
    }
}
