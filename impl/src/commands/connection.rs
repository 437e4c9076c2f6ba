//! Commands that need no data: `SELECT`, `PING`, `ECHO`.

use super::{Call, CommandError, Reply};
use crate::keyspace::DATABASES;
use crate::resp::parse_integer;

pub(super) fn select(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    let number = parse_integer(call.arg(1)).ok_or(CommandError::NotInteger)?;
    *call.selected = database(number)?;
    Ok(Reply::OK)
}

/// The number of a database, if we have it.
pub(super) fn database(number: i64) -> Result<usize, CommandError> {
    usize::try_from(number)
        .ok()
        .filter(|number| *number < DATABASES)
        .ok_or(CommandError::DatabaseRange)
}

pub(super) fn ping(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    match call.args {
        [_] => Ok(Reply::Simple("PONG")),
        [_, message] => Ok(Reply::Bulk(message.clone())),
        _ => Err(CommandError::WrongArity { name: "ping" }),
    }
}

pub(super) fn echo(call: &mut Call<'_, '_>) -> Result<Reply, CommandError> {
    Ok(Reply::Bulk(call.arg(1).clone()))
}
