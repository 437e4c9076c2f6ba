//! The parts of a collection at a time: `HSCAN`, `SSCAN`, `ZSCAN`.

use bytes::Bytes;

use super::keys::{cursor, scan_options};
use super::parse::text;
use super::{Call, CommandError, Reply};
use crate::keyspace::{Hash, Set, SortedSet, glob};
use crate::numbers::exact;

fn scan_reply(next: u64, found: Vec<Reply>) -> Reply {
    Reply::Array(vec![Reply::Bulk(text(&next)), Reply::Array(found)])
}

pub(super) fn hscan(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let cursor = cursor(call.arg(2))?;
    let options = scan_options(&call.args[3..], false)?;
    let hash: Hash = call.collection(call.arg(1))?.unwrap_or_default();
    let (next, fields) = hash.scan(cursor, options.count);
    let found = fields
        .into_iter()
        .filter(|(field, _)| glob::matches(options.pattern, field))
        .flat_map(|(field, value)| [field, value].map(|part| Reply::Stored(part.clone())));
    Ok(scan_reply(next, found.collect()))
}

pub(super) fn sscan(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let cursor = cursor(call.arg(2))?;
    let options = scan_options(&call.args[3..], false)?;
    let set: Set = call.collection(call.arg(1))?.unwrap_or_default();
    let (next, members) = set.scan(cursor, options.count);
    let found = members
        .into_iter()
        .filter(|member| glob::matches(options.pattern, member))
        .map(|member| Reply::Stored(member.clone()));
    Ok(scan_reply(next, found.collect()))
}

pub(super) fn zscan(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let cursor = cursor(call.arg(2))?;
    let options = scan_options(&call.args[3..], false)?;
    let set: SortedSet = call.collection(call.arg(1))?.unwrap_or_default();
    let (next, members) = set.scan(cursor, options.count);
    let found = members
        .into_iter()
        .filter(|(member, _)| glob::matches(options.pattern, member))
        .flat_map(|(member, score)| {
            [
                Reply::Stored(member.clone()),
                Reply::Bulk(Bytes::from(exact(score))),
            ]
        });
    Ok(scan_reply(next, found.collect()))
}
