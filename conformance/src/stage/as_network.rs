//! Every node is a subject: the harness plays their clients, their operator, and the network between them.
//!
//! Nothing reaches a subject before the plan lets it have it: a replica is not let in before it is to ask, its request
//! waits until the primary is to answer, and of what the primary sends each piece waits until the replica is to read it.
//! So a link can be cut between any two of them. What passes is judged as it passes, and after each step both what INFO
//! shows of every node and its data.
use std::collections::BTreeMap;

use psync_model::case::Case;
use psync_model::oracle::Possible;
use psync_model::rulebook::Identity;
use psync_model::step::Step;
use psync_model::token::Token;
use psync_model::world::{NodeId, Reply, World};

use super::as_replica::played_era;
use super::holds::Obstacle;
use super::network::{Network, Piece};
use super::seen_of_primary::{self as primary, Key, Ports};
use super::seen_of_replica as replica;
use super::{Servers, Stage, Trouble, required, without_base};
use crate::binding::Binding;
use crate::data::DataSet;
use crate::info::Role;
use crate::played::{Answer, PlayedReplica, Request};
use crate::profile::Profile;
use crate::rdb;
use crate::transcript::CaseClock;
use crate::verdict::{Check, Mismatch};
use crate::wire::{Body, Command};

/// How many things are looked at in one node before the next.
const LOOKS_AT_A_NODE: u8 = 16;

/// What one node shows of itself.
struct Shown {
    info: primary::Shown,
    data: DataSet,
}

/// The network's side of a case.
pub struct AsNetwork {
    pub(super) stage: Stage,
    network: Network,
    ports: Ports,
    obstacle: Obstacle,
}

impl AsNetwork {
    /// Starts the subjects, each with the network between it and whom it follows.
    pub fn open(case: &Case, profile: &Profile, clock: CaseClock) -> Result<Self, Trouble> {
        let world = case.header.scope.topology.beginning();
        let network = Network::between(&world, profile.waits.reply_ms.duration(), clock)?;
        let door = |node| world.parent(node).map(|parent| network.door(node, parent));
        let places: Vec<_> = world.node_ids().map(|node| (node, door(node))).collect();
        let mut stage = Stage::open(case, profile, &places, clock)?;
        stage.permit(|permits| permits.kept_back = true);
        for node in world.node_ids().filter(|node| world.is_primary(*node)) {
            stage.write_first_key(node)?;
        }
        Ok(Self {
            stage,
            network,
            ports: Ports::default(),
            obstacle: Obstacle::default(),
        })
    }

    /// What all castings share.
    pub fn stage(&mut self) -> &mut Stage {
        &mut self.stage
    }

    /// Hands the transcripts of the subjects' connections over, for a report.
    pub fn remember_transcripts(&mut self) {
        let transcripts = self.network.transcripts();
        self.stage.remember(transcripts);
    }

