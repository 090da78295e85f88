//! The keys of a test, some of which are much busier than others.

use fastrand::Rng;

/// Keys in use. Each is drawn twice as often as the one before it; one that was written as often as it may be gives its
/// place to a new one. The values written to a key are 1, 2, 3 and so on.
#[derive(Debug)]
pub(super) struct KeyPool {
    keys: Vec<PoolKey>,
    next: i64,
    writes: Writes,
}

/// How often a key is written.
#[derive(Clone, Copy, Debug)]
pub(super) enum Writes {
    /// So often, and at least once.
    AtMost(usize),
    /// Each key another number of times, from 1 to 256, drawn by Zipf's law.
    Zipf,
}

#[derive(Clone, Copy, Debug)]
struct PoolKey {
    name: i64,
    writes: usize,
    /// How often it may be written, once that matters.
    limit: Option<usize>,
}

impl PoolKey {
    const fn new(name: i64) -> Self {
        Self { name, writes: 0, limit: None }
    }
}

impl KeyPool {
    /// So many keys at a time.
    pub fn new(keys: usize, writes: Writes) -> Self {
        let keys: Vec<_> = (0..).take(keys.max(1)).map(PoolKey::new).collect();
        Self { next: i64::try_from(keys.len()).unwrap_or(i64::MAX), keys, writes }
    }

    /// How many keys there were so far: their names are the numbers below it.
    pub const fn count(&self) -> i64 {
        self.next
    }

    /// A place: the last with probability 1/2, the one before it with 1/4, and so on.
    fn place(&self, rng: &mut Rng) -> usize {
        loop {
            let back = rng.u64(..).leading_zeros() as usize;
            if back < self.keys.len() {
                return self.keys.len() - 1 - back;
            }
        }
    }

    /// A key to read.
    pub fn key(&self, rng: &mut Rng) -> i64 {
        self.keys[self.place(rng)].name
    }

    /// A key to write, and the value. `None` if the key had its writes: another is in its place now, and the whole
    /// operation is to be drawn anew.
    pub fn try_write(&mut self, rng: &mut Rng) -> Option<(i64, i64)> {
        let place = self.place(rng);
        let key = &mut self.keys[place];
        let limit = *key.limit.get_or_insert_with(|| self.writes.limit(rng));
        if key.writes == limit {
            *key = PoolKey::new(self.next);
            self.next += 1;
            return None;
        }
        key.writes += 1;
        Some((key.name, i64::try_from(key.writes).unwrap_or(i64::MAX)))
    }
}

impl Writes {
    fn limit(self, rng: &mut Rng) -> usize {
        match self {
            Self::AtMost(limit) => limit.max(1),
            Self::Zipf => zipf(rng),
        }
    }
}

/// The most that is drawn by Zipf's law.
const WRITES_MAX: f64 = 256.0;

/// A number from 1 up, each with a chance of about one in it.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is from 1 to a little more than the most"
)]
fn zipf(rng: &mut Rng) -> usize {
    (rng.f64() * (WRITES_MAX + 1.0).ln()).exp() as usize
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn the_last_key_gets_half_and_a_full_one_is_replaced() {
        let (mut pool, mut rng) = (KeyPool::new(10, Writes::AtMost(1_000_000)), Rng::with_seed(1));
        let mut counts = BTreeMap::<i64, usize>::new();
        for _ in 0..100_000 {
            *counts.entry(pool.key(&mut rng)).or_default() += 1;
        }
        assert!(
            (48_000..52_000).contains(&counts[&9]) && (23_000..27_000).contains(&counts[&8]),
            "{counts:?}"
        );

        pool = KeyPool::new(1, Writes::AtMost(2));
        let written: Vec<_> = (0..7).map(|_| pool.try_write(&mut rng)).collect();
        let writes = [Some((0, 1)), Some((0, 2)), None, Some((1, 1)), Some((1, 2)), None, Some((2, 1))];
        assert_eq!(written, writes);
    }
}
