//! `CONFIG`, `CLIENT` and `DEBUG`: what operators and test harnesses turn and ask.

use bytes::Bytes;

use crate::client::Client;
use crate::config::ConfigError;
use crate::dispatch::Answer;
use crate::event::{Action, ClientId};
use crate::keyspace::glob;
use crate::resp::{Reply, parse_integer};
use crate::server::{Server, Stats};

/// The longest `DEBUG SLEEP`, so that a slip does not stop a server for ever.
const MAX_SLEEP_S: f64 = 3_600.0;

impl Server {
    pub(crate) fn config_command(&mut self, args: &[Bytes], now_ms: u64) -> Reply {
        match args[1].to_ascii_lowercase().as_slice() {
            b"get" if args.len() > 2 => self.config_get(&args[2..]),
            b"set" if args.len() > 3 && args.len().is_multiple_of(2) => {
                self.config_set(&args[2..], now_ms)
            }
            b"resetstat" => {
                self.stats = Stats::default();
                Reply::OK
            }
            b"rewrite" => Reply::Error("ERR The server is running without a config file".into()),
            other => unknown_subcommand("CONFIG", other),
        }
    }

    fn config_get(&self, patterns: &[Bytes]) -> Reply {
        let matches = |name: &str| {
            patterns
                .iter()
                .any(|pattern| glob::matches(&pattern.to_ascii_lowercase(), name.as_bytes()))
        };
        let pairs = self
            .config
            .get(matches)
            .into_iter()
            .flat_map(|(name, value)| {
                [
                    Reply::Bulk(Bytes::from_static(name.as_bytes())),
                    Reply::Bulk(Bytes::from(value)),
                ]
            });
        Reply::Array(pairs.collect())
    }

    /// All of it or nothing: an error leaves every value as it was.
    fn config_set(&mut self, pairs: &[Bytes], now_ms: u64) -> Reply {
        let before = self.config.clone();
        for pair in pairs.chunks_exact(2) {
            let (name, value) = (
                String::from_utf8_lossy(&pair[0]),
                String::from_utf8_lossy(&pair[1]),
            );
            if let Err(error) = self.config.set(&name, &value) {
                self.config = before;
                return refusal(&error);
            }
        }
        if !self.config.dir.is_absolute() && self.config.dir != before.dir {
            self.config.dir = before.dir.join(&self.config.dir);
        }
        self.apply_config(&before, now_ms);
        Reply::OK
    }

    /// What a changed value changes at once, without waiting for any timer.
    fn apply_config(&mut self, before: &crate::config::Config, now_ms: u64) {
        if self.config.backlog_bytes != before.backlog_bytes {
            let pinned = self.oldest_needed();
            self.history
                .resize_backlog(self.config.backlog_bytes, &self.rules, pinned);
        }
        if self.config.ping_period_s != before.ping_period_s {
            self.primary.next_ping_ms = now_ms + self.config.ping_period_s * 1_000;
        }
        if self.config.key_save_delay_us != before.key_save_delay_us {
            let microseconds = self.config.key_save_delay_us.unsigned_abs();
            self.act(Action::SetKeyDelay { microseconds });
        }
        self.maybe_cut_snapshot(now_ms);
    }

    pub(crate) fn client_command(&mut self, id: ClientId, args: &[Bytes], now_ms: u64) -> Answer {
        let reply = match args[1].to_ascii_lowercase().as_slice() {
            b"id" => Reply::Integer(id.0 as i64),
            b"getname" => self
                .clients
                .get(&id)
                .map_or(Reply::NullBulk, |client| Reply::Bulk(client.name.clone())),
            b"setname" if args.len() == 3 => {
                if let Some(client) = self.clients.get_mut(&id) {
                    client.name = Bytes::copy_from_slice(&args[2]);
                }
                Reply::OK
            }
            b"setinfo" | b"no-evict" | b"no-touch" => Reply::OK,
            b"list" => self.client_list(now_ms),
            b"kill" => return self.client_kill(id, &args[2..], now_ms),
            other => unknown_subcommand("CLIENT", other),
        };
        Some(reply)
    }

    fn client_list(&self, now_ms: u64) -> Reply {
        let line = |client: &Client| {
            format!(
                "id={} addr={} name={} age={} flags={} db={}\n",
                client.id.0,
                client.address,
                String::from_utf8_lossy(&client.name),
                now_ms.saturating_sub(client.since_ms) / 1_000,
                if client.replica.is_some() { "S" } else { "N" },
                client.session.database,
            )
        };
        Reply::Bulk(Bytes::from(
            self.clients.values().map(line).collect::<String>(),
        ))
    }

