//! The same random commands on a real redis-server and on ours: the same replies, in RESP2 and RESP3 by turns, and the
//! same data.
//!
//! Prints its seed; `PSYNC_SEED` takes it back, `PSYNC_COMMANDS` says how many commands (20,000 without it). Commands with
//! an answer by chance or by the clock are left out; answers without an order are compared sorted. Ranges in the order of
//! bytes are asked of `lex` alone, whose members have one score: for others Redis leaves them unspecified.

// Helpers of tests may fail loudly like tests; the lint knows only functions marked as tests.
#![allow(clippy::unwrap_used)]

mod answer;
mod redis_server;
// A test file uses only a part of the simulation.
#[allow(dead_code)]
mod simulation;

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use psync_server::commands::{self, Context, Origin};
use psync_server::keyspace::{EncodingLimits, Keyspace};
use psync_server::resp::Protocol;

use answer::{Answer, read_answer};
use psync_server::rulebook::Era;
use redis_server::{Redis, redis_is_there, version};
use simulation::World;

/// Commands between two comparisons of all data.
const DIGEST_PERIOD: usize = 100;

/// The commands. Words stand for themselves, except for those of one capital letter: a key (K), a value (V), a member or
/// field (M), an index (I), a count (C), a number (N), a score (S), an end of a range of scores (B) or of bytes (L), an
/// end of a list (E), a pattern (P), a deadline (T).
const COMMANDS: &str = "
    GET K|SET K V|SET K N|SET K V NX|SET K V XX GET|SET K V KEEPTTL|SET K V PXAT T|SETNX K V|GETSET K V|GETDEL K
    GETEX K|GETEX K PERSIST|GETEX K PXAT T|MGET K K K|MSET K V K V|MSETNX K V K V|APPEND K V|STRLEN K
    GETRANGE K I I|SETRANGE K C V|INCR K|DECR K|INCRBY K N|DECRBY K N|INCRBYFLOAT K S|SETBIT K C 1|SETBIT K C 0
    GETBIT K C|BITCOUNT K|BITCOUNT K I I|BITCOUNT K I I BIT|BITPOS K 1|BITPOS K 0|BITPOS K 1 I I|BITPOS K 0 I
    BITOP AND K K K|BITOP XOR K K K|BITOP NOT K K|LCS K K|LCS K K LEN|LCS K K IDX WITHMATCHLEN|LCS K K IDX MINMATCHLEN C
    DEL K|UNLINK K K|EXISTS K K|TYPE K|KEYS P|RENAME K K|RENAMENX K K|COPY K K|COPY K K REPLACE|TOUCH K K|DBSIZE
    PERSIST K|PEXPIREAT K T|PEXPIREAT K T NX|PEXPIREAT K T GT|PEXPIREAT K T LT|PEXPIRETIME K|EXPIRETIME K
    LPUSH K V V|RPUSH K V V V|LPUSHX K V|RPUSHX K V|LPOP K|RPOP K|LPOP K C|RPOP K C|LLEN K|LINDEX K I|LSET K I V
    LINSERT K BEFORE V V|LINSERT K AFTER V V|LRANGE K I I|LTRIM K I I|LREM K I V|LPOS K V|LPOS K V RANK I
    LPOS K V COUNT C MAXLEN C|LPOS K V RANK I COUNT C|LMOVE K K E E|RPOPLPUSH K K|LMPOP 2 K K E|LMPOP 1 K E COUNT C
    HSET K M V M V|HMSET K M V|HSETNX K M V|HGET K M|HMGET K M M|HGETALL K|HKEYS K|HVALS K|HLEN K|HEXISTS K M
    HSTRLEN K M|HDEL K M M|HINCRBY K M N|HINCRBYFLOAT K M S|HSET K M
    SADD K V V V|SADD K N N|SREM K V V|SMOVE K K V|SCARD K|SISMEMBER K V|SMISMEMBER K V V|SMEMBERS K|SPOP K 0
    SINTER K K|SUNION K K K|SDIFF K K K|SINTERSTORE K K K|SUNIONSTORE K K K|SDIFFSTORE K K K|SINTERCARD 2 K K
    SINTERCARD 2 K K LIMIT C
    ZADD K S V S V|ZADD K NX S V|ZADD K XX CH S V S V|ZADD K GT CH S V|ZADD K LT S V|ZADD K INCR S V|ZADD K NX GT S V
    ZADD K S V|ZINCRBY K S V|ZADD lex 0 V 0 V|ZREM K V V|ZSCORE K V|ZMSCORE K V V|ZCARD K|ZRANK K V|ZREVRANK K V|ZPOPMIN K|ZPOPMAX K C
    ZMPOP 2 K K MIN|ZMPOP 1 K MAX COUNT C|ZCOUNT K B B|ZLEXCOUNT lex L L|ZRANGE K I I|ZRANGE K I I WITHSCORES
    ZRANGE K I I REV WITHSCORES|ZRANGE K B B BYSCORE|ZRANGE K B B BYSCORE REV LIMIT I I WITHSCORES|ZRANGE lex L L BYLEX
    ZRANGE lex L L BYLEX REV LIMIT C C|ZREVRANGE K I I WITHSCORES|ZRANGEBYSCORE K B B WITHSCORES LIMIT C C
    ZREVRANGEBYSCORE K B B|ZRANGEBYLEX lex L L|ZREVRANGEBYLEX lex L L LIMIT C C|ZRANGESTORE K K I I|ZRANGESTORE K K B B BYSCORE
    ZREMRANGEBYRANK K I I|ZREMRANGEBYSCORE K B B|ZREMRANGEBYLEX lex L L|ZUNION 2 K K WITHSCORES|ZINTER 2 K K WITHSCORES
    ZDIFF 2 K K WITHSCORES|ZUNION 2 K K WEIGHTS S S AGGREGATE MIN WITHSCORES|ZUNIONSTORE K 2 K K|ZUNIONSTORE K 3 K K K AGGREGATE MAX
    ZINTERSTORE K 2 K K WEIGHTS N S|ZDIFFSTORE K 2 K K|ZINTERCARD 2 K K LIMIT C|ZRANGE K I I LIMIT C C
    SORT K|SORT K ALPHA DESC|SORT K LIMIT C C|SORT K ALPHA STORE K|SORT K BY k* ALPHA GET # GET k*|OBJECT REFCOUNT none
    SET K|LPUSH K|ZADD K S|WHAT K|EXPIRE K|LPOP K -1|SINTERCARD 0 K|ZUNION 0 K|SRANDMEMBER none|HRANDFIELD none|ZRANGE K I I BYLEX";

