//! The commands that replication is made of: `SYNC`, `PSYNC`, `REPLCONF`, `REPLICAOF`, `ROLE`.

use bytes::Bytes;

use crate::config::PrimaryAddress;
use crate::dispatch::Answer;
use crate::event::ClientId;
use crate::failover::Failover;
use crate::history::PartialRequest;
use crate::offset::{NextByte, ReplOffset};
use crate::replica::{CachedPrimary, Following, Link, Role};
use crate::resp::{Reply, parse_integer};
use crate::rulebook::{
    Demotion, Era, PromotedBacklog, Promotion, RoleNumbering, SelectAfterPromotion, Trim,
};
use crate::server::Server;

impl Server {
    pub(crate) fn sync_command(&mut self, id: ClientId, _args: &[Bytes], now_ms: u64) -> Answer {
        self.synchronize(id, None, now_ms);
        None
    }

    /// `PSYNC <id> <next byte>` (PROTOCOL §2.2).
    pub(crate) fn psync_command(&mut self, id: ClientId, args: &[Bytes], now_ms: u64) -> Answer {
        let Some(from) = parse_integer(&args[2]) else {
            let asker = self.clients.get(id)?.address.to_string();
            self.log(format!(
                "Replica {asker} asks for synchronization but with a wrong offset"
            ));
            return Some(Reply::Error(
                "ERR value is not an integer or out of range".into(),
            ));
        };
        let asks_for_failover = args
            .get(3)
            .is_some_and(|word| word.eq_ignore_ascii_case(b"failover"));
        if asks_for_failover && let Err(refusal) = self.take_over(&args[1], now_ms) {
            return Some(refusal);
        }
        let request = PartialRequest {
            id: args[1].to_vec(),
            from: NextByte::new(from),
        };
        self.synchronize(id, Some(&request), now_ms);
        None
    }

    /// Pairs of words, read from left to right (PROTOCOL §2.1).
    pub(crate) fn replconf_command(&mut self, id: ClientId, args: &[Bytes], now_ms: u64) -> Answer {
        if args.len().is_multiple_of(2) {
            return Some(Reply::Error("ERR syntax error".into()));
        }
        for pair in args[1..].chunks_exact(2) {
            let option = pair[0].to_ascii_lowercase();
            match option.as_slice() {
                b"ack" => {
                    if let Some(offset) = parse_integer(&pair[1]) {
                        self.acknowledged(id, ReplOffset::new(offset), now_ms);
                    }
                    return None;
                }
                b"getack" => return None,
                _ => {}
            }
            if let Err(refusal) = self.announce(id, &option, &pair[1]) {
                return Some(refusal);
            }
        }
        Some(Reply::OK)
    }

    fn announce(&mut self, id: ClientId, option: &[u8], value: &Bytes) -> Result<(), Reply> {
        let era = self.rules.era;
        let Some(client) = self.clients.get_mut(id) else {
            return Ok(());
        };
        let announced = &mut client.announced;
        match option {
            b"listening-port" => {
                let port = parse_integer(value).and_then(|port| u16::try_from(port).ok());
                announced.port = port.ok_or_else(|| {
                    Reply::Error("ERR value is not an integer or out of range".into())
                })?;
            }
            b"ip-address" if era != Era::Sync => {
                announced.address = Some(String::from_utf8_lossy(value).into_owned());
            }
            b"capa" if era != Era::Sync => {
                announced.reads_end_mark |= value.eq_ignore_ascii_case(b"eof");
                announced.reads_new_id |= value.eq_ignore_ascii_case(b"psync2");
            }
            b"version" if era.has_replication_ids() => {}
            b"rdb-only" if era.has_replication_ids() => {
                let wanted = parse_integer(value).filter(|wanted| (0..=1).contains(wanted));
                let refusal = "ERR value is out of range, must between 0 and 1";
                let wanted = wanted.ok_or_else(|| Reply::Error(refusal.into()))?;
                announced.snapshot_only = wanted == 1;
            }
            b"rdb-filter-only" if era.has_replication_ids() && value.is_empty() => {}
            b"rdb-filter-only" if era.has_replication_ids() => {
                let text = "ERR snapshots of a part of the data are not supported here";
                return Err(Reply::Error(text.into()));
            }
            other => {
                let option = String::from_utf8_lossy(other).into_owned();
                return Err(Reply::Error(format!(
                    "ERR Unrecognized REPLCONF option: {option}"
                )));
            }
        }
        Ok(())
    }

    /// `REPLICAOF host port` or `REPLICAOF NO ONE` (PROTOCOL §2.7).
    pub(crate) fn replicaof_command(&mut self, id: ClientId, args: &[Bytes], now_ms: u64) -> Reply {
        if self
            .clients
            .get(id)
            .is_none_or(|client| client.replica.is_some())
        {
            return Reply::Error("ERR Command is not valid when client is a replica.".into());
        }
        if self.failover != Failover::None {
            return Reply::Error("ERR REPLICAOF not allowed while failing over.".into());
        }
        if args[1].eq_ignore_ascii_case(b"no") && args[2].eq_ignore_ascii_case(b"one") {
            self.promote(now_ms);
            return Reply::OK;
        }
        let port = parse_integer(&args[2]).and_then(|port| u16::try_from(port).ok());
        let Some(port) = port else {
            return Reply::Error("ERR Invalid master port".into());
        };
        let address = PrimaryAddress {
            host: String::from_utf8_lossy(&args[1]).into_owned(),
            port,
        };
        let same = |known: &Following| {
            known.address.port == address.port
                && known.address.host.eq_ignore_ascii_case(&address.host)
        };
        if self.following().is_some_and(|following| same(following)) {
            return Reply::Simple("OK Already connected to specified master");
        }
        self.follow(address, now_ms);
        Reply::OK
    }

