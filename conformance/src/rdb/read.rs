//! Reads a snapshot as real servers write it: packed integers and LZF strings included. It never allocates more than
//! the bytes that are left can stand for.
use super::{
    CHECKSUM, DataSet, Label, NEWEST_VERSION, OLDEST_VERSION, RdbError, Snapshot, kind, lzf,
};
use crate::wire::{Excerpt, lossy};

/// Magic, version: nine bytes.
const HEADER_BYTES: usize = 9;

/// Reads a whole snapshot; nothing may follow it.
pub fn read(bytes: &[u8]) -> Result<Snapshot, RdbError> {
    let mut input = Input {
        bytes,
        at: HEADER_BYTES,
    };
    let version = version(bytes)?;
    let mut snapshot = Snapshot {
        version,
        data: DataSet::new(),
        label: None,
        fields: Vec::new(),
        has_checksum: false,
    };
    let mut database = 0;
    loop {
        let at = input.at;
        match input.byte("the kind of a record")? {
            kind::END => break,
            kind::DATABASE => database = input.database()?,
            kind::FIELD => {
                let (name, value) = (
                    input.string("the name of a field")?,
                    input.string("a field")?,
                );
                snapshot.fields.push((lossy(&name), lossy(&value)));
            }
            kind::STRING => {
                let (key, value) = (input.string("a key")?, input.string("a value")?);
                snapshot.data.insert(database, key, value);
            }
            other => input.skip(other, at)?,
        }
    }
    snapshot.has_checksum = check_end(&mut input)?;
    snapshot.label = label(&snapshot.fields);
    Ok(snapshot)
}

/// The label of a snapshot of which only the beginning is here: the fields stand in front of all else.
pub fn label_at_beginning(bytes: &[u8]) -> Option<Label> {
    let is_snapshot = bytes.starts_with(b"REDIS") || bytes.starts_with(b"VALKEY");
    let (mut input, mut fields) = (
        Input {
            bytes,
            at: HEADER_BYTES,
        },
        Vec::new(),
    );
    while is_snapshot && matches!(input.byte("the kind of a record"), Ok(kind::FIELD)) {
        let (Ok(name), Ok(value)) = (input.string("its name"), input.string("a field")) else {
            break;
        };
        fields.push((lossy(&name), lossy(&value)));
    }
    label(&fields)
}

fn version(bytes: &[u8]) -> Result<u32, RdbError> {
    let not_a_snapshot = || RdbError::NotASnapshot {
        came: Excerpt::of(bytes),
    };
    let header = bytes.get(..HEADER_BYTES).ok_or_else(not_a_snapshot)?;
    let digits = header
        .strip_prefix(b"REDIS")
        .filter(|digits| digits.iter().all(u8::is_ascii_digit))
        .ok_or_else(not_a_snapshot)?;
    let version = digits
        .iter()
        .fold(0, |number, digit| number * 10 + u32::from(digit - b'0'));
    if (OLDEST_VERSION..=NEWEST_VERSION).contains(&version) {
        Ok(version)
    } else {
        Err(RdbError::Version { version })
    }
}

/// Compares the checksum; zero means that the writer was told to compute none.
fn check_end(input: &mut Input) -> Result<bool, RdbError> {
    let computed = CHECKSUM.checksum(&input.bytes[..input.at]);
    let written = u64::from_le_bytes(input.array("the checksum")?);
    if written != 0 && written != computed {
        return Err(RdbError::Checksum { written, computed });
    }
    match input.bytes.len() - input.at {
        0 => Ok(written != 0),
        count => Err(RdbError::Trailing { count }),
    }
}

fn label(fields: &[(String, String)]) -> Option<Label> {
    let field = |name: &str| {
        fields
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    };
    Some(Label {
        id: field("repl-id")?.to_owned(),
        offset: field("repl-offset")?.parse().ok()?,
        stream_db: field("repl-stream-db")?.parse().ok()?,
    })
}

/// What the first byte of a length says.
enum Length {
    /// A plain length.
    Plain(u64),
    /// A packed string of this encoding follows.
    Packed(u8),
}

