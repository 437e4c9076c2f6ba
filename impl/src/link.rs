//! What a replica does on its link: introduce itself, ask, load the snapshot, apply the stream, acknowledge.

use std::mem;

use bytes::{Bytes, BytesMut};

use crate::client::Session;
use crate::config::DisklessLoad;
use crate::dispatch::UnsupportedCommand;
use crate::event::{Action, LinkId};
use crate::failover::Failover;
use crate::ids::ReplicationId;
use crate::offset::{NextByte, ReplOffset};
use crate::primary::{Feed, KEEPALIVE_MS};
use crate::rdb::Loaded;
use crate::replica::{
    CachedPrimary, Connected, Following, Handshake, Label, Link, Loading, Payload, PayloadStep,
    PrimaryMisbehaved, Received, Role, Stage, Transfer, parse_label, take_line,
};
use crate::resp::Request;
use crate::rulebook::{
    AcknowledgeAfterContinue, Adoption, CacheAtFullLine, ContinueId, Discard, Era, HalfInput,
    LinkLoss, OffsetAtContinue, Relay, RequestByte, SyncFallback,
};
use crate::server::{SavedPosition, Server};
use crate::stream;

/// Time between two acknowledgements (PROTOCOL §2.6).
const ACK_PERIOD_MS: u64 = 1_000;

/// What a primary answers to `PSYNC` or `SYNC`.
enum Answer {
    Full(Option<Label>),
    Continue(Option<ReplicationId>),
    Later,
    Other,
}

impl Server {
    pub(crate) fn following(&mut self) -> Option<&mut Following> {
        match &mut self.role {
            Role::Primary => None,
            Role::Replica(following) => Some(following),
        }
    }

    /// Takes the link out of the role if `id` is the attempt under way, leaving it down.
    fn take_link(&mut self, id: LinkId, now_ms: u64) -> Option<Link> {
        let following = self
            .following()
            .filter(|following| following.link.id() == Some(id))?;
        Some(mem::replace(
            &mut following.link,
            Link::Down {
                retry_at_ms: now_ms,
            },
        ))
    }

    /// The same for a link in a certain phase.
    fn take_link_if(
        &mut self,
        id: LinkId,
        phase: impl Fn(&Link) -> bool,
        now_ms: u64,
    ) -> Option<Link> {
        self.link().filter(|link| phase(link))?;
        self.take_link(id, now_ms)
    }

    fn put_link(&mut self, link: Link) {
        if let Some(following) = self.following() {
            following.link = link;
        }
    }

    fn send_link(&mut self, id: LinkId, bytes: Bytes) {
        self.act(Action::SendLink { link: id, bytes });
    }

    /// The connection stands: say `PING` first (PROTOCOL §2.1).
    pub(crate) fn link_up(&mut self, id: LinkId, now_ms: u64) {
        if self.take_link(id, now_ms).is_some() {
            self.send_link(id, stream::ping());
            let input = BytesMut::new();
            self.put_link(Link::Handshake(Handshake {
                id,
                awaited: [Stage::Pong].into(),
                input,
                heard_ms: now_ms,
            }));
        }
    }

    /// Bytes from the primary, read by the phase the link is in.
    pub(crate) fn link_received(&mut self, id: LinkId, bytes: Bytes, now_ms: u64) {
        match self.take_link(id, now_ms) {
            Some(Link::Handshake(handshake)) => self.handshake_received(handshake, &bytes, now_ms),
            Some(Link::Transfer(transfer)) => self.transfer_received(transfer, bytes, now_ms),
            Some(Link::Loading(mut loading)) => {
                loading.rest.extend_from_slice(&bytes);
                loading.heard_ms = now_ms;
                self.put_link(Link::Loading(loading));
            }
            Some(Link::Connected(connected)) => self.stream_received(connected, &bytes, now_ms),
            Some(other) => self.put_link(other),
            None => {}
        }
    }

    fn handshake_received(&mut self, mut handshake: Handshake, bytes: &[u8], now_ms: u64) {
        handshake.heard_ms = now_ms;
        handshake.input.extend_from_slice(bytes);
        self.continue_handshake(handshake, now_ms);
    }

