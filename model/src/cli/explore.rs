//! `psync-model explore`: stateright's explorer over one scope, with words and a drawing for every step.
//!
//! The explorer shows only steps that apply. It works on canonical worlds, which are renumbered after each
//! step; the words and the drawing are made in plain worlds, where `R1` stays `R1`.

use super::Outcome;
use super::select::{fault_named, one_era, rulebook, scope_named};
use anyhow::Context;
use psync_model::narrate::{Moment, fields, moments};
use psync_model::property::{Edge, Property};
use psync_model::rulebook::Era;
use psync_model::scope::NamedScope;
use psync_model::search::Search;
use psync_model::step::{Part, Step};
use psync_model::world::World;
use psync_model::{checker, diagram, fault::Fault};
use stateright::{Model, Path, Property as Claim};
use std::fmt::Write;
use std::net::{SocketAddr, TcpListener};

const DETAILS: &str = "\
The page lists the steps that apply; choose one to go on. Below stand what it changed, whether each
property holds, and the sequence diagram of the whole path. Ctrl-C ends it.

Examples:
  psync-model explore
  psync-model explore --era psync --fault backlog-lower-bound-ignored
  psync-model explore --address 127.0.0.1:3001";

/// What to explore, and where.
#[derive(Debug, clap::Args)]
#[command(after_help = DETAILS)]
pub(crate) struct Args {
    /// The generation of the protocol
    #[arg(long, value_enum)]
    era: Vec<Era>,
    /// How far the exploration goes: smoke, replay, pings or pair
    #[arg(long, value_parser = scope_named, default_value = "replay")]
    scope: &'static NamedScope,
    /// A flaw to put into the specification
    #[arg(long, value_parser = fault_named)]
    fault: Option<&'static Fault>,
    /// Where the page is served; anything but the loopback lets others in
    #[arg(long, default_value = "127.0.0.1:3000")]
    address: SocketAddr,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let home = args.fault.map_or(Era::Psync2V7, Fault::home);
    let era = one_era(&args.era, home)?;
    let search = Search::new(rulebook(era, args.fault)?, args.scope.scope);
    // The explorer would panic on a port in use; binding it first gives the reason as an error.
    let probe = TcpListener::bind(args.address).with_context(|| {
        format!(
            "cannot serve on {}: choose another with --address 127.0.0.1:PORT",
            args.address
        )
    })?;
    let address = probe.local_addr().context("the address just bound")?;
    drop(probe);
    if !address.ip().is_loopback() {
        eprintln!("psync-model: {address} is not the loopback: whoever reaches it sees the page");
    }
    println!(
        "era {era}, scope {}: open http://{address}/ in a browser (Ctrl-C ends)",
        args.scope.name
    );
    Explorer(search).checker().serve(address);
    Ok(Outcome::Proved)
}

/// The search as the explorer wants it: only steps that apply, and words.
struct Explorer(Search);

impl Model for Explorer {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        vec![self.0.beginning()]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Step>) {
        let steps = self.0.steps.iter().copied();
        actions.extend(steps.filter(|&step| self.0.next(world, step).is_some()));
    }

    fn next_state(&self, world: &World, step: Step) -> Option<World> {
        self.0.next(world, step)
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

    fn format_step(&self, before: &World, step: Step) -> Option<String> {
        let after = step.apply(before, &self.0.setting)?;
        Some(self.describe(&Moment {
            step,
            before: *before,
            after,
        }))
    }

    fn as_svg(&self, path: Path<World, Step>) -> Option<String> {
        let steps: Vec<_> = path
            .into_vec()
            .into_iter()
            .filter_map(|(_, step)| step)
            .collect();
        let topology = self.0.scope.topology;
        let story = moments(&steps, &self.0.setting, topology).ok()?;
        Some(diagram::svg(&story, &self.0.setting))
    }
}

impl Explorer {
    /// One step in words: the sentence, the fields, the properties.
    fn describe(&self, moment: &Moment) -> String {
        let setting = &self.0.setting;
        let mut text = format!("{}.\n\n", moment.sentence(setting));
        text.push_str(&fields::table(&moment.before, &moment.after, setting));
        let edge = Edge::new(&moment.before, moment.step, &moment.after, setting);
        text.push_str("\nproperties after this step\n");
        for property in Property::ALL {
            let holds = match (property, property.holds(&edge)) {
                (Property::L1, _) => "(about whole behaviours)",
                (_, true) => "holds",
                (_, false) => "BROKEN",
            };
            let name = format!("{property:?}");
            let _ = writeln!(text, "    {name:<4} {holds:<8} {}", property.sentence());
        }
        text
    }
}
