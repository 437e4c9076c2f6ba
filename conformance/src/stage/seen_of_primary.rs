//! What a subject that is the primary shows, compared with what a possible world allows: INFO, the answer to a
//! request, the snapshot, the stream. Nothing here acts; each function says yes, or what did not agree.
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use psync_model::oracle::Possible;
use psync_model::rulebook::Identity;
use psync_model::token::Token;
use psync_model::world::{Id, Link, Node, Offset, PrimaryPhase, Reply, Wire, World};

use super::{PRIMARY, REPLICA, Trouble, required, without_base};
use crate::binding::{Binding, COMMAND_BYTES};
use crate::info::{Info, Replication};
use crate::played::Answer;
use crate::rdb;
use crate::verdict::{Check, Mismatch};
use crate::wire::Command;

/// Each connection announces a port of its own, so that INFO tells them apart.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ports {
    /// The last one given out.
    pub(super) last: u16,
    /// That of the present connection.
    pub(super) current: u16,
    /// That of the older connection the primary may still believe in.
    pub(super) stale: u16,
}

/// What a primary shows of itself.
pub(super) struct Shown {
    replication: Replication,
    run_id: Option<String>,
    saving: bool,
}

pub(super) fn glance(control: &mut crate::control::Control) -> Result<Shown, Trouble> {
    let info: Info = required(control.info("all"), "read INFO")?;
    Ok(Shown {
        replication: required(info.replication(), "read INFO replication")?,
        run_id: info.get("run_id").map(str::to_string),
        saving: info.get("rdb_bgsave_in_progress") == Some("1"),
    })
}

pub(super) fn agrees(
    shown: &Shown,
    possible: &Possible<Binding>,
    binding: &mut Binding,
    ports: Ports,
    identity: Identity,
) -> Result<(), Mismatch> {
    let (own, link) = (possible.world.node(PRIMARY), possible.world.link(REPLICA));
    replicas_listed(shown, link)?;
    states_agree(shown, link, ports, identity).map_err(|wrong| wrong.after(1))?;
    acknowledgement_agrees(shown, possible, binding, ports, identity)
        .map_err(|wrong| wrong.after(2))?;
    Mismatch::unless_equal(Check::Snapshot, &own.snapshot.is_some(), &shown.saving)
        .map_err(|wrong| wrong.after(3))?;
    if identity == Identity::None {
        return Ok(());
    }
    let active = shown.replication.backlog.active;
    Mismatch::unless_equal(Check::Backlog, &own.backlog.is_some(), &active)
        .map_err(|wrong| wrong.after(4))?;
    names_agree(shown, own, binding, identity).map_err(|wrong| wrong.after(5))?;
    offsets_agree(shown, own, binding).map_err(|wrong| wrong.after(6))
}

fn offsets_agree(shown: &Shown, own: &Node, binding: &mut Binding) -> Result<(), Mismatch> {
    let came = shown.replication.offset;
    if own.backlog.is_some()
        && !came.is_some_and(|byte| binding.bind_byte(own.id, own.offset, byte))
    {
        let allowed = binding.byte(own.id, own.offset);
        return Err(Mismatch::new(
            Check::Offset,
            format!("{allowed:?}"),
            format!("{came:?}"),
        ));
    }
    let Some(former) = own.secondary else {
        return Ok(());
    };
    let limit = binding
        .byte(own.id, former.limit.offset_before())
        .map(|byte| byte + 1);
    Mismatch::unless_equal(Check::SecondaryId, &limit, &shown.replication.second_limit)
}

/// Where the backlog of a primary may begin: inside the last command that has gone, or just behind it. The model
/// counts whole commands, and a backlog has room for less than one beside them (`PROTOCOL §3.6`).
pub(super) fn first_bytes(own: &Node, binding: &Binding) -> Option<RangeInclusive<i64>> {
    let before = binding.byte(own.id, own.backlog?.first.offset_before())?;
    Some(before + 2 - COMMAND_BYTES as i64..=before + 1)
}

