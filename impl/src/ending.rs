//! How the server ends: `SHUTDOWN` and SIGTERM, the wait for replicas, the last snapshot (PROTOCOL §5, 7.0).

use bytes::Bytes;

use crate::client::Blocked;
use crate::dispatch::Answer;
use crate::event::{Action, ClientId, Framing, JobId};
use crate::offset::ReplOffset;
use crate::primary::{Feed, Purpose};
use crate::resp::Reply;
use crate::rulebook::Era;
use crate::server::Server;
use crate::stream;

/// What is to be done before the process ends.
#[derive(Debug)]
pub(crate) struct Ending {
    save: bool,
    /// A snapshot that fails does not keep the server.
    force: bool,
    asked_by: Option<ClientId>,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// Replicas that lack bytes up to here may still acknowledge them until then.
    Replicas {
        offset: ReplOffset,
        deadline_ms: u64,
    },
    /// The snapshot is being written.
    Snapshot { job: JobId },
    /// Nothing is left to be done.
    Over,
}

/// What the words of `SHUTDOWN` ask for.
#[derive(Default)]
struct Wish {
    save: Option<bool>,
    now: bool,
    force: bool,
}

impl Server {
    /// `SHUTDOWN [SAVE|NOSAVE] [NOW] [FORCE]`, or `SHUTDOWN ABORT`.
    pub(crate) fn shutdown_command(&mut self, id: ClientId, args: &[Bytes], now_ms: u64) -> Answer {
        if args.len() == 2 && args[1].eq_ignore_ascii_case(b"abort") {
            let given_up = self.give_up_ending("SHUTDOWN ABORT was called", now_ms);
            let refusal = Reply::Error("ERR No shutdown in progress.".into());
            return Some(if given_up { Reply::OK } else { refusal });
        }
        let mut wish = Wish::default();
        for word in &args[1..] {
            match word.to_ascii_lowercase().as_slice() {
                b"save" if wish.save.is_none() => wish.save = Some(true),
                b"nosave" if wish.save.is_none() => wish.save = Some(false),
                b"now" => wish.now = true,
                b"force" => wish.force = true,
                _ => return Some(Reply::Error("ERR syntax error".into())),
            }
        }
        self.begin_ending(&wish, Some(id), now_ms);
        if let Some(client) = self.clients.get_mut(id) {
            client.blocked = Some(Blocked::Ending);
        }
        None
    }

    /// The process was asked to end; asked twice, it does so at once.
    pub(crate) fn terminate(&mut self, now_ms: u64) {
        if self.ending.is_some() {
            return self.act(Action::Exit);
        }
        self.log("Received a signal to end");
        self.begin_ending(&Wish::default(), None, now_ms);
    }

    fn begin_ending(&mut self, wish: &Wish, asked_by: Option<ClientId>, now_ms: u64) {
        if self.starting {
            // The data are in the file, and not here: saving now would destroy them.
            return self.act(Action::Exit);
        }
        let offset = self.history.offset;
        let waits = !wish.now && self.config.shutdown_timeout_s > 0 && self.lagging(offset);
        let stage = if waits {
            self.log("Waiting for replicas before shutting down");
            self.feed(&stream::getack(), Feed::Control);
            let deadline_ms = now_ms + self.config.shutdown_timeout_s * 1_000;
            Stage::Replicas {
                offset,
                deadline_ms,
            }
        } else {
            Stage::Over
        };
        let save = wish.save.unwrap_or(!self.config.save_points().is_empty());
        let force = wish.force;
        let saves_now = !waits;
        self.ending = Some(Ending {
            save,
            force,
            asked_by,
            stage,
        });
        if saves_now {
            self.save_and_exit();
        }
    }

    /// Whether a replica has not acknowledged everything; servers before 7.0 do not ask.
    fn lagging(&self, offset: ReplOffset) -> bool {
        let lags = self.replicas().any(|(_, replica)| {
            replica.is_online() && !replica.without_label && replica.acknowledged < offset
        });
        self.is_primary() && self.rules.era == Era::Psync2V7 && lags
    }

    /// Goes on when the replicas have everything, or when the time is over.
    pub(crate) fn tick_ending(&mut self, now_ms: u64) {
        let Some(Ending {
            stage:
                Stage::Replicas {
                    offset,
                    deadline_ms,
                },
            ..
        }) = self.ending
        else {
            return;
        };
        let lagging = self.lagging(offset);
        if lagging && now_ms >= deadline_ms {
            self.log("Not all replicas have everything, but the time for that is over");
        }
        if !lagging || now_ms >= deadline_ms {
            self.save_and_exit();
        }
    }

    fn save_and_exit(&mut self) {
        if let Some(job) = self.primary.job.take() {
            self.act(Action::CancelSnapshot { job: job.id });
        }
        let save = self.ending.as_ref().is_some_and(|ending| ending.save);
        if !save {
            return self.act(Action::Exit);
        }
        self.log("Saving the final RDB snapshot before exiting.");
        let job = self.write_snapshot(Framing::Disk, Purpose::OwnFile);
        if let Some(ending) = &mut self.ending {
            ending.stage = Stage::Snapshot { job };
        }
    }

    /// The last snapshot is written, or could not be.
    pub(crate) fn ending_saved(&mut self, job: JobId, failed: bool, now_ms: u64) {
        let Some(ending) = &self.ending else {
            return;
        };
        if !matches!(ending.stage, Stage::Snapshot { job: awaited } if awaited == job) {
            return;
        }
        if failed && !ending.force {
            let reason = "Errors trying to SHUTDOWN: the snapshot failed, the server goes on";
            self.give_up_ending(reason, now_ms);
        } else {
            self.act(Action::Exit);
        }
    }

    /// The server goes on after all; whoever asked for the end is told.
    fn give_up_ending(&mut self, reason: &str, now_ms: u64) -> bool {
        let Some(ending) = self.ending.take() else {
            return false;
        };
        self.log(reason);
        if let Some(id) = ending.asked_by {
            let text = "ERR Errors trying to SHUTDOWN. Check logs.";
            self.release(id, &Reply::Error(text.into()), now_ms);
        }
        true
    }
}
