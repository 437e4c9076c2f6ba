//! The subject is the replica: the harness plays its primary, the clients of that primary, and the network.
//!
//! The played primary does exactly what the plan says; its decisions are the model's. What it has put into the
//! pipe stays with the harness until the plan lets the subject have it, so that a link can be cut at any byte.
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use psync_model::offset::ReplOffset;
use psync_model::rulebook::SavedLabel;
use psync_model::step::Step;
use psync_model::token::{COMMAND_UNITS, Token};
use psync_model::world::{Framing, Id, Label, Node, NodeId, Offset, Reply, Wire, World};

use super::seen_of_replica::{Shown, acknowledgement_agrees, agrees, glance, request_agrees};
use super::{PRIMARY, REPLICA, Servers, Stage, Trouble, required, without_base};
use crate::binding::{BASE_KEY, BASE_VALUE, Binding, COMMAND_BYTES, HEAD_BYTES, KeyValue};
use crate::info::Replication;
use crate::played::{Answer, LinkId, PlayedError, PlayedPrimary};
use crate::rdb;
use crate::transcript::Transcript;
use crate::verdict::{Check, Mismatch};

/// The numbering of the first history of a case: large enough that a server that counts from zero shows.
const FIRST_OFFSET: i64 = 1_000_000;

/// How far apart the numberings of unrelated histories begin, so that none is mistaken for another.
const NEXT_OFFSET: i64 = 10_000_000;

/// The snapshot version without and with a label (`PROTOCOL §2.4`).
const PLAIN_RDB: u32 = 6;
const LABELLED_RDB: u32 = 9;

/// The mark at the end of a snapshot that is sent directly.
const MARK: [u8; 40] = *b"psync-conformance-end-of-snapshot-mark--";

/// The played primary's side of a case.
pub struct AsPrimary {
    pub(super) stage: Stage,
    pub(super) played: PlayedPrimary,
    pub(super) link: Option<LinkId>,
    cut: Option<LinkId>,
    names: Names,
}

/// A source of names for histories, different in every case and the same in every run of it.
struct Names {
    next: u64,
    next_offset: i64,
}

/// Cases of one run are told apart by where they begin.
static CASES: AtomicU64 = AtomicU64::new(1);

impl Names {
    fn new() -> Self {
        Self {
            next: CASES.fetch_add(1, Ordering::Relaxed) << 16,
            next_offset: FIRST_OFFSET,
        }
    }

    fn name(&mut self) -> String {
        self.next += 1;
        format!("{:040x}", self.next | 0xc0de << 48)
    }

    fn offset(&mut self) -> i64 {
        self.next_offset += NEXT_OFFSET;
        self.next_offset
    }
}

impl AsPrimary {
    /// Begins to listen. The subject must be started as a replica of its address.
    pub fn listen(
        profile_limit: std::time::Duration,
        transcript: Transcript,
    ) -> Result<PlayedPrimary, Trouble> {
        let played = PlayedPrimary::listen(profile_limit, transcript)?;
        played.set_accepting(false);
        Ok(played)
    }

    /// Gets ready to play.
    pub fn new(stage: Stage, played: PlayedPrimary) -> Self {
        Self {
            stage,
            played,
            link: None,
            cut: None,
            names: Names::new(),
        }
    }

    /// What both castings share.
    pub fn stage(&mut self) -> &mut Stage {
        &mut self.stage
    }

    /// Hands the transcripts of the subject's connections over, for a report.
    pub fn remember_transcripts(&mut self) {
        let transcripts = self.played.transcripts();
        self.stage.remember(transcripts);
    }

