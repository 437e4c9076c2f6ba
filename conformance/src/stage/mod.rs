//! The stage: one case, its subject or subjects, and the oracle watching.
//!
//! All castings work alike. The harness brings about what the plan says, tells the oracle, and looks at the
//! subject until some possible world agrees with what it shows ([`Stage::settle`]), within the profile's time.
//! What the subject does by itself is awaited in the same way ([`Stage::await_hidden`]). What is looked at is
//! the casting's affair: [`as_replica`] plays the replica of a subject that is the primary, [`as_primary`] the
//! primary of a subject that is the replica, and [`as_network`] the network between subjects.

pub mod as_network;
pub mod as_primary;
pub mod as_replica;
mod blocking;
mod children;
mod errors;
pub mod holds;
mod network;
pub mod opening;
mod seen_of_primary;
mod seen_of_replica;
mod stranger;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use psync_model::case::Case;
use psync_model::casting::Casting;
use psync_model::oracle::{Oracle, OracleError, Possible};
use psync_model::rules::Setting;
use psync_model::step::Step;
use psync_model::world::{NodeId, World};

use children::Blocking;

use crate::binding::{BASE_KEY, BASE_VALUE, Binding, KeyValue};
use crate::conn::Deadline;
use crate::control::Control;
use crate::data::DataSet;
use crate::process::Subject;
use crate::profile::{ControlName, Profile};
use crate::proxy::Proxy;
use crate::transcript::{CaseClock, Transcript};
use crate::verdict::{Check, Failure, Mismatch};

/// The node the plans call the replica.
pub const REPLICA: NodeId = NodeId::Replica;

/// The node the plans call the primary.
pub const PRIMARY: NodeId = NodeId::Primary;

/// How long to pause before the second look at a subject that has not got there yet, and at most before a later one: each
/// look costs the subject time that it may lack to get there. What is awaited is what it shows, not the time.
const LOOK_AGAIN: Duration = Duration::from_millis(1);
const LOOK_LATER: Duration = Duration::from_millis(32);

