//! Properties of established links: S10 to S13.

use crate::property::Edge;
use crate::step::Step;
use crate::token::Token;
use crate::world::{Framing, Id, NodeId, PrimaryPhase, Wire};

/// S10.
pub(super) fn carry_only_the_stream(edge: &Edge<'_>) -> bool {
    edge.links().all(|replica| {
        let link = edge.after.link(replica);
        let stray = link.stream.tokens.iter().any(|token| token == Token::Stray);
        let early = link.primary == PrimaryPhase::Online
            && link
                .payload
                .is_some_and(|payload| payload.framing == Framing::Socket);
        !stray && !early
    })
}

/// S11.
pub(super) fn commands_find_their_database(edge: &Edge<'_>) -> bool {
    let Step::Apply { replica } = edge.step else {
        return true;
    };
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
pub(super) fn acknowledgements_are_sound(edge: &Edge<'_>) -> bool {
    edge.links_with_ends().all(|replica| {
        let following = edge.after.node(replica).following;
        edge.after
            .link(replica)
            .acknowledged
            .is_none_or(|offset| following.is_some_and(|label| offset <= label.offset))
    })
}

/// S13, judged at the parent's end: what a replica of it still reads afterwards it reads under the old name.
pub(super) fn followers_share_the_history(edge: &Edge<'_>) -> bool {
    let replaced = match edge.step {
        Step::ReceiveSnapshot { replica } | Step::FailLoad { replica } => Some(replica),
        _ => None,
    };
    let stays = replaced.is_some_and(|node| edge.after.connections_of(node).next().is_some());
    let names = edge.setting.book.names_histories();
    !stays
        && (!names
            || edge
                .links_with_ends()
                .all(|node| is_named_alike(edge, node)))
}

/// Whether an established link has one name for the history at both ends, and its replica uses that too.
fn is_named_alike(edge: &Edge<'_>, replica: NodeId) -> bool {
    let (Some(parent), link) = (edge.after.parent(replica), edge.after.link(replica)) else {
        return true;
    };
    let Some(label) = edge.after.node(replica).following else {
        return true;
    };
    if !link.is_connected() || link.wire != Wire::Whole || link.primary != PrimaryPhase::Online {
        return true;
    }
    let called = |node: NodeId| {
        let id = edge.after.node(node).id;
        id == Id::ANONYMOUS || id == label.id
    };
    called(parent) && called(replica)
}
