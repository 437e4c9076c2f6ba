//! The table of directives: names, what a value must be, how it is read and written.

use std::path::PathBuf;

use super::values::{
    DebugAccess, DisklessLoad, non_empty, parse_addresses, parse_bytes, parse_primary, parse_save,
    parse_seconds, parse_size, parse_yes_or_no, put, yes_or_no,
};
use super::{Config, PrimaryAddress};
use crate::backlog;
use crate::keyspace::DATABASES;

/// One directive of the table.
pub struct Directive {
    /// Its name, and the older name it also answers to.
    pub names: [&'static str; 2],
    /// What the value must be, in words.
    pub expected: &'static str,
    /// Whether `CONFIG SET` may change it.
    pub mutable: bool,
    pub(super) get: fn(&Config) -> String,
    pub(super) set: fn(&mut Config, &str) -> Option<()>,
}

type Get = fn(&Config) -> String;
type Set = fn(&mut Config, &str) -> Option<()>;

const fn at_start(name: &'static str, expected: &'static str, get: Get, set: Set) -> Directive {
    Directive {
        names: [name, ""],
        expected,
        mutable: false,
        get,
        set,
    }
}

const fn any_time(name: &'static str, expected: &'static str, get: Get, set: Set) -> Directive {
    Directive {
        names: [name, ""],
        expected,
        mutable: true,
        get,
        set,
    }
}

const fn renamed(
    names: [&'static str; 2],
    expected: &'static str,
    get: Get,
    set: Set,
) -> Directive {
    Directive {
        names,
        expected,
        mutable: true,
        get,
        set,
    }
}

const YES_NO: &str = "yes or no";
const BYTES: &str = "a number of bytes such as 1048576 or 1mb";
const SECONDS: &str = "a number of seconds";
const POSITIVE_SECONDS: &str = "a number of seconds from 1 on";
const COUNT: &str = "a number";

/// The directives, in the order of the help text.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    at_start("port", "a port number, 0 for any free one",
        |c| c.port.to_string(), |c, text| put(&mut c.port, text.parse().ok())),
    at_start("bind", "addresses of this machine, a leading - for one that may be missing",
        |c| c.bind.join(" "), |c, text| put(&mut c.bind, parse_addresses(text))),
    at_start("unixsocket", "a path, or nothing",
        |c| path(c.unixsocket.as_ref()), |c, text| { c.unixsocket = non_empty(text).map(PathBuf::from); Some(()) }),
    any_time("protected-mode", YES_NO,
        |c| yes_or_no(c.protected_mode), |c, text| put(&mut c.protected_mode, parse_yes_or_no(text))),
    any_time("requirepass", "a password, or nothing",
        |c| c.requirepass.clone(), |c, text| { text.clone_into(&mut c.requirepass); Some(()) }),
    any_time("maxclients", "a number from 1 to as many as this process may open (`ulimit -n`)",
        |c| c.maxclients.to_string(),
        |c, text| put(&mut c.maxclients, text.parse().ok().filter(|count| (1..=c.room_for_clients).contains(count)))),
    any_time("tcp-keepalive", "a number of seconds without a sign from a connection, 0 for ever",
        |c| c.tcp_keepalive_s.to_string(), |c, text| put(&mut c.tcp_keepalive_s, parse_seconds(text))),
    any_time("timeout", "a number of seconds without a command, 0 for ever",
        |c| c.idle_timeout_s.to_string(), |c, text| put(&mut c.idle_timeout_s, parse_seconds(text))),
    any_time("client-query-buffer-limit", BYTES,
        |c| c.query_buffer_bytes.to_string(), |c, text| put(&mut c.query_buffer_bytes, parse_bytes(text).filter(|bytes| *bytes >= 1 << 20))),
    any_time("proto-max-bulk-len", BYTES,
        |c| c.bulk_bytes.to_string(), |c, text| put(&mut c.bulk_bytes, parse_bytes(text).filter(|bytes| *bytes >= 1 << 20))),
    any_time("client-output-buffer-limit", "a class (normal, replica, pubsub), a hard limit, a soft limit, seconds; repeatedly",
        |c| c.output_limits.to_string(), |c, text| { let merged = c.output_limits.merge(text); put(&mut c.output_limits, merged) }),
    at_start("logfile", "a path, or nothing for the standard output",
        |c| path(c.logfile.as_ref()), |c, text| { c.logfile = non_empty(text).map(PathBuf::from); Some(()) }),
    at_start("enable-debug-command", "no or local",
        |c| c.debug.name(), |c, text| put(&mut c.debug, DebugAccess::parse(text))),
    at_start("databases", "16",
        |_| DATABASES.to_string(), |_, text| (text.parse() == Ok(DATABASES)).then_some(())),
    any_time("dir", "an existing folder",
        |c| c.dir.display().to_string(), |c, text| put(&mut c.dir, non_empty(text).map(PathBuf::from))),
    any_time("dbfilename", "a file name without a folder",
        |c| c.dbfilename.clone(), |c, text| put(&mut c.dbfilename, non_empty(text).filter(|name| !name.contains('/')).map(str::to_owned))),
    any_time("save", "pairs of seconds and changes, or the empty text",
        |c| c.save.clone(), |c, text| put(&mut c.save, parse_save(text))),
    any_time("stop-writes-on-bgsave-error", YES_NO,
        |c| yes_or_no(c.stop_writes_on_save_error), |c, text| put(&mut c.stop_writes_on_save_error, parse_yes_or_no(text))),
    any_time("rdb-key-save-delay", "a number of microseconds",
        |c| c.key_save_delay_us.to_string(), |c, text| put(&mut c.key_save_delay_us, text.parse().ok())),
    any_time("shutdown-timeout", SECONDS,
        |c| c.shutdown_timeout_s.to_string(), |c, text| put(&mut c.shutdown_timeout_s, parse_seconds(text))),
    Directive { names: ["replicaof", "slaveof"], expected: "a host and a port, or nothing", mutable: false,
        get: |c| c.replicaof.as_ref().map_or_else(String::new, PrimaryAddress::to_string), set: |c, text| put(&mut c.replicaof, parse_primary(text)) },
    any_time("masterauth", "a password, or nothing",
        |c| c.masterauth.clone(), |c, text| { text.clone_into(&mut c.masterauth); Some(()) }),
    any_time("masteruser", "a name, or nothing",
        |c| c.masteruser.clone(), |c, text| { text.clone_into(&mut c.masteruser); Some(()) }),
    renamed(["replica-announce-ip", "slave-announce-ip"], "an address, or nothing",
        |c| c.announce_ip.clone(), |c, text| { text.clone_into(&mut c.announce_ip); Some(()) }),
    renamed(["replica-announce-port", "slave-announce-port"], "a port number, 0 for the one listened on",
        |c| c.announce_port.to_string(), |c, text| put(&mut c.announce_port, text.parse().ok())),
    renamed(["replica-read-only", "slave-read-only"], YES_NO,
        |c| yes_or_no(c.replica_read_only), |c, text| put(&mut c.replica_read_only, parse_yes_or_no(text))),
    renamed(["replica-serve-stale-data", "slave-serve-stale-data"], YES_NO,
        |c| yes_or_no(c.serve_stale_data), |c, text| put(&mut c.serve_stale_data, parse_yes_or_no(text))),
    renamed(["replica-priority", "slave-priority"], COUNT,
        |c| c.replica_priority.to_string(), |c, text| put(&mut c.replica_priority, text.parse().ok())),
    renamed(["min-replicas-to-write", "min-slaves-to-write"], "a number of replicas, 0 for none",
        |c| c.min_replicas_to_write.to_string(), |c, text| put(&mut c.min_replicas_to_write, text.parse().ok())),
    renamed(["min-replicas-max-lag", "min-slaves-max-lag"], "a number of seconds, 0 for any",
        |c| c.min_replicas_max_lag_s.to_string(), |c, text| put(&mut c.min_replicas_max_lag_s, parse_seconds(text))),
    any_time("repl-backlog-size", BYTES,
        |c| c.backlog_bytes.to_string(), |c, text| put(&mut c.backlog_bytes, parse_bytes(text).map(|bytes| bytes.max(backlog::MINIMUM_SIZE)))),
    any_time("repl-backlog-ttl", "a number of seconds, 0 for ever",
        |c| c.backlog_ttl_s.to_string(), |c, text| put(&mut c.backlog_ttl_s, parse_seconds(text))),
    any_time("repl-diskless-sync", YES_NO,
        |c| yes_or_no(c.diskless_sync), |c, text| put(&mut c.diskless_sync, parse_yes_or_no(text))),
    any_time("repl-diskless-sync-delay", SECONDS,
        |c| c.diskless_delay_s.to_string(), |c, text| put(&mut c.diskless_delay_s, parse_seconds(text))),
    any_time("repl-diskless-sync-max-replicas", "a number of replicas, 0 for no limit",
        |c| c.diskless_max_replicas.to_string(), |c, text| put(&mut c.diskless_max_replicas, text.parse().ok())),
    any_time("repl-diskless-load", "disabled, on-empty-db or swapdb",
        |c| c.diskless_load.name(), |c, text| put(&mut c.diskless_load, DisklessLoad::parse(text))),
    renamed(["repl-ping-replica-period", "repl-ping-slave-period"], POSITIVE_SECONDS,
        |c| c.ping_period_s.to_string(), |c, text| put(&mut c.ping_period_s, parse_seconds(text).filter(|seconds| *seconds > 0))),
    any_time("repl-timeout", POSITIVE_SECONDS,
        |c| c.repl_timeout_s.to_string(), |c, text| put(&mut c.repl_timeout_s, parse_seconds(text).filter(|seconds| *seconds > 0))),
    renamed(["hash-max-listpack-entries", "hash-max-ziplist-entries"], COUNT,
        |c| c.encoding.hash_entries.to_string(), |c, text| put(&mut c.encoding.hash_entries, text.parse().ok())),
    renamed(["hash-max-listpack-value", "hash-max-ziplist-value"], BYTES,
        |c| c.encoding.hash_value_bytes.to_string(), |c, text| put(&mut c.encoding.hash_value_bytes, parse_size(text))),
    any_time("set-max-intset-entries", COUNT,
        |c| c.encoding.integer_set_entries.to_string(), |c, text| put(&mut c.encoding.integer_set_entries, text.parse().ok())),
    renamed(["zset-max-listpack-entries", "zset-max-ziplist-entries"], COUNT,
        |c| c.encoding.sorted_set_entries.to_string(), |c, text| put(&mut c.encoding.sorted_set_entries, text.parse().ok())),
    renamed(["zset-max-listpack-value", "zset-max-ziplist-value"], BYTES,
        |c| c.encoding.sorted_set_value_bytes.to_string(), |c, text| put(&mut c.encoding.sorted_set_value_bytes, parse_size(text))),
    any_time("hz", "a number from 1 on; timers here are exact whatever it is",
        |c| c.hz.to_string(), |c, text| put(&mut c.hz, text.parse().ok().filter(|hz| *hz > 0))),
    at_start("appendonly", "no, because there is no append-only file here",
        |c| yes_or_no(c.appendonly), |c, text| put(&mut c.appendonly, parse_yes_or_no(text).filter(|yes| !yes))),
];

