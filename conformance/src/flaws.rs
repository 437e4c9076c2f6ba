//! Plans that tell a server as it should be from one with the flaws of its era.
//!
//! Covering every situation of the clean rulebook does not find what only a flaw keeps in mind: the situation looks the
//! same to the clean one. So both rulebooks are walked side by side, along the same steps, to the nearest moment at
//! which a replica asks its primary for something else.
use psync_model::casting::Casting;
use psync_model::reach;
use psync_model::rulebook::Era;
use psync_model::scope::Scope;
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

fn asked(world: &World) -> Option<Request> {
    world.link(NodeId::Replica).request
}

#[cfg(test)]
mod tests {
    use super::*;
    use psync_model::scope;

    #[test]
    fn a_fallback_to_sync_under_an_old_name_is_told_by_the_next_request() {
        let errors = scope::named(crate::run::ERRORS).unwrap().scope;
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
