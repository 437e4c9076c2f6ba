//! What a primary does for its replicas: answer, snapshot, stream, notice.

use crate::decision::{Answer, Refusal, Via, answer};
use crate::history::History;
use crate::rulebook::{
    Accumulation, AttachLabel, AttachQueue, BacklogBirth, BacklogCopy, FullLabel, Identity,
    OrphanedSnapshot, Pings, SavedLabel, StreamGate, StreamPurity, Trim,
};
use crate::rules::Setting;
use crate::token::{COMMAND_UNITS, Token, Tokens};
use crate::world::{
    Backlog, Framing, Id, Label, NodeId, Offset, PrimaryPhase, Reply, Saved, Snapshot, Stale,
    Stream, Wire, World,
};

/// The primary still holds every byte the replica lacks: it answers `+CONTINUE` and sends them.
///
/// Source: `PROTOCOL §3.1`; `masterTryPartialResynchronization`, Redis 2.8 to 7.2.
pub fn accept_partial(
    world: &World,
    setting: &Setting,
    replica: NodeId,
    via: Via,
) -> Option<World> {
    let (parent, answer) = answer_to(world, setting, replica)?;
    if answer != Answer::Continue(via) {
        return None;
    }

    let mut next = *world;
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
        (setting.book.identity == Identity::ReplicationId).then_some(own.id),
    ));
    link.stream = Stream {
        tokens: backlog.tokens.suffix((skipped / COMMAND_UNITS) as usize),
        starts_with_tail: skipped % COMMAND_UNITS == 1 && wanted < own.offset.next_byte(),
    };
    Some(next)
}

/// The primary cannot continue the replica: it will send a snapshot, and needs a backlog from here on.
///
/// Source: `PROTOCOL §3.2`; `syncCommand`, Redis 2.6 to 7.2.
pub fn decline_partial(
    world: &World,
    setting: &Setting,
    replica: NodeId,
    refusal: Refusal,
) -> Option<World> {
    let (parent, answer) = answer_to(world, setting, replica)?;
    if answer != Answer::Full(refusal) || joinable_snapshot(world, replica).is_some() {
        return None;
    }

    let mut next = *world;
    next.link_mut(replica).request = None;
    next.link_mut(replica).primary = PrimaryPhase::Waiting;
    if world.node(parent).backlog.is_none() {
        create_backlog(world, &mut next, setting, parent);
    }
    if setting.book.full_label == FullLabel::AtRequest {
        let label = next.node(parent).label();
        next.link_mut(replica).reply = Some(Reply::FullResync(label));
    }
    Some(next)
}

fn answer_to(world: &World, setting: &Setting, replica: NodeId) -> Option<(NodeId, Answer)> {
    let parent = world.parent(replica)?;
    let request = world.link(replica).request?;
    let standing = world.node(parent).standing(setting.backlog_commands);
    let wanted = request
        .wanted
        .map(|(id, byte)| (u64::from(id.0), byte.wide()));
    Some((parent, answer(&setting.book, &standing, wanted)))
}

/// A new backlog makes every earlier label of this primary unusable: its writes were not counted so far.
fn create_backlog(world: &World, next: &mut World, setting: &Setting, node: NodeId) {
    let (data, id) = (next.node(node).data, next.node(node).id);
    if setting.book.backlog_birth == BacklogBirth::Never {
        return;
    }
    if setting.book.backlog_birth == BacklogBirth::SkipsOneByte {
        next.node_mut(node).offset = next.node(node).offset.plus(1);
    }
    let history = History::beginning(next.node(node).offset, data);
    if setting.book.backlog_birth == BacklogBirth::FreshId || id == Id::ANONYMOUS {
        next.node_mut(node).secondary = None;
        next.node_mut(node).id = next.name_history(world, history);
    } else if let Some(ghost) = next.history_mut(id) {
        *ghost = history;
    }
    let own = next.node_mut(node);
    own.backlog = Some(Backlog {
        first: own.offset.next_byte(),
        tokens: Tokens::EMPTY,
    });
}

