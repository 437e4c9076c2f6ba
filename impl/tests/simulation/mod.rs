//! Cores joined by simulated links, stepped by hand: no sockets, no sleeping, time jumps when the test says so.
//!
//! A [`World`] holds nodes. What one node sends to another waits in the world until [`World::settle`] carries it over.
//! `World::act` is longer than a screen because it names every action of a core.
//! Any port that belongs to no node is played by the test ([`World::played_say`], [`World::played_heard`]).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};

use bytes::{Bytes, BytesMut};
use psync_server::config::Config;
use psync_server::event::{Action, ClientId, Event, Framing, JobId, LinkId, Peer};
use psync_server::ids::IdSource;
use psync_server::keyspace::Keyspace;
use psync_server::rdb::{self, RdbWriter};
use psync_server::rulebook::{Era, Rulebook};
use psync_server::server::{Birth, SavedPosition, Server, TICK_MS};

/// The folder of every node; files live in the world.
const DIR: &str = "/simulated";

/// One core and what it asked the shell for.
pub(crate) struct Node {
    pub(crate) server: Server,
    pub(crate) port: u16,
    /// What each connection was sent and has not taken yet.
    outputs: BTreeMap<ClientId, BytesMut>,
    written: BTreeMap<ClientId, u64>,
    closed: Vec<ClientId>,
    next_client: u64,
    job: Option<(JobId, RdbWriter, Framing)>,
    finished: BTreeMap<JobId, Bytes>,
    /// What has come of a primary's snapshot, and whether it is to be kept as the file.
    arriving: Option<(Vec<u8>, bool)>,
    /// The snapshot file.
    pub(crate) file: Option<Bytes>,
    /// The attempt under way, and the port it goes to.
    pub(crate) link: Option<(LinkId, u16)>,
    link_output: BytesMut,
    /// Whether it wants its process to end.
    pub(crate) ended: bool,
}

