//! Trends, counts and gauges, and the kit's health.

use maud::{Markup, html};

use super::super::health::health;
use super::super::{Distribution, Figures, Report, format};
use super::{MAX_NAME_CHARS, MAX_ROWS, more};
use crate::metrics::{TrendUnit, names};

/// A section of figures; what stands before their tables is given.
pub(super) fn figures(title: &str, note: &str, figures: &Figures, before: Markup) -> Markup {
    let Figures { trends, counts, gauges } = figures;
    let empty = trends.is_empty() && counts.is_empty() && gauges.is_empty();
    let gauge = |name: &str, value: Option<f64>| match value {
        None => "–".to_owned(),
        Some(size) if name == names::MEMORY => format::bytes(size),
        Some(value) => format::number(value),
    };
    html! {
        @if !empty {
            section {
                h2 { (title) }
                @if !note.is_empty() { p class="note" { (note) } }
                (before)
                @if !trends.is_empty() {
                    div class="scroll" { table {
                        thead { tr {
                            th { "trend" }
                            @for head in ["samples", "mean", "p50", "p95", "p99", "max"] { th class="n" { (head) } }
                        } }
                        tbody { @for (name, trend) in trends.iter().take(MAX_ROWS) { (trend_row(name, trend)) } }
                    } }
                    (more(trends.len()))
                }
                @if !counts.is_empty() {
                    div class="scroll" { table {
                        thead { tr { th { "count" } th class="n" { "in all" } th class="n" { "a second" } } }
                        tbody { @for (name, count) in counts.iter().take(MAX_ROWS) { tr {
                            td class="name" { (format::name(name, MAX_NAME_CHARS)) }
                            td class="n" { (format::count(count.total)) }
                            td class="n" { (format::rate(count.rate_per_s)) }
                        } } }
                    } }
                    (more(counts.len()))
                }
                @if !gauges.is_empty() {
                    div class="scroll" { table {
                        thead { tr { th { "gauge" } @for head in ["last", "smallest", "largest"] { th class="n" { (head) } } } }
                        tbody { @for (name, values) in gauges.iter().take(MAX_ROWS) { tr {
                            td class="name" { (format::name(name, MAX_NAME_CHARS)) }
                            @for value in [values.last, values.min, values.max] { td class="n" { (gauge(name, value)) } }
                        } } }
                    } }
                    (more(gauges.len()))
                }
            }
        }
    }
}

fn trend_row(name: &str, trend: &Distribution) -> Markup {
    let value = |value: f64| match trend.unit {
        TrendUnit::Micros => format::micros(value),
        TrendUnit::Number => format::number(value),
    };
    let whole = [trend.p50, trend.p95, trend.p99, trend.max].map(|n| value(n as f64));
    html! {
        tr {
            td class="name" { (format::name(name, MAX_NAME_CHARS)) }
            td class="n" { (format::count(trend.count)) }
            td class="n" { (value(trend.mean)) }
            @for text in whole { td class="n" { (text) } }
        }
    }
}

pub(super) fn health_table(report: &Report) -> Markup {
    let rows = health(report);
    html! {
        @if !rows.is_empty() {
            div class="scroll" { table class="health" {
                thead { tr { th { "health" } th { "measured" } th { "must be" } th { "" } } }
                tbody { @for row in &rows { tr {
                    td class="name" { (row.what) }
                    td { (row.measured) }
                    td { (row.limit) }
                    @if row.limit.is_empty() { td {} }
                    @else if row.is_well { td class="met" { "well" } }
                    @else { td class="missed" { "sick" } }
                } } }
            } }
        }
    }
}
