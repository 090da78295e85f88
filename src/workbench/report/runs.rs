//! `store/index.html`: all runs of a store, newest first.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::page::write_head;
use super::write_whole;
use crate::workbench::format::{Escaped, brief, thousands};

/// So many runs are listed.
pub const RUNS_MAX: usize = 1_000;

/// A larger `results.json` is read no further, and its run is listed without what it says.
const RESULTS_MAX: u64 = 4 << 20;

/// Writes the index of a store: a folder with a folder for each workload, and in that one for each run, named by when it
/// began. What is no run is passed over.
///
/// # Errors
/// If the store cannot be read, or its index not be written.
pub fn write_index(store: &Path) -> io::Result<()> {
    let mut folders = Vec::new();
    for workload in fs::read_dir(store)?.filter_map(Result::ok) {
        // Links lead to what is there anyway.
        if !workload.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let runs = fs::read_dir(workload.path()).into_iter().flatten().filter_map(Result::ok);
        let runs = runs.filter(|run| run.file_type().is_ok_and(|kind| kind.is_dir()));
        folders.extend(runs.map(|run| (run.file_name().to_string_lossy().into_owned(), run.path())));
    }
    folders.sort_by(|(one, of_one), (two, of_two)| (order(two), of_two).cmp(&(order(one), of_one)));
    let mut runs = folders.iter().filter_map(|(began, folder)| Run::read(store, began, folder));
    let listed: Vec<Run> = runs.by_ref().take(RUNS_MAX).collect();
    let more = if listed.len() == RUNS_MAX { folders.len() - RUNS_MAX } else { 0 };
    let html = page(&listed, more);
    // Whoever looks at the old one while this is written sees it whole.
    let unfinished = store.join(format!(".index-{}.html", std::process::id()));
    write_whole(&unfinished, |file| file.write_all(html.as_bytes()))?;
    fs::rename(&unfinished, store.join("index.html"))
}

/// Names are times, and those of one millisecond are numbered: `20261122T142536.123-2`.
fn order(name: &str) -> (&str, u64) {
    let (time, number) = name.split_once('-').unwrap_or((name, "1"));
    (time, number.parse().unwrap_or_default())
}

/// What the index says of a run.
struct Run {
    began: String,
    /// From the store, for the link.
    path: String,
    workload: String,
    verdict: String,
    reason: String,
    settings: String,
}

impl Run {
    fn read(store: &Path, began: &str, folder: &Path) -> Option<Self> {
        let is_time = began.len() > 8 && began.bytes().take(8).all(|byte| byte.is_ascii_digit());
        let page: PathBuf = folder.join("index.html");
        if !is_time || !page.is_file() {
            return None;
        }
        let results = results(folder)?;
        let path = page.strip_prefix(store).ok()?.to_str()?.to_owned();
        let began = began.to_owned();
        if results.is_null() {
            let workload = folder.parent()?.file_name()?.to_str()?.to_owned();
            let reason = "its results are too large for this list".to_owned();
            return Some(Self {
                began,
                path,
                workload,
                verdict: String::new(),
                reason,
                settings: String::new(),
            });
        }
        let verdict = results["verdict"].as_str()?.to_owned();
        let first = results["explanations"][0].as_str().unwrap_or_default();
        Some(Self {
            began,
            path,
            workload: results["workload"]["name"].as_str()?.to_owned(),
            reason: if verdict == "valid" { String::new() } else { beginning(first) },
            settings: settings(&results),
            verdict,
        })
    }
}

/// The results of a run, if it has any; null where they are too large.
fn results(folder: &Path) -> Option<Value> {
    let mut text = String::new();
    let file = File::open(folder.join("results.json")).ok()?;
    file.take(RESULTS_MAX + 1).read_to_string(&mut text).ok()?;
    if text.len() as u64 > RESULTS_MAX {
        return Some(Value::Null);
    }
    serde_json::from_str(&text).ok()
}

/// `5 nodes, 10 clients, 100 a second, 60 s, latency 100 ms, partition; seed 7`
fn settings(results: &Value) -> String {
    let mut parts = Vec::new();
    let mut part = |name: &str, after: &str| {
        if let Some(value) = results[name].as_f64().filter(|value| *value > 0.0) {
            parts.push(format!("{}{after}", short(value)));
        }
    };
    part("nodes", " nodes");
    part("concurrency", " clients");
    part("rate", " a second");
    if let Some(millis) = results["time_limit_ms"].as_f64() {
        parts.push(format!("{} s", short(millis / 1e3)));
    }
    if let Some(millis) = results["latency_ms"].as_f64().filter(|millis| *millis > 0.0) {
        parts.push(format!("latency {} ms", short(millis)));
    }
    parts.extend(
        results["nemesis"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned),
    );
    if let Some(seed) = results["seed"].as_u64() {
        parts.push(format!("seed {seed}"));
    }
    parts.extend(results["program"].as_str().map(|program| program.chars().take(80).collect()));
    parts.join(", ")
}

/// A number without digits that say nothing: `5`, `10.3`, `0.249`.
fn short(value: f64) -> String {
    if value.fract() == 0.0 { value.to_string() } else { brief(value) }
}

/// The beginning of a sentence.
fn beginning(sentence: &str) -> String {
    const SHOWN: usize = 240;
    match sentence.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &sentence[..end]),
        None => sentence.to_owned(),
    }
}

