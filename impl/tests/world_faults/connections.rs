//! Connections that never read, that are reset in any state, and a great many of them.
//!
//! A connection is reset instead of closed when something is left unread in it: so every one here is answered something
//! that it does not read. `PSYNC_IDLE_CLIENTS` says how many there are at once (default 10,000, or as many as the system
//! allows).

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::process::Process;
use crate::{LARGE, fill_key};

/// Files that the test and the server need beside the connections.
const OTHER_FILES: u64 = 200;

/// Memory of an idle connection at most, in bytes; redis-server 7.0.15 takes some 19,000.
const IDLE_BYTES: u64 = 20_000;

/// The highest memory that a process ever had, and what it has now, in bytes.
fn memory(server: &Process) -> [u64; 2] {
    let status = fs::read_to_string(format!("/proc/{}/status", server.process_id()));
    let status = status.expect("Linux tells of its processes");
    ["VmHWM:", "VmRSS:"].map(|field| {
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        let kilobytes = line.and_then(|line| line.split_whitespace().next());
        1_024
            * kilobytes
                .and_then(|text| text.parse::<u64>().ok())
                .expect("a number")
    })
}

/// How many files the process has open.
fn open_files(server: &Process) -> usize {
    let files = fs::read_dir(format!("/proc/{}/fd", server.process_id()));
    files.expect("Linux tells of its processes").count()
}

/// Waits until something has arrived, and leaves it unread.
fn await_answer(stream: &TcpStream) {
    let peeked = stream.peek(&mut [0]);
    assert!(matches!(peeked, Ok(1)), "{peeked:?}");
}

fn command(words: &[&str]) -> Vec<u8> {
    psync_server::stream::command(words).to_vec()
}

#[test]
fn a_user_that_never_reads_is_cut_off_before_it_costs_much() {
    const LIMIT: u64 = 8_000_000;
    let limit = format!("normal {LIMIT} 0 0");
    let server = Process::ours(&["--client-output-buffer-limit", &limit]);
    fill_key(&server, "large");
    let [before, _] = memory(&server);
    let mut greedy = server.raw();
    let wishes = command(&["GET", "large"]).repeat(1_000);
    greedy.write_all(&wishes).expect("the wishes are sent");
    server.await_info("connected_clients", "1");
    let [highest, _] = memory(&server);
    // What it is given beside what waits: one value while it is answered, and one being copied.
    let allowed = before + LIMIT + 4 * LARGE as u64;
    assert!(highest <= allowed, "{highest} bytes, {before} before");
    let mut read = Vec::new();
    // It may end with a reset as well.
    let _ = greedy.read_to_end(&mut read);
    assert!(read.len() < 1_000 * LARGE, "it was cut off");
}

#[test]
fn a_replica_that_never_reads_is_cut_off_and_others_are_served() {
    let options = [
        "--client-output-buffer-limit",
        "replica 8000000 0 0",
        "--repl-diskless-sync-delay",
        "0",
        "--repl-backlog-size",
        "1mb",
    ];
    let primary = Process::ours(&options);
    let mut stuck = primary.raw();
    stuck
        .write_all(&command(&["PSYNC", "?", "-1"]))
        .expect("the question is sent");
    await_answer(&stuck);
    let port = primary.port().to_string();
    let replica = Process::ours(&["--replicaof", "127.0.0.1", &port]);
    replica.await_info("master_link_status", "up");
    for number in 0..20 {
        fill_key(&primary, &format!("large:{number}"));
        primary.command(&["DEL", &format!("large:{number}")]);
        let value = "v".repeat(LARGE);
        primary.command(&["SET", "large", &value]);
        // The one that reads keeps up, whatever becomes of the other.
        let mut user = primary.connect();
        user.query(&["SET", "number", &number.to_string()]);
        assert_eq!(user.query(&["WAIT", "1", "20000"]), "int(1)");
    }
    primary.await_info("connected_slaves", "1");
    let held = || {
        primary
            .info("mem_total_replication_buffers")
            .parse::<usize>()
    };
    primary.wait_until(
        || format!("the memory to come back, {:?} bytes are held", held()),
        || held().is_ok_and(|held| held < 2 * LARGE),
    );
    assert_eq!(replica.command(&["GET", "number"]), "19");
    drop(stuck);
}

/// Everything that somebody may have said before the connection is reset, and what the server answers.
fn said_by_users() -> Vec<Vec<u8>> {
    let ping = command(&["PING"]);
    let said = |words: &[&str]| [ping.clone(), command(words)].concat();
    vec![
        ping.clone(),
        [&ping[..], b"*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$1000\r\nhalf"].concat(),
        said(&["BLPOP", "nothing", "0"]),
        said(&["WAIT", "3", "0"]),
        [said(&["MULTI"]), command(&["SET", "x", "queued"])].concat(),
        said(&["WATCH", "x"]),
        said(&["SAVE"]),
        said(&["GET", "large"]),
        said(&["REPLCONF", "capa", "eof", "capa", "psync2"]),
        said(&["PSYNC", "?", "-1"]),
        said(&["SYNC"]),
        [
            said(&["REPLCONF", "capa", "eof"]),
            command(&["PSYNC", "?", "-1"]),
        ]
        .concat(),
    ]
}

