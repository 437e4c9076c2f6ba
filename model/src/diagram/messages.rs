//! What travels between the nodes: where it was sent, and what became of it.
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
    /// To whom.
    pub to: NodeId,
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

    /// Who sends and who reads on the link of a replica.
    const fn ends(self, replica: NodeId, parent: NodeId) -> (NodeId, NodeId) {
        match self {
            Self::Request | Self::Acknowledgement => (replica, parent),
            Self::Reply | Self::Snapshot | Self::Stream => (parent, replica),
        }
    }

    /// Whether a step reads from this pipe of the link it names.
    const fn is_read_by(self, step: Step) -> bool {
        match self {
            Self::Request => matches!(
                step,
                Step::AcceptPartial { .. }
                    | Step::DeclinePartial { .. }
                    | Step::AttachToSnapshot { .. }
                    | Step::RefuseForNow { .. }
                    | Step::AnswerWithError { .. }
            ),
            Self::Acknowledgement => matches!(step, Step::ReceiveAcknowledgement { .. }),
            Self::Reply => matches!(
                step,
                Step::ReceiveContinue { .. }
                    | Step::ReceiveFullResync { .. }
                    | Step::ReceiveError { .. }
            ),
            Self::Snapshot => matches!(step, Step::ReceiveSnapshot { .. } | Step::FailLoad { .. }),
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
    for replica in NodeId::ALL {
        for pipe in Pipe::ALL {
            let mut queue: Vec<usize> = Vec::new();
            for (row, moment) in story.iter().enumerate() {
                let link = LinkPipe { pipe, replica };
                link.follow(row, moment, setting, &mut queue, &mut all);
            }
        }
    }
    all.sort_by_key(|message| message.sent);
    all
}

/// One pipe of one link.
#[derive(Clone, Copy)]
struct LinkPipe {
    pipe: Pipe,
    replica: NodeId,
}

impl LinkPipe {
    /// Moves the pipe over one step; `queue` holds the places in `all` of what is in it.
    fn follow(
        self,
        row: usize,
        moment: &Moment,
        setting: &Setting,
        queue: &mut Vec<usize>,
        all: &mut Vec<Message>,
    ) {
        let Self { pipe, replica } = self;
        let after = pipe.content(moment.after.link(replica), setting);
        let reads = pipe.is_read_by(moment.step) && moment.step.node() == replica;
        if reads && !queue.is_empty() {
            all[queue.remove(0)].fate = Fate::Received(row);
        }
        // A plan so long that it was renumbered changes names and numbers, not how many there are.
        let replaced = after.len() < queue.len() || self.is_overtaken(moment);
        let lost = moment.loses_the_pipe(replica);
        if replaced || lost {
            let fate = if lost {
                Fate::Lost(row)
            } else {
                Fate::Overtaken
            };
            queue.drain(..).for_each(|place| all[place].fate = fate);
        }
        let Some(parent) = moment.after.parent(replica) else {
            return;
        };
        let (from, to) = pipe.ends(replica, parent);
        for words in after.into_iter().skip(queue.len()) {
            queue.push(all.len());
            all.push(Message {
                words,
                from,
                to,
                sent: row,
                fate: Fate::OnItsWay,
            });
        }
    }

    /// Whether an acknowledgement takes the place of an older one.
    fn is_overtaken(self, moment: &Moment) -> bool {
        let older = moment.before.link(self.replica).acknowledgement;
        self.pipe == Pipe::Acknowledgement
            && moment.step
                == Step::Acknowledge {
                    replica: self.replica,
                }
            && older.is_some()
    }
}
