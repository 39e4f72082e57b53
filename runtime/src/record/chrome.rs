//! A trace in the JSON that Chrome's trace viewer and Perfetto read.
//!
//! Source of the format: <https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU>, "Trace
//! Event Format". Used of it: complete events (`X`) for whatever lasts, instants (`i`), flows from a wake-up to the
//! poll after it (`s`, `f`), counters (`C`), and metadata (`M`) for names.
//!
//! A ring has lost its oldest events. So an end without a beginning is left out, and a beginning without an end lasts
//! until the trace was taken. An arrow begins in a slice; where somebody wakes a task outside of any, a slice of one
//! nanosecond is made for it.

use std::collections::HashMap;
use std::fmt::Display;

use super::event::{Event, Kind, Left};
use super::trace::Trace;
use crate::json::{Object, object, text};
use crate::platform::Nanos;

/// The track of the first seat. Perfetto shows the number of a track behind its name, and sorts by it. Zero would not do:
/// it stands there for the main thread, whose number is that of the process.
const FIRST_OF_SEATS: u64 = 100;

/// Tracks of threads without a seat come after those of seats, and end with the number of the thread.
const FIRST_OF_THREADS: u64 = 10_000_000;

/// Something that lasts and is not over.
struct Open {
    began: Event,
    ends: Kind,
}

/// A moment in microseconds, as the format has it.
struct Micros(Nanos);

impl Display for Micros {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:03}", self.0 / 1000, self.0 % 1000)
    }
}

struct Writer<'a> {
    trace: &'a Trace,
    process: u32,
    out: String,
    /// What is open on each track, the innermost last.
    open: HashMap<u64, Vec<Open>>,
    /// The arrow that leads to the next poll of a task.
    arrows: HashMap<u64, u64>,
    n_arrows: u64,
}

/// Writes the whole trace.
pub(super) fn write(trace: &Trace) -> String {
    let mut writer = Writer {
        trace,
        process: std::process::id(),
        out: String::from("{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n"),
        open: HashMap::new(),
        arrows: HashMap::new(),
        n_arrows: 0,
    };
    writer.names();
    for (track, event) in in_order(trace) {
        writer.event(track, &event);
    }
    writer.close_all();
    writer.out.push_str("\n]}\n");
    writer.out
}

/// All events with their tracks, in the order of their times.
fn in_order(trace: &Trace) -> Vec<(u64, Event)> {
    let mut all = Vec::with_capacity(trace.n_events());
    for (seat, events) in &trace.seats {
        all.extend(events.iter().map(|event| (track_of(*seat), *event)));
    }
    let of_thread = |event: &Event| (FIRST_OF_THREADS + u64::from(event.thread), *event);
    all.extend(trace.outside.iter().map(of_thread));
    let beginning = |(track, event): &(u64, Event)| {
        let kind = event.kind.beginning()?;
        let at = event.subject;
        Some((*track, Event { at, kind, ..*event }))
    };
    let beginnings: Vec<_> = all.iter().filter_map(beginning).collect();
    all.extend(beginnings);
    all.sort_by_key(|(_, event)| event.at);
    all
}

/// The track of a seat.
fn track_of(seat: usize) -> u64 {
    FIRST_OF_SEATS + seat as u64
}

