//! How large a check is: which rules take part and how far things may drift apart.
//!
//! The specification does not know any of this. There are no budgets: writes, cuts, restarts and expiries
//! may happen any number of times. What keeps the number of states finite is the canonical form
//! ([`crate::world::canonical`]) and one bound, the lag: no history in use may be longer than so many commands.
//! It must exceed the backlog, so that "too old" is within reach. Two more bounds are the representation's: no
//! world is entered that tells [`MAX_WRITES`] writes apart, or, where there are databases or transactions, has no
//! room for another write in a stream. `smoke`, `restarts` and `replay` never come near them; with a backlog of two commands and restarts some
//! ten worlds stand at the first, and where two nodes follow each other to 3.2 some at the second.
//!
//! States, edges, length of the longest shortest path, and seconds of a survey with two threads on a machine with as many
//! processors, which compiled and tested beside it (idle, all of `standard` takes 24 in `psync2-v7`):
//!
//! | scope | sync | psync | psync2 | psync2-v7 |
//! |---|---|---|---|---|
//! | `smoke` | 194 · 584 · 22 · 0.0 | 1,848 · 6,040 · 28 · 0.0 | 1,990 · 6,828 · 28 · 0.0 | 896 · 2,832 · 20 · 0.0 |
//! | `errors` | 218 · 690 · 22 · 0.0 | 1,362 · 4,911 · 27 · 0.0 | 1,362 · 4,911 · 27 · 0.0 | 727 · 2,151 · 21 · 0.0 |
//! | `pings` | 776 · 2,510 · 23 · 0.0 | 14,844 · 52,454 · 31 · 0.0 | 17,652 · 62,140 · 30 · 0.1 | 8,914 · 30,132 · 21 · 0.0 |
//! | `restarts` | 1,480 · 7,308 · 31 · 0.0 | 38,214 · 197,463 · 46 · 0.2 | 75,784 · 405,116 · 47 · 0.4 | 68,834 · 333,976 · 51 · 0.3 |
//! | `chain` | 8,670 · 41,256 · 42 · 0.0 | 72,852 · 337,486 · 60 · 0.3 | 15,781 · 68,832 · 53 · 0.1 | 9,108 · 38,508 · 37 · 0.0 |
//! | `fan` | 13,322 · 57,362 · 40 · 0.1 | 38,182 · 168,239 · 51 · 0.2 | 97,919 · 437,826 · 52 · 0.5 | 38,662 · 170,684 · 31 · 0.2 |
//! | `replay` | 4,306 · 25,106 · 34 · 0.0 | 83,028 · 490,291 · 48 · 0.4 | 238,460 · 1,399,010 · 49 · 0.4 | 270,784 · 1,551,412 · 54 · 0.5 |
//! | `transactions` | 1,034 · 3,224 · 26 · 0.0 | 8,156 · 30,058 · 31 · 0.0 | 3,808 · 13,266 · 31 · 0.0 | 2,952 · 10,186 · 22 · 0.0 |
//! | `databases` | 5,839 · 34,972 · 29 · 0.0 | 38,308 · 245,928 · 31 · 0.3 | 398,733 · 2,580,552 · 39 · 0.7 | 349,606 · 1,943,811 · 46 · 0.7 |
//! | `handover` | 58,214 · 253,692 · 31 · 0.3 | 258,814 · 1,140,994 · 36 · 0.3 | 8,095,592 · 33,734,698 · 47 · 13 | 1,320,859 · 3,939,854 · 36 · 1.6 |
//! | `succession` | 28,434 · 112,074 · 29 · 0.1 | 521,734 · 2,155,390 · 39 · 0.6 | 7,100,080 · 30,089,932 · 52 · 15 | 1,333,537 · 4,001,554 · 63 · 1.4 |
//! | `failover` | 17,415 · 100,980 · 29 · 0.1 | 250,954 · 1,491,022 · 60 · 0.4 | 2,562,831 · 14,756,318 · 67 · 4.7 | 390,027 · 1,814,690 · 38 · 0.6 |
//! | `pair` | 12,104 · 81,568 · 34 · 0.1 | 278,150 · 1,879,544 · 43 · 0.4 | 1,040,214 · 7,399,590 · 45 · 1.8 | 1,101,327 · 8,034,541 · 47 · 2.2 |
//! | `everything` | 18,724 · 128,726 · 33 · 0.1 | 489,870 · 3,390,876 · 43 · 0.8 | 2,678,358 · 19,273,936 · 42 · 5.3 | 2,513,764 · 18,451,476 · 44 · 5.1 |
//! | `restart` | 542,037 · 2,238,131 · 66 · 0.7 | 17,781,517 · 63,930,846 · 86 · 105 | 7,293,364 · 25,934,869 · 84 · 15 | 23,312,484 · 70,567,515 · 111 · 29 |
//! | `restart-fan` | 511,927 · 1,626,179 · 58 · 0.5 | 3,006,795 · 9,479,725 · 67 · 3.2 | 5,413,073 · 17,120,927 · 67 · 19 | 19,107,445 · 56,652,453 · 96 · 25 |
//! | `everything-lagging` | 38,100 · 263,562 · 34 · 0.2 | 1,466,580 · 10,184,446 · 44 · 2.4 | 20,025,382 · 146,210,950 · 45 · 53 | 20,476,423 · 153,874,831 · 47 · 78 |
//! | `restart-lagging` | 823,994 · 3,457,205 · 67 · 0.9 | 53,385,797 · 192,590,111 · 91 · 66 | 30,604,579 · 109,751,078 · 90 · 71 | 128,862,950 · 393,110,843 · 118 · 245 |
//!
//! These are 365 million states; `restart-lagging` in `psync2-v7` took the most memory, 2.5 GiB. L1 is judged where the graph
//! can be held in memory: up to two million states, so not in `handover`, `succession`, `failover` and `everything` in
//! `psync2`, `everything` in `psync2-v7`, and the larger of those below them.
//!
//! Of a chain of three in which anybody may follow anybody (`--scope failover --topology chain --prompt on --stranger off
//! --engine survey --symmetry`) the nearest 119 million in `psync2-v7`, up to 25 steps away, violate nothing; they took 7 GiB,
//! most of it for the 41 million that were still to be looked at.
//! `role-restarts` has 281,256 · 2,724,938 · 43 in `sync` and 4,301,040 · 44,654,650 · 75 in `psync`; in `psync2` and
//! `psync2-v7` it has more worlds than were visited so far: the nearest 14.5 and 13 million violate nothing, and
//! beyond nothing is claimed.
//!
//! `pair` leaves PINGs out: they move offsets and change nothing, so that they multiply the states of every
//! other interplay several times over, and the one that matters (an offset that moves without data, beside a
//! backlog) is all in `pings`. `everything` has them, with a backlog of one command.

