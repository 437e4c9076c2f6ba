//! Every fault can be seen from outside: one long conversation goes differently than with the right server. The module
//! `single` has a situation of its own for each fault that needs several nodes, and for what ships.

// A test file uses only a part of the simulation.
#[allow(dead_code)]
#[path = "../simulation/mod.rs"]
mod simulation;
mod single;

use psync_server::faults::{FAULTS, rulebook_with};
use psync_server::keyspace::{Entry, Keyspace};
use psync_server::rdb::write_all;
use psync_server::rulebook::{Era, Rulebook};
use simulation::{World, array};

const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

/// Everything that a played replica and a user hear, in order.
struct Conversation {
    world: World,
    heard: String,
}

impl Conversation {
    fn with_primary(rules: Rulebook, directives: &[(&str, &str)]) -> Self {
        let mut world = World::new();
        world.node_with(rules, directives, None);
        Self {
            world,
            heard: String::new(),
        }
    }

    fn ask(&mut self, node: usize, id: &str, byte: i64) -> psync_server::event::ClientId {
        let client = self.world.connect(node);
        self.world.say(
            node,
            client,
            array(&["REPLCONF", "capa", "eof", "capa", "psync2"]),
        );
        let words = if self.world.info(node, "psync_era") == "sync" {
            "SYNC\r\n".into()
        } else {
            array(&["PSYNC", id, &byte.to_string()])
        };
        let answer = self.world.say(node, client, words);
        self.heard.push_str(&answer);
        client
    }

    fn listen(&mut self, node: usize, client: psync_server::event::ClientId) {
        let heard = self.world.heard(node, client);
        self.heard.push_str(&heard);
    }

    fn name(&mut self) -> String {
        let known = self.world.command(0, "INFO").contains("master_replid");
        self.world
            .info(0, if known { "master_replid" } else { "run_id" })
    }
}

/// A primary: both framings, an attached replica, every edge of the window, expiry, promotion, restart.
fn as_primary(rules: Rulebook) -> String {
    let mut talk = Conversation::with_primary(
        rules,
        &[("repl-diskless-sync", "no"), ("repl-backlog-size", "16384")],
    );
    talk.world.hold_snapshots = true;
    let one = talk.ask(0, "?", -1);
    talk.world.command(0, "SET x 1");
    let two = talk.ask(0, "?", -1);
    talk.world.command(0, "SET x 2");
    talk.world.finish_snapshot(0);
    talk.listen(0, one);
    talk.listen(0, two);
    talk.world.command(0, "SET x 3");
    talk.listen(0, one);
    talk.world.hold_snapshots = false;
    let (id, offset) = (talk.name(), talk.world.command(0, "ROLE"));
    talk.heard.push_str(&offset);
    for byte in -1..140 {
        talk.ask(0, &id, byte);
        talk.ask(0, B, byte);
    }
    for byte in [16_384, 16_385, 16_386] {
        talk.ask(0, &id, byte);
    }
    talk.world
        .command(0, &format!("SET large {}", "v".repeat(40_000)));
    talk.ask(0, &id, 60);
    talk.heard
}

/// A primary without a file: the delay, and the first acknowledgement.
fn as_diskless_primary(rules: Rulebook) -> String {
    let delay = [
        ("repl-diskless-sync", "yes"),
        ("repl-diskless-sync-delay", "1"),
        ("repl-backlog-ttl", "1"),
    ];
    let mut talk = Conversation::with_primary(rules, &delay);
    let early = talk.ask(0, "?", -1);
    talk.world.pass(1_100);
    let one = talk.ask(0, "?", -1);
    talk.world.command(0, "SET x 1");
    talk.world.pass(1_100);
    talk.world.command(0, "SET x 2");
    talk.listen(0, early);
    talk.listen(0, one);
    let (id, end) = (talk.name(), talk.world.command(0, "ROLE"));
    let end: i64 = end
        .split(':')
        .nth(1)
        .and_then(|rest| rest.split("\r\n").next())
        .and_then(|n| n.parse().ok())
        .unwrap_or(0);
    talk.world.command(0, "CLIENT KILL TYPE replica");
    talk.world.pass(2_000);
    talk.world.command(0, "SET uncounted 1");
    let late = talk.ask(0, "?", -1);
    talk.world.pass(1_100);
    talk.listen(0, late);
    talk.ask(0, &id, end + 1);
    talk.heard
}