    /// Carries one step out and makes sure that the subjects agree.
    pub fn perform(&mut self, step: Step) -> Result<(), Trouble> {
        let node = step.node();
        match step {
            Step::Write { .. } | Step::WriteElsewhere { .. } => {
                self.stage.write(step)?;
                self.settle()
            }
            Step::Transact { .. } => self.transact(step, None),
            Step::FollowInTransaction { parent, .. } => self.transact(step, Some(parent)),
            Step::Follow { parent, .. } => self.follow(step, parent),
            Step::Promote { .. } => self.promote(step),
            Step::Save { .. } => {
                // What slowed a snapshot down that was given up would slow this one down too.
                self.stage.release_end(node)?;
                required(self.stage.control(node).expect_ok(&["SAVE"]), "save")?;
                self.drive(step)
            }
            Step::ExpireBacklog { .. } => {
                self.stage.expire_backlog(node)?;
                self.drive(step)
            }
            Step::ResizeBacklog { .. } => {
                self.stage.resize_backlog(node)?;
                self.drive(step)
            }
            Step::CutLink { .. } => self.drive(step),
            Step::RestartPrimary { .. } | Step::RestartAsPrimary { .. } => self.restart(step, None),
            Step::RestartReplica { .. } => {
                let parent = self.stage.world().parent(node);
                self.restart(step, parent)
            }
            Step::RestartAsReplica { parent, .. } => self.restart(step, Some(parent)),
            Step::Ask { .. } => self.request(node),
            Step::AcceptPartial { .. }
            | Step::DeclinePartial { .. }
            | Step::AttachToSnapshot { .. } => self.answered(step),
            Step::RefuseForNow { .. } => self.pass_request(node).and_then(|()| self.drive(step)),
            Step::StartSnapshot { framing, .. } => {
                self.stage
                    .release_start(node, framing, &mut self.obstacle)?;
                self.await_hidden(step)?;
                self.stage.hold_start(node)
            }
            Step::FinishSnapshot { .. } => {
                self.stage.release_end(node)?;
                self.await_hidden(step)
            }
            Step::ReceiveContinue { .. }
            | Step::ReceiveFullResync { .. }
            | Step::ReceiveError { .. } => self.pass_answer(step),
            Step::ReceiveSnapshot { .. } => self.pass_snapshot(step),
            Step::Apply { .. } => self.pass_command(step),
            Step::Acknowledge { .. } => self.acknowledgement(step),
            Step::ReceiveAcknowledgement { .. } => {
                self.network.pass_acknowledgement(node)?;
                self.drive(step)
            }
            Step::PrimaryNoticesLoss { .. } => {
                self.network.break_upper(node);
                self.drive(step)
            }
            Step::PrimaryNoticesStale { .. } => {
                self.network.break_older(node);
                self.drive(step)
            }
            Step::ReplicaNoticesLoss { .. } => {
                self.network.break_lower(node)?;
                self.drive(step)
            }
            _ => Err(Trouble::Parted(format!(
                "{step} is not driven where every node is a subject"
            ))),
        }
    }

    fn drive(&mut self, step: Step) -> Result<(), Trouble> {
        self.stage.drive(step)?;
        self.settle()
    }

    fn settle(&mut self) -> Result<(), Trouble> {
        let key = self.key();
        self.stage.settle(look, |shown, possible, binding| {
            agree(shown, possible, binding, key)
        })
    }

    fn await_hidden(&mut self, step: Step) -> Result<(), Trouble> {
        let key = self.key();
        self.stage
            .await_hidden(step, look, |shown, possible, binding| {
                agree(shown, possible, binding, key)
            })
    }

    fn key(&self) -> Key {
        Key {
            ports: self.ports,
            identity: self.stage.setting.book.identity,
            roles_change: true,
        }
    }

    /// A transaction, whose last command tells the node to follow another if there is one to be followed.
    fn transact(&mut self, step: Step, follow: Option<NodeId>) -> Result<(), Trouble> {
        let node = step.node();
        let pairs = self.stage.drive_write(step)?;
        let door = follow.map(|parent| self.network.door(node, parent));
        let replicaof = door.map(|door| replicaof(&door));
        let control = self.stage.control(node);
        let mut queue = |words: &[&[u8]]| required(control.accepted(words), "queue a command");
        queue(&[b"MULTI"])?;
        pairs
            .iter()
            .try_for_each(|pair| queue(&pair.words()).map(drop))?;
        if let Some(words) = &replicaof {
            queue(&words.each_ref().map(String::as_bytes))?;
        }
        queue(&[b"EXEC"])?;
        if follow.is_some() {
            self.end_of_link(node)?;
        }
        self.settle()
    }

    fn follow(&mut self, step: Step, parent: NodeId) -> Result<(), Trouble> {
        let node = step.node();
        let words = replicaof(&self.network.door(node, parent));
        required(self.stage.control(node).expect_ok(&words), "follow another")?;
        self.stage.drive(step)?;
        self.end_of_link(node)?;
        self.settle()
    }

