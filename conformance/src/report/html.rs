//! The run as one page that needs nothing else: subjects beside checks, each cell leading to what it stands for.
//!
//! Several runs make one page, a column each. Everything that came from a subject is escaped by construction; the
//! only markup taken as it is are the diagrams, which the model draws from plans.

use std::collections::BTreeMap;

use maud::{DOCTYPE, Markup, PreEscaped, html};
use psync_model::case::Case;
use psync_model::diagram;
use psync_model::narrate::moments;

use super::address;
use super::record::{CaseRecord, Record, SuiteRecord};
use super::text::sentences;
use crate::transcript::{Direction, Log};
use crate::verdict::{Check, Failure, Mismatch, Verdict};

const STYLE: &str = include_str!("page.css");

/// Opens what a link leads to: browsers leave a closed fold closed.
const SCRIPT: &str = "\
function unfold(){const at=document.getElementById(location.hash.slice(1));\
for(let fold=at;fold;fold=fold.parentElement){if(fold.tagName==='DETAILS')fold.open=true}if(at)at.scrollIntoView()}\
addEventListener('hashchange',unfold);unfold();";

/// The most cases of a check that are told in full; the others are named.
const MOST_TOLD: usize = 5;

/// A page about these runs.
pub fn page(records: &[Record]) -> String {
    let names: Vec<&str> = records.iter().map(|run| run.run.subject.as_str()).collect();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "psync-conformance: " (names.join(", ")) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    h1 { "Does it replicate as Redis does?" }
                    p.lead {
                        "Each server was driven through plans derived from a checked specification of Redis \
                         replication, and everything it did was compared with what the specification allows."
                    }
                    @for (number, record) in records.iter().enumerate() { (verdict(number, record)) }
                    h2 { "Checks" }
                    (matrix(records))
                    @for (number, record) in records.iter().enumerate() { (findings(number, record)) }
                    h2 { "Coverage" }
                    @for record in records { (coverage(record)) }
                    @if records.iter().any(|record| !record.sweeps.is_empty()) {
                        h2 { "The network failing at any byte" }
                        @for sweep in records.iter().flat_map(|record| &record.sweeps) { (sweep.markup()) }
                    }
                }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    page.into_string()
}

fn verdict(number: usize, record: &Record) -> Markup {
    let run = &record.run;
    html! {
        section.verdict id=(format!("s{number}")) {
            h2 {
                (run.subject) " "
                @if record.conforms() { span.good { "conforms, as far as these cases go" } }
                @else { span.bad { "does not conform" } }
            }
            @if let Some(reason) = &run.cut_short { p.note { "Not everything was played: " (reason) "." } }
            @for known in &run.stale_deviations {
                p.note { "The known deviation " code { (known) } " was not seen: it can be taken off the list." }
            }
            div.wide { (summary(&record.suites)) }
        }
    }
}

fn summary(suites: &[SuiteRecord]) -> Markup {
    html! {
        table {
            thead { tr {
                th { "era" } th { "subject as" } th { "cases" } th { "passed" } th { "failed" } th { "deviating" }
                th { "inconclusive" } th { "skipped" } th { "not judged" }
                th { "targets met" } th { "seconds" }
            } }
            tbody { @for suite in suites {
                @let tally = suite.tally();
                tr {
                    td { (suite.era) } td { (suite.casting) } td.n { (suite.planned) } td.n { (tally.passed) }
                    td.n.bad[tally.failed > 0] { (tally.failed) } td.n { (tally.deviating) }
                    td.n.bad[tally.inconclusive > 0] { (tally.inconclusive) } td.n { (tally.skipped) }
                    td.n.bad[tally.not_judged > 0] { (tally.not_judged) }
                    td.n { (suite.targets_met) " / " (suite.targets) }
                    td.n { (format!("{:.1}", suite.elapsed_ms as f64 / 1_000.0)) }
                }
            } }
        }
    }
}

