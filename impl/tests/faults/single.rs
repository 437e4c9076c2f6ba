//! One situation for each fault that shows when roles change, in a chain, after an error, with a second database or in a
//! transaction: what the right server does in it, and what the wrong one does. Then the flaws that ship: B-01, F-16 and
//! F-17 of FLAWS.md.

use psync_server::faults::{FAULTS, rulebook_with, ship};
use psync_server::keyspace::Keyspace;
use psync_server::rdb::write_all;
use psync_server::rulebook::{Era, Rulebook};

use crate::A;
use crate::simulation::{World, array};

/// A fault, the situation that shows it, and what is seen there of the right and of the wrong server.
pub(crate) type Situation = (
    &'static str,
    fn(Rulebook) -> String,
    &'static str,
    &'static str,
);

/// The faults in which more takes part than one node and a stranger.
pub(crate) const SITUATIONS: &[Situation] = &[
    (
        "same-id-after-promotion",
        after_both_wrote,
        "full; y is 2 and 2",
        "partial; y is 1 and 2",
    ),
    (
        "former-id-forgotten-at-promotion",
        after_a_promotion,
        "backlog 1; partial",
        "backlog 1; full",
    ),
    (
        "promotion-frees-backlog",
        after_a_promotion,
        "backlog 1; partial",
        "backlog 0; full",
    ),
    (
        "demotion-loses-offset",
        after_a_demotion,
        "the offset stays",
        "the offset is 0",
    ),
    (
        "full-load-keeps-replicas",
        below_a_full_load,
        "x is 9 and 9",
        "x is 9 and 1",
    ),
    (
        "no-backlog-after-continue",
        after_a_restart,
        "partial; backlog 1",
        "partial; backlog 0",
    ),
    (
        "label-lost-on-passing-error",
        after_a_passing_error,
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa 1015",
        "? -1",
    ),
    (
        "acknowledges-unapplied",
        with_half_a_command,
        "acknowledged 1014",
        "acknowledged 1024",
    ),
    (
        "transaction-counted-by-command",
        after_half_a_transaction,
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa 1015",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa 1057",
    ),
    (
        "transaction-left-open",
        after_a_demotion_in_a_transaction,
        "partial; y is 1, z is 1",
        "partial; y is nothing, z is nothing",
    ),
    (
        "stream-database-not-saved",
        after_a_restart_in_another_database,
        "partial; y is 1",
        "partial; y is nothing",
    ),
    (
        "full-resync-without-select",
        after_a_copy_of_another_database,
        "y is 1 and 1",
        "y is 1 and nothing",
    ),
    (
        "promotion-without-select",
        after_a_promotion_in_another_database,
        "partial; y is 1",
        "partial; y is nothing",
    ),
    (
        "backlog-birth-keeps-id",
        after_an_uncounted_write,
        "full; y is 1",
        "partial; y is nothing",
    ),
    (
        "renaming-keeps-replicas",
        below_a_renamed_node,
        "partial; one name; copies: 1",
        "partial; two names; copies: 2",
    ),
];

/// The eras in which a fault can be told from the right server.
pub(crate) fn eras_of(fault: &str) -> &'static [Era] {
    let known = FAULTS.iter().find(|known| known.name == fault);
    known.expect("a fault of the server").eras
}

/// A pair by the given rules, with one key.
fn pair(rules: Rulebook) -> World {
    let mut world = World::new();
    world.node_with(rules, &[("repl-diskless-sync", "no")], None);
    world.command(0, "SET x 1");
    replica_of(&mut world, rules, 7_000);
    world
}

fn replica_of(world: &mut World, rules: Rulebook, port: u16) -> usize {
    let primary = format!("127.0.0.1 {port}");
    let directives = [
        ("replicaof", primary.as_str()),
        ("repl-diskless-sync", "no"),
    ];
    let node = world.node_with(rules, &directives, None);
    world.pass(1_500);
    assert_eq!(world.info(node, "master_link_status"), "up");
    node
}

/// How a node has served the last one that came.
fn served(world: &mut World, node: usize) -> &'static str {
    let count = world.info(node, "sync_partial_ok");
    if count == "0" { "full" } else { "partial" }
}

