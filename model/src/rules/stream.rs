//! How a command enters a stream: the history, the backlog, and every replica that is due it. No rules: what
//! the rules have in common.

use crate::history::History;
use crate::rulebook::{Accumulation, BacklogBirth, BacklogCopy, Chaining, StreamPurity, Trim};
use crate::rules::Setting;
use crate::token::{COMMAND_UNITS, Data, Database, Token, Tokens};
use crate::world::{Backlog, Id, NodeId, Offset, PrimaryPhase, Wire, World};

/// A new backlog makes every earlier label of this primary unusable: its writes were not counted so far.
pub fn create_backlog(world: &World, next: &mut World, setting: &Setting, node: NodeId) {
    let (data, id) = (next.node(node).data, next.node(node).id);
    if setting.book.backlog_birth == BacklogBirth::Never {
        return;
    }
    if setting.book.backlog_birth == BacklogBirth::SkipsOneByte {
        next.node_mut(node).offset = next.node(node).offset.plus(1);
    }
    let history = History::beginning(next.node(node).offset, data);
    let retires = setting.book.backlog_birth == BacklogBirth::FreshId;
    if retires {
        next.node_mut(node).secondary = None;
    }
    if retires || id == Id::ANONYMOUS {
        next.node_mut(node).id = next.name_history(world, history);
    } else if let Some(ghost) = next.history_mut(id) {
        *ghost = history;
    }
    begin_backlog(next, node);
}

/// An empty backlog, from the node's offset on.
pub fn begin_backlog(next: &mut World, node: NodeId) {
    let own = next.node_mut(node);
    own.backlog = Some(Backlog {
        first: own.offset.next_byte(),
        tokens: Tokens::EMPTY,
    });
}

/// What a node executes for a client of its own: each write takes effect, and the stream says the same, in the database
/// in which the first of them is made.
pub fn execute(next: &mut World, setting: &Setting, node: NodeId, commands: &[Token]) {
    if let Some((_, made_in)) = commands.iter().find_map(|token| token.as_write()) {
        select(next, setting, node, made_in);
    }
    for &token in commands {
        let own = next.node_mut(node);
        own.data = own.data.after(token);
        feed(next, setting, node, token);
    }
}

/// Whether what a node executes is counted: it has a backlog, or in the oldest era a name, since its first snapshot.
fn counts(next: &World, setting: &Setting, node: NodeId) -> bool {
    let own = next.node(node);
    own.backlog.is_some() || (!setting.book.has_psync() && own.id != Id::ANONYMOUS)
}

/// The stream says in which database its next command is to be executed, if it has not said so.
fn select(next: &mut World, setting: &Setting, node: NodeId, database: Database) {
    let said = next.node(node).stream_database == Some(database);
    if setting.databases && !said && counts(next, setting, node) {
        feed(next, setting, node, Token::Select(database));
        next.node_mut(node).stream_database = Some(database);
    }
}

/// Appends a command to the stream: to the history, to the backlog, and to every replica that is due it.
pub fn feed(next: &mut World, setting: &Setting, node: NodeId, token: Token) {
    if !counts(next, setting, node) {
        history_moves_unnumbered(next, node);
        return;
    }
    let own = next.node(node);
    let (id, offset) = (own.id, own.offset);
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

/// What a replica has executed goes on to its own replicas: as it came, or made anew.
pub fn pass_on(next: &mut World, setting: &Setting, node: NodeId, executed: Tokens) {
    if setting.book.chaining == Chaining::Regenerated {
        regenerate(next, setting, node, executed);
        return;
    }
    for token in executed.iter() {
        let own = next.node_mut(node);
        own.offset = own.offset.plus(token.units());
        if let Some(backlog) = &mut own.backlog {
            backlog.tokens.push(token);
        }
        let own = next.node(node);
        if own.following.is_none_or(|label| label.id != own.id) {
            // It follows under no name, and calls the history by one of its own.
            let id = own.id;
            if let Some(ghost) = next.history_mut(id) {
                ghost.tokens.push(token);
            }
        }
        queue(next, setting, node, token);
    }
    trim(next, setting, node);
}

/// What changed the data is written into a stream of the node's own, with its own SELECT.
fn regenerate(next: &mut World, setting: &Setting, node: NodeId, executed: Tokens) {
    if executed.writes() == Data::EMPTY {
        return;
    }
    let database = next.node(node).selected;
    select(next, setting, node, database);
    for token in executed.iter() {
        if token.as_write().is_some() || matches!(token, Token::Multi | Token::Exec) {
            feed(next, setting, node, token);
        }
    }
}

/// The data of a node are replaced, in an era in which its ID does not name the history it follows. To 3.2 the run ID
/// and the offset stay, and every label up to that offset is retired: the next backlog skips a byte. Before PSYNC there
/// was nothing but the model's own name for the history, and that goes.
pub fn own_history_ends(next: &mut World, setting: &Setting, node: NodeId) {
    if setting.book.has_psync() {
        history_moves_unnumbered(next, node);
    } else {
        next.node_mut(node).id = Id::ANONYMOUS;
    }
}

/// The data of a node change by something that is not in its stream, and no offset moves: what is true of them is true
/// one unit further on, where the next backlog begins; of what was said so far nothing is.
fn history_moves_unnumbered(next: &mut World, node: NodeId) {
    let own = next.node(node);
    let (id, data, offset) = (own.id, own.data, own.offset);
    if let Some(ghost) = next.history_mut(id) {
        *ghost = History::beginning(offset.plus(1), data);
    }
}

fn queue(next: &mut World, setting: &Setting, node: NodeId, token: Token) {
    for replica in next.node_ids() {
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

/// Cuts the backlog to its size. Where blocks are shared nothing goes that waits for a snapshot to be through; it goes
/// as soon as that has been let go to the replica, or the replica is gone.
///
/// Left out: a replica that is online and reads slowly keeps blocks as well.
///
/// Source: `PROTOCOL §3.6`; `feedReplicationBacklog`, Redis 2.8; `incrementalTrimReplicationBacklog`, Redis 7.0.
pub fn trim(next: &mut World, setting: &Setting, node: NodeId) {
    let too_long = |backlog: &Backlog| backlog.tokens.outweighs(setting.backlog_commands);
    if !next.node(node).backlog.as_ref().is_some_and(too_long) {
        return;
    }
    let kept_for_replicas = match setting.book.trim {
        Trim::Exact => None,
        Trim::UnsentBlocksStay => unsent_from(next, node),
    };
    let Some(backlog) = &mut next.node_mut(node).backlog else {
        return;
    };
    loop {
        let past_first = backlog.first.plus(COMMAND_UNITS);
        if kept_for_replicas.is_some_and(|sent| past_first > sent.next_byte()) {
            return;
        }
        backlog.tokens.pop_first();
        backlog.first = past_first;
        if !too_long(backlog) {
            return;
        }
    }
}

/// The lowest offset from which the stream waits for some replica's snapshot.
fn unsent_from(world: &World, node: NodeId) -> Option<Offset> {
    let connections = world.connections_of(node);
    connections
        .filter_map(|connection| connection.unsent_from)
        .min()
}
