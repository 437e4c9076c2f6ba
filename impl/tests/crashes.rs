//! Nothing that was promised is lost, and nothing is half there: a primary or its replica is killed as by a power failure,
//! at a random moment while transactions are written, snapshots saved, loaded or transferred, and starts again. Promised
//! is what was saved, and for the replica what `WAIT` said that it has.
//!
//! `PSYNC_CRASHES` says how often (default 8), `PSYNC_SEED` repeats a run; the seed is printed with each failure.

// A test file uses only a part of the helpers.
#[allow(dead_code)]
mod process;

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use process::{Connection, Process};

/// Transactions written at most before the victim dies.
const LONGEST_LIFE: u64 = 40;

/// How long after one of them that may be, in microseconds: a snapshot takes some tens of milliseconds.
const LONGEST_PAUSE_US: u64 = 50_000;

/// The same for one that starts, and for one that is sent or sends a snapshot, from the moment when that begins.
const LONGEST_START_US: u64 = 30_000;
const LONGEST_TRANSFER_US: u64 = 80_000;

/// Microseconds for which a snapshot that is transferred pauses before each key.
const KEY_DELAY_US: &str = "1000";

/// After so many transactions a snapshot is saved, and after so many the replica is waited for.
const SAVE_EVERY: u64 = 2;
const WAIT_EVERY: u64 = 3;

/// How long `WAIT` waits; without a replica, longer than needed.
const WAIT_MS: &str = "100";

/// Bytes that each transaction adds in one of [`FILLED_KEYS`], so that a snapshot takes a while to be written.
const FILLING: usize = 100_000;
const FILLED_KEYS: u64 = 50;

/// A replica that comes back is served at once.
const AT_ONCE: [&str; 2] = ["--repl-diskless-sync-delay", "0"];

/// What the writer was answered.
enum Told {
    /// The transaction with this number.
    Written(u64),
    /// A snapshot after it.
    Saved(u64),
    /// A replica has it.
    Copied(u64),
}

/// The last number of each kind.
#[derive(Clone, Copy, Default)]
struct Promised {
    written: u64,
    saved: u64,
    copied: u64,
}

impl Promised {
    fn note(&mut self, told: &Told) {
        match told {
            Told::Written(number) => self.written = *number,
            Told::Saved(number) => self.saved = *number,
            Told::Copied(number) => self.copied = *number,
        }
    }
}

fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|error| panic!("{name} must be a number: {error}")))
}

/// Writes numbers from `first` on, in transactions of three keys, until nobody answers or listens any more.
fn write(mut connection: Connection, first: u64, told: &SyncSender<Told>) {
    for number in first.. {
        let (text, filling) = (number.to_string(), "f".repeat(FILLING));
        let filled = format!("filled:{}", number % FILLED_KEYS);
        let transaction: [&[&str]; 5] = [
            &["MULTI"],
            &["SET", "last", &text],
            &["SET", &filled, &filling],
            &["RPUSH", "all", &text],
            &["EXEC"],
        ];
        let answered = |words: &&[&str]| connection.try_query(words).is_ok();
        if !transaction.iter().all(answered) || told.send(Told::Written(number)).is_err() {
            return;
        }
        // Whether anybody listens the next transaction tells.
        if number % SAVE_EVERY == 0 && connection.try_query(&["SAVE"]).is_ok() {
            let _ = told.send(Told::Saved(number));
        }
        let waits = number % WAIT_EVERY == 0;
        if waits
            && connection
                .try_query(&["WAIT", "1", WAIT_MS])
                .is_ok_and(|count| count == "int(1)")
        {
            let _ = told.send(Told::Copied(number));
        }
    }
}

/// Somebody who writes to a primary.
struct Writer {
    told: Receiver<Told>,
    promised: Promised,
    thread: JoinHandle<()>,
}

impl Writer {
    fn start(connection: Connection, first: u64) -> Self {
        let (teller, told) = sync_channel(0);
        Self {
            told,
            promised: Promised::default(),
            thread: thread::spawn(move || write(connection, first, &teller)),
        }
    }

