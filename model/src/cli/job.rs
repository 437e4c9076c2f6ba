//! One check: an era in a scope, visited by one of the engines, and what it found.

use super::memory::Memory;
use super::own_scope::Chosen;
use super::progress::{Count, Meter};
use super::report::not_applicable;
use super::units::{readable_bytes, readable_duration};
use super::{MISUSE, Outcome};
use clap::ValueEnum;
use indicatif::HumanCount;
use psync_model::case::Case;
use psync_model::casting::Casting;
use psync_model::checker::second_opinion;
use psync_model::fault::Fault;
use psync_model::liveness::{self, NotProved, Stuck};
use psync_model::property::Property;
use psync_model::rulebook::Era;
use psync_model::search::Search;
use psync_model::step::Step;
use psync_model::survey::{Means, survey};
use psync_model::walk::{End, Limits, Progress, Violation, walk};
use psync_model::world::NodeId;
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::Duration;

/// The most states whose graph is held in memory for L1: some 400 bytes each.
pub(crate) const MOST_IN_MEMORY: usize = 2_000_000;

/// Which engine visits the states.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Engine {
    /// Our own walk: shortest counterexamples, coverage, and L1 on the graph
    Walk,
    /// Our own survey, on several threads and in less memory: for scopes that are too large for the walk
    Survey,
    /// stateright's breadth-first search, on all processors: a second opinion on counts and properties
    Stateright,
}

/// What to check.
#[derive(Debug)]
pub(crate) struct Job {
    /// The generation of the protocol.
    pub(crate) era: Era,
    /// How far.
    pub(crate) scope: Chosen,
    /// What is wrong on purpose.
    pub(crate) fault: Option<&'static Fault>,
    /// Whether the flaws are in it that servers of the era still have.
    pub(crate) as_shipped: bool,
    /// The graph.
    pub(crate) search: Search,
    /// After how many states to stop.
    pub(crate) max_states: Option<usize>,
    /// After how long to stop.
    pub(crate) timeout: Option<Duration>,
    /// With how much memory to stop, in bytes; with what is there unless told otherwise.
    pub(crate) memory: Option<u64>,
    /// The most states whose graph is judged for L1.
    pub(crate) most_for_liveness: usize,
    /// How many threads a survey has.
    pub(crate) threads: NonZeroUsize,
}

/// What became of a property.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It holds on every step, or every behaviour, of the scope.
    Proved,
    /// It does not.
    Violated,
    /// The era has nothing that it speaks about.
    NotApplicable(&'static str),
    /// Nothing is known, for this reason.
    NotJudged(String),
}

impl Verdict {
    /// Of two verdicts on different scopes the heavier one stands for both.
    pub(crate) const fn weight(&self) -> u8 {
        match self {
            Self::NotApplicable(_) => 0,
            Self::Proved => 1,
            Self::NotJudged(_) => 2,
            Self::Violated => 3,
        }
    }
}

/// What was found.
#[derive(Debug)]
pub(crate) struct Findings {
    /// Distinct states.
    pub(crate) states: usize,
    /// Steps that applied.
    pub(crate) edges: u64,
    /// The longest of the shortest paths; stateright's threads may take longer ones.
    pub(crate) depth: usize,
    /// Why it ended.
    pub(crate) end: End,
    /// The limit that ended it, in words, if one did.
    pub(crate) limit: Option<String>,
    /// How long it took.
    pub(crate) elapsed: Duration,
    /// What became of each property.
    pub(crate) verdicts: Vec<(Property, Verdict)>,
    /// How often each rule and branch fired, if the engine says.
    pub(crate) fired: Option<BTreeMap<Step, u64>>,
    /// How many states have so many steps that apply, by that number, if the engine says.
    pub(crate) degrees: Option<Vec<u64>>,
    /// A shortest way to break a property, if the engine has one.
    pub(crate) violation: Option<Violation>,
    /// A behaviour that does not converge.
    pub(crate) stuck: Option<Box<Stuck>>,
}

impl Findings {
    /// As the exit status says it.
    pub(crate) fn outcome(&self) -> Outcome {
        match self.end {
            End::Violated => Outcome::Violated,
            End::Complete if self.stuck.is_some() => Outcome::Violated,
            End::Complete => Outcome::Proved,
            End::TooManyStates | End::Interrupted => Outcome::Stopped,
        }
    }

    /// The verdict in one line: complete, bounded and why, violated.
    pub(crate) fn completeness(&self) -> String {
        match (self.outcome(), &self.limit) {
            (Outcome::Proved, _) => "complete: every state of the scope was visited".to_owned(),
            (Outcome::Violated, _) if self.end == End::Complete => {
                "violated: every state of the scope was visited, and a behaviour never converges"
                    .to_owned()
            }
            (Outcome::Violated, _) => "violated: the search ended there".to_owned(),
            (Outcome::Stopped, Some(limit)) => format!("bounded: stopped after {limit}"),
            (Outcome::Stopped, None) => "bounded: stopped before its end".to_owned(),
        }
    }

