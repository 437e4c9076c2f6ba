//! How large a check is: which rules take part and how far things may drift apart.
//!
//! The specification does not know any of this. There are no budgets: writes, cuts, restarts and expiries
//! may happen any number of times. What keeps the number of states finite is the canonical form
//! ([`crate::canonical`]) and one bound, the lag: no history in use may be longer than so many commands.
//! It must exceed the backlog, so that "too old" is within reach. A second bound is the representation's: no
//! world is entered that tells [`MAX_WRITES`] writes apart. `smoke`, `restarts` and `replay` never come near
//! it; with a backlog of two commands and restarts some ten worlds stand at it.
//!
//! States, edges, length of the longest shortest path, and seconds of one core of a small machine:
//!
//! | scope | sync | psync | psync2 | psync2-v7 |
//! |---|---|---|---|---|
//! | `smoke` | 1,004 · 3,144 · 32 · 0.0 | 9,796 · 32,853 · 39 · 0.1 | 40,736 · 142,652 · 42 · 0.2 | 12,398 · 40,598 · 35 · 0.1 |
//! | `restarts` | 1,480 · 7,308 · 31 · 0.0 | 38,214 · 197,463 · 46 · 0.2 | 75,784 · 405,116 · 47 · 0.5 | 71,342 · 346,134 · 53 · 0.5 |
//! | `replay` | 4,306 · 25,106 · 34 · 0.0 | 83,028 · 490,291 · 48 · 0.7 | 238,460 · 1,399,010 · 49 · 1.9 | 283,604 · 1,624,800 · 57 · 2.8 |
//! | `pings` | 4,136 · 13,900 · 33 · 0.0 | 81,894 · 298,523 · 41 · 0.5 | 1,572,012 · 5,727,428 · 46 · 11 | 613,426 · 2,196,610 · 38 · 4.6 |
//! | `pair` | 12,104 · 81,568 · 34 · 0.1 | 278,150 · 1,879,544 · 43 · 2.5 | 1,040,214 · 7,399,590 · 45 · 11 | 1,241,280 · 9,034,816 · 42 · 13 |
//! | `wide` | 18,724 · 128,726 · 33 · 0.2 | 489,870 · 3,390,876 · 43 · 5.1 | 2,678,358 · 19,273,936 · 42 · 34 | 2,977,010 · 21,715,946 · 41 · 31 |
//!
//! `pair` leaves PINGs out: they move offsets and change nothing, so that they multiply the states of every
//! other interplay several times over, and the one that matters (an offset that moves without data, beside a
//! backlog) is all in `pings`. `wide` has them, with a backlog of one command.

use crate::rulebook::{Era, Rulebook};
use crate::rules::Setting;
use crate::step::Step;
use crate::token::MAX_WRITES;
use crate::world::{Framing, World};
use serde::{Deserialize, Serialize};

/// A named size of the check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Scope {
    /// The configured size of the backlog, in commands that weigh.
    pub backlog_commands: usize,
    /// The longest stretch of history, in commands, that anything may still refer to.
    pub lag_commands: usize,
    /// Primaries send PINGs.
    pub pings: bool,
    /// A replica may read a write in two parts.
    pub halves: bool,
    /// Snapshots may be sent directly as well as through a file, where the era can.
    pub sockets: bool,
    /// Snapshots may fail.
    pub failures: bool,
    /// Snapshots that are sent directly may fail too; no control of a server does that on demand.
    pub socket_failures: bool,
    /// Processes die and start again.
    pub restarts: bool,
    /// Operators save snapshots.
    pub saves: bool,
    /// The backlog expires.
    pub expiry: bool,
    /// A primary may believe in an older connection beside the newer one.
    pub stale: bool,
    /// A stranger asks questions.
    pub stranger: bool,
}

/// A scope with its name and what it is good for.
#[derive(Clone, Copy, Debug)]
pub struct NamedScope {
    /// The name on the command line.
    pub name: &'static str,
    /// One line for `--help`.
    pub purpose: &'static str,
    /// The scope.
    pub scope: Scope,
}

const EVERYTHING: Scope = Scope {
    backlog_commands: 2,
    lag_commands: 3,
    pings: true,
    halves: true,
    sockets: true,
    failures: true,
    socket_failures: true,
    restarts: true,
    saves: true,
    expiry: true,
    stale: true,
    stranger: true,
};

