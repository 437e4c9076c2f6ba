//! What a step makes of a world, in both forms: as the rules see it, and in few words.
//!
//! A step changes little of a world. So there is one outcome in hand for all steps from a world: each changes it, and what it
//! has touched is put back before the next.

use crate::parts::Parts;
use crate::world::World;
use crate::world::packed::{Marked, Packed};

/// A world, and the same in few words.
#[derive(Clone, Copy, Debug)]
pub struct Both {
    /// The world.
    pub world: World,
    marked: Marked,
}

/// A world that one step leads to.
#[derive(Debug)]
pub struct Outcome<'a> {
    /// The world before.
    pub before: &'a Both,
    /// The world after.
    pub now: Both,
    /// What is not as before.
    pub(crate) changed: Parts,
}

impl Both {
    /// A world with its words.
    pub fn of(world: &World) -> Self {
        let mut world = *world;
        world.touched = Parts::NONE;
        let marked = Marked::of(&world);
        Self { world, marked }
    }

    /// Its words.
    pub const fn packed(&self) -> &Packed {
        self.marked.packed()
    }

    /// The fingerprint of the world, as [`Packed::fingerprint`].
    pub const fn fingerprint(&self) -> u64 {
        self.marked.fingerprint()
    }

    /// Makes this another world of as many nodes, of which the words are known. What is the same stays.
    pub(crate) fn turn_into(&mut self, packed: &Packed) {
        let differing = self.packed().difference(packed);
        self.world.unpack_parts(packed, differing);
        self.marked.turn_into(packed, differing);
    }
}

impl<'a> Outcome<'a> {
    /// Nothing has happened yet.
    pub(crate) const fn from(before: &'a Both) -> Self {
        Self {
            before,
            now: *before,
            changed: Parts::NONE,
        }
    }

    /// Writes what was touched into the words, and notes what of it has changed.
    pub(crate) fn write(&mut self) {
        let touched = std::mem::replace(&mut self.now.world.touched, Parts::NONE);
        let Both { world, marked } = &mut self.now;
        marked.write(world, touched, self.before.packed(), &mut self.changed);
    }

    /// Notes that these properties do not hold.
    pub(crate) fn note_broken(&mut self, broken: u32) {
        self.now.world.broken |= broken;
        self.write();
    }

    /// Makes the world after the world before again.
    #[inline]
    pub(crate) fn put_back(&mut self) {
        let touched = std::mem::replace(&mut self.now.world.touched, Parts::NONE);
        let held = std::mem::replace(&mut self.changed, Parts::NONE).and(touched);
        if held != Parts::NONE {
            self.now.world.put_back(&self.before.world, held);
            self.now.marked.put_back(&self.before.marked, held);
        }
    }
}
