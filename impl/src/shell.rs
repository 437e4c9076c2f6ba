//! The shell: sockets, timers, files and signals around the core.
//!
//! One task owns the core. It takes events from a bounded channel, lets the core think, and carries out what the core
//! decided. Connections, the link to the primary and snapshots are tasks of their own that only move bytes. `Shell::act` is
//! longer than a screen because it is the one place that names every action.

use std::collections::HashMap;
use std::future;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinHandle};
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::config::{Config, file};
use crate::connection::{Connection, Flushed, Output};
use crate::event::{Action, ClientId, Event, JobId, LinkId, Peer};
use crate::link_task::LinkTask;
use crate::listening::{Accepted, Listening};
use crate::load_task::LoadTask;
use crate::server::{Server, TICK_MS};
use crate::snapshot_task::{self, SnapshotTask};
use crate::socket;
use crate::transfer::UNNOTICED_BYTES;
use crate::{LoadedFile, StartError};

/// Events that may wait for the core; when there are more, connections are not read.
const EVENT_QUEUE: usize = 1_024;

/// How long the core thinks before what it decided is carried out and connections are read again.
const TURN: Duration = Duration::from_micros(500);

/// Bytes given to connections after which it is carried out at once, because how much waits for each is measured there.
const GIVEN_AT_ONCE: u64 = 1 << 20;

/// Bytes of answers that wait until the rest of what their connection asked for is answered too, to leave together.
const HELD_BACK: usize = 16 * 1024;

/// The time since 1970, as the system has it.
fn time_of_day() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

/// Unix milliseconds that never go back while the process runs, and never jump when the time of day is set.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    started: Instant,
    started_unix: Duration,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            started_unix: time_of_day(),
        }
    }

    pub(crate) fn now_ms(&self) -> u64 {
        (self.started_unix + self.started.elapsed()).as_millis() as u64
    }
}

/// Everything that is not the core.
pub(crate) struct Shell {
    core: Server,
    clock: Clock,
    listening: Listening,
    events: mpsc::Receiver<Event>,
    sender: mpsc::Sender<Event>,
    connections: HashMap<ClientId, Connection>,
    /// Those with output that is not flushed.
    unflushed: Vec<ClientId>,
    next_client: u64,
    link: Option<(LinkId, LinkTask)>,
    load: Option<(LinkId, LoadTask)>,
    snapshot: Option<(JobId, SnapshotTask)>,
    key_delay_us: watch::Sender<u64>,
    output_limit: u64,
}

impl Shell {
    pub(crate) fn new(core: Server, clock: Clock, listening: Listening, config: &Config) -> Self {
        let (sender, events) = mpsc::channel(EVENT_QUEUE);
        Self {
            core,
            clock,
            listening,
            events,
            sender,
            connections: HashMap::new(),
            unflushed: Vec::new(),
            next_client: 0,
            link: None,
            load: None,
            snapshot: None,
            key_delay_us: watch::Sender::new(config.key_save_delay_us.unsigned_abs()),
            output_limit: config.output_limits.longest_for_user(),
        }
    }

    /// Serves until the core says that it is over. While our own snapshot file is read, users are told so, unless it is so
    /// short that they may as well wait.
    pub(crate) async fn serve(
        mut self,
        mut file: JoinHandle<Result<LoadedFile, StartError>>,
        file_bytes: u64,
    ) -> Result<(), StartError> {
        let mut ticks = interval(Duration::from_millis(TICK_MS));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut signals = Signals::new()?;
        let mut waiting = file_bytes >= UNNOTICED_BYTES;
        if !waiting {
            let loaded = (&mut file).await;
            self.file_loaded(loaded)?;
        }
        loop {
            tokio::select! {
                biased;
                loaded = &mut file, if waiting => {
                    waiting = false;
                    self.file_loaded(loaded)?;
                }
                () = self.wait_and_think(&mut ticks, &mut signals) => {}
            }
            if self.carry_out().await.is_break() {
                return Ok(());
            }
            if self.core.has_turns() || !self.events.is_empty() {
                // Whoever has come or sent something meanwhile is heard now, not when all others are served.
                while let Ok(accepted) = self.listening.accepted.try_recv() {
                    self.accepted(accepted);
                }
                tokio::task::yield_now().await;
            }
        }
    }

