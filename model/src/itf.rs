//! A plan in the Informal Trace Format that viewers of model checkers read (`*.itf.json`).
//!
//! One variable for each node, link and stranger of which there is anything to say, a record of its fields in words, as everywhere where
//! people read (`-` for nothing); and `step`, what led into the state. Offsets are units of the model. A program
//! that wants to carry the plan out reads the case instead ([`crate::case`]).

use crate::narrate::Moment;
use crate::narrate::fields::{self, Place};
use crate::rules::Setting;
use crate::world::World;
use serde_json::{Map, Value, json};

const DESCRIPTION: &str = "https://apalache-mc.org/docs/adr/015adr-trace.html";

/// The variable that says what happened.
const STEP: &str = "step";

/// A story as a trace, with a line about what it is. `beginning` is the world of an empty story.
pub fn itf(story: &[Moment], beginning: &World, setting: &Setting, about: &str) -> Value {
    let first = story.first().map_or(beginning, |moment| &moment.before);
    let worlds = std::iter::once(first).chain(story.iter().map(|moment| &moment.after));
    let shown: Vec<Place> = worlds
        .flat_map(|world| fields::fields(world, setting))
        .filter(|field| field.value != fields::NOTHING)
        .map(|field| field.place)
        .collect();
    let mut states = vec![state("", "the beginning", first, setting, &shown)];
    states.extend(story.iter().map(|moment| {
        let (rule, sentence) = (moment.step.to_string(), moment.sentence(setting));
        state(&rule, &sentence, &moment.after, setting, &shown)
    }));
    for (index, state) in states.iter_mut().enumerate() {
        state["#meta"]["index"] = json!(index);
    }
    let variables: Vec<&String> = states[0]
        .as_object()
        .into_iter()
        .flat_map(|state| state.keys().filter(|name| *name != "#meta"))
        .collect();
    json!({
        "#meta": {
            "format": "ITF",
            "format-description": DESCRIPTION,
            "source": "psync-model",
            "description": about,
        },
        "vars": variables,
        "states": states,
    })
}

fn state(step: &str, words: &str, world: &World, setting: &Setting, shown: &[Place]) -> Value {
    let mut variables = Map::new();
    variables.insert("#meta".to_owned(), json!({"description": words}));
    variables.insert(STEP.to_owned(), json!(step));
    let fields = fields::fields(world, setting).into_iter();
    for field in fields.filter(|field| shown.contains(&field.place)) {
        let variable = field.place.name().replace(' ', "_");
        let record = variables.entry(variable).or_insert_with(|| json!({}));
        let name = field.name.replace(['\'', ' '], "_");
        record[name] = json!(field.value);
    }
    Value::Object(variables)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::narrate::moments;
    use crate::rulebook::Era;
    use crate::scope;
    use crate::step::Step;
    use crate::world::NodeId;

    fn trace(steps: &[Step]) -> Value {
        let scope = scope::named("smoke").unwrap().scope;
        let setting = scope.setting(Era::Psync2V7.rulebook());
        let story = moments(steps, &setting, scope.topology).unwrap();
        itf(&story, &scope.topology.beginning(), &setting, "a test")
    }

    #[test]
    fn every_state_has_every_variable_and_nothing_else() {
        let node = NodeId::Primary;
        let trace = trace(&[
            Step::Write { node },
            Step::Ask {
                replica: NodeId::Replica,
            },
        ]);
        let variables: Vec<&str> = trace["vars"]
            .as_array()
            .unwrap()
            .iter()
            .map(|name| name.as_str().unwrap())
            .collect();
        assert_eq!(variables, ["link", "primary", "replica", "step"]);
        let states = trace["states"].as_array().unwrap();
        assert_eq!(states.len(), 3);
        for (index, state) in states.iter().enumerate() {
            assert_eq!(state["#meta"]["index"], index);
            let mut names: Vec<&str> = state
                .as_object()
                .unwrap()
                .keys()
                .map(String::as_str)
                .collect();
            names.retain(|name| *name != "#meta");
            assert_eq!(names, variables);
        }
        assert_eq!(states[1]["step"], "write");
        assert_eq!(states[1]["primary"]["data"], "{w1}");
        assert_eq!(states[2]["link"]["request"], "PSYNC ? -1");
    }

    #[test]
    fn a_story_without_steps_is_its_beginning() {
        assert_eq!(trace(&[])["states"].as_array().unwrap().len(), 1);
    }
}
