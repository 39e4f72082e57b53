//! Who has a thing that others wait for.
//!
//! A dump cannot look into a lock: it may be gone the next moment. So a lock over which tasks contend enters itself in a
//! table, under a number that is never used again, and says there who has it. Where one can have it that is one
//! word ([`Holder`]); where several can, it is a record of their parts ([`Holders`]), which is kept in debug mode only.

use std::collections::HashMap;
use std::fmt;
use std::panic::Location;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use crate::shim::lock_std;
use crate::task::TaskId;

type Place = &'static Location<'static>;

enum Entry {
    One(Arc<AtomicU64>),
    Several(Arc<Mutex<Shares>>),
}

fn table() -> &'static Mutex<HashMap<u64, Entry>> {
    static TABLE: OnceLock<Mutex<HashMap<u64, Entry>>> = OnceLock::new();
    TABLE.get_or_init(Mutex::default)
}

/// A place in the table, until it is dropped.
#[derive(Debug)]
struct Number(u64);

impl Number {
    fn enter(entry: Entry) -> Self {
        // Beyond all addresses, by which other things are known, and exact where a reader of JSON takes it for a float.
        static NEXT: AtomicU64 = AtomicU64::new(1 << 52);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        lock_std(table()).insert(number, entry);
        Self(number)
    }
}

impl Drop for Number {
    fn drop(&mut self) {
        lock_std(table()).remove(&self.0);
    }
}

/// Who has a thing that one at a time can have.
///
/// Made when somebody first has to wait, and kept as long as the thing.
#[derive(Debug)]
pub struct Holder {
    number: Number,
    id: Arc<AtomicU64>,
}

impl Holder {
    /// Enters a thing that `id`, as [`me`](super::me) gave it, has now.
    #[must_use]
    pub fn enter(id: u64) -> Self {
        let id = Arc::new(AtomicU64::new(id));
        Self {
            number: Number::enter(Entry::One(id.clone())),
            id,
        }
    }

    /// From now on `id` has it.
    #[inline]
    pub fn set(&self, id: u64) {
        self.id.store(id, Ordering::Relaxed);
    }

    /// What waiters give as their resource.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number.0
    }

    /// Who has the thing with this number; none if that is no task, or the thing is gone.
    pub(super) fn look_up(number: u64) -> Option<TaskId> {
        match lock_std(table()).get(&number)? {
            Entry::One(id) => TaskId::from_number(id.load(Ordering::Relaxed)),
            Entry::Several(_) => None,
        }
    }
}

/// Who has parts of a thing that several can have at the same time.
pub struct Holders {
    number: Number,
    shares: Arc<Mutex<Shares>>,
}

impl Holders {
    /// Enters a thing that nobody has.
    #[must_use]
    pub fn enter() -> Self {
        let shares = Arc::new(Mutex::new(Shares::default()));
        Self {
            number: Number::enter(Entry::Several(shares.clone())),
            shares,
        }
    }

    /// Changes who has what.
    pub fn update(&self, change: impl FnOnce(&mut Shares)) {
        let mut shares = lock_std(&self.shares);
        shares.picture = None;
        change(&mut shares);
    }

    /// What `id` has, and since where; none if it has nothing, or others than those who have parts may end its wait.
    #[must_use]
    pub fn own(&self, id: u64) -> Option<(usize, Since)> {
        let shares = lock_std(&self.shares);
        let part = shares.parts.get(&id)?;
        let is_known = !shares.is_open && !shares.is_wrong;
        is_known.then(|| (part.n, part.since.clone()))
    }

    /// What waiters give as their resource.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number.0
    }

    /// Who has parts of the thing with this number; none if the thing is gone, or no record is kept of it.
    pub(super) fn look_up(number: u64) -> Option<Arc<Held>> {
        let shares = match lock_std(table()).get(&number)? {
            Entry::Several(shares) => shares.clone(),
            Entry::One(_) => return None,
        };
        Some(lock_std(&shares).picture())
    }
}

impl fmt::Debug for Holders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Holders")
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}

/// What one has of a thing.
#[derive(Default, Debug)]
struct Part {
    n: usize,
    since: Since,
}

/// Where one took what it has.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Since {
    /// Each once; at most `MOST_PLACES`.
    places: Vec<Place>,
    /// It has taken some in other places, too.
    has_more: bool,
    /// Some of it was given back, and nobody knows from which place.
    is_any: bool,
}

/// So many places are kept of what one has.
const MOST_PLACES: usize = 4;

impl Since {
    /// It was taken there.
    pub(crate) fn at(place: Place) -> Self {
        let places = vec![place];
        Self {
            places,
            ..Self::default()
        }
    }

