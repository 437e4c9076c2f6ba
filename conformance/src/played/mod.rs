//! Two mechanical actors: a replica and a primary that do exactly what they are told and judge nothing. They know how
//! the lines of the handshake look (`PROTOCOL §2.1` to §2.4), never whether one was the right one.
use std::fmt;

use thiserror::Error;

use crate::conn::ConnError;
use crate::wire::{Body, Command, Excerpt, WireError};

mod link;
mod primary;
mod replica;

pub use link::LinkId;
pub(crate) use link::Shared;
pub use primary::PlayedPrimary;
pub use replica::{Abandoned, PlayedReplica};

/// What a replica asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// `SYNC`.
    Sync,
    /// `PSYNC <id> <next byte>`.
    Psync {
        /// The ID as it is written; `?` when the replica has none.
        id: String,
        /// The first byte wanted, or -1.
        next_byte: i64,
    },
}

impl Request {
    /// `PSYNC ? -1`: whatever there is.
    pub fn from_nothing() -> Self {
        Self::Psync {
            id: "?".into(),
            next_byte: -1,
        }
    }

    /// The words of the command.
    pub fn words(&self) -> Vec<String> {
        match self {
            Self::Sync => vec!["SYNC".into()],
            Self::Psync { id, next_byte } => {
                vec!["PSYNC".into(), id.clone(), next_byte.to_string()]
            }
        }
    }

    /// Reads a request; nothing when the command is another one, an error when it is one that cannot be read.
    pub(crate) fn of(command: &Command) -> Option<Result<Self, PeerFault>> {
        match command.name().as_str() {
            "SYNC" => Some(Ok(Self::Sync)),
            "PSYNC" => {
                let next_byte = command.arg_text(1).and_then(|text| text.parse().ok());
                let request = command
                    .arg_text(0)
                    .zip(next_byte)
                    .map(|(id, next_byte)| Self::Psync { id, next_byte });
                Some(request.ok_or_else(|| PeerFault::BadRequest {
                    came: command.clone(),
                }))
            }
            _ => None,
        }
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.words().join(" "))
    }
}

/// What a primary answers to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// `+FULLRESYNC <id> <offset>`.
    FullResync {
        /// The ID as it is written.
        id: String,
        /// The offset of the snapshot.
        offset: i64,
    },
    /// `+CONTINUE` or `+CONTINUE <id>`.
    Continue {
        /// The ID as it is written, when there is one.
        id: Option<String>,
    },
    /// `-…`, without the sign.
    Error(String),
}

impl Answer {
    /// The line on the wire.
    pub fn line(&self) -> Vec<u8> {
        match self {
            Self::FullResync { id, offset } => format!("+FULLRESYNC {id} {offset}\r\n"),
            Self::Continue { id: Some(id) } => format!("+CONTINUE {id}\r\n"),
            Self::Continue { id: None } => "+CONTINUE\r\n".to_owned(),
            Self::Error(text) => format!("-{text}\r\n"),
        }
        .into_bytes()
    }

    /// Reads the text of a status line; nothing when it is no answer to a request.
    pub fn of_status(text: &str) -> Option<Self> {
        let words: Vec<&str> = text.split(' ').collect();
        match words[..] {
            ["FULLRESYNC", id, offset] => Some(Self::FullResync {
                id: id.to_owned(),
                offset: offset.parse().ok()?,
            }),
            ["CONTINUE"] => Some(Self::Continue { id: None }),
            ["CONTINUE", id] => Some(Self::Continue {
                id: Some(id.to_owned()),
            }),
            _ => None,
        }
    }
}

/// Something a subject sent that no replica may send to a primary.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PeerFault {
    /// Bytes that are no command.
    #[error("it sent bytes that cannot be read: {0}")]
    Wire(WireError),
    /// A command that does not belong there.
    #[error("it sent {came:?} where {expected} belongs")]
    UnexpectedCommand {
        /// What came.
        came: Command,
        /// What may come.
        expected: &'static str,
    },
    /// A PSYNC without an ID or without a number.
    #[error("it sent {came:?}, which is no PSYNC <id> <number>")]
    BadRequest {
        /// What came.
        came: Command,
    },
    /// A handshake without end.
    #[error("it sent {count} commands of a handshake and no request")]
    EndlessHandshake {
        /// How many came.
        count: usize,
    },
    /// The socket failed.
    #[error("its socket failed: {0}")]
    Socket(String),
}

/// An actor that could not do what it was told, or did not get what it waited for.
#[derive(Debug, Error)]
pub enum PlayedError {
    /// The connection failed.
    #[error(transparent)]
    Conn(#[from] ConnError),
    /// The operating system refused.
    #[error("played primary could not {doing}: {source}")]
    Io {
        /// What was attempted.
        doing: &'static str,
        /// Why not.
        source: std::io::Error,
    },
    /// A subject's primary side answered with something else.
    #[error("the primary must answer with {expected}, and {came:?} came")]
    Unexpected {
        /// What may come.
        expected: &'static str,
        /// What came.
        came: Body,
    },
    /// The subject misbehaved as a replica.
    #[error("{link}: the subject misbehaved: {fault}")]
    Peer {
        /// On which connection.
        link: LinkId,
        /// How.
        fault: PeerFault,
    },
    /// Nothing came in time.
    #[error("no {waiting_for} came within {limit_ms} ms; {connections} connections are open")]
    TimedOut {
        /// What was awaited.
        waiting_for: &'static str,
        /// How long, in milliseconds.
        limit_ms: u64,
        /// How many connections the subject has to us.
        connections: usize,
    },
    /// The connection is over.
    #[error("{link} is closed; {waiting_for} was awaited on it")]
    LinkClosed {
        /// Which connection.
        link: LinkId,
        /// What was awaited.
        waiting_for: &'static str,
    },
}

/// A body as an unexpected answer, with a long payload left out.
pub(crate) fn unexpected(expected: &'static str, came: Body) -> PlayedError {
    let came = match came {
        Body::Payload(bytes) => Body::Payload(Excerpt::of(&bytes).bytes().to_vec()),
        other => other,
    };
    PlayedError::Unexpected { expected, came }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_as_they_are_written() {
        let answers = [
            Answer::FullResync {
                id: "a".repeat(40),
                offset: -1,
            },
            Answer::Continue { id: None },
            Answer::Continue {
                id: Some("b".into()),
            },
        ];
        for answer in answers {
            let line = String::from_utf8(answer.line()).unwrap();
            assert_eq!(Answer::of_status(line[1..].trim_end()), Some(answer));
        }
        for text in [
            "FULLRESYNC",
            "FULLRESYNC a",
            "FULLRESYNC a x",
            "CONTINUE a b",
            "OK",
            "",
        ] {
            assert_eq!(Answer::of_status(text), None);
        }
    }
}