fn value(world: &mut World, node: usize, key: &str) -> String {
    let reply = world.command(node, &format!("GET {key}"));
    reply.lines().nth(1).unwrap_or("nothing").to_owned()
}

/// Sends a line in another database than the first, and gives the answer to it alone.
fn command_in_3(world: &mut World, node: usize, line: &str) -> String {
    let client = world.connect(node);
    let selected = world.say(node, client, "SELECT 3\r\n");
    assert_eq!(selected, "+OK\r\n");
    world.say(node, client, format!("{line}\r\n"))
}

fn value_in_3(world: &mut World, node: usize, key: &str) -> String {
    let reply = command_in_3(world, node, &format!("GET {key}"));
    reply.lines().nth(1).unwrap_or("nothing").to_owned()
}

/// Primary and promoted replica write as many bytes each; then the one follows the other.
fn after_both_wrote(rules: Rulebook) -> String {
    let mut world = pair(rules);
    world.command(1, "REPLICAOF NO ONE");
    world.command(0, "SET y 1");
    world.command(1, "SET y 2");
    world.command(0, "REPLICAOF 127.0.0.1 7001");
    world.pass(1_500);
    assert_eq!(world.info(0, "master_link_status"), "up");
    let (above, below) = (value(&mut world, 1, "y"), value(&mut world, 0, "y"));
    format!("{}; y is {below} and {above}", served(&mut world, 1))
}

/// A replica is promoted, and its former primary, which lacks nothing, follows it.
fn after_a_promotion(rules: Rulebook) -> String {
    let mut world = pair(rules);
    world.command(0, "SET y 1");
    world.command(1, "REPLICAOF NO ONE");
    let backlog = world.info(1, "repl_backlog_active");
    world.command(0, "REPLICAOF 127.0.0.1 7001");
    world.pass(1_500);
    format!("backlog {backlog}; {}", served(&mut world, 1))
}

/// A primary is told to follow a port where nobody listens.
fn after_a_demotion(rules: Rulebook) -> String {
    let mut world = pair(rules);
    world.command(0, "SET y 1");
    let before = world.info(0, "master_repl_offset");
    world.command(0, "REPLICAOF 127.0.0.1 9999");
    let after = world.info(0, "master_repl_offset");
    if after == before {
        "the offset stays".to_owned()
    } else {
        format!("the offset is {after}")
    }
}

/// The middle of a chain is cut off, the history of the top changes, and the middle gets everything anew.
fn below_a_full_load(rules: Rulebook) -> String {
    let mut world = pair(rules);
    let low = replica_of(&mut world, rules, 7_001);
    world.cut(1);
    world.command(0, "DEBUG CHANGE-REPL-ID");
    world.command(0, "SET x 9");
    world.pass(3_000);
    assert_eq!(world.info(low, "master_link_status"), "up");
    let (middle, low) = (value(&mut world, 1, "x"), value(&mut world, low, "x"));
    format!("x is {middle} and {low}")
}

/// A replica starts again from the snapshot it received, and is continued.
fn after_a_restart(rules: Rulebook) -> String {
    let mut world = pair(rules);
    let file = world.nodes[1].file.clone();
    world.cut(1);
    world.command(1, "REPLICAOF NO ONE");
    world.command(0, "SET y 1");
    let again = world.node_with(rules, &[("replicaof", "127.0.0.1 7000")], file);
    world.pass(1_500);
    let backlog = world.info(again, "repl_backlog_active");
    format!("{}; backlog {backlog}", served(&mut world, 0))
}

/// A replica of a primary that the test plays, with the label (A, 1000) and a PING after it: offset 1014.
fn played(rules: Rulebook) -> World {
    let mut world = World::new();
    world.node_with(rules, &[("replicaof", "127.0.0.1 9999")], None);
    world.pass(50);
    world.played_question(0);
    world.played_say(0, format!("+FULLRESYNC {A} 1000\r\n"));
    world.played_say(0, snapshot());
    world.played_say(0, array(&["PING"]));
    world
}

