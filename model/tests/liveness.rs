//! L1 on the scopes it is proved on, and what it says about servers that leave a replica behind.

use expect_test::expect;
use psync_model::fault;
use psync_model::liveness::{Ending, NotProved, Stuck, prove};
use psync_model::property::has_converged;
use psync_model::rulebook::{Era, Rulebook};
use psync_model::scope;
use psync_model::search::Search;
use psync_model::world::World;
use std::fmt::Write;

const MAX_WORLDS: usize = 1_000_000;

fn search(book: Rulebook, name: &str) -> Search {
    let named = scope::named(name).expect("tests name scopes that exist");
    Search::new(book, named.scope)
}

fn stuck(fault: &str, era: Era) -> Option<Box<Stuck>> {
    let book = fault::named(fault)
        .expect("tests name faults that exist")
        .in_era(era)?;
    match prove(search(book, "smoke"), MAX_WORLDS) {
        Err(NotProved::Stuck(stuck)) => Some(stuck),
        other => panic!("{fault} in era {era} should leave a replica behind: {other:?}"),
    }
}

#[test]
fn every_calm_world_converges() {
    let mut table = String::new();
    for (name, eras) in [("smoke", &Era::ALL[..]), ("replay", &Era::ALL[..])] {
        for &era in eras {
            let proof = prove(search(era.rulebook(), name), MAX_WORLDS)
                .unwrap_or_else(|why| panic!("{name} {era}: {why:?}"));
            let (edges, ends, unfair) = (proof.calm_edges, proof.terminals, proof.unfair_cycles);
            let worlds = proof.worlds;
            writeln!(
                table,
                "{name:6} {era:9} {worlds:7} {edges:8} {ends:4} {unfair:2}"
            )
            .unwrap();
        }
    }
    expect![[r#"
        smoke  sync    1004     1834    4  0
        smoke  psync    9796    17440    8  0
        smoke  psync2   40736    77022   38  0
        smoke  psync2-v7   12398    21000   38  0
        replay sync    4306    11214    4  0
        replay psync   83028   207062    8  0
        replay psync2  238460   645513   38  0
        replay psync2-v7  283604   759715  100  0
    "#]]
    .assert_eq(&table);
}

#[test]
fn a_withheld_command_leaves_a_replica_behind_for_ever() {
    for era in Era::ALL {
        let stuck = stuck("last-command-withheld", era).expect("the fault exists in every era");
        assert_eq!(stuck.ending, Ending::Terminal);
    }
}

#[test]
fn a_silent_replica_is_never_known_to_have_caught_up() {
    for era in [Era::Psync, Era::Psync2, Era::Psync2V7] {
        let stuck = stuck("no-acknowledgement-after-continue", era).expect("the fault exists here");
        assert_eq!(stuck.ending, Ending::Terminal);
        assert_eq!(stuck.world.nodes[0].data, stuck.world.nodes[1].data);
    }
}

#[test]
fn the_way_to_a_stuck_world_can_be_walked() {
    let stuck = stuck("last-command-withheld", Era::Psync2V7).expect("the fault exists here");
    let book = fault::named("last-command-withheld")
        .and_then(|fault| fault.in_era(Era::Psync2V7))
        .expect("the fault exists here");
    let setting = search(book, "smoke").setting;
    let world = stuck.steps.iter().fold(World::pair(), |world, step| {
        step.apply(&world, &setting)
            .expect("each step applies after the one before")
    });
    assert_eq!(world.canonical(), stuck.world);
    for node in stuck.waiting {
        assert!(!has_converged(&world, &setting, node));
    }
}
