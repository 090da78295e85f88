//! The keys of a test, some of which are much busier than others.

use fastrand::Rng;

/// Keys in use. Each is drawn twice as often as the one before it; one that was written as often as it may be gives its
/// place to a new one. The values written to a key are 1, 2, 3 and so on.
#[derive(Debug)]
pub(super) struct KeyPool {
    keys: Vec<PoolKey>,
    next: u64,
    writes_max: usize,
}

#[derive(Clone, Copy, Debug)]
struct PoolKey {
    name: u64,
    writes: usize,
}

impl KeyPool {
    /// So many keys at a time, each with at most so many writes.
    pub fn new(keys: usize, writes_max: usize) -> Self {
        let keys: Vec<_> = (0..keys.max(1) as u64).map(|name| PoolKey { name, writes: 0 }).collect();
        Self { next: keys.len() as u64, keys, writes_max: writes_max.max(1) }
    }

    /// A place: the last with probability 1/2, the one before it with 1/4, and so on.
    fn place(&self, rng: &mut Rng) -> usize {
        loop {
            let back = rng.u64(..).trailing_zeros() as usize;
            if back < self.keys.len() {
                return self.keys.len() - 1 - back;
            }
        }
    }

    /// A key to read.
    pub fn key(&self, rng: &mut Rng) -> u64 {
        self.keys[self.place(rng)].name
    }

    /// A key to write, and the value. `None` if the key had its writes: another is in its place now, and the whole
    /// operation is to be drawn anew.
    pub fn try_write(&mut self, rng: &mut Rng) -> Option<(u64, i64)> {
        let place = self.place(rng);
        let key = &mut self.keys[place];
        if key.writes == self.writes_max {
            *key = PoolKey { name: self.next, writes: 0 };
            self.next += 1;
            return None;
        }
        key.writes += 1;
        Some((key.name, i64::try_from(key.writes).unwrap_or(i64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn the_last_key_gets_half_and_a_full_one_is_replaced() {
        let (mut pool, mut rng) = (KeyPool::new(10, 1_000_000), Rng::with_seed(1));
        let mut counts = BTreeMap::<u64, usize>::new();
        for _ in 0..100_000 {
            *counts.entry(pool.key(&mut rng)).or_default() += 1;
        }
        assert!(
            (48_000..52_000).contains(&counts[&9]) && (23_000..27_000).contains(&counts[&8]),
            "{counts:?}"
        );

        pool = KeyPool::new(1, 2);
        let written: Vec<_> = (0..7).map(|_| pool.try_write(&mut rng)).collect();
        let writes = [Some((0, 1)), Some((0, 2)), None, Some((1, 1)), Some((1, 2)), None, Some((2, 1))];
        assert_eq!(written, writes);
    }
}
