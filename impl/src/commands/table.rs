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

/// One command.
#[derive(Debug, Clone, Copy)]
pub struct CommandSpec {
    /// Its name in lower case.
    pub name: &'static str,
    /// Number of arguments with the name; negative if that many or more.
    pub arity: i32,
    /// Its properties.
    pub flags: Flags,
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
    static BY_NAME: LazyLock<HashMap<&[u8], &CommandSpec>> = LazyLock::new(|| {
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
const FAST: Flags = Flags::LOADING.and(Flags::STALE);
const S: Flags = Flags::SERVER;
const ADMIN: Flags = S.and(Flags::ADMIN);
const CONTROL: Flags = S.and(FAST);
const LOGIN: Flags = CONTROL.and(Flags::NO_AUTH);

const fn data(name: &'static str, arity: i32, flags: Flags, handler: Handler) -> CommandSpec {
    CommandSpec {
        name,
        arity,
        flags,
        handler: Some(handler),
    }
}

const fn server(name: &'static str, arity: i32, flags: Flags) -> CommandSpec {
    CommandSpec {
        name,
        arity,
        flags,
        handler: None,
    }
}

#[rustfmt::skip]
static TABLE: &[CommandSpec] = &[
    data("get",         2, R, strings::get),
    data("set",        -3, W, set::set),
    data("setnx",       3, W, set::setnx),
    data("setex",       4, W, set::setex),
    data("psetex",      4, W, set::psetex),
    data("getset",      3, W, set::getset),
    data("getdel",      2, W, strings::getdel),
    data("getex",      -2, W, strings::getex),
    data("mget",       -2, R, strings::mget),
    data("mset",       -3, W, strings::mset),
    data("msetnx",     -3, W, strings::msetnx),
    data("incr",        2, W, numbers::incr),
    data("decr",        2, W, numbers::decr),
    data("incrby",      3, W, numbers::incrby),
    data("decrby",      3, W, numbers::decrby),
    data("append",      3, W, ranges::append),
    data("strlen",      2, R, ranges::strlen),
    data("getrange",    4, R, ranges::getrange),
    data("substr",      4, R, ranges::getrange),
    data("setrange",    4, W, ranges::setrange),
    data("lpush",              -3, W, lists::lpush),
    data("rpush",              -3, W, lists::rpush),
    data("lpushx",             -3, W, lists::lpushx),
    data("rpushx",             -3, W, lists::rpushx),
    data("lpop",               -2, W, lists::lpop),
    data("rpop",               -2, W, lists::rpop),
    data("llen",                2, R, lists::llen),
    data("lindex",              3, R, lists::lindex),
    data("lset",                4, W, lists::lset),
    data("linsert",             5, W, lists::linsert),
    data("lrange",              4, R, lists::lrange),
    data("ltrim",               4, W, lists::ltrim),
    data("lrem",                4, W, lists::lrem),
    data("lpos",               -3, R, lists::lpos),
    data("lmove",               5, W, list_moves::lmove),
    data("rpoplpush",           3, W, list_moves::rpoplpush),
    data("lmpop",              -4, W, list_moves::lmpop),
    data("blpop",              -3, W, list_moves::blpop),
    data("brpop",              -3, W, list_moves::brpop),
    data("blmove",              6, W, list_moves::blmove),
    data("brpoplpush",          4, W, list_moves::brpoplpush),
    data("blmpop",             -5, W, list_moves::blmpop),
    data("hset",               -4, W, hashes::hset),
    data("hmset",              -4, W, hashes::hmset),
    data("hsetnx",              4, W, hashes::hsetnx),
    data("hget",                3, R, hashes::hget),
    data("hmget",              -3, R, hashes::hmget),
    data("hgetall",             2, R, hashes::hgetall),
    data("hkeys",               2, R, hashes::hkeys),
    data("hvals",               2, R, hashes::hvals),
    data("hlen",                2, R, hashes::hlen),
    data("hexists",             3, R, hashes::hexists),
    data("hstrlen",             3, R, hashes::hstrlen),
    data("hdel",               -3, W, hashes::hdel),
    data("hincrby",             4, W, hashes::hincrby),
    data("hincrbyfloat",        4, W, hashes::hincrbyfloat),
    data("hrandfield",         -2, R, hashes::hrandfield),
    data("hscan",              -3, R, scans::hscan),
    data("sadd",               -3, W, sets::sadd),
    data("srem",               -3, W, sets::srem),
    data("smove",               4, W, sets::smove),
    data("scard",               2, R, sets::scard),
    data("sismember",           3, R, sets::sismember),
    data("smismember",         -3, R, sets::smismember),
    data("smembers",            2, R, sets::smembers),
    data("spop",               -2, W, sets::spop),
    data("srandmember",        -2, R, sets::srandmember),
    data("sinter",             -2, R, set_algebra::sinter),
    data("sunion",             -2, R, set_algebra::sunion),
    data("sdiff",              -2, R, set_algebra::sdiff),
    data("sintercard",         -3, R, set_algebra::sintercard),
    data("sinterstore",        -3, W, set_algebra::sinterstore),
    data("sunionstore",        -3, W, set_algebra::sunionstore),
    data("sdiffstore",         -3, W, set_algebra::sdiffstore),
    data("sscan",              -3, R, scans::sscan),
    data("zadd",               -4, W, sorted_sets::zadd),
    data("zincrby",             4, W, sorted_sets::zincrby),
    data("zrem",               -3, W, sorted_sets::zrem),
    data("zcard",               2, R, sorted_sets::zcard),
    data("zscore",              3, R, sorted_sets::zscore),
    data("zmscore",            -3, R, sorted_sets::zmscore),
    data("zrank",               3, R, sorted_sets::zrank),
    data("zrevrank",            3, R, sorted_sets::zrevrank),
    data("zpopmin",            -2, W, sorted_sets::zpopmin),
    data("zpopmax",            -2, W, sorted_sets::zpopmax),
    data("zmpop",              -4, W, sorted_sets::zmpop),
    data("bzpopmin",           -3, W, sorted_sets::bzpopmin),
    data("bzpopmax",           -3, W, sorted_sets::bzpopmax),
    data("bzmpop",             -5, W, sorted_sets::bzmpop),
    data("zrandmember",        -2, R, sorted_sets::zrandmember),
    data("zrange",             -4, R, sorted_ranges::zrange),
    data("zrevrange",          -4, R, sorted_ranges::zrevrange),
    data("zrangebyscore",      -4, R, sorted_ranges::zrangebyscore),
    data("zrevrangebyscore",   -4, R, sorted_ranges::zrevrangebyscore),
    data("zrangebylex",        -4, R, sorted_ranges::zrangebylex),
    data("zrevrangebylex",     -4, R, sorted_ranges::zrevrangebylex),
    data("zrangestore",        -5, W, sorted_ranges::zrangestore),
    data("zcount",              4, R, sorted_ranges::zcount),
    data("zlexcount",           4, R, sorted_ranges::zlexcount),
    data("zremrangebyrank",     4, W, sorted_ranges::zremrangebyrank),
    data("zremrangebyscore",    4, W, sorted_ranges::zremrangebyscore),
    data("zremrangebylex",      4, W, sorted_ranges::zremrangebylex),
    data("zunion",             -3, R, sorted_algebra::zunion),
    data("zinter",             -3, R, sorted_algebra::zinter),
    data("zdiff",              -3, R, sorted_algebra::zdiff),
    data("zintercard",         -3, R, sorted_algebra::zintercard),
    data("zunionstore",        -4, W, sorted_algebra::zunionstore),
    data("zinterstore",        -4, W, sorted_algebra::zinterstore),
    data("zdiffstore",         -4, W, sorted_algebra::zdiffstore),
    data("zscan",              -3, R, scans::zscan),
    data("incrbyfloat",         3, W, numbers::incrbyfloat),
    data("lcs",                -3, R, lcs::lcs),
    data("setbit",              4, W, bits::setbit),
    data("getbit",              3, R, bits::getbit),
    data("bitcount",           -2, R, bits::bitcount),
    data("bitpos",             -3, R, bits::bitpos),
    data("bitop",              -4, W, bits::bitop),
    data("object",             -2, R, objects::object),
    data("memory",              -2, R, objects::memory),
    data("touch",              -2, R, objects::touch),
    data("move",                3, W, objects::move_key),
    data("dump",                2, R, objects::dump),
    data("restore",            -4, W, objects::restore),
    data("sort",               -2, W, sort::sort),
    data("sort_ro",            -2, R, sort::sort_ro),
    data("del",        -2, W, keys::del),
    data("unlink",     -2, W, keys::del),
    data("exists",     -2, R, keys::exists),
    data("type",        2, R, keys::type_of),
    data("keys",        2, R, keys::keys),
    data("scan",       -2, ANY, keys::scan),
    data("randomkey",   1, ANY, keys::randomkey),
    data("rename",      3, W, keys::rename),
    data("renamenx",    3, W, keys::renamenx),
    data("copy",       -3, W, keys::copy),
    data("dbsize",      1, R, keys::dbsize),
    data("flushall",   -1, W, keys::flushall),
    data("flushdb",    -1, W, keys::flushdb),
    data("swapdb",      3, W, keys::swapdb),
    data("expire",     -3, W, expiry::expire),
    data("pexpire",    -3, W, expiry::pexpire),
    data("expireat",   -3, W, expiry::expireat),
    data("pexpireat",  -3, W, expiry::pexpireat),
    data("ttl",         2, R, expiry::ttl),
    data("pttl",        2, R, expiry::pttl),
    data("expiretime",  2, R, expiry::expiretime),
    data("pexpiretime", 2, R, expiry::pexpiretime),
    data("persist",     2, W, expiry::persist),
    data("select",      2, FAST, connection::select),
    data("ping",       -1, FAST, connection::ping),
    data("echo",        2, FAST, connection::echo),
    server("auth",     -2, LOGIN),
    server("hello",    -1, LOGIN),
    server("quit",     -1, LOGIN),
    server("reset",     1, LOGIN),
    server("multi",     1, CONTROL.and(Flags::NO_MULTI)),
    server("exec",      1, CONTROL),
    server("discard",   1, CONTROL),
    server("watch",    -2, CONTROL.and(Flags::NO_MULTI)),
    server("unwatch",   1, CONTROL),
    server("client",   -2, CONTROL),
    server("command",  -1, CONTROL),
    server("info",     -1, CONTROL),
    server("role",      1, CONTROL),
    server("config",   -2, ADMIN.and(FAST)),
    server("debug",    -2, ADMIN.and(FAST)),
    server("replicaof", 3, ADMIN.and(Flags::STALE)),
    server("slaveof",   3, ADMIN.and(Flags::STALE)),
    server("failover", -1, ADMIN.and(Flags::STALE)),
    server("replconf", -1, ADMIN.and(FAST)),
    server("psync",    -3, ADMIN.and(Flags::NO_MULTI)),
    server("sync",      1, ADMIN.and(Flags::NO_MULTI)),
    server("wait",      3, S),
    server("save",      1, ADMIN.and(Flags::NO_MULTI)),
    server("bgsave",   -1, ADMIN),
    server("lastsave",  1, CONTROL),
    server("time",      1, CONTROL),
    server("shutdown", -1, ADMIN.and(FAST).and(Flags::NO_MULTI)),
];

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
