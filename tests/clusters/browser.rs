//! The pages in a real browser: what an address shows, what a click and a key do, and that nothing is complained of.
//!
//! Chromium prints what a page has become once its scripts have run, so no protocol and no driver is needed. Where there
//! is none these tests say that they were skipped.

use std::env;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use messenger::nodes::own;
use messenger::workbench::report::{Report, runs};
use messenger::workbench::settings::Settings;
use messenger::workbench::verdict::Results;
use messenger::workbench::workload::broadcast::Broadcast;
use messenger::workbench::workload::echo::Echo;
use messenger::workbench::workload::lin_kv::LinKv;
use messenger::workbench::world::World;

use crate::isolation::broken_nodes::{swapped_elements, write_skew};
use crate::why::lost_message;

/// How long a browser may take, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(120);

/// The browser, if there is one.
fn browser() -> Option<PathBuf> {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path)
        .flat_map(|folder| names.map(|name| folder.join(name)))
        .find(|of| of.is_file());
    if found.is_none() {
        // What is printed by a test that passes is not shown; this is.
        let _ = writeln!(std::io::stderr(), "skipped: there is no chromium on the path");
    }
    found
}

/// A page in a folder of its own.
struct Page {
    browser: PathBuf,
    folder: PathBuf,
    results: Results,
}

impl Page {
    /// Writes the report of a test; nothing, where nobody can look at it.
    fn of(name: &str, world: &World) -> Option<Self> {
        let browser = browser()?;
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("browser").join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let results = Results::of(world);
        Report::new(world, &results, "./my-node").write(&folder).unwrap();
        Some(Self { browser, folder, results })
    }

    /// What it has become when it was opened at this address, if nothing was complained of.
    fn open(&self, address: &str) -> String {
        self.open_file("index.html", address)
    }

    /// The same of a copy in which a script of somebody else's runs last.
    fn open_with(&self, script: &str) -> String {
        let page = fs::read_to_string(self.folder.join("index.html")).unwrap();
        let script = format!("<script>\n//<![CDATA[\n{script}\n//]]>\n</script>\n</body>");
        fs::write(self.folder.join("copy.html"), page.replace("</body>", &script)).unwrap();
        self.open_file("copy.html", "#")
    }

    fn open_file(&self, file: &str, address: &str) -> String {
        let profile = self.folder.join("profile");
        let mut child = Command::new(&self.browser)
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--no-first-run",
            ])
            .args([
                "--disable-quic",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
            ])
            .args([
                "--window-size=1200,900",
                "--enable-logging=stderr",
                "--virtual-time-budget=10000",
                "--dump-dom",
            ])
            .arg(format!("--user-data-dir={}", profile.display()))
            .arg(format!("file://{}{address}", self.folder.join(file).display()))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (out, errors) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let [out, errors] = [Box::new(out) as Box<dyn std::io::Read + Send>, Box::new(errors)]
            .map(|pipe| thread::spawn(move || std::io::read_to_string(pipe).unwrap_or_default()));
        let began = Instant::now();
        while child.try_wait().unwrap().is_none() {
            if began.elapsed() > PATIENCE {
                child.kill().unwrap();
                panic!("the browser did not come to an end");
            }
            thread::sleep(Duration::from_millis(20));
        }
        let (html, log) = (out.join().unwrap(), errors.join().unwrap());
        let complaints: Vec<_> = log.lines().filter(|line| line.contains("CONSOLE")).collect();
        assert!(complaints.is_empty(), "{file}{address}: {complaints:#?}");
        assert!(html.contains("</html>"), "{file}{address}: nothing was shown: {log}");
        html
    }
}

/// What stands between two texts.
#[track_caller]
fn between<'a>(html: &'a str, from: &str, to: &str) -> &'a str {
    let start = html.find(from).unwrap_or_else(|| panic!("{from} is not there")) + from.len();
    &html[start..start + html[start..].find(to).unwrap_or_else(|| panic!("{to} is not there"))]
}

