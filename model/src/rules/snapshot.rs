//! How a node makes a snapshot for its replicas: cut, attach, finish, fail.

use crate::decision::Answer;
use crate::history::History;
use crate::rulebook::{
    AttachLabel, AttachQueue, FullLabel, SavedLabel, SelectAfterSync, SnapshotDatabase, StreamGate,
};
use crate::rules::primary::answer_to;
use crate::rules::stream::trim;
use crate::rules::{Guard, Setting};
use crate::token::{COMMAND_UNITS, Database, Tokens};
use crate::world::{
    Connection, Framing, Id, Label, Node, NodeId, PrimaryPhase, Reply, Role, Saved, Snapshot, Wire,
    World,
};

/// In one step: the snapshot is cut, labelled, announced, and the stream is queued from here on.
///
/// Source: `PROTOCOL §3.3`; `startBgsaveForReplication`, `replicationSetupSlaveForFullResync`, Redis 2.8.22 to 7.2.
pub fn start_snapshot(
    world: &World,
    next: &mut World,
    setting: &Setting,
    node: NodeId,
    framing: Framing,
) -> Option<()> {
    let own = world.node(node);
    let waited_for = is_waited_for(world, node, PrimaryPhase::Waiting);
    setting.requires(Guard::StartOnce, own.snapshot.is_none())?;
    setting.requires(Guard::StartInEra, framing.exists_in(setting.book.framings))?;
    setting.requires(Guard::StartWaitedFor, waited_for)?;
    setting.requires(
        Guard::StartKnowsPlace,
        knows_its_place(world, setting, node),
    )?;
    // Left out: a snapshot sent directly to a replica that asked with SYNC, which has no label to acknowledge.
    let by_sync = |replica: NodeId| {
        world.link(replica).with_sync && world.link(replica).primary == PrimaryPhase::Waiting
    };
    let understood = framing == Framing::Disk || !world.replicas_of(node).any(by_sync);
    setting.requires(Guard::StartUnderstood, understood)?;

    if own.id == Id::ANONYMOUS {
        // Only in the oldest era, where no name and no number ever leaves the primary.
        next.node_mut(node).id = next.name_history(world, History::beginning(own.offset, own.data));
    }
    let label = next.node(node).label();
    next.node_mut(node).snapshot = Some(Snapshot {
        data: own.data,
        label,
        framing,
        database: database_to_save(setting, own),
    });
    select_again(next, setting, node);
    for replica in world.replicas_of(node) {
        let link = next.link_mut(replica);
        if link.primary == PrimaryPhase::Waiting {
            link.primary = PrimaryPhase::Accumulating;
            link.unsent_from = Some(label.offset);
            announce(next, setting, replica, label);
        }
    }
    each_stale_at(next, node, |stale| {
        if stale.phase == PrimaryPhase::Waiting {
            stale.phase = PrimaryPhase::Accumulating;
            stale.unsent_from = Some(label.offset);
        }
    });
    Some(())
}

/// What a snapshot says of the database the stream is in at its cut. A stream that will select anew may be anywhere.
pub fn database_to_save(setting: &Setting, own: &Node) -> Option<Database> {
    let read_in = match own.role {
        Role::Primary => own.stream_database.unwrap_or_default(),
        Role::ReplicaOf(_) => own.selected,
    };
    match setting.book.snapshot_database {
        _ if !setting.databases => None,
        SnapshotDatabase::Absent => None,
        SnapshotDatabase::Carried => Some(read_in),
        SnapshotDatabase::AlwaysFirst => Some(Database::First),
    }
}

/// Who receives a snapshot may not know where the stream is; the next write says it to everybody.
fn select_again(next: &mut World, setting: &Setting, node: NodeId) {
    if setting.book.select_after_sync == SelectAfterSync::Again {
        next.node_mut(node).stream_database = None;
    }
}

/// Whether somebody who is in this phase with the node is there.
fn is_waited_for(world: &World, node: NodeId, phase: PrimaryPhase) -> bool {
    world
        .connections_of(node)
        .any(|connection| connection.phase == phase)
}

/// The older connections that a node still believes in.
fn each_stale_at(next: &mut World, node: NodeId, change: impl Fn(&mut Connection)) {
    let believed = |connection: Connection| connection.at == node;
    for replica in next.node_ids() {
        if next.link(replica).stale.is_some_and(believed) {
            next.link_mut(replica).stale.as_mut().map(&change);
        }
    }
}

/// A replica without connection and without cached primary cannot say what its data are.
fn knows_its_place(world: &World, setting: &Setting, node: NodeId) -> bool {
    world.is_serving(node)
        || world.node(node).following.is_some()
        || !setting.book.names_histories()
}

fn announce(next: &mut World, setting: &Setting, replica: NodeId, label: Label) {
    let announced = match setting.book.full_label {
        FullLabel::AtRequest => return,
        FullLabel::AtCut => label,
        FullLabel::OneMore => Label {
            offset: label.offset.plus(1),
            ..label
        },
    };
    if !next.link(replica).with_sync && next.link(replica).wire == Wire::Whole {
        next.link_mut(replica).reply = Some(Reply::FullResync(announced));
    }
}

