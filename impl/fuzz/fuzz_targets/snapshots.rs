//! Whatever is called a snapshot, it is refused as a whole or read; what was read is written, and read again the same.
#![no_main]

use bytes::Bytes;
use psync_server::rdb::{read, write_all};

/// The bytes of a checksum, which stands at the end; zero means that there is none.
const CHECKSUM: usize = 8;

fn survives(payload: &Bytes) {
    let Ok(loaded) = read(payload) else {
        return;
    };
    let written = write_all(loaded.keyspace.snapshot(), loaded.fields);
    let again = read(&written).expect("what we have written can be read");
    assert_eq!(
        (again.keyspace, again.fields),
        (loaded.keyspace, loaded.fields)
    );
}

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    survives(&Bytes::copy_from_slice(input));
    // Changed bytes rarely have the right checksum.
    if let Some(content) = input.len().checked_sub(CHECKSUM) {
        survives(&Bytes::from([&input[..content], &[0; CHECKSUM]].concat()));
    }
});
