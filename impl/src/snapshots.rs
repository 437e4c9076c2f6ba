//! Snapshots for replicas: when one is cut, who shares it, how it reaches them, what follows it.
//!
//! The one step that must never be split is [`Server::cut_snapshot`]: cut the data, give out the label, begin to keep
//! the stream (PROTOCOL §3.3). Everything else of a full resynchronization may happen at any time.

use bytes::Bytes;

use crate::client::{Client, Phase, StreamStart};
use crate::event::{Action, ClientId, Framing, JobId};
use crate::offset::ReplOffset;
use crate::primary::{Job, Purpose};
use crate::rdb::ReplicationFields;
use crate::replica::Role;
use crate::rulebook::{
    Accumulation, Attach, Era, FirstStream, FullLine, SavedOffset, SelectAfterSync,
    SnapshotDatabase,
};
use crate::server::Server;
use crate::shared_stream::Position;

/// Bytes of a snapshot that may wait for a replica to read them.
const UNSENT_SNAPSHOT_BYTES: u64 = 1024 * 1024;

impl Server {
    /// Joins the snapshot that is being written to a file for another replica, if there is one (PROTOCOL §3.2).
    pub(crate) fn attach_to_snapshot(&mut self, id: ClientId) -> bool {
        let running = self.primary.job.as_ref();
        if running
            .is_none_or(|job| job.framing != Framing::Disk || job.purpose != Purpose::Replicas)
        {
            return false;
        }
        let Some((label, from)) = self.shareable_snapshot(id) else {
            return false;
        };
        let from = if self.rules.attach == Attach::LosesPending {
            self.history.stream.end()
        } else {
            from
        };
        if let Some(replica) = self
            .clients
            .get_mut(id)
            .and_then(|client| client.replica.as_mut())
        {
            replica.phase = Phase::Accumulating {
                label,
                framing: Framing::Disk,
                from,
            };
        }
        let told = if self.rules.attach == Attach::CurrentLabel {
            self.history.offset
        } else {
            label
        };
        if self.rules.full_line != FullLine::AtRequest {
            self.send_full_line(id, told);
        }
        self.select_again();
        true
    }

    /// Label and place in the stream of a replica whose snapshot `id` could share: one with no capability that `id` lacks.
    fn shareable_snapshot(&self, id: ClientId) -> Option<(ReplOffset, Position)> {
        let mine = &self.clients.get(id)?.announced;
        let covers = |client: &Client| {
            (mine.reads_end_mark || !client.announced.reads_end_mark)
                && (mine.reads_new_id || !client.announced.reads_new_id)
        };
        self.replicas()
            .filter(|(client, _)| covers(client))
            .find_map(|(_, replica)| match &replica.phase {
                Phase::Accumulating { label, from, .. } => Some((*label, *from)),
                _ => None,
            })
    }

    /// Starts the snapshot that replicas wait for, unless one is running or the delay holds it (PROTOCOL §3.3).
    pub(crate) fn maybe_cut_snapshot(&mut self, now_ms: u64) {
        let waiting: Vec<(ClientId, u64, bool)> = self.waiting_replicas();
        if waiting.is_empty() || self.primary.job.is_some() || self.replaces_data() {
            return;
        }
        let diskless = self.config.diskless_sync
            && self.rules.era != Era::Sync
            && waiting.iter().all(|(_, _, reads_end_mark)| *reads_end_mark);
        // Before 2.8 there is no directive for it; a delay is honoured all the same, to be of use to tests.
        let may_hold = diskless || (self.config.diskless_sync && self.rules.era == Era::Sync);
        let oldest_ms = waiting
            .iter()
            .map(|(_, since_ms, _)| *since_ms)
            .min()
            .unwrap_or(now_ms);
        let enough = self.config.diskless_max_replicas;
        let held = may_hold
            && now_ms < oldest_ms + self.config.diskless_delay_s * 1_000
            && (enough == 0 || (waiting.len() as u64) < enough);
        if !held {
            self.cut_snapshot(&waiting, diskless, now_ms);
        }
    }

    fn waiting_replicas(&self) -> Vec<(ClientId, u64, bool)> {
        let waiting = self
            .replicas()
            .filter_map(|(client, replica)| match replica.phase {
                Phase::Waiting { since_ms } => {
                    Some((client.id, since_ms, client.announced.reads_end_mark))
                }
                _ => None,
            });
        waiting.collect()
    }