/// In one step: the snapshot is cut, labelled, announced, and the stream is queued from here on.
///
/// Source: `PROTOCOL §3.3`; `startBgsaveForReplication`, `replicationSetupSlaveForFullResync`, Redis 2.8.22 to 7.2.
pub fn start_snapshot(
    world: &World,
    setting: &Setting,
    node: NodeId,
    framing: Framing,
) -> Option<World> {
    let own = world.node(node);
    if own.snapshot.is_some() || !framing.exists_in(setting.book.framings) {
        return None;
    }
    if !world
        .replicas_of(node)
        .any(|replica| someone_is(world, replica, PrimaryPhase::Waiting))
    {
        return None;
    }

    let mut next = *world;
    if own.id == Id::ANONYMOUS {
        // Only in the oldest era, where no name and no number ever leaves the primary.
        next.node_mut(node).id = next.name_history(world, History::beginning(own.offset, own.data));
    }
    let label = next.node(node).label();
    next.node_mut(node).snapshot = Some(Snapshot {
        data: own.data,
        label,
        framing,
    });
    for replica in world.replicas_of(node) {
        let link = next.link_mut(replica);
        if link.primary == PrimaryPhase::Waiting {
            link.primary = PrimaryPhase::Accumulating;
            link.unsent_from = Some(label.offset);
            announce(&mut next, setting, replica, label);
        }
        if let Some(stale) = &mut next.link_mut(replica).stale
            && stale.phase == PrimaryPhase::Waiting
        {
            *stale = Stale {
                phase: PrimaryPhase::Accumulating,
                unsent_from: Some(label.offset),
            };
        }
    }
    Some(next)
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
    if setting.book.has_psync() && next.link(replica).wire == Wire::Whole {
        next.link_mut(replica).reply = Some(Reply::FullResync(announced));
    }
}

fn someone_is(world: &World, replica: NodeId, phase: PrimaryPhase) -> bool {
    let link = world.link(replica);
    link.primary == phase || link.stale.is_some_and(|stale| stale.phase == phase)
}

/// The primary cannot continue the replica, but a snapshot is being made for another connection: the replica
/// joins it, with the label the snapshot began with and all commands since.
///
/// Source: `PROTOCOL §3.2`; `syncCommand`, `copyReplicaOutputBuffer`, Redis 2.4.6 to 7.2.
pub fn attach_to_snapshot(world: &World, setting: &Setting, replica: NodeId) -> Option<World> {
    let (parent, answer) = answer_to(world, setting, replica)?;
    let running = joinable_snapshot(world, replica)?;
    if matches!(answer, Answer::Continue(_)) {
        return None;
    }

    let mut next = *world;
    let label = match setting.book.attach_label {
        AttachLabel::OfSnapshot => running.label,
        AttachLabel::Current => world.node(parent).label(),
    };
    let since_cut = world
        .history(running.label.id)?
        .tokens_after(running.label.offset);
    let link = next.link_mut(replica);
    link.request = None;
    link.primary = PrimaryPhase::Accumulating;
    link.unsent_from = Some(running.label.offset);
    link.stream.tokens = match setting.book.attach_queue {
        AttachQueue::Copied => since_cut,
        AttachQueue::Lost => Tokens::EMPTY,
    };
    announce(&mut next, setting, replica, label);
    Some(next)
}

/// A snapshot that goes through a file, and for which another connection of the replica waits already.
fn joinable_snapshot(world: &World, replica: NodeId) -> Option<Snapshot> {
    let running = world.node(world.parent(replica)?).snapshot?;
    let starter = world
        .link(replica)
        .stale
        .is_some_and(|stale| stale.phase == PrimaryPhase::Accumulating);
    (starter && running.framing == Framing::Disk).then_some(running)
}

