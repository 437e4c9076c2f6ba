//! `COMMAND`: which commands there are and what they take, for clients that ask at their start.
//!
//! Everything here is read off the table of [`commands`]. The texts of `COMMAND DOCS` are not kept: it is refused in the
//! words of servers that do not have it, upon which redis-cli shows the help it brings itself, for the commands named
//! here.

use bytes::Bytes;

use crate::admin::unknown_subcommand;
use crate::commands::{self, CommandSpec, Flags, Keys};
use crate::keyspace::glob;
use crate::resp::Reply;
use crate::server::Server;

/// The properties that clients are told of, under Redis's names.
const FLAG_NAMES: [(Flags, &str); 9] = [
    (Flags::WRITE, "write"),
    (Flags::READONLY, "readonly"),
    (Flags::ADMIN, "admin"),
    (Flags::LOADING, "loading"),
    (Flags::STALE, "stale"),
    (Flags::NO_ASYNC_LOADING, "no_async_loading"),
    (Flags::NO_MULTI, "no_multi"),
    (Flags::NO_AUTH, "no_auth"),
    (Flags::BLOCKING, "blocking"),
];

impl Server {
    /// `COMMAND`, `COMMAND COUNT`, `COMMAND INFO [name...]`, `COMMAND LIST [FILTERBY PATTERN pattern]`.
    pub(crate) fn command_command(&self, args: &[Bytes]) -> Reply {
        let Some(word) = args.get(1) else {
            return Reply::Array(self.known_commands().map(entry).collect());
        };
        match (word.to_ascii_lowercase().as_slice(), &args[2..]) {
            (b"count", []) => Reply::Integer(self.known_commands().count() as i64),
            (b"info", []) => Reply::Array(self.known_commands().map(entry).collect()),
            (b"info", names) => {
                let entries = names.iter().map(|name| self.entry_of(name));
                Reply::Array(entries.collect())
            }
            (b"list", []) => self.names(b"*"),
            (b"list", [by, kind, pattern])
                if by.eq_ignore_ascii_case(b"filterby")
                    && kind.eq_ignore_ascii_case(b"pattern") =>
            {
                self.names(&pattern.to_ascii_lowercase())
            }
            (other, _) => unknown_subcommand("COMMAND", other),
        }
    }

    /// The commands of the era.
    fn known_commands(&self) -> impl Iterator<Item = &'static CommandSpec> {
        let era = self.rules.era;
        commands::all()
            .iter()
            .filter(move |spec| era.knows(spec.name))
    }

    fn entry_of(&self, name: &[u8]) -> Reply {
        let spec = commands::lookup(name).filter(|spec| self.rules.era.knows(spec.name));
        spec.map_or(Reply::NullBulk, entry)
    }

    fn names(&self, pattern: &[u8]) -> Reply {
        let matching = self
            .known_commands()
            .filter(|spec| glob::matches(pattern, spec.name.as_bytes()));
        Reply::Array(matching.map(|spec| Reply::text(spec.name)).collect())
    }
}

/// Ten parts, as from Redis 7.0 on; there are no categories of access, no hints and no subcommands to tell of.
fn entry(spec: &CommandSpec) -> Reply {
    let keys = spec.keys;
    let flags = FLAG_NAMES.iter();
    let flags = flags.filter(|(flag, _)| spec.flags.contains(*flag));
    let movable = keys.movable.then_some("movablekeys");
    let flags = flags.map(|(_, name)| *name).chain(movable);
    let none = || Reply::Set(Vec::new());
    let access = if spec.is_write() { "RW" } else { "RO" };
    Reply::Array(vec![
        Reply::text(spec.name),
        Reply::Integer(spec.arity.into()),
        Reply::Set(flags.map(Reply::Simple).collect()),
        Reply::Integer(keys.first.into()),
        Reply::Integer(keys.last.into()),
        Reply::Integer(keys.step.into()),
        none(),
        none(),
        Reply::Set(key_specifications(keys, access)),
        Reply::Array(Vec::new()),
    ])
}

/// Where keys are looked for: in a range of arguments, or in a way that is not told here.
fn key_specifications(keys: Keys, access: &'static str) -> Vec<Reply> {
    let number = |number: i8| Reply::Integer(number.into());
    // From the first key on; places counted from the end stay as they are.
    let last = if keys.last < 0 {
        keys.last
    } else {
        keys.last - keys.first
    };
    let range = || {
        vec![
            ("lastkey", number(last)),
            ("keystep", number(keys.step)),
            ("limit", Reply::Integer(0)),
        ]
    };
    let fixed = (keys.first > 0).then(|| {
        let begin = search("index", vec![("index", number(keys.first))]);
        key_specification(access, begin, search("range", range()))
    });
    let unknown = || search("unknown", Vec::new());
    let movable = keys
        .movable
        .then(|| key_specification("incomplete", unknown(), unknown()));
    fixed.into_iter().chain(movable).collect()
}

fn key_specification(flag: &'static str, begin: Reply, find: Reply) -> Reply {
    named(vec![
        ("flags", Reply::Set(vec![Reply::Simple(flag)])),
        ("begin_search", begin),
        ("find_keys", find),
    ])
}

fn search(kind: &str, spec: Vec<(&str, Reply)>) -> Reply {
    named(vec![("type", Reply::text(kind)), ("spec", named(spec))])
}

fn named(parts: Vec<(&str, Reply)>) -> Reply {
    let parts = parts.into_iter();
    Reply::Map(
        parts
            .map(|(name, part)| (Reply::text(name), part))
            .collect(),
    )
}