    /// The atomic step: the data are cut, labelled, and from here on the stream is kept (PROTOCOL §3.3).
    fn cut_snapshot(&mut self, waiting: &[(ClientId, u64, bool)], diskless: bool, now_ms: u64) {
        let framing = if diskless {
            Framing::Socket {
                mark: self.ids.fresh(),
            }
        } else {
            Framing::Disk
        };
        let (label, from) = (self.history.offset, self.history.stream.end());
        for (id, ..) in waiting {
            if self.rules.full_line != FullLine::AtRequest {
                self.send_full_line(*id, label);
            }
            if let Framing::Socket { mark } = framing {
                self.send(*id, Bytes::from(format!("$EOF:{mark}\r\n")));
            }
            if let Some(replica) = self
                .clients
                .get_mut(*id)
                .and_then(|client| client.replica.as_mut())
            {
                replica.heard_ms = now_ms;
                replica.phase = Phase::Accumulating {
                    label,
                    framing,
                    from,
                };
            }
        }
        self.log(format!(
            "Snapshot for {} replicas begins at offset {label}",
            waiting.len()
        ));
        self.write_snapshot(framing, Purpose::Replicas);
        self.select_again();
    }

    /// A replica that reads a snapshot does not know where the stream is; the next write says it to all (PROTOCOL §2.5).
    /// The snapshot itself says where the stream is at the cut, and must be labelled before.
    fn select_again(&mut self) {
        if self.rules.select_after_sync == SelectAfterSync::Again {
            self.primary.stream_database = None;
        }
    }

    /// Starts writing the data of this moment.
    pub(crate) fn write_snapshot(&mut self, framing: Framing, purpose: Purpose) -> JobId {
        self.primary.next_job += 1;
        let id = JobId(self.primary.next_job);
        self.primary.job = Some(Job {
            id,
            framing,
            purpose,
            paused: false,
        });
        let fields = self
            .replication_fields()
            .filter(|_| purpose == Purpose::OwnFile || self.somebody_reads_fields());
        let (snapshot, path) = (self.keyspace.snapshot(), self.config.snapshot_path());
        if framing == Framing::Disk {
            self.changes = 0;
        }
        self.act(Action::WriteSnapshot {
            job: id,
            snapshot,
            fields,
            framing,
            path,
        });
        id
    }

    /// Whether a replica of the snapshot knows of labels in it. One before 4.0 does not, and one before 3.2 refuses the
    /// newer version of the format that they need.
    fn somebody_reads_fields(&self) -> bool {
        let targets = self.replicas_of_snapshot();
        targets
            .iter()
            .any(|id| self.clients[id].announced.reads_new_id)
    }

    /// The label that goes into a snapshot, if this node has one to give (PROTOCOL §2.4).
    fn replication_fields(&self) -> Option<ReplicationFields> {
        let database = match &self.role {
            _ if !self.rules.era.has_replication_ids() => None,
            Role::Primary => self
                .history
                .has_backlog()
                .then(|| self.primary.stream_database.unwrap_or(0)),
            Role::Replica(replica) => replica.selected_database(),
        };
        let excess = match self.rules.saved_offset {
            SavedOffset::OneCommandMore => self.primary.last_command_bytes,
            SavedOffset::OfCut => 0,
        };
        let id = self.history.id.as_bytes().try_into().ok()?;
        let stream_db = match (database?, self.rules.snapshot_database) {
            (database, SnapshotDatabase::Carried) => i32::try_from(database).ok()?,
            (_, SnapshotDatabase::AlwaysFirst) => 0,
        };
        Some(ReplicationFields {
            stream_db,
            id,
            offset: self.history.offset.advanced(excess).get(),
        })
    }

    /// A part of a snapshot that is sent as it is made.
    pub(crate) fn snapshot_part(&mut self, job: JobId, bytes: &Bytes) {
        let Some(running) = self
            .primary
            .job
            .as_mut()
            .filter(|running| running.id == job)
        else {
            return;
        };
        running.paused = true;
        for id in self.replicas_of_snapshot() {
            self.send(id, bytes.clone());
        }
        self.maybe_resume_snapshot();
    }

    /// The next part is made when the slowest replica has taken most of the last ones, so that a snapshot that is
    /// sent as it is made never waits in memory as a whole.
    pub(crate) fn maybe_resume_snapshot(&mut self) {
        let behind = |client: &Client| {
            let behind = client.written + UNSENT_SNAPSHOT_BYTES < client.queued;
            behind
                && matches!(&client.replica, Some(replica) if matches!(replica.phase, Phase::Accumulating { .. }))
        };
        let held = self.clients.values().any(behind);
        let Some(job) = self.primary.job.as_mut().filter(|job| job.paused && !held) else {
            return;
        };
        job.paused = false;
        let job = job.id;
        self.act(Action::ContinueSnapshot { job });
    }

    pub(crate) fn replicas_of_snapshot(&self) -> Vec<ClientId> {
        let targets = self
            .replicas()
            .filter(|(_, replica)| matches!(replica.phase, Phase::Accumulating { .. }));
        targets.map(|(client, _)| client.id).collect()
    }

