//! Our RDB against a real redis-server: it reads what we write, and we read what it writes.
//!
//! Without redis-server on the path the tests say so and pass, except where `CI` is set: there it has to be installed.

// Helpers of tests may fail loudly like tests; the lint knows only functions marked as tests.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use psync_server::keyspace::{Entry, Keyspace, Value};
use psync_server::rdb::{self, ReplicationFields};
use psync_server::resp::encode_command;

/// How long a server may take to start; far more than a loaded machine needs.
const START_LIMIT: Duration = Duration::from_secs(30);

/// Somebody else may take a free port before the server binds it.
const START_TRIES: usize = 5;

/// A deadline far in the future (the year 2100), in unix milliseconds.
const DEADLINE_MS: u64 = 4_102_444_800_000;

/// A server that ends with its value.
struct Redis {
    process: Child,
    connection: BufReader<TcpStream>,
}

impl Drop for Redis {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is gone afterwards.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A reply, as far as these tests meet them.
#[derive(Debug, PartialEq)]
enum Answer {
    Line(String),
    Bulk(Option<Vec<u8>>),
}

impl Redis {
    fn start(folder: &Path) -> Self {
        (0..START_TRIES)
            .find_map(|_| Self::try_start(folder))
            .expect("redis-server starts on some port")
    }

    fn try_start(folder: &Path) -> Option<Self> {
        let port = TcpListener::bind(("127.0.0.1", 0))
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let mut process = Command::new("redis-server")
            .args([
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--dbfilename",
                "dump.rdb",
                "--dir",
            ])
            .arg(folder)
            .args(["--port", &port.to_string()])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let started = Instant::now();
        while started.elapsed() < START_LIMIT && process.try_wait().unwrap().is_none() {
            if let Ok(stream) = TcpStream::connect(("127.0.0.1", port)) {
                return Some(Self {
                    process,
                    connection: BufReader::new(stream),
                });
            }
            // There is no event to wait for: a refused connection says only "not yet".
            std::thread::yield_now();
        }
        let _ = process.kill();
        let _ = process.wait();
        None
    }

    fn call(&mut self, args: &[&[u8]]) -> Answer {
        self.connection
            .get_mut()
            .write_all(&encode_command(args))
            .unwrap();
        let mut line = String::new();
        self.connection.read_line(&mut line).unwrap();
        let line = line.trim_end();
        let Some(length) = line.strip_prefix('$') else {
            return Answer::Line(line.to_owned());
        };
        let Ok(length) = length.parse::<usize>() else {
            return Answer::Bulk(None);
        };
        let mut bulk = vec![0; length + 2];
        self.connection.read_exact(&mut bulk).unwrap();
        bulk.truncate(length);
        Answer::Bulk(Some(bulk))
    }

    fn expect_line(&mut self, args: &[&[u8]], line: &str) {
        assert_eq!(self.call(args), Answer::Line(line.to_owned()));
    }
}

/// Whether there is a redis-server to test against.
fn redis_is_there() -> bool {
    let found = Command::new("redis-server")
        .arg("--version")
        .stdout(Stdio::null())
        .status()
        .is_ok();
    assert!(
        found || std::env::var_os("CI").is_none(),
        "redis-server must be on the path in continuous integration"
    );
    if !found {
        eprintln!("skipped: no redis-server on the path");
    }
    found
}

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

fn each_entry(mut visit: impl FnMut(usize, &[u8], &[u8], Option<u64>)) {
    for database in [0, 9] {
        for (key, entry) in sample().iter(database) {
            if let Value::String(value) = &entry.value {
                visit(database, key, value, entry.expires_at_ms());
            }
        }
    }
}

#[test]
fn we_read_what_redis_writes() {
    if !redis_is_there() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut redis = Redis::start(folder.path());
    each_entry(|database, key, value, deadline| {
        redis.expect_line(&[b"SELECT", database.to_string().as_bytes()], "+OK");
        redis.expect_line(&[b"SET", key, value], "+OK");
        if let Some(deadline) = deadline {
            redis.expect_line(&[b"PEXPIREAT", key, deadline.to_string().as_bytes()], ":1");
        }
    });
    redis.expect_line(&[b"SAVE"], "+OK");
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

    redis.expect_line(&[b"SELECT", b"3"], "+OK");
    redis.expect_line(
        &[b"XGROUP", b"CREATE", b"events", b"g", b"$", b"MKSTREAM"],
        "+OK",
    );
    redis.expect_line(&[b"SAVE"], "+OK");
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
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(
            folder.path().join("dump.rdb"),
            rdb::write_all(sample().snapshot(), fields),
        )
        .unwrap();
        let mut redis = Redis::start(folder.path());
        let mut count = 0;
        each_entry(|database, key, value, deadline| {
            redis.expect_line(&[b"SELECT", database.to_string().as_bytes()], "+OK");
            assert_eq!(
                redis.call(&[b"GET", key]),
                Answer::Bulk(Some(value.to_vec())),
                "{key:?}"
            );
            let expected = deadline.map_or(":-1".to_owned(), |deadline| format!(":{deadline}"));
            redis.expect_line(&[b"PEXPIRETIME", key], &expected);
            count += usize::from(database == 0);
        });
        redis.expect_line(&[b"SELECT", b"0"], "+OK");
        redis.expect_line(&[b"DBSIZE"], &format!(":{count}"));
        let info = redis.call(&[b"INFO", b"replication"]);
        let Answer::Bulk(Some(info)) = info else {
            panic!("INFO answered {info:?}")
        };
        let labelled = String::from_utf8(info)
            .unwrap()
            .contains(&format!("master_replid2:{}", "b".repeat(40)));
        assert_eq!(labelled, fields.is_some());
    }
}
