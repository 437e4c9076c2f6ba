//! Plays one case, and then lets the world calm down.
//!
//! After the last step of the plan the harness goes on by the shortest way to a world in which every replica has
//! everything and says so. A subject that has lost its way is found out there, whatever the plan looked at.
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::Instant;

use anyhow::anyhow;
use psync_model::case::Case;
use psync_model::casting::Casting;
use psync_model::cover;
use psync_model::property::{has_caught_up, has_converged};
use psync_model::rules::Setting;
use psync_model::scope::Scope;
use psync_model::situation::Target;
use psync_model::step::Step;
use psync_model::world::{Framing, NodeId, World};

use crate::needs;
use crate::process::ProcessError;
use crate::profile::Profile;
use crate::proxy::Proxy;
use crate::stage::as_network::AsNetwork;
use crate::stage::as_primary::AsPrimary;
use crate::stage::as_replica::AsReplica;
use crate::stage::{PRIMARY, REPLICA, Stage, Trouble};
use crate::transcript::{CaseClock, Transcript};
use crate::verdict::{Check, Mismatch, Outcome, Verdict};

/// How many steps the world may need to calm down: a full resynchronization with everything before it.
const MAX_CALM_STEPS: usize = 24;

/// So many ways to rest are tried, where the subject does not go the one that was planned.
const CALM_WAYS: usize = 3;

/// The side of the harness, by casting.
enum Side {
    Replica(Box<AsReplica>),
    Primary(Box<AsPrimary>),
    Network(Box<AsNetwork>),
}

impl Side {
    fn open(case: &Case, profile: &Profile) -> Result<Self, Trouble> {
        let clock = CaseClock::start();
        match case.header.casting {
            Casting::Primary => {
                let stage = Stage::open(case, profile, &[(PRIMARY, None)], clock)?;
                Ok(Self::Replica(Box::new(AsReplica::new(stage)?)))
            }
            Casting::Replica => {
                let limit = profile.waits.reply_ms.duration();
                let played = AsPrimary::listen(limit, Transcript::new("played primary", clock))?;
                let places = [(REPLICA, Some(played.addr()))];
                let stage = Stage::open(case, profile, &places, clock)?;
                Ok(Self::Primary(Box::new(AsPrimary::new(stage, played))))
            }
            Casting::Whole => {
                let side = AsNetwork::open(case, profile, clock)?;
                Ok(Self::Network(Box::new(side)))
            }
        }
    }

    fn stage(&mut self) -> &mut Stage {
        match self {
            Self::Replica(side) => side.stage(),
            Self::Primary(side) => side.stage(),
            Self::Network(side) => side.stage(),
        }
    }

    fn perform(&mut self, step: Step) -> Result<(), Trouble> {
        match self {
            Self::Replica(side) => side.perform(step),
            Self::Primary(side) => side.perform(step),
            Self::Network(side) => side.perform(step),
        }
    }

    /// Hands the transcripts of the subjects' own connections over, for a report.
    fn remember_transcripts(&mut self) {
        match self {
            Self::Replica(_) => {}
            Self::Primary(side) => side.remember_transcripts(),
            Self::Network(side) => side.remember_transcripts(),
        }
    }
}

/// Puts a proxy in front of a subject: how the judge itself is judged, by a good server made wrong on the way.
pub type MakeProxy<'a> = &'a dyn Fn(SocketAddr) -> std::io::Result<Proxy>;

/// Plays a case. An error is the harness's own failure, never the subject's.
pub fn play(case: &Case, profile: &Profile) -> anyhow::Result<Outcome> {
    play_with(case, profile, None, |_, _| {})
}

/// Plays a case, tells `watch` of each step before it is taken, with its number from 0, and lets the played
/// replica come through a proxy if there is to be one.
pub fn play_with(
    case: &Case,
    profile: &Profile,
    proxy: Option<MakeProxy<'_>>,
    mut watch: impl FnMut(usize, Step),
) -> anyhow::Result<Outcome> {
    let started = Instant::now();
    let outcome = |verdict, met, spared| Outcome {
        case: case.header.id.clone(),
        verdict,
        met,
        spared,
        elapsed_ms: started.elapsed().as_millis() as u64,
    };
    if let Some(missing) = needs::missing(case, profile) {
        let none = BTreeSet::new();
        return Ok(outcome(Verdict::Skipped { missing }, none.clone(), none));
    }
    let mut side = Side::open(case, profile).map_err(harness_error)?;
    if let Some(make) = proxy {
        let stage = side.stage();
        stage.proxy = Some(make(stage.server(PRIMARY).subject.addr())?);
    }
    let ended = follow(case, &mut side, &mut watch).and_then(|()| calm_down(&mut side, &mut watch));
    let ended = ended.map_err(|trouble| blame_the_dead(trouble, side.stage()));
    let verdict = match ended {
        Ok(()) => Verdict::Pass,
        Err(Trouble::Parted(reason)) => Verdict::Inconclusive {
            at: side.stage().at,
            reason,
        },
        Err(Trouble::Harness(error)) => return Err(error),
        Err(Trouble::Wrong { mismatch, others }) => {
            side.remember_transcripts();
            let stage = side.stage();
            let step = stage.case.steps[stage.at.min(stage.case.steps.len() - 1)];
            Verdict::Fail(Box::new(stage.failure(step, mismatch, others)))
        }
    };
    let stage = side.stage();
    let kept_at = stage.kept_data_at.unwrap_or(case.steps.len());
    let spared = targets_from(case, kept_at);
    Ok(outcome(verdict, stage.oracle.met(), spared))
}

