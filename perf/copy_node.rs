//! Copies stdin to stdout in reads of 64 KiB. It is no node: it shows what the pipes alone cost.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;

fn main() -> io::Result<()> {
    // Not std's own stdout, which would write what follows the last newline on its own.
    let mut stdin = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut stdout = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let mut buffer = vec![0; 1 << 16];
    loop {
        let count = stdin.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        stdout.write_all(&buffer[..count])?;
    }
}
