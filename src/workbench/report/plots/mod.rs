//! A test over time, drawn: how long its operations took, how many there were, and what went wrong meanwhile.
//!
//! Each kind of operation has a panel of its own, so that colours and shapes are left to tell how operations
//! ended. All panels of a picture have the same scales. Above them is a lane for each kind of fault, and its
//! shadow falls on the panels.

mod scale;

use std::collections::BTreeMap;
use std::io;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use self::scale::{Scale, number};
use crate::time::{Duration, Instant};
use crate::workbench::checker::{Completion, Quantiles};
use crate::workbench::format::thousands;
use crate::workbench::history::Invocation;
use crate::workbench::journal::{Address, Numbers};
use crate::workbench::nemesis::Fault;
use crate::workbench::world::World;

/// An operation that took no longer was answered in the instant of its request.
const INSTANT: Duration = Duration::from_micros(10);

/// So many types of requests are told apart.
const PANELS_MAX: usize = 6;

/// So many points are drawn at most: a megabyte of them, whatever the test.
const POINTS_MAX: usize = 10_000;

// All lengths are in pixels.

const WIDTH: u32 = 960;
/// Left of the panels, for their scales.
const LEFT: u32 = 76;
const RIGHT: u32 = 20;
const PLOT_WIDTH: u32 = WIDTH - LEFT - RIGHT;
/// Above everything, for title and legend.
const HEADER_HEIGHT: u32 = 68;
const LANE_HEIGHT: u32 = 16;
/// Above a panel, for its name.
const NAME_HEIGHT: u32 = 30;
const PLOT_HEIGHT: u32 = 180;
/// Below a panel, for its scale.
const SCALE_HEIGHT: u32 = 26;
const PANEL_HEIGHT: u32 = NAME_HEIGHT + PLOT_HEIGHT + SCALE_HEIGHT;
/// Room of a character of the legend.
const CHAR_WIDTH: u32 = 7;

const FONT: &str = "ui-sans-serif, system-ui, sans-serif";
const PAPER: RGBColor = WHITE;
const INK: RGBColor = RGBColor(15, 23, 42);
const FAINT: RGBColor = RGBColor(100, 116, 139);
const GRID: RGBColor = RGBColor(226, 232, 240);

const OK: Sign = Sign { mark: Mark::Dot, color: RGBColor(37, 99, 235), text: "ok" };
const FAIL: Sign = Sign { mark: Mark::Cross, color: RGBColor(220, 38, 38), text: "failed" };
const INFO: Sign = Sign { mark: Mark::Triangle, color: RGBColor(217, 119, 6), text: "unknown" };

/// How operations end, and its sign. What is rare comes last, and lies on top.
const ENDS: [(Completion, Sign); 3] =
    [(Completion::Ok, OK), (Completion::Fail, FAIL), (Completion::Info, INFO)];

type Canvas<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<Scale, Scale>>;
type Drawn = Result<(), DrawingAreaErrorKind<io::Error>>;

/// The operations of a test in the order of time.
pub struct Timeline<'a> {
    world: &'a World,
    kinds: BTreeMap<&'static str, Vec<&'a Invocation>>,
    /// From the first operation to the end, in seconds.
    span: f64,
}

/// A sign, and what it stands for.
#[derive(Clone, Copy)]
struct Sign {
    mark: Mark,
    color: RGBColor,
    text: &'static str,
}

#[derive(Clone, Copy)]
enum Mark {
    Dot,
    Cross,
    Triangle,
    Line,
}

impl<'a> Timeline<'a> {
    /// Of the operations of a test; none if there were no operations.
    pub fn of(world: &'a World) -> Option<Self> {
        if world.history().is_empty() {
            return None;
        }
        let mut kinds = BTreeMap::<_, Vec<_>>::new();
        for invocation in world.history() {
            kinds.entry(invocation.operation.f).or_default().push(invocation);
        }
        let invoked = world.history().iter().map(|invocation| invocation.interval.invoked);
        let completed = world.history().iter().filter_map(completed);
        let faults = world.faults().iter().map(|window| window.to.unwrap_or(window.from));
        let end = invoked.chain(completed).chain(faults).max()?;
        let span = seconds(end - Instant::START).max(1e-3);
        Some(Self { world, kinds, span })
    }

