//! `INFO`, with the names of Redis: tools and tests read them, so each era shows exactly those it had.

use std::fmt::Write;

use bytes::Bytes;

use crate::backlog::Backlog;
use crate::client::{Client, Replica};
use crate::commands;
use crate::ids::ReplicationId;
use crate::keyspace::DATABASES;
use crate::primary::Purpose;
use crate::replica::{Following, Link, Role};
use crate::resp::Reply;
use crate::rulebook::Era;
use crate::server::{Calls, Server};
use crate::transfer::LoadingKind;

/// Sections in the order in which they are printed.
const SECTIONS: [&str; 7] = [
    "server",
    "clients",
    "memory",
    "persistence",
    "stats",
    "replication",
    "keyspace",
];

/// The lines of one section as they grow.
#[derive(Default)]
struct Lines(String);

impl Lines {
    fn put(&mut self, name: &str, value: impl std::fmt::Display) {
        // Writing to a string cannot fail.
        let _ = write!(self.0, "{name}:{value}\r\n");
    }
}

impl Server {
    pub(crate) fn info_reply(&self, args: &[Bytes], now_ms: u64) -> Reply {
        let wanted: Vec<String> = args[1..]
            .iter()
            .map(|word| String::from_utf8_lossy(word).to_ascii_lowercase())
            .collect();
        let all = wanted.is_empty()
            || wanted
                .iter()
                .any(|word| matches!(word.as_str(), "all" | "everything" | "default"));
        let asked = |section: &str| wanted.iter().any(|word| word == section);
        let shown = SECTIONS.iter().filter(|section| all || asked(section));
        let mut texts: Vec<String> = shown.map(|section| self.section(section, now_ms)).collect();
        if ["commandstats", "all", "everything"].into_iter().any(asked) {
            texts.push(self.command_lines());
        }
        Reply::Verbatim(texts.join("\r\n"))
    }

    fn section(&self, section: &str, now_ms: u64) -> String {
        let mut lines = Lines::default();
        match section {
            "server" => self.server_lines(&mut lines, now_ms),
            "clients" => self.client_lines(&mut lines),
            "memory" => self.memory_lines(&mut lines),
            "persistence" => self.persistence_lines(&mut lines),
            "stats" => self.stats_lines(&mut lines),
            "replication" => self.replication_lines(&mut lines, now_ms),
            _ => self.keyspace_lines(&mut lines),
        }
        let (first, rest) = section.split_at(1);
        format!("# {}{rest}\r\n{}", first.to_ascii_uppercase(), lines.0)
    }

    /// Calls of each command; nobody measures their time here.
    fn command_lines(&self) -> String {
        let mut lines = Lines::default();
        let named = commands::all().iter().map(|spec| spec.name);
        let calls = named.zip(&self.stats.calls);
        let mut calls: Vec<_> = calls
            .filter(|(_, calls)| **calls != Calls::default())
            .collect();
        calls.sort_unstable_by_key(|(name, _)| *name);
        for (name, calls) in calls {
            let Calls {
                executed,
                failed,
                rejected,
            } = calls;
            let text = format!(
                "calls={executed},usec=0,usec_per_call=0.00,rejected_calls={rejected},failed_calls={failed}"
            );
            lines.put(&format!("cmdstat_{name}"), text);
        }
        format!("# Commandstats\r\n{}", lines.0)
    }

    fn server_lines(&self, lines: &mut Lines, now_ms: u64) {
        let uptime_s = now_ms.saturating_sub(self.started_ms) / 1_000;
        lines.put("redis_version", self.rules.era.redis_version());
        lines.put("redis_mode", "standalone");
        lines.put("server_name", "psync");
        lines.put("server_version", env!("CARGO_PKG_VERSION"));
        lines.put("psync_era", self.rules.era);
        lines.put("os", std::env::consts::OS);
        lines.put("arch_bits", usize::BITS);
        lines.put("process_id", self.process_id);
        lines.put("run_id", self.run_id);
        lines.put("tcp_port", self.port);
        lines.put("uptime_in_seconds", uptime_s);
        lines.put("uptime_in_days", uptime_s / 86_400);
        lines.put("hz", self.config.hz);
    }

    fn client_lines(&self, lines: &mut Lines) {
        let blocked = self
            .clients
            .values()
            .filter(|client| client.blocked.is_some())
            .count();
        lines.put(
            "connected_clients",
            self.clients.len() - self.replicas().count(),
        );
        lines.put("maxclients", self.config.maxclients);
        lines.put("blocked_clients", blocked);
    }

    fn memory_lines(&self, lines: &mut Lines) {
        let used = (self.memory_bytes)();
        lines.put("used_memory", used);
        lines.put("used_memory_rss", used);
        lines.put("mem_total_replication_buffers", self.history.stream.held());
        lines.put(
            "mem_replication_backlog",
            self.history.backlog().map_or(0, Backlog::held),
        );
        lines.put("maxmemory", 0);
        lines.put("maxmemory_policy", "noeviction");
    }

    fn persistence_lines(&self, lines: &mut Lines) {
        let to_file = |job: &crate::primary::Job| {
            job.purpose == Purpose::OwnFile || job.framing == crate::event::Framing::Disk
        };
        let loading = self.loading();
        let shown = |state| u8::from(loading == Some(state));
        lines.put("loading", shown(LoadingKind::Instead));
        lines.put("async_loading", shown(LoadingKind::Beside));
        lines.put("rdb_changes_since_last_save", self.changes);
        lines.put(
            "rdb_bgsave_in_progress",
            u8::from(self.primary.job.is_some()),
        );
        lines.put(
            "rdb_last_save_time",
            self.unix_ms(self.last_save_ms) / 1_000,
        );
        lines.put(
            "rdb_last_bgsave_status",
            if self.last_save_ok { "ok" } else { "err" },
        );
        lines.put("rdb_last_load_keys_expired", self.stats.expired_at_load);
        lines.put(
            "rdb_saving_to_file",
            u8::from(self.primary.job.as_ref().is_some_and(to_file)),
        );
        lines.put("aof_enabled", 0);
    }

