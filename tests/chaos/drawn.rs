//! Programs drawn from a seed.

use rt::Policy;

/// A part of a program. Numbers are milliseconds.
#[derive(Clone, Debug)]
pub(crate) enum Part {
    Sleep(u64),
    Yield,
    Fail,
    Panic,
    Sequence(Vec<Part>),
    Timeout(u64, Box<Part>),
    Scope(Asked, Box<Part>),
    Catch(Box<Part>),
    Shield(Option<u64>, Box<Part>),
    Guard(Cleanup, Box<Part>),
    Defer(Cleanup, Box<Part>),
    Finally(Cleanup, Box<Part>),
    Group(Kind, Box<Part>, Vec<Part>),
    LocalGroup(Box<Part>, Vec<Part>),
    Set(Vec<Part>),
    Race(Vec<Part>),
    RaceOk(Vec<Part>),
    JoinAll(Vec<Part>),
    TryGather(Vec<Part>),
    Gather(Vec<Part>),
    /// A task that is awaited, cancelled after a while.
    Task(Option<u64>, Box<Part>),
    /// Polled by a combinator that knows nothing of scopes, with wakers of its own, and given up after so many polls.
    Foreign(usize, Vec<Part>),
    /// Polled once, and then moved into another task.
    Moved(Box<Part>),
    /// A task that nobody waits for, and that returns a guard.
    Loose(Cleanup, Box<Part>),
}

#[derive(Clone, Debug)]
pub(crate) enum Asked {
    Nothing,
    Cancel(u64),
    Graceful(u64, u64),
    Deadline(u64),
}

#[derive(Clone, Debug)]
pub(crate) struct Kind {
    pub(crate) policy: Policy,
    pub(crate) limit: Option<usize>,
    pub(crate) deadline: Option<u64>,
    pub(crate) has_handler: bool,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Cleanup {
    Short,
    Sleeps(u64),
    Panics,
}

/// Numbers drawn from a seed.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % n
    }

    fn maybe(&mut self, n: u64) -> Option<u64> {
        (self.below(2) == 0).then(|| self.below(n))
    }

    fn parts(&mut self, depth: u32) -> Vec<Part> {
        (0..1 + self.below(3)).map(|_| self.part(depth)).collect()
    }

    fn cleanup(&mut self) -> Cleanup {
        match self.below(8) {
            0 => Cleanup::Panics,
            1..4 => Cleanup::Short,
            _ => Cleanup::Sleeps(self.below(8)),
        }
    }

    fn leaf(&mut self) -> Part {
        match self.below(12) {
            0 => Part::Fail,
            1 => Part::Panic,
            2..5 => Part::Yield,
            5 => Part::Sleep(1_000),
            _ => Part::Sleep(self.below(8)),
        }
    }

    pub(crate) fn part(&mut self, depth: u32) -> Part {
        if depth == 0 {
            return self.leaf();
        }
        let depth = depth - 1;
        let inner = |random: &mut Self| Box::new(random.part(depth));
        match self.below(23) {
            0 => Part::Timeout(self.below(10), inner(self)),
            1 | 2 => {
                let asked = match self.below(4) {
                    0 => Asked::Nothing,
                    1 => Asked::Cancel(self.below(8)),
                    2 => Asked::Graceful(self.below(5), self.below(5)),
                    _ => Asked::Deadline(self.below(8)),
                };
                Part::Scope(asked, inner(self))
            }
            3 => Part::Catch(inner(self)),
            4 => Part::Shield(self.maybe(8), inner(self)),
            5 => Part::Guard(self.cleanup(), inner(self)),
            6 => Part::Defer(self.cleanup(), inner(self)),
            7 => Part::Finally(self.cleanup(), inner(self)),
            8..11 => {
                let policies = [Policy::FailFast, Policy::CollectAll, Policy::FirstSuccess];
                let kind = Kind {
                    policy: policies[self.below(3) as usize],
                    limit: self.maybe(2).map(|limit| limit as usize + 1),
                    deadline: self.maybe(10),
                    has_handler: self.below(4) == 0,
                };
                Part::Group(kind, inner(self), self.parts(depth))
            }
            11 => Part::LocalGroup(inner(self), self.parts(depth)),
            12 => Part::Set(self.parts(depth)),
            13 => Part::Race(self.parts(depth)),
            14 => Part::RaceOk(self.parts(depth)),
            15 => Part::JoinAll(self.parts(depth)),
            16 => Part::TryGather(self.parts(depth)),
            17 => Part::Gather(self.parts(depth)),
            18 => Part::Task(self.maybe(8), inner(self)),
            19 => Part::Foreign(self.below(12) as usize, self.parts(depth)),
            20 => Part::Moved(inner(self)),
            21 => Part::Loose(self.cleanup(), inner(self)),
            _ => Part::Sequence(self.parts(depth)),
        }
    }
}
