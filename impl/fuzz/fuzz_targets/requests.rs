//! Whatever somebody sends, it is the same requests, or the same error, whole or in pieces.
#![no_main]

use bytes::BytesMut;
use psync_server::resp::{Limits, ProtocolError, Request, RequestDecoder};
use psync_server_fuzz::pieces;

type Decoded = (Vec<Request>, Option<ProtocolError>);

fn decoded<'a>(input: impl Iterator<Item = &'a [u8]>) -> Decoded {
    let mut decoder = RequestDecoder::new(Limits::default());
    let mut buffer = BytesMut::new();
    let mut requests = Vec::new();
    for piece in input {
        buffer.extend_from_slice(piece);
        loop {
            match decoder.decode(&mut buffer) {
                Ok(Some(request)) => requests.push(request),
                Ok(None) => break,
                Err(error) => return (requests, Some(error)),
            }
        }
    }
    (requests, None)
}

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let whole: Vec<u8> = pieces(input).flatten().copied().collect();
    let at_once = decoded(std::iter::once(&whole[..]));
    assert_eq!(decoded(pieces(input)), at_once);
    let bytes: usize = at_once.0.iter().map(|request| request.wire_bytes).sum();
    assert!(bytes <= whole.len(), "requests are made of what came");
});
