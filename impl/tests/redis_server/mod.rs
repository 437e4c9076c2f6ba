//! A real redis-server to compare with: the one on the path, or the one that `PSYNC_REDIS_SERVER` names.
//!
//! Without one the tests say so and pass, except where `CI` is set: there it has to be installed.

// Each test program uses a part of it.
#![allow(dead_code)]
// Helpers of tests may fail loudly like tests; the lint knows only functions marked as tests.
#![allow(clippy::unwrap_used)]

use std::io::{BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::answer::{Answer, read_answer};
use psync_server::keyspace::ScoreText;
use psync_server::resp::encode_command;

/// How long a server may take to start; far more than a loaded machine needs.
const START_LIMIT: Duration = Duration::from_secs(30);

/// Somebody else may take a free port before the server binds it; and versions before 7.0 do not know the option that
/// allows `DEBUG`, which is given every other time.
const START_TRIES: usize = 10;

/// A server that ends with its value.
pub(crate) struct Redis {
    process: Child,
    port: u16,
    connection: BufReader<TcpStream>,
}

impl Drop for Redis {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is gone afterwards.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn binary() -> String {
    std::env::var("PSYNC_REDIS_SERVER").unwrap_or_else(|_| "redis-server".to_owned())
}

/// The first two numbers of the version.
pub(crate) fn version() -> (u32, u32) {
    let output = Command::new(binary()).arg("--version").output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let number = told.split("v=").nth(1).unwrap();
    let mut numbers = number.split(['.', ' ']).map(|text| text.parse().unwrap());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

/// How the server spells scores in its digest.
pub(crate) fn score_text() -> ScoreText {
    if version() >= (7, 2) {
        ScoreText::Shortest
    } else {
        ScoreText::Exact
    }
}

/// Whether there is a redis-server to test against.
pub(crate) fn redis_is_there() -> bool {
    let version = Command::new(binary())
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    let found = version.is_ok();
    assert!(
        found || std::env::var_os("CI").is_none(),
        "no redis-server on the path: install it"
    );
    if !found {
        eprintln!("skipped: no redis-server on the path");
    }
    found
}

impl Redis {
    pub(crate) fn start(folder: &Path) -> Self {
        Self::start_with(folder, &[])
    }

    /// The same, with further options.
    pub(crate) fn start_with(folder: &Path, options: &[&str]) -> Self {
        (0..START_TRIES)
            .find_map(|turn| Self::try_start(folder, options, turn % 2 == 0))
            .expect("redis-server starts on some port")
    }

    fn try_start(folder: &Path, options: &[&str], allow_debug: bool) -> Option<Self> {
        let free = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let debug: &[&str] = if allow_debug {
            &["--enable-debug-command", "yes"]
        } else {
            &[]
        };
        let mut process = Command::new(binary())
            .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
            .args(["--save", "", "--dbfilename", "dump.rdb", "--dir"])
            .arg(folder)
            .args(debug)
            .args(options)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let started = Instant::now();
        while started.elapsed() < START_LIMIT && process.try_wait().unwrap().is_none() {
            if let Ok(stream) = TcpStream::connect(("127.0.0.1", port)) {
                stream.set_nodelay(true).unwrap();
                return Some(Self {
                    process,
                    port,
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

    pub(crate) fn call<A: AsRef<[u8]>>(&mut self, args: &[A]) -> Answer {
        let request = encode_command(args);
        self.connection.get_mut().write_all(&request).unwrap();
        read_answer(&mut self.connection)
    }

    /// A further connection, for bytes of any kind.
    pub(crate) fn connect(&self) -> BufReader<TcpStream> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_nodelay(true).unwrap();
        BufReader::new(stream)
    }

    pub(crate) fn expect_line<A: AsRef<[u8]>>(&mut self, args: &[A], line: &str) {
        assert_eq!(self.call(args), Answer::Line(line.to_owned()));
    }

    /// `DEBUG DIGEST`.
    pub(crate) fn digest(&mut self) -> String {
        match self.call(&["DEBUG", "DIGEST"]) {
            Answer::Line(line) => line.trim_start_matches('+').to_owned(),
            other => panic!("DEBUG DIGEST answered {other:?}"),
        }
    }
}
