//! Commands: one table of all of them, and the pure execution of those that touch only data.
//!
//! [`execute`] changes the data set and returns the reply and the *effects*: the deterministic commands that belong into
//! the replication stream, in order, as Redis 7.0 writes them. No effects means that nothing changed. More than one
//! effect belongs between `MULTI` and `EXEC` (PROTOCOL §2.5); writing that, and `SELECT`, is the caller's business, as
//! are all commands marked [`Flags::SERVER`], which the table only describes. Time is unix milliseconds.

// All functions of the table have one signature.
#![allow(clippy::unnecessary_wraps)]

use std::borrow::Cow;

use bytes::Bytes;

use crate::keyspace::{Blob, Collection, EncodingLimits, Entry, Keyspace, Value};
use crate::resp::Reply;

mod bits;
mod connection;
mod error;
mod expiry;
mod hashes;
mod keys;
mod lcs;
mod list_moves;
mod lists;
mod numbers;
mod objects;
mod parse;
mod ranges;
mod scans;
mod set;
mod set_algebra;
mod sets;
mod sort;
mod sorted_algebra;
mod sorted_ranges;
mod sorted_sets;
mod strings;
mod table;

pub use error::CommandError;
pub use table::{CommandSpec, Flags, Keys, all, lookup};

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
    /// Any number, different each time; for commands that choose at random.
    pub seed: u64,
    /// Longest string in bytes (`proto-max-bulk-len`).
    pub longest_string_bytes: usize,
    /// What `OBJECT ENCODING` goes by.
    pub encoding_limits: EncodingLimits,
    /// Whether somebody wants to know which keys were changed.
    pub tracked: bool,
}

impl Context {
    /// The usual limit of strings, 512 MiB.
    pub const LONGEST_STRING_BYTES: usize = 512 * 1024 * 1024;
}

/// A command for the replication stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effect<'a> {
    /// The database that it changes.
    pub database: usize,
    /// Its name and arguments: nearly always those of the command itself.
    pub args: Cow<'a, [Bytes]>,
}

/// What a command answered and did.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome<'a> {
    /// The answer.
    pub reply: Reply,
    /// What to propagate, in order.
    pub effects: Vec<Effect<'a>>,
    /// What was changed, in order, if the context asked for it.
    pub changes: Vec<Change>,
    /// What the command would wait for: then the reply is the one for when it waited in vain, or may not wait.
    pub wait: Option<Wait>,
}

/// Something that a command changed, for those who watch it or wait for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A key of a database.
    Key(usize, Bytes),
    /// All keys of a database: it was emptied or exchanged.
    Database(usize),
}

/// What a blocking command waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    /// One of these keys.
    pub keys: Vec<Bytes>,
    /// Holding a value of this type, as `TYPE` names it.
    pub type_name: &'static str,
    /// Not longer than so many milliseconds, if there is a limit.
    pub timeout_ms: Option<u64>,
}

/// The specification of a command if its name and number of arguments are right; what a transaction checks when it
/// queues. Server commands pass too.
pub fn check(args: &[Bytes]) -> Result<&'static CommandSpec, CommandError> {
    check_found(args.first().and_then(|name| lookup(name)), args)
}

/// The same of what [`lookup`] found.
pub fn check_found<'a>(
    spec: Option<&'a CommandSpec>,
    args: &[Bytes],
) -> Result<&'a CommandSpec, CommandError> {
    with_arity(spec.ok_or_else(|| error::unknown(args))?, args)
}

fn with_arity<'a>(spec: &'a CommandSpec, args: &[Bytes]) -> Result<&'a CommandSpec, CommandError> {
    if spec.accepts(args.len()) {
        Ok(spec)
    } else {
        Err(CommandError::WrongArity { name: spec.name })
    }
}

/// Runs a data command in the selected database (`SELECT` changes that). The caller has dealt with server commands and
/// with permission to write; an unknown command, a wrong arity or a server command is an error reply.
pub fn execute<'a>(
    keyspace: &mut Keyspace,
    database: &mut usize,
    args: &'a [Bytes],
    context: &Context,
) -> Outcome<'a> {
    run(keyspace, database, args, context, check(args), None)
}

/// The same of a command that was looked up already.
pub fn execute_spec<'a>(
    keyspace: &mut Keyspace,
    database: &mut usize,
    spec: &CommandSpec,
    args: &'a [Bytes],
    context: &Context,
) -> Outcome<'a> {
    run(
        keyspace,
        database,
        args,
        context,
        with_arity(spec, args),
        None,
    )
}

