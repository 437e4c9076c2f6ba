//! The rules: what can happen in one step.
//!
//! One function is one rule: first the guards, each of which says `None` when the rule does not apply, then the
//! effect. `world` is the world before and `next` the world after, like the unprimed and primed variables of TLA+:
//! `next` begins equal to `world`, and the rule changes it. After `None` it may be half changed: the caller puts it
//! back. A guard that looks for something (`?`) needs what it finds; every other one has a name and goes through
//! [`Setting::requires`]. A rule is one atomic step of the real server: where the server cannot be interrupted neither
//! can the rule, and where it can, there are two rules.
//!
//! * [`replica`]: what a replica does about its primary.
//! * [`primary`] and [`snapshot`]: what a primary does for its replicas, and a replica for replicas of its own.
//! * [`environment`]: what clients, operators and the network do.
//! * [`roles`]: promotion, demotion, another primary to follow.
//! * [`process`]: saving, dying, starting again.
//! * [`stranger`]: a question at the edges of the answer.
//!
//! [`stream`] is what several of them share; [`guard`] names the guards, so that each can be taken away to see
//! whether anything notices.

pub mod environment;
pub mod guard;
pub mod primary;
pub mod process;
pub mod replica;
pub mod roles;
pub mod snapshot;
pub mod stranger;
pub mod stream;

use crate::rulebook::Rulebook;
pub use guard::{Guard, Mutant};

/// What a rule consults besides the world: the generation of the protocol, and the configuration of the
/// servers. How far a check goes is not for the rules to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The generation of the protocol, with its fault if any.
    pub book: Rulebook,
    /// The configured size of the backlog, in commands that weigh: `repl-backlog-size`.
    pub backlog_commands: usize,
    /// Whether clients use two databases. Where they use one, SELECT would change nothing and is left out.
    pub databases: bool,
    /// A guard that is not what it should be; `None` but for [`crate::mutate`].
    pub mutant: Option<Mutant>,
}
