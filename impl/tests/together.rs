//! Cores that follow one another over simulated links: full and partial resynchronization, promotion, chains.

// A test file uses only a part of the simulation.
#[allow(dead_code)]
mod simulation;

use psync_server::rulebook::Era;
use simulation::{World, array};

fn offsets(world: &mut World) -> [String; 2] {
    let counted = if world.info(1, "role") == "slave" {
        "slave_repl_offset"
    } else {
        "master_repl_offset"
    };
    [world.info(0, "master_repl_offset"), world.info(1, counted)]
}

#[test]
fn a_replica_gets_the_data_and_then_every_write() {
    for era in Era::ALL {
        for diskless in ["yes", "no"] {
            let mut world = World::pair(era, &[("repl-diskless-sync", diskless)]);
            world.command(0, "SET y 2");
            assert_eq!(
                world.command(1, "MGET x y"),
                "*2\r\n$1\r\n1\r\n$1\r\n2\r\n",
                "{era}, diskless {diskless}"
            );
            if era != Era::Sync {
                let [sent, applied] = offsets(&mut world);
                assert_eq!(sent, applied, "{era}, diskless {diskless}");
            }
        }
    }
}

#[test]
fn after_a_cut_the_rest_comes_partially_when_the_backlog_has_it() {
    for (era, partial) in [
        (Era::Sync, None),
        (Era::Psync, Some("1")),
        (Era::Psync2, Some("1")),
        (Era::Psync2V7, Some("1")),
    ] {
        let mut world = World::pair(era, &[]);
        world.cut(1);
        world.command(0, "SET y 2");
        world.pass(1_500);
        assert_eq!(world.command(1, "GET y"), "$1\r\n2\r\n", "{era}");
        if let Some(partial) = partial {
            assert_eq!(world.info(0, "sync_partial_ok"), partial, "{era}");
            assert_eq!(world.info(0, "sync_full"), "1", "{era}");
        }
    }
}

#[test]
fn a_replica_behind_the_backlog_gets_everything() {
    for era in [Era::Psync, Era::Psync2, Era::Psync2V7] {
        let mut world = World::pair(era, &[("repl-backlog-size", "16384")]);
        world.cut(1);
        let value = "v".repeat(20_000);
        for _ in 0..3 {
            world.command(0, &format!("SET y {value}"));
        }
        world.pass(1_500);
        assert_eq!(world.info(0, "sync_full"), "2", "{era}");
        assert_eq!(world.command(1, "STRLEN y"), ":20000\r\n", "{era}");
    }
}

#[test]
fn a_promoted_replica_continues_its_former_primary() {
    for era in [Era::Psync2, Era::Psync2V7] {
        let mut world = World::pair(era, &[]);
        world.command(0, "SET y 2");
        let (former, offset) = (
            world.info(0, "master_replid"),
            world.info(0, "master_repl_offset"),
        );
        world.command(1, "REPLICAOF NO ONE");
        assert_eq!(world.info(1, "master_replid2"), former);
        assert_eq!(
            world.info(1, "second_repl_offset"),
            (offset.parse::<i64>().unwrap() + 1).to_string()
        );
        world.command(1, "SET z 3");
        world.command(0, "REPLICAOF 127.0.0.1 7001");
        world.pass(1_500);
        assert_eq!(world.info(1, "sync_partial_ok"), "1", "{era}");
        assert_eq!(world.command(0, "GET z"), "$1\r\n3\r\n");
        assert_eq!(
            world.info(0, "master_replid"),
            world.info(1, "master_replid")
        );
        assert_eq!(world.info(0, "master_replid2"), former);
    }
}

#[test]
fn a_former_primary_with_writes_of_its_own_gets_everything() {
    let mut world = World::pair(Era::Psync2V7, &[]);
    world.command(1, "REPLICAOF NO ONE");
    world.command(0, "SET mine 1");
    world.command(0, "REPLICAOF 127.0.0.1 7001");
    world.pass(1_500);
    assert_eq!(world.info(1, "sync_full"), "1");
    assert_eq!(world.command(0, "GET mine"), "$-1\r\n");
}