    /// The first place.
    #[must_use]
    pub fn first(&self) -> Option<Place> {
        self.places.first().copied()
    }

    fn add(&mut self, place: Place) {
        if self.places.contains(&place) {
            return;
        }
        if self.places.len() < MOST_PLACES {
            self.places.push(place);
        } else {
            self.has_more = true;
        }
    }
}

impl fmt::Display for Since {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.is_any { "or" } else { "and" };
        write_series(f, ("", word), &self.places, self.has_more)?;
        if self.has_more {
            write!(f, " {word} elsewhere")?;
        }
        Ok(())
    }
}

/// Writes a series as a sentence has it, "a, b and c", each with `sign` before it; without the word if more follows.
pub(super) fn write_series<T: fmt::Display>(
    f: &mut fmt::Formatter<'_>,
    (sign, word): (&str, &str),
    items: &[T],
    has_more: bool,
) -> fmt::Result {
    for (index, item) in items.iter().enumerate() {
        match index {
            0 => {}
            _ if index + 1 == items.len() && !has_more => write!(f, " {word} ")?,
            _ => f.write_str(", ")?,
        }
        write!(f, "{sign}{item}")?;
    }
    Ok(())
}

/// The parts of a thing, and whose they are.
#[derive(Default)]
pub struct Shares {
    parts: HashMap<u64, Part>,
    /// Parts of which nobody knows who has them: taken outside a task, or in a way that lets them be passed on.
    n_unknown: usize,
    /// Somebody else than those who have parts may end a wait.
    is_open: bool,
    /// Parts came back from another one than took them: who has which is not known any more.
    is_wrong: bool,
    front: u64,
    has_free: bool,
    /// Made when somebody asks, until something changes.
    picture: Option<Arc<Held>>,
}

impl Shares {
    /// `id` takes so many parts, there, if it says so; zero stands for somebody who is not known.
    pub fn take(&mut self, id: u64, n_parts: usize, at: Option<Place>) {
        match id {
            _ if n_parts == 0 => {}
            0 => self.n_unknown += n_parts,
            _ => {
                let part = self.parts.entry(id).or_default();
                part.n += n_parts;
                at.into_iter().for_each(|at| part.since.add(at));
            }
        }
    }

    /// `id` gives so many parts back.
    pub fn give(&mut self, id: u64, n_parts: usize) {
        let had = match id {
            0 => Some(&mut self.n_unknown),
            _ => self.parts.get_mut(&id).map(|part| &mut part.n),
        };
        match had {
            _ if n_parts == 0 => return,
            Some(had) if *had >= n_parts => *had -= n_parts,
            _ => self.is_wrong = true,
        }
        match self.parts.get_mut(&id) {
            Some(part) if part.n == 0 => drop(self.parts.remove(&id)),
            Some(part) => part.since.is_any = part.since.places.len() > 1,
            None => {}
        }
    }

    /// Where `id` took what it has, or the first of it.
    #[must_use]
    pub fn place_of(&self, id: u64) -> Option<Place> {
        self.parts.get(&id)?.since.first()
    }

    /// Parts were passed on: nobody is known to have any, from now on.
    pub fn pass_on(&mut self) {
        self.is_wrong = true;
    }

    /// Not only those who have parts can end a wait, from now on.
    pub fn open(&mut self) {
        self.is_open = true;
    }

    /// Who is first in line, or zero, and whether a part is free, which is then kept for that one.
    pub fn line(&mut self, front: u64, has_free: bool) {
        (self.front, self.has_free) = (front, has_free);
    }

    fn picture(&mut self) -> Arc<Held> {
        let make = || {
            let known = (!self.is_wrong).then(|| self.parts.keys().copied());
            let ids = known.into_iter().flatten();
            let mut holders: Vec<_> = ids.filter_map(TaskId::from_number).collect();
            holders.sort_unstable();
            Arc::new(Held {
                holders,
                is_all: self.n_unknown == 0 && !self.is_open && !self.is_wrong,
                front: TaskId::from_number(self.front),
                has_free: self.has_free,
            })
        };
        self.picture.get_or_insert_with(make).clone()
    }
}

impl fmt::Debug for Shares {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shares")
            .field("parts", &self.parts)
            .field("n_unknown", &self.n_unknown)
            .field("is_open", &self.is_open)
            .field("is_wrong", &self.is_wrong)
            .finish_non_exhaustive()
    }
}

/// Who had parts of a thing at one moment.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Held {
    holders: Vec<TaskId>,
    is_all: bool,
    front: Option<TaskId>,
    has_free: bool,
}

impl Held {
    pub(crate) fn holders(&self) -> &[TaskId] {
        &self.holders
    }

