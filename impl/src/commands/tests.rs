//! Tables: commands in order, each with its reply and what it propagates, at a fixed time.
//!
//! One line is `command | reply | effects`; `at` moves the time, effects are joined by `; `, bytes are words.

use super::*;

#[path = "collection_tests.rs"]
mod collections;

/// The beginning of every table, in unix milliseconds.
const START_MS: u64 = 1_000_000;

/// A reply as RESP2 tells it.
fn show(reply: &Reply) -> String {
    let list = |items: Vec<String>| format!("[{}]", items.join(" "));
    match reply {
        Reply::Simple(text) => (*text).to_owned(),
        Reply::Error(text) => format!("-{text}"),
        Reply::Integer(number) => format!(":{number}"),
        Reply::Bulk(bytes) => format!("\"{}\"", bytes.escape_ascii()),
        Reply::Stored(blob) => format!("\"{}\"", blob.escape_ascii()),
        Reply::NullBulk | Reply::NullArray => "nil".to_owned(),
        Reply::Double(number) => format!("\"{}\"", crate::numbers::exact(*number)),
        Reply::Verbatim(text) => format!("\"{}\"", text.escape_default()),
        Reply::Array(items) | Reply::Set(items) => list(items.iter().map(show).collect()),
        Reply::Map(pairs) | Reply::Pairs(pairs) => {
            let items = pairs.iter().flat_map(|(one, other)| [one, other]);
            list(items.map(show).collect())
        }
    }
}

fn show_effect(effect: &Effect) -> String {
    let words: Vec<_> = effect
        .args
        .iter()
        .map(|arg| arg.escape_ascii().to_string())
        .collect();
    let database = if effect.database == 0 {
        String::new()
    } else {
        format!("{}: ", effect.database)
    };
    format!("{database}{}", words.join(" "))
}

/// Runs a table and compares line by line.
fn table(origin: Origin, lines: &str) {
    let (mut keyspace, mut database) = (Keyspace::new(), 0);
    let longest_string_bytes = 1_000;
    let mut context = Context {
        now_ms: START_MS,
        origin,
        seed: 7,
        longest_string_bytes,
        encoding_limits: EncodingLimits::default(),
        tracked: false,
    };
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let columns: Vec<_> = line.split('|').map(str::trim).collect();
        if let Some(after_ms) = columns[0].strip_prefix("at ") {
            context.now_ms = START_MS + after_ms.parse::<u64>().unwrap();
            continue;
        }
        let args: Vec<_> = columns[0]
            .split_whitespace()
            .map(|word| Bytes::from(word.to_owned()))
            .collect();
        let outcome = execute(&mut keyspace, &mut database, &args, &context);
        let effects: Vec<_> = outcome.effects.iter().map(show_effect).collect();
        assert_eq!(show(&outcome.reply).trim_end(), columns[1], "{line}");
        assert_eq!(effects.join("; "), *columns.get(2).unwrap_or(&""), "{line}");
    }
}

fn primary(lines: &str) {
    table(Origin::ClientOfPrimary, lines);
}

#[test]
fn set_in_all_its_forms() {
    primary(
        "set k v | OK | set k v
        SET k w NX | nil
        SET k w nx GET | \"v\"
        SET k w XX | OK | SET k w XX
        SET new w XX | nil
        SET new w XX GET | nil
        SET k x GET | \"w\" | SET k x
        SET k x keepttl GET | \"x\" | SET k x keepttl
        SET k v EX 10 | OK | SET k v PXAT 1010000
        set k v px 10 NX | nil
        set k v px 10 XX GET | \"v\" | SET k v PXAT 1000010
        SET k v EXAT 2000 | OK | SET k v PXAT 2000000
        SET k v PXAT 2000001 | OK | SET k v PXAT 2000001
        SET k v KEEPTTL | OK | SET k v KEEPTTL
        PTTL k | :1000001
        SET k v | OK | SET k v
        PTTL k | :-1
        SET k v EX 0 | -ERR invalid expire time in 'set' command
        SET k v EX -1 | -ERR invalid expire time in 'set' command
        SET k v EX 9223372036854775807 | -ERR invalid expire time in 'set' command
        SET k v EX ten | -ERR value is not an integer or out of range
        SET k v EX | -ERR syntax error
        SET k v EX 1 PX 1 | -ERR syntax error
        SET k v EX 1 KEEPTTL | -ERR syntax error
        SET k v KEEPTTL EX 1 | -ERR syntax error
        SET k v NX XX | -ERR syntax error
        SET k v WHAT | -ERR syntax error
        SET k | -ERR wrong number of arguments for 'set' command",
    );
}

#[test]
fn older_forms_of_set() {
    primary(
        "SETNX a 1 | :1 | SETNX a 1
        SETNX a 2 | :0
        SETEX a 5 v | OK | SET a v PXAT 1005000
        PSETEX a 5 v | OK | SET a v PXAT 1000005
        SETEX a 0 v | -ERR invalid expire time in 'setex' command
        PSETEX a x v | -ERR value is not an integer or out of range
        GETSET a w | \"v\" | SET a w
        TTL a | :-1
        GETSET b w | nil | SET b w",
    );
}

