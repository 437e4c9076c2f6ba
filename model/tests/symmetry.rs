//! Worlds up to symmetry: the least arrangement is one, stands for all, and loses no behaviour.

use expect_test::expect;
use psync_model::graph::Graph;
use psync_model::rulebook::Era;
use psync_model::scope::{self, Scope};
use psync_model::search::Search;
use psync_model::step::Step;
use psync_model::survey::{Means, survey};
use psync_model::symmetry::Places;
use psync_model::walk::End;
use psync_model::world::packed::Packed;
use psync_model::world::{NodeId, Topology, World};
use std::collections::BTreeSet;
use std::fmt::Write;

fn scope_named(name: &str) -> Scope {
    let named = scope::named(name).expect("tests name scopes that exist");
    named.scope
}

/// A chain of three in which anybody may follow anybody, as far as a thousand worlds go.
fn worlds_with_roles() -> (Search, Vec<World>) {
    let scope = Scope {
        topology: Topology::Chain,
        ..scope_named("failover")
    };
    let search = Search::new(Era::Psync2.rulebook(), scope);
    let worlds = Graph::explore(&search, 3_000).worlds;
    (search, worlds)
}

/// Every way to put three nodes into three places.
fn arrangements() -> Vec<Places> {
    let three = [NodeId::Primary, NodeId::Replica, NodeId::Second];
    let mut all = Vec::new();
    for one in three {
        for two in three {
            for three in three {
                if one != two && two != three && one != three {
                    all.push([one, two, three, NodeId::Third]);
                }
            }
        }
    }
    all
}

fn words(packed: &Packed) -> Vec<u64> {
    packed.words().to_vec()
}

fn successors(search: &Search, world: &World) -> Vec<Vec<u64>> {
    let next = |step: &Step| search.next(world, *step);
    let mut all: Vec<_> = search
        .steps
        .iter()
        .filter_map(next)
        .map(|next| words(&next.least()))
        .collect();
    all.sort_unstable();
    all
}

#[test]
fn all_arrangements_of_a_world_have_the_same_least_one_which_is_one_of_them() {
    let (_, worlds) = worlds_with_roles();
    let mut moved = 0;
    for world in &worlds {
        let least = words(&world.least());
        let mut among = false;
        for places in arrangements() {
            let other = world.rearranged(&places).canonical();
            assert_eq!(words(&other.least()), least, "{world:?} as {places:?}");
            among |= words(&other.pack()) == least;
        }
        assert!(among, "{world:?}");
        moved += usize::from(words(&world.pack()) != least);
    }
    assert!(
        moved > worlds.len() / 2,
        "only {moved} worlds were not the least themselves"
    );
}

#[test]
fn what_can_happen_does_not_depend_on_which_node_is_which() {
    let (search, worlds) = worlds_with_roles();
    for world in worlds.iter().step_by(7) {
        for places in arrangements() {
            let other = world.rearranged(&places).canonical();
            assert_eq!(successors(&search, &other), successors(&search, world));
        }
    }
}

#[test]
fn a_survey_up_to_symmetry_visits_one_world_for_each_orbit() {
    let scopes = [
        ("fan", Era::Psync2V7),
        ("chain", Era::Psync2V7),
        ("failover", Era::Sync),
    ];
    let mut table = String::new();
    for (name, era) in scopes {
        let search = Search::new(era.rulebook(), scope_named(name));
        let graph = Graph::explore(&search, usize::MAX);
        let orbits: BTreeSet<_> = graph
            .worlds
            .iter()
            .map(|world| words(&world.least()))
            .collect();
        let found = survey(&search.symmetric(), Means::all(), |_| true);
        assert_eq!((found.end, found.states), (End::Complete, orbits.len()));
        let all = graph.worlds.len();
        writeln!(table, "{name:9} {era:9} {all:6} {:6}", found.states)
            .expect("a string takes everything");
    }
    expect![[r#"
        fan       psync2-v7  38662  19518
        chain     psync2-v7   9108   9108
        failover  sync  17415   8720
    "#]]
    .assert_eq(&table);
}
