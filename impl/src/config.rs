//! What can be configured: the directives of Redis that have a meaning here, by their own names.
//!
//! One table (in `directives`) serves the command line, the configuration file, `CONFIG GET`, `CONFIG SET` and
//! `CONFIG REWRITE`. Units are those of Redis and stand in the names of the fields.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use crate::keyspace::EncodingLimits;
use crate::rulebook::Era;

mod directives;
pub mod file;
mod values;

use directives::INERT;
pub use directives::{DIRECTIVES, Directive};
pub use values::{DebugAccess, DisklessLoad, OutputLimit, OutputLimits};

/// The values in force.
#[derive(Debug, Clone)]
pub struct Config {
    /// Addresses to listen on.
    pub bind: Vec<String>,
    /// Port to listen on; 0 lets the system choose.
    pub port: u16,
    /// Path of a unix socket to listen on too.
    pub unixsocket: Option<PathBuf>,
    /// Whether connections from other machines are refused while there is no password.
    pub protected_mode: bool,
    /// The password that clients must give; empty for none.
    pub requirepass: String,
    /// Most clients at once.
    pub maxclients: u64,
    /// As many as the system has room for; without a limit until somebody has asked it.
    pub room_for_clients: u64,
    /// Seconds after which a user without a command is cut off; 0 for never.
    pub idle_timeout_s: u64,
    /// Seconds without a sign from a connection after which the system asks whether the other side is still there; 0 for
    /// never.
    pub tcp_keepalive_s: u64,
    /// Most bytes that a user may send before we can execute them.
    pub query_buffer_bytes: u64,
    /// Longest argument of a user, in bytes.
    pub bulk_bytes: u64,
    /// Most bytes that may wait for a connection that does not read.
    pub output_limits: OutputLimits,
    /// Where the log goes; the standard output if nowhere else.
    pub logfile: Option<PathBuf>,
    /// Who may use `DEBUG`.
    pub debug: DebugAccess,
    /// Folder of the snapshot file.
    pub dir: PathBuf,
    /// Name of the snapshot file within `dir`.
    pub dbfilename: String,
    /// Save points as written; the empty text for none.
    pub save: String,
    /// Whether users may not write while the last snapshot of a save point failed.
    pub stop_writes_on_save_error: bool,
    /// Microseconds a running snapshot pauses before each key, and before its end.
    pub key_save_delay_us: i64,
    /// Seconds that a primary that is told to end waits for its replicas.
    pub shutdown_timeout_s: u64,
    /// The primary to follow; changes with the role.
    pub replicaof: Option<PrimaryAddress>,
    /// The password given to the primary; empty for none.
    pub masterauth: String,
    /// The name given to the primary with the password; empty for none.
    pub masteruser: String,
    /// The address told to the primary; empty for none.
    pub announce_ip: String,
    /// The port told to the primary; 0 for the one listened on.
    pub announce_port: u16,
    /// Whether clients of a replica may not write.
    pub replica_read_only: bool,
    /// Whether a replica answers while its link is down.
    pub serve_stale_data: bool,
    /// Priority told to Sentinel.
    pub replica_priority: u64,
    /// Replicas without which no write is taken; 0 for none.
    pub min_replicas_to_write: u64,
    /// Seconds since the last acknowledgement up to which a replica counts for that.
    pub min_replicas_max_lag_s: u64,
    /// Bytes of the backlog.
    pub backlog_bytes: u64,
    /// Seconds without replicas after which the backlog is given up; 0 for never.
    pub backlog_ttl_s: u64,
    /// Whether snapshots go to replicas without a file.
    pub diskless_sync: bool,
    /// Seconds a replica is held in the hope that others arrive.
    pub diskless_delay_s: u64,
    /// Number of waiting replicas that ends the delay; 0 for none.
    pub diskless_max_replicas: u64,
    /// How a replica takes a snapshot.
    pub diskless_load: DisklessLoad,
    /// Seconds between two `PING`s in the stream.
    pub ping_period_s: u64,
    /// Seconds of silence after which a replication link is given up.
    pub repl_timeout_s: u64,
    /// What `OBJECT ENCODING` goes by; nothing is stored differently for it.
    pub encoding: EncodingLimits,
    /// Accepted for the sake of scripts; timers here are exact.
    pub hz: u64,
    /// Accepted as `no` only: there is no append-only file.
    pub appendonly: bool,
    /// Directives of Redis that change nothing here, as they were set.
    inert: BTreeMap<&'static str, String>,
}

