//! The least that an echo node has to do: it finds newlines, and cuts its replies out of the requests by position.
//! It validates nothing and works only for the lines that `perf/load.rs` writes. A node that reads JSON cannot be
//! faster, through the same pipes: with the argument `wide` it makes its own as wide as this crate's node does.

use std::io::{self, Read, Write};
#[cfg(target_os = "linux")]
use std::os::fd::AsFd;

use memchr::{memchr, memmem, memrchr};

fn main() -> io::Result<()> {
    let (mut stdin, mut stdout) = (io::stdin().lock(), io::stdout().lock());
    #[cfg(target_os = "linux")]
    if std::env::args().nth(1).as_deref() == Some("wide") {
        for pipe in [stdin.as_fd(), stdout.as_fd()] {
            rustix::pipe::fcntl_setpipe_size(pipe, 1 << 18)?;
        }
    }
    let (mut buffer, mut out, mut filled, mut next_msg_id) = (vec![0; 1 << 16], Vec::new(), 0, 0_u64);
    let mut digits = itoa::Buffer::new();
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
        while let Some(newline) = memchr(b'\n', rest) {
            let line = &rest[..newline];
            rest = &rest[newline + 1..];
            if next_msg_id == 0 {
                assert!(memmem::find(line, br#""init""#).is_some(), "the first message is init");
                out.extend_from_slice(
                    br#"{"src":"n0","dest":"c0","body":{"type":"init_ok","in_reply_to":1}}"#,
                );
                out.push(b'\n');
                next_msg_id = 1;
                continue;
            }
            // {"id":1,"src":"c1","dest":"n0","body":{"echo":"…","type":"echo","msg_id":1}}
            let comma = memchr(b',', &line[6..]).expect("a comma after the id") + 6;
            let src = &line[comma + 8..comma + 10];
            let echo = comma + r#","src":"c1","dest":"n0","body":{"#.len();
            let msg_id = memrchr(b':', line).expect("a colon before msg_id") + 1;
            let echo = &line[echo..msg_id - r#""type":"echo","msg_id":"#.len()];
            for piece in [
                br#"{"src":"n0","dest":""#,
                src,
                br#"","body":{"type":"echo_ok","#,
                echo,
                br#""in_reply_to":"#,
                &line[msg_id..line.len() - 2],
                br#","msg_id":"#,
                digits.format(next_msg_id).as_bytes(),
                b"}}\n",
            ] {
                out.extend_from_slice(piece);
            }
            next_msg_id += 1;
        }
        let kept = rest.len();
        buffer.copy_within(filled - kept..filled, 0);
        filled = kept;
        stdout.write_all(&out)?;
        stdout.flush()?;
        out.clear();
    }
}
