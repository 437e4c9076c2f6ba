//! A primary that the harness plays: it answers every handshake in the same way, stops at the request, and then sends
//! what it is told. Several connections may be open at a time, an abandoned old one beside a new one.
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::link::{Condition, Link, LinkId, Shared, listen};
use super::{Answer, PlayedError, Request};
use crate::conn::{Deadline, reset};
use crate::transcript::Transcript;
use crate::wire::{Command, Framing};

/// The most connections of one case, closed ones included: a subject that retries every second for five minutes.
const MAX_LINKS: usize = 300;

#[derive(Debug)]
struct State {
    accepts: bool,
    is_stopping: bool,
    held: VecDeque<TcpStream>,
    links: BTreeMap<LinkId, Link>,
    transcript: Transcript,
}

/// A listening primary; everything it started ends when it is dropped.
#[derive(Debug)]
pub struct PlayedPrimary {
    addr: SocketAddr,
    shared: Arc<Shared<State>>,
    acceptor: Option<JoinHandle<()>>,
    send_limit: Duration,
}

impl PlayedPrimary {
    /// Listens on a free port of the loopback and answers handshakes from now on. One act of sending takes at most
    /// `send_limit`. Each connection gets a transcript on the same clock as `transcript`.
    pub fn listen(send_limit: Duration, transcript: Transcript) -> Result<Self, PlayedError> {
        let failed = |source| PlayedError::Io {
            doing: "listen on 127.0.0.1",
            source,
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
        let addr = listener.local_addr().map_err(failed)?;
        let state = State {
            accepts: true,
            is_stopping: false,
            held: VecDeque::new(),
            links: BTreeMap::new(),
            transcript,
        };
        let shared = Shared::new(state);
        let ours = Arc::clone(&shared);
        let acceptor = Some(thread::spawn(move || accept_all(&listener, &ours)));
        Ok(Self {
            addr,
            shared,
            acceptor,
            send_limit,
        })
    }

    /// Where it listens: what a subject is told to follow.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// From now on new connections are taken and never answered, or answered again, those held back first.
    pub fn set_accepting(&self, accepts: bool) {
        let held = self.shared.change(|state| {
            state.accepts = accepts;
            if accepts {
                std::mem::take(&mut state.held)
            } else {
                VecDeque::new()
            }
        });
        for stream in held {
            start_link(stream, &self.shared);
        }
    }

    /// The next request on any connection, with its connection. A subject that misbehaved meanwhile is an error, once.
    pub fn next_request(&self, deadline: Deadline) -> Result<(LinkId, Request), PlayedError> {
        let found = self.shared.wait(deadline, |state| {
            take_request(state)
                .map(Ok)
                .or_else(|| take_fault(state).map(Err))
        });
        found.unwrap_or_else(|| Err(self.timed_out("request", deadline)))
    }

    /// The next request on this connection: a subject whose first request was refused may ask again, in another way.
    pub fn next_request_on(
        &self,
        link: LinkId,
        deadline: Deadline,
    ) -> Result<Request, PlayedError> {
        self.on_link(link, "request", deadline, |link| link.requests.pop_front())
    }

    /// The next acknowledgement of a connection, in order of arrival.
    pub fn next_acknowledgement(
        &self,
        link: LinkId,
        deadline: Deadline,
    ) -> Result<i64, PlayedError> {
        self.on_link(link, "acknowledgement", deadline, |link| {
            link.acknowledgements.pop_front()
        })
    }

    /// Waits for an acknowledgement of at least this offset and returns it.
    pub fn await_acknowledgement(
        &self,
        link: LinkId,
        at_least: i64,
        deadline: Deadline,
    ) -> Result<i64, PlayedError> {
        self.on_link(link, "acknowledgement", deadline, |link| {
            link.last_acknowledged.filter(|&offset| offset >= at_least)
        })
    }

    /// The last acknowledgement of a connection, if there was one.
    pub fn last_acknowledgement(&self, link: LinkId) -> Option<i64> {
        self.shared.lock().links.get(&link)?.last_acknowledged
    }

    /// Forgets the acknowledgements that came so far, so that the next one is news.
    pub fn forget_acknowledgements(&self, link: LinkId) {
        self.shared.change(|state| {
            if let Some(link) = state.links.get_mut(&link) {
                link.acknowledgements.clear();
                link.last_acknowledged = None;
            }
        });
    }

    /// The commands of a connection's handshake.
    pub fn handshake(&self, link: LinkId) -> Vec<Command> {
        self.shared
            .lock()
            .links
            .get(&link)
            .map(|link| link.handshake.clone())
            .unwrap_or_default()
    }

    /// Waits until the subject has ended a connection.
    pub fn await_close(&self, link: LinkId, deadline: Deadline) -> Result<(), PlayedError> {
        let closed = self.shared.wait(deadline, |state| {
            let is_open = state.links.get(&link).is_some_and(|link| {
                matches!(link.condition, Condition::Listening | Condition::Deserted)
            });
            (!is_open).then_some(())
        });
        closed.ok_or_else(|| self.timed_out("end of a connection", deadline))
    }

    /// Whether a connection is open, abandoned or not.
    pub fn is_open(&self, link: LinkId) -> bool {
        self.shared.lock().links.get(&link).is_some_and(is_open)
    }

    /// The transcripts of all connections, in order of arrival.
    pub fn transcripts(&self) -> Vec<Transcript> {
        self.shared
            .lock()
            .links
            .values()
            .map(|link| link.transcript.clone())
            .collect()
    }

    /// Sends bytes as they are: any part of a stream, split as one likes.
    pub fn send(&self, link: LinkId, bytes: &[u8]) -> Result<(), PlayedError> {
        let (mut stream, transcript) = self.writer(link)?;
        let failed = |source| PlayedError::Io {
            doing: "send to the subject",
            source,
        };
        stream
            .set_write_timeout(Some(self.send_limit))
            .map_err(failed)?;
        stream.write_all(bytes).map_err(failed)?;
        transcript.sent(bytes);
        Ok(())
    }

    /// Sends the answer to a request.
    pub fn answer(&self, link: LinkId, answer: &Answer) -> Result<(), PlayedError> {
        self.send(link, &answer.line())
    }

    /// Sends a line end, as a primary does that has nothing to say yet.
    pub fn keep_alive(&self, link: LinkId) -> Result<(), PlayedError> {
        self.send(link, b"\n")
    }

    /// Sends a snapshot with its length before it.
    pub fn payload_with_length(&self, link: LinkId, snapshot: &[u8]) -> Result<(), PlayedError> {
        self.send(
            link,
            &[
                Framing::Length(snapshot.len() as u64).header(),
                snapshot.to_vec(),
            ]
            .concat(),
        )
    }

    /// Sends a snapshot between two marks.
    pub fn payload_with_mark(
        &self,
        link: LinkId,
        snapshot: &[u8],
        mark: [u8; 40],
    ) -> Result<(), PlayedError> {
        self.send(
            link,
            &[
                Framing::Mark(mark).header(),
                snapshot.to_vec(),
                mark.to_vec(),
            ]
            .concat(),
        )
    }

    /// Ends a connection in an orderly way: what was sent arrives, then the end.
    pub fn close(&self, link: LinkId) -> Result<(), PlayedError> {
        let stream = self.take_stream(link, Condition::Closed)?;
        stream
            .shutdown(Shutdown::Both)
            .or_else(ignore_unconnected)
            .map_err(|source| PlayedError::Io {
                doing: "close a connection",
                source,
            })
    }

    /// Ends a connection with a reset; bytes on their way are lost.
    pub fn reset(&self, link: LinkId) -> Result<(), PlayedError> {
        let stream = self.take_stream(link, Condition::Closed)?;
        reset(stream).map_err(|source| PlayedError::Io {
            doing: "reset a connection",
            source,
        })
    }

    /// Stops reading a connection and answering on it, and leaves it open. It can still be written to and closed.
    pub fn abandon(&self, link: LinkId) -> Result<(), PlayedError> {
        let stream = self.take_stream(link, Condition::Deserted)?;
        self.shared.change(|state| {
            state
                .links
                .get_mut(&link)
                .map(|link| link.stream = Some(stream))
        });
        Ok(())
    }

    /// Waits for something on one connection; its end or its fault ends the wait.
    fn on_link<R>(
        &self,
        link: LinkId,
        waiting_for: &'static str,
        deadline: Deadline,
        mut look: impl FnMut(&mut Link) -> Option<R>,
    ) -> Result<R, PlayedError> {
        let closed = || Some(Err(PlayedError::LinkClosed { link, waiting_for }));
        let found = self.shared.wait(deadline, |state| {
            let Some(known) = state.links.get_mut(&link) else {
                return closed();
            };
            match (look(known), &known.condition) {
                (Some(found), _) => Some(Ok(found)),
                (None, Condition::Closed) => closed(),
                (None, Condition::Faulty(fault)) => Some(Err(PlayedError::Peer {
                    link,
                    fault: fault.clone(),
                })),
                (None, Condition::Listening | Condition::Deserted) => None,
            }
        });
        found.unwrap_or_else(|| Err(self.timed_out(waiting_for, deadline)))
    }

    fn writer(&self, link: LinkId) -> Result<(TcpStream, Transcript), PlayedError> {
        let state = self.shared.lock();
        let known = state.links.get(&link).filter(|link| is_open(link));
        let (stream, transcript) = known
            .and_then(|link| link.stream.as_ref().zip(Some(link.transcript.clone())))
            .ok_or(PlayedError::LinkClosed {
                link,
                waiting_for: "a chance to send",
            })?;
        let stream = stream.try_clone().map_err(|source| PlayedError::Io {
            doing: "send to the subject",
            source,
        })?;
        Ok((stream, transcript))
    }

    /// Stops the listening thread of a connection and takes its socket, the last handle to it.
    fn take_stream(&self, link: LinkId, condition: Condition) -> Result<TcpStream, PlayedError> {
        let taken = self.shared.change(|state| {
            let known = state.links.get_mut(&link)?;
            if matches!(known.condition, Condition::Listening | Condition::Deserted) {
                known.condition = condition;
            }
            Some((known.stream.take()?, known.thread.take()))
        });
        let (stream, thread) = taken.ok_or(PlayedError::LinkClosed {
            link,
            waiting_for: "a chance to close",
        })?;
        join(thread);
        Ok(stream)
    }

    fn timed_out(&self, waiting_for: &'static str, deadline: Deadline) -> PlayedError {
        let connections = self
            .shared
            .lock()
            .links
            .values()
            .filter(|link| is_open(link))
            .count();
        PlayedError::TimedOut {
            waiting_for,
            limit_ms: deadline.limit_ms(),
            connections,
        }
    }
}

impl Drop for PlayedPrimary {
    fn drop(&mut self) {
        let threads: Vec<Option<JoinHandle<()>>> = self.shared.change(|state| {
            state.is_stopping = true;
            state
                .links
                .values_mut()
                .for_each(|link| link.condition = Condition::Closed);
            state
                .links
                .values_mut()
                .map(|link| link.thread.take())
                .collect()
        });
        // One more connection wakes the acceptor, which then sees that it should stop.
        let _ = TcpStream::connect(self.addr);
        join(self.acceptor.take());
        threads.into_iter().for_each(join);
    }
}

fn join(thread: Option<JoinHandle<()>>) {
    if let Some(thread) = thread {
        // A panic of the thread was printed where it happened; there is nobody here to pass it to.
        let _ = thread.join();
    }
}

/// A socket whose other end is gone already is closed enough.
fn ignore_unconnected(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotConnected {
        Ok(())
    } else {
        Err(error)
    }
}

fn is_open(link: &Link) -> bool {
    matches!(link.condition, Condition::Listening | Condition::Deserted)
}

fn take_request(state: &mut State) -> Option<(LinkId, Request)> {
    state
        .links
        .iter_mut()
        .find_map(|(&id, link)| link.requests.pop_front().map(|request| (id, request)))
}

fn take_fault(state: &mut State) -> Option<PlayedError> {
    state
        .links
        .iter_mut()
        .find_map(|(&id, link)| match &link.condition {
            Condition::Faulty(fault) if !link.is_reported => {
                link.is_reported = true;
                Some(PlayedError::Peer {
                    link: id,
                    fault: fault.clone(),
                })
            }
            _ => None,
        })
}

fn accept_all(listener: &TcpListener, shared: &Arc<Shared<State>>) {
    for stream in listener.incoming() {
        if shared.lock().is_stopping {
            return;
        }
        // A connection that failed before it was taken is no connection.
        let Ok(stream) = stream else { continue };
        let now = shared.change(|state| {
            if state.accepts {
                return Some(stream);
            }
            if state.held.len() < MAX_LINKS {
                state.held.push_back(stream);
            }
            None
        });
        if let Some(stream) = now {
            start_link(stream, shared);
        }
    }
}

/// Gives a connection its number and its listening thread; beyond the limit it is dropped, and the case times out.
fn start_link(stream: TcpStream, shared: &Arc<Shared<State>>) {
    let Ok(writer) = stream.try_clone() else {
        return;
    };
    let mut state = shared.lock();
    if state.links.len() >= MAX_LINKS || state.is_stopping {
        return;
    }
    let id = LinkId(state.links.len() as u64 + 1);
    let transcript = state
        .transcript
        .sibling(format!("{} {id}", state.transcript.label()));
    let mut link = Link::new(writer, transcript.clone());
    let ours = Arc::clone(shared);
    link.thread = Some(thread::spawn(move || {
        listen(stream, transcript, &ours, |state: &mut State| {
            state.links.get_mut(&id)
        });
    }));
    state.links.insert(id, link);
}