fn page(runs: &[Run], more: usize) -> String {
    let mut html = String::new();
    // Writing to a string cannot fail.
    let _ = write_head(&mut html, &"Runs", "");
    let _ = write!(
        html,
        r#"<body>
<main class="runs">
<h1>Runs</h1>
<p class="note">{}, the newest first.</p>
<div class="wide"><table>
<thead><tr><th>began</th><th>workload</th><th>verdict</th><th>what went wrong, and the settings</th></tr></thead>
<tbody>
"#,
        match runs.len() {
            1 => "1 run".to_owned(),
            count => format!("{} runs", thousands(count)),
        }
    );
    for Run { began, path, workload, verdict, reason, settings } in runs {
        let _ = writeln!(
            html,
            r#"<tr class="{}"><th><a href="{}">{}</a></th><td>{}</td><td><span class="verdict">{}</span></td><td>{}<br/><span class="note">{}</span></td></tr>"#,
            Escaped(verdict),
            Escaped(path),
            Escaped(&spoken(began)),
            Escaped(workload),
            Escaped(verdict),
            Escaped(reason),
            Escaped(settings)
        );
    }
    html.push_str("</tbody>\n</table></div>\n");
    if more > 0 {
        let _ = writeln!(html, "<p class=\"note\">Up to {} older ones are not listed.</p>", thousands(more));
    }
    html.push_str("</main>\n</body>\n</html>\n");
    html
}

/// `2026-11-22 14:25:36`, of `20261122T142536.123`, in universal time.
fn spoken(began: &str) -> String {
    let digits: Vec<char> = began.chars().filter(char::is_ascii_digit).take(14).collect();
    let part = |from: usize, to: usize| digits.get(from..to).map(|part| part.iter().collect::<String>());
    let parts = || {
        let [year, month, day] = [part(0, 4)?, part(4, 6)?, part(6, 8)?];
        let [hour, minute, second] = [part(8, 10)?, part(10, 12)?, part(12, 14)?];
        Some(format!("{year}-{month}-{day} {hour}:{minute}:{second}"))
    };
    parts().unwrap_or_else(|| began.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(test: &str) -> PathBuf {
        let store = std::env::temp_dir().join(format!("messenger-index-{test}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&store);
        fs::create_dir_all(&store).unwrap();
        store
    }

    fn run(store: &Path, workload: &str, began: &str, results: &str) {
        let folder = store.join(workload).join(began);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("index.html"), "").unwrap();
        fs::write(folder.join("results.json"), results).unwrap();
    }

    fn results(verdict: &str, reason: &str) -> String {
        serde_json::json!({
            "verdict": verdict, "explanations": [reason], "workload": {"name": "echo"}, "nodes": 3, "rate": 5.0,
            "time_limit_ms": 60_000.0, "latency_ms": 0.0, "nemesis": ["kill"], "seed": 7, "concurrency": 4,
        })
        .to_string()
    }

    #[test]
    fn runs_are_listed_newest_first_and_what_is_none_is_passed_over() {
        let store = store("order");
        run(&store, "echo", "20261122T142536.123", &results("invalid", "it said <b>"));
        run(&store, "kafka", "20261122T142537.000", &results("valid", "a note"));
        run(&store, "echo", "20261122T142536.123-2", &results("unknown", "who knows"));
        run(&store, "echo", "20261122T142538.000", "half a fi");
        run(&store, "echo", "not-a-time", &results("valid", ""));
        run(&store, "echo", "20261122T142539.000", &results("valid", ""));
        fs::remove_file(store.join("echo/20261122T142539.000/index.html")).unwrap();
        fs::write(store.join("a file"), "").unwrap();
        std::os::unix::fs::symlink("echo/20261122T142536.123", store.join("latest")).unwrap();
        write_index(&store).unwrap();
        let html = fs::read_to_string(store.join("index.html")).unwrap();
        let places: Vec<_> = ["kafka/20261122T142537.000/index.html", "123-2/index.html", "123/index.html"]
            .map(|link| html.find(&format!("{link}\"")).unwrap())
            .to_vec();
        assert!(places.is_sorted(), "{html}");
        assert_eq!(html.matches("<tr class=").count(), 3, "{html}");
        assert!(html.contains("it said &lt;b&gt;") && html.contains("2026-11-22 14:25:36"));
        assert!(html.contains("3 nodes, 4 clients, 5 a second, 60 s, kill, seed 7"), "{html}");
        roxmltree::Document::parse_with_options(
            &html,
            roxmltree::ParsingOptions { allow_dtd: true, ..roxmltree::ParsingOptions::default() },
        )
        .unwrap();
        fs::remove_dir_all(store).unwrap();
    }

    #[test]
    fn a_run_with_large_results_is_listed_without_what_they_say() {
        let store = store("large");
        let fits = results("invalid", "why it fits");
        let largest = usize::try_from(RESULTS_MAX).unwrap();
        let padded = |bytes: usize| fits.clone() + &" ".repeat(bytes - fits.len());
        run(&store, "echo", "20261122T142536.000", &padded(largest));
        run(&store, "echo", "20261122T142537.000", &padded(largest + 1));
        write_index(&store).unwrap();
        let html = fs::read_to_string(store.join("index.html")).unwrap();
        assert_eq!(html.matches("<tr class=").count(), 2, "{html}");
        assert_eq!(html.matches("why it fits").count(), 1, "{html}");
        assert!(html.contains("echo/20261122T142537.000/index.html"), "{html}");
        assert!(html.contains("its results are too large for this list"), "{html}");
        fs::remove_dir_all(store).unwrap();
    }

    #[test]
    fn a_thousand_runs_are_listed_and_not_one_more() {
        let store = store("many");
        for number in 0..=RUNS_MAX {
            run(&store, "echo", &format!("20261122T14{number:04}.000"), &results("valid", ""));
        }
        write_index(&store).unwrap();
        let html = fs::read_to_string(store.join("index.html")).unwrap();
        assert_eq!(html.matches("<tr class=").count(), RUNS_MAX);
        assert!(html.contains("Up to 1 older ones are not listed") && !html.contains("T140000.000"));
        fs::remove_dir_all(store).unwrap();
    }
}