    /// Becomes a primary under a new name; the old one stays good up to here (PROTOCOL §4.6).
    pub(crate) fn promote(&mut self, now_ms: u64) {
        if self.is_primary() {
            return;
        }
        let reached = self.link_offset();
        self.primary.stream_database = self.database_after_promotion();
        self.drop_link(now_ms);
        self.role = Role::Primary;
        self.own_deadlines.clear();
        self.config.replicaof = None;
        self.primary.alone_since_ms = now_ms;
        if self.rules.promotion == Promotion::KeepsRunId {
            self.keep_run_id(reached);
        } else {
            self.name_own_history(now_ms);
        }
        self.log(format!(
            "Promoted; the history goes on as {} from offset {}",
            self.history.id, self.history.offset
        ));
    }

    /// Where the stream of a promoted node stands: it selects before its first write, as those expect who follow it now,
    /// unless they have followed its own stream all along.
    fn database_after_promotion(&mut self) -> Option<usize> {
        match self.rules.select_after_promotion {
            SelectAfterPromotion::Again => None,
            SelectAfterPromotion::OwnStreamGoesOn => self.primary.stream_database,
            SelectAfterPromotion::OnChange => self.following()?.selected_database(),
        }
    }

    /// A history that others share goes on, and they are told how: they ask, and learn it from the answer.
    fn name_own_history(&mut self, now_ms: u64) {
        if self.rules.promotion != Promotion::KeepsId {
            self.history.shift(&mut self.ids);
        }
        if self.rules.promotion == Promotion::ForgetsFormerId {
            self.history.secondary = None;
        }
        if self.rules.promoted_backlog == PromotedBacklog::Freed {
            self.history.expire_backlog(&self.rules, &mut self.ids);
        }
        self.disconnect_replicas(now_ms);
    }

    /// The name is that of the process, and so are its replicas; without any there is no use for a backlog.
    fn keep_run_id(&mut self, reached: Option<ReplOffset>) {
        if self.replicas().next().is_some() {
            return;
        }
        self.history.free_backlog();
        let reached = reached.filter(|_| self.rules.role_numbering == RoleNumbering::StartsAgain);
        self.history.offset = reached.unwrap_or(self.history.offset);
    }

    /// The offset of the live or cached primary, as the era counts it.
    pub(crate) fn link_offset(&self) -> Option<ReplOffset> {
        let Role::Replica(following) = &self.role else {
            return None;
        };
        match &following.link {
            Link::Connected(connected) => Some(self.counted(connected)),
            _ => following.cached.as_ref().map(|cached| cached.offset),
        }
    }

    /// Becomes the replica of another node, and offers it what is known (PROTOCOL §4.2, §4.6).
    pub(crate) fn follow(&mut self, address: PrimaryAddress, now_ms: u64) {
        let was_primary = self.is_primary();
        self.drop_link(now_ms);
        self.drop_waiters(now_ms);
        let cached = self.label_to_offer();
        self.number_as_replica();
        if self.rules.trim == Trim::Ring {
            self.disconnect_replicas(now_ms);
        }
        self.log(format!(
            "Following {}:{} (was primary: {was_primary})",
            address.host, address.port
        ));
        self.config.replicaof = Some(address.clone());
        self.role = Role::replica_of(address, cached, now_ms);
        self.connect(now_ms);
    }

    /// What the new primary is asked to continue: what we have of our former primary, or of our own history, then in
    /// the first database whichever our stream was in.
    fn label_to_offer(&mut self) -> Option<CachedPrimary> {
        if self.rules.demotion == Demotion::ForgetsLabel {
            return None;
        }
        match &mut self.role {
            Role::Replica(following) => following.cached.take(),
            Role::Primary => {
                let history = &self.history;
                Some(CachedPrimary::at(history.id, history.offset, 0))
            }
        }
    }

    /// A role change leaves our own count alone, unless the rules are those of a server that does not.
    fn number_as_replica(&mut self) {
        let forgets = self.rules.demotion == Demotion::ForgetsLabel;
        if forgets {
            self.history.free_backlog();
        }
        let restarts = forgets && self.rules.role_numbering == RoleNumbering::StartsAgain;
        if restarts || self.rules.demotion == Demotion::KeepsLabelLosesOffset {
            self.history.offset = ReplOffset::ZERO;
        }
    }

    pub(crate) fn role_reply(&self) -> Reply {
        let text = Reply::text;
        match &self.role {
            Role::Primary => {
                let online = self.replicas().filter(|(_, replica)| replica.is_online());
                let rows = online.map(|(client, replica)| {
                    Reply::Array(vec![
                        text(&client.shown_address()),
                        text(&client.announced.port.to_string()),
                        text(&replica.acknowledged.to_string()),
                    ])
                });
                let rows = Reply::Array(rows.collect());
                Reply::Array(vec![
                    text("master"),
                    Reply::Integer(self.history.offset.get()),
                    rows,
                ])
            }
            Role::Replica(following) => {
                let connected = matches!(following.link, Link::Connected(_));
                let offset = self
                    .link_offset()
                    .filter(|_| connected)
                    .map_or(-1, ReplOffset::get);
                Reply::Array(vec![
                    text("slave"),
                    text(&following.address.host),
                    Reply::Integer(i64::from(following.address.port)),
                    text(following.link.state_word()),
                    Reply::Integer(offset),
                ])
            }
        }
    }
}
