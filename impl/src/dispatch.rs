//! From a request to its execution: transactions, the commands of the server itself, the commands on data.

use std::mem;

use bytes::Bytes;

use crate::client::{Session, Transaction};
use crate::commands::{self, CommandSpec, Context, Effect, Flags, Origin, Outcome};
use crate::event::ClientId;
use crate::resp::{Reply, Request};
use crate::rulebook::TransactionEnd;
use crate::server::{Calls, Server};

/// Most commands a transaction may queue, so that one client cannot take all memory.
const MAX_QUEUED: usize = 1 << 20;

/// What a command of the server itself answers: nothing when the answer comes later, or never.
pub(crate) type Answer = Option<Reply>;

/// The function behind a command of the server itself.
type Run = fn(&mut Server, ClientId, &[Bytes], u64) -> Answer;

/// The commands that the table of [`commands`] leaves to the server.
const OWN_COMMANDS: &[(&str, Run)] = &[
    ("quit", Server::quit),
    ("unwatch", |server, id, _, now_ms| {
        server.unwatch(id, now_ms);
        Some(Reply::OK)
    }),
    ("sync", Server::sync_command),
    ("psync", Server::psync_command),
    ("replconf", Server::replconf_command),
    ("replicaof", |server, id, args, now_ms| {
        Some(server.replicaof_command(id, args, now_ms))
    }),
    ("slaveof", |server, id, args, now_ms| {
        Some(server.replicaof_command(id, args, now_ms))
    }),
    ("role", |server, _, _, _| Some(server.role_reply())),
    ("wait", Server::wait_command),
    ("info", |server, _, args, now_ms| {
        Some(server.info_reply(args, now_ms))
    }),
    ("config", Server::config_command),
    ("auth", |server, id, args, _| {
        Some(server.auth_reply(id, args))
    }),
    ("hello", |server, id, args, _| {
        Some(server.hello_reply(id, args))
    }),
    ("reset", |server, id, _, now_ms| {
        server.unwatch(id, now_ms);
        Some(server.reset_reply(id))
    }),
    ("failover", Server::failover_command),
    ("client", Server::client_command),
    ("command", |server, _, args, _| {
        Some(server.command_command(args))
    }),
    ("shutdown", Server::shutdown_command),
    ("save", Server::save_command),
    ("bgsave", |server, _, _, _| Some(server.bgsave_command())),
    ("lastsave", |server, _, _, _| Some(server.lastsave_reply())),
    ("debug", |server, id, args, _| {
        Some(server.debug_command(id, args))
    }),
    ("time", |server, _, _, now_ms| {
        Some(time_reply(server.unix_ms(now_ms)))
    }),
];

impl Server {
    /// Executes, queues or refuses one request of a connection.
    pub(crate) fn execute_request(&mut self, id: ClientId, request: Request, now_ms: u64) {
        let Some(client) = self.clients.get_mut(id) else {
            return;
        };
        client.active_ms = now_ms;
        let Some(asked) = request.args.first() else {
            if let Some(replica) = &mut client.replica {
                replica.heard_ms = now_ms;
            }
            return;
        };
        // Mostly it is the same as the one before.
        let same = |spec: &&CommandSpec| asked.eq_ignore_ascii_case(spec.name.as_bytes());
        let latest = client.last_command.filter(same);
        let spec = latest.or_else(|| commands::lookup(asked));
        let name = spec.map_or("unknown", |spec| spec.name);
        match name {
            "replconf" => {}
            "sync" | "psync" if client.replica.is_some() => return,
            _ if client.replica.is_some() => return self.cut_off_asking(id, asked, now_ms),
            _ => {}
        }
        let Some(request) = self.postpone(id, request) else {
            return;
        };
        let Some(client) = self.clients.get_mut(id) else {
            return;
        };
        client.last_command = spec;
        let queues = client.session.transaction.is_some();
        self.stats.commands += 1;
        let brackets = matches!(name, "multi" | "exec" | "discard" | "watch");
        if brackets && !self.may_bracket(id, &request, now_ms) {
            return;
        }
        let answer = match name {
            "multi" => Some(self.multi(id)),
            "exec" => self.exec(id, now_ms),
            "discard" => Some(self.discard(id, now_ms)),
            "watch" => Some(self.watch_command(id, &request, now_ms)),
            "reset" | "quit" => self.execute_alone(id, spec, &request, now_ms),
            _ if queues => Some(self.queue(id, request, now_ms)),
            _ => self.execute_alone(id, spec, &request, now_ms),
        };
        if let Some(reply) = answer {
            self.reply(id, &reply);
        }
    }

