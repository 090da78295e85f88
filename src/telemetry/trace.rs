//! The newest messages of a node in a ring, and all of them, if somebody asks, as lines for a file.

use std::fmt;
use std::time::{Duration, UNIX_EPOCH};

use smallvec::SmallVec;

use super::ENABLED;
use super::label::Label;
use crate::json::write::WriteJson;
use crate::time::Instant;

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
#[non_exhaustive]
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

/// The same.
#[cfg(feature = "serde")]
impl serde::Serialize for Entry {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = Vec::new();
        self.write_json(&mut text);
        let text = String::from_utf8(text).map_err(serde::ser::Error::custom)?;
        crate::json::value::Value::of_checked(&text).serialize(serializer)
    }
}

/// What a node remembers of the messages that came and went.
///
/// A message to be sent is staged first and counts once it is sent, like the line that it is written in.
pub struct Trace {
    ring: Box<[Slot]>,
    /// The place of the next message, after that of the newest.
    next: usize,
    /// How many messages there were.
    count: u64,
    /// Unix time at [`Instant::START`].
    start_unix_us: u64,
    /// The node's id; empty before `init`.
    node: Label,
    /// Somebody wants more than that: one of the two below.
    is_watched: bool,
    /// Lines that wait for their file, if there is one.
    file: Option<Vec<u8>>,
    /// What was sent since somebody began to watch, until it is taken.
    sent: Option<Vec<Sent>>,
}

/// A message that was sent.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) dest: Label,
    pub(crate) kind: Label,
    /// As it is written; empty in what is no reply.
    pub(crate) in_reply_to: SmallVec<[u8; 16]>,
    pub(crate) line: Line,
}

/// Where the line of a message is.
#[derive(Debug)]
pub(crate) enum Line {
    /// In the output, after that of the message before. It has so many bytes without its newline.
    Out(usize),
    /// It would have come too late, and was held back.
    Withheld(Box<[u8]>),
}

/// Memory of a message, used again and again.
#[derive(Clone, Debug, Default)]
struct Slot {
    at: Instant,
    direction: Direction,
    /// One of the two is the node, which has its name written down.
    is_own: bool,
    /// The node's name, if not.
    own: Label,
    other: Label,
    kind: Label,
}

impl Slot {
    /// The sender and the receiver.
    fn ends<'a>(&'a self, node: &'a Label) -> (&'a Label, &'a Label) {
        let own = if self.is_own { node } else { &self.own };
        match self.direction {
            Direction::Received => (&self.other, own),
            Direction::Sent => (own, &self.other),
        }
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trace").field("count", &self.count).finish_non_exhaustive()
    }
}

impl Trace {
    /// Remembers so many messages, and at least one.
    pub fn new(capacity: usize) -> Self {
        // One more is for what is only staged.
        let ring = vec![Slot::default(); capacity.max(1) + 1].into();
        Self {
            ring,
            next: 0,
            count: 0,
            start_unix_us: 0,
            node: Label::default(),
            is_watched: false,
            file: None,
            sent: None,
        }
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
        let entries = slots.map(|slot| {
            let (src, dest) = slot.ends(&self.node);
            Entry {
                unix_us: self.start_unix_us + slot.at.as_micros(),
                direction: slot.direction,
                src: src.text().into_owned(),
                dest: dest.text().into_owned(),
                kind: slot.kind.text().into_owned(),
            }
        });
        entries.collect()
    }

    /// Says who the node is.
    pub(crate) fn identify(&mut self, node: &str) {
        self.node.set(node);
    }

    /// From now on every message becomes a line to be taken out of [`lines_mut`](Self::lines_mut).
    pub(crate) fn start_lines(&mut self) {
        self.file.get_or_insert_default();
        self.is_watched = true;
    }

    /// From now on every message that is sent is noted, to be taken by [`take_sent`](Self::take_sent).
    pub(crate) fn watch_sent(&mut self) {
        self.sent = Some(Vec::new());
        self.is_watched = true;
    }

    /// The messages that were sent since [`watch_sent`](Self::watch_sent), in their order.
    pub(crate) fn take_sent(&mut self) -> Vec<Sent> {
        self.is_watched = self.file.is_some();
        self.sent.take().unwrap_or_default()
    }

    /// Whether somebody wants to see what is sent, and what is held back.
    pub(crate) const fn watches_sent(&self) -> bool {
        self.sent.is_some()
    }

    /// Notes that the message that was staged last was held back, and what it would have said.
    pub(crate) fn withheld(&mut self, line: &[u8], in_reply_to: &[u8]) {
        let Slot { other, kind, .. } = &self.ring[self.next];
        if let Some(sent) = &mut self.sent {
            let (dest, kind) = (other.clone(), kind.clone());
            sent.push(Sent {
                dest,
                kind,
                in_reply_to: in_reply_to.into(),
                line: Line::Withheld(line.into()),
            });
        }
    }

    /// The lines that wait for their file: whole ones, each of them JSON.
    pub(crate) const fn lines_mut(&mut self) -> Option<&mut Vec<u8>> {
        self.file.as_mut()
    }

