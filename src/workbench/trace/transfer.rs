//! Messages on their way between participants, whoever watched them, and the log that tells of them line
//! by line.

use std::collections::HashSet;
use std::fmt;

use crate::time::Instant;
use crate::workbench::format::printable;

/// A message on its way, as far as anybody saw it.
///
/// Both times count from the same start, whatever that is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Transfer {
    /// Who sent it.
    pub src: String,
    /// Whom it is for.
    pub dest: String,
    /// `body.type`
    pub kind: String,
    /// `body.msg_id`
    pub msg_id: Option<i64>,
    /// `body.in_reply_to`
    pub in_reply_to: Option<i64>,
    /// The body's text, or the beginning of a long one.
    pub body: String,
    /// When it was sent, if the sender was watched.
    pub sent_at: Option<Instant>,
    /// When it was received, if the receiver was watched, in order. All but the first are duplicates.
    pub received_at: Vec<Instant>,
    /// It never arrived. Not where nobody watched the receiver, nor where it was still on its way.
    pub lost: bool,
    /// It is a request, and no answer to it arrived: see [`mark_unanswered`].
    pub unanswered: bool,
}

impl Transfer {
    /// Whether it asks for an answer.
    pub const fn is_request(&self) -> bool {
        self.msg_id.is_some() && self.in_reply_to.is_none()
    }
}

/// Finds the requests that were not answered: no reply to them went back that was not lost.
pub fn mark_unanswered(transfers: &mut [Transfer]) {
    let arrived = transfers.iter().filter(|transfer| !transfer.lost);
    let answered: HashSet<_> = arrived
        .filter_map(|reply| Some((reply.dest.clone(), reply.src.clone(), reply.in_reply_to?)))
        .collect();
    for request in transfers.iter_mut().filter(|transfer| transfer.is_request()) {
        let id = request.msg_id.unwrap_or_default();
        request.unanswered = !answered.contains(&(request.src.clone(), request.dest.clone(), id));
    }
}

/// When the first of these messages was seen.
pub fn start(transfers: &[Transfer]) -> Instant {
    events(transfers).first().map_or(Instant::START, |event| event.at)
}

/// One end of a transfer. Their order is that of time; what happened at once stays in the order of transfers.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Event {
    pub at: Instant,
    /// Its place in the list.
    pub transfer: usize,
    /// Which arrival it is, from 0; none: it was sent.
    pub arrival: Option<usize>,
    /// Whether it stands for the transfer: it was sent, or if nobody saw that, it arrived.
    pub is_first: bool,
}

/// All that happened, in order.
pub(super) fn events(transfers: &[Transfer]) -> Vec<Event> {
    let mut events = Vec::with_capacity(2 * transfers.len());
    for (transfer, Transfer { sent_at, received_at, .. }) in transfers.iter().enumerate() {
        events.extend(sent_at.map(|at| Event { at, transfer, arrival: None, is_first: true }));
        events.extend(received_at.iter().enumerate().map(|(arrival, &at)| {
            let is_first = sent_at.is_none() && arrival == 0;
            Event { at, transfer, arrival: Some(arrival), is_first }
        }));
    }
    events.sort_unstable();
    events
}

/// Which messages to show: those that match each list that is not empty.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Participants at either end.
    pub nodes: Vec<String>,
    /// Participants at the other end.
    pub peers: Vec<String>,
    /// Types.
    pub kinds: Vec<String>,
}

impl Filter {
    /// Whether to show this one.
    pub fn matches(&self, transfer: &Transfer) -> bool {
        let listed = |list: &[String], name| list.is_empty() || list.contains(name);
        let between = |a, b| listed(&self.nodes, a) && listed(&self.peers, b);
        let Transfer { src, dest, kind, .. } = transfer;
        listed(&self.kinds, kind) && (between(src, dest) || between(dest, src))
    }
}

/// A log of these messages: a line for each time that one was sent or received, in columns.
///
/// ```text
/// 0.000123  n1  SENT  n1 -> n2  echo     #2
/// 0.000151  n2  RECV  n1 -> n2  echo     #2
/// 0.000180  n2  SENT  n2 -> n1  echo_ok  #9  ↩ 2  lost
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Log<'a> {
    /// The messages.
    pub transfers: &'a [Transfer],
    /// What the seconds in the first column count from.
    pub start: Instant,
}

impl fmt::Display for Log<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let events = events(self.transfers);
        let mut widths = [0; COLUMNS];
        for event in &events {
            for (width, cell) in widths.iter_mut().zip(self.cells(event)) {
                *width = cell.chars().count().min(WIDTH_MAX).max(*width);
            }
        }
        for event in &events {
            let cells = self.cells(event);
            let filled = cells.iter().rposition(|cell| !cell.is_empty()).map_or(0, |last| last + 1);
            for (index, (cell, width)) in cells[..filled].iter().zip(widths).enumerate() {
                match index {
                    0 => write!(f, "{cell:>width$}")?,
                    _ if width == 0 => {}
                    _ if index + 1 == filled => write!(f, "  {cell}")?,
                    _ => write!(f, "  {cell:width$}")?,
                }
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

const COLUMNS: usize = 8;

/// A longer cell moves the rest of its own line only.
const WIDTH_MAX: usize = 32;

impl Log<'_> {
    fn cells(&self, event: &Event) -> [String; COLUMNS] {
        let transfer = &self.transfers[event.transfer];
        let Transfer { src, dest, kind, .. } = transfer;
        let (node, direction) = if event.arrival.is_none() { (src, "SENT") } else { (dest, "RECV") };
        let marks = [
            (transfer.lost, "lost"),
            (event.arrival > Some(0), "duplicate"),
            (transfer.unanswered && event.is_first, "unanswered"),
        ];
        let marks: Vec<_> = marks.into_iter().filter(|(holds, _)| *holds).map(|(_, mark)| mark).collect();
        [
            seconds(event.at, self.start),
            printable(node).into_owned(),
            direction.to_owned(),
            format!("{} -> {}", printable(src), printable(dest)),
            printable(kind).into_owned(),
            transfer.msg_id.map_or_else(String::new, |id| format!("#{id}")),
            transfer.in_reply_to.map_or_else(String::new, |id| format!("↩ {id}")),
            marks.join(", "),
        ]
    }
}

/// Seconds since the start, to the microsecond: `12.000345`.
pub(super) fn seconds(at: Instant, start: Instant) -> String {
    let micros = (at - start).as_micros();
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}
