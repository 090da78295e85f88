//! Operations as EDN: Clojure's notation, in which Jepsen writes histories.

use std::io::{self, Write};

use clojure_reader::edn::{self, Edn};

use super::error::ReadError;
use super::event::Members;
use crate::json::write::WriteJson as _;
use crate::workbench::checker::UNKNOWN_NODE;
use crate::workbench::data::Data;
use crate::workbench::history::{self, Event, Invocation};
use crate::workbench::workload::Workload;

/// The members of an operation.
pub(super) fn members(line: u64, text: &[u8]) -> Result<Members, ReadError> {
    let expected = "an operation in EDN";
    let text = std::str::from_utf8(text).map_err(|error| {
        ReadError::malformed(
            line,
            expected,
            format!("invalid UTF-8 {} bytes after its beginning", error.valid_up_to()),
        )
    })?;
    let edn = edn::read_string(text).map_err(|error| {
        let later = error.line.map_or(0, |of| of as u64 - 1);
        let column = error.column.map_or_else(String::new, |column| format!(" at column {column}"));
        ReadError::malformed(line + later, expected, format!("{:?}{column}", error.code))
    })?;
    let Edn::Map(members) = &edn else {
        return Err(ReadError::malformed(line, expected, "something else"));
    };
    Ok(members.iter().map(|(key, value)| (name(key).into(), data(value))).collect())
}

/// A key without the colon of a keyword.
fn name(key: &Edn<'_>) -> String {
    match data(key) {
        Data::Text(text) => text.into(),
        other => other.to_string(),
    }
}

/// Keywords and symbols become strings, and whatever is in a row a list.
fn data(edn: &Edn<'_>) -> Data {
    match edn {
        Edn::Nil => Data::Null,
        Edn::Bool(boolean) => Data::Bool(*boolean),
        Edn::Int(integer) => Data::Int(*integer),
        Edn::Key(text) | Edn::Symbol(text) | Edn::Str(text) => Data::Text((**text).into()),
        Edn::Char(c) => Data::Text(c.to_string().into()),
        Edn::Vector(items) | Edn::List(items) => Data::list(items.iter().map(data)),
        Edn::Set(items) => Data::list(items.iter().map(data)),
        Edn::Map(members) => Data::Map(members.iter().map(|(key, value)| (data(key), data(value))).collect()),
        Edn::Tagged(_, value) => data(value),
        Edn::BigInt(integer) => Data::Raw(integer.to_string().into()),
        Edn::Double(float) if float.is_finite() => Data::Raw(format!("{:?}", **float).into()),
        other => Data::Text(other.to_string().into()),
    }
}

/// See [`write_edn`](super::write_edn).
pub(super) fn write(history: &[Invocation], workload: &dyn Workload, out: &mut impl Write) -> io::Result<()> {
    let mut line = Vec::new();
    for (index, event) in history::events(history).into_iter().enumerate() {
        let Event { at, kind, invocation, value, error } = event;
        let micro_operations = micro_operations(invocation.operation.f);
        let (value, more) = workload.export(invocation.operation.f, value);
        line.clear();
        write!(
            line,
            "{{:index {index}, :time {}, :type :{kind}, :process {}, :f :{}, :value ",
            1_000 * at.as_micros(),
            invocation.process,
            invocation.operation.f
        )?;
        write_value(&value, 0, micro_operations, &mut line);
        for (name, value) in more {
            write!(line, ", :{name} ")?;
            write_value(&value, 0, &[], &mut line);
        }
        if let Some(error) = error {
            line.extend_from_slice(b", :error ");
            if error == history::NO_ANSWER {
                line.extend_from_slice(b":net-timeout");
            } else {
                write_text(error, &mut line);
            }
        }
        if invocation.node != UNKNOWN_NODE {
            write!(line, ", :node \"n{}\"", invocation.node)?;
        }
        for (is_so, name) in [(invocation.is_final, "final?"), (invocation.is_probe, "probe?")] {
            if is_so {
                write!(line, ", :{name} true")?;
            }
        }
        line.extend_from_slice(b"}\n");
        out.write_all(&line)?;
    }
    Ok(())
}

/// The names of what operations of that kind consist of.
fn micro_operations(f: &str) -> &'static [&'static str] {
    match f {
        "txn" => &["r", "w", "append"],
        "send" => &["send"],
        "poll" => &["poll"],
        _ => &[],
    }
}

/// What begins a micro-operation, an item of a value that is a list, is a keyword; all other strings are strings.
fn write_value(value: &Data, depth: usize, micro_operations: &[&str], out: &mut Vec<u8>) {
    match value {
        Data::Null => out.extend_from_slice(b"nil"),
        Data::Text(text) => write_text(text, out),
        Data::Ints(integers) => {
            out.push(b'[');
            for (place, integer) in integers.iter().enumerate() {
                separate(place, b" ", out);
                integer.write_json(out);
            }
            out.push(b']');
        }
        Data::List(items) => {
            out.push(b'[');
            for (place, item) in items.iter().enumerate() {
                separate(place, b" ", out);
                match item {
                    Data::Text(word) if depth == 1 && place == 0 && micro_operations.contains(&&**word) => {
                        out.push(b':');
                        out.extend_from_slice(word.as_bytes());
                    }
                    item => write_value(item, depth + 1, micro_operations, out),
                }
            }
            out.push(b']');
        }
        Data::Map(members) => {
            out.push(b'{');
            for (place, (key, value)) in members.iter().enumerate() {
                separate(place, b", ", out);
                write_value(key, depth + 2, micro_operations, out);
                out.push(b' ');
                write_value(value, depth + 2, micro_operations, out);
            }
            out.push(b'}');
        }
        other => out.extend_from_slice(other.to_string().as_bytes()),
    }
}

fn separate(place: usize, separator: &[u8], out: &mut Vec<u8>) {
    if place > 0 {
        out.extend_from_slice(separator);
    }
}

/// EDN knows fewer escapes than JSON, and needs only these.
fn write_text(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            other => out.push(other),
        }
    }
    out.push(b'"');
}
