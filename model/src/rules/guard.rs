//! The guards of the rules, by name.
//!
//! Each is one sentence about the world in which a rule may apply. To doubt the specification, every guard is
//! switched off and negated in turn ([`crate::mutate`]): if no property notices, either the guard is not needed or
//! a property is missing.

use crate::rules::Setting;
use clap::ValueEnum;

/// A condition of a rule, in the order of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum)]
pub enum Guard {
    /// A write goes to a primary.
    WriteToPrimary,
    /// So does one to the other database.
    WriteElsewhereToPrimary,
    /// So does a transaction.
    TransactAtPrimary,
    /// A transaction that ends in a change of roles begins at a primary.
    FollowFromPrimary,
    /// Only a connection that is whole can be cut.
    CutWhole,
    /// There is a backlog to expire.
    ExpireHeld,
    /// With replication IDs, only a primary's backlog expires.
    ExpireAtPrimary,
    /// A backlog expires only while nobody is connected.
    ExpireUnused,
    /// A resized backlog loses its content only where the version does that.
    ResizeDiscards,
    /// There is content to lose.
    ResizeOfContent,
    /// A request is continued if the decision says so, under that name.
    AcceptHeld,
    /// A request is refused if the decision says so, for that reason.
    DeclineLacking,
    /// Who can join a running snapshot does.
    DeclineUnjoined,
    /// A replica that is not connected to its own primary answers nothing of substance.
    AnswerServing,
    /// Only such a replica says that it has no link.
    RefuseUnserved,
    /// An acknowledgement counts once the snapshot has been sent.
    HearAfterSnapshot,
    /// Where a stream is passed through, only its origin adds PINGs.
    PingOwnStream,
    /// There is a replica, or where that suffices a backlog, to send a PING to.
    PingSomebody,
    /// A primary notices the loss of what is lost.
    PrimaryNoticesCut,
    /// It forgets only whom it knew.
    PrimaryKnewReplica,
    /// No snapshot is saved beside one that is being made.
    SaveAlone,
    /// What restarts as a primary that was one, is one.
    RestartPrimary,
    /// What restarts as a primary that was a replica, is a replica.
    RestartAsPrimary,
    /// What restarts as a replica that was one, is one.
    RestartReplica,
    /// What restarts as a replica that was a primary, is a primary.
    RestartAsReplica,
    /// It is not told to follow itself.
    RestartFollowsAnother,
    /// A replica opens a connection when it has none.
    AskWhenIdle,
    /// A primary believes in at most two connections of one replica.
    AskNoThird,
    /// `+CONTINUE` is understood while a reply is waited for.
    ContinueWhenAsked,
    /// `+FULLRESYNC` is understood while a reply is waited for.
    FullResyncWhenAsked,
    /// A snapshot is loaded while one is waited for.
    LoadWhenTransferring,
    /// A load fails while a snapshot is waited for.
    FailWhenTransferring,
    /// The head of a command is read once.
    HeadBeforeTail,
    /// Only a write is long enough to be read in two parts.
    HeadOfWrite,
    /// A stream is read by a replica that has loaded its snapshot, or was continued.
    ReadWhenConnected,
    /// A stream is read once the primary has let it go.
    ReadWhenOnline,
    /// Nothing arrives on a connection that is lost.
    ReadWhole,
    /// Nothing is read that was not sent.
    ReadSent,
    /// Acknowledgements exist from 2.8 on.
    AcknowledgeInEra,
    /// A replica acknowledges on an established link.
    AcknowledgeWhenConnected,
    /// Nothing is sent on a connection that is lost.
    AcknowledgeWhole,
    /// An acknowledgement says something new.
    AcknowledgeNews,
    /// A replica notices the loss of what is lost.
    ReplicaNoticesCut,
    /// It gives up only a connection that it had.
    ReplicaHadLink,
    /// What is promoted is a replica.
    PromoteReplica,
    /// Nobody follows itself.
    FollowAnother,
    /// Who follows that primary already is not told again.
    FollowNew,
    /// One snapshot at a time.
    StartOnce,
    /// A snapshot is sent in a way that the version knows.
    StartInEra,
    /// Somebody waits for a snapshot to begin.
    StartWaitedFor,
    /// Who makes a snapshot can say what its data are.
    StartKnowsPlace,
    /// Who asked with SYNC is sent a file.
    StartUnderstood,
    /// Who joins a running snapshot could not be continued.
    AttachLacking,
    /// A snapshot can be joined that another connection waits for.
    JoinWaitedFor,
    /// A snapshot can be joined that goes through a file.
    JoinFile,
    /// The snapshot that fails is the one named.
    FailThatFraming,
    /// A snapshot that fails was waited for.
    FailWaitedFor,
    /// A stranger asks a primary.
    StrangerAsksPrimary,
    /// A stranger asks while no snapshot is being made.
    StrangerAsksInQuiet,
    /// A stranger asks while no replica is connected.
    StrangerAsksAlone,
    /// A stranger leaves the primary it asked.
    StrangerLeavesPrimary,
    /// Nothing else happens while a stranger has its answer in hand.
    StrangerHasGone,
}

/// What is done to a guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum)]
pub enum Mutation {
    /// It always holds.
    Off,
    /// It holds exactly where it should not.
    Negated,
}

impl Mutation {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Off, Self::Negated];
}

/// A guard that is not what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mutant {
    /// Which guard.
    pub guard: Guard,
    /// What was done to it.
    pub mutation: Mutation,
}

