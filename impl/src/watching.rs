//! Who is told when keys change: connections that watch keys (`WATCH`), and commands that wait for keys (`BLPOP` and kin).
//!
//! Commands say which keys they changed, as long as somebody wants to know. After each unit of execution, transactions as a
//! whole, connections that watch such a key are marked, and commands that wait for one are run again, in the order in
//! which they came, for that key alone; what they do may wake further ones. A command that waited is propagated after
//! the unit that woke it, as a unit of its own.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::mem;

use bytes::Bytes;

use crate::client::Blocked;
use crate::commands::{self, Change, Effect, Outcome, Wait};
use crate::event::ClientId;
use crate::keyspace::{DATABASES, Entry};
use crate::resp::Reply;
use crate::server::Server;

/// A key that a connection watches.
#[derive(Debug)]
pub struct Watch {
    database: usize,
    key: Bytes,
    /// Whether it was there at the time.
    existed: bool,
    /// Whether it was there, but its time was over.
    expired: bool,
}

/// What [`Server`] keeps about those who wait to be told.
#[derive(Debug, Default)]
pub(crate) struct Interest {
    /// The connections that watch something.
    watchers: BTreeSet<ClientId>,
    /// The connections that wait for a key, first come, first served.
    waiters: BTreeMap<(usize, Bytes), VecDeque<ClientId>>,
    /// What the unit being executed has changed.
    changes: Vec<Change>,
    /// Connections that wait no longer; their further commands have not been looked at yet.
    released: VecDeque<ClientId>,
}

impl Interest {
    /// Whether anybody wants to know what commands change.
    pub(crate) fn exists(&self) -> bool {
        !self.watchers.is_empty() || !self.waiters.is_empty()
    }

    /// Takes down what a command changed. One without effects changed nothing.
    pub(crate) fn note(&mut self, outcome: &mut Outcome) {
        if !outcome.effects.is_empty() {
            self.changes.append(&mut outcome.changes);
        }
    }

    /// Forgets that a connection waits.
    fn remove_waiter(&mut self, id: ClientId, database: usize, keys: &[Bytes]) {
        for key in keys {
            let place = (database, key.clone());
            if let Some(queue) = self.waiters.get_mut(&place) {
                queue.retain(|waiter| *waiter != id);
                if queue.is_empty() {
                    self.waiters.remove(&place);
                }
            }
        }
    }
}

impl Server {
    /// `WATCH key...`: from now on, a change of a key makes the next `EXEC` of this connection fail.
    pub(crate) fn watch(&mut self, id: ClientId, keys: &[Bytes], now_ms: u64) -> Reply {
        let unix_ms = self.unix_ms(now_ms);
        let Some(client) = self.clients.get_mut(id) else {
            return Reply::OK;
        };
        let database = client.session.database;
        for key in keys {
            let known = |watch: &Watch| watch.database == database && watch.key == *key;
            if client.watches.iter().any(known) {
                continue;
            }
            let entry = self.keyspace.get(database, key);
            client.watches.push(Watch {
                database,
                key: Bytes::copy_from_slice(key),
                existed: entry.is_some(),
                expired: entry.is_some_and(|entry| entry.is_expired(unix_ms)),
            });
        }
        self.interest.watchers.insert(id);
        Reply::OK
    }

    /// Forgets what a connection watches and says whether anything of it has changed, or has expired meanwhile.
    pub(crate) fn unwatch(&mut self, id: ClientId, now_ms: u64) -> bool {
        let unix_ms = self.unix_ms(now_ms);
        self.interest.watchers.remove(&id);
        let Some(client) = self.clients.get_mut(id) else {
            return false;
        };
        let watches = mem::take(&mut client.watches);
        let changed = mem::take(&mut client.watched_changed);
        let has_expired = |watch: &Watch| {
            let entry = self.keyspace.get(watch.database, &watch.key);
            watch.existed && !watch.expired && entry.is_some_and(|entry| entry.is_expired(unix_ms))
        };
        changed || watches.iter().any(has_expired)
    }

    /// Makes a connection wait, and its further commands with it.
    pub(crate) fn block(&mut self, id: ClientId, args: &[Bytes], wait: Wait, now_ms: u64) {
        let Some(client) = self.clients.get_mut(id) else {
            return;
        };
        let database = client.session.database;
        for key in &wait.keys {
            let place = (database, key.clone());
            let queue = self.interest.waiters.entry(place).or_default();
            if !queue.contains(&id) {
                queue.push_back(id);
            }
        }
        client.blocked = Some(Blocked::Keys {
            database,
            args: args.to_vec(),
            deadline_ms: wait
                .timeout_ms
                .map(|wait_ms| now_ms.saturating_add(wait_ms)),
            wait,
        });
    }

    /// Ends the wait of a connection for keys with this answer; false if it waits for none.
    pub(crate) fn release_from_keys(&mut self, id: ClientId, reply: &Reply) -> bool {
        let Some(client) = self.clients.get_mut(id) else {
            return false;
        };
        let Some(Blocked::Keys { database, wait, .. }) = &client.blocked else {
            return false;
        };
        self.interest.remove_waiter(id, *database, &wait.keys);
        client.blocked = None;
        self.interest.released.push_back(id);
        self.reply(id, reply);
        true
    }

