//! The rules: what can happen in one step.
//!
//! One function is one rule: first the guards, each of which says `None` when the rule does not apply, then
//! the effect on a copy of the world. A rule is one atomic step of the real server: where the server cannot
//! be interrupted neither can the rule, and where it can, there are two rules.
//!
//! * [`primary`]: what a primary does for its replicas.
//! * [`replica`]: what a replica does about its primary.
//! * [`environment`]: what clients, operators, the network and a stranger do to both.

pub mod environment;
pub mod primary;
pub mod replica;

use crate::rulebook::Rulebook;

/// What a rule consults besides the world: the generation of the protocol, and the configuration of the
/// servers. How far a check goes is not for the rules to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The generation of the protocol, with its fault if any.
    pub book: Rulebook,
    /// The configured size of the backlog, in commands that weigh: `repl-backlog-size`.
    pub backlog_commands: usize,
}