/// The failures of a run by what was looked at.
fn failures(record: &Record) -> BTreeMap<Check, Vec<(&SuiteRecord, &CaseRecord, &Failure)>> {
    let mut found = BTreeMap::<Check, Vec<_>>::new();
    for (suite, case) in record.cases() {
        if let Some(failure) = case.failure() {
            let same = found.entry(failure.mismatch.check).or_default();
            same.push((suite, case, failure));
        }
    }
    for same in found.values_mut() {
        same.sort_by_key(|(_, case, _)| (case.deviation.is_some(), case.plan.len()));
    }
    found
}

fn matrix(records: &[Record]) -> Markup {
    let found: Vec<_> = records.iter().map(failures).collect();
    html! {
        div.wide { table.matrix {
            thead { tr {
                th { "check" }
                @for record in records { th { (record.run.subject) } }
            } }
            tbody { @for check in Check::ALL { tr {
                td {
                    b { (check.name()) } " " span.dim { (check.source()) }
                    br; (check.sentence())
                }
                @for (number, record) in records.iter().enumerate() {
                    (cell(number, record, found[number].get(&check).map(Vec::as_slice), check))
                }
            } } }
        } }
    }
}

fn cell(
    number: usize,
    record: &Record,
    failing: Option<&[(&SuiteRecord, &CaseRecord, &Failure)]>,
    check: Check,
) -> Markup {
    let Some(failing) = failing else {
        let suites = record.suites.iter();
        let looking = suites.filter(|suite| check.is_looked_at(suite.era, suite.casting));
        let passed: usize = looking.map(|suite| suite.tally().passed).sum();
        return html! {
            @if passed == 0 { td.dim { "not looked at" } } @else { td.good { "✓" } }
        };
    };
    let known = failing
        .iter()
        .filter(|(_, case, _)| case.deviation.is_some());
    let (known, all) = (known.count(), failing.len());
    html! {
        td {
            a href=(format!("#{}", anchor(number, check))) {
                @if known == all { span.known { "≈ " (all) " known" } }
                @else { span.bad { "✗ " (all - known) } @if known > 0 { " + " (known) " known" } }
            }
        }
    }
}

fn anchor(number: usize, check: Check) -> String {
    format!("s{number}-{check}")
}

fn findings(number: usize, record: &Record) -> Markup {
    let found = failures(record);
    let open = record.cases().filter_map(|(_, case)| match &case.verdict {
        Verdict::Inconclusive { at, reason } => {
            Some((case, format!("Inconclusive at step {}: {reason}", at + 1)))
        }
        Verdict::NotJudged { reason } => Some((case, format!("The judge failed: {reason}"))),
        _ => None,
    });
    let open: Vec<_> = open.collect();
    html! {
        @if !found.is_empty() || !open.is_empty() { h2 { "Findings: " (record.run.subject) } }
        @for (check, failing) in &found {
            details.check id=(anchor(number, *check)) {
                summary { b { (check.name()) } ": " (failing.len()) " cases. Required: " (check.sentence()) }
                @for (suite, case, failure) in failing.iter().take(MOST_TOLD) { (told(suite, case, failure)) }
                @if failing.len() > MOST_TOLD {
                    p { "The same is found by:" }
                    ul { @for (_, case, _) in failing.iter().skip(MOST_TOLD) { li { code { (case.case) } } } }
                }
            }
        }
        @for (case, reason) in open {
            p.note { code { (case.case) } ". " (reason) }
        }
    }
}

/// One failure, with everything it has to say.
fn told(suite: &SuiteRecord, case: &CaseRecord, failure: &Failure) -> Markup {
    let check = failure.mismatch.check;
    let at = address(suite.era, suite.casting, failure.step, check);
    let plan = case.plan();
    html! {
        article {
            h3 { code { (at) } }
            @if let Some(reason) = &case.deviation { p.known { "Known of this subject: " (reason) } }
            dl {
                dt { "required" } dd { (check.sentence()) }
                dt { "source" } dd {
                    (check.source())
                    @if let Some(property) = check.property() { "; " (format!("{property:?}")) ": " (property.sentence()) }
                }
                (mismatch("expected", &failure.mismatch))
                @for other in &failure.others { (mismatch("or", other)) }
                dt { "replay" } dd { code { "psync-conformance replay " (case.case) } }
                @if let Some(steps) = case.shortened_from { dt { "shortened" } dd { "from " (steps) " steps" } }
            }
            @if let Some(plan) = &plan { (way(plan, failure)) }
            details open { summary { "On the wire" } div.wide { (wire(&failure.transcripts)) } }
            @if !failure.output.trim().is_empty() {
                details { summary { "What the subject printed last" } pre { (failure.output) } }
            }
        }
    }
}

