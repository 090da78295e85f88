//! The picture of a register that is not linearizable: a bar for each operation from its request to its answer, a number
//! in it where it takes effect in the longest order that works, the state after each step, and the operation that fits
//! nowhere.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::contract::Picture;
use super::drawing::{FAINT, INK, LINE, WRONG, end_link, link, open, rectangle, text};
use crate::time::Instant;
use crate::workbench::checker::Completion;
use crate::workbench::checker::linearizable::{Action, Anomaly, RegisterOperation};

/// So many operations at the end of the order are drawn.
const SHOWN: usize = 16;

// All lengths are in pixels.
const LABELS: usize = 130;
/// From one thing that happens to the next.
const STEP: usize = 44;
const LANE: usize = 40;
const BAR: usize = 24;
const TOP: usize = 40;

/// Draws the end of a key's history. `place` says where in the history an operation is, and `node` who was asked.
pub fn draw(anomaly: &Anomaly, place: impl Fn(&RegisterOperation) -> Option<(usize, usize)>) -> Picture {
    let Anomaly { operation, order, .. } = anomaly;
    let cut = order.len().saturating_sub(SHOWN);
    let (before, shown) = order.split_at(cut);
    let earlier = match cut {
        0 => "It held nothing at first".to_owned(),
        _ => format!("{cut} operations before these left it holding {}", held(after(before, None))),
    };
    Picture {
        file: format!("key-{}.svg", operation.key),
        caption: format!(
            "Key {}: the longest order of its operations that works. A bar is an operation, from its request to its answer; \
             its number is its place in the order, and below is what the key then holds. {earlier}. The red operation fits \
             nowhere: the key could only hold {}",
            operation.key,
            values(anomaly)
        ),
        svg: Drawing::of(anomaly, shown, place).svg(after(before, None)),
    }
}

/// What happens in the picture, one column each.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Asked,
    TakesEffect,
    Answered,
}

struct Bar<'a> {
    operation: &'a RegisterOperation,
    /// Where it is in the history, and who was asked.
    place: Option<(usize, usize)>,
    /// The columns of its events; of one without an answer the last is that of the end.
    columns: [Option<usize>; 3],
}

struct Drawing<'a> {
    anomaly: &'a Anomaly,
    /// Those of the order, and the one that fits nowhere.
    bars: Vec<Bar<'a>>,
    lanes: BTreeMap<u64, usize>,
    columns: usize,
}

impl<'a> Drawing<'a> {
    fn of(
        anomaly: &'a Anomaly,
        shown: &'a [RegisterOperation],
        place: impl Fn(&RegisterOperation) -> Option<(usize, usize)>,
    ) -> Self {
        let mut events: Vec<(Instant, Event, usize)> = Vec::new();
        let mut at = Instant::START;
        let all: Vec<&RegisterOperation> = shown.iter().chain([&anomaly.operation]).collect();
        for (number, operation) in all.iter().enumerate() {
            events.push((operation.interval.invoked, Event::Asked, number));
            // As early as it can, after those before it.
            at = at.max(operation.interval.invoked);
            events.push((at, Event::TakesEffect, number));
            if operation.completion == Completion::Ok {
                events.push((operation.interval.completed.max(at), Event::Answered, number));
            }
        }
        events.sort_unstable();
        let mut bars: Vec<Bar<'_>> = all
            .iter()
            .map(|operation| Bar { operation, place: place(operation), columns: [None; 3] })
            .collect();
        for (column, &(_, event, number)) in events.iter().enumerate() {
            bars[number].columns[event as usize] = Some(column);
        }
        let mut lanes: BTreeMap<u64, usize> = all.iter().map(|operation| (operation.process, 0)).collect();
        lanes.values_mut().enumerate().for_each(|(number, lane)| *lane = number);
        Self { anomaly, bars, lanes, columns: events.len() }
    }

