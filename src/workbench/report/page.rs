//! The page of a test, for people: one file that needs no other, and no network. It is well-formed XML as well.

use std::fmt::{self, Display, Write};

use super::super::checker::stats::{Availability, Counts};
use super::super::checker::{Quantiles, Verdict};
use super::super::verdict::Results;
use super::super::workload::{Picture, Workload};
use super::super::world::Failure;
use super::finished::Report;
use super::pictures::Pictures;
use super::timeline::{self, STYLE as TIMELINE_STYLE};
use crate::time::{Duration, Instant};
use crate::workbench::format::{Escaped, brief as number, thousands};

/// The styles of all pages.
const STYLE: &str = include_str!("page.css");

/// So many sentences are seen at once where something is wrong; the rest can be unfolded.
const SENTENCES: usize = 8;

/// So many reasons are given at the top.
const WHYS: usize = 3;

/// So many operations that are wrong are named at the top; the list below has all of them.
const OFFENDING: usize = 12;

/// So many faults are listed.
const LISTED: usize = 40;

/// The page, with these pictures in it and links to these logs.
pub fn page(report: &Report<'_>, pictures: &Pictures, logs: &[String]) -> String {
    let mut html = String::new();
    Page { report, pictures, logs }.write(&mut html).expect("a string takes everything");
    html
}

struct Page<'a> {
    report: &'a Report<'a>,
    pictures: &'a Pictures,
    logs: &'a [String],
}