/// Why a case cannot go on.
#[derive(Debug)]
pub enum Trouble {
    /// The subject did what the model does not allow.
    Wrong {
        /// The first thing that did not agree, in the world the plan hoped for.
        mismatch: Mismatch,
        /// The same for other possible worlds.
        others: Vec<Mismatch>,
    },
    /// The subject went another way than the plan.
    Parted(String),
    /// The harness itself failed.
    Harness(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Trouble {
    fn from(error: E) -> Self {
        Self::Harness(error.into())
    }
}

impl Trouble {
    /// A single thing that did not agree.
    pub fn wrong(mismatch: Mismatch) -> Self {
        Self::Wrong {
            mismatch,
            others: Vec::new(),
        }
    }
}

/// A subject, and the harness as an ordinary client of it.
pub struct Server {
    /// The subject.
    pub subject: Subject,
    /// The control connection.
    pub control: Control,
    /// What keeps its next snapshot from starting, where that is a snapshot for nobody.
    blocking: Option<Blocking>,
}

/// The subjects, each in the place of a node.
pub type Servers = BTreeMap<NodeId, Server>;

/// What all castings need.
pub struct Stage {
    /// The case.
    pub case: Case,
    /// Era and configuration.
    pub setting: Setting,
    /// The subject's profile, for its waits and controls.
    pub profile: Profile,
    /// The subjects.
    pub servers: Servers,
    /// The set of possible worlds.
    pub oracle: Oracle<Binding>,
    /// Where the plan is.
    pub at: usize,
    /// What the harness has made possible for the subject.
    pub permits: Permits,
    /// What stands between the played replica and the subject, when the judge itself is under test.
    pub proxy: Option<Proxy>,
    /// The step at which the subject turned out to look at a snapshot before it drops its data for it.
    pub kept_data_at: Option<usize>,
    transcripts: Vec<Transcript>,
    clock: CaseClock,
    written: usize,
}

/// What the subject can do by itself only because the harness has let it: a connection that was not closed is
/// not lost, and a snapshot is sent as configured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Permits {
    /// The connection that is cut has been closed.
    pub loss: bool,
    /// The older connection has been closed.
    pub stale_loss: bool,
    /// Something stands in the way of the snapshot file.
    pub failure: bool,
    /// The snapshot that is being made cannot come to its end yet.
    pub unending: bool,
    /// A replica that connects is answered.
    pub connection: bool,
    /// Acknowledgements are being read; one that is not read might as well not have been sent.
    pub acknowledgement: bool,
    /// What a subject has sent upwards has not been passed on to the other subject that it is for.
    pub kept_back: bool,
    /// A snapshot may start, to be sent in this way.
    pub framing: Option<psync_model::world::Framing>,
}

impl Permits {
    fn allow(self, step: Step) -> bool {
        match step {
            Step::PrimaryNoticesLoss { .. } | Step::ReplicaNoticesLoss { .. } => self.loss,
            Step::PrimaryNoticesStale { .. } => self.stale_loss,
            Step::FailSnapshot { .. } => self.failure,
            Step::FinishSnapshot { .. } => !self.unending,
            Step::StartSnapshot { framing, .. } => self.framing == Some(framing),
            Step::Ask { .. } => self.connection,
            Step::Acknowledge { .. } => self.acknowledgement,
            Step::AcceptPartial { .. }
            | Step::DeclinePartial { .. }
            | Step::AttachToSnapshot { .. }
            | Step::RefuseForNow { .. }
            | Step::ReceiveAcknowledgement { .. } => !self.kept_back,
            // What a played primary has put into the pipe stays with the harness until it is sent.
            Step::ReceiveContinue { .. }
            | Step::ReceiveFullResync { .. }
            | Step::ReceiveError { .. }
            | Step::FailLoad { .. }
            | Step::ReceiveSnapshot { .. }
            | Step::ReadHead { .. }
            | Step::Apply { .. } => false,
            _ => true,
        }
    }
}

impl Stage {
    /// Starts the subjects, each as a replica of the address beside it if there is one, configured for the case.
    pub fn open(
        case: &Case,
        profile: &Profile,
        places: &[(NodeId, Option<SocketAddr>)],
        clock: CaseClock,
    ) -> Result<Self, Trouble> {
        let setting = case.setting()?;
        let (mut servers, mut transcripts) = (Servers::new(), Vec::new());
        for &(node, primary) in places {
            let transcript = Transcript::new(control_label(node, places.len()), clock);
            transcripts.push(transcript.clone());
            servers.insert(node, opening::open(profile, &setting, primary, transcript)?);
        }
        let scope = case.header.scope;
        let casting = case.header.casting;
        let permits = Permits {
            // A snapshot that nothing holds back starts when the subject likes.
            framing: (!profile.can_do(ControlName::DisklessDelay)).then_some(profile.snapshot),
            ..Permits::default()
        };
        let allowed = |step| scope.allows(step) && permits.allow(step);
        let binding = Binding::default();
        let oracle = Oracle::new(setting, scope.topology, casting, allowed, binding);
        Ok(Self {
            case: case.clone(),
            setting,
            profile: profile.clone(),
            servers,
            oracle,
            at: 0,
            permits,
            proxy: None,
            kept_data_at: None,
            transcripts,
            clock,
            written: 0,
        })
    }

    /// The subject in the place of a node.
    ///
    /// # Panics
    /// Where the harness plays that node itself.
    pub fn server(&mut self, node: NodeId) -> &mut Server {
        let server = self.servers.get_mut(&node);
        server.expect("a casting asks only for nodes that are subjects in it")
    }

    /// The control connection of the subject in the place of a node.
    pub fn control(&mut self, node: NodeId) -> &mut Control {
        &mut self.server(node).control
    }

    /// Where the played replica of a node finds it.
    pub fn replication_addr(&self, node: NodeId) -> SocketAddr {
        let proxy = self.proxy.as_ref();
        proxy.map_or_else(|| self.servers[&node].subject.addr(), Proxy::addr)
    }

    /// Kills a subject with everything it started, and starts it again from its disk.
    pub fn restart_subject(
        &mut self,
        node: NodeId,
        primary: Option<SocketAddr>,
    ) -> Result<(), Trouble> {
        let transcript = self.transcript(control_label(node, self.servers.len()));
        let options = opening::start_options(&self.profile, &self.setting, primary);
        let limit = self.profile.waits.stop_ms.duration();
        let Server { subject, .. } = self.server(node);
        let children = subject.process_id().map(children::of).unwrap_or_default();
        subject.kill()?;
        children::end(children, limit)?;
        subject.restart(&options)?;
        let mut control = subject.control(transcript)?;
        opening::configure(&mut control, &self.profile, &self.setting)?;
        let server = self.server(node);
        (server.control, server.blocking) = (control, None);
        Ok(())
    }

