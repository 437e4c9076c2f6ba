//! What a subject that serves replicas shows, compared with what a possible world allows: INFO, the answer to a
//! request, the snapshot, the stream. Nothing here acts; each function says yes, or what did not agree.
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use psync_model::oracle::Possible;
use psync_model::rulebook::Identity;
use psync_model::token::Token;
use psync_model::world::{Id, Label, MAX_NODES, Node, NodeId, PrimaryPhase, Reply, Wire, World};

use super::{Server, Trouble, required, without_base};
use crate::binding::{Binding, COMMAND_BYTES, KeyValue, number};
use crate::info::{Info, Replication};
use crate::played::Answer;
use crate::rdb;
use crate::verdict::{Check, Mismatch};
use crate::wire::Command;

/// Each connection announces a port of its own, so that INFO tells them apart.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Ports {
    last: u16,
    current: [u16; MAX_NODES],
    stale: [u16; MAX_NODES],
}

impl Ports {
    /// A fresh one, for the next connection of a replica.
    pub(super) fn announce(&mut self, replica: NodeId) -> u16 {
        self.last += 1;
        self.current[replica as usize] = self.last;
        self.last
    }

    /// The present connection of a replica is now an older one, which its primary may still believe in.
    pub(super) fn outdate(&mut self, replica: NodeId) {
        self.stale[replica as usize] = std::mem::take(&mut self.current[replica as usize]);
    }
}

/// What must be known beside a world to read what a node shows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key {
    /// The ports announced so far.
    pub(super) ports: Ports,
    /// What histories go by.
    pub(super) identity: Identity,
    /// Whether a node may have had a name that nobody ever heard of, and been promoted since.
    pub(super) roles_change: bool,
}

/// What a node shows of itself.
pub(super) struct Shown {
    pub(super) replication: Replication,
    run_id: Option<String>,
    saving: bool,
}

pub(super) fn glance(server: &mut Server) -> Result<Shown, Trouble> {
    let info: Info = required(server.control.info("all"), "read INFO")?;
    let is_saving = info.get("rdb_bgsave_in_progress") == Some("1");
    Ok(Shown {
        replication: required(info.replication(), "read INFO replication")?,
        run_id: info.get("run_id").map(str::to_string),
        saving: is_saving && server.saves_for_somebody(),
    })
}

pub(super) fn agrees(
    shown: &Shown,
    node: NodeId,
    possible: &Possible<Binding>,
    binding: &mut Binding,
    key: Key,
) -> Result<(), Mismatch> {
    let (world, own) = (&possible.world, possible.world.node(node));
    replicas_listed(shown, world, node)?;
    states_agree(shown, world, node, key).map_err(|wrong| wrong.after(1))?;
    for replica in world.replicas_of(node) {
        acknowledgement_agrees(shown, replica, world, binding, key)
            .map_err(|wrong| wrong.after(2))?;
    }
    Mismatch::unless_equal(Check::Snapshot, &own.snapshot.is_some(), &shown.saving)
        .map_err(|wrong| wrong.after(3))?;
    if key.identity == Identity::None {
        return Ok(());
    }
    let active = shown.replication.backlog.active;
    Mismatch::unless_equal(Check::Backlog, &own.backlog.is_some(), &active)
        .map_err(|wrong| wrong.after(4))?;
    names_agree(shown, own, binding, key).map_err(|wrong| wrong.after(5))?;
    offsets_agree(shown, world, own, binding).map_err(|wrong| wrong.after(6))
}

fn offsets_agree(
    shown: &Shown,
    world: &World,
    own: &Node,
    binding: &mut Binding,
) -> Result<(), Mismatch> {
    let came = shown.replication.offset;
    if own.backlog.is_some()
        && !came.is_some_and(|byte| binding.bind_byte(world, own.label(), byte))
    {
        return Err(Mismatch::new(
            Check::Offset,
            binding.allowed_byte(world, own.label()),
            format!("{came:?}"),
        ));
    }
    // Without a backlog nobody is continued, whatever the limit.
    let Some(former) = own.secondary.filter(|_| own.backlog.is_some()) else {
        return Ok(());
    };
    let limit = Label {
        id: own.id,
        offset: former.limit.offset_before(),
    };
    let came = shown.replication.second_limit;
    if came.is_some_and(|came| binding.is_at(limit, came - 1)) {
        return Ok(());
    }
    let allowed = binding.label_byte(limit).map(|byte| byte + 1);
    Err(Mismatch::new(
        Check::SecondaryId,
        format!("{allowed:?}"),
        format!("{came:?}"),
    ))
}

