//! `psync-model explore`: stateright's explorer over one scope, with words and a drawing for every step.
//!
//! The explorer shows only steps that apply. What is the same state is decided among canonical worlds, which are
//! renumbered after each step; what is shown are plain worlds, where `R1` stays `R1`.

use super::Outcome;
use super::own_scope::{Changes, Chosen};
use super::page::{page, truth};
use super::select::{fault_named, one_era, rulebook, scope_named};
use anyhow::Context;
use psync_model::case::Case;
use psync_model::narrate::{Moment, fields, moments, roomy};
use psync_model::property::Property;
use psync_model::rulebook::{Era, Rulebook};
use psync_model::rules::Setting;
use psync_model::scope::{self, NamedScope};
use psync_model::search::Search;
use psync_model::step::{Part, Step};
use psync_model::world::World;
use psync_model::{checker, fault, fault::Fault};
use stateright::{Model, Path, Property as Claim};
use std::borrow::Borrow;
use std::fmt::Write;
use std::fs::File;
use std::hash::{Hash, Hasher};
use std::io::BufReader;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;

const DETAILS: &str = "\
The page lists the steps that apply; choose one to go on. It shows every node and link with what the step changed,
whether each property holds, and the sequence diagram of the whole path. Ctrl-C ends it.

With a CASE, such as `check` keeps of a counterexample, the exploration begins at its last state; the page's list of
beginnings has the states on the way there too. Era, fault and scope are those of the case unless told otherwise.

Examples:
  psync-model explore
  psync-model explore --era psync --fault backlog-lower-bound-ignored
  psync-model explore --era psync2-v7 --as-shipped --scope errors
  psync-model explore target/psync/model/psync2-v7-replay-request-not-plus-one.jsonl
  psync-model explore --port 3001";

/// What to explore, and where.
#[derive(Debug, clap::Args)]
#[command(after_help = DETAILS)]
pub(crate) struct Args {
    /// A case at whose last state to begin
    #[arg(value_name = "CASE")]
    case: Option<PathBuf>,
    /// The generation of the protocol
    #[arg(long, value_enum)]
    era: Vec<Era>,
    /// How far the exploration goes: `replay` unless told otherwise
    #[arg(long, value_parser = scope_named)]
    scope: Option<&'static NamedScope>,
    /// A flaw to put into the specification
    #[arg(long, value_parser = fault_named)]
    fault: Option<&'static Fault>,
    /// Put the flaws into it that servers of the era still have
    #[arg(long, conflicts_with = "fault")]
    as_shipped: bool,
    /// Where the page is served; anything but the loopback lets others in
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    address: IpAddr,
    /// The port of the page; 0 for any that is free
    #[arg(long, default_value = "3000")]
    port: u16,
    #[command(flatten)]
    changes: Changes,
}

impl Args {
    fn read_case(&self) -> anyhow::Result<Option<Case>> {
        let Some(path) = &self.case else {
            return Ok(None);
        };
        let place = || path.display().to_string();
        let file = File::open(path).with_context(place)?;
        Case::read(BufReader::new(file))
            .with_context(place)
            .map(Some)
    }

