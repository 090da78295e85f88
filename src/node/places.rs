//! Things kept by numbers that a slab elsewhere hands out.

use std::fmt;

/// Room for more than this is given back once nothing is kept.
const ROOM_KEPT: usize = 4096;

/// Things by their places, of which a slab makes sure that they are low and that each is somebody's alone.
pub(super) struct ByPlace<T>(Vec<Option<T>>);

impl<T> ByPlace<T> {
    pub(super) const fn new() -> Self {
        Self(Vec::new())
    }

    pub(super) fn put(&mut self, place: usize, thing: T) {
        if self.0.len() <= place {
            self.0.resize_with(place + 1, || None);
        }
        self.0[place] = Some(thing);
    }

    /// Takes out what is there, if anything is.
    pub(super) fn take(&mut self, place: usize) -> Option<T> {
        let thing = self.0.get_mut(place)?.take();
        while let Some(None) = self.0.last() {
            self.0.pop();
        }
        if self.0.is_empty() && self.0.capacity() > ROOM_KEPT {
            self.0 = Vec::new();
        }
        thing
    }
}

impl<T> fmt::Debug for ByPlace<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByPlace").field("places", &self.0.len()).finish_non_exhaustive()
    }
}