/// Where a primary listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrimaryAddress {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl fmt::Display for PrimaryAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.host, self.port)
    }
}

/// A value that a directive cannot take.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// No directive has this name.
    #[error("there is no directive `{name}` here")]
    Unknown {
        /// What was written.
        name: String,
    },
    /// The value does not fit.
    #[error("`{value}` is no value for `{name}`: expected {expected}")]
    BadValue {
        /// The directive.
        name: &'static str,
        /// What was written.
        value: String,
        /// What would have been right.
        expected: &'static str,
    },
    /// The directive is read at the start only.
    #[error("`{name}` can be set at the start only")]
    Immutable {
        /// The directive.
        name: &'static str,
    },
}

/// Whether a directive means anything here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// It does what it does in Redis.
    Obeyed,
    /// It is only remembered.
    Remembered,
}

impl Config {
    /// The defaults of an era.
    pub fn of(era: Era) -> Self {
        Self {
            bind: vec!["127.0.0.1".to_owned()],
            port: 6379,
            unixsocket: None,
            protected_mode: true,
            requirepass: String::new(),
            maxclients: 10_000,
            room_for_clients: u64::MAX,
            idle_timeout_s: 0,
            tcp_keepalive_s: 300,
            query_buffer_bytes: 1 << 30,
            bulk_bytes: 512 << 20,
            output_limits: OutputLimits::default(),
            logfile: None,
            debug: DebugAccess::Local,
            dir: PathBuf::from("."),
            dbfilename: "dump.rdb".to_owned(),
            save: String::new(),
            stop_writes_on_save_error: true,
            key_save_delay_us: 0,
            shutdown_timeout_s: 10,
            replicaof: None,
            masterauth: String::new(),
            masteruser: String::new(),
            announce_ip: String::new(),
            announce_port: 0,
            replica_read_only: true,
            serve_stale_data: true,
            replica_priority: 100,
            min_replicas_to_write: 0,
            min_replicas_max_lag_s: 10,
            backlog_bytes: 1024 * 1024,
            backlog_ttl_s: 3600,
            diskless_sync: era == Era::Psync2V7,
            diskless_delay_s: 5,
            diskless_max_replicas: 0,
            diskless_load: DisklessLoad::Disabled,
            ping_period_s: 10,
            repl_timeout_s: 60,
            encoding: EncodingLimits::default(),
            hz: 10,
            appendonly: false,
            inert: BTreeMap::new(),
        }
    }

    /// The values of all directives whose names match: first those of the table, then those that mean nothing here.
    pub fn get(&self, matches: impl Fn(&str) -> bool) -> Vec<(&'static str, String)> {
        let of_table = DIRECTIVES.iter().flat_map(|directive| {
            let names = directive.names.into_iter().filter(|name| !name.is_empty());
            names.map(|name| (name, (directive.get)(self)))
        });
        let inert = INERT.iter().map(|(name, default)| {
            let value = self.inert.get(name).map_or(*default, String::as_str);
            (*name, value.to_owned())
        });
        of_table
            .chain(inert)
            .filter(|(name, _)| matches(name))
            .collect()
    }

    /// Sets a directive at the start.
    pub fn set_at_start(&mut self, name: &str, value: &str) -> Result<Meaning, ConfigError> {
        match find(name) {
            Ok(directive) => self.put(directive, value),
            Err(error) => self.remember(name, value).ok_or(error),
        }
    }

    /// Sets a directive while the server runs; the value is unchanged after an error.
    pub fn set(&mut self, name: &str, value: &str) -> Result<Meaning, ConfigError> {
        match find(name) {
            Ok(Directive {
                mutable: false,
                names,
                ..
            }) => Err(ConfigError::Immutable { name: names[0] }),
            Ok(directive) => self.put(directive, value),
            Err(error) => self.remember(name, value).ok_or(error),
        }
    }

