//! The two tasks of one connection: one reads, one writes.
//!
//! The writer takes shared bytes and writes many of them with one call to the system; it copies nothing.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinHandle};

use crate::event::{ClientId, Event};

/// Bytes asked of the system at once.
const READ_BYTES: usize = 64 * 1024;

/// Pieces gathered for one write.
const WRITE_PIECES: usize = 256;

/// How long a closed connection may take to read what it was promised.
const LINGER: Duration = Duration::from_secs(1);

/// What the writer is given.
pub(crate) enum Output {
    Bytes(Bytes),
    File { file: std::fs::File, length: u64 },
    Report,
}

/// A connection as the shell sees it; dropping it closes the socket at once.
pub(crate) struct Connection {
    queue: mpsc::UnboundedSender<Output>,
    waiting_bytes: Arc<AtomicU64>,
    /// The core gives it no more than it takes; there is no other limit.
    paced: bool,
    reader: AbortHandle,
    writer: Option<JoinHandle<()>>,
}

impl Connection {
    pub(crate) fn start(
        client: ClientId,
        reading: impl AsyncRead + Send + Unpin + 'static,
        writing: impl AsyncWrite + Send + Unpin + 'static,
        events: mpsc::Sender<Event>,
    ) -> Self {
        let (queue, outputs) = mpsc::unbounded_channel();
        let waiting_bytes = Arc::new(AtomicU64::new(0));
        let reader = tokio::spawn(read_all(client, reading, events.clone())).abort_handle();
        let writer = Writer {
            client,
            stream: writing,
            outputs,
            waiting_bytes: Arc::clone(&waiting_bytes),
            events,
            total: 0,
            reports: false,
        };
        Self {
            queue,
            waiting_bytes,
            paced: false,
            reader,
            writer: Some(tokio::spawn(writer.run())),
        }
    }

    /// Queues output; false when more than `limit` bytes are waiting already. A writer that has ended reports that
    /// itself.
    pub(crate) fn put(&mut self, output: Output, limit: u64) -> bool {
        match &output {
            Output::Report => self.paced = true,
            Output::File { .. } => {}
            Output::Bytes(bytes) => {
                let length = bytes.len() as u64;
                let waiting = self.waiting_bytes.fetch_add(length, Ordering::Relaxed);
                if waiting > limit && !self.paced {
                    return false;
                }
            }
        }
        // The writer is gone only after it sent the event that the connection is closed.
        let _ = self.queue.send(output);
        true
    }

    /// Reads nothing more, writes what is queued, then closes.
    pub(crate) fn finish(mut self) {
        if let Some(mut writer) = self.writer.take() {
            tokio::spawn(async move {
                if tokio::time::timeout(LINGER, &mut writer).await.is_err() {
                    writer.abort();
                }
            });
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.reader.abort();
        if let Some(writer) = &self.writer {
            writer.abort();
        }
    }
}

async fn read_all(
    client: ClientId,
    mut stream: impl AsyncRead + Unpin,
    events: mpsc::Sender<Event>,
) {
    let mut buffer = BytesMut::new();
    loop {
        buffer.reserve(READ_BYTES);
        let read = stream.read_buf(&mut buffer).await;
        if !matches!(read, Ok(1..)) {
            break;
        }
        let bytes = buffer.split().freeze();
        if events
            .send(Event::Received { client, bytes })
            .await
            .is_err()
        {
            return;
        }
    }
    // Nobody is left to be told when the shell has ended.
    let _ = events.send(Event::Closed { client }).await;
}

struct Writer<W> {
    client: ClientId,
    stream: W,
    outputs: mpsc::UnboundedReceiver<Output>,
    waiting_bytes: Arc<AtomicU64>,
    events: mpsc::Sender<Event>,
    total: u64,
    reports: bool,
}

impl<W: AsyncWrite + Unpin> Writer<W> {
    async fn run(mut self) {
        if self.write_all().await.is_err() {
            let _ = self
                .events
                .send(Event::Closed {
                    client: self.client,
                })
                .await;
        }
    }

    async fn write_all(&mut self) -> io::Result<()> {
        let mut pieces = Pieces::default();
        while let Some(output) = self.outputs.recv().await {
            let mut next = Some(output);
            while let Some(output) = next {
                match output {
                    Output::Bytes(bytes) => pieces.0.push_back(bytes),
                    Output::Report => self.reports = true,
                    Output::File { file, length } => {
                        self.write_pieces(&mut pieces).await?;
                        self.write_file(file, length).await?;
                    }
                }
                next = if pieces.0.len() < WRITE_PIECES {
                    self.outputs.try_recv().ok()
                } else {
                    None
                };
            }
            self.write_pieces(&mut pieces).await?;
            if self.reports {
                let event = Event::Written {
                    client: self.client,
                    total: self.total,
                };
                self.events.send(event).await.map_err(io::Error::other)?;
            }
        }
        self.stream.shutdown().await
    }

    async fn write_pieces(&mut self, pieces: &mut Pieces) -> io::Result<()> {
        let length = pieces.remaining() as u64;
        self.stream.write_all_buf(pieces).await?;
        self.total += length;
        self.waiting_bytes.fetch_sub(length, Ordering::Relaxed);
        Ok(())
    }

    async fn write_file(&mut self, file: std::fs::File, length: u64) -> io::Result<()> {
        let mut file = tokio::fs::File::from_std(file).take(length);
        let written = tokio::io::copy(&mut file, &mut self.stream).await?;
        self.total += written;
        if written == length {
            Ok(())
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }
}

/// Bytes to be written in order, offered to the system together.
#[derive(Default)]
struct Pieces(VecDeque<Bytes>);

impl Buf for Pieces {
    fn remaining(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
    }

    fn chunk(&self) -> &[u8] {
        self.0.front().map_or(&[], Bytes::as_ref)
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let pairs = slices.iter_mut().zip(&self.0);
        pairs
            .map(|(slice, piece)| *slice = IoSlice::new(piece))
            .count()
    }

    fn advance(&mut self, mut count: usize) {
        while let Some(front) = self.0.front_mut() {
            if count < front.len() {
                return front.advance(count);
            }
            count -= front.len();
            self.0.pop_front();
        }
        assert_eq!(count, 0, "a write never consumes more than it was offered");
    }
}

#[cfg(test)]
#[path = "connection_tests.rs"]
mod tests;