#[test]
fn a_chain_passes_the_stream_on_and_its_end_can_follow_the_top() {
    for era in [Era::Psync, Era::Psync2, Era::Psync2V7] {
        let mut world = World::pair(era, &[]);
        world.node(era, &[("replicaof", "127.0.0.1 7001")]);
        world.pass(1_500);
        world.command(0, "SET y 2");
        assert_eq!(
            world.command(2, "MGET x y"),
            "*2\r\n$1\r\n1\r\n$1\r\n2\r\n",
            "{era}"
        );
        if era.has_replication_ids() {
            assert_eq!(
                world.info(2, "slave_repl_offset"),
                world.info(0, "master_repl_offset"),
                "{era}"
            );
            world.command(2, "REPLICAOF 127.0.0.1 7000");
            world.pass(1_500);
            assert_eq!(world.info(0, "sync_partial_ok"), "1", "{era}");
        }
    }
}

/// FLAWS B-34.
#[test]
fn a_snapshot_of_old_data_is_given_up_when_others_have_come() {
    for era in Era::ALL {
        let mut world = World::new();
        let node = world.node(era, &[]);
        world.command(node, "SET own 1");
        world.node(era, &[("repl-diskless-sync", "no")]);
        world.command(1, "SET theirs 1");
        world.hold_snapshots = true;
        world.command(node, "BGSAVE");
        assert!(world.writes_snapshot(node), "{era}");
        world.command(node, "REPLICAOF 127.0.0.1 7001");
        world.pass(1_500);
        world.finish_snapshot(1);
        world.pass(50);
        assert!(!world.writes_snapshot(node), "{era}");
        assert_eq!(world.command(node, "GET theirs"), "$1\r\n1\r\n", "{era}");
        assert_eq!(world.nodes[node].file, world.nodes[1].file, "{era}");
        assert_eq!(world.info(node, "rdb_last_bgsave_status"), "ok", "{era}");
    }
}

#[test]
fn who_loses_its_primary_keeps_its_replicas_except_in_the_oldest_era() {
    for era in Era::ALL {
        let mut world = World::pair(era, &[]);
        world.node(era, &[("replicaof", "127.0.0.1 7001")]);
        world.pass(1_500);
        assert_eq!(world.info(1, "connected_slaves"), "1", "{era}");
        world.lose(1);
        let left = if era == Era::Sync { "0" } else { "1" };
        assert_eq!(world.info(1, "connected_slaves"), left, "{era}");
    }
}

#[test]
fn when_the_middle_is_promoted_its_replica_learns_the_new_name() {
    let mut world = World::pair(Era::Psync2V7, &[]);
    world.node(Era::Psync2V7, &[("replicaof", "127.0.0.1 7001")]);
    world.pass(1_500);
    world.command(1, "REPLICAOF NO ONE");
    world.command(1, "SET y 2");
    world.pass(1_500);
    assert_eq!(world.info(1, "sync_partial_ok"), "1");
    assert_eq!(
        world.info(2, "master_replid"),
        world.info(1, "master_replid")
    );
    assert_eq!(world.command(2, "GET y"), "$1\r\n2\r\n");
}

#[test]
fn keys_whose_time_is_over_vanish_on_both_sides() {
    let mut world = World::pair(Era::Psync2V7, &[]);
    world.command(0, "SET short 1 PX 500");
    world.pass(1_000);
    assert_eq!(world.command(0, "DBSIZE"), ":1\r\n");
    assert_eq!(world.command(1, "DBSIZE"), ":1\r\n");
}

