//! What the played primary knows about one connection of a subject, and the thread that listens to it: it answers the
//! handshake, notes requests and acknowledgements, and says nothing else.
use std::collections::VecDeque;
use std::fmt;
use std::net::TcpStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use super::{PeerFault, Request};
use crate::conn::{Conn, ConnError, Deadline};
use crate::transcript::Transcript;
use crate::wire::{Body, Command, Phase};

/// How often a listening thread looks whether it should stop; the time an abandoned connection may still be read.
const LOOK_UP_MS: u64 = 10;
/// How long the answer to a handshake command may take to leave: a subject that asks and does not read is broken.
const ANSWER_LIMIT_MS: u64 = 5_000;
/// The most commands of one handshake: real replicas need six at most (`PROTOCOL §2.1`).
const MAX_HANDSHAKE_COMMANDS: usize = 32;
/// The most acknowledgements kept of one connection: one a second for a quarter of an hour.
const MAX_ACKNOWLEDGEMENTS: usize = 1_000;

/// One connection of a subject to the played primary, numbered from 1 in order of arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

impl fmt::Display for LinkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "link {}", self.0)
    }
}

/// How far a connection has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Condition {
    /// We listen.
    Listening,
    /// We were told to stop listening; the connection stays open.
    Deserted,
    /// It is over, by whomever.
    Closed,
    /// It is over because of what came.
    Faulty(PeerFault),
}

/// What is known about one connection.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) stream: Option<TcpStream>,
    pub(super) thread: Option<JoinHandle<()>>,
    pub(super) transcript: Transcript,
    pub(super) condition: Condition,
    pub(super) handshake: Vec<Command>,
    pub(super) requests: VecDeque<Request>,
    /// Whether a request was made, taken or not: afterwards the connection carries a stream, and nothing is answered.
    pub(super) has_asked: bool,
    pub(super) acknowledgements: VecDeque<i64>,
    pub(super) last_acknowledged: Option<i64>,
    /// Whether a fault was already reported.
    pub(super) is_reported: bool,
}

impl Link {
    pub(super) fn new(stream: TcpStream, transcript: Transcript) -> Self {
        Self {
            stream: Some(stream),
            thread: None,
            transcript,
            condition: Condition::Listening,
            handshake: Vec::new(),
            requests: VecDeque::new(),
            has_asked: false,
            acknowledgements: VecDeque::new(),
            last_acknowledged: None,
            is_reported: false,
        }
    }

    /// Notes a command; the answer it gets, if it gets one.
    fn hear(&mut self, command: Command) -> Result<Option<&'static [u8]>, PeerFault> {
        if let Some(request) = Request::of(&command) {
            self.requests.push_back(request?);
            self.has_asked = true;
            return Ok(None);
        }
        if let Some(offset) = acknowledgement(&command) {
            self.acknowledge(offset);
            return Ok(None);
        }
        if self.has_asked {
            return Err(PeerFault::UnexpectedCommand {
                came: command,
                expected: "REPLCONF ACK, PSYNC or SYNC",
            });
        }
        self.greet(command).map(Some)
    }

    fn greet(&mut self, command: Command) -> Result<&'static [u8], PeerFault> {
        let answer: &[u8] = match command.name().as_str() {
            "PING" => b"+PONG\r\n",
            "AUTH" => b"+OK\r\n",
            "REPLCONF" if is_known_option(&command) => b"+OK\r\n",
            "REPLCONF" => b"-ERR Unrecognized REPLCONF option\r\n",
            // Some servers begin with a word of their own, and go on without it where it is not known.
            _ => b"-ERR unknown command\r\n",
        };
        self.handshake.push(command);
        match self.handshake.len() {
            count if count > MAX_HANDSHAKE_COMMANDS => Err(PeerFault::EndlessHandshake { count }),
            _ => Ok(answer),
        }
    }

    fn acknowledge(&mut self, offset: i64) {
        self.last_acknowledged = Some(offset);
        self.acknowledgements.push_back(offset);
        if self.acknowledgements.len() > MAX_ACKNOWLEDGEMENTS {
            self.acknowledgements.pop_front();
        }
    }
}

/// Whether a primary of Redis or Valkey knows what it is told; some replicas listen to what it says to other things.
fn is_known_option(command: &Command) -> bool {
    let option = command.arg_text(0).unwrap_or_default();
    ["listening-port", "ip-address", "capa", "version"]
        .iter()
        .any(|known| option.eq_ignore_ascii_case(known))
}

/// The number in `REPLCONF ACK <number> …`.
fn acknowledgement(command: &Command) -> Option<i64> {
    let is_acknowledgement =
        command.name() == "REPLCONF" && command.arg_text(0)?.eq_ignore_ascii_case("ack");
    if is_acknowledgement {
        command.arg_text(1)?.parse().ok()
    } else {
        None
    }
}

/// Something that several threads change and one waits for.
#[derive(Debug)]
pub(crate) struct Shared<T> {
    state: Mutex<T>,
    changed: Condvar,
}

impl<T> Shared<T> {
    pub(crate) fn new(state: T) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
        })
    }

    /// A panic elsewhere ends the case; what was noted until then stays readable.
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state and wakes whoever waits.
    pub(crate) fn change<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let result = change(&mut self.lock());
        self.changed.notify_all();
        result
    }

    /// Waits until `look` finds something, or returns nothing at the deadline.
    pub(crate) fn wait<R>(
        &self,
        deadline: Deadline,
        mut look: impl FnMut(&mut T) -> Option<R>,
    ) -> Option<R> {
        let mut state = self.lock();
        loop {
            if let Some(found) = look(&mut state) {
                return Some(found);
            }
            let left = deadline.remaining()?;
            state = self
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }
}

/// Listens to one connection until it ends or is deserted. `note` runs under the lock of the shared state.
pub(super) fn listen<T>(
    stream: TcpStream,
    transcript: Transcript,
    shared: &Shared<T>,
    link: impl Fn(&mut T) -> Option<&mut Link>,
) {
    let Ok(mut conn) = Conn::over(stream, Phase::Requests, transcript) else {
        shared.change(|state| {
            if let Some(link) = link(state) {
                link.condition = Condition::Closed;
            }
        });
        return;
    };
    loop {
        let heard = conn.next_item(Deadline::after_ms(LOOK_UP_MS));
        let answer = shared.change(|state| {
            let link = link(state).filter(|link| link.condition == Condition::Listening)?;
            match note(link, heard) {
                Ok(answer) => Some(answer),
                Err(condition) => {
                    link.condition = condition;
                    None
                }
            }
        });
        let Some(answer) = answer else { return };
        // A peer that is gone shows at the next read.
        let _ = conn.send(answer, Deadline::after_ms(ANSWER_LIMIT_MS));
    }
}

fn note(
    link: &mut Link,
    heard: Result<crate::wire::Item, ConnError>,
) -> Result<&'static [u8], Condition> {
    match heard {
        Ok(item) => match item.body {
            Body::Command(command) => link
                .hear(command)
                .map(Option::unwrap_or_default)
                .map_err(Condition::Faulty),
            _ => Ok(b""),
        },
        Err(ConnError::TimedOut { .. }) => Ok(b""),
        Err(ConnError::Closed { .. }) => Err(Condition::Closed),
        Err(ConnError::Wire { source, .. }) => Err(Condition::Faulty(PeerFault::Wire(source))),
        Err(ConnError::Io { source, .. }) => {
            Err(Condition::Faulty(PeerFault::Socket(source.to_string())))
        }
    }
}
