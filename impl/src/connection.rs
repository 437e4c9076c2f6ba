//! The two tasks of one connection: one reads, one writes what the system did not take at once.
//!
//! What the core decided for a connection is gathered, and offered to the system when all that it decided is known: many
//! pieces of shared bytes with one call, without a copy and without waking a task.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinHandle, spawn_blocking};

use crate::event::{ClientId, Event};
use crate::socket::{READ_BYTES, Reading, Writing};

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

/// What became of output that was offered to the system.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Flushed {
    /// It was written or queued.
    Done,
    /// The same, and who wants to know is to be told that so many bytes of the connection were written.
    Written(u64),
    /// More waits than is allowed.
    TooMuch,
}

/// A connection as the shell sees it; dropping it closes the socket at once.
pub(crate) struct Connection {
    socket: Arc<Writing>,
    /// Output of which neither the system nor the writer knows yet.
    gathered: Pieces,
    queue: mpsc::UnboundedSender<Output>,
    progress: Arc<Progress>,
    /// A replica: the core gives it no more than it takes, and wants to be told what was written; there is no other limit.
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
            gathered: Pieces::default(),
            queue,
            progress,
            paced: false,
            reader,
            writer: Some(tokio::spawn(writer.run())),
        }
    }

    /// Takes output, to be flushed later; whether it is the first since the last time.
    pub(crate) fn put(&mut self, output: Output) -> bool {
        match output {
            Output::Bytes(bytes) => {
                self.gathered.0.push_back(bytes);
                return self.gathered.0.len() == 1;
            }
            Output::Report => {
                self.paced = true;
                self.enqueue(Output::Report);
            }
            Output::File { file, length } => {
                self.enqueue_gathered();
                self.progress.waiting.fetch_add(length, Ordering::Relaxed);
                self.enqueue(Output::File { file, length });
            }
        }
        false
    }

    /// Bytes that were put and not flushed.
    pub(crate) fn gathered_bytes(&self) -> usize {
        self.gathered.remaining()
    }

    /// Writes what was gathered, and queues what the system does not take. A writer that has ended reports that itself.
    pub(crate) fn flush(&mut self, limit: u64) -> Flushed {
        let mut written = 0;
        if self.progress.waiting.load(Ordering::Relaxed) == 0 && self.gathered.has_remaining() {
            // What fails here fails again in the writer, which reports it.
            written = self.socket.write_now(&self.gathered).unwrap_or(0);
            self.gathered.advance(written);
        }
        let total = &self.progress.written;
        let total = total.fetch_add(written as u64, Ordering::Relaxed) + written as u64;
        let waiting = self.enqueue_gathered();
        match (self.paced, written) {
            (false, _) if waiting > limit => Flushed::TooMuch,
            (true, 1..) => Flushed::Written(total),
            _ => Flushed::Done,
        }
    }

    /// Leaves to the writer what was gathered; how many bytes wait for it beside the newest piece.
    fn enqueue_gathered(&mut self) -> u64 {
        let mut waiting = 0;
        while let Some(bytes) = self.gathered.0.pop_front() {
            let length = bytes.len() as u64;
            waiting = self.progress.waiting.fetch_add(length, Ordering::Relaxed);
            self.enqueue(Output::Bytes(bytes));
        }
        waiting
    }

    fn enqueue(&self, output: Output) {
        // The writer is gone only after it sent the event that the connection is closed.
        let _ = self.queue.send(output);
    }

    /// Reads nothing more, writes what was put, then closes.
    pub(crate) fn finish(mut self) {
        self.flush(u64::MAX);
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

async fn read_all(client: ClientId, mut socket: Reading, events: mpsc::Sender<Event>) {
    while let Ok(bytes) = socket.read().await {
        if bytes.is_empty() {
            break;
        }
        let more = bytes.len() == READ_BYTES;
        if events
            .send(Event::Received { client, bytes })
            .await
            .is_err()
        {
            return;
        }
        if more {
            // Others are read in between.
            tokio::task::yield_now().await;
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
            self.progress.waiting.fetch_sub(part, Ordering::Relaxed);
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
