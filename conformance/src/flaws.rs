//! Plans that tell a server as it should be from one with the flaws of its era.
//!
//! Covering every situation of the clean rulebook does not find what only a flaw keeps in mind: the situation looks the
//! same to the clean one. So both rulebooks are walked side by side, along the same steps, to the nearest moment at
//! which a replica asks its primary for something else.
use std::collections::{HashSet, VecDeque};

use psync_model::casting::Casting;
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
    let mut came_from: Vec<(usize, Step)> = Vec::new();
    let mut queue = VecDeque::from([(0, clean.beginning(), flawed.beginning())]);
    let prints = |one: &World, other: &World| (fingerprint(one), fingerprint(other));
    let mut seen = HashSet::from([prints(&clean.beginning(), &flawed.beginning())]);
    while let Some((place, one, other)) = queue.pop_front() {
        for step in Casting::Replica.possible_next(&one, &clean.setting, &clean.steps) {
            let (Some(one), Some(other)) = (clean.next(&one, step), flawed.next(&other, step))
            else {
                continue;
            };
            if asked(&one) != asked(&other) {
                return Some(plan(&came_from, place, step));
            }
            if seen.len() < MAX_PAIRS && seen.insert(prints(&one, &other)) {
                came_from.push((place, step));
                queue.push_back((came_from.len(), one, other));
            }
        }
    }
    None
}

fn asked(world: &World) -> Option<Request> {
    world.link(NodeId::Replica).request
}

/// The steps to a place, which counts from one, and one more.
fn plan(came_from: &[(usize, Step)], mut place: usize, last: Step) -> Vec<Step> {
    let mut steps = vec![last];
    while place > 0 {
        let (before, step) = came_from[place - 1];
        steps.push(step);
        place = before;
    }
    steps.reverse();
    steps
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