    fn continue_handshake(&mut self, mut handshake: Handshake, now_ms: u64) {
        match take_line(&mut handshake.input) {
            Ok(None) => self.put_link(Link::Handshake(handshake)),
            Ok(Some(line)) => self.handshake_line(handshake, &line, now_ms),
            Err(error) => self.abandon_link(handshake.id, &error, now_ms),
        }
    }

    fn handshake_line(&mut self, mut handshake: Handshake, line: &[u8], now_ms: u64) {
        let id = handshake.id;
        match handshake.awaited.front() {
            Some(Stage::Answer) if line.is_empty() => {}
            Some(Stage::Answer) | None => return self.answered(handshake, line, now_ms),
            Some(Stage::Pong) if !is_pong(line) => return self.retry_link(id, now_ms),
            Some(Stage::Pong) => self.introduce(&mut handshake),
            Some(Stage::Password) if line.starts_with(b"-") => {
                let text = String::from_utf8_lossy(line).into_owned();
                self.log(format!("Unable to AUTH to MASTER: {text}"));
                return self.retry_link(id, now_ms);
            }
            Some(_) => _ = handshake.awaited.pop_front(),
        }
        match handshake.awaited.front() {
            // Before 6.2 each command waits for the reply to the one before (PROTOCOL §2.1).
            Some(
                stage @ (Stage::Password | Stage::Port | Stage::Address | Stage::Capabilities),
            ) => {
                if !self.rules.era.has_replication_ids() {
                    self.say(id, *stage);
                }
            }
            Some(Stage::Pong | Stage::Answer) => {}
            None if self.rules.era == Era::Sync => {
                self.send_link(id, Bytes::from_static(b"SYNC\r\n"));
                return self.begin_transfer(handshake, None, now_ms);
            }
            None => {
                self.ask(id);
                handshake.awaited.push_back(Stage::Answer);
            }
        }
        self.continue_handshake(handshake, now_ms);
    }

    /// The primary is there: what it will be told, in order.
    fn introduce(&mut self, handshake: &mut Handshake) {
        let stages = [
            Stage::Password,
            Stage::Port,
            Stage::Address,
            Stage::Capabilities,
        ];
        let told = stages.into_iter().filter(|stage| match stage {
            Stage::Password => !self.config.masterauth.is_empty(),
            Stage::Address => !self.config.announce_ip.is_empty() && self.rules.era != Era::Sync,
            Stage::Capabilities => self.rules.era != Era::Sync,
            _ => true,
        });
        handshake.awaited = told.collect();
        if self.rules.era.has_replication_ids() {
            for stage in handshake.awaited.clone() {
                self.say(handshake.id, stage);
            }
        }
    }

    fn say(&mut self, id: LinkId, stage: Stage) {
        let (port, config) = (self.announced_port().to_string(), &self.config);
        let words: Vec<&str> = match stage {
            Stage::Password if config.masteruser.is_empty() => vec!["AUTH", &config.masterauth],
            Stage::Password => vec!["AUTH", &config.masteruser, &config.masterauth],
            Stage::Port => vec!["REPLCONF", "listening-port", &port],
            Stage::Address => vec!["REPLCONF", "ip-address", &config.announce_ip],
            Stage::Capabilities if self.rules.era.has_replication_ids() => {
                vec!["REPLCONF", "capa", "eof", "capa", "psync2"]
            }
            Stage::Capabilities => vec!["REPLCONF", "capa", "eof"],
            Stage::Pong | Stage::Answer => return,
        };
        let bytes = stream::command(&words);
        self.send_link(id, bytes);
    }

    fn announced_port(&self) -> u16 {
        match self.config.announce_port {
            0 => self.port,
            port => port,
        }
    }

    /// `PSYNC` with what is cached, or with nothing (PROTOCOL §4.2).
    fn ask(&mut self, id: LinkId) {
        let request_byte = self.rules.request_byte;
        let cached = self
            .following()
            .and_then(|following| following.cached.as_ref());
        let question = cached.map(|cached| {
            let wanted = match request_byte {
                RequestByte::Next => cached.offset.next_byte(),
                RequestByte::Last => NextByte::new(cached.offset.get()),
            };
            (cached.id.to_string(), wanted.to_string())
        });
        let (name, wanted) = question.unwrap_or_else(|| ("?".to_owned(), "-1".to_owned()));
        self.log(format!(
            "Asking the primary to continue {name} from byte {wanted}"
        ));
        let mut words = vec!["PSYNC", name.as_str(), wanted.as_str()];
        if self.failover != Failover::None {
            words.push("FAILOVER");
        }
        self.send_link(id, stream::command(&words));
    }

