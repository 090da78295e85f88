//! `txn-rw-register`: transactions that read and write registers.

use super::super::checker::rw_register::{self, Assumptions};
use super::super::checker::transactions::Transactions;
use super::super::data::Data;
use super::super::history::{Invocation, Operation};
use super::contract::{Client, Fact, Finding, Generator, Workload};
use super::rpc::{Rpc, Shape};
use super::transactions::{self, TransactionClient, TransactionGenerator};
use crate::time::Duration;
use crate::workbench::settings::Settings;

const F: Shape = Shape::Word(&["r", "w"]);

const MICRO_OPS: Shape = Shape::List(&Shape::Tuple(&[F, Shape::Integer, Shape::Nullable(&Shape::Integer)]));

static TXN: Rpc = Rpc {
    request: "txn",
    about: "Reads and writes registers, all as one transaction",
    fields: &[transactions::field(
        MICRO_OPS,
        "micro-operations: [\"r\", key, null] reads a register, [\"w\", key, value] writes it",
        "[[\"r\",3,null],[\"w\",3,2]]",
    )],
    reply: "txn_ok",
    reply_fields: &[transactions::field(
        MICRO_OPS,
        "the same micro-operations, each read with its value; null where nothing was written",
        "[[\"r\",3,1],[\"w\",3,2]]",
    )],
    errors: transactions::ERRORS,
};

/// See the [module](self).
#[derive(Clone, Copy, Debug, Default)]
pub struct RwRegister;

impl Workload for RwRegister {
    fn name(&self) -> &'static str {
        "txn-rw-register"
    }

    fn about(&self) -> &'static str {
        "Transactions that read and write registers, as isolated as a consistency model asks"
    }

    fn rpcs(&self) -> Vec<&'static Rpc> {
        vec![&TXN]
    }

    fn generator(&self, settings: &Settings) -> Box<dyn Generator> {
        Box::new(TransactionGenerator::new("w", settings))
    }

    fn client(&self, _: &Settings) -> Box<dyn Client> {
        Box::new(TransactionClient { rpc: &TXN, has_lists: false })
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
        transactions::misfit(operation, answer, false)
    }

    fn check(&self, history: &[Invocation], settings: &Settings) -> Box<dyn Finding> {
        let mut transactions = transactions::transactions(history, Transactions::over_registers(), false);
        let models = &settings.transactions.models;
        Box::new(rw_register::check(&mut transactions, models, Assumptions::default()))
    }
}