#[test]
fn reading_and_taking() {
    primary(
        "SET a 1 | OK | SET a 1
        GET a | \"1\"
        GET none | nil
        MGET a none a | [\"1\" nil \"1\"]
        GETDEL a | \"1\" | DEL a
        GETDEL a | nil
        GETEX a | nil
        GETEX a EX 0 | nil
        SET a 1 | OK | SET a 1
        GETEX a | \"1\"
        GETEX a PERSIST | \"1\"
        GETEX a EX 5 | \"1\" | PEXPIREAT a 1005000
        GETEX a PERSIST | \"1\" | PERSIST a
        GETEX a EX 0 | -ERR invalid expire time in 'getex' command
        GETEX a PXAT 5 | \"1\" | DEL a
        GETEX a WHAT | -ERR syntax error
        GETEX a EX 1 2 | -ERR syntax error",
    );
}

#[test]
fn several_keys() {
    primary(
        "MSET a 1 b 2 | OK | MSET a 1 b 2
        MSET a 1 b | -ERR wrong number of arguments for 'mset' command
        MSETNX c 1 a 2 | :0
        MSETNX c 1 d 2 | :1 | MSETNX c 1 d 2
        EXISTS a b a none | :3
        DEL a none b | :2 | DEL a none b
        DEL a | :0
        UNLINK c | :1 | UNLINK c
        DBSIZE | :1",
    );
}

#[test]
fn numbers() {
    primary(
        "INCR n | :1 | INCR n
        incr n | :2 | incr n
        DECR n | :1 | DECR n
        INCRBY n 10 | :11 | INCRBY n 10
        DECRBY n 20 | :-9 | DECRBY n 20
        PEXPIREAT n 1000500 | :1 | PEXPIREAT n 1000500
        INCR n | :-8 | INCR n
        PTTL n | :500
        DECRBY n -9223372036854775808 | -ERR decrement would overflow
        SET n 9223372036854775807 | OK | SET n 9223372036854775807
        INCR n | -ERR increment or decrement would overflow
        SET n 01 | OK | SET n 01
        INCR n | -ERR value is not an integer or out of range
        INCRBY n x | -ERR value is not an integer or out of range",
    );
}

#[test]
fn parts_of_strings() {
    primary(
        "APPEND s abc | :3 | APPEND s abc
        APPEND s def | :6 | APPEND s def
        STRLEN s | :6
        STRLEN none | :0
        GETRANGE s 0 -1 | \"abcdef\"
        GETRANGE s -3 -2 | \"de\"
        GETRANGE s 4 99 | \"ef\"
        GETRANGE s -99 1 | \"ab\"
        GETRANGE s 3 2 | \"\"
        GETRANGE s -1 -2 | \"\"
        GETRANGE s 9 99 | \"\"
        GETRANGE none 0 -1 | \"\"
        GETRANGE s a 1 | -ERR value is not an integer or out of range
        SETRANGE s 2 XY | :6 | SETRANGE s 2 XY
        GET s | \"abXYef\"
        SETRANGE t 2 Z | :3 | SETRANGE t 2 Z
        GET t | \"\\x00\\x00Z\"
        SETRANGE s -1 Z | -ERR offset is out of range
        SETRANGE s 1000 Z | -ERR string exceeds maximum allowed size (proto-max-bulk-len)
        SETRANGE s 9223372036854775807 Z | -ERR string exceeds maximum allowed size (proto-max-bulk-len)",
    );
}

#[test]
fn deadlines() {
    primary(
        "SET k v | OK | SET k v
        TTL k | :-1
        TTL none | :-2
        EXPIRE k 10 | :1 | PEXPIREAT k 1010000
        TTL k | :10
        EXPIRETIME k | :1010
        PEXPIRETIME k | :1010000
        pexpire k 10500 | :1 | PEXPIREAT k 1010500
        EXPIREAT k 1011 | :1 | PEXPIREAT k 1011000
        pexpireat k 1011001 | :1 | pexpireat k 1011001
        EXPIRE k 10 NX | :0
        EXPIRE k 10 GT | :0
        EXPIRE k 12 LT | :0
        PEXPIREAT k 1011002 XX GT | :1 | PEXPIREAT k 1011002 XX GT
        EXPIRE k 12 xx gt | :1 | PEXPIREAT k 1012000 xx gt
        PERSIST k | :1 | PERSIST k
        PERSIST k | :0
        EXPIRE k 10 XX | :0
        EXPIRE k 10 GT | :0
        EXPIRE none 10 | :0
        EXPIRE k 10 NX GT | -ERR NX and XX, GT or LT options at the same time are not compatible
        EXPIRE k 10 GT LT | -ERR GT and LT options at the same time are not compatible
        EXPIRE k 10 WHAT | -ERR Unsupported option WHAT
        EXPIRE k 9223372036854775807 | -ERR invalid expire time in 'expire' command
        EXPIRE k -1 | :1 | DEL k
        EXISTS k | :0",
    );
}

#[test]
fn expired_key_is_deleted_when_a_primary_meets_it() {
    primary(
        "SET k v PX 100 | OK | SET k v PXAT 1000100
        SET l v PX 100 | OK | SET l v PXAT 1000100
        SET m v PX 100 | OK | SET m v PXAT 1000100
        at 100
        GET k | \"v\"
        at 101
        GET k | nil | DEL k
        GET k | nil
        SET l w | OK | DEL l; SET l w
        DEL m | :0 | DEL m
        DBSIZE | :1",
    );
}

#[test]
fn expired_key_is_invisible_on_a_replica_but_stays() {
    let mut keyspace = Keyspace::new();
    let key = Bytes::from_static(b"k");
    keyspace.insert(0, &key, Entry::string(&key).expiring(Some(5)));
    let args = [Bytes::from_static(b"GET"), key];
    let mut context = Context {
        now_ms: 6,
        origin: Origin::ClientOfReplica,
        seed: 0,
        longest_string_bytes: 9,
        encoding_limits: EncodingLimits::default(),
        tracked: false,
    };
    let invisible = execute(&mut keyspace, &mut 0, &args, &context);
    assert_eq!(
        (invisible.reply, invisible.effects, keyspace.len(0)),
        (Reply::NullBulk, vec![], 1)
    );
    context.origin = Origin::Primary;
    assert_eq!(
        execute(&mut keyspace, &mut 0, &args, &context).reply,
        Reply::Stored(Blob::from("k"))
    );
}

#[test]
fn stream_of_a_primary_is_applied_without_a_clock() {
    table(
        Origin::Primary,
        "SET k 1 PXAT 5 | OK | SET k 1 PXAT 5
        INCR k | :2 | INCR k
        PEXPIREAT k 6 | :1 | PEXPIREAT k 6
        DBSIZE | :1
        DEL k | :1 | DEL k",
    );
}

#[test]
fn names_and_databases() {
    primary(
        "SET a 1 EX 10 | OK | SET a 1 PXAT 1010000
        TYPE a | string
        TYPE none | none
        RENAME a b | OK | RENAME a b
        TTL b | :10
        RENAME a b | -ERR no such key
        RENAME b b | OK
        RENAMENX b b | :0
        RENAMENX b c | :1 | RENAMENX b c
        COPY c d | :1 | COPY c d
        COPY c d | :0
        COPY c d REPLACE | :1 | COPY c d REPLACE
        COPY c c | -ERR source and destination objects are the same
        COPY c c DB 1 | :1 | COPY c c DB 1
        COPY c c DB 16 | -ERR DB index is out of range
        RANDOMKEY | \"d\"
        SELECT 1 | OK
        DBSIZE | :1
        SELECT 16 | -ERR DB index is out of range
        SELECT x | -ERR value is not an integer or out of range
        SWAPDB 1 2 | OK | 1: SWAPDB 1 2
        SWAPDB x 2 | -ERR invalid first DB index
        SWAPDB 1 x | -ERR invalid second DB index
        DBSIZE | :0
        RANDOMKEY | nil
        FLUSHDB | OK | 1: FLUSHDB
        FLUSHDB what | -ERR syntax error
        FLUSHALL async | OK | 1: FLUSHALL async
        SELECT 0 | OK
        DBSIZE | :0",
    );
}

#[test]
fn looking_for_keys() {
    primary(
        "MSET one 1 | OK | MSET one 1
        KEYS o* | [\"one\"]
        KEYS x* | []
        SCAN 0 | [\"0\" [\"one\"]]
        SCAN 0 MATCH x* COUNT 5 | [\"0\" []]
        SCAN 0 TYPE string | [\"0\" [\"one\"]]
        SCAN 0 TYPE list | [\"0\" []]
        SCAN x | -ERR invalid cursor
        SCAN 0 COUNT 0 | -ERR syntax error
        SCAN 0 COUNT x | -ERR value is not an integer or out of range
        SCAN 0 MATCH | -ERR syntax error",
    );
}

#[test]
fn talk_and_refusals() {
    primary(
        "PING | PONG
        PING a | \"a\"
        PING a b | -ERR wrong number of arguments for 'ping' command
        ECHO a | \"a\"
        NOSUCH a b | -ERR unknown command 'NOSUCH', with args beginning with: 'a' 'b'
        INFO | -ERR 'info' is not a data command
        GET | -ERR wrong number of arguments for 'get' command",
    );
}

#[test]
fn expire_step_tells_what_to_propagate() {
    let mut keyspace = Keyspace::new();
    let key = Bytes::from_static(b"k");
    keyspace.insert(3, &key, Entry::string(&key).expiring(Some(5)));
    assert_eq!(expire_step(&mut keyspace, 5, 10, 0), []);
    assert_eq!(
        expire_step(&mut keyspace, 6, 10, 0),
        [Effect {
            database: 3,
            args: deletion(key).into()
        }]
    );
}