use crate::bits;
use crate::parts::Parts;
use crate::rulebook::{BacklogBirth, Rulebook};
use crate::rules::Setting;
use crate::step::Step;
use crate::token::{MAX_TOKENS, MAX_WRITES, WriteNumber};
use crate::world::{Framing, Link, NodeId, Role, Topology, Wire, World};
use serde::{Deserialize, Serialize};

/// How many commands a transaction is.
const TRANSACTION: usize = 3;

/// A named size of the check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Scope {
    /// How many nodes there are, and who follows whom at the beginning.
    #[serde(default)]
    pub topology: Topology,
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
    /// A lost connection is noticed at both ends before anything else happens.
    #[serde(default)]
    pub prompt: bool,
    /// A stranger asks questions.
    pub stranger: bool,
    /// Replicas acknowledge. Without it only whether they have caught up is judged, not whether it is known.
    #[serde(default = "yes")]
    pub acknowledgements: bool,
    /// Replicas are promoted, primaries demoted, replicas sent to another primary.
    #[serde(default)]
    pub roles: bool,
    /// Processes start again in another role than they died in.
    #[serde(default)]
    pub role_restarts: bool,
    /// Requests are answered with errors.
    #[serde(default)]
    pub errors: bool,
    /// Snapshots turn out to be broken after the old data are gone.
    #[serde(default)]
    pub load_failures: bool,
    /// The backlog is resized.
    #[serde(default)]
    pub resizes: bool,
    /// Clients use two databases.
    #[serde(default)]
    pub databases: bool,
    /// Clients use transactions.
    #[serde(default)]
    pub transactions: bool,
}

/// What a scope written before acknowledgements could be left out meant.
const fn yes() -> bool {
    true
}

/// What of a world may be forgotten, a bit for each node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unseen {
    saved: u8,
    own_history: u8,
    secondary: u8,
}

impl Unseen {
    /// Whether there is anything to forget.
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }

    /// Forgets it.
    pub fn forget(self, world: &mut World) {
        for place in bits::places(self.saved | self.own_history | self.secondary) {
            let has = |bits: u8| bits >> place & 1 == 1;
            let own = world.node_mut(NodeId::ALL[place]);
            if has(self.saved) {
                own.saved = None;
            }
            if has(self.own_history) {
                own.forget_own_history();
            }
            if has(self.secondary) {
                own.secondary = None;
            }
        }
    }
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

/// A pair whose roles do not change, with all that can happen to it.
const PAIR: Scope = Scope {
    topology: Topology::Pair,
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
    prompt: false,
    stranger: true,
    acknowledgements: true,
    roles: false,
    role_restarts: false,
    errors: false,
    load_failures: false,
    resizes: false,
    databases: false,
    transactions: false,
};