fn detail(html: &str) -> &str {
    between(html, "id=\"timeline-detail\"", "id=\"timeline-filter\"")
}

fn note(html: &str) -> &str {
    between(html, "id=\"timeline-note\"", "</span>")
}

#[track_caller]
fn assert_has(html: &str, words: &[&str]) {
    for word in words {
        assert!(html.contains(word), "{word} is not in:\n{html}");
    }
}

fn settings() -> Settings {
    Settings {
        nodes: 3,
        workers: 6,
        rate: Some(50.0),
        time_limit: messenger::Duration::from_secs(5),
        planned_faults: vec!["partition n0,n1|n2 at 2s for 1s".parse().unwrap()],
        seed: 1,
        ..Settings::default()
    }
}

#[test]
fn a_stale_read_and_the_messages_that_made_it_are_found_by_address() {
    let mut world = World::new(&LinKv, settings()).unwrap();
    own::simulate_planted(&mut world);
    let Some(page) = Page::of("stale-read", &world) else { return };
    let html = page.open("");
    let reason = between(&html, "class=\"reason\"", "</section>");
    assert_has(reason, &["no order of the operations explains it", "why: read of n", " asked seq-kv at "]);
    let wrong = page.results.offending(world.history())[0];
    // What went wrong is chosen, and all of the test is in view.
    assert_has(detail(&html), &[&format!("Operation {wrong}: read")]);
    assert_has(note(&html), &["messages in view; faults: partition n0,n1|n2 (2.000 s to 3.000 s)"]);
    assert_has(&html, &["the longest order that works", "fits nowhere"]);

    let html = page.open(&format!("#op={wrong}"));
    let node = world.history()[wrong].node;
    let arrow = format!("n{node} → seq-kv");
    assert_has(detail(&html), &[&format!("Operation {wrong}: read"), &arrow, "arrived at"]);
    assert!(!note(&html).contains("partition"), "only what is near it is in view: {}", note(&html));

    let asked = page.results.why[0].messages[0];
    let html = page.open(&format!("#msg={asked}"));
    assert_has(detail(&html), &[&format!("Message {asked}: {arrow}"), "\"type\": \"read\"", "arrived at"]);
}

#[test]
fn a_lost_element_and_the_partition_that_swallowed_it_are_found_by_address() {
    let mut world = World::new(&Broadcast, settings()).unwrap();
    own::simulate_planted(&mut world);
    let Some(page) = Page::of("lost-element", &world) else { return };
    let swallowed = page.results.why[0].messages[0];
    // Only the reads at the end show that it is lost, so the message is what is chosen at first.
    for address in ["", &format!("#msg={swallowed}")] {
        let html = page.open(address);
        assert_has(detail(&html), &[&format!("Message {swallowed}: n"), "lost: the partition cut its link"]);
    }
    let html = page.open(&format!("#msg={swallowed}"));
    assert_has(note(&html), &["faults: partition n0,n1|n2 (2.000 s to 3.000 s)"]);
    assert_has(between(&html, "class=\"reason\"", "</section>"), &[" is lost: ", "why: n", "swallowed it"]);
    assert_has(&html, &["which element was missing (red) from which read"]);
    // All that the add caused: the messages that carried it.
    let added = page.results.why[0].operations[0];
    let html = page.open(&format!("#op={added}"));
    assert_has(detail(&html), &[&format!("#msg={swallowed}"), "lost: the partition cut its link"]);
}

#[test]
fn a_lost_message_of_a_log_is_explained_on_its_page() {
    let world = lost_message();
    let Some(page) = Page::of("lost-message", &world) else { return };
    let html = page.open("");
    let reason = between(&html, "class=\"reason\"", "</section>");
    assert_has(reason, &["why: poll of n", "swallowed it", "n0 was killed at 4.000 s"]);
    assert_has(note(&html), &["partition n0|n1,n2 (3.000 s to 5.000 s)", "kill n0 (4.000 s to 4.500 s)"]);
}

