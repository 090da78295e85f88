//! Pictures of logs: what is broken about a key, cell by cell, and how far clients were behind.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::ops::Range;

use super::super::contract::Picture;
use super::super::drawing::{FAINT, INK, LINE, file_name, open, rectangle, short, text};
use crate::time::Instant;
use crate::workbench::checker::kafka::{Action, History, KafkaResults, Key, Lag, Message};

/// How many keys get a picture.
const GRIDS_MAX: usize = 8;

/// How many offsets and operations a grid shows.
const COLUMNS_MAX: usize = 32;
const ROWS_MAX: usize = 48;

/// How many keys or clients are told apart; all others are one.
const SERIES_MAX: usize = 9;

/// How many points in time a chart has.
const POINTS: usize = 240;

// All lengths are in pixels.
const CELL: usize = 44;
const ROW: usize = 20;
const LABELS: usize = 236;
const CHART_WIDTH: usize = 720;
const CHART_HEIGHT: usize = 180;
const CHART_LEFT: usize = 64;
const CHART_TOP: usize = 34;

const WRITTEN: &str = "#dbeafe";
const READ: &str = "#dcfce7";
const COLORS: [&str; SERIES_MAX + 1] = [
    "#2563eb", "#dc2626", "#16a34a", "#d97706", "#7c3aed", "#0891b2", "#db2777", "#65a30d", "#475569",
    "#a8a29e",
];

/// All that there is to see.
pub(super) fn draw(history: &History, report: &KafkaResults) -> Vec<Picture> {
    let grids = report.broken.iter().take(GRIDS_MAX).filter_map(|&(key, offset)| {
        let svg = Grid::of(history, key, offset)?.svg();
        let name = history.key_name(key);
        let caption = format!(
            "Key {name}: a row for each operation, a column for each offset; w was written there, r was read. Where an \
             offset has several messages, each has a colour of its own"
        );
        Some(Picture { file: format!("log-{}.svg", file_name(name)), caption, svg })
    });
    let mut pictures: Vec<Picture> = grids.collect();
    // Keys may be the same but for characters that no file name has.
    let mut names = BTreeSet::new();
    for (place, picture) in pictures.iter_mut().enumerate() {
        if !names.insert(picture.file.clone()) {
            picture.file = format!("log-{place}-{}", picture.file);
        }
    }
    pictures.extend(unseen(report));
    let by_process = lags(&report.lags_by_process, |lag| format!("process {}", lag.process));
    pictures.extend(by_process.map(|svg| {
        Picture {
            file: "lag-by-client.svg".to_owned(),
            caption:
                "How long there had been messages that a client did not have yet after a poll, by client"
                    .to_owned(),
            svg,
        }
    }));
    let by_key = lags(&report.lags_by_key, |lag| format!("key {}", report.key_name(lag.key)));
    pictures.extend(by_key.map(|svg| Picture {
        file: "lag-by-key.svg".to_owned(),
        caption: "The same by key".to_owned(),
        svg,
    }));
    pictures
}

/// What operations wrote and read around an offset of a key.
struct Grid<'a> {
    history: &'a History,
    key: Key,
    offsets: Vec<i64>,
    /// The column of the offset in question.
    marked: Option<usize>,
    /// Of each column the messages that were seen there.
    messages: Vec<BTreeSet<Message>>,
    rows: Vec<Row>,
    /// How many operations are left out.
    left_out: usize,
}

struct Row {
    label: String,
    is_write: bool,
    cells: Vec<(usize, Message)>,
}

