//! What stays of a test: the page, the pictures and the files for programs.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use messenger::nodes::own;
use messenger::time::{Duration, Instant};
use messenger::workbench::fault::Fault;
use messenger::workbench::network::{Distribution, Latency};
use messenger::workbench::report::Report;
use messenger::workbench::settings::Settings;
use messenger::workbench::simulation::{self, ScriptedNode};
use messenger::workbench::verdict::Results;
use messenger::workbench::workload::echo::Echo;
use messenger::workbench::world::World;
use messenger::{Config, handler_fn};
use roxmltree::{Document, Node, ParsingOptions};
use serde_json::{Value, json};

const PLOTS: [&str; 3] = ["latency.svg", "latency-quantiles.svg", "rate.svg"];

fn settings() -> Settings {
    Settings {
        nodes: 3,
        workers: 4,
        rate: Some(100.0),
        time_limit: Duration::from_secs(10),
        latency: Latency { mean: Duration::from_millis(5), spread: Distribution::Exponential },
        faults: vec![Fault::Pause, Fault::Partition],
        fault_interval: Duration::from_secs(2),
        seed: 7,
        journal_size: 10_000,
        ..Settings::default()
    }
}

fn run(settings: Settings) -> World {
    let mut world = World::new(&Echo, settings).unwrap();
    own::simulate(&mut world);
    world
}

/// Runs a test whose nodes answer as they should, except for what `says` makes of the tenth answer.
fn run_odd(settings: Settings, says: fn(&str) -> String) -> World {
    let (mut world, answers) = (World::new(&Echo, settings).unwrap(), Rc::new(Cell::new(0)));
    simulation::run(&mut world, |node, _| {
        let answers = Rc::clone(&answers);
        Box::new(ScriptedNode::new(move |_, request: &str| {
            let request: Value = serde_json::from_str(request).unwrap();
            let (to, mut body) = (&request["src"], request["body"].clone());
            body["in_reply_to"] = body["msg_id"].take();
            body["type"] = format!("{}_ok", body["type"].as_str().unwrap()).into();
            body.as_object_mut()
                .unwrap()
                .retain(|key, _| !["msg_id", "node_id", "node_ids"].contains(&&**key));
            let answer = json!({"src": format!("n{node}"), "dest": to, "body": body}).to_string();
            answers.set(answers.get() + 1);
            let answer = if answers.get() == 10 { says(&answer) } else { answer };
            vec![(Duration::ZERO, answer)]
        }))
    });
    world
}

/// The report of a test in a folder of its own.
struct Written(PathBuf);

impl Written {
    fn of(test: &str, world: &World, last_words: &[String]) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("report").join(test);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("node-logs")).unwrap();
        fs::write(folder.join("node-logs/n1.log"), "").unwrap();
        let results = Results::of(world);
        let command = Some("messenger test --bin './<a> & b'");
        let report = Report { last_words, command, ..Report::new(world, &results, "./my-node") };
        report.write(&folder).unwrap();
        Self(folder)
    }

    fn text(&self, file: &str) -> String {
        fs::read_to_string(self.0.join(file)).unwrap()
    }

    fn files(&self) -> BTreeSet<String> {
        let files =
            fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        files.filter(|file| file != "node-logs").collect()
    }

    /// What a reader of the page sees, part by part, if its links lead somewhere and no script got in.
    fn seen(&self) -> Vec<String> {
        let html = self.text("index.html");
        let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
        let page =
            Document::parse_with_options(&html, options).unwrap_or_else(|error| panic!("{error} in\n{html}"));
        let links: Vec<_> = page.descendants().filter_map(|node| node.attribute("href")).collect();
        assert!(links.contains(&"node-logs/n1.log") && !links.contains(&"node-logs/n0.log"));
        for link in links {
            let file = link.split('#').next().unwrap();
            assert!(self.0.join(file).exists(), "{link}");
        }
        let strange = ["img", "b"];
        assert!(!page.descendants().any(|node| strange.contains(&node.tag_name().name())));
        // The page's own scripts are those of the timeline.
        let is_script = |node: &Node<'_, '_>| node.tag_name().name() == "script";
        let strange = |node: &Node<'_, '_>| node.text().is_some_and(|text| text.contains("alert(1)"));
        for script in page.descendants().filter(is_script) {
            assert!(script.parent().is_some_and(|parent| parent.has_tag_name("section")), "{script:?}");
            let is_data = script.attribute("type").is_some();
            assert!(is_data || !strange(&script), "{:?}", script.text());
        }
        page.descendants().filter(Node::is_text).map(|text| text.text().unwrap().trim().to_owned()).collect()
    }

    /// The elements of a picture by name and colour, if it is well-formed.
    fn count(&self, picture: &str, name: &str, fill: &str) -> usize {
        let svg = self.text(picture);
        let svg = Document::parse(&svg).unwrap_or_else(|error| panic!("{error} in\n{svg}"));
        let is_it = |node: &Node<'_, '_>| node.has_tag_name(("http://www.w3.org/2000/svg", name));
        svg.descendants().filter(is_it).filter(|node| node.attribute("fill") == Some(fill)).count()
    }
}

