//! Random commands, transactions, cuts and copies: the primary answers what a model of standard collections answers, and
//! in the end its replica holds the same data.

// Helpers of tests may fail loudly like tests; the lint knows only functions marked as tests.
#![allow(clippy::unwrap_used)]

mod answer;
mod model;
// A test file uses only a part of the simulation.
#[allow(dead_code)]
mod simulation;

use std::fmt::Write;

use proptest::prelude::*;
use psync_server::event::ClientId;
use psync_server::rulebook::{Accumulation, Era, Rulebook};

use answer::{Answer, read_answer};
use model::{DATABASES, Model};
use simulation::World;

/// The commands. Words stand for themselves, except for those of one capital letter: a key (K), a value (V), a member or
/// field (M), an index (I), a count (C), a number (N), a score (S), a time (T), an end of a list (E), a database (D).
const COMMANDS: &str = "
    GET K|GETDEL K|SET K V|SET K V NX|SET K V XX GET|SET K V KEEPTTL|SET K V PX 200|SETNX K V|MSET K V K V|MGET K K
    STRLEN K|APPEND K V|INCRBY K N|GETRANGE K I I|SETRANGE K C V
    LPUSH K V V|RPUSH K V V V|LPOP K|RPOP K|LPOP K C|RPOP K C|LLEN K|LINDEX K I|LRANGE K I I|LTRIM K I I
    LINSERT K BEFORE V V|LINSERT K AFTER V V|LREM K I V|LSET K I V|LMOVE K K E E
    HSET K M V M V|HSET K M N|HSETNX K M V|HGET K M|HDEL K M M|HLEN K|HGETALL K|HINCRBY K M N
    SADD K M M M|SADD K N N|SREM K M M|SCARD K|SISMEMBER K M|SMEMBERS K|SMOVE K K M|SPOP K|SRANDMEMBER K
    SINTER K K|SUNION K K|SDIFF K K|SINTERSTORE K K K|SUNIONSTORE K K K|SDIFFSTORE K K K
    ZADD K S M S M|ZADD K NX S M|ZADD K XX S M|ZADD K GT S M|ZADD K LT S M|ZINCRBY K S M|ZREM K M M|ZCARD K|ZSCORE K M
    ZRANK K M|ZREVRANK K M|ZRANGE K I I|ZRANGE K I I WITHSCORES|ZRANGEBYSCORE K S S|ZCOUNT K S S|ZPOPMIN K|ZPOPMAX K C
    ZREMRANGEBYRANK K I I|ZUNIONSTORE K 2 K K
    DEL K K|EXISTS K|TYPE K|RENAME K K|RENAMENX K K|COPY K K REPLACE|PEXPIRE K T|PERSIST K|PTTL K
    SELECT D|MOVE K D|SWAPDB 0 1|FLUSHDB";

const KEYS: [&str; 5] = ["k0", "k1", "k2", "k3", "k4"];

/// Time for a replica to notice that its link is gone and to be back.
const RECONNECTION_MS: u64 = 2_000;

/// Something that happens.
#[derive(Debug, Clone)]
enum Step {
    /// A command.
    Run(String),
    /// Commands between `MULTI` and `EXEC`.
    Unit(Vec<String>),
    /// Milliseconds go by.
    Pass(u64),
    /// The link of the replica is cut.
    Cut,
    /// The replica has to be copied everything; the copy is cut now, and takes until the next step of this kind.
    Copy,
}

/// What a letter of the table may stand for.
fn choices(letter: &str) -> Option<&'static [&'static str]> {
    Some(match letter {
        "K" => &KEYS,
        "V" => &[
            "a",
            "b",
            "ab",
            "10",
            "-7",
            "a-longer-text-that-needs-a-block-of-its-own",
        ],
        "M" => &[
            "m0",
            "m1",
            "m2",
            "m3",
            "77",
            "a-long-member-of-more-than-a-few-bytes",
        ],
        "I" => &["0", "1", "2", "-1", "-2", "-4", "5"],
        "C" => &["0", "1", "2", "3", "9"],
        "N" => &["0", "1", "-3", "1000", "70000"],
        "S" => &["0", "1", "-1", "2.5", "-0.5", "1000000"],
        "T" => &["0", "30", "200", "5000"],
        "E" => &["LEFT", "RIGHT"],
        "D" => &["0", "1"],
        _ => return None,
    })
}

fn command() -> impl Strategy<Value = String> {
    let templates: Vec<&str> = COMMANDS
        .split(['|', '\n'])
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let longest = 7;
    let drawn = prop::collection::vec(any::<prop::sample::Index>(), longest);
    (prop::sample::select(templates), drawn).prop_map(|(template, drawn)| {
        let mut line = String::new();
        for (word, index) in template.split(' ').zip(drawn) {
            let word = choices(word).map_or(word, |choices| *index.get(choices));
            let _ = write!(line, "{word} ");
        }
        line.trim_end().to_owned()
    })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        40 => command().prop_map(Step::Run),
        3 => prop::collection::vec(command(), 1..5).prop_map(Step::Unit),
        4 => (1..8_u64).prop_map(|ticks| Step::Pass(50 * ticks)),
        1 => Just(Step::Cut),
        1 => Just(Step::Copy),
    ]
}

