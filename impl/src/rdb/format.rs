//! The numbers of the format, shared by writer and reader.

/// The checksum of the format.
pub(super) const CHECKSUM: crc::Crc<u64> = crc::Crc::<u64>::new(&crc::CRC_64_REDIS);

/// Bytes of the checksum at the end, from version 5 on.
pub(super) const CHECKSUM_BYTES: usize = 8;

/// Type of a value: a string.
pub(super) const TYPE_STRING: u8 = 0;

/// Opcodes: what stands in the place of a type.
pub(super) const SLOT_INFO: u8 = 244;
/// A library of functions.
pub(super) const FUNCTION2: u8 = 245;
/// A function of a release candidate of 7.0.
pub(super) const FUNCTION_PRE_GA: u8 = 246;
/// Data of a module, outside of keys.
pub(super) const MODULE_AUX: u8 = 247;
/// Seconds since the last use of the key that follows.
pub(super) const IDLE: u8 = 248;
/// How often the key that follows is used.
pub(super) const FREQ: u8 = 249;
/// An auxiliary field: a name and a value.
pub(super) const AUX: u8 = 250;
/// How many keys, and keys with a deadline, the database has.
pub(super) const RESIZE_DB: u8 = 251;
/// The deadline of the key that follows, in unix milliseconds.
pub(super) const EXPIRE_TIME_MS: u8 = 252;
/// The same in seconds, up to version 2.
pub(super) const EXPIRE_TIME: u8 = 253;
/// The database that the following keys belong to.
pub(super) const SELECT_DB: u8 = 254;
/// The end; only the checksum follows.
pub(super) const EOF: u8 = 255;

/// The second bits of a length byte that announce an encoded string instead.
pub(super) const ENCODED_I8: u64 = 0;
/// Two bytes, little end first.
pub(super) const ENCODED_I16: u64 = 1;
/// Four bytes, little end first.
pub(super) const ENCODED_I32: u64 = 2;
/// Compressed with LZF.
pub(super) const ENCODED_LZF: u64 = 3;

/// What the types that we do not hold are called.
pub(super) fn type_name(code: u8) -> Option<&'static str> {
    Some(match code {
        1 | 10 | 14 | 18 => "list",
        2 | 11 | 20 => "set",
        3 | 5 | 12 | 17 => "sorted set",
        4 | 9 | 13 | 16 | 22..=25 => "hash",
        6 | 7 => "module value",
        15 | 19 | 21 | 26 | 27 => "stream",
        _ => return None,
    })
}
