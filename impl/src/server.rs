//! The core: the whole server as one value that events change.
//!
//! It knows no socket, clock, file or source of chance. [`Server::handle`] takes one event and the time,
//! [`Server::tick`] takes the time alone (at least every [`TICK_MS`]), and [`Server::take_actions`] gives what is to
//! be done, in order. Times are milliseconds of one clock that never goes back; it read like the time of day when the server
//! started. Deadlines of keys mean the time of day itself, which somebody may set: [`Server::set_time_of_day`].

use std::collections::{BTreeSet, VecDeque};
use std::mem;
use std::path::PathBuf;

use bytes::{Bytes, BytesMut};

use crate::client::{Blocked, Client, Replica};
use crate::clients::Clients;
use crate::commands;
use crate::config::Config;
use crate::ending::Ending;
use crate::event::{Action, ClientId, Event, LinkId};
use crate::failover::Failover;
use crate::history::History;
use crate::ids::{IdSource, ReplicationId};
use crate::input::Input;
use crate::keyspace::{DATABASES, Keyspace};
use crate::offset::ReplOffset;
use crate::pausing::Pause;
use crate::primary::PrimarySide;
use crate::rdb::ReplicationFields;
use crate::replica::{CachedPrimary, Link, Role};
use crate::resp::{Limits, Reply};
use crate::rulebook::{Rulebook, SavedLabel};
use crate::turns::is_end_of_turn;
use crate::watching::Interest;

/// The longest time between two ticks; the precision of every timer here.
pub const TICK_MS: u64 = 50;

/// Replies shorter than this together are copied into an allocation of their own length, which may wait for a slow reader.
const COPIED_ANSWERS: usize = 64 * 1024;

/// What `INFO` counts since the start or since `CONFIG RESETSTAT`.
#[derive(Debug, Default, Clone)]
pub struct Stats {
    /// Connections accepted.
    pub connections: u64,
    /// Commands executed.
    pub commands: u64,
    /// How often each command was called, by its number; those beyond the end never.
    pub calls: Vec<Calls>,
    /// Connections that were not let in.
    pub rejected: u64,
    /// Keys that had expired when the snapshot file was loaded.
    pub expired_at_load: u64,
    /// Full resynchronizations begun.
    pub full: u64,
    /// Partial resynchronizations granted.
    pub partial_granted: u64,
    /// Partial resynchronizations declined.
    pub partial_declined: u64,
}

/// How often one command was called.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Calls {
    /// Executed.
    pub executed: u64,
    /// Of these, answered with an error.
    pub failed: u64,
    /// Refused before execution.
    pub rejected: u64,
}

/// What a node knows when it starts.
#[derive(Debug)]
pub struct Birth {
    /// The rules it obeys.
    pub rules: Rulebook,
    /// Its configuration.
    pub config: Config,
    /// The file its configuration came from, if it came from one.
    pub config_file: Option<PathBuf>,
    /// Where its names come from.
    pub ids: IdSource,
    /// The port it really listens on.
    pub port: u16,
    /// The number of its process.
    pub process_id: u32,
    /// Tells how much memory the process uses, in bytes; for `INFO`.
    pub memory_bytes: fn() -> u64,
    /// The time.
    pub now_ms: u64,
}