    fn promote(&mut self, step: Step) -> Result<(), Trouble> {
        let node = step.node();
        let words = ["SLAVEOF", "NO", "ONE"];
        required(self.stage.control(node).expect_ok(&words), "promote")?;
        self.stage.drive(step)?;
        self.end_of_link(node)?;
        self.write_first_key_if_empty(node)?;
        self.settle()
    }

    /// Whoever is told to follow another, or nobody, ends the connection it has. Nobody sees that while the process lives
    /// that writes its snapshot: it has inherited the connection (`PROTOCOL §7.3`).
    fn end_of_link(&mut self, node: NodeId) -> Result<(), Trouble> {
        let deadline = self.stage.deadline();
        self.leave_upper_end(node);
        if self.stage.world().node(node).snapshot.is_some() {
            return self.network.break_lower(node);
        }
        self.network.await_close(node, deadline)
    }

    /// The primary sees the end of a connection at once, unless it was cut before and the primary has not noticed.
    fn leave_upper_end(&mut self, node: NodeId) {
        if self.stage.world().link(node).stale.is_some() {
            self.network.outdate(node);
            self.ports.outdate(node);
        } else {
            self.network.break_upper(node);
        }
    }

    /// What a primary writes without a backlog nobody counts.
    fn write_first_key_if_empty(&mut self, node: NodeId) -> Result<(), Trouble> {
        let world = *self.stage.world();
        let uncounted =
            world.node(node).backlog.is_none() && world.connections_of(node).count() == 0;
        let sizes = required(self.stage.control(node).sizes(), "count the keys")?;
        if uncounted && sizes.is_empty() {
            self.stage.write_first_key(node)?;
        }
        Ok(())
    }

    fn restart(&mut self, step: Step, parent: Option<NodeId>) -> Result<(), Trouble> {
        let node = step.node();
        let door = parent.map(|parent| self.network.door(node, parent));
        self.network.forget_ends_of(node);
        self.stage.restart_subject(node, door)?;
        self.stage.drive(step)?;
        if matches!(step, Step::RestartAsPrimary { .. }) {
            // Nobody will come in its place.
            self.leave_upper_end(node);
        }
        if parent.is_none() {
            self.write_first_key_if_empty(node)?;
        }
        self.settle()
    }

    /// The subject connects when it likes; it is let in when the plan has come to it.
    fn request(&mut self, node: NodeId) -> Result<(), Trouble> {
        let parent = self.stage.world().parent(node);
        let parent =
            parent.ok_or_else(|| Trouble::Parted(format!("the {} follows nobody", node.name())))?;
        let deadline = self.stage.deadline();
        let request = self.network.let_in(node, parent, deadline)?;
        let identity = self.stage.setting.book.identity;
        self.stage.drive(Step::Ask { replica: node })?;
        self.leave_upper_end(node);
        self.stage.must_agree(|possible, binding| {
            replica::request_agrees(&request, identity, true, node, possible, binding)
        })?;
        self.settle()
    }

    /// After an error the replica ends the connection, to ask again later, or asks on it with SYNC.
    fn after_error(&mut self, node: NodeId) -> Result<(), Trouble> {
        if self.stage.world().link(node).request.is_none() {
            return self.end_of_link(node);
        }
        let deadline = self.stage.deadline();
        let came = self.network.next_request(node, deadline)?;
        if came == Request::Sync {
            return Ok(());
        }
        let allowed = format!("{} on the same connection", Request::Sync);
        Err(Trouble::wrong(Mismatch::new(
            Check::Request,
            allowed,
            came.to_string(),
        )))
    }

    fn pass_request(&mut self, node: NodeId) -> Result<(), Trouble> {
        if !self.network.has_upper(node) {
            self.connect_upper(node)?;
        }
        self.network.pass_request(node)
    }

