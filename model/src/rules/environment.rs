//! What clients, operators, the network and a stranger do: write, cut, crash, save, ask.

use crate::decision::{answer, secondary_limit};
use crate::history::History;
use crate::offset::ReplOffset;
use crate::rulebook::{BacklogExpiry, RestartedPrimary};
use crate::rules::Setting;
use crate::rules::primary::{feed, label_to_save};
use crate::token::{Data, Token, Tokens};
use crate::world::{
    Backlog, Byte, Id, Label, Link, Node, NodeId, Question, Role, Saved, Secondary, Stranger, Wire,
    World,
};

/// A client changes the data of a primary.
///
/// Source: `PROTOCOL §2.5`; `replicationFeedSlaves`, Redis 2.6 to 7.2.
pub fn write(world: &World, setting: &Setting, node: NodeId) -> Option<World> {
    if !world.is_primary(node) {
        return None;
    }

    let mut next = *world;
    let token = Token::Write(world.next_write());
    next.node_mut(node).data = world.node(node).data.after(token);
    feed(&mut next, setting, node, token);
    Some(next)
}

/// The network loses a connection with everything on its way. Neither end knows yet.
///
/// Source: `PROTOCOL §4.5`; nothing in a server stands for it.
pub fn cut_link(world: &World, replica: NodeId) -> Option<World> {
    if world.link(replica).wire != Wire::Whole {
        return None;
    }

    let mut next = *world;
    let link = next.link_mut(replica);
    link.wire = Wire::Cut;
    link.lose_everything();
    Some(next)
}

/// An operator saves a node's data to its disk, with their label.
///
/// Source: `PROTOCOL §2.4`, `PROTOCOL §4.8`; `rdbPopulateSaveInfo`, Redis 4.0 to 7.2.
pub fn save(world: &World, setting: &Setting, node: NodeId) -> Option<World> {
    let own = world.node(node);
    if own.snapshot.is_some() {
        return None;
    }
    let label = match own.role {
        Role::Primary => own.backlog.map(|_| own.label()),
        Role::ReplicaOf(_) => own.following,
    };
    let saved = Saved {
        data: own.data,
        label: label_to_save(setting, label),
    };
    if own.saved == Some(saved) {
        return None;
    }

    let mut next = *world;
    next.node_mut(node).saved = Some(saved);
    Some(next)
}

/// A primary's process dies and starts again from the snapshot on its disk, if there is one.
///
/// Source: `PROTOCOL §3.7-1`, `PROTOCOL §3.7-7`, `PROTOCOL §4.8`; `loadDataFromDisk`, Redis 2.6 to 7.2.
pub fn restart_primary(world: &World, setting: &Setting, node: NodeId) -> Option<World> {
    if !world.is_primary(node) {
        return None;
    }

    let mut next = *world;
    for replica in world.replicas_of(node) {
        sever(&mut next, replica);
        let link = next.link_mut(replica);
        link.stale = None;
        link.primary_forgets();
    }
    let saved = world.node(node).saved;
    *next.node_mut(node) = Node {
        data: saved.map_or(Data::EMPTY, |saved| saved.data),
        id: Id::ANONYMOUS,
        offset: ReplOffset(0),
        secondary: None,
        backlog: None,
        snapshot: None,
        ..*world.node(node)
    };
    if let Some(label) = saved.and_then(|saved| saved.label) {
        recall_label(world, &mut next, setting, node, label);
    }
    Some(next)
}

/// What a primary does at its start with the label of the data it has just loaded.
fn recall_label(world: &World, next: &mut World, setting: &Setting, node: NodeId, label: Label) {
    match setting.book.restarted_primary {
        RestartedPrimary::ForgetsLabel => {}
        RestartedPrimary::AdoptsId => {
            let own = next.node_mut(node);
            own.id = label.id;
            own.offset = label.offset;
        }
        RestartedPrimary::RemembersAsSecondary => {
            let past = next
                .history(label.id)
                .map_or_else(History::default, |history| history.up_to(label.offset));
            let id = next.name_history(world, past);
            let own = next.node_mut(node);
            own.id = id;
            own.offset = label.offset;
            own.secondary = Some(Secondary {
                id: label.id,
                limit: secondary_limit(&setting.book, label.offset.wide()).narrow(),
            });
            own.backlog = Some(Backlog {
                first: label.offset.next_byte(),
                tokens: Tokens::EMPTY,
            });
        }
    }
}

