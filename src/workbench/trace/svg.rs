//! Sequence diagrams, drawn as SVG.
//!
//! Participants stand side by side, clients at the left, nodes, and services at the right. Time goes down,
//! and each message is an arrow from where and when it was sent to where and when it was received, so that
//! the later it came the steeper it falls. Where only one end was seen the arrow is level.
//!
//! Time is not to scale, only in order: each message gets a row of its own for its label, a longer pause gets
//! more room by its logarithm, and one that is long beside the others is cut short, and its length written
//! there.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt::{self, Write};

use super::transfer::{Transfer, events, seconds};
use crate::json::text::beginning;
use crate::time::{Duration, Instant};
use crate::workbench::format::{Escaped, counted, printable, thousands};

/// Draws the first `limit` of these messages; how many more there are is written below them. Times are shown
/// as seconds from `start`.
///
/// # Panics
/// Never: a string takes everything.
pub fn diagram(transfers: &[Transfer], start: Instant, limit: usize) -> String {
    let (drawn, rest) = transfers.split_at(limit.min(transfers.len()));
    let mut svg = String::new();
    Diagram::new(drawn, start).draw(&mut svg, rest.len()).expect("a string takes everything");
    svg
}

// All lengths are in pixels.

/// Room of a character of a label: a little more than fonts need.
const CHAR_WIDTH: usize = 7;
/// From the top to the boxes with the names, which have the legend above them.
const HEADER_HEIGHT: usize = 76;
const BOX_HEIGHT: usize = 24;
/// Room for the times at the left.
const TIMES_WIDTH: usize = 96;
/// From the last lifeline to the right edge, and from the times to the first.
const MARGIN: usize = 70;
/// No narrower than the legend.
const WIDTH_MIN: usize = 860;
/// Between labels, so that they do not overlap.
const ROW_HEIGHT: usize = 20;
/// From what happened before to what has a label above it.
const LABEL_HEIGHT: usize = 18;
/// Between whatever happened one after the other.
const STEP_MIN: usize = 8;
const STEP_MAX: usize = 40;
/// A pause that is cut short.
const BREAK_HEIGHT: usize = 52;

struct Diagram<'a> {
    transfers: &'a [Transfer],
    start: Instant,
    /// Where each participant's lifeline is, from the left.
    columns: BTreeMap<Participant<'a>, usize>,
    column_width: usize,
    width: usize,
    arrows: Vec<Arrow>,
    breaks: Vec<Break>,
    /// Where the lifelines end.
    bottom: usize,
}

/// Where the ends of a message are, from the top.
#[derive(Default)]
struct Arrow {
    sent: Option<usize>,
    received: Vec<usize>,
    at: Instant,
}

impl Arrow {
    /// Where its label is; nowhere if nobody saw it.
    fn top(&self) -> Option<usize> {
        self.sent.or(self.received.first().copied())
    }
}

/// A pause that is cut short.
struct Break {
    top: usize,
    pause: Duration,
}

impl<'a> Diagram<'a> {
    fn new(transfers: &'a [Transfer], start: Instant) -> Self {
        let mut columns = BTreeMap::new();
        for Transfer { src, dest, .. } in transfers {
            columns.extend([(Participant(src), 0), (Participant(dest), 0)]);
        }
        let spaces = columns.len().saturating_sub(1);
        let column_width = (WIDTH_MIN / spaces.max(1)).clamp(88, 260);
        let needed = TIMES_WIDTH + 2 * MARGIN + spaces * column_width;
        let width = needed.max(WIDTH_MIN);
        let left = TIMES_WIDTH + MARGIN + (width - needed) / 2;
        for (index, column) in columns.values_mut().enumerate() {
            *column = left + index * column_width;
        }
        let (arrows, breaks, bottom) = lay_out(transfers);
        Self { transfers, start, columns, column_width, width, arrows, breaks, bottom }
    }