impl Setting {
    /// A guard: `None`, which ends the rule, unless it holds.
    #[inline]
    pub fn requires(&self, guard: Guard, holds: bool) -> Option<()> {
        let holds = match self.mutant {
            Some(mutant) if mutant.guard == guard => match mutant.mutation {
                Mutation::Off => true,
                Mutation::Negated => !holds,
            },
            _ => holds,
        };
        holds.then_some(())
    }
}

impl Guard {
    /// Its name on the command line, and the sentence it stands for.
    pub fn name_and_sentence(self) -> (String, String) {
        let value = self.to_possible_value();
        let value = value.expect("no guard is hidden from the command line");
        let sentence = value
            .get_help()
            .map(ToString::to_string)
            .unwrap_or_default();
        (value.get_name().to_owned(), sentence)
    }
}

/// Why nothing notices a mutant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Survival {
    /// The worlds are others, and nothing is wrong with them.
    Harmless(&'static str),
    /// Not a world is different: something else implies the guard.
    Implied(&'static str),
}

impl Mutant {
    /// The argument for a guard that nothing misses, or `None` where something notices.
    pub const fn survival(self) -> Option<Survival> {
        match self.mutation {
            Mutation::Off => self.guard.without(),
            Mutation::Negated => self.guard.negated(),
        }
    }
}

impl Guard {
    /// Why nothing misses it when it is switched off.
    const fn without(self) -> Option<Survival> {
        match (self.implied(), self.harmless()) {
            (Some(why), _) => Some(Survival::Implied(why)),
            (None, Some(why)) => Some(Survival::Harmless(why)),
            (None, None) => None,
        }
    }

    /// What implies it.
    const fn implied(self) -> Option<&'static str> {
        Some(match self {
            Self::ExpireHeld => "without a backlog a primary has no name to forget",
            Self::ResizeOfContent => "an empty backlog that begins anew is the same",
            Self::HearAfterSnapshot => "who has no snapshot yet has nothing to acknowledge",
            Self::PrimaryKnewReplica => "whom it does not know it cannot forget",
            Self::RestartFollowsAnother | Self::FollowAnother => "no step names one node twice",
            Self::ContinueWhenAsked | Self::FullResyncWhenAsked => {
                "a reply is on its way only while one is waited for"
            }
            Self::ReadWhole => "a lost connection has lost what was on its way",
            Self::ReadSent => "only a fault keeps commands back",
            Self::ReplicaHadLink => "without a link there is nothing to give up",
            Self::StartKnowsPlace => {
                "who knows nothing of its place has not been connected, and nobody waits for it"
            }
            _ => return None,
        })
    }

    /// Why nothing is wrong with the worlds that are there without it.
    const fn harmless(self) -> Option<&'static str> {
        Some(match self {
            Self::CutWhole => "what nobody believes in can be lost without anybody noticing",
            Self::ResizeDiscards => "less held is always safe, and L2 asks only for what is held",
            Self::DeclineUnjoined => "who does not join gets a snapshot of its own, later",
            Self::AnswerServing => {
                "what such a replica holds is labelled truly; to refuse spares a copy soon replaced"
            }
            Self::PingSomebody => "a PING that nobody gets is in the backlog like any command",
            Self::SaveAlone => {
                "a snapshot that is saved beside another is as true; Redis forks once"
            }
            Self::RestartAsPrimary => "for a primary this is the rule `restart-primary`",
            Self::AskNoThird => "the oldest connection is forgotten early",
            Self::FailWhenTransferring => "to fail before the reply was read is to lose the link",
            Self::HeadOfWrite => "a PING in two parts is a command in two parts",
            Self::ReadWhenOnline => {
                "the pipe keeps the order; the gate is for who has not loaded, and that one does not read"
            }
            Self::AcknowledgeInEra => "a primary of 2.6 does nothing with what it is told",
            Self::AcknowledgeWhole => "what was applied is true whenever it is heard",
            Self::AcknowledgeNews => {
                "to say it twice is to say it once; left out to have fewer worlds"
            }
            Self::PromoteReplica => {
                "a primary that is renamed remembers its former name, as a promoted replica does"
            }
            Self::FollowNew => "to follow the same primary again is to reconnect",
            Self::StartInEra => "the framing of a snapshot changes nothing in it",
            Self::JoinFile => {
                "the model sends a snapshot whole; on a server the bytes sent are gone for who comes late"
            }
            Self::FailThatFraming => "a failure is the same in either framing",
            Self::FailWaitedFor => "a snapshot for nobody may fail unseen",
            Self::StrangerAsksPrimary | Self::StrangerAsksInQuiet | Self::StrangerAsksAlone => {
                "wherever a stranger asks, the answer is right; left out to have fewer worlds"
            }
            Self::StrangerLeavesPrimary => "a stranger leaves no trace, whoever sees it go",
            _ => return None,
        })
    }

    /// Why nothing notices that it is negated: the rule does something else then, and nothing wrong.
    const fn negated(self) -> Option<Survival> {
        use Survival::Harmless;
        Some(match self {
            Self::PingSomebody => {
                Harmless("PINGs keep replicas waiting; the model has no time to wait for")
            }
            Self::SaveAlone => Harmless("what is saved only beside another snapshot is as true"),
            Self::RestartAsPrimary => Harmless("for a primary this is the rule `restart-primary`"),
            Self::RestartFollowsAnother => Harmless(
                "the rule never applies; its scope has too many worlds to see that it is gone",
            ),
            Self::JoinFile => {
                Harmless("the model sends a snapshot whole; who does not join gets one of its own")
            }
            Self::StrangerAsksAlone => Harmless("wherever a stranger asks, the answer is right"),
            _ => return None,
        })
    }
}
