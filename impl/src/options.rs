//! The command line: every directive of Redis as `--name value`, and a few options of our own.

use std::ffi::OsString;

use crate::config::{Config, ConfigError, DIRECTIVES};
use crate::faults::{FAULTS, FaultError};
use crate::rulebook::{Era, Rulebook, UnknownEra};

/// Directives that Redis 7.0 has and that change nothing here; scripts may give them, with a warning.
const IGNORED: &str = "acl-pubsub-default aclfile acllog-max-len activedefrag activerehashing always-show-logo \
    aof-load-truncated aof-rewrite-incremental-fsync aof-timestamp-enabled aof-use-rdb-preamble appenddirname \
    appendfilename appendfsync auto-aof-rewrite-min-size auto-aof-rewrite-percentage busy-reply-threshold \
    client-output-buffer-limit client-query-buffer-limit cluster-enabled crash-log-enabled crash-memcheck-enabled \
    daemonize databases disable-thp dynamic-hz enable-debug-command enable-module-command enable-protected-configs \
    io-threads io-threads-do-reads jemalloc-bg-thread key-load-delay latency-monitor-threshold latency-tracking \
    lazyfree-lazy-eviction lazyfree-lazy-expire lazyfree-lazy-server-del lazyfree-lazy-user-del \
    lazyfree-lazy-user-flush logfile loglevel lua-time-limit masterauth masteruser maxmemory maxmemory-policy \
    maxmemory-samples min-replicas-max-lag min-replicas-to-write min-slaves-max-lag min-slaves-to-write \
    no-appendfsync-on-rewrite notify-keyspace-events pidfile proc-title-template protected-mode proto-max-bulk-len \
    rdb-del-sync-files rdb-save-incremental-fsync rdbchecksum rdbcompression repl-disable-tcp-nodelay \
    repl-diskless-load replica-announce-ip replica-announce-port replica-announced replica-ignore-disk-write-errors \
    replica-ignore-maxmemory replica-lazy-flush replica-serve-stale-data requirepass sanitize-dump-payload \
    set-proc-title shutdown-on-sigint shutdown-on-sigterm shutdown-timeout slave-serve-stale-data \
    slowlog-log-slower-than slowlog-max-len stop-writes-on-bgsave-error supervised syslog-enabled tcp-backlog \
    tcp-keepalive timeout unixsocket";

/// What the command line asks for.
#[derive(Debug)]
pub enum Wish {
    /// Print the help and end.
    Help,
    /// Print the version and end.
    Version,
    /// Serve.
    Serve(Box<Serve>),
}

/// How to serve.
#[derive(Debug)]
pub struct Serve {
    /// The rules to obey.
    pub rules: Rulebook,
    /// The fault among them, by name.
    pub fault: Option<String>,
    /// The configuration.
    pub config: Config,
    /// Sentences the operator should read.
    pub warnings: Vec<String>,
}

/// A command line that cannot be obeyed.
#[derive(Debug, thiserror::Error)]
pub enum OptionError {
    /// A word stands where an option is expected.
    #[error("`{word}` stands where an option such as --port is expected")]
    NotAnOption {
        /// The word.
        word: String,
    },
    /// The option is neither ours nor one of Redis.
    #[error("there is no option `--{name}`; --help lists them")]
    Unknown {
        /// Its name.
        name: String,
    },
    /// An option of ours needs a value.
    #[error("`--{name}` needs a value")]
    Incomplete {
        /// Its name.
        name: String,
    },
    /// The era does not exist.
    #[error(transparent)]
    Era(#[from] UnknownEra),
    /// The fault cannot be had.
    #[error(transparent)]
    Fault(#[from] FaultError),
    /// This build is honest.
    #[error(
        "this server was built without the cargo feature `faults`, so `--fault {name}` is refused"
    )]
    WithoutFaults {
        /// The fault asked for.
        name: String,
    },
    /// A directive with a value that does not fit.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// Reads a command line without the name of the program.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Wish, OptionError> {
    let options = group(args)?;
    let asked = |name: &str| options.iter().any(|(option, _)| option == name);
    if asked("help") {
        return Ok(Wish::Help);
    }
    if asked("version") {
        return Ok(Wish::Version);
    }
    let (era, fault) = (own_value(&options, "era")?, own_value(&options, "fault")?);
    let era: Era = era.map_or(Ok(Era::Psync2V7), str::parse)?;
    let rules = fault.map_or(Ok(Rulebook::of(era)), |name| faulty(era, name))?;
    let mut serve = Serve {
        rules,
        fault: fault.map(str::to_owned),
        config: Config::of(era),
        warnings: Vec::new(),
    };
    for (name, value) in options
        .iter()
        .filter(|(name, _)| !matches!(name.as_str(), "era" | "fault"))
    {
        set(&mut serve, name, value)?;
    }
    Ok(Wish::Serve(Box::new(serve)))
}

