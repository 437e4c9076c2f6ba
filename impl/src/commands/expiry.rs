//! Deadlines: setting, reading and dropping them.
//!
//! Every way of setting one is propagated as `PEXPIREAT` with the absolute time. A deadline in the past deletes the key
//! at once and is propagated as `DEL`, except where the command comes from our primary: it will send the `DEL` itself.

use bytes::Bytes;

use super::set::Unit;
use super::{Call, CommandError, Entry, Origin, Reply, deletion};
use crate::resp::parse_integer;

pub(super) fn expire(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    generic(call, Unit::Seconds, "expire")
}

pub(super) fn pexpire(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    generic(call, Unit::Milliseconds, "pexpire")
}

pub(super) fn expireat(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    generic(call, Unit::UnixSeconds, "expireat")
}

pub(super) fn pexpireat(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    generic(call, Unit::UnixMilliseconds, "pexpireat")
}

/// Which present deadlines may be replaced.
// Four options of the command that may stand together, each there or not.
#[allow(clippy::struct_excessive_bools)]
#[derive(Default)]
struct Conditions {
    absent: bool,
    present: bool,
    greater: bool,
    less: bool,
}

impl Conditions {
    fn parse(options: &[Bytes]) -> Result<Self, CommandError> {
        let mut conditions = Self::default();
        for option in options {
            match &option.to_ascii_uppercase()[..] {
                b"NX" => conditions.absent = true,
                b"XX" => conditions.present = true,
                b"GT" => conditions.greater = true,
                b"LT" => conditions.less = true,
                _ => {
                    let option = String::from_utf8_lossy(option).into_owned();
                    return Err(CommandError::UnsupportedOption { option });
                }
            }
        }
        if conditions.absent && (conditions.present || conditions.greater || conditions.less) {
            return Err(CommandError::ConflictingConditions);
        }
        if conditions.greater && conditions.less {
            return Err(CommandError::GreaterAndLess);
        }
        Ok(conditions)
    }

    /// No deadline counts as one after all others.
    fn allow(&self, current: Option<u64>, wanted: i64) -> bool {
        let later_than_current = current.is_some_and(|current| wanted > current as i64);
        let sooner_than_current = current.is_none_or(|current| wanted < current as i64);
        !(self.absent && current.is_some()
            || self.present && current.is_none()
            || self.greater && !later_than_current
            || self.less && !sooner_than_current)
    }
}

fn generic(call: &mut Call<'_, '_>, unit: Unit, name: &'static str) -> Result<Reply, CommandError> {
    let key = call.arg(1);
    let conditions = Conditions::parse(&call.args[3..])?;
    let amount = parse_integer(call.arg(2)).ok_or(CommandError::NotInteger)?;
    let wanted = unit
        .to_unix_ms(amount, call.context.now_ms)
        .ok_or(CommandError::InvalidExpire { name })?;
    let Some(current) = call.entry(key).map(Entry::expires_at_ms) else {
        return Ok(Reply::Integer(0));
    };
    if !conditions.allow(current, wanted) {
        return Ok(Reply::Integer(0));
    }
    if unit == Unit::UnixMilliseconds && !has_passed(call, wanted) {
        call.set_deadline(key, Some(wanted.max(0) as u64));
        call.propagate_verbatim();
    } else {
        set_or_delete(call, key, wanted, &call.args[3..]);
    }
    Ok(Reply::Integer(1))
}

/// Whether a deadline means deletion. A replica leaves that to its primary.
fn has_passed(call: &Call<'_, '_>, deadline: i64) -> bool {
    call.context.origin != Origin::Primary && deadline <= call.context.now_ms as i64
}

/// Gives an existing key a deadline, or deletes it if that has passed, and propagates whichever it was. Conditions go
/// along, as in Redis 7.0, although they have been met already.
pub(super) fn set_or_delete(
    call: &mut Call<'_, '_>,
    key: &Bytes,
    deadline: i64,
    conditions: &[Bytes],
) {
    if has_passed(call, deadline) {
        call.remove(key);
        call.propagate(deletion(key.clone()));
        return;
    }
    call.set_deadline(key, Some(deadline.max(0) as u64));
    let at = Bytes::from(deadline.to_string());
    let pexpireat = [Bytes::from_static(b"PEXPIREAT"), key.clone(), at];
    call.propagate(pexpireat.iter().chain(conditions).cloned().collect());
}

/// Drops the deadline of a key, if it has one, and says whether it had.
pub(super) fn drop_deadline(call: &mut Call<'_, '_>, key: &Bytes) -> bool {
    let had = call.deadline(key).is_some();
    if had {
        call.set_deadline(key, None);
        call.propagate(vec![Bytes::from_static(b"PERSIST"), key.clone()]);
    }
    had
}

pub(super) fn persist(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let key = call.arg(1);
    if call.deadline(key).is_none() {
        return Ok(Reply::Integer(0));
    }
    call.set_deadline(key, None);
    call.propagate_verbatim();
    Ok(Reply::Integer(1))
}

pub(super) fn ttl(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    // Rounded to the nearest second, as in Redis.
    Ok(tell(call, |deadline, now_ms| {
        (deadline.saturating_sub(now_ms) + 500) / 1000
    }))
}

pub(super) fn pttl(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    Ok(tell(call, u64::saturating_sub))
}

pub(super) fn expiretime(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    Ok(tell(call, |deadline, _| (deadline + 500) / 1000))
}

pub(super) fn pexpiretime(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    Ok(tell(call, |deadline, _| deadline))
}

/// A number made of deadline and time; -1 without a deadline, -2 without a key.
fn tell(call: &mut Call<'_, '_>, compute: fn(u64, u64) -> u64) -> Reply {
    let now_ms = call.context.now_ms;
    Reply::Integer(match call.entry(call.arg(1)) {
        None => -2,
        Some(entry) => entry
            .expires_at_ms()
            .map_or(-1, |deadline| compute(deadline, now_ms) as i64),
    })
}
