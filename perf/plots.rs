//! Draws what `perf/plots` measured: `plots FROM TO` reads FROM/*.json and writes TO/latency.svg and TO/throughput.svg.

use std::error::Error;
use std::fs;
use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;
use serde_json::Value;

type Outcome<T> = Result<T, Box<dyn Error>>;
/// A node's name and its line.
type Line = (String, Vec<(f64, f64)>);

const SIZES: [u32; 6] = [100, 256, 1024, 4096, 16384, 65536];
const COLOURS: [RGBColor; 3] = [RGBColor(178, 34, 34), RGBColor(30, 80, 160), RGBColor(120, 120, 120)];

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [from, to] = &*arguments else { return Err("expected two directories: FROM TO".into()) };
    let (from, to) = (Path::new(from), Path::new(to));

    let latency = to.join("latency.svg");
    let area = SVGBackend::new(&latency, (960, 400)).into_drawing_area();
    area.fill(&WHITE)?;
    for (half, name) in area.split_evenly((1, 2)).iter().zip(["closed", "open"]) {
        draw_latency(half, &read(from, name)?)?;
    }
    area.present()?;

    let throughput = to.join("throughput.svg");
    let area = SVGBackend::new(&throughput, (640, 400)).into_drawing_area();
    area.fill(&WHITE)?;
    draw_throughput(&area, from)?;
    area.present()?;
    Ok(())
}

fn read(from: &Path, name: &str) -> Outcome<Value> {
    let path = from.join(name).with_extension("json");
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(serde_json::from_str(&text)?)
}

fn targets(report: &Value) -> impl Iterator<Item = (String, &Value)> {
    report["targets"].as_array().into_iter().flatten().map(|target| {
        let name = target["name"].as_str().expect("a target has a name");
        (name.to_string(), target)
    })
}

/// Latency by percentile, whose axis has as much room from 90 to 99 % as from 99 to 99.9 %.
fn draw_latency(area: &DrawingArea<SVGBackend<'_>, Shift>, report: &Value) -> Outcome<()> {
    let lines: Vec<Line> = targets(report)
        .map(|(name, target)| {
            let runs: Vec<&Vec<Value>> = target["runs"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|run| run["latency_us_at_percent"].as_array())
                .collect();
            let points = (0..runs[0].len()).filter_map(|place| {
                let percent = runs[0][place][0].as_f64()?;
                let mut times: Vec<f64> = runs.iter().filter_map(|run| run[place][1].as_f64()).collect();
                times.sort_by(f64::total_cmp);
                let nines = -(1.0 - percent / 100.0).log10();
                (percent < 99.995).then(|| (nines, times[times.len() / 2]))
            });
            (name, points.collect())
        })
        .collect();
    let times = || lines.iter().flat_map(|line| &line.1).map(|point| point.1);
    let (low, high) = (times().fold(f64::MAX, f64::min), times().fold(0.0, f64::max));
    let title = report["load"].as_str().unwrap_or_default().split(',').next().unwrap_or_default();
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 18))
        .margin(10)
        .margin_right(30)
        .x_label_area_size(40)
        .y_label_area_size(60)
        .build_cartesian_2d(0.0..4.0, (low / 1.5..high * 1.5).log_scale())?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .x_labels(5)
        .x_desc("percentile")
        .y_desc("latency, µs")
        .y_label_formatter(&|time| time.to_string())
        .x_label_formatter(&|nines| format!("{}", 100.0 - 100.0 / 10_f64.powf(*nines)))
        .draw()?;
    for ((name, points), colour) in lines.into_iter().zip(COLOURS) {
        chart
            .draw_series(LineSeries::new(points, colour.stroke_width(2)))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], colour));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE)
        .draw()?;
    Ok(())
}

/// Messages a second by their size, the median of the runs and their range.
fn draw_throughput(area: &DrawingArea<SVGBackend<'_>, Shift>, from: &Path) -> Outcome<()> {
    let reports = SIZES.map(|size| read(from, &format!("flood-{size}")));
    let reports = reports.into_iter().collect::<Outcome<Vec<Value>>>()?;
    let mut chart = ChartBuilder::on(area)
        .caption("messages a second by size, in a flood", ("sans-serif", 18))
        .margin(10)
        .x_label_area_size(40)
        .y_label_area_size(70)
        .build_cartesian_2d((80.0..80_000.0).log_scale(), (5_000.0..20e6).log_scale())?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .x_desc("bytes of a message")
        .y_desc("messages/s")
        .x_label_formatter(&|size| size.to_string())
        .y_label_formatter(&|rate| match *rate {
            1e6.. => format!("{} M", rate / 1e6),
            _ => format!("{} k", rate / 1e3),
        })
        .draw()?;
    for (place, colour) in COLOURS.into_iter().enumerate() {
        let (mut name, mut medians, mut ranges) = (String::new(), Vec::new(), Vec::new());
        for report in &reports {
            let Some((this, target)) = targets(report).nth(place) else { continue };
            let size = report["size"].as_f64().ok_or("a report has a size")?;
            let rate = |figures: &Value| figures["msgs_per_s"].as_f64();
            let mut rates: Vec<f64> = target["runs"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|run| rate(&run["figures"]))
                .collect();
            rates.sort_by(f64::total_cmp);
            name = this;
            medians.push((size, rate(&target["median"]).ok_or("a node failed")?));
            ranges.push([(size, rates[0]), (size, rates[rates.len() - 1])]);
        }
        chart
            .draw_series(LineSeries::new(medians.clone(), colour.stroke_width(2)).point_size(3))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], colour));
        chart.draw_series(ranges.into_iter().map(|range| PathElement::new(range, colour)))?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .background_style(WHITE)
        .draw()?;
    Ok(())
}