#[test]
fn the_same_seed_writes_the_same_bytes() {
    let [one, other] = ["one", "other"].map(|test| Written::of(test, &run(settings()), &[]));
    let files = one.files();
    let expected =
        ["history.jsonl", "index.html", "journal.jsonl", "messages.svg", "plan.json", "results.json"]
            .into_iter()
            .chain(PLOTS);
    assert_eq!(files, expected.map(str::to_owned).collect());
    for file in &files {
        assert!(one.text(file) == other.text(file), "{file}");
    }
    let another = Written::of("another", &run(Settings { seed: 8, ..settings() }), &[]);
    assert!(PLOTS.iter().all(|file| one.text(file) != another.text(file)));
}

#[test]
fn a_valid_test_says_so_and_shows_its_faults() {
    let world = run(settings());
    let report = Written::of("valid", &world, &[]);
    let seen = report.seen();
    for text in [
        "echo: valid",
        "valid",
        "What the clients saw is what echo promises.",
        "Faults",
        "pause, partition about every 2 s",
    ] {
        assert!(seen.iter().any(|seen| seen == text), "{text} is not in {seen:#?}");
    }
    // One in the legend, and one for each operation that does not lie on another.
    let dots = report.count("latency.svg", "circle", "#2563EB");
    assert!((100..=1 + world.history().len()).contains(&dots), "{dots}");
    for plot in PLOTS {
        // A bar and a shadow.
        let windows = world.faults().iter().filter(|window| window.fault == Fault::Pause).count();
        assert_eq!(report.count(plot, "rect", "#475569"), 2 * windows, "{plot}");
    }
    report.count("messages.svg", "rect", "none");
}

/// Its clients' links have no latency, and its nodes ask nobody.
#[test]
fn where_every_answer_comes_at_once_no_latency_is_drawn() {
    let report = Written::of("instant", &run(Settings { faults: Vec::new(), ..settings() }), &[]);
    assert!(report.seen().iter().any(|seen| seen.contains("there is no latency to draw")));
    assert!(!report.0.join("latency.svg").exists() && report.0.join("rate.svg").exists());
}

/// Nodes that wait for each other have something to draw all the same, if a client's answer does not wait for that.
#[test]
fn where_only_nodes_wait_for_each_other_that_is_drawn() {
    let node = || {
        handler_fn(|request, cx| {
            if request.kind() == "hello" {
                return cx.reply(request, "hello_ok").send();
            }
            for peer in cx.peers() {
                cx.call(&peer, "hello").forget()?;
            }
            cx.reply(request, "echo_ok").field("echo", request.required("echo")?).send()
        })
    };
    let mut world = World::new(&Echo, Settings { faults: Vec::new(), ..settings() }).unwrap();
    simulation::run(&mut world, |_, _| Box::new(messenger::node::Node::new(node(), Config::default())));
    let report = Written::of("round-trips", &world, &[]);
    assert!(report.seen().iter().any(|seen| seen.contains("is how long nodes waited for each other")));
    assert!(report.count("round-trips.svg", "circle", "#2563EB") > 100);
}

