//! What a replica does about its primary: ask, load, apply, acknowledge, notice.

use crate::decision::next_request;
use crate::rulebook::{
    ContinueAcknowledgement, ContinueId, ContinueOffset, Discard, FullReply, Identity, LinkLoss,
    PartialCommand, SavedLabel, Sending,
};
use crate::rules::Setting;
use crate::token::{COMMAND_UNITS, Data, Token};
use crate::world::{
    Id, Link, NodeId, PrimaryPhase, ReplicaPhase, Reply, Request, Saved, Snapshot, Stale, Stream,
    Wire, World,
};

/// The replica opens a connection and asks to go on where it is. The primary may still believe in the
/// connection before.
///
/// Left out: a third connection while the primary believes in two; the oldest adds nothing to the second.
///
/// Source: `PROTOCOL §2.2`, `PROTOCOL §4.2`; `slaveTryPartialResynchronization`, Redis 2.6 to 7.2.
pub fn ask(world: &World, setting: &Setting, replica: NodeId) -> Option<World> {
    world.parent(replica)?;
    let link = world.link(replica);
    if link.replica != ReplicaPhase::Idle
        || (link.primary != PrimaryPhase::None && link.stale.is_some())
    {
        return None;
    }

    let mut next = *world;
    let label = world
        .node(replica)
        .following
        .map(|label| (u64::from(label.id.0), label.offset.wide()));
    let wanted = next_request(&setting.book, label).map(|(id, byte)| (Id(id as u8), byte.narrow()));
    let stale = match link.primary {
        PrimaryPhase::None => link.stale,
        phase => Some(Stale {
            phase,
            unsent_from: link.unsent_from,
        }),
    };
    *next.link_mut(replica) = Link {
        wire: Wire::Whole,
        replica: if setting.book.has_psync() {
            ReplicaPhase::Asked
        } else {
            ReplicaPhase::Transferring
        },
        request: Some(Request { wanted }),
        stale,
        ..Link::ABSENT
    };
    Some(next)
}

/// `+CONTINUE` arrives: the replica goes on with what it has, under the name it is told.
///
/// Source: `PROTOCOL §4.3`; `slaveTryPartialResynchronization`, `replicationResurrectCachedMaster`, Redis 2.8 to 7.2.
pub fn receive_continue(world: &World, setting: &Setting, replica: NodeId) -> Option<World> {
    let Some(Reply::Continue(id)) = world.link(replica).reply else {
        return None;
    };
    if world.link(replica).replica != ReplicaPhase::Asked {
        return None;
    }

    let mut next = *world;
    next.link_mut(replica).reply = None;
    next.link_mut(replica).replica = match setting.book.continue_acknowledgement {
        ContinueAcknowledgement::Sent => ReplicaPhase::Connected,
        ContinueAcknowledgement::Never => ReplicaPhase::ConnectedMute,
    };
    if let Some(following) = &mut next.node_mut(replica).following {
        if let (ContinueId::Adopted, Some(id)) = (setting.book.continue_id, id) {
            following.id = id;
        }
        if setting.book.continue_offset == ContinueOffset::GoesBack {
            following.offset = following.offset.plus(-COMMAND_UNITS);
        }
    }
    Some(next)
}

/// `+FULLRESYNC` arrives: a snapshot will come. The old data stay until it is there.
///
/// Source: `PROTOCOL §4.3`, `PROTOCOL §4.4`; `slaveTryPartialResynchronization`, Redis 2.8 to 7.2.
pub fn receive_full_resync(world: &World, setting: &Setting, replica: NodeId) -> Option<World> {
    let Some(Reply::FullResync(label)) = world.link(replica).reply else {
        return None;
    };
    if world.link(replica).replica != ReplicaPhase::Asked {
        return None;
    }

    let mut next = *world;
    let link = next.link_mut(replica);
    link.reply = None;
    link.replica = ReplicaPhase::Transferring;
    link.announced = Some(label);
    let own = next.node_mut(replica);
    match setting.book.full_reply {
        FullReply::KeepsLabel => {}
        FullReply::DiscardsLabel => (own.following, own.half) = (None, None),
        FullReply::AdoptsLabel => own.following = Some(label),
    }
    if setting.book.discard == Discard::AtReply {
        own.data = Data::EMPTY;
    }
    Some(next)
}

