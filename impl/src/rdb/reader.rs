//! The reader: a whole payload in, a data set and its label out, or an error and nothing.
//!
//! Keys whose deadline has passed are kept: whoever loads decides (PROTOCOL §6 X3).

use bytes::Bytes;

use super::format::{
    AUX, CHECKSUM_BYTES, EOF, EXPIRE_TIME, EXPIRE_TIME_MS, FREQ, FUNCTION_PRE_GA, FUNCTION2, IDLE,
    MODULE_AUX, RESIZE_DB, SELECT_DB, SLOT_INFO, unsupported_name,
};
use super::input::Input;
use super::{RdbError, ReplicationFields, values};
use crate::keyspace::{Entry, Keyspace};
use crate::resp::parse_integer;

/// The newest version of Redis's numbering that we know.
const NEWEST_VERSION: u32 = 13;

/// Valkey's own numbering begins and, for us, ends here.
const VALKEY_VERSION: u32 = 80;

/// The first version with a checksum.
const FIRST_WITH_CHECKSUM: u32 = 5;

/// What a snapshot held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// The data.
    pub keyspace: Keyspace,
    /// The label, if all three fields of it were there and valid.
    pub fields: Option<ReplicationFields>,
    /// The version it claims.
    pub version: u32,
}

/// Reads a whole snapshot. An error means that nothing of it may be used.
pub fn read(payload: &Bytes) -> Result<Loaded, RdbError> {
    read_pieces([payload.clone()])
}

/// The same of a snapshot in pieces. Each is asked for when those before it have been read, and let go when it has been
/// read itself.
pub fn read_pieces(pieces: impl IntoIterator<Item = Bytes>) -> Result<Loaded, RdbError> {
    let mut pieces = pieces.into_iter();
    let mut input = Input::new(&mut pieces);
    let version = read_version(&mut input)?;
    let mut reader = Reader::default();
    while reader.item(&mut input)? {}
    if version >= FIRST_WITH_CHECKSUM {
        check_sum(&mut input)?;
    }
    let position = input.position();
    match input.left() {
        0 => Ok(Loaded {
            keyspace: reader.keyspace,
            fields: reader.label.complete(),
            version,
        }),
        count => Err(RdbError::TrailingBytes { position, count }),
    }
}

fn read_version(input: &mut Input) -> Result<u32, RdbError> {
    let magic = input.take(9)?;
    let (digits, valkey) = match (magic.strip_prefix(b"REDIS"), magic.strip_prefix(b"VALKEY")) {
        (Some(digits), _) => (digits, false),
        (_, Some(digits)) => (digits, true),
        _ => return Err(RdbError::BadMagic),
    };
    if !digits.iter().all(u8::is_ascii_digit) {
        return Err(RdbError::BadMagic);
    }
    let version = digits
        .iter()
        .fold(0, |number, digit| number * 10 + u32::from(digit - b'0'));
    let known = if valkey {
        version == VALKEY_VERSION
    } else {
        (1..=NEWEST_VERSION).contains(&version)
    };
    known
        .then_some(version)
        .ok_or(RdbError::UnsupportedVersion { version })
}

/// A checksum of zero says that the writer had them disabled.
fn check_sum(input: &mut Input) -> Result<(), RdbError> {
    let actual = input.sum();
    let expected = u64::from_le_bytes(input.array::<CHECKSUM_BYTES>()?);
    if expected == 0 || expected == actual {
        Ok(())
    } else {
        Err(RdbError::BadChecksum { expected, actual })
    }
}

/// The replication fields as far as they have been read.
#[derive(Debug, Default)]
struct Label {
    stream_db: Option<i64>,
    id: Option<[u8; 40]>,
    offset: Option<i64>,
}

impl Label {
    /// All three, none of them the -1 by which Redis says "not valid" (PROTOCOL §4.8).
    fn complete(&self) -> Option<ReplicationFields> {
        let stream_db = i32::try_from(self.stream_db?)
            .ok()
            .filter(|number| *number >= 0)?;
        let offset = self.offset.filter(|offset| *offset >= 0)?;
        Some(ReplicationFields {
            stream_db,
            id: self.id?,
            offset,
        })
    }
}

/// What has been read, and what applies to the next key.
#[derive(Default)]
struct Reader {
    keyspace: Keyspace,
    label: Label,
    database: usize,
    expires_at_ms: Option<u64>,
}

impl Reader {
    /// Reads one opcode or key; false at the end.
    fn item(&mut self, input: &mut Input) -> Result<bool, RdbError> {
        let position = input.position();
        match input.byte()? {
            EOF => return Ok(false),
            SELECT_DB => self.database = input.database()?,
            // Deadlines are signed; one before 1970 has passed just as well as one in it.
            EXPIRE_TIME_MS => {
                let deadline = i64::from_le_bytes(input.array()?);
                self.expires_at_ms = Some(deadline.max(0) as u64);
            }
            EXPIRE_TIME => {
                let seconds = i32::from_le_bytes(input.array()?);
                self.expires_at_ms = Some(u64::from(seconds.max(0) as u32) * 1000);
            }
            IDLE => input.skip_lengths(1)?,
            FREQ => _ = input.byte()?,
            RESIZE_DB => input.skip_lengths(2)?,
            SLOT_INFO => input.skip_lengths(3)?,
            AUX => self.field(&input.string()?, &input.string()?)?,
            FUNCTION2 | FUNCTION_PRE_GA => {
                return Err(RdbError::UnsupportedSection {
                    section: "a function",
                    position,
                });
            }
            MODULE_AUX => {
                return Err(RdbError::UnsupportedSection {
                    section: "module data",
                    position,
                });
            }
            code => self.key(code, position, input)?,
        }
        Ok(true)
    }

    fn key(&mut self, code: u8, position: usize, input: &mut Input) -> Result<(), RdbError> {
        if let Some(type_name) = unsupported_name(code) {
            let key = input.string()?;
            return Err(RdbError::UnsupportedType { key, type_name });
        }
        if !values::is_type(code) {
            return Err(RdbError::UnknownCode { code, position });
        }
        let key = input.string()?;
        let value = values::read(code, input)?;
        let deadline = self.expires_at_ms.take();
        if value.is_empty_collection() {
            // Some old versions wrote them; Redis leaves them out as well.
            return Ok(());
        }
        let entry = Entry::new(value).expiring(deadline);
        match self.keyspace.insert(self.database, &key, entry) {
            None => Ok(()),
            Some(_) => Err(RdbError::DuplicateKey { key }),
        }
    }

    /// Takes a replication field; others say nothing about the data.
    fn field(&mut self, name: &Bytes, value: &Bytes) -> Result<(), RdbError> {
        let bad = || RdbError::BadField { name: name.clone() };
        match &name[..] {
            b"repl-stream-db" => self.label.stream_db = Some(parse_integer(value).ok_or_else(bad)?),
            b"repl-offset" => self.label.offset = Some(parse_integer(value).ok_or_else(bad)?),
            b"repl-id" => self.label.id = Some(value[..].try_into().map_err(|_| bad())?),
            _ => {}
        }
        Ok(())
    }
}
