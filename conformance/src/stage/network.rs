//! The network between subjects: for every node and every other that it may be told to follow an address of its own, and
//! for each replica a line, whose two ends are connections of the harness.
//!
//! Towards a replica it is a primary that answers the handshake, which decides nothing (`PROTOCOL §2.1`), and towards a
//! primary a replica that has said it. From the request on it passes on what comes, byte for byte and each piece when it
//! is told to. It judges nothing.
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use psync_model::world::{NodeId, World};

use super::Trouble;
use super::as_primary::due;
use super::as_replica::unspoken;
use crate::conn::{ConnError, Deadline};
use crate::played::{LinkId, PlayedPrimary, PlayedReplica, Request};
use crate::transcript::{CaseClock, Transcript};
use crate::wire::{Body, Item};

/// What lies between a replica and its primary.
#[derive(Default)]
struct Line {
    /// The replica's end, at the door it came through.
    lower: Option<(NodeId, LinkId)>,
    /// The primary's end, once the request has been passed on.
    upper: Option<(NodeId, PlayedReplica)>,
    /// The primary's end of the line before, as long as it has not noticed.
    older: Option<(NodeId, PlayedReplica)>,
    /// The request, until it is passed on.
    request: Option<Request>,
    /// An acknowledgement, until it is passed on.
    acknowledgement: Option<i64>,
}

/// All doors and lines.
pub(super) struct Network {
    /// Where each node, named first, finds the one that it is told to follow.
    doors: BTreeMap<(NodeId, NodeId), PlayedPrimary>,
    lines: BTreeMap<NodeId, Line>,
}

/// One piece of what a primary sends, as it is and as it reads.
pub(super) struct Piece {
    /// What it says.
    pub(super) body: Body,
    /// Its bytes.
    pub(super) bytes: Vec<u8>,
}

impl Network {
    /// Opens a door for every pair of nodes; nobody is let in yet. One act of sending takes at most `send_limit`.
    pub(super) fn between(
        world: &World,
        send_limit: Duration,
        clock: CaseClock,
    ) -> Result<Self, Trouble> {
        let mut doors = BTreeMap::new();
        for node in world.node_ids() {
            for parent in world.node_ids().filter(|parent| *parent != node) {
                let label = format!("{} to {}", node.name(), parent.name());
                let door = PlayedPrimary::listen(send_limit, Transcript::new(label, clock))?;
                door.set_accepting(false);
                doors.insert((node, parent), door);
            }
        }
        let lines = world.node_ids().map(|node| (node, Line::default()));
        Ok(Self {
            doors,
            lines: lines.collect(),
        })
    }

    /// The address at which `node` finds `parent`.
    pub(super) fn door(&self, node: NodeId, parent: NodeId) -> SocketAddr {
        self.doors[&(node, parent)].addr()
    }

    /// The transcripts of all connections that came through a door.
    pub(super) fn transcripts(&self) -> Vec<Transcript> {
        self.doors
            .values()
            .flat_map(PlayedPrimary::transcripts)
            .collect()
    }

    /// Lets a replica connect, and waits for its request.
    pub(super) fn let_in(
        &mut self,
        replica: NodeId,
        parent: NodeId,
        deadline: Deadline,
    ) -> Result<Request, Trouble> {
        let door = &self.doors[&(replica, parent)];
        door.set_accepting(true);
        let came = door.next_request(deadline);
        door.set_accepting(false);
        let (lower, request) = came.map_err(|error| due(&error, "a request"))?;
        let line = self.line(replica);
        line.lower = Some((parent, lower));
        line.request = Some(request.clone());
        line.acknowledgement = None;
        Ok(request)
    }

    /// Waits for one more request of a replica, on the connection it has.
    pub(super) fn next_request(
        &mut self,
        replica: NodeId,
        deadline: Deadline,
    ) -> Result<Request, Trouble> {
        let (parent, link) = self.lower(replica)?;
        let came = self.doors[&(replica, parent)].next_request_on(link, deadline);
        let request = came.map_err(|error| due(&error, "a request on the same connection"))?;
        self.line(replica).request = Some(request.clone());
        Ok(request)
    }

    /// Whether the primary's end is there.
    pub(super) fn has_upper(&self, replica: NodeId) -> bool {
        self.lines
            .get(&replica)
            .is_some_and(|line| line.upper.is_some())
    }

    /// The primary's end is this connection, which has said the handshake.
    pub(super) fn connect_upper(&mut self, replica: NodeId, parent: NodeId, upper: PlayedReplica) {
        self.line(replica).upper = Some((parent, upper));
    }

    /// Passes the request of a replica on.
    pub(super) fn pass_request(&mut self, replica: NodeId) -> Result<(), Trouble> {
        let line = self.line(replica);
        let request = line.request.take();
        let request = request.ok_or_else(|| nothing_there("request"))?;
        let upper = line.upper.as_mut();
        let (_, upper) = upper.ok_or_else(|| nothing_there("connection"))?;
        Ok(upper.ask(&request)?)
    }