/// The whole server.
#[derive(Debug)]
pub struct Server {
    pub(crate) rules: Rulebook,
    pub(crate) config: Config,
    pub(crate) config_file: Option<PathBuf>,
    pub(crate) memory_bytes: fn() -> u64,
    pub(crate) ids: IdSource,
    pub(crate) run_id: ReplicationId,
    pub(crate) port: u16,
    pub(crate) process_id: u32,
    pub(crate) started_ms: u64,
    /// How far the time of day is ahead of the clock that never goes back.
    ahead_ms: i64,
    pub(crate) history: History,
    pub(crate) keyspace: Keyspace,
    pub(crate) clients: Clients,
    /// The connections that asked for the stream: few among many, and looked at for every write.
    pub(crate) attached: BTreeSet<ClientId>,
    /// The connections with commands that wait for their turn, in order; some may have had it or be gone.
    pub(crate) turns: VecDeque<ClientId>,
    /// Whether our own snapshot file is still being read: until then nothing is known.
    pub(crate) starting: bool,
    pub(crate) role: Role,
    pub(crate) primary: PrimarySide,
    pub(crate) stats: Stats,
    pub(crate) interest: Interest,
    /// Writes since the last snapshot in our own file, and when that was.
    pub(crate) changes: u64,
    pub(crate) last_save_ms: u64,
    pub(crate) last_save_ok: bool,
    pub(crate) next_link: u64,
    pub(crate) next_expiry_ms: u64,
    pub(crate) active_expire: bool,
    /// Keys with a deadline that users of a writable replica made.
    pub(crate) own_deadlines: BTreeSet<(usize, Bytes)>,
    pub(crate) failover: Failover,
    pub(crate) pause: Option<Pause>,
    pub(crate) ending: Option<Ending>,
    /// The name of the last announced full resynchronization, which the shipped fallback to `SYNC` goes by.
    pub(crate) announced_id: Option<ReplicationId>,
    /// Whether the stream, or somebody who follows it, moved since it was last distributed.
    pub(crate) stream_moved: bool,
    actions: Vec<Action>,
    /// Replies to one connection that are not an action yet, so that replies in a row leave as one piece.
    answers: BytesMut,
    answered: ClientId,
    given_bytes: u64,
}

impl Server {
    /// A node with the data and the label of its snapshot file, if it had one.
    pub fn new(birth: Birth, keyspace: Keyspace, label: Option<SavedPosition>) -> Self {
        let now_ms = birth.now_ms;
        let mut server = Self::starting(birth);
        server.begin(keyspace, label, now_ms);
        server
    }

    /// A node whose snapshot file is still being read: it waits for [`Event::FileLoaded`], and users with it.
    pub fn starting(birth: Birth) -> Self {
        let Birth {
            rules,
            config,
            config_file,
            mut ids,
            port,
            process_id,
            memory_bytes,
            now_ms,
        } = birth;
        let run_id = ids.fresh();
        let id = if rules.era.has_replication_ids() {
            ids.fresh()
        } else {
            run_id
        };
        Self {
            history: History::new(id, config.backlog_bytes),
            primary: PrimarySide::new(now_ms, &config),
            rules,
            config,
            config_file,
            memory_bytes,
            ids,
            run_id,
            port,
            process_id,
            started_ms: now_ms,
            ahead_ms: 0,
            keyspace: Keyspace::new(),
            clients: Clients::default(),
            attached: BTreeSet::new(),
            turns: VecDeque::new(),
            starting: true,
            role: Role::Primary,
            stats: Stats::default(),
            interest: Interest::default(),
            changes: 0,
            last_save_ms: now_ms,
            last_save_ok: true,
            next_link: 0,
            next_expiry_ms: now_ms,
            active_expire: true,
            own_deadlines: BTreeSet::new(),
            failover: Failover::None,
            pause: None,
            ending: None,
            announced_id: None,
            stream_moved: false,
            actions: Vec::new(),
            answers: BytesMut::new(),
            answered: ClientId(0),
            given_bytes: 0,
        }
    }

    /// Takes one event.
    pub fn handle(&mut self, event: Event, now_ms: u64) {
        match event {
            Event::Connected { client, address } => {
                self.connected(Client::new(client, address, now_ms));
            }
            Event::Received { client, bytes } => self.received(client, bytes, now_ms),
            Event::Written { client, total } => self.written(client, total, now_ms),
            // Somebody may have ended only his own side: what he sent is executed, what he was answered is written.
            Event::Closed { client } => {
                while self.take_turn(client, now_ms) {}
                self.close(client, now_ms);
            }
            Event::LinkUp { link } => self.link_up(link, now_ms),
            Event::LinkReceived { link, bytes } => self.link_received(link, bytes, now_ms),
            Event::LinkDown { link } => self.link_down(link, now_ms),
            Event::FileLoaded { keyspace, label } => self.begin(*keyspace, label, now_ms),
            Event::SnapshotLoaded { link, result } => self.snapshot_loaded(link, result, now_ms),
            Event::SnapshotPart { job, bytes } => self.snapshot_part(job, &bytes),
            Event::SnapshotDone { job, length } => self.snapshot_done(job, length, now_ms),
            Event::SnapshotFailed { job, reason } => self.snapshot_failed(job, &reason, now_ms),
            Event::ConfigWritten { client, failure } => {
                self.config_written(client, failure.as_deref(), now_ms);
            }
            Event::Terminate => self.terminate(now_ms),
        }
        self.resume_released(now_ms);
    }