    /// Listens until it has written `count` more.
    fn listen(&mut self, count: u64) {
        let mut seen = 0;
        while seen < count {
            let told = self.told.recv().expect("the writer writes");
            seen += u64::from(matches!(told, Told::Written(_)));
            self.promised.note(&told);
        }
    }

    /// Listens to what was still said before the primary died.
    fn listen_to_the_end(mut self) -> Promised {
        for told in &self.told {
            self.promised.note(&told);
        }
        self.thread.join().expect("the writer ends by itself");
        self.promised
    }

    /// Listens no more, which ends it.
    fn leave(self) {
        drop(self.told);
        self.thread.join().expect("the writer ends by itself");
    }
}

/// Two servers, and the numbers from which the next moments come.
struct Pair {
    primary: Process,
    replica: Process,
    /// The highest number that `WAIT` promised.
    copied: u64,
    random: fastrand::Rng,
    /// What repeats the run.
    seed: u64,
}

impl Pair {
    fn new(seed: u64) -> Self {
        let primary = Process::ours(&AT_ONCE);
        let replica = Process::ours(&["--replicaof", "127.0.0.1", &primary.port().to_string()]);
        replica.await_info("master_link_status", "up");
        Self {
            primary,
            replica,
            copied: 0,
            random: fastrand::Rng::with_seed(seed),
            seed,
        }
    }

    /// A number below `end`.
    fn chance(&mut self, end: u64) -> u64 {
        self.random.u64(..end)
    }

    /// Any moment within so many microseconds: nothing is waited for.
    fn pause(&mut self, longest_us: u64) {
        thread::sleep(Duration::from_micros(self.chance(longest_us)));
    }

    /// The last number that a server has; every one before it must be there, and none after it.
    fn last_number(&self, server: &Process) -> u64 {
        let mut connection = server.connect();
        let last = connection.query(&["GET", "last"]).parse().unwrap_or(0);
        let all = connection.list(&["LRANGE", "all", "0", "-1"]);
        let expected: Vec<String> = (1..=last).map(|number: u64| number.to_string()).collect();
        assert_eq!(all, expected, "seed {}: something is half there", self.seed);
        last
    }

    /// Somebody who has begun to write to the primary.
    fn writer(&self) -> Writer {
        Writer::start(self.primary.connect(), self.last_number(&self.primary) + 1)
    }

    /// The primary dies: its replica has what it was said to have; what the primary has when it is back is whole, not
    /// older than what it had saved, and what its replica gets.
    fn primary_dies(&mut self) {
        self.primary.command(&["SAVE"]);
        let before = self.last_number(&self.primary);
        let mut writer = self.writer();
        writer.listen(1 + self.chance(LONGEST_LIFE));
        self.pause(LONGEST_PAUSE_US);
        self.primary_back(writer, before);
    }

    fn primary_back(&mut self, writer: Writer, before: u64) {
        self.primary.kill();
        let promised = writer.listen_to_the_end();
        self.copied = self.copied.max(promised.copied);
        let seed = self.seed;
        let copied = self.last_number(&self.replica);
        assert!(
            copied >= promised.copied,
            "seed {seed}: WAIT promised {}, the replica has {copied}",
            promised.copied
        );
        self.primary.restart(&AT_ONCE);
        let last = self.last_number(&self.primary);
        assert!(
            last >= promised.saved.max(before),
            "seed {seed}: {} was saved, {last} is there",
            promised.saved
        );
        assert!(
            last <= promised.written.max(before) + 1,
            "seed {seed}: {} was written, {last} is there",
            promised.written
        );
    }

    /// The replica dies while its primary is written to, perhaps while it saves as well: what it has when it is back is
    /// whole, and it gets what it lacks.
    fn replica_dies(&mut self) {
        let mut writer = self.writer();
        writer.listen(1 + self.chance(LONGEST_LIFE));
        self.replica.command(&["BGSAVE"]);
        self.pause(LONGEST_PAUSE_US);
        self.replica_back(writer);
    }

