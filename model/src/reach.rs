//! A shortest way to a step: how soon a rule, or one branch of it, can happen in a scope.

use crate::search::Search;
use crate::step::Step;
use crate::walk::fingerprint;
use std::collections::{HashSet, VecDeque};

/// A shortest plan that ends with a step that is wanted, among the so many nearest worlds.
pub fn shortest(
    search: &Search,
    max_worlds: usize,
    wanted: impl Fn(Step) -> bool,
) -> Option<Vec<Step>> {
    let mut queue = VecDeque::from([(0, search.beginning())]);
    let mut seen = HashSet::from([fingerprint(&search.beginning())]);
    let mut came_from: Vec<(usize, Step)> = Vec::new();
    while let Some((place, world)) = queue.pop_front() {
        for &step in &search.steps {
            let Some(next) = search.next(&world, step) else {
                continue;
            };
            if wanted(step) {
                return Some(plan(&came_from, place, step));
            }
            if came_from.len() + 1 < max_worlds && seen.insert(fingerprint(&next)) {
                came_from.push((place, step));
                queue.push_back((came_from.len(), next));
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
