//! How much may wait for a connection that does not read.

use tokio::net::UnixStream;

use super::*;
use crate::socket;

/// Bytes that may wait.
const LIMIT: u64 = 10;

/// A connection whose other end reads nothing, and from which the system takes no more.
async fn stuck() -> (Connection, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    ours.writable().await.unwrap();
    let (reading, writing) = socket::split_unix(ours);
    while writing.write_now(&Bytes::from_static(b"x")).unwrap() > 0 {}
    let (events, _) = mpsc::channel(1);
    let connection = Connection::start(ClientId(1), (reading, writing), events);
    (connection, theirs)
}

fn put(connection: &mut Connection, bytes: u64) -> bool {
    let bytes = Bytes::from(vec![b'x'; bytes as usize]);
    connection.put(Output::Bytes(bytes));
    connection.flush(LIMIT) == Flushed::Done
}

#[tokio::test]
async fn as_much_as_the_limit_may_wait_and_no_byte_more() {
    let (mut connection, _theirs) = stuck().await;
    assert!(put(&mut connection, LIMIT), "nothing waited");
    assert!(put(&mut connection, 1), "as much as the limit waited");
    assert!(!put(&mut connection, 1), "one byte more waited");
}

#[tokio::test]
async fn who_is_given_no_more_than_it_takes_needs_no_limit() {
    let (mut connection, _theirs) = stuck().await;
    connection.put(Output::Report);
    assert!((0..3).all(|_| put(&mut connection, LIMIT)));
}