    /// A client writes the first key, so that the data of no snapshot are empty.
    pub fn write_first_key(&mut self, node: NodeId) -> Result<(), Trouble> {
        let written = self.control(node).expect_ok(&["SET", BASE_KEY, BASE_VALUE]);
        required(written, "write the first key")?;
        self.weigh_down(node)
    }

    /// Changes what the harness has made possible.
    pub fn permit(&mut self, change: impl FnOnce(&mut Permits)) {
        change(&mut self.permits);
        let (permits, scope) = (self.permits, self.case.header.scope);
        self.oracle
            .allow(|step| scope.allows(step) && permits.allow(step));
    }

    /// A fresh transcript on the clock of the case, remembered for the report.
    pub fn transcript(&mut self, label: impl Into<String>) -> Transcript {
        let transcript = Transcript::new(label, self.clock);
        self.transcripts.push(transcript.clone());
        transcript
    }

    /// Adds a transcript made elsewhere to those of the report.
    pub fn remember(&mut self, transcripts: Vec<Transcript>) {
        self.transcripts.extend(transcripts);
    }

    /// The moment until which the subject has time to show what is due.
    pub fn deadline(&self) -> Deadline {
        Deadline::after(self.profile.waits.observe_ms.duration())
    }

    /// The world the plan hopes for: the first of the possible ones.
    pub fn world(&self) -> &World {
        &self.oracle.possible()[0].world
    }

    /// What is bound in that world.
    pub fn binding(&self) -> &Binding {
        &self.oracle.possible()[0].binding
    }

    /// Something happens that the harness brings about.
    pub fn drive(&mut self, step: Step) -> Result<(), Trouble> {
        match self.oracle.drive(step) {
            Ok(()) => Ok(()),
            Err(error @ OracleError::NotApplicable(_)) => Err(Trouble::Parted(error.to_string())),
            Err(error) => Err(error.into()),
        }
    }

    /// The keys and values of the next write, noted in every possible world under the number it has there.
    pub fn drive_write(&mut self, step: Step) -> Result<Vec<KeyValue>, Trouble> {
        self.written += 1;
        let pairs = match step {
            Step::Write { .. } => vec![KeyValue::numbered(self.written)],
            Step::WriteElsewhere { .. } => vec![KeyValue::elsewhere(self.written)],
            _ => KeyValue::of_transaction(self.written).to_vec(),
        };
        self.drive(step)?;
        // Whatever number it has there, it is the newest thing in the data of the node written to.
        self.rebind(|world, binding| {
            let newest = world.node(step.node()).data.writes().next_back();
            if let Some(write) = newest {
                binding.bind_write(write, pairs.clone());
            }
        })?;
        Ok(pairs)
    }

    /// A client writes, by one command or one after the other.
    pub fn write(&mut self, step: Step) -> Result<(), Trouble> {
        for pair in self.drive_write(step)? {
            let control = self.control(step.node());
            required(control.select(pair.database), "select a database")?;
            required(control.expect_ok(&pair.words()), "write a key")?;
            required(control.select(0), "select a database")?;
        }
        Ok(())
    }

    /// Changes the binding of every possible world.
    pub fn rebind(&mut self, change: impl Fn(&World, &mut Binding)) -> Result<(), Trouble> {
        let current: Vec<World> = self
            .oracle
            .possible()
            .iter()
            .map(|possible| possible.world)
            .collect();
        self.oracle.observe(|possible| {
            let mut binding = possible.binding.clone();
            change(&possible.world, &mut binding);
            current.contains(&possible.world).then_some(binding)
        })?;
        Ok(())
    }

    /// Shows an observation to every world the subject may be in; those that agree stay. A snapshot that was
    /// held open may have come to its end all the same, on a machine that was too busy: then that is so.
    pub fn observe(
        &mut self,
        look: impl Fn(&Possible<Binding>, &mut Binding) -> Result<(), Mismatch>,
    ) -> Result<(), Vec<Mismatch>> {
        let first = self.observe_once(&look);
        if first.is_ok() || !self.permits.unending {
            return first;
        }
        self.permit(|permits| permits.unending = false);
        if self.observe_once(&look).is_ok() {
            return Ok(());
        }
        self.permit(|permits| permits.unending = true);
        first
    }

