//! The core as a primary, byte for byte: the canonical traces of PROTOCOL §8, T1 to T4, and the edges of each rule.

// A test file uses only a part of the simulation.
#[allow(dead_code)]
mod simulation;

use bytes::Bytes;
use psync_server::rulebook::{Era, Rulebook};
use simulation::{World, array};

/// Forty characters that name nothing.
const FOREIGN: &str = "ffffffffffffffffffffffffffffffffffffffff";

/// The answer's first line, with the name of the history replaced by `R`.
fn first_line(answer: &str, id: &str) -> String {
    answer.lines().next().unwrap_or_default().replace(id, "R")
}

/// A primary whose backlog begins with byte 1 and holds 50 bytes: `SELECT 0` and one `SET` of 27 bytes.
fn primary_with_50_bytes(world: &mut World, era: Era) -> (usize, String) {
    let node = world.node(era, &[("repl-diskless-sync", "no")]);
    let (_, answer) = world.ask(node, "?", "-1");
    assert!(answer.starts_with("+FULLRESYNC "), "{answer}");
    world.command(node, "SET x 2");
    let id = answer.split_whitespace().nth(1).expect("a name").to_owned();
    (node, id)
}

#[test]
fn the_window_is_that_of_redis_7() {
    let mut world = World::new();
    let (node, id) = primary_with_50_bytes(&mut world, Era::Psync2V7);
    let mut answers = Vec::new();
    for byte in ["0", "1", "6", "50", "51", "52", "-1", "abc"] {
        let (_, answer) = world.ask(node, &id, byte);
        let line = first_line(&answer, &id);
        let rest = answer.len() - answer.find("\r\n").unwrap() - 2;
        answers.push(if line.starts_with("+CONTINUE") {
            format!("{byte}: {line} + {rest}")
        } else {
            format!("{byte}: {line}")
        });
    }
    expect_test::expect![[r"
        0: +FULLRESYNC R 50
        1: +CONTINUE R + 50
        6: +CONTINUE R + 45
        50: +CONTINUE R + 1
        51: +CONTINUE R + 0
        52: +FULLRESYNC R 50
        -1: +FULLRESYNC R 50
        abc: -ERR value is not an integer or out of range"]]
    .assert_eq(&answers.join("\n"));
}

#[test]
fn in_the_run_id_era_the_window_begins_at_two_and_the_answer_is_bare() {
    let mut world = World::new();
    let (node, id) = primary_with_50_bytes(&mut world, Era::Psync);
    assert_eq!(id, world.info(node, "run_id"));
    assert_eq!(world.info(node, "repl_backlog_first_byte_offset"), "2");
    let lines = ["1", "2", "52", "53"].map(|byte| first_line(&world.ask(node, &id, byte).1, &id));
    assert_eq!(
        lines,
        [
            "+FULLRESYNC R 51",
            "+CONTINUE",
            "+CONTINUE",
            "+FULLRESYNC R 51"
        ]
    );
}

#[test]
fn names_are_compared_without_case_and_a_replica_without_psync2_gets_a_bare_answer() {
    let mut world = World::new();
    let (node, id) = primary_with_50_bytes(&mut world, Era::Psync2V7);
    let client = world.connect(node);
    let answer = world.say(
        node,
        client,
        array(&["PSYNC", &id.to_ascii_uppercase(), "51"]),
    );
    assert_eq!(answer, "+CONTINUE\r\n");
    assert!(world.ask(node, FOREIGN, "51").1.starts_with("+FULLRESYNC"));
}

#[test]
fn the_first_full_resynchronization_renames_the_history_and_starts_at_zero() {
    let mut world = World::new();
    let node = world.node(Era::Psync2V7, &[]);
    world.command(node, "SET before 1");
    let shown = world.info(node, "master_replid");
    let (client, answer) = world.ask(node, "?", "-1");
    let line = answer.lines().next().unwrap();
    assert!(
        line.starts_with("+FULLRESYNC ") && line.ends_with(" 0") && !line.contains(&shown),
        "{line}"
    );
    let mark = &answer[answer.find("$EOF:").unwrap() + 5..][..40];
    assert!(
        answer.ends_with(mark) && answer.contains("REDIS"),
        "nothing follows the mark: {answer:?}"
    );
    world.command(node, "SET x 1");
    assert_eq!(
        world.heard(node, client),
        "",
        "the stream waits for the first acknowledgement"
    );
    let stream = world.say(node, client, array(&["REPLCONF", "ACK", "0"]));
    assert_eq!(stream, array(&["SELECT", "0"]) + &array(&["SET", "x", "1"]));
}

#[test]
fn a_transaction_is_one_unit_of_the_stream() {
    let mut world = World::new();
    let (node, id) = primary_with_50_bytes(&mut world, Era::Psync2V7);
    let (client, _) = world.ask(node, &id, "51");
    let user = world.connect(node);
    world.say(
        node,
        user,
        "SELECT 3\r\nMULTI\r\nINCR a\r\nGET a\r\nINCR b\r\nEXEC\r\n",
    );
    // The database of the first command comes before the transaction [seen 7.0.15].
    let expected = array(&["SELECT", "3"])
        + &array(&["MULTI"])
        + &array(&["INCR", "a"])
        + &array(&["INCR", "b"])
        + &array(&["EXEC"]);
    assert_eq!(world.heard(node, client), expected);
}

#[test]
fn what_is_written_while_the_snapshot_is_made_follows_it() {
    for era in [Era::Sync, Era::Psync, Era::Psync2, Era::Psync2V7] {
        let mut world = World::new();
        world.hold_snapshots = true;
        let node = world.node(era, &[("repl-diskless-sync", "no")]);
        world.command(node, "SET x 1");
        let client = world.connect(node);
        world.say(node, client, "SYNC\r\n");
        world.command(node, "SET x 2");
        world.finish_snapshot(node);
        let answer = world.heard(node, client);
        assert!(answer.starts_with('$'), "{era}: {answer:?}");
        assert!(
            answer.ends_with(&(array(&["SELECT", "0"]) + &array(&["SET", "x", "2"]))),
            "{era}: {answer:?}"
        );
    }
}

#[test]
fn a_second_replica_shares_the_running_snapshot_its_label_and_its_stream() {
    let mut world = World::new();
    world.hold_snapshots = true;
    let node = world.node(Era::Psync2V7, &[("repl-diskless-sync", "no")]);
    let (one, first) = world.ask(node, "?", "-1");
    world.command(node, "SET x 2");
    let (two, second) = world.ask(node, "?", "-1");
    assert_eq!(first, second, "the label is that of the cut");
    assert_eq!(world.info(node, "master_repl_offset"), "50");
    world.finish_snapshot(node);
    assert_eq!(world.heard(node, one), world.heard(node, two));
}

#[test]
fn a_waiting_replica_gets_a_newline_a_second_and_its_line_at_the_cut() {
    let mut world = World::new();
    let node = world.node(Era::Psync2V7, &[("repl-diskless-sync-delay", "3600")]);
    let (client, answer) = world.ask(node, "?", "-1");
    assert_eq!(answer, "");
    world.pass(3_000);
    assert_eq!(world.heard(node, client), "\n\n\n");
    assert_eq!(
        world.info(node, "slave0").split(',').nth(2),
        Some("state=wait_bgsave")
    );
    world.command(node, "CONFIG SET repl-diskless-sync-delay 0");
    assert!(
        world.heard(node, client).starts_with("+FULLRESYNC "),
        "released at once"
    );
}

#[test]
fn a_failed_snapshot_cuts_off_who_waited_for_it() {
    let mut world = World::new();
    world.hold_snapshots = true;
    let node = world.node(Era::Psync2V7, &[("repl-diskless-sync", "no")]);
    let (client, _) = world.ask(node, "?", "-1");
    world.fail_snapshot(node);
    assert!(world.is_closed(node, client));
}

#[test]
fn an_expired_backlog_makes_its_labels_worthless() {
    for (era, same_name) in [
        (Era::Psync, true),
        (Era::Psync2, false),
        (Era::Psync2V7, false),
    ] {
        let mut world = World::new();
        let node = world.node(
            era,
            &[("repl-diskless-sync", "no"), ("repl-backlog-ttl", "1")],
        );
        let (client, answer) = world.ask(node, "?", "-1");
        let id = answer.split_whitespace().nth(1).expect("a name").to_owned();
        world.command(node, "SET x 2");
        let end = world
            .info(node, "master_repl_offset")
            .parse::<i64>()
            .unwrap()
            + 1;
        world.command(node, "CLIENT KILL TYPE replica");
        assert!(world.is_closed(node, client));
        world.pass(900);
        assert_eq!(world.info(node, "repl_backlog_active"), "1");
        world.pass(200);
        assert_eq!(world.info(node, "repl_backlog_active"), "0", "{era}");
        let (_, answer) = world.ask(node, &id, &end.to_string());
        assert!(answer.starts_with("+FULLRESYNC"), "{era}: {answer}");
        assert_eq!(answer.contains(&id), same_name, "{era}");
    }
}

#[test]
fn exactly_the_last_k_commands_can_be_continued_from() {
    const TOKEN: usize = 32 * 1024;
    let value = "v".repeat(TOKEN - array(&["SET", "k", ""]).len() - 4);
    let command = array(&["SET", "k", &value]);
    assert_eq!(command.len(), TOKEN);
    for era in [Era::Psync, Era::Psync2, Era::Psync2V7] {
        for k in 1..=3_usize {
            let mut world = World::new();
            let size = (k * TOKEN + TOKEN / 4).to_string();
            let node = world.node(
                era,
                &[("repl-diskless-sync", "no"), ("repl-backlog-size", &size)],
            );
            let (_, answer) = world.ask(node, "?", "-1");
            let id = answer.split_whitespace().nth(1).unwrap().to_owned();
            let user = world.connect(node);
            let mut ends = Vec::new();
            for _ in 0..8 {
                world.say(node, user, &command);
                ends.push(
                    world
                        .info(node, "master_repl_offset")
                        .parse::<i64>()
                        .unwrap(),
                );
            }
            let from_command = |index: usize| (ends[index] - TOKEN as i64 + 1).to_string();
            let kept = |world: &mut World, index| {
                world
                    .ask(node, &id, &from_command(index))
                    .1
                    .starts_with("+CONTINUE")
            };
            let count = (0..8).filter(|index| kept(&mut world, *index)).count();
            assert_eq!(count, k, "{era}, k = {k}");
        }
    }
}

#[test]
fn a_restarted_primary_of_version_7_continues_exactly_the_saved_offset() {
    for (era, continues) in [(Era::Psync2V7, true), (Era::Psync2, false)] {
        let mut world = World::new();
        let (node, id) = primary_with_50_bytes(&mut world, era);
        world.command(node, "SAVE");
        let file = world.nodes[node].file.clone();
        let again = world.node_with(Rulebook::of(era), &[("repl-diskless-sync", "no")], file);
        let lines = ["50", "51", "52"].map(|byte| world.ask(again, &id, byte).1);
        let answers = lines.map(|line| line.starts_with("+CONTINUE"));
        assert_eq!(answers, [false, continues, false], "{era}");
        if continues {
            assert_eq!(world.info(again, "master_replid2"), id);
            assert_eq!(world.info(again, "second_repl_offset"), "51");
            assert_eq!(world.info(again, "repl_backlog_first_byte_offset"), "51");
        }
    }
}

#[test]
fn wait_asks_for_acknowledgements_and_counts_them() {
    let mut world = World::new();
    let (node, id) = primary_with_50_bytes(&mut world, Era::Psync2V7);
    let (client, _) = world.ask(node, &id, "51");
    let user = world.connect(node);
    world.say(node, user, "SET y 1\r\n");
    world.heard(node, client);
    assert_eq!(world.say(node, user, "WAIT 1 5000\r\nPING\r\n"), "");
    assert_eq!(
        world.heard(node, client),
        array(&["REPLCONF", "GETACK", "*"])
    );
    world.say(node, client, array(&["REPLCONF", "ACK", "77"]));
    assert_eq!(world.heard(node, user), ":1\r\n+PONG\r\n");
}

#[test]
fn in_the_oldest_era_psync_is_unknown_and_no_offset_is_shown() {
    let mut world = World::new();
    let node = world.node(Era::Sync, &[]);
    assert!(
        world
            .command(node, "PSYNC ? -1")
            .starts_with("-ERR unknown command 'psync'")
    );
    let info = world.command(node, "INFO replication");
    assert!(
        !info.contains("offset") && !info.contains("replid"),
        "{info}"
    );
}

#[test]
fn a_snapshot_in_a_file_carries_the_label_from_replication_ids_on() {
    for (era, labelled) in [(Era::Psync, false), (Era::Psync2, true)] {
        let mut world = World::new();
        let (node, id) = primary_with_50_bytes(&mut world, era);
        world.command(node, "SAVE");
        let file: Bytes = world.nodes[node].file.clone().unwrap();
        let fields = psync_server::rdb::read(&file).unwrap().fields;
        assert_eq!(
            fields.map(|fields| (fields.id.to_vec(), fields.offset)),
            labelled.then(|| (id.into_bytes(), 50))
        );
    }
}

/// Writes in a database on a connection of its own.
fn write_in(world: &mut World, node: usize, database: usize, command: &str) {
    let user = world.connect(node);
    let answer = world.say(node, user, format!("SELECT {database}\r\n{command}\r\n"));
    assert_eq!(answer, "+OK\r\n+OK\r\n");
}

/// The database that the snapshot file of a node says its stream is in.
fn saved_database(world: &World, node: usize) -> Option<i32> {
    let file = world.nodes[node].file.as_ref().expect("a snapshot file");
    let fields = psync_server::rdb::read(file)
        .expect("a sound snapshot")
        .fields;
    fields.map(|fields| fields.stream_db)
}

#[test]
fn a_snapshot_for_a_replica_says_where_the_stream_is_and_the_next_write_selects() {
    for era in [Era::Psync2, Era::Psync2V7] {
        let mut world = World::new();
        let (node, id) = primary_with_50_bytes(&mut world, era);
        let (follower, _) = world.ask(node, &id, "51");
        write_in(&mut world, node, 3, "SET a 1");
        world.heard(node, follower);
        world.ask(node, "?", "-1");
        assert_eq!(saved_database(&world, node), Some(3), "{era}");
        write_in(&mut world, node, 3, "SET a 2");
        assert_eq!(
            world.heard(node, follower),
            array(&["SELECT", "3"]) + &array(&["SET", "a", "2"]),
            "{era}"
        );
    }
}

#[test]
fn a_replica_that_joins_a_snapshot_makes_the_next_write_select() {
    for era in Era::ALL {
        let mut world = World::new();
        world.hold_snapshots = true;
        let node = world.node(era, &[("repl-diskless-sync", "no")]);
        let [one, two] = [(); 2].map(|()| {
            let client = world.connect(node);
            world.say(node, client, "SYNC\r\n");
            write_in(&mut world, node, 3, "SET a 1");
            client
        });
        world.finish_snapshot(node);
        let write = array(&["SELECT", "3"]) + &array(&["SET", "a", "1"]);
        for replica in [one, two] {
            let stream = world.heard(node, replica);
            assert!(
                stream.ends_with(&(write.clone() + &write)),
                "{era}: {stream:?}"
            );
        }
    }
}

#[test]
fn a_demoted_primary_offers_its_history_in_the_first_database() {
    for era in [Era::Psync2, Era::Psync2V7] {
        let mut world = World::new();
        let (node, _) = primary_with_50_bytes(&mut world, era);
        write_in(&mut world, node, 3, "SET a 1");
        world.command(node, "SAVE");
        assert_eq!(saved_database(&world, node), Some(3), "{era}");
        world.command(node, "REPLICAOF 127.0.0.1 1");
        world.command(node, "SAVE");
        assert_eq!(saved_database(&world, node), Some(0), "{era}");
    }
}

#[test]
fn an_acknowledged_offset_never_falls_and_info_shows_it() {
    let mut world = World::new();
    let (node, id) = primary_with_50_bytes(&mut world, Era::Psync2V7);
    world.command(node, "CLIENT KILL TYPE replica");
    let (client, _) = world.ask(node, &id, "51");
    for offset in ["50", "20"] {
        assert_eq!(
            world.say(node, client, array(&["REPLCONF", "ACK", offset])),
            ""
        );
        assert!(world.info(node, "slave0").contains("offset=50"));
    }
}

#[test]
fn a_replica_that_makes_us_answer_is_cut_off_without_an_answer() {
    let silent = [
        array(&["REPLCONF", "ACK", "0"]),
        array(&["REPLCONF", "ACK", "1", "FACK", "1"]),
        array(&["REPLCONF", "GETACK", "*"]),
        array(&["PSYNC", "?", "-1"]),
        "SYNC\r\n".to_owned(),
        "\n".to_owned(),
    ];
    let answered = [
        array(&["PING"]),
        array(&["REPLCONF", "listening-port", "1"]),
        array(&["REPLCONF", "ACK"]),
        array(&["SET", "x", "1"]),
        array(&["NO", "SUCH"]),
        array(&["EXEC"]),
        array(&["QUIT"]),
        "*x\r\n".to_owned(),
    ];
    for era in [Era::Psync, Era::Psync2, Era::Psync2V7] {
        let mut world = World::new();
        let node = world.node(era, &[("repl-diskless-sync", "no")]);
        for (words, cut_off) in silent
            .iter()
            .map(|words| (words, false))
            .chain(answered.iter().map(|words| (words, true)))
        {
            let (client, _) = world.ask(node, "?", "-1");
            assert_eq!(world.say(node, client, words), "", "{words:?}, {era}");
            assert_eq!(world.is_closed(node, client), cut_off, "{words:?}, {era}");
        }
        assert_eq!(world.command(node, "DBSIZE"), ":0\r\n", "{era}");
    }
}

#[test]
fn a_silent_replica_is_cut_off_and_one_by_sync_is_not() {
    let mut world = World::new();
    let node = world.node(
        Era::Psync2V7,
        &[("repl-diskless-sync", "no"), ("repl-timeout", "2")],
    );
    let (silent, _) = world.ask(node, "?", "-1");
    let unlabelled = world.connect(node);
    world.say(node, unlabelled, "SYNC\r\n");
    world.pass(4_000);
    assert!(world.is_closed(node, silent));
    assert!(!world.is_closed(node, unlabelled));
}

#[test]
fn another_backlog_size_empties_a_ring_and_spares_blocks() {
    for (era, held) in [(Era::Psync2, "0"), (Era::Psync2V7, "50")] {
        let mut world = World::new();
        let (node, _) = primary_with_50_bytes(&mut world, era);
        world.command(node, "CONFIG SET repl-backlog-size 65536");
        assert_eq!(world.info(node, "repl_backlog_histlen"), held, "{era}");
        assert_eq!(world.info(node, "master_repl_offset"), "50", "{era}");
    }
}
