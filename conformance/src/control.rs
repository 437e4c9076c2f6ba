//! The control connection: the harness as an ordinary client of a subject. Every call has a deadline; nothing sleeps
//! except the short pause between two looks at INFO, because INFO cannot be subscribed to.
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use thiserror::Error;

use crate::conn::{Conn, ConnError, Deadline};
use crate::data::{DataSet, MAX_DATABASES};
use crate::info::{Info, InfoError, Replication};
use crate::reply::Reply;
use crate::transcript::Transcript;
use crate::wire::{Phase, encode, lossy};

/// The pause between two looks at INFO: a hundred looks cost less than one wrong millisecond.
const POLL_PAUSE: Duration = Duration::from_millis(1);
/// The most keys read back from one database: the judge's own data sets have a few.
pub const MAX_KEYS: usize = 10_000;
/// How many GETs are sent before their replies are read: 64 values of 32 KiB fit into the buffers of both ends.
const PIPELINED_GETS: usize = 64;

/// A command without an answer.
#[derive(Debug, Error)]
#[error("{command} was not answered: {source}")]
pub struct Unanswered {
    /// The command.
    pub command: String,
    /// What came instead.
    pub source: ConnError,
}

/// A control connection that did not do what an ordinary client may expect.
#[derive(Debug, Error)]
pub enum ControlError {
    /// The connection failed.
    #[error("control connection: {0}")]
    Conn(#[from] ConnError),
    /// No answer came.
    #[error("{0}")]
    Unanswered(Box<Unanswered>),
    /// The server answered with an error.
    #[error("{command} was refused: {error}")]
    Refused {
        /// The command.
        command: String,
        /// The server's text.
        error: String,
    },
    /// The server answered with something of another kind.
    #[error("{command} must be answered with {expected}, and {came} came")]
    Answer {
        /// The command.
        command: String,
        /// The kind expected.
        expected: &'static str,
        /// What came.
        came: Reply,
    },
    /// INFO could not be read.
    #[error("control connection: {0}")]
    Info(#[from] InfoError),
    /// More keys than the judge is willing to read back.
    #[error("database {database} holds {count} keys; the judge reads back at most {MAX_KEYS}")]
    TooManyKeys {
        /// The database.
        database: u32,
        /// How many keys it has.
        count: usize,
    },
    /// An observation did not come in time.
    #[error("{waiting_for} was not seen within {limit_ms} ms; INFO last said {last:?}")]
    NotSeen {
        /// What was awaited.
        waiting_for: String,
        /// How long, in milliseconds.
        limit_ms: u64,
        /// The last INFO.
        last: Box<Info>,
    },
}

/// An ordinary client of the subject.
#[derive(Debug)]
pub struct Control {
    conn: Conn,
    reply_limit: Duration,
}

impl Control {
    /// Connects; each later call waits at most `reply_limit` for its reply.
    pub fn connect(
        addr: SocketAddr,
        reply_limit: Duration,
        transcript: Transcript,
    ) -> Result<Self, ControlError> {
        let conn = Conn::connect(
            addr,
            Phase::Answers,
            Deadline::after(reply_limit),
            transcript,
        )?;
        Ok(Self { conn, reply_limit })
    }

    /// What was said so far.
    pub fn transcript(&self) -> &Transcript {
        self.conn.transcript()
    }

    /// Where it is connected to.
    pub fn peer(&self) -> SocketAddr {
        self.conn.peer()
    }

    /// Sends one command and returns its reply, an error reply too.
    pub fn command<W: AsRef<[u8]>>(&mut self, words: &[W]) -> Result<Reply, ControlError> {
        let deadline = Deadline::after(self.reply_limit);
        self.send(words)?;
        let came = self.conn.next_reply(deadline);
        came.map_err(|source| {
            ControlError::Unanswered(Box::new(Unanswered {
                command: shown(words),
                source,
            }))
        })
    }

    /// Sends one command without waiting; [`Control::reply`] takes its reply. For commands that block.
    pub fn send<W: AsRef<[u8]>>(&mut self, words: &[W]) -> Result<(), ControlError> {
        Ok(self
            .conn
            .send(&encode(words), Deadline::after(self.reply_limit))?)
    }

    /// The reply to the oldest command sent without waiting.
    pub fn reply(&mut self, deadline: Deadline) -> Result<Reply, ControlError> {
        Ok(self.conn.next_reply(deadline)?)
    }

    /// Like [`Control::command`], with an error reply made an error.
    pub fn accepted<W: AsRef<[u8]>>(&mut self, words: &[W]) -> Result<Reply, ControlError> {
        match self.command(words)? {
            Reply::Error(error) => Err(ControlError::Refused {
                command: shown(words),
                error,
            }),
            reply => Ok(reply),
        }
    }

    /// Sends a command that must be answered `+OK`.
    pub fn expect_ok<W: AsRef<[u8]>>(&mut self, words: &[W]) -> Result<(), ControlError> {
        match self.accepted(words)? {
            Reply::Status(text) if text.starts_with("OK") => Ok(()),
            came => Err(ControlError::Answer {
                command: shown(words),
                expected: "OK",
                came,
            }),
        }
    }

    /// One section of INFO.
    pub fn info(&mut self, section: &str) -> Result<Info, ControlError> {
        let words = ["INFO", section];
        match self.accepted(&words)? {
            Reply::Bulk(text) => Ok(Info::parse(&lossy(&text))),
            came => Err(ControlError::Answer {
                command: shown(&words),
                expected: "a bulk string",
                came,
            }),
        }
    }

    /// The replication observation.
    pub fn replication(&mut self) -> Result<Replication, ControlError> {
        Ok(self.info("replication")?.replication()?)
    }

    /// Looks at a section of INFO again and again until the predicate holds; returns the INFO for which it did.
    pub fn wait_until(
        &mut self,
        section: &str,
        waiting_for: &str,
        deadline: Deadline,
        mut holds: impl FnMut(&Info) -> bool,
    ) -> Result<Info, ControlError> {
        loop {
            let info = self.info(section)?;
            if holds(&info) {
                return Ok(info);
            }
            if deadline.remaining().is_none() {
                let (waiting_for, limit_ms) = (waiting_for.to_owned(), deadline.limit_ms());
                return Err(ControlError::NotSeen {
                    waiting_for,
                    limit_ms,
                    last: Box::new(info),
                });
            }
            thread::sleep(POLL_PAUSE);
        }
    }

    /// [`Control::wait_until`] on the typed observation; an INFO that cannot be read ends the wait.
    pub fn wait_replication(
        &mut self,
        waiting_for: &str,
        deadline: Deadline,
        mut holds: impl FnMut(&Replication) -> bool,
    ) -> Result<Replication, ControlError> {
        let seen = |info: &Info| {
            info.replication()
                .map_or(true, |replication| holds(&replication))
        };
        Ok(self
            .wait_until("replication", waiting_for, deadline, seen)?
            .replication()?)
    }

    /// Two round trips: what the server had decided before the first is on its way when the second returns.
    pub fn barrier(&mut self) -> Result<(), ControlError> {
        for _ in 0..2 {
            match self.accepted(&["PING"])? {
                Reply::Status(text) if text == "PONG" => {}
                came => {
                    return Err(ControlError::Answer {
                        command: "PING".into(),
                        expected: "PONG",
                        came,
                    });
                }
            }
        }
        Ok(())
    }

    /// How many keys each database holds that holds any, and database 0 selected afterwards. All are asked in one breath:
    /// this is most of what a look at a subject costs.
    pub fn sizes(&mut self) -> Result<Vec<(u32, usize)>, ControlError> {
        let deadline = Deadline::after(self.reply_limit);
        let select = |database: u32| encode(&["SELECT", &database.to_string()]);
        let mut questions: Vec<u8> = (0..MAX_DATABASES)
            .flat_map(|database| [select(database), encode(&["DBSIZE"])])
            .flatten()
            .collect();
        questions.extend(select(0));
        self.conn.send(&questions, deadline)?;
        let mut answers = Vec::new();
        for database in 0..MAX_DATABASES {
            let is_there = !matches!(self.conn.next_reply(deadline)?, Reply::Error(_));
            let size = self.conn.next_reply(deadline)?;
            // A server with fewer databases refuses those it lacks; one without SELECT has one.
            if is_there || database == 0 {
                answers.push((database, size));
            }
        }
        self.conn.next_reply(deadline)?;
        let mut sizes = Vec::new();
        for (database, size) in answers {
            let count = self.size(database, size)?;
            if count > 0 {
                sizes.push((database, count));
            }
        }
        Ok(sizes)
    }

    /// How many keys a database holds that answered this to DBSIZE; where there is no DBSIZE they are counted.
    fn size(&mut self, database: u32, answer: Reply) -> Result<usize, ControlError> {
        match answer {
            Reply::Integer(count) => Ok(usize::try_from(count).unwrap_or(usize::MAX)),
            Reply::Error(_) if database == 0 => Ok(self.keys()?.len()),
            Reply::Error(_) => {
                self.select(database)?;
                let count = self.keys()?.len();
                self.select(0)?;
                Ok(count)
            }
            came => Err(ControlError::Answer {
                command: "DBSIZE".into(),
                expected: "an integer",
                came,
            }),
        }
    }

    /// All strings of all databases, and database 0 selected afterwards. A value of another type is an error.
    pub fn data_set(&mut self) -> Result<DataSet, ControlError> {
        let mut data = DataSet::new();
        let sizes = self.sizes()?;
        let first_only = sizes.iter().all(|(database, _)| *database == 0);
        for (database, count) in sizes {
            if count > MAX_KEYS {
                return Err(ControlError::TooManyKeys { database, count });
            }
            if !first_only {
                self.select(database)?;
            }
            let keys = self.keys()?;
            for some in keys.chunks(PIPELINED_GETS) {
                self.read_values(database, some, &mut data)?;
            }
        }
        if !first_only {
            self.select(0)?;
        }
        Ok(data)
    }

    /// Selects a database.
    pub fn select(&mut self, database: u32) -> Result<(), ControlError> {
        self.expect_ok(&["SELECT", &database.to_string()])
    }

    fn keys(&mut self) -> Result<Vec<Vec<u8>>, ControlError> {
        let words = ["KEYS", "*"];
        let came = self.accepted(&words)?;
        let keys = match &came {
            Reply::Array(items) => items.iter().map(bulk_bytes).collect::<Option<Vec<_>>>(),
            _ => None,
        };
        keys.ok_or_else(|| ControlError::Answer {
            command: shown(&words),
            expected: "an array of bulk strings",
            came,
        })
    }

    fn read_values(
        &mut self,
        database: u32,
        keys: &[Vec<u8>],
        data: &mut DataSet,
    ) -> Result<(), ControlError> {
        let gets: Vec<u8> = keys
            .iter()
            .flat_map(|key| encode(&[b"GET".as_slice(), key]))
            .collect();
        let deadline = Deadline::after(self.reply_limit);
        self.conn.send(&gets, deadline)?;
        for key in keys {
            match self.conn.next_reply(deadline)? {
                Reply::Bulk(value) => data.insert(database, key.clone(), value),
                // The key went between KEYS and GET.
                Reply::Nil => {}
                Reply::Error(error) => {
                    return Err(ControlError::Refused {
                        command: shown(&[b"GET", key.as_slice()]),
                        error,
                    });
                }
                came => {
                    return Err(ControlError::Answer {
                        command: shown(&[b"GET", key.as_slice()]),
                        expected: "a bulk string",
                        came,
                    });
                }
            }
        }
        Ok(())
    }
}

fn bulk_bytes(reply: &Reply) -> Option<Vec<u8>> {
    match reply {
        Reply::Bulk(bytes) => Some(bytes.clone()),
        _ => None,
    }
}

/// A command as a person would type it, its long words shortened.
fn shown<W: AsRef<[u8]>>(words: &[W]) -> String {
    let words: Vec<String> = words
        .iter()
        .map(|word| crate::transcript::shortened(word.as_ref()))
        .collect();
    words.join(" ")
}
