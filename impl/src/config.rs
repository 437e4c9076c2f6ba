//! What can be configured: the directives of Redis that have a meaning here, by their own names.
//!
//! One table serves the command line, `CONFIG GET` and `CONFIG SET`. Units are those of Redis and stand in the
//! names of the fields.

use std::path::PathBuf;

use crate::backlog;
use crate::rulebook::Era;

/// The values in force.
#[derive(Debug, Clone)]
pub struct Config {
    /// Address to listen on.
    pub bind: String,
    /// Port to listen on; 0 lets the system choose.
    pub port: u16,
    /// Folder of the snapshot file.
    pub dir: PathBuf,
    /// Name of the snapshot file within `dir`.
    pub dbfilename: String,
    /// The primary to follow, as told at start.
    pub replicaof: Option<PrimaryAddress>,
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
    /// Microseconds a running snapshot pauses before each key, and before its end.
    pub key_save_delay_us: i64,
    /// Seconds between two `PING`s in the stream.
    pub ping_period_s: u64,
    /// Seconds of silence after which a replication link is given up.
    pub repl_timeout_s: u64,
    /// Save points as written; the empty text for none.
    pub save: String,
    /// Whether clients of a replica may not write.
    pub replica_read_only: bool,
    /// Priority told to Sentinel.
    pub replica_priority: u64,
    /// Most clients at once.
    pub maxclients: u64,
    /// Accepted for the sake of scripts; timers here are exact.
    pub hz: u64,
    /// Accepted as `no` only: there is no append-only file.
    pub appendonly: bool,
}

/// Where a primary listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrimaryAddress {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
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

