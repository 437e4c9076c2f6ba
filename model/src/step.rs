//! A step: a rule with what it is applied to. Steps name nodes, never IDs or offsets, so that a plan made
//! of them means the same in every world that differs only in names and numbers. The file is long because it goes
//! through all rules once for each thing there is to say of a step: who brings it about, what it is called, whom it names.

use crate::decision::{Refusal, Via};
use crate::rules::{
    Guard, Setting, environment, primary, process, replica, roles, snapshot, stranger,
};
use crate::world::{ErrorReply, Framing, NodeId, Question, Topology, World};
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
    /// See [`environment::write_elsewhere`].
    WriteElsewhere {
        /// The primary written to.
        node: NodeId,
    },
    /// See [`environment::transact`].
    Transact {
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
    /// See [`process::save`].
    Save {
        /// The node that saves.
        node: NodeId,
    },
    /// See [`process::restart_primary`].
    RestartPrimary {
        /// The node that dies and starts again.
        node: NodeId,
    },
    /// See [`process::restart_replica`].
    RestartReplica {
        /// The node that dies and starts again.
        replica: NodeId,
    },
    /// See [`environment::expire_backlog`].
    ExpireBacklog {
        /// The primary whose backlog it is.
        node: NodeId,
    },
    /// See [`stranger::stranger_asks`].
    StrangerAsks {
        /// The primary asked.
        node: NodeId,
        /// What is asked.
        question: Question,
    },
    /// See [`stranger::stranger_leaves`].
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
    /// See [`snapshot::start_snapshot`].
    StartSnapshot {
        /// The primary.
        node: NodeId,
        /// How it will be sent.
        framing: Framing,
    },
    /// See [`snapshot::attach_to_snapshot`].
    AttachToSnapshot {
        /// The replica that joins.
        replica: NodeId,
    },
    /// See [`snapshot::finish_snapshot`].
    FinishSnapshot {
        /// The primary.
        node: NodeId,
    },
    /// See [`snapshot::fail_snapshot`].
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
    /// See [`roles::promote`].
    Promote {
        /// The replica that becomes a primary.
        node: NodeId,
    },
    /// See [`roles::follow`].
    Follow {
        /// The node that is told to follow.
        node: NodeId,
        /// Whom.
        parent: NodeId,
    },
    /// See [`roles::follow_in_transaction`].
    FollowInTransaction {
        /// The primary that is told to follow.
        node: NodeId,
        /// Whom.
        parent: NodeId,
    },
    /// See [`process::restart_as_primary`].
    RestartAsPrimary {
        /// The replica that dies and starts again as a primary.
        node: NodeId,
    },
    /// See [`process::restart_as_replica`].
    RestartAsReplica {
        /// The primary that dies and starts again as a replica.
        node: NodeId,
        /// Of whom.
        parent: NodeId,
    },
    /// See [`environment::resize_backlog`].
    ResizeBacklog {
        /// The node whose backlog it is.
        node: NodeId,
    },
    /// See [`environment::answer_with_error`].
    AnswerWithError {
        /// The replica whose request it is.
        replica: NodeId,
        /// Which error.
        kind: ErrorReply,
    },
    /// See [`primary::refuse_for_now`].
    RefuseForNow {
        /// The replica refused.
        replica: NodeId,
    },
    /// See [`replica::receive_error`].
    ReceiveError {
        /// The replica.
        replica: NodeId,
    },
    /// See [`replica::fail_load`].
    FailLoad {
        /// The replica.
        replica: NodeId,
    },
}

