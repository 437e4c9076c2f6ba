//! A plan on paper: numbered steps, what each changed, and the diagram.

use psync_model::diagram;
use psync_model::liveness::Ending;
use psync_model::narrate::{fields, moments};
use psync_model::search::Search;
use psync_model::step::Step;

/// Prints a plan as numbered steps with what changed, and as a diagram.
pub(crate) fn print(search: &Search, steps: &[Step]) -> anyhow::Result<()> {
    let setting = &search.setting;
    let story = moments(steps, setting, search.scope.topology)?;
    for (index, moment) in story.iter().enumerate() {
        println!(
            "  {:>2}. {}.   [{}]",
            index + 1,
            moment.sentence(setting),
            moment.step
        );
        for change in fields::changes(&moment.before, &moment.after, setting) {
            println!("        {change}");
        }
    }
    println!();
    print!("{}", diagram::text(&story, setting));
    println!();
    Ok(())
}

/// Prints a plan as numbered steps only.
pub(crate) fn print_steps(search: &Search, steps: &[Step]) -> anyhow::Result<()> {
    let setting = &search.setting;
    let story = moments(steps, setting, search.scope.topology)?;
    for (index, moment) in story.iter().enumerate() {
        println!("      {:>2}. {}", index + 1, moment.sentence(setting));
    }
    Ok(())
}

/// How a behaviour that never converges goes on, in words.
pub(crate) fn goes_on(ending: &Ending) -> String {
    match ending {
        Ending::Terminal => "nothing can happen any more".to_owned(),
        Ending::Cycle { steps, worlds } => {
            let steps: Vec<_> = steps.iter().map(ToString::to_string).collect();
            let steps = steps.join(", ");
            format!("these go on for ever, among {worlds} states: {steps}")
        }
    }
}
