//! The subject is the primary: the harness plays its replica, the clients, the network and the stranger.
use psync_model::rulebook::Identity;
use psync_model::step::Step;
use psync_model::world::{NodeId, PrimaryPhase};

use super::children::Stopped;
use super::holds::Obstacle;
use super::seen_of_primary::{
    Key, Ports, Shown, agrees, answer_agrees, command_agrees, first_bytes, glance, snapshot_agrees,
};
use super::{PRIMARY, REPLICA, Servers, Stage, Trouble, required};
use crate::binding::HEAD_BYTES;
use crate::conn::{ConnError, Deadline};
use crate::era::Era;
use crate::played::{Abandoned, PlayedError, PlayedReplica, Request};
use crate::rdb;
use crate::verdict::{Check, Mismatch};
use crate::wire::{Body, Phase, Reader};

/// How long to look whether bytes came that should not have, after a round trip on another connection has
/// shown that the subject has done everything that was asked before.
const PEEK_MS: u64 = 5;

/// The played replica's side of a case.
pub struct AsReplica {
    pub(super) stage: Stage,
    conn: Option<PlayedReplica>,
    cut: Option<Abandoned>,
    stale: Option<Abandoned>,
    stream: Reader,
    ports: Ports,
    obstacle: Obstacle,
    stopped: Option<Stopped>,
}

impl AsReplica {
    /// Gets ready to play.
    pub fn new(mut stage: Stage) -> Result<Self, Trouble> {
        stage.write_first_key(PRIMARY)?;
        stage.hold_next(PRIMARY)?;
        let ports = Ports::default();
        let stream = Reader::new(Phase::Stream);
        Ok(Self {
            stage,
            conn: None,
            cut: None,
            stale: None,
            stream,
            ports,
            obstacle: Obstacle::default(),
            stopped: None,
        })
    }

    /// What both castings share.
    pub fn stage(&mut self) -> &mut Stage {
        &mut self.stage
    }

