//! Our RDB against a real redis-server: it reads what we write, and we read what it writes. The function that fills a
//! server is a list, and as long as that.
//!
//! `PSYNC_REDIS_SERVER` names another one than that on the path, of any version from 2.8 on; tests of what old versions
//! do not have pass over them. How a server spells scores in its digest, which changed with 7.2, `score_text` knows.

// Helpers of tests may fail loudly like tests; the lint knows only functions marked as tests.
#![allow(clippy::unwrap_used)]

mod answer;
mod redis_server;

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use psync_server::keyspace::{Entry, Keyspace, Value};
use psync_server::rdb::{self, ReplicationFields};

use answer::Answer;
use redis_server::{Redis, redis_is_there, score_text, version};

/// A deadline far in the future (the year 2100), in unix milliseconds.
const DEADLINE_MS: u64 = 4_102_444_800_000;

/// Numbers of every width, a long compressible string, every byte, an empty one, deadlines, two databases.
fn sample() -> Keyspace {
    let mut keyspace = Keyspace::new();
    let mut put = |database, key: &str, value: Vec<u8>, expires_at_ms| {
        let entry = Entry::string(value).expiring(expires_at_ms);
        keyspace.insert(database, key.as_bytes(), entry);
    };
    for number in [
        0,
        -1,
        127,
        -128,
        128,
        32_767,
        -32_769,
        i64::from(i32::MAX),
        i64::from(i32::MIN) - 1,
        i64::MAX,
    ] {
        put(
            0,
            &format!("number:{number}"),
            number.to_string().into_bytes(),
            None,
        );
    }
    put(0, "long", b"abcabcabcd".repeat(20_000), None);
    put(
        0,
        "mixed",
        (0..40_000_u32)
            .flat_map(|number| (number % 1_009).to_be_bytes())
            .collect(),
        None,
    );
    put(0, "binary", (0..=255).collect(), None);
    put(0, "empty", Vec::new(), None);
    put(
        0,
        "12345",
        b"a key that is a number".to_vec(),
        Some(DEADLINE_MS),
    );
    put(9, "other", b"database".to_vec(), Some(DEADLINE_MS + 1));
    keyspace
}

/// The strings of the sample.
fn each_entry(mut visit: impl FnMut(usize, &[u8], &[u8], Option<u64>)) {
    for database in [0, 9] {
        for (key, entry) in sample().iter(database) {
            if let Value::String(value) = &entry.value {
                visit(database, key, value, entry.expires_at_ms());
            }
        }
    }
}

/// Commands that fill a server with collections of every type, in each size and kind of content that has a form of its
/// own: numbers of every width, short and long texts, few and many elements.
fn collections() -> Vec<Vec<String>> {
    let numbers = [
        0, 12, 13, -1, 127, -128, 4_095, -4_096, 32_767, 8_388_607, -8_388_608,
    ];
    let wide = [i64::from(i32::MAX), i64::from(i32::MIN), i64::MAX, i64::MIN];
    let mut elements: Vec<String> = numbers.iter().map(i64::to_string).collect();
    elements.extend([
        String::new(),
        "a".repeat(63),
        "b".repeat(64),
        "c".repeat(5_000),
    ]);
    let mut commands = Vec::new();
    let mut put = |name: &str, key: &str, args: Vec<String>| {
        commands.push([vec![name.to_owned(), key.to_owned()], args].concat());
    };
    let many = || (0..3_000).map(|number| format!("element:{number}"));
    put("RPUSH", "list:small", elements.clone());
    put(
        "RPUSH",
        "list:wide",
        wide.iter().map(i64::to_string).collect(),
    );
    put("RPUSH", "list:large", many().collect());
    put(
        "RPUSH",
        "list:long",
        vec!["x".repeat(20_000), "y".to_owned()],
    );
    for width in 1..=numbers.len() {
        let integers = numbers[..width].iter().map(i64::to_string);
        put("SADD", &format!("set:integers:{width}"), integers.collect());
    }
    put(
        "SADD",
        "set:wide",
        wide.iter().map(i64::to_string).collect(),
    );
    put(
        "SADD",
        "set:small",
        vec!["a".to_owned(), "-5".to_owned(), "70000".to_owned()],
    );
    put("SADD", "set:large", many().collect());
    let pairs = |texts: &[String]| {
        texts
            .iter()
            .flat_map(|text| [text.clone(), "value".to_owned()])
            .collect()
    };
    put("HMSET", "hash:small", pairs(&elements[..12]));
    put("HMSET", "hash:texts", pairs(&elements));
    put("HMSET", "hash:large", pairs(&many().collect::<Vec<_>>()));
    let scores = [
        "0",
        "-1.5",
        "3.3",
        "1e300",
        "inf",
        "-inf",
        "17179869184",
        "5e-324",
        "100",
    ];
    let ranked = |count: usize| {
        (0..count).flat_map(|at| [scores[at % scores.len()].to_owned(), format!("m{at}")])
    };
    put("ZADD", "sorted:small", ranked(9).collect());
    put("ZADD", "sorted:large", ranked(3_000).collect());
    put("ZADD", "sorted:long", vec!["1".to_owned(), "z".repeat(100)]);
    commands
}

