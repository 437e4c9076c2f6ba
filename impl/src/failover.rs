//! `FAILOVER`: a primary hands its role to a replica that has every byte (PROTOCOL §2.9).
//!
//! Writes wait until the replica has acknowledged everything; then the primary becomes its replica and asks it to take
//! over in the very request by which it continues. At no moment are there two primaries.

use bytes::Bytes;

use crate::client::{Client, Replica};
use crate::config::PrimaryAddress;
use crate::dispatch::Answer;
use crate::event::ClientId;
use crate::resp::{Reply, parse_integer};
use crate::server::Server;

/// How far the handing over has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failover {
    /// There is none.
    None,
    /// Writes wait until a replica has everything.
    WaitingForSync {
        /// Which replica, if it was named.
        target: Option<PrimaryAddress>,
        /// When to stop waiting, if ever.
        deadline_ms: Option<u64>,
        /// Whether to go on without everything then.
        force: bool,
    },
    /// We follow the replica and wait for its consent.
    InProgress {
        /// Which replica.
        target: PrimaryAddress,
    },
}

/// What the words of the command ask for.
#[derive(Default)]
struct Wish {
    target: Option<PrimaryAddress>,
    timeout_ms: Option<u64>,
    force: bool,
    abort: bool,
}

impl Failover {
    /// The word `INFO` has for it.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::None => "no-failover",
            Self::WaitingForSync { .. } => "waiting-for-sync",
            Self::InProgress { .. } => "failover-in-progress",
        }
    }
}

impl Server {
    /// `FAILOVER [TO host port [FORCE]] [ABORT] [TIMEOUT milliseconds]`.
    pub(crate) fn failover_command(
        &mut self,
        _id: ClientId,
        args: &[Bytes],
        now_ms: u64,
    ) -> Answer {
        let refuse = |text: &str| Some(Reply::Error(format!("ERR {text}")));
        let Some(wish) = parse_wish(&args[1..]) else {
            return refuse("syntax error");
        };
        if wish.timeout_ms == Some(0) {
            return refuse("FAILOVER timeout must be greater than 0");
        }
        match (&self.failover, wish.abort) {
            (Failover::None, true) => return refuse("No failover in progress."),
            (_, true) => {
                self.abort_failover("FAILOVER ABORT was called", now_ms);
                return Some(Reply::OK);
            }
            (Failover::None, false) => {}
            (_, false) => return refuse("FAILOVER already in progress."),
        }
        if !self.is_primary() {
            return refuse("FAILOVER is not valid when server is a replica.");
        }
        if self.replicas().next().is_none() {
            return refuse("FAILOVER requires connected replicas.");
        }
        if wish.force && (wish.target.is_none() || wish.timeout_ms.is_none()) {
            return refuse(
                "FAILOVER with force option requires both a timeout and target HOST and IP.",
            );
        }
        if let Some(target) = &wish.target {
            match self.replicas().find(|(client, _)| is_at(client, target)) {
                None => return refuse("FAILOVER target HOST and PORT is not a replica."),
                Some((_, replica)) if !replica.is_online() => {
                    return refuse("FAILOVER target replica is not online.");
                }
                Some(_) => {}
            }
        }
        self.log("FAILOVER requested: writes wait until a replica has everything");
        self.failover = Failover::WaitingForSync {
            target: wish.target,
            deadline_ms: wish
                .timeout_ms
                .map(|timeout| now_ms.saturating_add(timeout)),
            force: wish.force,
        };
        self.tick_failover(now_ms);
        Some(Reply::OK)
    }

    /// Goes on when a replica has everything, or when the time is over.
    pub(crate) fn tick_failover(&mut self, now_ms: u64) {
        let Failover::WaitingForSync {
            target,
            deadline_ms,
            force,
        } = &self.failover
        else {
            return;
        };
        let end = self.history.offset;
        let ready = |client: &Client, replica: &Replica| {
            let wanted = target.as_ref().is_none_or(|target| is_at(client, target));
            wanted && replica.is_online() && replica.acknowledged == end
        };
        let ready = self
            .replicas()
            .find(|(client, replica)| ready(client, replica));
        let over = deadline_ms.is_some_and(|deadline| now_ms >= deadline);
        match (ready.map(|(client, _)| address_of(client)), target.clone()) {
            (Some(address), _) => self.hand_over_to(address, now_ms),
            (None, Some(address)) if over && *force => {
                let PrimaryAddress { host, port } = &address;
                self.log(format!(
                    "Failover to {host}:{port} time out exceeded, failing over."
                ));
                self.hand_over_to(address, now_ms);
            }
            (None, _) if over => {
                self.abort_failover("Replica never caught up before timeout", now_ms);
            }
            (None, _) => {}
        }
    }

    fn hand_over_to(&mut self, target: PrimaryAddress, now_ms: u64) {
        let PrimaryAddress { host, port } = &target;
        self.log(format!(
            "Failover target is {host}:{port}, becoming its replica"
        ));
        self.failover = Failover::InProgress {
            target: target.clone(),
        };
        self.follow(target, now_ms);
    }

    /// The target took over, in whichever way it lets us follow.
    pub(crate) fn failover_done(&mut self) {
        if self.failover != Failover::None {
            self.log("Failover is complete");
            self.failover = Failover::None;
        }
    }

    /// Everything goes on as before; who already followed the target becomes a primary again, under a new name.
    pub(crate) fn abort_failover(&mut self, reason: &str, now_ms: u64) {
        self.log(format!("Aborting failover: {reason}"));
        let former = std::mem::replace(&mut self.failover, Failover::None);
        if matches!(former, Failover::InProgress { .. }) {
            self.promote(now_ms);
        }
    }

    /// `PSYNC … FAILOVER` at the target: take over, or say why not.
    pub(crate) fn take_over(&mut self, id: &[u8], now_ms: u64) -> Result<(), Reply> {
        let refuse = |text: &str| Err(Reply::Error(format!("ERR PSYNC FAILOVER {text}")));
        if self.is_primary() {
            return refuse("can't be sent to a master.");
        }
        if !self.history.id.matches(id) {
            return refuse("replid must match my replid.");
        }
        self.log("Our primary hands its role over to us");
        self.promote(now_ms);
        Ok(())
    }
}

fn parse_wish(words: &[Bytes]) -> Option<Wish> {
    let mut wish = Wish::default();
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        match word.to_ascii_lowercase().as_slice() {
            b"to" if wish.target.is_none() => {
                let host = String::from_utf8_lossy(rest.next()?).into_owned();
                let port = u16::try_from(parse_integer(rest.next()?)?).ok()?;
                wish.target = Some(PrimaryAddress { host, port });
            }
            b"timeout" if wish.timeout_ms.is_none() => {
                let timeout = parse_integer(rest.next()?)?;
                wish.timeout_ms = Some(u64::try_from(timeout).unwrap_or(0));
            }
            b"force" if !wish.force => wish.force = true,
            b"abort" if words.len() == 1 => wish.abort = true,
            _ => return None,
        }
    }
    Some(wish)
}

/// Where a replica listens, as far as it said so.
fn address_of(client: &Client) -> PrimaryAddress {
    PrimaryAddress {
        host: client.shown_address(),
        port: client.announced.port,
    }
}

fn is_at(client: &Client, target: &PrimaryAddress) -> bool {
    let address = address_of(client);
    address.port == target.port && address.host.eq_ignore_ascii_case(&target.host)
}
