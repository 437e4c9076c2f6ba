//! What a primary does for its replicas: answer, stream, notice. A replica that has replicas of its own does
//! all of it too. Snapshots are in [`super::snapshot`].

use crate::decision::{Answer, Refusal, Via, answer};
use crate::rulebook::{Chaining, FullLabel, OrphanedSnapshot, Pings};
use crate::rules::snapshot::{is_orphaned, joinable_snapshot};
use crate::rules::stream::{create_backlog, feed, trim};
use crate::rules::{Guard, Setting};
use crate::token::{COMMAND_UNITS, Token};
use crate::world::{
    Connection, ErrorReply, Link, NodeId, PrimaryPhase, Reply, Stream, Wire, World,
};

/// The primary still holds every byte the replica lacks: it answers `+CONTINUE` and sends them.
///
/// Source: `PROTOCOL §3.1`; `masterTryPartialResynchronization`, Redis 2.8 to 7.2.
pub fn accept_partial(
    world: &World,
    next: &mut World,
    setting: &Setting,
    replica: NodeId,
    via: Via,
) -> Option<()> {
    let (parent, answer) = answer_to(world, setting, replica)?;
    setting.requires(Guard::AcceptHeld, answer == Answer::Continue(via))?;

    let own = world.node(parent);
    let wanted = world.link(replica).request?.wanted?.1;
    let backlog = own.backlog?;
    let skipped = wanted
        .offset_before()
        .since(backlog.first.offset_before())
        .max(0);
    let link = next.link_mut(replica);
    link.request = None;
    link.primary = PrimaryPhase::Online;
    link.reply = Some(Reply::Continue(
        setting.book.names_histories().then_some(own.id),
    ));
    link.stream = Stream {
        tokens: backlog.tokens.suffix((skipped / COMMAND_UNITS) as usize),
        starts_with_tail: skipped % COMMAND_UNITS == 1 && wanted < own.offset.next_byte(),
    };
    Some(())
}

/// The primary cannot continue the replica: it will send a snapshot, and needs a backlog from here on.
///
/// Source: `PROTOCOL §3.2`; `syncCommand`, Redis 2.6 to 7.2.
pub fn decline_partial(
    world: &World,
    next: &mut World,
    setting: &Setting,
    replica: NodeId,
    refusal: Refusal,
) -> Option<()> {
    let (parent, answer) = answer_to(world, setting, replica)?;
    let alone = joinable_snapshot(world, setting, replica).is_none();
    setting.requires(Guard::DeclineLacking, answer == Answer::Full(refusal))?;
    setting.requires(Guard::DeclineUnjoined, alone)?;

    next.link_mut(replica).request = None;
    next.link_mut(replica).primary = PrimaryPhase::Waiting;
    if world.node(parent).backlog.is_none() {
        create_backlog(world, next, setting, parent);
    }
    if setting.book.full_label == FullLabel::AtRequest && !world.link(replica).with_sync {
        let label = next.node(parent).label();
        next.link_mut(replica).reply = Some(Reply::FullResync(label));
    }
    Some(())
}

/// What a node that serves answers to the request in hand.
pub fn answer_to(world: &World, setting: &Setting, replica: NodeId) -> Option<(NodeId, Answer)> {
    let parent = world.parent(replica)?;
    let request = world.link(replica).request?;
    setting.requires(Guard::AnswerServing, world.is_serving(parent))?;
    let standing = world.node(parent).standing(setting.backlog_commands);
    let wanted = request
        .wanted
        .map(|(id, byte)| (u64::from(id.0), byte.wide()));
    Some((parent, answer(&setting.book, &standing, wanted)))
}

/// A node that is itself a replica, and not connected to its primary, has nothing certain to offer:
/// `-NOMASTERLINK`.
///
/// Source: `PROTOCOL §2.3`, `PROTOCOL §4.4`; `syncCommand`, Redis 2.6 to 7.2.
pub fn refuse_for_now(
    world: &World,
    next: &mut World,
    setting: &Setting,
    replica: NodeId,
) -> Option<()> {
    let parent = world.parent(replica)?;
    world.link(replica).request?;
    setting.requires(Guard::RefuseUnserved, !world.is_serving(parent))?;

    let link = next.link_mut(replica);
    link.request = None;
    link.reply = Some(Reply::Error(ErrorReply::Transient));
    Some(())
}