    /// The next piece that the primary sends, keep-alives aside; the replica does not have it yet.
    pub(super) fn next_piece(
        &mut self,
        replica: NodeId,
        waiting_for: &str,
        deadline: Deadline,
    ) -> Result<Piece, Trouble> {
        let upper = self.line(replica).upper.as_mut();
        let (_, upper) = upper.ok_or_else(|| nothing_there("connection"))?;
        let conn = upper.conn();
        loop {
            let before = conn.reader().buffered().to_vec();
            let item = conn.reader().next_item().map_err(|source| {
                let peer = conn.peer();
                unspoken(&ConnError::Wire { peer, source }.into(), waiting_for)
            })?;
            match item {
                Some(Item {
                    body: Body::KeepAlive,
                    ..
                }) => {}
                Some(Item { body, bytes }) => {
                    let bytes = before[..bytes as usize].to_vec();
                    return Ok(Piece { body, bytes });
                }
                None => conn
                    .fill("bytes from the primary", deadline)
                    .map_err(|error| unspoken(&error.into(), waiting_for))?,
            }
        }
    }

    /// Lets the replica have bytes of the primary.
    pub(super) fn pass_down(&mut self, replica: NodeId, bytes: &[u8]) -> Result<(), Trouble> {
        let (parent, link) = self.lower(replica)?;
        let sent = self.doors[&(replica, parent)].send(link, bytes);
        sent.map_err(|error| due(&error, "a replica that takes what its primary sends"))
    }

    /// The next acknowledgement of a replica; the primary does not have it yet.
    pub(super) fn next_acknowledgement(
        &mut self,
        replica: NodeId,
        deadline: Deadline,
    ) -> Result<i64, Trouble> {
        let (parent, link) = self.lower(replica)?;
        let came = self.doors[&(replica, parent)].next_acknowledgement(link, deadline);
        let came = came.map_err(|error| due(&error, "an acknowledgement"))?;
        self.line(replica).acknowledgement = Some(came);
        Ok(came)
    }

    /// Passes the last acknowledgement of a replica on.
    pub(super) fn pass_acknowledgement(&mut self, replica: NodeId) -> Result<(), Trouble> {
        let line = self.line(replica);
        let acknowledged = line.acknowledgement.take();
        let acknowledged = acknowledged.ok_or_else(|| nothing_there("acknowledgement"))?;
        let upper = line.upper.as_mut();
        let (_, upper) = upper.ok_or_else(|| nothing_there("connection"))?;
        Ok(upper.acknowledge(acknowledged)?)
    }

    /// The replica is to end its connection by itself.
    pub(super) fn await_close(
        &mut self,
        replica: NodeId,
        deadline: Deadline,
    ) -> Result<(), Trouble> {
        let Some((parent, link)) = self.line(replica).lower.take() else {
            return Ok(());
        };
        let closed = self.doors[&(replica, parent)].await_close(link, deadline);
        closed.map_err(|error| due(&error, "the end of a connection that is no longer wanted"))
    }

    /// The replica's end breaks.
    pub(super) fn break_lower(&mut self, replica: NodeId) -> Result<(), Trouble> {
        if let Some((parent, link)) = self.line(replica).lower.take() {
            self.doors[&(replica, parent)].close(link)?;
        }
        Ok(())
    }

    /// The primary's end breaks.
    pub(super) fn break_upper(&mut self, replica: NodeId) {
        self.line(replica).upper = None;
    }

    /// The primary does not know yet that its end is of a line that is no more.
    pub(super) fn outdate(&mut self, replica: NodeId) {
        let line = self.line(replica);
        if let Some(upper) = line.upper.take() {
            line.older = Some(upper);
        }
    }

    /// The primary's end of the older line breaks.
    pub(super) fn break_older(&mut self, replica: NodeId) {
        self.line(replica).older = None;
    }

    /// A process has died: its ends of all lines are gone, and whoever is at the others does not know.
    pub(super) fn forget_ends_of(&mut self, node: NodeId) {
        for (&replica, line) in &mut self.lines {
            if replica == node {
                line.lower = None;
            }
            line.upper.take_if(|(at, _)| *at == node);
            line.older.take_if(|(at, _)| *at == node);
        }
    }

    fn lower(&mut self, replica: NodeId) -> Result<(NodeId, LinkId), Trouble> {
        let lower = self.line(replica).lower;
        lower.ok_or_else(|| nothing_there("connection"))
    }

    fn line(&mut self, replica: NodeId) -> &mut Line {
        self.lines.entry(replica).or_default()
    }
}

/// The plan wants something that the subjects have not brought about.
fn nothing_there(what: &str) -> Trouble {
    Trouble::Parted(format!("there is no {what} to pass on"))
}
