//! Transactions as clients send them: lists of micro-operations.

use crate::json::value::Value;
use crate::json::write::WriteJson;
use crate::node::Request;
use crate::wire::error::RpcError;

/// More micro-operations are refused: a node does a transaction in one go.
const LENGTH_MAX: usize = 10_000;

/// A micro-operation. Keys and values are any JSON, and are compared by their texts.
#[derive(Clone, Debug)]
pub(super) struct MicroOp {
    pub key: Box<str>,
    /// What is written; `None` for a read.
    pub write: Option<Box<str>>,
}

/// The micro-operations of a `txn`, whose writes have this name.
///
/// # Errors
/// Code 12, if they are not such ones.
pub(super) fn read_txn(request: &Request<'_>, write: &'static str) -> Result<Vec<MicroOp>, RpcError> {
    let read = |value: Value<'_>| {
        let ops: Option<Vec<MicroOp>> =
            value.as_array()?.take(LENGTH_MAX + 1).map(|op| read_op(op, write)).collect();
        ops.filter(|ops| ops.len() <= LENGTH_MAX)
    };
    let expected = match write {
        "append" => "an array of [\"r\", key, null] and [\"append\", key, element]",
        _ => "an array of [\"r\", key, null] and [\"w\", key, value]",
    };
    Ok(request.typed("txn", expected, read)?)
}

fn read_op(op: Value<'_>, write: &str) -> Option<MicroOp> {
    let mut parts = op.as_array()?;
    let (f, key, value) = (parts.next()?.as_str()?, parts.next()?, parts.next()?);
    let write = match &*f {
        "r" => None,
        f if f == write => Some(value.raw().into()),
        _ => return None,
    };
    parts.next().is_none().then(|| MicroOp { key: key.raw().into(), write })
}

/// What was asked for, with what its reads found, as JSON.
pub(super) struct Answered<'a> {
    pub ops: &'a [MicroOp],
    /// For each read, in their order, its value as JSON.
    pub reads: Vec<Box<str>>,
    pub write: &'static str,
}

impl WriteJson for Answered<'_> {
    fn write_json(&self, out: &mut Vec<u8>) {
        let mut reads = self.reads.iter();
        out.push(b'[');
        for (place, op) in self.ops.iter().enumerate() {
            if place > 0 {
                out.push(b',');
            }
            let (f, value) = match &op.write {
                Some(value) => (self.write, Some(value)),
                None => ("r", reads.next()),
            };
            out.push(b'[');
            f.write_json(out);
            for text in [&*op.key, value.map_or("null", |value| value)] {
                out.push(b',');
                out.extend_from_slice(text.as_bytes());
            }
            out.push(b']');
        }
        out.push(b']');
    }
}

/// A JSON text that is written as it is.
pub(super) struct Raw<'a>(pub &'a str);

impl WriteJson for Raw<'_> {
    fn write_json(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.0.as_bytes());
    }
}
