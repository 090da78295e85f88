//! How fast histories are judged: transactions over lists and registers, registers alone, and logs, in numbers that a
//! test of a day comes to.
//!
//! `cargo bench --bench checkers`. The histories are right, as most are: of twelve clients that are served one after
//! the other at some moment between request and answer. The judge has to read everything and to look for cycles
//! everywhere. After the million the most memory that the program ever had is printed.

use std::collections::HashMap;
use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use fastrand::Rng;
use messenger::Instant;
use messenger::workbench::checker::models::Model;
use messenger::workbench::checker::rw_register::Assumptions;
use messenger::workbench::checker::transactions::Transactions;
use messenger::workbench::checker::{
    Completion, Interval, Verdict, kafka, linearizable, list_append, rw_register,
};

const CLIENTS: usize = 12;
const KEYS: usize = 10;
const WRITES_PER_KEY: i64 = 16;

/// A history of so many transactions; two and a half micro-operations each, on average.
fn history(count: usize, has_lists: bool) -> Transactions {
    let mut rng = Rng::with_seed(7);
    let mut transactions =
        if has_lists { Transactions::over_lists() } else { Transactions::over_registers() };
    let mut state: HashMap<i64, Vec<i64>> = HashMap::new();
    let mut pool: Vec<(i64, i64)> = (0..).map(|key| (key, 0)).take(KEYS).collect();
    let mut next = i64::try_from(KEYS).expect("it is small");
    for index in 0..count {
        // Each takes effect in the middle of its interval, which that of the next dozen overlap.
        let at = 100 * index as u64 + 1_000;
        let around = 50 * CLIENTS as u64;
        let interval = Interval {
            invoked: Instant::from_micros(at - around),
            completed: Instant::from_micros(at + around),
        };
        transactions.begin(index % CLIENTS, index % 5, interval, Completion::Ok);
        for _ in 0..rng.usize(1..=4) {
            let place = KEYS - 1 - (rng.u64(1..1 << 10).leading_zeros() as usize - 54);
            let (key, written) = pool[place];
            if rng.bool() {
                let values = state.get(&key).map(Vec::as_slice).unwrap_or_default();
                if has_lists {
                    transactions.read_list(key, values);
                } else {
                    transactions.read(key, values.last().copied());
                }
            } else if written == WRITES_PER_KEY {
                state.remove(&key);
                pool[place] = (next, 0);
                next += 1;
            } else {
                pool[place].1 += 1;
                state.entry(key).or_default().push(written + 1);
                transactions.write(key, written + 1);
            }
        }
    }
    transactions
}

fn judge(transactions: &mut Transactions, has_lists: bool) -> Verdict {
    let models = [Model::StrictSerializable];
    if has_lists {
        list_append::check(transactions, &models).verdict
    } else {
        rw_register::check(transactions, &models, Assumptions::default()).verdict
    }
}

fn transactions(criterion: &mut Criterion) {
    for (name, has_lists) in [("txn-list-append", true), ("txn-rw-register", false)] {
        let mut group = criterion.benchmark_group(name);
        group.sample_size(10);
        for count in [100_000, 1_000_000] {
            group.throughput(Throughput::Elements(count as u64));
            let whole = history(count, has_lists);
            assert_eq!(judge(&mut whole.clone(), has_lists), Verdict::Valid);
            group.bench_function(format!("judge {count}"), |bencher| {
                bencher.iter_batched(
                    || whole.clone(),
                    |mut transactions| judge(black_box(&mut transactions), has_lists),
                    BatchSize::PerIteration,
                );
            });
        }
        group.finish();
        println!("most memory so far: {} MB", peak_memory() / 1_000_000);
    }
}

