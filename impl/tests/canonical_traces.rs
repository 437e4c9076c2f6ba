//! The situations of PROTOCOL §8 on simulated links, two or three cores each. Where each of them is played:
//!
//! | §8 | situation | test |
//! |---|---|---|
//! | T1 | first full resynchronization, diskless, to offset 171 | `t1_the_first_full_resynchronization` |
//! | T1 | a line feed a second before the snapshot | `as_primary::a_waiting_replica_gets_a_newline_a_second_and_its_line_at_the_cut` |
//! | T1 | the same between two cores, in every era and framing | `together::a_replica_gets_the_data_and_then_every_write` |
//! | T2 | the edges of the window | `as_primary::the_window_is_that_of_redis_7` |
//! | T2 | ID in upper case, without `psync2` | `as_primary::names_are_compared_without_case_and_a_replica_without_psync2_gets_a_bare_answer` |
//! | T2 | the window of 3.0.3, and its refusal of `capa` | `as_primary::in_the_run_id_era_the_window_begins_at_two_and_the_answer_is_bare`; `capa` is understood here in that era, as from 3.2 on |
//! | T3 | promotion: names, limit, strangers, the former primary | `t3_promotion` |
//! | T4 | restarted primary at offset 171 | `t4_a_restarted_primary` |
//! | T5 | half a command | `as_replica::half_a_command_is_asked_for_again_or_counted_by_era` |
//! | T5 | `MULTI` without `EXEC` | `t5_an_open_transaction` |
//! | T5 | line feeds count | `as_replica::every_byte_of_the_stream_counts` |
//! | T5 | cut during the payload | `as_replica::a_cut_during_the_snapshot_changes_nothing_from_version_7_on` |
//! | T5 | `+CONTINUE` with a new ID, and bare | `as_replica::a_new_name_is_adopted_and_the_old_one_becomes_secondary`, `as_replica::a_bare_continue_changes_no_name` |
//! | T5 | errors: known to pass, and others | `t5_refusals` |
//! | T5 | an inline command | `as_replica::an_inline_command_in_the_stream_ends_link_and_label` |
//! | T5 | the first request, by command and by option | `as_replica::a_node_told_by_command_offers_its_own_history_and_one_told_at_the_start_does_not` |
//! | T5 | after the fallback to `SYNC`, right and as shipped | `faults::single::only_as_shipped_a_replica_claims_a_history_that_it_does_not_have` |
//! | T6 | a backlog that expired before its owner is demoted | `t6_an_expired_backlog` |

// A test file uses only a part of the simulation.
#[allow(dead_code)]
mod simulation;

use psync_server::keyspace::Keyspace;
use psync_server::rdb::write_all;
use psync_server::rulebook::{Era, Rulebook};
use simulation::{World, array};

const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

/// The first line of an answer, the given names of histories in it replaced.
fn line(answer: &str, names: &[(&str, &str)]) -> String {
    let line = answer.lines().next().unwrap_or_default().to_owned();
    let replaced = |line: String, (name, short): &(&str, &str)| line.replace(name, short);
    names.iter().fold(line, replaced)
}

/// The trace T1 up to its end at offset 171; the connection, and the name of the history.
fn first_full_resynchronization(world: &mut World) -> (String, String) {
    let node = world.node(Era::Psync2V7, &[]);
    let shown = world.info(node, "master_replid");
    let (client, answer) = world.ask(node, "?", "-1");
    let id = answer.split_whitespace().nth(1).expect("a name").to_owned();
    assert_ne!(id, shown, "the name from before was never told");
    assert!(
        answer.starts_with(&format!("+FULLRESYNC {id} 0\r\n$EOF:")),
        "{answer}"
    );
    let fields = [
        "repl_backlog_first_byte_offset",
        "repl_backlog_histlen",
        "master_repl_offset",
    ];
    assert_eq!(fields.map(|field| world.info(node, field)), ["1", "0", "0"]);
    let user = world.connect(node);
    world.say(
        node,
        user,
        "SET x 1\r\nSELECT 3\r\nSET y 2\r\nMULTI\r\nINCR a\r\nINCR b\r\nEXEC\r\n",
    );
    assert_eq!(world.heard(node, client), "", "nothing is acknowledged yet");
    (
        world.say(node, client, array(&["REPLCONF", "ACK", "0"])),
        id,
    )
}

