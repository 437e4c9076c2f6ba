//! Commands: one table of all of them, and the pure execution of those that touch only data.
//!
//! [`execute`] changes the data set and returns the reply and the *effects*: the deterministic commands that belong into
//! the replication stream, in order, as Redis 7.0 writes them. No effects means that nothing changed. More than one
//! effect belongs between `MULTI` and `EXEC` (PROTOCOL §2.5); writing that, and `SELECT`, is the caller's business, as
//! are all commands marked [`Flags::SERVER`], which the table only describes. Time is unix milliseconds.

// All functions of the table have one signature.
#![allow(clippy::unnecessary_wraps)]

use bytes::Bytes;

use crate::keyspace::{Entry, Keyspace, Value};
use crate::resp::Reply;

mod connection;
mod error;
mod expiry;
mod keys;
mod numbers;
mod ranges;
mod set;
mod strings;
mod table;

pub use error::CommandError;
pub use table::{CommandSpec, Flags, all, lookup};

/// On whose behalf a command runs; it decides what an expired key is (PROTOCOL §6 X3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A client of a primary: an expired key is deleted when it is met, and the deletion is propagated.
    ClientOfPrimary,
    /// A client of a replica: an expired key is invisible, and stays until the primary deletes it.
    ClientOfReplica,
    /// The stream of our primary: an expired key is a key like any other, because the primary saw it so.
    Primary,
}

/// What execution needs to know beside the data.
#[derive(Debug, Clone, Copy)]
pub struct Context {
    /// Now, in unix milliseconds.
    pub now_ms: u64,
    /// On whose behalf.
    pub origin: Origin,
    /// Any number, different each time; only `RANDOMKEY` uses it.
    pub seed: u64,
    /// Longest string in bytes (`proto-max-bulk-len`).
    pub longest_string_bytes: usize,
}

impl Context {
    /// The usual limit of strings, 512 MiB.
    pub const LONGEST_STRING_BYTES: usize = 512 * 1024 * 1024;
}

/// A command for the replication stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effect {
    /// The database that it changes.
    pub database: usize,
    /// Its name and arguments.
    pub args: Vec<Bytes>,
}

/// What a command answered and did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The answer.
    pub reply: Reply,
    /// What to propagate, in order.
    pub effects: Vec<Effect>,
}

/// The specification of a command if its name and number of arguments are right; what a transaction checks when it
/// queues. Server commands pass too.
pub fn check(args: &[Bytes]) -> Result<&'static CommandSpec, CommandError> {
    let spec = args
        .first()
        .and_then(|name| lookup(name))
        .ok_or_else(|| error::unknown(args))?;
    if spec.accepts(args.len()) {
        Ok(spec)
    } else {
        Err(CommandError::WrongArity { name: spec.name })
    }
}

/// Runs a data command in the selected database (`SELECT` changes that). The caller has dealt with server commands and
/// with permission to write; an unknown command, a wrong arity or a server command is an error reply.
pub fn execute(
    keyspace: &mut Keyspace,
    database: &mut usize,
    args: &[Bytes],
    context: &Context,
) -> Outcome {
    let mut call = Call {
        keyspace,
        selected: database,
        args,
        context,
        effects: Vec::new(),
    };
    let handler = check(args).and_then(|spec| {
        spec.handler
            .ok_or(CommandError::NotData { name: spec.name })
    });
    let reply = match handler.and_then(|handler| handler(&mut call)) {
        Ok(reply) => reply,
        Err(error) => Reply::Error(error.to_string()),
    };
    Outcome {
        reply,
        effects: call.effects,
    }
}

/// Deletes expired keys of all databases, at most `limit`, and says what to propagate. For primaries only.
pub fn expire_step(keyspace: &mut Keyspace, now_ms: u64, limit: usize) -> Vec<Effect> {
    let expired = keyspace.expire_step(now_ms, limit);
    expired
        .into_iter()
        .map(|(database, key)| Effect {
            database,
            args: deletion(key),
        })
        .collect()
}

fn deletion(key: Bytes) -> Vec<Bytes> {
    vec![Bytes::from_static(b"DEL"), key]
}

/// The function behind a data command.
pub(crate) type Handler = fn(&mut Call<'_>) -> Result<Reply, CommandError>;

/// One running command.
pub(crate) struct Call<'a> {
    keyspace: &'a mut Keyspace,
    selected: &'a mut usize,
    args: &'a [Bytes],
    context: &'a Context,
    effects: Vec<Effect>,
}

impl<'a> Call<'a> {
    /// The argument at an index that the arity guarantees.
    fn arg(&self, index: usize) -> &'a Bytes {
        &self.args[index]
    }

    /// The entry under a key in the selected database, as this caller may see it.
    fn entry(&mut self, key: &Bytes) -> Option<&Entry> {
        self.entry_in(*self.selected, key)
    }

    fn entry_in(&mut self, database: usize, key: &Bytes) -> Option<&Entry> {
        let now_ms = self.context.now_ms;
        let expired = self.keyspace.get(database, key)?.is_expired(now_ms);
        match self.context.origin {
            Origin::ClientOfPrimary if expired => {
                self.keyspace.remove(database, key);
                self.effects.push(Effect {
                    database,
                    args: deletion(key.clone()),
                });
                None
            }
            Origin::ClientOfReplica if expired => None,
            _ => self.keyspace.get(database, key),
        }
    }

    /// The string under a key.
    fn string(&mut self, key: &Bytes) -> Option<Bytes> {
        self.entry(key).map(|entry| match &entry.value {
            Value::String(bytes) => bytes.clone(),
        })
    }

    fn exists(&mut self, key: &Bytes) -> bool {
        self.entry(key).is_some()
    }

    fn deadline(&mut self, key: &Bytes) -> Option<u64> {
        self.entry(key).and_then(|entry| entry.expires_at_ms)
    }

    /// Stores a string under a key, with a deadline of its own.
    fn store(&mut self, key: &Bytes, value: Bytes, expires_at_ms: Option<u64>) {
        let entry = Entry {
            expires_at_ms,
            ..Entry::string(value)
        };
        self.keyspace.insert(*self.selected, key, entry);
    }

    /// Stores a string under a key and leaves its deadline as it is.
    fn replace(&mut self, key: &Bytes, value: Bytes) {
        let deadline = self.deadline(key);
        self.store(key, value, deadline);
    }

    /// Gives a key another deadline, or none.
    fn set_deadline(&mut self, key: &Bytes, expires_at_ms: Option<u64>) {
        if let Some(entry) = self.keyspace.get(*self.selected, key).cloned() {
            self.keyspace.insert(
                *self.selected,
                key,
                Entry {
                    expires_at_ms,
                    ..entry
                },
            );
        }
    }

    fn remove(&mut self, key: &Bytes) -> bool {
        self.keyspace.remove(*self.selected, key).is_some()
    }

    /// Propagates the command as the client sent it, to the byte.
    fn propagate_verbatim(&mut self) {
        self.propagate(self.args.to_vec());
    }

    /// Propagates another command in its place.
    fn propagate(&mut self, args: Vec<Bytes>) {
        self.effects.push(Effect {
            database: *self.selected,
            args,
        });
    }
}

#[cfg(test)]
#[path = "commands/tests.rs"]
mod tests;