impl<'a> Grid<'a> {
    fn of(history: &'a History, key: Key, offset: Option<i64>) -> Option<Self> {
        let mut seen: BTreeMap<i64, BTreeSet<Message>> = BTreeMap::new();
        for operation in history.operations() {
            for (offset, message) in pairs(history, &operation.action, key) {
                seen.entry(offset).or_default().insert(message);
            }
        }
        if seen.is_empty() {
            return None;
        }
        let place = offset.map_or(0, |offset| seen.range(..offset).count());
        let columns = window(place, seen.len());
        let offsets: Vec<i64> = seen.keys().copied().skip(columns.start).take(columns.len()).collect();
        let messages = seen.into_values().skip(columns.start).take(columns.len()).collect();
        let marked = offset.and_then(|offset| offsets.binary_search(&offset).ok());

        let mut rows: Vec<(Instant, Row)> = Vec::new();
        for operation in history.operations() {
            let cells: Vec<_> = pairs(history, &operation.action, key)
                .filter_map(|(offset, message)| Some((offsets.binary_search(&offset).ok()?, message)))
                .collect();
            if cells.is_empty() {
                continue;
            }
            let is_write = matches!(operation.action, Action::Send { .. });
            let node = operation.node.map_or_else(String::new, |node| format!(" at n{node}"));
            let at = operation.interval.completed;
            let millis = at.as_micros() / 1_000;
            let what = if is_write { "send" } else { "poll" };
            let label = format!(
                "{}.{:03} s  process {}{node}: {what}",
                millis / 1_000,
                millis % 1_000,
                operation.process
            );
            rows.push((at, Row { label, is_write, cells }));
        }
        rows.sort_by_key(|(at, _)| *at);
        let mut rows: Vec<Row> = rows.into_iter().map(|(_, row)| row).collect();
        let left_out = rows.len().saturating_sub(ROWS_MAX);
        if left_out > 0 {
            // Those that have to do with the offset in question tell most, and then those that came first.
            let is_close =
                |row: &Row| row.is_write || row.cells.iter().any(|(column, _)| Some(*column) == marked);
            let mut spare = ROWS_MAX.saturating_sub(rows.iter().filter(|row| is_close(row)).count());
            rows.retain(|row| {
                let is_kept = is_close(row) || spare > 0;
                spare = spare.saturating_sub(usize::from(is_kept && !is_close(row)));
                is_kept
            });
            rows.truncate(ROWS_MAX);
        }
        Some(Self { history, key, offsets, marked, messages, rows, left_out })
    }

    fn svg(&self) -> String {
        let (width, top) = (LABELS + CELL * self.offsets.len() + 8, 44);
        let height = top + ROW * (self.rows.len() + usize::from(self.left_out > 0)) + 8;
        let mut svg = open(width, height);
        text(&mut svg, 8, 16, INK, "start", &format!("key {}", self.history.key_name(self.key)));
        for (column, offset) in self.offsets.iter().enumerate() {
            let x = LABELS + CELL * column;
            if self.marked == Some(column) {
                rectangle(&mut svg, x, 22, CELL, height - 26, "#fee2e2");
            }
            text(&mut svg, x + CELL / 2, 36, FAINT, "middle", &short(&offset.to_string()));
        }
        for (place, row) in self.rows.iter().enumerate() {
            let y = top + ROW * place;
            text(&mut svg, LABELS - 8, y + 14, INK, "end", &row.label);
            for &(column, message) in &row.cells {
                let x = LABELS + CELL * column;
                let messages = &self.messages[column];
                let is_conflict = messages.len() > 1;
                let color = match messages.iter().position(|of| *of == message) {
                    Some(place) if is_conflict => COLORS[place.min(SERIES_MAX)],
                    _ if row.is_write => WRITTEN,
                    _ => READ,
                };
                rectangle(&mut svg, x + 1, y + 1, CELL - 2, ROW - 2, color);
                let ink = if is_conflict { "#ffffff" } else { INK };
                let letter = if row.is_write { 'w' } else { 'r' };
                let value = short(&self.history.value(message));
                text(&mut svg, x + CELL / 2, y + 14, ink, "middle", &format!("{letter} {value}"));
            }
        }
        if self.left_out > 0 {
            let y = top + ROW * self.rows.len() + 14;
            text(&mut svg, 8, y, FAINT, "start", &format!("{} operations more are not shown", self.left_out));
        }
        svg.push_str("</svg>");
        svg
    }
}