    /// Carries one step out and makes sure that the subject agrees.
    pub fn perform(&mut self, step: Step) -> Result<(), Trouble> {
        if self.stage.gives_up_snapshot(step) {
            // A server that goes on with it all the same has it stand still, and in the way of the next.
            let stopped = self.stopped.take();
            self.stage.server(PRIMARY).block_with(stopped);
        }
        match step {
            Step::Write { .. } => {
                self.stage.write(step)?;
                self.settle()
            }
            Step::CutLink { .. } => {
                self.cut = self.conn.take().map(PlayedReplica::abandon);
                self.drive(step)
            }
            Step::RestartReplica { .. } => {
                let lost = self.conn.take().map(PlayedReplica::abandon);
                self.cut = self.cut.take().or(lost);
                self.stream = Reader::new(Phase::Stream);
                self.drive(step)
            }
            Step::ReplicaNoticesLoss { .. } => {
                self.drive(step)?;
                if self.stage.world().node(REPLICA).begun.half.is_none() {
                    self.stream = Reader::new(Phase::Stream);
                }
                Ok(())
            }
            Step::Save {
                node: NodeId::Primary,
            } => {
                self.stage.clear_the_way(PRIMARY)?;
                required(self.stage.control(PRIMARY).expect_ok(&["SAVE"]), "save")?;
                self.stage.hold_next(PRIMARY)?;
                self.drive(step)
            }
            Step::RestartPrimary { .. } => self.restart_primary(step),
            Step::ExpireBacklog { .. } => {
                self.stage.expire_backlog(PRIMARY)?;
                self.drive(step)
            }
            Step::StrangerAsks { node, question } => self.stranger(step, node, question),
            Step::Ask { .. } => self.ask(step),
            Step::PrimaryNoticesLoss { .. } => {
                self.cut = None;
                self.stage.permit(|permits| permits.loss = true);
                self.await_hidden(step)?;
                self.stage.permit(|permits| permits.loss = false);
                Ok(())
            }
            Step::PrimaryNoticesStale { .. } => {
                self.stale = None;
                self.stage.permit(|permits| permits.stale_loss = true);
                self.await_hidden(step)?;
                self.stage.permit(|permits| permits.stale_loss = false);
                Ok(())
            }
            Step::StartSnapshot { framing, .. } => {
                let fate = self
                    .stage
                    .release_start(PRIMARY, framing, &mut self.obstacle)?;
                self.stopped = self.stage.catch_snapshot(PRIMARY, fate)?;
                self.await_hidden(step)?;
                if self.stopped.is_none() {
                    self.stopped = self.stage.stop_snapshot(PRIMARY, fate);
                }
                if self.stopped.is_some() {
                    self.stage.permit(|permits| permits.framing = None);
                }
                self.stage.hold_start(PRIMARY)
            }
            Step::FinishSnapshot { .. } => self.end_snapshot(step),
            Step::FailSnapshot { .. } => {
                self.end_snapshot(step)?;
                self.stage.permit(|permits| permits.failure = false);
                self.obstacle.remove()
            }
            Step::ReceiveContinue { .. } | Step::ReceiveFullResync { .. } => {
                self.receive_answer(step)
            }
            Step::ReceiveSnapshot { .. } => self.receive_snapshot(step),
            Step::ReadHead { .. } => self.read_head(step),
            Step::Apply { .. } => self.apply(step),
            Step::Acknowledge { .. } => self.acknowledge(step),
            Step::AcceptPartial { .. }
            | Step::DeclinePartial { .. }
            | Step::AttachToSnapshot { .. }
            | Step::Ping { .. } => self.await_hidden(step),
            Step::ReceiveAcknowledgement { .. } => self.take_as_done(step),
            Step::ResizeBacklog { node } => {
                if node == PRIMARY {
                    self.stage.resize_backlog(node)?;
                }
                self.drive(step)
            }
            Step::StrangerLeaves { .. } | Step::Save { .. } => self.drive(step),
            Step::WriteElsewhere { .. } | Step::Transact { .. } => Err(Trouble::Parted(format!(
                "{step} needs a second database or a transaction, which the judge does not drive yet"
            ))),
            Step::Promote { .. }
            | Step::Follow { .. }
            | Step::FollowInTransaction { .. }
            | Step::RestartAsPrimary { .. }
            | Step::RestartAsReplica { .. }
            | Step::AnswerWithError { .. }
            | Step::RefuseForNow { .. }
            | Step::ReceiveError { .. }
            | Step::FailLoad { .. } => Err(Trouble::Parted(format!(
                "{step} does not belong to a pair whose roles do not change"
            ))),
        }
    }

    fn drive(&mut self, step: Step) -> Result<(), Trouble> {
        self.stage.drive(step)?;
        self.settle()
    }

    pub(super) fn settle(&mut self) -> Result<(), Trouble> {
        let key = self.key();
        self.stage.settle(look, |shown, possible, binding| {
            agrees(shown, PRIMARY, possible, binding, key)
        })
    }

    fn key(&self) -> Key {
        Key {
            ports: self.ports,
            identity: self.stage.setting.book.identity,
            roles_change: false,
        }
    }

    fn await_hidden(&mut self, step: Step) -> Result<(), Trouble> {
        let key = self.key();
        self.stage
            .await_hidden(step, look, |shown, possible, binding| {
                agrees(shown, PRIMARY, possible, binding, key)
            })
    }

    fn take_as_done(&mut self, step: Step) -> Result<(), Trouble> {
        let key = self.key();
        self.stage
            .take_as_done(step, look, |shown, possible, binding| {
                agrees(shown, PRIMARY, possible, binding, key)
            })
    }

    fn end_snapshot(&mut self, step: Step) -> Result<(), Trouble> {
        let is_followed = self.stage.let_next_follow(PRIMARY)?;
        self.stopped = None;
        self.stage.release_end(PRIMARY)?;
        self.await_hidden(step)?;
        if is_followed {
            return Ok(());
        }
        self.stage.hold_next(PRIMARY)
    }

