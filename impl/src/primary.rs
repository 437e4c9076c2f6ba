//! What a node does when somebody asks for the stream: accept, decline, admit, and let go again.
//!
//! Snapshots are in `snapshots`, the stream itself is in `feeding`.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::client::{Phase, Replica, StreamStart};
use crate::config::Config;
use crate::event::{Action, ClientId, Framing, JobId};
use crate::failover::Failover;
use crate::history::PartialRequest;
use crate::offset::{NextByte, ReplOffset};
use crate::replica::Link;
use crate::resp::Reply;
use crate::rulebook::{Era, FullLine, Relay};
use crate::server::Server;
use crate::shared_stream::Position;

/// Time between two newlines that tell a waiting replica that we are alive (PROTOCOL §2.4).
pub(crate) const KEEPALIVE_MS: u64 = 1_000;

/// What a node keeps for the sake of its replicas, beside the history and the connections.
#[derive(Debug)]
pub struct PrimarySide {
    /// The snapshot being written.
    pub job: Option<Job>,
    /// The database selected in the stream; `None` makes the next command select.
    pub stream_database: Option<usize>,
    /// Since when no replica is attached.
    pub alone_since_ms: u64,
    /// When the next `PING` is due.
    pub next_ping_ms: u64,
    pub(crate) next_keepalive_ms: u64,
    pub(crate) next_job: u64,
    /// Length of the last command in the stream, which one fault adds to a label.
    pub(crate) last_command_bytes: u64,
    /// Where the fault of a wrong backlog serves another byte than was sent.
    pub(crate) spoiled: VecDeque<Position>,
}

/// A snapshot being written.
#[derive(Debug)]
pub struct Job {
    /// Its name.
    pub id: JobId,
    /// How it travels.
    pub framing: Framing,
    /// For whom it is.
    pub purpose: Purpose,
    /// Whether its next part waits for the replicas to take the last one.
    pub paused: bool,
}

/// For whom a snapshot is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// For replicas that wait.
    Replicas,
    /// For our own file only.
    OwnFile,
}

/// What bytes of the stream are, for the faults that treat them differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Feed {
    /// A command on data.
    Data,
    /// `SELECT`, `PING` and their like.
    Control,
}

impl PrimarySide {
    /// A node without replicas.
    pub fn new(now_ms: u64, config: &Config) -> Self {
        Self {
            job: None,
            stream_database: None,
            alone_since_ms: now_ms,
            next_ping_ms: now_ms + config.ping_period_s * 1_000,
            next_keepalive_ms: now_ms + KEEPALIVE_MS,
            next_job: 0,
            last_command_bytes: 0,
            spoiled: VecDeque::new(),
        }
    }
}

impl Server {
    /// `SYNC` (no request) or `PSYNC` on a connection (PROTOCOL §2.2).
    pub(crate) fn synchronize(
        &mut self,
        id: ClientId,
        request: Option<&PartialRequest>,
        now_ms: u64,
    ) {
        if self
            .clients
            .get(id)
            .is_none_or(|client| client.replica.is_some())
        {
            return;
        }
        if self.failover != Failover::None {
            let text = "NOMASTERLINK Can't SYNC while failing over";
            return self.reply(id, &Reply::Error(text.into()));
        }
        if self
            .link()
            .is_some_and(|link| !matches!(link, Link::Connected(_)))
        {
            let word = if self.rules.era.has_replication_ids() {
                "NOMASTERLINK"
            } else {
                "ERR"
            };
            return self.reply(
                id,
                &Reply::Error(format!(
                    "{word} Can't SYNC while not connected with my master"
                )),
            );
        }
        let accepted = request.is_some_and(|request| self.accepts(request));
        self.act(Action::ReportWrites { client: id });
        match request {
            Some(request) if accepted => self.continue_partially(id, request.from, now_ms),
            _ => self.admit_for_snapshot(id, request.is_none(), now_ms),
        }
    }

    fn accepts(&mut self, request: &PartialRequest) -> bool {
        let decision = self.history.decide(request, &self.rules);
        let name = String::from_utf8_lossy(&request.id).into_owned();
        match decision {
            Ok(()) => {
                self.stats.partial_granted += 1;
                self.log(format!(
                    "Partial resynchronization of {name} from byte {} accepted",
                    request.from
                ));
            }
            Err(reason) => {
                self.stats.partial_declined += u64::from(!request.is_anonymous());
                self.log(format!(
                    "Partial resynchronization of {name} from byte {} declined: {reason}",
                    request.from
                ));
            }
        }
        decision.is_ok()
    }

    /// Answers `+CONTINUE` and queues what the replica lacks (PROTOCOL §2.3, §3.1).
    fn continue_partially(&mut self, id: ClientId, from: NextByte, now_ms: u64) {
        let Some(client) = self.clients.get(id) else {
            return;
        };
        let named = client.announced.reads_new_id && self.rules.era.has_replication_ids();
        let line = if named {
            format!("+CONTINUE {}\r\n", self.history.id)
        } else {
            "+CONTINUE\r\n".to_owned()
        };
        self.send(id, Bytes::from(line));
        let first = self.history.position_of(from);
        self.set_online(id, first, false, now_ms);
        self.serve_spoiled(id, first);
    }

