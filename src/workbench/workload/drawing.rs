//! Parts of pictures that several workloads draw: SVG on white, which a dark page turns over.

use std::fmt::Write as _;

/// What is said.
pub const INK: &str = "#0f172a";

/// What is said beside that.
pub const FAINT: &str = "#64748b";

/// Lines that lead the eye.
pub const LINE: &str = "#e2e8f0";

/// What is wrong.
pub const WRONG: &str = "#dc2626";

const FONT: &str = "font-family=\"ui-sans-serif, system-ui, sans-serif\" font-size=\"11\"";

pub fn open(width: usize, height: usize) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
         {FONT}><rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>"
    )
}

pub fn rectangle(svg: &mut String, x: usize, y: usize, width: usize, height: usize, color: &str) {
    // Writing to a string cannot fail.
    let _ = write!(
        svg,
        "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"2\" fill=\"{color}\"/>"
    );
}

pub fn text(svg: &mut String, x: usize, y: usize, color: &str, anchor: &str, text: &str) {
    let _ = write!(svg, "<text x=\"{x}\" y=\"{y}\" fill=\"{color}\" text-anchor=\"{anchor}\">");
    for c in text.chars() {
        match c {
            '&' => svg.push_str("&amp;"),
            '<' => svg.push_str("&lt;"),
            '>' => svg.push_str("&gt;"),
            // XML has no such characters.
            c if c.is_control() => svg.push(' '),
            c => svg.push(c),
        }
    }
    svg.push_str("</text>");
}

/// What fits into a cell: of a long number its end tells more.
pub fn short(value: &str) -> String {
    const SHOWN: usize = 6;
    match value.char_indices().rev().nth(SHOWN) {
        Some((at, _)) if value.bytes().all(|byte| byte.is_ascii_digit()) => {
            format!("…{}", value[at..].chars().skip(2).collect::<String>())
        }
        Some(_) => format!("{}…", value.chars().take(SHOWN - 1).collect::<String>()),
        None => value.to_owned(),
    }
}

/// Begins a link to an operation of the page; `</a>` ends it.
pub fn link(svg: &mut String, operation: Option<usize>) {
    if let Some(operation) = operation {
        let _ = write!(svg, "<a href=\"index.html#op={operation}\">");
    }
}

/// Ends what [`link`] began.
pub fn end_link(svg: &mut String, operation: Option<usize>) {
    svg.push_str(if operation.is_some() { "</a>" } else { "" });
}

/// A name as a part of a file's name.
pub fn file_name(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).take(40).collect()
}
