//! What a process does about its disk: it saves, dies, and starts again from what it finds there. Being down is
//! no state: the others simply do not move meanwhile.

use crate::decision::secondary_limit;
use crate::history::History;
use crate::offset::ReplOffset;
use crate::rulebook::RestartedPrimary;
use crate::rules::primary::close_link;
use crate::rules::snapshot::{database_to_save, label_to_save};
use crate::rules::{Guard, Setting};
use crate::token::{Begun, Data, Database, Tokens};
use crate::world::{Backlog, Id, Label, NodeId, Role, Saved, Secondary, Wire, World};

/// An operator saves a node's data to its disk, with their label.
///
/// Source: `PROTOCOL §2.4`, `PROTOCOL §4.8`; `rdbPopulateSaveInfo`, Redis 4.0 to 7.2.
pub fn save(world: &World, next: &mut World, setting: &Setting, node: NodeId) -> Option<()> {
    let own = world.node(node);
    setting.requires(Guard::SaveAlone, own.snapshot.is_none())?;
    let label = match own.role {
        Role::Primary => own.backlog.map(|_| own.label()),
        Role::ReplicaOf(_) => own.following,
    };
    let saved = Saved {
        data: own.data,
        label: label_to_save(setting, label),
        database: database_to_save(setting, own),
    };

    next.node_mut(node).saved = Some(saved);
    Some(())
}

/// A primary's process dies and starts again from the snapshot on its disk, if there is one.
///
/// Source: `PROTOCOL §3.7-1`, `PROTOCOL §3.7-7`, `PROTOCOL §4.8`; `loadDataFromDisk`, Redis 2.6 to 7.2.
pub fn restart_primary(
    world: &World,
    next: &mut World,
    setting: &Setting,
    node: NodeId,
) -> Option<()> {
    setting.requires(Guard::RestartPrimary, world.is_primary(node))?;

    die(next, node);
    start_as_primary(world, next, setting, node);
    Some(())
}

/// A replica's process dies, and is started again without being told to follow anyone.
///
/// Source: `PROTOCOL §3.7-7`, `PROTOCOL §4.8`; `loadDataFromDisk`, Redis 2.6 to 7.2.
pub fn restart_as_primary(
    world: &World,
    next: &mut World,
    setting: &Setting,
    node: NodeId,
) -> Option<()> {
    setting.requires(Guard::RestartAsPrimary, !world.is_primary(node))?;

    close_link(next, setting, node);
    die(next, node);
    next.node_mut(node).role = Role::Primary;
    start_as_primary(world, next, setting, node);
    Some(())
}

/// A replica's process dies and starts again from the snapshot on its disk, if there is one.
///
/// Source: `PROTOCOL §4.8`; `loadDataFromDisk`, `replicationCacheMasterUsingMyself`, Redis 2.6 to 7.2.
pub fn restart_replica(
    world: &World,
    next: &mut World,
    setting: &Setting,
    replica: NodeId,
) -> Option<()> {
    setting.requires(Guard::RestartReplica, !world.is_primary(replica))?;

    sever(next, replica);
    next.link_mut(replica).replica_forgets();
    die(next, replica);
    start_as_replica(next, setting, replica);
    Some(())
}

/// A primary's process dies, and is started again as a replica.
///
/// Source: `PROTOCOL §4.8`; `loadDataFromDisk`, `replicationCacheMasterUsingMyself`, Redis 2.6 to 7.2.
pub fn restart_as_replica(
    world: &World,
    next: &mut World,
    setting: &Setting,
    node: NodeId,
    parent: NodeId,
) -> Option<()> {
    setting.requires(Guard::RestartAsReplica, world.is_primary(node))?;
    setting.requires(Guard::RestartFollowsAnother, node != parent)?;

    die(next, node);
    next.node_mut(node).role = Role::ReplicaOf(parent);
    start_as_replica(next, setting, node);
    Some(())
}

/// A process dies: of all it had, the snapshot on its disk is left, and its data are those. Who was connected
/// to it notices by itself.
fn die(next: &mut World, node: NodeId) {
    for replica in next.node_ids() {
        if next.parent(replica) == Some(node) {
            sever(next, replica);
            next.link_mut(replica).primary_forgets();
        }
        if next
            .link(replica)
            .stale
            .is_some_and(|stale| stale.at == node)
        {
            next.link_mut(replica).stale = None;
        }
    }
    let own = next.node_mut(node);
    own.data = own.saved.map_or(Data::EMPTY, |saved| saved.data);
    own.id = Id::ANONYMOUS;
    own.offset = ReplOffset(0);
    own.secondary = None;
    own.backlog = None;
    own.snapshot = None;
    own.following = None;
    own.begun = Begun::NOTHING;
    own.stream_database = None;
    own.selected = Database::First;
    own.told = Id::ANONYMOUS;
}

fn sever(next: &mut World, replica: NodeId) {
    let link = next.link_mut(replica);
    link.lose_everything();
    if link.wire == Wire::Whole {
        link.wire = Wire::Cut;
    }
}

/// A replica goes on from the label of its snapshot, where it has one.
fn start_as_replica(next: &mut World, setting: &Setting, node: NodeId) {
    let own = next.node_mut(node);
    own.following = own.saved.and_then(|saved| saved.label);
    own.selected = own
        .saved
        .and_then(|saved| saved.database)
        .unwrap_or_default();
    if let (Some(label), true) = (own.following, setting.book.names_histories()) {
        own.id = label.id;
        own.offset = label.offset;
    }
}

fn start_as_primary(world: &World, next: &mut World, setting: &Setting, node: NodeId) {
    if let Some(label) = next.node(node).saved.and_then(|saved| saved.label) {
        recall_label(world, next, setting, node, label);
    }
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
