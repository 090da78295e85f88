//! Small graphs, their cycles, and where a search ends that takes too long.

use super::super::models::{Class, Order};
use super::kind::{PROCESS, RW, WR, WW};
use super::search::*;
use super::*;

struct Alike;

impl Weight for Alike {
    fn of(&self, _: &mut dyn Iterator<Item = u32>) -> (usize, u64, u64) {
        (0, 0, 0)
    }
}

fn edges(list: &[(u32, u32, u8)]) -> Edges {
    let mut edges = Edges::default();
    for &(from, to, kind) in list {
        edges.push(from, to, kind);
    }
    edges
}

fn found(vertices: u32, list: &[(u32, u32, u8)], orders: &[Order], budget: u64) -> Found {
    search(&Graph::new(vertices, vertices, &edges(list)), orders, &Alike, budget)
}

fn classes(vertices: u32, list: &[(u32, u32, u8)], orders: &[Order]) -> Vec<(Class, Order, usize)> {
    let found = found(vertices, list, orders, BUDGET);
    assert!(found.unshown.is_empty() && found.undecided.is_empty(), "{found:?}");
    found.cycles.iter().map(|cycle| (cycle.class, cycle.order, cycle.steps.len())).collect()
}

#[test]
fn each_class_of_cycles_is_told_from_the_others() {
    let data = |list: &[(u32, u32, u8)]| classes(4, list, &[]);
    assert_eq!(data(&[(0, 1, WW), (1, 2, RW), (2, 3, WR)]), []);
    assert_eq!(data(&[(0, 1, WW), (1, 0, WW)]), [(Class::G0, Order::Data, 2)]);
    assert_eq!(data(&[(0, 1, WW), (1, 2, WR), (2, 0, WW)]), [(Class::G1c, Order::Data, 3)]);
    assert_eq!(data(&[(0, 1, WW), (1, 2, WR), (2, 0, RW)]), [(Class::GSingle, Order::Data, 3)]);
    let fork = [(0, 1, WR), (1, 2, RW), (2, 3, WR), (3, 0, RW)];
    assert_eq!(data(&fork), [(Class::GNonadjacent, Order::Data, 4)]);
    assert_eq!(data(&[(0, 1, RW), (1, 0, RW)]), [(Class::G2, Order::Data, 2)]);
}

#[test]
fn a_shorter_way_is_preferred() {
    let list = [(0, 1, RW), (1, 2, WW), (2, 3, WW), (3, 0, WW), (2, 0, WR)];
    assert_eq!(classes(4, &list, &[]), [(Class::GSingle, Order::Data, 3)]);
}

#[test]
fn orders_count_only_where_they_are_needed() {
    let list = [(0, 1, PROCESS), (1, 0, RW)];
    assert_eq!(classes(2, &list, &[]), []);
    assert_eq!(classes(2, &list, &[Order::Process]), [(Class::GSingle, Order::Process, 2)]);
    // The step is a dependency as well.
    let list = [(0, 1, PROCESS), (0, 1, WW), (1, 0, RW)];
    assert_eq!(classes(2, &list, &[Order::Process]), [(Class::GSingle, Order::Data, 2)]);
}

#[test]
fn without_a_budget_it_is_still_known_that_there_is_a_cycle() {
    for (list, class) in [
        (&[(0, 1, WW), (1, 0, WW)][..], Class::G0),
        (&[(0, 1, WR), (1, 0, WW)], Class::G1c),
        (&[(0, 1, RW), (1, 0, WW)], Class::GNonadjacent),
        (&[(0, 1, RW), (1, 0, RW)], Class::G2),
    ] {
        let found = found(2, list, &[], 0);
        assert!(found.cycles.is_empty());
        assert_eq!(found.unshown[0], (class, Order::Data, 2));
    }
}

/// Whom each transaction leads to, through hubs or not.
fn reaches(vertices: u32, transactions: u32, list: &Edges) -> Vec<Vec<u32>> {
    let graph = Graph::new(vertices, transactions, list);
    let from = |start: u32| {
        let (mut open, mut met) = (vec![start], vec![false; vertices as usize]);
        while let Some(vertex) = open.pop() {
            for (target, _) in graph.edges(vertex) {
                if !std::mem::replace(&mut met[target as usize], true) && graph.is_hub(target) {
                    open.push(target);
                }
            }
        }
        (0..transactions).filter(|&target| met[target as usize]).collect()
    };
    (0..transactions).map(from).collect()
}

#[test]
fn all_come_before_all_but_none_before_itself() {
    let (from, to) = ([0, 1, 2, 5], [1, 2, 3, 4]);
    let mut list = Edges::default();
    let vertices = all_before_all(&from, &to, RW, 6, &mut list);
    let expected = [vec![1, 2, 3, 4], vec![2, 3, 4], vec![1, 3, 4], vec![], vec![], vec![1, 2, 3, 4]];
    assert_eq!(reaches(vertices, 6, &list), expected);
}

#[test]
fn who_ended_leads_to_all_that_began_strictly_later() {
    let mut rng = fastrand::Rng::with_seed(1);
    for _ in 0..50 {
        let spans: Vec<(u64, u64)> = (0..12)
            .map(|_| {
                let begin = rng.u64(0..20);
                (begin, begin + rng.u64(0..6))
            })
            .collect();
        let mut ends: Vec<(u64, u32)> = spans.iter().zip(0..).map(|(span, index)| (span.1, index)).collect();
        let begun = spans.iter().zip(0..).map(|(span, index)| (span.0, index));
        let mut list = Edges::default();
        let vertices = order_in_time(&mut ends, begun, 12, &mut list);
        assert!(list.len() <= 36);
        // A transaction is answered after it began, so it never leads to itself.
        let expected: Vec<Vec<u32>> = spans
            .iter()
            .map(|span| (0..12).filter(|&other| span.1 < spans[other as usize].0).collect())
            .collect();
        let graph = reaches(vertices, 12, &list);
        assert_eq!(graph, expected);
    }
}
