//! How much may wait for a connection that does not read.

use super::*;

/// Bytes that may wait.
const LIMIT: u64 = 10;

/// A connection whose other end takes one byte and then nothing more.
fn stuck() -> (Connection, tokio::io::DuplexStream) {
    let (ours, theirs) = tokio::io::duplex(1);
    let (reading, writing) = tokio::io::split(ours);
    let (events, _) = mpsc::channel(1);
    let connection = Connection::start(ClientId(1), reading, writing, events);
    (connection, theirs)
}

fn put(connection: &mut Connection, bytes: u64) -> bool {
    let bytes = Bytes::from(vec![b'x'; bytes as usize]);
    connection.put(Output::Bytes(bytes), LIMIT)
}

#[tokio::test]
async fn as_much_as_the_limit_may_wait_and_no_byte_more() {
    let (mut connection, _theirs) = stuck();
    assert!(put(&mut connection, LIMIT), "nothing waited");
    assert!(put(&mut connection, 1), "as much as the limit waited");
    assert!(!put(&mut connection, 1), "one byte more waited");
}

#[tokio::test]
async fn who_is_given_no_more_than_it_takes_needs_no_limit() {
    let (mut connection, _theirs) = stuck();
    connection.put(Output::Report, LIMIT);
    assert!((0..3).all(|_| put(&mut connection, LIMIT)));
}