/// Nodes, the wires between them, and the time.
pub(crate) struct World {
    pub(crate) nodes: Vec<Node>,
    /// Links between nodes: (replica, attempt) to (primary, connection).
    wires: Vec<((usize, LinkId), (usize, ClientId))>,
    pub(crate) now_ms: u64,
    /// Snapshots are written only by [`World::finish_snapshot`].
    pub(crate) hold_snapshots: bool,
    /// Connections whose other end reads nothing.
    pub(crate) unread: BTreeSet<(usize, ClientId)>,
    /// What somebody between the nodes answers to the next `PSYNC` in place of the primary, which never sees it.
    pub(crate) refuse_question: Option<&'static str>,
    /// Nodes that reach nobody.
    lost: BTreeSet<usize>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            nodes: Vec::new(),
            wires: Vec::new(),
            now_ms: 1_000_000,
            hold_snapshots: false,
            unread: BTreeSet::new(),
            refuse_question: None,
            lost: BTreeSet::new(),
        }
    }

    /// A primary that holds one key, and a replica of it, synchronized; nodes 0 and 1.
    pub(crate) fn pair(era: Era, directives: &[(&str, &str)]) -> Self {
        let mut world = Self::new();
        let primary = world.node(era, directives);
        world.command(primary, "SET x 1");
        world.node(era, &[("replicaof", "127.0.0.1 7000")]);
        world.pass(1_500);
        assert_eq!(world.info(1, "master_link_status"), "up", "{era}");
        world
    }

    /// A node with an empty data set and the given directives.
    pub(crate) fn node(&mut self, era: Era, directives: &[(&str, &str)]) -> usize {
        self.node_with(Rulebook::of(era), directives, None)
    }

    /// A node that starts from a snapshot file.
    pub(crate) fn node_with(
        &mut self,
        rules: Rulebook,
        directives: &[(&str, &str)],
        file: Option<Bytes>,
    ) -> usize {
        let loaded = file
            .as_ref()
            .map(|file| rdb::read(file).expect("a sound snapshot"));
        let label = loaded
            .as_ref()
            .and_then(|loaded| loaded.fields)
            .and_then(SavedPosition::of);
        let keyspace = loaded.map_or_else(Keyspace::new, |loaded| loaded.keyspace);
        let birth = self.birth(rules, directives);
        let index = self.put(Server::new(birth, keyspace, label));
        self.nodes[index].file = file;
        self.settle();
        index
    }

    /// A node whose snapshot file is not read yet.
    pub(crate) fn starting_node(&mut self, era: Era, directives: &[(&str, &str)]) -> usize {
        let birth = self.birth(Rulebook::of(era), directives);
        self.put(Server::starting(birth))
    }

    fn birth(&self, rules: Rulebook, directives: &[(&str, &str)]) -> Birth {
        let mut config = Config::of(rules.era);
        let quiet = [
            ("dir", DIR),
            ("repl-ping-replica-period", "3600"),
            ("repl-diskless-sync-delay", "0"),
        ];
        for (name, value) in quiet.iter().chain(directives) {
            config.set_at_start(name, value).expect("a sound directive");
        }
        let index = self.nodes.len();
        Birth {
            rules,
            config,
            config_file: None,
            ids: IdSource::from_seed([index as u8 + 1; 32]),
            port: 7_000 + index as u16,
            process_id: 1,
            memory_bytes: || 0,
            now_ms: self.now_ms,
        }
    }

    fn put(&mut self, server: Server) -> usize {
        let index = self.nodes.len();
        self.nodes.push(Node {
            server,
            port: 7_000 + index as u16,
            outputs: BTreeMap::new(),
            written: BTreeMap::new(),
            closed: Vec::new(),
            next_client: 0,
            job: None,
            finished: BTreeMap::new(),
            arriving: None,
            file: None,
            link: None,
            link_output: BytesMut::new(),
            ended: false,
        });
        index
    }

    /// A connection of the test to a node.
    pub(crate) fn connect(&mut self, node: usize) -> ClientId {
        let client = self.open(node);
        self.settle();
        client
    }

    /// The same, of somebody at an address.
    pub(crate) fn connect_from(&mut self, node: usize, address: SocketAddr) -> ClientId {
        let client = self.open_from(node, address);
        self.settle();
        client
    }

    fn open(&mut self, node: usize) -> ClientId {
        let port = 50_001 + self.nodes[node].next_client as u16;
        self.open_from(node, SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
    }

    fn open_from(&mut self, node: usize, address: SocketAddr) -> ClientId {
        let place = &mut self.nodes[node];
        place.next_client += 1;
        let client = ClientId(place.next_client);
        place.outputs.insert(client, BytesMut::new());
        let address = Peer::Tcp(address);
        place
            .server
            .handle(Event::Connected { client, address }, self.now_ms);
        client
    }

    /// Sends raw bytes and gives what came back.
    pub(crate) fn say(&mut self, node: usize, client: ClientId, bytes: impl AsRef<[u8]>) -> String {
        let bytes = Bytes::copy_from_slice(bytes.as_ref());
        self.nodes[node]
            .server
            .handle(Event::Received { client, bytes }, self.now_ms);
        self.settle();
        self.heard(node, client)
    }

    /// What a connection received since it was last asked; bytes that are no text are shown as `\u{fffd}`.
    pub(crate) fn heard(&mut self, node: usize, client: ClientId) -> String {
        String::from_utf8_lossy(&self.heard_bytes(node, client)).into_owned()
    }

    pub(crate) fn heard_bytes(&mut self, node: usize, client: ClientId) -> Bytes {
        self.nodes[node]
            .outputs
            .get_mut(&client)
            .map(|output| output.split().freeze())
            .unwrap_or_default()
    }

    pub(crate) fn is_closed(&self, node: usize, client: ClientId) -> bool {
        self.nodes[node].closed.contains(&client)
    }

    /// The other end of a connection is gone.
    pub(crate) fn hang_up(&mut self, node: usize, client: ClientId) {
        let server = &mut self.nodes[node].server;
        server.handle(Event::Closed { client }, self.now_ms);
        self.settle();
    }

    /// One command on a connection of its own.
    pub(crate) fn command(&mut self, node: usize, line: &str) -> String {
        let client = self.connect(node);
        let reply = self.say(node, client, format!("{line}\r\n"));
        self.hang_up(node, client);
        reply
    }

    /// The test plays a replica: it says what it can do, asks, and gives its connection and the answer.
    pub(crate) fn ask(&mut self, node: usize, id: &str, byte: &str) -> (ClientId, String) {
        let client = self.connect(node);
        let able = array(&["REPLCONF", "capa", "eof", "capa", "psync2"]);
        self.say(node, client, able);
        let answer = self.say(node, client, array(&["PSYNC", id, byte]));
        (client, answer)
    }

    /// A field of `INFO`.
    pub(crate) fn info(&mut self, node: usize, field: &str) -> String {
        let text = self.command(node, "INFO");
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        line.unwrap_or_else(|| panic!("no field {field} in {text}"))
            .to_owned()
    }

    /// Lets time pass, tick by tick.
    pub(crate) fn pass(&mut self, ms: u64) {
        for _ in 0..ms / TICK_MS {
            self.now_ms += TICK_MS;
            for node in &mut self.nodes {
                node.server.tick(self.now_ms);
            }
            self.settle();
        }
    }

    /// Somebody sets the clock of the machine of a node, so much ahead of the others; back if negative.
    pub(crate) fn set_clock(&mut self, node: usize, ahead_ms: i64) {
        let unix_ms = self.now_ms.saturating_add_signed(ahead_ms);
        self.nodes[node]
            .server
            .set_time_of_day(unix_ms, self.now_ms);
        self.settle();
    }

    /// Cuts the link of a replica; both ends notice.
    pub(crate) fn cut(&mut self, replica: usize) {
        let Some((link, _)) = self.nodes[replica].link.take() else {
            return;
        };
        let wire = self
            .wires
            .iter()
            .position(|((node, id), _)| (*node, *id) == (replica, link));
        if let Some((_, (primary, client))) = wire.map(|wire| self.wires.remove(wire)) {
            self.nodes[primary]
                .server
                .handle(Event::Closed { client }, self.now_ms);
        }
        self.nodes[replica]
            .server
            .handle(Event::LinkDown { link }, self.now_ms);
        self.settle();
    }

    /// Cuts the link of a replica, which reaches nobody until it is found again.
    pub(crate) fn lose(&mut self, replica: usize) {
        self.lost.insert(replica);
        self.cut(replica);
    }

    /// From now on a lost node reaches others again.
    pub(crate) fn find(&mut self, replica: usize) {
        self.lost.remove(&replica);
    }

    /// Whether a node is writing a snapshot.
    pub(crate) fn writes_snapshot(&self, node: usize) -> bool {
        self.nodes[node].job.is_some()
    }

    /// Ends the snapshot that a node is writing.
    pub(crate) fn finish_snapshot(&mut self, node: usize) {
        let Some((job, mut writer, framing)) = self.nodes[node].job.take() else {
            panic!("no snapshot to finish")
        };
        let bytes = writer.next_chunk(usize::MAX).unwrap_or_default();
        let length = bytes.len() as u64;
        let place = &mut self.nodes[node];
        match framing {
            Framing::Disk => {
                place.file = Some(bytes.clone());
                place.finished.insert(job, bytes);
            }
            Framing::Socket { .. } => place
                .server
                .handle(Event::SnapshotPart { job, bytes }, self.now_ms),
        }
        self.nodes[node]
            .server
            .handle(Event::SnapshotDone { job, length }, self.now_ms);
        self.settle();
    }

    /// Lets the snapshot that a node is writing fail.
    pub(crate) fn fail_snapshot(&mut self, node: usize) {
        let Some((job, ..)) = self.nodes[node].job.take() else {
            panic!("no snapshot to fail")
        };
        let reason = "the disk is full".to_owned();
        self.nodes[node]
            .server
            .handle(Event::SnapshotFailed { job, reason }, self.now_ms);
        self.settle();
    }

    /// Accepts the connection that a replica makes to the test.
    pub(crate) fn played_accept(&mut self, replica: usize) {
        let (link, _) = self.nodes[replica].link.expect("the replica connects");
        self.nodes[replica]
            .server
            .handle(Event::LinkUp { link }, self.now_ms);
        self.settle();
    }

    /// Bytes from the primary that the test plays.
    pub(crate) fn played_say(&mut self, replica: usize, bytes: impl AsRef<[u8]>) -> String {
        let (link, _) = self.nodes[replica].link.expect("the replica is connected");
        let bytes = Bytes::copy_from_slice(bytes.as_ref());
        self.nodes[replica]
            .server
            .handle(Event::LinkReceived { link, bytes }, self.now_ms);
        self.settle();
        self.played_heard(replica)
    }

    /// What the replica sent to the primary that the test plays.
    pub(crate) fn played_heard(&mut self, replica: usize) -> String {
        String::from_utf8_lossy(&self.nodes[replica].link_output.split()).into_owned()
    }

    /// Plays the handshake up to the question, which is returned as `<id> <byte>`.
    pub(crate) fn played_question(&mut self, replica: usize) -> String {
        self.played_accept(replica);
        let mut heard = self.played_heard(replica);
        for reply in ["+PONG\r\n", "+OK\r\n", "+OK\r\n"] {
            heard.push_str(&self.played_say(replica, reply));
        }
        let words: Vec<&str> = heard
            .rsplit("PSYNC")
            .next()
            .expect("a question")
            .split_whitespace()
            .collect();
        format!("{} {}", words[1], words[3])
    }

    /// Carries everything that waits until nothing moves any more.
    pub(crate) fn settle(&mut self) {
        loop {
            let mut moved = false;
            for index in 0..self.nodes.len() {
                while self.nodes[index].server.next_turn(self.now_ms) {}
                let actions: VecDeque<Action> = self.nodes[index].server.take_actions().into();
                moved |= !actions.is_empty();
                for action in actions {
                    self.act(index, action);
                }
            }
            if !moved {
                return;
            }
        }
    }

    fn act(&mut self, index: usize, action: Action) {
        match action {
            Action::Send { client, bytes } => self.deliver(index, client, bytes),
            Action::SendSnapshot { client, job, .. } => {
                let bytes = self.nodes[index].finished[&job].clone();
                self.deliver(index, client, bytes);
            }
            Action::Close { client } => {
                self.nodes[index].closed.push(client);
                let wire = self
                    .wires
                    .iter()
                    .position(|(_, end)| *end == (index, client));
                if let Some(((replica, link), _)) = wire.map(|wire| self.wires.remove(wire)) {
                    self.nodes[replica].link.take_if(|(id, _)| *id == link);
                    self.nodes[replica]
                        .server
                        .handle(Event::LinkDown { link }, self.now_ms);
                }
            }
            Action::Connect { link, port, .. } => self.connect_link(index, link, port),
            Action::SendLink { link, bytes } if self.refuses(&bytes) => {
                let refusal = self.refuse_question.take().unwrap_or_default();
                let bytes = Bytes::from_static(refusal.as_bytes());
                let event = Event::LinkReceived { link, bytes };
                self.nodes[index].server.handle(event, self.now_ms);
            }
            Action::SendLink { link, bytes } => {
                let end = self
                    .wires
                    .iter()
                    .find(|(start, _)| *start == (index, link))
                    .map(|(_, end)| *end);
                match end {
                    Some((node, client)) => {
                        self.nodes[node]
                            .server
                            .handle(Event::Received { client, bytes }, self.now_ms);
                    }
                    None => self.nodes[index].link_output.extend_from_slice(&bytes),
                }
            }
            Action::CloseLink { link } => {
                self.nodes[index].link.take_if(|(id, _)| *id == link);
                let wire = self
                    .wires
                    .iter()
                    .position(|(start, _)| *start == (index, link));
                if let Some((_, (node, client))) = wire.map(|wire| self.wires.remove(wire)) {
                    self.nodes[node]
                        .server
                        .handle(Event::Closed { client }, self.now_ms);
                }
            }
            Action::WriteSnapshot {
                job,
                snapshot,
                fields,
                framing,
                ..
            } => {
                self.nodes[index].job = Some((job, RdbWriter::new(snapshot, fields), framing));
                if !self.hold_snapshots {
                    self.finish_snapshot(index);
                }
            }
            Action::CancelSnapshot { .. } => self.nodes[index].job = None,
            Action::LoadSnapshot { path, .. } => {
                self.nodes[index].arriving = Some((Vec::new(), path.is_some()));
            }
            Action::LoadPiece { piece, .. } => {
                let arriving = self.nodes[index].arriving.as_mut();
                let (payload, _) = arriving.expect("a snapshot that has begun");
                payload.extend_from_slice(&piece);
            }
            Action::LoadWhole { link } => {
                let arriving = self.nodes[index].arriving.take();
                let (payload, is_kept) = arriving.expect("a snapshot that has begun");
                let payload = Bytes::from(payload);
                let result = rdb::read(&payload).map(Box::new);
                if is_kept && result.is_ok() {
                    self.nodes[index].file = Some(payload);
                }
                let result = result.map_err(|error| error.to_string());
                let event = Event::SnapshotLoaded { link, result };
                self.nodes[index].server.handle(event, self.now_ms);
            }
            Action::WriteConfig { client, .. } => {
                let failure = None;
                let event = Event::ConfigWritten { client, failure };
                self.nodes[index].server.handle(event, self.now_ms);
            }
            Action::ReportWrites { .. }
            | Action::ContinueSnapshot { .. }
            | Action::SetKeyDelay { .. }
            | Action::LimitOutput { .. }
            | Action::Sleep { .. }
            | Action::Log { .. } => {}
            Action::Exit => self.nodes[index].ended = true,
        }
    }

    fn refuses(&self, bytes: &[u8]) -> bool {
        let asks = bytes.windows(5).any(|word| word == b"PSYNC");
        asks && self.refuse_question.is_some()
    }

    fn connect_link(&mut self, index: usize, link: LinkId, port: u16) {
        if self.lost.contains(&index) {
            return self.nodes[index]
                .server
                .handle(Event::LinkDown { link }, self.now_ms);
        }
        self.nodes[index].link = Some((link, port));
        self.nodes[index].link_output.clear();
        if let Some(target) = self.nodes.iter().position(|node| node.port == port) {
            let client = self.open(target);
            self.wires.push(((index, link), (target, client)));
            self.nodes[index]
                .server
                .handle(Event::LinkUp { link }, self.now_ms);
        }
    }

    fn deliver(&mut self, index: usize, client: ClientId, bytes: Bytes) {
        if self.unread.contains(&(index, client)) {
            return;
        }
        let written = self.nodes[index].written.entry(client).or_default();
        *written += bytes.len() as u64;
        let total = *written;
        let wire = self
            .wires
            .iter()
            .find(|(_, end)| *end == (index, client))
            .map(|(start, _)| *start);
        match wire {
            Some((replica, link)) => {
                self.nodes[replica]
                    .server
                    .handle(Event::LinkReceived { link, bytes }, self.now_ms);
            }
            None => {
                if let Some(output) = self.nodes[index].outputs.get_mut(&client) {
                    output.extend_from_slice(&bytes);
                }
            }
        }
        self.nodes[index]
            .server
            .handle(Event::Written { client, total }, self.now_ms);
    }
}

/// A command as an array of bulk strings.
pub(crate) fn array(words: &[&str]) -> String {
    String::from_utf8_lossy(&psync_server::stream::command(words)).into_owned()
}
