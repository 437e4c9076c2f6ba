//! What cannot happen, however far a check goes: the rules and branches that an era has no use for, each with its reason.

use crate::rulebook::Era;

/// A rule or branch that can never happen in some eras, whatever the scope.
#[derive(Clone, Copy, Debug)]
pub struct Never {
    /// The step, as it prints itself.
    pub step: &'static str,
    /// Where it never happens.
    pub eras: &'static [Era],
    /// Why.
    pub because: &'static str,
}

const ONLY_SYNC: &[Era] = &[Era::Sync];
const BEFORE_PSYNC2: &[Era] = &[Era::Sync, Era::Psync];
const WITHOUT_RUN_ID: &[Era] = &[Era::Sync, Era::Psync2, Era::Psync2V7];
const ONLY_V7: &[Era] = &[Era::Psync2V7];

const NO_PSYNC: &str = "there is no PSYNC, hence no label, no answer to it, no acknowledgement";
const NO_SECONDARY: &str = "an ID names a process, and there is no secondary one";
const NO_SOCKET: &str = "a snapshot is always sent through a file";
const NO_BACKLOG: &str = "there is no backlog";
const NOBODY_TO_ASK: &str = "a stranger asks with PSYNC, which there is not";

const fn never(step: &'static str, eras: &'static [Era], because: &'static str) -> Never {
    Never {
        step,
        eras,
        because,
    }
}

/// What never happens, and why. Everything else does, which a test shows.
pub const NEVER: &[Never] = &[
    never(
        "accept-partial/unchecked",
        &Era::ALL,
        "only a wrong server does not compare the ID",
    ),
    never(
        "decline-partial/too-new",
        BEFORE_PSYNC2,
        "a node never asks for what was not produced under the run ID it has: a process that loses part of its \
         history gets another. A stranger does ask",
    ),
    never(
        "decline-partial/no-backlog",
        WITHOUT_RUN_ID,
        "a primary without backlog has no name that anybody could ask under; only a run ID stays the same",
    ),
    never("accept-partial/secondary", BEFORE_PSYNC2, NO_SECONDARY),
    never(
        "decline-partial/beyond-secondary",
        BEFORE_PSYNC2,
        NO_SECONDARY,
    ),
    never("stranger-asks/secondary-first", BEFORE_PSYNC2, NO_SECONDARY),
    never("stranger-asks/secondary-limit", BEFORE_PSYNC2, NO_SECONDARY),
    never(
        "stranger-asks/secondary-beyond",
        BEFORE_PSYNC2,
        NO_SECONDARY,
    ),
    never("start-snapshot/socket", BEFORE_PSYNC2, NO_SOCKET),
    never("fail-snapshot/socket", BEFORE_PSYNC2, NO_SOCKET),
    never("accept-partial/current", ONLY_SYNC, NO_PSYNC),
    never("decline-partial/unknown-id", ONLY_SYNC, NO_PSYNC),
    never("decline-partial/too-old", ONLY_SYNC, NO_PSYNC),
    never("receive-continue", ONLY_SYNC, NO_PSYNC),
    never("receive-full-resync", ONLY_SYNC, NO_PSYNC),
    never("acknowledge", ONLY_SYNC, NO_PSYNC),
    never("receive-acknowledgement", ONLY_SYNC, NO_PSYNC),
    never("expire-backlog", ONLY_SYNC, NO_BACKLOG),
    never("resize-backlog", ONLY_SYNC, NO_BACKLOG),
    never(
        "resize-backlog",
        ONLY_V7,
        "what is in the backlog stays when it is resized",
    ),
    never("stranger-asks/below-first", ONLY_SYNC, NOBODY_TO_ASK),
    never("stranger-asks/first", ONLY_SYNC, NOBODY_TO_ASK),
    never("stranger-asks/just-after-last", ONLY_SYNC, NOBODY_TO_ASK),
    never("stranger-asks/one-beyond", ONLY_SYNC, NOBODY_TO_ASK),
    never("stranger-asks/foreign-id", ONLY_SYNC, NOBODY_TO_ASK),
    never("stranger-leaves", ONLY_SYNC, NOBODY_TO_ASK),
];