/// The scopes that have names, smallest first.
pub const SCOPES: [NamedScope; 6] = [
    NamedScope {
        name: "smoke",
        purpose: "a pair of nodes, writes and cuts, a backlog of one command: under a second",
        scope: Scope {
            backlog_commands: 1,
            lag_commands: 2,
            pings: false,
            restarts: false,
            saves: false,
            stale: false,
            ..EVERYTHING
        },
    },
    NamedScope {
        name: "replay",
        purpose: "small enough that all of it can be driven on a real server",
        scope: Scope {
            backlog_commands: 1,
            lag_commands: 2,
            pings: false,
            saves: false,
            socket_failures: false,
            ..EVERYTHING
        },
    },
    NamedScope {
        name: "restarts",
        purpose: "restarts of either process from its snapshot",
        scope: Scope {
            backlog_commands: 1,
            lag_commands: 2,
            pings: false,
            saves: false,
            stale: false,
            ..EVERYTHING
        },
    },
    NamedScope {
        name: "pings",
        purpose: "PINGs in the stream, a backlog of two commands; no restarts",
        scope: Scope {
            restarts: false,
            saves: false,
            stale: false,
            ..EVERYTHING
        },
    },
    NamedScope {
        name: "pair",
        purpose: "everything but PINGs, a backlog of two commands: half a minute",
        scope: Scope {
            pings: false,
            ..EVERYTHING
        },
    },
    NamedScope {
        name: "wide",
        purpose: "everything, a backlog of one command: a minute",
        scope: Scope {
            backlog_commands: 1,
            lag_commands: 2,
            ..EVERYTHING
        },
    },
];

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
const BEFORE_V7: &[Era] = &[Era::Sync, Era::Psync, Era::Psync2];
const WITHOUT_EXPIRED_NAME: &[Era] = &[Era::Sync, Era::Psync2, Era::Psync2V7];

const NO_PSYNC: &str = "there is no PSYNC, hence no label, no answer to it, no acknowledgement";
const NO_SECONDARY: &str = "only a primary that restarts from 7.0 on has a secondary ID; nobody is promoted in this version";
const NO_SOCKET: &str = "a snapshot is always sent through a file";
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
        &Era::ALL,
        "an honest replica never asks for what was not produced under the name it has: a primary that lost \
         part of its history takes another name. A stranger does ask",
    ),
    never(
        "decline-partial/no-backlog",
        WITHOUT_EXPIRED_NAME,
        "a primary without backlog has no name that anybody could ask under; only a run ID stays the same",
    ),
    never("accept-partial/secondary", BEFORE_V7, NO_SECONDARY),
    never("decline-partial/beyond-secondary", BEFORE_V7, NO_SECONDARY),
    never("stranger-asks/secondary-limit", BEFORE_V7, NO_SECONDARY),
    never("stranger-asks/secondary-beyond", BEFORE_V7, NO_SECONDARY),
    never(
        "stranger-asks/secondary-first",
        &Era::ALL,
        "the backlog of a restarted primary begins at the limit itself, which is another question; a promoted \
         replica would have more",
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
    never("expire-backlog", ONLY_SYNC, "there is no backlog"),
    never("stranger-asks/below-first", ONLY_SYNC, NOBODY_TO_ASK),
    never("stranger-asks/first", ONLY_SYNC, NOBODY_TO_ASK),
    never("stranger-asks/just-after-last", ONLY_SYNC, NOBODY_TO_ASK),
    never("stranger-asks/one-beyond", ONLY_SYNC, NOBODY_TO_ASK),
    never("stranger-asks/foreign-id", ONLY_SYNC, NOBODY_TO_ASK),
    never("stranger-leaves", ONLY_SYNC, NOBODY_TO_ASK),
];

/// The scope of this name, if there is one.
pub fn named(name: &str) -> Option<&'static NamedScope> {
    SCOPES.iter().find(|scope| scope.name == name)
}

impl Scope {
    /// The setting of the rules in this scope.
    pub const fn setting(&self, book: Rulebook) -> Setting {
        Setting {
            book,
            backlog_commands: self.backlog_commands,
        }
    }

    /// Whether a step takes part.
    pub const fn allows(&self, step: Step) -> bool {
        match step {
            Step::Ping { .. } => self.pings,
            Step::ReadHead { .. } => self.halves,
            Step::StartSnapshot {
                framing: Framing::Socket,
                ..
            } => self.sockets,
            Step::FailSnapshot {
                framing: Framing::Socket,
                ..
            } => self.socket_failures && self.sockets,
            Step::FailSnapshot { .. } => self.failures,
            Step::RestartPrimary { .. } | Step::RestartReplica { .. } => self.restarts,
            Step::Save { .. } => self.saves,
            Step::ExpireBacklog { .. } => self.expiry,
            Step::StrangerAsks { .. } | Step::StrangerLeaves { .. } => self.stranger,
            _ => true,
        }
    }

    /// Whether a canonical world lies inside.
    pub fn admits(&self, world: &World) -> bool {
        let short = world
            .histories
            .iter()
            .all(|history| history.tokens.len() <= self.lag_commands);
        let countable = !world.writes_in_use().contains(MAX_WRITES);
        short && countable && (self.stale || world.links.iter().all(|link| link.stale.is_none()))
    }

    /// What is bounded, in words.
    pub fn bounds(&self) -> String {
        format!(
            "any number of writes, cuts{}{}{}; a backlog of {} command(s), nothing lags by more than {} commands",
            if self.restarts { ", restarts" } else { "" },
            if self.expiry { ", expiries" } else { "" },
            if self.pings { ", PINGs" } else { "" },
            self.backlog_commands,
            self.lag_commands,
        )
    }
}