    /// Whether every answer came in the instant of its request, as where clients' links have no latency and nodes ask
    /// nobody.
    pub fn is_instant(&self) -> bool {
        let mut answered = self.world.history().iter().filter(|of| of.outcome.completion() == Completion::Ok);
        answered.all(|of| completed(of).is_some_and(|at| at - of.interval.invoked <= INSTANT))
    }

    /// How long nodes waited for the answers of other nodes and services, by type of request; nothing if they asked
    /// nobody, or those links have no latency either.
    pub fn round_trips(&self) -> io::Result<Option<String>> {
        let mut open: BTreeMap<(Address, Address, i64), (Instant, String)> = BTreeMap::new();
        let mut trips: BTreeMap<String, Vec<(Instant, Duration)>> = BTreeMap::new();
        let entries = self.world.journal().entries();
        for entry in entries.iter().filter(|entry| !entry.src.is_client() && !entry.dest.is_client()) {
            let Numbers { msg_id, in_reply_to, kind } = serde_json::from_str(&entry.body).unwrap_or_default();
            if let Some(id) = in_reply_to {
                let of_request = open.remove(&(entry.dest, entry.src, id));
                if let (Some((sent, kind)), Some(&arrived)) = (of_request, entry.received.first()) {
                    trips.entry(kind).or_default().push((sent, arrived - sent));
                }
            } else if let Some(id) = msg_id {
                open.insert((entry.src, entry.dest, id), (entry.sent, kind));
            }
        }
        if !trips.values().flatten().any(|(_, took)| *took > INSTANT) {
            return Ok(None);
        }
        let scale = Scale::of_latencies(trips.values().flatten().map(|(_, took)| log_millis(*took)));
        let (low, high) = (scale.range.start, scale.range.end);
        let mut points: BTreeMap<&str, Vec<(u32, u32)>> = BTreeMap::new();
        for (kind, trips) in trips.iter().take(PANELS_MAX) {
            let point = |&(sent, took): &(Instant, Duration)| {
                let y = 1.0 - (log_millis(took) - low) / (high - low);
                (pixel(since_start(sent) / self.span, PLOT_WIDTH), pixel(y, PLOT_HEIGHT))
            };
            points.insert(kind, trips.iter().map(point).collect());
        }
        thin(points.values_mut().collect(), POINTS_MAX);
        let title = "Round trips between nodes and services in ms, over the seconds in which they began";
        let names: Vec<&str> = points.keys().copied().collect();
        let svg =
            self.draw(title, "", &[Sign { text: "answered", ..OK }], &scale, &names, |kind, chart| {
                let canvas = chart.plotting_area().strip_coord_spec();
                points[kind].iter().try_for_each(|&point| OK.mark.draw(&canvas, point, OK.color))
            })?;
        Ok(Some(svg))
    }

