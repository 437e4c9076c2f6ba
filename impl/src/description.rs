//! `COMMAND`: which commands there are and what they take, for clients that ask at their start.
//!
//! Everything here is read off the table of [`commands`]. The texts of `COMMAND DOCS` are not kept: it is refused in the
//! words of servers that do not have it, upon which redis-cli shows the help it brings itself, for the commands named
//! here.

use bytes::Bytes;

use crate::admin::unknown_subcommand;
use crate::commands::{self, CommandSpec, Flags, Keys};
use crate::keyspace::glob;
use crate::resp::{Reply, parse_integer};
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
    /// `COMMAND`, `COMMAND COUNT`, `COMMAND INFO [name...]`, `COMMAND LIST [FILTERBY PATTERN pattern]`,
    /// `COMMAND GETKEYS name [argument...]`.
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
            (b"getkeys", [_, _, ..]) => keys_of(&args[2..]),
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

/// `COMMAND GETKEYS`: the arguments of a request that are keys.
fn keys_of(request: &[Bytes]) -> Reply {
    let refuse = |text: &str| Reply::Error(text.to_owned());
    let Some(spec) = commands::lookup(&request[0]) else {
        return refuse("ERR Invalid command specified");
    };
    if !spec.accepts(request.len()) {
        return refuse("ERR Invalid number of arguments specified for command");
    }
    let keys = spec.keys;
    let end = i64::from(keys.last)
        + if keys.last < 0 {
            request.len() as i64
        } else {
            0
        };
    let fixed = i64::from(keys.first)..=end;
    let fixed = fixed.step_by(usize::from(keys.step.unsigned_abs()).max(1));
    let fixed = fixed.filter(|place| *place > 0);
    let mut found: Vec<&Bytes> = fixed.map(|place| &request[place as usize]).collect();
    if keys.movable && !add_movable(spec.name, request, &mut found) {
        return refuse("ERR Invalid arguments specified for command");
    }
    if found.is_empty() {
        return refuse("ERR The command has no key arguments");
    }
    Reply::Array(found.into_iter().cloned().map(Reply::Bulk).collect())
}

/// Adds the keys that stand in no fixed place; false if the arguments make no sense.
fn add_movable<'a>(name: &str, request: &'a [Bytes], found: &mut Vec<&'a Bytes>) -> bool {
    let number_at = match name {
        "sort" | "sort_ro" => {
            found.extend(stored_at(&request[2..]));
            return true;
        }
        "blmpop" | "bzmpop" | "zunionstore" | "zinterstore" | "zdiffstore" => 2,
        _ => 1,
    };
    let number = parse_integer(&request[number_at]).and_then(|number| usize::try_from(number).ok());
    let rest = &request[number_at + 1..];
    let keys = number.and_then(|number| rest.get(..number));
    found.extend(keys.unwrap_or_default());
    keys.is_some_and(|keys| !keys.is_empty())
}

/// The key that `SORT` writes to: the last one counts.
fn stored_at(mut options: &[Bytes]) -> Option<&Bytes> {
    let mut key = None;
    while let Some((word, rest)) = options.split_first() {
        let taken = match &word.to_ascii_lowercase()[..] {
            b"limit" => 2,
            b"get" | b"by" => 1,
            b"store" => {
                key = rest.first().or(key);
                1
            }
            _ => 0,
        };
        options = rest.get(taken..).unwrap_or_default();
    }
    key
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
