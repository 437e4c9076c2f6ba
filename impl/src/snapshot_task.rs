//! The task that writes a snapshot, to a file or towards the core, and the files that come of it.
//!
//! A file is written under a temporary name and renamed when it is whole, so that a reader never sees half of one.

use std::convert::Infallible;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use rustix::thread::disable_transparent_huge_pages;
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::{Instant, sleep};

use crate::event::{Event, Framing, JobId};
use crate::keyspace::Snapshot;
use crate::rdb::{RdbWriter, ReplicationFields};

/// Bytes written at once when nothing slows the snapshot down: each part for sockets goes through the core, which then asks
/// for the next.
const CHUNK_BYTES: usize = 256 * 1024;

/// Pauses shorter than this are added up, because no timer is that exact.
const SHORTEST_PAUSE: Duration = Duration::from_millis(2);

/// What to write, and where to.
pub(crate) struct Plan {
    pub(crate) job: JobId,
    pub(crate) snapshot: Snapshot,
    pub(crate) fields: Option<ReplicationFields>,
    pub(crate) framing: Framing,
    pub(crate) path: PathBuf,
}

/// A running snapshot; dropping it cancels it.
pub(crate) struct SnapshotTask {
    path: PathBuf,
    resume: Arc<Notify>,
    /// Never sends: the snapshot ends when this is dropped.
    _kept: oneshot::Sender<Infallible>,
}

impl SnapshotTask {
    pub(crate) fn start(
        plan: Plan,
        delay_us: watch::Receiver<u64>,
        events: mpsc::Sender<Event>,
    ) -> Self {
        let (path, resume) = (plan.path.clone(), Arc::new(Notify::new()));
        let pace = Pace {
            delay_us,
            owed: Duration::ZERO,
            resume: Arc::clone(&resume),
        };
        let (kept, dropped) = oneshot::channel();
        let runtime = Handle::current();
        // On a thread of its own, so that it takes no time from those who are served.
        let small_pages = SmallPages::from_now_on();
        tokio::task::spawn_blocking(move || {
            let _small_pages = small_pages;
            runtime.block_on(async {
                tokio::select! {
                    biased;
                    _ = dropped => {}
                    () = write_and_tell(plan, pace, events) => {}
                }
            });
        });
        Self {
            path,
            resume,
            _kept: kept,
        }
    }

    /// Lets a snapshot for sockets make its next part.
    pub(crate) fn resume(&self) {
        self.resume.notify_one();
    }

    /// The file it becomes, or became.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// As long as this lives, the process is given memory in small pages. A write beside a snapshot needs new memory, and
/// whoever touches a huge page first waits until the system has filled two mebibytes of it with zeros: we saw 4.5 ms.
/// Where huge pages cannot be forbidden, snapshots work all the same.
struct SmallPages;

impl SmallPages {
    fn from_now_on() -> Self {
        let _ = disable_transparent_huge_pages(true);
        Self
    }
}

impl Drop for SmallPages {
    fn drop(&mut self) {
        let _ = disable_transparent_huge_pages(false);
    }
}

async fn write_and_tell(plan: Plan, pace: Pace, events: mpsc::Sender<Event>) {
    let job = plan.job;
    let event = match write(plan, pace, &events).await {
        Ok(length) => Event::SnapshotDone { job, length },
        Err(error) => Event::SnapshotFailed {
            job,
            reason: error.to_string(),
        },
    };
    // Nobody is left to be told when the shell has ended.
    let _ = events.send(event).await;
}

async fn write(plan: Plan, pace: Pace, events: &mpsc::Sender<Event>) -> io::Result<u64> {
    let writer = RdbWriter::new(plan.snapshot, plan.fields);
    match plan.framing {
        Framing::Disk => write_file(writer, pace, &plan.path).await,
        Framing::Socket { .. } => write_parts(writer, pace, plan.job, events).await,
    }
}

async fn write_file(mut writer: RdbWriter, mut pace: Pace, path: &Path) -> io::Result<u64> {
    let temporary = Temporary::beside(path);
    let mut file = fs::File::create(&temporary.path)?;
    let mut length = 0;
    while let Some(chunk) = pace.next_chunk(&mut writer, length).await {
        length += chunk.len() as u64;
        file.write_all(&chunk)?;
        // Here it may be told to give up.
        tokio::task::yield_now().await;
    }
    file.sync_all()?;
    temporary.rename_to(path)?;
    Ok(length)
}

async fn write_parts(
    mut writer: RdbWriter,
    mut pace: Pace,
    job: JobId,
    events: &mpsc::Sender<Event>,
) -> io::Result<u64> {
    let mut length = 0;
    while let Some(bytes) = pace.next_chunk(&mut writer, length).await {
        length += bytes.len() as u64;
        events
            .send(Event::SnapshotPart { job, bytes })
            .await
            .map_err(io::Error::other)?;
        pace.resume.notified().await;
    }
    Ok(length)
}

/// What slows a snapshot down: the operator's `rdb-key-save-delay`, read again before every key, and replicas that
/// are slower than we are.
struct Pace {
    delay_us: watch::Receiver<u64>,
    owed: Duration,
    resume: Arc<Notify>,
}

impl Pace {
    /// The next bytes; before each key and before the end, but not before the header, the pause.
    async fn next_chunk(&mut self, writer: &mut RdbWriter, written: u64) -> Option<Bytes> {
        if *self.delay_us.borrow() == 0 {
            return writer.next_chunk(CHUNK_BYTES);
        }
        if written > 0 {
            self.pause().await;
        }
        writer.next_chunk(1)
    }

