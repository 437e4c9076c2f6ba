//! L1 on the scopes it is proved on, and what it says about servers that leave a replica behind.

use expect_test::expect;
use psync_model::fault;
use psync_model::liveness::{Ending, NotProved, Stuck, prove};
use psync_model::property::has_converged;
use psync_model::rulebook::{Era, Rulebook};
use psync_model::scope;
use psync_model::search::Search;
use psync_model::world::{NodeId, World};
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
    let everywhere = ["smoke", "errors", "chain", "fan", "transactions", "replay"]
        .map(|name| (name, &Era::ALL[..]));
    let failover = [("failover", &[Era::Sync, Era::Psync][..])];
    for (name, eras) in everywhere.into_iter().chain(failover) {
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
        smoke  sync     194      336    2  0
        smoke  psync    1848     3218    4  0
        smoke  psync2    1990     3652    4  0
        smoke  psync2-v7     896     1462    4  0
        errors sync     218      376    2  0
        errors psync    1362     2326    8  0
        errors psync2    1362     2326    8  0
        errors psync2-v7     727     1101    8  0
        chain  sync    8670    28156    2 1532
        chain  psync   72852   231132   12 2282
        chain  psync2   15781    47154    6 904
        chain  psync2-v7    9108    25436    6 350
        fan    sync   13322    39710    2  0
        fan    psync   38182   118795    4  0
        fan    psync2   97919   314456    4  0
        fan    psync2-v7   38662   119876    4  0
        transactions sync    1034     1826    2  0
        transactions psync    8156    18250   10  0
        transactions psync2    3808     7562   10  0
        transactions psync2-v7    2952     5780   10  0
        replay sync    4306    11214    4  0
        replay psync   83028   207062    8  0
        replay psync2  238460   645513   38  0
        replay psync2-v7  270784   725003  100  0
        failover sync   17415    51588   39  0
        failover psync  250954   752654  287  0
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
        let data = |node| stuck.world.node(node).data;
        assert_eq!(data(NodeId::Primary), data(NodeId::Replica));
    }
}

#[test]
fn the_way_to_a_stuck_world_can_be_walked() {
    let stuck = stuck("last-command-withheld", Era::Psync2V7).expect("the fault exists here");
    let book = fault::named("last-command-withheld")
        .and_then(|fault| fault.in_era(Era::Psync2V7))
        .expect("the fault exists here");
    let search = search(book, "smoke");
    let setting = search.setting;
    let world = stuck.steps.iter().fold(World::pair(), |world, step| {
        step.apply(&world, &setting)
            .expect("each step applies after the one before")
    });
    assert_eq!(search.settled(world), stuck.world);
    for node in stuck.waiting {
        assert!(!has_converged(&world, &setting, node));
    }
}
