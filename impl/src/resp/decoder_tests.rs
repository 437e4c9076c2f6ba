//! The decoder against small tables, and against itself fed in other portions.

use proptest::prelude::*;

use super::*;

fn small() -> Limits {
    Limits {
        inline_bytes: 32,
        multibulk_count: 8,
        bulk_bytes: 64,
        before_password: false,
    }
}

/// All requests in the bytes, fed `step` bytes at a time, and the error that ended it.
fn decode_all(bytes: &[u8], step: usize) -> (Vec<Request>, Option<ProtocolError>, usize) {
    let mut decoder = RequestDecoder::new(small());
    let (mut buffer, mut requests) = (BytesMut::new(), Vec::new());
    for portion in bytes.chunks(step) {
        buffer.extend_from_slice(portion);
        loop {
            match decoder.decode(&mut buffer) {
                Ok(Some(request)) => requests.push(request),
                Ok(None) => break,
                Err(error) => return (requests, Some(error), 0),
            }
        }
    }
    (requests, None, decoder.partial_bytes() + buffer.len())
}

#[test]
fn requests_report_their_own_bytes() {
    let (requests, error, rest) = decode_all(
        b"\r\n\nPING a\r\n*2\r\n$3\r\nGET\r\n$0\r\n\r\n*0\r\n*-1\r\n*1\r\n$4\r\nPI",
        99,
    );
    let summary: Vec<_> = requests
        .iter()
        .map(|one| (one.args.len(), one.wire_bytes, one.inline))
        .collect();
    assert_eq!(
        summary,
        [
            (0, 2, true),
            (0, 1, true),
            (2, 8, true),
            (2, 19, false),
            (0, 4, false),
            (0, 5, false)
        ]
    );
    assert_eq!((error, rest), (None, 10));
}

#[test]
fn violations_are_named_as_redis_names_them() {
    let table: [(&[u8], ProtocolError); 11] = [
        (b"*1\r\n:1\r\n", ProtocolError::ExpectedBulk { got: b':' }),
        (b"*9\r\n", ProtocolError::MultibulkLength),
        (b"*x\r\n", ProtocolError::MultibulkLength),
        (b"*4611686018427387904\r\n", ProtocolError::MultibulkLength),
        (b"*1\r\n$-1\r\n", ProtocolError::BulkLength),
        (b"*1\r\n$65\r\n", ProtocolError::BulkLength),
        (b"*1\r\n$4611686018427387904\r\n", ProtocolError::BulkLength),
        (
            b"*11111111111111111111111111111111111",
            ProtocolError::MultibulkLineTooBig,
        ),
        (
            b"*1\r\n$11111111111111111111111111111111111",
            ProtocolError::BulkLineTooBig,
        ),
        (
            b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            ProtocolError::InlineTooBig,
        ),
        (b"SET 'a\r\n", ProtocolError::UnbalancedQuotes),
    ];
    for (bytes, expected) in table {
        assert_eq!(decode_all(bytes, 1).1, Some(expected.clone()));
        assert_eq!(decode_all(bytes, 99).1, Some(expected));
    }
    assert_eq!(
        ProtocolError::ExpectedBulk { got: b':' }.to_string(),
        "Protocol error: expected '$', got ':'"
    );
}

fn piece() -> impl Strategy<Value = Vec<u8>> {
    let args = prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..5);
    let array = args.prop_map(|args| super::super::encode_command(&args).to_vec());
    let noise = prop::collection::vec(
        prop::sample::select(b"*$:-0123\r\n\"'\\xA ".to_vec()),
        0..12,
    );
    prop_oneof![4 => array, 1 => noise, 1 => Just(b"PING\r\n".to_vec()), 1 => Just(b"\n".to_vec())]
}

proptest! {
    #[test]
    fn portions_do_not_matter(pieces in prop::collection::vec(piece(), 0..8), step in 1_usize..7) {
        let bytes = pieces.concat();
        let whole = decode_all(&bytes, bytes.len().max(1));
        prop_assert_eq!(decode_all(&bytes, 1), whole.clone());
        prop_assert_eq!(decode_all(&bytes, step), whole);
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), step in 1_usize..50) {
        decode_all(&bytes, step);
    }

    #[test]
    fn every_byte_is_accounted_for(pieces in prop::collection::vec(piece(), 0..8)) {
        let bytes = pieces.concat();
        if let (requests, None, rest) = decode_all(&bytes, 3) {
            let counted: usize = requests.iter().map(|request| request.wire_bytes).sum();
            prop_assert_eq!(counted + rest, bytes.len());
        }
    }
}