    fn stats_lines(&self, lines: &mut Lines) {
        lines.put("total_connections_received", self.stats.connections);
        lines.put("total_commands_processed", self.stats.commands);
        lines.put("rejected_connections", self.stats.rejected);
        if self.rules.era != Era::Sync {
            lines.put("sync_full", self.stats.full);
            lines.put("sync_partial_ok", self.stats.partial_granted);
            lines.put("sync_partial_err", self.stats.partial_declined);
        }
    }

    fn keyspace_lines(&self, lines: &mut Lines) {
        for database in (0..DATABASES).filter(|database| self.keyspace.len(*database) > 0) {
            let (keys, expires) = (
                self.keyspace.len(database),
                self.keyspace.expiring(database),
            );
            lines.put(
                &format!("db{database}"),
                format!("keys={keys},expires={expires},avg_ttl=0"),
            );
        }
    }

    /// PROTOCOL §7.1.
    fn replication_lines(&self, lines: &mut Lines, now_ms: u64) {
        match &self.role {
            Role::Primary => lines.put("role", "master"),
            Role::Replica(following) => self.following_lines(following, lines, now_ms),
        }
        lines.put("connected_slaves", self.replicas().count());
        for (index, (client, replica)) in self.replicas().enumerate() {
            lines.put(
                &format!("slave{index}"),
                self.replica_line(client, replica, now_ms),
            );
        }
        if self.is_primary() && self.config.min_replicas_to_write > 0 {
            lines.put("min_slaves_good_slaves", self.good_replicas(now_ms));
        }
        if self.rules.era.has_replication_ids() {
            self.history_lines(lines);
        }
        if self.rules.era != Era::Sync {
            self.backlog_lines(lines);
        }
    }

    fn following_lines(&self, following: &Following, lines: &mut Lines, now_ms: u64) {
        let up = matches!(following.link, Link::Connected(_));
        let heard_ms = following.link.heard_ms().filter(|_| up);
        lines.put("role", "slave");
        lines.put("master_host", &following.address.host);
        lines.put("master_port", following.address.port);
        lines.put("master_link_status", if up { "up" } else { "down" });
        match heard_ms {
            Some(heard_ms) => lines.put(
                "master_last_io_seconds_ago",
                now_ms.saturating_sub(heard_ms) / 1_000,
            ),
            None => lines.put("master_last_io_seconds_ago", -1),
        }
        lines.put(
            "master_sync_in_progress",
            u8::from(matches!(
                following.link,
                Link::Transfer(_) | Link::Loading(_)
            )),
        );
        if let Link::Transfer(transfer) = &following.link {
            let (read, total) = transfer.payload.progress();
            lines.put("master_sync_total_bytes", total.unwrap_or(0));
            lines.put("master_sync_read_bytes", read);
        }
        if self.rules.era.has_replication_ids() {
            lines.put("slave_read_repl_offset", self.read_offset(following));
        }
        if self.rules.era != Era::Sync {
            lines.put(
                "slave_repl_offset",
                self.link_offset().map_or(1, crate::offset::ReplOffset::get),
            );
        }
        if !up {
            lines.put(
                "master_link_down_since_seconds",
                now_ms.saturating_sub(following.down_since_ms) / 1_000,
            );
        }
        lines.put("slave_priority", self.config.replica_priority);
        lines.put("slave_read_only", u8::from(self.config.replica_read_only));
    }

    fn read_offset(&self, following: &Following) -> i64 {
        match &following.link {
            Link::Connected(connected) => connected.read.get(),
            _ => self.link_offset().map_or(1, crate::offset::ReplOffset::get),
        }
    }

    fn replica_line(&self, client: &Client, replica: &Replica, now_ms: u64) -> String {
        let (address, port, state) = (
            client.shown_address(),
            client.announced.port,
            replica.state_word(),
        );
        if self.rules.era == Era::Sync {
            return format!("{address},{port},{state}");
        }
        let lag_s = if replica.is_online() {
            now_ms.saturating_sub(replica.heard_ms) / 1_000
        } else {
            0
        };
        format!(
            "ip={address},port={port},state={state},offset={},lag={lag_s}",
            replica.acknowledged
        )
    }

    fn history_lines(&self, lines: &mut Lines) {
        lines.put("master_failover_state", self.failover.word());
        lines.put("master_replid", self.history.id);
        lines.put(
            "master_replid2",
            self.history
                .secondary
                .map_or(ReplicationId::NONE, |former| former.id),
        );
    }

    fn backlog_lines(&self, lines: &mut Lines) {
        let backlog = self.history.backlog();
        lines.put("master_repl_offset", self.history.offset);
        if self.rules.era.has_replication_ids() {
            lines.put(
                "second_repl_offset",
                self.history
                    .secondary
                    .map_or(-1, |former| former.limit.get()),
            );
        }
        lines.put("repl_backlog_active", u8::from(backlog.is_some()));
        lines.put(
            "repl_backlog_size",
            backlog.map_or(self.config.backlog_bytes, Backlog::size),
        );
        lines.put(
            "repl_backlog_first_byte_offset",
            backlog.map_or(0, |backlog| backlog.first().get()),
        );
        lines.put("repl_backlog_histlen", backlog.map_or(0, Backlog::held));
    }
}
