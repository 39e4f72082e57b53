//! Reads a trace as a viewer does, by the "Trace Event Format", and checks that it makes sense.

use std::collections::HashMap;

use rt::Trace;
use serde_json::Value;

/// Something that lasted.
#[derive(Clone, Debug)]
pub(crate) struct Slice {
    pub(crate) track: String,
    pub(crate) name: String,
    pub(crate) category: String,
    /// In nanoseconds.
    pub(crate) begin: u64,
    pub(crate) end: u64,
    /// How the poll left its task, if it was a poll.
    pub(crate) then: String,
    pub(crate) id: u64,
    /// How many slices it lies in.
    pub(crate) depth: usize,
}

/// From the slice in which a task was woken to the poll that followed.
#[derive(Clone, Debug)]
pub(crate) struct Arrow {
    pub(crate) from: Slice,
    pub(crate) to: Slice,
}

/// A trace, read.
#[derive(Debug)]
pub(crate) struct View {
    /// By track and beginning, the outer before the inner.
    pub(crate) slices: Vec<Slice>,
    pub(crate) arrows: Vec<Arrow>,
    /// Names of what happened at a moment.
    pub(crate) instants: Vec<String>,
    /// Names of numbers over time.
    pub(crate) counters: Vec<String>,
}

fn nanos(value: &Value) -> u64 {
    let micros = value.as_f64().expect("a time");
    assert!(micros >= 0.0, "{micros}");
    (micros * 1000.0).round() as u64
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

impl View {
    /// Reads a trace.
    ///
    /// # Panics
    ///
    /// If it is not in the format, if a track has the number that Perfetto takes for the main thread, if slices of one
    /// track overlap without one lying in the other, or if an arrow does not lead from a slice to a later one.
    pub(crate) fn of(trace: &Trace) -> Self {
        Self::parse(&trace.to_json())
    }

    pub(crate) fn parse(json: &str) -> Self {
        let json: Value = serde_json::from_str(json).expect("it is JSON");
        let entries = json["traceEvents"].as_array().expect("a list of entries");
        let mut tracks = HashMap::new();
        for entry in entries.iter().filter(|entry| entry["ph"] == "M") {
            if entry["name"] == "thread_name" {
                let name = text(&entry["args"]["name"]);
                let number = entry["tid"].as_u64();
                assert_ne!(number, Some(0), "{name} is put onto the main thread");
                assert!(tracks.insert(number, name).is_none());
            }
        }
        let mut view = Self {
            slices: Vec::new(),
            arrows: Vec::new(),
            instants: Vec::new(),
            counters: Vec::new(),
        };
        for entry in entries {
            match text(&entry["ph"]).as_str() {
                "X" => view.slices.push(Slice {
                    track: tracks[&entry["tid"].as_u64()].clone(),
                    name: text(&entry["name"]),
                    category: text(&entry["cat"]),
                    begin: nanos(&entry["ts"]),
                    end: nanos(&entry["ts"]) + nanos(&entry["dur"]),
                    then: entry["args"]["then"].as_str().unwrap_or("").to_owned(),
                    id: entry["args"]["id"].as_u64().unwrap_or(0),
                    depth: 0,
                }),
                "i" => view.instants.push(text(&entry["name"])),
                "C" => view.counters.push(text(&entry["name"])),
                "s" | "f" | "M" => {}
                other => panic!("what is {other}?"),
            }
        }
        view.nest();
        view.lead(entries, &tracks);
        view
    }

    /// Says how deep each slice lies.
    fn nest(&mut self) {
        self.slices.sort_by(|one, other| {
            let key = |slice: &Slice| (slice.track.clone(), slice.begin, u64::MAX - slice.end);
            key(one).cmp(&key(other))
        });
        let mut open: Vec<Slice> = Vec::new();
        for slice in &mut self.slices {
            open.retain(|outer| outer.track == slice.track && outer.end > slice.begin);
            for outer in &open {
                assert!(slice.end <= outer.end, "{slice:?} juts out of {outer:?}");
            }
            slice.depth = open.len();
            open.push(slice.clone());
        }
    }

    /// Finds the slices of each arrow.
    fn lead(&mut self, entries: &[Value], tracks: &HashMap<Option<u64>, String>) {
        let mut begun = HashMap::new();
        let phase = |phase: &str| {
            let of_phase = entries.iter().filter(|entry| entry["ph"] == *phase);
            let found: Vec<_> = of_phase
                .map(|entry| {
                    assert_eq!(entry["cat"], "wake");
                    let slice =
                        self.innermost(&tracks[&entry["tid"].as_u64()], nanos(&entry["ts"]));
                    (entry["id"].as_u64().expect("a number"), slice)
                })
                .collect();
            found
        };
        let (starts, ends) = (phase("s"), phase("f"));
        for (id, from) in starts {
            assert!(begun.insert(id, from).is_none(), "two arrows are {id}");
        }
        for (id, to) in ends {
            let from = begun.remove(&id).expect("an arrow begins before it ends");
            assert!(from.begin <= to.begin, "from {from:?} back to {to:?}");
            self.arrows.push(Arrow { from, to });
        }
    }

    /// The innermost slice at a moment.
    fn innermost(&self, track: &str, at: u64) -> Slice {
        let around = |slice: &&Slice| slice.track == track && slice.begin <= at && at <= slice.end;
        let found = self
            .slices
            .iter()
            .filter(around)
            .max_by_key(|slice| slice.depth);
        found
            .unwrap_or_else(|| panic!("no slice of {track} at {at}"))
            .clone()
    }

    /// The slices with a name, in the order of their times.
    pub(crate) fn named(&self, name: &str) -> Vec<&Slice> {
        let mut found: Vec<_> = self
            .slices
            .iter()
            .filter(|slice| slice.name == name)
            .collect();
        found.sort_by_key(|slice| slice.begin);
        found
    }

    /// The arrows that lead to a slice with that name.
    pub(crate) fn arrows_to(&self, name: &str) -> Vec<&Arrow> {
        self.arrows
            .iter()
            .filter(|arrow| arrow.to.name == name)
            .collect()
    }
}