#[test]
fn connections_that_are_reset_leave_nothing_behind() {
    for diskless in ["yes", "no"] {
        let options = [
            "--repl-diskless-sync",
            diskless,
            "--repl-diskless-sync-delay",
            "0",
            "--rdb-key-save-delay",
            "20000",
        ];
        let server = Process::ours(&options);
        fill_key(&server, "large");
        server.command(&["SET", "x", "1"]);
        let files = open_files(&server);
        for said in said_by_users() {
            let mut stream = server.raw();
            stream.write_all(&said).expect("it is sent");
            await_answer(&stream);
            drop(stream);
        }
        server.await_info("connected_clients", "1");
        server.await_info("connected_slaves", "0");
        server.await_info("blocked_clients", "0");
        server.await_info("rdb_bgsave_in_progress", "0");
        let left = || format!("{files} open files, there are {}", open_files(&server));
        server.wait_until(left, || open_files(&server) <= files);
        assert_eq!(server.command(&["GET", "x"]), "1");
        let unsaved = server.files().iter().all(|name| name == "dump.rdb");
        assert!(unsaved, "{:?}", server.files());
        server.command(&["CONFIG", "SET", "rdb-key-save-delay", "0"]);
        let port = server.port().to_string();
        let replica = Process::ours(&["--replicaof", "127.0.0.1", &port]);
        replica.await_info("master_link_status", "up");
    }
}

#[test]
fn a_primary_that_resets_the_connection_in_any_state_is_tried_again() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let port = listener.local_addr().expect("the port found").port();
    let replica = Process::ours(&["--replicaof", "127.0.0.1", &port.to_string()]);
    let payload =
        psync_server::rdb::write_all(psync_server::keyspace::Keyspace::new().snapshot(), None);
    let half = payload.len() / 2;
    let label = format!("+FULLRESYNC {} 1\r\n${}\r\n", "a".repeat(40), payload.len());
    let parts: [&[u8]; 6] = [
        b"+PONG\r\n",
        b"+OK\r\n+OK\r\n",
        label.as_bytes(),
        &payload[..half],
        &payload[half..],
        b"*1\r\n$4\r\nPI",
    ];
    for count in 0..=parts.len() {
        let (mut stream, _) = listener.accept().expect("the replica connects");
        await_answer(&stream);
        for part in &parts[..count] {
            stream.write_all(part).expect("it is sent");
        }
        // What the replica said was never read.
        drop(stream);
    }
    assert_eq!(replica.info("master_link_status"), "down");
    let primary = Process::ours(&["--repl-diskless-sync-delay", "0"]);
    replica.command(&["REPLICAOF", "127.0.0.1", &primary.port().to_string()]);
    replica.await_info("master_link_status", "up");
}

/// A replica with a key of its own, and the connection on which it has been promised a snapshot: of a million bytes, or up
/// to a mark.
fn promised(load: &str) -> (Process, TcpStream) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let port = listener.local_addr().expect("the port found").port();
    let replica = Process::ours(&["--repl-diskless-load", load]);
    replica.command(&["SET", "x", "1"]);
    replica.command(&["REPLICAOF", "127.0.0.1", &port.to_string()]);
    let (mut stream, _) = listener.accept().expect("the replica connects");
    await_answer(&stream);
    let id = "a".repeat(40);
    let framing = match load {
        "disabled" => "1000000".to_owned(),
        _ => format!("EOF:{id}"),
    };
    let label = format!("+FULLRESYNC {id} 1\r\n${framing}\r\n");
    for part in ["+PONG\r\n", "+OK\r\n+OK\r\n", &label] {
        stream.write_all(part.as_bytes()).expect("it is sent");
    }
    (replica, stream)
}

fn assert_as_before(replica: &Process) {
    let left = || format!("{:?}", replica.files());
    replica.wait_until(left, || replica.files().is_empty());
    assert_eq!(replica.command(&["GET", "x"]), "1");
}

#[test]
fn a_snapshot_that_cannot_be_read_is_refused_before_it_ends() {
    for load in ["disabled", "swapdb"] {
        let (replica, mut stream) = promised(load);
        stream.write_all(&vec![b'x'; 20_000]).expect("it is sent");
        // The replica closes the connection, perhaps before it has read everything.
        let _ = stream.read_to_end(&mut Vec::new());
        assert_as_before(&replica);
    }
}

#[test]
fn half_a_snapshot_leaves_nothing_behind() {
    /// A version, a database, and the beginning of a key's value of a mebibyte.
    const HEAD: &[u8] = b"REDIS0006\xfe\x00\x00\x01k\x80\x00\x10\x00\x00";
    for load in ["disabled", "swapdb"] {
        let (replica, mut stream) = promised(load);
        let half = [HEAD, &vec![b'v'; 500_000]].concat();
        stream.write_all(&half).expect("it is sent");
        if load == "disabled" {
            replica.wait_until(|| "no file".to_owned(), || replica.files().len() == 1);
        }
        drop(stream);
        assert_as_before(&replica);
    }
}