/// Where the backlog of a primary may begin: inside the last command that has gone, or just behind it. The model
/// counts whole commands, and a backlog has room for less than one beside them (`PROTOCOL §3.6`).
pub(super) fn first_bytes(own: &Node, binding: &Binding) -> Option<RangeInclusive<i64>> {
    let before = binding.byte(own.id, own.backlog?.first.offset_before())?;
    Some(before + 2 - COMMAND_BYTES as i64..=before + 1)
}

fn names_agree(shown: &Shown, own: &Node, binding: &mut Binding, key: Key) -> Result<(), Mismatch> {
    let name = match key.identity {
        Identity::RunId => shown.run_id.as_deref(),
        _ => shown.replication.id.as_deref(),
    };
    let name = name.unwrap_or_default();
    if own.id == Id::ANONYMOUS {
        if binding.is_bound(name) {
            return Err(Mismatch::new(
                Check::ReplicationId,
                "a name nobody has heard of",
                name,
            ));
        }
    } else if !binding.bind_name(own.id, name) {
        let allowed = binding.name(own.id).unwrap_or("a fresh name").to_string();
        return Err(Mismatch::new(Check::ReplicationId, allowed, name));
    }
    if key.identity != Identity::ReplicationId {
        return Ok(());
    }
    let nobody = "0".repeat(40);
    let former = shown.replication.second_id.clone().unwrap_or_default();
    let allowed = match own.secondary {
        // A name that nobody ever heard of may have become the former one.
        _ if key.roles_change && own.backlog.is_none() && !binding.is_bound(&former) => {
            return Ok(());
        }
        None if key.roles_change && !binding.is_bound(&former) => return Ok(()),
        None => nobody,
        Some(secondary) => binding.name(secondary.id).unwrap_or_default().to_string(),
    };
    Mismatch::unless_equal(Check::SecondaryId, &allowed, &former)
}

/// What a node should think of each connection it knows, by the port that connection announced.
fn phases(world: &World, node: NodeId, ports: Ports) -> BTreeMap<u16, PrimaryPhase> {
    let of_replica = |replica: NodeId| {
        let (link, place) = (world.link(replica), replica as usize);
        let known = world.parent(replica) == Some(node) && link.primary != PrimaryPhase::None;
        let current = known.then_some((ports.current[place], link.primary));
        let stale = link.stale.filter(|stale| stale.at == node);
        let stale = stale.map(|stale| (ports.stale[place], stale.phase));
        current.into_iter().chain(stale)
    };
    world.node_ids().flat_map(of_replica).collect()
}

fn replicas_listed(shown: &Shown, world: &World, node: NodeId) -> Result<(), Mismatch> {
    let due = world.connections_of(node).count();
    let listed = shown.replication.replicas.len();
    if due == listed {
        return Ok(());
    }
    let count = |replicas| format!("{replicas} connections of a replica");
    Err(Mismatch::new(
        Check::ReplicaState,
        count(due),
        count(listed),
    ))
}

fn states_agree(shown: &Shown, world: &World, node: NodeId, key: Key) -> Result<(), Mismatch> {
    let due = phases(world, node, key.ports);
    for line in &shown.replication.replicas {
        let phase = due.get(&line.port).copied();
        if phase.is_some_and(|phase| state_fits(phase, &line.state)) {
            continue;
        }
        let decided = key.identity != Identity::None && key.ports.current.contains(&line.port);
        let check = match phase {
            // Who was just continued is online at once; who was not waits until a snapshot may start.
            Some(PrimaryPhase::Online) if decided && line.state == "wait_bgsave" => Check::Answer,
            Some(PrimaryPhase::Waiting) if decided && line.state == "online" => Check::Answer,
            Some(PrimaryPhase::Accumulating) if decided && shown.saving => Check::Answer,
            _ => Check::ReplicaState,
        };
        let allowed = phase.map_or_else(|| "not listed".to_string(), |phase| format!("{phase:?}"));
        return Err(Mismatch::new(check, allowed, line.state.clone()));
    }
    Ok(())
}