/// Writes and cuts, a backlog of one command, and nothing else.
const BARE: Scope = Scope {
    backlog_commands: 1,
    lag_commands: 2,
    pings: false,
    halves: false,
    sockets: false,
    failures: false,
    socket_failures: false,
    restarts: false,
    saves: false,
    expiry: false,
    stale: false,
    stranger: false,
    ..PAIR
};

/// Either process dies at any moment and starts again from its snapshot.
pub(crate) const RESTARTS: Scope = Scope {
    backlog_commands: 1,
    lag_commands: 2,
    pings: false,
    saves: false,
    stale: false,
    ..PAIR
};

/// Whatever can get in the way of a synchronization.
pub(crate) const ERRORS: Scope = Scope {
    errors: true,
    load_failures: true,
    resizes: true,
    ..BARE
};

/// A replica of a replica.
pub(crate) const CHAIN: Scope = Scope {
    topology: Topology::Chain,
    ..BARE
};

/// Two replicas of one primary.
const FAN: Scope = Scope {
    topology: Topology::Fan,
    sockets: true,
    ..BARE
};

/// A pair that saves and restarts, and clients that use two databases.
const DATABASES: Scope = Scope {
    lag_commands: 3,
    restarts: true,
    saves: true,
    databases: true,
    ..BARE
};

/// A pair, cut at any point of a transaction.
const TRANSACTIONS: Scope = Scope {
    lag_commands: 6,
    halves: true,
    transactions: true,
    ..BARE
};

/// A replica of a replica, each of which dies at any moment and starts again from its snapshot.
const RESTART: Scope = Scope {
    restarts: true,
    acknowledgements: false,
    prompt: true,
    ..CHAIN
};

/// A chain that restarts, with a longer backlog.
const RESTART_LAGGING: Scope = Scope {
    backlog_commands: 2,
    lag_commands: 3,
    ..RESTART
};

/// Two replicas of one primary, all of which die at any moment and start again from their snapshots.
const RESTART_FAN: Scope = Scope {
    topology: Topology::Fan,
    ..RESTART
};

/// Two nodes that change roles, within transactions too.
const HANDOVER: Scope = Scope {
    lag_commands: 3,
    acknowledgements: false,
    prompt: true,
    roles: true,
    transactions: true,
    ..BARE
};

/// Two nodes that change roles, and clients that use two databases.
const SUCCESSION: Scope = Scope {
    acknowledgements: false,
    prompt: true,
    roles: true,
    databases: true,
    ..BARE
};

