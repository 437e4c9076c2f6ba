//! A step: a rule with what it is applied to. Steps name nodes, never IDs or offsets, so that a plan made
//! of them means the same in every world that differs only in names and numbers.

use crate::decision::{Refusal, Via};
use crate::rules::{Setting, environment, primary, replica};
use crate::world::{Framing, NodeId, Question, World};
use serde::{Deserialize, Serialize};

/// One rule, applied to something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "rule", rename_all = "kebab-case")]
pub enum Step {
    /// See [`environment::write`].
    Write {
        /// The primary written to.
        node: NodeId,
    },
    /// See [`primary::ping`].
    Ping {
        /// The primary that sends it.
        node: NodeId,
    },
    /// See [`environment::cut_link`].
    CutLink {
        /// The replica whose link it is.
        replica: NodeId,
    },
    /// See [`environment::save`].
    Save {
        /// The node that saves.
        node: NodeId,
    },
    /// See [`environment::restart_primary`].
    RestartPrimary {
        /// The node that dies and starts again.
        node: NodeId,
    },
    /// See [`environment::restart_replica`].
    RestartReplica {
        /// The node that dies and starts again.
        replica: NodeId,
    },
    /// See [`environment::expire_backlog`].
    ExpireBacklog {
        /// The primary whose backlog it is.
        node: NodeId,
    },
    /// See [`environment::stranger_asks`].
    StrangerAsks {
        /// The primary asked.
        node: NodeId,
        /// What is asked.
        question: Question,
    },
    /// See [`environment::stranger_leaves`].
    StrangerLeaves {
        /// The primary that was asked.
        node: NodeId,
    },
    /// See [`primary::accept_partial`].
    AcceptPartial {
        /// The replica answered.
        replica: NodeId,
        /// The name it used.
        via: Via,
    },
    /// See [`primary::decline_partial`].
    DeclinePartial {
        /// The replica answered.
        replica: NodeId,
        /// Why.
        refusal: Refusal,
    },
    /// See [`primary::start_snapshot`].
    StartSnapshot {
        /// The primary.
        node: NodeId,
        /// How it will be sent.
        framing: Framing,
    },
    /// See [`primary::attach_to_snapshot`].
    AttachToSnapshot {
        /// The replica that joins.
        replica: NodeId,
    },
    /// See [`primary::finish_snapshot`].
    FinishSnapshot {
        /// The primary.
        node: NodeId,
    },
    /// See [`primary::fail_snapshot`].
    FailSnapshot {
        /// The primary.
        node: NodeId,
        /// How it was to be sent.
        framing: Framing,
    },
    /// See [`primary::receive_acknowledgement`].
    ReceiveAcknowledgement {
        /// The replica that sent it.
        replica: NodeId,
    },
    /// See [`primary::primary_notices_loss`].
    PrimaryNoticesLoss {
        /// The replica that is gone.
        replica: NodeId,
    },
    /// See [`primary::primary_notices_stale`].
    PrimaryNoticesStale {
        /// The replica whose older connection is gone.
        replica: NodeId,
    },
    /// See [`replica::ask`].
    Ask {
        /// The replica that asks.
        replica: NodeId,
    },
    /// See [`replica::receive_continue`].
    ReceiveContinue {
        /// The replica.
        replica: NodeId,
    },
    /// See [`replica::receive_full_resync`].
    ReceiveFullResync {
        /// The replica.
        replica: NodeId,
    },
    /// See [`replica::receive_snapshot`].
    ReceiveSnapshot {
        /// The replica.
        replica: NodeId,
    },
    /// See [`replica::read_head`].
    ReadHead {
        /// The replica.
        replica: NodeId,
    },
    /// See [`replica::apply`].
    Apply {
        /// The replica.
        replica: NodeId,
    },
    /// See [`replica::acknowledge`].
    Acknowledge {
        /// The replica.
        replica: NodeId,
    },
    /// See [`replica::replica_notices_loss`].
    ReplicaNoticesLoss {
        /// The replica.
        replica: NodeId,
    },
}

/// Who brings a step about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Actor {
    /// A server, by itself or on what has reached it.
    Node(NodeId),
    /// Clients, operators, the network.
    Environment,
}

