//! What the tests share: limits, a clock, and redis-server when this machine has one.
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use psync_conformance::conn::Deadline;
use psync_conformance::process::{StartOptions, Subject};
use psync_conformance::profile::Profile;
use psync_conformance::transcript::{CaseClock, Transcript};

use crate::redis_server::has_redis;

/// Long enough for a busy machine; no test that passes waits for it.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

pub(crate) fn deadline() -> Deadline {
    Deadline::after(LIMIT)
}

/// A deadline for things that must *not* come.
pub(crate) fn shortly() -> Deadline {
    Deadline::after_ms(60)
}

pub(crate) fn transcript(label: &str) -> Transcript {
    Transcript::new(label, CaseClock::start())
}

/// A redis-server, or nothing with a message when there is none; in continuous integration that is a failure.
pub(crate) fn redis(options: &StartOptions) -> Option<Subject> {
    if !has_redis() {
        return None;
    }
    Some(Subject::start(&Profile::load("redis").unwrap(), options).unwrap())
}

/// Lets one function serve the first connection to a fresh port.
pub(crate) fn serve_one<T: Send + 'static>(
    serve: impl FnOnce(TcpStream) -> T + Send + 'static,
) -> (SocketAddr, JoinHandle<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    (
        addr,
        thread::spawn(move || serve(listener.accept().unwrap().0)),
    )
}
