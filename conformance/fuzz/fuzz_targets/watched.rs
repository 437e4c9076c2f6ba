//! Whatever passes between a replica and a primary, the watcher goes on watching.
//!
//! An input is pieces: a byte that says from whom and after how long, one for the length, and the bytes.
#![no_main]

use psync_conformance::watch::{From, Judge};

/// What the watcher may remember.
const MEMORY_BYTES: usize = 1 << 20;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let mut judge = Judge::new(MEMORY_BYTES);
    let (mut at_ms, mut link, mut rest) = (0, 1, input);
    judge.opened(at_ms, link, "127.0.0.1:1");
    while let [how, length, after @ ..] = rest {
        at_ms += u64::from(how >> 2);
        let from = if how & 1 == 0 {
            From::Replica
        } else {
            From::Primary
        };
        let piece = &after[..after.len().min(usize::from(*length))];
        rest = &after[piece.len()..];
        judge.passed(at_ms, link, from, piece);
        if how & 2 == 2 {
            judge.closed(at_ms, link);
            link += 1;
            judge.opened(at_ms, link, "127.0.0.1:1");
        }
    }
});
