//! Commands whose answer comes later: `WAIT`, `SAVE`, `BGSAVE`; and the work that time brings.

use bytes::Bytes;

use crate::client::{Blocked, Client};
use crate::commands::{self, Effect};
use crate::dispatch::Answer;
use crate::event::{ClientId, Framing, JobId};
use crate::keyspace::DATABASES;
use crate::offset::ReplOffset;
use crate::primary::{Feed, Purpose};
use crate::resp::{Reply, parse_integer};
use crate::server::Server;
use crate::stream;

/// Time between two looks for keys whose time is over.
const EXPIRY_PERIOD_MS: u64 = 100;

/// Most keys removed in one look, so that clients do not wait for it.
const EXPIRED_AT_ONCE: usize = 10_000;

/// Keys of its own that a writable replica looks after; it is no place for more.
const MAX_OWN_DEADLINES: usize = 100_000;

/// Wait before a snapshot of a save point is tried again after a failure.
const SAVE_RETRY_MS: u64 = 5_000;

impl Server {
    /// `WAIT <replicas> <milliseconds>`: acknowledgements of this client's last write (PROTOCOL §3.8).
    pub(crate) fn wait_command(&mut self, id: ClientId, args: &[Bytes], now_ms: u64) -> Answer {
        let (Some(replicas), Some(timeout_ms)) = (parse_integer(&args[1]), parse_integer(&args[2]))
        else {
            return Some(Reply::Error(
                "ERR value is not an integer or out of range".into(),
            ));
        };
        if !self.is_primary() && self.rules.era.has_replication_ids() {
            return Some(Reply::Error(
                "ERR WAIT cannot be used with replica instances. Please also note that since Redis 4.0 if a replica is configured to be writable (which is not the default) writes to replicas are just local and are not propagated.".into(),
            ));
        }
        let Ok(timeout_ms) = u64::try_from(timeout_ms) else {
            return Some(Reply::Error("ERR timeout is negative".into()));
        };
        let offset = self.clients.get(id)?.last_write;
        let replicas = usize::try_from(replicas).unwrap_or(0);
        let in_time = self.acknowledged_by(offset);
        let in_transaction = self.clients.get(id).is_some_and(|client| client.in_exec);
        if in_time >= replicas || in_transaction {
            return Some(Reply::Integer(in_time as i64));
        }
        let deadline_ms = (timeout_ms > 0).then(|| now_ms.saturating_add(timeout_ms));
        if let Some(client) = self.clients.get_mut(id) {
            client.blocked = Some(Blocked::Acknowledgements {
                offset,
                replicas,
                deadline_ms,
            });
        }
        self.feed(&stream::getack(), Feed::Control);
        None
    }

    fn acknowledged_by(&self, offset: ReplOffset) -> usize {
        self.replicas()
            .filter(|(_, replica)| replica.is_online() && replica.acknowledged >= offset)
            .count()
    }

    /// Answers the `WAIT`s that are satisfied or out of time.
    pub(crate) fn release_waiters(&mut self, now_ms: u64) {
        let due = |client: &Client| match client.blocked {
            Some(Blocked::Acknowledgements {
                offset,
                replicas,
                deadline_ms,
            }) => {
                let count = self.acknowledged_by(offset);
                let over = deadline_ms.is_some_and(|deadline| now_ms >= deadline);
                (count >= replicas || over).then_some((client.id, count))
            }
            _ => None,
        };
        let released: Vec<_> = self.clients.values().filter_map(due).collect();
        for (id, count) in released {
            self.release(id, &Reply::Integer(count as i64), now_ms);
        }
    }

    pub(crate) fn release(&mut self, id: ClientId, reply: &Reply, now_ms: u64) {
        if let Some(client) = self.clients.get_mut(id) {
            client.blocked = None;
        }
        self.reply(id, reply);
        self.process_input(id, now_ms);
    }

    pub(crate) fn tick_waiters(&mut self, now_ms: u64) {
        if self.clients.values().any(|client| client.blocked.is_some()) {
            self.release_waiters(now_ms);
            self.time_out_waiters(now_ms);
        }
    }