/// Directives that Redis 7.0 has and that change nothing here. They are remembered, so that `CONFIG GET` and
/// `CONFIG REWRITE` give back what was set; a value given at the start is warned about.
#[rustfmt::skip]
pub(super) const INERT: &[(&str, &str)] = &[
    ("acl-pubsub-default", "resetchannels"), ("aclfile", ""), ("acllog-max-len", "128"), ("activedefrag", "no"),
    ("activerehashing", "yes"), ("always-show-logo", "no"), ("aof-load-truncated", "yes"),
    ("aof-rewrite-incremental-fsync", "yes"), ("aof-timestamp-enabled", "no"), ("aof-use-rdb-preamble", "yes"),
    ("appenddirname", "appendonlydir"), ("appendfilename", "appendonly.aof"), ("appendfsync", "everysec"),
    ("auto-aof-rewrite-min-size", "67108864"), ("auto-aof-rewrite-percentage", "100"),
    ("busy-reply-threshold", "5000"), ("cluster-enabled", "no"), ("crash-log-enabled", "yes"),
    ("crash-memcheck-enabled", "yes"), ("daemonize", "no"), ("disable-thp", "yes"), ("dynamic-hz", "yes"),
    ("enable-module-command", "no"), ("enable-protected-configs", "no"), ("hll-sparse-max-bytes", "3000"),
    ("io-threads", "1"), ("io-threads-do-reads", "no"), ("jemalloc-bg-thread", "yes"), ("key-load-delay", "0"),
    ("latency-monitor-threshold", "0"), ("latency-tracking", "yes"), ("lazyfree-lazy-eviction", "no"),
    ("lazyfree-lazy-expire", "no"), ("lazyfree-lazy-server-del", "no"), ("lazyfree-lazy-user-del", "no"),
    ("lazyfree-lazy-user-flush", "no"), ("list-compress-depth", "0"), ("list-max-listpack-size", "-2"),
    ("list-max-ziplist-size", "-2"), ("loading-process-events-interval-bytes", "2097152"), ("loglevel", "notice"),
    ("lua-time-limit", "5000"), ("maxmemory", "0"), ("maxmemory-policy", "noeviction"), ("maxmemory-samples", "5"),
    ("no-appendfsync-on-rewrite", "no"), ("notify-keyspace-events", ""), ("pidfile", ""),
    ("proc-title-template", ""), ("propagation-error-behavior", "ignore"), ("rdb-del-sync-files", "no"),
    ("rdb-save-incremental-fsync", "yes"), ("rdbchecksum", "yes"), ("rdbcompression", "yes"),
    ("repl-disable-tcp-nodelay", "no"), ("replica-announced", "yes"), ("replica-ignore-disk-write-errors", "no"),
    ("replica-ignore-maxmemory", "yes"), ("replica-lazy-flush", "no"), ("sanitize-dump-payload", "no"),
    ("set-proc-title", "yes"), ("shutdown-on-sigint", "default"), ("shutdown-on-sigterm", "default"),
    ("slave-lazy-flush", "no"), ("slowlog-log-slower-than", "10000"), ("slowlog-max-len", "128"),
    ("supervised", "no"), ("syslog-enabled", "no"), ("tcp-backlog", "511"),
    ("unixsocketperm", "0"), ("watchdog-period", "0"),
];

fn path(value: Option<&PathBuf>) -> String {
    value.map_or_else(String::new, |path| path.display().to_string())
}