/// A replica of a primary played by the test; cut at every awkward moment, promoted in the end, restarted.
fn as_replica(rules: Rulebook) -> String {
    let mut world = World::new();
    let node = world.node_with(
        rules,
        &[
            ("replicaof", "127.0.0.1 9999"),
            ("repl-diskless-sync", "no"),
        ],
        None,
    );
    world.pass(50);
    let mut heard = world.played_question(node);
    let mut keyspace = Keyspace::new();
    keyspace.insert(0, b"old", Entry::string("data"));
    let payload = write_all(keyspace.snapshot(), None);
    let framed = [format!("${}\r\n", payload.len()).as_bytes(), &payload].concat();
    world.played_say(node, format!("+FULLRESYNC {A} 1000\r\n"));
    world.played_say(node, framed);
    world.played_say(node, array(&["SET", "x", "1"]));
    world.played_say(node, &array(&["SET", "half", "x"])[..10]);
    let cut = |world: &mut World, heard: &mut String| {
        world.cut(node);
        world.pass(1_000);
        heard.push_str(&world.played_question(node));
    };
    cut(&mut world, &mut heard);
    let half = array(&["SET", "half", "x"]).split_off(10);
    let half = if rules.era == Era::Psync {
        half
    } else {
        String::new()
    };
    let renamed = format!("+CONTINUE {B}\r\n{half}{}", array(&["PING"]));
    world.played_say(node, renamed);
    world.pass(1_100);
    heard.push_str(&world.played_heard(node));
    world.command(node, "SAVE");
    let file = world.nodes[node].file.clone();
    cut(&mut world, &mut heard);
    world.played_say(node, format!("+FULLRESYNC {B} 5000\r\n$100\r\nREDIS"));
    heard.push_str(&world.command(node, "GET old"));
    cut(&mut world, &mut heard);
    let again = world.node_with(rules, &[("replicaof", "127.0.0.1 9999")], file);
    world.pass(50);
    heard.push_str(&world.played_question(again));
    heard
}

/// A promoted node and strangers at the limit of its former name; then the file of a primary, restarted.
fn after_role_changes(rules: Rulebook) -> String {
    let mut talk = Conversation::with_primary(rules, &[("repl-diskless-sync", "no")]);
    talk.world.node_with(
        rules,
        &[
            ("replicaof", "127.0.0.1 7000"),
            ("repl-diskless-sync", "no"),
        ],
        None,
    );
    talk.world.pass(1_500);
    talk.world.command(0, "SET x 1");
    let id = talk.name();
    talk.world.command(1, "REPLICAOF NO ONE");
    talk.world.command(1, "SET y 1");
    for byte in 48..54 {
        talk.ask(1, &id, byte);
    }
    talk.world.command(0, "SAVE");
    let file = talk.world.nodes[0].file.clone();
    let again = talk
        .world
        .node_with(rules, &[("repl-diskless-sync", "no")], file);
    for byte in 48..54 {
        talk.ask(again, &id, byte);
    }
    talk.heard
}

fn transcript(rules: Rulebook) -> String {
    let parts = [
        as_primary,
        as_diskless_primary,
        as_replica,
        after_role_changes,
    ];
    // In the oldest era a question has no name and byte; the replica part needs one.
    let known = parts
        .iter()
        .enumerate()
        .filter(|(index, _)| rules.era != Era::Sync || *index < 2);
    let mut heard: String = known.map(|(_, part)| part(rules)).collect();
    for (fault, situation, ..) in single::SITUATIONS {
        if single::eras_of(fault).contains(&rules.era) {
            heard.push_str(&situation(rules));
        }
    }
    if rules.era != Era::Sync {
        heard.push_str(&single::after_a_fallback(rules));
    }
    heard
}

#[test]
fn every_fault_changes_what_is_heard() {
    let mut unseen = Vec::new();
    for era in Era::ALL {
        let right = transcript(Rulebook::of(era));
        assert_eq!(
            right,
            transcript(Rulebook::of(era)),
            "the right server always says the same"
        );
        for fault in FAULTS.iter().filter(|fault| fault.eras.contains(&era)) {
            let rules = rulebook_with(era, fault.name).expect("the fault exists in this era");
            if transcript(rules) == right {
                unseen.push(format!("{} in {era}", fault.name));
            }
        }
    }
    assert!(
        unseen.is_empty(),
        "cannot be told from the right server: {unseen:#?}"
    );
}
