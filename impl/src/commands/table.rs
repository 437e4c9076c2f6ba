//! The one table of commands: name, number of arguments, flags, and the function behind the data commands.

use std::collections::HashMap;
use std::ops::BitOr;
use std::sync::LazyLock;

use super::{
    Handler, bits, connection, expiry, hashes, keys, lcs, list_moves, lists, numbers, objects,
    ranges, scans, set, set_algebra, sets, sort, sorted_algebra, sorted_ranges, sorted_sets,
    strings,
};

/// Properties of a command, combined with `|`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flags(u16);

impl Flags {
    /// Nothing special.
    pub const NONE: Self = Self(0);
    /// May change data: refused by read-only replicas, and propagated.
    pub const WRITE: Self = Self(1);
    /// Reads data.
    pub const READONLY: Self = Self(1 << 1);
    /// Allowed while a snapshot is being loaded.
    pub const LOADING: Self = Self(1 << 2);
    /// Allowed on a replica that has lost its primary even if it may not serve stale data.
    pub const STALE: Self = Self(1 << 3);
    /// Not allowed inside a transaction.
    pub const NO_MULTI: Self = Self(1 << 4);
    /// Carried out by the server, not by [`super::execute`].
    pub const SERVER: Self = Self(1 << 5);
    /// For operators.
    pub const ADMIN: Self = Self(1 << 6);
    /// Allowed before authentication.
    pub const NO_AUTH: Self = Self(1 << 7);
    /// Reads keys that it does not name: what it finds expired is no unit.
    pub const ARBITRARY_KEYS: Self = Self(1 << 8);
    /// May wait for what it wants.
    pub const BLOCKING: Self = Self(1 << 9);
    /// Not allowed even while old data are served beside a snapshot that is being loaded.
    pub const NO_ASYNC_LOADING: Self = Self(1 << 10);

    /// Whether all properties of the other are among these.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOr for Flags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        self.and(other)
    }
}

/// Which arguments are keys, as `COMMAND` tells it: places counted from the name, from the end if negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keys {
    /// Where the first stands; 0 if there is none in a fixed place.
    pub first: i8,
    /// Where the last stands.
    pub last: i8,
    /// How far each is from the next.
    pub step: i8,
    /// Whether there are, or may be, others, where only the arguments themselves tell.
    pub movable: bool,
}

const fn keys(first: i8, last: i8, step: i8) -> Keys {
    Keys {
        first,
        last,
        step,
        movable: false,
    }
}

const fn and_movable(keys: Keys) -> Keys {
    Keys {
        movable: true,
        ..keys
    }
}

/// One command.
#[derive(Debug, Clone, Copy)]
pub struct CommandSpec {
    /// Where it stands among [`all`].
    pub number: usize,
    /// Its name in lower case.
    pub name: &'static str,
    /// Number of arguments with the name; negative if that many or more.
    pub arity: i32,
    /// Its properties.
    pub flags: Flags,
    /// Which of its arguments are keys.
    pub keys: Keys,
    pub(super) handler: Option<Handler>,
}

impl CommandSpec {
    /// Whether a request with so many arguments, the name among them, is well-formed.
    pub fn accepts(&self, count: usize) -> bool {
        let needed = self.arity.unsigned_abs() as usize;
        if self.arity < 0 {
            count >= needed
        } else {
            count == needed
        }
    }

    /// Whether it may change data.
    pub fn is_write(&self) -> bool {
        self.flags.contains(Flags::WRITE)
    }
}

/// The command of that name, in any case.
pub fn lookup(name: &[u8]) -> Option<&'static CommandSpec> {
    static BY_NAME: LazyLock<HashMap<&[u8], &CommandSpec, foldhash::fast::RandomState>> =
        LazyLock::new(|| {
            let named = |spec: &'static CommandSpec| (spec.name.as_bytes(), spec);
            TABLE.iter().map(named).collect()
        });
    let mut lower = [0; LONGEST_NAME];
    let lower = lower.get_mut(..name.len())?;
    lower.copy_from_slice(name);
    lower.make_ascii_lowercase();
    BY_NAME.get(&*lower).copied()
}

