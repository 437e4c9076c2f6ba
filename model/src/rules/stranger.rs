//! A stranger: somebody who was never a replica asks a primary to continue, to see where it draws the line.

use crate::decision::answer;
use crate::rules::{Guard, Setting};
use crate::world::{Byte, Id, Link, NodeId, Question, Stranger, World};

/// Somebody who was never a replica asks a primary to continue, to see where it draws the line.
///
/// Left out: a stranger who comes while there is no backlog would make the primary create one and begin a
/// snapshot, as a first replica does; one who comes while a replica is connected gets the same answer, because
/// nothing of a connection is read for it.
///
/// Source: `PROTOCOL §3.1`, `PROTOCOL §8`; `masterTryPartialResynchronization`, Redis 2.8 to 7.2.
pub fn stranger_asks(
    world: &World,
    next: &mut World,
    setting: &Setting,
    node: NodeId,
    question: Question,
) -> Option<()> {
    let quiet = world.node(node).snapshot.is_none();
    let mut replicas = world.replicas_of(node);
    let alone = replicas.all(|replica| *world.link(replica) == Link::ABSENT);
    setting.requires(Guard::StrangerAsksPrimary, world.is_primary(node))?;
    setting.requires(Guard::StrangerAsksInQuiet, quiet)?;
    setting.requires(Guard::StrangerAsksAlone, alone)?;
    let asked = wanted_by_stranger(world, node, question)?;

    let standing = world.node(node).standing(setting.backlog_commands);
    let answer = answer(
        &setting.book,
        &standing,
        Some((u64::from(asked.0.0), asked.1.wide())),
    );
    next.stranger = Some(Stranger { question, answer });
    Some(())
}

/// The ID and the byte a question stands for; `None` where it makes no sense, or is the same as another.
pub fn wanted_by_stranger(world: &World, node: NodeId, question: Question) -> Option<(Id, Byte)> {
    let own = world.node(node);
    let backlog = own.backlog?;
    let end = own.offset.next_byte();
    let wanted = match question {
        Question::BelowFirst => (own.id, backlog.first.plus(-1)),
        Question::First => (own.id, (backlog.first < end).then_some(backlog.first)?),
        Question::JustAfterLast => (own.id, end),
        Question::OneBeyond => (own.id, end.plus(1)),
        Question::SecondaryFirst => {
            let former = own.secondary?;
            (
                former.id,
                (backlog.first < former.limit).then_some(backlog.first)?,
            )
        }
        Question::SecondaryLimit => (own.secondary?.id, own.secondary?.limit),
        Question::SecondaryBeyond => (own.secondary?.id, own.secondary?.limit.plus(1)),
        Question::ForeignId => (Id(u8::MAX), end),
    };
    Some(wanted)
}

/// The stranger goes; nothing it did leaves a trace.
///
/// Source: `PROTOCOL §3.5`; `freeClient`, Redis 2.8 to 7.2.
pub fn stranger_leaves(
    world: &World,
    next: &mut World,
    setting: &Setting,
    node: NodeId,
) -> Option<()> {
    world.stranger?;
    setting.requires(Guard::StrangerLeavesPrimary, world.is_primary(node))?;

    next.stranger = None;
    Some(())
}