    fn file_loaded(
        &mut self,
        loaded: Result<Result<LoadedFile, StartError>, JoinError>,
    ) -> Result<(), StartError> {
        let (keyspace, label) = loaded.map_err(io::Error::other)??;
        let keyspace = Box::new(keyspace);
        let event = Event::FileLoaded { keyspace, label };
        self.core.handle(event, self.clock.now_ms());
        tracing::info!("Ready to accept connections");
        Ok(())
    }

    async fn wait_and_think(&mut self, ticks: &mut Interval, signals: &mut Signals) {
        tokio::select! {
            biased;
            () = signals.any() => self.core.handle(Event::Terminate, self.clock.now_ms()),
            _ = ticks.tick() => {
                let now_ms = self.clock.now_ms();
                self.core.set_time_of_day(time_of_day().as_millis() as u64, now_ms);
                self.core.tick(now_ms);
            }
            Some(event) = self.events.recv() => self.think(Some(event)),
            Some(accepted) = self.listening.accepted.recv() => self.accepted(accepted),
            () = future::ready(()), if self.core.has_turns() => self.think(None),
        }
    }

    /// Takes events in the order in which they came, and lets connections that have more to execute go on between them.
    fn think(&mut self, first: Option<Event>) {
        let (started, now_ms) = (Instant::now(), self.clock.now_ms());
        let mut next = first;
        loop {
            let event = next.take().or_else(|| self.events.try_recv().ok());
            let idle = event.is_none();
            if let Some(event) = event {
                self.take(event, now_ms);
            }
            let nothing_left = !self.core.next_turn(now_ms) && idle;
            if nothing_left || self.core.given_bytes() > GIVEN_AT_ONCE || started.elapsed() >= TURN
            {
                return;
            }
        }
    }

    /// After the loss of a link the core looks at once what is due, and sets out to the primary again without waiting for
    /// the next tick.
    fn take(&mut self, event: Event, now_ms: u64) {
        let lost = matches!(event, Event::LinkDown { .. });
        self.core.handle(event, now_ms);
        if lost {
            self.core.tick(now_ms);
        }
    }

    fn accepted(&mut self, accepted: Accepted) {
        self.next_client += 1;
        let (client, events) = (ClientId(self.next_client), self.sender.clone());
        let (connection, address) = match accepted {
            Accepted::Tcp(stream, address) => {
                // Replies are small and waited for; the system must not hold them back. It works without, only slower.
                let _ = stream.set_nodelay(true);
                let keepalive_s = self.core.config.tcp_keepalive_s;
                if let Err(error) = socket::keep_alive(&stream, keepalive_s) {
                    tracing::warn!("A peer that vanishes will not be noticed: {error}");
                }
                let connection = Connection::start(client, socket::split_tcp(stream), events);
                (connection, Peer::Tcp(address))
            }
            Accepted::Unix(stream, path) => {
                let connection = Connection::start(client, socket::split_unix(stream), events);
                (connection, Peer::Unix(path))
            }
        };
        self.connections.insert(client, connection);
        let event = Event::Connected { client, address };
        self.core.handle(event, self.clock.now_ms());
    }

    async fn carry_out(&mut self) -> ControlFlow<()> {
        loop {
            let actions = self.core.take_actions();
            if actions.is_empty() {
                return ControlFlow::Continue(());
            }
            for action in actions {
                if let Action::Sleep { milliseconds } = action {
                    self.flush();
                    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
                } else if self.act(action).is_break() {
                    self.flush();
                    return ControlFlow::Break(());
                }
            }
            let held_back = self.hold_back();
            self.flush();
            self.unflushed = held_back;
        }
    }

    /// Takes out of the unflushed those that will soon be answered more.
    fn hold_back(&mut self) -> Vec<ClientId> {
        let waits = |client: &mut ClientId| {
            let connection = self.connections.get(client);
            self.core.awaits_turn(*client)
                && connection.is_some_and(|connection| connection.gathered_bytes() < HELD_BACK)
        };
        self.unflushed.extract_if(.., waits).collect()
    }

