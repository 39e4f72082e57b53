//! Models of the flight recorder's ring, in `record/ring.rs`: what a reader gets is whole, and nothing that is
//! still there is missing.

use crate::record::ring;
use crate::shim::atomic::{Ordering, fence};
use crate::shim::{Arc, thread};

/// Two slots, of which the writer uses each twice.
const N_SLOTS: usize = 2;
const N_ENTRIES: u64 = 3;

/// Two words show whether an entry is whole.
type Ring = ring::Ring<2>;
type Entry = ring::Entry<2>;

/// The entry with this number.
fn entry(number: u64) -> Entry {
    Entry {
        words: [number + 1; 2],
        place: None,
    }
}

/// As `Ring::write`, without the fence between the odd mark and the words.
fn write_without_fence(ring: &Ring, entry: &Entry) {
    let number = ring.n_written.load(Ordering::Relaxed);
    let slot = ring.slot(number);
    slot.sequence.store(2 * number + 1, Ordering::Relaxed);
    slot.store(entry);
    slot.sequence.store(2 * number + 2, Ordering::Release);
    ring.n_written.store(number + 1, Ordering::Release);
}

/// As `Ring::read`, without the second look.
fn read_once(ring: &Ring) -> Vec<Entry> {
    let end = ring.n_written.load(Ordering::Acquire);
    let begin = end.saturating_sub(N_SLOTS as u64);
    let whole =
        |number: &u64| ring.slot(*number).sequence.load(Ordering::Acquire) == 2 * number + 2;
    let numbers = (begin..end).filter(whole);
    numbers
        .map(|number| {
            let entry = ring.slot(number).load();
            fence(Ordering::Acquire);
            entry
        })
        .collect()
}

fn read(ring: &Ring) -> Vec<Entry> {
    ring.read().entries
}

fn one_writes_one_reads(write: fn(&Ring, &Entry), read: fn(&Ring) -> Vec<Entry>) {
    loom::model(move || {
        let ring = Arc::new(Ring::new(N_SLOTS));
        write(&ring, &entry(0));
        let theirs = ring.clone();
        let writer = thread::spawn(move || {
            for number in 1..N_ENTRIES {
                write(&theirs, &entry(number));
            }
        });
        let entries = read(&ring);
        let whole = |found: &Entry| found.words[0] == found.words[1];
        assert!(entries.iter().all(whole), "a mixture of two entries");
        let numbers: Vec<_> = entries.iter().map(|found| found.words[0]).collect();
        assert!(numbers.is_sorted(), "not in their order");
        writer.join().unwrap();
    });
}

#[test]
fn what_a_reader_gets_is_whole() {
    one_writes_one_reads(Ring::write, read);
}

#[test]
#[should_panic(expected = "a mixture of two entries")]
fn mutant_without_the_writers_fence_mixes_entries() {
    one_writes_one_reads(write_without_fence, read);
}

#[test]
#[should_panic(expected = "a mixture of two entries")]
fn mutant_without_the_second_look_mixes_entries() {
    one_writes_one_reads(Ring::write, read_once);
}

#[test]
fn what_was_written_before_is_there() {
    loom::model(|| {
        let ring = Arc::new(Ring::new(N_SLOTS));
        let theirs = ring.clone();
        let writer = thread::spawn(move || {
            theirs.write(&entry(0));
            theirs.write(&entry(1));
        });
        let reading = ring.read();
        let n_found = reading.entries.len() as u64;
        // Two slots and two entries: nothing is ever overwritten.
        assert_eq!(reading.n_lost, 0, "lost what nobody overwrote");
        writer.join().unwrap();
        let reading = ring.read();
        assert!(reading.entries.len() as u64 >= n_found);
        assert_eq!(reading.entries, [entry(0), entry(1)], "missing");
    });
}
