//! What stays of a test: its folder in the store with the report, and what is said of it on the terminal.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, ErrorKind};
use std::iter;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::args::{coloured, complain, harmless};
use crate::time::Duration;
use crate::workbench::checker::Verdict;
use crate::workbench::report::{Report, runs};
use crate::workbench::verdict::Results;
use crate::workbench::workload::Workload;
use crate::workbench::world::World;

/// `store/echo/20261122T142536.123`, and in it a place for logs. A test that begins in the same millisecond gets another
/// folder, `20261122T142536.123-2`.
pub fn create_folder(store: &Path, workload: &dyn Workload) -> io::Result<PathBuf> {
    let time = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
    let time: String = time.chars().filter(|c| !matches!(c, '-' | ':' | 'Z')).collect();
    let place = store.join(workload.name());
    let named = |path: &Path, error: &io::Error| io::Error::other(format!("{}: {error}", path.display()));
    fs::create_dir_all(&place).map_err(|error| named(&place, &error))?;
    let numbered = iter::once(time.clone()).chain((2..).map(|number| format!("{time}-{number}")));
    for folder in numbered.map(|name| place.join(name)) {
        // Whoever makes it has it to itself.
        match fs::create_dir(&folder) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            made => {
                let made = made.and_then(|()| fs::create_dir(folder.join("node-logs")));
                return made.map_err(|error| named(&folder, &error)).map(|()| folder);
            }
        }
    }
    unreachable!("there are names enough")
}

/// Writes `store/index.html`. A convenience: the report is there without it.
pub fn list_runs(store: &Path) {
    if let Err(error) = runs::write_index(store) {
        complain(&format_args!("the list of runs was not written: {error}"));
    }
}

/// Lets `store/latest` or `store/current` lead to this report.
pub fn link(store: &Path, name: &str, folder: &Path) {
    let link = store.join(name);
    let _ = fs::remove_file(&link);
    if let Ok(target) = folder.strip_prefix(store) {
        // A convenience, and not every file system has links.
        let _ = std::os::unix::fs::symlink(target, link);
    }
}

/// Writes the report of a test that is over; what there is to say of it on the terminal.
pub fn write_report(
    world: &World,
    results: &Results,
    folder: &Path,
    store: &Path,
    program: &str,
    command: &str,
) -> io::Result<String> {
    let report = Report {
        world,
        results,
        program,
        cut_short: None,
        hints: &[],
        last_words: &[],
        command: Some(command),
    };
    report.write(folder)?;
    link(store, "latest", folder);
    list_runs(store);
    Ok(format!("{}  report: {}\n", summary(&report, true), folder.join("index.html").display()))
}

/// What there is to say on the terminal.
pub fn summary(report: &Report<'_>, is_repeatable: bool) -> String {
    let Report { world, results, last_words, command, .. } = *report;
    let word = match report.verdict() {
        "valid" => "valid".to_owned(),
        verdict => verdict.to_uppercase(),
    };
    let verdict = coloured(results.verdict, &word);
    let mut lines: Vec<String> = report.explain().iter().map(|sentence| harmless(sentence)).collect();
    if !last_words.is_empty() {
        lines.push("its last words on stderr:".to_owned());
        lines.extend(last_words.iter().map(|line| format!("  {}", harmless(line))));
    }
    for (kind, counts) in &results.stats.kinds {
        let latencies = counts.latencies.as_ref().map(|latencies| format!("; latency {latencies}"));
        let (ok, fail, info) = (counts.ok, counts.fail, counts.info);
        let latencies = latencies.unwrap_or_default();
        lines.push(format!("{kind}: {ok} ok, {fail} failed, {info} in doubt{latencies}"));
    }
    // Of a moment there is no rate.
    if !world.history().is_empty() && world.run_time() >= Duration::from_secs(1) {
        lines.push(format!("{:.0} operations a second", results.operations_per_second));
    }
    lines.extend(results.finding.summary());
    lines.push(format!(
        "messages: {} with clients, {} between servers, {:.2} of those for each operation",
        results.clients.sent, results.servers.sent, results.messages_per_operation
    ));
    if !(world.settings().faults.is_empty() && world.settings().planned_faults.is_empty()) {
        lines.push(match world.faults().len() {
            0 => "faults: none; there was nobody to strike, or the test ended before".to_owned(),
            count => format!("faults: {count}"),
        });
    }
    if is_repeatable && results.verdict != Verdict::Valid {
        lines.extend(command.map(|command| format!("again: {command}")));
    }
    let mut text = format!("{}: {verdict}\n", world.workload().name());
    for line in lines {
        let _ = writeln!(text, "  {line}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workbench::workload;

    #[test]
    fn tests_of_the_same_millisecond_have_folders_of_their_own() {
        let store = std::env::temp_dir().join(format!("messenger-folders-{}", std::process::id()));
        let workload = workload::by_name("echo").unwrap();
        let mut folders: Vec<_> = (0..100).map(|_| create_folder(&store, workload).unwrap()).collect();
        folders.sort();
        folders.dedup();
        assert_eq!(folders.len(), 100);
        assert!(
            folders.iter().any(|folder| folder.to_str().unwrap().ends_with("-2")),
            "no two of a millisecond"
        );
        fs::remove_dir_all(store).unwrap();
    }
}