impl Step {
    /// Every step there is, in a fixed order; the rules themselves say which apply.
    pub fn all() -> Vec<Self> {
        let mut steps = Vec::new();
        for node in NodeId::ALL {
            let replica = node;
            steps.extend([
                Self::Write { node },
                Self::Ping { node },
                Self::CutLink { replica },
            ]);
            steps.extend([
                Self::Save { node },
                Self::RestartPrimary { node },
                Self::RestartReplica { replica },
            ]);
            steps.extend([Self::ExpireBacklog { node }, Self::StrangerLeaves { node }]);
            steps.extend(Question::ALL.map(|question| Self::StrangerAsks { node, question }));
            steps.extend(VIAS.map(|via| Self::AcceptPartial { replica, via }));
            steps.extend(REFUSALS.map(|refusal| Self::DeclinePartial { replica, refusal }));
            steps.extend(Framing::ALL.map(|framing| Self::StartSnapshot { node, framing }));
            steps.extend([
                Self::AttachToSnapshot { replica },
                Self::FinishSnapshot { node },
            ]);
            steps.extend(Framing::ALL.map(|framing| Self::FailSnapshot { node, framing }));
            steps.extend([
                Self::ReceiveAcknowledgement { replica },
                Self::PrimaryNoticesLoss { replica },
            ]);
            steps.extend([Self::PrimaryNoticesStale { replica }, Self::Ask { replica }]);
            steps.extend([
                Self::ReceiveContinue { replica },
                Self::ReceiveFullResync { replica },
            ]);
            steps.extend([
                Self::ReceiveSnapshot { replica },
                Self::ReadHead { replica },
                Self::Apply { replica },
            ]);
            steps.extend([
                Self::Acknowledge { replica },
                Self::ReplicaNoticesLoss { replica },
            ]);
        }
        steps
    }

    /// The world after this step, or `None` where the rule does not apply or changes nothing.
    pub fn apply(self, world: &World, setting: &Setting) -> Option<World> {
        if world.stranger.is_some() && !matches!(self, Self::StrangerLeaves { .. }) {
            return None;
        }
        self.rule(world, setting).filter(|next| next != world)
    }

    fn rule(self, world: &World, setting: &Setting) -> Option<World> {
        match self {
            Self::Write { node } => environment::write(world, setting, node),
            Self::CutLink { replica } => environment::cut_link(world, replica),
            Self::Save { node } => environment::save(world, setting, node),
            Self::RestartPrimary { node } => environment::restart_primary(world, setting, node),
            Self::RestartReplica { replica } => environment::restart_replica(world, replica),
            Self::ExpireBacklog { node } => environment::expire_backlog(world, setting, node),
            Self::StrangerAsks { node, question } => {
                environment::stranger_asks(world, setting, node, question)
            }
            Self::StrangerLeaves { node } => environment::stranger_leaves(world, node),
            Self::AcceptPartial { replica, via } => {
                primary::accept_partial(world, setting, replica, via)
            }
            Self::DeclinePartial { replica, refusal } => {
                primary::decline_partial(world, setting, replica, refusal)
            }
            Self::StartSnapshot { node, framing } => {
                primary::start_snapshot(world, setting, node, framing)
            }
            Self::AttachToSnapshot { replica } => {
                primary::attach_to_snapshot(world, setting, replica)
            }
            Self::FinishSnapshot { node } => primary::finish_snapshot(world, setting, node),
            Self::FailSnapshot { node, framing } => {
                primary::fail_snapshot(world, setting, node, framing)
            }
            Self::ReceiveAcknowledgement { replica } => {
                primary::receive_acknowledgement(world, setting, replica)
            }
            Self::Ping { node } => primary::ping(world, setting, node),
            Self::PrimaryNoticesLoss { replica } => {
                primary::primary_notices_loss(world, setting, replica)
            }
            Self::PrimaryNoticesStale { replica } => {
                primary::primary_notices_stale(world, setting, replica)
            }
            Self::Ask { replica } => replica::ask(world, setting, replica),
            Self::ReceiveContinue { replica } => replica::receive_continue(world, setting, replica),
            Self::ReceiveFullResync { replica } => {
                replica::receive_full_resync(world, setting, replica)
            }
            Self::ReceiveSnapshot { replica } => replica::receive_snapshot(world, setting, replica),
            Self::ReadHead { replica } => replica::read_head(world, setting, replica),
            Self::Apply { replica } => replica::apply(world, setting, replica),
            Self::Acknowledge { replica } => replica::acknowledge(world, setting, replica),
            Self::ReplicaNoticesLoss { replica } => {
                replica::replica_notices_loss(world, setting, replica)
            }
        }
    }

