//! The report as a picture: each workload a line, each runtime a dot at its time as a multiple of the base's.

use anyhow::{Result, anyhow};
use plotters::prelude::*;

use crate::measure::Report;
use crate::statistics::Spread;
use crate::workload::PeerKind;

/// One colour for each runtime that is compared with the base.
const COLOURS: [RGBColor; 2] = [RGBColor(0xc2, 0x41, 0x0c), RGBColor(0x3b, 0x6e, 0xa8)];

/// Ratios that are named on the axis.
const TICKS: [f64; 11] = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0];

const WIDTH: u32 = 900;
const ROW_HEIGHT: u32 = 22;
const MARGINS: u32 = 130;

/// Draws the ratios of all rows.
///
/// # Errors
///
/// When a drawing step fails.
pub fn svg(report: &Report) -> Result<String> {
    let mut picture = String::new();
    draw(report, &mut picture).map_err(|error| anyhow!("drawing failed: {error}"))?;
    Ok(picture)
}

fn draw(report: &Report, picture: &mut String) -> Result<(), Box<dyn std::error::Error>> {
    let n_rows = report.rows.len();
    let size = (WIDTH, n_rows as u32 * ROW_HEIGHT + MARGINS);
    // The axis counts its last row in, and needs two of them to have a length.
    let segments = 0..n_rows.max(2) - 1;
    let range = range(report);
    let ticks: Vec<f64> = TICKS
        .into_iter()
        .filter(|tick| range.contains(tick))
        .collect();
    let n_ticks = ticks.len();
    let root = SVGBackend::with_string(picture, size).into_drawing_area();
    root.fill(&WHITE)?;
    let base = PeerKind::BASE.name();
    let mut chart = ChartBuilder::on(&root)
        .caption(
            format!("Time as a multiple of {base}'s (left of the line: faster)"),
            ("sans-serif", 18),
        )
        .margin(12)
        .x_label_area_size(34)
        .y_label_area_size(210)
        .build_cartesian_2d(
            range.log_scale().with_key_points(ticks),
            segments.into_segmented(),
        )?;
    chart
        .configure_mesh()
        .x_labels(n_ticks)
        .y_labels(n_rows)
        .y_label_formatter(&|place| match place {
            // The first row of the table is the topmost one, and the axis counts upwards.
            SegmentValue::CenterOf(i) if *i < n_rows => report.rows[n_rows - 1 - i].name.to_owned(),
            _ => String::new(),
        })
        .x_label_formatter(&|ratio| format!("{ratio}"))
        .light_line_style(WHITE)
        .draw()?;
    let unity = [SegmentValue::Exact(0), SegmentValue::Last].map(|place| (1.0, place));
    chart.draw_series([PathElement::new(unity, BLACK.stroke_width(2))])?;

    let others = PeerKind::ALL.iter().filter(|kind| **kind != PeerKind::BASE);
    for (kind, colour) in others.zip(COLOURS) {
        let spreads = spreads(report, *kind);
        chart.draw_series(spreads.iter().map(|(place, spread)| {
            let ends = [spread.lower, spread.upper];
            let whisker = ends.map(|ratio| (ratio, SegmentValue::CenterOf(*place)));
            PathElement::new(whisker, colour.stroke_width(2))
        }))?;
        chart
            .draw_series(spreads.iter().map(|(place, spread)| {
                let centre = (spread.median, SegmentValue::CenterOf(*place));
                Circle::new(centre, 5, colour.filled())
            }))?
            .label(kind.name())
            .legend(move |centre| Circle::new(centre, 5, colour.filled()));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .background_style(WHITE.filled())
        .border_style(BLACK.mix(0.3))
        .draw()?;
    root.present()?;
    Ok(())
}

/// A runtime's ratios, each with its place from below: the axis counts upwards, the table downwards.
fn spreads(report: &Report, kind: PeerKind) -> Vec<(usize, Spread)> {
    let rows = report.rows.iter().rev().enumerate();
    rows.filter_map(|(place, row)| {
        let cell = row.cells.iter().find(|cell| cell.peer == kind.name())?;
        Some((place, cell.ratio?))
    })
    .collect()
}

/// From a little below the smallest ratio to a little above the largest, one always inside.
fn range(report: &Report) -> std::ops::Range<f64> {
    let ratios = || {
        let cells = report.rows.iter().flat_map(|row| &row.cells);
        cells.filter_map(|cell| cell.ratio)
    };
    let lowest = ratios().map(|ratio| ratio.lower).fold(0.5, f64::min);
    let highest = ratios().map(|ratio| ratio.upper).fold(2.0, f64::max);
    lowest / 1.2..highest * 1.2
}
