//! What a replica does about its primary: ask, load, apply, acknowledge, notice.

use crate::decision::{next_request, secondary_limit};
use crate::offset::ReplOffset;
use crate::rulebook::{
    Acknowledgement, ContinueAcknowledgement, ContinueBacklog, ContinueId, ContinueOffset, Discard,
    FullLoad, FullReply, Identity, LinkLoss, OpenTransaction, PartialCommand, Renaming, SavedLabel,
    Sending, SyncFallback, TransientError,
};
use crate::rules::primary::{close_link, disconnect_replicas};
use crate::rules::stream::{begin_backlog, own_history_ends, pass_on};
use crate::rules::{Guard, Setting};
use crate::token::{Begun, COMMAND_UNITS, Data, Database, Token, Tokens};
use crate::world::{
    Connection, ErrorReply, Id, Label, Link, Node, NodeId, Offset, PrimaryPhase, ReplicaPhase,
    Reply, Request, Saved, Secondary, Snapshot, Stream, Wire, World,
};

/// The replica opens a connection and asks to go on where it is. The primary may still believe in the
/// connection before.
///
/// Left out: a third connection while the primary believes in two; the oldest adds nothing to the second.
///
/// Source: `PROTOCOL §2.2`, `PROTOCOL §4.2`; `slaveTryPartialResynchronization`, Redis 2.6 to 7.2.
pub fn ask(world: &World, next: &mut World, setting: &Setting, replica: NodeId) -> Option<()> {
    let parent = world.parent(replica)?;
    let link = world.link(replica);
    let forgotten = link.primary == PrimaryPhase::None || link.stale.is_none();
    setting.requires(Guard::AskWhenIdle, link.replica == ReplicaPhase::Idle)?;
    setting.requires(Guard::AskNoThird, forgotten)?;

    let label = world
        .node(replica)
        .following
        .map(|label| (u64::from(label.id.0), label.offset.wide()));
    let wanted = next_request(&setting.book, label).map(|(id, byte)| (Id(id as u8), byte.narrow()));
    let stale = match link.primary {
        PrimaryPhase::None => link.stale,
        phase => Some(Connection {
            at: parent,
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
        with_sync: !setting.book.has_psync(),
        request: Some(Request { wanted }),
        stale,
        ..Link::ABSENT
    };
    Some(())
}

/// `+CONTINUE` arrives: the replica goes on with what it has, under the name it is told.
///
/// Source: `PROTOCOL §4.3`; `slaveTryPartialResynchronization`, `replicationResurrectCachedMaster`, Redis 2.8 to 7.2.
pub fn receive_continue(
    world: &World,
    next: &mut World,
    setting: &Setting,
    replica: NodeId,
) -> Option<()> {
    let Some(Reply::Continue(id)) = world.link(replica).reply else {
        return None;
    };
    let had = world.node(replica).following?;
    let asked = world.link(replica).replica == ReplicaPhase::Asked;
    setting.requires(Guard::ContinueWhenAsked, asked)?;

    next.link_mut(replica).reply = None;
    next.link_mut(replica).replica = match setting.book.continue_acknowledgement {
        ContinueAcknowledgement::Sent => ReplicaPhase::Connected,
        ContinueAcknowledgement::Never => ReplicaPhase::ConnectedMute,
    };
    let id = match setting.book.continue_id {
        ContinueId::Adopted => id.unwrap_or(had.id),
        ContinueId::NotSent | ContinueId::Ignored => had.id,
    };
    let offset = match setting.book.continue_offset {
        ContinueOffset::Kept => had.offset,
        ContinueOffset::GoesBack => had.offset.plus(-COMMAND_UNITS),
    };
    next.node_mut(replica).following = Some(Label { id, offset });
    if setting.book.names_histories() {
        take_name(next, setting, replica, had.id);
    }
    Some(())
}

/// A replica that is continued calls its history what its primary calls it. Under a new name it remembers the
/// old one as its secondary ID, and its own replicas must come again to hear of it.
fn take_name(next: &mut World, setting: &Setting, replica: NodeId, old: Id) {
    let own = next.node_mut(replica);
    let Some(label) = own.following else {
        return;
    };
    let renamed = own.id != label.id;
    own.id = label.id;
    if renamed {
        own.offset = label.offset;
        own.secondary = Some(Secondary {
            id: old,
            limit: secondary_limit(&setting.book, label.offset.wide()).narrow(),
        });
    }
    if own.backlog.is_none() && setting.book.continue_backlog == ContinueBacklog::Created {
        begin_backlog(next, replica);
    }
    if renamed && setting.book.renaming == Renaming::CutsReplicas {
        disconnect_replicas(next, setting, replica);
    }
}

/// `+FULLRESYNC` arrives: a snapshot will come. The old data stay until it is there.
///
/// Source: `PROTOCOL §4.3`, `PROTOCOL §4.4`; `slaveTryPartialResynchronization`, Redis 2.8 to 7.2.
pub fn receive_full_resync(
    world: &World,
    next: &mut World,
    setting: &Setting,
    replica: NodeId,
) -> Option<()> {
    let Some(Reply::FullResync(label)) = world.link(replica).reply else {
        return None;
    };
    let asked = world.link(replica).replica == ReplicaPhase::Asked;
    setting.requires(Guard::FullResyncWhenAsked, asked)?;

    let link = next.link_mut(replica);
    link.reply = None;
    link.replica = ReplicaPhase::Transferring;
    link.announced = Some(label);
    if setting.book.sync_fallback == SyncFallback::KeepsStaleId {
        next.node_mut(replica).told = label.id;
    }
    match setting.book.full_reply {
        FullReply::KeepsLabel => {}
        FullReply::DiscardsLabel => discard_past(next, setting, replica),
        FullReply::AdoptsLabel => next.node_mut(replica).following = Some(label),
    }
    if setting.book.discard == Discard::AtReply {
        next.node_mut(replica).data = Data::EMPTY;
    }
    Some(())
}

/// A replica that knows that other data will come forgets its place, and its own replicas have to come again.
fn discard_past(next: &mut World, setting: &Setting, replica: NodeId) {
    let own = next.node_mut(replica);
    own.following = None;
    own.begun = Begun::NOTHING;
    own.selected = Database::First;
    if setting.book.full_load == FullLoad::CutsReplicas {
        own.backlog = None;
        disconnect_replicas(next, setting, replica);
    }
}

/// An error arrives instead of an answer. If it is known to pass, the replica closes the connection and will
/// ask again; otherwise it takes PSYNC to be unknown here, and asks with SYNC.
///
/// Source: `PROTOCOL §4.3`; `slaveTryPartialResynchronization`, `syncWithMaster`, Redis 2.8 to 7.2.
pub fn receive_error(
    world: &World,
    next: &mut World,
    setting: &Setting,
    replica: NodeId,
) -> Option<()> {
    let link = world.link(replica);
    let Some(Reply::Error(kind)) = link.reply else {
        return None;
    };

    let passes = kind == ErrorReply::Transient
        && setting.book.transient_error != TransientError::LikeAnyOther;
    if passes || link.with_sync {
        close_link(next, setting, replica);
        if setting.book.transient_error == TransientError::ForgetsLabel {
            next.node_mut(replica).following = None;
            next.node_mut(replica).selected = Database::First;
        }
        return Some(());
    }
    let link = next.link_mut(replica);
    link.reply = None;
    link.replica = ReplicaPhase::Transferring;
    link.with_sync = true;
    link.request = Some(Request { wanted: None });
    if setting.book.full_reply == FullReply::DiscardsLabel {
        discard_past(next, setting, replica);
    }
    Some(())
}

/// The whole snapshot is there: it replaces the data, and its label becomes the replica's.
///
/// Source: `PROTOCOL §4.4`; `readSyncBulkPayload`, `replicationCreateMasterClient`, Redis 2.6 to 7.2.
pub fn receive_snapshot(
    world: &World,
    next: &mut World,
    setting: &Setting,
    replica: NodeId,
) -> Option<()> {
    let link = world.link(replica);
    let payload = link.payload?;
    let transferring = link.replica == ReplicaPhase::Transferring;
    setting.requires(Guard::LoadWhenTransferring, transferring)?;

    let label = label_of_load(world, setting, replica, payload);
    let link = next.link_mut(replica);
    link.payload = None;
    link.announced = None;
    link.replica = ReplicaPhase::Connected;
    let own = next.node_mut(replica);
    own.data = payload.data;
    own.following = label;
    own.begun = Begun::NOTHING;
    own.selected = payload.database.unwrap_or_default();
    own.snapshot = None;
    own.saved = Some(received_file(setting, payload));
    replace_history(next, setting, replica, label);
    Some(())
}

/// What a replica calls the data it has loaded; `None` if nobody named them.
fn label_of_load(
    world: &World,
    setting: &Setting,
    replica: NodeId,
    payload: Snapshot,
) -> Option<Label> {
    if !setting.book.has_psync() {
        // SYNC announces nothing; the model notes the label all the same, to know what the data should be.
        return Some(payload.label);
    }
    if !world.link(replica).with_sync {
        return world.link(replica).announced;
    }
    let told = world.node(replica).told;
    match setting.book.sync_fallback {
        SyncFallback::Nameless => None,
        SyncFallback::KeepsStaleId => (told != Id::ANONYMOUS).then_some(Label {
            id: told,
            offset: ReplOffset(-1),
        }),
    }
}

/// After a full load a replica's own history is another: its replicas have to come again, and its backlog,
/// where replicas have one without being asked, begins here.
fn replace_history(next: &mut World, setting: &Setting, replica: NodeId, label: Option<Label>) {
    let cuts = setting.book.full_load == FullLoad::CutsReplicas;
    let own = next.node_mut(replica);
    if cuts {
        own.backlog = None;
    }
    if setting.book.names_histories() {
        own.secondary = None;
        own.id = label.map_or(Id::ANONYMOUS, |label| label.id);
        own.offset = label.map_or(ReplOffset(0), |label| label.offset);
        if own.id != Id::ANONYMOUS && own.backlog.is_none() {
            begin_backlog(next, replica);
        }
    } else {
        own_history_ends(next, setting, replica);
    }
    if cuts {
        disconnect_replicas(next, setting, replica);
    }
}

/// The old data are gone and the new ones turn out to be broken: the replica is left with neither data nor a
/// label that it could use, and closes the connection.
///
/// Source: `PROTOCOL §4.4`; `readSyncBulkPayload`, `replicationAttachToNewMaster`, Redis 2.6 to 7.2.
pub fn fail_load(
    world: &World,
    next: &mut World,
    setting: &Setting,
    replica: NodeId,
) -> Option<()> {
    let link = world.link(replica);
    link.payload?;
    let transferring = link.replica == ReplicaPhase::Transferring;
    setting.requires(Guard::FailWhenTransferring, transferring)?;

    close_link(next, setting, replica);
    let own = next.node_mut(replica);
    own.data = Data::EMPTY;
    own.backlog = None;
    own.snapshot = None;
    own.following = None;
    own.begun = Begun::NOTHING;
    own.selected = Database::First;
    if !setting.book.names_histories() {
        own_history_ends(next, setting, replica);
    }
    disconnect_replicas(next, setting, replica);
    Some(())
}

/// The file a replica received is a saved snapshot from then on.
fn received_file(setting: &Setting, payload: Snapshot) -> Saved {
    let label = (setting.book.saved_label != SavedLabel::None).then_some(payload.label);
    Saved {
        data: payload.data,
        label,
        database: payload.database,
    }
}

/// The head of a write arrives, and its tail does not yet.
///
/// Source: `PROTOCOL §4.5`; `readQueryFromClient`, Redis 2.8 to 7.2.
pub fn read_head(
    world: &World,
    next: &mut World,
    setting: &Setting,
    replica: NodeId,
) -> Option<()> {
    let (token, starts_with_tail) = next_in_stream(world, setting, replica)?;
    setting.requires(Guard::HeadBeforeTail, !starts_with_tail)?;
    setting.requires(Guard::HeadOfWrite, token.as_write().is_some())?;

    next.link_mut(replica).stream.starts_with_tail = true;
    let own = next.node_mut(replica);
    own.begun.half = Some(token);
    if setting.book.partial_command != PartialCommand::Dropped
        && let Some(following) = &mut own.following
    {
        following.offset = following.offset.plus(1);
    }
    Some(())
}

/// The rest of a command arrives, and it takes effect; within a transaction all of it does when EXEC arrives.
///
/// Source: `PROTOCOL §2.5`, `PROTOCOL §4.5`, `PROTOCOL §4.7`; `commandProcessed`, `execCommand`, Redis 2.6 to 7.2.
pub fn apply(world: &World, next: &mut World, setting: &Setting, replica: NodeId) -> Option<()> {
    let (token, starts_with_tail) = next_in_stream(world, setting, replica)?;

    let stream = &mut next.link_mut(replica).stream;
    *stream = Stream {
        tokens: stream.tokens.suffix(1),
        starts_with_tail: false,
    };
    let own = next.node_mut(replica);
    let fits = own.begun.half == starts_with_tail.then_some(token);
    let (executed, begun) = own.begun.with(token);
    own.begun = begun;
    execute_all(own, executed);
    if !fits {
        own.data = own.data.corrupted();
    }
    let counted = match setting.book.open_transaction {
        OpenTransaction::Dropped => executed.units(),
        OpenTransaction::KeptAndCounted | OpenTransaction::DroppedYetCounted => token.units(),
    };
    let head =
        i64::from(starts_with_tail && setting.book.partial_command != PartialCommand::Dropped);
    if let Some(following) = &mut own.following {
        following.offset = following.offset.plus(counted - head);
    }
    pass_on(next, setting, replica, executed);
    Some(())
}

/// A replica executes what its primary has executed, in the database it has selected.
fn execute_all(own: &mut Node, commands: Tokens) {
    for token in commands.iter() {
        if let Token::Select(database) = token {
            own.selected = database;
        }
        own.data = own.data.after(token);
        if token
            .as_write()
            .is_some_and(|(_, made_in)| made_in != own.selected)
        {
            own.data = own.data.corrupted();
        }
    }
}

/// What the replica reads next, if the snapshot is loaded and the primary has let it go.
fn next_in_stream(world: &World, setting: &Setting, replica: NodeId) -> Option<(Token, bool)> {
    let link = world.link(replica);
    let kept_back = setting.book.sending == Sending::OneBehind && link.stream.tokens.len() == 1;
    setting.requires(Guard::ReadWhenConnected, link.is_connected())?;
    setting.requires(Guard::ReadWhenOnline, link.primary == PrimaryPhase::Online)?;
    setting.requires(Guard::ReadWhole, link.wire == Wire::Whole)?;
    setting.requires(Guard::ReadSent, !kept_back)?;
    Some((link.stream.tokens.first()?, link.stream.starts_with_tail))
}

/// The replica tells its primary how far it has come. An acknowledgement that tells nothing new is left out.
///
/// Source: `PROTOCOL §2.6`; `replicationSendAck`, Redis 2.8 to 7.2.
pub fn acknowledge(
    world: &World,
    next: &mut World,
    setting: &Setting,
    replica: NodeId,
) -> Option<()> {
    let link = world.link(replica);
    let offset = acknowledged_offset(world, setting, replica)?;
    let told = link.acknowledgement.or(link.acknowledged);
    setting.requires(
        Guard::AcknowledgeInEra,
        setting.book.identity != Identity::None,
    )?;
    setting.requires(
        Guard::AcknowledgeWhenConnected,
        link.replica == ReplicaPhase::Connected,
    )?;
    setting.requires(Guard::AcknowledgeWhole, link.wire == Wire::Whole)?;
    setting.requires(Guard::AcknowledgeNews, told != Some(offset))?;

    next.link_mut(replica).acknowledgement = Some(offset);
    Some(())
}

fn acknowledged_offset(world: &World, setting: &Setting, replica: NodeId) -> Option<Offset> {
    let own = world.node(replica);
    let offset = own.following?.offset;
    Some(match setting.book.acknowledgement {
        Acknowledgement::Read if own.begun.half.is_some() => offset.plus(COMMAND_UNITS),
        Acknowledgement::Read | Acknowledgement::Applied => offset,
    })
}

/// The replica notices that the connection is lost, and keeps what it needs to ask again. Before PSYNC that is
/// nothing, and its own replicas have to come again.
///
/// Source: `PROTOCOL §4.5`; `replicationCacheMaster`, `replicationHandleMasterDisconnection`, Redis 2.6 to 7.2.
pub fn replica_notices_loss(
    world: &World,
    next: &mut World,
    setting: &Setting,
    replica: NodeId,
) -> Option<()> {
    let link = world.link(replica);
    setting.requires(Guard::ReplicaNoticesCut, link.wire == Wire::Cut)?;
    setting.requires(Guard::ReplicaHadLink, link.replica != ReplicaPhase::Idle)?;

    next.link_mut(replica).replica_forgets();
    let own = next.node_mut(replica);
    if setting.book.partial_command != PartialCommand::KeptAndCounted {
        own.begun.half = None;
    }
    if setting.book.open_transaction != OpenTransaction::KeptAndCounted {
        own.begun.transaction = Tokens::EMPTY;
    }
    if setting.book.link_loss == LinkLoss::LosesLabel {
        own.following = None;
        own.selected = Database::First;
    }
    if !setting.book.has_psync() {
        disconnect_replicas(next, setting, replica);
    }
    Some(())
}
