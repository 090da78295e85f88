//! The newest messages of a node in a ring, and all of them, if somebody asks, as lines for a file.

use std::fmt;
use std::time::{Duration, UNIX_EPOCH};

use super::ON;
use crate::time::Instant;
use crate::wire::encode::WriteJson;

/// A name in the ring is cut beyond this many bytes.
const NAME_MAX: usize = 1024;

/// So many bytes of trace wait for their file; a line that does not fit is dropped and counted.
const FILE_BUFFER_MAX: usize = 4 * 1024 * 1024;

/// Which way a message went, as the node sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// Into the node.
    #[default]
    Received,
    /// Out of the node.
    Sent,
}

impl Direction {
    /// `RECV` or `SENT`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Received => "RECV",
            Self::Sent => "SENT",
        }
    }
}

/// A message that a node remembers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When, in microseconds of Unix time.
    pub unix_us: u64,
    /// Which way.
    pub direction: Direction,
    /// Who sent it.
    pub src: String,
    /// Whom it was for.
    pub dest: String,
    /// Its type.
    pub kind: String,
}

/// As `get_log` tells of it, with the time in ISO 8601, UTC.
impl WriteJson for Entry {
    fn write_json(&self, out: &mut Vec<u8>) {
        let time = humantime::format_rfc3339_micros(UNIX_EPOCH + Duration::from_micros(self.unix_us));
        out.extend_from_slice(b"{\"ts\":");
        time.to_string().write_json(out);
        out.extend_from_slice(b",\"dir\":");
        self.direction.as_str().write_json(out);
        out.extend_from_slice(b",\"src\":");
        self.src.write_json(out);
        out.extend_from_slice(b",\"dest\":");
        self.dest.write_json(out);
        out.extend_from_slice(b",\"msg_type\":");
        self.kind.write_json(out);
        out.push(b'}');
    }
}

/// What a node remembers of the messages that came and went.
///
/// A message to be sent is sketched first and counts once it is sent, like the line that it is written in.
pub struct Trace {
    ring: Box<[Slot]>,
    /// The place of the next message, after that of the newest.
    next: usize,
    /// How many messages there were.
    count: u64,
    /// Unix time at [`Instant::START`].
    start_unix_us: u64,
    /// The node's id; empty before `init`.
    node: String,
    /// Lines that wait for their file, if there is one.
    file: Option<Vec<u8>>,
}

/// Memory of a message, used again and again.
#[derive(Clone, Debug, Default)]
struct Slot {
    at: Instant,
    direction: Direction,
    /// The node sent it, which has its name written down.
    is_own: bool,
    src: Name,
    dest: Name,
    kind: Name,
}

/// A name, cut if it is very long.
#[derive(Clone, Debug, Default)]
struct Name {
    length: usize,
    /// One that fits is here,
    short: [u8; Self::SHORT],
    /// any other here.
    long: Vec<u8>,
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trace").field("count", &self.count).finish_non_exhaustive()
    }
}

impl Trace {
    /// Remembers so many messages, and at least one.
    pub fn new(capacity: usize) -> Self {
        // One more is for what is only sketched.
        let ring = vec![Slot::default(); capacity.max(1) + 1].into();
        Self { ring, next: 0, count: 0, start_unix_us: 0, node: String::new(), file: None }
    }

    /// Says what Unix time it was at [`Instant::START`], in microseconds. In virtual time it was 1970.
    pub(crate) const fn set_start(&mut self, unix_us: u64) {
        self.start_unix_us = unix_us;
    }

    /// The newest messages, at most `count` of them, the oldest first.
    pub fn newest(&self, count: usize) -> Vec<Entry> {
        let capacity = self.ring.len() - 1;
        let known = usize::try_from(self.count).map_or(capacity, |count| count.min(capacity));
        let (newer, older) = self.ring.split_at(self.next);
        let slots = older[1..].iter().chain(newer).skip(capacity - known.min(count));
        // A name that was cut may end within a character.
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let entries = slots.map(|slot| Entry {
            unix_us: self.start_unix_us + slot.at.as_micros(),
            direction: slot.direction,
            src: text(if slot.is_own { cut(&self.node) } else { slot.src.bytes() }),
            dest: text(slot.dest.bytes()),
            kind: text(slot.kind.bytes()),
        });
        entries.collect()
    }

    /// Says who the node is.
    pub(crate) fn identify(&mut self, node: &str) {
        node.clone_into(&mut self.node);
    }

    /// From now on every message becomes a line to be taken out of [`lines_mut`](Self::lines_mut).
    pub(crate) fn start_lines(&mut self) {
        self.file.get_or_insert_default();
    }

    /// The lines that wait for their file: whole ones, each of them JSON.
    pub(crate) const fn lines_mut(&mut self) -> Option<&mut Vec<u8>> {
        self.file.as_mut()
    }

    /// Notes that a message came, in this line. `false` if there was no room for the line in the file's buffer.
    #[inline]
    pub(crate) fn received(&mut self, now: Instant, src: &str, dest: &str, kind: &str, line: &str) -> bool {
        self.sketch(src, dest, kind);
        self.note(now, Direction::Received, line.as_bytes())
    }

    /// Notes a message that may be sent. One that is not gives way to the next.
    #[inline]
    pub(crate) fn sketch(&mut self, src: &str, dest: &str, kind: &str) {
        if ON {
            let slot = &mut self.ring[self.next];
            slot.is_own = false;
            slot.src.set(src);
            slot.dest.set(dest);
            slot.kind.set(kind);
        }
    }