#[test]
fn a_write_skew_and_an_order_that_contradicts_another_are_drawn() {
    let Some(page) = Page::of("write-skew", &write_skew()) else { return };
    let html = page.open("");
    assert_has(between(&html, "class=\"reason\"", "</section>"), &["were under way at the same time"]);
    assert_has(&html, &["G2-item", "the strongest model that this history does not refute is"]);
    let Some(page) = Page::of("swapped-elements", &swapped_elements()) else { return };
    assert_has(&page.open(""), &["the reads part at element "]);
}

/// A click on a bar chooses its operation, n goes to the next, and Escape to none.
#[test]
fn mouse_and_keyboard_choose_operations() {
    let mut world = World::new(&Echo, settings()).unwrap();
    own::simulate(&mut world);
    let Some(page) = Page::of("mouse", &world) else { return };
    let click = "const canvas = document.getElementById('timeline-canvas');
        canvas.setPointerCapture = () => {};
        const box = canvas.getBoundingClientRect();
        const at = (kind, x) => canvas.dispatchEvent(
          new PointerEvent(kind, { clientX: box.left + x, clientY: box.top + 32, pointerId: 1 }));
        for (let x = 70; x < box.width; x++) {
          at('pointermove', x);
          if (canvas.style.cursor === 'pointer') { at('pointerdown', x); at('pointerup', x); break; }
        }";
    let html = page.open_with(click);
    let of_first = world.history().iter().position(|of| of.process == 0).unwrap();
    assert_has(detail(&html), &[&format!("Operation {of_first}: echo"), "c3 → n0"]);
    let html = page.open_with(&format!(
        "{click}
        const press = (key) => canvas.dispatchEvent(new KeyboardEvent('keydown', {{ key }}));
        addEventListener('hashchange', () => press('n'), {{ once: true }});"
    ));
    assert_has(detail(&html), &[&format!("Operation {}: echo", of_first + 1)]);
    let html = page.open_with("const canvas = document.getElementById('timeline-canvas');
        for (const key of ['+', 'ArrowRight', '-', '0', 'Escape']) canvas.dispatchEvent(new KeyboardEvent('keydown', { key }));");
    assert_has(detail(&html), &["Click an operation or a message"]);
}

/// As many messages as a journal keeps.
#[test]
fn two_hundred_thousand_messages_are_paged_and_not_cut() {
    let many = Settings { rate: Some(10_000.0), workers: 50, ..settings() };
    let mut world = World::new(&Echo, many).unwrap();
    own::simulate(&mut world);
    let (operations, kept) = (world.history().len(), world.journal().entries().len());
    assert!(operations > 45_000 && kept > 90_000, "{operations} operations, {kept} messages");
    let Some(page) = Page::of("many", &world) else { return };
    let last = operations - 1;
    let html = page.open(&format!("#op={last}"));
    assert_has(detail(&html), &[&format!("Operation {last}: echo")]);
    let pages = operations.div_ceil(50);
    assert_has(&html, &[&format!("page {pages} of "), &format!("id=\"op-{last}\"")]);
    assert_has(detail(&page.open(&format!("#msg={}", kept - 1))), &[&format!("Message {}: ", kept - 1)]);
}

#[test]
fn the_list_of_runs_leads_to_each() {
    let mut world = World::new(&Echo, settings()).unwrap();
    own::simulate(&mut world);
    let Some(page) = Page::of("store", &world) else { return };
    let run = page.folder.join("echo/20261122T142536.123");
    fs::create_dir_all(&run).unwrap();
    Report::new(&world, &page.results, "./my-node").write(&run).unwrap();
    runs::write_index(&page.folder).unwrap();
    let html = page.open("");
    assert_has(&html, &["href=\"echo/20261122T142536.123/index.html\"", "2026-11-22 14:25:36", ">valid<"]);
}
