//! What the flight recorder notes: events of one size, as words for a slot of a ring.

use std::panic::Location;

use super::ring;
use crate::platform::Nanos;

/// An event in the words of a slot.
pub(super) type Entry = ring::Entry<6>;

/// What happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Kind {
    /// A task was spawned: `subject`.
    Spawned,
    /// A task was woken: `subject`.
    Woken,
    /// A poll of a task begins: `subject`; `number` tasks are queued on the seat.
    PollBegan,
    /// It is over; `number` says how, see [`Left`].
    PollEnded,
    /// A poll of the future of a `block_on` begins: `subject`.
    CallBegan,
    /// It is over.
    CallEnded,
    /// The seat goes to another thread in the middle of a poll.
    SeatLeft,
    /// The thread goes to sleep.
    ParkBegan,
    /// It is up again.
    ParkEnded,
    /// Took work from the seat with the number `number`.
    Stole,
    /// Timers are fired. Noted at the end, where it is known that there were any.
    FireBegan,
    /// It is over; it began at `subject`.
    FireEnded,
    /// Tasks are told what happened to their sockets. Noted at the end.
    DispatchBegan,
    /// It is over; it began at `subject`.
    DispatchEnded,
}

impl Kind {
    const ALL: [Self; 14] = [
        Self::Spawned,
        Self::Woken,
        Self::PollBegan,
        Self::PollEnded,
        Self::CallBegan,
        Self::CallEnded,
        Self::SeatLeft,
        Self::ParkBegan,
        Self::ParkEnded,
        Self::Stole,
        Self::FireBegan,
        Self::FireEnded,
        Self::DispatchBegan,
        Self::DispatchEnded,
    ];

    /// The beginning of what is noted at its end.
    pub(super) fn beginning(self) -> Option<Self> {
        match self {
            Self::FireEnded => Some(Self::FireBegan),
            Self::DispatchEnded => Some(Self::DispatchBegan),
            _ => None,
        }
    }
}

/// How a poll left its task.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Left {
    Waiting,
    /// Woken meanwhile, or it yielded.
    Queued,
    Finished,
}

impl Left {
    /// One word for it.
    pub(crate) fn of(number: u32) -> &'static str {
        match number {
            0 => "waits",
            1 => "queued again",
            _ => "finished",
        }
    }
}

/// As much of a name as there is room for, filled up with zeros.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Name([u8; 24]);

impl Name {
    pub(crate) fn new(name: &str) -> Self {
        let mut bytes = [0; 24];
        let mut n_kept = name.len().min(bytes.len());
        while !name.is_char_boundary(n_kept) {
            n_kept -= 1;
        }
        bytes[..n_kept].copy_from_slice(&name.as_bytes()[..n_kept]);
        Self(bytes)
    }

    /// None if there was none.
    pub(crate) fn get(&self) -> Option<&str> {
        let text = std::str::from_utf8(&self.0).ok()?;
        let text = text.trim_end_matches('\0');
        (!text.is_empty()).then_some(text)
    }
}

/// Something that happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Event {
    /// In nanoseconds since the recorder was made.
    pub(crate) at: Nanos,
    pub(crate) kind: Kind,
    pub(crate) number: u32,
    /// What the system calls the thread; zero where the track says who it was.
    pub(crate) thread: u32,
    /// A task, a call of `block_on`, or a moment.
    pub(crate) subject: u64,
    pub(crate) name: Name,
    pub(crate) place: Option<&'static Location<'static>>,
}

/// Numbers beyond this are kept as this.
const MOST: u32 = (1 << 24) - 1;

impl Event {
    pub(crate) fn new(at: Nanos, kind: Kind, subject: u64) -> Self {
        Self {
            at,
            kind,
            number: 0,
            thread: 0,
            subject,
            name: Name::default(),
            place: None,
        }
    }

    #[inline]
    pub(super) fn to_entry(self) -> Entry {
        let number = u64::from(self.number.min(MOST));
        let head = u64::from(self.thread) << 32 | number << 8 | self.kind as u64;
        let [first, second, third] = std::array::from_fn(|index| {
            let bytes = &self.name.0[index * 8..index * 8 + 8];
            u64::from_le_bytes(bytes.try_into().expect("eight bytes"))
        });
        Entry {
            words: [self.at, head, self.subject, first, second, third],
            place: self.place,
        }
    }

    /// None: it was not made by [`to_entry`](Self::to_entry).
    pub(super) fn from_entry(entry: Entry) -> Option<Self> {
        let [at, head, subject, name @ ..] = entry.words;
        let mut bytes = [0; 24];
        for (to, word) in bytes.chunks_exact_mut(8).zip(name) {
            to.copy_from_slice(&word.to_le_bytes());
        }
        Some(Self {
            at,
            kind: *Kind::ALL.get(usize::from(head as u8))?,
            number: (head >> 8) as u32 & MOST,
            thread: (head >> 32) as u32,
            subject,
            name: Name(bytes),
            place: entry.place,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_comes_back_from_its_words() {
        for kind in Kind::ALL {
            let event = Event {
                number: 0xab_cdef,
                thread: u32::MAX,
                name: Name::new("fetch"),
                place: Some(Location::caller()),
                ..Event::new(7, kind, u64::MAX)
            };
            assert_eq!(Event::from_entry(event.to_entry()), Some(event));
        }
    }

    #[test]
    fn a_long_name_is_cut_between_two_characters() {
        let long = "twenty-three characters…";
        assert_eq!(Name::new(long).get(), Some("twenty-three characters"));
        assert_eq!(Name::new("").get(), None);
    }
}