    /// Notes a message of a node that has a name.
    #[inline]
    pub(crate) fn sketch_own(&mut self, dest: &str, kind: &str) {
        if ON {
            let slot = &mut self.ring[self.next];
            slot.is_own = true;
            slot.dest.set(dest);
            slot.kind.set(kind);
        }
    }

    /// Notes that the message that was sketched last was sent, as this line. `false` if there was no room for the
    /// line in the file's buffer.
    #[inline]
    pub(crate) fn sent(&mut self, now: Instant, line: &[u8]) -> bool {
        self.note(now, Direction::Sent, line)
    }

    #[inline]
    fn note(&mut self, now: Instant, direction: Direction, line: &[u8]) -> bool {
        if !ON {
            return true;
        }
        let slot = &mut self.ring[self.next];
        slot.at = now;
        slot.direction = direction;
        self.next += 1;
        if self.next == self.ring.len() {
            self.next = 0;
        }
        self.count += 1;
        self.file.is_none() || self.keep_line(line)
    }

    /// Writes what was noted last down for the file.
    #[cold]
    fn keep_line(&mut self, message: &[u8]) -> bool {
        const FRAME_MAX: usize = 128;
        let slot = &self.ring[self.next.checked_sub(1).unwrap_or(self.ring.len() - 1)];
        let Some(lines) = &mut self.file else { return true };
        if lines.len() + message.len() + FRAME_MAX + 2 * NAME_MAX > FILE_BUFFER_MAX {
            return false;
        }
        let node = match slot.direction {
            _ if !self.node.is_empty() => self.node.as_bytes(),
            Direction::Received => slot.dest.bytes(),
            Direction::Sent => slot.src.bytes(),
        };
        lines.extend_from_slice(b"{\"ts_us\":");
        (self.start_unix_us + slot.at.as_micros()).write_json(lines);
        lines.extend_from_slice(b",\"node\":");
        String::from_utf8_lossy(node).write_json(lines);
        lines.extend_from_slice(b",\"dir\":");
        slot.direction.as_str().write_json(lines);
        lines.extend_from_slice(b",\"message\":");
        let start = lines.len();
        lines.extend_from_slice(message);
        // A newline within JSON can only be white space.
        lines[start..].iter_mut().filter(|byte| **byte == b'\n').for_each(|byte| *byte = b' ');
        lines.extend_from_slice(b"}\n");
        true
    }
}

impl Name {
    const SHORT: usize = 16;

    /// Becomes this name. Short ones, which most are, are copied by two overlapping halves, not by a call.
    #[inline(always)]
    fn set(&mut self, name: &str) {
        let Self { length, short, long } = self;
        *length = name.len();
        match name.as_bytes() {
            [] => {}
            [first] => short[0] = *first,
            name @ ([_, _] | [_, _, _]) => halves::<2>(short, name),
            name if name.len() < 8 => halves::<4>(short, name),
            name if name.len() <= Self::SHORT => halves::<8>(short, name),
            name => {
                *length = name.len().min(NAME_MAX);
                long.clear();
                long.extend_from_slice(&name[..*length]);
            }
        }
    }

    fn bytes(&self) -> &[u8] {
        self.short.get(..self.length).unwrap_or(&self.long)
    }
}

/// Copies the first and the last `N` bytes of a name that has no more and no less than those.
#[inline(always)]
fn halves<const N: usize>(short: &mut [u8; Name::SHORT], name: &[u8]) {
    if let (Some(first), Some(last)) = (name.first_chunk::<N>(), name.last_chunk::<N>()) {
        let second = name.len() - N;
        short[..N].copy_from_slice(first);
        short[second..second + N].copy_from_slice(last);
    }
}

/// The bytes of a name that are kept.
fn cut(name: &str) -> &[u8] {
    &name.as_bytes()[..name.len().min(NAME_MAX)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(trace: &Trace, count: usize) -> String {
        trace.newest(count).into_iter().map(|entry| entry.kind).collect()
    }

    #[test]
    fn the_newest_are_kept_in_their_order() {
        let mut trace = Trace::new(3);
        assert_eq!(kinds(&trace, 9), "");
        for (number, kind) in ["a", "b", "c", "d"].into_iter().enumerate() {
            trace.received(Instant::from_micros(number as u64), "c1", "n1", kind, "{}");
            assert_eq!(kinds(&trace, 9), ["a", "ab", "abc", "bcd"][number]);
        }
        assert_eq!((kinds(&trace, 2), kinds(&trace, 0)), ("cd".into(), String::new()));
    }

    #[test]
    fn what_is_not_sent_is_not_noted() {
        let mut trace = Trace::new(3);
        trace.sketch("n1", "c1", "a");
        trace.sketch("n1", "c2", "b");
        trace.sent(Instant::START, b"{}");
        trace.sketch("n1", "c3", "c");
        let [entry] = &trace.newest(9)[..] else { panic!("{trace:?}") };
        assert_eq!((&*entry.dest, &*entry.kind, entry.direction), ("c2", "b", Direction::Sent));
    }

    #[test]
    fn a_line_that_does_not_fit_is_refused_whole() {
        let mut trace = Trace::new(1);
        trace.start_lines();
        let line = format!("\"{}\"", "x".repeat(1_000_000));
        let kept = (0..6).filter(|_| trace.received(Instant::START, "c1", "n1", "echo", &line)).count();
        assert_eq!(kept, 4);
        let lines = std::mem::take(trace.lines_mut().unwrap());
        assert_eq!(lines.split_inclusive(|&byte| byte == b'\n').count(), 4);
        assert!(trace.received(Instant::START, "c1", "n1", "echo", &line));
    }
}