/// The snapshot is complete and goes out; what was queued behind it follows, or waits for a sign of life.
///
/// Source: `PROTOCOL §3.4`; `updateSlavesWaitingBgsave`, `putSlaveOnline`, Redis 2.6 to 7.2.
pub fn finish_snapshot(world: &World, setting: &Setting, node: NodeId) -> Option<World> {
    let snapshot = world.node(node).snapshot?;

    let mut next = *world;
    next.node_mut(node).snapshot = None;
    if snapshot.framing == Framing::Disk {
        let label = label_to_save(setting, Some(snapshot.label));
        next.node_mut(node).saved = Some(Saved {
            data: snapshot.data,
            label,
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
        if let Some(stale) = &mut link.stale
            && stale.phase == PrimaryPhase::Accumulating
        {
            *stale = Stale { phase, unsent_from };
        }
    }
    trim(&mut next, setting, node);
    Some(next)
}

fn is_orphaned(world: &World, node: NodeId) -> bool {
    !world
        .replicas_of(node)
        .any(|replica| someone_is(world, replica, PrimaryPhase::Accumulating))
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
    setting: &Setting,
    node: NodeId,
    framing: Framing,
) -> Option<World> {
    world
        .node(node)
        .snapshot
        .filter(|snapshot| snapshot.framing == framing)?;
    if is_orphaned(world, node) {
        return None;
    }

    let mut next = *world;
    next.node_mut(node).snapshot = None;
    for replica in world.replicas_of(node) {
        let link = next.link_mut(replica);
        if link
            .stale
            .is_some_and(|stale| stale.phase == PrimaryPhase::Accumulating)
        {
            link.stale = None;
        }
        if link.primary == PrimaryPhase::Accumulating {
            link.wire = Wire::Cut;
            link.lose_everything();
            link.primary_forgets();
        }
    }
    trim(&mut next, setting, node);
    Some(next)
}

/// An acknowledgement arrives. The first one after a snapshot that was sent directly opens the stream.
///
/// Source: `PROTOCOL §3.4`, `PROTOCOL §3.8`; `replconfCommand`, `replicaStartCommandStream`, Redis 2.8.18 to 7.2.
pub fn receive_acknowledgement(world: &World, setting: &Setting, replica: NodeId) -> Option<World> {
    let parent = world.parent(replica)?;
    let link = world.link(replica);
    let offset = link.acknowledgement?;
    if !matches!(link.primary, PrimaryPhase::Held | PrimaryPhase::Online) {
        return None;
    }

    let mut next = *world;
    let link = next.link_mut(replica);
    link.acknowledgement = None;
    link.acknowledged = link.acknowledged.max(Some(offset));
    link.unsent_from = None;
    link.primary = PrimaryPhase::Online;
    trim(&mut next, setting, parent);
    Some(next)
}

/// The primary sends a PING into the stream, so that replicas know it is there.
///
/// Source: `PROTOCOL §2.5`; `replicationCron`, Redis 2.6 to 7.2.
pub fn ping(world: &World, setting: &Setting, node: NodeId) -> Option<World> {
    if !world.is_primary(node) {
        return None;
    }
    let attached = world
        .replicas_of(node)
        .any(|replica| world.link(replica).is_known_to_primary());
    let backlog = setting.book.pings == Pings::WithBacklog && world.node(node).backlog.is_some();
    if !attached && !backlog {
        return None;
    }

    let mut next = *world;
    feed(&mut next, setting, node, Token::Ping);
    Some(next)
}

/// The primary notices that the connection is lost, and forgets it.
///
/// Source: `PROTOCOL §3.5`; `freeClient`, `replicationCron`, Redis 2.6 to 7.2.
pub fn primary_notices_loss(world: &World, setting: &Setting, replica: NodeId) -> Option<World> {
    let parent = world.parent(replica)?;
    let link = world.link(replica);
    if link.wire != Wire::Cut || link.primary == PrimaryPhase::None {
        return None;
    }

    let mut next = *world;
    next.link_mut(replica).primary_forgets();
    let_go(&mut next, setting, parent);
    Some(next)
}

/// The primary notices that an older connection of the same replica is lost, and forgets it.
///
/// Source: `PROTOCOL §3.5`; `freeClient`, `replicationCron`, Redis 2.6 to 7.2.
pub fn primary_notices_stale(world: &World, setting: &Setting, replica: NodeId) -> Option<World> {
    let parent = world.parent(replica)?;
    world.link(replica).stale?;

    let mut next = *world;
    next.link_mut(replica).stale = None;
    let_go(&mut next, setting, parent);
    Some(next)
}

/// What was kept or made only for a replica that is gone goes too.
///
/// Source: `PROTOCOL §3.4`, `PROTOCOL §3.6`; `freeClient`, `killRDBChild`, Redis 6.2 to 7.2.
fn let_go(next: &mut World, setting: &Setting, node: NodeId) {
    if setting.book.orphaned_snapshot == OrphanedSnapshot::GivenUp && is_orphaned(next, node) {
        next.node_mut(node).snapshot = None;
    }
    trim(next, setting, node);
}

/// Appends a command to the stream: to the history, to the backlog, and to every replica that is due it.
pub fn feed(next: &mut World, setting: &Setting, node: NodeId, token: Token) {
    let own = next.node(node);
    let (id, data, offset) = (own.id, own.data, own.offset);
    let counted = own.backlog.is_some() || (!setting.book.has_psync() && id != Id::ANONYMOUS);
    if !counted {
        // The history moves on unnumbered: whatever was said about it so far is no longer true.
        if let Some(ghost) = next.history_mut(id) {
            *ghost = History::beginning(offset.plus(1), data);
        }
        return;
    }
    if let Some(ghost) = next.history_mut(id) {
        ghost.tokens.push(token);
    }
    let own = next.node_mut(node);
    own.offset = offset.plus(token.units());
    if let Some(backlog) = &mut own.backlog {
        let exact = setting.book.backlog_copy == BacklogCopy::Exact || !token.weighs();
        backlog
            .tokens
            .push(if exact { token } else { Token::Foreign });
    }
    queue(next, setting, node, token);
    trim(next, setting, node);
}

fn queue(next: &mut World, setting: &Setting, node: NodeId, token: Token) {
    for replica in NodeId::ALL {
        if next.parent(replica) != Some(node) || next.link(replica).wire != Wire::Whole {
            continue;
        }
        let link = next.link_mut(replica);
        let due = match link.primary {
            PrimaryPhase::None | PrimaryPhase::Waiting => false,
            PrimaryPhase::Accumulating => setting.book.accumulation == Accumulation::FromCut,
            PrimaryPhase::Held | PrimaryPhase::Online => true,
        };
        if due
            && link.primary == PrimaryPhase::Online
            && setting.book.stream_purity == StreamPurity::StrayByte
        {
            link.stream.tokens.push(Token::Stray);
        }
        if due {
            link.stream.tokens.push(token);
        }
    }
}

/// Cuts the backlog to its size: nothing goes that a replica has still to be sent, where blocks are shared.
/// What was kept for a replica goes as soon as it has been sent, or the replica is gone.
///
/// Source: `PROTOCOL §3.6`; `feedReplicationBacklog`, Redis 2.8; `incrementalTrimReplicationBacklog`, Redis 7.0.
fn trim(next: &mut World, setting: &Setting, node: NodeId) {
    let kept_for_replicas = match setting.book.trim {
        Trim::Exact => None,
        Trim::UnsentBlocksStay => unsent_from(next, node),
    };
    let Some(backlog) = &mut next.node_mut(node).backlog else {
        return;
    };
    while backlog.tokens.weight() > setting.backlog_commands {
        let past_first = backlog.first.plus(COMMAND_UNITS);
        if kept_for_replicas.is_some_and(|sent| past_first > sent.next_byte()) {
            return;
        }
        backlog.tokens.pop_first();
        backlog.first = past_first;
    }
}

/// The lowest offset from which some replica has yet to be sent the stream.
fn unsent_from(world: &World, node: NodeId) -> Option<Offset> {
    let links = world.replicas_of(node).map(|replica| world.link(replica));
    links
        .flat_map(|link| {
            [
                link.unsent_from,
                link.stale.and_then(|stale| stale.unsent_from),
            ]
        })
        .flatten()
        .min()
}