/// A primary, its replica, a connection to each, and the model.
struct Trial {
    world: World,
    primary: ClientId,
    model: Model,
}

impl Trial {
    fn new(rules: Rulebook) -> Self {
        let mut world = World::new();
        world.node_with(rules, &[], None);
        world.node(rules.era, &[("replicaof", "127.0.0.1 7000")]);
        world.pass(RECONNECTION_MS);
        let primary = world.connect(0);
        world.say(0, primary, "HELLO 3\r\n");
        Self {
            world,
            primary,
            model: Model::default(),
        }
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Run(line) => {
                let heard = self.ask(line);
                self.judge(line, heard);
            }
            Step::Unit(lines) => self.transact(lines),
            Step::Pass(ms) => self.world.pass(*ms),
            Step::Cut => self.world.cut(1),
            Step::Copy if self.world.hold_snapshots => self.end_copy(),
            Step::Copy => {
                self.world.hold_snapshots = true;
                self.world.command(0, "DEBUG CHANGE-REPL-ID");
                self.world.cut(1);
                self.world.pass(RECONNECTION_MS);
            }
        }
    }

    fn end_copy(&mut self) {
        self.world.hold_snapshots = false;
        if self.world.writes_snapshot(0) {
            self.world.finish_snapshot(0);
        }
    }

    fn ask(&mut self, line: &str) -> Answer {
        let heard = self.world.say(0, self.primary, format!("{line}\r\n"));
        read_answer(&mut heard.as_bytes())
    }

    fn judge(&mut self, line: &str, heard: Answer) {
        let words: Vec<&str> = line.split(' ').collect();
        let wanted = self.model.execute(&words, &heard, self.world.now_ms);
        assert_eq!(
            in_order(heard),
            in_order(wanted),
            "{line}: the server left, the model right"
        );
    }

    fn transact(&mut self, lines: &[String]) {
        assert_eq!(self.ask("MULTI"), Answer::Line("+OK".into()));
        for line in lines {
            assert_eq!(self.ask(line), Answer::Line("+QUEUED".into()));
        }
        let Answer::Array(Some(answers)) = self.ask("EXEC") else {
            panic!("EXEC of {lines:?} is no array");
        };
        assert_eq!(answers.len(), lines.len());
        for (line, heard) in lines.iter().zip(answers) {
            self.judge(line, heard);
        }
    }

    /// Reads everything back from the primary; whether the replica holds the same.
    fn finish(mut self) -> bool {
        if self.world.hold_snapshots {
            self.end_copy();
        }
        self.world.pass(RECONNECTION_MS);
        assert_eq!(self.world.info(1, "master_link_status"), "up");
        for database in 0..DATABASES {
            self.take(&Step::Run(format!("SELECT {database}")));
            for (key, kind) in self.model.contents(database) {
                let read = match kind {
                    "string" => format!("GET {key}"),
                    "list" => format!("LRANGE {key} 0 -1"),
                    "hash" => format!("HGETALL {key}"),
                    "set" => format!("SMEMBERS {key}"),
                    _ => format!("ZRANGE {key} 0 -1 WITHSCORES"),
                };
                self.take(&Step::Run(read));
                self.take(&Step::Run(format!("PTTL {key}")));
            }
            for key in KEYS {
                self.take(&Step::Run(format!("TYPE {key}")));
            }
        }
        let digests = [0, 1].map(|node| self.world.command(node, "DEBUG DIGEST"));
        digests[0] == digests[1]
    }
}

/// Sets and maps have no order.
fn in_order(mut answer: Answer) -> Answer {
    match &mut answer {
        Answer::Set(items) => items.sort(),
        Answer::Map(pairs) => pairs.sort(),
        _ => {}
    }
    answer
}

proptest! {
    #[test]
    fn the_primary_answers_like_the_model_and_the_replica_holds_the_same(
        steps in prop::collection::vec(step(), 1..120)
    ) {
        let mut trial = Trial::new(Rulebook::of(Era::Psync2V7));
        for step in &steps {
            trial.take(step);
        }
        prop_assert!(trial.finish(), "the replica holds other data");
    }
}

#[test]
fn a_primary_that_forgets_what_was_written_beside_a_snapshot_is_found_out() {
    let sound = Rulebook::of(Era::Psync2V7);
    let forgetful = Rulebook {
        accumulation: Accumulation::FromEnd,
        ..sound
    };
    for (rules, same) in [(sound, true), (forgetful, false)] {
        let mut trial = Trial::new(rules);
        for step in [Step::Copy, Step::Run("SET k0 a".into()), Step::Copy] {
            trial.take(&step);
        }
        assert_eq!(trial.finish(), same);
    }
}
