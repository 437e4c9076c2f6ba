//! Nothing that was saved is lost, and nothing is half there: a primary or its replica is killed as by a power failure,
//! at a random moment while transactions are written and snapshots saved, and starts again.
//!
//! `PSYNC_CRASHES` says how often (default 6), `PSYNC_SEED` repeats a run; the seed is printed with each failure.

// A test file uses only a part of the helpers.
#[allow(dead_code)]
mod process;

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use process::{Connection, Process};

/// Transactions written at most before the victim dies, and how long after one of them that may be: a snapshot takes
/// some tens of milliseconds.
const LONGEST_LIFE: u64 = 40;
const LONGEST_PAUSE_US: u64 = 50_000;

/// A snapshot is saved after so many transactions.
const SAVE_EVERY: u64 = 2;

/// Bytes that each transaction adds in one of [`FILLED_KEYS`], so that a snapshot takes a while to be written.
const FILLING: usize = 100_000;
const FILLED_KEYS: u64 = 50;

/// A replica that comes back is served at once.
const AT_ONCE: [&str; 2] = ["--repl-diskless-sync-delay", "0"];

/// When the victim dies.
#[derive(Clone, Copy)]
struct Moment {
    /// After this many transactions.
    life: u64,
    /// And then this long; it is not waited for anything, the moment is to be any.
    pause: Duration,
}

/// What the writer was answered.
enum Told {
    /// The transaction with this number.
    Written(u64),
    /// A snapshot after it.
    Saved(u64),
}

fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|error| panic!("{name} must be a number: {error}")))
}

/// A number below `end`, from a seed that goes on (`xorshift64`).
fn chance(seed: &mut u64, end: u64) -> u64 {
    for shift in [13, -7, 17] {
        *seed ^= if shift > 0 {
            *seed << shift
        } else {
            *seed >> -shift
        };
    }
    *seed % end
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
        if number % SAVE_EVERY == 0 && connection.try_query(&["SAVE"]).is_ok() {
            // If nobody listens any more, the next send tells.
            let _ = told.send(Told::Saved(number));
        }
    }
}

/// The last number that a server has; every one before it must be there, and none after it.
fn last_number(server: &Process, seed: u64) -> u64 {
    let mut connection = server.connect();
    let last = connection.query(&["GET", "last"]).parse().unwrap_or(0);
    let all = connection.list(&["LRANGE", "all", "0", "-1"]);
    let expected: Vec<String> = (1..=last).map(|number: u64| number.to_string()).collect();
    assert_eq!(all, expected, "seed {seed}: something is half there");
    last
}

/// Listens to the writer until it has done `count` transactions; the last numbers written and saved.
fn listen(told: &Receiver<Told>, count: u64) -> [u64; 2] {
    let (mut seen, mut written, mut saved) = (0, 0, 0);
    while seen < count {
        match told.recv().expect("the writer writes") {
            Told::Written(number) => (seen, written) = (seen + 1, number),
            Told::Saved(number) => saved = number,
        }
    }
    [written, saved]
}

/// Listens to what was still said when nobody can be answered any more.
fn listen_to_the_end(told: &Receiver<Told>, [mut written, mut saved]: [u64; 2]) -> [u64; 2] {
    for told in told {
        match told {
            Told::Written(number) => written = number,
            Told::Saved(number) => saved = number,
        }
    }
    [written, saved]
}

/// The primary dies: what it has afterwards is whole, not older than what it had saved, and what its replica gets.
fn primary_dies(primary: &mut Process, replica: &Process, moment: Moment, seed: u64) {
    let before = last_number(primary, seed);
    primary.command(&["SAVE"]);
    let (teller, told) = sync_channel(0);
    let connection = primary.connect();
    thread::scope(|scope| {
        scope.spawn(move || write(connection, before + 1, &teller));
        let so_far = listen(&told, moment.life);
        thread::sleep(moment.pause);
        primary.kill();
        let [written, saved] = listen_to_the_end(&told, so_far);
        primary.restart(&AT_ONCE);
        let last = last_number(primary, seed);
        assert!(
            last >= saved.max(before),
            "seed {seed}: {saved} was saved, {last} is there"
        );
        assert!(
            last <= written + 1,
            "seed {seed}: {written} was written, {last} is there"
        );
    });
    assert_same(primary, replica, seed);
}

/// The replica dies while its primary is written to: it gets what it lacks, whatever it had kept.
fn replica_dies(primary: &Process, replica: &mut Process, moment: Moment, seed: u64) {
    let before = last_number(primary, seed);
    let (teller, told) = sync_channel(0);
    let connection = primary.connect();
    thread::scope(|scope| {
        scope.spawn(move || write(connection, before + 1, &teller));
        listen(&told, moment.life);
        thread::sleep(moment.pause);
        replica.kill();
        listen(&told, 1);
        replica.restart(&["--replicaof", "127.0.0.1", &primary.port().to_string()]);
        drop(told);
    });
    assert_same(primary, replica, seed);
}

fn assert_same(primary: &Process, replica: &Process, seed: u64) {
    replica.await_reply(&["GET", "last"], &primary.command(&["GET", "last"]));
    replica.await_info("master_link_status", "up");
    assert_eq!(last_number(replica, seed), last_number(primary, seed));
    let digests = [primary, replica].map(|server| server.command(&["DEBUG", "DIGEST"]));
    assert_eq!(digests[0], digests[1], "seed {seed}");
}

#[test]
fn after_a_crash_everything_saved_is_there_and_nothing_is_half() {
    let rounds = setting("PSYNC_CRASHES").unwrap_or(6);
    let mut seed = setting("PSYNC_SEED").unwrap_or(u64::from(std::process::id()) | 1 << 32);
    let mut primary = Process::ours(&AT_ONCE);
    let mut replica = Process::ours(&["--replicaof", "127.0.0.1", &primary.port().to_string()]);
    replica.await_info("master_link_status", "up");
    let first = seed;
    for round in 0..rounds {
        let (life, pause) = (
            1 + chance(&mut seed, LONGEST_LIFE),
            Duration::from_micros(chance(&mut seed, LONGEST_PAUSE_US)),
        );
        let moment = Moment { life, pause };
        if round % 2 == 0 {
            primary_dies(&mut primary, &replica, moment, first);
        } else {
            replica_dies(&primary, &mut replica, moment, first);
        }
    }
    assert!(last_number(&primary, first) > 0, "something was written");
}