/// Runs a command again that waited, now that there is something under one of its keys; it looks at no other.
pub fn execute_for_key<'a>(
    keyspace: &mut Keyspace,
    database: &mut usize,
    args: &'a [Bytes],
    context: &Context,
    key: &Bytes,
) -> Outcome<'a> {
    run(keyspace, database, args, context, check(args), Some(key))
}

fn run<'a>(
    keyspace: &mut Keyspace,
    database: &mut usize,
    args: &'a [Bytes],
    context: &Context,
    spec: Result<&CommandSpec, CommandError>,
    only_key: Option<&Bytes>,
) -> Outcome<'a> {
    let mut call = Call {
        keyspace,
        selected: database,
        args,
        context,
        only_key,
        effects: Vec::new(),
        changes: Vec::new(),
        wait: None,
    };
    let handler = spec.and_then(|spec| {
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
        changes: call.changes,
        wait: call.wait,
    }
}

/// Deletes expired keys of all databases, at most `limit`, beginning with the database `first`, and says what to
/// propagate. For primaries only.
pub fn expire_step(
    keyspace: &mut Keyspace,
    now_ms: u64,
    limit: usize,
    first: usize,
) -> Vec<Effect<'static>> {
    let expired = keyspace.expire_step(now_ms, limit, first);
    expired
        .into_iter()
        .map(|(database, key)| Effect {
            database,
            args: deletion(key.to_bytes()).into(),
        })
        .collect()
}

fn deletion(key: Bytes) -> Vec<Bytes> {
    vec![Bytes::from_static(b"DEL"), key]
}

/// The function behind a data command.
pub(crate) type Handler = fn(&mut Call<'_, '_>) -> Result<Reply, CommandError>;

/// One running command.
pub(crate) struct Call<'c, 'a> {
    keyspace: &'c mut Keyspace,
    selected: &'c mut usize,
    args: &'a [Bytes],
    context: &'c Context,
    only_key: Option<&'c Bytes>,
    effects: Vec<Effect<'a>>,
    changes: Vec<Change>,
    wait: Option<Wait>,
}