    fn act(&mut self, action: Action) -> ControlFlow<()> {
        match action {
            Action::Send { client, bytes } => self.output(client, Output::Bytes(bytes)),
            Action::SendSnapshot {
                client,
                job,
                length,
            } => self.send_snapshot(client, job, length),
            Action::ReportWrites { client } => self.output(client, Output::Report),
            Action::Close { client } => {
                if let Some(connection) = self.connections.remove(&client) {
                    connection.finish();
                }
            }
            Action::Connect { link, host, port } => {
                self.link = Some((link, LinkTask::start(link, host, port, self.sender.clone())));
            }
            Action::SendLink { link, bytes } => {
                if let Some((_, task)) = self.link.as_ref().filter(|(id, _)| *id == link) {
                    task.send(bytes);
                }
            }
            Action::CloseLink { link } => {
                self.link.take_if(|(id, _)| *id == link);
                self.load.take_if(|(id, _)| *id == link);
            }
            Action::WriteSnapshot {
                job,
                snapshot,
                fields,
                framing,
                path,
            } => {
                let delay = self.key_delay_us.subscribe();
                let plan = snapshot_task::Plan {
                    job,
                    snapshot,
                    fields,
                    framing,
                    path,
                };
                self.snapshot = Some((job, SnapshotTask::start(plan, delay, self.sender.clone())));
            }
            Action::ContinueSnapshot { job } => {
                if let Some((_, task)) = self.snapshot.as_ref().filter(|(id, _)| *id == job) {
                    task.resume();
                }
            }
            Action::CancelSnapshot { job } => {
                self.snapshot.take_if(|(id, _)| *id == job);
            }
            Action::SetKeyDelay { microseconds } => {
                self.key_delay_us.send_replace(microseconds);
            }
            Action::LoadSnapshot { link, path } => {
                self.load = Some((link, LoadTask::start(link, path, self.sender.clone())));
            }
            Action::LoadPiece { link, piece } => {
                if let Some((_, task)) = self.load.as_ref().filter(|(id, _)| *id == link) {
                    task.push(piece);
                }
            }
            Action::LoadWhole { link } => {
                if let Some((_, task)) = self.load.take_if(|(id, _)| *id == link) {
                    task.end();
                }
            }
            Action::WriteConfig {
                client,
                path,
                config,
                defaults,
            } => {
                let failure = write_config(&path, &config, &defaults).err();
                let failure = failure.map(|error| error.to_string());
                let event = Event::ConfigWritten { client, failure };
                self.core.handle(event, self.clock.now_ms());
            }
            Action::LimitOutput { limits } => self.output_limit = limits.longest_for_user(),
            Action::Sleep { .. } => {}
            Action::Log { message } => tracing::info!("{message}"),
            Action::Exit => return ControlFlow::Break(()),
        }
        ControlFlow::Continue(())
    }

    fn output(&mut self, client: ClientId, output: Output) {
        let connection = self.connections.get_mut(&client);
        if connection.is_some_and(|connection| connection.put(output)) {
            self.unflushed.push(client);
        }
    }

    /// Offers to the system what was decided for each connection, newest first: a command goes to the replicas before its
    /// client hears that it was executed.
    fn flush(&mut self) {
        for client in std::mem::take(&mut self.unflushed).into_iter().rev() {
            let Some(connection) = self.connections.get_mut(&client) else {
                continue;
            };
            let event = match connection.flush(self.output_limit) {
                Flushed::Done => continue,
                Flushed::Written(total) => Event::Written { client, total },
                Flushed::TooMuch => {
                    tracing::warn!("A connection reads too slowly and is cut off");
                    self.connections.remove(&client);
                    Event::Closed { client }
                }
            };
            self.core.handle(event, self.clock.now_ms());
        }
    }

    fn send_snapshot(&mut self, client: ClientId, job: JobId, length: u64) {
        let path = self
            .snapshot
            .as_ref()
            .filter(|(id, _)| *id == job)
            .map(|(_, task)| task.path());
        match path.map(std::fs::File::open) {
            Some(Ok(file)) => self.output(client, Output::File { file, length }),
            failure => {
                tracing::warn!("The snapshot cannot be sent: {failure:?}");
                self.connections.remove(&client);
                self.core
                    .handle(Event::Closed { client }, self.clock.now_ms());
            }
        }
    }
}

/// Brings a configuration file up to date, in one step as others see it.
fn write_config(path: &Path, config: &Config, defaults: &Config) -> io::Result<()> {
    let old = std::fs::read_to_string(path)?;
    let changed = config.changed_from(defaults);
    let new = file::rewrite(&old, &changed, |name| config.value(name));
    snapshot_task::store(new.into(), path)
}

/// The signals that ask a process to end.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn any(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
