//! What travels between the two nodes: where it was sent, and what became of it.
//!
//! A world says what is in the pipes; two worlds in a row say what went in and what came out. What leaves a
//! pipe without the step that reads it was lost.

use crate::narrate::{Moment, words};
use crate::rules::Setting;
use crate::step::Step;
use crate::token::Token;
use crate::world::{Link, NodeId};

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The other end read it in this row.
    Received(usize),
    /// It was lost in this row.
    Lost(usize),
    /// A newer one took its place before it was read.
    Overtaken,
    /// It is still in the pipe.
    OnItsWay,
}

/// One thing that travels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// How it reads on the wire.
    pub words: String,
    /// Who sent it.
    pub from: NodeId,
    /// The row in which it was sent, from zero.
    pub sent: usize,
    /// What became of it.
    pub fate: Fate,
}

/// The pipes of a link.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pipe {
    Request,
    Acknowledgement,
    Reply,
    Snapshot,
    Stream,
}

impl Pipe {
    const ALL: [Self; 5] = [
        Self::Request,
        Self::Acknowledgement,
        Self::Reply,
        Self::Snapshot,
        Self::Stream,
    ];

    const fn sender(self) -> NodeId {
        match self {
            Self::Request | Self::Acknowledgement => NodeId::Replica,
            Self::Reply | Self::Snapshot | Self::Stream => NodeId::Primary,
        }
    }

    /// Whether a step reads from this pipe.
    const fn is_read_by(self, step: Step) -> bool {
        match self {
            Self::Request => matches!(
                step,
                Step::AcceptPartial { .. } | Step::DeclinePartial { .. }
            ),
            Self::Acknowledgement => matches!(step, Step::ReceiveAcknowledgement { .. }),
            Self::Reply => matches!(
                step,
                Step::ReceiveContinue { .. } | Step::ReceiveFullResync { .. }
            ),
            Self::Snapshot => matches!(step, Step::ReceiveSnapshot { .. }),
            Self::Stream => matches!(step, Step::Apply { .. }),
        }
    }

    /// What is in it, in order.
    fn content(self, link: &Link, setting: &Setting) -> Vec<String> {
        let one = |words: Option<String>| words.into_iter().collect();
        match self {
            Self::Request => one(link.request.map(|request| words::request(setting, request))),
            Self::Acknowledgement => one(link
                .acknowledgement
                .map(|offset| format!("ACK {}", offset.0))),
            Self::Reply => one(link.reply.map(words::reply)),
            Self::Snapshot => one(link
                .payload
                .map(|snapshot| format!("snapshot {}", words::data(snapshot.data)))),
            Self::Stream => link.stream.tokens.iter().map(in_stream).collect(),
        }
    }
}

fn in_stream(token: Token) -> String {
    words::token(token)
}

/// Everything that travels in a story, in the order in which it was sent.
pub fn messages(story: &[Moment], setting: &Setting) -> Vec<Message> {
    let mut all: Vec<Message> = Vec::new();
    for pipe in Pipe::ALL {
        let mut queue: Vec<usize> = Vec::new();
        for (row, moment) in story.iter().enumerate() {
            step_of_pipe(pipe, row, moment, setting, &mut queue, &mut all);
        }
    }
    all.sort_by_key(|message| message.sent);
    all
}

/// Moves one pipe over one step; `queue` holds the places in `all` of what is in it.
fn step_of_pipe(
    pipe: Pipe,
    row: usize,
    moment: &Moment,
    setting: &Setting,
    queue: &mut Vec<usize>,
    all: &mut Vec<Message>,
) {
    let after = pipe.content(moment.after.link(NodeId::Replica), setting);
    if pipe.is_read_by(moment.step) && !queue.is_empty() {
        all[queue.remove(0)].fate = Fate::Received(row);
    }
    // A plan so long that it was renumbered changes names and numbers, not how many there are.
    if after.len() < queue.len() || (pipe == Pipe::Acknowledgement && newer(moment)) {
        let fate = if moment.loses_the_pipe() {
            Fate::Lost(row)
        } else {
            Fate::Overtaken
        };
        queue.drain(..).for_each(|place| all[place].fate = fate);
    }
    for words in after.into_iter().skip(queue.len()) {
        queue.push(all.len());
        all.push(Message {
            words,
            from: pipe.sender(),
            sent: row,
            fate: Fate::OnItsWay,
        });
    }
}

/// Whether an acknowledgement takes the place of an older one.
fn newer(moment: &Moment) -> bool {
    matches!(moment.step, Step::Acknowledge { .. })
        && moment
            .before
            .link(NodeId::Replica)
            .acknowledgement
            .is_some()
}
