//! A chain of four of our servers under random writes, cuts, promotions and restarts, with the watcher in front of each of
//! them: nothing it sees is a violation, every settlement finds equal data and links that are up, and memory stays flat.
//!
//! `PSYNC_LONG_RUN` says for how many seconds (default 6), `PSYNC_SEED` repeats the choices; the seed is printed.

use std::fs;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use psync_conformance::control::Control;
use psync_conformance::process::{StartOptions, Subject};
use psync_conformance::watch::{Said, Tap, TapOptions};

use crate::faults::profile;
use crate::support::{await_that, control, follow};

const NODES: usize = 4;

/// Keys and elements are so few that the data stay small however long it runs.
const KEYS: u64 = 200;
const ELEMENTS: u64 = 50;

/// What the watchers may remember of the streams.
const MEMORY_BYTES: usize = 4 << 20;

/// Commands in one burst of writes, and steps between two settlements.
const BURST: u64 = 200;
const STEPS: u64 = 12;

/// How much more memory a server may have at the end than at the first settlement, in bytes: the allocator keeps what was
/// once needed, for a backlog, a snapshot and the pieces of connections.
const GROWTH_BYTES: u64 = 48 << 20;

fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|error| panic!("{name} must be a number: {error}")),
    )
}

/// A server, and the watcher in front of it.
struct Node {
    server: Subject,
    tap: Tap,
}

/// What was done, for the report.
#[derive(Debug, Default)]
struct Done {
    writes: u64,
    cuts: u64,
    promotions: u64,
    restarts: u64,
    settlements: u64,
}

/// The servers, the first of the order being the primary and each following the one before it.
struct Chain {
    nodes: Vec<Node>,
    order: Vec<usize>,
    random: fastrand::Rng,
    /// What repeats the run.
    seed: u64,
    said: Arc<Mutex<Vec<Said>>>,
    done: Done,
}

impl Chain {
    fn start(seed: u64) -> Self {
        let said = Arc::new(Mutex::new(Vec::new()));
        let nodes = (0..NODES).map(|_| {
            let server = Subject::start(&profile(""), &StartOptions::default()).unwrap();
            let options = TapOptions {
                listen: "127.0.0.1:0".parse().unwrap(),
                primary: server.addr(),
                memory_bytes: MEMORY_BYTES,
                log: None,
            };
            let said = Arc::clone(&said);
            let keep = move |one| {
                // Notes would only fill the memory.
                if matches!(one, Said::Finding(_)) {
                    said.lock().unwrap().push(one);
                }
            };
            let tap = Tap::start(&options, keep).unwrap();
            Node { server, tap }
        });
        let mut chain = Self {
            nodes: nodes.collect(),
            order: (0..NODES).collect(),
            random: fastrand::Rng::with_seed(seed),
            seed,
            said,
            done: Done::default(),
        };
        chain.line_up();
        chain
    }

    /// A number below `end`.
    fn chance(&mut self, end: u64) -> u64 {
        self.random.u64(..end)
    }

    fn control(&self, place: usize) -> Control {
        control(self.nodes[self.order[place]].server.addr())
    }

    /// Each is told to follow the one before it, through that one's watcher.
    fn line_up(&mut self) {
        for place in 0..NODES {
            let mut control = self.control(place);
            match place {
                0 => control.expect_ok(&["REPLICAOF", "NO", "ONE"]).unwrap(),
                _ => follow(&mut control, self.nodes[self.order[place - 1]].tap.addr()),
            }
        }
    }

    /// Random writes of every type to the primary; some of them are errors, because the key holds something else.
    fn write(&mut self) {
        let mut primary = self.control(0);
        for _ in 0..BURST {
            let (kind, key) = (self.chance(16), self.chance(KEYS));
            let (number, element) = (
                self.chance(1_000).to_string(),
                self.chance(ELEMENTS).to_string(),
            );
            let key = format!("key:{key}");
            let value = "v".repeat(self.chance(500) as usize);
            let words: &[&str] = match kind {
                0 => &["SET", &key, &value],
                1 => &["APPEND", &key, "v"],
                2 => &["INCRBY", &key, &number],
                3 => &["RPUSH", &key, &value],
                4 => &["LTRIM", &key, "0", "20"],
                5 => &["SADD", &key, &element],
                6 => &["SPOP", &key],
                7 => &["HSET", &key, &element, &value],
                8 => &["HINCRBYFLOAT", &key, &element, "0.1"],
                9 => &["ZADD", &key, &number, &element],
                10 => &["ZPOPMIN", &key],
                11 => &["PEXPIRE", &key, &number],
                12 => &["DEL", &key],
                13 => &["SELECT", &element[..1]],
                14 => &["MULTI"],
                _ => &["EXEC"],
            };
            primary.command(words).unwrap();
        }
        self.done.writes += BURST;
    }

