//! The link of a replica: its phases, the stream that it applies, what it acknowledges, and what it remembers when the
//! link is lost. Introduction and snapshot are in `handshake` and `transfer`.

use std::collections::VecDeque;
use std::mem;

use bytes::Bytes;

use crate::dispatch::UnsupportedCommand;
use crate::event::{Action, LinkId};
use crate::ids::ReplicationId;
use crate::input::AHEAD;
use crate::offset::ReplOffset;
use crate::primary::{Feed, KEEPALIVE_MS};
use crate::replica::{
    CachedPrimary, Connected, Following, Handshake, Label, Link, PrimaryMisbehaved, Role,
};
use crate::resp::Request;
use crate::rulebook::{
    AcknowledgeAfterContinue, Acknowledgement, ContinueBacklog, ContinueId, Era, HalfInput,
    LinkLoss, OffsetAtContinue, OpenTransaction, Relay, Renaming, SyncFallback,
};
use crate::server::Server;
use crate::stream;

/// Time between two acknowledgements (PROTOCOL §2.6).
const ACK_PERIOD_MS: u64 = 1_000;

impl Server {
    pub(crate) fn following(&mut self) -> Option<&mut Following> {
        match &mut self.role {
            Role::Primary => None,
            Role::Replica(following) => Some(following),
        }
    }

    /// Takes the link out of the role if `id` is the attempt under way, leaving it down.
    pub(crate) fn take_link(&mut self, id: LinkId, now_ms: u64) -> Option<Link> {
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
    pub(crate) fn take_link_if(
        &mut self,
        id: LinkId,
        phase: impl Fn(&Link) -> bool,
        now_ms: u64,
    ) -> Option<Link> {
        self.link().filter(|link| phase(link))?;
        self.take_link(id, now_ms)
    }

    pub(crate) fn put_link(&mut self, link: Link) {
        if let Some(following) = self.following() {
            following.link = link;
        }
    }

    pub(crate) fn send_link(&mut self, id: LinkId, bytes: Bytes) {
        self.act(Action::SendLink { link: id, bytes });
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
            Some(Link::Connected(connected)) => self.stream_received(connected, bytes, now_ms),
            Some(other) => self.put_link(other),
            None => {}
        }
    }