/// A register's operations: of twelve clients, half of whom only read.
fn register(count: usize) -> Vec<linearizable::Operation> {
    let (mut rng, mut value) = (Rng::with_seed(7), None);
    let operation = |index: usize| {
        let at = 100 * index as u64 + 1_000;
        let around = 50 * CLIENTS as u64 - rng.u64(0..100);
        let action = match rng.u8(0..6) {
            0..3 => linearizable::Action::Read(value),
            3 if value.is_some() => {
                let (from, to) = (value.unwrap_or_default(), rng.i64(0..5));
                value = Some(to);
                linearizable::Action::Cas { from, to }
            }
            _ => {
                value = Some(rng.i64(0..5));
                linearizable::Action::Write(value.unwrap_or_default())
            }
        };
        linearizable::Operation {
            key: 0,
            process: (index % CLIENTS) as u64,
            action,
            interval: Interval {
                invoked: Instant::from_micros(at - around),
                completed: Instant::from_micros(at + around),
            },
            completion: Completion::Ok,
        }
    };
    (0..count).map(operation).collect()
}

fn registers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("lin-kv");
    group.sample_size(10);
    for count in [10_000, 100_000] {
        group.throughput(Throughput::Elements(count as u64));
        let operations = register(count);
        let judge =
            |operations: &[linearizable::Operation]| linearizable::check(operations, 100_000_000).verdict;
        assert_eq!(judge(&operations), Verdict::Valid);
        group.bench_function(format!("judge {count}"), |bencher| {
            bencher.iter(|| judge(black_box(&operations)))
        });
    }
    group.finish();
}

/// Messages that are sent to a few logs, and polled some at a time by each of a dozen clients.
fn logs(count: usize) -> kafka::History {
    let (mut rng, mut history) = (Rng::with_seed(7), kafka::History::default());
    let keys: Vec<kafka::Key> = (0..KEYS).map(|key| history.key(&key.to_string())).collect();
    let mut logs: Vec<Vec<kafka::Message>> = vec![Vec::new(); KEYS];
    let mut read = vec![vec![0; KEYS]; CLIENTS];
    let mut push = |history: &mut kafka::History, index: usize, action| {
        let (process, at) = (index % CLIENTS, 100 * index as u64);
        let interval =
            Interval { invoked: Instant::from_micros(at), completed: Instant::from_micros(at + 90) };
        let (process, completion) = (process as u64, Completion::Ok);
        history.push(kafka::Operation { process, node: Some(0), interval, completion, action });
    };
    for client in 0..CLIENTS {
        let action =
            kafka::Action::Assign { keys: keys.clone(), start: kafka::Start::Zero, committed: Vec::new() };
        push(&mut history, client, action);
    }
    for index in CLIENTS..CLIENTS + count {
        let (client, place) = (index % CLIENTS, rng.usize(0..KEYS));
        let log = &mut logs[place];
        let action = if rng.bool() {
            let message = history.message(keys[place], kafka::Payload::Integer(log.len() as i64));
            log.push(message);
            kafka::Action::Send { message, offset: Some(log.len() as i64 - 1) }
        } else {
            let from = &mut read[client][place];
            let to = log.len().min(*from + 32);
            let list = (*from..to).map(|offset| (offset as i64, log[offset])).collect();
            *from = to;
            kafka::Action::Poll { lists: vec![(keys[place], list)], commit: kafka::Commit::Ok }
        };
        push(&mut history, index, action);
    }
    history
}

fn messages(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("kafka");
    group.sample_size(10);
    for count in [10_000, 100_000] {
        group.throughput(Throughput::Elements(count as u64));
        let history = logs(count);
        // What was sent last nobody polled yet.
        let accused =
            |report: &kafka::Report| report.anomalies.keys().any(|kind| *kind != kafka::Kind::Unseen);
        assert!(!accused(&kafka::check(&history)));
        group.bench_function(format!("judge {count}"), |bencher| {
            bencher.iter(|| kafka::check(black_box(&history)))
        });
    }
    group.finish();
}

/// The most memory that this process ever had, in bytes; zero where the system does not tell.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    1_024 * kilobytes.unwrap_or_default()
}

criterion_group!(benches, transactions, registers, messages);
criterion_main!(benches);