    fn draw(&self, svg: &mut String, not_drawn: usize) -> fmt::Result {
        let height = self.bottom + BOX_HEIGHT + 40;
        let width = self.width;
        writeln!(
            svg,
            r#"<svg xmlns="http://www.w3.org/2000/svg" class="messages" width="{width}" height="{height}" viewBox="0 0 {width} {height}">"#
        )?;
        svg.push_str(STYLE);
        writeln!(svg, r#"<rect class="paper" width="{width}" height="{height}"/>"#)?;
        self.draw_header(svg, not_drawn)?;
        self.draw_breaks(svg)?;
        self.draw_lifelines(svg)?;
        for (transfer, arrow) in self.transfers.iter().zip(&self.arrows) {
            self.draw_message(svg, transfer, arrow)?;
        }
        if not_drawn > 0 {
            let (x, y) = (TIMES_WIDTH, self.bottom + BOX_HEIGHT + 26);
            writeln!(
                svg,
                r#"<text class="note" x="{x}" y="{y}">… {} not drawn</text>"#,
                counted(not_drawn, "more message"),
            )?;
        }
        svg.push_str("</svg>\n");
        Ok(())
    }

    /// The title and the legend.
    fn draw_header(&self, svg: &mut String, not_drawn: usize) -> fmt::Result {
        let first = if not_drawn > 0 { "The first " } else { "" };
        let messages = counted(self.transfers.len(), "message");
        let participants = counted(self.columns.len(), "participant");
        writeln!(svg, r#"<text class="title" x="16" y="26">{first}{messages}, {participants}</text>"#)?;
        let count = |is: fn(&Transfer) -> bool, what| {
            let count = self.transfers.iter().filter(|transfer| is(transfer)).count();
            format!("{what}: {}", thousands(count))
        };
        let items = [
            (r#"<path class="line" d="M0 0H30"/>"#, "message".to_owned()),
            (r#"<path class="line reply" d="M0 0H30"/>"#, "reply".to_owned()),
            (r#"<path class="line half" d="M0 0H30"/>"#, "one end seen".to_owned()),
            (
                r#"<path class="line lost" d="M0 0H26m-4-4l8 8m0-8l-8 8"/>"#,
                count(|transfer| transfer.lost, "lost"),
            ),
            (
                r#"<path class="line again" d="M0 0H30"/>"#,
                count(|transfer| transfer.received_at.len() > 1, "duplicated"),
            ),
            (r#"<circle class="amber" cx="22" r="5"/>"#, count(|transfer| transfer.unanswered, "unanswered")),
        ];
        let mut x = 16;
        for (sign, text) in items {
            writeln!(
                svg,
                r#"<g transform="translate({x} 50)">{sign}<text class="key" x="38" y="4">{text}</text></g>"#
            )?;
            x += 38 + text.len() * CHAR_WIDTH + 22;
        }
        Ok(())
    }

    fn draw_breaks(&self, svg: &mut String) -> fmt::Result {
        for Break { top, pause } in &self.breaks {
            let (x, width) = (TIMES_WIDTH, self.width - TIMES_WIDTH - 16);
            let (top, height) = (top + 14, 16);
            writeln!(
                svg,
                r#"<rect class="break" x="{x}" y="{top}" width="{width}" height="{height}"/><text class="pause" x="{}" y="{}">+ {}</text>"#,
                TIMES_WIDTH - 10,
                top + height / 2 + 4,
                span(*pause),
            )?;
        }
        Ok(())
    }

    fn draw_lifelines(&self, svg: &mut String) -> fmt::Result {
        let box_width = (self.column_width - 10).min(2 * MARGIN - 20);
        for (Participant(name), x) in &self.columns {
            let name = printable(name);
            let shown = beginning(&name, (box_width - 6) / CHAR_WIDTH - 1);
            let (name, shown) = (Escaped(&name), Escaped(&shown));
            writeln!(
                svg,
                r#"<g><title>{name}</title><path class="life" d="M{x} {HEADER_HEIGHT}V{}"/>"#,
                self.bottom
            )?;
            for top in [HEADER_HEIGHT, self.bottom] {
                writeln!(
                    svg,
                    r#"<rect class="name" x="{}" y="{top}" width="{box_width}" height="{BOX_HEIGHT}" rx="4"/><text class="name" x="{x}" y="{}">{shown}</text>"#,
                    x - box_width / 2,
                    top + 16,
                )?;
            }
            svg.push_str("</g>\n");
        }
        Ok(())
    }

    /// A message's row: time, arrows, the mark of a request that was not answered, and the label.
    fn draw_message(&self, svg: &mut String, transfer: &Transfer, arrow: &Arrow) -> fmt::Result {
        let Some(top) = arrow.top() else { return Ok(()) };
        let column = |name| self.columns[&Participant(name)];
        let (from, to) = (column(&transfer.src), column(&transfer.dest));
        writeln!(
            svg,
            r#"<g><title>{}</title><text class="time" x="{}" y="{}">{}</text>"#,
            self.told(transfer),
            TIMES_WIDTH - 10,
            top + 3,
            seconds(arrow.at, self.start),
        )?;
        draw_arrows(svg, transfer, arrow, (from, top), to)?;
        if transfer.unanswered {
            writeln!(svg, r#"<circle class="amber" cx="{from}" cy="{top}" r="5"/>"#)?;
        }

        let number = match (transfer.in_reply_to, transfer.msg_id) {
            (Some(id), _) => format!(" ↩ {id}"),
            (None, Some(id)) => format!(" #{id}"),
            (None, None) => String::new(),
        };
        let times = match arrow.received.len() {
            0 | 1 => String::new(),
            times => format!(" ×{times}"),
        };
        let (x, anchor, room) = if to < from {
            (from - 9, "end", from - 9 - TIMES_WIDTH)
        } else {
            (from + 9, "start", self.width - from - 9)
        };
        let room = (room / CHAR_WIDTH).saturating_sub(number.chars().count() + times.chars().count() + 1);
        let color = if transfer.lost { "lost" } else { class(transfer) };
        writeln!(
            svg,
            r#"<text class="label {color} {anchor}" x="{x}" y="{}">{}{number}{times}</text></g>"#,
            top - 6,
            Escaped(&beginning(&printable(&transfer.kind), room)),
        )
    }

    /// All that is known of a message, as XML, for who points at it.
    fn told(&self, transfer: &Transfer) -> String {
        let Transfer { src, dest, body, .. } = transfer;
        let mut told = format!("{} → {}\n", Escaped(src), Escaped(dest));
        if let Some(at) = transfer.sent_at {
            let _ = writeln!(told, "sent {}", seconds(at, self.start));
        }
        for &at in &transfer.received_at {
            let _ = writeln!(told, "received {}", seconds(at, self.start));
        }
        for (holds, mark) in [(transfer.lost, "lost\n"), (transfer.unanswered, "unanswered\n")] {
            told.push_str(if holds { mark } else { "" });
        }
        told + &Escaped(body).to_string()
    }
}

const fn class(transfer: &Transfer) -> &'static str {
    if transfer.in_reply_to.is_some() { "reply" } else { "message" }
}

/// One for each arrival; half of one, if the message was lost; a level one, if nobody saw it arrive.
fn draw_arrows(
    svg: &mut String,
    transfer: &Transfer,
    arrow: &Arrow,
    (from, top): (usize, usize),
    to: usize,
) -> fmt::Result {
    if transfer.lost {
        let (x, y) = (usize::midpoint(from, to) + if from == to { 24 } else { 0 }, top + 10);
        return writeln!(
            svg,
            r#"<path class="line lost" d="M{from} {top}L{x} {y}m-5-5l10 10m0-10l-10 10"/>"#
        );
    }
    let class = class(transfer);
    let half = if arrow.sent.is_none() || arrow.received.is_empty() { " half" } else { "" };
    let level = arrow.received.is_empty().then_some(top);
    for (index, &bottom) in arrow.received.iter().chain(&level).enumerate() {
        let again = if index > 0 { " again" } else { "" };
        write!(
            svg,
            r#"<path class="line {class}{half}{again}" marker-end="url(#{class}-head)" d="M{from} {top}"#
        )?;
        match from.cmp(&to) {
            Ordering::Less => write!(svg, "L{} {bottom}", to - 1)?,
            Ordering::Greater => write!(svg, "L{} {bottom}", to + 1)?,
            Ordering::Equal => {
                let (out, bottom) = (from + 34, bottom.max(top + 8));
                write!(svg, "C{out} {top} {out} {bottom} {} {bottom}", to + 1)?;
            }
        }
        svg.push_str("\"/>\n");
    }
    Ok(())
}

/// Places everything that happened from top to bottom; where to, and where the last of it is.
fn lay_out(transfers: &[Transfer]) -> (Vec<Arrow>, Vec<Break>, usize) {
    let mut arrows: Vec<Arrow> = transfers.iter().map(|_| Arrow::default()).collect();
    let mut breaks = Vec::new();
    let events = events(transfers);
    let mean_us = match &*events {
        [first, .., last] => (last.at - first.at).as_micros() / (events.len() as u64 - 1),
        _ => 0,
    };
    // Less than a quarter of the pauses can be so long.
    let break_from = Duration::from_micros(mean_us.saturating_mul(4)).max(Duration::from_millis(1));

    let mut y = HEADER_HEIGHT + BOX_HEIGHT;
    let mut label_y = y;
    let mut now = events.first().map_or(Instant::START, |event| event.at);
    for event in events {
        let (pause, before) = (event.at - now, y);
        if pause > break_from {
            breaks.push(Break { top: y, pause });
            y += BREAK_HEIGHT;
        } else {
            let doublings = (1 + pause.as_micros() / 16).ilog2() as usize;
            y += (3 * doublings).clamp(STEP_MIN, STEP_MAX);
        }
        now = event.at;
        let arrow = &mut arrows[event.transfer];
        if event.is_first {
            y = y.max(label_y + ROW_HEIGHT).max(before + LABEL_HEIGHT);
            label_y = y;
            arrow.at = event.at;
        }
        match event.arrival {
            None => arrow.sent = Some(y),
            Some(_) => arrow.received.push(y),
        }
    }
    (arrows, breaks, y + ROW_HEIGHT)
}

/// A participant's name; in the order clients, nodes, everybody else, and by number.
#[derive(PartialEq, Eq)]
struct Participant<'a>(&'a str);

impl<'a> Participant<'a> {
    fn order(&self) -> impl Ord + use<'a> {
        let prefix = self.0.trim_end_matches(|c: char| c.is_ascii_digit());
        let digits = &self.0[prefix.len()..];
        let rank = match prefix {
            "c" if !digits.is_empty() => 0,
            "n" if !digits.is_empty() => 1,
            _ => 2,
        };
        (rank, prefix, digits.len(), digits)
    }
}

impl Ord for Participant<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order().cmp(&other.order())
    }
}

impl PartialOrd for Participant<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A pause in two or more digits: `1.2 s`, `34 ms`.
fn span(pause: Duration) -> String {
    match pause.as_micros() {
        micros @ 1_000_000.. => format!("{}.{} s", micros / 1_000_000, micros / 100_000 % 10),
        micros @ 10_000.. => format!("{} ms", micros / 1_000),
        micros => format!("{}.{} ms", micros / 1_000, micros / 100 % 10),
    }
}

const STYLE: &str = r##"<style>
svg.messages { font: 11px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; }
.messages text { fill: #334155; }
.messages .paper { fill: #ffffff; }
.messages .title { font-size: 14px; font-weight: bold; fill: #0f172a; }
.messages .note { font-weight: bold; }
.messages .time, .messages .pause { font-size: 10px; text-anchor: end; fill: #64748b; }
.messages .pause { font-weight: bold; }
.messages .break { fill: #f1f5f9; }
.messages .life { stroke: #cbd5e1; fill: none; }
.messages rect.name { fill: #f8fafc; stroke: #94a3b8; }
.messages text.name { text-anchor: middle; font-weight: bold; fill: #0f172a; }
.messages .line { fill: none; stroke: #1d4ed8; stroke-width: 1.4; }
.messages .line.reply { stroke: #0f766e; }
.messages .line.half { stroke-width: 0.8; }
.messages .line.lost { stroke: #dc2626; stroke-width: 1.6; }
.messages .line.again { stroke-dasharray: 4 3; }
.messages .amber { fill: #f59e0b; stroke: #92400e; }
.messages .label { paint-order: stroke; stroke: #ffffff; stroke-width: 6px; stroke-linejoin: round; }
.messages .label.end { text-anchor: end; }
.messages .label.message { fill: #1e40af; }
.messages .label.reply { fill: #115e59; }
.messages .label.lost { fill: #b91c1c; }
</style>
<defs>
<marker id="message-head" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0.5L8 4L0 7.5z" fill="#1d4ed8"/></marker>
<marker id="reply-head" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0.5L8 4L0 7.5z" fill="#0f766e"/></marker>
</defs>
"##;

#[cfg(test)]
mod tests {
    use super::super::transfer::Event;
    use super::*;

    #[test]
    fn what_comes_later_is_further_down_and_labels_do_not_overlap() {
        let mut random = fastrand::Rng::with_seed(7);
        for spread in [1, 100, 10_000, 100_000_000, u64::MAX] {
            let mut any = || Instant::from_micros(random.u64(0..spread));
            let mut transfers: Vec<_> = (0..100)
                .map(|id| Transfer {
                    src: "n1".into(),
                    dest: "n2".into(),
                    kind: "x".into(),
                    msg_id: Some(id),
                    in_reply_to: None,
                    body: String::new(),
                    sent_at: (id % 3 > 0).then(&mut any),
                    received_at: (0..id % 4).map(|_| any()).collect(),
                    lost: false,
                    unanswered: false,
                })
                .collect();
            for transfer in &mut transfers {
                transfer.received_at.sort_unstable();
            }
            let (arrows, _, bottom) = lay_out(&transfers);
            let mut ends: Vec<_> = events(&transfers)
                .into_iter()
                .map(|Event { transfer, arrival, .. }| match arrival {
                    None => arrows[transfer].sent.unwrap(),
                    Some(arrival) => arrows[transfer].received[arrival],
                })
                .collect();
            assert!(ends.is_sorted_by(|a, b| a + STEP_MIN <= *b), "{spread}");
            assert!(ends.pop().unwrap() < bottom);
            let mut labels: Vec<_> = arrows.iter().filter_map(Arrow::top).collect();
            labels.sort_unstable();
            assert!(labels.is_sorted_by(|a, b| a + ROW_HEIGHT <= *b), "{spread}");
        }
    }

    #[test]
    fn pauses_are_told_in_two_or_more_digits() {
        let spans = [1_000, 9_999, 10_000, 999_999, 1_000_000, 1_250_000, 75_000_000];
        let shown = ["1.0 ms", "9.9 ms", "10 ms", "999 ms", "1.0 s", "1.2 s", "75.0 s"];
        assert_eq!(spans.map(|micros| span(Duration::from_micros(micros))), shown);
    }
}
