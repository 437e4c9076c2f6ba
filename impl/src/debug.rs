//! `DEBUG`: what tests of servers turn and ask; for connections from this machine only.

use bytes::Bytes;

use crate::admin::unknown_subcommand;
use crate::config::DebugAccess;
use crate::event::{Action, ClientId};
use crate::keyspace::{Digest, Entry, ScoreText};
use crate::rdb;
use crate::resp::{Reply, parse_integer};
use crate::server::Server;

/// The longest `DEBUG SLEEP`, so that a slip does not stop a server for ever.
const MAX_SLEEP_S: f64 = 3_600.0;

/// Most keys of one `DEBUG POPULATE`, so that a slip does not take all memory.
const MAX_POPULATED: i64 = 100_000_000;

impl Server {
    pub(crate) fn debug_command(&mut self, id: ClientId, args: &[Bytes]) -> Reply {
        let local = self
            .clients
            .get(id)
            .is_some_and(|client| client.address.is_local());
        if self.config.debug == DebugAccess::No || !local {
            return Reply::Error(
                "ERR DEBUG command not allowed: it needs a connection from this machine and enable-debug-command local".into(),
            );
        }
        match args[1].to_ascii_lowercase().as_slice() {
            b"sleep" if args.len() == 3 => self.debug_sleep(&args[2]),
            b"digest-value" => self.debug_digest_value(id, &args[2..]),
            b"object" if args.len() == 3 => self.debug_object(id, &args[2]),
            // Knobs of structures that this server does not have.
            b"quicklist-packed-threshold" | b"dict-resizing" => Reply::OK,
            b"digest" => self.debug_digest(&args[2..]),
            b"set-active-expire" if args.len() == 3 => {
                self.active_expire = args[2].as_ref() != b"0";
                Reply::OK
            }
            b"populate" if (3..=5).contains(&args.len()) => self.debug_populate(id, &args[2..]),
            b"reload" => self.debug_reload(),
            b"change-repl-id" => {
                self.log("Changing replication IDs because DEBUG told so");
                self.history.rename_afresh(&mut self.ids);
                Reply::OK
            }
            b"set-disable-deny-scripts" | b"jmap" => Reply::OK,
            other => unknown_subcommand("DEBUG", other),
        }
    }

    fn selected(&self, id: ClientId) -> usize {
        let client = self.clients.get(id);
        client.map_or(0, |client| client.session.database)
    }

    /// `DEBUG DIGEST [SHORTEST]`: all data in one number, that of Redis 7.0; with the word, that of Redis from 7.2 on.
    fn debug_digest(&self, args: &[Bytes]) -> Reply {
        let scores = match args {
            [] => ScoreText::Exact,
            [word] if word.eq_ignore_ascii_case(b"shortest") => ScoreText::Shortest,
            _ => return Reply::Error("ERR syntax error".into()),
        };
        let digest = self.keyspace.snapshot().digest(scores);
        Reply::text(&digest.to_string())
    }

    /// `DEBUG DIGEST-VALUE <key>...`: zeros for keys that are not there.
    fn debug_digest_value(&self, id: ClientId, keys: &[Bytes]) -> Reply {
        let database = self.selected(id);
        let digest = |key: &Bytes| {
            let entry = self.keyspace.get(database, key);
            entry
                .map_or_else(Digest::default, Digest::of_entry)
                .to_string()
        };
        let digests = keys.iter().map(|key| Reply::Bulk(Bytes::from(digest(key))));
        Reply::Array(digests.collect())
    }

    /// `DEBUG OBJECT <key>`, as far as there is something to tell.
    fn debug_object(&self, id: ClientId, key: &[u8]) -> Reply {
        let Some(entry) = self.keyspace.get(self.selected(id), key) else {
            return Reply::Error("ERR no such key".into());
        };
        let text = format!(
            "Value at:0x0 refcount:1 encoding:{} serializedlength:{} lru:0 lru_seconds_idle:0",
            entry.value.encoding(&self.config.encoding),
            rdb::dump(&entry.value).len(),
        );
        Reply::Bulk(Bytes::from(text))
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

    /// `DEBUG POPULATE <count> [prefix] [bytes]`: keys that the stream does not tell of, as in Redis.
    fn debug_populate(&mut self, id: ClientId, args: &[Bytes]) -> Reply {
        let size = args.get(2).map_or(Some(0), |text| parse_integer(text));
        let (Some(count), Some(size)) = (parse_integer(&args[0]), size) else {
            return Reply::Error("ERR value is not an integer or out of range".into());
        };
        let longest = self.config.bulk_bytes as i64;
        if !(0..=MAX_POPULATED).contains(&count) || !(0..=longest).contains(&size) {
            return Reply::Error("ERR value is out of range".into());
        }
        let prefix = args
            .get(1)
            .map_or("key".into(), |prefix| String::from_utf8_lossy(prefix));
        let database = self
            .clients
            .get(id)
            .map_or(0, |client| client.session.database);
        for number in 0..count {
            let key = Bytes::from(format!("{prefix}:{number}"));
            if self.keyspace.get(database, &key).is_none() {
                let mut value = format!("value:{number}").into_bytes();
                if size > 0 {
                    value.resize(size as usize, 0);
                }
                self.keyspace.insert(database, &key, Entry::string(value));
                self.changes += 1;
            }
        }
        Reply::OK
    }

    /// Writes the data set out and reads it back, as a restart would.
    fn debug_reload(&mut self) -> Reply {
        match rdb::read(&rdb::write_all(self.keyspace.snapshot(), None)) {
            Ok(loaded) => {
                self.keyspace = loaded.keyspace;
                Reply::OK
            }
            Err(error) => Reply::Error(format!(
                "ERR the data set does not survive a restart: {error}"
            )),
        }
    }
}