    fn observe_once(
        &mut self,
        look: impl Fn(&Possible<Binding>, &mut Binding) -> Result<(), Mismatch>,
    ) -> Result<(), Vec<Mismatch>> {
        let mismatches = RefCell::new(Vec::new());
        let agreed = self.oracle.observe(|possible| {
            let mut binding = possible.binding.clone();
            binding.forget_unused(&possible.world);
            match look(possible, &mut binding) {
                Ok(()) => Some(binding),
                Err(mismatch) => {
                    mismatches.borrow_mut().push(mismatch);
                    None
                }
            }
        });
        match agreed {
            Ok(true) => Ok(()),
            Ok(false) => Err(mismatches.into_inner()),
            Err(error) => Err(vec![Mismatch::new(
                Check::Protocol,
                "at most a few thousand worlds",
                error.to_string(),
            )]),
        }
    }

    /// The same, where a disagreement ends the case.
    pub fn must_agree(
        &mut self,
        look: impl Fn(&Possible<Binding>, &mut Binding) -> Result<(), Mismatch>,
    ) -> Result<(), Trouble> {
        self.observe(look).map_err(worst)
    }

    /// Looks at the subject until what it shows agrees with a possible world.
    pub fn settle<T>(
        &mut self,
        glance: impl Fn(&mut Servers) -> Result<T, Trouble>,
        look: impl Fn(&T, &Possible<Binding>, &mut Binding) -> Result<(), Mismatch>,
    ) -> Result<(), Trouble> {
        self.watch(glance, look, |_| true)
    }

    /// Looks at the subject until what it shows agrees, and it has taken `step` in every possible world.
    pub fn await_hidden<T>(
        &mut self,
        step: Step,
        glance: impl Fn(&mut Servers) -> Result<T, Trouble>,
        look: impl Fn(&T, &Possible<Binding>, &mut Binding) -> Result<(), Mismatch>,
    ) -> Result<(), Trouble> {
        let (due, casting) = (self.times_due(step), self.case.header.casting);
        self.watch(glance, look, |possible| {
            times_taken(possible, step, casting) >= due
        })
    }

    /// For a step that nothing the subject shows gives away, but that follows at once on what the harness has
    /// done: after a round trip it has been taken, unless what the subject shows contradicts it.
    pub fn take_as_done<T>(
        &mut self,
        step: Step,
        glance: impl Fn(&mut Servers) -> Result<T, Trouble>,
        look: impl Fn(&T, &Possible<Binding>, &mut Binding) -> Result<(), Mismatch>,
    ) -> Result<(), Trouble> {
        let (due, casting) = (self.times_due(step), self.case.header.casting);
        self.barrier()?;
        self.watch(
            glance,
            |seen, possible, binding| {
                if times_taken(possible, step, casting) < due {
                    return Err(Mismatch::new(Check::Progress, step.to_string(), "not yet"));
                }
                look(seen, possible, binding)
            },
            |_| true,
        )
    }

    /// Makes sure that the subjects have done what they were asked to do.
    pub fn barrier(&mut self) -> Result<(), Trouble> {
        for server in self.servers.values_mut() {
            required(
                server.control.barrier(),
                "make sure that the subject has done what was asked",
            )?;
        }
        Ok(())
    }

    /// How often the plan has asked for a step so far, the present one included.
    fn times_due(&self, step: Step) -> usize {
        let so_far = &self.case.steps[..=self.at.min(self.case.steps.len() - 1)];
        times_in_this_life(so_far, step, self.case.header.casting)
    }