    fn put(&mut self, directive: &'static Directive, value: &str) -> Result<Meaning, ConfigError> {
        let done = (directive.set)(self, value);
        done.map(|()| Meaning::Obeyed)
            .ok_or_else(|| ConfigError::BadValue {
                name: directive.names[0],
                value: value.to_owned(),
                expected: directive.expected,
            })
    }

    fn remember(&mut self, name: &str, value: &str) -> Option<Meaning> {
        let (name, _) = INERT
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        self.inert.insert(*name, value.to_owned());
        Some(Meaning::Remembered)
    }

    /// The value of a directive, by any of its names.
    pub fn value(&self, name: &str) -> Option<String> {
        let mut found = self.get(|known| known.eq_ignore_ascii_case(name));
        found.pop().map(|(_, value)| value)
    }

    /// The directives whose values are not those of `defaults`, for the configuration file.
    pub fn changed_from(&self, defaults: &Self) -> Vec<(&'static str, String)> {
        let of_table = DIRECTIVES.iter().filter_map(|directive| {
            let value = (directive.get)(self);
            (value != (directive.get)(defaults)).then_some((directive.names[0], value))
        });
        let inert = self
            .inert
            .iter()
            .map(|(name, value)| (*name, value.clone()));
        of_table.chain(inert).collect()
    }

    /// The snapshot file.
    pub fn snapshot_path(&self) -> PathBuf {
        self.dir.join(&self.dbfilename)
    }

    /// Save points as pairs of seconds and changes.
    pub fn save_points(&self) -> Vec<(u64, u64)> {
        let numbers: Vec<u64> = self
            .save
            .split_whitespace()
            .filter_map(|word| word.parse().ok())
            .collect();
        numbers
            .chunks_exact(2)
            .map(|pair| (pair[0], pair[1]))
            .collect()
    }
}

fn find(name: &str) -> Result<&'static Directive, ConfigError> {
    let known = |directive: &&Directive| {
        let mut names = directive.names.iter();
        names.any(|known| known.eq_ignore_ascii_case(name))
    };
    let found = DIRECTIVES.iter().find(known).filter(|_| !name.is_empty());
    found.ok_or_else(|| ConfigError::Unknown {
        name: name.to_owned(),
    })
}

/// The name under which the directive stands in the table, if it means anything here.
fn first_name(name: &str) -> Option<&'static str> {
    let inert = INERT
        .iter()
        .map(|(known, _)| *known)
        .find(|known| known.eq_ignore_ascii_case(name));
    find(name)
        .ok()
        .map(|directive| directive.names[0])
        .or(inert)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_their_suffixes_and_raised_to_the_minimum() {
        let mut config = Config::of(Era::Psync2V7);
        for (text, bytes) in [
            ("1mb", 1 << 20),
            ("100k", 100_000),
            ("40960", 40_960),
            ("1", 16_384),
        ] {
            config.set("repl-backlog-size", text).unwrap();
            assert_eq!(config.backlog_bytes, bytes, "{text}");
        }
    }

    #[test]
    fn a_bad_value_changes_nothing() {
        let mut config = Config::of(Era::Psync2V7);
        assert!(matches!(
            config.set("repl-timeout", "0"),
            Err(ConfigError::BadValue {
                name: "repl-timeout",
                ..
            })
        ));
        assert_eq!(config.repl_timeout_s, 60);
        assert!(matches!(
            config.set("port", "1"),
            Err(ConfigError::Immutable { name: "port" })
        ));
        assert!(matches!(
            config.set("appendonly", "yes"),
            Err(ConfigError::Immutable { .. })
        ));
        assert!(matches!(
            config.set("nonsense", "1"),
            Err(ConfigError::Unknown { .. })
        ));
    }

    #[test]
    fn the_primary_is_two_words() {
        let mut config = Config::of(Era::Psync2V7);
        config.set_at_start("slaveof", "127.0.0.1 7000").unwrap();
        assert_eq!(
            config.replicaof,
            Some(PrimaryAddress {
                host: "127.0.0.1".to_owned(),
                port: 7000
            })
        );
        assert!(config.set_at_start("replicaof", "here").is_err());
    }
}