/// The scopes that have names, smallest first.
pub const SCOPES: [NamedScope; 19] = [
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
            ..PAIR
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
            ..PAIR
        },
    },
    NamedScope {
        name: "restarts",
        purpose: "restarts of either process from its snapshot",
        scope: RESTARTS,
    },
    NamedScope {
        name: "pings",
        purpose: "PINGs in the stream, a backlog of two commands; no restarts",
        scope: Scope {
            restarts: false,
            saves: false,
            stale: false,
            ..PAIR
        },
    },
    NamedScope {
        name: "pair",
        purpose: "everything but PINGs, a backlog of two commands: ten seconds",
        scope: Scope {
            pings: false,
            ..PAIR
        },
    },
    NamedScope {
        name: "everything",
        purpose: "a pair, everything that can happen to it, a backlog of one command: ten seconds",
        scope: Scope {
            backlog_commands: 1,
            lag_commands: 2,
            ..PAIR
        },
    },
    NamedScope {
        name: "everything-lagging",
        purpose: "the same, a backlog of two commands: a minute, with `--engine survey`",
        scope: PAIR,
    },
    NamedScope {
        name: "errors",
        purpose: "requests answered with errors, snapshots that turn out to be broken, a backlog that is resized",
        scope: ERRORS,
    },
    NamedScope {
        name: "chain",
        purpose: "a replica of a replica, whose roles do not change",
        scope: CHAIN,
    },
    NamedScope {
        name: "databases",
        purpose: "a pair that saves and restarts, and clients that use two databases",
        scope: DATABASES,
    },
    NamedScope {
        name: "transactions",
        purpose: "a pair whose link is cut at any point of a transaction",
        scope: TRANSACTIONS,
    },
    NamedScope {
        name: "restart",
        purpose: "a replica of a replica, each of which restarts from its snapshot",
        scope: RESTART,
    },
    NamedScope {
        name: "restart-fan",
        purpose: "two replicas of one primary, each of which restarts from its snapshot: half a minute, with `--engine survey`",
        scope: RESTART_FAN,
    },
    NamedScope {
        name: "restart-lagging",
        purpose: "as `restart`, with a backlog of two commands: many minutes, with `--engine survey`",
        scope: RESTART_LAGGING,
    },
    NamedScope {
        name: "handover",
        purpose: "two nodes that change roles, within transactions too",
        scope: HANDOVER,
    },
    NamedScope {
        name: "succession",
        purpose: "two nodes that change roles, and clients that use two databases",
        scope: SUCCESSION,
    },
    NamedScope {
        name: "fan",
        purpose: "two replicas of one primary, which share its snapshots",
        scope: FAN,
    },
    NamedScope {
        name: "failover",
        purpose: "two nodes that are promoted and demoted at any moment",
        scope: Scope {
            acknowledgements: false,
            roles: true,
            stranger: true,
            ..BARE
        },
    },
    NamedScope {
        name: "role-restarts",
        purpose: "two nodes that die and start again, in the same role or another, and are promoted and demoted",
        scope: Scope {
            acknowledgements: false,
            roles: true,
            role_restarts: true,
            restarts: true,
            expiry: true,
            ..BARE
        },
    },
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
            databases: self.databases,
            mutant: None,
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
            Step::Acknowledge { .. } => self.acknowledgements || self.sockets,
            Step::Promote { .. } | Step::Follow { .. } => self.roles,
            Step::RestartAsPrimary { .. } | Step::RestartAsReplica { .. } => self.role_restarts,
            Step::AnswerWithError { .. } => self.errors,
            Step::FailLoad { .. } => self.load_failures,
            Step::ResizeBacklog { .. } => self.resizes,
            Step::WriteElsewhere { .. } => self.databases,
            Step::Transact { .. } => self.transactions,
            Step::FollowInTransaction { .. } => self.transactions && self.roles,
            _ => true,
        }
    }

    /// Whether a step that takes part can come now: nothing does before a loss that must be noticed at once.
    pub fn has_time_for(&self, world: &World, step: Step) -> bool {
        let notices = matches!(
            step,
            Step::PrimaryNoticesLoss { .. } | Step::ReplicaNoticesLoss { .. }
        );
        let mut replicas = world.node_ids();
        !self.prompt || notices || replicas.all(|replica| world.link(replica).wire != Wire::Cut)
    }

    /// Whether a canonical world lies inside.
    pub fn admits(&self, world: &World) -> bool {
        self.admits_writes(world, world.writes_in_use().newest())
    }

    /// The same, for a world that tells so many writes apart.
    pub fn admits_writes(&self, world: &World, writes: WriteNumber) -> bool {
        let countable = writes < MAX_WRITES;
        let mut histories = world.named_histories().iter();
        countable
            && histories.all(|history| history.tokens.len() <= self.lag_commands)
            && self.admits_links(world)
    }

    /// Whether there is room for one more step on every link, and no older connection that has no place here.
    fn admits_links(&self, world: &World) -> bool {
        // A step adds a write with its SELECT, or its brackets; where it has neither, no room is kept for it.
        let select = usize::from(self.databases);
        let write = if self.transactions {
            TRANSACTION
        } else {
            select
        };
        let room = select + write;
        let fits = |link: &Link| {
            let sendable = link.stream.tokens.len() + room <= MAX_TOKENS;
            sendable && (self.stale || link.stale.is_none())
        };
        let any_fits = self.stale && room == 0;
        any_fits || world.node_ids().all(|replica| fits(world.link(replica)))
    }

    /// What nothing will ever read again in this scope:
    ///
    /// * where nobody restarts, the snapshot files;
    /// * where roles do not change, the name, the numbering and the backlog of a replica without replicas;
    /// * the secondary ID of a node without backlog, if the birth of the next one clears it; and the name it has
    ///   left when it follows nothing either.
    ///
    /// Only the nodes among `changed` are asked about: at the others it was forgotten before.
    pub fn unseen(&self, world: &World, changed: Parts, book: &Rulebook) -> Unseen {
        let nobody_restarts = !self.restarts && !self.role_restarts;
        let birth_clears = book.backlog_birth == BacklogBirth::FreshId;
        let mut unseen = Unseen::default();
        for node in changed.nodes() {
            let (own, bit) = (world.node(node), 1 << node as u8);
            if nobody_restarts && own.saved.is_some() {
                unseen.saved |= bit;
            }
            let cleared = birth_clears && own.backlog.is_none();
            if cleared && own.secondary.is_some() {
                unseen.secondary |= bit;
            }
            if own.role != Role::Primary && own.has_own_history() {
                let nameless = cleared && own.following.is_none();
                if nameless || self.remains_leaf(world, node) {
                    unseen.own_history |= bit;
                }
            }
        }
        unseen
    }

    /// Whether nobody follows a node, nor ever will. After most steps that is not asked: so it stays out of the way.
    #[inline(never)]
    fn remains_leaf(&self, world: &World, node: NodeId) -> bool {
        let fixed = !self.roles && !self.role_restarts;
        fixed && world.replicas_of(node).next().is_none()
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