/// One directive of the table.
pub struct Directive {
    /// Its name, and the older name it also answers to.
    pub names: [&'static str; 2],
    /// What the value must be, in words.
    pub expected: &'static str,
    /// Whether `CONFIG SET` may change it.
    pub mutable: bool,
    get: fn(&Config) -> String,
    set: fn(&mut Config, &str) -> Option<()>,
}

/// The directives, in the order of the help text.
pub const DIRECTIVES: &[Directive] = &[
    Directive {
        names: ["port", ""],
        expected: "a port number, 0 for any free one",
        mutable: false,
        get: |c| c.port.to_string(),
        set: |c, text| put(&mut c.port, text.parse().ok()),
    },
    Directive {
        names: ["bind", ""],
        expected: "an address of this machine",
        mutable: false,
        get: |c| c.bind.clone(),
        set: |c, text| {
            put(
                &mut c.bind,
                text.split_whitespace().next().map(str::to_owned),
            )
        },
    },
    Directive {
        names: ["dir", ""],
        expected: "an existing folder",
        mutable: true,
        get: |c| c.dir.display().to_string(),
        set: |c, text| put(&mut c.dir, non_empty(text).map(PathBuf::from)),
    },
    Directive {
        names: ["dbfilename", ""],
        expected: "a file name without a folder",
        mutable: true,
        get: |c| c.dbfilename.clone(),
        set: |c, text| {
            put(
                &mut c.dbfilename,
                non_empty(text)
                    .filter(|name| !name.contains('/'))
                    .map(str::to_owned),
            )
        },
    },
    Directive {
        names: ["replicaof", "slaveof"],
        expected: "a host and a port, or nothing",
        mutable: false,
        get: |c| {
            c.replicaof
                .as_ref()
                .map_or_else(String::new, |p| format!("{} {}", p.host, p.port))
        },
        set: |c, text| put(&mut c.replicaof, parse_primary(text)),
    },
    Directive {
        names: ["repl-backlog-size", ""],
        expected: "a number of bytes such as 1048576 or 1mb",
        mutable: true,
        get: |c| c.backlog_bytes.to_string(),
        set: |c, text| {
            put(
                &mut c.backlog_bytes,
                parse_bytes(text).map(|bytes| bytes.max(backlog::MINIMUM_SIZE)),
            )
        },
    },
    Directive {
        names: ["repl-backlog-ttl", ""],
        expected: "a number of seconds, 0 for ever",
        mutable: true,
        get: |c| c.backlog_ttl_s.to_string(),
        set: |c, text| put(&mut c.backlog_ttl_s, parse_seconds(text)),
    },
    Directive {
        names: ["repl-diskless-sync", ""],
        expected: "yes or no",
        mutable: true,
        get: |c| yes_or_no(c.diskless_sync),
        set: |c, text| put(&mut c.diskless_sync, parse_yes_or_no(text)),
    },
    Directive {
        names: ["repl-diskless-sync-delay", ""],
        expected: "a number of seconds",
        mutable: true,
        get: |c| c.diskless_delay_s.to_string(),
        set: |c, text| put(&mut c.diskless_delay_s, parse_seconds(text)),
    },
    Directive {
        names: ["repl-diskless-sync-max-replicas", ""],
        expected: "a number of replicas, 0 for no limit",
        mutable: true,
        get: |c| c.diskless_max_replicas.to_string(),
        set: |c, text| put(&mut c.diskless_max_replicas, text.parse().ok()),
    },
    Directive {
        names: ["rdb-key-save-delay", ""],
        expected: "a number of microseconds",
        mutable: true,
        get: |c| c.key_save_delay_us.to_string(),
        set: |c, text| put(&mut c.key_save_delay_us, text.parse().ok()),
    },
    Directive {
        names: ["repl-ping-replica-period", "repl-ping-slave-period"],
        expected: "a number of seconds from 1 on",
        mutable: true,
        get: |c| c.ping_period_s.to_string(),
        set: |c, text| {
            put(
                &mut c.ping_period_s,
                parse_seconds(text).filter(|seconds| *seconds > 0),
            )
        },
    },
    Directive {
        names: ["repl-timeout", ""],
        expected: "a number of seconds from 1 on",
        mutable: true,
        get: |c| c.repl_timeout_s.to_string(),
        set: |c, text| {
            put(
                &mut c.repl_timeout_s,
                parse_seconds(text).filter(|seconds| *seconds > 0),
            )
        },
    },
    Directive {
        names: ["save", ""],
        expected: "pairs of seconds and changes, or the empty text",
        mutable: true,
        get: |c| c.save.clone(),
        set: |c, text| put(&mut c.save, parse_save(text)),
    },
    Directive {
        names: ["replica-read-only", "slave-read-only"],
        expected: "yes or no",
        mutable: true,
        get: |c| yes_or_no(c.replica_read_only),
        set: |c, text| put(&mut c.replica_read_only, parse_yes_or_no(text)),
    },
    Directive {
        names: ["replica-priority", "slave-priority"],
        expected: "a number",
        mutable: true,
        get: |c| c.replica_priority.to_string(),
        set: |c, text| put(&mut c.replica_priority, text.parse().ok()),
    },
    Directive {
        names: ["maxclients", ""],
        expected: "a number from 1 on",
        mutable: true,
        get: |c| c.maxclients.to_string(),
        set: |c, text| {
            put(
                &mut c.maxclients,
                text.parse().ok().filter(|count| *count > 0),
            )
        },
    },
    Directive {
        names: ["hz", ""],
        expected: "a number from 1 on",
        mutable: true,
        get: |c| c.hz.to_string(),
        set: |c, text| put(&mut c.hz, text.parse().ok().filter(|hz| *hz > 0)),
    },
    Directive {
        names: ["appendonly", ""],
        expected: "no, because there is no append-only file here",
        mutable: false,
        get: |c| yes_or_no(c.appendonly),
        set: |c, text| put(&mut c.appendonly, parse_yes_or_no(text).filter(|yes| !yes)),
    },
];

impl Config {
    /// The defaults of an era.
    pub fn of(era: Era) -> Self {
        Self {
            bind: "127.0.0.1".to_owned(),
            port: 6379,
            dir: PathBuf::from("."),
            dbfilename: "dump.rdb".to_owned(),
            replicaof: None,
            backlog_bytes: 1024 * 1024,
            backlog_ttl_s: 3600,
            diskless_sync: era == Era::Psync2V7,
            diskless_delay_s: 5,
            diskless_max_replicas: 0,
            key_save_delay_us: 0,
            ping_period_s: 10,
            repl_timeout_s: 60,
            save: String::new(),
            replica_read_only: true,
            replica_priority: 100,
            maxclients: 10_000,
            hz: 10,
            appendonly: false,
        }
    }

