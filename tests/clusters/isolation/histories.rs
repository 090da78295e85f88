//! Histories that Maelstrom wrote, with what it said of them: see `tests/data/histories/README.md`.

use std::io::BufReader;
use std::path::Path;

use flate2::read::GzDecoder;
use messenger::workbench::checker::Verdict;
use messenger::workbench::checker::models::Model;
use messenger::workbench::history_file::{self, Limits};
use messenger::workbench::settings::{Settings, TxnOptions};
use messenger::workbench::verdict::Judgement;
use messenger::workbench::workload;
use serde_json::Value;

fn judge(path: &Path, said: &Value) -> Judgement {
    let names: Vec<&str> =
        said["models"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    let models = Model::parse_list(&names.join(",")).unwrap();
    let settings =
        Settings { transactions: TxnOptions { models, ..TxnOptions::default() }, ..Settings::default() };
    let workload = workload::by_name(said["workload"].as_str().unwrap()).unwrap();
    let file = BufReader::new(GzDecoder::new(std::fs::File::open(path).unwrap()));
    let history = history_file::read(file, workload, Limits::default()).unwrap();
    Judgement::of(&history, workload, &settings, None)
}

#[test]
fn histories_of_maelstrom_get_their_verdicts() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/histories");
    let mut wrong = Vec::new();
    let mut seen = 0;
    let mut paths: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap().to_str().unwrap();
        let Some(name) = name.strip_suffix(".edn.gz") else { continue };
        let said = std::fs::read_to_string(folder.join(format!("{name}.json"))).unwrap();
        let said: Value = serde_json::from_str(&said).unwrap();
        if !said["workload"].as_str().unwrap().starts_with("txn-") {
            continue;
        }
        let judgement = judge(&path, &said);
        let expected = if said["expected"] == true { Verdict::Valid } else { Verdict::Invalid };
        let (not, found) = (judgement.finding.refuted(), judgement.finding.anomalies());
        let is_not_found = |name: &&Value| !found.iter().any(|found| *name == found);
        let lacking: Vec<&Value> =
            said["anomalies"].as_array().unwrap().iter().filter(is_not_found).collect();
        if judgement.verdict != expected || said["not"] != Value::from(not.clone()) || !lacking.is_empty() {
            wrong.push(format!("{name}: {said}\n  {:?}, not {not:?}, found {found:?}", judgement.verdict));
        }
        seen += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(seen, 38);
}