    /// How long each operation took.
    ///
    /// # Errors
    /// If it cannot be drawn.
    pub fn latency(&self) -> io::Result<String> {
        let millis =
            |invocation: &Invocation| Some(log_millis(completed(invocation)? - invocation.interval.invoked));
        let scale = Scale::of_latencies(self.world.history().iter().filter_map(millis));
        let (low, high) = (scale.range.start, scale.range.end);
        let mut series = Vec::new();
        for (&kind, invocations) in &self.kinds {
            for (completion, sign) in ENDS {
                let point = |invocation: &&Invocation| {
                    let x = since_start(invocation.interval.invoked) / self.span;
                    let y = 1.0 - (millis(invocation)? - low) / (high - low);
                    Some((pixel(x, PLOT_WIDTH), pixel(y, PLOT_HEIGHT)))
                };
                let those =
                    invocations.iter().filter(|invocation| invocation.outcome.completion() == completion);
                series.push((kind, sign, those.filter_map(point).collect::<Vec<_>>()));
            }
        }
        let count =
            |series: &[(_, _, Vec<_>)]| series.iter().map(|(_, _, points)| points.len()).sum::<usize>();
        let all = count(&series);
        thin(series.iter_mut().map(|(_, _, points)| points).collect(), POINTS_MAX);
        let drawn = count(&series);
        let note = if drawn < all {
            format!("{} points for {}: one where they lie together", thousands(drawn), thousands(all))
        } else {
            String::new()
        };
        let title = "Latency of operations in ms, over the seconds in which they began";
        self.draw(title, &note, &ENDS.map(|(_, sign)| sign), &scale, &self.names(), |kind, chart| {
            let canvas = chart.plotting_area().strip_coord_spec();
            for (_, Sign { mark, color, .. }, points) in series.iter().filter(|(of, ..)| *of == kind) {
                points.iter().try_for_each(|&point| mark.draw(&canvas, point, *color))?;
            }
            Ok(())
        })
    }

    /// Quantiles of how long successful operations took.
    ///
    /// # Errors
    /// If it cannot be drawn.
    pub fn quantiles(&self) -> io::Result<String> {
        const fn line(color: RGBColor, text: &'static str) -> Sign {
            Sign { mark: Mark::Line, color, text }
        }
        const SIGNS: [Sign; 4] = [
            line(RGBColor(148, 163, 184), "longest"),
            line(RGBColor(219, 39, 119), "99 %"),
            line(RGBColor(13, 148, 136), "95 %"),
            line(OK.color, "median"),
        ];
        let quantiles = |invocations: &Vec<&Invocation>| {
            let mut spans = vec![Vec::new(); self.buckets()];
            for Invocation { interval, outcome, .. } in invocations {
                if outcome.completion() == Completion::Ok {
                    spans[self.bucket(interval.invoked)].push(interval.completed - interval.invoked);
                }
            }
            let of = |Quantiles { median, p95, p99, max, .. }| [max, p99, p95, median].map(log_millis);
            spans.into_iter().map(|spans| Quantiles::of(spans).map(of)).collect()
        };
        let kinds: BTreeMap<_, Vec<Option<[f64; 4]>>> =
            self.kinds.iter().map(|(&kind, those)| (kind, quantiles(those))).collect();
        let scale = Scale::of_latencies(kinds.values().flatten().flatten().flatten().copied());
        let title = "Quantiles of the latency of successes in ms, over the seconds in which they began";
        self.draw(title, &self.bucket_note(), &SIGNS, &scale, &self.names(), |kind, chart| {
            for (place, Sign { color, .. }) in SIGNS.into_iter().enumerate() {
                let point = |(bucket, those): (usize, &Option<[f64; 4]>)| {
                    Some((self.middle(bucket), (*those)?[place]))
                };
                let points: Vec<_> = kinds[kind].iter().enumerate().map(point).collect();
                // Where nothing succeeded the line has a gap.
                for line in points.split(Option::is_none) {
                    let line: Vec<_> = line.iter().copied().flatten().collect();
                    if let [alone] = line[..] {
                        chart.draw_series([Circle::new(alone, 2, color.filled())])?;
                    }
                    draw_line(chart, line, color)?;
                }
            }
            Ok(())
        })
    }

