//! The stream: what goes into it, into the backlog and to each replica; and the beat that keeps replicas alive.

use bytes::Bytes;

use crate::client::{Client, Phase, Replica};
use crate::commands::Effect;
use crate::event::{ClientId, Framing};
use crate::failover::Failover;
use crate::primary::{Feed, KEEPALIVE_MS};
use crate::rulebook::{BacklogContent, Era, Relay, StreamWriting, TransactionEnd, Trim};
use crate::server::Server;
use crate::shared_stream::Position;
use crate::stream;

/// Commands of which the fault of a wrong backlog remembers the place; more than any judge writes.
const MAX_SPOILED: usize = 1 << 20;

/// Bytes of the stream that wait in a replica's connection; the rest waits in the shared stream, where it is once.
const HANDED_BYTES: u64 = 1024 * 1024;

impl Server {
    /// Puts the effects of one unit of execution into the stream (PROTOCOL §2.5).
    pub(crate) fn propagate(&mut self, effects: &[Effect]) {
        self.propagate_ended(effects, TransactionEnd::Exec);
    }

    /// The same, where the unit may end in another way: a transaction in which the node stops being a primary.
    pub(crate) fn propagate_ended(&mut self, effects: &[Effect], end: TransactionEnd) {
        self.changes += effects.len() as u64;
        let verbatim = !self.is_primary() && self.rules.relay == Relay::Verbatim;
        let unsaid = end == TransactionEnd::Unsaid;
        if verbatim || unsaid || effects.is_empty() || !self.feeds_somebody() {
            return;
        }
        let bracketed = effects.len() > 1 || end == TransactionEnd::Missing;
        if bracketed {
            // The database of the first comes before the transaction [seen 7.0.15].
            self.select_in_stream(effects[0].database);
            self.feed(&stream::multi(), Feed::Control);
        }
        for effect in effects {
            self.select_in_stream(effect.database);
            let length = self.history.append_command(&effect.args, &self.rules);
            self.fed(length, Feed::Data);
        }
        if bracketed && end == TransactionEnd::Exec {
            self.feed(&stream::exec(), Feed::Control);
        }
    }

    fn select_in_stream(&mut self, database: usize) {
        if self.primary.stream_database != Some(database) {
            self.primary.stream_database = Some(database);
            self.feed(&stream::select(database), Feed::Control);
        }
    }

    fn feeds_somebody(&self) -> bool {
        self.history.has_backlog() || self.replicas().next().is_some()
    }

    /// Appends bytes to the history, from where every replica gets them: written once, never copied again.
    pub(crate) fn feed(&mut self, bytes: &Bytes, kind: Feed) {
        self.history.append(bytes, &self.rules);
        self.fed(bytes.len() as u64, kind);
    }

    /// Notes that so many bytes came into the history.
    fn fed(&mut self, length: u64, kind: Feed) {
        self.primary.last_command_bytes = length;
        self.stream_moved = true;
        if self.rules.backlog_content == BacklogContent::Differs && kind == Feed::Data {
            let last = self.history.stream.end().back(b"?\r\n".len() as u64);
            self.primary.spoiled.push_back(last);
            if self.primary.spoiled.len() > MAX_SPOILED {
                self.primary.spoiled.pop_front();
            }
        }
        if self.history.wants_trim(&self.rules) {
            let pinned = self.oldest_needed();
            self.history.trim(&self.rules, pinned);
        }
    }

    /// Hands the stream on: to each replica as much as it takes, and back to memory what nobody needs any more.
    pub(crate) fn distribute(&mut self) {
        if !std::mem::take(&mut self.stream_moved) {
            return;
        }
        for id in self.replica_ids() {
            self.hand_over(id);
        }
        let pinned = self.oldest_needed();
        self.history.trim(&self.rules, pinned);
        self.history.release(pinned);
    }

    /// Bytes of the stream that the system has not taken for a replica.
    pub(crate) fn bytes_waiting_for(&self, client: &Client) -> u64 {
        let end = self.history.stream.end();
        client
            .oldest_needed()
            .map_or(0, |position| end.distance_from(position))
    }

    /// Cuts off replicas for which more waits than `client-output-buffer-limit` allows (PROTOCOL §3.5). The stream is in
    /// memory once for all; a limit says how long it may be kept for one of them.
    pub(crate) fn enforce_output_limits(&mut self, now_ms: u64) {
        for id in self.replica_ids() {
            if self.exceeds_output_limit(id, now_ms) {
                self.log(
                    "A replica is scheduled to be closed for overcoming of output buffer limits",
                );
                self.close(id, now_ms);
            }
        }
    }