    /// Notes that a message came, in this line, for this node or for `stranger`. `false` if there was no room for the
    /// line in the file's buffer.
    #[inline(always)]
    pub(crate) fn received(
        &mut self,
        now: Instant,
        src: &str,
        stranger: Option<&str>,
        kind: &str,
        line: &str,
    ) -> bool {
        if ENABLED {
            let slot = &mut self.ring[self.next];
            slot.is_own = stranger.is_none();
            if let Some(dest) = stranger {
                slot.own.set(dest);
            }
            slot.other.set(src);
            slot.kind.set(kind);
        }
        self.note(now, Direction::Received, line.as_bytes(), b"")
    }

    /// Notes a message that may be sent. One that is not gives way to the next.
    #[inline(always)]
    pub(crate) fn stage_sent(&mut self, dest: &Label, kind: &Label) {
        if ENABLED {
            let slot = &mut self.ring[self.next];
            slot.is_own = true;
            slot.other.clone_from(dest);
            slot.kind.clone_from(kind);
        }
    }

    /// Gives another type to the message that may be sent.
    #[inline]
    pub(crate) fn set_staged_type(&mut self, kind: &str) {
        if ENABLED {
            self.ring[self.next].kind.set(kind);
        }
    }

    /// Notes a message that may be sent before the node has a name.
    pub(crate) fn stage_sent_before_init(&mut self, src: &str, dest: &Label, kind: &Label) {
        self.stage_sent(dest, kind);
        if ENABLED {
            let slot = &mut self.ring[self.next];
            slot.is_own = false;
            slot.own.set(src);
        }
    }

    /// Notes that the message that was staged last was sent, as this line, and what it answers, if anything. `false`
    /// if there was no room for the line in the file's buffer.
    #[inline(always)]
    pub(crate) fn sent(&mut self, now: Instant, line: &[u8], in_reply_to: &[u8]) -> bool {
        self.note(now, Direction::Sent, line, in_reply_to)
    }

    #[inline(always)]
    fn note(&mut self, now: Instant, direction: Direction, line: &[u8], in_reply_to: &[u8]) -> bool {
        if !ENABLED {
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
        !self.is_watched || self.show(line, in_reply_to)
    }

    /// Shows what was noted last to those who watch.
    #[cold]
    fn show(&mut self, line: &[u8], in_reply_to: &[u8]) -> bool {
        let slot = &self.ring[self.next.checked_sub(1).unwrap_or(self.ring.len() - 1)];
        if let (Some(sent), Direction::Sent) = (&mut self.sent, slot.direction) {
            let (dest, kind) = (slot.other.clone(), slot.kind.clone());
            sent.push(Sent { dest, kind, in_reply_to: in_reply_to.into(), line: Line::Out(line.len()) });
        }
        self.keep_line(line)
    }

    /// Writes what was noted last down for the file.
    fn keep_line(&mut self, message: &[u8]) -> bool {
        const FRAME_MAX: usize = 128;
        let slot = &self.ring[self.next.checked_sub(1).unwrap_or(self.ring.len() - 1)];
        let Some(lines) = &mut self.file else { return true };
        if lines.len() + message.len() + FRAME_MAX + 2 * Label::MAX > FILE_BUFFER_MAX {
            return false;
        }
        let node = if self.node.is("") { &slot.own } else { &self.node };
        lines.extend_from_slice(b"{\"ts_us\":");
        (self.start_unix_us + slot.at.as_micros()).write_json(lines);
        lines.extend_from_slice(b",\"node\":");
        node.text().write_json(lines);
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
            trace.received(Instant::from_micros(number as u64), "c1", None, kind, "{}");
            assert_eq!(kinds(&trace, 9), ["a", "ab", "abc", "bcd"][number]);
        }
        assert_eq!((kinds(&trace, 2), kinds(&trace, 0)), ("cd".into(), String::new()));
    }

    #[test]
    fn what_is_not_sent_is_not_noted() {
        let mut trace = Trace::new(3);
        let stage_sent =
            |trace: &mut Trace, dest, kind| trace.stage_sent(&Label::new(dest), &Label::new(kind));
        stage_sent(&mut trace, "c1", "a");
        stage_sent(&mut trace, "c2", "b");
        trace.sent(Instant::START, b"{}", b"");
        stage_sent(&mut trace, "c3", "c");
        let [entry] = &trace.newest(9)[..] else { panic!("{trace:?}") };
        assert_eq!((&*entry.dest, &*entry.kind, entry.direction), ("c2", "b", Direction::Sent));
    }

    #[test]
    fn a_line_that_does_not_fit_is_refused_whole() {
        let mut trace = Trace::new(1);
        trace.start_lines();
        let line = format!("\"{}\"", "x".repeat(1_000_000));
        let kept = (0..6).filter(|_| trace.received(Instant::START, "c1", None, "echo", &line)).count();
        assert_eq!(kept, 4);
        let lines = std::mem::take(trace.lines_mut().unwrap());
        assert_eq!(lines.split_inclusive(|&byte| byte == b'\n').count(), 4);
        assert!(trace.received(Instant::START, "c1", None, "echo", &line));
    }
}