/// The whole snapshot is there: it replaces the data, and its label becomes the replica's.
///
/// Source: `PROTOCOL §4.4`; `readSyncBulkPayload`, `replicationCreateMasterClient`, Redis 2.6 to 7.2.
pub fn receive_snapshot(world: &World, setting: &Setting, replica: NodeId) -> Option<World> {
    let link = world.link(replica);
    let payload = link.payload?;
    if link.replica != ReplicaPhase::Transferring {
        return None;
    }

    let mut next = *world;
    // SYNC announces nothing; the model notes the label all the same, to know what the data should be.
    let label = link.announced.unwrap_or(payload.label);
    let link = next.link_mut(replica);
    link.payload = None;
    link.announced = None;
    link.replica = ReplicaPhase::Connected;
    let own = next.node_mut(replica);
    own.data = payload.data;
    own.following = Some(label);
    own.half = None;
    own.saved = Some(received_file(setting, payload));
    Some(next)
}

/// The file a replica received is a saved snapshot from then on.
fn received_file(setting: &Setting, payload: Snapshot) -> Saved {
    let label = (setting.book.saved_label != SavedLabel::None).then_some(payload.label);
    Saved {
        data: payload.data,
        label,
    }
}

/// The head of a write arrives, and its tail does not yet.
///
/// Source: `PROTOCOL §4.5`; `readQueryFromClient`, Redis 2.8 to 7.2.
pub fn read_head(world: &World, setting: &Setting, replica: NodeId) -> Option<World> {
    let (token, starts_with_tail) = next_in_stream(world, setting, replica)?;
    if starts_with_tail || !matches!(token, Token::Write(_)) {
        return None;
    }

    let mut next = *world;
    next.link_mut(replica).stream.starts_with_tail = true;
    let own = next.node_mut(replica);
    own.half = Some(token);
    if setting.book.partial_command != PartialCommand::Dropped
        && let Some(following) = &mut own.following
    {
        following.offset = following.offset.plus(1);
    }
    Some(next)
}

/// The rest of a command arrives, and it takes effect.
///
/// Source: `PROTOCOL §2.5`, `PROTOCOL §4.7`; `commandProcessed`, Redis 2.6 to 7.2.
pub fn apply(world: &World, setting: &Setting, replica: NodeId) -> Option<World> {
    let (token, starts_with_tail) = next_in_stream(world, setting, replica)?;

    let mut next = *world;
    let stream = &mut next.link_mut(replica).stream;
    *stream = Stream {
        tokens: stream.tokens.suffix(1),
        starts_with_tail: false,
    };
    let own = next.node_mut(replica);
    let fits = if starts_with_tail {
        own.half == Some(token)
    } else {
        own.half.is_none()
    };
    let counted =
        i64::from(starts_with_tail && setting.book.partial_command != PartialCommand::Dropped);
    own.half = None;
    own.data = if fits {
        own.data.after(token)
    } else {
        own.data.corrupted()
    };
    if let Some(following) = &mut own.following {
        following.offset = following.offset.plus(token.units() - counted);
    }
    Some(next)
}

/// What the replica reads next, if the snapshot is loaded and the primary has let it go.
fn next_in_stream(world: &World, setting: &Setting, replica: NodeId) -> Option<(Token, bool)> {
    let link = world.link(replica);
    if !link.is_connected() || link.primary != PrimaryPhase::Online || link.wire != Wire::Whole {
        return None;
    }
    if setting.book.sending == Sending::OneBehind && link.stream.tokens.len() == 1 {
        return None;
    }
    Some((link.stream.tokens.first()?, link.stream.starts_with_tail))
}

/// The replica tells its primary how far it has come. An acknowledgement that tells nothing new is left out.
///
/// Source: `PROTOCOL §2.6`; `replicationSendAck`, Redis 2.8 to 7.2.
pub fn acknowledge(world: &World, setting: &Setting, replica: NodeId) -> Option<World> {
    let link = world.link(replica);
    let offset = world.node(replica).following?.offset;
    if setting.book.identity == Identity::None
        || link.replica != ReplicaPhase::Connected
        || link.wire != Wire::Whole
    {
        return None;
    }
    if link.acknowledgement.or(link.acknowledged) == Some(offset) {
        return None;
    }

    let mut next = *world;
    next.link_mut(replica).acknowledgement = Some(offset);
    Some(next)
}

/// The replica notices that the connection is lost, and keeps what it needs to ask again.
///
/// Source: `PROTOCOL §4.5`; `replicationCacheMaster`, `replicationHandleMasterDisconnection`, Redis 2.6 to 7.2.
pub fn replica_notices_loss(world: &World, setting: &Setting, replica: NodeId) -> Option<World> {
    let link = world.link(replica);
    if link.wire != Wire::Cut || link.replica == ReplicaPhase::Idle {
        return None;
    }

    let mut next = *world;
    next.link_mut(replica).replica_forgets();
    let own = next.node_mut(replica);
    if setting.book.partial_command != PartialCommand::KeptAndCounted {
        own.half = None;
    }
    if setting.book.link_loss == LinkLoss::LosesLabel {
        own.following = None;
    }
    Some(next)
}