    /// The values of all directives whose names match, in the order of the table.
    pub fn get(&self, matches: impl Fn(&str) -> bool) -> Vec<(&'static str, String)> {
        let names = DIRECTIVES
            .iter()
            .flat_map(|directive| directive.names.map(|name| (name, directive)));
        let wanted = names.filter(|(name, _)| !name.is_empty() && matches(name));
        wanted
            .map(|(name, directive)| (name, (directive.get)(self)))
            .collect()
    }

    /// Sets a directive at the start.
    pub fn set_at_start(&mut self, name: &str, value: &str) -> Result<(), ConfigError> {
        let directive = find(name)?;
        (directive.set)(self, value).ok_or_else(|| bad_value(directive, value))
    }

    /// Sets a directive while the server runs; the value is unchanged after an error.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), ConfigError> {
        let directive = find(name)?;
        if !directive.mutable {
            return Err(ConfigError::Immutable {
                name: directive.names[0],
            });
        }
        (directive.set)(self, value).ok_or_else(|| bad_value(directive, value))
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
        directive
            .names
            .iter()
            .any(|known| known.eq_ignore_ascii_case(name))
    };
    let found = DIRECTIVES.iter().find(known).filter(|_| !name.is_empty());
    found.ok_or_else(|| ConfigError::Unknown {
        name: name.to_owned(),
    })
}

fn bad_value(directive: &'static Directive, value: &str) -> ConfigError {
    ConfigError::BadValue {
        name: directive.names[0],
        value: value.to_owned(),
        expected: directive.expected,
    }
}

fn put<T>(place: &mut T, value: Option<T>) -> Option<()> {
    *place = value?;
    Some(())
}

fn non_empty(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

fn yes_or_no(value: bool) -> String {
    if value { "yes" } else { "no" }.to_owned()
}

fn parse_yes_or_no(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}

/// Seconds that still fit when counted in milliseconds.
fn parse_seconds(text: &str) -> Option<u64> {
    text.parse::<u64>()
        .ok()
        .filter(|seconds| u32::try_from(*seconds).is_ok())
}

/// A host and a port; the empty text and `no one` are no primary, which is a value too.
#[expect(
    clippy::option_option,
    reason = "the outer level says whether the text has a meaning at all"
)]
fn parse_primary(text: &str) -> Option<Option<PrimaryAddress>> {
    let words: Vec<&str> = text.split_whitespace().collect();
    match words.as_slice() {
        [] => Some(None),
        [no, one] if no.eq_ignore_ascii_case("no") && one.eq_ignore_ascii_case("one") => Some(None),
        [host, port] => port.parse().ok().map(|port| {
            Some(PrimaryAddress {
                host: (*host).to_owned(),
                port,
            })
        }),
        _ => None,
    }
}

/// Bytes with the suffixes of Redis: `k` is 1000, `kb` is 1024, and so on.
fn parse_bytes(text: &str) -> Option<u64> {
    const UNITS: [(&str, u64); 7] = [
        ("kb", 1 << 10),
        ("mb", 1 << 20),
        ("gb", 1 << 30),
        ("k", 1_000),
        ("m", 1_000_000),
        ("g", 1_000_000_000),
        ("b", 1),
    ];
    let text = text.to_ascii_lowercase();
    let unit = UNITS
        .iter()
        .find_map(|(suffix, factor)| text.strip_suffix(suffix).map(|number| (number, *factor)));
    let (number, factor) = unit.unwrap_or((&text, 1));
    let bytes = number.parse::<u64>().ok()?.checked_mul(factor)?;
    i64::try_from(bytes).is_ok().then_some(bytes)
}

fn parse_save(text: &str) -> Option<String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let sound =
        words.len().is_multiple_of(2) && words.iter().all(|word| word.parse::<u32>().is_ok());
    sound.then(|| words.join(" "))
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
