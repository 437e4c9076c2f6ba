//! Any bytes at all: the readers answer with items or with a typed error, and never panic.
use proptest::prelude::*;

use psync_conformance::rdb;
use psync_conformance::reply::parse_reply;
use psync_conformance::wire::{Phase, Reader};

/// Bytes that look like the wire often enough to get past the first check.
fn wire_like() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        Just(b"\r\n".to_vec()),
        Just(b"*2\r\n".to_vec()),
        Just(b"$3\r\nabc\r\n".to_vec()),
        Just(b"$-1\r\n".to_vec()),
        Just(b"+CONTINUE\r\n".to_vec()),
        Just(b"$EOF:0123456789012345678901234567890123456789\r\n".to_vec()),
        proptest::collection::vec(any::<u8>(), 0..6),
    ];
    proptest::collection::vec(word, 0..12).prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn readers_never_panic_and_account_for_every_byte(bytes in wire_like(), step in 1_usize..20) {
        let _ = parse_reply(&bytes);
        for phase in [Phase::Answers, Phase::Stream, Phase::Requests] {
            let (mut reader, mut taken, mut failed) = (Reader::new(phase), 0, false);
            for piece in bytes.chunks(step) {
                reader.feed(piece);
                while !failed {
                    match reader.next_item() {
                        Ok(Some(item)) => taken += item.bytes,
                        Ok(None) => break,
                        Err(_) => failed = true,
                    }
                }
            }
            let left = reader.partial().map_or(0, |partial| partial.bytes);
            prop_assert_eq!(taken + left, bytes.len() as u64);
        }
    }

    #[test]
    fn snapshot_reader_never_panics(body in proptest::collection::vec(any::<u8>(), 0..80)) {
        let _ = rdb::read(&[b"REDIS0009".as_slice(), &body].concat());
        let _ = rdb::read(&body);
    }
}