/// The offsets of a key that an operation has to do with, and the messages there.
fn pairs<'a>(
    history: &'a History,
    action: &'a Action,
    key: Key,
) -> Box<dyn Iterator<Item = (i64, Message)> + 'a> {
    match action {
        Action::Send { message, offset: Some(offset) } if history.key_of(*message) == key => {
            Box::new(std::iter::once((*offset, *message)))
        }
        Action::Poll { lists, .. } => Box::new(
            lists.iter().filter(move |(of, _)| *of == key).flat_map(|(_, list)| list.iter().copied()),
        ),
        _ => Box::new(std::iter::empty()),
    }
}

/// The columns around a place.
fn window(place: usize, count: usize) -> Range<usize> {
    let start = place.saturating_sub(COLUMNS_MAX / 2).min(count.saturating_sub(COLUMNS_MAX));
    start..count.min(start + COLUMNS_MAX)
}

/// Messages that were acknowledged and not polled yet, over time, one key on top of the other.
fn unseen(report: &KafkaResults) -> Option<Picture> {
    let end = report.unseen.last()?.0.as_micros().max(1);
    let bucket =
        |at: Instant| usize::try_from(at.as_micros() * (POINTS as u64 - 1) / end).unwrap_or(POINTS - 1);
    // Of each key the most in each stretch of time, and what there is at its end.
    let mut counts: BTreeMap<Key, Vec<Option<usize>>> = BTreeMap::new();
    let mut now: BTreeMap<Key, usize> = BTreeMap::new();
    for &(at, key, count) in &report.unseen {
        let place = bucket(at);
        let before = now.insert(key, count).unwrap_or(0);
        let row = counts.entry(key).or_insert_with(|| vec![None; POINTS + 1]);
        row[place] = row[place].max(Some(count.max(before)));
        row[place + 1] = Some(count);
    }
    let mut series: Vec<(String, Vec<f64>)> = Vec::new();
    let mut peaks: Vec<(usize, Key)> =
        counts.iter().map(|(key, row)| (row.iter().flatten().copied().max().unwrap_or(0), *key)).collect();
    peaks.sort_by_key(|&(peak, key)| (std::cmp::Reverse(peak), key));
    for (place, (_, key)) in peaks.iter().enumerate() {
        let mut last = 0;
        let values = counts[key][..POINTS].iter().map(|count| {
            last = count.unwrap_or(last);
            float(last)
        });
        let values: Vec<f64> = values.collect();
        if place < SERIES_MAX {
            series.push((format!("key {}", report.key_name(*key)), values));
        } else if let Some((_, others)) = series.get_mut(SERIES_MAX) {
            others.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
        } else {
            series.push(("other keys".to_owned(), values));
        }
    }
    let mut sums = vec![0.0; POINTS];
    let mut areas = Vec::new();
    for (name, values) in series {
        let below = sums.clone();
        sums.iter_mut().zip(&values).for_each(|(sum, value)| *sum += value);
        areas.push((name, below, sums.clone()));
    }
    let most = sums.iter().copied().fold(1.0, f64::max);
    let mut svg = chart(
        "messages acknowledged and not polled yet",
        most,
        "",
        end,
        areas.iter().map(|(name, ..)| &**name),
    );
    for (place, (_, below, above)) in areas.iter().enumerate() {
        let point = |place: usize, value: f64| {
            let x = float(CHART_LEFT) + float(CHART_WIDTH * place) / float(POINTS - 1);
            format!("{x:.1},{:.1}", height_of(value, most))
        };
        let forth = above.iter().enumerate().map(|(place, value)| point(place, *value));
        let back = below.iter().enumerate().rev().map(|(place, value)| point(place, *value));
        let points: Vec<_> = forth.chain(back).collect();
        let _ = write!(
            svg,
            "<polygon points=\"{}\" fill=\"{}\" fill-opacity=\"0.7\"/>",
            points.join(" "),
            COLORS[place.min(SERIES_MAX)]
        );
    }
    svg.push_str("</svg>");
    Some(Picture {
        file: "unseen.svg".to_owned(),
        caption: "Messages that were acknowledged and that no poll had returned yet, by key".to_owned(),
        svg,
    })
}