fn snapshot() -> Vec<u8> {
    let payload = write_all(Keyspace::new().snapshot(), None);
    [format!("${}\r\n", payload.len()).as_bytes(), &payload].concat()
}

fn question_after_cut(world: &mut World) -> String {
    world.cut(0);
    world.pass(1_000);
    world.played_question(0)
}

/// The primary says once that it is not connected itself.
fn after_a_passing_error(rules: Rulebook) -> String {
    let mut world = played(rules);
    question_after_cut(&mut world);
    let refusal = "-NOMASTERLINK Can't SYNC while not connected with my master\r\n";
    assert_eq!(world.played_say(0, refusal), "", "it does not fall back");
    world.pass(1_000);
    world.played_question(0)
}

/// Ten bytes of a command have come, and a second passes.
fn with_half_a_command(rules: Rulebook) -> String {
    let mut world = played(rules);
    world.played_heard(0);
    world.played_say(0, &array(&["SET", "half", "x"])[..10]);
    world.pass(1_100);
    let heard = world.played_heard(0);
    let offset = heard.trim_end().rsplit("\r\n").next();
    format!("acknowledged {}", offset.unwrap_or("nothing"))
}

/// The link is lost when `MULTI` and a command have come, but no `EXEC`.
fn after_half_a_transaction(rules: Rulebook) -> String {
    let mut world = played(rules);
    world.played_say(0, array(&["MULTI"]));
    world.played_say(0, array(&["SET", "x", "1"]));
    question_after_cut(&mut world)
}

/// A primary is told to follow another in a transaction that writes; then it is a primary again, and writes more.
fn after_a_demotion_in_a_transaction(rules: Rulebook) -> String {
    let mut world = pair(rules);
    let client = world.connect(0);
    for line in ["MULTI", "SET y 1", "REPLICAOF 127.0.0.1 9999", "EXEC"] {
        world.say(0, client, format!("{line}\r\n"));
    }
    world.command(0, "REPLICAOF NO ONE");
    world.command(0, "SET z 1");
    world.pass(3_000);
    assert_eq!(world.info(1, "master_link_status"), "up");
    let [y, z] = ["y", "z"].map(|key| value(&mut world, 1, key));
    format!("{}; y is {y}, z is {z}", served(&mut world, 0))
}

/// A replica starts again from a snapshot that it saved while the stream was in another database.
fn after_a_restart_in_another_database(rules: Rulebook) -> String {
    let mut world = pair(rules);
    command_in_3(&mut world, 0, "SET x 1");
    world.command(1, "SAVE");
    let file = world.nodes[1].file.clone();
    command_in_3(&mut world, 0, "SET y 1");
    let again = world.node_with(rules, &[("replicaof", "127.0.0.1 7000")], file);
    world.pass(1_500);
    let y = value_in_3(&mut world, again, "y");
    format!("{}; y is {y}", served(&mut world, 0))
}

/// A replica comes while the stream is in another database, and the stream stays there.
fn after_a_copy_of_another_database(rules: Rulebook) -> String {
    let mut world = pair(rules);
    command_in_3(&mut world, 0, "SET x 1");
    let late = replica_of(&mut world, rules, 7_000);
    command_in_3(&mut world, 0, "SET y 1");
    let [early, late] = [1, late].map(|node| value_in_3(&mut world, node, "y"));
    format!("y is {early} and {late}")
}

/// A replica is promoted that stands in another database; its former primary was to select anew and follows it.
fn after_a_promotion_in_another_database(rules: Rulebook) -> String {
    let mut world = pair(rules);
    command_in_3(&mut world, 0, "SET x 1");
    replica_of(&mut world, rules, 7_000);
    world.command(1, "REPLICAOF NO ONE");
    world.command(0, "REPLICAOF 127.0.0.1 7001");
    world.pass(1_500);
    command_in_3(&mut world, 1, "SET y 1");
    let y = value_in_3(&mut world, 0, "y");
    format!("{}; y is {y}", served(&mut world, 1))
}