/// The primary cannot continue the replica, but a snapshot is being made for another connection: the replica
/// joins it, with the label the snapshot began with and all commands since.
///
/// Source: `PROTOCOL §3.2`; `syncCommand`, `copyReplicaOutputBuffer`, Redis 2.4.6 to 7.2.
pub fn attach_to_snapshot(
    world: &World,
    next: &mut World,
    setting: &Setting,
    replica: NodeId,
) -> Option<()> {
    let (parent, answer) = answer_to(world, setting, replica)?;
    let running = joinable_snapshot(world, setting, replica)?;
    setting.requires(Guard::AttachLacking, matches!(answer, Answer::Full(_)))?;

    let label = match setting.book.attach_label {
        AttachLabel::OfSnapshot => running.label,
        AttachLabel::Current => world.node(parent).label(),
    };
    let since_cut = world
        .history(running.label.id)?
        .up_to(world.node(parent).offset)
        .tokens_after(running.label.offset);
    let link = next.link_mut(replica);
    link.request = None;
    link.primary = PrimaryPhase::Accumulating;
    link.unsent_from = Some(running.label.offset);
    link.stream.tokens = match setting.book.attach_queue {
        AttachQueue::Copied => since_cut,
        AttachQueue::Lost => Tokens::EMPTY,
    };
    announce(next, setting, replica, label);
    select_again(next, setting, parent);
    Some(())
}

/// A snapshot that goes through a file, and for which another connection waits already.
pub fn joinable_snapshot(world: &World, setting: &Setting, replica: NodeId) -> Option<Snapshot> {
    let parent = world.parent(replica)?;
    let running = world.node(parent).snapshot?;
    let waited_for = is_waited_for(world, parent, PrimaryPhase::Accumulating);
    setting.requires(Guard::JoinWaitedFor, waited_for)?;
    setting.requires(Guard::JoinFile, running.framing == Framing::Disk)?;
    Some(running)
}

/// The snapshot is complete and goes out; what was queued behind it follows, or waits for a sign of life.
///
/// Source: `PROTOCOL §3.4`; `updateSlavesWaitingBgsave`, `putSlaveOnline`, Redis 2.6 to 7.2.
pub fn finish_snapshot(
    world: &World,
    next: &mut World,
    setting: &Setting,
    node: NodeId,
) -> Option<()> {
    let snapshot = world.node(node).snapshot?;

    next.node_mut(node).snapshot = None;
    if snapshot.framing == Framing::Disk {
        let label = label_to_save(setting, Some(snapshot.label));
        next.node_mut(node).saved = Some(Saved {
            data: snapshot.data,
            label,
            database: snapshot.database,
        });
    }
    let gated = snapshot.framing == Framing::Socket
        && setting.book.stream_gate == StreamGate::FirstAcknowledgement;
    let phase = if gated {
        PrimaryPhase::Held
    } else {
        PrimaryPhase::Online
    };
    let unsent_from = gated.then_some(snapshot.label.offset);
    for replica in world.replicas_of(node) {
        let link = next.link_mut(replica);
        if link.primary == PrimaryPhase::Accumulating {
            link.primary = phase;
            link.unsent_from = unsent_from;
            link.payload = (link.wire == Wire::Whole).then_some(snapshot);
        }
    }
    each_stale_at(next, node, |stale| {
        if stale.phase == PrimaryPhase::Accumulating {
            stale.phase = phase;
            stale.unsent_from = unsent_from;
        }
    });
    trim(next, setting, node);
    Some(())
}

/// Whether nobody waits any more for the snapshot that is being made.
pub fn is_orphaned(world: &World, node: NodeId) -> bool {
    !is_waited_for(world, node, PrimaryPhase::Accumulating)
}

/// What a snapshot file carries beside the data.
pub fn label_to_save(setting: &Setting, label: Option<Label>) -> Option<Label> {
    match setting.book.saved_label {
        SavedLabel::None => None,
        SavedLabel::Applied => label,
        SavedLabel::TooNew => label.map(|label| Label {
            offset: label.offset.plus(COMMAND_UNITS),
            ..label
        }),
    }
}

/// The snapshot cannot be made: whoever waited for it is disconnected.
///
/// Source: `PROTOCOL §3.4`; `updateSlavesWaitingBgsave`, Redis 2.6 to 7.2.
pub fn fail_snapshot(
    world: &World,
    next: &mut World,
    setting: &Setting,
    node: NodeId,
    framing: Framing,
) -> Option<()> {
    let snapshot = world.node(node).snapshot?;
    setting.requires(Guard::FailThatFraming, snapshot.framing == framing)?;
    setting.requires(Guard::FailWaitedFor, !is_orphaned(world, node))?;

    next.node_mut(node).snapshot = None;
    let waits = |stale: Connection| stale.at == node && stale.phase == PrimaryPhase::Accumulating;
    for replica in next.node_ids() {
        if next.link(replica).stale.is_some_and(waits) {
            next.link_mut(replica).stale = None;
        }
    }
    for replica in world.replicas_of(node) {
        let link = next.link_mut(replica);
        if link.primary == PrimaryPhase::Accumulating {
            link.wire = Wire::Cut;
            link.lose_everything();
            link.primary_forgets();
        }
    }
    trim(next, setting, node);
    Some(())
}