/// Lags over time, a colour for each of those that were the furthest behind.
fn lags(lags: &[Lag], name: impl Fn(&Lag) -> String) -> Option<String> {
    let end = lags.iter().map(|lag| lag.at.as_micros()).max()?.max(1);
    let mut worst: BTreeMap<String, u64> = BTreeMap::new();
    for lag in lags {
        let entry = worst.entry(name(lag)).or_default();
        *entry = lag.lag.as_micros().max(*entry);
    }
    let most = worst.values().copied().max()?.max(1);
    let mut names: Vec<(String, u64)> = worst.into_iter().collect();
    names.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let mut names: Vec<String> = names.into_iter().map(|(name, _)| name).collect();
    if names.len() > SERIES_MAX {
        names.truncate(SERIES_MAX);
        names.push("others".to_owned());
    }
    let scale = micros(most) / 1e6;
    let mut svg = chart("behind", scale, " s", end, names.iter().map(|name| &**name));
    for lag in lags {
        let of = name(lag);
        let place = names.iter().position(|name| *name == of).unwrap_or(SERIES_MAX);
        let x = float(CHART_LEFT) + float(CHART_WIDTH) * micros(lag.at.as_micros()) / micros(end);
        let y = height_of(micros(lag.lag.as_micros()) / 1e6, scale);
        let _ = write!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.5\" fill=\"{}\"/>", COLORS[place]);
    }
    svg.push_str("</svg>");
    Some(svg)
}

/// A chart without what it shows: a scale from nothing to `most`, and one of time.
fn chart<'a>(title: &str, most: f64, unit: &str, end: u64, names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.collect();
    let legend = names.len().div_ceil(5);
    let bottom = CHART_TOP + CHART_HEIGHT;
    let mut svg = open(CHART_LEFT + CHART_WIDTH + 24, bottom + 30 + 18 * legend);
    text(&mut svg, CHART_LEFT, 18, INK, "start", title);
    for step in 0..=4_usize {
        let y = bottom - CHART_HEIGHT * step / 4;
        let _ = write!(
            svg,
            "<line x1=\"{CHART_LEFT}\" x2=\"{}\" y1=\"{y}\" y2=\"{y}\" stroke=\"{LINE}\"/>",
            CHART_LEFT + CHART_WIDTH
        );
        let value = most * float(step) / 4.0;
        let label = if most >= 10.0 { format!("{value:.0}{unit}") } else { format!("{value:.2}{unit}") };
        text(&mut svg, CHART_LEFT - 8, y + 4, FAINT, "end", &label);
        let x = CHART_LEFT + CHART_WIDTH * step / 4;
        let seconds = micros(end) / 1e6 * float(step) / 4.0;
        text(&mut svg, x, bottom + 16, FAINT, "middle", &format!("{seconds:.1} s"));
    }
    for (place, name) in names.iter().enumerate() {
        let (x, y) = (CHART_LEFT + 140 * (place % 5), bottom + 24 + 18 * (place / 5));
        rectangle(&mut svg, x, y, 10, 10, COLORS[place.min(SERIES_MAX)]);
        text(&mut svg, x + 15, y + 9, INK, "start", &short_name(name));
    }
    svg
}

fn height_of(value: f64, most: f64) -> f64 {
    float(CHART_TOP) + float(CHART_HEIGHT) * (1.0 - value / most)
}

fn short_name(name: &str) -> String {
    if name.chars().count() > 20 { name.chars().take(19).chain(['…']).collect() } else { name.to_owned() }
}

#[allow(clippy::cast_precision_loss, reason = "counts and lengths of a picture are small")]
const fn float(count: usize) -> f64 {
    count as f64
}

#[allow(clippy::cast_precision_loss, reason = "times of a test are far below 2^53 microseconds")]
const fn micros(micros: u64) -> f64 {
    micros as f64
}