    /// The fault asked for, or that of the case.
    fn fault(&self, case: Option<&Case>) -> Option<&'static Fault> {
        let of_case = || fault::named(case?.header.fault.as_ref()?);
        self.fault
            .or_else(|| of_case().filter(|_| !self.as_shipped))
    }

    fn book(&self, era: Era, case: Option<&Case>) -> anyhow::Result<Rulebook> {
        let fault = self.fault(case);
        let shipped = self.as_shipped || case.is_some_and(|case| case.header.as_shipped);
        match fault {
            None if shipped => Ok(era.rulebook().as_shipped()),
            _ => rulebook(era, fault),
        }
    }

    fn scope(&self, case: Option<&Case>) -> anyhow::Result<Chosen> {
        match (self.scope, case) {
            (Some(named), _) => self.changes.on(named),
            (None, Some(case)) => self.changes.on_scope("of the case", case.header.scope),
            (None, None) => {
                let usual = scope::named("replay").expect("the usual scope exists");
                self.changes.on(usual)
            }
        }
    }
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let case = args.read_case()?;
    let case = case.as_ref();
    let home = args.fault(case).map_or(Era::Psync2V7, Fault::home);
    let era = one_era(&args.era, case.map_or(home, |case| case.header.era))?;
    let scope = args.scope(case)?;
    let search = Search::new(args.book(era, case)?, scope.scope);
    let steps = case.map_or_else(Vec::new, |case| case.steps.clone());
    let explorer = Explorer::at_the_end_of(steps, search)?;
    let address = free_address(SocketAddr::new(args.address, args.port))?;
    if !address.ip().is_loopback() {
        eprintln!("psync-model: {address} is not the loopback: whoever reaches it sees the page");
    }
    println!(
        "era {era}, scope {}: open http://{address}/{} in a browser (Ctrl-C ends)",
        scope.name,
        explorer.fragment()
    );
    explorer.checker().serve(address);
    Ok(Outcome::Proved)
}

/// The explorer would panic on a port in use; binding it first gives the reason as an error.
fn free_address(wanted: SocketAddr) -> anyhow::Result<SocketAddr> {
    let probe = TcpListener::bind(wanted).with_context(|| {
        format!("cannot serve on {wanted}: choose another with --port, 0 for any that is free")
    })?;
    probe.local_addr().context("the address just bound")
}

/// A state in the explorer.
#[derive(Clone)]
struct Place {
    /// What decides whether two states are the same.
    canonical: World,
    /// The same, as it is shown.
    plain: World,
    /// How many steps of the case came before the first state of the path.
    begun: usize,
    setting: Setting,
}

impl PartialEq for Place {
    fn eq(&self, other: &Self) -> bool {
        self.canonical == other.canonical
    }
}

impl Hash for Place {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.canonical.hash(state);
    }
}

impl Borrow<World> for Place {
    fn borrow(&self) -> &World {
        &self.canonical
    }
}

/// The complete state, for whoever asks the page for it.
impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&fields::table(&self.plain, &self.plain, &self.setting))
    }
}

/// The search as the explorer wants it: only steps that apply, and words.
struct Explorer {
    search: Search,
    /// The steps of the case.
    steps: Vec<Step>,
    /// The states along the case, the fresh one first.
    beginnings: Vec<Place>,
}

impl Explorer {
    fn at_the_end_of(steps: Vec<Step>, search: Search) -> anyhow::Result<Self> {
        let (setting, topology) = (search.setting, search.scope.topology);
        let story = moments(&steps, &setting, topology)
            .context("the case is no plan in this era, scope and with this fault")?;
        let worlds = story.iter().map(|moment| moment.after);
        let beginnings = std::iter::once(topology.beginning())
            .chain(worlds)
            .enumerate()
            .map(|(begun, plain)| Place {
                canonical: search.settled(plain),
                plain,
                begun,
                setting,
            })
            .collect();
        Ok(Self {
            search,
            steps,
            beginnings,
        })
    }

    /// The world after a step; a check ends at a violation, an exploration goes on to see what comes of it.
    fn next(&self, place: &Place, step: Step) -> Option<World> {
        let mut open = place.canonical;
        open.broken = 0;
        self.search.next(&open, step)
    }

    /// Where on the page the last state of the case is.
    fn fragment(&self) -> String {
        match self.steps.len() {
            0 => String::new(),
            last => format!("#/steps/{last}"),
        }
    }
}

impl Model for Explorer {
    type State = Place;
    type Action = Step;

    fn init_states(&self) -> Vec<Place> {
        self.beginnings.clone()
    }

    fn actions(&self, place: &Place, actions: &mut Vec<Step>) {
        let steps = self.search.steps.iter().copied();
        actions.extend(steps.filter(|&step| self.next(place, step).is_some()));
    }

