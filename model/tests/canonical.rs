//! The canonical form: worlds that differ only in names and numbers become one, and nothing else is lost.

mod disguise;

use disguise::disguised;
use psync_model::offset::NextByte;
use psync_model::property::{Edge, broken_by};
use psync_model::rulebook::Era;
use psync_model::scope::{self, Scope};
use psync_model::search::Search;
use psync_model::step::Step;
use psync_model::token::{Data, Tokens};
use psync_model::walk::fingerprint;
use psync_model::world::{Backlog, Id, NodeId, Secondary, World};
use std::collections::HashSet;

/// The worlds along a plan: as the rules leave them, and in canonical form after each step.
struct Pair {
    plain: World,
    canonical: World,
}

fn scope_named(name: &str) -> Scope {
    let named = scope::named(name).expect("tests name scopes that exist");
    named.scope
}

/// Everything a pair can do, and everything that role changes and restarts in another role can do.
fn searches() -> impl Iterator<Item = Search> {
    let scopes = ["everything", "failover", "chain", "role-restarts"].map(scope_named);
    let eras = Era::ALL.into_iter();
    eras.flat_map(move |era| scopes.map(|scope| Search::new(era.rulebook(), scope)))
}

/// The steps that apply in a world and stay in the scope, with the properties they break.
fn enabled(search: &Search, world: &World) -> Vec<(Step, u32)> {
    let steps = search.steps.iter().filter_map(|&step| {
        let after = step.apply(world, &search.setting)?;
        let edge = Edge::new(world, step, &after, &search.setting);
        // A step that changes only what nothing can tell, as a restart of a nameless primary, is none.
        let (was, is) = (search.settled(*world), search.settled(after));
        let inside = was != is && search.scope.admits(&is);
        inside.then(|| (step, broken_by(&edge, search.watched)))
    });
    steps.collect()
}

/// Walks random plans of `length` steps and shows every pair of worlds on the way.
fn random_plans(search: &Search, plans: usize, length: usize, mut show: impl FnMut(&Pair)) {
    for seed in 1..=plans as u64 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut pair = Pair {
            plain: search.beginning(),
            canonical: search.beginning(),
        };
        for _ in 0..length {
            // A plain world keeps what nothing refers to any more; forget it before it runs out of places.
            if pair.plain.next_write() > 9 {
                pair.plain = pair.canonical;
            }
            let steps = enabled(search, &pair.canonical);
            let (step, _) = steps[random.usize(..steps.len())];
            pair.plain = step.apply(&pair.plain, &search.setting).unwrap_or_else(|| {
                panic!("seed {seed}: {step} applies in the canonical world only")
            });
            pair.canonical = search
                .next(&pair.canonical, step)
                .expect("the step was found enabled");
            show(&pair);
        }
    }
}

#[test]
fn the_canonical_form_of_a_canonical_world_is_itself() {
    for search in searches() {
        random_plans(&search, 50, 60, |pair| {
            assert_eq!(search.settled(pair.canonical), pair.canonical);
        });
    }
}

#[test]
fn a_plan_leads_to_the_same_place_in_plain_and_in_canonical_worlds() {
    for search in searches() {
        random_plans(&search, 50, 60, |pair| {
            assert_eq!(search.settled(pair.plain), pair.canonical);
        });
    }
}

#[test]
fn the_same_steps_apply_and_break_the_same_in_plain_and_in_canonical_worlds() {
    for search in searches() {
        random_plans(&search, 30, 60, |pair| {
            assert_eq!(
                enabled(&search, &pair.plain),
                enabled(&search, &pair.canonical)
            );
        });
    }
}

#[test]
fn names_offsets_and_numbers_of_writes_mean_nothing() {
    for search in searches() {
        random_plans(&search, 60, 60, |pair| {
            if pair.canonical.next_write() <= 9 {
                assert_eq!(disguised(&pair.canonical).canonical(), pair.canonical);
            }
        });
    }
}

#[test]
fn random_plans_stay_inside_the_walked_graph() {
    for era in Era::ALL {
        let search = Search::new(era.rulebook(), scope_named("smoke"));
        let graph = psync_model::graph::Graph::explore(&search, usize::MAX);
        let known: HashSet<u64> = graph.worlds.iter().map(fingerprint).collect();
        random_plans(&search, 200, 80, |pair| {
            assert!(known.contains(&fingerprint(&search.settled(pair.plain))));
        });
    }
}

/// A scope forgets the former name of a node without backlog; a node that remembers it must answer as if it had not.
#[test]
fn a_former_name_is_good_for_nothing_without_a_backlog() {
    let mut node = *World::pair().node(NodeId::Primary);
    node.secondary = Some(Secondary {
        id: Id(1),
        limit: NextByte(1),
    });
    assert_eq!(node.standing(1).secondary, None);
    node.backlog = Some(Backlog {
        first: NextByte(1),
        tokens: Tokens::EMPTY,
    });
    assert_ne!(node.standing(1).secondary, None);
}

/// What the canonical form may merge it must not confuse: a data set with one write more is another world.
#[test]
fn worlds_that_differ_in_data_stay_different() {
    let world = World::pair();
    let mut written = world;
    written.node_mut(NodeId::Primary).data = Data::EMPTY.with(1);
    assert_ne!(written.canonical(), world.canonical());
}