    /// How many operations ended in each second.
    ///
    /// # Errors
    /// If it cannot be drawn.
    #[allow(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    pub fn rate(&self) -> io::Result<String> {
        let width = self.span / self.buckets() as f64;
        let rates = |invocations: &[&Invocation], completion| {
            let mut rates = vec![0.0; self.buckets()];
            let those = invocations.iter().filter(|invocation| invocation.outcome.completion() == completion);
            for at in those.filter_map(|invocation| completed(invocation)) {
                rates[self.bucket(at)] += 1.0 / width;
            }
            rates
        };
        let mut series = Vec::new();
        for (&kind, invocations) in &self.kinds {
            for (completion, sign) in ENDS {
                series.push((kind, sign, rates(invocations, completion)));
            }
        }
        let highest = series.iter().flat_map(|(_, _, rates)| rates).fold(0.0, |a: f64, &b| a.max(b));
        let title = "Operations that ended in a second, over seconds";
        let signs = ENDS.map(|(_, sign)| Sign { mark: Mark::Line, ..sign });
        let scale = Scale::from_zero(highest);
        self.draw(title, &self.bucket_note(), &signs, &scale, &self.names(), |kind, chart| {
            for (_, Sign { color, .. }, rates) in series.iter().filter(|(of, ..)| *of == kind) {
                if rates.iter().any(|&rate| rate > 0.0) {
                    let points = rates.iter().enumerate().map(|(bucket, &rate)| (self.middle(bucket), rate));
                    draw_line(chart, points.collect(), *color)?;
                }
            }
            Ok(())
        })
    }

    /// A picture with a panel for each of these names. `note` stands beside the title.
    fn draw(
        &self,
        title: &str,
        note: &str,
        signs: &[Sign],
        scale: &Scale,
        names: &[&str],
        panel: impl FnMut(&str, &mut Chart<'_, '_>) -> Drawn,
    ) -> io::Result<String> {
        let mut svg = String::new();
        self.draw_into(&mut svg, (title, note), signs, scale, names, panel).map_err(io::Error::other)?;
        Ok(svg)
    }

    fn draw_into(
        &self,
        svg: &mut String,
        (title, note): (&str, &str),
        signs: &[Sign],
        scale: &Scale,
        names: &[&str],
        mut panel: impl FnMut(&str, &mut Chart<'_, '_>) -> Drawn,
    ) -> Drawn {
        let panels = u32::try_from(names.len()).expect("there are a few kinds");
        let lanes = u32::try_from(self.faults().len()).expect("there are a few faults");
        let top = HEADER_HEIGHT + lanes * LANE_HEIGHT;
        let height = top + panels * PANEL_HEIGHT;
        let canvas = SVGBackend::with_string(svg, (WIDTH, height)).into_drawing_area();
        canvas.fill(&PAPER)?;
        draw_header(&canvas, title, note, signs)?;
        self.draw_faults(&canvas, height)?;
        let bold = (FONT, 16, FontStyle::Bold).with_color(INK).into_text_style(&canvas);
        let small = (FONT, 14).with_color(FAINT).into_text_style(&canvas);
        let seconds = Scale::of_seconds(self.span);
        for (&kind, place) in names.iter().zip(0..) {
            let top = top + place * PANEL_HEIGHT;
            canvas.draw(&Text::new(kind, at(LEFT, top + 8), bold.clone()))?;
            let area = canvas.clone().shrink((0, top), (WIDTH, PANEL_HEIGHT));
            let mut chart = ChartBuilder::on(&area)
                .margin_top(NAME_HEIGHT)
                .margin_right(RIGHT)
                .x_label_area_size(SCALE_HEIGHT)
                .y_label_area_size(LEFT)
                .build_cartesian_2d(seconds.clone(), scale.clone())?;
            chart
                .configure_mesh()
                .disable_x_mesh()
                .bold_line_style(GRID)
                .axis_style(GRID)
                .label_style(small.clone())
                .draw()?;
            panel(kind, &mut chart)?;
        }
        canvas.present()
    }

    /// A lane for each kind of fault with what was when, and its shadow on everything below.
    fn draw_faults(&self, canvas: &Canvas<'_>, bottom: u32) -> Drawn {
        let name = (FONT, 14).with_color(INK).with_anchor::<RGBColor>(Pos::new(HPos::Right, VPos::Center));
        let name = name.into_text_style(canvas);
        for (fault, lane) in self.faults().into_iter().zip(0..) {
            let top = HEADER_HEIGHT + lane * LANE_HEIGHT;
            canvas.draw(&Text::new(fault.name(), at(LEFT - 10, top + LANE_HEIGHT / 2), name.clone()))?;
            let color = fault_color(fault);
            // However many there are, a pixel is drawn once.
            let mut drawn_to = 0;
            for window in self.world.faults().iter().filter(|window| window.fault == fault) {
                let x = |at| LEFT + pixel(since_start(at) / self.span, PLOT_WIDTH);
                let from = x(window.from).max(drawn_to);
                let to = window.to.map_or(WIDTH - RIGHT, x).max(x(window.from) + 1);
                if from < to {
                    let bar = [at(from, top + 3), at(to, top + LANE_HEIGHT - 3)];
                    canvas.draw(&Rectangle::new(bar, color.filled()))?;
                    let shadow = [at(from, top + LANE_HEIGHT - 3), at(to, bottom - SCALE_HEIGHT)];
                    canvas.draw(&Rectangle::new(shadow, color.mix(0.06).filled()))?;
                    drawn_to = to;
                }
            }
        }
        Ok(())
    }

    /// The kinds of operations.
    fn names(&self) -> Vec<&'static str> {
        self.kinds.keys().copied().collect()
    }

    /// The kinds of faults that there were.
    fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        for window in self.world.faults() {
            if !faults.contains(&window.fault) {
                faults.push(window.fault);
            }
        }
        faults
    }

    /// How many buckets the time is cut into: each with enough operations for quantiles, and some pixels wide.
    fn buckets(&self) -> usize {
        (self.world.history().len() / 50).clamp(20, 100)
    }

    fn bucket_note(&self) -> String {
        #[allow(clippy::cast_precision_loss, reason = "it is a small number")]
        let width = self.span / self.buckets() as f64;
        format!("each point stands for {} s", number(width))
    }

    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the fraction is from 0 to 1, and buckets are few"
    )]
    fn bucket(&self, at: Instant) -> usize {
        let fraction = since_start(at) / self.span;
        ((fraction * self.buckets() as f64) as usize).min(self.buckets() - 1)
    }

    /// When the middle of a bucket is, in seconds.
    #[allow(clippy::cast_precision_loss, reason = "buckets are few")]
    fn middle(&self, bucket: usize) -> f64 {
        (bucket as f64 + 0.5) * self.span / self.buckets() as f64
    }
}

