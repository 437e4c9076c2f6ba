//! The writer: a snapshot in portions, so that neither a large data set nor a large collection ever sits in one buffer.
//!
//! Collections are written in their plain forms, strings written plain, neither compressed nor as numbers, and sizes of databases are left out: both are allowed in
//! every version, and the bytes then depend on nothing but the data. Expired keys are written like any other, because
//! their deletion comes in the stream (PROTOCOL §6 X3, FLAWS B-22).

use bytes::{BufMut, Bytes, BytesMut};
use crc::{Digest, Table};

use super::ReplicationFields;
use super::format::{AUX, CHECKSUM, EOF, EXPIRE_TIME_MS, SELECT_DB};
use super::length::{put, put_string};
use super::values;
use crate::keyspace::{Blob, DATABASES, Entry, Snapshot};

/// What goes into the field `redis-ver`: the version of Redis whose behaviour we stand for.
const REDIS_VERSION: &str = "7.0.15";

/// Bytes after which a collection is continued in the next portion, however small portions are meant to be: whoever
/// asks for one key at a time shall get a usual one whole.
const COLLECTION_PORTION_BYTES: usize = 64 * 1024;

/// Room made for a portion at once, however large it may become: growing step by step, each would be copied on the way.
const PORTION_ROOM_BYTES: usize = 512 * 1024;

/// What comes next.
#[derive(Clone, Copy)]
enum Stage {
    Header,
    Database(usize),
    /// The key at an index.
    Key(usize, usize),
    /// The items of the value of that key, from an index on.
    Items(usize, usize, usize),
    End,
    Done,
}

/// Writes a snapshot, portion by portion.
pub struct RdbWriter {
    snapshot: Snapshot,
    fields: Option<ReplicationFields>,
    stage: Stage,
    checksum: Digest<'static, u64, Table<16>>,
    out: BytesMut,
}

impl RdbWriter {
    /// A writer at the beginning. Without fields the snapshot has no label and claims version 6, with them version 7.
    pub fn new(snapshot: Snapshot, fields: Option<ReplicationFields>) -> Self {
        Self {
            snapshot,
            fields,
            stage: Stage::Header,
            checksum: CHECKSUM.digest(),
            out: BytesMut::new(),
        }
    }

    /// The next bytes, or `None` at the end. A portion ends with the first whole item that makes it reach `max_bytes`,
    /// so 1 gives one key at a time, and no portion exceeds `max_bytes` by more than one key and 64 KiB of its value, or
    /// one element if that is longer.
    pub fn next_chunk(&mut self, max_bytes: usize) -> Option<Bytes> {
        self.forget_written();
        let room = max_bytes.min(PORTION_ROOM_BYTES);
        // The last item makes it longer than it is meant to be.
        self.out.reserve(room + room / 4);
        while self.out.len() < max_bytes.max(1) && !matches!(self.stage, Stage::Done) {
            let start = self.out.len();
            self.stage = self.step(self.stage, max_bytes);
            if !matches!(self.stage, Stage::Done) {
                self.checksum.update(&self.out[start..]);
            }
        }
        (!self.out.is_empty()).then(|| self.out.split().freeze())
    }

    /// What is written need not be kept as it was: most of the memory that a snapshot takes beside writes.
    fn forget_written(&mut self) {
        if let Stage::Key(number, index) | Stage::Items(number, index, _) = &mut self.stage {
            *index -= self.snapshot.forget_before(*number, *index);
        }
    }

    fn step(&mut self, stage: Stage, max_bytes: usize) -> Stage {
        match stage {
            Stage::Header => {
                self.put_header();
                Stage::Database(0)
            }
            Stage::Database(DATABASES) => Stage::End,
            Stage::Database(number) if self.snapshot.len(number) == 0 => {
                Stage::Database(number + 1)
            }
            Stage::Database(number) => {
                self.out.put_u8(SELECT_DB);
                put(&mut self.out, number);
                Stage::Key(number, 0)
            }
            Stage::Key(number, index) => match self.snapshot.at(number, index) {
                Some((key, entry)) => {
                    put_key(&mut self.out, key, entry);
                    self.items(number, index, 0, max_bytes)
                }
                None => Stage::Database(number + 1),
            },
            Stage::Items(number, index, from) => self.items(number, index, from, max_bytes),
            Stage::End => {
                self.put_end();
                Stage::Done
            }
            Stage::Done => Stage::Done,
        }
    }

    fn items(&mut self, number: usize, index: usize, from: usize, max_bytes: usize) -> Stage {
        let enough = max_bytes.max(COLLECTION_PORTION_BYTES);
        let entry = self.snapshot.at(number, index).map(|(_, entry)| entry);
        let rest =
            entry.and_then(|entry| values::put_items(&mut self.out, &entry.value, from, enough));
        match rest {
            Some(from) => Stage::Items(number, index, from),
            None => Stage::Key(number, index + 1),
        }
    }

    fn put_header(&mut self) {
        let Some(fields) = self.fields else {
            self.out.put_slice(b"REDIS0006");
            return;
        };
        self.out.put_slice(b"REDIS0007");
        self.put_field("redis-ver", REDIS_VERSION.as_bytes());
        self.put_field("repl-stream-db", fields.stream_db.to_string().as_bytes());
        self.put_field("repl-id", &fields.id);
        self.put_field("repl-offset", fields.offset.to_string().as_bytes());
    }

    fn put_field(&mut self, name: &str, value: &[u8]) {
        self.out.put_u8(AUX);
        put_string(&mut self.out, name.as_bytes());
        put_string(&mut self.out, value);
    }

    fn put_end(&mut self) {
        self.out.put_u8(EOF);
        self.checksum.update(&[EOF]);
        let checksum = std::mem::replace(&mut self.checksum, CHECKSUM.digest()).finalize();
        self.out.put_u64_le(checksum);
    }
}

fn put_key(out: &mut BytesMut, key: &Blob, entry: &Entry) {
    if let Some(deadline) = entry.expires_at_ms() {
        out.put_u8(EXPIRE_TIME_MS);
        out.put_u64_le(deadline);
    }
    out.put_u8(values::code(&entry.value));
    put_string(out, key);
    values::put_header(out, &entry.value);
}

/// The whole snapshot in one buffer; for tests and small data.
pub fn write_all(snapshot: Snapshot, fields: Option<ReplicationFields>) -> Bytes {
    RdbWriter::new(snapshot, fields)
        .next_chunk(usize::MAX)
        .unwrap_or_default()
}