    fn watch<T>(
        &mut self,
        glance: impl Fn(&mut Servers) -> Result<T, Trouble>,
        look: impl Fn(&T, &Possible<Binding>, &mut Binding) -> Result<(), Mismatch>,
        enough: impl Fn(&Possible<Binding>) -> bool,
    ) -> Result<(), Trouble> {
        let (mut deadline, mut pause) = (self.deadline(), LOOK_AGAIN);
        loop {
            let is_late = deadline.remaining().is_none();
            let seen = glance(&mut self.servers)?;
            let look = |possible: &Possible<Binding>, binding: &mut Binding| {
                look(&seen, possible, binding)
            };
            // What disagrees for a moment is no reason to believe that a snapshot has ended which cannot.
            let was_unending = self.permits.unending;
            let agreed = if is_late {
                self.observe(look)
            } else {
                self.observe_once(look)
            };
            if agreed.is_ok() && self.oracle.possible().iter().all(&enough) {
                return Ok(());
            }
            if is_late && was_unending && !self.permits.unending {
                deadline = self.deadline();
            } else if is_late {
                return Err(match agreed {
                    Err(mismatches) => worst(mismatches),
                    Ok(()) => self.overdue(deadline, &enough),
                });
            }
            std::thread::sleep(pause);
            pause = LOOK_LATER.min(pause * 5 / 4);
        }
    }

    /// What did not come in time is missing only where it is still due: a snapshot that was held open may have ended all
    /// the same, on a machine that was too busy, and nobody can join it then.
    fn overdue(&self, deadline: Deadline, enough: impl Fn(&Possible<Binding>) -> bool) -> Trouble {
        let step = self.case.steps.get(self.at);
        let step = step.map_or_else(|| "the end of the plan".to_string(), ToString::to_string);
        match self.oracle.may_come_to(enough) {
            Ok(true) => {}
            Ok(false) => {
                return Trouble::Parted(format!("{step} is not due after what was seen"));
            }
            Err(error) => return error.into(),
        }
        let came = format!("nothing of the kind within {} ms", deadline.limit_ms());
        Trouble::wrong(Mismatch::new(Check::Progress, step, came))
    }

    /// The last lines that the subjects printed.
    fn output_tail(&self) -> String {
        let tails = self
            .servers
            .values()
            .map(|server| server.subject.output_tail());
        tails.collect::<Vec<_>>().join("\n")
    }

    /// What a failure has to say about this moment.
    pub fn failure(&self, step: Step, mismatch: Mismatch, others: Vec<Mismatch>) -> Failure {
        Failure {
            at: self.at,
            step,
            mismatch,
            others,
            transcripts: self.transcripts.iter().map(Transcript::log).collect(),
            output: self.output_tail(),
        }
    }
}

/// What the connection to a node is called in reports, one of so many subjects.
fn control_label(node: NodeId, subjects: usize) -> String {
    if subjects == 1 {
        "control".to_owned()
    } else {
        format!("control, {}", node.name())
    }
}

fn times_taken(possible: &Possible<Binding>, step: Step, casting: Casting) -> usize {
    times_in_this_life(&possible.path, step, casting)
}

/// How often a step was taken since the subject last died: what it had begun before nobody will see the end of.
fn times_in_this_life(steps: &[Step], of: Step, casting: Casting) -> usize {
    let dies = |step: &Step| match casting {
        Casting::Primary => matches!(step, Step::RestartPrimary { .. }),
        Casting::Replica => matches!(step, Step::RestartReplica { .. }),
        Casting::Whole => step.is_restart() && step.node() == of.node(),
    };
    let since = steps.iter().rev().take_while(|step| !dies(step));
    since.filter(|other| **other == of).count()
}

/// Of several reasons that of the world that agrees the furthest says what is wrong; among equals the first.
fn worst(mut mismatches: Vec<Mismatch>) -> Trouble {
    let furthest = mismatches.iter().map(|mismatch| mismatch.agreed).max();
    let Some(place) = mismatches
        .iter()
        .position(|mismatch| Some(mismatch.agreed) == furthest)
    else {
        return Trouble::Parted("no world is possible".to_string());
    };
    let mismatch = mismatches.remove(place);
    mismatches.dedup();
    mismatches.retain(|other| *other != mismatch);
    Trouble::Wrong {
        mismatch,
        others: mismatches,
    }
}

/// The data set without the key that is only there to be there.
pub fn without_base(mut data: DataSet) -> DataSet {
    data.remove(0, BASE_KEY.as_bytes());
    data
}

/// An answer of the control connection that the harness cannot do without.
pub fn required<T, E: std::error::Error + Send + Sync + 'static>(
    result: Result<T, E>,
    doing: &'static str,
) -> Result<T, Trouble> {
    result.context(doing).map_err(Trouble::Harness)
}