    /// Says what the time of day is, which may be any after somebody has set it. Timers do not care; deadlines of keys do,
    /// because every server that holds the key reads them by its own clock. Differences below [`TICK_MS`] are those of
    /// measuring.
    pub fn set_time_of_day(&mut self, unix_ms: u64, now_ms: u64) {
        let ahead_ms = unix_ms as i64 - now_ms as i64;
        if ahead_ms.abs_diff(self.ahead_ms) >= TICK_MS {
            self.log(format!(
                "The clock was set: by {} ms",
                ahead_ms - self.ahead_ms
            ));
            self.ahead_ms = ahead_ms;
        }
    }

    /// The time of day, in unix milliseconds.
    pub(crate) fn unix_ms(&self, now_ms: u64) -> u64 {
        now_ms.saturating_add_signed(self.ahead_ms)
    }

    /// Lets time pass.
    pub fn tick(&mut self, now_ms: u64) {
        if self.starting {
            return;
        }
        self.tick_primary(now_ms);
        self.tick_link(now_ms);
        self.tick_waiters(now_ms);
        self.tick_save_points(now_ms);
        self.tick_expiry(now_ms);
        self.tick_failover(now_ms);
        self.tick_ending(now_ms);
        self.tick_pause(now_ms);
        self.tick_idle(now_ms);
        self.resume_released(now_ms);
    }

    /// What is to be done now, in this order.
    pub fn take_actions(&mut self) -> Vec<Action> {
        self.given_bytes = 0;
        self.distribute();
        self.send_answers();
        mem::take(&mut self.actions)
    }

    /// Bytes that the actions which wait to be taken give to connections.
    pub fn given_bytes(&self) -> u64 {
        self.given_bytes
    }

    pub(crate) fn act(&mut self, action: Action) {
        self.send_answers();
        self.actions.push(action);
    }

    pub(crate) fn log(&mut self, message: impl Into<String>) {
        self.act(Action::Log {
            message: message.into(),
        });
    }

    /// Gives bytes to a connection.
    pub(crate) fn send(&mut self, id: ClientId, bytes: Bytes) {
        let Some(client) = self.clients.get_mut(id).filter(|client| !client.closing) else {
            return;
        };
        if !bytes.is_empty() {
            client.queued += bytes.len() as u64;
            self.given_bytes += bytes.len() as u64;
            self.act(Action::Send { client: id, bytes });
        }
    }

    pub(crate) fn reply(&mut self, id: ClientId, reply: &Reply) {
        if self.answered != id {
            self.send_answers();
            self.answered = id;
        }
        let limit = self.config.output_limits.longest_for_user();
        let Some(client) = self.clients.get_mut(id).filter(|client| !client.closing) else {
            return;
        };
        if reply.payload_bytes() > limit {
            // It would have to be whole in memory.
            client.closing = true;
            return;
        }
        let before = self.answers.len();
        reply.encode_into(client.protocol, &mut self.answers);
        let added = (self.answers.len() - before) as u64;
        client.queued += added;
        self.given_bytes += added;
    }

    /// Makes an action of the replies so far.
    fn send_answers(&mut self) {
        if self.answers.is_empty() {
            return;
        }
        let bytes = if self.answers.len() < COPIED_ANSWERS {
            let bytes = Bytes::copy_from_slice(&self.answers);
            self.answers.clear();
            bytes
        } else {
            mem::take(&mut self.answers).freeze()
        };
        let client = self.answered;
        self.actions.push(Action::Send { client, bytes });
    }

    /// Closes a connection after what it was given; it is forgotten at once.
    pub(crate) fn close(&mut self, id: ClientId, now_ms: u64) {
        if self.clients.contains_key(id) {
            self.act(Action::Close { client: id });
            self.forget_client(id, now_ms);
        }
    }

