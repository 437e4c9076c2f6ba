//! A man in the middle between a client and a server: one thread a direction, and one [`Tamper`] a connection that may
//! change what passes. With it a good server becomes one that is wrong in a way no fault of ours foresees.
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

mod lies;

pub use lies::{Liar, Lie};

/// How many bytes pass at a time.
const PIECE_BYTES: usize = 64 * 1024;
/// The most connections at a time; one more is refused: a run has a handful.
const MAX_CONNECTIONS: usize = 256;

/// What may change the bytes of one connection.
pub trait Tamper: Send {
    /// Bytes from the client; what is returned goes to the server.
    fn to_server(&mut self, bytes: &[u8]) -> Vec<u8>;
    /// Bytes from the server; what is returned goes to the client.
    fn to_client(&mut self, bytes: &[u8]) -> Vec<u8>;

    /// How many bytes it takes from this end at once; less than the usual piece for whoever wants to stop between two.
    fn room(&self, _from: End) -> usize {
        PIECE_BYTES
    }

    /// What was returned last for bytes from this end is on its way.
    fn passed(&mut self, _from: End) {}
}

/// An end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Whoever connected.
    Client,
    /// Whom it reached.
    Server,
}

/// Changes nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Honest;

impl Tamper for Honest {
    fn to_server(&mut self, bytes: &[u8]) -> Vec<u8> {
        bytes.to_vec()
    }

    fn to_client(&mut self, bytes: &[u8]) -> Vec<u8> {
        bytes.to_vec()
    }
}

type SharedTamper = Arc<Mutex<Box<dyn Tamper>>>;
type Make = Box<dyn Fn() -> Box<dyn Tamper> + Send>;

#[derive(Debug, Default)]
struct Open {
    next: u64,
    streams: BTreeMap<u64, [TcpStream; 2]>,
}

/// A running proxy; all its connections end when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    addr: SocketAddr,
    is_stopping: Arc<AtomicBool>,
    open: Arc<Mutex<Open>>,
    acceptor: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Listens on a free port of the loopback for connections to `server`; `make` gives each one its tamper.
    pub fn start(
        server: SocketAddr,
        make: impl Fn() -> Box<dyn Tamper> + Send + 'static,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let addr = listener.local_addr()?;
        let (is_stopping, open) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(Mutex::new(Open::default())),
        );
        let (their_flag, their_open) = (Arc::clone(&is_stopping), Arc::clone(&open));
        let acceptor = Some(thread::spawn(move || {
            accept_all(
                &listener,
                server,
                &(Box::new(make) as Make),
                &their_flag,
                &their_open,
            );
        }));
        Ok(Self {
            addr,
            is_stopping,
            open,
            acceptor,
        })
    }

    /// A proxy that tells this lie on every replication connection.
    pub fn lying(server: SocketAddr, lie: Lie) -> io::Result<Self> {
        Self::start(server, move || Box::new(Liar::new(lie)))
    }

    /// Where clients connect.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Cuts all connections, both ends at once.
    pub fn cut_all(&self) {
        for stream in lock(&self.open).streams.values().flatten() {
            // One that is cut already stays cut.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.is_stopping.store(true, Ordering::SeqCst);
        // One more connection wakes the acceptor, which then sees that it should stop.
        let _ = TcpStream::connect(self.addr);
        if let Some(acceptor) = self.acceptor.take() {
            // A panic of the thread was printed where it happened.
            let _ = acceptor.join();
        }
        // The threads of the connections end with them.
        self.cut_all();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn accept_all(
    listener: &TcpListener,
    server: SocketAddr,
    make: &Make,
    is_stopping: &AtomicBool,
    open: &Arc<Mutex<Open>>,
) {
    for client in listener.incoming() {
        if is_stopping.load(Ordering::SeqCst) {
            return;
        }
        // A connection that cannot be passed on is dropped: the client sees a server that closes.
        if let Ok(client) = client {
            let _ = pass_on(client, server, make(), open);
        }
    }
}

fn pass_on(
    client: TcpStream,
    server: SocketAddr,
    tamper: Box<dyn Tamper>,
    open: &Arc<Mutex<Open>>,
) -> io::Result<()> {
    let server = TcpStream::connect(server)?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let mut known = lock(open);
    if known.streams.len() >= MAX_CONNECTIONS {
        return Ok(());
    }
    let id = known.next;
    known.next += 1;
    known
        .streams
        .insert(id, [client.try_clone()?, server.try_clone()?]);
    drop(known);

    let tamper: SharedTamper = Arc::new(Mutex::new(tamper));
    let (from_server, to_client, same) = (
        server.try_clone()?,
        client.try_clone()?,
        Arc::clone(&tamper),
    );
    let known = Arc::clone(open);
    thread::spawn(move || pump(client, server, &tamper, End::Client));
    thread::spawn(move || {
        pump(from_server, to_client, &same, End::Server);
        lock(&known).streams.remove(&id);
    });
    Ok(())
}

/// Carries bytes one way until either end is over, then ends both.
fn pump(mut from: TcpStream, mut to: TcpStream, tamper: &Mutex<Box<dyn Tamper>>, end: End) {
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let room = lock(tamper).room(end).clamp(1, PIECE_BYTES);
        let Ok(count @ 1..) = from.read(&mut piece[..room]) else {
            break;
        };
        let changed = match end {
            End::Client => lock(tamper).to_server(&piece[..count]),
            End::Server => lock(tamper).to_client(&piece[..count]),
        };
        if to.write_all(&changed).is_err() {
            break;
        }
        lock(tamper).passed(end);
    }
    // Ends that are over already need no ending.
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}
