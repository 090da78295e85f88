//! The picture of a cycle: a box for each transaction on its client's lane, in the order of time, a cell for each
//! micro-operation, and an arrow for each step from the cell that proves it to the other.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use super::contract::Picture;
use crate::workbench::checker::Completion;
use crate::workbench::checker::isolation::{Cycle, Member, Step, meaning};
use crate::workbench::checker::models::Anomaly;
use crate::workbench::format::{Seconds, printable};

/// Sizes, in pixels.
const MARGIN: usize = 24;
const LANE: usize = 128;
const LANE_NAME: usize = 110;
const BOX: usize = 46;
const CELL_PADDING: usize = 7;
const CHARACTER: usize = 7;
const GAP: usize = 56;
const LINE: usize = 20;

/// More micro-operations of a transaction are left out, unless they matter.
const CELLS_MAX: usize = 12;

/// Draws a cycle.
pub fn draw(anomaly: Anomaly, cycle: &Cycle) -> Picture {
    let mut svg = String::new();
    Drawing::of(cycle).write(&mut svg, anomaly).expect("a string takes everything");
    Picture {
        file: format!("{}.svg", anomaly.name()),
        caption: format!(
            "{anomaly}: {}. A box is a transaction, on the lane of its client, in the order in which they began; an arrow \
             leads from what came first to what came after it, and a circle of them cannot be.",
            meaning(anomaly)
        ),
        svg,
    }
}

struct Drawing<'a> {
    cycle: &'a Cycle,
    /// For each transaction.
    boxes: Vec<Placed>,
    /// Lanes from the top: whose they are.
    lanes: Vec<String>,
    width: usize,
}

struct Placed {
    x: usize,
    y: usize,
    width: usize,
    /// Each cell that is shown: its micro-operation, where it is and how wide.
    cells: Vec<(usize, usize, usize)>,
}

impl Placed {
    /// Where an arrow at this micro-operation touches the box: the middle of its cell.
    fn anchor(&self, op: Option<usize>) -> usize {
        let cell = op.and_then(|op| self.cells.iter().find(|cell| cell.0 == op));
        cell.map_or(self.x + self.width / 2, |&(_, x, width)| x + width / 2)
    }
}

impl<'a> Drawing<'a> {
    fn of(cycle: &'a Cycle) -> Self {
        let members = &cycle.members;
        let mut lanes: BTreeMap<Option<usize>, (usize, String)> = BTreeMap::new();
        for member in members {
            lanes.entry(member.process).or_insert_with(|| (0, lane_name(member)));
        }
        for (number, lane) in lanes.values_mut().enumerate() {
            lane.0 = number;
        }
        let mut in_time: Vec<usize> = (0..members.len()).collect();
        in_time.sort_by_key(|&index| (members[index].interval.invoked, index));
        let mut boxes: Vec<Placed> = members
            .iter()
            .map(|member| Placed {
                x: 0,
                y: MARGIN + 40 + lanes[&member.process].0 * LANE,
                width: 0,
                cells: Vec::new(),
            })
            .collect();
        let mut x = MARGIN + LANE_NAME;
        for index in in_time {
            let placed = &mut boxes[index];
            placed.x = x;
            let mut right = x;
            for op in shown_ops(cycle, index) {
                let width = text_width(&members[index].ops[op]) + 2 * CELL_PADDING;
                placed.cells.push((op, right, width));
                right += width;
            }
            placed.width = (right - x).max(90);
            x += placed.width + GAP;
        }
        let proofs = cycle.steps.iter().map(|step| text_width(&step.proof) + 220).max().unwrap_or(0);
        let width = x.max(MARGIN + proofs) + MARGIN;
        Self { cycle, boxes, lanes: lanes.into_values().map(|lane| lane.1).collect(), width }
    }