impl Page<'_> {
    fn write(&self, html: &mut String) -> fmt::Result {
        let (name, verdict) = (self.workload().name(), self.report.verdict());
        let program = Escaped(self.report.program);
        write_head(html, &format_args!("{name}: {verdict}"), TIMELINE_STYLE)?;
        writeln!(
            html,
            r#"<body>
<main class="{verdict}">
<header>
<h1>{name} <span class="verdict">{verdict}</span></h1>
<p>Tested: {program}</p>"#
        )?;
        self.write_verdict(html)?;
        html.push_str("</header>\n");
        timeline::write(self.report, html)?;
        self.write_operations(html)?;
        self.write_finding(html)?;
        let Pictures { found, plots, is_instant, messages } = self.pictures;
        found.iter().try_for_each(|picture| write_picture(html, picture))?;
        if !plots.is_empty() {
            html.push_str("<h2>Over time</h2>\n");
        }
        if *is_instant {
            let waiting = if plots.len() > 1 {
                " What is drawn instead is how long nodes waited for each other."
            } else {
                ""
            };
            writeln!(
                html,
                "<p>Handling takes no time in a simulation, and every answer came in the instant of its request: there is no \
                 latency to draw.{waiting}</p>"
            )?;
        }
        plots.iter().try_for_each(|picture| write_picture(html, picture))?;
        self.write_faults(html)?;
        self.write_messages(html)?;
        messages.iter().try_for_each(|picture| write_picture(html, picture))?;
        self.write_settings(html)?;
        self.write_files(html)?;
        html.push_str("</main>\n</body>\n</html>\n");
        Ok(())
    }

    fn write_verdict(&self, html: &mut String) -> fmt::Result {
        let results = self.results();
        if let Some(reason) = self.report.cut_short {
            return writeln!(
                html,
                "<p>The test was cut short: {}. Nothing is called right or wrong; what happened until then is below.</p>",
                Escaped(reason)
            );
        }
        if let Some(Failure { node, at, reason, line, unnoticed, .. }) = &results.failure {
            writeln!(
                html,
                r#"<section class="failure"><h2>Because of n{node} the test ended after {} s</h2>
<p>{}</p>"#,
                since_start(*at),
                Escaped(reason)
            )?;
            if let Some(line) = line {
                writeln!(html, "<h3>The line</h3>\n<pre>{}</pre>", Escaped(line))?;
            }
            if let Some(instead) = unnoticed {
                writeln!(html, "<p>Maelstrom would not have noticed: {}</p>", Escaped(instead))?;
            }
            for hint in self.report.hints {
                writeln!(html, "<p>{}</p>", Escaped(hint))?;
            }
            if !self.report.last_words.is_empty() {
                html.push_str("<h3>Its last words on stderr</h3>\n<pre>");
                self.report.last_words.iter().try_for_each(|line| writeln!(html, "{}", Escaped(line)))?;
                html.push_str("</pre>\n");
            }
            html.push_str("</section>\n");
            return Ok(());
        }
        let name = self.workload().name();
        match results.verdict {
            Verdict::Valid => writeln!(html, "<p>What the clients saw is what {name} promises.</p>")?,
            Verdict::Unknown => {
                writeln!(html, "<p>Whether {name} keeps what it promises cannot be told.</p>")?;
            }
            Verdict::Invalid => return self.write_reason(html),
        }
        write_list(html, &self.report.explain())
    }

    /// What went wrong: the gravest in one sentence, why it happened, the operations that show it, and the rest.
    fn write_reason(&self, html: &mut String) -> fmt::Result {
        let results = self.results();
        let mut sentences = self.report.explain().into_iter();
        let first =
            sentences.next().unwrap_or_else(|| "What the clients saw is not as it should be.".to_owned());
        // What comes after the first clause is not as grave.
        let (clause, more) = first.split_at(first.find("; ").map_or(first.len(), |end| end + 1));
        writeln!(
            html,
            "<section class=\"reason\">\n<p class=\"lead\"><strong>{}</strong>{}</p>",
            Escaped(clause),
            Escaped(more)
        )?;
        let (whys, more_whys) = results.why.split_at(results.why.len().min(WHYS));
        for why in whys {
            write!(html, "<p class=\"why\">why: {}", Escaped(&why.sentence))?;
            for id in &why.messages {
                write!(html, " <a href=\"#msg={id}\">message {id}</a>")?;
            }
            for place in &why.operations {
                write!(html, " <a href=\"#op={place}\">operation {place}</a>")?;
            }
            html.push_str("</p>\n");
        }
        let history = self.report.world.history();
        let offending = results.offending(history);
        if !offending.is_empty() {
            html.push_str("<p class=\"note\">Operations that show it:");
            for place in offending.iter().take(OFFENDING) {
                let Some(of) = history.get(*place) else { continue };
                let asked = of.operation.to_string();
                write!(
                    html,
                    " <a href=\"#op={place}\">{place}: {} of n{}</a>",
                    Escaped(&cut(&asked)),
                    of.node
                )?;
            }
            html.push_str("</p>\n");
        }
        html.push_str("</section>\n");
        let is_why = |sentence: &String| {
            sentence.strip_prefix("why: ").is_some_and(|of| results.why.iter().any(|why| why.sentence == of))
        };
        let rest = more_whys.iter().map(|why| format!("why: {}", why.sentence));
        let rest: Vec<String> = rest.chain(sentences.filter(|sentence| !is_why(sentence))).collect();
        let (shown, more) = rest.split_at(rest.len().min(SENTENCES));
        write_list(html, shown)?;
        if more.is_empty() {
            return Ok(());
        }
        writeln!(html, "<details><summary>{} more</summary>", thousands(more.len()))?;
        write_list(html, more)?;
        html.push_str("</details>\n");
        Ok(())
    }

    fn write_operations(&self, html: &mut String) -> fmt::Result {
        let stats = &self.results().stats;
        if stats.kinds.is_empty() {
            return writeln!(html, "<p>There were no operations.</p>");
        }
        html.push_str(
            r#"<h2>Operations</h2>
<div class="wide"><table>
<thead>
<tr><th></th><th class="ok">ok</th><th class="fail">failed</th><th class="info">unknown</th><th>ok a second</th><th>median</th><th>95 %</th><th>99 %</th><th>longest</th></tr>
</thead>
<tbody>
"#,
        );
        let mut row = |name: &dyn Display, counts: &Counts| {
            write!(html, "<tr><th>{name}</th>")?;
            for count in [counts.ok, counts.fail, counts.info] {
                write!(
                    html,
                    "<td{}>{}</td>",
                    if count == 0 { r#" class="none""# } else { "" },
                    thousands(count)
                )?;
            }
            write!(html, "<td>{}</td>", number(counts.rate))?;
            match counts.latencies {
                None => html.push_str(&"<td>–</td>".repeat(4)),
                Some(Quantiles { median, p95, p99, max, .. }) => {
                    for quantile in [median, p95, p99, max] {
                        write!(html, "<td>{}</td>", millis(quantile))?;
                    }
                }
            }
            writeln!(html, "</tr>")
        };
        stats.kinds.iter().try_for_each(|(kind, counts)| row(&Escaped(kind), counts))?;
        if stats.kinds.len() > 1 {
            row(&"all", &stats.all)?;
        }
        html.push_str("</tbody>\n</table></div>\n<p class=\"note\">Latencies are those of successes, in milliseconds.</p>\n");
        Ok(())
    }

    fn write_finding(&self, html: &mut String) -> fmt::Result {
        writeln!(html, "<h2>What the checker of {} found</h2>", self.workload().name())?;
        write_facts(html, &self.results().finding.facts())
    }

    fn write_faults(&self, html: &mut String) -> fmt::Result {
        let faults = self.report.world.faults();
        if faults.is_empty() {
            return Ok(());
        }
        html.push_str(
            r#"<h2>Faults</h2>
<div class="wide"><table class="faults">
<thead><tr><th>fault</th><th>whom</th><th>from, s</th><th>to, s</th></tr></thead>
<tbody>
"#,
        );
        for window in faults.iter().take(LISTED) {
            let to = window.to.map_or_else(|| "the end".to_owned(), since_start);
            writeln!(
                html,
                "<tr><th>{}</th><td>{}</td><td>{}</td><td>{to}</td></tr>",
                window.fault.name(),
                Escaped(&window.target),
                since_start(window.from)
            )?;
        }
        html.push_str("</tbody>\n</table></div>\n");
        let more = faults.len().saturating_sub(LISTED);
        if more > 0 {
            writeln!(html, r#"<p class="note">… and {} more, in results.json.</p>"#, thousands(more))?;
        }
        Ok(())
    }

    #[allow(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    fn write_messages(&self, html: &mut String) -> fmt::Result {
        let Results { clients, servers, .. } = self.results();
        let operations = self.report.world.history().len().max(1) as f64;
        html.push_str(
            r#"<h2>Messages</h2>
<div class="wide"><table>
<thead><tr><th></th><th>sent</th><th>arrived</th><th>sent for each operation</th></tr></thead>
<tbody>
"#,
        );
        for (name, traffic) in [("with clients", clients), ("between servers", servers)] {
            writeln!(
                html,
                "<tr><th>{name}</th><td>{}</td><td>{}</td><td>{:.2}</td></tr>",
                number(traffic.sent as f64),
                number(traffic.received as f64),
                traffic.sent as f64 / operations
            )?;
        }
        html.push_str("</tbody>\n</table></div>\n");
        Ok(())
    }

    fn write_settings(&self, html: &mut String) -> fmt::Result {
        let settings = self.report.world.settings();
        let mut facts = vec![
            ("nodes", thousands(settings.nodes)),
            ("clients at once", thousands(settings.workers)),
            ("operations a second", settings.rate.map_or("as many as are answered".to_owned(), number)),
            ("time limit", format!("{} s", seconds(settings.time_limit))),
            (
                "latency between nodes",
                match settings.latency.mean {
                    Duration::ZERO => "none".to_owned(),
                    mean => format!(
                        "{} ms, {}; clients are not delayed",
                        millis(mean),
                        settings.latency.spread.name()
                    ),
                },
            ),
            ("seed", settings.seed.to_string()),
        ];
        if !settings.faults.is_empty() {
            let names: Vec<_> = settings.faults.iter().map(|fault| fault.name()).collect();
            facts.push((
                "nemesis",
                format!("{} about every {} s", names.join(", "), seconds(settings.fault_interval)),
            ));
        }
        if !settings.planned_faults.is_empty() {
            let faults: Vec<_> = settings.planned_faults.iter().map(ToString::to_string).collect();
            facts.push(("planned faults", faults.join("; ")));
        }
        facts.extend(self.workload().facts(settings));
        match settings.availability {
            Availability::None => {}
            Availability::Total => facts.push(("availability", "total".to_owned())),
            Availability::AtLeast(fraction) => facts.push(("availability", format!("at least {fraction}"))),
        }
        html.push_str("<h2>Settings</h2>\n");
        write_facts(html, &facts)?;
        if let Some(command) = self.report.command {
            writeln!(html, "<h3>Again</h3>\n<pre>{}</pre>", Escaped(command))?;
        }
        Ok(())
    }

    fn write_files(&self, html: &mut String) -> fmt::Result {
        let link = |file: &str, name: &str| format!(r#"<a href="{file}">{name}</a>"#);
        let journal = self.report.world.journal();
        let kept = match journal.entries().len() {
            kept if (kept as u64) < journal.clients.sent + journal.servers.sent => {
                format!("the first {} messages", thousands(kept))
            }
            _ => "every message".to_owned(),
        };
        writeln!(
            html,
            "<h2>Files</h2>\n<ul>\n<li>{}: this page for programs</li>\n<li>{}: every operation, up to a million</li>\n<li>{}: {kept}</li>",
            link("results.json", "results.json"),
            link("history.jsonl", "history.jsonl"),
            link("journal.jsonl", "journal.jsonl"),
        )?;
        if !self.logs.is_empty() {
            let name =
                |log: &String| link(log, log.trim_start_matches("node-logs/").trim_end_matches(".log"));
            let links: Vec<_> = self.logs.iter().map(name).collect();
            writeln!(html, "<li>What the nodes wrote to stderr: {}</li>", links.join(" "))?;
        }
        html.push_str("</ul>\n<p class=\"note\">Times count from the start of the nodes.</p>\n");
        Ok(())
    }

    fn results(&self) -> &Results {
        self.report.results
    }

    fn workload(&self) -> &'static dyn Workload {
        self.report.world.workload()
    }
}