    fn restart_primary(&mut self, step: Step) -> Result<(), Trouble> {
        self.obstacle.remove()?;
        self.stage.restart_subject(PRIMARY, None)?;
        let lost = self.conn.take().map(PlayedReplica::abandon);
        self.cut = self.cut.take().or(lost);
        self.stale = None;
        if required(self.stage.control(PRIMARY).sizes(), "count the keys")?.is_empty() {
            self.stage.write_first_key(PRIMARY)?;
        }
        self.stage.hold_next(PRIMARY)?;
        self.drive(step)
    }

    /// Lets the subject drop what it keeps only until it has been sent: a server may still be writing to one
    /// connection when it answers on another. One that never gets there is asked all the same, and judged by
    /// its answer.
    pub(super) fn await_trimming(&mut self) {
        let (own, deadline) = (*self.stage.world().node(PRIMARY), self.stage.deadline());
        if let Some(due) = first_bytes(&own, self.stage.binding()) {
            let _ = self.stage.control(PRIMARY).wait_replication(
                "a backlog without what nobody waits for",
                deadline,
                // A server that does not say where its backlog begins shows 0 here.
                |shown| shown.backlog.first_byte == 0 || due.contains(&shown.backlog.first_byte),
            );
        }
    }

    fn ask(&mut self, step: Step) -> Result<(), Trouble> {
        self.await_trimming();
        if self.cut.is_some() && self.stage.world().link(REPLICA).primary != PrimaryPhase::None {
            self.stale = self.cut.take();
            self.ports.outdate(REPLICA);
        }
        self.cut = None;
        let port = self.ports.announce(REPLICA);
        let request = self.request()?;
        let mut conn = self.connect(format!("replica {port}"), port)?;
        conn.ask(&request)?;
        self.conn = Some(conn);
        self.drive(step)
    }

    fn request(&self) -> Result<Request, Trouble> {
        if self.stage.setting.book.identity == Identity::None {
            return Ok(Request::Sync);
        }
        let Some(label) = self.stage.world().node(REPLICA).following else {
            return Ok(Request::from_nothing());
        };
        let (name, byte) = (
            self.stage.binding().name(label.id),
            self.stage.binding().label_byte(label),
        );
        let (Some(name), Some(byte)) = (name, byte) else {
            return Err(anyhow::anyhow!("the label {label:?} was never bound to bytes").into());
        };
        Ok(Request::Psync {
            id: name.to_string(),
            next_byte: byte + 1,
        })
    }

    pub(super) fn connect(&mut self, name: String, port: u16) -> Result<PlayedReplica, Trouble> {
        let transcript = self.stage.transcript(name);
        let limit = self.stage.profile.waits.reply_ms.duration();
        let era = played_era(self.stage.case.header.era);
        Ok(PlayedReplica::handshake(
            self.stage.replication_addr(PRIMARY),
            era,
            port,
            limit,
            transcript,
        )?)
    }

    fn receive_answer(&mut self, step: Step) -> Result<(), Trouble> {
        let deadline = self.stage.deadline();
        let came = self
            .conn()?
            .answer(deadline)
            .map_err(|error| unspoken(&error, "an answer to the request"))?;
        self.stage
            .must_agree(|possible, binding| answer_agrees(&came, REPLICA, possible, binding))?;
        self.drive(step)
    }

    fn receive_snapshot(&mut self, step: Step) -> Result<(), Trouble> {
        let deadline = self.stage.deadline();
        let (_, payload) = self
            .conn()?
            .payload(deadline)
            .map_err(|error| unspoken(&error, "a snapshot"))?;
        let snapshot = rdb::read(&payload).map_err(|error| {
            Trouble::wrong(Mismatch::new(
                Check::Protocol,
                "a snapshot",
                error.to_string(),
            ))
        })?;
        let labelled = self.stage.setting.book.identity == Identity::ReplicationId;
        self.stage.must_agree(|possible, binding| {
            snapshot_agrees(&snapshot, labelled, REPLICA, possible, binding)
        })?;
        self.stream = Reader::new(Phase::Stream);
        self.drive(step)
    }