    fn write(&self, svg: &mut String, anomaly: Anomaly) -> fmt::Result {
        let legend = MARGIN + 40 + self.lanes.len() * LANE;
        let height = legend + (self.cycle.steps.len() + 1) * LINE + MARGIN;
        let width = self.width;
        writeln!(
            svg,
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" font-family="ui-monospace, monospace" font-size="12" role="img">"#
        )?;
        writeln!(svg, "<title>{}</title>", anomaly.name())?;
        writeln!(svg, r#"<rect width="{width}" height="{height}" fill="white"/>"#)?;
        writeln!(svg, "<defs>")?;
        for kind in ["ww", "wr", "rw", "process", "realtime"] {
            let colour = colour(kind);
            writeln!(
                svg,
                r#"<marker id="{anomaly}-{kind}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto"><path d="M0,0 L8,4 L0,8 z" fill="{colour}"/></marker>"#
            )?;
        }
        writeln!(svg, "</defs>")?;
        for (number, name) in self.lanes.iter().enumerate() {
            let y = MARGIN + 40 + number * LANE + BOX / 2;
            let end = width - MARGIN;
            writeln!(svg, r##"<line x1="{MARGIN}" y1="{y}" x2="{end}" y2="{y}" stroke="#dddddd"/>"##)?;
            let y = y - 6;
            writeln!(svg, r##"<text x="{MARGIN}" y="{y}" fill="#555555">{}</text>"##, xml(name))?;
        }
        for (index, placed) in self.boxes.iter().enumerate() {
            self.write_box(svg, index, placed)?;
        }
        for (index, step) in self.cycle.steps.iter().enumerate() {
            self.write_arrow(svg, anomaly, index, step)?;
        }
        for (index, step) in self.cycle.steps.iter().enumerate() {
            let y = legend + (index + 1) * LINE;
            let next = (index + 1) % self.cycle.steps.len();
            writeln!(
                svg,
                r#"<text x="{MARGIN}" y="{y}" fill="{}">{}. T{} → T{} {}: {}</text>"#,
                colour(step.kind),
                index + 1,
                index + 1,
                next + 1,
                step.kind,
                xml(&step.proof)
            )?;
        }
        svg.push_str("</svg>\n");
        Ok(())
    }

    fn write_box(&self, svg: &mut String, index: usize, placed: &Placed) -> fmt::Result {
        let member = &self.cycle.members[index];
        let Placed { x, y, width, cells } = placed;
        let is_ok = member.completion == Completion::Ok;
        let (edge, fill) = if is_ok { ("#333333", "#f4f4f4") } else { ("#AC6E00", "#fff4dd") };
        writeln!(
            svg,
            r#"<rect x="{x}" y="{y}" width="{width}" height="{BOX}" rx="4" fill="{fill}" stroke="{edge}"/>"#
        )?;
        let above = y + 15;
        let doubt = if is_ok { "" } else { " in doubt" };
        writeln!(
            svg,
            r#"<text x="{}" y="{above}" font-weight="bold">T{}</text><text x="{}" y="{above}" font-size="10" fill="{edge}">{}{doubt}</text>"#,
            x + CELL_PADDING,
            index + 1,
            x + CELL_PADDING + 24,
            Seconds(member.interval.invoked),
        )?;
        for &(op, x, width) in cells {
            let (top, middle, base) = (y + 20, x + width / 2, y + 37);
            let strength = if self.matters(index, op) { "bold" } else { "normal" };
            let ink = if self.matters(index, op) { "#000000" } else { "#888888" };
            writeln!(
                svg,
                r#"<rect x="{x}" y="{top}" width="{width}" height="26" fill="white" stroke="{edge}"/><text x="{middle}" y="{base}" text-anchor="middle" font-weight="{strength}" fill="{ink}">{}</text>"#,
                xml(&member.ops[op])
            )?;
        }
        Ok(())
    }

    fn matters(&self, index: usize, op: usize) -> bool {
        matters(self.cycle, index, op)
    }

    /// From above one box to above the other, or below where it leads back.
    fn write_arrow(&self, svg: &mut String, anomaly: Anomaly, index: usize, step: &Step) -> fmt::Result {
        let next = (index + 1) % self.boxes.len();
        let (from, to) = (&self.boxes[index], &self.boxes[next]);
        let (x1, x2) = (from.anchor(step.from_op), to.anchor(step.to_op));
        let forward = x1 <= x2;
        let (y1, y2) = if forward { (from.y, to.y) } else { (from.y + BOX, to.y + BOX) };
        let rise = 34;
        let bend = |y: usize| if forward { y.saturating_sub(rise) } else { y + rise };
        let (c1, c2) = (bend(y1), bend(y2));
        let colour = colour(step.kind);
        let dash =
            if matches!(step.kind, "process" | "realtime") { r#" stroke-dasharray="5 3""# } else { "" };
        writeln!(
            svg,
            r#"<path d="M{x1},{y1} C{x1},{c1} {x2},{c2} {x2},{y2}" fill="none" stroke="{colour}" stroke-width="2"{dash} marker-end="url(#{anomaly}-{})"><title>{}</title></path>"#,
            step.kind,
            xml(&step.proof)
        )?;
        // Three quarters of the way of the bend lie there.
        let (x, y) = (usize::midpoint(x1, x2), (y1 + 3 * c1 + 3 * c2 + y2) / 8);
        writeln!(
            svg,
            r#"<text x="{x}" y="{}" text-anchor="middle" fill="{colour}" font-weight="bold" stroke="white" stroke-width="4" paint-order="stroke">{} {}</text>"#,
            if forward { y - 3 } else { y + 13 },
            index + 1,
            step.kind
        )
    }
}

fn matters(cycle: &Cycle, index: usize, op: usize) -> bool {
    let before = (index + cycle.steps.len() - 1) % cycle.steps.len();
    cycle.steps[index].from_op == Some(op) || cycle.steps[before].to_op == Some(op)
}

/// The first micro-operations, and all that matter.
fn shown_ops(cycle: &Cycle, index: usize) -> Vec<usize> {
    (0..cycle.members[index].ops.len()).filter(|&op| op < CELLS_MAX || matters(cycle, index, op)).collect()
}

fn lane_name(member: &Member) -> String {
    let mut name = match member.process {
        Some(process) => format!("client {process}"),
        None => "a client".to_owned(),
    };
    if let Some(node) = member.node {
        _ = write!(name, " · n{node}");
    }
    name
}

fn text_width(text: &str) -> usize {
    text.chars().count() * CHARACTER + 4
}

/// The colours that Elle gives to kinds of edges.
fn colour(kind: &str) -> &'static str {
    match kind {
        "ww" => "#C02700",
        "wr" => "#C000A5",
        "rw" => "#5B00C0",
        "process" => "#009090",
        _ => "#0050C0",
    }
}

fn xml(text: &str) -> String {
    printable(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