    /// Forgets everything about a connection that is gone.
    pub(crate) fn forget_interest(&mut self, id: ClientId, blocked: Option<&Blocked>) {
        self.interest.watchers.remove(&id);
        if let Some(Blocked::Keys { database, wait, .. }) = blocked {
            self.interest.remove_waiter(id, *database, &wait.keys);
        }
    }

    /// Answers commands that have waited long enough.
    pub(crate) fn time_out_waiters(&mut self, now_ms: u64) {
        let due = |id: &ClientId| match self.clients.get(*id)?.blocked {
            Some(Blocked::Keys { deadline_ms, .. }) if deadline_ms? <= now_ms => Some(*id),
            _ => None,
        };
        let waiting = self.interest.waiters.values().flatten();
        let over: BTreeSet<ClientId> = waiting.filter_map(due).collect();
        for id in over {
            self.release_from_keys(id, &Reply::NullArray);
        }
    }

    /// Lets connections go on whose wait has ended.
    pub(crate) fn resume_released(&mut self, now_ms: u64) {
        while let Some(id) = self.interest.released.pop_front() {
            self.process_input(id, now_ms);
        }
    }

    /// Takes down that a key was deleted because its time was over.
    pub(crate) fn key_expired(&mut self, deletion: &Effect) {
        if let ([_, key], true) = (&deletion.args[..], self.interest.exists()) {
            let change = Change::Key(deletion.database, key.clone());
            self.interest.changes.push(change);
        }
    }

    /// Tells everybody concerned what the last unit of execution changed.
    pub(crate) fn settle_changes(&mut self, now_ms: u64) {
        while !self.interest.changes.is_empty() {
            let changes = mem::take(&mut self.interest.changes);
            self.mark_watchers(&changes, now_ms);
            let mut ready = Vec::new();
            for change in changes {
                match change {
                    Change::Key(database, key) => ready.push((database, key)),
                    Change::Database(database) => {
                        let waiters = self.interest.waiters.keys();
                        ready.extend(waiters.filter(|(of, _)| *of == database).cloned());
                    }
                }
            }
            for (database, key) in ready {
                self.serve_waiters(database, &key, now_ms);
            }
        }
    }

    /// All data were replaced by others.
    pub(crate) fn data_replaced(&mut self, now_ms: u64) {
        if self.interest.exists() {
            let all = (0..DATABASES).map(Change::Database);
            self.interest.changes.extend(all);
            self.settle_changes(now_ms);
        }
    }

    fn mark_watchers(&mut self, changes: &[Change], now_ms: u64) {
        let unix_ms = self.unix_ms(now_ms);
        for id in &self.interest.watchers {
            let Some(client) = self.clients.get_mut(*id) else {
                continue;
            };
            let concerns = |watch: &Watch| {
                let entry = self.keyspace.get(watch.database, &watch.key);
                changes
                    .iter()
                    .any(|change| watch.notices(change, entry, unix_ms))
            };
            client.watched_changed |= client.watches.iter().any(concerns);
        }
    }

    /// Runs the commands that wait for a key, as long as there is something for them.
    fn serve_waiters(&mut self, database: usize, key: &Bytes, now_ms: u64) {
        let place = (database, key.clone());
        let Some(queue) = self.interest.waiters.get(&place).cloned() else {
            return;
        };
        for id in queue {
            let holds = self.keyspace.get(database, key);
            let holds = holds.map(|entry| entry.value.type_name());
            let blocked = self
                .clients
                .get(id)
                .and_then(|client| client.blocked.as_ref());
            match blocked {
                Some(Blocked::Keys { wait, args, .. }) if Some(wait.type_name) == holds => {
                    let args = args.clone();
                    self.serve(id, database, &args, key, now_ms);
                }
                _ => {}
            }
        }
    }

    fn serve(&mut self, id: ClientId, database: usize, args: &[Bytes], key: &Bytes, now_ms: u64) {
        let context = self.context(self.client_origin(), now_ms);
        let (keyspace, mut database) = (&mut self.keyspace, database);
        let mut outcome = commands::execute_for_key(keyspace, &mut database, args, &context, key);
        self.interest.note(&mut outcome);
        self.propagate_for(id, &outcome.effects);
        if outcome.wait.is_none() {
            self.release_from_keys(id, &outcome.reply);
        }
    }
}

impl Watch {
    /// Whether a change, after which the key holds `entry`, is one of what is watched. What had expired before may be
    /// deleted.
    fn notices(&self, change: &Change, entry: Option<&Entry>, unix_ms: u64) -> bool {
        let concerned = match change {
            Change::Key(database, key) => self.database == *database && self.key == *key,
            Change::Database(database) => {
                let there_now = entry.is_some_and(|entry| !entry.is_expired(unix_ms));
                self.database == *database && (self.existed || there_now)
            }
        };
        let still_gone = entry.is_none_or(|entry| entry.is_expired(unix_ms));
        concerned && !(self.expired && still_gone)
    }
}
