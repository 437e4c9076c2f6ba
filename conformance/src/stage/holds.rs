//! Held states: how a snapshot is kept from starting or from ending until the plan wants it.
//!
//! Nothing here waits. A snapshot that nobody released does not start, because of a long
//! `repl-diskless-sync-delay`; one that should not end yet is slowed key by key by `rdb-key-save-delay`, and the process
//! that writes it is stopped where there is one; one that should fail finds a folder where its file should go
//! (`PROTOCOL §7.3`).
use std::fs;
use std::path::PathBuf;

use psync_model::casting::Casting;
use psync_model::step::Step;
use psync_model::world::{Framing, NodeId, World};

use super::children::{self, Stopped};
use super::opening::HELD_DELAY_S;
use super::{Stage, Trouble, required};
use crate::profile::ControlName;
use crate::verdict::{Check, Mismatch};

/// How long a snapshot is held open on a server whose snapshot cannot be released: time enough to see it and to stop
/// what writes it.
const HELD_OPEN_US: usize = 600_000;
/// The same where the replica that is to find it running is a subject: it comes again when a second has passed.
const HELD_OPEN_FOR_SUBJECT_US: usize = 3_000_000;

/// How long a snapshot is held open that is never to end: longer than any case. The subject gives it up when
/// nobody waits for it any more, or dies with it.
const NEVER_ENDING_US: usize = 60_000_000;

/// The same for one that is sent directly: a real server notices that nobody is left only when the next part
/// of the snapshot is due.
const NEVER_SENT_US: usize = 1_500_000;

/// What the plan does with the snapshot that is about to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It ends at once: nothing is planned before its end.
    EndsAtOnce,
    /// It ends after other steps.
    EndsLater,
    /// It fails.
    Fails,
    /// It is given up, or dies with the process.
    NeverEnds,
}

/// The file of snapshots, and what stands in its place while one should fail.
#[derive(Debug, Default)]
pub struct Obstacle {
    kept: Option<PathBuf>,
}

impl Stage {
    /// Lets the waiting snapshot of a node start, sent in this way, and prepares its end. Answers what is to become of it.
    pub(super) fn release_start(
        &mut self,
        node: NodeId,
        framing: Framing,
        obstacle: &mut Obstacle,
    ) -> Result<Fate, Trouble> {
        let fate = self.fate_of_snapshot(node);
        let open_us = match (fate, framing) {
            (Fate::EndsAtOnce, _) => 0,
            (Fate::EndsLater | Fate::Fails, _) if self.case.header.casting == Casting::Whole => {
                HELD_OPEN_FOR_SUBJECT_US
            }
            (Fate::EndsLater | Fate::Fails, _) => HELD_OPEN_US,
            (Fate::NeverEnds, Framing::Disk) => NEVER_ENDING_US,
            (Fate::NeverEnds, Framing::Socket) => NEVER_SENT_US,
        };
        let delay_us = open_us / (self.world().node(node).data.writes().count() + 1);
        if fate == Fate::Fails {
            obstacle.place(self.server(node).subject.data_folder()?)?;
        } else {
            obstacle.remove()?;
        }
        self.configure(
            node,
            ControlName::KeySaveDelay,
            "rdb-key-save-delay",
            &delay_us.to_string(),
        )?;
        let directly = if framing == Framing::Socket {
            "yes"
        } else {
            "no"
        };
        self.configure(
            node,
            ControlName::DisklessSync,
            "repl-diskless-sync",
            directly,
        )?;
        self.permit(|permits| {
            permits.framing = Some(framing);
            permits.failure = fate == Fate::Fails;
            permits.unending = fate == Fate::NeverEnds;
        });
        self.unblock(node);
        self.configure(
            node,
            ControlName::DisklessDelay,
            "repl-diskless-sync-delay",
            "0",
        )?;
        Ok(fate)
    }

    /// Stops what writes the snapshot of a node, where that is a process of its own: however busy the machine, it does not
    /// end before it is let go on. A server that can be slowed key by key has no other processes.
    pub(super) fn stop_snapshot(&mut self, node: NodeId, fate: Fate) -> Option<Stopped> {
        let is_to_end = matches!(fate, Fate::EndsLater | Fate::Fails);
        if !is_to_end || !self.profile.offers(ControlName::KeySaveDelay) {
            return None;
        }
        let subject = self.server(node).subject.process_id();
        subject.map(|process| Stopped::stop(children::of(process)))
    }