fn mismatch(word: &str, mismatch: &Mismatch) -> Markup {
    html! {
        dt { (word) } dd {
            code { (mismatch.allowed) } " " span.dim { "(" (mismatch.check) ")" }
            br; "came " code { (mismatch.came) }
        }
    }
}

/// What happened up to the step that did not agree, in words and as a diagram.
fn way(plan: &Case, failure: &Failure) -> Markup {
    let agreed = plan.steps.get(..failure.at).unwrap_or(&plan.steps);
    let drawn = plan.setting().ok().and_then(|setting| {
        let story = moments(agreed, &setting, plan.header.scope.topology).ok()?;
        Some(diagram::svg(&story, &setting))
    });
    html! {
        ol {
            @for sentence in sentences(plan, agreed) { li { (sentence) } }
            li.bad { "here: " (failure.step) }
        }
        @if let Some(drawn) = drawn { div.wide { (PreEscaped(drawn)) } }
    }
}

/// All connections on one clock, what the harness sent on the left and what came on the right.
fn wire(logs: &[Log]) -> Markup {
    let mut lines: Vec<_> = logs
        .iter()
        .flat_map(|log| log.lines.iter().map(|line| (log.connection.as_str(), line)))
        .collect();
    lines.sort_by_key(|(_, line)| line.at_ms);
    html! {
        table.wire {
            thead { tr { th { "ms" } th { "connection" } th { "judge → subject" } th { "subject → judge" } } }
            tbody { @for (connection, line) in lines {
                @let sent = line.direction == Direction::Sent;
                tr {
                    td.n { (line.at_ms) } td.dim { (connection) }
                    @let again = (line.times > 1).then(|| format!(" ({} times)", line.times));
                    td { @if sent { code { (line.bytes) } (again.as_deref().unwrap_or_default()) } }
                    td { @if !sent { code { (line.bytes) } (again.as_deref().unwrap_or_default()) } }
                }
            } }
        }
    }
}

fn coverage(record: &Record) -> Markup {
    html! {
        @for suite in &record.suites {
            details {
                summary {
                    (record.run.subject) ", " (suite.era) " as " (suite.casting) ": "
                    (suite.targets_met) " of " (suite.targets) " situations seen, from "
                    (suite.worlds) " worlds of the specification"
                }
                @for (control, targets) in &suite.out_of_reach {
                    p.note { (targets) " are out of reach: the subject does not offer " (format!("{control:?}")) "." }
                }
                @if suite.spared > 0 {
                    p.note { (suite.spared) " more are only for those who drop their data before they look at a snapshot." }
                }
                div.wide { table {
                    thead { tr { th { "rule" } th { "situations" } th {} } }
                    tbody { @for rule in &suite.rules { tr {
                        td { code { (rule.rule) } } td.n { (rule.met) " / " (rule.targets) }
                        td { progress max=(rule.targets) value=(rule.met) {} }
                    } } }
                } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::sample;

    #[test]
    fn a_page_escapes_what_came_and_leads_from_cells_to_findings() {
        let page = super::page(&[sample(), sample()]);
        assert!(page.contains("mine &amp; yours"));
        assert!(page.contains("PSYNC &lt;?&gt; -1") && !page.contains("PSYNC <?>"));
        for place in ["s0-request", "s1-request"] {
            assert!(page.contains(&format!("href=\"#{place}\"")));
            assert!(page.contains(&format!("id=\"{place}\"")));
        }
        assert!(page.contains("not looked at"), "a replica gives no answers");
        assert!(
            !page.contains("http://")
                || page.matches("http://").count() == page.matches("xmlns=").count()
        );
    }
}