    pub(crate) fn is_primary(&self) -> bool {
        matches!(self.role, Role::Primary)
    }

    /// The connections that asked for the stream.
    pub(crate) fn replicas(&self) -> impl Iterator<Item = (&Client, &Replica)> {
        let clients = self.attached.iter().filter_map(|id| self.clients.get(*id));
        clients.filter_map(|client| Some((client, client.replica.as_ref()?)))
    }

    pub(crate) fn replica_ids(&self) -> Vec<ClientId> {
        self.replicas().map(|(client, _)| client.id).collect()
    }

    pub(crate) fn fresh_link(&mut self) -> LinkId {
        self.next_link += 1;
        LinkId(self.next_link)
    }

    /// Takes over the saved data, and their label as the role demands, and sets out to the primary (PROTOCOL §4.8).
    fn begin(&mut self, keyspace: Keyspace, label: Option<SavedPosition>, now_ms: u64) {
        (self.keyspace, self.starting) = (keyspace, false);
        match self.config.replicaof.clone() {
            Some(address) => {
                let cached = label
                    .filter(|_| self.rules.era.has_replication_ids())
                    .map(|saved| {
                        self.history.adopt(saved.id, saved.offset, &self.rules);
                        CachedPrimary::at(saved.id, saved.offset, saved.database)
                    });
                self.role = Role::replica_of(address, cached, now_ms);
            }
            None => self.begin_as_primary(label, now_ms),
        }
    }

    fn begin_as_primary(&mut self, label: Option<SavedPosition>, now_ms: u64) {
        if let Some(saved) = label.filter(|_| self.rules.era.has_replication_ids()) {
            self.take_over_saved(saved);
        }
        // What expired while nobody served it goes now; a replica that continues is told (PROTOCOL §3.7).
        let unix_ms = self.unix_ms(now_ms);
        let expired = commands::expire_step(&mut self.keyspace, unix_ms, usize::MAX, 0);
        self.stats.expired_at_load = expired.len() as u64;
        for effect in expired {
            self.propagate(&[effect]);
        }
        self.changes = 0;
    }

    fn take_over_saved(&mut self, saved: SavedPosition) {
        match self.rules.saved_label {
            SavedLabel::Forgotten => {}
            SavedLabel::Secondary => self.history.continue_saved(saved.id, saved.offset),
            SavedLabel::Adopted => {
                self.history.adopt(saved.id, saved.offset, &self.rules);
                self.history.create_backlog();
            }
        }
    }

    fn connected(&mut self, client: Client) {
        let id = client.id;
        self.stats.connections += 1;
        let authenticated = self.config.requirepass.is_empty();
        let client = Client {
            authenticated,
            input: Input::new(self.limits_of(authenticated)),
            ..client
        };
        self.clients.insert(client);
        if let Some(refusal) = self.refusal_at_door(id) {
            self.stats.rejected += 1;
            self.reply(id, &Reply::Error(refusal.to_owned()));
            self.act(Action::Close { client: id });
            self.clients.remove(id);
        }
    }

    /// How much a user may send at once, with and without the password.
    pub(crate) fn limits_of(&self, authenticated: bool) -> Limits {
        if !authenticated {
            return Limits::before_password();
        }
        Limits {
            bulk_bytes: self.config.bulk_bytes as usize,
            ..Limits::default()
        }
    }

    fn received(&mut self, id: ClientId, bytes: Bytes, now_ms: u64) {
        if let Some(client) = self.clients.get_mut(id) {
            // A long command may take its time to arrive.
            client.active_ms = now_ms;
            client.input.take_in(bytes);
            self.process_input(id, now_ms);
        }
        let limit = self.config.query_buffer_bytes;
        if self
            .clients
            .get(id)
            .is_some_and(|client| client.input.len() as u64 > limit)
        {
            self.log("A connection sent more than client-query-buffer-limit before we could execute it and is cut off");
            self.close(id, now_ms);
        }
    }

    /// The connections of which something is true.
    pub(crate) fn clients_that(&self, holds: impl Fn(&Client) -> bool) -> Vec<ClientId> {
        let clients = self.clients.values().filter(|client| holds(client));
        clients.map(|client| client.id).collect()
    }

