//! A network that fails once, between two bytes of the first connection through it, and keeps later connections waiting
//! until it is told to let them pass.
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::Damage;
use crate::conn::Deadline;
use crate::played::Shared;
use crate::proxy::{End, Proxy, Tamper};

/// How long a connection stands still if nobody lets it go: longer than anybody waits for a server.
const STANDSTILL_LIMIT: Duration = Duration::from_mins(10);

/// What everybody who looks at the gate knows.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Connections so far.
    pub(super) connections: u64,
    /// How many bytes of the first connection have passed, from the client and from the server.
    passed: [u64; 2],
    /// Whether the network has failed.
    pub(super) has_failed: bool,
    /// Whether what waits is let pass: the network works again, or never fails.
    is_open: bool,
    /// Answers to requests that were seen on the way; the gate itself does not read.
    pub(super) answers: u64,
}

/// Where the first connection fails.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fails {
    pub(super) damage: Damage,
    /// Whose bytes are counted.
    pub(super) from: End,
    /// How many of them pass.
    pub(super) after: u64,
}

/// The gate.
#[derive(Debug)]
pub(super) struct Gate {
    state: Arc<Shared<State>>,
    proxy: Proxy,
}

impl Gate {
    /// Stands in front of a server; without a place to fail, it only counts.
    pub(super) fn before(server: SocketAddr, fails: Option<Fails>) -> io::Result<Self> {
        let state = Shared::new(State {
            is_open: fails.is_none(),
            ..State::default()
        });
        let theirs = Arc::clone(&state);
        let proxy = Proxy::start(server, move || {
            let number = theirs.change(|state| {
                state.connections += 1;
                state.connections
            });
            Box::new(Passage {
                state: Arc::clone(&theirs),
                fails: fails.filter(|_| number == 1),
                is_first: number == 1,
                pending: [0; 2],
            })
        })?;
        Ok(Self { state, proxy })
    }

    /// Where to connect.
    pub(super) fn addr(&self) -> SocketAddr {
        self.proxy.addr()
    }

    /// What is known, to look at and to wait for.
    pub(super) fn state(&self) -> &Arc<Shared<State>> {
        &self.state
    }

    /// How many bytes of the first connection have passed from this end.
    pub(super) fn passed(&self, from: End) -> u64 {
        self.state.lock().passed[from as usize]
    }

    /// Waits until something is so; answers whether it came to that.
    pub(super) fn wait(&self, deadline: Deadline, is_so: impl Fn(&State) -> bool) -> bool {
        let look = |state: &mut State| is_so(state).then_some(());
        self.state.wait(deadline, look).is_some()
    }

    /// Whether the network has failed.
    pub(super) fn has_failed(&self) -> bool {
        self.state.lock().has_failed
    }

    /// Ends the connection that has failed, for both its ends.
    pub(super) fn end_connection(&self) {
        self.proxy.cut_all();
    }

    /// The network works again.
    pub(super) fn open(&self) {
        self.state.change(|state| state.is_open = true);
    }
}

/// Whoever still waits at the gate goes on, into connections that end with the proxy.
impl Drop for Gate {
    fn drop(&mut self) {
        self.open();
    }
}

/// One connection through the gate.
struct Passage {
    state: Arc<Shared<State>>,
    /// Where it fails, if it does.
    fails: Option<Fails>,
    is_first: bool,
    /// Bytes from each end that were let through and are not on their way yet.
    pending: [u64; 2],
}

impl Passage {
    /// How many bytes from this end may still pass before the network fails.
    fn left(&self, from: End) -> Option<u64> {
        let fails = self.fails.filter(|fails| fails.from == from)?;
        let passed = self.state.lock().passed[from as usize];
        Some(fails.after.saturating_sub(passed))
    }

    fn carry(&mut self, from: End, bytes: &[u8]) -> Vec<u8> {
        if self.left(from) == Some(0) {
            self.state.change(|state| state.has_failed = true);
        }
        let has_failed = self.fails.is_some() && self.state.lock().has_failed;
        let is_cut = |fails: Fails| fails.damage == Damage::Cut;
        if has_failed && self.fails.is_some_and(is_cut) {
            return Vec::new();
        }
        if has_failed || !self.is_first {
            self.await_opening();
        }
        self.pending[from as usize] = bytes.len() as u64;
        bytes.to_vec()
    }

    /// The connection stands still; both its directions do, since the other has to ask too.
    fn await_opening(&self) {
        let limit = Deadline::after(STANDSTILL_LIMIT);
        // One that is never let go passes on in the end, and finds nobody there.
        let _ = self.state.wait(limit, |state| state.is_open.then_some(()));
    }
}

impl Tamper for Passage {
    fn to_server(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.carry(End::Client, bytes)
    }

    fn to_client(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.carry(End::Server, bytes)
    }

    /// No piece goes beyond the place at which the network fails.
    fn room(&self, from: End) -> usize {
        match self.left(from) {
            Some(left @ 1..) => usize::try_from(left).unwrap_or(usize::MAX),
            _ => usize::MAX,
        }
    }

    fn passed(&mut self, from: End) {
        let pending = std::mem::take(&mut self.pending[from as usize]);
        if self.is_first {
            self.state
                .change(|state| state.passed[from as usize] += pending);
        }
        if self.left(from) == Some(0) {
            self.state.change(|state| state.has_failed = true);
        }
    }
}
