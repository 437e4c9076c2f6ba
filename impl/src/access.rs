//! Who may do what: connections that are let in, passwords, and commands that may not run just now.

use bytes::Bytes;

use crate::client::{Announced, Session};
use crate::commands::{self, CommandSpec, Flags};
use crate::event::ClientId;
use crate::replica::Link;
use crate::resp::{Protocol, Reply, parse_integer};
use crate::server::Server;
use crate::transfer::LoadingKind;

/// The answer to what has to wait until data are read.
pub(crate) const LOADING: &str = "LOADING Redis is loading the dataset in memory";

/// The only name that a password belongs to here.
const USER: &[u8] = b"default";

impl Server {
    /// Why a new connection is not let in.
    pub(crate) fn refusal_at_door(&self, id: ClientId) -> Option<&'static str> {
        let client = self.clients.get(id)?;
        if self.clients.len() as u64 > self.config.maxclients {
            return Some("ERR max number of clients reached");
        }
        let open = self.config.protected_mode && self.config.requirepass.is_empty();
        (open && !client.address.is_local()).then_some(
            "DENIED This server is in protected mode and has no password: it answers its own machine only. \
             Set requirepass, or protected-mode no if the network is safe.",
        )
    }

    /// Whether the command exists, has enough words and may run here and now; otherwise the error to answer.
    pub(crate) fn check(
        &self,
        id: ClientId,
        args: &[Bytes],
        now_ms: u64,
    ) -> Result<&'static CommandSpec, Reply> {
        let spec = args.first().and_then(|name| commands::lookup(name));
        self.check_found(id, spec, args, now_ms)
    }

    /// The same of a command that was looked up already.
    pub(crate) fn check_found(
        &self,
        id: ClientId,
        spec: Option<&'static CommandSpec>,
        args: &[Bytes],
        now_ms: u64,
    ) -> Result<&'static CommandSpec, Reply> {
        let refuse = |text: &str| Err(Reply::Error(text.to_owned()));
        let spec = commands::check_found(spec, args);
        let spec = spec.map_err(|error| Reply::Error(error.to_string()))?;
        if !self.rules.era.knows(spec.name) {
            return Err(Reply::Error(format!("ERR unknown command '{}'", spec.name)));
        }
        let authenticated = self
            .clients
            .get(id)
            .is_none_or(|client| client.authenticated);
        if !authenticated && !spec.flags.contains(Flags::NO_AUTH) {
            return refuse("NOAUTH Authentication required.");
        }
        if spec.is_write() {
            self.check_write(now_ms)?;
        }
        let down = self
            .link()
            .is_some_and(|link| !matches!(link, Link::Connected(_)));
        if down && !self.config.serve_stale_data && !spec.flags.contains(Flags::STALE) {
            return refuse(
                "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
            );
        }
        let refused = match self.loading() {
            None => false,
            Some(LoadingKind::Instead) => !spec.flags.contains(Flags::LOADING),
            Some(LoadingKind::Beside) => spec.flags.contains(Flags::NO_ASYNC_LOADING),
        };
        if refused {
            return refuse(LOADING);
        }
        Ok(spec)
    }

    fn check_write(&self, now_ms: u64) -> Result<(), Reply> {
        let refuse = |text: &str| Err(Reply::Error(text.to_owned()));
        if !self.is_primary() {
            return if self.config.replica_read_only {
                refuse("READONLY You can't write against a read only replica.")
            } else {
                Ok(())
            };
        }
        let saves = self.config.stop_writes_on_save_error && !self.config.save.is_empty();
        if saves && !self.last_save_ok {
            return refuse(
                "MISCONF The last snapshot could not be written, and stop-writes-on-bgsave-error is set: \
                 see the log, or set it to no.",
            );
        }
        if self.lacks_replicas(now_ms) {
            return refuse("NOREPLICAS Not enough good replicas to write.");
        }
        Ok(())
    }

    /// Whether fewer replicas acknowledged lately than `min-replicas-to-write` asks for.
    fn lacks_replicas(&self, now_ms: u64) -> bool {
        let (wanted, lag_s) = (
            self.config.min_replicas_to_write,
            self.config.min_replicas_max_lag_s,
        );
        wanted > 0 && lag_s > 0 && self.good_replicas(now_ms) < wanted
    }

    /// Replicas online that acknowledged within `min-replicas-max-lag`.
    pub(crate) fn good_replicas(&self, now_ms: u64) -> u64 {
        let lag_s = self.config.min_replicas_max_lag_s;
        let good = self.replicas().filter(|(_, replica)| {
            replica.is_online() && now_ms.saturating_sub(replica.heard_ms) / 1_000 <= lag_s
        });
        good.count() as u64
    }

    /// `AUTH [name] password`.
    pub(crate) fn auth_reply(&mut self, id: ClientId, args: &[Bytes]) -> Reply {
        match &args[1..] {
            [password] => self.authenticate(id, None, password),
            [name, password] => self.authenticate(id, Some(name), password),
            _ => Reply::Error("ERR syntax error".into()),
        }
    }

    fn authenticate(&mut self, id: ClientId, name: Option<&Bytes>, password: &[u8]) -> Reply {
        let wanted = self.config.requirepass.as_bytes();
        if wanted.is_empty() && name.is_none() {
            return Reply::Error(
                "ERR AUTH <password> called without any password configured for the default user. \
                 Are you sure your configuration is correct?"
                    .into(),
            );
        }
        let known = name.is_none_or(|name| name.as_ref() == USER);
        if !known || !(wanted.is_empty() || same_text(wanted, password)) {
            return Reply::Error(
                "WRONGPASS invalid username-password pair or user is disabled.".into(),
            );
        }
        self.set_authenticated(id, true);
        Reply::OK
    }

    fn set_authenticated(&mut self, id: ClientId, authenticated: bool) {
        let limits = self.limits_of(authenticated);
        if let Some(client) = self.clients.get_mut(id) {
            client.authenticated = authenticated;
            client.input.set_limits(limits);
        }
    }

    /// `HELLO [2|3 [AUTH name password] [SETNAME name]]`: introduces both sides and settles how the client is answered.
    pub(crate) fn hello_reply(&mut self, id: ClientId, args: &[Bytes]) -> Reply {
        let wanted = match args.get(1).map(|version| parse_integer(version)) {
            None => None,
            Some(Some(2)) => Some(Protocol::Resp2),
            Some(Some(3)) => Some(Protocol::Resp3),
            Some(Some(_)) => return Reply::Error("NOPROTO unsupported protocol version".into()),
            Some(None) => {
                let text = "ERR Protocol version is not an integer or out of range";
                return Reply::Error(text.into());
            }
        };
        let (mut name, mut rest) = (None, args.get(2..).unwrap_or_default());
        while let Some((word, after)) = rest.split_first() {
            match (word.to_ascii_lowercase().as_slice(), after) {
                (b"auth", [name, password, after @ ..]) => {
                    let reply = self.authenticate(id, Some(name), password);
                    if reply != Reply::OK {
                        return reply;
                    }
                    rest = after;
                }
                (b"setname", [wanted, after @ ..]) => (name, rest) = (Some(wanted), after),
                _ => return Reply::Error("ERR Syntax error in HELLO".into()),
            }
        }
        if self
            .clients
            .get(id)
            .is_some_and(|client| !client.authenticated)
        {
            let text = "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH \
                <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time";
            return Reply::Error(text.into());
        }
        if let Some(Err(refusal)) = name.map(|name| self.set_client_name(id, name)) {
            return refusal;
        }
        if let (Some(client), Some(protocol)) = (self.clients.get_mut(id), wanted) {
            client.protocol = protocol;
        }
        self.introduction(id)
    }

    fn introduction(&self, id: ClientId) -> Reply {
        let protocol = self
            .clients
            .get(id)
            .map_or_else(Protocol::default, |client| client.protocol);
        let role = if self.is_primary() {
            "master"
        } else {
            "replica"
        };
        let lines = [
            ("server", Reply::text("redis")),
            ("version", Reply::text(self.rules.era.redis_version())),
            ("proto", Reply::Integer(protocol.number())),
            ("id", Reply::Integer(id.0 as i64)),
            ("mode", Reply::text("standalone")),
            ("role", Reply::text(role)),
            ("modules", Reply::Array(Vec::new())),
        ];
        let named = lines.map(|(name, value)| (Reply::text(name), value));
        Reply::Map(named.into())
    }

    /// `RESET`: as if it had just connected.
    pub(crate) fn reset_reply(&mut self, id: ClientId) -> Reply {
        let open = self.config.requirepass.is_empty();
        if let Some(client) = self.clients.get_mut(id) {
            client.session = Session::default();
            client.announced = Announced::default();
            client.name = Bytes::new();
            client.protocol = Protocol::default();
        }
        self.set_authenticated(id, open);
        Reply::Simple("RESET")
    }
}

/// Takes as long whatever differs.
fn same_text(one: &[u8], other: &[u8]) -> bool {
    let differing = one.iter().zip(other).fold(0, |bits, (a, b)| bits | (a ^ b));
    one.len() == other.len() && differing == 0
}