/// The part in which somebody brings a step about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// A node, for its replicas.
    Primary,
    /// A node, about its primary.
    Replica,
    /// Clients, operators, the network.
    Environment,
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
    /// Every step there is among the nodes of a topology, in a fixed order; the rules themselves say which apply.
    pub fn among(topology: Topology) -> Vec<Self> {
        let nodes = NodeId::ALL.into_iter().take(topology.nodes());
        let mut steps = Vec::new();
        for node in nodes.clone() {
            let replica = node;
            steps.extend([
                Self::Write { node },
                Self::Ping { node },
                Self::CutLink { replica },
            ]);
            steps.extend([Self::WriteElsewhere { node }, Self::Transact { node }]);
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
            steps.extend(Self::of_roles(
                node,
                nodes.clone().filter(|&other| other != node),
            ));
            steps.extend(Self::of_errors(node));
        }
        steps
    }

    fn of_roles(node: NodeId, others: impl Iterator<Item = NodeId>) -> Vec<Self> {
        let mut steps = vec![Self::Promote { node }, Self::RestartAsPrimary { node }];
        for parent in others {
            steps.push(Self::Follow { node, parent });
            steps.push(Self::FollowInTransaction { node, parent });
            steps.push(Self::RestartAsReplica { node, parent });
        }
        steps
    }

    fn of_errors(node: NodeId) -> Vec<Self> {
        let replica = node;
        let mut steps = vec![
            Self::ResizeBacklog { node },
            Self::RefuseForNow { replica },
            Self::ReceiveError { replica },
            Self::FailLoad { replica },
        ];
        steps.extend(ErrorReply::ALL.map(|kind| Self::AnswerWithError { replica, kind }));
        steps
    }

    /// The world after this step, or `None` where the rule does not apply or changes nothing.
    pub fn apply(self, world: &World, setting: &Setting) -> Option<World> {
        self.outcome(world, setting).filter(|next| next != world)
    }

    /// The world after this step, which may be the same, or `None` where the rule does not apply.
    pub fn outcome(self, world: &World, setting: &Setting) -> Option<World> {
        let mut next = *world;
        self.change(world, &mut next, setting)?;
        Some(next)
    }

    /// Makes of `next`, which is the world before, the world after this step. Answers `None` where the rule does not
    /// apply; what it has touched by then has to be put back.
    pub fn change(self, world: &World, next: &mut World, setting: &Setting) -> Option<()> {
        let undisturbed = world.stranger.is_none() || matches!(self, Self::StrangerLeaves { .. });
        setting.requires(Guard::StrangerHasGone, undisturbed)?;
        self.rule(world, next, setting)
    }

    fn rule(self, world: &World, next: &mut World, setting: &Setting) -> Option<()> {
        let (w, n, s) = (world, next, setting);
        match self {
            Self::Write { node } => environment::write(w, n, s, node),
            Self::WriteElsewhere { node } => environment::write_elsewhere(w, n, s, node),
            Self::Transact { node } => environment::transact(w, n, s, node),
            Self::FollowInTransaction { node, parent } => {
                roles::follow_in_transaction(w, n, s, node, parent)
            }
            Self::CutLink { replica } => environment::cut_link(w, n, s, replica),
            Self::Save { node } => process::save(w, n, s, node),
            Self::RestartPrimary { node } => process::restart_primary(w, n, s, node),
            Self::RestartReplica { replica } => process::restart_replica(w, n, s, replica),
            Self::ExpireBacklog { node } => environment::expire_backlog(w, n, s, node),
            Self::StrangerAsks { node, question } => {
                stranger::stranger_asks(w, n, s, node, question)
            }
            Self::StrangerLeaves { node } => stranger::stranger_leaves(w, n, s, node),
            Self::AcceptPartial { replica, via } => primary::accept_partial(w, n, s, replica, via),
            Self::DeclinePartial { replica, refusal } => {
                primary::decline_partial(w, n, s, replica, refusal)
            }
            Self::StartSnapshot { node, framing } => {
                snapshot::start_snapshot(w, n, s, node, framing)
            }
            Self::AttachToSnapshot { replica } => snapshot::attach_to_snapshot(w, n, s, replica),
            Self::FinishSnapshot { node } => snapshot::finish_snapshot(w, n, s, node),
            Self::FailSnapshot { node, framing } => snapshot::fail_snapshot(w, n, s, node, framing),
            Self::ReceiveAcknowledgement { replica } => {
                primary::receive_acknowledgement(w, n, s, replica)
            }
            Self::Ping { node } => primary::ping(w, n, s, node),
            Self::PrimaryNoticesLoss { replica } => primary::primary_notices_loss(w, n, s, replica),
            Self::PrimaryNoticesStale { replica } => {
                primary::primary_notices_stale(w, n, s, replica)
            }
            Self::Ask { replica } => replica::ask(w, n, s, replica),
            Self::ReceiveContinue { replica } => replica::receive_continue(w, n, s, replica),
            Self::ReceiveFullResync { replica } => replica::receive_full_resync(w, n, s, replica),
            Self::ReceiveSnapshot { replica } => replica::receive_snapshot(w, n, s, replica),
            Self::ReadHead { replica } => replica::read_head(w, n, s, replica),
            Self::Apply { replica } => replica::apply(w, n, s, replica),
            Self::Acknowledge { replica } => replica::acknowledge(w, n, s, replica),
            Self::ReplicaNoticesLoss { replica } => replica::replica_notices_loss(w, n, s, replica),
            Self::Promote { node } => roles::promote(w, n, s, node),
            Self::Follow { node, parent } => roles::follow(w, n, s, node, parent),
            Self::RestartAsPrimary { node } => process::restart_as_primary(w, n, s, node),
            Self::RestartAsReplica { node, parent } => {
                process::restart_as_replica(w, n, s, node, parent)
            }
            Self::ResizeBacklog { node } => environment::resize_backlog(w, n, s, node),
            Self::AnswerWithError { replica, kind } => {
                environment::answer_with_error(w, n, replica, kind)
            }
            Self::RefuseForNow { replica } => primary::refuse_for_now(w, n, s, replica),
            Self::ReceiveError { replica } => replica::receive_error(w, n, s, replica),
            Self::FailLoad { replica } => replica::fail_load(w, n, s, replica),
        }
    }

    /// In which part somebody brings the step about.
    pub const fn part(self) -> Part {
        match self {
            Self::Write { .. }
            | Self::WriteElsewhere { .. }
            | Self::Transact { .. }
            | Self::FollowInTransaction { .. }
            | Self::CutLink { .. }
            | Self::Save { .. }
            | Self::RestartPrimary { .. }
            | Self::RestartReplica { .. }
            | Self::RestartAsPrimary { .. }
            | Self::RestartAsReplica { .. }
            | Self::ExpireBacklog { .. }
            | Self::ResizeBacklog { .. }
            | Self::Promote { .. }
            | Self::Follow { .. }
            | Self::AnswerWithError { .. }
            | Self::StrangerAsks { .. }
            | Self::StrangerLeaves { .. } => Part::Environment,
            Self::AcceptPartial { .. }
            | Self::DeclinePartial { .. }
            | Self::RefuseForNow { .. }
            | Self::StartSnapshot { .. }
            | Self::AttachToSnapshot { .. }
            | Self::FinishSnapshot { .. }
            | Self::FailSnapshot { .. }
            | Self::ReceiveAcknowledgement { .. }
            | Self::Ping { .. }
            | Self::PrimaryNoticesLoss { .. }
            | Self::PrimaryNoticesStale { .. } => Part::Primary,
            Self::Ask { .. }
            | Self::ReceiveContinue { .. }
            | Self::ReceiveFullResync { .. }
            | Self::ReceiveError { .. }
            | Self::ReceiveSnapshot { .. }
            | Self::FailLoad { .. }
            | Self::ReadHead { .. }
            | Self::Apply { .. }
            | Self::Acknowledge { .. }
            | Self::ReplicaNoticesLoss { .. } => Part::Replica,
        }
    }

    /// The node the step names: the one it happens to, or the replica whose link it is about.
    pub const fn node(self) -> NodeId {
        match self {
            Self::Write { node }
            | Self::WriteElsewhere { node }
            | Self::Transact { node }
            | Self::FollowInTransaction { node, .. }
            | Self::Ping { node }
            | Self::Save { node }
            | Self::RestartPrimary { node }
            | Self::RestartAsPrimary { node }
            | Self::RestartAsReplica { node, .. }
            | Self::ExpireBacklog { node }
            | Self::ResizeBacklog { node }
            | Self::Promote { node }
            | Self::Follow { node, .. }
            | Self::StrangerAsks { node, .. }
            | Self::StrangerLeaves { node }
            | Self::StartSnapshot { node, .. }
            | Self::FinishSnapshot { node }
            | Self::FailSnapshot { node, .. }
            | Self::CutLink { replica: node }
            | Self::RestartReplica { replica: node }
            | Self::AnswerWithError { replica: node, .. }
            | Self::AcceptPartial { replica: node, .. }
            | Self::DeclinePartial { replica: node, .. }
            | Self::RefuseForNow { replica: node }
            | Self::AttachToSnapshot { replica: node }
            | Self::ReceiveAcknowledgement { replica: node }
            | Self::PrimaryNoticesLoss { replica: node }
            | Self::PrimaryNoticesStale { replica: node }
            | Self::Ask { replica: node }
            | Self::ReceiveContinue { replica: node }
            | Self::ReceiveFullResync { replica: node }
            | Self::ReceiveError { replica: node }
            | Self::ReceiveSnapshot { replica: node }
            | Self::FailLoad { replica: node }
            | Self::ReadHead { replica: node }
            | Self::Apply { replica: node }
            | Self::Acknowledge { replica: node }
            | Self::ReplicaNoticesLoss { replica: node } => node,
        }
    }

    /// Who brings the step about in a world it applies to.
    pub fn actor(self, world: &World) -> Actor {
        let node = self.node();
        match (self.part(), self) {
            (Part::Environment, _) => Actor::Environment,
            (Part::Replica, _) => Actor::Node(node),
            (
                Part::Primary,
                Self::Ping { .. }
                | Self::StartSnapshot { .. }
                | Self::FinishSnapshot { .. }
                | Self::FailSnapshot { .. },
            ) => Actor::Node(node),
            (Part::Primary, Self::PrimaryNoticesStale { .. }) => {
                let stale = world.link(node).stale;
                Actor::Node(stale.map_or(node, |stale| stale.at))
            }
            (Part::Primary, _) => Actor::Node(world.parent(node).unwrap_or(node)),
        }
    }

    /// Whether a process dies and starts again.
    pub const fn is_restart(self) -> bool {
        matches!(
            self,
            Self::RestartPrimary { .. }
                | Self::RestartReplica { .. }
                | Self::RestartAsPrimary { .. }
                | Self::RestartAsReplica { .. }
        )
    }

    /// Whether the step belongs to a network and servers that have come to rest: no client writes, nothing
    /// breaks, nobody restarts, and what a cut left behind is still noticed and repaired.
    pub const fn is_calm(self) -> bool {
        !matches!(self.part(), Part::Environment)
            && !matches!(
                self,
                Self::Ping { .. } | Self::FailSnapshot { .. } | Self::FailLoad { .. }
            )
    }

    /// The rule's name, as traces and reports print it.
    pub fn rule_name(self) -> &'static str {
        match self {
            Self::Write { .. } => "write",
            Self::WriteElsewhere { .. } => "write-elsewhere",
            Self::Transact { .. } => "transact",
            Self::FollowInTransaction { .. } => "follow-in-transaction",
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
            Self::Promote { .. } => "promote",
            Self::Follow { .. } => "follow",
            Self::RestartAsPrimary { .. } => "restart-as-primary",
            Self::RestartAsReplica { .. } => "restart-as-replica",
            Self::ResizeBacklog { .. } => "resize-backlog",
            Self::AnswerWithError { .. } => "answer-with-error",
            Self::RefuseForNow { .. } => "refuse-for-now",
            Self::ReceiveError { .. } => "receive-error",
            Self::FailLoad { .. } => "fail-load",
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
            Self::AnswerWithError { kind, .. } => match kind {
                ErrorReply::Transient => "transient",
                ErrorReply::Unexpected => "unexpected",
            },
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
