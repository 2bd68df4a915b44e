//! One chart: lines over the time of a run or over percentiles, with a legend above.

use plotters::coord::Shift;
use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};
use plotters::drawing::DrawingAreaErrorKind;
use plotters::prelude::{
    AreaSeries, ChartBuilder, Circle, Color as _, DrawingArea, IntoDrawingArea, IntoFont as _, IntoTextStyle as _,
    LineSeries, PathElement, RGBColor, SVGBackend, Text, WHITE,
};
use plotters::style::ShapeStyle;

use std::ops::Range;

use super::{axis, format};

/// A chart as it is shown, in pixels. It is drawn at twice that size, so that lines lie on half pixels.
pub(super) const SIZE: (u32, u32) = (900, 300);
const ZOOM: u32 = 2;

const TITLE_PX: u32 = 24;
const LEGEND_ROW_PX: u32 = 20;
const LEGEND_COLUMN_PX: u32 = 200;
const MARGIN_PX: u32 = 12;
const X_LABELS_PX: u32 = 40;
const Y_LABELS_PX: u32 = 70;
const FONT_PX: u32 = 15;
const TITLE_FONT_PX: u32 = 18;
const INK: RGBColor = RGBColor(34, 34, 34);
const GRID: RGBColor = RGBColor(222, 222, 222);
const AXIS: RGBColor = RGBColor(120, 120, 120);
/// The longest name that fits into a column of the legend.
const MAX_LEGEND_CHARS: usize = 22;

/// A line in a chart.
pub(super) struct Line {
    /// As the legend names it.
    pub(super) name: String,
    pub(super) colour: (u8, u8, u8),
    /// Its parts, with gaps between them: (seconds since the start or nines, value).
    pub(super) parts: Vec<Vec<(f64, f64)>>,
    /// Half pixels.
    pub(super) width: u32,
    /// Whether the area below it is shaded.
    pub(super) area: bool,
}

impl Line {
    pub(super) fn new(name: &str, colour: (u8, u8, u8), parts: Vec<Vec<(f64, f64)>>) -> Line {
        Line { name: format::name(name, MAX_LEGEND_CHARS), colour, parts, width: 2, area: false }
    }

    fn style(&self) -> ShapeStyle {
        let (r, g, b) = self.colour;
        let colour = if self.area { RGBColor(150, 150, 150) } else { RGBColor(r, g, b) };
        colour.stroke_width(self.width * ZOOM)
    }
}

/// The scale of values, and how they are written.
pub(super) enum Scale {
    Linear(fn(f64) -> String),
    Logarithmic(fn(f64) -> String),
}

/// What is to the right.
pub(super) enum Across {
    /// The time since the start, up to so many seconds.
    Time(f64),
    /// Percentiles, up to so many nines: 90 % is 1, 99 % is 2, and the median lies before them.
    Nines(f64),
}

impl Across {
    fn range(&self) -> Range<f64> {
        let (Across::Time(end) | Across::Nines(end)) = *self;
        0.0..end.max(0.001)
    }

    fn marks(&self) -> Vec<f64> {
        match *self {
            Across::Time(lasted_s) => axis::time(lasted_s.max(0.001), 10),
            Across::Nines(end) => axis::nines(end),
        }
    }

    fn write(&self, at: f64) -> String {
        match self {
            Across::Time(_) => format::clock(std::time::Duration::from_secs_f64(at.clamp(0.0, 1e9) + 0.001)),
            Across::Nines(_) => axis::percentile(at),
        }
    }

    fn description(&self) -> &'static str {
        match self {
            Across::Time(_) => "time since the start (m:ss)",
            Across::Nines(_) => "percentile",
        }
    }
}

/// What is drawn.
pub(super) struct Plot {
    pub(super) title: String,
    pub(super) across: Across,
    pub(super) scale: Scale,
    pub(super) lines: Vec<Line>,
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), DrawingAreaErrorKind<std::io::Error>>;

impl Plot {
    /// The chart as SVG; none if it cannot be drawn.
    pub(super) fn svg(&self) -> Option<String> {
        let mut svg = String::new();
        let size = (SIZE.0 * ZOOM, (SIZE.1 + self.legend_px()) * ZOOM);
        let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        self.draw(&root).and_then(|()| root.present()).ok()?;
        drop(root);
        Some(svg)
    }

    /// The height of the legend.
    pub(super) fn legend_px(&self) -> u32 {
        (self.lines.len() as u32).div_ceil(self.columns()) * LEGEND_ROW_PX
    }

