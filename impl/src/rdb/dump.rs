//! One value on its way from server to server: the payload of `DUMP` and `RESTORE`.
//!
//! A type, a value, two bytes of version, eight of checksum over all before. We claim the lowest version that plain forms
//! have, so that every server restores what we dump.

use bytes::{BufMut, Bytes};

use super::format::{CHECKSUM, CHECKSUM_BYTES};
use super::values;
use crate::keyspace::Value;

/// The version that payloads claim.
const VERSION: u16 = 6;

/// The newest version that we restore; newer ones may use a type's code for another form.
const NEWEST_VERSION: u16 = 13;

/// Why a payload was not restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestoreError {
    /// Its version or checksum is wrong.
    Envelope,
    /// Its value is none, or of a type that we do not hold.
    Content,
}

/// The payload of a value.
pub fn dump(value: &Value) -> Bytes {
    let mut out = values::write(value);
    out.put_u16_le(VERSION);
    let checksum = CHECKSUM.checksum(&out);
    out.put_u64_le(checksum);
    out.freeze()
}

/// The value of a payload. A checksum of zero says that the writer had them disabled.
pub fn restore(payload: &Bytes) -> Result<Value, RestoreError> {
    let (rest, checksum) = payload
        .split_last_chunk::<CHECKSUM_BYTES>()
        .ok_or(RestoreError::Envelope)?;
    let (body, version) = rest.split_last_chunk().ok_or(RestoreError::Envelope)?;
    let expected = u64::from_le_bytes(*checksum);
    let intact = expected == 0 || expected == CHECKSUM.checksum(rest);
    if u16::from_le_bytes(*version) > NEWEST_VERSION || !intact {
        return Err(RestoreError::Envelope);
    }
    let value = values::read_whole(&payload.slice(..body.len()));
    value
        .ok()
        .filter(|value| !value.is_empty_collection())
        .ok_or(RestoreError::Content)
}
