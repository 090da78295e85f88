//! Lines as their receivers read them.

use crate::json::write::WriteJson as _;
use crate::workbench::journal::Address;

/// A message as its receiver reads it, without the newline.
pub(super) fn frame(id: u64, src: Address, dest: Address, body: &str) -> Vec<u8> {
    let mut line = Vec::with_capacity(body.len() + 64);
    write_frame(id, src, dest, body, &mut line);
    line
}

/// See [`frame`].
pub(super) fn write_frame(id: u64, src: Address, dest: Address, body: &str, line: &mut Vec<u8>) {
    line.extend_from_slice(b"{\"id\":");
    id.write_json(line);
    line.extend_from_slice(b",\"src\":\"");
    src.write(line);
    line.extend_from_slice(b"\",\"dest\":\"");
    dest.write(line);
    line.extend_from_slice(b"\",\"body\":");
    line.extend_from_slice(body.as_bytes());
    line.push(b'}');
}
