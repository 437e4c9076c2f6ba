//! Values side by side in a word, each in a place of fixed width: what [`crate::world::packed`] packs with.

use crate::decision::{Answer, Refusal, Via};
use crate::link::{Connection, ErrorReply, PrimaryPhase, ReplicaPhase, Reply, Request, Wire};
use crate::offset::{NextByte, ReplOffset};
use crate::token::{Data, Database, Token};
use crate::world::{
    Framing, Id, Label, NodeId, Question, Role, Saved, Secondary, Snapshot, Stranger,
};

/// A word that is filled, or read, from the lowest bit up.
#[derive(Clone, Copy, Default)]
pub(super) struct Word {
    pub(super) bits: u64,
    used: u32,
}

impl Word {
    /// A word that begins with a value.
    pub(super) fn of(value: &impl Bits) -> Self {
        Self::default().and(value)
    }

    /// The same with one more value.
    #[inline]
    pub(super) fn and(mut self, value: &impl Bits) -> Self {
        self.put(value);
        self
    }

    /// A word to be read.
    pub(super) fn unread(bits: u64) -> Self {
        Self { bits, used: 0 }
    }

    #[inline]
    fn put<T: Bits>(&mut self, value: &T) {
        debug_assert!(self.used + T::WIDTH <= u64::BITS);
        self.bits |= value.pack() << self.used;
        self.used += T::WIDTH;
    }

    #[inline]
    pub(super) fn take<T: Bits>(&mut self) -> T {
        let value = T::unpack(self.bits & ((1 << T::WIDTH) - 1));
        self.bits >>= T::WIDTH;
        value
    }
}

/// A value with a place of fixed width.
pub(super) trait Bits: Copy {
    /// How many bits it takes: fewer than 64.
    const WIDTH: u32;

    /// As a number below `2^WIDTH`.
    fn pack(&self) -> u64;

    /// Back from that number.
    fn unpack(bits: u64) -> Self;
}

impl<T: Bits> Bits for Option<T> {
    const WIDTH: u32 = 1 + T::WIDTH;

    #[inline]
    fn pack(&self) -> u64 {
        self.as_ref().map_or(0, |value| 1 | value.pack() << 1)
    }

    #[inline]
    fn unpack(bits: u64) -> Self {
        (bits & 1 == 1).then(|| T::unpack(bits >> 1))
    }
}

impl<A: Bits, B: Bits> Bits for (A, B) {
    const WIDTH: u32 = A::WIDTH + B::WIDTH;

    #[inline]
    fn pack(&self) -> u64 {
        Word::of(&self.0).and(&self.1).bits
    }

    #[inline]
    fn unpack(bits: u64) -> Self {
        let mut word = Word::unread(bits);
        (word.take(), word.take())
    }
}

/// Whole numbers, and what wraps one.
macro_rules! numbers {
    ($($type:ty: $width:literal, $value:ident => $to:expr, $bits:ident => $from:expr;)+) => {
        $(impl Bits for $type {
            const WIDTH: u32 = $width;

            #[inline]
            fn pack(&self) -> u64 {
                let $value = *self;
                u64::from($to)
            }

            #[inline]
            fn unpack($bits: u64) -> Self {
                $from
            }
        })+
    };
}

numbers! {
    bool: 1, value => value, bits => bits == 1;
    u8: 8, value => value, bits => bits as Self;
    u32: 32, value => value, bits => bits as Self;
    Id: 4, value => value.0, bits => Self(bits as u8);
    Data: 13, value => value.bits(), bits => Self::from_bits(bits as u16);
    Token: 5, value => value.code(), bits => Self::from_code(bits);
    ReplOffset<i16>: 16, value => value.0.cast_unsigned(), bits => Self((bits as u16).cast_signed());
    NextByte<i16>: 16, value => value.0.cast_unsigned(), bits => Self((bits as u16).cast_signed());
}