    /// The shortest counterexample and what it breaks, if there is one with its steps.
    pub(crate) fn counterexample(&self) -> Option<(&[Step], String)> {
        if let Some(violation) = &self.violation {
            let names: Vec<_> = Property::in_bits(violation.broken)
                .map(|property| format!("{property:?}"))
                .collect();
            return Some((&violation.steps, names.join("-")));
        }
        let stuck = self.stuck.as_ref()?;
        Some((&stuck.steps, format!("{:?}", Property::L1)))
    }
}

impl Job {
    /// What is checked, in words.
    pub(crate) fn title(&self) -> String {
        let flaw = match self.fault {
            Some(fault) => format!(", fault {}", fault.name),
            None if self.as_shipped => ", as shipped".to_owned(),
            None => String::new(),
        };
        format!("era {}, scope {}{flaw}", self.era, self.scope.name)
    }

    /// The name of files about it.
    pub(crate) fn file_stem(&self) -> String {
        let flaw = match self.fault {
            Some(fault) => fault.name,
            None if self.as_shipped => "as-shipped",
            None => "specification",
        };
        let scope = self.scope.name.replace(", ", "-").replace(' ', "-");
        format!("{}-{scope}-{flaw}", self.era)
    }

    /// A counterexample as a case for the node that is at fault.
    pub(crate) fn case(&self, steps: &[Step], broken: &str) -> Case {
        let side = self.fault.map_or(NodeId::Replica, |fault| fault.side);
        let casting = match side {
            NodeId::Primary => Casting::Primary,
            _ => Casting::Replica,
        };
        let scope = self.scope.scope;
        let mut case = Case::named(self.era, scope, casting, broken, steps.to_vec());
        case.header.fault = self.fault.map(|fault| fault.name.to_owned());
        case.header.as_shipped = self.as_shipped;
        case
    }

    /// Lets an engine visit the states.
    pub(crate) fn run(&self, engine: Engine) -> Findings {
        match engine {
            Engine::Walk => self.walk(),
            Engine::Survey => self.survey(),
            Engine::Stateright => self.stateright(),
        }
    }

    fn walk(&self) -> Findings {
        let mut meter = Meter::new(format!("{} {}", self.era, self.scope.name));
        let mut memory = Memory::limited_to(self.memory);
        let most = Limits::PROVE.max_states;
        let limits = Limits {
            max_states: self.max_states.unwrap_or(most).min(most),
            ..Limits::PROVE
        };
        let found = walk(&self.search, limits, |progress| {
            self.goes_on(progress, &mut meter, &mut memory)
        });
        let (liveness, stuck) = self.judge_liveness(found.states, found.end, &mut meter);
        let violation = found.violations.into_iter().next();
        let broken = violation.as_ref().map_or(0, |violation| violation.broken);
        Findings {
            states: found.states,
            edges: found.edges,
            depth: found.depth,
            end: found.end,
            limit: self.limit(found.end, limits.max_states, &memory),
            elapsed: meter.elapsed(),
            verdicts: self.verdicts(broken, found.end, &liveness),
            fired: Some(found.fired),
            degrees: Some(found.degrees),
            violation,
            stuck,
        }
    }

    /// A survey finds that something is broken, and the walk to it how.
    fn survey(&self) -> Findings {
        let mut meter = Meter::new(format!("{} {}, survey", self.era, self.scope.name));
        let mut memory = Memory::limited_to(self.memory);
        let all = Means::all();
        let means = Means {
            max_states: self.max_states.unwrap_or(all.max_states),
            threads: self.threads,
        };
        let watch = |progress| self.goes_on(progress, &mut meter, &mut memory);
        let found = survey(&self.search, means, watch);
        let (liveness, stuck) = self.judge_liveness(found.states, found.end, &mut meter);
        let elapsed = meter.elapsed();
        let limit = self.limit(found.end, found.states, &memory);
        let violation = (found.end == End::Violated).then(|| {
            let walk = walk(&self.search, Limits::PROVE, |progress| {
                has_memory(Count::with_queue(progress), &mut meter, &mut memory)
            });
            walk.violations.into_iter().next()
        });
        Findings {
            states: found.states,
            edges: found.edges,
            depth: found.depth,
            end: found.end,
            limit,
            elapsed,
            verdicts: self.verdicts(found.broken, found.end, &liveness),
            fired: Some(found.fired),
            degrees: Some(found.degrees),
            violation: violation.flatten(),
            stuck,
        }
    }