/// Commands whose answer has no order.
const UNORDERED: [&str; 9] = [
    "KEYS", "SMEMBERS", "SINTER", "SUNION", "SDIFF", "HGETALL", "HKEYS", "HVALS", "SORT",
];

/// Numbers from a seed. Source: `SplitMix64`, Steele, Lea and Flood 2014.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (((mixed ^ (mixed >> 31)) >> 32) as usize) % limit
    }

    fn one_of<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len())]
    }

    /// A word of the table of commands as an argument.
    fn argument(&mut self, word: &str) -> String {
        let value = ["a", "b", "ab", "1", "-7", "3.5", "", "foobar", "k1"];
        let score = [
            "0",
            "1",
            "-1",
            "2.5",
            "3.3",
            "1e10",
            "inf",
            "-inf",
            "0.1",
            "x",
            "1e-7",
            "123456789.123",
        ];
        match word {
            "K" => format!("k{}", self.below(6)),
            "V" if self.below(8) == 0 => "long ".repeat(self.below(40)),
            "V" | "M" => self.one_of(&value).to_owned(),
            "I" => (self.below(12) as i64 - 5).to_string(),
            "C" => self.below(7).to_string(),
            "N" => self
                .one_of(&["0", "1", "-3", "10", "9223372036854775807", "70000", "z"])
                .to_owned(),
            "S" => self.one_of(&score).to_owned(),
            "B" => format!("{}{}", self.one_of(&["", "", "("]), self.one_of(&score)),
            "L" => self
                .one_of(&["-", "+", "[a", "(a", "[b", "(foobar", "[", "bad"])
                .to_owned(),
            "E" => self.one_of(&["LEFT", "RIGHT", "left", "MIDDLE"]).to_owned(),
            "P" => self.one_of(&["*", "k?", "k[1-3]", "no*"]).to_owned(),
            "T" => (4_102_444_800_000 + self.below(9)).to_string(),
            word => word.to_owned(),
        }
    }

    fn command(&mut self, templates: &[&str]) -> Vec<String> {
        let words = self.one_of(templates).split_whitespace();
        words.map(|word| self.argument(word)).collect()
    }
}