    pub(crate) fn save_command(&mut self, id: ClientId, _args: &[Bytes], _now_ms: u64) -> Answer {
        if self.primary.job.is_some() {
            return Some(Reply::Error(
                "ERR Background save already in progress".into(),
            ));
        }
        let job = self.write_snapshot(Framing::Disk, Purpose::OwnFile);
        if let Some(client) = self.clients.get_mut(id) {
            client.blocked = Some(Blocked::Snapshot { job });
        }
        None
    }

    pub(crate) fn bgsave_command(&mut self) -> Reply {
        if self.primary.job.is_some() {
            return Reply::Error("ERR Background save already in progress".into());
        }
        self.write_snapshot(Framing::Disk, Purpose::OwnFile);
        Reply::Simple("Background saving started")
    }

    /// Answers the `SAVE`s that waited for this snapshot.
    pub(crate) fn release_savers(&mut self, job: JobId, failure: Option<&str>, now_ms: u64) {
        let reply = failure.map_or(Reply::OK, |reason| {
            Reply::Error(format!("ERR snapshot failed: {reason}"))
        });
        let waits = |client: &Client| matches!(client.blocked, Some(Blocked::Snapshot { job: awaited }) if awaited == job);
        for id in self.clients_that(waits) {
            self.release(id, &reply, now_ms);
        }
        self.ending_saved(job, failure.is_some(), now_ms);
    }

    pub(crate) fn lastsave_reply(&self) -> Reply {
        Reply::Integer((self.unix_ms(self.last_save_ms) / 1_000) as i64)
    }

    /// Snapshots of the save points: after so many seconds and so many changes.
    pub(crate) fn tick_save_points(&mut self, now_ms: u64) {
        if self.changes == 0 || self.primary.job.is_some() {
            return;
        }
        let age_ms = now_ms.saturating_sub(self.last_save_ms);
        let ready = self.last_save_ok || age_ms >= SAVE_RETRY_MS;
        let points = self.config.save_points();
        if ready
            && points
                .iter()
                .any(|(seconds, changes)| age_ms >= seconds * 1_000 && self.changes >= *changes)
        {
            self.log("A save point is reached");
            self.write_snapshot(Framing::Disk, Purpose::OwnFile);
        }
    }

    /// Removes keys whose time is over, on a primary only (PROTOCOL §6 X3); the stream says so.
    pub(crate) fn tick_expiry(&mut self, now_ms: u64) {
        // Nothing may change while writes wait for a failover.
        if !self.active_expire || now_ms < self.next_expiry_ms || self.paused().is_some() {
            return;
        }
        self.next_expiry_ms = now_ms + EXPIRY_PERIOD_MS;
        let unix_ms = self.unix_ms(now_ms);
        if !self.is_primary() {
            return self.expire_own_keys(unix_ms);
        }
        // Each look begins with another database, so that none waits behind a busier one.
        let first = (now_ms / EXPIRY_PERIOD_MS) as usize % DATABASES;
        let expired = commands::expire_step(&mut self.keyspace, unix_ms, EXPIRED_AT_ONCE, first);
        for effect in expired {
            self.key_expired(&effect);
            self.propagate(&[effect]);
        }
        self.settle_changes(now_ms);
    }

    /// Remembers the keys that users of a writable replica gave a deadline: no primary will ever delete them.
    pub(crate) fn note_own_deadlines(&mut self, effects: &[Effect]) {
        if self.is_primary() {
            return;
        }
        for effect in effects {
            let Some(key) = effect.args.get(1) else {
                continue;
            };
            let entry = self.keyspace.get(effect.database, key);
            let ends = entry.is_some_and(|entry| entry.expires_at_ms().is_some());
            if ends && self.own_deadlines.len() < MAX_OWN_DEADLINES {
                let key = Bytes::copy_from_slice(key);
                self.own_deadlines.insert((effect.database, key));
            }
        }
    }

    /// Deletes those of them whose time is over, and forgets those that end no more.
    fn expire_own_keys(&mut self, unix_ms: u64) {
        let keyspace = &mut self.keyspace;
        self.own_deadlines.retain(|(database, key)| {
            let entry = keyspace.get(*database, key);
            let ends = entry.is_some_and(|entry| entry.expires_at_ms().is_some());
            let over = entry.is_some_and(|entry| entry.is_expired(unix_ms));
            if over {
                keyspace.remove(*database, key);
            }
            ends && !over
        });
    }
}
