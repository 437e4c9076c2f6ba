//! `SET` and the older commands that are special cases of it.
//!
//! A `SET` with a deadline is propagated as `SET key value PXAT deadline`, so that a replica computes nothing; one without
//! goes out as the client sent it, to the byte, but for a `GET` that would make no difference.

use bytes::Bytes;

use super::{Call, CommandError, Reply};
use crate::resp::parse_integer;

/// When to set.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Condition {
    Always,
    IfAbsent,
    IfPresent,
}

/// What becomes of the deadline.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Deadline {
    None,
    Keep,
    At(u64),
}

struct Options {
    condition: Condition,
    deadline: Deadline,
    get: bool,
}

/// In which unit a deadline is given, and counted from when.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Seconds,
    Milliseconds,
    UnixSeconds,
    UnixMilliseconds,
}

impl Unit {
    /// The unit that an option of `SET` and `GETEX` names.
    pub(super) fn of_option(option: &[u8]) -> Option<Self> {
        let table = [
            ("EX", Self::Seconds),
            ("PX", Self::Milliseconds),
            ("EXAT", Self::UnixSeconds),
            ("PXAT", Self::UnixMilliseconds),
        ];
        table
            .into_iter()
            .find(|(name, _)| option.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, unit)| unit)
    }

    /// The unix millisecond meant, or `None` if it does not fit a signed 64-bit number.
    pub(super) fn to_unix_ms(self, amount: i64, now_ms: u64) -> Option<i64> {
        let milliseconds = match self {
            Self::Seconds | Self::UnixSeconds => amount.checked_mul(1000)?,
            Self::Milliseconds | Self::UnixMilliseconds => amount,
        };
        match self {
            Self::Seconds | Self::Milliseconds => milliseconds.checked_add(now_ms as i64),
            Self::UnixSeconds | Self::UnixMilliseconds => Some(milliseconds),
        }
    }
}

/// A deadline as `SET` and `GETEX` accept it: positive, and within range.
pub(super) fn positive_deadline(
    call: &Call<'_, '_>,
    unit: Unit,
    amount: &[u8],
    name: &'static str,
) -> Result<u64, CommandError> {
    let amount = parse_integer(amount).ok_or(CommandError::NotInteger)?;
    let deadline = unit
        .to_unix_ms(amount, call.context.now_ms)
        .filter(|deadline| amount > 0 && *deadline > 0);
    deadline
        .map(|deadline| deadline as u64)
        .ok_or(CommandError::InvalidExpire { name })
}

pub(super) fn set(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let options = parse_options(call)?;
    let (key, value) = (call.arg(1), call.arg(2));
    let previous = if options.get { call.string(key)? } else { None };
    let blocked = match options.condition {
        Condition::Always => {
            call.meet(key);
            false
        }
        Condition::IfAbsent => call.exists(key),
        Condition::IfPresent => !call.exists(key),
    };
    let done = if blocked { Reply::NullBulk } else { Reply::OK };
    let reply = if options.get {
        Reply::stored_or_null(previous)
    } else {
        done
    };
    if blocked {
        return Ok(reply);
    }
    match options.deadline {
        Deadline::At(deadline) => store_until(call, key, value, deadline),
        Deadline::Keep => call.replace(key, value),
        Deadline::None => call.store(key, value, None),
    }
    if !matches!(options.deadline, Deadline::At(_)) {
        propagate_without_get(call);
    }
    Ok(reply)
}

fn parse_options(call: &Call<'_, '_>) -> Result<Options, CommandError> {
    let mut options = Options {
        condition: Condition::Always,
        deadline: Deadline::None,
        get: false,
    };
    let mut expiry = None;
    let mut rest = &call.args[3..];
    while let Some((option, after)) = rest.split_first() {
        rest = after;
        let is = |name: &str| option.eq_ignore_ascii_case(name.as_bytes());
        let deadline_free = expiry.is_none() && options.deadline == Deadline::None;
        match Unit::of_option(option) {
            Some(unit) if deadline_free => {
                let (amount, after) = after.split_first().ok_or(CommandError::Syntax)?;
                expiry = Some((unit, amount));
                rest = after;
            }
            None if is("KEEPTTL") && expiry.is_none() => options.deadline = Deadline::Keep,
            None if is("NX") && options.condition != Condition::IfPresent => {
                options.condition = Condition::IfAbsent;
            }
            None if is("XX") && options.condition != Condition::IfAbsent => {
                options.condition = Condition::IfPresent;
            }
            None if is("GET") => options.get = true,
            _ => return Err(CommandError::Syntax),
        }
    }
    if let Some((unit, amount)) = expiry {
        options.deadline = Deadline::At(positive_deadline(call, unit, amount, "set")?);
    }
    Ok(options)
}

/// Stores a value with a deadline and propagates the deadline as the absolute time it is.
fn store_until(call: &mut Call<'_, '_>, key: &Bytes, value: &Bytes, deadline: u64) {
    call.store(key, value, Some(deadline));
    let at = Bytes::from(deadline.to_string());
    let (set, pxat) = (Bytes::from_static(b"SET"), Bytes::from_static(b"PXAT"));
    call.propagate(vec![set, key.clone(), value.clone(), pxat, at]);
}

/// As sent, without the option `GET`: a replica has nobody to answer.
fn propagate_without_get(call: &mut Call<'_, '_>) {
    let (fixed, options) = call.args.split_at(3);
    let is_get = |option: &Bytes| option.eq_ignore_ascii_case(b"GET");
    if !options.iter().any(is_get) {
        return call.propagate_verbatim();
    }
    let others = options.iter().filter(|option| !is_get(option));
    call.propagate(fixed.iter().chain(others).cloned().collect());
}

pub(super) fn setnx(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let key = call.arg(1);
    if call.exists(key) {
        return Ok(Reply::Integer(0));
    }
    call.store(key, call.arg(2), None);
    call.propagate_verbatim();
    Ok(Reply::Integer(1))
}

pub(super) fn setex(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    set_until(call, Unit::Seconds, "setex")
}

pub(super) fn psetex(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    set_until(call, Unit::Milliseconds, "psetex")
}

fn set_until(
    call: &mut Call<'_, '_>,
    unit: Unit,
    name: &'static str,
) -> Result<Reply, CommandError> {
    let deadline = positive_deadline(call, unit, call.arg(2), name)?;
    call.meet(call.arg(1));
    store_until(call, call.arg(1), call.arg(3), deadline);
    Ok(Reply::OK)
}

pub(super) fn getset(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let (key, value) = (call.arg(1), call.arg(2));
    let previous = call.string(key)?;
    call.store(key, value, None);
    call.propagate(vec![Bytes::from_static(b"SET"), key.clone(), value.clone()]);
    Ok(Reply::stored_or_null(previous))
}
