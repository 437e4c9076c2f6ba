//! Turns: how connections with long pipelines let others have theirs.

use std::mem;

use crate::event::ClientId;
use crate::server::Server;

/// Commands of one connection that are executed in a row while others wait: as many as a usual pipeline has. Turns of four
/// answer a short question sooner beside long pipelines, and cost a fifth more of the processor for each command.
const COMMANDS_IN_TURN: usize = 64;

/// Bytes of commands of one connection that may wait for its turn; what goes beyond is executed as it comes.
const WAITING_BYTES: usize = 64 * 1024;

/// Whether a connection has had its turn after so many commands, with so many bytes left to read.
pub(crate) fn is_end_of_turn(executed: usize, left_bytes: usize) -> bool {
    executed >= COMMANDS_IN_TURN && (1..=WAITING_BYTES).contains(&left_bytes)
}

impl Server {
    /// Executes some commands of the connection that has waited longest for its turn; false if none waits.
    pub fn next_turn(&mut self, now_ms: u64) -> bool {
        while let Some(id) = self.turns.pop_front() {
            if self.take_turn(id, now_ms) {
                self.resume_released(now_ms);
                return true;
            }
        }
        false
    }

    pub(crate) fn take_turn(&mut self, id: ClientId, now_ms: u64) -> bool {
        let client = self.clients.get_mut(id);
        let waited = client.is_some_and(|client| mem::take(&mut client.awaits_turn));
        if waited {
            self.process_input(id, now_ms);
        }
        waited
    }

    /// Whether commands of a connection wait for its turn, so that more answers follow.
    pub fn awaits_turn(&self, id: ClientId) -> bool {
        self.clients
            .get(id)
            .is_some_and(|client| client.awaits_turn)
    }

    /// Whether connections may wait for their turn.
    pub fn has_turns(&self) -> bool {
        !self.turns.is_empty()
    }

    /// Lets a connection wait for its next turn.
    pub(crate) fn await_turn(&mut self, id: ClientId) {
        let client = self.clients.get_mut(id);
        if client.is_some_and(|client| !mem::replace(&mut client.awaits_turn, true)) {
            self.turns.push_back(id);
        }
    }
}