    /// `+CONTINUE`: the suspended link goes on here (PROTOCOL §4.3).
    pub(crate) fn continued(
        &mut self,
        handshake: Handshake,
        name: Option<ReplicationId>,
        now_ms: u64,
    ) {
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
            if self.rules.renaming == Renaming::CutsReplicas {
                self.disconnect_replicas(now_ms);
            }
        }
        if self.rules.offset_at_continue == OffsetAtContinue::Reset {
            (connected.read, connected.applied) = (ReplOffset::ZERO, ReplOffset::ZERO);
            self.adopt_label(Label {
                id: connected.history,
                offset: ReplOffset::ZERO,
            });
        }
        let creates = self.rules.continue_backlog == ContinueBacklog::Created;
        if creates && self.rules.relay == Relay::Verbatim {
            self.history.create_backlog();
        }
        // The kept half of a command was counted when it was read: it is parsed again, not counted again.
        connected.input.extend_from_slice(&cached.unparsed);
        connected.unrelayed.push(cached.unparsed);
        self.stream_established(connected, handshake.input.freeze(), now_ms);
    }

    pub(crate) fn stream_established(&mut self, connected: Connected, rest: Bytes, now_ms: u64) {
        if let Some(following) = self.following() {
            following.backoff_ms = 0;
        }
        self.stream_received(Box::new(connected), rest, now_ms);
    }

    /// Bytes of the stream: every one counts (PROTOCOL §2.5).
    fn stream_received(&mut self, mut connected: Box<Connected>, bytes: Bytes, now_ms: u64) {
        connected.heard_ms = now_ms;
        connected.read = connected.read.advanced(bytes.len() as u64);
        connected.input.extend_from_slice(&bytes);
        connected.unrelayed.push(bytes);
        let applied = self.apply_input(&mut connected, now_ms);
        self.relay_applied(&mut connected);
        match applied {
            Ok(()) => self.put_link(Link::Connected(connected)),
            Err(what) => self.stream_broken(&connected, &what, now_ms),
        }
    }

    /// Executes the whole commands that have come, unless a pause holds them; an error says what no primary writes.
    fn apply_input(&mut self, connected: &mut Connected, now_ms: u64) -> Result<(), String> {
        let mut requests = VecDeque::new();
        // Nothing in the stream begins a pause, so that none begins between commands that were taken together.
        while self.paused().is_none() {
            let (input, decoder) = (&mut connected.input, &mut connected.decoder);
            let understood = decoder.decode_up_to(AHEAD, input, &mut requests);
            if requests.is_empty() {
                return understood.map_err(|error| error.to_string());
            }
            let keys = requests.iter().filter_map(|request| request.args.get(1));
            self.keyspace.touch(connected.session.database, keys);
            self.apply_all(connected, requests.drain(..), now_ms)?;
            understood.map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    fn apply_all(
        &mut self,
        connected: &mut Connected,
        requests: impl Iterator<Item = Request>,
        now_ms: u64,
    ) -> Result<(), String> {
        for request in requests {
            if request.inline && !request.args.is_empty() {
                return Err("an inline command".to_owned());
            }
            let applied = self.apply(connected, request, now_ms);
            applied.map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// Puts what was applied into our own stream: large pieces are kept there as they came.
    fn relay_applied(&mut self, connected: &mut Connected) {
        let applied = connected
            .unrelayed
            .take(mem::take(&mut connected.relayable));
        if self.rules.relay == Relay::Verbatim {
            for piece in applied {
                self.feed(&piece, Feed::Control);
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
            let unit = mem::take(&mut connected.consumed);
            connected.relayable += unit;
            connected.applied = connected.applied.advanced(unit as u64);
        }
        Ok(())
    }

    pub(crate) fn acknowledge(&mut self, connected: &Connected) {
        if let Some(bytes) = self.acknowledgement(connected) {
            self.send_link(connected.id, bytes);
        }
    }

    fn acknowledgement(&self, connected: &Connected) -> Option<Bytes> {
        let offset = match self.rules.acknowledgement {
            Acknowledgement::Counted => self.counted(connected),
            Acknowledgement::Read => connected.read,
        };
        let offset = offset.to_string();
        let due = connected.acknowledges && self.rules.era != Era::Sync;
        due.then(|| stream::command(&["REPLCONF", "ACK", &offset]))
    }

    /// The offset a link stands for: bytes applied, in the run-ID era bytes read (PROTOCOL §1).
    pub(crate) fn counted(&self, connected: &Connected) -> ReplOffset {
        if self.rules.half_input == HalfInput::Kept {
            connected.read
        } else if self.rules.open_transaction == OpenTransaction::DroppedAndCounted {
            connected.applied.advanced(connected.consumed as u64)
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
    pub(crate) fn abandon_link(&mut self, id: LinkId, error: &PrimaryMisbehaved, now_ms: u64) {
        self.log(format!("The primary misbehaves: {error}"));
        self.retry_link(id, now_ms);
    }

    pub(crate) fn retry_link(&mut self, id: LinkId, now_ms: u64) {
        self.act(Action::CloseLink { link: id });
        self.link_is_lost(now_ms);
        if let Some(following) = self.following() {
            let retry_at_ms = now_ms + following.next_backoff_ms();
            following.link = Link::Down { retry_at_ms };
        }
    }

    /// The link is gone and another is wanted. To 2.6, replicas go with it (PROTOCOL §4.5).
    fn link_is_lost(&mut self, now_ms: u64) {
        self.link_is_down(now_ms);
        if self.rules.era == Era::Sync {
            self.disconnect_replicas(now_ms);
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
                self.link_is_lost(now_ms);
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

    /// Remembers name, offset and database; what has come in part only in the run-ID era (PROTOCOL §4.5).
    fn cache_primary(&mut self, connected: Connected) {
        let anonymous =
            connected.without_label && self.rules.sync_fallback == SyncFallback::FreshId;
        if anonymous || self.rules.era == Era::Sync || self.rules.link_loss == LinkLoss::Forgotten {
            return;
        }
        let counted = match self.rules.half_input {
            HalfInput::Dropped | HalfInput::Kept => self.counted(&connected),
            HalfInput::DroppedAndCounted => connected.read,
        };
        let mut cached = CachedPrimary::at(connected.history, counted, connected.session.database);
        if self.rules.half_input == HalfInput::Kept {
            cached.unparsed = connected.unrelayed.concat().slice(connected.consumed..);
        }
        if self.rules.open_transaction == OpenTransaction::Kept {
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
                self.link_is_lost(now_ms);
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

fn is_getack(request: &Request) -> bool {
    let word = |index: usize, text: &[u8]| {
        request
            .args
            .get(index)
            .is_some_and(|arg| arg.eq_ignore_ascii_case(text))
    };
    word(0, b"replconf") && word(1, b"getack")
}