impl<'a> Call<'_, 'a> {
    /// The argument at an index that the arity guarantees.
    fn arg(&self, index: usize) -> &'a Bytes {
        &self.args[index]
    }

    /// The entry under a key in the selected database, as this caller may see it.
    fn entry(&mut self, key: &Bytes) -> Option<&Entry> {
        self.entry_in(*self.selected, key)
    }

    fn entry_in(&mut self, database: usize, key: &Bytes) -> Option<&Entry> {
        if !self.may_have_expired(database) {
            return self.keyspace.get(database, key);
        }
        let now_ms = self.context.now_ms;
        let expired = self.keyspace.get(database, key)?.is_expired(now_ms);
        match self.context.origin {
            Origin::ClientOfPrimary if expired => {
                self.keyspace.remove(database, key);
                self.changed_in(database, key);
                self.effects.push(Effect {
                    database,
                    args: deletion(key.clone()).into(),
                });
                None
            }
            Origin::ClientOfReplica if expired => None,
            _ => self.keyspace.get(database, key),
        }
    }

    /// Whether any key of a database has a deadline: where none has, nothing need be looked at to know.
    fn may_have_expired(&self, database: usize) -> bool {
        self.keyspace.expiring(database) > 0
    }

    /// Deletes a key that has expired: whoever overwrites it met it first.
    fn meet(&mut self, key: &Bytes) {
        if self.may_have_expired(*self.selected) {
            self.entry(key);
        }
    }

    /// The string under a key.
    fn string(&mut self, key: &Bytes) -> Result<Option<Blob>, CommandError> {
        match self.entry(key).map(|entry| &entry.value) {
            None => Ok(None),
            Some(Value::String(bytes)) => Ok(Some(bytes.clone())),
            Some(_) => Err(CommandError::WrongType),
        }
    }

    /// The collection under a key, shared: it stays as it is whatever becomes of the key.
    fn collection<T: Collection + Clone>(
        &mut self,
        key: &Bytes,
    ) -> Result<Option<T>, CommandError> {
        match self.entry(key).map(|entry| &entry.value) {
            None => Ok(None),
            Some(value) => T::of(value)
                .cloned()
                .map(Some)
                .ok_or(CommandError::WrongType),
        }
    }

    /// Changes the collection under a key, if there is one, and deletes the key if nothing is left in it.
    fn edit<T: Collection, R>(
        &mut self,
        key: &Bytes,
        change: impl FnOnce(&mut T) -> R,
    ) -> Result<Option<R>, CommandError> {
        if !self.exists(key) {
            return Ok(None);
        }
        let Some(value) = self.keyspace.get_mut(*self.selected, key) else {
            return Ok(None);
        };
        let result = change(T::of_mut(value).ok_or(CommandError::WrongType)?);
        if value.is_empty_collection() {
            self.keyspace.remove(*self.selected, key);
        }
        self.changed(key);
        Ok(Some(result))
    }

    /// Changes the collection under a key, which is created empty if there is none.
    fn edit_or_create<T: Collection, R>(
        &mut self,
        key: &Bytes,
        change: impl FnOnce(&mut T) -> R,
    ) -> Result<R, CommandError> {
        if self.exists(key) {
            let edited = self.edit(key, change)?;
            return edited.ok_or(CommandError::NoSuchKey);
        }
        let mut collection = T::default();
        let result = change(&mut collection);
        self.put(key, collection.into_value());
        Ok(result)
    }

    /// Changes the string under a key in place, or an empty one that is then stored.
    fn edit_string<R>(
        &mut self,
        key: &Bytes,
        change: impl FnOnce(&mut Vec<u8>) -> R,
    ) -> Result<R, CommandError> {
        if self.exists(key) {
            self.changed(key);
            return match self.keyspace.get_mut(*self.selected, key) {
                Some(Value::String(bytes)) => Ok(change(bytes.edit())),
                _ => Err(CommandError::WrongType),
            };
        }
        let mut bytes = Vec::new();
        let result = change(&mut bytes);
        self.put(key, Value::String(bytes.into()));
        Ok(result)
    }

    fn exists(&mut self, key: &Bytes) -> bool {
        self.entry(key).is_some()
    }

    fn deadline(&mut self, key: &Bytes) -> Option<u64> {
        self.entry(key).and_then(Entry::expires_at_ms)
    }

    /// Stores a string under a key, with a deadline of its own.
    fn store(&mut self, key: &Bytes, value: &Bytes, expires_at_ms: Option<u64>) {
        self.keyspace
            .store(*self.selected, key, value, expires_at_ms);
        self.changed(key);
    }

    /// Stores a string under a key and leaves its deadline as it is.
    fn replace(&mut self, key: &Bytes, value: &Bytes) {
        let deadline = self.deadline(key);
        self.store(key, value, deadline);
    }

    /// Stores a value under a key, without a deadline; of an empty collection only the absence.
    fn put(&mut self, key: &Bytes, value: Value) {
        if value.is_empty_collection() {
            self.remove(key);
        } else {
            self.put_entry(*self.selected, key, Entry::new(value));
        }
    }

    fn put_entry(&mut self, database: usize, key: &Bytes, entry: Entry) {
        self.keyspace.insert(database, key, entry);
        self.changed_in(database, key);
    }

    /// Gives a key another deadline, or none.
    fn set_deadline(&mut self, key: &Bytes, expires_at_ms: Option<u64>) {
        self.keyspace
            .set_deadline(*self.selected, key, expires_at_ms);
        self.changed(key);
    }

    fn remove(&mut self, key: &Bytes) -> bool {
        let removed = self.keyspace.remove(*self.selected, key).is_some();
        if removed {
            self.changed(key);
        }
        removed
    }

    fn changed(&mut self, key: &Bytes) {
        self.changed_in(*self.selected, key);
    }

    fn changed_in(&mut self, database: usize, key: &Bytes) {
        if self.context.tracked {
            self.changes.push(Change::Key(database, key.clone()));
        }
    }

    fn database_changed(&mut self, database: usize) {
        if self.context.tracked {
            self.changes.push(Change::Database(database));
        }
    }

    /// Propagates the command as the client sent it, to the byte.
    fn propagate_verbatim(&mut self) {
        self.take_down(self.args.into());
    }

    /// Propagates another command in its place.
    fn propagate(&mut self, args: Vec<Bytes>) {
        self.take_down(args.into());
    }

    fn take_down(&mut self, args: Cow<'a, [Bytes]>) {
        self.effects.push(Effect {
            database: *self.selected,
            args,
        });
    }
}

#[cfg(test)]
#[path = "commands/tests.rs"]
mod tests;