/// A node starts again as a replica, is promoted, writes, and only then gets a replica, and with it a backlog. Then one
/// follows it that has what the node had at its start.
fn after_an_uncounted_write(rules: Rulebook) -> String {
    let mut world = pair(rules);
    let file = world.nodes[1].file.clone();
    let directives = [
        ("replicaof", "127.0.0.1 9999"),
        ("repl-diskless-sync", "no"),
    ];
    let again = world.node_with(rules, &directives, file);
    world.command(again, "REPLICAOF NO ONE");
    world.command(again, "SET y 1");
    let port = world.nodes[again].port;
    replica_of(&mut world, rules, port);
    world.command(1, &format!("REPLICAOF 127.0.0.1 {port}"));
    world.pass(1_500);
    assert_eq!(world.info(1, "master_link_status"), "up");
    let y = value(&mut world, 1, "y");
    format!("{}; y is {y}", served(&mut world, again))
}

/// A replica with a replica of its own follows another that was promoted; later it is promoted itself.
fn below_a_renamed_node(rules: Rulebook) -> String {
    let mut world = pair(rules);
    let low = replica_of(&mut world, rules, 7_001);
    let promoted = replica_of(&mut world, rules, 7_000);
    world.command(promoted, "REPLICAOF NO ONE");
    let port = world.nodes[promoted].port;
    world.command(1, &format!("REPLICAOF 127.0.0.1 {port}"));
    world.pass(1_500);
    let how = served(&mut world, promoted);
    let [above, below] = [1, low].map(|node| world.info(node, "master_replid"));
    world.command(1, "REPLICAOF NO ONE");
    world.pass(1_500);
    assert_eq!(world.info(low, "master_link_status"), "up");
    let names = if above == below {
        "one name"
    } else {
        "two names"
    };
    format!("{how}; {names}; copies: {}", world.info(1, "sync_full"))
}

#[test]
fn each_situation_tells_the_wrong_server_from_the_right_one() {
    for (fault, situation, right, wrong) in SITUATIONS {
        for &era in eras_of(fault) {
            let rules = rulebook_with(era, fault).expect("the fault exists in this era");
            assert_eq!(situation(Rulebook::of(era)), *right, "{fault}, {era}");
            assert_eq!(situation(rules), *wrong, "{fault}, {era}");
        }
    }
}

/// What a replica asks that had to fall back to `SYNC` and then lost its link.
pub(crate) fn after_a_fallback(rules: Rulebook) -> String {
    let mut world = played(rules);
    question_after_cut(&mut world);
    assert_eq!(world.played_say(0, "-BUSY later\r\n"), "SYNC\r\n");
    world.played_say(0, snapshot());
    world.played_say(0, array(&["PING"]));
    world.pass(1_500);
    assert_eq!(
        world.played_heard(0),
        "",
        "nobody knows what an acknowledgement would count"
    );
    question_after_cut(&mut world)
}

/// The eras in which there is something to fall back from.
const WITH_OFFSETS: [Era; 3] = [Era::Psync, Era::Psync2, Era::Psync2V7];

fn shipped(era: Era) -> Rulebook {
    let mut rules = Rulebook::of(era);
    ship(&mut rules);
    rules
}

#[test]
fn only_as_shipped_a_replica_claims_a_history_that_it_does_not_have() {
    for era in WITH_OFFSETS {
        assert_eq!(after_a_fallback(Rulebook::of(era)), "? -1", "{era}");
        assert_eq!(after_a_fallback(shipped(era)), format!("{A} 14"), "{era}");
        let fault = rulebook_with(era, "sync-fallback-keeps-id").expect("a fault of this era");
        assert_eq!(after_a_fallback(fault), format!("{A} 14"), "{era}");
    }
}

/// A counter at a primary and at its replica, whose request is refused once with an error that it does not know, and
/// whose link is cut a second time after that (FLAWS B-01).
fn counted_after_a_fallback(rules: Rulebook) -> [String; 2] {
    let mut world = pair(rules);
    for _ in 0..20 {
        world.command(0, "INCR counter");
    }
    world.refuse_question = Some("-BUSY later\r\n");
    world.cut(1);
    world.pass(1_500);
    assert_eq!(world.refuse_question, None, "the replica asked");
    world.command(0, "INCR counter");
    world.cut(1);
    world.pass(1_500);
    assert_eq!(world.info(1, "master_link_status"), "up");
    [0, 1].map(|node| value(&mut world, node, "counter"))
}