    fn columns(&self) -> u32 {
        (SIZE.0 - Y_LABELS_PX) / LEGEND_COLUMN_PX
    }

    fn draw(&self, root: &Area) -> Drawn {
        root.fill(&WHITE)?;
        let (top, body) = root.split_vertically((TITLE_PX + self.legend_px() + MARGIN_PX) * ZOOM);
        self.draw_top(&top)?;
        self.draw_body(&body)
    }

    fn draw_top(&self, top: &Area) -> Drawn {
        let px = |n: u32| (n * ZOOM) as i32;
        let font = |size: u32| ("sans-serif", f64::from(size * ZOOM)).into_font();
        top.draw(&Text::new(self.title.clone(), (px(MARGIN_PX), px(6)), font(TITLE_FONT_PX).color(&INK)))?;
        for (i, line) in (0_u32..).zip(&self.lines) {
            let (column, row) = (i % self.columns(), i / self.columns());
            let x = px(Y_LABELS_PX + column * LEGEND_COLUMN_PX);
            let y = px(TITLE_PX + 4 + row * LEGEND_ROW_PX + LEGEND_ROW_PX / 2);
            top.draw(&PathElement::new(vec![(x, y), (x + px(20), y)], line.style().stroke_width(3 * ZOOM)))?;
            let at = (x + px(26), y - px(FONT_PX / 2) + px(1));
            top.draw(&Text::new(line.name.clone(), at, font(FONT_PX).color(&INK)))?;
        }
        Ok(())
    }

    fn draw_body(&self, body: &Area) -> Drawn {
        let values = || self.lines.iter().flat_map(|line| line.parts.iter().flatten()).map(|(_, value)| *value);
        let largest = values().fold(0.0, f64::max);
        let smallest = values().filter(|value| *value > 0.0).fold(f64::MAX, f64::min).min(largest.max(1.0));
        // On a logarithmic scale, nothing is drawn at the bottom, below all that is something.
        let below = if values().any(|value| value <= 0.0) { 0.5 } else { 1.0 };
        let (marks, write, is_log) = match self.scale {
            Scale::Linear(write) => (axis::linear(largest, 5), write, false),
            Scale::Logarithmic(write) => (axis::logarithmic(smallest * below, largest.max(smallest)), write, true),
        };
        let least = marks.first().copied().unwrap_or(1.0);
        let to_y = |value: f64| if is_log { value.max(least).log10() } else { value };
        let marks: Vec<f64> = marks.into_iter().map(to_y).collect();
        let (low, high) = (marks.first().copied().unwrap_or(0.0), marks.last().copied().unwrap_or(1.0));
        let font = ("sans-serif", f64::from(FONT_PX * ZOOM)).into_font().color(&INK);
        let mut chart = ChartBuilder::on(body)
            .margin_right(24 * ZOOM)
            .margin_left(4 * ZOOM)
            .x_label_area_size(X_LABELS_PX * ZOOM)
            .y_label_area_size(Y_LABELS_PX * ZOOM)
            .build_cartesian_2d(
                Marked { range: self.across.range(), marks: self.across.marks() },
                Marked { range: low..high, marks },
            )?;
        chart
            .configure_mesh()
            .label_style(font.clone().into_text_style(body))
            .bold_line_style(GRID.stroke_width(ZOOM))
            .light_line_style(WHITE.stroke_width(0))
            .axis_style(AXIS.stroke_width(ZOOM))
            .x_desc(self.across.description())
            .x_label_formatter(&|at| self.across.write(*at))
            .y_label_formatter(&|y| write(if is_log { 10_f64.powf(*y) } else { *y }))
            .draw()?;
        for line in &self.lines {
            for part in &line.parts {
                let points = || part.iter().map(|(at, value)| (*at, to_y(*value)));
                if line.area {
                    chart.draw_series(AreaSeries::new(points(), low, GRID.mix(0.6)))?;
                }
                chart.draw_series(LineSeries::new(points(), line.style()))?;
                if part.len() == 1 {
                    // A line of one point is not seen.
                    chart.draw_series(points().map(|at| Circle::new(at, 2 * ZOOM, line.style().filled())))?;
                }
            }
        }
        Ok(())
    }
}

/// An axis with its marks where we want them. (plotters' own `WithKeyPoints` does not take a formatter of ours.)
struct Marked {
    range: Range<f64>,
    marks: Vec<f64>,
}

impl Ranged for Marked {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        let share = (value - self.range.start) / (self.range.end - self.range.start);
        limit.0 + (f64::from(limit.1 - limit.0) * share).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() { Vec::new() } else { self.marks.clone() }
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}
