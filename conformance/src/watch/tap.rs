//! The sockets of the watcher: one thread a direction of each connection, and one that takes new ones. Bytes are judged,
//! logged and then passed on, in that order and under one lock; a slow reader holds up nobody but its own link.
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use thiserror::Error;

use super::figures::Figures;
use super::finding::From;
use super::judge::{Judge, Now, Said};
use super::log::LogWriter;
/// How many bytes pass at a time: enough that the lock is not taken too often.
const PIECE_BYTES: usize = 256 * 1024;
/// The most connections at a time; one more is closed at once.
const MAX_CONNECTIONS: usize = 1_024;
/// How long the primary may take to accept a connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// What can be chosen.
#[derive(Debug, Clone)]
pub struct TapOptions {
    /// Where replicas connect.
    pub listen: SocketAddr,
    /// Where the primary is.
    pub primary: SocketAddr,
    /// How many bytes of the streams are remembered, all together.
    pub memory_bytes: usize,
    /// Where what passes is kept, if anywhere.
    pub log: Option<PathBuf>,
}

/// A watcher that cannot begin or go on.
#[derive(Debug, Error)]
pub enum TapError {
    /// The address is taken, or not ours.
    #[error("could not listen on {addr}: {source}")]
    Listen {
        /// The address.
        addr: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The log cannot be written.
    #[error("could not write the log {}: {source}", path.display())]
    Log {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

type Say = Box<dyn FnMut(Said) + Send>;

/// What is shared by all connections, under one lock.
struct Desk {
    judge: Judge,
    say: Say,
    log: Option<LogWriter<BufWriter<File>>>,
    log_failed: Option<io::Error>,
    streams: BTreeMap<u64, [TcpStream; 2]>,
    next: u64,
}

struct Shared {
    desk: Mutex<Desk>,
    started: Instant,
    is_stopping: AtomicBool,
}

/// A running watcher. All its connections end when it is dropped.
pub struct Tap {
    addr: SocketAddr,
    shared: Arc<Shared>,
    log_path: Option<PathBuf>,
    acceptor: Option<JoinHandle<()>>,
}

impl Tap {
    /// Listens. What there is to say goes to `say`, at the moment at which it is seen.
    pub fn start(
        options: &TapOptions,
        say: impl FnMut(Said) + Send + 'static,
    ) -> Result<Self, TapError> {
        let addr = options.listen;
        let listen = |source| TapError::Listen { addr, source };
        let listener = TcpListener::bind(addr).map_err(listen)?;
        let addr = listener.local_addr().map_err(listen)?;
        let log = options.log.as_deref();
        let log = log
            .map(|path| open_log(path, options.memory_bytes))
            .transpose()?;
        let shared = Arc::new(Shared {
            desk: Mutex::new(Desk {
                judge: Judge::new(options.memory_bytes),
                say: Box::new(say),
                log,
                log_failed: None,
                streams: BTreeMap::new(),
                next: 1,
            }),
            started: Instant::now(),
            is_stopping: AtomicBool::new(false),
        });
        let (theirs, primary) = (Arc::clone(&shared), options.primary);
        let acceptor = thread::spawn(move || accept_all(&listener, primary, &theirs));
        Ok(Self {
            addr,
            shared,
            log_path: options.log.clone(),
            acceptor: Some(acceptor),
        })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What was measured, and what the links are like.
    pub fn status(&self) -> (Figures, Now) {
        let desk = self.shared.desk();
        (desk.judge.figures().clone(), desk.judge.now())
    }

    /// Ends all links and the log.
    pub fn stop(mut self) -> Result<Figures, TapError> {
        self.end();
        let mut desk = self.shared.desk();
        let finished = desk.log.as_mut().map(LogWriter::finish).transpose();
        let failed = desk.log_failed.take().or(finished.err());
        match (failed, self.log_path.take()) {
            (Some(source), Some(path)) => Err(TapError::Log { path, source }),
            _ => Ok(desk.judge.figures().clone()),
        }
    }

    fn end(&mut self) {
        let Some(acceptor) = self.acceptor.take() else {
            return;
        };
        self.shared.is_stopping.store(true, Ordering::SeqCst);
        // One more connection wakes the acceptor, which then sees that it should stop.
        let _ = TcpStream::connect(self.addr);
        // A panic of the thread was printed where it happened.
        let _ = acceptor.join();
        for stream in std::mem::take(&mut self.shared.desk().streams)
            .values()
            .flatten()
        {
            // One that has ended already needs no ending.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.end();
    }
}

impl Shared {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Judges and logs bytes that are about to be passed on.
    fn pass(&self, link: u64, from: From, bytes: &[u8]) {
        let mut desk = self.desk();
        // Of a link that has ended at one end, what the other still says is passed on and nothing more.
        if !desk.streams.contains_key(&link) {
            return;
        }
        let at_ms = self.now_ms();
        let passed = desk.judge.passed(at_ms, link, from, bytes);
        passed.said.into_iter().for_each(&mut desk.say);
        desk.log(|log| log.passed(at_ms, link, from, bytes, passed.is_inside_snapshot));
    }

    fn close(&self, link: u64) {
        let mut desk = self.desk();
        if desk.streams.remove(&link).is_some() {
            let at_ms = self.now_ms();
            desk.judge.closed(at_ms, link);
            desk.log(|log| log.closed(at_ms, link));
        }
    }

    /// Taken under the lock, so that times never go back in the log.
    fn now_ms(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }
}

impl Desk {
    /// A log that fails once is given up, and the failure is told at the end: watching goes on.
    fn log(&mut self, write: impl FnOnce(&mut LogWriter<BufWriter<File>>) -> io::Result<()>) {
        if self.log_failed.is_none()
            && let Some(log) = &mut self.log
        {
            self.log_failed = write(log).err();
        }
    }
}

fn open_log(path: &Path, memory_bytes: usize) -> Result<LogWriter<BufWriter<File>>, TapError> {
    let failed = |source| TapError::Log {
        path: path.to_owned(),
        source,
    };
    let file = File::create(path).map_err(failed)?;
    LogWriter::new(BufWriter::new(file), memory_bytes).map_err(failed)
}

fn accept_all(listener: &TcpListener, primary: SocketAddr, shared: &Arc<Shared>) {
    for client in listener.incoming() {
        if shared.is_stopping.load(Ordering::SeqCst) {
            return;
        }
        if let Ok(client) = client {
            let shared = Arc::clone(shared);
            // In a thread of its own, so that a primary that does not answer holds up nobody else.
            thread::spawn(move || connect(client, primary, &shared));
        }
    }
}

/// Passes on a connection; one that cannot be is closed, as the primary would have refused it.
fn connect(client: TcpStream, primary: SocketAddr, shared: &Arc<Shared>) {
    let Ok(server) = TcpStream::connect_timeout(&primary, CONNECT_LIMIT) else {
        return;
    };
    let Ok([(host, client_end, to_client), (_, server_end, from_server)]) =
        both_ways(&client).and_then(|one| Ok([one, both_ways(&server)?]))
    else {
        return;
    };
    let Some(link) = register(shared, &host, [client_end, server_end]) else {
        return;
    };
    let same = Arc::clone(shared);
    thread::spawn(move || pump(from_server, to_client, link, From::Primary, &same));
    pump(client, server, link, From::Replica, shared);
}

/// The host at the other end, and two more handles: one to end the connection, one for the other direction.
fn both_ways(stream: &TcpStream) -> io::Result<(String, TcpStream, TcpStream)> {
    // The ends decide themselves what they send at once; nothing is held back here.
    stream.set_nodelay(true)?;
    let host = stream.peer_addr()?.ip().to_string();
    Ok((host, stream.try_clone()?, stream.try_clone()?))
}

fn register(shared: &Shared, host: &str, ends: [TcpStream; 2]) -> Option<u64> {
    let mut desk = shared.desk();
    let is_full = desk.streams.len() >= MAX_CONNECTIONS;
    if is_full || shared.is_stopping.load(Ordering::SeqCst) {
        return None;
    }
    let (link, at_ms) = (desk.next, shared.now_ms());
    desk.next += 1;
    desk.streams.insert(link, ends);
    desk.judge.opened(at_ms, link, host);
    desk.log(|log| log.opened(at_ms, link, host));
    Some(link)
}

/// Carries bytes one way until that way ends, and passes the end on; a broken connection ends both ways.
fn pump(mut from: TcpStream, mut to: TcpStream, link: u64, side: From, shared: &Shared) {
    let mut piece = vec![0; PIECE_BYTES];
    let is_broken = loop {
        match from.read(&mut piece) {
            Ok(0) => break false,
            Ok(count) => {
                shared.pass(link, side, &piece[..count]);
                if to.write_all(&piece[..count]).is_err() {
                    break true;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break true,
        }
    };
    shared.close(link);
    // Ends that are over already need no ending.
    if is_broken {
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    } else {
        let _ = to.shutdown(Shutdown::Write);
    }
}