    /// From here on the connection carries the stream, beginning at `first`.
    pub(crate) fn set_online(
        &mut self,
        id: ClientId,
        first: Position,
        without_label: bool,
        now_ms: u64,
    ) {
        let Some(client) = self.clients.get_mut(id) else {
            return;
        };
        let phase = Phase::Online(StreamStart {
            preceding: client.queued,
            first,
            handed: first,
        });
        self.stream_moved = true;
        match &mut client.replica {
            Some(replica) => (replica.phase, replica.heard_ms) = (phase, now_ms),
            None => client.replica = Some(Replica::new(phase, without_label, now_ms)),
        }
        self.attached.insert(id);
    }

    /// A full resynchronization: wait for a snapshot, or join one (PROTOCOL §3.2).
    fn admit_for_snapshot(&mut self, id: ClientId, without_label: bool, now_ms: u64) {
        self.stats.full += 1;
        if self.replicas().next().is_none() && !self.history.has_backlog() {
            match (self.is_primary(), self.rules.relay) {
                (false, Relay::Verbatim) => self.history.create_backlog(),
                _ => self
                    .history
                    .create_first_backlog(&self.rules, &mut self.ids),
            }
        }
        if let Some(client) = self.clients.get_mut(id) {
            client.replica = Some(Replica::new(
                Phase::Waiting { since_ms: now_ms },
                without_label,
                now_ms,
            ));
            self.attached.insert(id);
        }
        if self.rules.full_line == FullLine::AtRequest {
            self.send_full_line(id, self.history.offset);
        }
        if !self.attach_to_snapshot(id) {
            self.maybe_cut_snapshot(now_ms);
        }
    }

    pub(crate) fn send_full_line(&mut self, id: ClientId, label: ReplOffset) {
        let unlabelled = |replica: &Replica| replica.without_label;
        if self
            .clients
            .get(id)
            .and_then(|client| client.replica.as_ref())
            .is_none_or(unlabelled)
        {
            return;
        }
        let label = if self.rules.full_line == FullLine::OneMore {
            label.advanced(1)
        } else {
            label
        };
        self.send(
            id,
            Bytes::from(format!("+FULLRESYNC {} {label}\r\n", self.history.id)),
        );
    }

    /// `REPLCONF ACK` (PROTOCOL §2.6, §3.8).
    pub(crate) fn acknowledged(&mut self, id: ClientId, offset: ReplOffset, now_ms: u64) {
        let Some(replica) = self
            .clients
            .get_mut(id)
            .and_then(|client| client.replica.as_mut())
        else {
            return;
        };
        replica.acknowledged = replica.acknowledged.max(offset);
        replica.heard_ms = now_ms;
        if matches!(replica.phase, Phase::Unacknowledged { .. }) {
            self.start_stream(id, now_ms);
        }
        self.release_waiters(now_ms);
    }

    /// More bytes of a replica's connection were written.
    pub(crate) fn replica_progressed(&mut self, id: ClientId, now_ms: u64) {
        let Some(client) = self.clients.get_mut(id) else {
            return;
        };
        let Some(replica) = &mut client.replica else {
            return;
        };
        match replica.phase {
            Phase::Receiving(start) if client.written >= start.preceding => {
                (replica.phase, replica.heard_ms) = (Phase::Online(start), now_ms);
            }
            Phase::Leaving { preceding } if client.written >= preceding => {
                self.log("Snapshot sent to a replica that wants no more");
                return self.close(id, now_ms);
            }
            Phase::Accumulating { .. } => replica.heard_ms = now_ms,
            _ => {}
        }
        self.stream_moved = true;
        self.maybe_resume_snapshot();
    }

    /// A replica is gone; with the last one go the snapshot made for it and, later, the backlog (PROTOCOL §3.4, §3.5).
    pub(crate) fn replica_gone(&mut self, now_ms: u64) {
        if self.replicas().next().is_none() {
            self.primary.alone_since_ms = now_ms;
        }
        self.maybe_resume_snapshot();
        let unwanted = self.replicas_of_snapshot().is_empty() && self.rules.era == Era::Psync2V7;
        // A file is of use to ourselves where save points ask for one.
        let saves = !self.config.save_points().is_empty();
        let useless = |job: &mut Job| {
            job.purpose == Purpose::Replicas && !(saves && job.framing == Framing::Disk)
        };
        if unwanted && let Some(job) = self.primary.job.take_if(useless) {
            self.log("The last replica of a snapshot is gone, it is given up");
            self.act(Action::CancelSnapshot { job: job.id });
            self.maybe_cut_snapshot(now_ms);
        }
        self.stream_moved = true;
    }

    /// Cuts off all replicas, so that they ask again and learn what changed (PROTOCOL §4.6).
    pub(crate) fn disconnect_replicas(&mut self, now_ms: u64) {
        if self.attached.is_empty() {
            return;
        }
        for id in std::mem::take(&mut self.attached) {
            self.act(Action::Close { client: id });
            self.clients.remove(id);
        }
        self.replica_gone(now_ms);
    }

    /// Where the replica that is furthest behind stands: blocks from there on stay (PROTOCOL §3.6).
    pub(crate) fn oldest_needed(&self) -> Option<Position> {
        self.replicas()
            .filter_map(|(client, _)| client.oldest_needed())
            .min()
    }
}
