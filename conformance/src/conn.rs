//! One TCP connection of the harness: bytes with a deadline on every wait, and a transcript of both directions.
//! The only place where the harness waits for a peer on a socket.
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use thiserror::Error;

use crate::reply::{Reply, parse_reply};
use crate::transcript::Transcript;
use crate::wire::{Excerpt, Item, Phase, Reader, WireError};

/// How many bytes one read takes at most: twice the value the judge writes most.
const READ_BYTES: usize = 64 * 1024;

/// The moment until which something may be awaited.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    started: Instant,
    limit: Duration,
}

impl Deadline {
    /// That long from now.
    pub fn after(limit: Duration) -> Self {
        Self {
            started: Instant::now(),
            limit,
        }
    }

    /// That many milliseconds from now.
    pub fn after_ms(limit_ms: u64) -> Self {
        Self::after(Duration::from_millis(limit_ms))
    }

    /// What is left, or nothing when it has passed.
    pub fn remaining(&self) -> Option<Duration> {
        self.limit
            .checked_sub(self.started.elapsed())
            .filter(|left| !left.is_zero())
    }

    /// The whole wait in milliseconds, for messages.
    pub fn limit_ms(&self) -> u64 {
        self.limit.as_millis() as u64
    }
}

/// A connection that did not bring what was awaited.
#[derive(Debug, Error)]
pub enum ConnError {
    /// The operating system refused.
    #[error("could not {doing} {peer}: {source}")]
    Io {
        /// What was attempted.
        doing: &'static str,
        /// With whom.
        peer: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// Nothing complete came in time.
    #[error(
        "{peer} sent no complete {waiting_for} within {limit_ms} ms (incomplete: {incomplete})"
    )]
    TimedOut {
        /// From whom.
        peer: SocketAddr,
        /// What was awaited.
        waiting_for: &'static str,
        /// How long, in milliseconds.
        limit_ms: u64,
        /// What had arrived of it.
        incomplete: Excerpt,
    },
    /// The peer closed or reset the connection.
    #[error(
        "{peer} closed the connection while {waiting_for} was awaited (incomplete: {incomplete})"
    )]
    Closed {
        /// Who.
        peer: SocketAddr,
        /// What was awaited.
        waiting_for: &'static str,
        /// What had arrived of it.
        incomplete: Excerpt,
    },
    /// Bytes came that are no item.
    #[error("{peer} sent bytes that cannot be read: {source}")]
    Wire {
        /// Who.
        peer: SocketAddr,
        /// What is wrong with them.
        source: WireError,
    },
}

/// A connection, the reader of what comes in, and the transcript of both ways.
#[derive(Debug)]
pub struct Conn {
    stream: TcpStream,
    peer: SocketAddr,
    reader: Reader,
    transcript: Transcript,
}

impl Conn {
    /// Connects; `phase` is the alphabet the peer will speak first.
    pub fn connect(
        peer: SocketAddr,
        phase: Phase,
        deadline: Deadline,
        transcript: Transcript,
    ) -> Result<Self, ConnError> {
        let left = deadline.remaining().unwrap_or(Duration::from_millis(1));
        let stream = TcpStream::connect_timeout(&peer, left).map_err(|source| ConnError::Io {
            doing: "connect to",
            peer,
            source,
        })?;
        Self::over(stream, phase, transcript)
    }

    /// Takes over a connection that is open already.
    pub fn over(
        stream: TcpStream,
        phase: Phase,
        transcript: Transcript,
    ) -> Result<Self, ConnError> {
        let unknown = SocketAddr::from(([0, 0, 0, 0], 0));
        let peer = stream.peer_addr().map_err(|source| ConnError::Io {
            doing: "name the peer of",
            peer: unknown,
            source,
        })?;
        stream.set_nodelay(true).map_err(|source| ConnError::Io {
            doing: "set up the connection to",
            peer,
            source,
        })?;
        Ok(Self {
            stream,
            peer,
            reader: Reader::new(phase),
            transcript,
        })
    }

    /// The other end.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// What was said so far.
    pub fn transcript(&self) -> &Transcript {
        &self.transcript
    }

    /// The reader, for incomplete items and raw bytes.
    pub fn reader(&mut self) -> &mut Reader {
        &mut self.reader
    }

    /// The socket, for those who hold it open or reset it.
    pub fn into_stream(self) -> TcpStream {
        self.stream
    }

    /// Sends all bytes, or fails at the deadline.
    pub fn send(&mut self, bytes: &[u8], deadline: Deadline) -> Result<(), ConnError> {
        let peer = self.peer;
        let failed = |source| ConnError::Io {
            doing: "send to",
            peer,
            source,
        };
        self.stream
            .set_write_timeout(Some(
                deadline.remaining().unwrap_or(Duration::from_millis(1)),
            ))
            .map_err(failed)?;
        self.stream.write_all(bytes).map_err(failed)?;
        self.transcript.sent(bytes);
        Ok(())
    }