#[test]
fn a_restarted_replica_continues_from_the_snapshot_it_received() {
    let mut world = World::pair(Era::Psync2V7, &[]);
    let file = world.nodes[1].file.clone();
    world.cut(1);
    world.command(1, "REPLICAOF NO ONE");
    world.command(0, "SET y 2");
    let rules = psync_server::rulebook::Rulebook::of(Era::Psync2V7);
    let again = world.node_with(rules, &[("replicaof", "127.0.0.1 7000")], file);
    world.pass(1_500);
    assert_eq!(world.info(0, "sync_partial_ok"), "1");
    assert_eq!(
        world.command(again, "MGET x y"),
        "*2\r\n$1\r\n1\r\n$1\r\n2\r\n"
    );
}

#[test]
fn neighbouring_eras_understand_each_other() {
    for primary in Era::ALL {
        for replica in Era::ALL {
            let mut world = World::new();
            world.node(primary, &[("repl-diskless-sync", "no")]);
            world.node(replica, &[("replicaof", "127.0.0.1 7000")]);
            world.command(0, "SET x 1");
            world.pass(2_000);
            world.command(0, "SET y 2");
            assert_eq!(
                world.command(1, "MGET x y"),
                "*2\r\n$1\r\n1\r\n$1\r\n2\r\n",
                "{primary} and {replica}"
            );
            world.cut(1);
            world.command(0, "SET y 3");
            world.pass(2_000);
            assert_eq!(
                world.command(1, "GET y"),
                "$1\r\n3\r\n",
                "{primary} and {replica}"
            );
        }
    }
}

#[test]
fn a_role_change_inside_a_transaction_leaves_no_write_untold() {
    for era in [Era::Psync, Era::Psync2, Era::Psync2V7] {
        let mut world = World::pair(era, &[]);
        let client = world.connect(0);
        world.say(
            0,
            client,
            "MULTI\r\nSET y 1\r\nSET z 1\r\nREPLICAOF 127.0.0.1 1\r\nEXEC\r\n",
        );
        world.command(0, "REPLICAOF NO ONE");
        world.command(0, "SET after 1");
        world.pass(1_500);
        assert_eq!(
            world.command(1, "MGET y z after"),
            "*3\r\n$1\r\n1\r\n$1\r\n1\r\n$1\r\n1\r\n",
            "{era}"
        );
    }
}

#[test]
fn before_replication_ids_the_stream_of_a_promoted_node_goes_on_where_it_is() {
    for era in [Era::Sync, Era::Psync] {
        let mut world = World::pair(era, &[("repl-diskless-sync", "no")]);
        let replica = world.connect(1);
        world.say(1, replica, "SYNC\r\n");
        world.command(0, "SET y 1");
        let before = array(&["SELECT", "0"]) + &array(&["SET", "y", "1"]);
        assert!(world.heard(1, replica).ends_with(&before), "{era}");
        world.command(1, "REPLICAOF NO ONE");
        world.command(1, "SET y 2");
        assert_eq!(world.heard(1, replica), array(&["SET", "y", "2"]), "{era}");
    }
}

#[test]
fn both_sides_count_the_calls_of_each_command() {
    let mut world = World::pair(Era::Psync2V7, &[]);
    for node in [0, 1] {
        world.command(node, "CONFIG RESETSTAT");
    }
    world.command(0, "SET y 1");
    world.command(0, "GETSET y 2");
    world.command(1, "SET y 3");
    let counted = |world: &mut World, node: usize, name: &str| {
        let text = world.command(node, "INFO commandstats");
        let line = text
            .lines()
            .find(|line| line.starts_with(&format!("cmdstat_{name}:")));
        line.map(str::to_owned)
    };
    let times = ",usec=0,usec_per_call=0.00,";
    let on_replica = counted(&mut world, 1, "set");
    assert_eq!(
        on_replica,
        Some(format!(
            "cmdstat_set:calls=2{times}rejected_calls=1,failed_calls=0"
        ))
    );
    let on_primary = counted(&mut world, 0, "getset");
    assert_eq!(
        on_primary,
        Some(format!(
            "cmdstat_getset:calls=1{times}rejected_calls=0,failed_calls=0"
        ))
    );
    assert_eq!(counted(&mut world, 1, "getset"), None, "it is told as SET");
}
