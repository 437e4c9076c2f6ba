//! What clients, operators and the network do: write, cut, let a backlog expire, get in the way of an answer.

use crate::rulebook::{BacklogExpiry, Resizing};
use crate::rules::stream::{begin_backlog, execute};
use crate::rules::{Guard, Setting};
use crate::token::Token;
use crate::world::{ErrorReply, Id, NodeId, Reply, Wire, World};

/// A client changes the data of a primary.
///
/// Source: `PROTOCOL §2.5`; `replicationFeedSlaves`, Redis 2.6 to 7.2.
pub fn write(world: &World, next: &mut World, setting: &Setting, node: NodeId) -> Option<()> {
    setting.requires(Guard::WriteToPrimary, world.is_primary(node))?;

    let write = Token::Write(world.next_write());
    execute(next, setting, node, &[write]);
    Some(())
}

/// A client changes the data of a primary in the other database.
///
/// Source: `PROTOCOL §2.5`; `replicationFeedSlaves`, Redis 2.6 to 7.2.
pub fn write_elsewhere(
    world: &World,
    next: &mut World,
    setting: &Setting,
    node: NodeId,
) -> Option<()> {
    setting.requires(Guard::WriteElsewhereToPrimary, world.is_primary(node))?;

    let write = Token::OtherWrite(world.next_write());
    execute(next, setting, node, &[write]);
    Some(())
}

/// A client changes the data of a primary by a transaction: nobody sees part of it.
///
/// Source: `PROTOCOL §2.5`; `execCommand`, `replicationFeedSlaves`, Redis 2.6 to 7.2.
pub fn transact(world: &World, next: &mut World, setting: &Setting, node: NodeId) -> Option<()> {
    setting.requires(Guard::TransactAtPrimary, world.is_primary(node))?;

    let write = Token::Write(world.next_write());
    execute(next, setting, node, &[Token::Multi, write, Token::Exec]);
    Some(())
}

/// The network loses a connection with everything on its way. Neither end knows yet.
///
/// Source: `PROTOCOL §4.5`; nothing in a server stands for it.
pub fn cut_link(world: &World, next: &mut World, setting: &Setting, replica: NodeId) -> Option<()> {
    setting.requires(Guard::CutWhole, world.link(replica).wire == Wire::Whole)?;

    let link = next.link_mut(replica);
    link.wire = Wire::Cut;
    link.lose_everything();
    Some(())
}

/// Time passes without any replica, and the primary frees its backlog; to 3.2 so does a replica that had
/// replicas of its own.
///
/// Source: `PROTOCOL §3.6`, `PROTOCOL §3.7-3`; `replicationCron`, `freeReplicationBacklog`, Redis 2.8 to 7.2.
pub fn expire_backlog(
    world: &World,
    next: &mut World,
    setting: &Setting,
    node: NodeId,
) -> Option<()> {
    let may_expire = world.is_primary(node) || !setting.book.names_histories();
    let unused = world.connections_of(node).next().is_none();
    setting.requires(Guard::ExpireHeld, world.node(node).backlog.is_some())?;
    setting.requires(Guard::ExpireAtPrimary, may_expire)?;
    setting.requires(Guard::ExpireUnused, unused)?;

    let own = next.node_mut(node);
    own.backlog = None;
    if setting.book.backlog_expiry == BacklogExpiry::ForgetsId {
        own.id = Id::ANONYMOUS;
        own.secondary = None;
    }
    Some(())
}

/// An operator sets the size of the backlog to another value and back.
///
/// Source: `PROTOCOL §3.6`; `resizeReplicationBacklog`, Redis 2.8 to 6.2.
pub fn resize_backlog(
    world: &World,
    next: &mut World,
    setting: &Setting,
    node: NodeId,
) -> Option<()> {
    let backlog = world.node(node).backlog?;
    setting.requires(
        Guard::ResizeDiscards,
        setting.book.resizing == Resizing::Discards,
    )?;
    setting.requires(Guard::ResizeOfContent, !backlog.tokens.is_empty())?;

    begin_backlog(next, node);
    Some(())
}

/// Something gets in the way of a request, and it is answered with an error: the server is still loading, an
/// access rule forbids the command, a proxy does not know it.
///
/// Source: `PROTOCOL §4.3`; `processCommand`, Redis 2.6 to 7.2.
pub fn answer_with_error(
    world: &World,
    next: &mut World,
    replica: NodeId,
    kind: ErrorReply,
) -> Option<()> {
    world.link(replica).request?;

    let link = next.link_mut(replica);
    link.request = None;
    link.reply = Some(Reply::Error(kind));
    Some(())
}
