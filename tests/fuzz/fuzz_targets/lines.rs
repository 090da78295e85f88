//! The line path, from the bytes of a read to the answer. The first byte is the size of a read.
#![no_main]

#[path = "../oracle.rs"]
mod oracle;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    if let [step, stream @ ..] = input {
        oracle::check_stream(stream, usize::from(*step));
        oracle::check_unlike_stream(stream, usize::from(*step));
    }
});
