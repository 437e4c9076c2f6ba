//! What a subject that follows a primary shows, compared with what a possible world allows: its data, its link, what it
//! asks for and acknowledges. Nothing here acts; each function says yes, or what did not agree.
use psync_model::oracle::Possible;
use psync_model::rulebook::Identity;
use psync_model::step::Step;
use psync_model::world::{Label, NodeId, World};

use super::{Trouble, required, without_base};
use crate::binding::Binding;
use crate::control::Control;
use crate::data::DataSet;
use crate::info::Replication;
use crate::played::Request;
use crate::verdict::{Check, Mismatch};

/// What a replica shows of itself.
pub(super) struct Shown {
    replication: Replication,
    data: DataSet,
}

pub(super) fn glance(control: &mut Control) -> Result<Shown, Trouble> {
    Ok(Shown {
        replication: required(control.replication(), "read INFO replication")?,
        data: without_base(required(control.data_set(), "read the data")?),
    })
}

pub(super) fn agrees(
    shown: &Shown,
    replica: NodeId,
    possible: &Possible<Binding>,
    binding: &Binding,
    identity: Identity,
) -> Result<(), Mismatch> {
    let world = &possible.world;
    data_agree(&shown.data, replica, world, binding)?;
    link_agrees(&shown.replication, replica, world, binding, identity)
}

/// Whether a node, in whatever role, has the data it should have.
pub(super) fn data_agree(
    shown: &DataSet,
    node: NodeId,
    world: &World,
    binding: &Binding,
) -> Result<(), Mismatch> {
    let due = without_base(binding.data_set(world.node(node).data));
    if due == *shown {
        return Ok(());
    }
    Err(Mismatch::new(
        Check::Data,
        format!("{due:?}"),
        format!("{shown:?}"),
    ))
}

/// Whether a replica's link is up when it should be, and how far it says it is.
pub(super) fn link_agrees(
    shown: &Replication,
    replica: NodeId,
    world: &World,
    binding: &Binding,
    identity: Identity,
) -> Result<(), Mismatch> {
    let (own, link) = (world.node(replica), world.link(replica));
    let up = shown.link.as_ref().is_some_and(|link| link.up);
    Mismatch::unless_equal(Check::LinkState, &link.is_connected(), &up)?;
    let Some(label) = own
        .following
        .filter(|_| identity != Identity::None && link.is_connected())
    else {
        return Ok(());
    };
    let came = shown.link.as_ref().map(|link| link.offset);
    if !came.is_some_and(|came| binding.is_at(label, came)) {
        Mismatch::unless_equal(Check::Offset, &binding.label_byte(label), &came)?;
    }
    if identity == Identity::ReplicationId {
        let came = shown.id.as_ref().map(|id| id.to_ascii_lowercase());
        Mismatch::unless_equal(
            Check::ReplicationId,
            &binding.name(label.id).map(str::to_string),
            &came,
        )?;
    }
    Ok(())
}

pub(super) fn request_agrees(
    request: &Request,
    identity: Identity,
    roles_change: bool,
    replica: NodeId,
    possible: &Possible<Binding>,
    binding: &Binding,
) -> Result<(), Mismatch> {
    let Some(due) = possible.world.link(replica).request else {
        return Err(Mismatch::new(
            Check::Request,
            "no request",
            request.to_string(),
        ));
    };
    let came = match request {
        Request::Psync { id, next_byte } => Request::Psync {
            id: id.to_ascii_lowercase(),
            next_byte: *next_byte,
        },
        Request::Sync => Request::Sync,
    };
    let due = match (due.wanted, &came) {
        (None, _) if identity == Identity::None => Request::Sync,
        // Under a name that nobody has heard of one asks for as little as under none.
        (None, Request::Psync { id, .. }) if roles_change && !binding.is_bound(id) => came.clone(),
        (None, _) => Request::from_nothing(),
        (Some((id, byte)), Request::Psync { next_byte, .. }) => {
            let offset = byte.offset_before();
            let due = if binding.is_at(Label { id, offset }, next_byte - 1) {
                *next_byte
            } else {
                binding.byte(id, offset).unwrap_or_default() + 1
            };
            let id = binding.name(id).unwrap_or_default().to_string();
            Request::Psync { id, next_byte: due }
        }
        (Some((id, byte)), Request::Sync) => Request::Psync {
            id: binding.name(id).unwrap_or_default().to_string(),
            next_byte: binding.byte(id, byte.offset_before()).unwrap_or_default() + 1,
        },
    };
    if due == came {
        return Ok(());
    }
    // A world in which there is a request says more than one in which there is none yet.
    let wrong = Mismatch::new(Check::Request, due.to_string(), request.to_string());
    Err(wrong.after(1))
}

pub(super) fn acknowledgement_agrees(
    came: i64,
    step: Step,
    possible: &Possible<Binding>,
    binding: &Binding,
) -> Result<(), Mismatch> {
    let replica = step.node();
    let label = possible.world.node(replica).following;
    let due = possible.world.link(replica).acknowledgement;
    let due = due
        .zip(label)
        .map(|(offset, label)| Label { offset, ..label });
    if possible.path.last() != Some(&step) {
        return Err(Mismatch::new(
            Check::Acknowledgement,
            "none",
            came.to_string(),
        ));
    }
    if due.is_some_and(|due| binding.is_at(due, came)) {
        return Ok(());
    }
    let due = due.and_then(|due| binding.label_byte(due));
    Mismatch::unless_equal(Check::Acknowledgement, &due, &Some(came))
}