/// Bytes of the longest name, `zrevrangebyscore` and `zremrangebyscore`.
const LONGEST_NAME: usize = 16;

/// All commands, for `COMMAND`.
pub fn all() -> &'static [CommandSpec] {
    TABLE
}

const R: Flags = Flags::READONLY;
const ANY: Flags = R.and(Flags::ARBITRARY_KEYS);
const W: Flags = Flags::WRITE;
const B: Flags = W.and(Flags::BLOCKING);
const P: Flags = Flags::NONE;
const FAST: Flags = Flags::LOADING.and(Flags::STALE);
const S: Flags = Flags::SERVER;
const ADMIN: Flags = S.and(Flags::ADMIN);
const ROLE: Flags = ADMIN.and(Flags::NO_ASYNC_LOADING);
const CONTROL: Flags = S.and(FAST);
const LOGIN: Flags = CONTROL.and(Flags::NO_AUTH);

const NONE: Keys = keys(0, 0, 0);
const ONE: Keys = keys(1, 1, 1);
const TWO: Keys = keys(1, 2, 1);
const ALL: Keys = keys(1, -1, 1);
const EACH_2ND: Keys = keys(1, -1, 2);
const BUT_LAST: Keys = keys(1, -2, 1);
const FROM_2ND: Keys = keys(2, -1, 1);
const COUNTED: Keys = and_movable(NONE);
const ONE_MORE: Keys = and_movable(ONE);

const fn data(
    name: &'static str,
    arity: i32,
    flags: Flags,
    keys: Keys,
    handler: Handler,
) -> CommandSpec {
    CommandSpec {
        number: 0,
        name,
        arity,
        flags,
        keys,
        handler: Some(handler),
    }
}

const fn server(name: &'static str, arity: i32, flags: Flags) -> CommandSpec {
    CommandSpec {
        number: 0,
        name,
        arity,
        flags,
        keys: NONE,
        handler: None,
    }
}

/// The table with its numbers.
const fn numbered<const N: usize>(mut table: [CommandSpec; N]) -> [CommandSpec; N] {
    let mut number = 0;
    while number < N {
        table[number].number = number;
        number += 1;
    }
    table
}

