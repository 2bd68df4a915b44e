//! The curve as a chart: what was measured at each load, as a share of its limit.

use plotters::drawing::DrawingAreaErrorKind;
use plotters::prelude::{
    ChartBuilder, Circle, Color as _, Cross, DrawingArea, IntoDrawingArea, IntoFont as _, IntoLogRange, LineSeries,
    PathElement, RGBColor, SVGBackend, Text, WHITE,
};

use super::search::Observation;
use super::show::{Capacity, Measured, Probed};
use crate::report::format;

/// As it is drawn, in pixels.
const SIZE: (u32, u32) = (1_200, 640);
/// Figures that are drawn: as many as there are colours.
const PALETTE: [RGBColor; 5] = [
    // Okabe and Ito's, which the colour-blind can tell apart.
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
];
const RED: RGBColor = RGBColor(213, 94, 0);
const INK: RGBColor = RGBColor(34, 34, 34);
const GRID: RGBColor = RGBColor(222, 222, 222);
/// Shares of the limit outside of these are drawn at the edge.
const SHARES: (f64, f64) = (0.001, 1_000.0);

type Drawn = Result<(), DrawingAreaErrorKind<std::io::Error>>;

/// A figure's place in the chart; none if it was not measured, or has no limit to be a share of.
fn point(probe: &Probed, n: usize) -> Option<(f64, f64)> {
    let Measured { value, limit, .. } = probe.measured.get(n)?;
    let share = (*limit > 0.0).then(|| value.map(|value| value / limit))??;
    Some((probe.load as f64, share.clamp(SHARES.0, SHARES.1)))
}

/// The chart as SVG; none if there is nothing to be drawn.
pub(super) fn svg(capacity: &Capacity) -> Option<String> {
    let mut svg = String::new();
    let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
    draw(capacity, &root).and_then(|()| root.present()).ok()?;
    drop(root);
    Some(svg)
}

fn draw(capacity: &Capacity, root: &DrawingArea<SVGBackend, plotters::coord::Shift>) -> Drawn {
    let curve = capacity.curve();
    let figures = capacity.objective.len().min(PALETTE.len());
    let points = |n: usize| curve.iter().filter_map(move |probe| Some((point(probe, n)?, probe.seen)));
    let shares = || (0..figures).flat_map(points).map(|((_, share), _)| share);
    let (low, high) = (shares().fold(0.5, f64::min), shares().fold(2.0, f64::max));
    let loads = || curve.iter().map(|probe| probe.load as f64);
    let (least, most) = (loads().fold(f64::MAX, f64::min).min(1e9), loads().fold(1.0, f64::max));
    root.fill(&WHITE)?;
    let title =
        format::fit(&format!("{} against {}: \u{25cf} held, \u{d7} did not", capacity.scenario, capacity.target), 90);
    root.draw(&Text::new(title, (20, 12), ("sans-serif", 26).into_font().color(&INK)))?;
    let (top, body) = root.split_vertically(60 + 26 * figures as i32);
    for (n, (text, colour)) in capacity.objective.iter().zip(PALETTE).enumerate() {
        let y = 58 + 26 * n as i32;
        top.draw(&PathElement::new(vec![(90, y), (120, y)], colour.stroke_width(4)))?;
        let text = format::fit(text, 80);
        top.draw(&Text::new(text, (130, y - 10), ("sans-serif", 20).into_font().color(&INK)))?;
    }
    let font = || ("sans-serif", 20).into_font().color(&INK);
    let mut chart = ChartBuilder::on(&body)
        .margin(16)
        .x_label_area_size(60)
        .y_label_area_size(90)
        .build_cartesian_2d((least * 0.9..most * 1.1).log_scale(), (low * 0.8..high * 1.25).log_scale())?;
    chart
        .configure_mesh()
        .label_style(font())
        .bold_line_style(GRID)
        .light_line_style(WHITE.mix(0.0))
        .axis_style(INK)
        .x_desc(capacity.unit())
        .y_desc("share of the limit")
        .x_label_formatter(&|load| format::count(load.round() as u64))
        .y_label_formatter(&|share| format::share(*share))
        .draw()?;
    chart.draw_series(LineSeries::new([(least * 0.9, 1.0), (most * 1.1, 1.0)], RED.stroke_width(2)))?;
    for (n, colour) in PALETTE.iter().enumerate().take(figures) {
        chart.draw_series(LineSeries::new(points(n).map(|(at, _)| at), colour.stroke_width(2)))?;
        let of = |held: bool| points(n).filter(move |(_, seen)| (*seen == Observation::Held) == held).map(|(at, _)| at);
        chart.draw_series(of(true).map(|at| Circle::new(at, 5, colour.filled())))?;
        chart.draw_series(of(false).map(|at| Cross::new(at, 6, RED.stroke_width(3))))?;
    }
    Ok(())
}
