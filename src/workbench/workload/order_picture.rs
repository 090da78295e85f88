//! The picture of reads that contradict each other on the order of a list: a row for each read, a column for each place,
//! and a colour for each element, so that one sees which went where.

use super::contract::Picture;
use super::drawing::{FAINT, INK, WRONG, open, rectangle, text};
use crate::workbench::checker::isolation::Orders;

/// So many elements are drawn before the place where the reads part, and from there on.
const BEFORE: usize = 3;
const AFTER: usize = 14;

// All lengths are in pixels.
const CELL: usize = 44;
const ROW: usize = 24;
const TOP: usize = 44;
/// Of a character of a label.
const CHARACTER: usize = 6;

const COLOURS: [&str; 8] =
    ["#bfdbfe", "#fecaca", "#bbf7d0", "#fde68a", "#ddd6fe", "#a5f3fc", "#fbcfe8", "#d9f99d"];

/// Draws the reads of a key that contradict each other.
pub fn draw(orders: &Orders) -> Picture {
    let Orders { key, agree, reads } = orders;
    let first = agree.saturating_sub(BEFORE);
    let last = reads.iter().map(|(_, list)| list.len()).max().unwrap_or(0).min(agree + AFTER);
    let labels = reads.iter().map(|(who, _)| who.chars().count() * CHARACTER).max().unwrap_or(0) + 16;
    let mut svg =
        open((labels + CELL * (last - first.min(last)) + 24).max(420), TOP + ROW * reads.len() + 12);
    text(&mut svg, 8, 16, INK, "start", &format!("key {key}: the reads part at element {}", agree + 1));
    for place in first..last {
        let x = labels + CELL * (place - first);
        let colour = if place == *agree { WRONG } else { FAINT };
        text(&mut svg, x + CELL / 2, 36, colour, "middle", &(place + 1).to_string());
    }
    let longest = reads.iter().map(|(_, list)| list).max_by_key(|list| list.len());
    for (row, (who, list)) in reads.iter().enumerate() {
        let y = TOP + ROW * row;
        text(&mut svg, labels - 8, y + 16, INK, "end", who);
        for (place, element) in list.iter().enumerate().take(last).skip(first) {
            let x = labels + CELL * (place - first);
            let known = longest.and_then(|longest| longest.iter().position(|of| of == element));
            let colour = known.map_or("#ffffff", |place| COLOURS[place % COLOURS.len()]);
            rectangle(&mut svg, x + 1, y + 1, CELL - 2, ROW - 2, colour);
            text(&mut svg, x + CELL / 2, y + 16, INK, "middle", &element.to_string());
        }
    }
    svg.push_str("</svg>");
    Picture {
        file: format!("incompatible-order-{key}.svg"),
        caption: format!(
            "incompatible-order: what two transactions read of key {key}, element by element. An element has the same colour \
             in both; neither list is the beginning of the other"
        ),
        svg,
    }
}
