//! Exact numbers of states and edges, equal in three engines: the walk, the graph in memory, and stateright.
//!
//! A changed number is a changed specification: say why in the commit.

use expect_test::{Expect, expect};
use psync_model::graph::Graph;
use psync_model::rulebook::Era;
use psync_model::scope;
use psync_model::search::Search;
use psync_model::walk::{End, Limits, Walk, walk};
use stateright::{Checker, Model};
use std::fmt::Write;

fn search(era: Era, name: &str) -> Search {
    let named = scope::named(name).expect("tests name scopes that exist");
    Search::new(era.rulebook(), named.scope)
}

fn walked(search: &Search) -> Walk {
    let walk = walk(search, Limits::PROVE, |_| true);
    assert_eq!(walk.end, End::Complete, "{:?}", walk.violations.first());
    walk
}

fn assert_engines_agree(search: &Search, walk: &Walk) {
    let graph = Graph::explore(search, usize::MAX);
    assert_eq!(
        (graph.worlds.len(), graph.edges() as u64),
        (walk.states, walk.edges)
    );
    // Breadth first, because stateright copies the whole path for each state when it goes deep.
    let checker = search.clone().checker().spawn_bfs().join();
    checker.assert_properties();
    // stateright counts the initial state, and then every edge.
    assert_eq!(
        (checker.unique_state_count(), checker.state_count() as u64),
        (walk.states, walk.edges + 1)
    );
}

fn pin(scopes: &[(&str, &[Era])], engines: bool, expected: &Expect) {
    let mut table = String::new();
    for (name, eras) in scopes {
        for &era in *eras {
            let search = search(era, name);
            let walk = walked(&search);
            if engines {
                assert_engines_agree(&search, &walk);
            }
            let (states, edges, depth) = (walk.states, walk.edges, walk.depth);
            writeln!(table, "{name:9} {era:9} {states:9} {edges:9} {depth:3}")
                .expect("a string takes everything");
        }
    }
    expected.assert_eq(&table);
}

#[test]
fn three_engines_count_the_same_states_and_edges() {
    let scopes: &[(&str, &[Era])] = &[
        ("smoke", &Era::ALL),
        ("errors", &Era::ALL),
        ("chain", &Era::ALL),
        ("fan", &Era::ALL),
        ("transactions", &Era::ALL),
        ("databases", &[Era::Sync, Era::Psync]),
        ("failover", &[Era::Sync]),
        ("restarts", &Era::ALL),
        ("replay", &[Era::Sync, Era::Psync]),
        ("pings", &[Era::Sync, Era::Psync]),
    ];
    pin(
        scopes,
        true,
        &expect![[r#"
            smoke     sync       194       584  22
            smoke     psync      1848      6040  28
            smoke     psync2      1990      6828  28
            smoke     psync2-v7       896      2832  20
            errors    sync       218       690  22
            errors    psync      1362      4911  27
            errors    psync2      1362      4911  27
            errors    psync2-v7       727      2151  21
            chain     sync      8670     41256  42
            chain     psync     72852    337486  60
            chain     psync2     15781     68832  53
            chain     psync2-v7      9108     38508  37
            fan       sync     13322     57362  40
            fan       psync     38182    168239  51
            fan       psync2     97919    437826  52
            fan       psync2-v7     38662    170684  31
            transactions sync      1034      3224  26
            transactions psync      8156     30058  31
            transactions psync2      3808     13266  31
            transactions psync2-v7      2952     10186  22
            databases sync      5839     34972  29
            databases psync     38308    245928  31
            failover  sync     17415    100980  29
            restarts  sync      1480      7308  31
            restarts  psync     38214    197463  46
            restarts  psync2     75784    405116  47
            restarts  psync2-v7     68834    333976  51
            replay    sync      4306     25106  34
            replay    psync     83028    490291  48
            pings     sync       776      2510  23
            pings     psync     14844     52454  31
        "#]],
    );
}

#[test]
fn larger_scopes_are_counted_by_the_walk_alone() {
    let scopes: &[(&str, &[Era])] = &[
        ("replay", &[Era::Psync2, Era::Psync2V7]),
        ("failover", &[Era::Psync, Era::Psync2V7]),
        ("databases", &[Era::Psync2, Era::Psync2V7]),
        ("handover", &[Era::Sync]),
        ("role-restarts", &[Era::Sync]),
    ];
    pin(
        scopes,
        false,
        &expect![[r#"
            replay    psync2    238460   1399010  49
            replay    psync2-v7    270784   1551412  54
            failover  psync    250954   1491022  60
            failover  psync2-v7    390027   1814690  38
            databases psync2    398733   2580552  39
            databases psync2-v7    349606   1943811  46
            handover  sync     58214    253692  31
            role-restarts sync    281256   2724938  43
        "#]],
    );
}

#[test]
fn the_size_of_a_world_is_what_the_memory_estimates_assume() {
    expect!["784"].assert_eq(&size_of::<psync_model::world::World>().to_string());
}
