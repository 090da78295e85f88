//! An echo node as one writes it in a hurry: `serde_json`'s streaming reader and its `Value`, a write per message.

use std::io::{self, Write};

use serde_json::{Deserializer, Value, json};

fn main() -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    for message in Deserializer::from_reader(io::stdin().lock()).into_iter() {
        let message: Value = message?;
        let body = &message["body"];
        let mut reply = json!({
            "src": message["dest"],
            "dest": message["src"],
            "body": { "type": "init_ok", "in_reply_to": body["msg_id"] },
        });
        if body["type"] == "echo" {
            reply["body"]["type"] = json!("echo_ok");
            reply["body"]["echo"] = body["echo"].clone();
        }
        writeln!(stdout, "{reply}")?;
    }
    Ok(())
}
