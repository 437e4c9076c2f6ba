//! How a replica takes a snapshot, and with it the label of another history (PROTOCOL §4.4).

use bytes::{Bytes, BytesMut};

use crate::client::Session;
use crate::config::DisklessLoad;
use crate::event::{Action, LinkId};
use crate::ids::ReplicationId;
use crate::offset::ReplOffset;
use crate::payload::{Payload, Received};
use crate::primary::KEEPALIVE_MS;
use crate::rdb::Loaded;
use crate::replica::{Connected, Handshake, Label, Link, Loading, Transfer};
use crate::rulebook::{Era, FullLoad, Relay, SyncFallback};
use crate::server::{SavedPosition, Server};

/// Snapshots shorter than this are read unnoticed (`loading-process-events-interval-bytes` of Redis 7.0).
pub(crate) const UNNOTICED_BYTES: u64 = 2 * 1024 * 1024;

/// What users are answered while data are being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LoadingKind {
    /// Nothing, because what is read is not what was here.
    Instead,
    /// The old data, because what is read is a later state of the same.
    Beside,
}

impl Server {
    pub(crate) fn begin_transfer(
        &mut self,
        handshake: Handshake,
        label: Option<Label>,
        now_ms: u64,
    ) {
        let transfer = Transfer {
            id: handshake.id,
            label,
            payload: Payload::default(),
            heard_ms: now_ms,
        };
        self.transfer_received(transfer, handshake.input.freeze(), now_ms);
    }

    pub(crate) fn transfer_received(&mut self, mut transfer: Transfer, bytes: Bytes, now_ms: u64) {
        transfer.heard_ms = now_ms;
        let (link, had_begun) = (transfer.id, transfer.payload.has_begun());
        let received = match transfer.payload.push(bytes) {
            Ok(received) => received,
            Err(error) => return self.abandon_link(link, &error, now_ms),
        };
        if transfer.payload.has_begun() && !had_begun {
            // A payload that comes directly is our own file only if there has to be one.
            let without_file = transfer.payload.is_direct() && self.loads_directly();
            let path = (!without_file).then(|| self.config.snapshot_path());
            self.act(Action::LoadSnapshot { link, path });
        }
        for piece in transfer.payload.take_pieces() {
            self.act(Action::LoadPiece { link, piece });
        }
        match received {
            None => self.put_link(Link::Transfer(transfer)),
            Some(received) => self.all_has_come(link, transfer.label, &received, now_ms),
        }
    }

    /// The whole snapshot is in hand: what is left is to read the rest of it (PROTOCOL §4.4).
    fn all_has_come(
        &mut self,
        link: LinkId,
        label: Option<Label>,
        received: &Received,
        now_ms: u64,
    ) {
        self.log("MASTER <-> REPLICA sync: Loading DB in memory");
        self.put_link(Link::Loading(Loading {
            id: link,
            label,
            rest: BytesMut::from(received.rest.as_ref()),
            had_mark: received.had_mark,
            payload_bytes: received.payload_bytes,
            next_newline_ms: now_ms + KEEPALIVE_MS,
            heard_ms: now_ms,
        }));
        self.give_up_snapshot(now_ms);
        self.act(Action::LoadWhole { link });
    }

    /// Whether a snapshot that is sent as it is made needs no file here.
    pub(crate) fn loads_directly(&self) -> bool {
        match self.config.diskless_load {
            DisklessLoad::Disabled => false,
            DisklessLoad::OnEmptyDb => self.keyspace.is_empty(),
            DisklessLoad::SwapDb => true,
        }
    }

    /// Whether the data of a primary are about to take the place of ours.
    pub(crate) fn replaces_data(&self) -> bool {
        matches!(self.link(), Some(Link::Loading(_)))
    }

    /// Whether users notice that data are being read: our own file at the start, or a primary's snapshot. Redis looks at
    /// its connections once in [`UNNOTICED_BYTES`], so that nobody ever sees it load less.
    pub(crate) fn loading(&self) -> Option<LoadingKind> {
        if self.starting {
            return Some(LoadingKind::Instead);
        }
        let (direct, label, bytes) = match self.link()? {
            Link::Loading(loading) => (loading.had_mark, loading.label, loading.payload_bytes),
            // One that needs no file is read as it comes.
            Link::Transfer(transfer) if transfer.payload.is_direct() && self.loads_directly() => {
                (true, transfer.label, transfer.payload.progress().0)
            }
            _ => return None,
        };
        if bytes < UNNOTICED_BYTES {
            return None;
        }
        // Known from 7.0 on.
        let later = self.rules.era == Era::Psync2V7
            && direct
            && self.config.diskless_load == DisklessLoad::SwapDb
            && label.is_some_and(|label| label.id == self.history.id);
        Some(if later {
            LoadingKind::Beside
        } else {
            LoadingKind::Instead
        })
    }

    /// The snapshot was read: only now data and label are replaced (PROTOCOL §4.4).
    pub(crate) fn snapshot_loaded(
        &mut self,
        id: LinkId,
        result: Result<Box<Loaded>, String>,
        now_ms: u64,
    ) {
        let reads = |link: &Link| matches!(link, Link::Transfer(_) | Link::Loading(_));
        let Some(link) = self.take_link_if(id, reads, now_ms) else {
            return;
        };
        let loaded = match result {
            Ok(loaded) => loaded,
            Err(reason) => {
                self.log(format!(
                    "The snapshot is refused, data and label stay as they were: {reason}"
                ));
                return self.retry_link(id, now_ms);
            }
        };
        let Link::Loading(loading) = link else {
            return self.put_link(link);
        };
        self.keyspace = loaded.keyspace;
        self.own_deadlines.clear();
        self.data_replaced(now_ms);
        if self.rules.full_load == FullLoad::CutsReplicas {
            self.disconnect_replicas(now_ms);
        }
        let saved = loaded.fields.and_then(SavedPosition::of);
        let database = saved.map_or(0, |saved| saved.database);
        let connected = self.connected_after_load(id, loading.label, database, now_ms);
        if loading.had_mark {
            self.acknowledge(&connected);
        }
        self.log("MASTER <-> REPLICA sync: Finished with success");
        self.stream_established(connected, loading.rest.freeze(), now_ms);
    }

    fn connected_after_load(
        &mut self,
        id: LinkId,
        label: Option<Label>,
        database: usize,
        now_ms: u64,
    ) -> Connected {
        let session = Session {
            database,
            transaction: None,
        };
        let known = label.unwrap_or_else(|| self.label_after_sync());
        self.adopt_label(known);
        if let Some(following) = self.following() {
            following.cached = None;
        }
        let mut connected = Connected::new(id, known.id, known.offset, session, now_ms);
        connected.without_label = label.is_none();
        connected
    }

    /// After `SYNC` there is no label. A fresh name that nobody was told takes the place of the stale one that servers
    /// in the field keep (PROTOCOL §6 X7; FLAWS B-01).
    fn label_after_sync(&mut self) -> Label {
        match self.rules.sync_fallback {
            SyncFallback::FreshId => Label {
                id: self.ids.fresh(),
                offset: ReplOffset::ZERO,
            },
            SyncFallback::KeepsStaleId => Label {
                id: self.announced_id.unwrap_or(ReplicationId::NONE),
                offset: ReplOffset::new(-1),
            },
        }
    }

    /// Name and offset of what was loaded become ours; in the run-ID era they concern the link only.
    pub(crate) fn adopt_label(&mut self, label: Label) {
        if self.rules.relay == Relay::Verbatim {
            self.history.adopt(label.id, label.offset, &self.rules);
            self.history.create_backlog();
        }
    }
}
