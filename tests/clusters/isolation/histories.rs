//! Histories that Maelstrom wrote, with what it said of them: see `tests/data/histories/README.md`.

use std::collections::HashMap;
use std::io::Read;
use std::path::Path;

use messenger::Instant;
use messenger::workbench::checker::isolation::Report;
use messenger::workbench::checker::models::Model;
use messenger::workbench::checker::rw_register::Assumptions;
use messenger::workbench::checker::transactions::Transactions;
use messenger::workbench::checker::{Completion, Interval, Verdict, list_append, rw_register};
use serde_json::Value;

/// `[:append 3 [1 2]]` as JSON.
fn json(edn: &str) -> Value {
    let mut text = String::new();
    for (index, token) in edn.split_whitespace().enumerate() {
        if index > 0 && !text.ends_with(['[', ',']) && !token.starts_with(']') {
            text.push(',');
        }
        let word = token.trim_start_matches('[').trim_end_matches(']');
        let word = match word {
            "nil" => "null".to_owned(),
            word if word.starts_with(':') => format!("\"{}\"", &word[1..]),
            word => word.to_owned(),
        };
        let opens = token.len() - token.trim_start_matches('[').len();
        let closes = token.len() - token.trim_end_matches(']').len();
        text.push_str(&"[".repeat(opens));
        text.push_str(&word);
        text.push_str(&"]".repeat(closes));
    }
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{edn}: {text}: {error}"))
}

fn field<'a>(line: &'a str, name: &str) -> &'a str {
    let from = line.find(name).unwrap() + name.len() + 1;
    &line[from..from + line[from..].find([',', '}']).unwrap()]
}

fn load(path: &Path, is_list: bool) -> Transactions {
    let mut text = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    let mut transactions = if is_list { Transactions::over_lists() } else { Transactions::over_registers() };
    // Each invocation with its time, and its completion with its time.
    let mut pending: HashMap<&str, usize> = HashMap::new();
    let mut all: Vec<(&str, usize, Completion, usize, &str)> = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let (process, kind) = (field(line, ":process"), field(line, ":type"));
        if process == ":nemesis" {
            continue;
        }
        let from = line.find(":value ").unwrap() + 7;
        let to = line[from..].find(", :error").map_or(line.len() - 1, |end| from + end);
        let value = &line[from..to];
        if kind == ":invoke" {
            pending.insert(process, all.len());
            all.push((process, at, Completion::Info, usize::MAX, value));
        } else {
            let operation = &mut all[pending.remove(process).unwrap()];
            operation.3 = at;
            operation.2 = match kind {
                ":ok" => Completion::Ok,
                ":fail" => Completion::Fail,
                _ => Completion::Info,
            };
            if kind == ":ok" {
                operation.4 = value;
            }
        }
    }
    for (process, invoked, completion, completed, value) in all {
        let at = |index: usize| Instant::from_micros(index as u64);
        let interval = Interval { invoked: at(invoked), completed: at(completed) };
        transactions.begin(process.parse().unwrap(), 0, interval, completion);
        for op in json(value).as_array().unwrap() {
            let (key, value) = (op[1].as_i64().unwrap(), &op[2]);
            match op[0].as_str().unwrap() {
                "r" if completion != Completion::Ok => transactions.read_unknown(key),
                "r" if is_list => {
                    let empty = Vec::new();
                    let elements: Vec<i64> = value
                        .as_array()
                        .unwrap_or(&empty)
                        .iter()
                        .map(|element| element.as_i64().unwrap())
                        .collect();
                    transactions.read_list(key, &elements);
                }
                "r" => transactions.read(key, value.as_i64()),
                _ => transactions.write(key, value.as_i64().unwrap()),
            }
        }
    }
    transactions
}

fn judge(path: &Path, said: &Value) -> Report {
    let names: Vec<&str> =
        said["models"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    let models = Model::parse_list(&names.join(",")).unwrap();
    let is_list = said["workload"] == "txn-list-append";
    let mut transactions = load(path, is_list);
    if is_list {
        list_append::check(&mut transactions, &models)
    } else {
        rw_register::check(&mut transactions, &models, Assumptions::default())
    }
}

#[test]
fn histories_of_maelstrom_get_their_verdicts() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/histories");
    let mut wrong = Vec::new();
    let mut seen = 0;
    let mut names: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    for path in names {
        let name = path.file_name().unwrap().to_str().unwrap();
        let Some(name) = name.strip_suffix(".edn.gz") else { continue };
        let said = std::fs::read_to_string(folder.join(format!("{name}.json"))).unwrap();
        let said: Value = serde_json::from_str(&said).unwrap();
        if !said["workload"].as_str().unwrap().starts_with("txn-") {
            continue;
        }
        let report = judge(&path, &said);
        let expected = if said["expected"] == true { Verdict::Valid } else { Verdict::Invalid };
        let not: Vec<&str> = report.refuted.not.iter().map(|model| model.name()).collect();
        let found: Vec<&str> = report.findings.iter().map(|finding| finding.anomaly.name()).collect();
        let is_not_found = |name: &&Value| !found.contains(&name.as_str().unwrap());
        let lacking: Vec<&Value> =
            said["anomalies"].as_array().unwrap().iter().filter(is_not_found).collect();
        if std::env::var("SHOW").is_ok() {
            eprintln!("{name}: {:?}, not {not:?}, found {found:?}", report.verdict);
            eprintln!("{}", report.explain().join("\n"));
        }
        if report.verdict != expected || said["not"] != Value::from(not.clone()) || !lacking.is_empty() {
            wrong.push(format!("{name}: {said}\n  {:?}, not {not:?}, found {found:?}", report.verdict));
        }
        seen += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(seen, 38);
}