/// An acknowledgement arrives. The first one after a snapshot that was sent directly opens the stream.
///
/// Source: `PROTOCOL §3.4`, `PROTOCOL §3.8`; `replconfCommand`, `replicaStartCommandStream`, Redis 2.8.18 to 7.2.
pub fn receive_acknowledgement(
    world: &World,
    next: &mut World,
    setting: &Setting,
    replica: NodeId,
) -> Option<()> {
    let parent = world.parent(replica)?;
    let link = world.link(replica);
    let offset = link.acknowledgement?;
    let sent = matches!(link.primary, PrimaryPhase::Held | PrimaryPhase::Online);
    setting.requires(Guard::HearAfterSnapshot, sent)?;

    let link = next.link_mut(replica);
    link.acknowledgement = None;
    link.acknowledged = link.acknowledged.max(Some(offset));
    link.unsent_from = None;
    link.primary = PrimaryPhase::Online;
    trim(next, setting, parent);
    Some(())
}

/// The primary sends a PING into the stream, so that replicas know it is there. A replica that passes a stream
/// on passes its primary's PINGs on, and adds none.
///
/// Source: `PROTOCOL §2.5`; `replicationCron`, Redis 2.6 to 7.2.
pub fn ping(world: &World, next: &mut World, setting: &Setting, node: NodeId) -> Option<()> {
    let writes = world.is_primary(node) || setting.book.chaining == Chaining::Regenerated;
    let attached = world.connections_of(node).next().is_some();
    let backlog = setting.book.pings == Pings::WithBacklog && world.node(node).backlog.is_some();
    setting.requires(Guard::PingOwnStream, writes)?;
    setting.requires(Guard::PingSomebody, attached || backlog)?;

    feed(next, setting, node, Token::Ping);
    Some(())
}

/// The primary notices that the connection is lost, and forgets it.
///
/// Source: `PROTOCOL §3.5`; `freeClient`, `replicationCron`, Redis 2.6 to 7.2.
pub fn primary_notices_loss(
    world: &World,
    next: &mut World,
    setting: &Setting,
    replica: NodeId,
) -> Option<()> {
    let parent = world.parent(replica)?;
    let link = world.link(replica);
    setting.requires(Guard::PrimaryNoticesCut, link.wire == Wire::Cut)?;
    setting.requires(
        Guard::PrimaryKnewReplica,
        link.primary != PrimaryPhase::None,
    )?;

    next.link_mut(replica).primary_forgets();
    let_go(next, setting, parent);
    Some(())
}

/// The primary notices that an older connection of the same replica is lost, and forgets it.
///
/// Source: `PROTOCOL §3.5`; `freeClient`, `replicationCron`, Redis 2.6 to 7.2.
pub fn primary_notices_stale(
    world: &World,
    next: &mut World,
    setting: &Setting,
    replica: NodeId,
) -> Option<()> {
    let stale = world.link(replica).stale?;

    next.link_mut(replica).stale = None;
    let_go(next, setting, stale.at);
    Some(())
}

/// What was kept or made only for a replica that is gone goes too.
///
/// Source: `PROTOCOL §3.4`, `PROTOCOL §3.6`; `freeClient`, `killRDBChild`, Redis 6.2 to 7.2.
pub fn let_go(next: &mut World, setting: &Setting, node: NodeId) {
    if setting.book.orphaned_snapshot == OrphanedSnapshot::GivenUp && is_orphaned(next, node) {
        next.node_mut(node).snapshot = None;
    }
    trim(next, setting, node);
}

/// The node disconnects all its replicas, in an orderly way: from then on it knows of none.
pub fn disconnect_replicas(next: &mut World, setting: &Setting, node: NodeId) {
    for replica in next.node_ids() {
        let connected = next.parent(replica) == Some(node);
        let link = next.link_mut(replica);
        if link.stale.is_some_and(|stale| stale.at == node) {
            link.stale = None;
        }
        if connected && link.wire == Wire::Whole {
            link.wire = Wire::Cut;
            link.lose_everything();
        }
        if connected {
            link.primary_forgets();
        }
    }
    let_go(next, setting, node);
}

/// A replica closes the connection to its primary, in an orderly way: the primary sees it at once, unless
/// the connection is lost already and the primary has not noticed.
///
/// Left out: an orderly close seen later, which differs in nothing from a cut, and more than one forgotten
/// connection of one replica: of the older ones everybody knows.
pub fn close_link(next: &mut World, setting: &Setting, replica: NodeId) {
    let Some(parent) = next.parent(replica) else {
        return;
    };
    let link = next.link_mut(replica);
    let unnoticed = link.wire == Wire::Cut && link.primary != PrimaryPhase::None;
    let older = link.stale;
    let stale = if unnoticed {
        Some(Connection {
            at: parent,
            phase: link.primary,
            unsent_from: link.unsent_from,
        })
    } else {
        older
    };
    *link = Link {
        stale,
        ..Link::ABSENT
    };
    let_go(next, setting, parent);
    if let Some(older) = older {
        let_go(next, setting, older.at);
    }
}
