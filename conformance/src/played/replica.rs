//! A replica that the harness plays: it connects to a subject, says the handshake of an era, asks what it is told to
//! ask, reads when it is told to read, acknowledges when it is told to acknowledge.
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::{Answer, PlayedError, Request, unexpected};
use crate::conn::{Conn, Deadline, reset};
use crate::era::Era;
use crate::transcript::Transcript;
use crate::wire::{Body, Command, Framing, Item, Phase, encode};

/// One connection to a primary.
#[derive(Debug)]
pub struct PlayedReplica {
    conn: Conn,
    send_limit: Duration,
}

/// A connection nobody reads or writes any more; the peer cannot know. Dropping it closes it.
#[derive(Debug)]
pub struct Abandoned {
    _stream: TcpStream,
}

impl PlayedReplica {
    /// Connects and says the handshake up to, but not including, the request. `listening_port` is announced and never
    /// connected to. A refused REPLCONF is no failure, as for every replica (`PROTOCOL §2.1`).
    pub fn handshake(
        addr: SocketAddr,
        era: Era,
        listening_port: u16,
        limit: Duration,
        transcript: Transcript,
    ) -> Result<Self, PlayedError> {
        let deadline = Deadline::after(limit);
        let mut replica = Self::connect(addr, limit, transcript)?;
        match replica.round_trip(&["PING"], deadline)? {
            Body::Status(text) if text == "PONG" => {}
            came => return Err(unexpected("PONG", came)),
        }
        replica.round_trip(
            &["REPLCONF", "listening-port", &listening_port.to_string()],
            deadline,
        )?;
        if !era.capabilities().is_empty() {
            let capabilities = era.capabilities().iter().flat_map(|name| ["capa", name]);
            let words: Vec<&str> = ["REPLCONF"].into_iter().chain(capabilities).collect();
            replica.round_trip(&words, deadline)?;
        }
        Ok(replica)
    }

    /// Connects and says nothing: a stranger, or a replica of an era without a handshake.
    pub fn connect(
        addr: SocketAddr,
        limit: Duration,
        transcript: Transcript,
    ) -> Result<Self, PlayedError> {
        let conn = Conn::connect(addr, Phase::Answers, Deadline::after(limit), transcript)?;
        Ok(Self {
            conn,
            send_limit: limit,
        })
    }

    /// What was said so far.
    pub fn transcript(&self) -> &Transcript {
        self.conn.transcript()
    }

    /// The connection itself, for bytes of one's own and for what has half arrived.
    pub fn conn(&mut self) -> &mut Conn {
        &mut self.conn
    }

    /// Sends the request.
    pub fn ask(&mut self, request: &Request) -> Result<(), PlayedError> {
        self.say(&request.words())
    }

    /// Sends `REPLCONF ACK <offset>`; there is never a reply.
    pub fn acknowledge(&mut self, offset: i64) -> Result<(), PlayedError> {
        self.say(&["REPLCONF", "ACK", &offset.to_string()])
    }

    /// Sends any command.
    pub fn say<W: AsRef<[u8]>>(&mut self, words: &[W]) -> Result<(), PlayedError> {
        Ok(self
            .conn
            .send(&encode(words), Deadline::after(self.send_limit))?)
    }

    /// The next item, whatever it is.
    pub fn next_item(&mut self, deadline: Deadline) -> Result<Item, PlayedError> {
        Ok(self.conn.next_item(deadline)?)
    }

    /// The answer to a PSYNC; keep-alives before it are passed over.
    pub fn answer(&mut self, deadline: Deadline) -> Result<Answer, PlayedError> {
        match self.next_spoken(deadline)? {
            Body::Error(text) => Ok(Answer::Error(text)),
            Body::Status(text) => Answer::of_status(&text)
                .ok_or_else(|| unexpected("FULLRESYNC, CONTINUE or an error", Body::Status(text))),
            came => Err(unexpected("FULLRESYNC, CONTINUE or an error", came)),
        }
    }

    /// The line that announces the snapshot; keep-alives before it are passed over.
    pub fn payload_start(&mut self, deadline: Deadline) -> Result<Framing, PlayedError> {
        match self.next_spoken(deadline)? {
            Body::PayloadStart(framing) => Ok(framing),
            came => Err(unexpected("the start of a snapshot", came)),
        }
    }

    /// The whole snapshot with its announcement.
    pub fn payload(&mut self, deadline: Deadline) -> Result<(Framing, Vec<u8>), PlayedError> {
        let framing = self.payload_start(deadline)?;
        match self.next_item(deadline)?.body {
            Body::Payload(snapshot) => Ok((framing, snapshot)),
            came => Err(unexpected("a snapshot", came)),
        }
    }

    /// The next command of the stream and the bytes it took.
    pub fn stream_command(&mut self, deadline: Deadline) -> Result<(Command, u64), PlayedError> {
        let item = self.next_item(deadline)?;
        match item.body {
            Body::Command(command) => Ok((command, item.bytes)),
            came => Err(unexpected("a command of the stream", came)),
        }
    }

    /// Stops reading and writing and leaves the connection open, as a replica does whose machine lost its network.
    pub fn abandon(self) -> Abandoned {
        Abandoned {
            _stream: self.conn.into_stream(),
        }
    }

    /// Ends the connection in an orderly way.
    pub fn close(self) {
        drop(self);
    }

    /// Ends the connection with a reset; bytes on their way are lost.
    pub fn reset(self) -> Result<(), PlayedError> {
        reset(self.conn.into_stream()).map_err(|source| PlayedError::Io {
            doing: "reset a connection",
            source,
        })
    }

    fn next_spoken(&mut self, deadline: Deadline) -> Result<Body, PlayedError> {
        loop {
            match self.next_item(deadline)?.body {
                Body::KeepAlive => {}
                body => return Ok(body),
            }
        }
    }

    fn round_trip(&mut self, words: &[&str], deadline: Deadline) -> Result<Body, PlayedError> {
        self.say(words)?;
        self.next_spoken(deadline)
    }
}