/// A replica's process dies and starts again from the snapshot on its disk, if there is one.
///
/// Source: `PROTOCOL §4.8`; `loadDataFromDisk`, `replicationCacheMasterUsingMyself`, Redis 2.6 to 7.2.
pub fn restart_replica(world: &World, replica: NodeId) -> Option<World> {
    if world.is_primary(replica) {
        return None;
    }

    let mut next = *world;
    sever(&mut next, replica);
    next.link_mut(replica).replica_forgets();
    let own = next.node_mut(replica);
    own.data = own.saved.map_or(Data::EMPTY, |saved| saved.data);
    own.following = own.saved.and_then(|saved| saved.label);
    own.half = None;
    Some(next)
}

fn sever(next: &mut World, replica: NodeId) {
    let link = next.link_mut(replica);
    link.lose_everything();
    if link.wire == Wire::Whole {
        link.wire = Wire::Cut;
    }
}

/// Time passes without any replica, and the primary frees its backlog.
///
/// Source: `PROTOCOL §3.6`, `PROTOCOL §3.7-3`; `replicationCron`, `freeReplicationBacklog`, Redis 2.8 to 7.2.
pub fn expire_backlog(world: &World, setting: &Setting, node: NodeId) -> Option<World> {
    let own = world.node(node);
    if !world.is_primary(node) || own.backlog.is_none() {
        return None;
    }
    if world
        .replicas_of(node)
        .any(|replica| world.link(replica).is_known_to_primary())
    {
        return None;
    }

    let mut next = *world;
    let own = next.node_mut(node);
    own.backlog = None;
    if setting.book.backlog_expiry == BacklogExpiry::ForgetsId {
        own.id = Id::ANONYMOUS;
        own.secondary = None;
    }
    Some(next)
}

/// Somebody who was never a replica asks a primary to continue, to see where it draws the line.
///
/// Left out: a stranger who comes while there is no backlog would make the primary create one and begin a
/// snapshot, as a first replica does; one who comes while a replica is connected gets the same answer, because
/// nothing of a connection is read for it.
///
/// Source: `PROTOCOL §3.1`, `PROTOCOL §8`; `masterTryPartialResynchronization`, Redis 2.8 to 7.2.
pub fn stranger_asks(
    world: &World,
    setting: &Setting,
    node: NodeId,
    question: Question,
) -> Option<World> {
    if !setting.book.has_psync() || !world.is_primary(node) || world.node(node).backlog.is_none() {
        return None;
    }
    if world.node(node).snapshot.is_some()
        || world
            .replicas_of(node)
            .any(|replica| *world.link(replica) != Link::ABSENT)
    {
        return None;
    }
    let asked = wanted_by_stranger(world, node, question)?;

    let mut next = *world;
    let standing = world.node(node).standing(setting.backlog_commands);
    let answer = answer(
        &setting.book,
        &standing,
        Some((u64::from(asked.0.0), asked.1.wide())),
    );
    next.stranger = Some(Stranger { question, answer });
    Some(next)
}

/// The ID and the byte a question stands for; `None` where it makes no sense, or is the same as another.
pub fn wanted_by_stranger(world: &World, node: NodeId, question: Question) -> Option<(Id, Byte)> {
    let own = world.node(node);
    let backlog = own.backlog?;
    let end = own.offset.next_byte();
    let wanted = match question {
        Question::BelowFirst => (own.id, backlog.first.plus(-1)),
        Question::First => (own.id, (backlog.first < end).then_some(backlog.first)?),
        Question::JustAfterLast => (own.id, end),
        Question::OneBeyond => (own.id, end.plus(1)),
        Question::SecondaryFirst => {
            let former = own.secondary?;
            (
                former.id,
                (backlog.first < former.limit).then_some(backlog.first)?,
            )
        }
        Question::SecondaryLimit => (own.secondary?.id, own.secondary?.limit),
        Question::SecondaryBeyond => (own.secondary?.id, own.secondary?.limit.plus(1)),
        Question::ForeignId => (Id(u8::MAX), end),
    };
    Some(wanted)
}

/// The stranger goes; nothing it did leaves a trace.
///
/// Source: `PROTOCOL §3.5`; `freeClient`, Redis 2.8 to 7.2.
pub fn stranger_leaves(world: &World, node: NodeId) -> Option<World> {
    world.stranger.filter(|_| world.is_primary(node))?;

    Some(World {
        stranger: None,
        ..*world
    })
}
