//! The node that a careful programmer writes first: `serde_json`, borrowed structs, raw values, one write
//! per read. It answers `init` and `echo`, checks nothing else, and is what ours is measured against.

use std::borrow::Cow;
use std::io::{self, Read, Write};

use serde::Deserialize;
use serde_json::value::RawValue;

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    src: Cow<'a, str>,
    #[serde(borrow)]
    dest: Cow<'a, str>,
    #[serde(borrow)]
    body: Body<'a>,
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    msg_id: u64,
    #[serde(borrow)]
    echo: Option<&'a RawValue>,
}

fn main() -> io::Result<()> {
    let (mut stdin, mut stdout) = (io::stdin().lock(), io::stdout().lock());
    let (mut buffer, mut out, mut filled, mut next_msg_id) = (vec![0; 1 << 16], Vec::new(), 0, 0);
    loop {
        if filled == buffer.len() {
            buffer.resize(2 * filled, 0);
        }
        let count = stdin.read(&mut buffer[filled..])?;
        if count == 0 {
            return Ok(());
        }
        filled += count;
        let mut rest = &buffer[..filled];
        while let Some(newline) = memchr::memchr(b'\n', rest) {
            let Envelope { src, dest, body } = serde_json::from_slice(&rest[..newline])?;
            let Body { kind, msg_id, echo } = body;
            write!(out, r#"{{"src":"{dest}","dest":"{src}","body":{{"type":"{kind}_ok","#)?;
            if let Some(echo) = echo {
                write!(out, r#""echo":{echo},"#)?;
            }
            writeln!(out, r#""in_reply_to":{msg_id},"msg_id":{next_msg_id}}}}}"#)?;
            next_msg_id += 1;
            rest = &rest[newline + 1..];
        }
        let kept = rest.len();
        buffer.copy_within(filled - kept..filled, 0);
        filled = kept;
        stdout.write_all(&out)?;
        stdout.flush()?;
        out.clear();
    }
}