    fn answered(&mut self, handshake: Handshake, line: &[u8], now_ms: u64) {
        self.log(format!(
            "The primary answers {}",
            String::from_utf8_lossy(line)
        ));
        let answer = self.read_answer(line);
        if self.failover != Failover::None {
            match answer {
                Answer::Full(_) | Answer::Continue(_) => self.failover_done(),
                Answer::Later | Answer::Other => {
                    let reason = "Failover target rejected psync request";
                    self.put_link(Link::Handshake(handshake));
                    return self.abort_failover(reason, now_ms);
                }
            }
        }
        match answer {
            Answer::Full(label) => {
                self.full_announced(label, now_ms);
                self.begin_transfer(handshake, label, now_ms);
            }
            Answer::Continue(name) => self.continued(handshake, name, now_ms),
            Answer::Later => self.retry_link(handshake.id, now_ms),
            Answer::Other => {
                self.forget_cached_by_era(now_ms);
                self.send_link(handshake.id, Bytes::from_static(b"SYNC\r\n"));
                self.begin_transfer(handshake, None, now_ms);
            }
        }
    }

    fn read_answer(&self, line: &[u8]) -> Answer {
        let transient = self.rules.era.has_replication_ids();
        if let Some(rest) = line.strip_prefix(b"+FULLRESYNC") {
            return Answer::Full(parse_label(rest.trim_ascii_start()));
        }
        if let Some(rest) = line.strip_prefix(b"+CONTINUE") {
            return Answer::Continue(ReplicationId::parse(rest.trim_ascii()));
        }
        let later = line.starts_with(b"-NOMASTERLINK") || line.starts_with(b"-LOADING");
        if later && transient {
            Answer::Later
        } else {
            Answer::Other
        }
    }

    /// What `+FULLRESYNC` changes before any data came (PROTOCOL §4.3); from 7.0 on, nothing.
    fn full_announced(&mut self, label: Option<Label>, now_ms: u64) {
        self.announced_id = label.map(|label| label.id);
        self.forget_cached_by_era(now_ms);
        if self.rules.discard == Discard::AtLine {
            self.keyspace.flush_all();
        }
        if let Some(label) = label.filter(|_| self.rules.adoption == Adoption::AtLine) {
            self.adopt_label(label);
            if let Some(following) = self.following() {
                following.cached = Some(CachedPrimary::at(label.id, label.offset, 0));
            }
        }
    }

    /// Before 7.0 the cached primary, the sub-replicas and the backlog go with the answer (PROTOCOL §4.3).
    fn forget_cached_by_era(&mut self, now_ms: u64) {
        if self.rules.cache_at_full_line == CacheAtFullLine::Kept {
            return;
        }
        if let Some(following) = self.following() {
            following.cached = None;
        }
        self.disconnect_replicas(now_ms);
        self.history.free_backlog();
    }

    fn begin_transfer(&mut self, handshake: Handshake, label: Option<Label>, now_ms: u64) {
        let transfer = Transfer {
            id: handshake.id,
            label,
            payload: Payload::default(),
            heard_ms: now_ms,
        };
        self.transfer_received(transfer, handshake.input.freeze(), now_ms);
    }

    fn transfer_received(&mut self, mut transfer: Transfer, bytes: Bytes, now_ms: u64) {
        transfer.heard_ms = now_ms;
        match transfer.payload.push(bytes) {
            Ok(PayloadStep::Incomplete) => self.put_link(Link::Transfer(transfer)),
            Ok(PayloadStep::Complete(received)) => {
                self.load_snapshot(transfer.id, transfer.label, received, now_ms);
            }
            Err(error) => self.abandon_link(transfer.id, &error, now_ms),
        }
    }

