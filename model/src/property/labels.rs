//! Properties of names, offsets and data: S1, S2, S5 to S9, S14, S15.

use crate::history::Meaning;
use crate::property::{Edge, Place};
use crate::rulebook::{Identity, PartialCommand};
use crate::step::Step;
use crate::token::{Begun, Data};
use crate::world::{Byte, Id, Label, NodeId, World};

/// What a node truly has: its data, and what it has begun to read if the era counts that.
pub(super) type Holding = (Data, Begun);

pub(super) fn holding(place: &Place<'_>, node: NodeId) -> Holding {
    let own = place.world.node(node);
    let counts_begun = place.setting.book.partial_command == PartialCommand::KeptAndCounted;
    let begun = if counts_begun {
        own.begun
    } else {
        Begun::NOTHING
    };
    (own.data, begun)
}

/// Whether a label says truly that its owner has `holding`. Where run IDs name processes, a label may also be
/// retired: from then on it must be good for nothing, which is S7.
fn is_true(place: &Place<'_>, label: Label, holding: Holding) -> bool {
    match place.world.meaning(label) {
        Meaning::Data(data, begun) => holding == (data, begun),
        Meaning::Retired => place.setting.book.identity != Identity::ReplicationId,
        Meaning::Future => false,
    }
}

/// S1.
pub(super) fn are_true(place: &Place<'_>) -> bool {
    place.nodes_by_history().all(|node| {
        let own = place.world.node(node);
        let following = own
            .following
            .is_none_or(|label| is_true(place, label, holding(place, node)));
        let producing =
            own.backlog.is_none() || is_true(place, own.label(), (own.data, Begun::NOTHING));
        let saved = own.saved.is_none_or(|saved| {
            saved
                .label
                .is_none_or(|label| is_true(place, label, (saved.data, Begun::NOTHING)))
        });
        following && producing && saved
    })
}

/// S2.
pub(super) fn equal_ones_have_equal_data(place: &Place<'_>) -> bool {
    place.nodes().all(|node| {
        let mut others = place.world.node_ids().filter(|&other| other != node);
        others.all(|other| {
            let (own, theirs) = (usable(place, node), usable(place, other));
            let mut own = own.iter().filter(|(_, label)| label.is_some());
            own.all(|(name, label)| {
                let mut named_alike = theirs.iter().filter(|(_, same)| same == label);
                named_alike.all(|(same, _)| held(place, node, *name) == held(place, other, *same))
            })
        })
    })
}

/// After what somebody names the data of a node: the history it follows, or its own.
#[derive(Clone, Copy)]
enum Name {
    Followed,
    Own,
}

/// The labels somebody may use for what a node has.
fn usable(place: &Place<'_>, node: NodeId) -> [(Name, Option<Label>); 2] {
    let own = place.world.node(node);
    let label = own.backlog.map(|_| own.label());
    [(Name::Followed, own.following), (Name::Own, label)]
}

/// What a node has under such a label.
fn held(place: &Place<'_>, node: NodeId, name: Name) -> Holding {
    match name {
        Name::Followed => holding(place, node),
        Name::Own => (place.world.node(node).data, Begun::NOTHING),
    }
}

/// S5.
pub(super) fn backlogs_end_the_stream(place: &Place<'_>) -> bool {
    place.nodes_by_history().all(|node| {
        let own = place.world.node(node);
        let Some(backlog) = own.backlog else {
            return true;
        };
        let Some(history) = place.world.history(own.id) else {
            return false;
        };
        let before_first = backlog.first.offset_before();
        before_first.plus(backlog.tokens.units()) == own.offset
            && before_first >= history.base
            && history.up_to(own.offset).tokens_after(before_first) == backlog.tokens
    })
}

/// S6. A node without backlog, whose name nobody knows, cannot use its secondary ID.
pub(super) fn secondary_ids_name_a_common_past(place: &Place<'_>) -> bool {
    place.nodes_by_history().all(|node| {
        let own = place.world.node(node);
        let Some(former) = own.secondary else {
            return true;
        };
        own.id == Id::ANONYMOUS
            || (former.limit.offset_before() <= own.offset
                && shared_past(place.world, own.id, former.id, former.limit))
    })
}