    fn replica_back(&mut self, mut writer: Writer) {
        self.replica.kill();
        writer.listen(1);
        self.replica.restart(&[]);
        self.last_number(&self.replica);
        let port = self.primary.port().to_string();
        self.replica.command(&["REPLICAOF", "127.0.0.1", &port]);
        writer.leave();
    }

    /// One of them dies while it starts, which changes nothing.
    fn starter_dies(&mut self) {
        let port = self.primary.port().to_string();
        let follows = ["--replicaof", "127.0.0.1", &port];
        let pause = Duration::from_micros(self.chance(LONGEST_START_US));
        let of_primary = self.chance(2) == 0;
        let (victim, options): (_, &[&str]) = if of_primary {
            (&mut self.primary, &AT_ONCE)
        } else {
            (&mut self.replica, &follows)
        };
        victim.command(&["SAVE"]);
        let digest = victim.command(&["DEBUG", "DIGEST"]);
        victim.kill();
        victim.start_and_kill(options, pause);
        victim.restart(options);
        if of_primary {
            assert_eq!(
                victim.command(&["DEBUG", "DIGEST"]),
                digest,
                "seed {}",
                self.seed
            );
        }
    }

    /// One of them dies while a snapshot is transferred: the replica has its old data or the new ones.
    fn transfer_dies(&mut self) {
        self.primary.command(&["SAVE"]);
        let before = self.last_number(&self.primary);
        let mut writer = self.writer();
        writer.listen(1);
        let of_primary = self.chance(2) == 0;
        let (disk, load) = (self.chance(2), self.chance(2));
        let (disk, load) = (
            ["yes", "no"][disk as usize],
            ["swapdb", "disabled"][load as usize],
        );
        self.primary
            .command(&["CONFIG", "SET", "repl-diskless-sync", disk]);
        self.replica
            .command(&["CONFIG", "SET", "repl-diskless-load", load]);
        self.primary
            .command(&["CONFIG", "SET", "rdb-key-save-delay", KEY_DELAY_US]);
        let full = self.primary.info("sync_full");
        self.primary.command(&["DEBUG", "CHANGE-REPL-ID"]);
        self.primary.command(&["CLIENT", "KILL", "TYPE", "replica"]);
        self.primary.wait_until(
            || "a full resynchronization".to_owned(),
            || self.primary.info("sync_full") != full,
        );
        self.pause(LONGEST_TRANSFER_US);
        if of_primary {
            self.primary_back(writer, before);
        } else {
            self.replica_back(writer);
            self.primary
                .command(&["CONFIG", "SET", "rdb-key-save-delay", "0"]);
        }
    }

    fn assert_same(&self) {
        let last = self.primary.command(&["GET", "last"]);
        self.replica.await_reply(&["GET", "last"], &last);
        self.replica.await_info("master_link_status", "up");
        assert_eq!(
            self.last_number(&self.replica),
            self.last_number(&self.primary)
        );
        let digests =
            [&self.primary, &self.replica].map(|server| server.command(&["DEBUG", "DIGEST"]));
        assert_eq!(digests[0], digests[1], "seed {}", self.seed);
    }
}

#[test]
fn after_a_crash_everything_promised_is_there_and_nothing_is_half() {
    let moments = [
        Pair::primary_dies,
        Pair::replica_dies,
        Pair::starter_dies,
        Pair::transfer_dies,
    ];
    let rounds = setting("PSYNC_CRASHES").unwrap_or(8);
    let seed = setting("PSYNC_SEED").unwrap_or(u64::from(std::process::id()) | 1 << 32);
    let mut pair = Pair::new(seed);
    for round in 0..rounds {
        let moment = moments[(round % moments.len() as u64) as usize];
        moment(&mut pair);
        pair.assert_same();
    }
    assert!(pair.copied > 0, "something was written and waited for");
}
