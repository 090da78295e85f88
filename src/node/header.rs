//! How messages begin and end: what every message of a node has in common is kept as it was written.

use crate::json::write::WriteJson as _;
use crate::telemetry::label::Label;
use crate::telemetry::trace::Trace;
use crate::wire::out::OutBuffer;

/// The beginnings of messages.
#[derive(Debug)]
pub(super) struct HeaderCache {
    /// `{"src":"n1","dest":`, how every message of this node begins. Empty before `init`.
    pub(super) src: Vec<u8>,
    /// Some that were written lately, each in the place that its receiver and its type make out.
    latest: Box<[Header; HEADERS_KEPT]>,
}

/// So many beginnings of messages are kept.
const HEADERS_KEPT: usize = 64;

/// Those with longer names are not.
const HEADER_NAMES_MAX: usize = 256;

/// The beginning of a message: all but the fields and the numbers.
#[derive(Debug, Default)]
struct Header {
    dest: Label,
    kind: Label,
    /// The text, and after a short one something to fill two times [`HALF`].
    text: Vec<u8>,
    length: usize,
    /// Where in the text the members of the body begin.
    members: usize,
}

/// A beginning that is not longer than two of these is copied as if it were as long, which takes less than a call.
const HALF: usize = 32;

impl HeaderCache {
    /// Nothing is known, not even who writes.
    pub(super) fn new() -> Self {
        Self { src: Vec::new(), latest: Box::new(std::array::from_fn(|_| Header::default())) }
    }

    /// Starts a message of this type to `dest`; where the members of its body begin.
    #[inline(always)]
    pub(super) fn start(&mut self, trace: &mut Trace, out: &mut OutBuffer, dest: &str, kind: &str) -> usize {
        match self.find(dest, kind) {
            Some(header) => {
                trace.stage_sent(&header.dest, &header.kind);
                header.begin(out.start_line())
            }
            None => self.start_long(trace, out, dest, kind),
        }
    }

    #[cold]
    fn start_long(&self, trace: &mut Trace, out: &mut OutBuffer, dest: &str, kind: &str) -> usize {
        trace.stage_sent(&Label::new(dest), &Label::new(kind));
        write_header(out.start_line(), &self.src, dest, kind)
    }

    /// Starts a message all members of whose body are still to be written, its type too.
    pub(super) fn start_bare<'o>(
        &mut self,
        trace: &mut Trace,
        out: &'o mut OutBuffer,
        dest: &str,
        kind: &str,
    ) -> &'o mut Vec<u8> {
        let members = self.start(trace, out, dest, kind);
        out.line().truncate(members);
        out.line()
    }

    /// The beginning of a message of this type to `dest`; `None` if it is too long to be kept.
    #[inline(always)]
    fn find(&mut self, dest: &str, kind: &str) -> Option<&Header> {
        if dest.len() + kind.len() > HEADER_NAMES_MAX {
            return None;
        }
        let place = dest.bytes().next_back().unwrap_or(0) ^ kind.bytes().next().unwrap_or(0).rotate_left(3);
        let header = &mut self.latest[usize::from(place) % HEADERS_KEPT];
        if header.length == 0 || !header.dest.is(dest) || !header.kind.is(kind) {
            header.replace(&self.src, dest, kind);
        }
        Some(header)
    }
}

impl Header {
    #[inline(never)]
    fn replace(&mut self, src: &[u8], dest: &str, kind: &str) {
        self.dest.set(dest);
        self.kind.set(kind);
        self.text.clear();
        self.members = write_header(&mut self.text, src, dest, kind);
        self.length = self.text.len();
        self.text.resize(self.length.max(2 * HALF), 0);
    }

    /// Begins a line; where the members of its body begin.
    #[inline(always)]
    fn begin(&self, line: &mut Vec<u8>) -> usize {
        let start = line.len();
        // Two copies of a size that the compiler knows, which are a few instructions each.
        if let ([first, second, ..], true) = (self.text.as_chunks::<HALF>().0, self.length <= 2 * HALF) {
            line.extend_from_slice(first);
            line.extend_from_slice(second);
            line.truncate(start + self.length);
        } else {
            line.extend_from_slice(&self.text);
        }
        start + self.members
    }
}

/// The number of the next message, and the text that ends it: `,"msg_id":7}}`.
#[derive(Debug)]
pub(super) struct Numbering {
    pub(super) next: u64,
    text: [u8; Self::LONGEST],
    length: usize,
}

impl Numbering {
    const BEGINNING: &[u8] = b",\"msg_id\":";
    const END: &[u8] = b"}}";

    /// With as many digits as there can be.
    const LONGEST: usize = 32;

    pub(super) fn new() -> Self {
        let mut numbering = Self { next: 0, text: [0; Self::LONGEST], length: 0 };
        numbering.write();
        numbering
    }

    #[inline(always)]
    pub(super) fn end(&self, line: &mut Vec<u8>) {
        line.extend_from_slice(&self.text);
        line.truncate(line.len() - Self::LONGEST + self.length);
    }

    /// Counts up, in nine of ten cases where the last digit is.
    #[inline(always)]
    pub(super) fn step(&mut self) {
        self.next += 1;
        match self.text.get_mut(self.length - Self::END.len() - 1) {
            Some(digit @ b'0'..=b'8') => *digit += 1,
            _ => self.write(),
        }
    }

    #[inline(never)]
    fn write(&mut self) {
        self.length = 0;
        for piece in [Self::BEGINNING, itoa::Buffer::new().format(self.next).as_bytes(), Self::END] {
            self.text[self.length..self.length + piece.len()].copy_from_slice(piece);
            self.length += piece.len();
        }
    }
}

/// Writes the beginning of a message, up to the fields of its handler; where the members of its body begin.
pub(super) fn write_header(line: &mut Vec<u8>, src: &[u8], dest: &str, kind: &str) -> usize {
    line.extend_from_slice(src);
    dest.write_json(line);
    line.extend_from_slice(b",\"body\":{");
    let members = line.len();
    line.extend_from_slice(b"\"type\":");
    kind.write_json(line);
    members
}

pub(super) fn write_src(line: &mut Vec<u8>, src: &str) {
    line.extend_from_slice(b"{\"src\":");
    src.write_json(line);
    line.extend_from_slice(b",\"dest\":");
}