    fn exceeds_output_limit(&mut self, id: ClientId, now_ms: u64) -> bool {
        let limit = self.config.output_limits.replica;
        // From 7.0 on a limit below the backlog has no effect: that much is kept anyhow.
        let floor = if self.rules.trim == Trim::Blocks {
            self.config.backlog_bytes
        } else {
            0
        };
        let above = |waiting: u64, limit: u64| limit > 0 && waiting > limit.max(floor);
        let waiting = self
            .clients
            .get(id)
            .map_or(0, |client| self.bytes_waiting_for(client));
        let Some(replica) = self
            .clients
            .get_mut(id)
            .and_then(|client| client.replica.as_mut())
        else {
            return false;
        };
        if !above(waiting, limit.soft_bytes) {
            replica.above_soft_since_ms = None;
            return above(waiting, limit.hard_bytes);
        }
        let since_ms = *replica.above_soft_since_ms.get_or_insert(now_ms);
        above(waiting, limit.hard_bytes) || now_ms.saturating_sub(since_ms) > limit.soft_s * 1_000
    }

    /// Gives a replica's connection the next bytes of the stream, unless enough wait there already.
    fn hand_over(&mut self, id: ClientId) {
        let to = self.handed_up_to();
        let Some(client) = self.clients.get_mut(id) else {
            return;
        };
        let room = HANDED_BYTES.saturating_sub(client.queued - client.written.min(client.queued));
        let Some(replica) = client.replica.as_mut().filter(|_| room > 0) else {
            return;
        };
        let (Phase::Receiving(start) | Phase::Online(start)) = &mut replica.phase else {
            return;
        };
        let pieces = self.history.stream.share(start.handed, to, room);
        let length = pieces.iter().map(|piece| piece.len() as u64).sum();
        start.handed = start.handed.advanced(length);
        let stray = self.rules.stream_writing == StreamWriting::StrayNewline && length > 0;
        if stray && std::mem::take(&mut replica.owes_newline) {
            self.send(id, Bytes::from_static(b"\n"));
        }
        for piece in pieces {
            self.send(id, piece);
        }
    }

    /// The end of the stream; before the last command for the fault that withholds it.
    fn handed_up_to(&self) -> Position {
        let end = self.history.stream.end();
        match self.rules.stream_writing {
            StreamWriting::Exact | StreamWriting::StrayNewline => end,
            StreamWriting::WithholdsLast => end.back(self.primary.last_command_bytes),
        }
    }

    /// For the fault of a wrong backlog: a replica is continued with other bytes than were sent.
    pub(crate) fn serve_spoiled(&mut self, id: ClientId, from: Position) {
        if self.rules.backlog_content == BacklogContent::AsSent {
            return;
        }
        let end = self.history.stream.end();
        let mut wrong = self.history.stream.share(from, end, u64::MAX).concat();
        for position in self
            .primary
            .spoiled
            .iter()
            .filter(|position| **position >= from)
        {
            wrong[position.distance_from(from) as usize] ^= 1;
        }
        self.send(id, Bytes::from(wrong));
        if let Some(Replica {
            phase: Phase::Online(start),
            ..
        }) = self
            .clients
            .get_mut(id)
            .and_then(|client| client.replica.as_mut())
        {
            start.handed = end;
        }
    }

    /// Newlines, heartbeats, silence, expiry of the backlog, and the delayed snapshot.
    pub(crate) fn tick_primary(&mut self, now_ms: u64) {
        self.maybe_cut_snapshot(now_ms);
        self.enforce_output_limits(now_ms);
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
        let silent = |client: &Client, replica: &Replica| {
            let expected = match replica.phase {
                Phase::Online(_) | Phase::Unacknowledged { .. } => !replica.without_label,
                // It takes nothing of the snapshot that is being sent to it.
                Phase::Accumulating { framing, .. } => {
                    framing != Framing::Disk && client.written < client.queued
                }
                Phase::Waiting { .. } | Phase::Receiving(_) | Phase::Leaving { .. } => false,
            };
            expected && now_ms.saturating_sub(replica.heard_ms) > limit_ms
        };
        let silent = self
            .replicas()
            .filter(|(client, replica)| silent(client, replica));
        let ids: Vec<_> = silent
            .map(|(client, replica)| (client.id, replica.is_online()))
            .collect();
        for (id, online) in ids {
            let which = if online {
                "streaming sync"
            } else {
                "full sync"
            };
            self.log(format!(
                "Disconnecting timedout replica ({which}): {}",
                id.0
            ));
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
        // A primary that hands over must not run ahead of the replica it waits for (FLAWS B-41).
        if due && self.failover == Failover::None && self.ending.is_none() {
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
