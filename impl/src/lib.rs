//! The reference server: real RESP, RDB, `SYNC` and `PSYNC` over TCP.
//!
//! A pure core (bytes, events and time come in as arguments, bytes and actions go out as data) inside a thin shell
//! of sockets, timers and files. Start reading at [`server`], then [`primary`] and `link`; [`rulebook`] names every
//! decision in which versions differ.
//!
//! # How it works
//!
//! *One task owns the core.* It takes events in batches, thinks, and carries out what was decided; connections and the
//! link to a primary are tasks of the same thread that only move bytes, so that what arrives first is executed first: with
//! several threads two clients that speak one after the other could be answered the other way round. Snapshots are
//! written and read on threads of their own. Nothing in the core waits: a command whose answer comes later leaves its
//! connection blocked.
//!
//! *A snapshot never stops writes.* There is no fork. A snapshot is a copy of the sixteen roots of the [`keyspace`],
//! whose trees are persistent: a write beside it copies the nodes on the path to what it changes, once, and nothing after
//! that. Old versions live until the snapshot has been written as far as they stand. The cut, the label and the place in the stream from which the
//! replica goes on are one step of the core, which takes as long for a million keys as for none. With a million keys of
//! 100 bytes (250 MB), 100,000 writes to random keys beside a snapshot took 81 MB, 0.8 kB each, and as long as without
//! one; the same writes again took nothing. Writing the file takes time on a thread of its own.
//!
//! *The stream is written once.* [`shared_stream`] holds the bytes, the [`backlog`] is a window over them, and a replica
//! is a position in them. A connection is handed at most a mebibyte ahead, as references; ten replicas that do not read
//! cost the memory of one. What neither the backlog covers nor a replica lacks is released.
//!
//! *A received snapshot* is read while it arrives, on a thread of its own, then put in the place of the old data in one
//! step together with its label; until then nothing is discarded, whatever goes wrong. So a full resynchronization takes
//! the memory of the old data, the new data and what has come and not been read. With `repl-diskless-load disabled` the
//! payload is written to a file meanwhile, which becomes our own snapshot file when all of it could be read.
//!
//! # What differs from Redis on purpose
//!
//! It listens on the loopback unless told otherwise, and saves nothing unless told to. `DEBUG` answers this machine
//! only. The fallback to `SYNC` forgets the name of the old history, a run ID goes on numbering when the role changes,
//! and a transaction that ends in a demotion is in the stream (FLAWS B-01, F-16, F-21; `--as-shipped` brings them
//! back). A replica that asks for an answer is cut off in every era, as by Redis 7.0; older ones wrote the answer into
//! the stream. A snapshot that cannot be read leaves the old data in place; that it is read, users learn from two
//! mebibytes on (`-LOADING`), as from Redis. `COMMAND DOCS` is left to the tools, which bring those texts themselves.
//! Cluster, modules, scripts, streams, ACLs and the append-only file do not exist; a snapshot that holds what we do not
//! have is refused as a whole.

mod access;
mod admin;
pub mod backlog;
pub mod client;
mod client_command;
mod clients;
pub mod commands;
pub mod config;
mod connection;
mod debug;
mod description;
mod descriptors;
mod dispatch;
mod ending;
pub mod event;
pub mod failover;
pub mod faults;
mod feeding;
mod handshake;
pub mod history;
pub mod ids;
mod info;
pub mod input;
pub mod keyspace;
mod link;
mod link_task;
mod listening;
mod load_task;
mod numbers;
pub mod offset;
pub mod options;
pub mod pausing;
pub mod payload;
pub mod primary;
pub mod rdb;
pub mod replica;
pub mod resp;
mod roles;
pub mod rulebook;
pub mod server;
pub mod shared_stream;
mod shell;
mod snapshot_task;
mod snapshots;
mod socket;
pub mod stream;
mod transfer;
mod turns;
mod waiting;
mod watching;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::iter;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;

use crate::ids::IdSource;
use crate::keyspace::Keyspace;
use crate::listening::{ListenError, Listening};
use crate::options::{Serve, Wish};
use crate::rdb::RdbError;
use crate::rulebook::Rulebook;
use crate::server::{Birth, SavedPosition, Server};
use crate::shell::{Clock, Shell};

/// Exit status of a command line that cannot be obeyed.
const MISUSED: u8 = 2;

/// How long a thread that still reads or stores a snapshot keeps the process from ending.
const EXIT_WAIT: Duration = Duration::from_secs(2);

/// A snapshot file is read so much at a time.
const PIECE_BYTES: usize = 256 * 1024;

/// The data of our own snapshot file, and their label.
type LoadedFile = (Keyspace, Option<SavedPosition>);

/// Why a server could not serve.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error("the folder {dir} cannot be used: {source}")]
    Folder { dir: PathBuf, source: io::Error },
    #[error("the snapshot {path} cannot be read: {source}")]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("the snapshot {path} is refused and left as it is: {source}")]
    Refused { path: PathBuf, source: RdbError },
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error("the log file {path} cannot be written: {source}")]
    Log { path: PathBuf, source: io::Error },
    #[error("the system gives no random numbers: {0}")]
    Random(getrandom::Error),
    #[error("{0}")]
    System(#[from] io::Error),
}

