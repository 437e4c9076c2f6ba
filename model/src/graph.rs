//! The whole graph of a scope in memory, for questions about behaviours and for plans.
//!
//! Only for scopes small enough: every world is kept, and every edge. [`crate::walk`] does without.

use crate::search::Search;
use crate::step::Step;
use crate::walk::{End, fingerprint};
use crate::world::World;
use std::collections::HashMap;
use std::convert::Infallible;
use std::ops::ControlFlow;

/// The place of a world in [`Graph::worlds`].
pub type WorldIndex = u32;

/// One edge, seen from where it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrow {
    /// The step, as its place in [`Search::steps`].
    pub step: u16,
    /// Where it leads.
    pub to: WorldIndex,
}

/// Every world and every edge of a scope. The first world is the initial one; the others follow in
/// breadth-first order, so that a nearer world has a lower index.
#[derive(Debug)]
pub struct Graph {
    /// The worlds.
    pub worlds: Vec<World>,
    /// The edges of all worlds, one after the other.
    arrows: Vec<Arrow>,
    /// Where the edges of each world begin; one more at the end.
    begins: Vec<u32>,
    /// By which edge each world was first reached: the world it started from, and the step.
    came_from: Vec<(WorldIndex, u16)>,
    /// Whether everything is there.
    pub end: End,
}

impl Graph {
    /// Explores a scope, up to a number of worlds.
    pub fn explore(search: &Search, max_worlds: usize) -> Self {
        let mut graph = Self {
            worlds: vec![search.beginning()],
            arrows: Vec::new(),
            begins: vec![0],
            came_from: vec![(0, 0)],
            end: End::Complete,
        };
        let mut found = HashMap::from([(fingerprint(&graph.worlds[0]), 0)]);
        let mut current = 0;
        while current < graph.worlds.len() {
            if graph.worlds.len() >= max_worlds {
                graph.end = End::TooManyStates;
                break;
            }
            graph.expand(search, current as WorldIndex, &mut found);
            graph.begins.push(graph.arrows.len() as u32);
            current += 1;
        }
        graph
            .begins
            .resize(graph.worlds.len() + 1, graph.arrows.len() as u32);
        graph
    }

    fn expand(&mut self, search: &Search, from: WorldIndex, found: &mut HashMap<u64, WorldIndex>) {
        let world = self.worlds[from as usize];
        let ControlFlow::Continue(()) = search.each_next(&world, |place, next| {
            let new = self.worlds.len() as WorldIndex;
            let to = *found.entry(next.now.fingerprint()).or_insert(new);
            if to == new {
                self.worlds.push(search.judged(next));
                self.came_from.push((from, place as u16));
            }
            self.arrows.push(Arrow {
                step: place as u16,
                to,
            });
            ControlFlow::<Infallible>::Continue(())
        });
    }

    /// The edges that start at a world.
    pub fn arrows_from(&self, world: WorldIndex) -> &[Arrow] {
        let world = world as usize;
        &self.arrows[self.begins[world] as usize..self.begins[world + 1] as usize]
    }

    /// How many edges there are.
    pub fn edges(&self) -> usize {
        self.arrows.len()
    }

    /// A shortest way from the initial world to this one.
    pub fn path_to(&self, search: &Search, mut world: WorldIndex) -> Vec<Step> {
        let mut steps = Vec::new();
        while world != 0 {
            let (from, place) = self.came_from[world as usize];
            steps.push(search.steps[usize::from(place)]);
            world = from;
        }
        steps.reverse();
        steps
    }
}
