//! The two halves of a connection's socket, whichever kind it is, read and written without waiting where possible.
//!
//! Reads go through one buffer for all connections of a thread, so that an idle connection costs none and a short request
//! is handed on in an allocation of its own length.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::{TcpStream, UnixStream, tcp, unix};

/// Bytes asked of the system at once.
pub(crate) const READ_BYTES: usize = 64 * 1024;

/// Pieces offered to the system at once.
const WRITE_PIECES: usize = 256;

thread_local! {
    static READ_BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BYTES]);
}

/// The half that is read.
pub(crate) enum Reading {
    Tcp(tcp::OwnedReadHalf),
    Unix(unix::OwnedReadHalf),
}

/// The half that is written; when it goes, the other side learns that nothing more comes.
pub(crate) enum Writing {
    Tcp(tcp::OwnedWriteHalf),
    Unix(unix::OwnedWriteHalf),
}

/// Both halves of a socket.
pub(crate) fn split_tcp(stream: TcpStream) -> (Reading, Writing) {
    let (reading, writing) = stream.into_split();
    (Reading::Tcp(reading), Writing::Tcp(writing))
}

/// Both halves of a socket.
pub(crate) fn split_unix(stream: UnixStream) -> (Reading, Writing) {
    let (reading, writing) = stream.into_split();
    (Reading::Unix(reading), Writing::Unix(writing))
}

impl Reading {
    /// The next bytes, as soon as there are any; none at the end. A read that does not fill the buffer is known to be the
    /// last for now, which spares asking the system once more.
    pub(crate) async fn read(&mut self) -> io::Result<Bytes> {
        poll_fn(|context| {
            READ_BUFFER.with_borrow_mut(|buffer| {
                let mut read = ReadBuf::new(buffer);
                let polled = match self {
                    Self::Tcp(half) => Pin::new(half).poll_read(context, &mut read),
                    Self::Unix(half) => Pin::new(half).poll_read(context, &mut read),
                };
                polled.map_ok(|()| Bytes::copy_from_slice(read.filled()))
            })
        })
        .await
    }
}

impl Writing {
    /// Writes what the system takes at once; how many bytes that were.
    pub(crate) fn write_now(&self, bytes: &impl Buf) -> io::Result<usize> {
        let mut slices = [IoSlice::new(&[]); WRITE_PIECES];
        let count = bytes.chunks_vectored(&mut slices);
        let slices = &slices[..count];
        let written = match self {
            Self::Tcp(half) => half.try_write_vectored(slices),
            Self::Unix(half) => half.try_write_vectored(slices),
        };
        match written {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            written => written,
        }
    }

    /// Writes all of it, however long that takes.
    pub(crate) async fn write_all(&self, bytes: &mut impl Buf) -> io::Result<()> {
        while bytes.has_remaining() {
            let written = self.write_now(bytes)?;
            if written == 0 {
                match self {
                    Self::Tcp(half) => half.writable().await?,
                    Self::Unix(half) => half.writable().await?,
                }
            }
            bytes.advance(written);
        }
        Ok(())
    }
}
