//! Timers: a hashed wheel, after Varghese and Lauck, for everything in a node that waits.
//!
//! A deadline hashes to a slot by its tick, so to start or to cancel a timer is to change a few
//! links, with a million pending as with one. A tick is only the width of a bucket: deadlines are kept to the
//! microsecond, and no timer fires early or out of order.
//!
//! A slot is a doubly linked list, threaded through the entries: a new timer is linked in front, a
//! cancelled one is cut out. A textbook wheel walks a slot's list in each turn, for those whose turn
//! it is, and once more whenever the earliest is cancelled. Here the first walk leaves order behind:
//! it melds the list into a pairing heap (Fredman, Sedgewick, Sleator and Tarjan, 1986), whose root
//! is the slot's earliest. So a slot is a list of heaps, most of them a single entry. A million timers
//! in one slot cost what a heap costs, and timers that are many turns away are not visited at all.

use std::mem;
use std::num::NonZeroU64;

use slab::Slab;

use crate::time::Instant;

/// A tick is 2^10 µs: about a millisecond, and a shift instead of a division.
const TICK_BITS: u32 = 10;

/// A turn of the wheel is 4.2 s, which covers the usual timeouts: the next deadline is then found
/// in the slots just ahead. The slots take 96 KiB, which a second-level cache holds.
const SLOTS: usize = 4096;

/// Slots in a word of the occupancy bitmap.
const WORD: usize = u64::BITS as usize;

/// Words in the occupancy bitmap.
const WORDS: usize = SLOTS / WORD;

/// A slab with room for no more timers than this is left alone; from a larger one memory goes back.
const ROOM_KEPT: usize = 4096;

/// The end of a list.
const NIL: usize = usize::MAX;

/// Values that wait for their deadlines.
///
/// The wheel reads no clock: [`next_deadline`](Self::next_deadline) says when to come back, and
/// [`pop_expired`](Self::pop_expired), called until it returns `None`, hands out what is due. Timers
/// may be started and cancelled between two pops.
#[derive(Debug)]
pub struct Wheel<T> {
    entries: Slab<Entry<T>>,
    slots: Box<[Slot]>,
    /// One bit a slot, set if the slot is not empty.
    occupied: [u64; WORDS],
    /// Bounds all entries, and the bounds of all slots.
    earliest: Bound,
    /// The sequence number of the next entry.
    sequence: NonZeroU64,
    /// Entries removed since memory was last given back.
    removed: usize,
}

/// Names one timer of one [`Wheel`], for [`Wheel::cancel`]. It never comes to name another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimerKey {
    index: usize,
    sequence: NonZeroU64,
}

/// A node of a heap: due no later than any of its children.
#[derive(Debug)]
struct Entry<T> {
    deadline: Instant,
    /// Counts inserts: it orders equal deadlines, and tells this entry from the others that have
    /// had its place in the slab.
    sequence: NonZeroU64,
    /// The first of its children.
    child: usize,
    /// The sibling after this one.
    next: usize,
    /// The sibling before this one, or the parent of a first child. Means nothing in the first
    /// entry of a slot.
    previous: usize,
    value: T,
}

/// The entries whose ticks are equal modulo [`SLOTS`].
#[derive(Clone, Debug)]
struct Slot {
    /// The first of a list of heaps.
    first: usize,
    earliest: Bound,
}

/// What is known of the earliest of some deadlines: none comes before this one.
#[derive(Clone, Copy, Debug)]
struct Bound {
    deadline: Instant,
    /// Whether it is one of them, and not one that has been removed.
    exact: bool,
}

impl<T> Wheel<T> {
    /// A wheel without timers.
    pub fn new() -> Self {
        let empty = Slot { first: NIL, earliest: Bound::NONE };
        Self {
            entries: Slab::new(),
            slots: vec![empty; SLOTS].into_boxed_slice(),
            occupied: [0; WORDS],
            earliest: Bound::NONE,
            sequence: NonZeroU64::MIN,
            removed: 0,
        }
    }