    /// The next item of a replication connection.
    pub fn next_item(&mut self, deadline: Deadline) -> Result<Item, ConnError> {
        loop {
            let found = self.reader.next_item().map_err(|source| ConnError::Wire {
                peer: self.peer,
                source,
            })?;
            match found {
                Some(item) => return Ok(item),
                None => self.fill("item", deadline)?,
            }
        }
    }

    /// The next reply of a control connection.
    pub fn next_reply(&mut self, deadline: Deadline) -> Result<Reply, ConnError> {
        loop {
            let found = self.reader.next_reply().map_err(|source| ConnError::Wire {
                peer: self.peer,
                source,
            })?;
            match found {
                Some(reply) => return Ok(reply),
                None => self.fill("reply", deadline)?,
            }
        }
    }

    /// Waits until at least `count` bytes are here unread, as items or not.
    pub fn await_bytes(&mut self, count: u64, deadline: Deadline) -> Result<(), ConnError> {
        while self.reader.partial().map_or(0, |partial| partial.bytes) < count {
            self.fill("bytes", deadline)?;
        }
        Ok(())
    }

    /// Reads whatever comes next into the reader: at least one byte.
    pub fn fill(&mut self, waiting_for: &'static str, deadline: Deadline) -> Result<(), ConnError> {
        let peer = self.peer;
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let left = deadline
                .remaining()
                .ok_or_else(|| self.timed_out(waiting_for, deadline))?;
            self.stream
                .set_read_timeout(Some(left))
                .map_err(|source| ConnError::Io {
                    doing: "wait for",
                    peer,
                    source,
                })?;
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(self.closed(waiting_for)),
                Ok(count) => {
                    self.transcript.received(&buffer[..count]);
                    self.reader.feed(&buffer[..count]);
                    return Ok(());
                }
                Err(error) if is_wait(&error) => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                    return Err(self.closed(waiting_for));
                }
                Err(source) => {
                    return Err(ConnError::Io {
                        doing: "read from",
                        peer,
                        source,
                    });
                }
            }
        }
    }

    fn timed_out(&self, waiting_for: &'static str, deadline: Deadline) -> ConnError {
        let (peer, limit_ms, incomplete) = (self.peer, deadline.limit_ms(), self.incomplete());
        ConnError::TimedOut {
            peer,
            waiting_for,
            limit_ms,
            incomplete,
        }
    }

    fn closed(&self, waiting_for: &'static str) -> ConnError {
        ConnError::Closed {
            peer: self.peer,
            waiting_for,
            incomplete: self.incomplete(),
        }
    }

    fn incomplete(&self) -> Excerpt {
        self.reader
            .partial()
            .map_or_else(|| Excerpt::of(b""), |partial| partial.begins)
    }
}

impl Reader {
    /// Reads one reply of a control connection from the same buffer.
    fn next_reply(&mut self) -> Result<Option<Reply>, WireError> {
        let Some((reply, taken)) = parse_reply(self.buffered())? else {
            return Ok(None);
        };
        self.take_raw(taken);
        Ok(Some(reply))
    }
}

/// Whether a read or write ended only because its time was up or a signal came.
pub fn is_wait(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
    )
}

/// Closes a connection so that the peer sees a reset instead of an end; unsent bytes are lost.
pub fn reset(stream: TcpStream) -> io::Result<()> {
    rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO))?;
    drop(stream);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transcript::CaseClock;
    use std::net::TcpListener;

    fn pair() -> (Conn, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let transcript = Transcript::new("test", CaseClock::start());
        let conn = Conn::connect(
            listener.local_addr().unwrap(),
            Phase::Answers,
            Deadline::after_ms(1000),
            transcript,
        )
        .unwrap();
        (conn, listener.accept().unwrap().0)
    }

    #[test]
    fn silence_ends_at_the_deadline_and_shows_what_had_come() {
        let (mut conn, mut peer) = pair();
        peer.write_all(b"+FULLRES").unwrap();
        let error = conn.next_item(Deadline::after_ms(30)).unwrap_err();
        assert!(
            matches!(error, ConnError::TimedOut { limit_ms: 30, ref incomplete, .. } if incomplete.bytes() == b"+FULLRES"),
            "{error}"
        );
    }

    #[test]
    fn end_and_reset_of_the_peer_are_both_a_closed_connection() {
        let (mut conn, peer) = pair();
        drop(peer);
        assert!(matches!(
            conn.next_item(Deadline::after_ms(1000)),
            Err(ConnError::Closed { .. })
        ));
        let (mut conn, peer) = pair();
        reset(peer).unwrap();
        assert!(matches!(
            conn.next_item(Deadline::after_ms(1000)),
            Err(ConnError::Closed { .. })
        ));
    }
}