#[test]
fn collections_are_read_and_written_in_every_form() {
    if !redis_is_there() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dump.rdb");
    let mut redis = Redis::start(folder.path());
    for command in collections() {
        let answer = redis.call(&command);
        assert!(
            !matches!(&answer, Answer::Line(line) if line.starts_with('-')),
            "{answer:?}"
        );
    }
    redis.expect_line(&["SELECT", "9"], "+OK");
    redis.expect_line(&["RPUSH", "ends", "1"], ":1");
    redis.expect_line(&["PEXPIREAT", "ends", &DEADLINE_MS.to_string()], ":1");
    redis.expect_line(&["SAVE"], "+OK");
    let digest = redis.digest();
    let written = Bytes::from(std::fs::read(&file).unwrap());
    let loaded = rdb::read(&written).unwrap();
    let ours = loaded.keyspace.snapshot().digest(score_text());
    assert_eq!(ours.to_string(), digest);
    assert_eq!(loaded.keyspace.len(0), collections().len());

    // And the other way round, whole and in the payloads of single values.
    drop(redis);
    std::fs::write(&file, rdb::write_all(loaded.keyspace.snapshot(), None)).unwrap();
    let mut redis = Redis::start(folder.path());
    assert_eq!(redis.digest(), digest);
    for (key, entry) in loaded.keyspace.iter(0) {
        let Answer::Bulk(Some(payload)) = redis.call(&[&b"DUMP"[..], key]) else {
            panic!("{key:?} is not there");
        };
        assert_eq!(
            rdb::restore(&payload.into()),
            Ok(entry.value.clone()),
            "{key:?}"
        );
        redis.expect_line(&[&b"DEL"[..], key], ":1");
        redis.expect_line(
            &[&b"RESTORE"[..], key, b"0", &rdb::dump(&entry.value)],
            "+OK",
        );
    }
    assert_eq!(redis.digest(), digest);
}

#[test]
fn we_read_what_redis_writes() {
    if !redis_is_there() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut redis = Redis::start(folder.path());
    each_entry(|database, key, value, deadline| {
        redis.expect_line(&["SELECT", &database.to_string()], "+OK");
        redis.expect_line(&[&b"SET"[..], key, value], "+OK");
        if let Some(deadline) = deadline {
            let deadline = deadline.to_string();
            redis.expect_line(&[&b"PEXPIREAT"[..], key, deadline.as_bytes()], ":1");
        }
    });
    redis.expect_line(&["SAVE"], "+OK");
    let file = Bytes::from(std::fs::read(folder.path().join("dump.rdb")).unwrap());
    let loaded = rdb::read(&file).unwrap();
    assert!(loaded.keyspace == sample(), "the data sets differ");
    assert!(
        file.len() < 100_000,
        "redis-server compressed the long strings"
    );
    assert_ne!(
        file[file.len() - 8..],
        [0; 8],
        "redis-server wrote a checksum"
    );

    if version() < (5, 0) {
        return eprintln!("skipped: this server knows no streams");
    }
    redis.expect_line(&["SELECT", "3"], "+OK");
    redis.expect_line(&["XGROUP", "CREATE", "events", "g", "$", "MKSTREAM"], "+OK");
    redis.expect_line(&["SAVE"], "+OK");
    let refused = rdb::read(&Bytes::from(
        std::fs::read(folder.path().join("dump.rdb")).unwrap(),
    ));
    let key = Bytes::from_static(b"events");
    assert_eq!(
        refused,
        Err(rdb::RdbError::UnsupportedType {
            key,
            type_name: "stream"
        })
    );
}

#[test]
fn redis_reads_what_we_write() {
    if !redis_is_there() {
        return;
    }
    let fields = ReplicationFields {
        stream_db: 9,
        id: [b'b'; 40],
        offset: 77,
    };
    for fields in [None, Some(fields)] {
        if fields.is_some() && version() < (4, 0) {
            eprintln!("skipped: this server knows no labels");
            continue;
        }
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(
            folder.path().join("dump.rdb"),
            rdb::write_all(sample().snapshot(), fields),
        )
        .unwrap();
        let mut redis = Redis::start(folder.path());
        let mut count = 0;
        each_entry(|database, key, value, deadline| {
            redis.expect_line(&["SELECT", &database.to_string()], "+OK");
            assert_eq!(
                redis.call(&[&b"GET"[..], key]),
                Answer::Bulk(Some(value.to_vec())),
                "{key:?}"
            );
            assert!(ends_at(&mut redis, key, deadline), "{key:?}");
            count += usize::from(database == 0);
        });
        redis.expect_line(&["SELECT", "0"], "+OK");
        redis.expect_line(&["DBSIZE"], &format!(":{count}"));
        let info = redis.call(&["INFO", "replication"]);
        let Answer::Bulk(Some(info)) = info else {
            panic!("INFO answered {info:?}")
        };
        let labelled = String::from_utf8(info)
            .unwrap()
            .contains(&format!("master_replid2:{}", "b".repeat(40)));
        // Before 7.0 a primary passes over the label (PROTOCOL §3.7).
        let remembers = version() >= (7, 0);
        assert_eq!(labelled, fields.is_some() && remembers, "{:?}", version());
    }
}

/// Whether a key ends at a moment, or never. The server tells how long that will be from now, between two looks at the
/// clock.
fn ends_at(redis: &mut Redis, key: &[u8], deadline_ms: Option<u64>) -> bool {
    let unix_ms = || {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        since.as_millis() as i64
    };
    let before_ms = unix_ms();
    let Answer::Line(left) = redis.call(&[&b"PTTL"[..], key]) else {
        panic!("PTTL answers with a number")
    };
    let after_ms = unix_ms();
    let left_ms: i64 = left.trim_start_matches(':').parse().unwrap();
    let possible = before_ms + left_ms..=after_ms + left_ms;
    deadline_ms.map_or(left_ms == -1, |at| possible.contains(&(at as i64)))
}