    /// Whether nobody but the holders can end the wait for a part.
    pub(crate) fn is_all(&self) -> bool {
        self.is_all
    }

    /// Who has all that is taken, if that is one.
    pub(super) fn only_holder(&self) -> Option<TaskId> {
        match self.holders[..] {
            [one] if self.is_all => Some(one),
            _ => None,
        }
    }

    /// Who has to be served before `id`: with something free it is not the holders that all of the line wait for.
    pub(super) fn ahead_of(&self, id: u64) -> Option<TaskId> {
        self.front
            .filter(|front| self.has_free && front.number() != id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(change: impl FnOnce(&mut Shares)) -> Arc<Held> {
        let holders = Holders::enter();
        holders.update(change);
        Holders::look_up(holders.number()).unwrap()
    }

    fn numbers(held: &Held) -> Vec<u64> {
        held.holders().iter().map(|id| id.number()).collect()
    }

    #[test]
    fn parts_belong_to_who_took_them_until_all_came_back() {
        let two = held(|shares| {
            shares.take(7, 2, None);
            shares.take(5, 1, None);
            shares.give(7, 1);
        });
        assert_eq!((numbers(&two), two.is_all()), (vec![5, 7], true));
        assert_eq!(two.only_holder(), None);
        let one = held(|shares| {
            shares.take(7, 2, None);
            shares.take(5, 1, None);
            shares.give(7, 2);
        });
        assert_eq!(one.only_holder(), TaskId::from_number(5));
    }

    #[test]
    fn with_parts_that_anybody_may_have_nobody_is_blamed_alone() {
        let unknown = held(|shares| {
            shares.take(7, 1, None);
            shares.take(0, 1, None);
        });
        assert!(!unknown.is_all() && unknown.only_holder().is_none());
        let came_back = held(|shares| {
            shares.take(7, 1, None);
            shares.take(0, 1, None);
            shares.give(0, 1);
        });
        assert!(came_back.is_all());
        let passed_on = held(|shares| {
            shares.take(7, 1, None);
            shares.give(8, 1);
        });
        assert!(!passed_on.is_all() && passed_on.holders().is_empty());
        let added = held(|shares| {
            shares.take(7, 1, None);
            shares.open();
        });
        assert_eq!((numbers(&added), added.is_all()), (vec![7], false));
    }

    #[test]
    fn all_places_are_kept_until_nothing_is_left() {
        let [here, there] = [Location::caller(), elsewhere()];
        let holders = Holders::enter();
        let own = |change: &dyn Fn(&mut Shares)| {
            holders.update(change);
            holders.own(7).map(|(n, since)| (n, since.to_string()))
        };
        let one = own(&|shares| shares.take(7, 2, Some(here)));
        assert_eq!(one, Some((2, here.to_string())));
        let two = own(&|shares| shares.take(7, 1, Some(there)));
        assert_eq!(two, Some((3, format!("{here} and {there}"))));
        let vague = own(&|shares| shares.give(7, 2));
        assert_eq!(vague, Some((1, format!("{here} or {there}"))));
        let again = own(&|shares| {
            shares.give(7, 1);
            shares.take(7, 1, Some(there));
        });
        assert_eq!(again, Some((1, there.to_string())));
        assert_eq!(own(&Shares::open), None);
    }

    #[track_caller]
    fn elsewhere() -> Place {
        Location::caller()
    }

    #[test]
    fn of_many_places_some_are_named() {
        let mut since = Since::at(Location::caller());
        let places = [
            elsewhere(),
            elsewhere(),
            elsewhere(),
            elsewhere(),
            elsewhere(),
        ];
        places.into_iter().for_each(|place| since.add(place));
        let text = since.to_string();
        assert!(
            text.ends_with(&format!(", {} and elsewhere", places[2])),
            "{text}"
        );
    }

    #[test]
    fn only_with_something_free_the_front_is_in_the_way() {
        let full = held(|shares| shares.line(3, false));
        assert_eq!(full.ahead_of(4), None);
        let free = held(|shares| shares.line(3, true));
        assert_eq!(free.ahead_of(4), TaskId::from_number(3));
        assert_eq!(free.ahead_of(3), None);
    }

    #[test]
    fn a_thing_that_is_gone_has_no_holders() {
        let holders = Holders::enter();
        let number = holders.number();
        drop(holders);
        assert!(Holders::look_up(number).is_none());
        let holder = Holder::enter(7);
        assert_eq!(Holder::look_up(holder.number()), TaskId::from_number(7));
        let number = holder.number();
        drop(holder);
        assert_eq!(Holder::look_up(number), None);
    }
}