    fn next_state(&self, place: &Place, step: Step) -> Option<Place> {
        Some(Place {
            canonical: self.next(place, step)?,
            plain: step.apply(&roomy(&place.plain), &self.search.setting)?,
            ..*place
        })
    }

    fn properties(&self) -> Vec<Claim<Self>> {
        checker::properties()
    }

    fn format_action(&self, step: &Step) -> String {
        let node = step.node().name();
        match step.part() {
            Part::Environment => format!("environment, at the {node}: {step}"),
            Part::Primary => format!("for the {node}: {step}"),
            Part::Replica => format!("{node}: {step}"),
        }
    }

    fn format_step(&self, place: &Place, step: Step) -> Option<String> {
        let before = roomy(&place.plain);
        let after = step.apply(&before, &self.search.setting)?;
        let moment = Moment {
            step,
            before,
            after,
        };
        Some(describe(&moment, &self.search.setting))
    }

    fn as_svg(&self, path: Path<Place, Step>) -> Option<String> {
        let path = path.into_vec();
        let begun = path.first()?.0.begun;
        let mut steps = self.steps[..begun].to_vec();
        steps.extend(path.into_iter().filter_map(|(_, step)| step));
        let (setting, topology) = (&self.search.setting, self.search.scope.topology);
        let story = moments(&steps, setting, topology).ok()?;
        Some(page(&story, &topology.beginning(), setting))
    }
}

/// The properties after a step, each with its sentence.
fn describe(moment: &Moment, setting: &Setting) -> String {
    let mut text = "properties after this step\n".to_owned();
    for property in Property::ALL {
        let (name, (_, word)) = (format!("{property:?}"), truth(property, moment, setting));
        let _ = writeln!(text, "    {name:<4} {word:<8} {}", property.sentence());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use psync_model::catch::{Caught, caught, ladder};

    fn explorer() -> Explorer {
        let fault = fault::named("request-not-plus-one").unwrap();
        let Caught { search, found, .. } = caught(fault, Era::Psync2V7, ladder(), |_| ()).unwrap();
        Explorer::at_the_end_of(found.steps, search).unwrap()
    }

    #[test]
    fn an_exploration_begins_along_the_case_and_goes_on_from_its_end() {
        let explorer = explorer();
        assert_eq!(explorer.init_states().len(), explorer.steps.len() + 1);
        assert_eq!(explorer.fragment(), "#/steps/12");
        let last = explorer.beginnings.last().unwrap();
        let mut actions = Vec::new();
        explorer.actions(last, &mut actions);
        let next = explorer.next_state(last, actions[0]).unwrap();
        assert_eq!(next.begun, 12);
        let path = Path::from_actions(&explorer, last.clone(), [&actions[0]]).unwrap();
        let page = explorer.as_svg(path).unwrap();
        assert!(
            page.contains(&format!("13  {}", actions[0])),
            "the whole story is drawn"
        );
    }

    #[test]
    fn an_exploration_goes_on_after_a_violation() {
        let explorer = explorer();
        let (before, last) = (&explorer.beginnings[11], explorer.steps[11]);
        let broken = explorer.next_state(before, last).unwrap();
        assert_ne!(broken.canonical.broken, 0);
        let mut actions = Vec::new();
        explorer.actions(&broken, &mut actions);
        assert!(!actions.is_empty());
    }

    #[test]
    fn a_case_that_is_no_plan_here_is_refused() {
        let Explorer { steps, search, .. } = explorer();
        let older = Search::new(Era::Sync.rulebook(), search.scope);
        assert!(Explorer::at_the_end_of(steps, older).is_err());
    }

    #[test]
    fn a_taken_port_is_an_error_that_says_what_to_do() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let error = free_address(taken.local_addr().unwrap()).unwrap_err();
        assert!(format!("{error:#}").contains("--port"));
    }
}