    /// Waits as long as the delay says; a shorter delay set meanwhile ends the wait.
    async fn pause(&mut self) {
        self.owed += Duration::from_micros(*self.delay_us.borrow_and_update());
        let started = Instant::now();
        while self.owed >= SHORTEST_PAUSE {
            tokio::select! {
                () = sleep(self.owed.saturating_sub(started.elapsed())) => self.owed = Duration::ZERO,
                changed = self.delay_us.changed() => {
                    let delay = if changed.is_ok() { *self.delay_us.borrow_and_update() } else { 0 };
                    self.owed = Duration::from_micros(delay).max(Duration::ZERO);
                }
            }
        }
    }
}

/// How many files there were so far that had no final name yet.
static TEMPORARIES: AtomicU64 = AtomicU64::new(0);

/// A file that vanishes unless it is given its final name. No two share a name: one that is given up vanishes when its
/// task comes to it, which may be when the next has begun.
pub(crate) struct Temporary {
    path: PathBuf,
    renamed: bool,
}

impl Temporary {
    fn beside(path: &Path) -> Self {
        let last = path.file_name().unwrap_or_default().to_string_lossy();
        let number = TEMPORARIES.fetch_add(1, Ordering::Relaxed);
        let name = format!("temp-{}-{number}-{last}", std::process::id());
        Self {
            path: path.with_file_name(name),
            renamed: false,
        }
    }

    /// Gives the file its name, for good: the folder is written too, so that the name outlives a power failure.
    pub(crate) fn rename_to(mut self, path: &Path) -> io::Result<()> {
        fs::rename(&self.path, path)?;
        self.renamed = true;
        let named = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        let folder = named.unwrap_or_else(|| Path::new("."));
        fs::File::open(folder)?.sync_all()
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.renamed {
            // It may never have come into being.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Puts bytes into a file under its name, so that a crash leaves the old file or the new one.
pub(crate) fn store(bytes: Bytes, path: &Path) -> io::Result<()> {
    write_pieces([bytes], path)?.rename_to(path)
}

/// Writes a file that has no name yet, and waits until it is on the disk.
pub(crate) fn write_pieces(
    pieces: impl IntoIterator<Item = Bytes>,
    path: &Path,
) -> io::Result<Temporary> {
    let temporary = Temporary::beside(path);
    let mut file = fs::File::create(&temporary.path)?;
    for piece in pieces {
        file.write_all(&piece)?;
    }
    file.sync_all()?;
    Ok(temporary)
}
