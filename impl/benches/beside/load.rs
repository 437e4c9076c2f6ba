//! Load: data sets over the front door, and `SET` or `GET` by many connections, by `redis-benchmark` where there
//! is one and by this program where there is none.

use std::fmt;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::ops::Range;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

use crate::arguments::Plan;
use crate::node::Node;
use crate::processes::Running;

/// Connections that a load comes over.
const CONNECTIONS: usize = 50;

/// Commands that are sent before their replies are read, when a data set is put in.
const BATCH: u64 = 500;

/// One command over and over, on random keys.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    /// `SET` or `GET`.
    pub(crate) command: String,
    pub(crate) requests: u64,
    /// Requests that a connection sends before it reads the replies.
    pub(crate) pipeline: u64,
    pub(crate) keys: u64,
    pub(crate) value_bytes: usize,
}

/// A key as `redis-benchmark` writes it, so that both mean the same data.
fn key(number: u64) -> String {
    format!("key:{number:012}")
}

/// Puts keys in, one `SET` each.
pub(crate) fn fill(node: &Node, keys: Range<u64>, value_bytes: usize) -> Result<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", node.port()))?;
    let value = "v".repeat(value_bytes);
    let (mut next, mut requests) = (keys.start, Vec::new());
    while next < keys.end {
        let end = keys.end.min(next + BATCH);
        requests.clear();
        for number in next..end {
            put_request(&mut requests, &["SET", &key(number), &value])?;
        }
        stream.write_all(&requests)?;
        let mut replies = vec![0; (end - next) as usize * b"+OK\r\n".len()];
        stream.read_exact(&mut replies)?;
        ensure!(
            replies.chunks(5).all(|reply| reply == b"+OK\r\n"),
            "SET was refused"
        );
        next = end;
    }
    Ok(())
}

fn put_request(out: &mut Vec<u8>, words: &[&str]) -> Result<()> {
    write!(out, "*{}\r\n", words.len())?;
    for word in words {
        write!(out, "${}\r\n{word}\r\n", word.len())?;
    }
    Ok(())
}

impl Load {
    /// Applies the load; requests per second.
    pub(crate) fn apply(&self, plan: &Plan, node: &Node) -> Result<f64> {
        let mut running = self.start(plan, node)?;
        let mut text = String::new();
        let output = running.child().stdout.as_mut().context("its output")?;
        output.read_to_string(&mut text)?;
        rate(&text)
    }

    /// Starts a load that goes on until it is dropped or has made all its requests: a process of its own either way.
    pub(crate) fn start(&self, plan: &Plan, node: &Node) -> Result<Running> {
        let port = node.port().to_string();
        let mut command = if let Some(program) = &plan.load_program {
            let mut command = Command::new(program);
            command
                .args(["-h", "127.0.0.1", "-p", &port])
                .args(["-t", &self.command.to_ascii_lowercase(), "--csv"])
                .args(["-n", &self.requests.to_string()])
                .args(["-P", &self.pipeline.to_string()])
                .args(["-c", &CONNECTIONS.to_string()])
                .args(["-d", &self.value_bytes.to_string()])
                .args(["-r", &self.keys.to_string()]);
            command
        } else {
            let mut command = Command::new(std::env::current_exe().context("this program")?);
            command.args(["--load", &format!("{port} {self}")]);
            command
        };
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        Running::start(&mut command)
    }

    /// The same by this program, with one thread: each connection sends a pipeline, then each reads its replies. The keys
    /// are there already, so that every `GET` is answered with a line of its length and one of its bytes.
    fn make(&self, port: u16) -> Result<f64> {
        let connect = |_| TcpStream::connect(("127.0.0.1", port));
        let mut streams = (0..CONNECTIONS)
            .map(connect)
            .collect::<Result<Vec<_>, _>>()?;
        let value = "v".repeat(self.value_bytes);
        let lines = self.pipeline * if self.command == "GET" { 2 } else { 1 };
        let (started, mut sent, mut chosen) = (Instant::now(), 0, 1_u64);
        while sent < self.requests {
            for stream in &mut streams {
                let mut requests = Vec::new();
                for _ in 0..self.pipeline {
                    // A step of a linear congruential generator, of which the high bits are used.
                    chosen = chosen
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1);
                    let key = key((chosen >> 33) % self.keys);
                    match self.command.as_str() {
                        "SET" => put_request(&mut requests, &["SET", &key, &value])?,
                        command => put_request(&mut requests, &[command, &key])?,
                    }
                }
                stream.write_all(&requests)?;
                sent += self.pipeline;
            }
            for stream in &mut streams {
                read_lines(stream, lines)?;
            }
        }
        Ok(sent as f64 / started.elapsed().as_secs_f64())
    }
}

/// A load as one argument of this program.
impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            command,
            requests,
            pipeline,
            keys,
            value_bytes,
        } = self;
        write!(f, "{command} {requests} {pipeline} {keys} {value_bytes}")
    }
}

/// Makes the load that such an argument describes, and prints its rate as `redis-benchmark` would.
pub(crate) fn make(described: &str) -> Result<()> {
    let words: Vec<_> = described.split(' ').collect();
    let [port, command, numbers @ ..] = &words[..] else {
        bail!("`{described}` describes no load");
    };
    let numbers = numbers.iter().map(|word| word.parse());
    let numbers = numbers.collect::<Result<Vec<u64>, _>>()?;
    let [requests, pipeline, keys, value_bytes] = numbers[..] else {
        bail!("`{described}` describes no load");
    };
    let load = Load {
        command: (*command).to_owned(),
        requests,
        pipeline,
        keys,
        value_bytes: value_bytes as usize,
    };
    println!("{command},{}", load.make(port.parse()?)?);
    Ok(())
}

fn read_lines(stream: &mut TcpStream, lines: u64) -> Result<()> {
    let (mut seen, mut buffer) = (0, [0; 16 * 1024]);
    while seen < lines {
        let read = stream.read(&mut buffer)?;
        ensure!(read > 0, "the server closed a connection");
        for byte in &buffer[..read] {
            seen += u64::from(*byte == b'\n');
        }
    }
    Ok(())
}

/// The requests per second in the last line of what `redis-benchmark --csv` prints.
fn rate(text: &str) -> Result<f64> {
    let line = text.lines().last().unwrap_or_default();
    let field = line
        .split(',')
        .nth(1)
        .map(|field| field.trim().trim_matches('"'));
    let number = field.and_then(|field| field.parse().ok());
    number.with_context(|| format!("the load printed no rate but {text:?}"))
}
