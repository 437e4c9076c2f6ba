//! What the explorer shows of a state: what the last step was, in words; a card for each node and link with the changed fields marked, the truth of
//! every property, and the sequence diagram of the whole path.

use maud::{Markup, PreEscaped, html};
use psync_model::diagram;
use psync_model::narrate::Moment;
use psync_model::narrate::fields::{self, Place};
use psync_model::property::{Edge, Property};
use psync_model::rules::Setting;
use psync_model::world::World;

/// The explorer's own colours are light or dark with the reader's preference, and so are these.
const STYLE: &str = "\
.ps-cards{display:flex;flex-wrap:wrap;gap:8px;margin-bottom:8px}\
.ps-said,.ps-card,.ps-props{background:#fdfdfb;color:#222;border-radius:6px;padding:6px 10px;font:12px ui-monospace,monospace}\
.ps-said{margin-bottom:8px;font-weight:bold}.ps-card h4{margin:0 0 4px;font-size:12px}.ps-card table{border-collapse:collapse}\
.ps-card th{font-weight:normal;text-align:left;color:#777;padding:1px 10px 1px 0}.ps-card td{padding:1px 4px}\
.ps-card tr.ps-new td{background:#fff3c4}.ps-was{color:#999;text-decoration:line-through;margin-right:6px}\
.ps-props{margin-bottom:8px}.ps-props span{display:inline-block;padding:1px 6px;margin:1px;border-radius:4px}\
.ps-holds{background:#d9f2e0}.ps-broken{background:#cf222e;color:#fff;font-weight:bold}.ps-open{background:#eee}\
@media(prefers-color-scheme:dark){.ps-said,.ps-card,.ps-props{background:#16181d;color:#ddd}.ps-card th{color:#999}\
.ps-card tr.ps-new td{background:#4a3d00}.ps-holds{background:#143d22}.ps-open{background:#333}}";

/// The page of the last state of a story; of `beginning`, if nothing has happened yet.
pub(crate) fn page(story: &[Moment], beginning: &World, setting: &Setting) -> String {
    let last = story.last();
    let (before, after) = last.map_or((beginning, beginning), |last| (&last.before, &last.after));
    let page = html! {
        style { (PreEscaped(STYLE)) }
        @if let Some(last) = last { div .ps-said { (last.sentence(setting)) "." } }
        div .ps-cards {
            @for place in places(after, setting) { (card(place, before, after, setting)) }
        }
        @if let Some(last) = last { (properties(last, setting)) }
        @if !story.is_empty() { (PreEscaped(diagram::svg(story, setting))) }
    };
    page.into_string()
}

/// Everything that has fields, in their order.
fn places(world: &World, setting: &Setting) -> Vec<Place> {
    let mut places: Vec<Place> = fields::fields(world, setting)
        .into_iter()
        .map(|field| field.place)
        .collect();
    places.dedup();
    places
}

/// The fields of one node or link; those that hold nothing, and did not before, are left out.
fn card(place: Place, before: &World, after: &World, setting: &Setting) -> Markup {
    let rows: Vec<_> = fields::fields(before, setting)
        .into_iter()
        .zip(fields::fields(after, setting))
        .filter(|(was, is)| {
            is.place == place && (was.value != fields::NOTHING || is.value != fields::NOTHING)
        })
        .collect();
    html! {
        @if !rows.is_empty() {
            section .ps-card {
                h4 { (place.name()) }
                table {
                    @for (was, is) in &rows {
                        @let changed = was.value != is.value;
                        tr .ps-new[changed] {
                            th { (is.name) }
                            td {
                                @if changed { span .ps-was { (was.value) } }
                                (is.value)
                            }
                        }
                    }
                }
            }
        }
    }
}

fn properties(last: &Moment, setting: &Setting) -> Markup {
    html! {
        div .ps-props {
            "properties after this step: "
            @for property in Property::ALL {
                @let (class, _) = truth(property, last, setting);
                span class=(class) title=(property.sentence()) { (format!("{property:?}")) }
            }
        }
    }
}

/// Whether a property holds on a step, as a class and as a word.
pub(crate) fn truth(
    property: Property,
    moment: &Moment,
    setting: &Setting,
) -> (&'static str, &'static str) {
    let edge = Edge::new(&moment.before, moment.step, &moment.after, setting);
    match (property, property.holds(&edge)) {
        (Property::L1, _) => ("ps-open", "(about whole behaviours)"),
        (_, true) => ("ps-holds", "holds"),
        (_, false) => ("ps-broken", "BROKEN"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use psync_model::catch::{caught, ladder};
    use psync_model::fault;
    use psync_model::narrate::moments;
    use psync_model::rulebook::Era;
    use psync_model::world::Topology;

    fn broken_page(steps: usize) -> String {
        let fault = fault::named("request-not-plus-one").unwrap();
        let caught = caught(fault, Era::Psync2V7, ladder(), |_| ()).unwrap();
        let setting = &caught.search.setting;
        let story = moments(&caught.found.steps[..steps], setting, Topology::Pair).unwrap();
        page(&story, &Topology::Pair.beginning(), setting)
    }

    #[test]
    fn the_page_of_a_broken_state_says_which_property_is_broken() {
        let page = broken_page(12);
        assert!(page.contains("class=\"ps-broken\" title=\"a replica that is continued"));
        assert!(page.contains("the primary agrees to continue under its current ID"));
        assert!(page.contains("<svg"));
        assert!(!broken_page(11).contains("class=\"ps-broken\""));
    }

    #[test]
    fn only_changed_fields_are_marked_and_their_old_value_is_shown() {
        let page = broken_page(1);
        assert_eq!(
            page.matches("tr class=\"ps-new\"").count(),
            page.matches("ps-was\">").count()
        );
        assert!(page.contains("<span class=\"ps-was\">idle</span>has asked"));
    }

    #[test]
    fn the_beginning_has_cards_and_neither_truths_nor_a_diagram() {
        let page = broken_page(0);
        assert!(page.contains("<h4>primary</h4>") && page.contains("<h4>replica</h4>"));
        assert!(!page.contains("ps-props\"") && !page.contains("<svg"));
    }
}
