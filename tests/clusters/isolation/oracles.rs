//! Small histories with their verdicts, in short: `ax1` appends 1 to x, `wx1` writes it, `rx12` reads [1, 2] from x, or 12
//! where x is a register, and `rx` finds nothing.

use messenger::Instant;
use messenger::workbench::checker::isolation::IsolationResults;
use messenger::workbench::checker::models::Model;
use messenger::workbench::checker::rw_register::Assumptions;
use messenger::workbench::checker::transactions::Transactions;
use messenger::workbench::checker::{Completion, Interval, Verdict, list_append, rw_register};
use serde_json::Value;

/// Judges a history in short form by a model, with these times or all at once.
pub fn judge(workload: &str, oracle: &Value, model: Model) -> IsolationResults {
    let is_list = workload == "list-append";
    let mut transactions = if is_list { Transactions::over_lists() } else { Transactions::over_registers() };
    for (index, line) in oracle["h"].as_array().unwrap().iter().enumerate() {
        let mut words = line.as_str().unwrap().split(' ');
        let process = words.next().unwrap().parse().unwrap();
        let completion = match words.next().unwrap() {
            "ok" => Completion::Ok,
            "info" => Completion::Info,
            _ => Completion::Fail,
        };
        let at = Instant::from_micros;
        let (invoked, completed) = if let Some(times) = oracle["t"].as_array() {
            (at(times[index][0].as_u64().unwrap()), at(times[index][1].as_u64().unwrap()))
        } else if oracle["seq"] == 1 {
            (at(10 * index as u64), at(10 * index as u64 + 5))
        } else {
            (at(index as u64), at(1_000 + index as u64))
        };
        transactions.begin(process, 0, Interval { invoked, completed }, completion);
        for word in words {
            let (f, key, value) = (&word[..1], i64::from(word.as_bytes()[1]), &word[2..]);
            match f {
                "r" if completion != Completion::Ok => transactions.read_unknown(key),
                "r" if is_list => {
                    let elements: Vec<i64> =
                        value.chars().map(|digit| i64::from(digit.to_digit(10).unwrap())).collect();
                    transactions.read_list(key, &elements);
                }
                "r" => transactions.read(key, value.parse().ok()),
                _ => transactions.write(key, value.parse().unwrap()),
            }
        }
    }
    if is_list {
        list_append::check(&mut transactions, &[model])
    } else {
        let assumptions = Assumptions {
            writes_follow_reads: oracle["wfr"] != false,
            sequential_keys: oracle["seqk"] == 1,
            linearizable_keys: oracle["link"] == 1,
        };
        rw_register::check(&mut transactions, &[model], assumptions)
    }
}

#[test]
fn every_small_history_gets_its_verdict() {
    let oracles: Value = serde_json::from_str(include_str!("../../data/oracles/workloads.json")).unwrap();
    let mut wrong = Vec::new();
    let mut seen = 0;
    for workload in ["list-append", "rw-register"] {
        for oracle in oracles[workload].as_array().unwrap() {
            let model = Model::parse(oracle["model"].as_str().unwrap()).unwrap();
            let report = judge(workload, oracle, model);
            let expected = if oracle["verdict"] == "valid" { Verdict::Valid } else { Verdict::Invalid };
            let not: Vec<&str> = report.refuted.not.iter().map(|model| model.name()).collect();
            let found: Vec<&str> = report.findings.iter().map(|finding| finding.anomaly.name()).collect();
            let is_not_found = |name: &&Value| !found.contains(&name.as_str().unwrap());
            let lacking: Vec<&Value> =
                oracle["types"].as_array().unwrap().iter().filter(is_not_found).collect();
            let is_not = oracle["not"].is_null() || oracle["not"] == Value::from(not.clone());
            if report.verdict != expected || !is_not || !lacking.is_empty() {
                wrong.push(format!("{oracle}\n  {:?}, not {not:?}, found {found:?}", report.verdict));
            }
            seen += 1;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(seen, 28);
}