impl Mark {
    fn draw(self, canvas: &Canvas<'_>, (x, y): (u32, u32), color: RGBColor) -> Drawn {
        let (x, y) = at(x, y);
        match self {
            Self::Dot => canvas.draw(&Circle::new((x, y), 2, color.mix(0.7).filled())),
            // One line is half as long in the file as two.
            Self::Cross => {
                let path = [(x - 3, y - 3), (x + 3, y + 3), (x, y), (x - 3, y + 3), (x + 3, y - 3)];
                canvas.draw(&PathElement::new(path, color))
            }
            Self::Triangle => canvas.draw(&TriangleMarker::new((x, y), 4, color.filled())),
            Self::Line => canvas.draw(&PathElement::new([(x - 8, y), (x + 8, y)], color.stroke_width(2))),
        }
    }
}

/// Title, note and legend.
fn draw_header(canvas: &Canvas<'_>, title: &str, note: &str, signs: &[Sign]) -> Drawn {
    let bold = (FONT, 18, FontStyle::Bold).with_color(INK).into_text_style(canvas);
    let text = (FONT, 15).with_color(INK).with_anchor::<RGBColor>(Pos::new(HPos::Left, VPos::Center));
    let text = text.into_text_style(canvas);
    let faint = (FONT, 15).with_color(FAINT).with_anchor::<RGBColor>(Pos::new(HPos::Right, VPos::Center));
    canvas.draw(&Text::new(title, at(16, 12), bold))?;
    canvas.draw(&Text::new(note, at(WIDTH - RIGHT, 46), faint.into_text_style(canvas)))?;
    let (mut x, y) = (24, 46);
    for Sign { mark, color, text: meaning } in signs {
        mark.draw(canvas, (x, y), *color)?;
        canvas.draw(&Text::new(*meaning, at(x + 14, y), text.clone()))?;
        x += 44 + CHAR_WIDTH * u32::try_from(meaning.len()).expect("it is a word");
    }
    Ok(())
}