    /// Whether a command that begins, ends or guards a transaction may do so; if not, it is answered.
    fn may_bracket(&mut self, id: ClientId, request: &Request, now_ms: u64) -> bool {
        let Err(mut refusal) = self.check(id, &request.args, now_ms) else {
            return true;
        };
        self.count_call(&request.args, |calls| calls.rejected += 1);
        if request.args[0].eq_ignore_ascii_case(b"exec") {
            // Nothing stays queued for an `EXEC` that was refused.
            self.discard(id, now_ms);
            refusal = exec_aborted(refusal);
        }
        self.reply(id, &refusal);
        false
    }

    /// A replica counts every byte on its connection as a part of the stream. One that asks for an answer is cut off
    /// without one (PROTOCOL §3.5).
    pub(crate) fn cut_off_asking(&mut self, id: ClientId, command: &[u8], now_ms: u64) {
        let command = String::from_utf8_lossy(command).to_ascii_lowercase();
        self.log(format!(
            "Replica generated a reply to command '{command}', disconnecting it"
        ));
        self.close(id, now_ms);
    }

    fn execute_alone(
        &mut self,
        id: ClientId,
        spec: Option<&'static CommandSpec>,
        request: &Request,
        now_ms: u64,
    ) -> Answer {
        let mut effects = Vec::new();
        let answer = self.execute_checked(id, spec, &request.args, &mut effects, now_ms);
        // What a look at arbitrary keys deletes has nothing to do with one another.
        let unrelated = spec.is_some_and(|spec| spec.flags.contains(Flags::ARBITRARY_KEYS));
        if effects.len() > 1 && unrelated {
            for effect in effects {
                self.propagate_for(id, &[effect]);
            }
        } else {
            self.propagate_for(id, &effects);
        }
        // The answer comes before those of the commands that this one wakes.
        match answer {
            Some(_) if self.is_replica(id) => self.cut_off_asking(id, &request.args[0], now_ms),
            Some(reply) => self.reply(id, &reply),
            None => {}
        }
        self.settle_changes(now_ms);
        None
    }

