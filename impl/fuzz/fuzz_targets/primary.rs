//! Whatever a primary sends, a replica keeps the data it has until a whole snapshot has taken their place.
#![no_main]

use psync_server::rulebook::Era;
use psync_server_fuzz::{Subject, pieces};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let Some((&first, input)) = input.split_first() else {
        return;
    };
    let mut subject = Subject::new(Era::ALL[usize::from(first) % Era::ALL.len()]);
    subject.witness("REPLICAOF 127.0.0.1 7001");
    subject.pass(1_000);
    for piece in pieces(input) {
        subject.receive_from_primary(piece);
    }
    subject.pass(2_000);
    if !subject.replaced {
        assert_eq!(subject.witness("EXISTS kept"), ":1\r\n");
    }
});