#[test]
fn an_invalid_test_says_why_and_nothing_of_it_becomes_markup() {
    let world = run_odd(Settings { faults: Vec::new(), ..settings() }, |answer| {
        answer.replace("Please echo", r"<img src=x onerror='alert(1)'> &amp; \u0007")
    });
    let report = Written::of("invalid", &world, &[]);
    let seen = report.seen();
    assert!(seen.contains(&"echo: invalid".to_owned()));
    let explanations = Results::of(&world).explain();
    assert!(explanations.iter().any(|sentence| sentence.contains("<img src=x")), "{explanations:?}");
    for part in explanations.iter().flat_map(|sentence| sentence.split("; ")) {
        assert!(seen.iter().any(|seen| seen.contains(part)), "{part} is not in {seen:#?}");
    }
    assert!(seen.contains(&"messenger test --bin './<a> & b'".to_owned()));
    assert!(!seen.contains(&"Faults".to_owned()));
}

#[test]
fn the_line_that_ended_a_test_and_the_last_words_stand_out() {
    let world = run_odd(settings(), |_| "<script>alert(1)</script> & \u{1b}[2J".to_owned());
    let words = ["panicked at </pre><b>".to_owned(), "a\u{1b}[31mred\u{ffff}".to_owned()];
    let report = Written::of("failure", &world, &words);
    let seen = report.seen();
    let place = |text: &str| {
        seen.iter()
            .position(|seen| seen.contains(text))
            .unwrap_or_else(|| panic!("{text} is not in {seen:#?}"))
    };
    let order = [
        "echo: invalid",
        "Tested: ./my-node",
        "the test ended after",
        "not JSON",
        r"<script>alert(1)</script> & \u{1b}[2J",
        "panicked at </pre><b>\na\\u{1b}[31mred\\u{ffff}",
        "Operations",
    ];
    assert!(order.map(place).is_sorted(), "{seen:#?}");
    // What was under way when the test ended is no point, and does not stretch the time.
    assert!(world.history().iter().any(|invocation| invocation.interval.completed == Instant::END));
    let results: Value = serde_json::from_str(&report.text("results.json")).unwrap();
    assert_eq!(results["failure"]["last_words"][0], *words[0]);
    assert!(results["stats"]["all"]["rate"].as_f64().unwrap() > 50.0);
}

#[test]
fn a_test_that_never_began_has_a_page_all_the_same() {
    let mut world = World::new(&Echo, settings()).unwrap();
    world.fail(2, "it ended while the test was running", None);
    let report = Written::of("never", &world, &[]);
    assert!(report.seen().contains(&"Because of n2 the test ended after 0.000 s".to_owned()));
    assert!(PLOTS.iter().all(|file| !report.0.join(file).exists()));
    // The requests that nobody answered.
    assert!(report.text("messages.svg").contains("init #1"));

    let world = World::new(&Echo, Settings { journal_size: 0, ..settings() }).unwrap();
    let report = Written::of("nothing", &world, &[]);
    assert!(report.seen().contains(&"There were no operations.".to_owned()));
    assert!(!report.0.join("messages.svg").exists());
}

/// What cannot be written whole is named, and the rest is written all the same.
#[test]
fn a_full_disk_is_told_by_the_file_that_did_not_fit() {
    let mut world = World::new(&Echo, settings()).unwrap();
    assert!(own::simulate(&mut world));
    let results = Results::of(&world);
    for full in ["history.jsonl", "journal.jsonl", "results.json", "rate.svg", "index.html"] {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("report").join("full").join(full);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        std::os::unix::fs::symlink("/dev/full", folder.join(full)).unwrap();
        let error = Report::new(&world, &results, "./my-node").write(&folder).unwrap_err().to_string();
        assert!(error.contains(full) && error.contains("No space left"), "{error}");
        for written in ["history.jsonl", "journal.jsonl", "results.json", "index.html"] {
            // Whoever reads the full device reads for ever.
            if written == full {
                continue;
            }
            let length = fs::read(folder.join(written)).unwrap().len();
            assert!(length > 100, "{written} beside a {full} that did not fit: {length} bytes");
        }
    }
}