#[test]
fn only_as_shipped_a_fallback_to_sync_ends_in_different_data() {
    for era in WITH_OFFSETS {
        let [above, below] = counted_after_a_fallback(Rulebook::of(era));
        assert_eq!((above.as_str(), below.as_str()), ("21", "21"), "{era}");
        let [above, below] = counted_after_a_fallback(shipped(era));
        assert_eq!(above, "21", "{era}");
        assert_ne!(below, "21", "{era}: commands were applied twice");
    }
}

/// A replica that was away while its primary was a replica for a while: what it has at the end, and the primary.
fn after_an_excursion(rules: Rulebook) -> [String; 2] {
    let mut world = World::new();
    let directives = [("repl-diskless-sync", "no")];
    let [first, other] = [0, 1].map(|_| world.node_with(rules, &directives, None));
    world.command(first, "SET x 1");
    let away = replica_of(&mut world, rules, 7_000);
    world.command(first, "SET y 1");
    world.lose(away);
    world.command(other, "SET x other");
    world.command(first, "REPLICAOF 127.0.0.1 7001");
    world.pass(1_500);
    assert_eq!(value(&mut world, first, "x"), "other");
    world.command(first, "REPLICAOF NO ONE");
    replica_of(&mut world, rules, 7_000);
    // One byte less than before, because the count begins one byte later: the request falls between two commands.
    world.command(first, "SET y \"\"");
    world.command(first, "SET z 1");
    world.find(away);
    world.pass(1_500);
    assert_eq!(world.info(away, "master_link_status"), "up");
    [first, away].map(|node| value(&mut world, node, "x"))
}

#[test]
fn only_as_shipped_a_run_id_numbers_two_histories() {
    let right = after_an_excursion(Rulebook::of(Era::Psync));
    assert_eq!(right, ["other", "other"]);
    assert_eq!(after_an_excursion(shipped(Era::Psync)), ["other", "1"]);
}

/// B is promoted; A, which was behind, follows B; then C, which has all that B had at its promotion, follows A.
fn behind_a_late_learner(rules: Rulebook) -> String {
    let mut world = pair(rules);
    let promoted = replica_of(&mut world, rules, 7_000);
    let third = replica_of(&mut world, rules, 7_000);
    world.command(1, "REPLICAOF 127.0.0.1 9999");
    world.command(0, "SET y 1");
    world.command(0, "REPLICAOF 127.0.0.1 9999");
    world.command(promoted, "REPLICAOF NO ONE");
    let port = world.nodes[promoted].port;
    world.command(1, &format!("REPLICAOF 127.0.0.1 {port}"));
    world.pass(1_500);
    assert_eq!(world.info(promoted, "sync_partial_ok"), "1");
    let limits = [promoted, 1].map(|node| world.info(node, "second_repl_offset"));
    assert_ne!(limits[0], limits[1], "the late one remembers less");
    world.command(third, "REPLICAOF 127.0.0.1 7001");
    world.pass(1_500);
    assert_eq!(value(&mut world, third, "y"), "1");
    served(&mut world, 1).to_owned()
}

#[test]
fn who_learns_the_new_name_late_cannot_continue_others_with_any_rules() {
    for era in [Era::Psync2, Era::Psync2V7] {
        assert_eq!(behind_a_late_learner(Rulebook::of(era)), "full", "{era}");
        assert_eq!(behind_a_late_learner(shipped(era)), "full", "{era}");
    }
}

#[test]
fn only_as_shipped_a_transaction_that_ends_in_a_demotion_is_unsaid() {
    let era = Era::Psync2V7;
    let right = after_a_demotion_in_a_transaction(Rulebook::of(era));
    assert_eq!(right, "partial; y is 1, z is 1");
    let wrong = after_a_demotion_in_a_transaction(shipped(era));
    assert_eq!(wrong, "partial; y is nothing, z is 1");
}
