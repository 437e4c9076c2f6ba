//! `CLIENT`: who is connected, under which name, and who shall not be any longer.

use std::fmt::Write;

use bytes::Bytes;

use crate::admin::unknown_subcommand;
use crate::dispatch::Answer;
use crate::event::ClientId;
use crate::replica::Role;
use crate::resp::{Reply, parse_integer};
use crate::server::Server;

impl Server {
    /// Names a connection, unless the lines of `CLIENT LIST` could not hold the name.
    pub(crate) fn set_client_name(&mut self, id: ClientId, name: &[u8]) -> Result<(), Reply> {
        if !name.iter().all(u8::is_ascii_graphic) {
            let text = "ERR Client names cannot contain spaces, newlines or special characters.";
            return Err(Reply::Error(text.into()));
        }
        if let Some(client) = self.clients.get_mut(id) {
            client.name = Bytes::copy_from_slice(name);
        }
        Ok(())
    }

    pub(crate) fn client_command(&mut self, id: ClientId, args: &[Bytes], now_ms: u64) -> Answer {
        let reply = match args[1].to_ascii_lowercase().as_slice() {
            b"id" => Reply::Integer(id.0 as i64),
            b"getname" => {
                let name = self.clients.get(id).map(|client| client.name.clone());
                Reply::bulk_or_null(name.filter(|name| !name.is_empty()))
            }
            b"setname" if args.len() == 3 => match self.set_client_name(id, &args[2]) {
                Ok(()) => Reply::OK,
                Err(refusal) => refusal,
            },
            b"setinfo" | b"no-evict" | b"no-touch" => Reply::OK,
            b"list" => self.client_list(&args[2..], now_ms),
            b"info" => {
                let mut text = String::new();
                self.write_client(id, now_ms, &mut text);
                Reply::Verbatim(text)
            }
            b"unblock" if (3..=4).contains(&args.len()) => self.client_unblock(&args[2..]),
            b"pause" => self.client_pause(&args[2..], now_ms),
            b"unpause" => self.client_unpause(),
            b"kill" => return self.client_kill(id, &args[2..], now_ms),
            other => unknown_subcommand("CLIENT", other),
        };
        Some(reply)
    }

    /// `CLIENT UNBLOCK id [TIMEOUT|ERROR]`: ends a wait for keys as if its time were over, or with an error.
    fn client_unblock(&mut self, args: &[Bytes]) -> Reply {
        let reply = match args.get(1).map(|word| word.to_ascii_lowercase()).as_deref() {
            None | Some(b"timeout") => Reply::NullArray,
            Some(b"error") => Reply::Error("UNBLOCKED client unblocked via CLIENT UNBLOCK".into()),
            Some(_) => {
                return Reply::Error("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR".into());
            }
        };
        let Some(id) = parse_integer(&args[0]) else {
            return Reply::Error("ERR value is not an integer or out of range".into());
        };
        let released = self.release_from_keys(ClientId(id as u64), &reply);
        Reply::Integer(released.into())
    }

    /// `CLIENT LIST [TYPE class] [ID id…]`, and the same for one connection.
    pub(crate) fn client_list(&self, args: &[Bytes], now_ms: u64) -> Reply {
        let wanted = match args {
            [] => None,
            [word, _, ..] if word.eq_ignore_ascii_case(b"id") => None,
            [word, class] if word.eq_ignore_ascii_case(b"type") => Some(class.to_ascii_lowercase()),
            _ => return Reply::Error("ERR syntax error".into()),
        };
        let class = |id: &ClientId| {
            if self.attached.contains(id) {
                "replica"
            } else {
                "normal"
            }
        };
        if let [word, ids @ ..] = args
            && word.eq_ignore_ascii_case(b"id")
            && !ids.is_empty()
        {
            let mut text = String::new();
            for id in ids.iter().filter_map(|id| parse_integer(id)) {
                self.write_client(ClientId(id as u64), now_ms, &mut text);
            }
            return Reply::Verbatim(text);
        }
        let shown = |id: &ClientId| match wanted.as_deref() {
            None => true,
            Some(b"slave") => class(id) == "replica",
            Some(wanted) => class(id).as_bytes() == wanted,
        };
        let mut text = String::new();
        for id in self.clients.keys().filter(|id| shown(id)) {
            self.write_client(*id, now_ms, &mut text);
        }
        if wanted.as_deref().is_none_or(|wanted| wanted == b"master") {
            self.write_link(&mut text);
        }
        Reply::Verbatim(text)
    }

