//! What gets in the way of a synchronization, with the subject as the replica: requests answered with errors, the
//! fallback to SYNC, and snapshots that turn out to be broken once the old data are gone.
use psync_model::step::Step;
use psync_model::world::{ErrorReply, NodeId, Reply};

use super::as_primary::{AsPrimary, due};
use super::{REPLICA, Trouble, required, without_base};
use crate::played::{Answer, Request};
use crate::profile::ControlName;
use crate::verdict::{Check, Mismatch};

/// The text of an error that is known to pass (`PROTOCOL §4.3`).
const TRANSIENT: &str = "NOMASTERLINK Can't SYNC while not connected with my master";

/// The text of one that is not: what a server says that has never heard of PSYNC.
const UNEXPECTED: &str = "ERR unknown command 'PSYNC'";

/// A snapshot without a beginning that any server knows. Whatever comes after it, a broken checksum for instance, ends
/// some servers.
const BROKEN: &[u8] = b"NO-SNAPSHOT-AT-ALL";

impl AsPrimary {
    /// The error arrives. The subject closes the connection, or asks again on it, with SYNC.
    pub(super) fn send_error(&mut self, step: Step) -> Result<(), Trouble> {
        let Some(Reply::Error(kind)) = self.stage.world().link(REPLICA).reply else {
            return Err(Trouble::Parted("there is no error to send".to_string()));
        };
        let text = match kind {
            ErrorReply::Transient => TRANSIENT,
            ErrorReply::Unexpected => UNEXPECTED,
        };
        let (link, deadline) = (self.link()?, self.stage.deadline());
        self.played
            .answer(link, &Answer::Error(text.to_string()))
            .map_err(|error| due(&error, "a link that takes the error"))?;
        self.stage.drive(step)?;
        if self.stage.world().link(REPLICA).request.is_none() {
            self.link = None;
            self.played
                .await_close(link, deadline)
                .map_err(|error| due(&error, "the end of the connection, to ask again later"))?;
            return self.settle();
        }
        let came = self.played.next_request_on(link, deadline);
        let came = came.map_or_else(|error| error.to_string(), |request| request.to_string());
        if came != Request::Sync.to_string() {
            let allowed = format!("{} on the same connection", Request::Sync);
            return Err(Trouble::wrong(Mismatch::new(Check::Request, allowed, came)));
        }
        self.settle()
    }

    /// A snapshot arrives that cannot be loaded. A subject that had already dropped its data for it has neither data nor
    /// a place afterwards; one that looked first has lost nothing but the connection.
    pub(super) fn send_broken_snapshot(&mut self, step: Step) -> Result<(), Trouble> {
        let (link, deadline) = (self.link()?, self.stage.deadline());
        self.played
            .payload_with_length(link, BROKEN)
            .map_err(|error| due(&error, "a link that takes the snapshot"))?;
        self.played
            .await_close(link, deadline)
            .map_err(|error| due(&error, "the end of the connection, to ask again later"))?;
        let data = required(self.stage.control(REPLICA).data_set(), "read the data")?;
        if data == without_base(data.clone()) {
            self.link = None;
            return self.drive(step);
        }
        self.stage.kept_data_at.get_or_insert(self.stage.at);
        self.lose_link(Step::CutLink { replica: REPLICA })?;
        self.close_cut_link(Step::ReplicaNoticesLoss { replica: REPLICA })
    }

    /// The size is changed and changed back, and what the backlog held is gone.
    pub(super) fn resize_backlog(&mut self, step: Step, node: NodeId) -> Result<(), Trouble> {
        if node == REPLICA {
            self.stage.resize_backlog(node)?;
        }
        self.drive(step)
    }
}

impl super::Stage {
    /// Changes the size of the backlog of the subject in the place of a node, and changes it back.
    pub(super) fn resize_backlog(&mut self, node: NodeId) -> Result<(), Trouble> {
        let bytes = crate::binding::backlog_bytes(self.setting.backlog_commands);
        for bytes in [bytes * 2, bytes] {
            let value = bytes.to_string();
            self.configure(node, ControlName::BacklogSize, "repl-backlog-size", &value)?;
        }
        Ok(())
    }
}