/// Whether two histories are the same before `byte`.
pub(super) fn shared_past(world: &World, one: Id, other: Id, byte: Byte) -> bool {
    match (world.history(one), world.history(other)) {
        (Some(one), Some(other)) => {
            let offset = byte.offset_before();
            one.agrees_with(other, offset) && !matches!(other.meaning(offset), Meaning::Future)
        }
        _ => false,
    }
}

/// S7. No label whose truth is gone lies where a backlog could serve it; and with replication IDs the name of a primary
/// without backlog is unknown, or still true.
pub(super) fn uncounted_writes_retire_them(place: &Place<'_>) -> bool {
    place.world.node_ids().all(|node| {
        let own = place.world.node(node);
        match (place.setting.book.identity, own.backlog) {
            (Identity::ReplicationId, None) => {
                !place.world.is_primary(node)
                    || own.id == Id::ANONYMOUS
                    || place.world.meaning(own.label()) == Meaning::Data(own.data, Begun::NOTHING)
            }
            (Identity::None | Identity::RunId, None) | (Identity::None, _) => true,
            (_, Some(backlog)) => place.world.node_ids().all(|other| {
                let given = place.world.node(other).following;
                given
                    .filter(|label| label.id == own.id)
                    .is_none_or(|label| {
                        label.offset.next_byte() < backlog.first
                            || is_true(place, label, holding(place, other))
                    })
            }),
        }
    })
}

/// S8. A node that passes a stream on extends nothing: what it passes on was written upstream.
pub(super) fn histories_have_one_writer(edge: &Edge<'_>, node: NodeId) -> bool {
    let own = edge.before.node(node);
    let passes_on = own.following.is_some_and(|label| label.id == own.id);
    if passes_on && matches!(edge.step, Step::Apply { .. }) {
        return true;
    }
    // A replication ID names a history: a write extends it, counted or not. A run ID names a process, and
    // what it writes uncounted is S7's concern.
    let counted = edge.after.node(node).offset != own.offset || edge.setting.book.names_histories();
    edge.before
        .history(own.id)
        .is_none_or(|history| !counted || history.end() == own.offset)
}

/// S9. Where an offset lies of which nothing is known is S1's concern.
pub(super) fn offsets_lie_between_commands(place: &Place<'_>) -> bool {
    let lies_within = |label| match place.world.meaning(label) {
        Meaning::Data(_, begun) => !begun.is_nothing(),
        Meaning::Retired | Meaning::Future => false,
    };
    !place.setting.book.names_histories()
        || place.nodes_by_history().all(|node| {
            let following = place.world.node(node).following;
            !following.is_some_and(lies_within)
        })
}

/// S14.
pub(super) fn data_stay_until_replaced(edge: &Edge<'_>, node: NodeId) -> bool {
    let (before, after) = (edge.before.node(node).data, edge.after.node(node).data);
    let replaced = || {
        let loads = matches!(
            edge.step,
            Step::ReceiveSnapshot { .. } | Step::FailLoad { .. }
        );
        loads || edge.step.is_restart()
    };
    before.sound().without(after) == Data::EMPTY || replaced()
}

/// S15. A snapshot may begin anywhere; only going on may not go back.
pub(super) fn offsets_do_not_go_back(edge: &Edge<'_>, node: NodeId) -> bool {
    let (before, after) = (edge.before.node(node), edge.after.node(node));
    let produced =
        after.offset >= before.offset || before.id != after.id || before.id == Id::ANONYMOUS;
    let applied = match (before.following, after.following) {
        (Some(was), Some(is)) if was.id == is.id => is.offset >= was.offset,
        _ => true,
    };
    let exempt = || {
        let begins = matches!(edge.step, Step::ReceiveSnapshot { .. });
        edge.step.node() == node && (begins || edge.step.is_restart())
    };
    (produced && applied) || exempt()
}
