//! How fast histories are judged: transactions over lists and registers, in numbers that a test of a day comes to.
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
use messenger::workbench::checker::{Completion, Interval, Verdict, list_append, rw_register};

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

/// The most memory that this process ever had, in bytes; zero where the system does not tell.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    1_024 * kilobytes.unwrap_or_default()
}

criterion_group!(benches, transactions);
criterion_main!(benches);