    /// Cuts the link of one to its primary or those of its replicas, if there are any just now.
    fn cut(&mut self) {
        let place = self.chance(NODES as u64) as usize;
        let kind = ["master", "replica"][self.chance(2) as usize];
        self.control(place)
            .command(&["CLIENT", "KILL", "TYPE", kind])
            .unwrap();
        self.done.cuts += 1;
    }

    /// Another order: whoever comes first is promoted, the old primary follows somebody.
    fn promote(&mut self) {
        for place in (1..NODES).rev() {
            let other = self.chance(place as u64 + 1) as usize;
            self.order.swap(place, other);
        }
        self.line_up();
        self.done.promotions += 1;
    }

    /// One is killed, perhaps after it saved, and starts again in its place.
    fn restart(&mut self) {
        let place = self.chance(NODES as u64) as usize;
        if self.chance(2) == 0 {
            // A snapshot for a replica may be under way.
            self.control(place).command(&["SAVE"]).unwrap();
        }
        let primary = (place > 0).then(|| self.nodes[self.order[place - 1]].tap.addr());
        let options = StartOptions {
            primary,
            ..StartOptions::default()
        };
        self.nodes[self.order[place]]
            .server
            .restart(&options)
            .unwrap();
        self.done.restarts += 1;
    }

    /// Nobody writes: every link comes up, all have the same offset and the same data, and nothing illegal was seen.
    fn settle(&mut self) {
        let seed = self.seed;
        let mut controls: Vec<Control> = (0..NODES).map(|place| self.control(place)).collect();
        await_that(
            &format!("links that are up and equal data (seed {seed})"),
            || {
                let mut states = controls.iter_mut().enumerate().map(|(place, control)| {
                    let info = control.info("replication").unwrap();
                    let up = place == 0 || info.get("master_link_status") == Some("up");
                    let label = ["master_replid", "master_repl_offset"]
                        .map(|field| info.get(field).map(str::to_owned));
                    let digest = control.command(&["DEBUG", "DIGEST"]).unwrap();
                    up.then_some((label, digest))
                });
                let first = states.next().unwrap();
                first.is_some() && states.all(|state| state == first)
            },
        );
        let said = self.said.lock().unwrap();
        let violation = said
            .iter()
            .find(|said| matches!(said, Said::Finding(finding) if finding.rule.is_proof()));
        assert_eq!(violation, None, "seed {seed}");
        drop(said);
        self.done.settlements += 1;
    }

    /// The memory of each server, in bytes.
    fn memory(&self) -> Vec<u64> {
        let of = |node: &Node| {
            let id = node.server.process_id().unwrap();
            let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
            let line = status
                .lines()
                .find_map(|line| line.strip_prefix("VmRSS:"))
                .unwrap();
            let kilobytes: u64 = line.split_whitespace().next().unwrap().parse().unwrap();
            kilobytes << 10
        };
        self.nodes.iter().map(of).collect()
    }
}

#[test]
fn a_chain_that_is_cut_promoted_and_restarted_never_diverges() {
    let limit = Duration::from_secs(setting("PSYNC_LONG_RUN").unwrap_or(6));
    let seed = setting("PSYNC_SEED").unwrap_or(u64::from(std::process::id()) | 1 << 32);
    eprintln!("PSYNC_SEED={seed}");
    let (started, mut chain) = (Instant::now(), Chain::start(seed));
    chain.write();
    chain.settle();
    let before = chain.memory();
    while started.elapsed() < limit {
        for _ in 0..STEPS {
            match chain.chance(8) {
                0 => chain.cut(),
                1 => chain.promote(),
                2 => chain.restart(),
                _ => chain.write(),
            }
        }
        chain.settle();
    }
    let after = chain.memory();
    for (before, after) in before.iter().zip(&after) {
        assert!(
            *after <= before + GROWTH_BYTES,
            "seed {seed}: {before} bytes of memory became {after}"
        );
    }
    let megabytes =
        [before, after].map(|bytes| bytes.iter().map(|bytes| bytes >> 20).collect::<Vec<_>>());
    let taps = chain.nodes.iter().map(|node| node.tap.status().0.counts);
    let counts = taps
        .map(|counts| format!("{counts:?}"))
        .collect::<Vec<_>>()
        .join("\n");
    eprintln!(
        "{:?} in {:?}; MiB before and after {megabytes:?}\n{counts}",
        chain.done,
        started.elapsed()
    );
    let full: u64 = chain
        .nodes
        .iter()
        .map(|node| node.tap.status().0.counts.full)
        .sum();
    assert!(full >= NODES as u64 - 1, "the watchers saw the copies");
}
