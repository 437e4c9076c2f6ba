//! The two tasks of one connection: one reads, one writes what the system did not take at once.
//!
//! What is to be written is shared bytes, of which many go with one call to the system; nothing is copied.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinHandle, spawn_blocking};

use crate::event::{ClientId, Event};
use crate::socket::{Reading, Writing};

/// Outputs gathered for one write.
const GATHERED: usize = 256;

/// Bytes of a file that are read at once.
const FILE_BYTES: u64 = 256 * 1024;

/// How long a closed connection may take to read what it was promised.
const LINGER: Duration = Duration::from_secs(1);

/// What the writer is given.
pub(crate) enum Output {
    Bytes(Bytes),
    File { file: std::fs::File, length: u64 },
    Report,
}

/// How far the output of a connection has come, in bytes.
#[derive(Default)]
struct Progress {
    waiting: AtomicU64,
    written: AtomicU64,
}

/// A connection as the shell sees it; dropping it closes the socket at once.
pub(crate) struct Connection {
    socket: Arc<Writing>,
    queue: mpsc::UnboundedSender<Output>,
    progress: Arc<Progress>,
    /// A replica: the core gives it no more than it takes, and wants to be told what was written; all of it is queued, and
    /// there is no other limit.
    paced: bool,
    reader: AbortHandle,
    writer: Option<JoinHandle<()>>,
}

impl Connection {
    pub(crate) fn start(
        client: ClientId,
        (reading, writing): (Reading, Writing),
        events: mpsc::Sender<Event>,
    ) -> Self {
        let (queue, outputs) = mpsc::unbounded_channel();
        let (socket, progress) = (Arc::new(writing), Arc::new(Progress::default()));
        let reader = tokio::spawn(read_all(client, reading, events.clone())).abort_handle();
        let writer = Writer {
            client,
            socket: Arc::clone(&socket),
            outputs,
            progress: Arc::clone(&progress),
            events,
            reports: false,
        };
        Self {
            socket,
            queue,
            progress,
            paced: false,
            reader,
            writer: Some(tokio::spawn(writer.run())),
        }
    }

    /// Writes output, or queues what cannot be written at once; false when more than `limit` bytes are waiting already. A
    /// writer that has ended reports that itself.
    pub(crate) fn put(&mut self, mut output: Output, limit: u64) -> bool {
        match &mut output {
            Output::Report | Output::File { .. } => self.paced = true,
            Output::Bytes(bytes) if self.paced => {
                let length = bytes.len() as u64;
                self.progress.waiting.fetch_add(length, Ordering::Relaxed);
            }
            Output::Bytes(bytes) => {
                if self.progress.waiting.load(Ordering::Relaxed) == 0 {
                    // What fails here fails again in the writer, which reports it.
                    let written = self.socket.write_now(bytes).unwrap_or(0);
                    let total = &self.progress.written;
                    total.fetch_add(written as u64, Ordering::Relaxed);
                    bytes.advance(written);
                    if bytes.is_empty() {
                        return true;
                    }
                }
                let length = bytes.len() as u64;
                let waiting = self.progress.waiting.fetch_add(length, Ordering::Relaxed);
                if waiting > limit {
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

async fn read_all(client: ClientId, socket: Reading, events: mpsc::Sender<Event>) {
    while let Ok(bytes) = socket.read().await {
        if bytes.is_empty() {
            break;
        }
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

struct Writer {
    client: ClientId,
    socket: Arc<Writing>,
    outputs: mpsc::UnboundedReceiver<Output>,
    progress: Arc<Progress>,
    events: mpsc::Sender<Event>,
    reports: bool,
}

impl Writer {
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
                next = if pieces.0.len() < GATHERED {
                    self.outputs.try_recv().ok()
                } else {
                    None
                };
            }
            self.write_pieces(&mut pieces).await?;
            if self.reports {
                let event = Event::Written {
                    client: self.client,
                    total: self.progress.written.load(Ordering::Relaxed),
                };
                self.events.send(event).await.map_err(io::Error::other)?;
            }
        }
        Ok(())
    }

    async fn write_pieces(&mut self, pieces: &mut Pieces) -> io::Result<()> {
        let length = pieces.remaining() as u64;
        self.socket.write_all(pieces).await?;
        self.progress.written.fetch_add(length, Ordering::Relaxed);
        self.progress.waiting.fetch_sub(length, Ordering::Relaxed);
        Ok(())
    }

    async fn write_file(&mut self, mut file: std::fs::File, length: u64) -> io::Result<()> {
        let mut missing = length;
        while missing > 0 {
            let part = missing.min(FILE_BYTES);
            let read = spawn_blocking(move || {
                let mut bytes = vec![0; part as usize];
                file.read_exact(&mut bytes).map(|()| (file, bytes))
            });
            let (returned, bytes) = read.await.map_err(io::Error::other)??;
            file = returned;
            self.socket.write_all(&mut Bytes::from(bytes)).await?;
            self.progress.written.fetch_add(part, Ordering::Relaxed);
            missing -= part;
        }
        Ok(())
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