    fn svg(&self, first: Option<i64>) -> String {
        let bottom = TOP + LANE * self.lanes.len();
        let (width, height) = (LABELS + STEP * (self.columns + 1) + 40, bottom + 70);
        let mut svg = open(width, height);
        let title = format!("key {}: the longest order that works", self.anomaly.operation.key);
        text(&mut svg, 8, 20, INK, "start", &title);
        for (process, lane) in &self.lanes {
            let y = TOP + LANE * lane;
            let node =
                self.bars.iter().find(|bar| bar.operation.process == *process).and_then(|bar| bar.place);
            let node = node.map_or_else(String::new, |(_, node)| format!(" · n{node}"));
            text(&mut svg, LABELS - 8, y + LANE / 2 + 4, FAINT, "end", &format!("process {process}{node}"));
            rectangle(&mut svg, LABELS, y + LANE - 1, width - LABELS, 1, LINE);
        }
        text(&mut svg, LABELS - 8, bottom + 22, INK, "end", "the key then holds");
        let mut value = first;
        let last = self.bars.len() - 1;
        for (number, bar) in self.bars.iter().enumerate() {
            self.write_bar(&mut svg, bar, number == last);
            if let Some(column) = bar.columns[Event::TakesEffect as usize].filter(|_| number < last) {
                let before = value;
                value = after(&[*bar.operation], value);
                let (x, y) = (x_of(column), self.y_of(bar));
                let _ = write!(
                    svg,
                    "<line x1=\"{x}\" x2=\"{x}\" y1=\"{}\" y2=\"{}\" stroke=\"{FAINT}\" stroke-dasharray=\"2 3\"/>\
                     <circle cx=\"{x}\" cy=\"{}\" r=\"8\" fill=\"{INK}\"/>",
                    y + BAR,
                    bottom + 8,
                    y + BAR
                );
                text(&mut svg, x, y + BAR + 4, "#ffffff", "middle", &(number + 1).to_string());
                let colour = if value == before { FAINT } else { INK };
                text(&mut svg, x, bottom + 22, colour, "middle", &held(value));
            }
        }
        let why = format!(
            "{} fits nowhere: after all that was answered before, the key could only hold {}",
            label(self.anomaly.operation.action),
            values(self.anomaly)
        );
        text(&mut svg, LABELS, bottom + 50, WRONG, "start", &why);
        svg.push_str("</svg>");
        svg
    }

    fn y_of(&self, bar: &Bar<'_>) -> usize {
        TOP + LANE * self.lanes[&bar.operation.process] + 4
    }

    fn write_bar(&self, svg: &mut String, bar: &Bar<'_>, is_wrong: bool) {
        let [asked, _, answered] = bar.columns;
        let from = x_of(asked.unwrap_or_default());
        let to = answered.map_or(x_of(self.columns), x_of);
        let y = self.y_of(bar);
        let fill = match bar.operation.completion {
            _ if is_wrong => WRONG,
            Completion::Ok => "#dbeafe",
            _ => "#fef3c7",
        };
        let operation = bar.place.map(|(place, _)| place);
        link(svg, operation);
        rectangle(svg, from, y, to - from, BAR, fill);
        let ink = if is_wrong { "#ffffff" } else { INK };
        text(svg, from + 5, y + 12, ink, "start", &label(bar.operation.action));
        end_link(svg, operation);
    }
}

/// What a register holds after some operations.
fn after(operations: &[RegisterOperation], first: Option<i64>) -> Option<i64> {
    operations.iter().fold(first, |value, operation| match operation.action {
        Action::Read(_) => value,
        Action::Write(to) | Action::Cas { to, .. } => Some(to),
    })
}

fn x_of(column: usize) -> usize {
    LABELS + STEP * column + STEP / 2
}

fn label(action: Action) -> String {
    match action {
        Action::Read(value) => format!("read {}", held(value)),
        Action::Write(value) => format!("write {value}"),
        Action::Cas { from, to } => format!("cas {from} to {to}"),
    }
}

fn held(value: Option<i64>) -> String {
    value.map_or_else(|| "nothing".to_owned(), |value| value.to_string())
}

fn values(anomaly: &Anomaly) -> String {
    let values: Vec<String> = anomaly.values.iter().take(8).map(|value| held(*value)).collect();
    values.join(" or ")
}