struct Input<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Input<'a> {
    fn take(&mut self, count: u64, what: &'static str) -> Result<&'a [u8], RdbError> {
        let left = &self.bytes[self.at.min(self.bytes.len())..];
        if count > left.len() as u64 {
            return Err(RdbError::Truncated {
                at: self.at,
                what,
                needed: count - left.len() as u64,
            });
        }
        self.at += count as usize;
        Ok(&left[..count as usize])
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], RdbError> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N as u64, what)?);
        Ok(out)
    }

    fn byte(&mut self, what: &'static str) -> Result<u8, RdbError> {
        Ok(self.array::<1>(what)?[0])
    }

    fn length_or_packing(&mut self, what: &'static str) -> Result<Length, RdbError> {
        let at = self.at;
        let first = self.byte(what)?;
        Ok(match (first >> 6, first) {
            (0, _) => Length::Plain(u64::from(first & 0x3f)),
            (1, _) => Length::Plain(u64::from(first & 0x3f) << 8 | u64::from(self.byte(what)?)),
            (2, 0x80) => Length::Plain(u64::from(u32::from_be_bytes(self.array(what)?))),
            (2, 0x81) => Length::Plain(u64::from_be_bytes(self.array(what)?)),
            (3, _) => Length::Packed(first & 0x3f),
            (_, encoding) => return Err(RdbError::Encoding { what, encoding, at }),
        })
    }

    fn length(&mut self, what: &'static str) -> Result<u64, RdbError> {
        let at = self.at;
        match self.length_or_packing(what)? {
            Length::Plain(length) => Ok(length),
            Length::Packed(_) => Err(RdbError::Encoding {
                what,
                encoding: self.bytes[at],
                at,
            }),
        }
    }

    fn database(&mut self) -> Result<u32, RdbError> {
        let what = "the number of a database";
        let at = self.at;
        let number = self.length(what)?;
        u32::try_from(number).map_err(|_| RdbError::Encoding {
            what,
            encoding: self.bytes[at],
            at,
        })
    }

    fn string(&mut self, what: &'static str) -> Result<Vec<u8>, RdbError> {
        let at = self.at;
        match self.length_or_packing(what)? {
            Length::Plain(length) => Ok(self.take(length, what)?.to_vec()),
            Length::Packed(0) => Ok(i8::from_le_bytes(self.array(what)?)
                .to_string()
                .into_bytes()),
            Length::Packed(1) => Ok(i16::from_le_bytes(self.array(what)?)
                .to_string()
                .into_bytes()),
            Length::Packed(2) => Ok(i32::from_le_bytes(self.array(what)?)
                .to_string()
                .into_bytes()),
            Length::Packed(3) => self.compressed(what),
            Length::Packed(encoding) => Err(RdbError::Encoding { what, encoding, at }),
        }
    }

    fn compressed(&mut self, what: &'static str) -> Result<Vec<u8>, RdbError> {
        let (packed, claimed) = (self.length(what)?, self.length(what)?);
        let at = self.at;
        lzf::unpack(self.take(packed, what)?, claimed).ok_or(RdbError::Compression { at, claimed })
    }

    /// Passes over a record that says nothing about strings, or refuses one that holds data.
    fn skip(&mut self, kind: u8, at: usize) -> Result<(), RdbError> {
        match kind {
            kind::SIZES => self.lengths(2),
            kind::SLOT_INFO => self.lengths(3),
            kind::IDLE_TIME => self.lengths(1),
            kind::FREQUENCY => self.byte("a frequency of use").map(drop),
            kind::EXPIRY_MS => self.take(8, "an expiry in milliseconds").map(drop),
            kind::EXPIRY_SECONDS => self.take(4, "an expiry in seconds").map(drop),
            other => Err(RdbError::Unsupported {
                kind: other,
                name: name_of(other),
                at,
            }),
        }
    }

    fn lengths(&mut self, count: usize) -> Result<(), RdbError> {
        (0..count).try_for_each(|_| self.length("a size").map(drop))
    }
}

fn name_of(kind: u8) -> &'static str {
    match kind {
        1 | 10 | 14 | 18 => "a list",
        2 | 11 | 20 => "a set",
        3 | 5 | 12 | 17 => "a sorted set",
        4 | 9 | 13 | 16 | 22..=25 => "a hash",
        6 | 7 => "a value of a module",
        15 | 19 | 21 => "a stream",
        kind::FUNCTION | kind::OLD_FUNCTION => "a library of functions",
        kind::MODULE_FIELD => "data of a module",
        _ => "a record unknown to it",
    }
}