    /// The snapshot is complete: files are sent, marks close what was sent already (PROTOCOL §3.4).
    pub(crate) fn snapshot_done(&mut self, id: JobId, length: u64, now_ms: u64) {
        let Some(job) = self.primary.job.take_if(|job| job.id == id) else {
            return;
        };
        for replica in self.replicas_of_snapshot() {
            match job.framing {
                Framing::Disk => self.send_file(replica, id, length, now_ms),
                Framing::Socket { mark } => {
                    self.close_payload(replica, Bytes::copy_from_slice(mark.as_bytes()), now_ms);
                }
            }
        }
        if job.framing == Framing::Disk {
            (self.last_save_ms, self.last_save_ok) = (now_ms, true);
        }
        self.release_savers(id, None, now_ms);
        self.maybe_cut_snapshot(now_ms);
    }

    fn send_file(&mut self, id: ClientId, job: JobId, length: u64, now_ms: u64) {
        let Some((_, from)) = self.after_snapshot(id) else {
            return;
        };
        self.send(id, Bytes::from(format!("${length}\r\n")));
        self.act(Action::SendSnapshot {
            client: id,
            job,
            length,
        });
        let Some(client) = self.clients.get_mut(id) else {
            return;
        };
        client.queued += length;
        if self.leaves_after_snapshot(id) {
            return;
        }
        let Some(client) = self.clients.get_mut(id) else {
            return;
        };
        let start = StreamStart {
            preceding: client.queued,
            first: from,
            handed: from,
        };
        if let Some(replica) = &mut client.replica {
            (replica.phase, replica.heard_ms) = (Phase::Receiving(start), now_ms);
        }
        self.stream_moved = true;
    }

    /// Lets a replica that wants nothing but the snapshot go when it has all of it.
    fn leaves_after_snapshot(&mut self, id: ClientId) -> bool {
        let client = self.clients.get_mut(id);
        let Some(client) = client.filter(|client| client.announced.snapshot_only) else {
            return false;
        };
        let preceding = client.queued;
        if let Some(replica) = &mut client.replica {
            replica.phase = Phase::Leaving { preceding };
        }
        true
    }

    fn close_payload(&mut self, id: ClientId, mark: Bytes, now_ms: u64) {
        self.send(id, mark);
        if self.leaves_after_snapshot(id) {
            return;
        }
        let Some((label, from)) = self.after_snapshot(id) else {
            return;
        };
        if let Some(replica) = self
            .clients
            .get_mut(id)
            .and_then(|client| client.replica.as_mut())
        {
            (replica.phase, replica.heard_ms) = (Phase::Unacknowledged { label, from }, now_ms);
        }
        if self.rules.first_stream == FirstStream::AtOnce {
            self.start_stream(id, now_ms);
        }
    }

    /// The label of a replica's snapshot, and where the stream goes on after it.
    fn after_snapshot(&self, id: ClientId) -> Option<(ReplOffset, Position)> {
        match &self.clients.get(id)?.replica.as_ref()?.phase {
            Phase::Accumulating { .. } if self.rules.accumulation == Accumulation::FromEnd => {
                Some((self.history.offset, self.history.stream.end()))
            }
            Phase::Accumulating { label, from, .. } | Phase::Unacknowledged { label, from } => {
                Some((*label, *from))
            }
            _ => None,
        }
    }

    /// The first acknowledgement after a payload with an end mark opens the stream (PROTOCOL §3.4).
    pub(crate) fn start_stream(&mut self, id: ClientId, now_ms: u64) {
        if let Some((_, from)) = self.after_snapshot(id) {
            self.set_online(id, from, false, now_ms);
        }
    }

    /// The snapshot could not be written: who waited for it is cut off and will ask again (PROTOCOL §3.4).
    pub(crate) fn snapshot_failed(&mut self, id: JobId, reason: &str, now_ms: u64) {
        let Some(job) = self.primary.job.take_if(|job| job.id == id) else {
            return;
        };
        self.log(format!("Snapshot failed: {reason}"));
        self.last_save_ok &= job.framing != Framing::Disk;
        self.snapshot_will_not_come(id, reason, now_ms);
        self.maybe_cut_snapshot(now_ms);
    }

    fn snapshot_will_not_come(&mut self, id: JobId, reason: &str, now_ms: u64) {
        for replica in self.replicas_of_snapshot() {
            self.close(replica, now_ms);
        }
        self.release_savers(id, Some(reason), now_ms);
    }

    /// Other data are about to take the place of ours: a snapshot of ours would overwrite their file (FLAWS B-34).
    pub(crate) fn give_up_snapshot(&mut self, now_ms: u64) {
        let Some(job) = self.primary.job.take() else {
            return;
        };
        let reason = "the data of the primary have come";
        self.log(format!("A snapshot is given up: {reason}"));
        self.act(Action::CancelSnapshot { job: job.id });
        self.snapshot_will_not_come(job.id, reason, now_ms);
    }
}
