//! What the engines spare themselves changes nothing: worlds survive being packed, properties judged by what has
//! changed are judged as on the whole, and a survey on threads counts what the walk counts.

use psync_model::fault::FAULTS;
use psync_model::graph::Graph;
use psync_model::parts::Parts;
use psync_model::property::{Edge, Place, broken_by, broken_in, broken_of};
use psync_model::rulebook::{Era, Rulebook};
use psync_model::scope::{self, Scope};
use psync_model::search::Search;
use psync_model::survey::{Means, Survey, survey};
use psync_model::walk::{End, Limits, walk};
use psync_model::world::World;
use psync_model::world::squeezed::Squeezed;
use std::num::NonZeroUsize;

/// How many worlds are looked at where a scope has more.
const MOST_WORLDS: usize = 20_000;

fn scope_named(name: &str) -> Scope {
    let named = scope::named(name);
    named.expect("tests name scopes that exist").scope
}

/// The nearest worlds of a scope.
fn worlds(book: Rulebook, scope: &str) -> (Search, Vec<World>) {
    let search = Search::new(book, scope_named(scope));
    let worlds = Graph::explore(&search, MOST_WORLDS).worlds;
    (search, worlds)
}

#[test]
fn worlds_survive_being_packed() {
    for era in Era::ALL {
        for scope in ["everything", "errors", "chain", "role-restarts"] {
            let (search, canonical) = worlds(era.rulebook(), scope);
            let plain = canonical.iter().flat_map(|world| {
                let steps = search.steps.iter();
                steps.filter_map(|step| step.apply(world, &search.setting))
            });
            for world in canonical.iter().copied().chain(plain) {
                assert_eq!(World::unpack(&world.pack()), world);
            }
        }
    }
}

#[test]
fn worlds_survive_being_squeezed_together() {
    let (_, worlds) = worlds(Era::Psync2.rulebook(), "failover");
    let mut squeezed = Squeezed::default();
    for world in &worlds {
        squeezed.push(&world.pack());
    }
    assert_eq!(squeezed.len(), worlds.len());
    let read = squeezed.worlds();
    assert!(read.map(|packed| World::unpack(&packed)).eq(worlds));
}

/// With every fault, and from every world in which everything holds: what has changed is all that can have broken.
#[test]
fn judging_what_has_changed_is_judging_everything() {
    let mut broken_steps = 0;
    for fault in FAULTS {
        let book = fault.in_era(fault.home()).expect("a fault has a home");
        for scope in ["errors", "restarts", "chain", "failover"] {
            let search = Search::new(book, scope_named(scope));
            let worlds = Graph::explore(&search, MOST_WORLDS / 20).worlds;
            for world in worlds.iter().filter(|world| is_sound(&search, world)) {
                broken_steps += judge_both_ways(&search, world);
            }
        }
    }
    assert!(
        broken_steps > FAULTS.len(),
        "most faults show in these worlds"
    );
}

/// Whether every invariant holds in a world.
fn is_sound(search: &Search, world: &World) -> bool {
    broken_in(&Place::new(world, &search.setting), search.watched) == 0
}

/// How many steps from this world break something.
fn judge_both_ways(search: &Search, world: &World) -> usize {
    let mut broken_steps = 0;
    for &step in &search.steps {
        let Some(after) = step.apply(world, &search.setting) else {
            continue;
        };
        let setting = &search.setting;
        let change = after.difference(world);
        let edge = Edge::changing(Parts::ALL, world, step, &after, setting);
        let (changed, place) = (
            Edge::changing(change, world, step, &after, setting),
            Place::changed(&after, change, setting),
        );
        let broken = broken_by(&edge, search.watched);
        assert_eq!(
            broken_of(&changed, search.watched) | broken_in(&place, search.watched),
            broken,
            "{step} from {world:?}"
        );
        broken_steps += usize::from(broken != 0);
    }
    broken_steps
}

/// With every fault: what a step needs to find is what its guards look for.
#[test]
fn no_step_applies_where_its_need_is_not_met() {
    let mut spared = 0_usize;
    for fault in FAULTS {
        let book = fault.in_era(fault.home()).expect("a fault has a home");
        for scope in ["errors", "everything", "chain", "failover", "role-restarts"] {
            let search = Search::new(book, scope_named(scope));
            for world in Graph::explore(&search, MOST_WORLDS / 20).worlds {
                let tried: Vec<_> = search.steps_from(&world).map(|(_, step)| step).collect();
                let left_out = search.steps.iter().filter(|step| !tried.contains(step));
                for &step in left_out {
                    assert_eq!(
                        step.apply(&world, &search.setting),
                        None,
                        "{step} from {world:?}"
                    );
                    spared += 1;
                }
            }
        }
    }
    assert!(spared > 0, "there are steps that need not be tried");
}

fn surveyed(search: &Search, threads: usize) -> Survey {
    let threads = NonZeroUsize::new(threads).expect("a survey has a thread");
    survey(
        search,
        Means {
            threads,
            ..Means::all()
        },
        |_| true,
    )
}

#[test]
fn a_survey_counts_what_the_walk_counts_on_any_number_of_threads() {
    for (era, scope) in [(Era::Psync, "chain"), (Era::Psync2V7, "restarts")] {
        let search = Search::new(era.rulebook(), scope_named(scope));
        let walked = walk(&search, Limits::PROVE, |_| true);
        for threads in [1, 2, 5] {
            let found = surveyed(&search, threads);
            assert_eq!(found.end, End::Complete);
            assert_eq!(
                (found.states, found.edges, found.depth, &found.fired),
                (walked.states, walked.edges, walked.depth, &walked.fired)
            );
            assert_eq!(found.degrees.iter().sum::<u64>(), found.states as u64);
            let edges = found
                .degrees
                .iter()
                .zip(0..)
                .map(|(states, degree)| states * degree);
            assert_eq!(edges.sum::<u64>(), found.edges);
        }
    }
}

#[test]
fn a_survey_ends_on_the_level_of_the_nearest_violation() {
    let fault = psync_model::fault::named("backlog-lower-bound-ignored").expect("it exists");
    let book = fault.in_era(Era::Psync2V7).expect("the era has the rule");
    let search = Search::new(book, scope_named("restarts"));
    let walked = walk(&search, Limits::PROVE, |_| true);
    let nearest = walked.violations.first().expect("the fault shows");
    for threads in [1, 2] {
        let found = surveyed(&search, threads);
        assert_eq!(found.end, End::Violated);
        assert_eq!(found.depth, nearest.steps.len());
        assert_eq!(found.broken & nearest.broken, nearest.broken);
    }
}

#[test]
fn a_survey_that_is_stopped_says_so() {
    let search = Search::new(Era::Psync.rulebook(), scope_named("chain"));
    let few = Means {
        max_states: 1_000,
        ..Means::all()
    };
    assert_eq!(survey(&search, few, |_| true).end, End::TooManyStates);
    assert_eq!(
        survey(&search, Means::all(), |_| false).end,
        End::Interrupted
    );
}

#[test]
fn everything_holds_in_the_beginning() {
    for era in Era::ALL {
        for named in scope::SCOPES {
            let search = Search::new(era.rulebook(), named.scope);
            assert!(
                is_sound(&search, &search.beginning()),
                "{era} {}",
                named.name
            );
        }
    }
}