    /// How many timers are pending.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no timer is pending.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Starts a timer, in constant time. If its deadline has passed, it is due at once.
    pub fn insert(&mut self, deadline: Instant, value: T) -> TimerKey {
        let sequence = self.sequence;
        self.sequence = sequence.saturating_add(1);
        let (child, next, previous) = (NIL, NIL, NIL);
        let entry = Entry { deadline, sequence, child, next, previous, value };
        let index = self.entries.insert(entry);

        let slot = slot_of(deadline);
        self.link(slot, index);
        self.slots[slot].earliest.insert(deadline);
        self.earliest.insert(deadline);
        TimerKey { index, sequence }
    }

    /// Stops a timer and returns its value; `None` if it has fired or was cancelled before.
    ///
    /// Takes constant time while the timer's slot is a plain list, which is until it comes up as the
    /// one with the earliest deadline; from then on a time logarithmic in the slot's population,
    /// amortized.
    pub fn cancel(&mut self, key: TimerKey) -> Option<T> {
        let entry = self.entries.get(key.index)?;
        (entry.sequence == key.sequence).then(|| self.remove(key.index).value)
    }

    /// The next timer that is due at `now`, with its deadline; `None` if none is.
    ///
    /// Timers fire in the order of their deadlines, and of their inserts where these are equal.
    pub fn pop_expired(&mut self, now: Instant) -> Option<(Instant, T)> {
        let deadline = self.next_deadline().filter(|&deadline| deadline <= now)?;
        let root = self.settle(slot_of(deadline));
        Some((deadline, self.remove(root).value))
    }

    /// The earliest deadline; `None` if no timer is pending.
    ///
    /// It is known until the earliest timer is removed. Then the slots ahead are searched, as a rule
    /// one or two and at worst all of them, and the one that has it is put in order.
    pub fn next_deadline(&mut self) -> Option<Instant> {
        if self.is_empty() {
            return None;
        }
        while !self.earliest.exact {
            self.earliest = self.search();
            if !self.earliest.exact {
                self.settle(slot_of(self.earliest.deadline));
            }
        }
        Some(self.earliest.deadline)
    }

    /// The earliest of the slots' bounds: the first that falls in the turn which begins here, or else
    /// the least. The bitmap skips time in which nothing is due, however long it is.
    fn search(&self) -> Bound {
        let start = tick(self.earliest.deadline);
        let first = slot_of(self.earliest.deadline);
        let mut after_this_turn = Bound::NONE;
        for step in 0..=WORDS {
            let word = (first / WORD + step) % WORDS;
            let mut occupied = self.occupied[word];
            match step {
                0 => occupied &= u64::MAX << (first % WORD),
                WORDS => occupied &= !(u64::MAX << (first % WORD)),
                _ => {}
            }
            while occupied != 0 {
                let slot = word * WORD + occupied.trailing_zeros() as usize;
                let bound = self.slots[slot].earliest;
                if tick(bound.deadline) - start < SLOTS as u64 {
                    return bound;
                }
                if bound.deadline <= after_this_turn.deadline {
                    after_this_turn = bound;
                }
                occupied &= occupied - 1;
            }
        }
        after_this_turn
    }

    /// Melds a slot, which is not empty, into one heap, and returns its root.
    fn settle(&mut self, slot: usize) -> usize {
        let heaps = mem::replace(&mut self.slots[slot].first, NIL);
        let root = self.meld_all(heaps);
        self.link(slot, root);
        self.slots[slot].earliest = Bound::exact(self.entries[root].deadline);
        root
    }

    /// Takes an entry out; its children stay in the slot as one heap.
    fn remove(&mut self, index: usize) -> Entry<T> {
        let entry = self.entries.remove(index);
        let slot = slot_of(entry.deadline);
        self.unlink(slot, index, &entry);
        if entry.child != NIL {
            let children = self.meld_all(entry.child);
            self.link(slot, children);
        }
        self.slots[slot].earliest.remove(entry.deadline);
        self.earliest.remove(entry.deadline);
        if self.slots[slot].first == NIL {
            self.slots[slot].earliest = Bound::NONE;
            self.occupied[slot / WORD] &= !(1 << (slot % WORD));
        }
        if self.is_empty() {
            self.earliest = Bound::NONE;
        }
        self.give_memory_back();
        entry
    }

