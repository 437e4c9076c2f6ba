//! Properties of requests, answers and what is sent for them: S3, S4, S16, L2.

use crate::decision::Answer;
use crate::history::Meaning;
use crate::property::labels::{holding, shared_past};
use crate::property::{Edge, Place};
use crate::rulebook::Identity;
use crate::rules::stranger::wanted_by_stranger;
use crate::step::Step;
use crate::token::{Begun, Token};
use crate::world::{Byte, ErrorReply, Id, NodeId, PrimaryPhase, Reply, Wire, World};

/// S3.
pub(super) fn continued_exactly(edge: &Edge<'_>, replica: NodeId) -> bool {
    let Some(parent) = edge.before.parent(replica) else {
        return true;
    };
    let Some((_, byte)) = edge
        .before
        .link(replica)
        .request
        .and_then(|request| request.wanted)
    else {
        return false;
    };
    let own = edge.before.node(parent);
    let Some(history) = edge.before.history(own.id) else {
        return false;
    };
    let history = history.up_to(own.offset);
    let Meaning::Data(data, begun) = history.meaning(byte.offset_before()) else {
        return false;
    };
    let stream = edge.after.link(replica).stream;
    let exact = stream.tokens == history.tokens_after(byte.offset_before())
        && stream.starts_with_tail == begun.half.is_some();
    exact && (data, begun) == holding(&Place::new(edge.after, edge.setting), replica)
}

/// S4.
pub(super) fn snapshots_match_their_labels(place: &Place<'_>) -> bool {
    place.links_by_history().all(|replica| {
        let link = place.world.link(replica);
        let Some(parent) = place.world.parent(replica) else {
            return true;
        };
        if link.wire != Wire::Whole {
            return true;
        }
        let making = || {
            let snapshot = place.world.node(parent).snapshot;
            snapshot.filter(|_| link.primary == PrimaryPhase::Accumulating)
        };
        let Some(snapshot) = link.payload.or_else(making) else {
            return true;
        };
        let announced = match link.reply {
            Some(Reply::FullResync(label)) => Some(label),
            _ => link.announced,
        };
        let label = announced.unwrap_or(snapshot.label);
        let Some(history) = place.world.history(label.id) else {
            return false;
        };
        let own = place.world.node(parent);
        let history = if own.id == label.id {
            history.up_to(own.offset)
        } else {
            *history
        };
        let follows = link
            .stream
            .tokens
            .iter()
            .filter(|token| *token != Token::Stray);
        history.meaning(label.offset) == Meaning::Data(snapshot.data, Begun::NOTHING)
            && follows.eq(history.tokens_after(label.offset).iter())
    })
}

/// Whether a primary may continue somebody at `byte` of `id`, by what truly happened.
fn may_continue(world: &World, node: NodeId, id: Id, byte: Byte) -> bool {
    let own = world.node(node);
    let Some(backlog) = own.backlog else {
        return false;
    };
    let held = backlog.first <= byte && byte <= own.offset.next_byte();
    let remembered = own.secondary.is_some_and(|former| former.id == id);
    held && (id == own.id || (remembered && shared_past(world, own.id, id, byte)))
}

/// The node that answers a request, what is asked for, and whether it continues.
type Answered = (NodeId, Option<(Id, Byte)>, bool);

/// The request that a step answers.
fn answered(edge: &Edge<'_>) -> Option<Answered> {
    let (replica, accepted) = match edge.step {
        Step::AcceptPartial { replica, .. } => (replica, true),
        Step::DeclinePartial { replica, .. } | Step::AttachToSnapshot { replica } => {
            (replica, false)
        }
        Step::StrangerAsks { node, question } => {
            let accepted = matches!(edge.after.stranger?.answer, Answer::Continue(_));
            return Some((
                node,
                wanted_by_stranger(edge.before, node, question),
                accepted,
            ));
        }
        _ => return None,
    };
    Some((
        edge.before.parent(replica)?,
        edge.before.link(replica).request?.wanted,
        accepted,
    ))
}

/// S16.
pub(super) fn foreign_requests_are_refused(edge: &Edge<'_>) -> bool {
    match answered(edge) {
        Some((node, Some((id, byte)), true)) => may_continue(edge.before, node, id, byte),
        Some((_, None, accepted)) => !accepted,
        _ => true,
    }
}

/// Whether a primary should continue somebody at `byte` of `id`: it may, and it can know that it may. Beyond the
/// limit of its secondary ID it cannot, whatever truly happened (`FLAWS F-17`).
fn should_continue(world: &World, node: NodeId, id: Id, byte: Byte) -> bool {
    let own = world.node(node);
    let within_limit = own.secondary.is_some_and(|former| byte <= former.limit);
    may_continue(world, node, id, byte) && (id == own.id || within_limit)
}

/// L2, of requests.
pub(super) fn whoever_can_be_continued_is(edge: &Edge<'_>) -> bool {
    match answered(edge) {
        Some((node, Some((id, byte)), false)) => !should_continue(edge.before, node, id, byte),
        _ => true,
    }
}

/// L2, of names: whoever takes a new one shares with the former one everything it has at that moment.
pub(super) fn enough_is_remembered(edge: &Edge<'_>, node: NodeId) -> bool {
    let (before, after) = (edge.before.node(node), edge.after.node(node));
    after.secondary.is_none_or(|former| {
        let is_new = after.secondary != before.secondary && former.id != after.id;
        !is_new || former.limit >= after.offset.next_byte()
    })
}

/// L2, of means: what would have allowed to continue does not go without need. That is a label with a lost link or on
/// an error that is known to pass, a backlog or a former name at a promotion.
pub(super) fn means_are_kept(edge: &Edge<'_>) -> bool {
    let label_lost = |replica: NodeId| {
        edge.before.node(replica).following.is_some()
            && edge.after.node(replica).following.is_none()
    };
    let lost = match edge.step {
        Step::ReplicaNoticesLoss { replica } => {
            edge.setting.book.identity != Identity::None && label_lost(replica)
        }
        Step::ReceiveError { replica } => {
            let reply = edge.before.link(replica).reply;
            let passes = reply == Some(Reply::Error(ErrorReply::Transient));
            edge.setting.book.names_histories() && passes && label_lost(replica)
        }
        Step::Promote { node } => {
            let (before, after) = (edge.before.node(node), edge.after.node(node));
            let renamed = after.id != before.id;
            let remembered = after.secondary.is_some_and(|former| former.id == before.id);
            edge.setting.book.names_histories()
                && before.backlog.is_some()
                && (after.backlog.is_none() || (renamed && !remembered))
        }
        _ => false,
    };
    !lost
}