impl Writer<'_> {
    /// One entry of the list.
    fn entry(&mut self, phase: char, name: &str, fields: impl FnOnce(&mut Object<'_>)) {
        if !self.out.ends_with("[\n") {
            self.out.push_str(",\n");
        }
        let process = self.process;
        object(&mut self.out, |out| {
            out.text("ph", phase);
            out.field("name", |out| text(out, name));
            out.plain("pid", process);
            fields(out);
        });
    }

    /// Names a track, or the process where there is none.
    fn name(&mut self, track: Option<u64>, name: &str) {
        let what = track.map_or("process_name", |_| "thread_name");
        self.entry('M', what, |out| {
            if let Some(track) = track {
                out.plain("tid", track);
            }
            out.field("args", |out| {
                object(out, |out| out.field("name", |out| text(out, name)));
            });
        });
    }

    fn names(&mut self) {
        let trace = self.trace;
        self.name(None, &format!("runtime {}", trace.runtime));
        for (seat, _) in &trace.seats {
            self.name(Some(track_of(*seat)), &self.seat_name(*seat));
        }
        let mut threads: Vec<_> = trace.outside.iter().map(|event| event.thread).collect();
        threads.sort_unstable();
        threads.dedup();
        for thread in threads {
            let track = FIRST_OF_THREADS + u64::from(thread);
            self.name(Some(track), &format!("thread {thread}"));
        }
    }

    fn seat_name(&self, seat: usize) -> String {
        match seat < self.trace.n_workers {
            true => format!("worker {seat}"),
            false => format!("spare worker {seat}"),
        }
    }

    fn event(&mut self, track: u64, event: &Event) {
        match event.kind {
            Kind::PollBegan => self.poll(track, event),
            Kind::CallBegan => self.begin(track, event, Kind::CallEnded),
            Kind::ParkBegan => self.begin(track, event, Kind::ParkEnded),
            Kind::FireBegan => self.begin(track, event, Kind::FireEnded),
            Kind::DispatchBegan => self.begin(track, event, Kind::DispatchEnded),
            Kind::PollEnded
            | Kind::CallEnded
            | Kind::ParkEnded
            | Kind::FireEnded
            | Kind::DispatchEnded => self.end(track, event),
            Kind::SeatLeft => self.close(track, event.at),
            Kind::Spawned => {
                self.instant(track, event, "spawns");
                self.arrow_from(track, event, "spawns");
            }
            Kind::Woken => self.arrow_from(track, event, "wakes"),
            Kind::Stole => self.instant(track, event, "steals"),
        }
    }

    fn begin(&mut self, track: u64, event: &Event, ends: Kind) {
        let began = *event;
        // The home thread of a seat sleeps on while a guest works there.
        if self.innermost(track) == Some(Kind::ParkBegan) {
            self.close(track, event.at);
        }
        self.open
            .entry(track)
            .or_default()
            .push(Open { began, ends });
    }

    /// What is open on a track, and how it began.
    fn innermost(&self, track: u64) -> Option<Kind> {
        let open = self.open.get(&track)?;
        Some(open.last()?.began.kind)
    }

    fn poll(&mut self, track: u64, event: &Event) {
        if track < FIRST_OF_THREADS {
            let seat = (track - FIRST_OF_SEATS) as usize;
            let name = format!("queue of {}", self.seat_name(seat));
            self.entry('C', &name, |out| {
                out.plain("ts", Micros(event.at));
                out.field("args", |out| {
                    object(out, |out| out.plain("tasks", event.number))
                });
            });
        }
        self.begin(track, event, Kind::PollEnded);
        if let Some(arrow) = self.arrows.remove(&event.subject) {
            self.entry('f', "to its poll", |out| {
                out.text("cat", "wake");
                out.text("bp", "e");
                out.plain("id", arrow);
                out.plain("ts", Micros(event.at));
                out.plain("tid", track);
            });
        }
    }

    /// Ends the innermost of its kind, and what is open inside of it.
    fn end(&mut self, track: u64, event: &Event) {
        let open = self.open.entry(track).or_default();
        let is_it = |open: &Open| open.ends == event.kind && open.began.subject == event.subject;
        let Some(place) = open.iter().rposition(is_it) else {
            return;
        };
        let ended = open.split_off(place);
        let left = (event.kind == Kind::PollEnded).then_some(event.number);
        for (depth, one) in ended.iter().enumerate() {
            self.slice(track, &one.began, event.at, left.filter(|_| depth == 0));
        }
    }

    /// Ends whatever is open on a track.
    fn close(&mut self, track: u64, at: Nanos) {
        for one in self.open.remove(&track).unwrap_or_default() {
            self.slice(track, &one.began, at, None);
        }
    }

    fn close_all(&mut self) {
        let mut tracks: Vec<_> = self.open.keys().copied().collect();
        tracks.sort_unstable();
        for track in tracks {
            self.close(track, self.trace.taken_at);
        }
    }

    fn slice(&mut self, track: u64, began: &Event, ended: Nanos, left: Option<u32>) {
        let place = began
            .place
            .map(|place| format!("{}:{}", place.file(), place.line()));
        let what = match began.kind {
            Kind::PollBegan => began.name.get().or(place.as_deref()).unwrap_or("task"),
            Kind::CallBegan => "block_on",
            Kind::ParkBegan => "sleeps",
            Kind::FireBegan => "timers",
            _ => "sockets",
        };
        self.entry('X', what, |out| {
            out.text("cat", category(began.kind));
            out.plain("ts", Micros(began.at));
            out.plain("dur", Micros(ended.saturating_sub(began.at)));
            out.plain("tid", track);
            out.field("args", |out| {
                object(out, |out| {
                    if let Some(place) = began.place {
                        out.plain("id", began.subject);
                        out.text("at", place);
                    }
                    if began.kind == Kind::PollBegan {
                        out.text("then", left.map_or("is not over", Left::of));
                    }
                });
            });
        });
    }

    fn instant(&mut self, track: u64, event: &Event, what: &str) {
        let about = match event.kind {
            Kind::Stole => format!("{what} from {}", self.seat_name(event.number as usize)),
            _ => format!("{what} #{}", event.subject),
        };
        self.entry('i', &about, |out| {
            out.text("cat", what);
            out.text("s", "t");
            out.plain("ts", Micros(event.at));
            out.plain("tid", track);
        });
    }

    /// An arrow to the next poll of the task that the event is about.
    fn arrow_from(&mut self, track: u64, event: &Event, what: &str) {
        self.n_arrows += 1;
        let arrow = self.n_arrows;
        self.arrows.insert(event.subject, arrow);
        if self.innermost(track).is_none() {
            let about = format!("{what} #{}", event.subject);
            self.entry('X', &about, |out| {
                out.text("cat", what);
                out.plain("ts", Micros(event.at));
                out.plain("dur", Micros(1));
                out.plain("tid", track);
            });
        }
        self.entry('s', "to its poll", |out| {
            out.text("cat", "wake");
            out.plain("id", arrow);
            out.plain("ts", Micros(event.at));
            out.plain("tid", track);
        });
    }
}

fn category(kind: Kind) -> &'static str {
    match kind {
        Kind::PollBegan => "poll",
        Kind::CallBegan => "block_on",
        Kind::ParkBegan => "sleep",
        _ => "events",
    }
}