fn acknowledgement_agrees(
    shown: &Shown,
    replica: NodeId,
    world: &World,
    binding: &Binding,
    key: Key,
) -> Result<(), Mismatch> {
    let link = world.link(replica);
    if key.identity == Identity::None || link.wire != Wire::Whole {
        return Ok(());
    }
    let label = world.node(replica).following;
    let acknowledged = link.acknowledged.zip(label);
    let acknowledged = acknowledged.map(|(offset, label)| Label { offset, ..label });
    let mut listed = shown.replication.replicas.iter();
    let current = listed.find(|line| line.port == key.ports.current[replica as usize]);
    let Some(came) = current.map(|line| line.acknowledged) else {
        return Ok(());
    };
    if acknowledged.is_some_and(|due| binding.is_at(due, came)) {
        return Ok(());
    }
    let due = acknowledged
        .and_then(|due| binding.label_byte(due))
        .unwrap_or_default();
    Mismatch::unless_equal(Check::Acknowledgement, &due, &came)
}

fn state_fits(phase: PrimaryPhase, state: &str) -> bool {
    match phase {
        PrimaryPhase::None => false,
        PrimaryPhase::Waiting | PrimaryPhase::Accumulating => state == "wait_bgsave",
        PrimaryPhase::Held => state == "online",
        PrimaryPhase::Online => state == "online" || state == "send_bulk",
    }
}

pub(super) fn answer_agrees(
    came: &Answer,
    replica: NodeId,
    possible: &Possible<Binding>,
    binding: &mut Binding,
) -> Result<(), Mismatch> {
    let due = possible.world.link(replica).reply;
    let wrong = |check, allowed: String| {
        Mismatch::new(
            check,
            allowed,
            String::from_utf8_lossy(&came.line()).trim().to_string(),
        )
    };
    match (due, came) {
        (Some(Reply::Continue(None)), Answer::Continue { .. }) => Ok(()),
        (Some(Reply::Continue(Some(id))), Answer::Continue { id: Some(name) })
            if binding.bind_name(id, name) =>
        {
            Ok(())
        }
        (Some(Reply::Continue(Some(id))), Answer::Continue { .. }) => Err(wrong(
            Check::AnnouncedId,
            format!("+CONTINUE {}", binding.name(id).unwrap_or("?")),
        )),
        (Some(Reply::FullResync(label)), Answer::FullResync { id, offset }) => {
            if !binding.bind_name(label.id, id) {
                return Err(wrong(
                    Check::AnnouncedId,
                    binding.name(label.id).unwrap_or("a fresh name").to_string(),
                ));
            }
            if !binding.bind_byte(&possible.world, label, *offset) {
                return Err(wrong(
                    Check::AnnouncedOffset,
                    format!("{:?}", binding.label_byte(label)),
                ));
            }
            Ok(())
        }
        (due, _) => Err(wrong(
            Check::Answer,
            due.map_or("no answer yet".to_string(), |reply| format!("{reply:?}")),
        )),
    }
}

pub(super) fn snapshot_agrees(
    snapshot: &rdb::Snapshot,
    labelled: bool,
    replica: NodeId,
    possible: &Possible<Binding>,
    binding: &Binding,
) -> Result<(), Mismatch> {
    let Some(payload) = possible.world.link(replica).payload else {
        return Err(Mismatch::new(
            Check::Snapshot,
            "no snapshot yet",
            "a snapshot",
        ));
    };
    let (due, came) = (
        without_base(binding.data_set(payload.data)),
        without_base(snapshot.data.clone()),
    );
    if due != came {
        return Err(Mismatch::new(
            Check::SnapshotData,
            format!("{due:?}"),
            format!("{came:?}"),
        ));
    }
    if !labelled {
        return Ok(());
    }
    let due = (
        binding.name(payload.label.id).map(str::to_string),
        binding.label_byte(payload.label),
    );
    let came = snapshot.label.as_ref();
    let came = (
        came.map(|label| label.id.to_ascii_lowercase()),
        came.map(|label| label.offset),
    );
    Mismatch::unless_equal(Check::SnapshotLabel, &due, &came)
}

