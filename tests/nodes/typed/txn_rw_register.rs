//! Transactions on one node: `-w txn-rw-register --node-count 1`.

use std::collections::HashMap;

use messenger::handler_fn;
use messenger::messages::txn::{Access, Register, Reply, Request};

fn main() -> std::io::Result<()> {
    let mut registers: HashMap<u64, i64> = HashMap::new();
    messenger::run(handler_fn(move |request, cx| {
        let Request::Txn { mut txn } = request.parse::<Request<Register>>()?;
        for (access, key, value) in &mut txn {
            match (*access, *value) {
                (Access::Write, Some(new)) => drop(registers.insert(*key, new)),
                _ => *value = registers.get(key).copied(),
            }
        }
        cx.reply_with(request, &Reply::TxnOk { txn })
    }))
}
