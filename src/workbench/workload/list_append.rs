//! `txn-list-append`: transactions that read lists and append to them.

use super::super::checker::list_append;
use super::super::checker::transactions::Transactions;
use super::super::data::Data;
use super::super::history::{Invocation, Operation};
use super::contract::{Client, Fact, Finding, Generator, Workload};
use super::rpc::{Rpc, Shape};
use super::transactions::{self, TransactionClient, TransactionGenerator};
use crate::time::Duration;
use crate::workbench::settings::Settings;

const F: Shape = Shape::Word(&["r", "append"]);

static TXN: Rpc = Rpc {
    request: "txn",
    about: "Reads lists and appends to them, all as one transaction",
    fields: &[transactions::field(
        Shape::List(&Shape::Tuple(&[F, Shape::Integer, Shape::Nullable(&Shape::Integer)])),
        "micro-operations: [\"r\", key, null] reads a list, [\"append\", key, element] appends to it",
        "[[\"r\",3,null],[\"append\",3,2]]",
    )],
    reply: "txn_ok",
    reply_fields: &[transactions::field(
        Shape::List(&Shape::Tuple(&[
            F,
            Shape::Integer,
            Shape::OneOf(&[Shape::Nullable(&Shape::Integer), Shape::List(&Shape::Integer)]),
        ])),
        "the same micro-operations, each read with its list; null or [] where there is none",
        "[[\"r\",3,[1]],[\"append\",3,2]]",
    )],
    errors: transactions::ERRORS,
};

/// See the [module](self).
#[derive(Clone, Copy, Debug, Default)]
pub struct ListAppend;

impl Workload for ListAppend {
    fn name(&self) -> &'static str {
        "txn-list-append"
    }

    fn about(&self) -> &'static str {
        "Transactions that read lists and append to them, as isolated as a consistency model asks"
    }

    fn rpcs(&self) -> Vec<&'static Rpc> {
        vec![&TXN]
    }

    fn generator(&self, settings: &Settings) -> Box<dyn Generator> {
        Box::new(TransactionGenerator::new("append", settings))
    }

    fn client(&self, _: &Settings) -> Box<dyn Client> {
        Box::new(TransactionClient { rpc: &TXN, has_lists: true })
    }

    fn may_need_a_leader(&self) -> bool {
        true
    }

    fn is_idempotent(&self, _: &str) -> bool {
        false
    }

    fn final_phase(&self) -> Option<Duration> {
        Some(transactions::FINAL_PHASE)
    }

    fn facts(&self, settings: &Settings) -> Vec<Fact> {
        transactions::facts(settings)
    }

    fn misfit(&self, operation: &Operation, answer: Option<&Data>) -> Option<&'static str> {
        transactions::misfit(operation, answer, true)
    }

    fn check(&self, history: &[Invocation], settings: &Settings) -> Box<dyn Finding> {
        let mut transactions = transactions::transactions(history, Transactions::over_lists(), true);
        Box::new(list_append::check(&mut transactions, &settings.transactions.models))
    }
}