pub(super) fn command_agrees(
    commands: &[Command],
    bytes: i64,
    replica: NodeId,
    possible: &Possible<Binding>,
    binding: &mut Binding,
) -> Result<(), Mismatch> {
    let link = possible.world.link(replica);
    let due = link.stream.tokens.first();
    let due = due.ok_or_else(|| Mismatch::new(Check::Stream, "nothing more", names(commands)))?;
    token_agrees(commands, due, binding)?;
    let Some(start) = next_in_stream(&possible.world, replica) else {
        return Ok(());
    };
    let Some(from) = binding.label_byte(start) else {
        return Ok(());
    };
    let end = Label {
        offset: start.offset.plus(due.units()),
        ..start
    };
    // Whoever goes on from within a boundary that is wide reads the rest of it.
    let ends = [from, from + binding.width(start)].map(|from| from + bytes);
    if ends
        .into_iter()
        .any(|byte| binding.bind_byte(&possible.world, end, byte))
    {
        return Ok(());
    }
    let allowed = format!("the next boundary at {:?}", binding.label_byte(end));
    Err(Mismatch::new(
        Check::Offset,
        allowed,
        format!("at {}", from + bytes),
    ))
}

/// Where the command begins that a replica reads next, or has read the head of.
pub(super) fn next_in_stream(world: &World, replica: NodeId) -> Option<Label> {
    let (own, link) = (world.node(replica), world.link(replica));
    let label = own.following?;
    let offset = if own.begun.transaction.is_empty() {
        let read = own.begun.half.is_some();
        let half = read
            && world
                .history(label.id)
                .is_some_and(|history| !history.is_boundary(label.offset));
        label.offset.plus(-i64::from(half))
    } else {
        // Not every era counts what is read and not executed: what is not read reaches to where the primary is.
        let primary = world.node(world.parent(replica)?);
        primary.offset.plus(-link.stream.tokens.units())
    };
    Some(Label { offset, ..label })
}

fn names(commands: &[Command]) -> String {
    let names: Vec<String> = commands.iter().map(Command::name).collect();
    names.join(", ")
}

/// Whether these commands, several only for the write of a transaction, are what is due.
pub(super) fn token_agrees(
    commands: &[Command],
    due: Token,
    binding: &Binding,
) -> Result<(), Mismatch> {
    let shown: Vec<String> = commands.iter().map(shown).collect();
    let wrong = |due: String| Err(Mismatch::new(Check::Stream, due, shown.join(", ")));
    let says = |word: &str| commands.len() == 1 && commands[0].name().eq_ignore_ascii_case(word);
    match due {
        Token::Write(write) | Token::OtherWrite(write) => {
            let pairs = binding.write(write);
            let same = |(command, pair): (&Command, &KeyValue)| is_write_of(command, pair);
            if pairs.len() == commands.len() && commands.iter().zip(pairs).all(same) {
                return Ok(());
            }
            let keys: Vec<&str> = pairs.iter().map(|pair| pair.key.as_str()).collect();
            wrong(format!("SET {} with its value", keys.join(", ")))
        }
        Token::Select(database) if says("SELECT") => {
            let due = format!("SELECT {}", number(database));
            if shown == [due.as_str()] {
                return Ok(());
            }
            wrong(due)
        }
        Token::Ping if says("PING") => Ok(()),
        Token::Multi if says("MULTI") => Ok(()),
        Token::Exec if says("EXEC") => Ok(()),
        other => wrong(format!("{other:?}")),
    }
}

fn is_write_of(command: &Command, pair: &KeyValue) -> bool {
    command.name().eq_ignore_ascii_case("SET")
        && command.args().first().map(Vec::as_slice) == Some(pair.key.as_bytes())
        && command.args().get(1) == Some(&pair.value)
}

fn shown(command: &Command) -> String {
    let first = command.arg_text(0).unwrap_or_default();
    format!("{} {first}", command.name())
}