    /// Who brings the step about.
    pub const fn actor(self) -> Actor {
        match self {
            Self::Write { .. }
            | Self::CutLink { .. }
            | Self::Save { .. }
            | Self::RestartPrimary { .. }
            | Self::RestartReplica { .. }
            | Self::ExpireBacklog { .. }
            | Self::StrangerAsks { .. }
            | Self::StrangerLeaves { .. } => Actor::Environment,
            Self::AcceptPartial { .. }
            | Self::DeclinePartial { .. }
            | Self::StartSnapshot { .. }
            | Self::AttachToSnapshot { .. }
            | Self::FinishSnapshot { .. }
            | Self::FailSnapshot { .. }
            | Self::ReceiveAcknowledgement { .. }
            | Self::Ping { .. }
            | Self::PrimaryNoticesLoss { .. }
            | Self::PrimaryNoticesStale { .. } => Actor::Node(NodeId::Primary),
            Self::Ask { .. }
            | Self::ReceiveContinue { .. }
            | Self::ReceiveFullResync { .. }
            | Self::ReceiveSnapshot { .. }
            | Self::ReadHead { .. }
            | Self::Apply { .. }
            | Self::Acknowledge { .. }
            | Self::ReplicaNoticesLoss { .. } => Actor::Node(NodeId::Replica),
        }
    }

    /// Whether the step belongs to a network and servers that have come to rest: no client writes, nothing
    /// breaks, nobody restarts, and what a cut left behind is still noticed and repaired.
    pub const fn is_calm(self) -> bool {
        matches!(self.actor(), Actor::Node(_))
            && !matches!(self, Self::Ping { .. } | Self::FailSnapshot { .. })
    }

    /// The rule's name, as traces and reports print it.
    pub fn rule_name(self) -> &'static str {
        match self {
            Self::Write { .. } => "write",
            Self::Ping { .. } => "ping",
            Self::CutLink { .. } => "cut-link",
            Self::Save { .. } => "save",
            Self::RestartPrimary { .. } => "restart-primary",
            Self::RestartReplica { .. } => "restart-replica",
            Self::ExpireBacklog { .. } => "expire-backlog",
            Self::StrangerAsks { .. } => "stranger-asks",
            Self::StrangerLeaves { .. } => "stranger-leaves",
            Self::AcceptPartial { .. } => "accept-partial",
            Self::DeclinePartial { .. } => "decline-partial",
            Self::StartSnapshot { .. } => "start-snapshot",
            Self::AttachToSnapshot { .. } => "attach-to-snapshot",
            Self::FinishSnapshot { .. } => "finish-snapshot",
            Self::FailSnapshot { .. } => "fail-snapshot",
            Self::ReceiveAcknowledgement { .. } => "receive-acknowledgement",
            Self::PrimaryNoticesLoss { .. } => "primary-notices-loss",
            Self::PrimaryNoticesStale { .. } => "primary-notices-stale",
            Self::Ask { .. } => "ask",
            Self::ReceiveContinue { .. } => "receive-continue",
            Self::ReceiveFullResync { .. } => "receive-full-resync",
            Self::ReceiveSnapshot { .. } => "receive-snapshot",
            Self::ReadHead { .. } => "read-head",
            Self::Apply { .. } => "apply",
            Self::Acknowledge { .. } => "acknowledge",
            Self::ReplicaNoticesLoss { .. } => "replica-notices-loss",
        }
    }

    /// The branch of the rule's decision, where it has one.
    pub fn branch(self) -> Option<&'static str> {
        Some(match self {
            Self::AcceptPartial {
                via: Via::Current, ..
            } => "current",
            Self::AcceptPartial {
                via: Via::Secondary,
                ..
            } => "secondary",
            Self::AcceptPartial {
                via: Via::Unchecked,
                ..
            } => "unchecked",
            Self::DeclinePartial { refusal, .. } => match refusal {
                Refusal::NoLabel => "no-label",
                Refusal::UnknownId => "unknown-id",
                Refusal::BeyondSecondary => "beyond-secondary",
                Refusal::NoBacklog => "no-backlog",
                Refusal::TooOld => "too-old",
                Refusal::TooNew => "too-new",
            },
            Self::StartSnapshot { framing, .. } | Self::FailSnapshot { framing, .. } => {
                match framing {
                    Framing::Disk => "disk",
                    Framing::Socket => "socket",
                }
            }
            Self::StrangerAsks { question, .. } => match question {
                Question::BelowFirst => "below-first",
                Question::First => "first",
                Question::JustAfterLast => "just-after-last",
                Question::OneBeyond => "one-beyond",
                Question::SecondaryFirst => "secondary-first",
                Question::SecondaryLimit => "secondary-limit",
                Question::SecondaryBeyond => "secondary-beyond",
                Question::ForeignId => "foreign-id",
            },
            _ => return None,
        })
    }
}

/// Rule and branch, as `accept-partial/current`.
impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.rule_name())?;
        self.branch()
            .map_or(Ok(()), |branch| write!(f, "/{branch}"))
    }
}

const VIAS: [Via; 3] = [Via::Current, Via::Secondary, Via::Unchecked];

const REFUSALS: [Refusal; 6] = [
    Refusal::NoLabel,
    Refusal::UnknownId,
    Refusal::BeyondSecondary,
    Refusal::NoBacklog,
    Refusal::TooOld,
    Refusal::TooNew,
];