    /// Cuts off users that have sent nothing for longer than `timeout` allows.
    fn tick_idle(&mut self, now_ms: u64) {
        let limit_ms = self.config.idle_timeout_s * 1_000;
        if limit_ms == 0 {
            return;
        }
        let idle = |client: &Client| {
            let serves = client.replica.is_none() && client.blocked.is_none();
            serves && now_ms.saturating_sub(client.active_ms) > limit_ms
        };
        for id in self.clients_that(idle) {
            self.close(id, now_ms);
        }
    }

    /// Executes whole commands a connection has sent, until it has to wait for something, or for its next turn.
    pub(crate) fn process_input(&mut self, id: ClientId, now_ms: u64) {
        let queued = self.clients.get(id).map_or(0, |client| client.queued);
        let limit = self.config.output_limits.longest_for_user();
        let mut executed = 0;
        while let Some(client) = self
            .clients
            .get_mut(id)
            .filter(|client| client.blocked.is_none())
        {
            // What waits outside is measured there; this is what would be given only now.
            let too_much = client.queued - queued > limit && client.replica.is_none();
            if too_much || client.closing {
                self.log("A connection asked for more at once than client-output-buffer-limit allows and is cut off");
                return self.close(id, now_ms);
            }
            if is_end_of_turn(executed, client.input.len()) {
                return self.await_turn(id);
            }
            executed += 1;
            let ahead = client.input.look_ahead();
            let keys = ahead.filter_map(|request| request.args.get(1));
            self.keyspace.touch(client.session.database, keys);
            match client.input.take() {
                Ok(Some(request)) => self.execute_request(id, request, now_ms),
                Ok(None) => return,
                Err(error) => {
                    if !self.is_replica(id) {
                        self.reply(id, &Reply::Error(format!("ERR {error}")));
                    }
                    self.close(id, now_ms);
                }
            }
        }
    }

    /// Whether a connection asked for the stream.
    pub(crate) fn is_replica(&self, id: ClientId) -> bool {
        self.attached.contains(&id)
    }

    fn written(&mut self, id: ClientId, total: u64, now_ms: u64) {
        if let Some(client) = self.clients.get_mut(id) {
            client.written = total;
            self.replica_progressed(id, now_ms);
        }
    }

    /// Removes a connection and everything that depended on it.
    fn forget_client(&mut self, id: ClientId, now_ms: u64) {
        if let Some(client) = self.clients.remove(id) {
            self.forget_interest(id, client.blocked.as_ref());
        }
        if self.attached.remove(&id) {
            self.replica_gone(now_ms);
        }
    }

    /// Ends every wait, because what was waited for cannot come any more (PROTOCOL §4.6).
    pub(crate) fn drop_waiters(&mut self, now_ms: u64) {
        // What a pause holds back is looked at again afterwards, by the rules of the new role.
        let waits = |client: &Client| {
            matches!(
                client.blocked,
                Some(Blocked::Acknowledgements { .. } | Blocked::Keys { .. })
            )
        };
        for id in self.clients_that(waits) {
            let text = "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)";
            self.reply(id, &Reply::Error(text.into()));
            self.close(id, now_ms);
        }
    }

    /// The link of the primary side that this node is on, for rules that ask whether it is connected.
    pub(crate) fn link(&self) -> Option<&Link> {
        match &self.role {
            Role::Primary => None,
            Role::Replica(replica) => Some(&replica.link),
        }
    }
}

/// The label found in a snapshot file, complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SavedPosition {
    /// The replication ID.
    pub id: ReplicationId,
    /// The offset of the data.
    pub offset: ReplOffset,
    /// The database selected in the stream at that offset.
    pub database: usize,
}

impl SavedPosition {
    /// The label of a snapshot, if all of it is there and makes sense (PROTOCOL §4.8).
    pub fn of(fields: ReplicationFields) -> Option<Self> {
        let database = usize::try_from(fields.stream_db)
            .ok()
            .filter(|database| *database < DATABASES)?;
        let id = ReplicationId::parse(&fields.id)?;
        (fields.offset >= 0).then(|| Self {
            id,
            offset: ReplOffset::new(fields.offset),
            database,
        })
    }
}