    /// `CLIENT KILL addr`, or pairs of a filter and its value.
    fn client_kill(&mut self, own: ClientId, args: &[Bytes], now_ms: u64) -> Answer {
        if let [address] = args {
            let text = String::from_utf8_lossy(address).into_owned();
            let found = self
                .clients
                .values()
                .find(|client| client.address.to_string() == text)
                .map(|client| client.id);
            let Some(victim) = found else {
                return Some(Reply::Error("ERR No such client".into()));
            };
            return self.kill(own, &[victim], Reply::OK, now_ms);
        }
        match self.kill_filter(args) {
            Ok(Victims::Link) => {
                let count = i64::from(self.link().and_then(crate::replica::Link::id).is_some());
                self.drop_link(now_ms);
                Some(Reply::Integer(count))
            }
            Ok(Victims::Clients(ids)) => {
                let ids: Vec<_> = ids.into_iter().filter(|id| *id != own).collect();
                let count = Reply::Integer(ids.len() as i64);
                self.kill(own, &ids, count, now_ms)
            }
            Err(refusal) => Some(refusal),
        }
    }

    fn kill(&mut self, own: ClientId, victims: &[ClientId], reply: Reply, now_ms: u64) -> Answer {
        let own_too = victims.contains(&own);
        for id in victims.iter().filter(|id| **id != own) {
            self.close(*id, now_ms);
        }
        if own_too {
            self.reply(own, &reply);
            self.close(own, now_ms);
            return None;
        }
        Some(reply)
    }

    fn kill_filter(&self, args: &[Bytes]) -> Result<Victims, Reply> {
        let syntax = || Reply::Error("ERR syntax error".into());
        if args.is_empty() || !args.len().is_multiple_of(2) {
            return Err(syntax());
        }
        let mut ids: Vec<ClientId> = self.clients.keys().copied().collect();
        for pair in args.chunks_exact(2) {
            let value = pair[1].to_ascii_lowercase();
            match pair[0].to_ascii_lowercase().as_slice() {
                b"type" if value == b"master" => return Ok(Victims::Link),
                b"type" => {
                    let replicas = match value.as_slice() {
                        b"replica" | b"slave" => true,
                        b"normal" => false,
                        _ => return Err(Reply::Error("ERR Unknown client type".into())),
                    };
                    ids.retain(|id| self.clients[id].replica.is_some() == replicas);
                }
                b"id" => {
                    let wanted = parse_integer(&pair[1]);
                    ids.retain(|id| Some(id.0 as i64) == wanted);
                }
                b"addr" => ids.retain(|id| {
                    self.clients[id].address.to_string().as_bytes() == value.as_slice()
                }),
                b"skipme" => {}
                _ => return Err(syntax()),
            }
        }
        Ok(Victims::Clients(ids))
    }

    pub(crate) fn debug_command(&mut self, args: &[Bytes]) -> Reply {
        match args[1].to_ascii_lowercase().as_slice() {
            b"sleep" if args.len() == 3 => self.debug_sleep(&args[2]),
            b"digest" => Reply::Bulk(Bytes::from(self.keyspace.digest().to_string())),
            b"set-active-expire" if args.len() == 3 => {
                self.active_expire = args[2].as_ref() != b"0";
                Reply::OK
            }
            other => unknown_subcommand("DEBUG", other),
        }
    }

    fn debug_sleep(&mut self, seconds: &[u8]) -> Reply {
        let seconds = std::str::from_utf8(seconds)
            .ok()
            .and_then(|text| text.parse::<f64>().ok());
        match seconds.filter(|seconds| (0.0..=MAX_SLEEP_S).contains(seconds)) {
            Some(seconds) => {
                self.act(Action::Sleep {
                    milliseconds: (seconds * 1_000.0) as u64,
                });
                Reply::OK
            }
            None => Reply::Error("ERR value is not a valid float".into()),
        }
    }
}

/// Whom `CLIENT KILL` means.
enum Victims {
    /// Our connection to the primary.
    Link,
    /// Connections to us.
    Clients(Vec<ClientId>),
}

fn refusal(error: &ConfigError) -> Reply {
    Reply::Error(match error {
        ConfigError::Unknown { name } => {
            format!("ERR Unknown option or number of arguments for CONFIG SET - '{name}'")
        }
        other => format!("ERR CONFIG SET failed - {other}"),
    })
}

fn unknown_subcommand(command: &str, subcommand: &[u8]) -> Reply {
    let subcommand = String::from_utf8_lossy(subcommand).into_owned();
    Reply::Error(format!(
        "ERR unknown subcommand or wrong number of arguments for '{command} {subcommand}'"
    ))
}