    /// The whole snapshot is in hand: let it be read, beside everything else (PROTOCOL §4.4).
    fn load_snapshot(&mut self, id: LinkId, label: Option<Label>, received: Received, now_ms: u64) {
        // A payload that came directly is our own file only if there had to be one.
        let without_file = received.had_mark && self.loads_directly();
        let path = (!without_file).then(|| self.config.snapshot_path());
        self.log("MASTER <-> REPLICA sync: Loading DB in memory");
        self.put_link(Link::Loading(Loading {
            id,
            label,
            rest: BytesMut::from(received.rest.as_ref()),
            had_mark: received.had_mark,
            next_newline_ms: now_ms + KEEPALIVE_MS,
            heard_ms: now_ms,
        }));
        self.act(Action::LoadSnapshot {
            link: id,
            payload: received.payload,
            path,
        });
    }

    /// Whether a snapshot that is sent as it is made needs no file here.
    pub(crate) fn loads_directly(&self) -> bool {
        match self.config.diskless_load {
            DisklessLoad::Disabled => false,
            DisklessLoad::OnEmptyDb => self.keyspace.is_empty(),
            DisklessLoad::SwapDb => true,
        }
    }

    /// The snapshot was read: only now data and label are replaced (PROTOCOL §4.4).
    pub(crate) fn snapshot_loaded(
        &mut self,
        id: LinkId,
        result: Result<Box<Loaded>, String>,
        now_ms: u64,
    ) {
        let Some(Link::Loading(loading)) =
            self.take_link_if(id, |link| matches!(link, Link::Loading(_)), now_ms)
        else {
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
        self.keyspace = loaded.keyspace;
        self.data_replaced(now_ms);
        self.disconnect_replicas(now_ms);
        let saved = loaded.fields.and_then(SavedPosition::of);
        let database = saved.map_or(0, |saved| saved.database);
        let connected = self.connected_after_load(id, loading.label, database, now_ms);
        if loading.had_mark {
            self.acknowledge(&connected);
        }
        self.log("MASTER <-> REPLICA sync: Finished with success");
        self.stream_established(connected, &loading.rest, now_ms);
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
    fn adopt_label(&mut self, label: Label) {
        if self.rules.relay == Relay::Verbatim {
            self.history.adopt(label.id, label.offset);
            self.history.create_backlog();
        }
    }

    /// `+CONTINUE`: the suspended link goes on here (PROTOCOL §4.3).
    fn continued(&mut self, handshake: Handshake, name: Option<ReplicationId>, now_ms: u64) {
        let cached = self
            .following()
            .and_then(|following| following.cached.take());
        let Some(cached) = cached else {
            return self.retry_link(handshake.id, now_ms);
        };
        self.log("Successful partial resynchronization with master.");
        let mut connected = Connected::new(
            handshake.id,
            cached.id,
            cached.offset,
            cached.session,
            now_ms,
        );
        connected.acknowledges =
            self.rules.acknowledge_after_continue == AcknowledgeAfterContinue::Yes;
        if let Some(name) =
            name.filter(|name| *name != cached.id && self.rules.continue_id == ContinueId::Adopted)
        {
            self.history.rename(name);
            connected.history = name;
            self.disconnect_replicas(now_ms);
        }
        if self.rules.offset_at_continue == OffsetAtContinue::Reset {
            (connected.read, connected.applied) = (ReplOffset::ZERO, ReplOffset::ZERO);
            self.adopt_label(Label {
                id: connected.history,
                offset: ReplOffset::ZERO,
            });
        }
        if self.rules.relay == Relay::Verbatim {
            self.history.create_backlog();
        }
        // The kept half of a command was counted when it was read: it is parsed again, not counted again.
        connected.input.extend_from_slice(&cached.unparsed);
        connected.unapplied.extend_from_slice(&cached.unparsed);
        let rest = handshake.input.freeze();
        self.stream_established(connected, &rest, now_ms);
    }

    fn stream_established(&mut self, connected: Connected, rest: &[u8], now_ms: u64) {
        if let Some(following) = self.following() {
            following.backoff_ms = 0;
        }
        self.stream_received(Box::new(connected), rest, now_ms);
    }

    /// Bytes of the stream: every one counts (PROTOCOL §2.5).
    fn stream_received(&mut self, mut connected: Box<Connected>, bytes: &[u8], now_ms: u64) {
        connected.heard_ms = now_ms;
        connected.read = connected.read.advanced(bytes.len() as u64);
        connected.input.extend_from_slice(bytes);
        connected.unapplied.extend_from_slice(bytes);
        loop {
            if self.paused().is_some() {
                return self.put_link(Link::Connected(connected));
            }
            let Connected { decoder, input, .. } = connected.as_mut();
            match decoder.decode(input) {
                Ok(None) => return self.put_link(Link::Connected(connected)),
                Ok(Some(request)) if request.inline && !request.args.is_empty() => {
                    return self.stream_broken(&connected, "an inline command", now_ms);
                }
                Ok(Some(request)) => {
                    if let Err(error) = self.apply(&mut connected, request, now_ms) {
                        return self.stream_broken(&connected, &error.to_string(), now_ms);
                    }
                }
                Err(error) => return self.stream_broken(&connected, &error.to_string(), now_ms),
            }
        }
    }

    /// Executes a command of the stream; at the end of a unit its bytes count as applied (PROTOCOL §4.7).
    fn apply(
        &mut self,
        connected: &mut Connected,
        request: Request,
        now_ms: u64,
    ) -> Result<(), UnsupportedCommand> {
        connected.consumed += request.wire_bytes;
        if is_getack(&request) {
            self.acknowledge(connected);
        } else {
            self.execute_from_primary(&mut connected.session, request, now_ms)?;
        }
        if connected.session.transaction.is_none() {
            let unit = connected.unapplied.split_to(connected.consumed).freeze();
            connected.consumed = 0;
            connected.applied = connected.applied.advanced(unit.len() as u64);
            if self.rules.relay == Relay::Verbatim {
                self.feed(&unit, Feed::Control);
            }
        }
        Ok(())
    }

    fn acknowledge(&mut self, connected: &Connected) {
        if let Some(bytes) = self.acknowledgement(connected) {
            self.send_link(connected.id, bytes);
        }
    }

    fn acknowledgement(&self, connected: &Connected) -> Option<Bytes> {
        let offset = self.counted(connected).to_string();
        let due = connected.acknowledges && self.rules.era != Era::Sync;
        due.then(|| stream::command(&["REPLCONF", "ACK", &offset]))
    }

    /// The offset a link stands for: bytes applied, in the run-ID era bytes read (PROTOCOL §1).
    pub(crate) fn counted(&self, connected: &Connected) -> ReplOffset {
        if self.rules.half_input == HalfInput::Kept {
            connected.read
        } else {
            connected.applied
        }
    }

    /// The stream holds something that no primary writes: nothing of it can be trusted (PROTOCOL §2.5).
    fn stream_broken(&mut self, connected: &Connected, what: &str, now_ms: u64) {
        self.log(format!(
            "The stream of the primary holds {what}: the link is closed and its label forgotten"
        ));
        self.retry_link(connected.id, now_ms);
    }

    /// The primary misbehaved before the stream began; what is cached stays cached.
    fn abandon_link(&mut self, id: LinkId, error: &PrimaryMisbehaved, now_ms: u64) {
        self.log(format!("The primary misbehaves: {error}"));
        self.retry_link(id, now_ms);
    }

    fn retry_link(&mut self, id: LinkId, now_ms: u64) {
        self.act(Action::CloseLink { link: id });
        self.link_is_down(now_ms);
        if let Some(following) = self.following() {
            let retry_at_ms = now_ms + following.next_backoff_ms();
            following.link = Link::Down { retry_at_ms };
        }
    }

    fn link_is_down(&mut self, now_ms: u64) {
        if let Some(following) = self.following() {
            following.down_since_ms = now_ms;
            following.link = Link::Down {
                retry_at_ms: now_ms,
            };
        }
    }

    /// The system says that the connection is gone.
    pub(crate) fn link_down(&mut self, id: LinkId, now_ms: u64) {
        match self.take_link(id, now_ms) {
            Some(Link::Connected(connected)) => {
                self.log("The link to the primary is lost");
                self.cache_primary(*connected);
                self.link_is_down(now_ms);
            }
            Some(_) => self.retry_link(id, now_ms),
            None => {}
        }
    }

    /// Gives up the link of our own accord and remembers what can be asked for (PROTOCOL §4.5).
    pub(crate) fn drop_link(&mut self, now_ms: u64) {
        let Some(id) = self.link().and_then(Link::id) else {
            return;
        };
        self.act(Action::CloseLink { link: id });
        if let Some(Link::Connected(connected)) = self.take_link(id, now_ms) {
            self.cache_primary(*connected);
        }
        self.link_is_down(now_ms);
    }

    /// Remembers name, offset and database; half a command only in the run-ID era (PROTOCOL §4.5).
    fn cache_primary(&mut self, connected: Connected) {
        let anonymous =
            connected.without_label && self.rules.sync_fallback == SyncFallback::FreshId;
        if anonymous || self.rules.era == Era::Sync || self.rules.link_loss == LinkLoss::Forgotten {
            return;
        }
        let counted = match self.rules.half_input {
            HalfInput::Dropped => connected.applied,
            HalfInput::Kept | HalfInput::DroppedAndCounted => connected.read,
        };
        let mut cached = CachedPrimary::at(connected.history, counted, connected.session.database);
        if self.rules.half_input == HalfInput::Kept {
            cached.unparsed = connected.unapplied.freeze().slice(connected.consumed..);
            cached.session = connected.session;
        }
        if let Some(following) = self.following() {
            following.cached = Some(cached);
        }
    }

    /// Connects when it is time, acknowledges, and gives up a silent primary.
    pub(crate) fn tick_link(&mut self, now_ms: u64) {
        let limit_ms = self.config.repl_timeout_s * 1_000;
        match self.link() {
            Some(Link::Down { retry_at_ms }) if now_ms >= *retry_at_ms => self.connect(now_ms),
            Some(link)
                if link
                    .heard_ms()
                    .is_some_and(|heard| now_ms.saturating_sub(heard) > limit_ms) =>
            {
                let sentence = match link {
                    Link::Connected(_) => "MASTER timeout: no data nor PING received...",
                    Link::Transfer(_) => "Timeout receiving bulk data from MASTER...",
                    _ => "Timeout connecting to the MASTER...",
                };
                self.log(sentence);
                self.drop_link(now_ms);
            }
            Some(Link::Connected(_)) => self.acknowledge_in_time(now_ms),
            Some(Link::Loading(_)) => self.say_that_we_load(now_ms),
            Some(_) | None => {}
        }
    }

    /// A newline a second tells the primary that we are alive (PROTOCOL §2.6).
    fn say_that_we_load(&mut self, now_ms: u64) {
        let Some(Following {
            link: Link::Loading(loading),
            ..
        }) = self.following()
        else {
            return;
        };
        if now_ms >= loading.next_newline_ms {
            loading.next_newline_ms = now_ms + KEEPALIVE_MS;
            let id = loading.id;
            self.send_link(id, Bytes::from_static(b"\n"));
        }
    }

    fn acknowledge_in_time(&mut self, now_ms: u64) {
        let Some(Link::Connected(connected)) = self.link() else {
            return;
        };
        if now_ms < connected.next_ack_ms || connected.without_label {
            return;
        }
        let (id, bytes) = (connected.id, self.acknowledgement(connected));
        if let Some(bytes) = bytes {
            self.send_link(id, bytes);
        }
        if let Some(Following {
            link: Link::Connected(connected),
            ..
        }) = self.following()
        {
            connected.next_ack_ms = now_ms + ACK_PERIOD_MS;
        }
    }

    /// Begins an attempt to connect.
    pub(crate) fn connect(&mut self, now_ms: u64) {
        let id = self.fresh_link();
        let Some(following) = self.following() else {
            return;
        };
        let (host, port) = (following.address.host.clone(), following.address.port);
        following.link = Link::Connecting {
            id,
            since_ms: now_ms,
        };
        self.act(Action::Connect {
            link: id,
            host,
            port,
        });
    }
}

/// Whether the primary lets us go on (PROTOCOL §2.1).
fn is_pong(line: &[u8]) -> bool {
    line.starts_with(b"+")
        || line.starts_with(b"-NOAUTH")
        || line.starts_with(b"-NOPERM")
        || line.starts_with(b"-ERR operation not permitted")
}

fn is_getack(request: &Request) -> bool {
    let word = |index: usize, text: &[u8]| {
        request
            .args
            .get(index)
            .is_some_and(|arg| arg.eq_ignore_ascii_case(text))
    };
    word(0, b"replconf") && word(1, b"getack")
}