    fn connect_upper(&mut self, node: NodeId) -> Result<(), Trouble> {
        let parent = self.stage.world().parent(node).unwrap_or(node);
        let port = self.ports.announce(node);
        let transcript = self.stage.transcript(format!(
            "network to {}, for {} ({port})",
            parent.name(),
            node.name()
        ));
        let limit = self.stage.profile.waits.reply_ms.duration();
        let era = played_era(self.stage.case.header.era);
        let addr = self.stage.replication_addr(parent);
        let upper = PlayedReplica::handshake(addr, era, port, limit, transcript)?;
        self.network.connect_upper(node, parent, upper);
        Ok(())
    }

    /// The request reaches the primary, which decides at once.
    fn answered(&mut self, step: Step) -> Result<(), Trouble> {
        self.pass_request(step.node())?;
        self.stage.permit(|permits| permits.kept_back = false);
        self.await_hidden(step)?;
        self.stage.permit(|permits| permits.kept_back = true);
        Ok(())
    }

    fn pass_answer(&mut self, step: Step) -> Result<(), Trouble> {
        let (node, deadline) = (step.node(), self.stage.deadline());
        let Piece { body, bytes } =
            self.network
                .next_piece(node, "an answer to the request", deadline)?;
        let answer = match &body {
            Body::Error(text) => Some(Answer::Error(text.clone())),
            Body::Status(text) => Answer::of_status(text),
            _ => None,
        };
        let answer = answer.ok_or_else(|| no_answer(&body))?;
        self.stage.must_agree(|possible, binding| {
            let due = possible.world.link(node).reply;
            match (due, &answer) {
                (Some(Reply::Error(_)), Answer::Error(_)) => Ok(()),
                _ => primary::answer_agrees(&answer, node, possible, binding),
            }
        })?;
        self.network.pass_down(node, &bytes)?;
        self.stage.drive(step)?;
        if matches!(step, Step::ReceiveError { .. }) {
            self.after_error(node)?;
        }
        self.settle()
    }

    fn pass_snapshot(&mut self, step: Step) -> Result<(), Trouble> {
        let (node, deadline) = (step.node(), self.stage.deadline());
        let head = self.network.next_piece(node, "a snapshot", deadline)?;
        let Piece { body, bytes } = self.network.next_piece(node, "a snapshot", deadline)?;
        let (Body::PayloadStart(_), Body::Payload(payload)) = (&head.body, &body) else {
            return Err(no_answer(&head.body));
        };
        let snapshot = rdb::read(payload).map_err(|error| {
            let came = error.to_string();
            Trouble::wrong(Mismatch::new(Check::Protocol, "a snapshot", came))
        })?;
        let labelled = self.stage.setting.book.identity == Identity::ReplicationId;
        self.stage.must_agree(|possible, binding| {
            primary::snapshot_agrees(&snapshot, labelled, node, possible, binding)
        })?;
        self.network
            .pass_down(node, &[head.bytes, bytes].concat())?;
        self.drive(step)
    }

    /// The next thing in the stream; where clients use one database, a SELECT goes with what it precedes.
    fn pass_command(&mut self, step: Step) -> Result<(), Trouble> {
        let (node, deadline) = (step.node(), self.stage.deadline());
        let is_aside = |command: &Command| command.name().eq_ignore_ascii_case("SELECT");
        let select_counts = self.stage.setting.databases;
        let due = match self.stage.world().link(node).stream.tokens.first() {
            Some(Token::Write(write)) => self.stage.binding().write(write).len(),
            _ => 1,
        };
        let (mut commands, mut bytes) = (Vec::<Command>::new(), Vec::new());
        let mut before = 0;
        while commands.len() < due {
            let piece =
                self.network
                    .next_piece(node, "the next command of the stream", deadline)?;
            bytes.extend(piece.bytes);
            match piece.body {
                Body::Command(command) if !select_counts && is_aside(&command) => {
                    before = bytes.len() as i64;
                }
                Body::Command(command) => commands.push(command),
                other => return Err(no_answer(&other)),
            }
        }
        let width = bytes.len() as i64;
        self.stage.must_agree(|possible, binding| {
            primary::command_agrees(&commands, width, node, possible, binding)
        })?;
        self.network.pass_down(node, &bytes)?;
        if before > 0 && commands.iter().any(|command| command.name() == "MULTI") {
            // What stands before a transaction takes effect before it.
            self.stage.rebind(|world, binding| {
                if let Some(start) = primary::next_in_stream(world, node) {
                    binding.widen(start, before);
                }
            })?;
        }
        self.drive(step)
    }