    fn execute_checked<'a>(
        &mut self,
        id: ClientId,
        spec: Option<&'static CommandSpec>,
        args: &'a [Bytes],
        effects: &mut Vec<Effect<'a>>,
        now_ms: u64,
    ) -> Answer {
        match self.check_found(id, spec, args, now_ms) {
            Ok(spec) => self.execute_spec(id, spec, args, effects, now_ms),
            Err(refusal) => {
                self.count_call(args, |calls| calls.rejected += 1);
                Some(refusal)
            }
        }
    }

    fn execute_spec<'a>(
        &mut self,
        id: ClientId,
        spec: &CommandSpec,
        args: &'a [Bytes],
        effects: &mut Vec<Effect<'a>>,
        now_ms: u64,
    ) -> Answer {
        if spec.flags.contains(Flags::SERVER) {
            // Inside a transaction: what was written so far belongs to the role and the name of now (FLAWS B-08).
            if spec.flags.contains(Flags::ADMIN) {
                let end = self.end_before(spec, args);
                self.propagate_ended_for(id, &mem::take(effects), end);
            }
            self.calls_of(spec).executed += 1;
            let own = OWN_COMMANDS.iter().find(|(name, _)| *name == spec.name);
            return match own {
                Some((_, run)) => run(self, id, args, now_ms),
                None => Some(Reply::Error(format!(
                    "ERR '{}' is not supported here",
                    spec.name
                ))),
            };
        }
        let (origin, client) = (self.client_origin(), self.clients.get(id)?);
        let (mut database, may_wait) = (client.session.database, !client.in_exec);
        let outcome = self.execute_data(&mut database, spec, args, effects, origin, now_ms);
        self.clients.get_mut(id)?.session.database = database;
        match outcome.wait {
            Some(wait) if may_wait => {
                self.block(id, args, wait, now_ms);
                None
            }
            _ => Some(outcome.reply),
        }
    }

    /// How the stream ends the part of a transaction that comes before a command of an administrator.
    fn end_before(&self, spec: &CommandSpec, args: &[Bytes]) -> TransactionEnd {
        let demotes = matches!(spec.name, "replicaof" | "slaveof")
            && self.is_primary()
            && !args[1].eq_ignore_ascii_case(b"no");
        if demotes {
            self.rules.transaction_end
        } else {
            TransactionEnd::Exec
        }
    }

    fn calls_of(&mut self, spec: &CommandSpec) -> &mut Calls {
        let calls = &mut self.stats.calls;
        if calls.len() <= spec.number {
            calls.resize(commands::all().len(), Calls::default());
        }
        &mut calls[spec.number]
    }

    fn count_call(&mut self, args: &[Bytes], count: impl FnOnce(&mut Calls)) {
        if let Some(spec) = args.first().and_then(|name| commands::lookup(name)) {
            count(self.calls_of(spec));
        }
    }

    pub(crate) fn client_origin(&self) -> Origin {
        if self.is_primary() {
            Origin::ClientOfPrimary
        } else {
            Origin::ClientOfReplica
        }
    }

    fn execute_data<'a>(
        &mut self,
        database: &mut usize,
        spec: &CommandSpec,
        args: &'a [Bytes],
        effects: &mut Vec<Effect<'a>>,
        origin: Origin,
        now_ms: u64,
    ) -> Outcome<'a> {
        let context = self.context(origin, now_ms);
        let keyspace = &mut self.keyspace;
        let mut outcome = commands::execute_spec(keyspace, database, spec, args, &context);
        self.interest.note(&mut outcome);
        let failed = matches!(outcome.reply, Reply::Error(_));
        let calls = self.calls_of(spec);
        calls.executed += 1;
        calls.failed += u64::from(failed);
        if effects.is_empty() {
            mem::swap(effects, &mut outcome.effects);
        } else {
            effects.append(&mut outcome.effects);
        }
        outcome
    }

    pub(crate) fn context(&mut self, origin: Origin, now_ms: u64) -> Context {
        Context {
            now_ms: self.unix_ms(now_ms),
            origin,
            seed: self.ids.number(),
            longest_string_bytes: self.config.bulk_bytes as usize,
            encoding_limits: self.config.encoding,
            tracked: self.interest.exists(),
        }
    }

    pub(crate) fn propagate_for(&mut self, id: ClientId, effects: &[Effect]) {
        self.propagate_ended_for(id, effects, TransactionEnd::Exec);
    }

    fn propagate_ended_for(&mut self, id: ClientId, effects: &[Effect], end: TransactionEnd) {
        if effects.is_empty() {
            return;
        }
        self.propagate_ended(effects, end);
        self.note_own_deadlines(effects);
        let offset = self.history.offset;
        if let Some(client) = self.clients.get_mut(id) {
            client.last_write = offset;
        }
    }

    fn multi(&mut self, id: ClientId) -> Reply {
        let Some(client) = self.clients.get_mut(id) else {
            return Reply::OK;
        };
        if client.session.transaction.is_some() {
            return Reply::Error("ERR MULTI calls can not be nested".into());
        }
        client.session.transaction = Some(Transaction::default());
        Reply::OK
    }

    fn discard(&mut self, id: ClientId, now_ms: u64) -> Reply {
        let client = self.clients.get_mut(id);
        match client.and_then(|client| client.session.transaction.take()) {
            Some(_) => {
                self.unwatch(id, now_ms);
                Reply::OK
            }
            None => Reply::Error("ERR DISCARD without MULTI".into()),
        }
    }

    fn watch_command(&mut self, id: ClientId, request: &Request, now_ms: u64) -> Reply {
        let transaction = self
            .clients
            .get(id)
            .map(|client| client.session.transaction.is_some());
        if transaction == Some(true) {
            return Reply::Error("ERR WATCH inside MULTI is not allowed".into());
        }
        self.watch(id, &request.args[1..], now_ms)
    }

    fn queue(&mut self, id: ClientId, request: Request, now_ms: u64) -> Reply {
        let checked = match self.check(id, &request.args, now_ms) {
            Ok(spec) if spec.flags.contains(Flags::NO_MULTI) => Err(Reply::Error(
                "ERR Command not allowed inside a transaction".into(),
            )),
            Ok(_) => Ok(()),
            Err(refusal) => Err(refusal),
        };
        let transaction = self
            .clients
            .get_mut(id)
            .and_then(|client| client.session.transaction.as_mut());
        let Some(transaction) = transaction else {
            return Reply::OK;
        };
        match checked {
            Ok(()) if transaction.queued.len() < MAX_QUEUED => {
                transaction.queued.push(request);
                Reply::Simple("QUEUED")
            }
            Ok(()) => {
                transaction.broken = true;
                Reply::Error("ERR too many commands in one transaction".into())
            }
            Err(refusal) => {
                transaction.broken = true;
                refusal
            }
        }
    }

    fn exec(&mut self, id: ClientId, now_ms: u64) -> Answer {
        let taken = self
            .clients
            .get_mut(id)
            .and_then(|client| client.session.transaction.take());
        let Some(transaction) = taken else {
            return Some(Reply::Error("ERR EXEC without MULTI".into()));
        };
        let changed = self.unwatch(id, now_ms);
        if transaction.broken {
            return Some(Reply::Error(
                "EXECABORT Transaction discarded because of previous errors.".into(),
            ));
        }
        if changed {
            return Some(Reply::NullArray);
        }
        // Asked again, because the role may have changed since, and once only: it may change in between as well.
        let checked = transaction.queued.iter();
        let checked = checked.map(|request| self.check(id, &request.args, now_ms));
        let specs = match checked.collect::<Result<Vec<_>, _>>() {
            Ok(specs) => specs,
            Err(refusal) => return Some(exec_aborted(refusal)),
        };
        self.set_in_exec(id, true);
        let (mut replies, mut effects) = (Vec::new(), Vec::new());
        for (spec, request) in specs.into_iter().zip(&transaction.queued) {
            let answer = self.execute_spec(id, spec, &request.args, &mut effects, now_ms);
            replies.push(answer.unwrap_or(Reply::OK));
        }
        self.set_in_exec(id, false);
        self.propagate_for(id, &effects);
        // The answer comes before those of the commands that this transaction wakes.
        self.reply(id, &Reply::Array(replies));
        self.settle_changes(now_ms);
        None
    }

    fn set_in_exec(&mut self, id: ClientId, in_exec: bool) {
        if let Some(client) = self.clients.get_mut(id) {
            client.in_exec = in_exec;
        }
    }

    fn quit(&mut self, id: ClientId, _args: &[Bytes], now_ms: u64) -> Answer {
        self.reply(id, &Reply::OK);
        self.close(id, now_ms);
        None
    }

    /// Executes a command of the stream; nobody is answered. Of a unit with a command that we do not have, nothing is
    /// executed: half of it under the label of all of it would be a lie.
    pub(crate) fn execute_from_primary(
        &mut self,
        session: &mut Session,
        request: Request,
        now_ms: u64,
    ) -> Result<(), UnsupportedCommand> {
        let Some(name) = request.args.first() else {
            return Ok(());
        };
        if name.eq_ignore_ascii_case(b"multi") {
            session.transaction = Some(Transaction::default());
            return Ok(());
        }
        if name.eq_ignore_ascii_case(b"exec") {
            let queued = session.transaction.take().unwrap_or_default().queued;
            return self.apply_unit(session, &queued, now_ms);
        }
        match &mut session.transaction {
            Some(transaction) => {
                transaction.queued.push(request);
                Ok(())
            }
            None => self.apply_unit(session, &[request], now_ms),
        }
    }

    fn apply_unit(
        &mut self,
        session: &mut Session,
        unit: &[Request],
        now_ms: u64,
    ) -> Result<(), UnsupportedCommand> {
        let mut specs = Vec::with_capacity(unit.len());
        for request in unit {
            let spec = commands::lookup(&request.args[0]);
            if spec.is_none() && !is_message(&request.args[0]) {
                let name = String::from_utf8_lossy(&request.args[0]).into_owned();
                return Err(UnsupportedCommand { name });
            }
            specs.push(spec);
        }
        let mut effects = Vec::new();
        for (spec, request) in specs.into_iter().zip(unit) {
            let Some(spec) = spec.filter(|spec| !spec.flags.contains(Flags::SERVER)) else {
                continue;
            };
            let (database, args) = (&mut session.database, &request.args);
            let outcome =
                self.execute_data(database, spec, args, &mut effects, Origin::Primary, now_ms);
            if let Reply::Error(text) = outcome.reply {
                let name = String::from_utf8_lossy(&args[0]).into_owned();
                self.log(format!(
                    "`{name}` of the stream failed, as it did at the primary: {text}"
                ));
            }
        }
        self.propagate(&effects);
        self.settle_changes(now_ms);
        Ok(())
    }
}

/// The answer to an `EXEC` that may not do what it should.
fn exec_aborted(refusal: Reply) -> Reply {
    match refusal {
        Reply::Error(text) => Reply::Error(format!(
            "EXECABORT Transaction discarded because of: {text}"
        )),
        other => other,
    }
}

/// A command of the stream that this server does not have.
#[derive(Debug, thiserror::Error)]
#[error("`{name}`, which is not supported here")]
pub(crate) struct UnsupportedCommand {
    name: String,
}

/// Published messages change no data: a replica without subscribers may let them pass.
fn is_message(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"publish") || name.eq_ignore_ascii_case(b"spublish")
}

fn time_reply(unix_ms: u64) -> Reply {
    let text = |number: u64| Reply::Bulk(Bytes::from(number.to_string()));
    Reply::Array(vec![text(unix_ms / 1_000), text(unix_ms % 1_000 * 1_000)])
}
