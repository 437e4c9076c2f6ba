//! The stream: what goes into it, into the backlog and to each replica; and the beat that keeps replicas alive.

use bytes::{Bytes, BytesMut};

use crate::client::{Phase, Replica};
use crate::commands::Effect;
use crate::event::{ClientId, Framing};
use crate::primary::{Feed, KEEPALIVE_MS};
use crate::rulebook::{Accumulation, BacklogContent, Era, Relay, StreamWriting};
use crate::server::Server;
use crate::stream;

impl Server {
    /// Puts the effects of one unit of execution into the stream (PROTOCOL §2.5).
    pub(crate) fn propagate(&mut self, effects: &[Effect]) {
        self.changes += effects.len() as u64;
        let verbatim = !self.is_primary() && self.rules.relay == Relay::Verbatim;
        if verbatim || effects.is_empty() || !self.feeds_somebody() {
            return;
        }
        if effects.len() > 1 {
            self.feed(&stream::multi(), Feed::Control);
        }
        for effect in effects {
            if self.primary.stream_database != Some(effect.database) {
                self.primary.stream_database = Some(effect.database);
                self.feed(&stream::select(effect.database), Feed::Control);
            }
            self.feed(&stream::command(&effect.args), Feed::Data);
        }
        if effects.len() > 1 {
            self.feed(&stream::exec(), Feed::Control);
        }
    }

    fn feeds_somebody(&self) -> bool {
        self.history.has_backlog() || self.replicas().next().is_some()
    }

    /// Appends bytes to the history and hands them to every replica: once written, never copied.
    pub(crate) fn feed(&mut self, bytes: &Bytes, kind: Feed) {
        self.primary.last_command_bytes = bytes.len() as u64;
        let pinned = self.oldest_needed();
        self.history
            .append(self.kept_copy(bytes, kind), &self.rules, pinned);
        for id in self.replica_ids() {
            self.feed_replica(id, bytes);
        }
    }

    fn kept_copy(&self, bytes: &Bytes, kind: Feed) -> Bytes {
        if self.rules.backlog_content == BacklogContent::AsSent || kind == Feed::Control {
            return bytes.clone();
        }
        let mut wrong = BytesMut::from(bytes.as_ref());
        if let Some(last) = wrong.len().checked_sub(b"?\r\n".len()) {
            wrong[last] ^= 1;
        }
        wrong.freeze()
    }

    fn feed_replica(&mut self, id: ClientId, bytes: &Bytes) {
        let Some(replica) = self
            .clients
            .get_mut(&id)
            .and_then(|client| client.replica.as_mut())
        else {
            return;
        };
        match &mut replica.phase {
            Phase::Waiting { .. } => {}
            Phase::Accumulating { pending, .. } => {
                if self.rules.accumulation == Accumulation::FromCut {
                    pending.push(bytes.clone());
                }
            }
            Phase::Unacknowledged { pending, .. } => pending.push(bytes.clone()),
            Phase::Receiving(_) | Phase::Online(_) => self.feed_one(id, bytes.clone()),
        }
    }

    pub(crate) fn feed_one(&mut self, id: ClientId, bytes: Bytes) {
        let Some(replica) = self
            .clients
            .get_mut(&id)
            .and_then(|client| client.replica.as_mut())
        else {
            return;
        };
        match self.rules.stream_writing {
            StreamWriting::Exact => self.send(id, bytes),
            StreamWriting::WithholdsLast => {
                if let Some(earlier) = replica.withheld.replace(bytes) {
                    self.send(id, earlier);
                }
            }
            StreamWriting::StrayNewline => {
                if std::mem::take(&mut replica.owes_newline) {
                    self.send(id, Bytes::from_static(b"\n"));
                }
                self.send(id, bytes);
            }
        }
    }

    /// Newlines, heartbeats, silence, expiry of the backlog, and the delayed snapshot.
    pub(crate) fn tick_primary(&mut self, now_ms: u64) {
        self.maybe_cut_snapshot(now_ms);
        if now_ms >= self.primary.next_keepalive_ms {
            self.primary.next_keepalive_ms = now_ms + KEEPALIVE_MS;
            self.keep_waiting_replicas_alive();
            self.drop_silent_replicas(now_ms);
        }
        if now_ms >= self.primary.next_ping_ms {
            self.primary.next_ping_ms = now_ms + self.config.ping_period_s * 1_000;
            self.heartbeat();
        }
        self.maybe_expire_backlog(now_ms);
    }

    fn keep_waiting_replicas_alive(&mut self) {
        let waits = |replica: &Replica| {
            matches!(
                replica.phase,
                Phase::Waiting { .. }
                    | Phase::Accumulating {
                        framing: Framing::Disk,
                        ..
                    }
            )
        };
        let ids: Vec<_> = self
            .replicas()
            .filter(|(_, replica)| waits(replica))
            .map(|(client, _)| client.id)
            .collect();
        for id in ids {
            self.send(id, Bytes::from_static(b"\n"));
        }
    }

    /// Replicas that have not acknowledged for too long (PROTOCOL §3.5); before offsets existed nobody did.
    fn drop_silent_replicas(&mut self, now_ms: u64) {
        let limit_ms = self.config.repl_timeout_s * 1_000;
        let silent = |replica: &Replica| {
            replica.is_online()
                && !replica.without_label
                && now_ms.saturating_sub(replica.heard_ms) > limit_ms
        };
        let ids: Vec<_> = self
            .replicas()
            .filter(|(_, replica)| silent(replica))
            .map(|(client, _)| client.id)
            .collect();
        for id in ids {
            self.log("A replica has been silent for too long and is cut off");
            self.close(id, now_ms);
        }
    }

    /// `PING` in the stream: who sends it, and when, is a matter of the era (PROTOCOL §2.5).
    fn heartbeat(&mut self) {
        let due = match self.rules.era {
            Era::Psync2 | Era::Psync2V7 => self.is_primary() && self.replicas().next().is_some(),
            Era::Psync => self.history.has_backlog(),
            Era::Sync => self.replicas().next().is_some(),
        };
        if due {
            self.feed(&stream::ping(), Feed::Control);
        }
    }

    fn maybe_expire_backlog(&mut self, now_ms: u64) {
        let ttl_ms = self.config.backlog_ttl_s * 1_000;
        let may_expire = self.is_primary() || !self.rules.era.has_replication_ids();
        let alone = self.replicas().next().is_none() && self.history.has_backlog();
        if alone
            && may_expire
            && ttl_ms > 0
            && now_ms.saturating_sub(self.primary.alone_since_ms) >= ttl_ms
        {
            self.history.expire_backlog(&self.rules, &mut self.ids);
            self.log(format!(
                "No replica for {} s: the backlog is given up",
                self.config.backlog_ttl_s
            ));
        }
    }
}