    /// Carries one step out and makes sure that the subject agrees.
    pub fn perform(&mut self, step: Step) -> Result<(), Trouble> {
        match step {
            Step::Write { .. } => {
                let before = *self.stage.world();
                self.stage.drive_write(step)?;
                self.number(&before)?;
                self.settle()
            }
            Step::CutLink { .. } | Step::FailSnapshot { .. } | Step::RestartPrimary { .. } => {
                self.lose_link(step)
            }
            Step::RestartReplica { .. } => self.restart_replica(step),
            Step::Save {
                node: NodeId::Replica,
            } => {
                required(self.stage.control(REPLICA).expect_ok(&["SAVE"]), "save")?;
                self.drive(step)
            }
            Step::Ask { .. } => self.request(),
            Step::ReplicaNoticesLoss { .. } => self.close_cut_link(step),
            Step::ReceiveContinue { .. } | Step::ReceiveFullResync { .. } => self.send_reply(step),
            Step::ReceiveSnapshot { .. } => self.send_snapshot(step),
            Step::ReadHead { .. } | Step::Apply { .. } => self.send_command(step),
            Step::Acknowledge { .. } => self.acknowledgement(),
            Step::ReceiveError { .. } => self.send_error(step),
            Step::FailLoad { .. } => self.send_broken_snapshot(step),
            Step::ResizeBacklog { node } => self.resize_backlog(step, node),
            _ => self.drive(step),
        }
    }

    /// A step of the played primary, or of the world, with the numbering that follows from it.
    pub(super) fn drive(&mut self, step: Step) -> Result<(), Trouble> {
        let before = *self.stage.world();
        self.stage.drive(step)?;
        self.number(&before)?;
        self.settle()
    }

    /// Gives names and bytes to what the played primary has just begun or produced.
    fn number(&mut self, before: &World) -> Result<(), Trouble> {
        let after = *self.stage.world();
        let (was, is) = (before.node(PRIMARY), after.node(PRIMARY));
        if is.id == Id::ANONYMOUS
            || self.stage.binding().has_boundary(is.label()) && was.id == is.id
        {
            return Ok(());
        }
        let binding = self.stage.binding();
        let named = binding.name(is.id).is_some() && was.id == is.id;
        let name = if named { None } else { Some(self.names.name()) };
        let binding = self.stage.binding();
        // What is compared with numbers, and not only with each other, must begin where the model's numbers do.
        let absolute = self.stage.setting.book.compares_absolute_numbers();
        let byte = continued_byte(binding, was, is).unwrap_or_else(|| {
            if absolute {
                absolute_byte(is.offset)
            } else {
                self.names.offset()
            }
        });
        self.stage.rebind(|world, binding| {
            let own = world.node(PRIMARY);
            binding.forget_unused(world);
            let fresh = name
                .as_deref()
                .is_none_or(|name| binding.bind_name(own.id, name));
            let nowhere = ReplOffset(-1);
            if absolute && own.offset != nowhere {
                // Where a copy by SYNC is said to be.
                let from_nowhere = Label {
                    id: own.id,
                    offset: nowhere,
                };
                let _ = binding.bind_byte(world, from_nowhere, -1);
            }
            assert!(
                fresh && binding.bind_byte(world, own.label(), byte),
                "the played primary numbers its own stream"
            );
        })
    }

    /// The step may be about an older connection, of which only the primary knows: then this one stays.
    pub(super) fn lose_link(&mut self, step: Step) -> Result<(), Trouble> {
        let is_whole = |world: &World| world.link(REPLICA).wire == Wire::Whole;
        let stays = step.apply(self.stage.world(), &self.stage.setting);
        if is_whole(self.stage.world()) && !stays.is_some_and(|next| is_whole(&next)) {
            self.cut = self.link.take();
        }
        self.drive(step)
    }

    fn restart_replica(&mut self, step: Step) -> Result<(), Trouble> {
        self.link = None;
        self.cut = None;
        self.played.set_accepting(false);
        let addr: SocketAddr = self.played.addr();
        self.stage.restart_subject(REPLICA, Some(addr))?;
        self.drive(step)
    }

