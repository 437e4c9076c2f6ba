//! The stranger: somebody who was never a replica asks the subject to continue, at the edges of what it may
//! grant, and goes. While it waits for an answer the subject holds it back from a snapshot.
use psync_model::decision::Answer as Decided;
use psync_model::rules::stranger::wanted_by_stranger;
use psync_model::step::Step;
use psync_model::world::{Id, NodeId, Question, World};

use super::as_replica::{AsReplica, unspoken};
use super::seen_of_primary::token_agrees;
use super::{PRIMARY, Trouble, required};
use crate::played::{Answer, PlayedReplica, Request};
use crate::verdict::{Check, Mismatch};

/// A name no history ever had.
const FOREIGN_NAME: &str = "ffffffffffffffffffffffffffffffffffffffff";

impl AsReplica {
    pub(super) fn stranger(
        &mut self,
        step: Step,
        node: NodeId,
        question: Question,
    ) -> Result<(), Trouble> {
        self.await_trimming();
        let world = *self.stage.world();
        let (id, next_byte) = self.stranger_request(&world, node, question)?;
        let mut stranger = self.connect(format!("stranger, {step}"), u16::MAX)?;
        stranger.ask(&Request::Psync { id, next_byte })?;
        self.stage.drive(step)?;
        let expected = self.stage.world().stranger.map(|stranger| stranger.answer);
        let continues = matches!(expected, Some(Decided::Continue(_)));
        let shown = self.until_answered()?;
        let accepted = shown == "online";
        if accepted != continues {
            let allowed = format!("{expected:?}");
            let came = if accepted {
                "+CONTINUE"
            } else {
                "no +CONTINUE"
            };
            return Err(Trouble::wrong(Mismatch::new(Check::Answer, allowed, came)));
        }
        if accepted {
            let deadline = self.stage.deadline();
            let came = stranger
                .answer(deadline)
                .map_err(|error| unspoken(&error, "+CONTINUE"))?;
            self.stranger_stream(&mut stranger, &came, &world, node, question)?;
        }
        stranger.close();
        self.settle()
    }

    /// What the stranger is continued with is the end of the backlog, byte for byte.
    fn stranger_stream(
        &mut self,
        stranger: &mut PlayedReplica,
        came: &Answer,
        world: &World,
        node: NodeId,
        question: Question,
    ) -> Result<(), Trouble> {
        if !matches!(came, Answer::Continue { .. }) {
            return Err(Trouble::wrong(Mismatch::new(
                Check::Answer,
                "+CONTINUE",
                format!("{came:?}"),
            )));
        }
        let (own, wanted) = (world.node(node), wanted_by_stranger(world, node, question));
        let (Some(backlog), Some((_, byte))) = (own.backlog, wanted) else {
            return Ok(());
        };
        let skipped = byte
            .offset_before()
            .since(backlog.first.offset_before())
            .max(0)
            / 2;
        for token in backlog.tokens.suffix(skipped as usize).iter() {
            let deadline = self.stage.deadline();
            let command = loop {
                let (command, _) = stranger
                    .stream_command(deadline)
                    .map_err(|error| unspoken(&error, "the rest of the backlog"))?;
                if !command.name().eq_ignore_ascii_case("SELECT") {
                    break command;
                }
            };
            token_agrees(std::slice::from_ref(&command), token, self.stage.binding())
                .map_err(Trouble::wrong)?;
        }
        Ok(())
    }

    /// The state in which the subject lists the stranger once it has decided.
    fn until_answered(&mut self) -> Result<String, Trouble> {
        let deadline = self.stage.deadline();
        let seen =
            self.stage
                .control(PRIMARY)
                .wait_replication("the stranger", deadline, |shown| !shown.replicas.is_empty());
        let seen = required(seen, "see the stranger in INFO")?;
        Ok(seen.replicas[0].state.clone())
    }

    fn stranger_request(
        &self,
        world: &World,
        node: NodeId,
        question: Question,
    ) -> Result<(String, i64), Trouble> {
        let binding = self.stage.binding();
        let own = world.node(node);
        let unbound = || anyhow::anyhow!("{question:?} asks for bytes that were never bound");
        let name = |id: Id| binding.name(id).map(str::to_string).ok_or_else(unbound);
        let byte = |id, offset| binding.byte(id, offset).ok_or_else(unbound);
        let backlog = own.backlog.ok_or_else(unbound)?;
        let (first, end) = (backlog.first.offset_before(), byte(own.id, own.offset)?);
        Ok(match question {
            Question::First => (name(own.id)?, byte(own.id, first)? + 1),
            Question::BelowFirst => {
                // The unit before a boundary is the tail of a command, if a command was there.
                let before = binding.byte(own.id, first.plus(-1));
                (
                    name(own.id)?,
                    before.unwrap_or(byte(own.id, first)? - 1) + 1,
                )
            }
            Question::JustAfterLast => (name(own.id)?, end + 1),
            Question::OneBeyond => (name(own.id)?, end + 2),
            Question::ForeignId => (FOREIGN_NAME.to_string(), end + 1),
            Question::SecondaryFirst | Question::SecondaryLimit | Question::SecondaryBeyond => {
                let former = own.secondary.ok_or_else(unbound)?;
                let limit = byte(own.id, former.limit.offset_before())? + 1;
                let first = byte(own.id, first)? + 1;
                let asked = match question {
                    Question::SecondaryFirst => first,
                    Question::SecondaryLimit => limit,
                    _ => limit + 1,
                };
                (name(former.id)?, asked)
            }
        })
    }
}
