//! The answers to the newest requests, for those that come again.

use lru::LruCache;

/// How much a [`Dedup`] keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DedupConfig {
    /// So many requests. A request is forgotten when so many others came after it was last seen.
    pub entries: usize,
    /// So many bytes of names and answers. An answer that does not fit is not kept.
    pub bytes: usize,
}

impl Default for DedupConfig {
    /// 10,000 requests, 64 MiB.
    fn default() -> Self {
        Self { entries: 10_000, bytes: 64 * 1024 * 1024 }
    }
}

/// The requests that were seen last, by `src` and `msg_id`, and their answers. What was not used for the longest
/// time is forgotten first.
#[derive(Debug)]
pub struct Dedup {
    config: DedupConfig,
    seen: LruCache<Box<[u8]>, Option<Box<[u8]>>>,
    /// What the keys and the answers take.
    bytes: usize,
    key: Vec<u8>,
}

/// What is known of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen<'a> {
    /// It came for the first time. It is known from now on.
    Never,
    /// It was seen, and there is no answer to it yet, or it was too long to be kept.
    Unanswered,
    /// This was its answer.
    Answered(&'a [u8]),
}

impl Dedup {
    /// Nothing was seen.
    pub fn new(config: DedupConfig) -> Self {
        Self { config, seen: LruCache::unbounded(), bytes: 0, key: Vec::new() }
    }

    /// How many requests are known.
    pub fn len(&self) -> usize {
        self.seen.len()
    }

    /// Whether no request is known.
    pub fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }

    /// What is known of the request that `src` sent with this `msg_id`.
    pub fn see(&mut self, src: &str, msg_id: &str) -> Seen<'_> {
        self.find(src, msg_id);
        if !self.seen.contains(&*self.key) {
            self.bytes += self.key.len();
            self.seen.push(self.key.as_slice().into(), None);
            self.shrink();
            return Seen::Never;
        }
        match self.seen.get(&*self.key) {
            Some(Some(answer)) => Seen::Answered(answer),
            _ => Seen::Unanswered,
        }
    }

    /// The answer to a request. One to a request that is not known, or not any more, is not kept.
    pub fn answered(&mut self, src: &str, msg_id: &str, answer: &[u8]) {
        self.find(src, msg_id);
        if answer.len() + self.key.len() <= self.config.bytes
            && let Some(kept @ None) = self.seen.get_mut(&*self.key)
        {
            *kept = Some(answer.into());
            self.bytes += answer.len();
            self.shrink();
        }
    }

    fn find(&mut self, src: &str, msg_id: &str) {
        self.key.clear();
        self.key.extend_from_slice(msg_id.as_bytes());
        // No number has a space, whatever is in a name.
        self.key.push(b' ');
        self.key.extend_from_slice(src.as_bytes());
    }

    fn shrink(&mut self) {
        while self.seen.len() > self.config.entries || self.bytes > self.config.bytes {
            let Some((key, answer)) = self.seen.pop_lru() else { return };
            self.bytes -= key.len() + answer.map_or(0, |answer| answer.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dedup(entries: usize, bytes: usize) -> Dedup {
        Dedup::new(DedupConfig { entries, bytes })
    }

    #[test]
    fn a_request_is_known_by_its_sender_and_number() {
        let mut dedup = dedup(9, 1000);
        assert_eq!(dedup.see("c1", "1"), Seen::Never);
        assert_eq!(dedup.see("c1", "1"), Seen::Unanswered);
        dedup.answered("c1", "1", b"yes");
        dedup.answered("c1", "1", b"no");
        assert_eq!(dedup.see("c1", "1"), Seen::Answered(b"yes"));
        for (src, msg_id) in [("c1", "11"), ("c11", "1"), ("c1\"1", "1"), ("c", "11")] {
            assert_eq!(dedup.see(src, msg_id), Seen::Never, "{src} {msg_id}");
        }
        dedup.answered("c2", "1", b"to nobody");
        assert_eq!(dedup.see("c2", "1"), Seen::Never);
    }

    #[test]
    fn what_was_not_used_for_the_longest_time_goes_first() {
        let mut dedup = dedup(2, 1000);
        dedup.see("a", "1");
        dedup.see("b", "1");
        dedup.see("a", "1");
        dedup.see("c", "1");
        assert_eq!(dedup.see("a", "1"), Seen::Unanswered);
        assert_eq!(dedup.see("b", "1"), Seen::Never);
        assert_eq!(dedup.len(), 2);
    }

    #[test]
    fn bytes_have_a_bound() {
        let mut dedup = dedup(1000, 100);
        for n in 0..50 {
            dedup.see("c1", &n.to_string());
            dedup.answered("c1", &n.to_string(), &[b'x'; 40]);
            assert!(dedup.bytes <= 100);
        }
        assert_eq!(dedup.len(), 2);
        // An answer that would push everything else out is not kept, but its request is.
        dedup.see("c1", "99");
        dedup.answered("c1", "99", &[b'x'; 100]);
        assert_eq!(dedup.see("c1", "99"), Seen::Unanswered);
        assert!(dedup.len() >= 2);
    }
}
