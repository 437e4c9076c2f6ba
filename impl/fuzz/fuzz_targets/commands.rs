//! Whatever a user sends, the server goes on answering others.
#![no_main]

use psync_server::rulebook::Era;
use psync_server_fuzz::{Subject, pieces};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let Some((&first, input)) = input.split_first() else {
        return;
    };
    let mut subject = Subject::new(Era::ALL[usize::from(first) % Era::ALL.len()]);
    for piece in pieces(input) {
        subject.receive(piece);
        if subject.ended {
            return;
        }
    }
    subject.pass(1_000);
    let answer = subject.witness("TIME");
    // A pause that the stranger asked for, or a password that it set, concerns everybody.
    assert!(
        answer.is_empty() || answer.starts_with(['*', '-']),
        "{answer:?}"
    );
});