    /// Puts a heap in front of a slot's list.
    fn link(&mut self, slot: usize, root: usize) {
        let next = mem::replace(&mut self.slots[slot].first, root);
        self.join(root, next);
        self.occupied[slot / WORD] |= 1 << (slot % WORD);
    }

    /// Cuts `entry`, which was at `index`, out of the list that it is in.
    fn unlink(&mut self, slot: usize, index: usize, entry: &Entry<T>) {
        if self.slots[slot].first == index {
            self.slots[slot].first = entry.next;
        } else if self.entries[entry.previous].child == index {
            self.entries[entry.previous].child = entry.next;
        } else {
            self.entries[entry.previous].next = entry.next;
        }
        if let Some(next) = self.entries.get_mut(entry.next) {
            next.previous = entry.previous;
        }
    }

    /// Makes `next`, which may be `NIL`, follow `index` in a list.
    fn join(&mut self, index: usize, next: usize) {
        self.entries[index].next = next;
        if let Some(next) = self.entries.get_mut(next) {
            next.previous = index;
        }
    }

    /// Melds a list of heaps into one: in pairs first, then each pair into the rest, from the last.
    /// It is this order that makes a pairing heap logarithmic.
    fn meld_all(&mut self, mut rest: usize) -> usize {
        let mut pairs = NIL;
        while let Some(first) = self.entries.get(rest) {
            let (a, b) = (rest, first.next);
            rest = self.entries.get(b).map_or(NIL, |second| second.next);
            let pair = self.meld(a, b);
            self.entries[pair].next = mem::replace(&mut pairs, pair);
        }
        let mut root = NIL;
        while let Some(pair) = self.entries.get(pairs) {
            let next = pair.next;
            root = self.meld(root, pairs);
            pairs = next;
        }
        root
    }

    /// Melds two heaps, one of which may be `NIL`: the later root becomes a child of the earlier.
    fn meld(&mut self, a: usize, b: usize) -> usize {
        let (Some(in_a), Some(in_b)) = (self.entries.get(a), self.entries.get(b)) else {
            return a.min(b);
        };
        let a_first = (in_a.deadline, in_a.sequence) < (in_b.deadline, in_b.sequence);
        let (root, child) = if a_first { (a, b) } else { (b, a) };
        let next = mem::replace(&mut self.entries[root].child, child);
        self.join(child, next);
        self.entries[child].previous = root;
        root
    }

    /// Lets go of the slab's unused end after a burst of timers.
    ///
    /// That takes a pass over the slab, so it waits until most of it is unused, and until as many
    /// entries were removed as are left.
    fn give_memory_back(&mut self) {
        self.removed += 1;
        let (len, room) = (self.len(), self.entries.capacity());
        if room > ROOM_KEPT && len < room / 4 && len <= self.removed {
            self.entries.shrink_to_fit();
            self.removed = 0;
        }
    }
}

impl<T> Default for Wheel<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl Bound {
    /// Of no deadlines.
    const NONE: Self = Self { deadline: Instant::from_micros(u64::MAX), exact: false };

    const fn exact(deadline: Instant) -> Self {
        Self { deadline, exact: true }
    }

    fn insert(&mut self, deadline: Instant) {
        if deadline <= self.deadline {
            *self = Self::exact(deadline);
        }
    }

    fn remove(&mut self, deadline: Instant) {
        self.exact &= deadline != self.deadline;
    }
}

/// Whole ticks since the start.
const fn tick(deadline: Instant) -> u64 {
    deadline.as_micros() >> TICK_BITS
}

#[expect(clippy::cast_possible_truncation, reason = "below `SLOTS`")]
const fn slot_of(deadline: Instant) -> usize {
    (tick(deadline) % SLOTS as u64) as usize
}

#[cfg(test)]
mod tests;