fn draw_line(chart: &mut Chart<'_, '_>, points: Vec<(f64, f64)>, color: RGBColor) -> Drawn {
    chart.draw_series([PathElement::new(points, color.stroke_width(2))])?;
    Ok(())
}

const fn fault_color(fault: Fault) -> RGBColor {
    match fault {
        Fault::Partition => RGBColor(124, 58, 237),
        Fault::Kill => RGBColor(190, 18, 60),
        Fault::Pause => RGBColor(71, 85, 105),
        Fault::Loss => RGBColor(13, 148, 136),
        Fault::Duplicate => RGBColor(161, 98, 7),
        Fault::Slow => RGBColor(37, 99, 235),
        Fault::Reorder => RGBColor(190, 24, 93),
    }
}

/// Leaves one point where several are together, in cells that grow until there are few enough; the size of a
/// cell. What lies apart stays, and so do all the points of which each has a pixel to itself.
fn thin(mut series: Vec<&mut Vec<(u32, u32)>>, limit: usize) -> u32 {
    let mut cell = 1;
    loop {
        let mut left = 0;
        for points in &mut series {
            points.iter_mut().for_each(|(x, y)| (*x, *y) = (*x - *x % cell, *y - *y % cell));
            points.sort_unstable();
            points.dedup();
            left += points.len();
        }
        // There is a point left of each series in the end, whatever the limit.
        if left <= limit || cell > WIDTH {
            return cell;
        }
        cell *= 2;
    }
}

/// When an operation ended, if it did.
fn completed(invocation: &Invocation) -> Option<Instant> {
    Some(invocation.interval.completed).filter(|&at| at < Instant::END)
}

/// The decimal logarithm of a span in milliseconds. No time at all counts as a microsecond.
#[allow(clippy::cast_precision_loss, reason = "spans of a test are short")]
fn log_millis(span: Duration) -> f64 {
    (span.as_micros().max(1) as f64 / 1e3).log10()
}

fn since_start(at: Instant) -> f64 {
    seconds(at - Instant::START)
}

#[allow(clippy::cast_precision_loss, reason = "spans of a test are short")]
fn seconds(span: Duration) -> f64 {
    span.as_micros() as f64 / 1e6
}

/// The pixel at a fraction of a length.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is clamped to the length")]
fn pixel(fraction: f64, length: u32) -> u32 {
    (fraction.clamp(0.0, 1.0) * f64::from(length)).round() as u32
}

fn at(x: u32, y: u32) -> (i32, i32) {
    (x.cast_signed(), y.cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_points_are_thinned_and_those_apart_stay() {
        let mut random = fastrand::Rng::with_seed(3);
        let mut crowd: Vec<_> =
            (0..1_000_000).map(|_| (random.u32(0..PLOT_WIDTH), random.u32(0..90))).collect();
        let mut apart = vec![(7, 170), (600, 150)];
        crowd.push((300, PLOT_HEIGHT));
        let cell = thin(vec![&mut crowd, &mut apart], POINTS_MAX);
        assert!(cell > 1 && crowd.len() <= POINTS_MAX, "{cell} {}", crowd.len());
        assert!(crowd.len() > POINTS_MAX / 8, "no more than needed: {}", crowd.len());
        assert_eq!(apart.len(), 2);
        assert!(crowd.contains(&(300 - 300 % cell, PLOT_HEIGHT - PLOT_HEIGHT % cell)));
    }

    #[test]
    fn few_points_stay_as_they_are() {
        let mut points = vec![(3, 3), (1, 2), (3, 3)];
        assert_eq!((thin(vec![&mut points], 2), points), (1, vec![(1, 2), (3, 3)]));
        assert_eq!(thin(Vec::new(), 0), 1);
        let mut points = vec![(0, 0), (900, 180)];
        thin(vec![&mut points], 0);
        assert_eq!(points, [(0, 0)]);
    }
}