#[rustfmt::skip]
static TABLE: &[CommandSpec] = &numbered([
    data("get",         2, R, ONE, strings::get),
    data("set",        -3, W, ONE, set::set),
    data("setnx",       3, W, ONE, set::setnx),
    data("setex",       4, W, ONE, set::setex),
    data("psetex",      4, W, ONE, set::psetex),
    data("getset",      3, W, ONE, set::getset),
    data("getdel",      2, W, ONE, strings::getdel),
    data("getex",      -2, W, ONE, strings::getex),
    data("mget",       -2, R, ALL, strings::mget),
    data("mset",       -3, W, EACH_2ND, strings::mset),
    data("msetnx",     -3, W, EACH_2ND, strings::msetnx),
    data("incr",        2, W, ONE, numbers::incr),
    data("decr",        2, W, ONE, numbers::decr),
    data("incrby",      3, W, ONE, numbers::incrby),
    data("decrby",      3, W, ONE, numbers::decrby),
    data("append",      3, W, ONE, ranges::append),
    data("strlen",      2, R, ONE, ranges::strlen),
    data("getrange",    4, R, ONE, ranges::getrange),
    data("substr",      4, R, ONE, ranges::getrange),
    data("setrange",    4, W, ONE, ranges::setrange),
    data("lpush",              -3, W, ONE, lists::lpush),
    data("rpush",              -3, W, ONE, lists::rpush),
    data("lpushx",             -3, W, ONE, lists::lpushx),
    data("rpushx",             -3, W, ONE, lists::rpushx),
    data("lpop",               -2, W, ONE, lists::lpop),
    data("rpop",               -2, W, ONE, lists::rpop),
    data("llen",                2, R, ONE, lists::llen),
    data("lindex",              3, R, ONE, lists::lindex),
    data("lset",                4, W, ONE, lists::lset),
    data("linsert",             5, W, ONE, lists::linsert),
    data("lrange",              4, R, ONE, lists::lrange),
    data("ltrim",               4, W, ONE, lists::ltrim),
    data("lrem",                4, W, ONE, lists::lrem),
    data("lpos",               -3, R, ONE, lists::lpos),
    data("lmove",               5, W, TWO, list_moves::lmove),
    data("rpoplpush",           3, W, TWO, list_moves::rpoplpush),
    data("lmpop",              -4, W, COUNTED, list_moves::lmpop),
    data("blpop",              -3, B, BUT_LAST, list_moves::blpop),
    data("brpop",              -3, B, BUT_LAST, list_moves::brpop),
    data("blmove",              6, B, TWO, list_moves::blmove),
    data("brpoplpush",          4, B, TWO, list_moves::brpoplpush),
    data("blmpop",             -5, B, COUNTED, list_moves::blmpop),
    data("hset",               -4, W, ONE, hashes::hset),
    data("hmset",              -4, W, ONE, hashes::hmset),
    data("hsetnx",              4, W, ONE, hashes::hsetnx),
    data("hget",                3, R, ONE, hashes::hget),
    data("hmget",              -3, R, ONE, hashes::hmget),
    data("hgetall",             2, R, ONE, hashes::hgetall),
    data("hkeys",               2, R, ONE, hashes::hkeys),
    data("hvals",               2, R, ONE, hashes::hvals),
    data("hlen",                2, R, ONE, hashes::hlen),
    data("hexists",             3, R, ONE, hashes::hexists),
    data("hstrlen",             3, R, ONE, hashes::hstrlen),
    data("hdel",               -3, W, ONE, hashes::hdel),
    data("hincrby",             4, W, ONE, hashes::hincrby),
    data("hincrbyfloat",        4, W, ONE, hashes::hincrbyfloat),
    data("hrandfield",         -2, R, ONE, hashes::hrandfield),
    data("hscan",              -3, R, ONE, scans::hscan),
    data("sadd",               -3, W, ONE, sets::sadd),
    data("srem",               -3, W, ONE, sets::srem),
    data("smove",               4, W, TWO, sets::smove),
    data("scard",               2, R, ONE, sets::scard),
    data("sismember",           3, R, ONE, sets::sismember),
    data("smismember",         -3, R, ONE, sets::smismember),
    data("smembers",            2, R, ONE, sets::smembers),
    data("spop",               -2, W, ONE, sets::spop),
    data("srandmember",        -2, R, ONE, sets::srandmember),
    data("sinter",             -2, R, ALL, set_algebra::sinter),
    data("sunion",             -2, R, ALL, set_algebra::sunion),
    data("sdiff",              -2, R, ALL, set_algebra::sdiff),
    data("sintercard",         -3, R, COUNTED, set_algebra::sintercard),
    data("sinterstore",        -3, W, ALL, set_algebra::sinterstore),
    data("sunionstore",        -3, W, ALL, set_algebra::sunionstore),
    data("sdiffstore",         -3, W, ALL, set_algebra::sdiffstore),
    data("sscan",              -3, R, ONE, scans::sscan),
    data("zadd",               -4, W, ONE, sorted_sets::zadd),
    data("zincrby",             4, W, ONE, sorted_sets::zincrby),
    data("zrem",               -3, W, ONE, sorted_sets::zrem),
    data("zcard",               2, R, ONE, sorted_sets::zcard),
    data("zscore",              3, R, ONE, sorted_sets::zscore),
    data("zmscore",            -3, R, ONE, sorted_sets::zmscore),
    data("zrank",               3, R, ONE, sorted_sets::zrank),
    data("zrevrank",            3, R, ONE, sorted_sets::zrevrank),
    data("zpopmin",            -2, W, ONE, sorted_sets::zpopmin),
    data("zpopmax",            -2, W, ONE, sorted_sets::zpopmax),
    data("zmpop",              -4, W, COUNTED, sorted_sets::zmpop),
    data("bzpopmin",           -3, B, BUT_LAST, sorted_sets::bzpopmin),
    data("bzpopmax",           -3, B, BUT_LAST, sorted_sets::bzpopmax),
    data("bzmpop",             -5, B, COUNTED, sorted_sets::bzmpop),
    data("zrandmember",        -2, R, ONE, sorted_sets::zrandmember),
    data("zrange",             -4, R, ONE, sorted_ranges::zrange),
    data("zrevrange",          -4, R, ONE, sorted_ranges::zrevrange),
    data("zrangebyscore",      -4, R, ONE, sorted_ranges::zrangebyscore),
    data("zrevrangebyscore",   -4, R, ONE, sorted_ranges::zrevrangebyscore),
    data("zrangebylex",        -4, R, ONE, sorted_ranges::zrangebylex),
    data("zrevrangebylex",     -4, R, ONE, sorted_ranges::zrevrangebylex),
    data("zrangestore",        -5, W, TWO, sorted_ranges::zrangestore),
    data("zcount",              4, R, ONE, sorted_ranges::zcount),
    data("zlexcount",           4, R, ONE, sorted_ranges::zlexcount),
    data("zremrangebyrank",     4, W, ONE, sorted_ranges::zremrangebyrank),
    data("zremrangebyscore",    4, W, ONE, sorted_ranges::zremrangebyscore),
    data("zremrangebylex",      4, W, ONE, sorted_ranges::zremrangebylex),
    data("zunion",             -3, R, COUNTED, sorted_algebra::zunion),
    data("zinter",             -3, R, COUNTED, sorted_algebra::zinter),
    data("zdiff",              -3, R, COUNTED, sorted_algebra::zdiff),
    data("zintercard",         -3, R, COUNTED, sorted_algebra::zintercard),
    data("zunionstore",        -4, W, ONE_MORE, sorted_algebra::zunionstore),
    data("zinterstore",        -4, W, ONE_MORE, sorted_algebra::zinterstore),
    data("zdiffstore",         -4, W, ONE_MORE, sorted_algebra::zdiffstore),
    data("zscan",              -3, R, ONE, scans::zscan),
    data("incrbyfloat",         3, W, ONE, numbers::incrbyfloat),
    data("lcs",                -3, R, TWO, lcs::lcs),
    data("setbit",              4, W, ONE, bits::setbit),
    data("getbit",              3, R, ONE, bits::getbit),
    data("bitcount",           -2, R, ONE, bits::bitcount),
    data("bitpos",             -3, R, ONE, bits::bitpos),
    data("bitop",              -4, W, FROM_2ND, bits::bitop),
    data("object",             -2, R, NONE, objects::object),
    data("memory",              -2, R, NONE, objects::memory),
    data("touch",              -2, R, ALL, objects::touch),
    data("move",                3, W, ONE, objects::move_key),
    data("dump",                2, R, ONE, objects::dump),
    data("restore",            -4, W, ONE, objects::restore),
    data("sort",               -2, W, ONE_MORE, sort::sort),
    data("sort_ro",            -2, R, ONE_MORE, sort::sort_ro),
    data("del",        -2, W, ALL, keys::del),
    data("unlink",     -2, W, ALL, keys::del),
    data("exists",     -2, R, ALL, keys::exists),
    data("type",        2, R, ONE, keys::type_of),
    data("keys",        2, R, NONE, keys::keys),
    data("scan",       -2, ANY, NONE, keys::scan),
    data("randomkey",   1, ANY, NONE, keys::randomkey),
    data("rename",      3, W, TWO, keys::rename),
    data("renamenx",    3, W, TWO, keys::renamenx),
    data("copy",       -3, W, TWO, keys::copy),
    data("dbsize",      1, R, NONE, keys::dbsize),
    data("flushall",   -1, W, NONE, keys::flushall),
    data("flushdb",    -1, W, NONE, keys::flushdb),
    data("swapdb",      3, W, NONE, keys::swapdb),
    data("expire",     -3, W, ONE, expiry::expire),
    data("pexpire",    -3, W, ONE, expiry::pexpire),
    data("expireat",   -3, W, ONE, expiry::expireat),
    data("pexpireat",  -3, W, ONE, expiry::pexpireat),
    data("ttl",         2, R, ONE, expiry::ttl),
    data("pttl",        2, R, ONE, expiry::pttl),
    data("expiretime",  2, R, ONE, expiry::expiretime),
    data("pexpiretime", 2, R, ONE, expiry::pexpiretime),
    data("persist",     2, W, ONE, expiry::persist),
    data("select",      2, FAST, NONE, connection::select),
    data("ping",       -1, P, NONE, connection::ping),
    data("echo",        2, FAST, NONE, connection::echo),
    server("auth",     -2, LOGIN),
    server("hello",    -1, LOGIN),
    server("quit",     -1, LOGIN),
    server("reset",     1, LOGIN),
    server("multi",     1, CONTROL),
    server("exec",      1, CONTROL),
    server("discard",   1, CONTROL),
    CommandSpec { keys: ALL, ..server("watch", -2, CONTROL) },
    server("unwatch",   1, CONTROL),
    server("client",   -2, CONTROL),
    server("command",  -1, CONTROL),
    server("info",     -1, CONTROL),
    server("role",      1, CONTROL),
    server("config",   -2, ADMIN.and(FAST)),
    server("debug",    -2, ADMIN.and(FAST)),
    server("replicaof", 3, ROLE.and(Flags::STALE)),
    server("slaveof",   3, ROLE.and(Flags::STALE)),
    server("failover", -1, ADMIN.and(Flags::STALE)),
    server("replconf", -1, ADMIN.and(FAST)),
    server("psync",    -3, ROLE.and(Flags::NO_MULTI)),
    server("sync",      1, ROLE.and(Flags::NO_MULTI)),
    server("wait",      3, S),
    server("save",      1, ROLE.and(Flags::NO_MULTI)),
    server("bgsave",   -1, ROLE),
    server("lastsave",  1, CONTROL),
    server("time",      1, CONTROL),
    server("shutdown", -1, ADMIN.and(FAST).and(Flags::NO_MULTI)),
]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_lower_case() {
        let names: std::collections::BTreeSet<_> = all()
            .iter()
            .map(|spec| spec.name.to_ascii_lowercase())
            .collect();
        assert_eq!(names.len(), all().len());
        assert!(all().iter().all(|spec| names.contains(spec.name)));
        assert!(
            all()
                .iter()
                .all(|spec| lookup(spec.name.as_bytes()).is_some())
        );
    }

    #[test]
    fn every_command_belongs_to_exactly_one_side() {
        assert!(
            all()
                .iter()
                .all(|spec| spec.handler.is_some() != spec.flags.contains(Flags::SERVER))
        );
    }

    #[test]
    fn lookup_ignores_case_and_arity_counts_the_name() {
        let set = lookup(b"sEt").unwrap();
        assert_eq!(
            (set.accepts(2), set.accepts(3), set.accepts(9)),
            (false, true, true)
        );
        let get = lookup(b"get").unwrap();
        assert_eq!(
            (get.accepts(1), get.accepts(2), get.accepts(3)),
            (false, true, false)
        );
        assert!(lookup(b"nosuch").is_none() && set.is_write() && !get.is_write());
    }
}