/// Enums without content. Each variant is named once more, in the order of its declaration.
macro_rules! variants {
    ($($type:ident: $width:literal, $($variant:ident)+;)+) => {
        $(impl Bits for $type {
            const WIDTH: u32 = $width;

            #[inline]
            fn pack(&self) -> u64 {
                match self {
                    $(Self::$variant)|+ => *self as u64,
                }
            }

            #[inline]
            fn unpack(bits: u64) -> Self {
                match bits {
                    $(_ if bits == Self::$variant as u64 => Self::$variant,)+
                    _ => unreachable!("what was packed is a variant"),
                }
            }
        })+
    };
}

variants! {
    NodeId: 2, Primary Replica Second Third;
    Wire: 2, Absent Whole Cut;
    ReplicaPhase: 3, Idle Asked Transferring Connected ConnectedMute;
    PrimaryPhase: 3, None Waiting Accumulating Held Online;
    Framing: 1, Disk Socket;
    Database: 1, First Other;
    ErrorReply: 1, Transient Unexpected;
    Question: 3, BelowFirst First JustAfterLast OneBeyond SecondaryFirst SecondaryLimit SecondaryBeyond ForeignId;
    Via: 2, Current Secondary Unchecked;
    Refusal: 3, NoLabel UnknownId BeyondSecondary NoBacklog TooOld TooNew;
}

/// Structs, field by field.
macro_rules! fields {
    ($($type:ident { $($field:ident: $of:ty),+ })+) => {
        $(impl Bits for $type {
            const WIDTH: u32 = 0 $(+ <$of>::WIDTH)+;

            #[inline]
            fn pack(&self) -> u64 {
                Word::default()$(.and(&self.$field))+.bits
            }

            #[inline]
            fn unpack(bits: u64) -> Self {
                let mut word = Word::unread(bits);
                Self { $($field: word.take()),+ }
            }
        })+
    };
}

fields! {
    Label { id: Id, offset: ReplOffset<i16> }
    Secondary { id: Id, limit: NextByte<i16> }
    Saved { data: Data, label: Option<Label>, database: Option<Database> }
    Snapshot { data: Data, label: Label, framing: Framing, database: Option<Database> }
    Request { wanted: Option<(Id, NextByte<i16>)> }
    Connection { at: NodeId, phase: PrimaryPhase, unsent_from: Option<ReplOffset<i16>> }
    Stranger { question: Question, answer: Answer }
}

impl Bits for Role {
    const WIDTH: u32 = Option::<NodeId>::WIDTH;

    #[inline]
    fn pack(&self) -> u64 {
        match *self {
            Self::Primary => None,
            Self::ReplicaOf(parent) => Some(parent),
        }
        .pack()
    }

    #[inline]
    fn unpack(bits: u64) -> Self {
        Option::unpack(bits).map_or(Self::Primary, Self::ReplicaOf)
    }
}

impl Bits for Reply {
    const WIDTH: u32 = 2 + Label::WIDTH;

    #[inline]
    fn pack(&self) -> u64 {
        match self {
            Self::Continue(id) => id.pack() << 2,
            Self::FullResync(label) => 1 | label.pack() << 2,
            Self::Error(error) => 2 | error.pack() << 2,
        }
    }

    #[inline]
    fn unpack(bits: u64) -> Self {
        let content = bits >> 2;
        match bits & 3 {
            0 => Self::Continue(Bits::unpack(content)),
            1 => Self::FullResync(Bits::unpack(content)),
            _ => Self::Error(Bits::unpack(content)),
        }
    }
}

impl Bits for Answer {
    const WIDTH: u32 = 1 + Refusal::WIDTH;

    #[inline]
    fn pack(&self) -> u64 {
        match self {
            Self::Continue(via) => via.pack() << 1,
            Self::Full(refusal) => 1 | refusal.pack() << 1,
        }
    }

    #[inline]
    fn unpack(bits: u64) -> Self {
        let content = bits >> 1;
        if bits & 1 == 0 {
            Self::Continue(Bits::unpack(content))
        } else {
            Self::Full(Bits::unpack(content))
        }
    }
}