/// Options with their words: everything up to the next `--` is the value.
fn group(args: impl IntoIterator<Item = OsString>) -> Result<Vec<(String, String)>, OptionError> {
    let mut options: Vec<(String, Vec<String>)> = Vec::new();
    for word in args {
        let word = word.to_string_lossy().into_owned();
        match (word.strip_prefix("--"), options.last_mut()) {
            (Some(name), _) => options.push((name.to_owned(), Vec::new())),
            (None, _) if word == "-h" => options.push(("help".to_owned(), Vec::new())),
            (None, Some((_, words))) => words.push(word),
            (None, None) => return Err(OptionError::NotAnOption { word }),
        }
    }
    Ok(options
        .into_iter()
        .map(|(name, words)| (name, words.join(" ")))
        .collect())
}

fn own_value<'a>(
    options: &'a [(String, String)],
    name: &str,
) -> Result<Option<&'a str>, OptionError> {
    match options.iter().rfind(|(option, _)| option == name) {
        Some((_, value)) if value.is_empty() => Err(OptionError::Incomplete {
            name: name.to_owned(),
        }),
        found => Ok(found.map(|(_, value)| value.as_str())),
    }
}

fn faulty(era: Era, name: &str) -> Result<Rulebook, OptionError> {
    if cfg!(feature = "faults") {
        Ok(crate::faults::rulebook_with(era, name)?)
    } else {
        Err(OptionError::WithoutFaults {
            name: name.to_owned(),
        })
    }
}

fn set(serve: &mut Serve, name: &str, value: &str) -> Result<(), OptionError> {
    match serve.config.set_at_start(name, value) {
        Err(ConfigError::Unknown { .. })
            if IGNORED.split_whitespace().any(|ignored| ignored == name) =>
        {
            serve.warnings.push(format!(
                "the directive --{name} has no meaning here and is ignored"
            ));
            Ok(())
        }
        Err(ConfigError::Unknown { name }) => Err(OptionError::Unknown { name }),
        result => Ok(result?),
    }
}

/// The text of `--help`.
pub fn help() -> String {
    let eras = Era::ALL.map(Era::name).join(", ");
    let directives: Vec<String> = DIRECTIVES
        .iter()
        .map(|directive| format!("  --{:<34} {}\n", directive.names[0], directive.expected))
        .collect();
    let faults: Vec<String> = FAULTS
        .iter()
        .map(|fault| format!("  {:<36} {}\n", fault.name, fault.sentence))
        .collect();
    let (directives, faults) = (directives.concat(), faults.concat());
    format!(
        "psync-server: a server that replicates as Redis does, generation by generation.\n\n\
         Usage: psync-server [--name value]...\n\n\
         A primary on port 7000 and a replica of it:\n\n  \
           psync-server --port 7000 --dir /tmp/a\n  \
           psync-server --port 7001 --dir /tmp/b --replicaof 127.0.0.1 7000\n\n\
         Then: redis-cli -p 7000 set x 1; redis-cli -p 7001 get x; redis-cli -p 7001 info replication\n\
         On SIGTERM and SIGINT the server ends, after a snapshot if --save names a save point.\n\n\
         Own options:\n  \
           --era NAME     the generation of the protocol: {eras} (default psync2-v7)\n  \
           --fault NAME   be wrong in one way; only in a build with the cargo feature `faults`\n  \
           --help, --version\n\n\
         Directives, named as in redis.conf (others of Redis are accepted with a warning):\n{directives}\n\
         Faults:\n{faults}\n\
         Exit status: 0 ended as asked, 1 could not serve, 2 misused.\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Result<Wish, OptionError> {
        parse(words.iter().map(OsString::from))
    }

    fn served(words: &[&str]) -> Serve {
        match parsed(words).unwrap() {
            Wish::Serve(serve) => *serve,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_primary_may_be_one_word_or_two() {
        for words in [
            &["--replicaof", "127.0.0.1 7000"][..],
            &["--slaveof", "127.0.0.1", "7000", "--port", "0"],
        ] {
            assert_eq!(
                served(words).config.replicaof.map(|primary| primary.port),
                Some(7000)
            );
        }
    }

    #[test]
    fn directives_without_meaning_warn_and_unknown_options_are_errors() {
        assert_eq!(
            served(&["--loglevel", "verbose", "--save", ""])
                .warnings
                .len(),
            1
        );
        assert!(matches!(
            parsed(&["--no-such-thing", "1"]),
            Err(OptionError::Unknown { .. })
        ));
        assert!(matches!(
            parsed(&["--era", "psync3"]),
            Err(OptionError::Era(_))
        ));
        assert!(matches!(
            parsed(&["--era"]),
            Err(OptionError::Incomplete { .. })
        ));
        assert!(matches!(
            parsed(&["file.conf"]),
            Err(OptionError::NotAnOption { .. })
        ));
    }

    #[test]
    fn faults_need_their_feature() {
        let asked = parsed(&["--fault", "replication-id-not-checked"]);
        assert_eq!(asked.is_ok(), cfg!(feature = "faults"));
    }
}