#[test]
fn t1_the_first_full_resynchronization() {
    let mut world = World::new();
    let (stream, _) = first_full_resynchronization(&mut world);
    let commands: &[&[&str]] = &[
        &["SELECT", "0"],
        &["SET", "x", "1"],
        &["SELECT", "3"],
        &["SET", "y", "2"],
        &["MULTI"],
        &["INCR", "a"],
        &["INCR", "b"],
        &["EXEC"],
    ];
    let expected: String = commands.iter().map(|words| array(words)).collect();
    assert_eq!(stream, expected);
    assert_eq!(stream.len(), 171);
    assert_eq!(world.info(0, "master_repl_offset"), "171");
}

/// A primary with 50 bytes of stream, a replica of it that is promoted and writes as many, and what each is called.
fn promoted(world: &mut World, era: Era) -> [String; 2] {
    let disk = ("repl-diskless-sync", "no");
    world.node(era, &[disk]);
    world.node(era, &[disk, ("replicaof", "127.0.0.1 7000")]);
    world.pass(1_500);
    world.command(0, "SET x 1");
    let former = world.info(1, "master_replid");
    assert_eq!(world.info(1, "master_repl_offset"), "50");
    world.command(1, "REPLICAOF NO ONE");
    world.command(1, "SET x 2");
    let fields = ["master_replid2", "second_repl_offset", "master_repl_offset"];
    let [secondary, limit, offset] = fields.map(|field| world.info(1, field));
    assert_eq!(
        [secondary.as_str(), &limit, &offset],
        [&former, "51", "100"]
    );
    [former, world.info(1, "master_replid")]
}

#[test]
fn t3_promotion() {
    for era in [Era::Psync2, Era::Psync2V7] {
        let mut world = World::new();
        let [former, fresh] = promoted(&mut world, era);
        let names = [(former.as_str(), "R"), (fresh.as_str(), "R1")];
        for (byte, named, bare, rest) in [
            ("1", "+CONTINUE R1", "+CONTINUE", Some(100)),
            ("51", "+CONTINUE R1", "+CONTINUE", Some(50)),
            ("52", "+FULLRESYNC R1 100", "+FULLRESYNC R1 100", None),
        ] {
            let (_, answer) = world.ask(1, &former, byte);
            assert_eq!(line(&answer, &names), named, "{byte}, {era}");
            if let Some(rest) = rest {
                let body = answer.split_once("\r\n").expect("a line").1;
                assert_eq!(body.len(), rest, "{byte}, {era}");
            }
            let client = world.connect(1);
            let answer = world.say(1, client, array(&["PSYNC", &former, byte]));
            assert_eq!(line(&answer, &names), bare, "{byte}, {era}");
        }
        world.command(0, "REPLICAOF 127.0.0.1 7001");
        world.pass(1_500);
        let fields = [
            "master_replid",
            "master_replid2",
            "second_repl_offset",
            "master_repl_offset",
        ];
        let shown = fields.map(|field| world.info(0, field));
        assert_eq!(shown, [&fresh, &former, "51", "100"], "{era}");
        assert_eq!(world.command(0, "GET x"), "$1\r\n2\r\n", "{era}");
    }
}

