//! The task that holds our connection to a primary and moves its bytes.

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use crate::event::{Event, LinkId};

/// The buffer that is read into; what came is handed on as a part of it.
const READ_BYTES: usize = 256 * 1024;

/// Room below which another one is taken: a few reads share one, and little of it is left unused.
const LEAST_READ_BYTES: usize = 16 * 1024;

/// The link as the shell sees it; dropping it closes the socket.
pub(crate) struct LinkTask {
    queue: mpsc::UnboundedSender<Bytes>,
    task: AbortHandle,
}

impl LinkTask {
    pub(crate) fn start(
        link: LinkId,
        host: String,
        port: u16,
        events: mpsc::Sender<Event>,
    ) -> Self {
        let (queue, outputs) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            if let Ok(stream) = TcpStream::connect((host.as_str(), port)).await {
                // Acknowledgements are small and waited for. It works without, only slower.
                let _ = stream.set_nodelay(true);
                carry(link, stream, outputs, &events).await;
            }
            // Nobody is left to be told when the shell has ended.
            let _ = events.send(Event::LinkDown { link }).await;
        });
        Self {
            queue,
            task: task.abort_handle(),
        }
    }

    pub(crate) fn send(&self, bytes: Bytes) {
        // A link that has ended reports that itself.
        let _ = self.queue.send(bytes);
    }
}

impl Drop for LinkTask {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Moves bytes both ways until either end gives up. Acknowledgements are few: writing may hold up reading for a moment.
async fn carry(
    link: LinkId,
    mut stream: TcpStream,
    mut outputs: mpsc::UnboundedReceiver<Bytes>,
    events: &mpsc::Sender<Event>,
) {
    if events.send(Event::LinkUp { link }).await.is_err() {
        return;
    }
    let mut buffer = BytesMut::new();
    loop {
        if buffer.capacity() - buffer.len() < LEAST_READ_BYTES {
            buffer = BytesMut::with_capacity(READ_BYTES);
        }
        tokio::select! {
            read = stream.read_buf(&mut buffer) => {
                if !matches!(read, Ok(1..)) {
                    return;
                }
                let bytes = buffer.split().freeze();
                if events.send(Event::LinkReceived { link, bytes }).await.is_err() {
                    return;
                }
            }
            Some(bytes) = outputs.recv() => {
                if stream.write_all(&bytes).await.is_err() {
                    return;
                }
            }
        }
    }
}