    pub(crate) fn write_client(&self, id: ClientId, now_ms: u64, text: &mut String) {
        let Some(client) = self.clients.get(id) else {
            return;
        };
        let seconds = |since_ms: u64| now_ms.saturating_sub(since_ms) / 1_000;
        let flags = match (
            &client.replica,
            &client.blocked,
            &client.session.transaction,
        ) {
            (Some(_), ..) => "S",
            (None, Some(_), _) => "b",
            (None, None, Some(_)) => "x",
            (None, None, None) => "N",
        };
        let queued = client.session.transaction.as_ref();
        let queued = queued.map_or(-1, |transaction| transaction.queued.len() as i64);
        let (name, waiting) = (
            String::from_utf8_lossy(&client.name),
            self.bytes_waiting_for(client),
        );
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "id={} addr={} laddr=127.0.0.1:{} fd=-1 name={name} age={} idle={} flags={flags} db={} sub=0 psub=0 ssub=0 \
             multi={queued} qbuf={} qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl=0 oll=0 omem={waiting} \
             tot-mem={} events=rw cmd={} user=default redir=-1 resp={}",
            client.id.0,
            client.address,
            self.port,
            seconds(client.since_ms),
            seconds(client.active_ms),
            client.session.database,
            client.input.len(),
            waiting + client.input.capacity() as u64,
            client.last_command.map_or("NULL", |spec| spec.name),
            client.protocol.number(),
        );
    }

    /// Our own connection to the primary, shown as Redis shows it.
    fn write_link(&self, text: &mut String) {
        if let Role::Replica(following) = &self.role
            && let Some(id) = following.link.id()
        {
            let (host, port) = (&following.address.host, following.address.port);
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "link={} addr={host}:{port} name= flags=M user=(superuser)",
                id.0
            );
        }
    }

    /// Where our own connection to the primary goes, while there is one.
    fn link_address(&self) -> Option<String> {
        let Role::Replica(following) = &self.role else {
            return None;
        };
        following.link.id()?;
        Some(format!(
            "{}:{}",
            following.address.host, following.address.port
        ))
    }

    /// `CLIENT KILL addr`, or pairs of a filter and its value.
    fn client_kill(&mut self, own: ClientId, args: &[Bytes], now_ms: u64) -> Answer {
        if let [address] = args {
            let text = String::from_utf8_lossy(address).into_owned();
            if self.link_address().as_deref() == Some(&text) {
                self.drop_link(now_ms);
                return Some(Reply::OK);
            }
            let found = self
                .clients
                .values()
                .find(|client| client.address.to_string() == text)
                .map(|client| client.id);
            let Some(victim) = found else {
                return Some(Reply::Error("ERR No such client".into()));
            };
            return self.kill(own, &[victim], Reply::OK, now_ms);
        }
        match self.kill_filter(args) {
            Ok(Victims::Link) => {
                let count = i64::from(self.link().and_then(crate::replica::Link::id).is_some());
                self.drop_link(now_ms);
                Some(Reply::Integer(count))
            }
            Ok(Victims::Clients(ids)) => {
                let ids: Vec<_> = ids.into_iter().filter(|id| *id != own).collect();
                let count = Reply::Integer(ids.len() as i64);
                self.kill(own, &ids, count, now_ms)
            }
            Err(refusal) => Some(refusal),
        }
    }

    fn kill(&mut self, own: ClientId, victims: &[ClientId], reply: Reply, now_ms: u64) -> Answer {
        let own_too = victims.contains(&own);
        for id in victims.iter().filter(|id| **id != own) {
            self.close(*id, now_ms);
        }
        if own_too {
            self.reply(own, &reply);
            self.close(own, now_ms);
            return None;
        }
        Some(reply)
    }

    fn kill_filter(&self, args: &[Bytes]) -> Result<Victims, Reply> {
        let syntax = || Reply::Error("ERR syntax error".into());
        if args.is_empty() || !args.len().is_multiple_of(2) {
            return Err(syntax());
        }
        let mut ids: Vec<ClientId> = self.clients.keys().copied().collect();
        for pair in args.chunks_exact(2) {
            let value = pair[1].to_ascii_lowercase();
            match pair[0].to_ascii_lowercase().as_slice() {
                b"type" if value == b"master" => return Ok(Victims::Link),
                b"type" => {
                    let replicas = match value.as_slice() {
                        b"replica" | b"slave" => true,
                        b"normal" => false,
                        _ => {
                            let class = String::from_utf8_lossy(&pair[1]);
                            return Err(Reply::Error(format!("ERR Unknown client type '{class}'")));
                        }
                    };
                    ids.retain(|id| self.clients[id].replica.is_some() == replicas);
                }
                b"id" => {
                    let wanted = parse_integer(&pair[1]);
                    ids.retain(|id| Some(id.0 as i64) == wanted);
                }
                b"addr" => ids.retain(|id| {
                    self.clients[id].address.to_string().as_bytes() == value.as_slice()
                }),
                b"skipme" => {}
                _ => return Err(syntax()),
            }
        }
        Ok(Victims::Clients(ids))
    }
}

/// Whom `CLIENT KILL` means.
enum Victims {
    /// Our connection to the primary.
    Link,
    /// Connections to us.
    Clients(Vec<ClientId>),
}
