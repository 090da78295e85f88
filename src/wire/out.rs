//! Messages on their way out: whole lines in, partial writes out.

/// From this much output waiting, a shell stops reading.
pub const HIGH_WATER: usize = 256 * 1024;

/// At or below this much output waiting, a shell reads again.
pub const LOW_WATER: usize = 64 * 1024;

/// Memory beyond this is given back once the output is drained.
const CAPACITY_KEPT: usize = 1024 * 1024;

/// Output that waits to be written: whole lines, of which the writer may have taken a part.
///
/// ```text
/// 0 <= written <= ended <= bytes.len()
///      ^ next write  ^ the line that is being written
/// ```
///
/// A line is written in place and counts once it is ended: nobody ever sees half of one, and one that is
/// given up needs no more than to start another.
/// The buffer itself takes whatever it is given; the shell holds it in bounds by not reading while
/// [`len`](Self::len) is past [`HIGH_WATER`].
#[derive(Debug, Default)]
pub struct OutBuffer {
    bytes: Vec<u8>,
    written: usize,
    ended: usize,
}

impl OutBuffer {
    /// Nothing waits.
    pub const fn new() -> Self {
        Self { bytes: Vec::new(), written: 0, ended: 0 }
    }

    /// The bytes that wait to be written.
    pub fn waiting(&self) -> &[u8] {
        &self.bytes[self.written..self.ended]
    }

    /// How many bytes wait to be written.
    pub const fn len(&self) -> usize {
        self.ended - self.written
    }

    /// Whether nothing waits to be written.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Says that the first `count` of the [`waiting`](Self::waiting) bytes were written.
    ///
    /// # Panics
    /// If fewer wait.
    pub fn consume(&mut self, count: usize) {
        assert!(count <= self.len(), "{count} bytes written of {}", self.len());
        self.written += count;
        if self.written == self.ended {
            self.bytes.clear();
            self.bytes.shrink_to(CAPACITY_KEPT);
            self.written = 0;
            self.ended = 0;
        } else if self.written >= HIGH_WATER && self.written >= self.len() {
            // Moves no more bytes than were written since the last time.
            self.bytes.drain(..self.written);
            self.ended -= self.written;
            self.written = 0;
        }
    }

    /// Starts a line, in place of one that was not ended. Append to what this returns.
    pub(crate) fn start_line(&mut self) -> &mut Vec<u8> {
        self.bytes.truncate(self.ended);
        &mut self.bytes
    }

    /// The line that is being written, at the end of other bytes.
    pub(crate) const fn line(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Ends the line, and shows it without its newline. There is none within it: JSON is written without.
    pub(crate) fn end_line(&mut self) -> &[u8] {
        let start = self.ended;
        debug_assert!(!self.bytes[start..].contains(&b'\n'), "a newline within a line");
        self.bytes.push(b'\n');
        self.ended = self.bytes.len();
        &self.bytes[start..self.ended - 1]
    }
}

impl OutBuffer {
    /// Where the next line begins, as long as nothing is written meanwhile.
    pub(crate) const fn end(&self) -> usize {
        self.ended
    }

    /// Moves the whole lines from `start` on to the end of `lines`.
    pub(crate) fn take_from(&mut self, start: usize, lines: &mut Vec<u8>) {
        lines.extend_from_slice(&self.bytes[start..self.ended]);
        self.bytes.truncate(start);
        self.ended = start;
    }

    /// Takes in whole lines.
    pub(crate) fn give(&mut self, lines: &[u8]) {
        debug_assert!(lines.last().is_none_or(|&last| last == b'\n'), "half a line");
        self.start_line().extend_from_slice(lines);
        self.ended = self.bytes.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partial_writes_of_every_size_lose_nothing() {
        for step in 1..40 {
            let mut out = OutBuffer::new();
            let (mut wanted, mut got) = (Vec::new(), Vec::new());
            for n in 0..50 {
                let line = format!("line {n}");
                out.start_line().extend_from_slice(line.as_bytes());
                out.end_line();
                wanted.extend_from_slice(format!("{line}\n").as_bytes());
                let count = step.min(out.len());
                got.extend_from_slice(&out.waiting()[..count]);
                out.consume(count);
            }
            got.extend_from_slice(out.waiting());
            assert_eq!(got, wanted, "writes of {step}");
        }
    }

    #[test]
    fn a_slow_reader_does_not_make_the_buffer_grow() {
        let mut out = OutBuffer::new();
        out.start_line().resize(HIGH_WATER, b'x');
        out.end_line();
        for _ in 0..10_000 {
            out.start_line().extend_from_slice(&[b'x'; 999]);
            out.end_line();
            out.consume(1000);
            assert_eq!(out.len(), HIGH_WATER + 1);
        }
        assert!(out.bytes.capacity() <= 4 * HIGH_WATER, "{}", out.bytes.capacity());
    }

    #[test]
    fn a_line_given_up_leaves_no_trace() {
        let mut out = OutBuffer::new();
        out.start_line().extend_from_slice(b"half a li");
        assert!(out.is_empty());
        out.start_line().extend_from_slice(b"whole");
        out.end_line();
        out.start_line().extend_from_slice(b"half a li");
        assert_eq!(out.waiting(), b"whole\n");
        out.consume(6);
        assert!(out.is_empty());
    }
}
