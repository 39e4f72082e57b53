//! A trace of the flight recorder as a picture: each track a row of polls, arrows from wake-ups to polls.
//!
//! Viewers of traces show more; this is for documents.

use std::collections::BTreeMap;

use anyhow::{Context, Result, anyhow};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use serde_json::Value;

/// Colours of tasks, given out in the order in which they appear.
const COLOURS: [RGBColor; 8] = [
    RGBColor(0xc2, 0x41, 0x0c),
    RGBColor(0x3b, 0x6e, 0xa8),
    RGBColor(0x4d, 0x7c, 0x0f),
    RGBColor(0xa1, 0x62, 0x07),
    RGBColor(0x7e, 0x22, 0xce),
    RGBColor(0x0f, 0x76, 0x6e),
    RGBColor(0xbe, 0x18, 0x5d),
    RGBColor(0x57, 0x53, 0x4e),
];

/// What is no poll of a task.
const OTHER: RGBColor = RGBColor(0xe5, 0xe7, 0xeb);

const WIDTH: i32 = 1100;
const LEFT: i32 = 130;
const TOP: i32 = 40;
const ROW: i32 = 54;
const LAYER: i32 = 16;

/// For each letter of a name below the tracks, about.
const LETTER: i32 = 7;

/// Narrower slices have no name in them.
const LEAST_NAMED: i32 = 40;

struct Slice {
    track: u64,
    name: String,
    is_poll: bool,
    begin: f64,
    end: f64,
}

/// An end of an arrow.
#[derive(Clone, Copy)]
struct Tip {
    track: u64,
    at: f64,
}

/// What of a trace is drawn.
struct Timeline {
    tracks: BTreeMap<u64, String>,
    slices: Vec<Slice>,
    arrows: Vec<(Tip, Tip)>,
    begin: f64,
    end: f64,
}

/// Draws a trace in the JSON format of Chrome's viewer.
///
/// # Errors
///
/// When it is no such trace, or a drawing step fails.
pub fn svg(json: &str) -> Result<String> {
    let trace: Value = serde_json::from_str(json).context("it is no JSON")?;
    let timeline = Timeline::read(&trace).context("it is no trace")?;
    let mut picture = String::new();
    timeline
        .draw(&mut picture)
        .map_err(|error| anyhow!("drawing failed: {error}"))?;
    Ok(picture)
}

impl Timeline {
    fn read(trace: &Value) -> Option<Self> {
        let entries = trace["traceEvents"].as_array()?;
        let mut timeline = Self {
            tracks: BTreeMap::new(),
            slices: Vec::new(),
            arrows: Vec::new(),
            begin: f64::MAX,
            end: 0.0,
        };
        let mut begun = BTreeMap::new();
        for entry in entries {
            let track = entry["tid"].as_u64();
            let tip = || {
                Some(Tip {
                    track: track?,
                    at: entry["ts"].as_f64()?,
                })
            };
            match entry["ph"].as_str()? {
                "M" if entry["name"] == "thread_name" => {
                    let name = entry["args"]["name"].as_str()?;
                    timeline.tracks.insert(track?, name.to_owned());
                }
                "X" => timeline.add(entry)?,
                "s" => {
                    begun.insert(entry["id"].as_u64()?, tip()?);
                }
                "f" => {
                    let from = begun.remove(&entry["id"].as_u64()?)?;
                    timeline.arrows.push((from, tip()?));
                }
                _ => {}
            }
        }
        Some(timeline)
    }

    fn add(&mut self, entry: &Value) -> Option<()> {
        let begin = entry["ts"].as_f64()?;
        let slice = Slice {
            track: entry["tid"].as_u64()?,
            name: entry["name"].as_str()?.to_owned(),
            is_poll: entry["cat"] == "poll",
            begin,
            end: begin + entry["dur"].as_f64()?,
        };
        if entry["cat"] != "sleep" {
            self.begin = self.begin.min(slice.begin);
            self.end = self.end.max(slice.end);
            self.slices.push(slice);
        }
        Some(())
    }

    fn x(&self, at: f64) -> i32 {
        let share = (at - self.begin) / (self.end - self.begin);
        LEFT + (share * f64::from(WIDTH - LEFT - 20)) as i32
    }

    /// The upper edge of a track.
    fn y(&self, track: u64) -> i32 {
        let row = self
            .tracks
            .keys()
            .take_while(|other| **other != track)
            .count();
        TOP + row as i32 * ROW
    }