/// Does what a command line says; `args` come without the name of the program.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    match options::parse(args) {
        Ok(Wish::Help) => {
            println!("{}", options::help());
            ExitCode::SUCCESS
        }
        Ok(Wish::Version) => {
            println!("psync-server {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
        Ok(Wish::Serve(serve)) => serve_and_report(*serve),
        Err(error) => {
            eprintln!("psync-server: {error}");
            ExitCode::from(MISUSED)
        }
    }
}

fn serve_and_report(serve: Serve) -> ExitCode {
    match open_log(serve.config.logfile.as_ref()).and_then(|()| start(serve)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("psync-server: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Lines of the log are in the file, or on the standard output, as soon as they are written.
fn open_log(path: Option<&PathBuf>) -> Result<(), StartError> {
    let log = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_target(false)
        .log_internal_errors(false);
    // A second server in one process logs where the first one does.
    let _ = match path {
        None => log.try_init(),
        Some(path) => {
            let file = File::options().append(true).create(true).open(path);
            let file = file.map_err(|source| StartError::Log {
                path: path.clone(),
                source,
            })?;
            log.with_writer(std::sync::Mutex::new(file)).try_init()
        }
    };
    Ok(())
}

fn start(mut serve: Serve) -> Result<(), StartError> {
    let dir = serve.config.dir.clone();
    serve.config.dir = dir
        .canonicalize()
        .map_err(|source| StartError::Folder { dir, source })?;
    for warning in &serve.warnings {
        tracing::warn!("{warning}");
    }
    // Who comes when no file can be opened any more would wait for an answer in vain.
    let room = descriptors::room_for_clients().unwrap_or(u64::MAX);
    serve.config.room_for_clients = room;
    if room < serve.config.maxclients {
        tracing::warn!(
            "maxclients is {room} instead of {}: the system lets this process open no more files (`ulimit -n`)",
            serve.config.maxclients
        );
        serve.config.maxclients = room;
    }
    // One thread for all connections: what they send is executed in the order in which it arrives, as users of Redis know
    // it. Snapshots are written and read on others.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    // As a task like the connections it is woken with them; what `block_on` runs itself costs a look at the sockets each time.
    let serving = runtime.spawn(listen_and_serve(serve));
    let served = runtime.block_on(serving).map_err(io::Error::other)?;
    runtime.shutdown_timeout(EXIT_WAIT);
    served
}

/// The data of the snapshot file, or none if there is no file.
fn load(path: PathBuf) -> Result<LoadedFile, StartError> {
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok((Keyspace::new(), None));
        }
        Err(source) => return Err(StartError::Unreadable { path, source }),
    };
    let mut failure = None;
    let loaded = rdb::read_pieces(pieces_of(file, &mut failure));
    if let Some(source) = failure {
        return Err(StartError::Unreadable { path, source });
    }
    let loaded = loaded.map_err(|source| StartError::Refused { path, source })?;
    Ok((loaded.keyspace, loaded.fields.and_then(SavedPosition::of)))
}

/// A file from its beginning to its end, or to where reading it fails.
fn pieces_of(mut file: File, failure: &mut Option<io::Error>) -> impl Iterator<Item = Bytes> {
    iter::from_fn(move || {
        let mut piece = Vec::with_capacity(PIECE_BYTES);
        match file
            .by_ref()
            .take(PIECE_BYTES as u64)
            .read_to_end(&mut piece)
        {
            Ok(0) => None,
            Ok(_) => Some(piece.into()),
            Err(error) => {
                *failure = Some(error);
                None
            }
        }
    })
}

async fn listen_and_serve(serve: Serve) -> Result<(), StartError> {
    let listening = Listening::start(&serve.config).await?;
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(StartError::Random)?;
    let (clock, process_id) = (Clock::new(), std::process::id());
    let (port, config) = (listening.port, serve.config.clone());
    tracing::info!(
        "psync-server {}, era {}, port {port}, PID: {process_id}",
        env!("CARGO_PKG_VERSION"),
        serve.rules.era
    );
    if serve.rules != Rulebook::of(serve.rules.era) {
        let fault = serve.fault.as_deref().unwrap_or("as shipped");
        tracing::warn!("Wrong on purpose: {fault}");
    }
    let birth = Birth {
        rules: serve.rules,
        config: serve.config,
        config_file: serve.file,
        ids: IdSource::from_seed(seed),
        port,
        process_id,
        memory_bytes: resident_bytes,
        now_ms: clock.now_ms(),
    };
    let core = Server::starting(birth);
    let path = config.snapshot_path();
    // A file whose length is not told fails when it is read, with the reason.
    let bytes = std::fs::metadata(&path).map_or(0, |file| file.len());
    let loading = tokio::task::spawn_blocking(move || load(path));
    let shell = Shell::new(core, clock, listening, &config);
    shell.serve(loading, bytes).await
}

/// The memory of this process, in bytes; zero where the system does not say.
fn resident_bytes() -> u64 {
    /// The size of a page on every system that has the file.
    const PAGE: u64 = 4096;
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = text.split_whitespace().nth(1);
    pages
        .and_then(|pages| pages.parse::<u64>().ok())
        .unwrap_or(0)
        * PAGE
}
