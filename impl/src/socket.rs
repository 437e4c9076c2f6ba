//! The two halves of a connection's socket, whichever kind it is, read and written without waiting where possible.
//!
//! Reads go through one buffer for all connections of a thread, so that an idle connection costs none and a short request
//! is handed on in an allocation of its own length.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;

use std::time::Duration;

use bytes::{Buf, Bytes};
use rustix::net::sockopt;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::{TcpStream, UnixStream, tcp, unix};

/// Bytes asked of the system at once.
pub(crate) const READ_BYTES: usize = 64 * 1024;

/// How often a silent connection is asked before it is given up.
const KEEPALIVE_PROBES: u32 = 3;

/// The longest silence that Linux lets pass before it asks.
const MAX_KEEPALIVE_S: u64 = 32_767;

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

/// Lets the system ask after so many seconds of silence whether the other side is still there, and three times more
/// within as many seconds; without an answer it ends the connection. Zero leaves it as it is.
pub(crate) fn keep_alive(stream: &TcpStream, seconds: u64) -> io::Result<()> {
    if seconds == 0 {
        return Ok(());
    }
    let idle = seconds.min(MAX_KEEPALIVE_S);
    let pause = (idle / u64::from(KEEPALIVE_PROBES)).max(1);
    sockopt::set_tcp_keepidle(stream, Duration::from_secs(idle))?;
    sockopt::set_tcp_keepintvl(stream, Duration::from_secs(pause))?;
    sockopt::set_tcp_keepcnt(stream, KEEPALIVE_PROBES)?;
    sockopt::set_socket_keepalive(stream, true)?;
    Ok(())
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
        // Answers are mostly one piece, for which there is a shorter way into the system.
        let written = if bytes.chunk().len() == bytes.remaining() {
            match self {
                Self::Tcp(half) => half.try_write(bytes.chunk()),
                Self::Unix(half) => half.try_write(bytes.chunk()),
            }
        } else {
            self.write_pieces(bytes)
        };
        match written {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            written => written,
        }
    }

    fn write_pieces(&self, bytes: &impl Buf) -> io::Result<usize> {
        let mut slices = [IoSlice::new(&[]); WRITE_PIECES];
        let count = bytes.chunks_vectored(&mut slices);
        match self {
            Self::Tcp(half) => half.try_write_vectored(&slices[..count]),
            Self::Unix(half) => half.try_write_vectored(&slices[..count]),
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