/// The targets that a plan meets from one of its steps on, if it is carried out as it stands.
pub fn targets_from(case: &Case, at: usize) -> BTreeSet<Target> {
    let Ok(setting) = case.setting() else {
        return BTreeSet::new();
    };
    let worlds = cover::run(&setting, case.header.scope.topology, &case.steps);
    let steps = worlds.iter().zip(&case.steps).skip(at);
    steps
        .filter_map(|(world, step)| Target::of(case.header.casting, world, *step))
        .collect()
}

fn harness_error(trouble: Trouble) -> anyhow::Error {
    match trouble {
        Trouble::Harness(error) => error,
        other => anyhow!("the case could not begin: {other:?}"),
    }
}

/// What looks like trouble of the harness is the subject's when the subject is no longer there, or did not come up again.
/// One that the harness has killed, and that was not ready again in time, has done nothing wrong.
fn blame_the_dead(trouble: Trouble, stage: &mut Stage) -> Trouble {
    let Trouble::Harness(error) = trouble else {
        return trouble;
    };
    let servers = stage.servers.values_mut();
    let ended = servers.map(|server| server.subject.ended_by_itself());
    let ended = ended.filter_map(Result::ok).flatten().next();
    let came = match (ended, error.downcast_ref()) {
        (Some(status), _) => format!("it ended by itself with {status} ({error:#})"),
        (None, Some(ProcessError::EndedEarly { .. })) => format!("{error:#}"),
        _ => return Trouble::Harness(error),
    };
    let allowed = "a subject that runs until it is told to end";
    Trouble::wrong(Mismatch::new(Check::Progress, allowed, came))
}

fn follow(
    case: &Case,
    side: &mut Side,
    watch: &mut impl FnMut(usize, Step),
) -> Result<(), Trouble> {
    for (at, &step) in case.steps.iter().enumerate() {
        watch(at, step);
        side.stage().at = at;
        side.perform(step)?;
    }
    Ok(())
}

/// Goes on to a world in which the replica has everything. If the subject goes another way, from where that leads.
fn calm_down(side: &mut Side, watch: &mut impl FnMut(usize, Step)) -> Result<(), Trouble> {
    for _ in 1..CALM_WAYS {
        match calm_down_once(side, watch) {
            Err(Trouble::Parted(_)) => {}
            ended => return ended,
        }
    }
    calm_down_once(side, watch)
}

/// Goes the shortest calm way.
fn calm_down_once(side: &mut Side, watch: &mut impl FnMut(usize, Step)) -> Result<(), Trouble> {
    let stage = side.stage();
    let (setting, header) = (stage.setting, &stage.case.header);
    let way = way_to_rest(stage.world(), &setting, &header.scope, header.casting);
    if way.is_none() && stage.case.header.as_shipped {
        // Some flaws leave the replica astray for good.
        return Ok(());
    }
    let way = way.ok_or_else(|| anyhow!("no calm way leads from {:?} to rest", stage.world()))?;
    for step in way {
        let stage = side.stage();
        stage.case.steps.push(step);
        stage.at = stage.case.steps.len() - 1;
        watch(stage.at, step);
        side.perform(step)?;
    }
    Ok(())
}

fn way_to_rest(
    from: &World,
    setting: &Setting,
    scope: &Scope,
    casting: Casting,
) -> Option<Vec<Step>> {
    let is_known = casting != Casting::Whole || scope.acknowledgements;
    let rests = |world: &World, node: NodeId| {
        if is_known {
            has_converged(world, setting, node)
        } else {
            has_caught_up(world, node)
        }
    };
    let steps: Vec<Step> = Step::among(scope.topology)
        .into_iter()
        .filter(|step| is_restful(*step) && (is_known || !is_acknowledgement(*step)))
        .collect();
    let mut came_from: HashMap<World, Option<(World, Step)>> = HashMap::from([(*from, None)]);
    let mut queue = VecDeque::from([(*from, 0)]);
    while let Some((world, depth)) = queue.pop_front() {
        if world.node_ids().all(|node| rests(&world, node)) {
            return Some(path_back(&came_from, world));
        }
        if depth == MAX_CALM_STEPS {
            continue;
        }
        for step in casting.possible_next(&world, setting, &steps) {
            let Some(next) = step.apply(&world, setting) else {
                continue;
            };
            came_from.entry(next).or_insert_with(|| {
                queue.push_back((next, depth + 1));
                Some((world, step))
            });
        }
    }
    None
}

/// The steps of a world at rest, without what would only make the way longer.
fn is_restful(step: Step) -> bool {
    let detour = matches!(
        step,
        Step::ReadHead { .. }
            | Step::StartSnapshot {
                framing: Framing::Socket,
                ..
            }
    );
    (step.is_calm() || matches!(step, Step::StrangerLeaves { .. })) && !detour
}

const fn is_acknowledgement(step: Step) -> bool {
    matches!(
        step,
        Step::Acknowledge { .. } | Step::ReceiveAcknowledgement { .. }
    )
}

fn path_back(came_from: &HashMap<World, Option<(World, Step)>>, mut world: World) -> Vec<Step> {
    let mut steps = Vec::new();
    while let Some(Some((before, step))) = came_from.get(&world) {
        steps.push(*step);
        world = *before;
    }
    steps.reverse();
    steps
}
