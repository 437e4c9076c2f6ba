//! Properties of established links: S10 to S13.

use crate::property::{Edge, Place};
use crate::token::Token;
use crate::world::{Framing, Id, NodeId, PrimaryPhase, Wire};

/// S10.
pub(super) fn carry_only_the_stream(place: &Place<'_>) -> bool {
    place.links().all(|replica| {
        let link = place.world.link(replica);
        let stray = link.stream.tokens.iter().any(|token| token == Token::Stray);
        let early = link.primary == PrimaryPhase::Online
            && link
                .payload
                .is_some_and(|payload| payload.framing == Framing::Socket);
        !stray && !early
    })
}

/// S11.
pub(super) fn commands_find_their_database(edge: &Edge<'_>, replica: NodeId) -> bool {
    let own = edge.before.node(replica);
    let arrived = edge.before.link(replica).stream.tokens.first();
    let mut selected = own.selected;
    arrived.is_none_or(|token| {
        let (executed, _) = own.begun.with(token);
        executed.iter().all(|token| {
            if let Token::Select(database) = token {
                selected = database;
            }
            token
                .as_write()
                .is_none_or(|(_, made_in)| made_in == selected)
        })
    })
}

/// S12.
pub(super) fn acknowledgements_are_sound(place: &Place<'_>) -> bool {
    place.links_with_ends().all(|replica| {
        let following = place.world.node(replica).following;
        place
            .world
            .link(replica)
            .acknowledged
            .is_none_or(|offset| following.is_some_and(|label| offset <= label.offset))
    })
}

/// S13. Nobody stays attached to a node whose data are replaced.
pub(super) fn none_stays_across_a_load(edge: &Edge<'_>, replica: NodeId) -> bool {
    edge.after.connections_of(replica).next().is_none()
}

/// The other half of S13: an established link has one name for the history. It is judged at the parent's end: what a
/// replica of it still reads afterwards it reads under the old name.
pub(super) fn share_one_name(place: &Place<'_>) -> bool {
    let names = place.setting.book.names_histories();
    !names
        || place
            .links_with_ends()
            .all(|node| is_named_alike(place, node))
}

/// Whether an established link has one name for the history at both ends, and its replica uses that too.
fn is_named_alike(place: &Place<'_>, replica: NodeId) -> bool {
    let (Some(parent), link) = (place.world.parent(replica), place.world.link(replica)) else {
        return true;
    };
    let Some(label) = place.world.node(replica).following else {
        return true;
    };
    if !link.is_connected() || link.wire != Wire::Whole || link.primary != PrimaryPhase::Online {
        return true;
    }
    let called = |node: NodeId| {
        let id = place.world.node(node).id;
        id == Id::ANONYMOUS || id == label.id
    };
    called(parent) && called(replica)
}