fn number_from(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

fn in_order(mut answer: Answer, command: &str) -> Answer {
    if UNORDERED.contains(&command) {
        match &mut answer {
            Answer::Array(Some(items)) | Answer::Set(items) => items.sort(),
            Answer::Map(pairs) => pairs.sort(),
            _ => {}
        }
    }
    answer
}

#[test]
fn random_commands_have_the_same_effects() {
    if !redis_is_there() {
        return;
    }
    let now_ms = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_millis() as u64;
    let seed = number_from("PSYNC_SEED").unwrap_or(now_ms);
    let count = number_from("PSYNC_COMMANDS").unwrap_or(20_000) as usize;
    eprintln!("PSYNC_SEED={seed}");
    let templates: Vec<&str> = COMMANDS
        .split(['|', '\n'])
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let mut redis = Redis::start(folder.path());
    let (mut keyspace, mut database, mut chance) = (Keyspace::new(), 0, Chance(seed));
    let mut done: Vec<Vec<String>> = Vec::new();
    let mut protocol = Protocol::Resp2;
    for turn in 1..=count {
        let command = chance.command(&templates);
        let context = Context {
            now_ms,
            origin: Origin::ClientOfPrimary,
            seed: turn as u64,
            longest_string_bytes: Context::LONGEST_STRING_BYTES,
            encoding_limits: EncodingLimits::default(),
            tracked: false,
        };
        let args: Vec<Bytes> = command
            .iter()
            .map(|word| Bytes::from(word.clone()))
            .collect();
        let outcome = commands::execute(&mut keyspace, &mut database, &args, &context);
        let ours = read_answer(&mut &outcome.reply.encode(protocol)[..]);
        let theirs = redis.call(&command);
        done.push(command);
        let (name, recent) = (&done[turn - 1][0], &done[turn.saturating_sub(30)..]);
        assert_eq!(
            in_order(ours, name),
            in_order(theirs, name),
            "ours left, redis-server right; PSYNC_SEED={seed}, command {turn} of {recent:#?}"
        );
        if turn % DIGEST_PERIOD == 0 {
            protocol = match protocol {
                Protocol::Resp2 => Protocol::Resp3,
                Protocol::Resp3 => Protocol::Resp2,
            };
            redis.call(&["HELLO", &protocol.number().to_string()]);
            let digests = (keyspace.digest().to_string(), redis.digest());
            assert_eq!(
                digests.0, digests.1,
                "PSYNC_SEED={seed}, commands up to {turn}: {recent:#?}"
            );
        }
    }
    assert!(keyspace.len(0) > 0, "something is left to compare");
}

/// What `COMMAND` tells of a command: its arity, which arguments are keys, and the properties that do not depend on how
/// subcommands are described.
fn described(entry: &Answer) -> (Vec<Answer>, Vec<Answer>) {
    let Answer::Array(Some(parts)) = entry else {
        panic!("an entry is an array, not {entry:?}")
    };
    let (Answer::Array(Some(flags)), places) = (&parts[2], &parts[3..6]) else {
        panic!("the third part is an array, not {:?}", parts[2])
    };
    let told = [
        "+write",
        "+blocking",
        "+no_multi",
        "+movablekeys",
        "+no_async_loading",
    ];
    let told = told.map(|flag| Answer::Line(flag.to_owned()));
    let told = told.into_iter().filter(|flag| flags.contains(flag));
    ([&parts[..2], places].concat(), told.collect())
}

#[test]
fn commands_are_described_as_in_redis_7_0() {
    if !redis_is_there() {
        return;
    }
    if version() != (7, 0) {
        return eprintln!("skipped: other versions describe some commands otherwise");
    }
    let folder = tempfile::tempdir().unwrap();
    let mut redis = Redis::start(folder.path());
    let mut world = World::new();
    let node = world.node(Era::Psync2V7, &[]);
    let ask = |world: &mut World, line| read_answer(&mut world.command(node, line).as_bytes());
    let Answer::Array(Some(entries)) = ask(&mut world, "COMMAND") else {
        panic!("COMMAND is an array")
    };
    let counted = ask(&mut world, "COMMAND COUNT");
    assert_eq!(counted, Answer::Line(format!(":{}", entries.len())));
    for entry in &entries {
        let Answer::Array(Some(parts)) = entry else {
            panic!("an entry is an array, not {entry:?}")
        };
        let Answer::Bulk(Some(name)) = &parts[0] else {
            panic!("an entry begins with a name, not {:?}", parts[0])
        };
        let theirs = redis.call(&[&b"COMMAND"[..], b"INFO", name]);
        let Answer::Array(Some(theirs)) = theirs else {
            panic!("COMMAND INFO is an array, not {theirs:?}")
        };
        assert_eq!(described(entry), described(&theirs[0]));
    }
    let lines = [
        "COMMAND INFO nosuch",
        "COMMAND LIST FILTERBY PATTERN zdiffs*",
        "COMMAND GETKEYS GET k",
        "COMMAND GETKEYS PING x",
        "COMMAND GETKEYS NOSUCH k",
        "COMMAND GETKEYS MSET k 1 l 2",
        "COMMAND GETKEYS BLPOP k l 0",
        "COMMAND GETKEYS LMOVE k l LEFT LEFT",
        "COMMAND GETKEYS BITOP AND k l m",
        "COMMAND GETKEYS ZUNIONSTORE k 2 l m WEIGHTS 1 2",
        "COMMAND GETKEYS ZUNION 2 l m",
        "COMMAND GETKEYS BLMPOP 0 2 l m LEFT",
        "COMMAND GETKEYS SORT k BY store LIMIT 0 1 GET x STORE l STORE m",
    ];
    for line in lines {
        let theirs = redis.call(&line.split(' ').collect::<Vec<_>>());
        assert_eq!(ask(&mut world, line), theirs, "{line}");
    }
}

#[test]
fn what_operators_are_told_is_what_redis_7_0_tells() {
    if !redis_is_there() {
        return;
    }
    if version() != (7, 0) {
        return eprintln!("skipped: other versions word some answers otherwise");
    }
    let folder = tempfile::tempdir().unwrap();
    let mut redis = Redis::start(folder.path());
    let mut world = World::new();
    let node = world.node(Era::Psync2V7, &[]);
    let lines = [
        "CLIENT GETNAME",
        "CLIENT SETNAME \u{e9}",
        "CLIENT KILL 127.0.0.1:1",
        "CLIENT KILL TYPE replica",
        "CLIENT KILL TYPE bogus",
        "CLIENT PAUSE x",
        "CLIENT PAUSE 10 SOME",
        "CLIENT UNPAUSE",
        "CONFIG GET repl-backlog-ttl",
        "CONFIG SET nosuch 1",
        "CONFIG SET databases 3",
        "CONFIG SET repl-timeout 9 nosuch 1",
        "CONFIG REWRITE",
        "FAILOVER",
        "FAILOVER ABORT",
        "FAILOVER FORCE",
        "FAILOVER TIMEOUT 0",
        "FAILOVER TO 127.0.0.1",
        "FAILOVER TO 127.0.0.1 1",
        "REPLICAOF 127.0.0.1 x",
        "REPLICAOF NO ONE",
        "ROLE",
        "WAIT 0 10",
        "WAIT 0 -1",
        "AUTH secret",
        "SELECT 16",
        "NOSUCH a",
    ];
    let mut told = |line: &str| {
        let ours = read_answer(&mut world.command(node, line).as_bytes());
        let theirs = redis.call(&line.split(' ').collect::<Vec<_>>());
        assert_eq!(ours, theirs, "ours left, redis-server right: {line}");
    };
    for line in lines {
        told(line);
    }
    told("REPLICAOF 127.0.0.1 1");
    for line in ["WAIT 0 10", "FAILOVER", "SET x 1", "REPLICAOF 127.0.0.1 1"] {
        told(line);
    }
}