    /// The lower edge of the last track.
    fn bottom(&self) -> i32 {
        TOP + self.tracks.len() as i32 * ROW
    }

    fn draw(&self, picture: &mut String) -> Result<(), Box<dyn std::error::Error>> {
        let height = self.bottom() + 30;
        let size = (WIDTH as u32, height as u32);
        let root = SVGBackend::with_string(picture, size).into_drawing_area();
        root.fill(&WHITE)?;
        let text = ("sans-serif", 13).into_text_style(&root);
        for (track, name) in &self.tracks {
            let place = (LEFT - 8, self.y(*track) + LAYER);
            let style = text.pos(Pos::new(HPos::Right, VPos::Center));
            root.draw(&Text::new(name.clone(), place, style))?;
        }
        let mut colours = BTreeMap::new();
        for slice in self.slices.iter().filter(|slice| !slice.is_poll) {
            self.draw_slice(&root, slice, 0, OTHER)?;
        }
        for slice in self.slices.iter().filter(|slice| slice.is_poll) {
            let n_known = colours.len();
            let colour = colours
                .entry(slice.name.as_str())
                .or_insert(COLOURS[n_known % COLOURS.len()]);
            self.draw_slice(&root, slice, LAYER, *colour)?;
        }
        for (from, to) in &self.arrows {
            let ends = [from, to].map(|tip| (self.x(tip.at), self.y(tip.track) + 2 * LAYER));
            let [(x, y), end] = ends;
            let bow = [(x, y), (x, y + 6), (end.0, end.1 + 6), end];
            root.draw(&PathElement::new(bow, BLACK.mix(0.45)))?;
            root.draw(&Circle::new(end, 2, BLACK.mix(0.6).filled()))?;
        }
        let (mut x, y) = (LEFT, self.bottom() + 8);
        for (name, colour) in colours {
            root.draw(&Rectangle::new([(x, y), (x + 10, y + 10)], colour.filled()))?;
            let style = text.pos(Pos::new(HPos::Left, VPos::Center));
            root.draw(&Text::new(name.to_owned(), (x + 15, y + 5), style))?;
            x += 40 + LETTER * name.chars().count() as i32;
        }
        self.draw_scale(&root)?;
        root.present()?;
        Ok(())
    }

    fn draw_slice(
        &self,
        root: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
        slice: &Slice,
        layer: i32,
        colour: RGBColor,
    ) -> Result<(), Box<dyn std::error::Error>> {
        let top = self.y(slice.track) + layer;
        let (left, right) = (self.x(slice.begin), self.x(slice.end));
        let corners = [(left, top), (right.max(left + 1), top + LAYER - 2)];
        root.draw(&Rectangle::new(corners, colour.filled()))?;
        if right - left >= LEAST_NAMED {
            let ink = if layer == 0 { BLACK } else { WHITE };
            let style = ("sans-serif", 11).into_text_style(root).color(&ink);
            let style = style.pos(Pos::new(HPos::Left, VPos::Center));
            let place = (left + 3, top + LAYER / 2 - 1);
            root.draw(&Text::new(slice.name.clone(), place, style))?;
        }
        Ok(())
    }

    /// How long the picture is, above all tracks.
    fn draw_scale(
        &self,
        root: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    ) -> Result<(), Box<dyn std::error::Error>> {
        let style = ("sans-serif", 11).into_text_style(root);
        let style = style.pos(Pos::new(HPos::Center, VPos::Center));
        for part in 0..=4 {
            let passed = (self.end - self.begin) * f64::from(part) / 4.0;
            let x = self.x(self.begin + passed);
            root.draw(&Text::new(
                format!("{passed:.0} µs"),
                (x, 14),
                style.clone(),
            ))?;
            root.draw(&PathElement::new([(x, 22), (x, 28)], BLACK.mix(0.5)))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    #[test]
    fn a_trace_becomes_a_picture_with_its_tasks() {
        let runtime = rt::Builder::new()
            .workers(1)
            .flight_recorder(64)
            .build()
            .unwrap();
        runtime.block_on(async {
            let task = rt::task::Builder::new().name("computes");
            let computes = async { std::thread::sleep(Duration::from_millis(5)) };
            task.spawn(computes).await.unwrap();
        });
        let picture = super::svg(&runtime.trace().unwrap().to_json()).unwrap();
        for part in ["<svg", "worker 0", "computes"] {
            assert!(picture.contains(part), "{part} is not in {picture}");
        }
        assert!(super::svg("{}").is_err());
    }
}