fn names_agree(
    shown: &Shown,
    own: &Node,
    binding: &mut Binding,
    identity: Identity,
) -> Result<(), Mismatch> {
    let name = match identity {
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
    if identity != Identity::ReplicationId {
        return Ok(());
    }
    let nobody = "0".repeat(40);
    let former = shown.replication.second_id.clone().unwrap_or_default();
    let allowed = match own.secondary {
        None => nobody,
        Some(secondary) => binding.name(secondary.id).unwrap_or_default().to_string(),
    };
    Mismatch::unless_equal(Check::SecondaryId, &allowed, &former)
}

/// What the primary should think of each connection it knows, by the port that connection announced.
fn phases(link: &Link, ports: Ports) -> BTreeMap<u16, PrimaryPhase> {
    let current = (link.primary != PrimaryPhase::None).then_some((ports.current, link.primary));
    let stale = link.stale.map(|stale| (ports.stale, stale.phase));
    current.into_iter().chain(stale).collect()
}

fn replicas_listed(shown: &Shown, link: &Link) -> Result<(), Mismatch> {
    let current = usize::from(link.primary != PrimaryPhase::None);
    let due = current + usize::from(link.stale.is_some());
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

fn states_agree(
    shown: &Shown,
    link: &Link,
    ports: Ports,
    identity: Identity,
) -> Result<(), Mismatch> {
    let due = phases(link, ports);
    for line in &shown.replication.replicas {
        let phase = due.get(&line.port).copied();
        if phase.is_some_and(|phase| state_fits(phase, &line.state)) {
            continue;
        }
        let decided = identity != Identity::None && line.port == ports.current;
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
    possible: &Possible<Binding>,
    binding: &Binding,
    ports: Ports,
    identity: Identity,
) -> Result<(), Mismatch> {
    let link = possible.world.link(REPLICA);
    if identity == Identity::None || link.wire != Wire::Whole {
        return Ok(());
    }
    let label = possible.world.node(REPLICA).following;
    let acknowledged = match (link.acknowledged, label) {
        (Some(offset), Some(label)) => binding.byte(label.id, offset).unwrap_or_default(),
        _ => 0,
    };
    let mut listed = shown.replication.replicas.iter();
    let current = listed.find(|line| line.port == ports.current);
    current.map_or(Ok(()), |line| {
        Mismatch::unless_equal(Check::Acknowledgement, &acknowledged, &line.acknowledged)
    })
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
    possible: &Possible<Binding>,
    binding: &mut Binding,
) -> Result<(), Mismatch> {
    let due = possible.world.link(REPLICA).reply;
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
            if !binding.bind_byte(label.id, label.offset, *offset) {
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
    possible: &Possible<Binding>,
    binding: &Binding,
) -> Result<(), Mismatch> {
    let Some(payload) = possible.world.link(REPLICA).payload else {
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
    command: &Command,
    bytes: i64,
    possible: &Possible<Binding>,
    binding: &mut Binding,
) -> Result<(), Mismatch> {
    let link = possible.world.link(REPLICA);
    let due = link.stream.tokens.first();
    let due = due.ok_or_else(|| Mismatch::new(Check::Stream, "nothing more", command.name()))?;
    token_agrees(command, due, binding)?;
    let Some(label) = possible.world.node(REPLICA).following else {
        return Ok(());
    };
    let read = possible.world.node(REPLICA).begun.half.map_or(0, |_| {
        label
            .offset
            .since(boundary(label.offset, &possible.world, label.id))
    });
    let start = label.offset.plus(-read);
    let Some(from) = binding.byte(label.id, start) else {
        return Ok(());
    };
    if binding.bind_byte(label.id, start.plus(due.units()), from + bytes) {
        return Ok(());
    }
    let allowed = format!(
        "the next boundary at {:?}",
        binding.byte(label.id, start.plus(due.units()))
    );
    Err(Mismatch::new(
        Check::Offset,
        allowed,
        format!("at {}", from + bytes),
    ))
}

/// The command boundary at or before an offset.
fn boundary(offset: Offset, world: &World, id: Id) -> Offset {
    match world.history(id) {
        Some(history) if !history.is_boundary(offset) => offset.plus(-1),
        _ => offset,
    }
}

pub(super) fn token_agrees(
    command: &Command,
    due: Token,
    binding: &Binding,
) -> Result<(), Mismatch> {
    let shown = || {
        format!(
            "{} {}",
            command.name(),
            command.arg_text(0).unwrap_or_default()
        )
    };
    match due {
        Token::Write(write) => {
            let Some(pair) = binding.write(write) else {
                return Err(Mismatch::new(
                    Check::Stream,
                    format!("write {write}"),
                    shown(),
                ));
            };
            let same = command.name().eq_ignore_ascii_case("SET")
                && command.args().first().map(Vec::as_slice) == Some(pair.key.as_bytes())
                && command.args().get(1) == Some(&pair.value);
            if same {
                Ok(())
            } else {
                Err(Mismatch::new(
                    Check::Stream,
                    format!("SET {} with its value", pair.key),
                    shown(),
                ))
            }
        }
        Token::Ping if command.name().eq_ignore_ascii_case("PING") => Ok(()),
        other => Err(Mismatch::new(Check::Stream, format!("{other:?}"), shown())),
    }
}