/// The timers that the system runs for the connections that a server has accepted.
fn timers(server: &Process) -> Vec<String> {
    /// The state of a connection that is established.
    const ESTABLISHED: &str = "01";
    let table = fs::read_to_string("/proc/net/tcp").expect("Linux lists the connections");
    let own = format!(":{:04X}", server.port());
    let timer = |line: &str| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let accepted = fields[1].ends_with(&own) && fields[3] == ESTABLISHED;
        accepted.then(|| fields[5][..2].to_owned())
    };
    table.lines().skip(1).filter_map(timer).collect()
}

/// For how many of them it will ask for a sign of life, once nothing waits to be confirmed.
fn kept_alive(server: &Process) -> usize {
    /// What was sent has not been confirmed.
    const SENT: &str = "01";
    const ASKING: &str = "02";
    let waiting = || timers(server).iter().any(|timer| timer == SENT);
    server.wait_until(|| format!("{:?}", timers(server)), || !waiting());
    let timers = timers(server);
    timers.iter().filter(|timer| *timer == ASKING).count()
}

#[test]
fn a_peer_that_vanishes_is_asked_for_a_sign_of_life_unless_nobody_wants_that() {
    let server = Process::ours(&[]);
    let mut first = server.connect();
    first.query(&["PING"]);
    let before = kept_alive(&server);
    assert!(before > 0);
    first.query(&["CONFIG", "SET", "tcp-keepalive", "0"]);
    let mut second = server.connect();
    second.query(&["PING"]);
    assert_eq!(kept_alive(&server), before);
    first.query(&["CONFIG", "SET", "tcp-keepalive", "4294967295"]);
    let mut third = server.connect();
    third.query(&["PING"]);
    assert_eq!(kept_alive(&server), before + 1);
}

/// As many clients as were asked for, if the system allows this process and the server so many.
fn clients() -> u64 {
    let wanted = std::env::var("PSYNC_IDLE_CLIENTS").unwrap_or_else(|_| "10000".to_owned());
    let wanted = wanted.parse().expect("PSYNC_IDLE_CLIENTS is a number");
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    setrlimit(Resource::Nofile, raised).expect("a process may use what it is allowed");
    let allowed = maximum.map_or(u64::MAX, |files| files - OTHER_FILES);
    if allowed < wanted {
        eprintln!("only {allowed} clients instead of {wanted}: the system allows no more files");
    }
    wanted.min(allowed)
}

#[test]
fn ten_thousand_idle_clients_cost_little_and_the_next_one_is_told() {
    let count = clients();
    // One more looks at them.
    let limit = (count + 1).to_string();
    let server = Process::ours(&["--maxclients", &limit]);
    let mut witness = server.connect();
    witness.query(&["PING"]);
    let [_, before] = memory(&server);
    let idle: Vec<TcpStream> = (0..count).map(|_| server.raw()).collect();
    for stream in &idle {
        let mut stream = stream;
        stream.write_all(b"PING\r\n").expect("it is sent");
    }
    for stream in &idle {
        let mut answer = [0; 7];
        let mut stream = stream;
        stream.read_exact(&mut answer).expect("it is answered");
        assert_eq!(&answer, b"+PONG\r\n");
    }
    let [_, with] = memory(&server);
    let each = with.saturating_sub(before) / count;
    eprintln!("{count} idle clients take {each} bytes each");
    assert!(each <= IDLE_BYTES, "an idle client takes {each} bytes");
    let mut refused = String::new();
    server
        .raw()
        .read_to_string(&mut refused)
        .expect("it is told");
    assert_eq!(refused, "-ERR max number of clients reached\r\n");
    assert_eq!(witness.query(&["SET", "x", "1"]), "ok");
    drop(idle);
    let left = |info: String| info.contains("connected_clients:1\r\n");
    while !left(witness.query(&["INFO", "clients"])) {
        std::thread::yield_now();
    }
}

#[test]
fn a_server_that_may_open_few_files_takes_fewer_clients_and_says_so() {
    let words = [
        "sh",
        "-c",
        "ulimit -S -n 50; ulimit -H -n 100; exec \"$@\"",
        "sh",
    ];
    let server = Process::ours_by(&words, &[]);
    let most = server.connect().list(&["CONFIG", "GET", "maxclients"]);
    assert_eq!(most, ["maxclients", "68"]);
    let refused = server.try_command(&["CONFIG", "SET", "maxclients", "69"]);
    assert!(refused.is_err(), "{refused:?}");
    assert_eq!(server.command(&["CONFIG", "SET", "maxclients", "68"]), "ok");
    let streams: Vec<TcpStream> = (0..100).map(|_| server.raw()).collect();
    let mut told = 0;
    for mut stream in streams.iter().skip(68) {
        let mut answer = String::new();
        // It is told, and then closed, perhaps with a reset.
        match stream.read_to_string(&mut answer) {
            Ok(_) => told += usize::from(answer.starts_with("-ERR max number")),
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
    }
    assert_eq!(told, 32, "nobody waits in vain");
}