    /// Tells of the progress; whether there is time and memory left.
    fn goes_on(&self, progress: Progress, meter: &mut Meter, memory: &mut Memory) -> bool {
        has_memory(Count::with_queue(progress), meter, memory)
            && self.timeout.is_none_or(|most| meter.elapsed() < most)
    }

    fn stateright(&self) -> Findings {
        let mut meter = Meter::new(format!("{} {}, stateright", self.era, self.scope.name));
        let mut memory = Memory::limited_to(self.memory);
        let watch = |progress: Progress| {
            if !has_memory(Count::without_queue(progress), &mut meter, &mut memory) {
                // Its threads cannot be told to stop, and nothing is known of what they found.
                let why = after_memory(&memory);
                eprintln!("psync-model: stateright was stopped after {why}");
                std::process::exit(MISUSE.into());
            }
        };
        let found = second_opinion(&self.search, self.max_states, self.timeout, watch);
        let liveness = Verdict::NotJudged("this engine has no graph; leave --engine away".into());
        Findings {
            states: found.states,
            edges: found.edges,
            depth: found.depth,
            end: found.end,
            limit: self.limit(found.end, found.states, &memory),
            elapsed: meter.elapsed(),
            verdicts: self.verdicts(found.broken, found.end, &liveness),
            fired: None,
            degrees: None,
            violation: None,
            stuck: None,
        }
    }

    /// The limit that ended the search, in words.
    fn limit(&self, end: End, states: usize, memory: &Memory) -> Option<String> {
        match end {
            End::TooManyStates => Some(format!("{} states", HumanCount(states as u64))),
            End::Interrupted if memory.is_used_up() => Some(after_memory(memory)),
            End::Interrupted => self.timeout.map(readable_duration),
            End::Complete | End::Violated => None,
        }
    }

    fn judge_liveness(
        &self,
        states: usize,
        end: End,
        meter: &mut Meter,
    ) -> (Verdict, Option<Box<Stuck>>) {
        if end != End::Complete {
            return (not_judged("not every state was visited"), None);
        }
        if self.as_shipped {
            return (not_judged(ONLY_OUTSIDE), None);
        }
        if self.search.symmetry {
            return (
                not_judged("up to symmetry nodes have no names, which fairness needs"),
                None,
            );
        }
        if self.timeout.is_some_and(|most| meter.elapsed() >= most) {
            return (
                not_judged("the time was up before the graph was judged"),
                None,
            );
        }
        if states > self.most_for_liveness {
            let most = HumanCount(self.most_for_liveness as u64);
            let why = format!("the graph is judged up to {most} states only; see a smaller scope");
            return (Verdict::NotJudged(why), None);
        }
        meter.say(|| "every state visited; judging L1 on the graph".into());
        match liveness::prove(self.search.clone(), states + 1) {
            Ok(_) => (Verdict::Proved, None),
            Err(NotProved::Stuck(stuck)) => (Verdict::Violated, Some(stuck)),
            Err(why) => (Verdict::NotJudged(why.to_string()), None),
        }
    }

    fn verdicts(&self, broken: u32, end: End, liveness: &Verdict) -> Vec<(Property, Verdict)> {
        let book = &self.search.setting.book;
        let judge = |property: Property| {
            if broken & property.bit() != 0 {
                return Verdict::Violated;
            }
            if let Some(why) = not_applicable(property, book) {
                return Verdict::NotApplicable(why);
            }
            if property != Property::L1 && self.search.watched & property.bit() == 0 {
                return not_judged(ONLY_OUTSIDE);
            }
            match (property, end) {
                (Property::L1, _) => liveness.clone(),
                (_, End::Complete) => Verdict::Proved,
                (_, End::Violated) => not_judged("the search ended at the first violation"),
                (_, End::TooManyStates | End::Interrupted) => {
                    not_judged("the search was stopped; nothing was found until then")
                }
            }
        };
        Property::ALL
            .map(|property| (property, judge(property)))
            .to_vec()
    }
}

/// Why most properties are not judged as shipped.
const ONLY_OUTSIDE: &str = "only what somebody outside can see is watched";

/// Tells of the progress; whether there is memory left.
fn has_memory(count: Count, meter: &mut Meter, memory: &mut Memory) -> bool {
    memory.look();
    meter.count(count.and_memory(memory.used()));
    !memory.is_used_up()
}

/// The limit on memory, in words.
fn after_memory(memory: &Memory) -> String {
    let used = readable_bytes(memory.used());
    format!("{used} of memory, and the whole scope takes more (--memory sets the limit)")
}

fn not_judged(why: &str) -> Verdict {
    Verdict::NotJudged(why.to_owned())
}