#[test]
fn t4_a_restarted_primary() {
    let mut world = World::new();
    let (_, former) = first_full_resynchronization(&mut world);
    world.command(0, "SAVE");
    let file = world.nodes[0].file.clone();
    let rules = Rulebook::of(Era::Psync2V7);
    let again = world.node_with(rules, &[("repl-diskless-sync", "no")], file);
    let fields = [
        "master_replid2",
        "master_repl_offset",
        "second_repl_offset",
        "repl_backlog_active",
        "repl_backlog_first_byte_offset",
        "repl_backlog_histlen",
    ];
    let shown = fields.map(|field| world.info(again, field));
    assert_eq!(shown, [&former, "171", "172", "1", "172", "0"]);
    let fresh = world.info(again, "master_replid");
    let names = [(former.as_str(), "R"), (fresh.as_str(), "R2")];
    let answers = ["171", "172", "173"].map(|byte| {
        let (_, answer) = world.ask(again, &former, byte);
        line(&answer, &names)
    });
    let full = "+FULLRESYNC R2 171";
    assert_eq!(answers, [full, "+CONTINUE R2", full]);
}

/// A replica of a primary that the test plays, with the label (A, 1000).
fn played_replica(era: Era) -> World {
    let mut world = World::new();
    world.node(era, &[("replicaof", "127.0.0.1 9999")]);
    world.pass(50);
    world.played_question(0);
    let payload = write_all(Keyspace::new().snapshot(), None);
    let framed = [format!("${}\r\n", payload.len()).as_bytes(), &payload].concat();
    world.played_say(0, format!("+FULLRESYNC {A} 1000\r\n"));
    world.played_say(0, framed);
    world
}

fn question_after_cut(world: &mut World) -> String {
    world.cut(0);
    world.pass(1_000);
    world.played_question(0)
}

#[test]
fn t5_an_open_transaction() {
    for (era, acknowledged, byte) in [
        (Era::Psync, "1042", "1043"),
        (Era::Psync2, "1000", "1001"),
        (Era::Psync2V7, "1000", "1001"),
    ] {
        let mut world = played_replica(era);
        world.played_heard(0);
        world.played_say(0, array(&["MULTI"]) + &array(&["SET", "x", "1"]));
        world.pass(1_100);
        let heard = world.played_heard(0);
        assert_eq!(heard, array(&["REPLCONF", "ACK", acknowledged]), "{era}");
        assert_eq!(
            question_after_cut(&mut world),
            format!("{A} {byte}"),
            "{era}"
        );
    }
}

#[test]
fn t5_refusals() {
    for era in [Era::Psync, Era::Psync2, Era::Psync2V7] {
        for refusal in [
            "-NOMASTERLINK",
            "-LOADING",
            "-ERR boo",
            "-MASTERDOWN",
            "-BUSY",
        ] {
            let mut world = played_replica(era);
            question_after_cut(&mut world);
            let said = world.played_say(0, format!("{refusal} Says the primary\r\n"));
            let passes = matches!(refusal, "-NOMASTERLINK" | "-LOADING") && era != Era::Psync;
            if passes {
                assert_eq!(said, "", "{refusal}, {era}");
                world.pass(1_000);
                assert_eq!(world.played_question(0), format!("{A} 1001"), "{era}");
            } else {
                assert_eq!(said, "SYNC\r\n", "{refusal}, {era}");
            }
        }
    }
}

#[test]
fn t6_an_expired_backlog() {
    for era in [Era::Psync2, Era::Psync2V7] {
        let mut world = World::new();
        let disk = ("repl-diskless-sync", "no");
        world.node(era, &[disk, ("repl-backlog-ttl", "1")]);
        world.node(era, &[disk, ("replicaof", "127.0.0.1 7000")]);
        world.pass(1_500);
        world.command(0, "SET x 1");
        world.command(1, "REPLICAOF NO ONE");
        world.pass(1_500);
        assert_eq!(world.info(0, "repl_backlog_active"), "0", "{era}");
        world.command(0, "SET x lost");
        world.command(0, "SET y 1");
        world.command(0, "REPLICAOF 127.0.0.1 7001");
        world.pass(1_500);
        assert_eq!(world.info(0, "master_link_status"), "up", "{era}");
        assert_eq!(world.info(1, "sync_partial_ok"), "0", "{era}");
        let data = world.command(0, "MGET x y");
        assert_eq!(data, world.command(1, "MGET x y"), "{era}");
        assert_eq!(data, "*2\r\n$1\r\n1\r\n$-1\r\n", "{era}");
    }
}
