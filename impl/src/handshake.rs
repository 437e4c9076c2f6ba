//! How a replica introduces itself, asks for the stream, and takes the answer (PROTOCOL §2.1, §4.2, §4.3).

use bytes::{Bytes, BytesMut};

use crate::event::LinkId;
use crate::failover::Failover;
use crate::ids::ReplicationId;
use crate::offset::NextByte;
use crate::replica::{CachedPrimary, Handshake, Label, Link, Stage, parse_label, take_line};
use crate::rulebook::{
    Adoption, CacheAtFullLine, Discard, Era, FullLoad, RequestByte, TransientError,
};
use crate::server::Server;
use crate::stream;

/// What a primary answers to `PSYNC` or `SYNC`.
enum Answer {
    Full(Option<Label>),
    Continue(Option<ReplicationId>),
    Later,
    Other,
}

impl Server {
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

    pub(crate) fn handshake_received(
        &mut self,
        mut handshake: Handshake,
        bytes: &[u8],
        now_ms: u64,
    ) {
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
            Answer::Later => self.ask_later(handshake.id, now_ms),
            Answer::Other => {
                self.forget_cached_by_era(now_ms);
                self.send_link(handshake.id, Bytes::from_static(b"SYNC\r\n"));
                self.begin_transfer(handshake, None, now_ms);
            }
        }
    }

    /// The primary cannot answer now; it will be asked the same again (PROTOCOL §4.3).
    fn ask_later(&mut self, id: LinkId, now_ms: u64) {
        let forgets = self.rules.transient_error == TransientError::ForgetsLabel;
        if let Some(following) = self.following().filter(|_| forgets) {
            following.cached = None;
        }
        self.retry_link(id, now_ms);
    }

    fn read_answer(&self, line: &[u8]) -> Answer {
        let transient = self.rules.transient_error != TransientError::LikeAnyOther;
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
        if self.rules.full_load == FullLoad::CutsReplicas {
            self.disconnect_replicas(now_ms);
            self.history.free_backlog();
        }
    }
}

/// Whether the primary lets us go on (PROTOCOL §2.1).
fn is_pong(line: &[u8]) -> bool {
    line.starts_with(b"+")
        || line.starts_with(b"-NOAUTH")
        || line.starts_with(b"-NOPERM")
        || line.starts_with(b"-ERR operation not permitted")
}
