//! Pauses: commands that wait because an operator, a failover or the end of the server wants no writes for a while.

use bytes::Bytes;

use crate::client::{Blocked, Client};
use crate::commands::{self, CommandSpec};
use crate::event::ClientId;
use crate::failover::Failover;
use crate::replica::Link;
use crate::resp::{Reply, Request, parse_integer};
use crate::server::Server;

/// A pause that an operator asked for.
#[derive(Debug, Clone, Copy)]
pub struct Pause {
    until_ms: u64,
    scope: PauseScope,
}

/// What waits in a pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PauseScope {
    /// Commands that may change data.
    Writes,
    /// All commands.
    All,
}

impl Server {
    /// What has to wait now, if anything does.
    pub(crate) fn paused(&self) -> Option<PauseScope> {
        let for_failover = matches!(
            self.failover,
            Failover::WaitingForSync { .. } | Failover::InProgress { .. }
        );
        let for_ending = self.ending.is_some();
        let own = (for_failover || for_ending).then_some(PauseScope::Writes);
        own.max(self.pause.map(|pause| pause.scope))
    }

    /// Holds a command back if it has to wait; the rest of the connection waits behind it.
    pub(crate) fn postpone(&mut self, id: ClientId, request: Request) -> Option<Request> {
        let Some(scope) = self.paused() else {
            return Some(request);
        };
        let Some(client) = self
            .clients
            .get_mut(id)
            .filter(|client| client.replica.is_none())
        else {
            return Some(request);
        };
        if scope == PauseScope::Writes && !may_write(client, &request) {
            return Some(request);
        }
        client.blocked = Some(Blocked::Paused { request });
        None
    }

    /// `CLIENT PAUSE <milliseconds> [WRITE|ALL]`; a later pause never shortens or narrows an earlier one.
    pub(crate) fn client_pause(&mut self, args: &[Bytes], now_ms: u64) -> Reply {
        let scope = match args.get(1).map(|word| word.to_ascii_lowercase()).as_deref() {
            None | Some(b"all") => PauseScope::All,
            Some(b"write") => PauseScope::Writes,
            Some(_) => return Reply::Error("ERR CLIENT PAUSE mode must be WRITE or ALL".into()),
        };
        let milliseconds = args.first().and_then(|text| parse_integer(text));
        let Some(milliseconds) = milliseconds.and_then(|number| u64::try_from(number).ok()) else {
            return Reply::Error("ERR timeout is not an integer or out of range".into());
        };
        let until_ms = now_ms.saturating_add(milliseconds);
        let earlier = self.pause.unwrap_or(Pause { until_ms, scope });
        self.pause = Some(Pause {
            until_ms: until_ms.max(earlier.until_ms),
            scope: scope.max(earlier.scope),
        });
        Reply::OK
    }

    pub(crate) fn client_unpause(&mut self) -> Reply {
        self.pause = None;
        Reply::OK
    }

    /// Executes what was held back, in the order of the connections, once nothing holds it any more.
    pub(crate) fn tick_pause(&mut self, now_ms: u64) {
        self.pause.take_if(|pause| now_ms >= pause.until_ms);
        if self.paused() == Some(PauseScope::All) {
            return;
        }
        for (id, request) in self.take_postponed() {
            self.execute_request(id, request, now_ms);
            self.process_input(id, now_ms);
        }
        let link = self.link().filter(|_| self.paused().is_none());
        if let Some(Link::Connected(connected)) = link
            && !connected.input.is_empty()
        {
            let link = connected.id;
            self.link_received(link, Bytes::new(), now_ms);
        }
    }

    fn take_postponed(&mut self) -> Vec<(ClientId, Request)> {
        let writes_wait = self.paused().is_some();
        let mut taken = Vec::new();
        for client in self.clients.values_mut() {
            match client.blocked.take() {
                Some(Blocked::Paused { request })
                    if !(writes_wait && may_write(client, &request)) =>
                {
                    taken.push((client.id, request));
                }
                other => client.blocked = other,
            }
        }
        taken
    }
}

/// Whether executing this may change data or the stream.
fn may_write(client: &Client, request: &Request) -> bool {
    let writes = |request: &Request| {
        let name = request.args.first();
        name.and_then(|name| commands::lookup(name))
            .is_some_and(CommandSpec::is_write)
    };
    let ends_transaction = request
        .args
        .first()
        .is_some_and(|name| name.eq_ignore_ascii_case(b"exec"));
    match &client.session.transaction {
        Some(transaction) if ends_transaction => transaction.queued.iter().any(writes),
        _ => writes(request),
    }
}