    /// Acknowledgements come by themselves, each second; those that say less than is due now were due earlier.
    fn acknowledgement(&mut self, step: Step) -> Result<(), Trouble> {
        let (node, deadline) = (step.node(), self.stage.deadline());
        self.stage.drive(step)?;
        loop {
            let came = self.network.next_acknowledgement(node, deadline)?;
            let agreed = self.stage.observe(|possible, binding| {
                replica::acknowledgement_agrees(came, step, possible, binding)
            });
            match agreed {
                Ok(()) => return self.settle(),
                Err(mismatches) if !self.said_before(node, came) => {
                    return Err(super::worst(mismatches));
                }
                Err(_) => {}
            }
        }
    }

    /// Whether an acknowledgement says what was true on this connection some time ago.
    fn said_before(&self, node: NodeId, came: i64) -> bool {
        let label = self.stage.world().node(node).following;
        let due = label.and_then(|label| self.stage.binding().label_byte(label));
        due.is_some_and(|due| came < due)
    }
}

/// What every subject shows.
fn look(servers: &mut Servers) -> Result<BTreeMap<NodeId, Shown>, Trouble> {
    let shown = servers.iter_mut().map(|(&node, server)| {
        let info = primary::glance(server)?;
        let data = without_base(required(server.control.data_set(), "read the data")?);
        Ok((node, Shown { info, data }))
    });
    shown.collect()
}

fn agree(
    shown: &BTreeMap<NodeId, Shown>,
    possible: &Possible<Binding>,
    binding: &mut Binding,
    key: Key,
) -> Result<(), Mismatch> {
    for (place, (&node, shown)) in shown.iter().enumerate() {
        node_agrees(shown, node, possible, binding, key).map_err(|wrong| {
            let agreed = wrong.agreed + place as u8 * LOOKS_AT_A_NODE;
            wrong.after(agreed)
        })?;
    }
    Ok(())
}

fn node_agrees(
    shown: &Shown,
    node: NodeId,
    possible: &Possible<Binding>,
    binding: &mut Binding,
    key: Key,
) -> Result<(), Mismatch> {
    let world = &possible.world;
    let replication = &shown.info.replication;
    Mismatch::unless_equal(Check::LinkState, &role(world, node), &replication.role)?;
    primary::agrees(&shown.info, node, possible, binding, key).map_err(|wrong| wrong.after(1))?;
    replica::data_agree(&shown.data, node, world, binding).map_err(|wrong| wrong.after(8))?;
    if world.is_primary(node) {
        return Ok(());
    }
    replica::link_agrees(replication, node, world, binding, key.identity)
        .map_err(|wrong| wrong.after(9))
}

fn role(world: &World, node: NodeId) -> Role {
    if world.is_primary(node) {
        Role::Primary
    } else {
        Role::Replica
    }
}

/// The command to follow whoever is found at an address, in the words that every version knows.
fn replicaof(door: &std::net::SocketAddr) -> [String; 3] {
    [
        "SLAVEOF".to_owned(),
        door.ip().to_string(),
        door.port().to_string(),
    ]
}

fn no_answer(body: &Body) -> Trouble {
    let allowed = "what belongs there";
    Trouble::wrong(Mismatch::new(Check::Protocol, allowed, format!("{body:?}")))
}
