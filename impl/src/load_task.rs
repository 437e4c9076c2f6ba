//! The task that reads a snapshot while it arrives.
//!
//! It runs on a thread of its own, and a file is written on one more, so that receiving, reading and writing take no
//! longer together than the slowest of them.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::event::{Event, LinkId};
use crate::rdb::{self, Loaded, RdbError};
use crate::snapshot_task::write_pieces;

/// A snapshot that is read while it arrives; dropping it before its end gives it up.
pub(crate) struct LoadTask {
    /// What comes next; nothing stands for the end.
    pieces: Sender<Option<Bytes>>,
}

impl LoadTask {
    /// A payload that cannot be read whole never becomes our file.
    pub(crate) fn start(link: LinkId, path: Option<PathBuf>, events: mpsc::Sender<Event>) -> Self {
        let (pieces, receiver) = channel();
        tokio::task::spawn_blocking(move || {
            let mut arriving = Arriving {
                pieces: receiver,
                end: None,
            };
            let result = read_and_keep(&mut arriving, path.as_deref());
            if arriving.end != Some(End::GivenUp) {
                let result = result.map(Box::new).map_err(|error| error.to_string());
                // Nobody is left to be told when the shell has ended.
                let _ = events.blocking_send(Event::SnapshotLoaded { link, result });
            }
        });
        Self { pieces }
    }

    pub(crate) fn push(&self, piece: Bytes) {
        // A task that has found a mistake reads no more.
        let _ = self.pieces.send(Some(piece));
    }

    pub(crate) fn end(self) {
        let _ = self.pieces.send(None);
    }
}

/// How a payload ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// All of it has come.
    Whole,
    /// The rest will not come.
    GivenUp,
}

/// The pieces of a payload, each of which is waited for.
struct Arriving {
    pieces: Receiver<Option<Bytes>>,
    end: Option<End>,
}

impl Iterator for Arriving {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        if self.end.is_some() {
            return None;
        }
        let next = self.pieces.recv();
        self.end = match next {
            Ok(Some(_)) => None,
            Ok(None) => Some(End::Whole),
            Err(_) => Some(End::GivenUp),
        };
        next.ok().flatten()
    }
}

/// Reads a snapshot and meanwhile writes its file, which gets its name only when all of it has come and could be read.
fn read_and_keep(arriving: &mut Arriving, path: Option<&Path>) -> Result<Loaded, RdbError> {
    let Some(path) = path else {
        return rdb::read_pieces(arriving);
    };
    thread::scope(|scope| {
        let (copies, to_write) = channel();
        let written = scope.spawn(move || write_pieces(to_write, path));
        let copying = arriving.by_ref().inspect(move |piece: &Bytes| {
            // A thread that could not write tells that at its end.
            let _ = copies.send(piece.clone());
        });
        let loaded = rdb::read_pieces(copying)?;
        let written = written
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("a thread ended")));
        if arriving.end == Some(End::Whole)
            && let Err(error) = written.and_then(|temporary| temporary.rename_to(path))
        {
            tracing::warn!("The received snapshot could not be kept as a file: {error}");
        }
        Ok(loaded)
    })
}
