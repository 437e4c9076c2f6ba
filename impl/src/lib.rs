//! The reference server: real RESP, RDB, `SYNC` and `PSYNC` over TCP.
//!
//! A pure core (bytes, events and time come in as arguments, bytes and actions go out as data) inside a thin shell
//! of sockets, timers and files. Start reading at [`server`], then [`primary`] and `link`; [`rulebook`] names every
//! decision in which versions differ.

mod admin;
pub mod backlog;
pub mod client;
pub mod commands;
pub mod config;
mod connection;
mod dispatch;
pub mod event;
pub mod faults;
mod feeding;
pub mod history;
pub mod ids;
mod info;
pub mod keyspace;
mod link;
mod link_task;
mod numbers;
pub mod offset;
pub mod options;
pub mod primary;
pub mod rdb;
pub mod replica;
pub mod resp;
mod roles;
pub mod rulebook;
pub mod server;
mod shell;
mod snapshot_task;
mod snapshots;
pub mod stream;
mod waiting;
mod watching;

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::ids::IdSource;
use crate::keyspace::Keyspace;
use crate::options::{Serve, Wish};
use crate::rdb::RdbError;
use crate::server::{Birth, SavedPosition, Server};
use crate::shell::{Clock, Shell};

/// Exit status of a command line that cannot be obeyed.
const MISUSED: u8 = 2;

/// Why a server could not serve.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error("the folder {dir} cannot be used: {source}")]
    Folder { dir: PathBuf, source: io::Error },
    #[error("the snapshot {path} cannot be read: {source}")]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("the snapshot {path} is refused and left as it is: {source}")]
    Refused { path: PathBuf, source: RdbError },
    #[error("cannot listen on {address}: {source}")]
    Listen { address: String, source: io::Error },
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
    // A second server in one process logs where the first one does.
    let _ = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_target(false)
        .log_internal_errors(false)
        .try_init();
    match start(serve) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("psync-server: {error}");
            ExitCode::FAILURE
        }
    }
}

fn start(mut serve: Serve) -> Result<(), StartError> {
    let dir = serve.config.dir.clone();
    serve.config.dir = dir
        .canonicalize()
        .map_err(|source| StartError::Folder { dir, source })?;
    for warning in &serve.warnings {
        tracing::warn!("{warning}");
    }
    let (keyspace, label) = load(serve.config.snapshot_path())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(listen_and_serve(serve, keyspace, label))
}

/// The data of the snapshot file, or none if there is no file.
fn load(path: PathBuf) -> Result<(Keyspace, Option<SavedPosition>), StartError> {
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes::Bytes::from(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok((Keyspace::new(), None));
        }
        Err(source) => return Err(StartError::Unreadable { path, source }),
    };
    let loaded = rdb::read(&bytes).map_err(|source| StartError::Refused { path, source })?;
    Ok((loaded.keyspace, loaded.fields.and_then(SavedPosition::of)))
}

async fn listen_and_serve(
    serve: Serve,
    keyspace: Keyspace,
    label: Option<SavedPosition>,
) -> Result<(), StartError> {
    let address = format!("{}:{}", serve.config.bind, serve.config.port);
    let listening = tokio::net::TcpListener::bind(&address).await;
    let listener = listening.map_err(|source| StartError::Listen { address, source })?;
    let local = listener.local_addr()?;
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(StartError::Random)?;
    let (clock, process_id) = (Clock::new(), std::process::id());
    let key_delay_us = serve.config.key_save_delay_us.unsigned_abs();
    tracing::info!(
        "psync-server {}, era {}, PID: {process_id}",
        env!("CARGO_PKG_VERSION"),
        serve.rules.era
    );
    if let Some(fault) = &serve.fault {
        tracing::warn!("Wrong on purpose: {fault}");
    }
    let birth = Birth {
        rules: serve.rules,
        config: serve.config,
        ids: IdSource::from_seed(seed),
        port: local.port(),
        process_id,
        now_ms: clock.now_ms(),
    };
    let core = Server::new(birth, keyspace, label);
    tracing::info!("Ready to accept connections on {local}");
    Ok(Shell::new(core, clock, listener, key_delay_us)
        .serve()
        .await?)
}