    /// Takes so many bytes of the stream from the connection as they are.
    fn read_raw(&mut self, at_least: usize) -> Result<(), Trouble> {
        let deadline = self.stage.deadline();
        let conn = self.conn()?.conn();
        while conn.reader().buffered().len() < at_least {
            conn.fill("a command of the stream", deadline)
                .map_err(|error| {
                    unspoken(&PlayedError::from(error), "the next command of the stream")
                })?;
        }
        let bytes = conn.reader().take_raw(at_least);
        self.stream.feed(&bytes);
        Ok(())
    }

    fn read_head(&mut self, step: Step) -> Result<(), Trouble> {
        self.read_raw(HEAD_BYTES as usize)?;
        self.drive(step)
    }

    fn apply(&mut self, step: Step) -> Result<(), Trouble> {
        let mut bytes = 0;
        let command = loop {
            let next = self.stream.next_item();
            let item = next.map_err(|error| {
                Trouble::wrong(Mismatch::new(Check::Stream, "a command", error.to_string()))
            })?;
            let Some(item) = item else {
                self.read_raw(1)?;
                continue;
            };
            bytes += item.bytes as i64;
            match item.body {
                // SELECT moves the offset and no data; it belongs to the command it precedes.
                Body::Command(command) if command.name().eq_ignore_ascii_case("SELECT") => {}
                Body::Command(command) => break command,
                other => {
                    return Err(Trouble::wrong(Mismatch::new(
                        Check::Stream,
                        "a command",
                        format!("{other:?}"),
                    )));
                }
            }
        };
        self.stage.must_agree(|possible, binding| {
            command_agrees(
                std::slice::from_ref(&command),
                bytes,
                REPLICA,
                possible,
                binding,
            )
        })?;
        self.drive(step)
    }

    fn acknowledge(&mut self, step: Step) -> Result<(), Trouble> {
        let gated = self.stage.world().link(REPLICA).primary == PrimaryPhase::Held;
        if gated {
            self.nothing_came_early()?;
        }
        let label = self.stage.world().node(REPLICA).following;
        let byte = label.and_then(|label| self.stage.binding().label_byte(label));
        let byte =
            byte.ok_or_else(|| anyhow::anyhow!("the label {label:?} was never bound to bytes"))?;
        self.conn()?.acknowledge(byte)?;
        self.drive(step)
    }

    fn nothing_came_early(&mut self) -> Result<(), Trouble> {
        self.stage.barrier()?;
        let conn = self.conn()?.conn();
        if conn.reader().buffered().is_empty() {
            match conn.fill("nothing", Deadline::after_ms(PEEK_MS)) {
                Err(ConnError::TimedOut { .. }) => return Ok(()),
                Err(error) => return Err(error.into()),
                Ok(()) => {}
            }
        }
        let came = crate::transcript::shortened(conn.reader().buffered());
        Err(Trouble::wrong(Mismatch::new(
            Check::StreamGate,
            "nothing before the first acknowledgement",
            came,
        )))
    }

    fn conn(&mut self) -> Result<&mut PlayedReplica, Trouble> {
        self.conn
            .as_mut()
            .ok_or_else(|| Trouble::Parted("the played replica has no connection".to_string()))
    }
}

/// What the subject shows.
fn look(servers: &mut Servers) -> Result<Shown, Trouble> {
    let server = servers.get_mut(&PRIMARY);
    glance(server.expect("the primary is the subject"))
}

/// The eras as the played replica knows them.
pub fn played_era(era: psync_model::rulebook::Era) -> Era {
    match era {
        psync_model::rulebook::Era::Sync => Era::Sync,
        psync_model::rulebook::Era::Psync => Era::Psync,
        psync_model::rulebook::Era::Psync2 => Era::Psync2,
        psync_model::rulebook::Era::Psync2V7 => Era::Psync2V7,
    }
}

/// What did not come, or came as no protocol at all.
pub(super) fn unspoken(error: &PlayedError, due: &str) -> Trouble {
    let check = match error {
        PlayedError::Conn(ConnError::Wire { .. }) => Check::Protocol,
        _ => Check::Progress,
    };
    Trouble::wrong(Mismatch::new(check, due, error.to_string()))
}
