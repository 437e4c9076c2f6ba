//! Tables of commands on collections: replies, and what goes into the stream. That replies are Redis's in general is the
//! business of `tests/commands_against_redis.rs`; here stands what that cannot see.

use super::primary;

#[test]
fn what_waits_is_propagated_as_what_it_did() {
    primary(
        "RPUSH l a b c d e f | :6 | RPUSH l a b c d e f
        BLPOP none l 0 | [\"l\" \"a\"] | LPOP l
        BRPOP l 0 | [\"l\" \"f\"] | RPOP l
        BLMOVE l m LEFT RIGHT 0 | \"b\" | LMOVE l m LEFT RIGHT
        BRPOPLPUSH l m 0 | \"e\" | RPOPLPUSH l m
        BLMPOP 0 2 none l LEFT COUNT 5 | [\"l\" [\"c\" \"d\"]] | LPOP l 2
        LMPOP 1 m RIGHT | [\"m\" [\"b\"]] | RPOP m 1
        BLPOP none 1 | nil
        BLPOP none -1 | -ERR timeout is negative
        BLPOP none x | -ERR timeout is not a float or out of range
        ZADD z 1 a 2 b 3 c | :3 | ZADD z 1 a 2 b 3 c
        BZPOPMIN z 0 | [\"z\" \"a\" \"1\"] | ZPOPMIN z
        ZMPOP 1 z MAX COUNT 9 | [\"z\" [[\"c\" \"3\"] [\"b\" \"2\"]]] | ZPOPMAX z 2
        EXISTS z l | :0",
    );
}

#[test]
fn chance_is_propagated_as_its_outcome() {
    primary(
        "SADD one x | :1 | SADD one x
        SPOP one | \"x\" | SREM one x
        SADD few x | :1 | SADD few x
        SPOP few 5 | [\"x\"] | DEL few
        SPOP few 5 | []
        SPOP few | nil
        SPOP few -1 | -ERR value is out of range, must be positive",
    );
}

#[test]
fn floating_point_is_propagated_as_its_result() {
    primary(
        "INCRBYFLOAT f 10.50 | \"10.5\" | SET f 10.5 KEEPTTL
        INCRBYFLOAT f 0.1 | \"10.6\" | SET f 10.6 KEEPTTL
        HINCRBYFLOAT h x 5.0e3 | \"5000\" | HSET h x 5000
        HINCRBYFLOAT h x inf | -ERR value is NaN or Infinity
        INCRBYFLOAT f inf | -ERR increment would produce NaN or Infinity",
    );
}

#[test]
fn what_changes_nothing_is_not_propagated() {
    primary(
        "SADD s a | :1 | SADD s a
        SADD s a | :0
        SREM s b | :0
        SMOVE s s a | :1
        ZADD z 1 m | :1 | ZADD z 1 m
        ZADD z 1 m | :0
        ZADD z XX 2 none | :0
        ZREM z none | :0
        RPUSH l a | :1 | RPUSH l a
        LTRIM l 0 -1 | OK
        LREM l 0 none | :0
        LPUSHX none a | :0
        HDEL none f | :0
        SINTERSTORE none s none | :0
        SINTERSTORE s s none | :0 | SINTERSTORE s s none
        EXISTS s | :0",
    );
}

#[test]
fn a_restored_key_has_its_deadline_in_absolute_time() {
    use super::*;
    let value = Value::String(Blob::from("v"));
    let payload = crate::rdb::dump(&value);
    let (mut keyspace, context) = (
        Keyspace::new(),
        Context {
            now_ms: 1_000,
            origin: Origin::ClientOfPrimary,
            seed: 0,
            longest_string_bytes: 9,
            encoding_limits: EncodingLimits::default(),
            tracked: false,
        },
    );
    let words = [&b"RESTORE"[..], b"k", b"500"].map(Bytes::from_static);
    let args = [&words[..], std::slice::from_ref(&payload)].concat();
    let outcome = execute(&mut keyspace, &mut 0, &args, &context);
    assert_eq!(outcome.reply, Reply::OK);
    let effect = &outcome.effects[0].args;
    assert_eq!(
        (&effect[2][..], &effect[4][..]),
        (&b"1500"[..], &b"ABSTTL"[..])
    );
    let again = execute(&mut keyspace, &mut 0, &args, &context);
    assert_eq!(
        again.reply,
        Reply::Error("BUSYKEY Target key name already exists.".into())
    );
    assert_eq!(
        keyspace.get(0, b"k").and_then(Entry::expires_at_ms),
        Some(1_500)
    );
}

#[test]
fn wrong_types_are_refused_and_change_nothing() {
    primary(
        "SET k v | OK | SET k v
        LPUSH k a | -WRONGTYPE Operation against a key holding the wrong kind of value
        HSET k f v | -WRONGTYPE Operation against a key holding the wrong kind of value
        SADD k a | -WRONGTYPE Operation against a key holding the wrong kind of value
        ZADD k 1 a | -WRONGTYPE Operation against a key holding the wrong kind of value
        RPUSH l a | :1 | RPUSH l a
        GET l | -WRONGTYPE Operation against a key holding the wrong kind of value
        APPEND l a | -WRONGTYPE Operation against a key holding the wrong kind of value
        LMOVE l k LEFT LEFT | -WRONGTYPE Operation against a key holding the wrong kind of value
        MGET l k | [nil \"v\"]
        SET l v | OK | SET l v
        TYPE l | string",
    );
}

#[test]
fn of_zeros_of_either_sign_the_first_stays() {
    primary(
        "ZADD negative -0 m | :1 | ZADD negative -0 m
        ZADD positive 0 m | :1 | ZADD positive 0 m
        ZUNION 2 negative positive AGGREGATE MAX WITHSCORES | [\"m\" \"-0\"]
        ZUNION 2 positive negative AGGREGATE MIN WITHSCORES | [\"m\" \"0\"]
        ZINTER 2 negative positive AGGREGATE MAX WITHSCORES | [\"m\" \"-0\"]
        ZINTER 2 positive negative AGGREGATE MIN WITHSCORES | [\"m\" \"0\"]",
    );
}
