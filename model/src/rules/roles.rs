//! Roles change: a replica is promoted, a primary is demoted, a replica gets another primary. All of it is one
//! command, `REPLICAOF`, and may come at any moment, during a transfer too.

use crate::decision::secondary_limit;
use crate::history::History;
use crate::offset::ReplOffset;
use crate::rulebook::{
    Demoted, Demotion, PromotedBacklog, Promotion, RoleNumbering, SelectAfterPromotion,
    TransactionEnd,
};
use crate::rules::primary::{close_link, disconnect_replicas};
use crate::rules::stream::execute;
use crate::rules::{Guard, Setting};
use crate::token::{Begun, COMMAND_UNITS, Database, Token};
use crate::world::{Id, NodeId, Role, Secondary, World};

/// A replica becomes a primary: `REPLICAOF NO ONE`. What it had read and not applied is lost.
///
/// Source: `PROTOCOL §3.7-4`, `PROTOCOL §4.6`; `replicationUnsetMaster`, `shiftReplicationId`, Redis 2.6 to 7.2.
pub fn promote(world: &World, next: &mut World, setting: &Setting, node: NodeId) -> Option<()> {
    setting.requires(Guard::PromoteReplica, !world.is_primary(node))?;

    close_link(next, setting, node);
    next.node_mut(node).role = Role::Primary;
    leave_stream(next, setting, node);
    match setting.book.promotion {
        Promotion::KeepsRunId => keep_run_id(next, setting, node),
        Promotion::ShiftsId => {
            disconnect_replicas(next, setting, node);
            shift_id(world, next, setting, node);
        }
        Promotion::KeepsId => disconnect_replicas(next, setting, node),
        Promotion::ForgetsFormerId => {
            disconnect_replicas(next, setting, node);
            shift_id(world, next, setting, node);
            next.node_mut(node).secondary = None;
        }
    }
    let own = next.node_mut(node);
    own.following = None;
    if setting.book.promoted_backlog == PromotedBacklog::Freed {
        own.backlog = None;
        own.id = Id::ANONYMOUS;
        own.secondary = None;
    }
    Some(())
}

/// A promoted replica reads no stream any more, and writes one.
fn leave_stream(next: &mut World, setting: &Setting, node: NodeId) {
    let own = next.node_mut(node);
    own.stream_database = match setting.book.select_after_promotion {
        SelectAfterPromotion::Again => None,
        SelectAfterPromotion::OwnStreamGoesOn => own.stream_database,
        SelectAfterPromotion::OnChange => setting.databases.then_some(own.selected),
    };
    own.begun = Begun::NOTHING;
    own.selected = Database::First;
}

/// To 3.2 the run ID stays, and so do the replicas. Without any there is no use for a backlog.
fn keep_run_id(next: &mut World, setting: &Setting, node: NodeId) {
    if next.connections_of(node).next().is_some() {
        return;
    }
    let own = next.node_mut(node);
    own.backlog = None;
    if let (RoleNumbering::StartsAgain, Some(label)) = (setting.book.role_numbering, own.following)
    {
        own.offset = label.offset;
    }
}

/// The history goes on under a fresh ID; the old one becomes the secondary. Without a backlog the fresh ID is
/// one that nobody can know, and the secondary is of no use: the next backlog clears it.
fn shift_id(world: &World, next: &mut World, setting: &Setting, node: NodeId) {
    let own = *next.node(node);
    if own.id == Id::ANONYMOUS {
        return;
    }
    let id = if own.backlog.is_some() {
        let past = next
            .history(own.id)
            .map_or_else(History::default, |history| history.up_to(own.offset));
        next.name_history(world, past)
    } else {
        Id::ANONYMOUS
    };
    let promoted = next.node_mut(node);
    promoted.id = id;
    promoted.secondary = Some(Secondary {
        id: own.id,
        limit: secondary_limit(&setting.book, own.offset.wide()).narrow(),
    });
}

/// A node is told to follow another: `REPLICAOF`. A primary is demoted by it, a replica gets another primary.
/// Who that is, is not looked at: two nodes may follow each other.
///
/// Source: `PROTOCOL §4.2`, `PROTOCOL §4.6`; `replicationSetMaster`, `replicationCacheMasterUsingMyself`, Redis 2.6 to 7.2.
pub fn follow(
    world: &World,
    next: &mut World,
    setting: &Setting,
    node: NodeId,
    parent: NodeId,
) -> Option<()> {
    setting.requires(Guard::FollowAnother, node != parent)?;
    setting.requires(Guard::FollowNew, world.parent(node) != Some(parent))?;

    close_link(next, setting, node);
    next.node_mut(node).role = Role::ReplicaOf(parent);
    next.node_mut(node).begun = Begun::NOTHING;
    if setting.book.demoted == Demoted::CutsReplicas {
        disconnect_replicas(next, setting, node);
    }
    let own = next.node_mut(node);
    if setting.book.demotion == Demotion::ForgetsLabel {
        own.following = None;
        own.selected = Database::First;
        own.backlog = None;
        if setting.book.role_numbering == RoleNumbering::StartsAgain {
            own.offset = ReplOffset(0);
        }
        return Some(());
    }
    if world.is_primary(node) {
        own.following = (own.id != Id::ANONYMOUS).then(|| own.label());
    }
    if setting.book.demotion == Demotion::KeepsLabelLosesOffset && own.following.is_some() {
        own.offset = own.offset.plus(-COMMAND_UNITS);
    }
    Some(())
}

/// The last command of a client's transaction tells its primary to follow another: MULTI, a write, `REPLICAOF`, EXEC. What
/// the primary wrote before it stopped being one is a whole transaction.
///
/// Source: `PROTOCOL §4.6`; `execCommand`, Redis 4.0 to 7.2.
pub fn follow_in_transaction(
    world: &World,
    next: &mut World,
    setting: &Setting,
    node: NodeId,
    parent: NodeId,
) -> Option<()> {
    setting.requires(Guard::FollowFromPrimary, world.is_primary(node))?;

    let write = Token::Write(world.next_write());
    let mut say = |commands: &[Token]| execute(next, setting, node, commands);
    match setting.book.transaction_end {
        TransactionEnd::Exec => say(&[Token::Multi, write, Token::Exec]),
        TransactionEnd::Missing => say(&[Token::Multi, write]),
        TransactionEnd::Unsaid => {
            let own = next.node_mut(node);
            own.data = own.data.after(write);
        }
    }
    let written = *next;
    follow(&written, next, setting, node, parent)
}