    pub(super) fn close_cut_link(&mut self, step: Step) -> Result<(), Trouble> {
        self.played.set_accepting(false);
        for link in self.cut.take().into_iter().chain(self.link.take()) {
            self.played.close(link)?;
        }
        let deadline = self.stage.deadline();
        let down = |shown: &Replication| shown.link.as_ref().is_some_and(|link| !link.up);
        let seen =
            self.stage
                .control(REPLICA)
                .wait_replication("a link that is down", deadline, down);
        required(seen, "see the link go down")?;
        self.stage.permit(|permits| permits.loss = true);
        self.take_as_done(step)?;
        self.stage.permit(|permits| permits.loss = false);
        Ok(())
    }

    /// The subject connects when it likes; its request is read when the plan has come to it.
    fn request(&mut self) -> Result<(), Trouble> {
        self.played.set_accepting(true);
        let came = self.played.next_request(self.stage.deadline());
        self.played.set_accepting(false);
        let (link, request) = came.map_err(|error| due(&error, "a request"))?;
        self.link = Some(link);
        let identity = self.stage.setting.book.identity;
        let ask = Step::Ask { replica: REPLICA };
        if !self.stage.oracle.may(ask) {
            return Err(Trouble::wrong(Mismatch::new(
                Check::Request,
                "no request",
                request.to_string(),
            )));
        }
        self.stage.permit(|permits| permits.connection = true);
        self.stage.must_agree(|possible, binding| {
            request_agrees(&request, identity, false, REPLICA, possible, binding)
        })?;
        self.stage.permit(|permits| permits.connection = false);
        Ok(())
    }

    fn send_reply(&mut self, step: Step) -> Result<(), Trouble> {
        let binding = self.stage.binding();
        let name = |id: Id| binding.name(id).unwrap_or_default().to_string();
        let answer = match self.stage.world().link(REPLICA).reply {
            Some(Reply::Continue(id)) => Answer::Continue { id: id.map(name) },
            Some(Reply::FullResync(label)) => Answer::FullResync {
                id: name(label.id),
                offset: binding.label_byte(label).unwrap_or_default(),
            },
            Some(Reply::Error(_)) | None => {
                return Err(Trouble::Parted("there is no reply to send".to_string()));
            }
        };
        self.played
            .answer(self.link()?, &answer)
            .map_err(|error| due(&error, "a link that takes the reply"))?;
        self.drive(step)
    }

    fn send_snapshot(&mut self, step: Step) -> Result<(), Trouble> {
        let Some(payload) = self.stage.world().link(REPLICA).payload else {
            return Err(Trouble::Parted("there is no snapshot to send".to_string()));
        };
        let binding = self.stage.binding();
        let mut data = without_base(binding.data_set(payload.data));
        data.insert(0, BASE_KEY, BASE_VALUE);
        let labelled = self.stage.setting.book.saved_label != SavedLabel::None;
        let label = labelled.then(|| rdb::Label {
            id: binding
                .name(payload.label.id)
                .unwrap_or_default()
                .to_string(),
            offset: binding.label_byte(payload.label).unwrap_or_default(),
            stream_db: 0,
        });
        let bytes = rdb::write(
            &data,
            label.as_ref(),
            if labelled { LABELLED_RDB } else { PLAIN_RDB },
        )?;
        let link = self.link()?;
        let sent = match payload.framing {
            Framing::Disk => self.played.payload_with_length(link, &bytes),
            Framing::Socket => self.played.payload_with_mark(link, &bytes, MARK),
        };
        sent.map_err(|error| due(&error, "a link that takes the snapshot"))?;
        self.drive(step)
    }

    /// The next command of the stream: its head, the rest of it, or all of it.
    fn send_command(&mut self, step: Step) -> Result<(), Trouble> {
        let stream = self.stage.world().link(REPLICA).stream;
        let Some(Token::Write(write)) = stream.tokens.first() else {
            return Err(Trouble::Parted("there is no command to send".to_string()));
        };
        let pairs = self.stage.binding().write(write);
        let command: Vec<u8> = pairs.iter().flat_map(KeyValue::command).collect();
        let (head, tail) = command.split_at(HEAD_BYTES as usize);
        let bytes = match (step, stream.starts_with_tail) {
            (Step::ReadHead { .. }, _) => head,
            (_, true) => tail,
            (_, false) => &command,
        };
        self.played
            .send(self.link()?, bytes)
            .map_err(|error| due(&error, "a link that takes the stream"))?;
        self.drive(step)
    }

