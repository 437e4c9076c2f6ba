//! A shortest way to a step: how soon a rule, or one branch of it, can happen in a scope.

use crate::search::Search;
use crate::step::Step;
use crate::walk::fingerprint;
use std::collections::{HashSet, VecDeque};
use std::hash::Hash;

/// A shortest plan that ends with a step that is wanted, among the so many nearest worlds.
pub fn shortest(
    search: &Search,
    max_worlds: usize,
    wanted: impl Fn(Step) -> bool,
) -> Option<Vec<Step>> {
    let next = |world: &_| {
        let steps = search.steps.iter();
        steps
            .filter_map(|&step| Some((step, search.next(world, step)?)))
            .collect()
    };
    nearest(
        search.beginning(),
        fingerprint,
        max_worlds,
        next,
        |step, _| wanted(step),
    )
}

/// A shortest plan whose last step, with the place it leads to, is wanted, among the so many nearest places of whatever
/// graph. `print` tells places apart, `next` says where one can go from there.
pub fn nearest<P, K: Eq + Hash>(
    beginning: P,
    print: impl Fn(&P) -> K,
    max_places: usize,
    next: impl Fn(&P) -> Vec<(Step, P)>,
    wanted: impl Fn(Step, &P) -> bool,
) -> Option<Vec<Step>> {
    let mut seen = HashSet::from([print(&beginning)]);
    let mut queue = VecDeque::from([(0, beginning)]);
    let mut came_from: Vec<(usize, Step)> = Vec::new();
    while let Some((number, place)) = queue.pop_front() {
        for (step, after) in next(&place) {
            if wanted(step, &after) {
                return Some(plan(&came_from, number, step));
            }
            if seen.len() < max_places && seen.insert(print(&after)) {
                came_from.push((number, step));
                queue.push_back((came_from.len(), after));
            }
        }
    }
    None
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
    use crate::rulebook::Era;
    use crate::scope;

    fn smoke() -> Search {
        let scope = scope::named("smoke").unwrap().scope;
        Search::new(Era::Psync2V7.rulebook(), scope)
    }

    fn names(wanted: &str) -> Vec<String> {
        let steps = shortest(&smoke(), usize::MAX, |step| step.to_string() == wanted);
        steps.unwrap().iter().map(Step::to_string).collect()
    }

    #[test]
    fn the_way_to_the_first_reply_is_as_short_as_can_be() {
        let expected = [
            "ask",
            "decline-partial/no-label",
            "start-snapshot/disk",
            "receive-full-resync",
        ];
        assert_eq!(names("receive-full-resync"), expected);
        assert_eq!(names("ask"), ["ask"]);
    }

    #[test]
    fn what_never_happens_is_not_found_and_few_worlds_do_not_reach_far() {
        let never = shortest(&smoke(), usize::MAX, |step| step.rule_name() == "promote");
        assert_eq!(never, None);
        let far = shortest(&smoke(), 3, |step| step.rule_name() == "receive-continue");
        assert_eq!(far, None);
    }
}