    /// Holds back the next snapshot of a node, whenever a replica comes to wait for one.
    pub fn hold_start(&mut self, node: NodeId) -> Result<(), Trouble> {
        if !self.profile.offers(ControlName::DisklessDelay) {
            return Ok(());
        }
        let delay = HELD_DELAY_S.to_string();
        let control = ControlName::DisklessDelay;
        self.configure(node, control, "repl-diskless-sync-delay", &delay)?;
        self.configure(node, control, "repl-diskless-sync", "yes")?;
        self.permit(|permits| permits.framing = None);
        Ok(())
    }

    /// Lets the running snapshot of a node come to its end, where the subject can be told so.
    pub fn release_end(&mut self, node: NodeId) -> Result<(), Trouble> {
        self.configure(node, ControlName::KeySaveDelay, "rdb-key-save-delay", "0")
    }

    /// Lets the backlog of a node expire, and lets no other.
    pub fn expire_backlog(&mut self, node: NodeId) -> Result<(), Trouble> {
        let ttl = ControlName::BacklogTtl;
        self.configure(node, ttl, "repl-backlog-ttl", "1")?;
        let deadline = self.deadline();
        let control = self.control(node);
        let gone = control.wait_replication("an expired backlog", deadline, |shown| {
            !shown.backlog.active
        });
        self.configure(node, ttl, "repl-backlog-ttl", "0")?;
        gone.map(drop).map_err(|error| {
            let allowed = "it expires after its time";
            Trouble::wrong(Mismatch::new(Check::Backlog, allowed, error.to_string()))
        })
    }

    /// Sets a directive of the subject in the place of a node, if it has it.
    pub fn configure(
        &mut self,
        node: NodeId,
        control: ControlName,
        name: &'static str,
        value: &str,
    ) -> Result<(), Trouble> {
        if !self.profile.offers(control) {
            return Ok(());
        }
        required(
            self.control(node)
                .expect_ok(&["CONFIG", "SET", name, value]),
            "configure the subject",
        )
    }

    /// What ends the snapshot that the plan starts here, by the model's own account.
    fn fate_of_snapshot(&self, node: NodeId) -> Fate {
        let rest = self.case.steps.get(self.at..).unwrap_or_default();
        let mut world = *self.world();
        for (place, &step) in rest.iter().enumerate() {
            let Some(next) = step.apply(&world, &self.setting) else {
                break;
            };
            let runs = |world: &World| world.node(node).snapshot.is_some();
            if runs(&world) && !runs(&next) {
                return match step {
                    Step::FinishSnapshot { .. } if place == 1 => Fate::EndsAtOnce,
                    Step::FinishSnapshot { .. } => Fate::EndsLater,
                    Step::FailSnapshot { .. } => Fate::Fails,
                    _ => Fate::NeverEnds,
                };
            }
            world = next;
        }
        Fate::EndsLater
    }
}

impl Obstacle {
    /// Puts a folder where the snapshot file should go, and the file aside.
    fn place(&mut self, folder: PathBuf) -> Result<(), Trouble> {
        if self.kept.is_some() {
            return Ok(());
        }
        let file = folder.join("dump.rdb");
        if file.is_file() {
            fs::rename(&file, folder.join("dump.rdb.kept"))?;
        }
        fs::create_dir(&file)?;
        // A folder with something in it cannot be replaced by a file on any system.
        fs::write(file.join("obstacle"), b"")?;
        self.kept = Some(folder);
        Ok(())
    }

    /// Takes the folder away and brings the file back. Nothing happens if there is none.
    pub fn remove(&mut self) -> Result<(), Trouble> {
        let Some(folder) = self.kept.take() else {
            return Ok(());
        };
        fs::remove_dir_all(folder.join("dump.rdb"))?;
        let kept = folder.join("dump.rdb.kept");
        if kept.is_file() {
            fs::rename(kept, folder.join("dump.rdb"))?;
        }
        Ok(())
    }
}
