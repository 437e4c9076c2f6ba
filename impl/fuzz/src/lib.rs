//! A server without sockets, for inputs that somebody else makes up.

use bytes::Bytes;
use psync_server::config::Config;
use psync_server::event::{Action, ClientId, Event, LinkId, Peer};
use psync_server::ids::IdSource;
use psync_server::keyspace::Keyspace;
use psync_server::rdb;
use psync_server::rulebook::{Era, Rulebook};
use psync_server::server::{Birth, Server, TICK_MS};
use std::net::{Ipv4Addr, SocketAddr};

/// The user whose questions tell whether the server is still right.
const WITNESS: ClientId = ClientId(1);

/// The user who sends what was made up.
const STRANGER: ClientId = ClientId(2);

/// The most attempts to reach a primary that one input is good for.
const MOST_LINKS: usize = 8;

/// One server, and what it asked for.
pub struct Subject {
    server: Server,
    now_ms: u64,
    heard: Vec<u8>,
    /// The attempt under way.
    link: Option<LinkId>,
    links: usize,
    /// What has come of a snapshot.
    arriving: Vec<Bytes>,
    /// Whether a snapshot has taken the place of the data it began with.
    pub replaced: bool,
    /// Whether the process ended.
    pub ended: bool,
}

/// The pieces in which an input arrives: its first byte says how long they are.
pub fn pieces(input: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (length, rest) = match input.split_first() {
        Some((&first, rest)) => (usize::from(first).max(1), rest),
        None => (1, input),
    };
    rest.chunks(length)
}

impl Subject {
    /// A primary with one key, `kept`, whose largest value is a mebibyte.
    pub fn new(era: Era) -> Self {
        let mut config = Config::of(era);
        for (name, value) in [
            ("dir", "/nowhere"),
            ("proto-max-bulk-len", "1mb"),
            ("enable-debug-command", "no"),
        ] {
            config.set_at_start(name, value).expect("a sound directive");
        }
        let birth = Birth {
            rules: Rulebook::of(era),
            config,
            config_file: None,
            ids: IdSource::from_seed([7; 32]),
            port: 7_000,
            process_id: 1,
            memory_bytes: || 0,
            now_ms: 1_000_000,
        };
        let mut subject = Self {
            server: Server::new(birth, Keyspace::new(), None),
            now_ms: 1_000_000,
            heard: Vec::new(),
            link: None,
            links: 0,
            arriving: Vec::new(),
            replaced: false,
            ended: false,
        };
        for client in [WITNESS, STRANGER] {
            let address = Peer::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 50_000)));
            subject.handle(Event::Connected { client, address });
        }
        assert_eq!(subject.witness("SET kept 1"), "+OK\r\n");
        subject
    }

    /// Bytes from the stranger.
    pub fn receive(&mut self, bytes: &[u8]) {
        let bytes = Bytes::copy_from_slice(bytes);
        let client = STRANGER;
        self.handle(Event::Received { client, bytes });
    }

    /// Bytes from the primary, if there is a link.
    pub fn receive_from_primary(&mut self, bytes: &[u8]) {
        let Some(link) = self.link else {
            return;
        };
        let bytes = Bytes::copy_from_slice(bytes);
        self.handle(Event::LinkReceived { link, bytes });
    }

    /// Lets time pass.
    pub fn pass(&mut self, ms: u64) {
        for _ in 0..ms / TICK_MS {
            self.now_ms += TICK_MS;
            self.server.tick(self.now_ms);
            self.settle();
        }
    }

    /// What a user of its own is answered.
    pub fn witness(&mut self, line: &str) -> String {
        self.heard.clear();
        let bytes = Bytes::from(format!("{line}\r\n"));
        let client = WITNESS;
        self.handle(Event::Received { client, bytes });
        String::from_utf8_lossy(&self.heard).into_owned()
    }

    fn handle(&mut self, event: Event) {
        self.server.handle(event, self.now_ms);
        self.settle();
    }

    fn settle(&mut self) {
        loop {
            while self.server.next_turn(self.now_ms) {}
            let actions = self.server.take_actions();
            if actions.is_empty() {
                return;
            }
            for action in actions {
                self.act(action);
            }
        }
    }

    /// Snapshots that it writes stay unfinished, and files are not written: both are the shell's.
    fn act(&mut self, action: Action) {
        match action {
            Action::Send {
                client: WITNESS,
                bytes,
            } => self.heard.extend_from_slice(&bytes),
            Action::Connect { link, .. } if self.links < MOST_LINKS => {
                self.links += 1;
                self.link = Some(link);
                self.server.handle(Event::LinkUp { link }, self.now_ms);
            }
            Action::CloseLink { link } => _ = self.link.take_if(|current| *current == link),
            Action::LoadSnapshot { .. } => self.arriving.clear(),
            Action::LoadPiece { piece, .. } => self.arriving.push(piece),
            Action::LoadWhole { link } => {
                let result = rdb::read_pieces(self.arriving.drain(..))
                    .map(Box::new)
                    .map_err(|e| e.to_string());
                self.replaced |= result.is_ok();
                let event = Event::SnapshotLoaded { link, result };
                self.server.handle(event, self.now_ms);
            }
            Action::Exit => self.ended = true,
            _ => {}
        }
    }
}
