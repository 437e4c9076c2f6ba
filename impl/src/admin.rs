//! `CONFIG`: what operators and test harnesses turn and ask.

use bytes::Bytes;

use crate::access::LOADING;
use crate::client::Blocked;
use crate::config::{Config, ConfigError};
use crate::dispatch::Answer;
use crate::event::{Action, ClientId};
use crate::keyspace::glob;
use crate::resp::Reply;
use crate::server::{Server, Stats};

/// What cannot be set while data are being read.
const FIXED_WHILE_LOADING: [&[u8]; 2] = [b"appendonly", b"repl-diskless-load"];

impl Server {
    pub(crate) fn config_command(&mut self, id: ClientId, args: &[Bytes], now_ms: u64) -> Answer {
        Some(match args[1].to_ascii_lowercase().as_slice() {
            b"get" if args.len() > 2 => self.config_get(&args[2..]),
            b"set" if args.len() > 3 && args.len().is_multiple_of(2) => {
                self.config_set(&args[2..], now_ms)
            }
            b"resetstat" => {
                let expired_at_load = self.stats.expired_at_load;
                self.stats = Stats {
                    expired_at_load,
                    ..Stats::default()
                };
                Reply::OK
            }
            b"rewrite" => return self.config_rewrite(id),
            other => unknown_subcommand("CONFIG", other),
        })
    }

    /// `CONFIG REWRITE`: the values in force, in the file the server was started with.
    fn config_rewrite(&mut self, id: ClientId) -> Answer {
        let Some(path) = self.config_file.clone() else {
            return Some(Reply::Error(
                "ERR The server is running without a config file".into(),
            ));
        };
        if let Some(client) = self.clients.get_mut(id) {
            client.blocked = Some(Blocked::ConfigFile);
        }
        self.act(Action::WriteConfig {
            client: id,
            path,
            config: Box::new(self.config.clone()),
            defaults: Box::new(Config::of(self.rules.era)),
        });
        None
    }

    /// The file is written, or could not be.
    pub(crate) fn config_written(&mut self, id: ClientId, failure: Option<&str>, now_ms: u64) {
        let reply = failure.map_or(Reply::OK, |reason| {
            Reply::Error(format!("ERR Rewriting config file: {reason}"))
        });
        let waits =
            |client: &crate::client::Client| matches!(client.blocked, Some(Blocked::ConfigFile));
        if self.clients.get(id).is_some_and(waits) {
            self.release(id, &reply, now_ms);
        }
    }

    fn config_get(&self, patterns: &[Bytes]) -> Reply {
        let matches = |name: &str| {
            patterns
                .iter()
                .any(|pattern| glob::matches(&pattern.to_ascii_lowercase(), name.as_bytes()))
        };
        let pairs = self.config.get(matches).into_iter();
        let pairs = pairs.map(|(name, value)| (Reply::text(name), Reply::text(&value)));
        Reply::Map(pairs.collect())
    }

    /// All of it or nothing: an error leaves every value as it was.
    fn config_set(&mut self, pairs: &[Bytes], now_ms: u64) -> Reply {
        let fixed = |pair: &[Bytes]| FIXED_WHILE_LOADING.contains(&&*pair[0].to_ascii_lowercase());
        if self.loading().is_some() && pairs.chunks_exact(2).any(fixed) {
            return Reply::Error(LOADING.into());
        }
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
    fn apply_config(&mut self, before: &Config, now_ms: u64) {
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
        if self.config.output_limits != before.output_limits {
            let limits = self.config.output_limits;
            self.act(Action::LimitOutput { limits });
            self.stream_moved = true;
        }
        self.maybe_cut_snapshot(now_ms);
    }
}

fn refusal(error: &ConfigError) -> Reply {
    Reply::Error(match error {
        ConfigError::Unknown { name } => {
            format!("ERR Unknown option or number of arguments for CONFIG SET - '{name}'")
        }
        ConfigError::Immutable { name } => format!(
            "ERR CONFIG SET failed (possibly related to argument '{name}') - can't set immutable config"
        ),
        ConfigError::BadValue { name, .. } => {
            format!("ERR CONFIG SET failed (possibly related to argument '{name}') - {error}")
        }
    })
}

pub(crate) fn unknown_subcommand(command: &str, subcommand: &[u8]) -> Reply {
    let subcommand = String::from_utf8_lossy(subcommand).into_owned();
    Reply::Error(format!(
        "ERR unknown subcommand or wrong number of arguments for '{command} {subcommand}'"
    ))
}
