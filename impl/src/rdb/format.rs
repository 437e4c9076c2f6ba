//! The numbers of the format, shared by writer and reader.

use crc::{CRC_64_REDIS, Crc, Table};

/// The checksum of the format, by sixteen bytes at a time: a snapshot of a gigabyte is summed up at both ends.
pub(super) static CHECKSUM: Crc<u64, Table<16>> = Crc::<u64, Table<16>>::new(&CRC_64_REDIS);

/// Bytes of the checksum at the end, from version 5 on.
pub(super) const CHECKSUM_BYTES: usize = 8;

/// Types of values. Plain ones first: a string.
pub(super) const STRING: u8 = 0;
/// A length and that many elements.
pub(super) const LIST: u8 = 1;
/// A length and that many members.
pub(super) const SET: u8 = 2;
/// A length and that many members with their scores as text.
pub(super) const SORTED_SET: u8 = 3;
/// A length and that many fields with their values.
pub(super) const HASH: u8 = 4;
/// As before, but scores are doubles; from version 8 on.
pub(super) const SORTED_SET_BINARY: u8 = 5;
/// Compact forms of version 2 to 9, each in one string.
pub(super) const HASH_ZIPMAP: u8 = 9;
/// One ziplist.
pub(super) const LIST_ZIPLIST: u8 = 10;
/// Sorted integers of one width.
pub(super) const SET_INTSET: u8 = 11;
/// One ziplist of members and scores.
pub(super) const SORTED_SET_ZIPLIST: u8 = 12;
/// One ziplist of fields and values.
pub(super) const HASH_ZIPLIST: u8 = 13;
/// A length and that many ziplists; from version 7 on.
pub(super) const LIST_QUICKLIST: u8 = 14;
/// One listpack of fields and values; from version 10 on, as the next two.
pub(super) const HASH_LISTPACK: u8 = 16;
/// One listpack of members and scores.
pub(super) const SORTED_SET_LISTPACK: u8 = 17;
/// A length and that many nodes, each an element or a listpack.
pub(super) const LIST_QUICKLIST_2: u8 = 18;
/// One listpack of members; from version 11 on.
pub(super) const SET_LISTPACK: u8 = 20;

/// A node of a list that is one element.
pub(super) const NODE_PLAIN: u64 = 1;
/// A node of a list that is a listpack.
pub(super) const NODE_PACKED: u64 = 2;

/// In the place of the length of a score: not a number, which no score may be.
pub(super) const SCORE_NAN: u8 = 253;
/// The same for infinity.
pub(super) const SCORE_INFINITE: u8 = 254;
/// The same for negative infinity.
pub(super) const SCORE_NEGATIVE_INFINITE: u8 = 255;

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
pub(super) fn unsupported_name(code: u8) -> Option<&'static str> {
    Some(match code {
        6 | 7 => "module value",
        15 | 19 | 21 | 26 | 27 => "stream",
        22..=25 => "hash with deadlines of fields",
        _ => return None,
    })
}
