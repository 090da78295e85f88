//! What a node's author has to know of a workload, from the table that its replies are checked by.

use std::fmt::{self, Write as _};

use super::contract::Workload;
use super::rpc::{Field, Rpc};
use crate::wire::error::ErrorCode;
use crate::workbench::settings::Settings;

/// The requests, replies and errors of a workload, each with a line as it may look.
///
/// # Panics
/// Never: a string takes everything.
pub fn manual(workload: &dyn Workload) -> String {
    let mut text = String::new();
    write(workload, &mut text).expect("a string takes everything");
    text
}

fn write(workload: &dyn Workload, out: &mut String) -> fmt::Result {
    writeln!(out, "{}: {}.", workload.name(), workload.about())?;
    for rpc in workload.rpcs() {
        let Rpc { request, about, fields, reply, reply_fields, errors } = rpc;
        writeln!(out, "\n{request}\n  {about}.")?;
        write_fields(out, fields)?;
        writeln!(out, "  {}", line("c1", "n1", request, "msg_id", fields))?;
        writeln!(out, "{reply}")?;
        write_fields(out, reply_fields)?;
        writeln!(out, "  {}", line("n1", "c1", reply, "in_reply_to", reply_fields))?;
        for (code, meaning) in *errors {
            writeln!(out, "error {}: {meaning}", code.0)?;
        }
    }
    let definite: Vec<_> =
        (0..=30).filter(|&code| ErrorCode(code).is_definite()).map(|code| code.to_string()).collect();
    writeln!(
        out,
        r#"
Any request but the first ones, init and topology, may be answered with an error. {} say that it did not happen and
never will; any other code leaves that open:
  {{"src":"n1","dest":"c1","body":{{"type":"error","in_reply_to":1,"code":11,"text":"not now"}}}}

A reply has its type, in_reply_to, a msg_id if you like, and the fields that are named here, and nothing else. A client
waits {} seconds for it, if messages between nodes take no time. Operations that change nothing: {}."#,
        definite.join(", "),
        workload.patience(&Settings::default()).as_micros() / 1_000_000,
        idempotent(workload),
    )
}

fn write_fields(out: &mut String, fields: &[Field]) -> fmt::Result {
    fields.iter().try_for_each(|Field { name, shape, about, .. }| writeln!(out, "  {name}: {shape}; {about}"))
}

fn idempotent(workload: &dyn Workload) -> String {
    let names = workload.rpcs().into_iter().map(|rpc| rpc.request);
    let names: Vec<_> = names.filter(|request| workload.is_idempotent(request)).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// A message as it may look.
fn line(src: &str, dest: &str, kind: &str, number: &str, fields: &[Field]) -> String {
    let mut line = format!(r#"{{"src":"{src}","dest":"{dest}","body":{{"type":"{kind}","{number}":1"#);
    for Field { name, example, .. } in fields {
        // Writing to a string cannot fail.
        let _ = write!(line, r#","{name}":{example}"#);
    }
    line + "}}"
}

#[cfg(test)]
mod tests {
    use super::super::{ALL, by_name};
    use super::*;
    use crate::json::parser::Parser;
    use crate::wire::envelope::UncheckedEnvelope;
    use crate::wire::lines::Line;

    #[test]
    fn every_example_is_a_message() {
        for workload in ALL {
            let manual = manual(workload);
            let lines: Vec<_> = manual.lines().filter_map(|line| line.strip_prefix("  {")).collect();
            assert_eq!(lines.len(), 2 * workload.rpcs().len() + 1, "{manual}");
            for line in lines {
                let (mut parser, line) = (Parser::new(), format!("{{{line}"));
                let message = UncheckedEnvelope::parse(&mut parser, Line::new(line.as_bytes())).unwrap();
                message.check().unwrap_or_else(|error| panic!("{line}: {error}"));
            }
        }
    }

    #[test]
    fn a_manual_has_what_a_nodes_author_needs() {
        let manual = manual(by_name("lin-kv").unwrap());
        for words in [
            "lin-kv: Registers that are read, written, and compared and set",
            "cas\n  Sets the value of a key, if it is what the client expects.\n  key: an integer of 64 bits; which register",
            r#"{"src":"c1","dest":"n1","body":{"type":"cas","msg_id":1,"key":5,"from":3,"to":4}}"#,
            r#"{"src":"n1","dest":"c1","body":{"type":"read_ok","in_reply_to":1,"value":3}}"#,
            "error 22: the value is not `from`",
            "waits 1 seconds for it",
            "Operations that change nothing: read.",
        ] {
            assert!(manual.contains(words), "{words} is not in\n{manual}");
        }
    }
}
