//! Held states of a server that cannot be told to wait: the process that writes a snapshot is stopped while the snapshot
//! should not end, and one that writes for nobody (`BGSAVE`) stands in the way of the next (`PROTOCOL §7.3`).
//!
//! A process that writes a few keys has ended before anybody could stop it. One large value makes it last some dozens of
//! milliseconds; compressed it weighs little on the wire.
use std::thread;

use psync_model::casting::Casting;
use psync_model::step::Step;
use psync_model::world::{Framing, NodeId, World};

use super::children::{self, LOOK_PAUSE, Stopped};
use super::holds::Fate;
use super::{PRIMARY, Server, Stage, Trouble, required};
use crate::binding::BASE_KEY;
use crate::needs::is_awaited;
use crate::profile::ControlName;

/// The last byte of the large value.
const WEIGHT_BYTES: &str = "33554431";

impl Server {
    /// Stopped processes stay where they are, in the way of the next snapshot.
    pub(super) fn block_with(&mut self, stopped: Option<Stopped>) {
        if let Some(stopped) = stopped {
            self.blocking = Some(stopped.into());
        }
    }

    /// Whether a snapshot that it says it is making is one for a replica.
    pub(super) fn saves_for_somebody(&self) -> bool {
        self.blocking.is_none() || !self.unblocking_children().is_empty()
    }

    /// The processes that it has started, without those that stand in the way.
    fn unblocking_children(&self) -> Vec<i32> {
        let mut children = self.children();
        if let Some(blocking) = &self.blocking {
            children.retain(|child| !blocking.has(*child));
        }
        children
    }

    fn children(&self) -> Vec<i32> {
        let process = self.subject.process_id();
        process.map(children::of).unwrap_or_default()
    }
}

impl Stage {
    /// Adds the large value, where snapshots can be held by stopping processes only. Nobody looks at the first key of a
    /// subject that is the only one.
    pub(super) fn weigh_down(&mut self, node: NodeId) -> Result<(), Trouble> {
        let is_alone = self.case.header.casting == Casting::Primary;
        if !is_alone || !self.profile.offers(ControlName::StopSnapshot) {
            return Ok(());
        }
        let words = ["SETRANGE", BASE_KEY, WEIGHT_BYTES, "."];
        let written = self.control(node).accepted(&words);
        required(written.map(drop), "write a large value")
    }

    /// Holds back the next snapshot of a node that makes none now, whenever a replica comes to wait for one, on a server
    /// that has no directive for it.
    pub(super) fn hold_next(&mut self, node: NodeId) -> Result<(), Trouble> {
        let has_directive = self.profile.offers(ControlName::DisklessDelay);
        if has_directive || !self.profile.offers(ControlName::StopSnapshot) {
            return Ok(());
        }
        let begun = self.control(node).accepted(&["BGSAVE"]);
        required(begun.map(drop), "begin a snapshot for nobody")?;
        let stopped = self.catch(node)?;
        self.server(node).block_with(Some(stopped));
        self.permit(|permits| permits.framing = None);
        Ok(())
    }

    /// Before Redis 6.2 the next snapshot follows at once on one that ends, for a replica that came too late to share it
    /// (`PROTOCOL §7.3`). Lets it, through a file, if there is such a replica.
    pub(super) fn let_next_follow(&mut self, node: NodeId) -> Result<bool, Trouble> {
        let is_followed =
            self.profile.offers(ControlName::StopSnapshot) && is_awaited(self.world(), node);
        if is_followed {
            self.configure(node, ControlName::DisklessSync, "repl-diskless-sync", "no")?;
            self.permit(|permits| permits.framing = Some(Framing::Disk));
        }
        Ok(is_followed)
    }

    /// Ends what stands in the way of a snapshot; the server notices in its own time.
    pub(super) fn unblock(&mut self, node: NodeId) {
        if let Some(blocking) = &mut self.server(node).blocking {
            blocking.kill();
        }
    }

    /// The same, and waits until the server has noticed: it refuses to save twice at a time.
    pub(super) fn clear_the_way(&mut self, node: NodeId) -> Result<(), Trouble> {
        if self.server(node).blocking.is_none() {
            return Ok(());
        }
        self.unblock(node);
        let what = "the subject did not notice the end of its process";
        self.wait_until(node, what, |server| {
            server.children().is_empty().then_some(())
        })
    }

    /// Stops the process that writes the snapshot just released, as soon as it is there, where nothing slows it down.
    pub(super) fn catch_snapshot(
        &mut self,
        node: NodeId,
        fate: Fate,
    ) -> Result<Option<Stopped>, Trouble> {
        let is_slowed = self.profile.offers(ControlName::KeySaveDelay);
        let can_stop = self.profile.offers(ControlName::StopSnapshot);
        let nothing_follows = self.at + 1 == self.case.steps.len();
        if fate == Fate::EndsAtOnce || nothing_follows || is_slowed || !can_stop {
            return Ok(None);
        }
        self.catch(node).map(Some)
    }

    fn catch(&mut self, node: NodeId) -> Result<Stopped, Trouble> {
        let what = "the process that writes the snapshot could not be stopped in time";
        self.wait_until(node, what, |server| {
            let new = server.unblocking_children();
            (!new.is_empty()).then(|| Stopped::stop(new))
        })
    }

    /// Looks at the processes of a subject until there is what is looked for; `missed` says what it was.
    fn wait_until<T>(
        &mut self,
        node: NodeId,
        missed: &str,
        look: impl Fn(&Server) -> Option<T>,
    ) -> Result<T, Trouble> {
        let deadline = self.deadline();
        loop {
            if let Some(found) = look(self.server(node)) {
                return Ok(found);
            }
            if deadline.remaining().is_none() {
                return Err(Trouble::Parted(missed.to_string()));
            }
            thread::sleep(LOOK_PAUSE);
        }
    }

    /// Whether the model gives up a running snapshot at this step, because nobody waits for it any more.
    pub(super) fn gives_up_snapshot(&self, step: Step) -> bool {
        let ends = matches!(
            step,
            Step::FinishSnapshot { .. } | Step::FailSnapshot { .. } | Step::RestartPrimary { .. }
        );
        let runs = |world: &World| world.node(PRIMARY).snapshot.is_some();
        let next = step.apply(self.world(), &self.setting);
        !ends && runs(self.world()) && next.is_some_and(|next| !runs(&next))
    }
}
