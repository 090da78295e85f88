//! The picture of elements that reads lack: a row for each element, a column for each read that tells something.

use std::collections::BTreeSet;

use super::super::data::Data;
use super::super::history::Invocation;
use super::contract::Picture;
use super::drawing::{FAINT, INK, LINE, WRONG, end_link, link, open, rectangle, text};
use crate::workbench::checker::set_full::{Missing, SetFullResults};
use crate::workbench::format::Seconds;

/// So many elements and reads are drawn.
const ROWS_MAX: usize = 12;
const COLUMNS_MAX: usize = 24;

/// So many reads that show an element, and that lack it, are of interest on each side of where that changes.
const AROUND: usize = 2;

// All lengths are in pixels.
const LABELS: usize = 150;
const CELL: usize = 44;
const ROW: usize = 22;
const TOP: usize = 52;

const SHOWN: &str = "#bbf7d0";

/// Draws which element was missing from which read, if any was.
pub fn draw(report: &SetFullResults, history: &[Invocation]) -> Option<Picture> {
    let rows: Vec<&Missing> = report.lost.listed.iter().chain(&report.stale.listed).take(ROWS_MAX).collect();
    let mut reads: Vec<(usize, &Invocation, &[i64])> = history
        .iter()
        .enumerate()
        .filter_map(|(place, of)| Some((place, of, of.answer().and_then(Data::as_ints)?)))
        .collect();
    reads.sort_by_key(|(_, of, _)| of.interval.invoked);
    let columns = columns(&rows, &reads);
    let (width, height) = (LABELS + CELL * columns.len() + 16, TOP + ROW * rows.len() + 12);
    let mut svg = open(width.max(420), height);
    text(&mut svg, 8, 16, INK, "start", "which element was missing (red) from which read");
    for (column, &read) in columns.iter().enumerate() {
        let (place, of, _) = reads[read];
        let x = LABELS + CELL * column + CELL / 2;
        link(&mut svg, Some(place));
        text(&mut svg, x, 32, INK, "middle", &format!("n{}", of.node));
        text(
            &mut svg,
            x,
            45,
            FAINT,
            "middle",
            Seconds(of.interval.invoked).to_string().trim_end_matches(" s"),
        );
        end_link(&mut svg, Some(place));
    }
    for (row, missing) in rows.iter().enumerate() {
        let y = TOP + ROW * row;
        let label = format!("{}, from {} on", missing.element, Seconds(missing.known));
        text(&mut svg, LABELS - 8, y + 15, INK, "end", &label);
        for (column, &read) in columns.iter().enumerate() {
            let (place, of, elements) = reads[read];
            let is_shown = elements.contains(&missing.element);
            let colour = match is_shown {
                true => SHOWN,
                false if of.interval.invoked > missing.known => WRONG,
                false => LINE,
            };
            let x = LABELS + CELL * column;
            link(&mut svg, Some(place));
            rectangle(&mut svg, x + 1, y + 1, CELL - 2, ROW - 2, colour);
            if colour == WRONG {
                text(&mut svg, x + CELL / 2, y + 15, "#ffffff", "middle", "none");
            }
            end_link(&mut svg, Some(place));
        }
    }
    svg.push_str("</svg>");
    (!rows.is_empty() && !columns.is_empty()).then(|| Picture {
        file: "missing.svg".to_owned(),
        caption: "A row is an element and since when it is known; a column is a read, by its node and when it began. Green: it \
                  was there; red: it was missing though it was known; grey: it was not known yet. Reads that tell nothing of \
                  these elements are left out"
            .to_owned(),
        svg,
    })
}

/// The reads around which an element that is known is there or not, in order.
fn columns(rows: &[&Missing], reads: &[(usize, &Invocation, &[i64])]) -> Vec<usize> {
    let mut columns = BTreeSet::new();
    for missing in rows {
        let known = reads.partition_point(|(_, of, _)| of.interval.invoked <= missing.known);
        let (shown, lacking): (Vec<usize>, Vec<usize>) =
            (known..reads.len()).partition(|read| reads[*read].2.contains(&missing.element));
        for side in [&shown, &lacking] {
            columns.extend(side.iter().take(AROUND).chain(side.iter().rev().take(AROUND)));
        }
        if columns.len() > COLUMNS_MAX {
            break;
        }
    }
    columns.into_iter().take(2 * COLUMNS_MAX).collect()
}