/// Seconds with a fraction.
fn since_start(at: Instant) -> String {
    let millis = at.as_micros() / 1_000;
    format!("{}.{:03}", millis / 1_000, millis % 1_000)
}

fn write_list(html: &mut String, sentences: &[String]) -> fmt::Result {
    if sentences.is_empty() {
        return Ok(());
    }
    html.push_str("<ul>\n");
    sentences.iter().try_for_each(|sentence| writeln!(html, "<li>{}</li>", Escaped(sentence)))?;
    html.push_str("</ul>\n");
    Ok(())
}

/// The beginning of what an operation asks for.
fn cut(asked: &str) -> String {
    const SHOWN: usize = 48;
    match asked.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &asked[..end]),
        None => asked.to_owned(),
    }
}

/// The head of a page, with the style of all pages and its own.
pub fn write_head(html: &mut String, title: &dyn Display, style: &str) -> fmt::Result {
    writeln!(
        html,
        r#"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8"/>
<meta name="viewport" content="width=device-width, initial-scale=1"/>
<meta name="color-scheme" content="light dark"/>
<title>{title}</title>
<style>
{STYLE}{style}</style>
</head>"#
    )
}

fn write_picture(html: &mut String, picture: &Picture) -> fmt::Result {
    let Picture { file, caption, svg } = picture;
    let caption = Escaped(caption);
    writeln!(
        html,
        r#"<figure><div class="picture">
{svg}</div><figcaption><span>{caption}</span><a href="{file}">{file}</a></figcaption></figure>"#,
    )
}

fn write_facts(html: &mut String, facts: &[(&str, String)]) -> fmt::Result {
    html.push_str("<dl>\n");
    for (name, value) in facts {
        writeln!(html, "<div><dt>{name}</dt><dd>{}</dd></div>", Escaped(value))?;
    }
    html.push_str("</dl>\n");
    Ok(())
}

/// A span in milliseconds, without the unit: `0.005`, `12.3`, `5000`.
#[allow(clippy::cast_precision_loss, reason = "spans of a test are short")]
fn millis(span: Duration) -> String {
    number(span.as_micros() as f64 / 1e3)
}

/// Seconds with the digits that there are: `30`, `0.25`.
#[allow(clippy::cast_precision_loss, reason = "spans of a test are short")]
fn seconds(span: Duration) -> f64 {
    span.as_micros() as f64 / 1e6
}