    /// Acknowledgements come by themselves, each second or at once after a directly sent snapshot. Those that
    /// say less than is due now were due earlier.
    fn acknowledgement(&mut self) -> Result<(), Trouble> {
        self.stage.permit(|permits| permits.acknowledgement = true);
        self.await_acknowledgement()?;
        self.stage.permit(|permits| permits.acknowledgement = false);
        self.settle()
    }

    fn await_acknowledgement(&mut self) -> Result<(), Trouble> {
        let link = self.link()?;
        let deadline = self.stage.deadline();
        let step = Step::Acknowledge { replica: REPLICA };
        let mut last = None;
        loop {
            let came = self
                .played
                .next_acknowledgement(link, deadline)
                .map_err(|error| due(&error, "an acknowledgement"))?;
            if last.is_some_and(|last| came < last) {
                let allowed = format!("at least {last:?}");
                return Err(Trouble::wrong(Mismatch::new(
                    Check::Acknowledgement,
                    allowed,
                    came.to_string(),
                )));
            }
            last = Some(came);
            let now = self
                .stage
                .observe(|possible, binding| acknowledgement_agrees(came, step, possible, binding));
            match now {
                Ok(()) => return Ok(()),
                Err(_) if self.was_due_earlier(came) => {}
                Err(mismatches) => return Err(super::worst(mismatches)),
            }
        }
    }

    /// Whether an acknowledgement says what was true on this connection some time ago.
    fn was_due_earlier(&self, came: i64) -> bool {
        let Some(label) = self.stage.world().node(REPLICA).following else {
            return false;
        };
        let now = self.stage.binding().label_byte(label);
        now.is_some_and(|now| came < now && (now - came) <= COMMAND_BYTES as i64 * 4)
    }

    pub(super) fn settle(&mut self) -> Result<(), Trouble> {
        let identity = self.stage.setting.book.identity;
        self.stage.settle(look, |shown, possible, binding| {
            agrees(shown, REPLICA, possible, binding, identity)
        })
    }

    fn take_as_done(&mut self, step: Step) -> Result<(), Trouble> {
        let identity = self.stage.setting.book.identity;
        self.stage
            .take_as_done(step, look, |shown, possible, binding| {
                agrees(shown, REPLICA, possible, binding, identity)
            })
    }

    pub(super) fn link(&self) -> Result<LinkId, Trouble> {
        self.link
            .ok_or_else(|| Trouble::Parted("the subject has no connection".to_string()))
    }
}

/// The byte that stands for an offset if the numbering begins at zero.
fn absolute_byte(offset: Offset) -> i64 {
    let units = i64::from(offset.0);
    units / COMMAND_UNITS * COMMAND_BYTES as i64 + units % COMMAND_UNITS
}

/// The byte at which the played primary's offset lies, as it follows from where it was: the same numbering
/// goes on, by a command, by the byte a new backlog skips, or from a saved label.
fn continued_byte(binding: &Binding, was: &Node, is: &Node) -> Option<i64> {
    if let Some(former) = is.secondary
        && was.id != is.id
    {
        return binding.byte(former.id, former.limit.offset_before());
    }
    let from = binding.byte(was.id, was.offset)?;
    let units = is.offset.since(was.offset);
    Some(
        from + if units == 1 {
            1
        } else {
            units / 2 * COMMAND_BYTES as i64
        },
    )
}

/// What did not come, or came as no protocol at all.
pub(super) fn due(error: &PlayedError, what: &str) -> Trouble {
    let check = match error {
        PlayedError::Peer { .. } => Check::Protocol,
        _ => Check::Progress,
    };
    Trouble::wrong(Mismatch::new(check, what, error.to_string()))
}

/// What the subject shows.
fn look(servers: &mut Servers) -> Result<Shown, Trouble> {
    let server = servers.get_mut(&REPLICA);
    glance(&mut server.expect("the replica is the subject").control)
}
