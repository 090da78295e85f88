//! The answers to the newest requests, for those that come again.

use lru::LruCache;

/// How much a [`Dedup`] keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DedupConfig {
    /// So many requests. A request is forgotten when so many others came after it was last seen, unless it is still
    /// worked on.
    pub entries: usize,
    /// About so many bytes in all. An answer that does not fit is not kept.
    pub bytes: usize,
}

impl Default for DedupConfig {
    /// 10,000 requests, 64 MiB.
    fn default() -> Self {
        Self { entries: 10_000, bytes: 64 * 1024 * 1024 }
    }
}

/// What an entry takes beside its key and its answer.
const ENTRY_BYTES: usize = 160;

/// A request with a longer name is not remembered.
const NAME_MAX: usize = 1024;

/// The requests that were seen last, by `src` and `msg_id`, with their answers. What was not used for the longest time
/// is forgotten first.
#[derive(Debug)]
pub struct Dedup<A> {
    config: DedupConfig,
    seen: LruCache<Box<[u8]>, Entry<A>>,
    /// What everything takes.
    bytes: usize,
    key: Vec<u8>,
}

#[derive(Debug)]
enum Entry<A> {
    /// It is worked on. It must not be forgotten, or it might be worked on twice.
    Open,
    /// It has no answer that could be given again.
    Silent,
    /// It has an answer of so many bytes.
    Answered(A, usize),
}

/// What is known of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen<'a, A> {
    /// It came for the first time. It is known from now on.
    Never,
    /// It was seen, and there is no answer to it: not yet, or it was too long to be kept.
    Unanswered,
    /// This was its answer.
    Answered(&'a A),
}

impl<A> Dedup<A> {
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

    /// What is known of the request that `src` sent with this `msg_id`. One that is new is being worked on until it
    /// is [`answered`](Self::answered), [`closed`](Self::closed) or [`forgotten`](Self::forget).
    pub fn see(&mut self, src: &str, msg_id: &str) -> Seen<'_, A> {
        if src.len() + msg_id.len() > NAME_MAX {
            return Seen::Never;
        }
        self.find(src, msg_id);
        if !self.seen.contains(&*self.key) {
            self.bytes += self.key.len() + ENTRY_BYTES;
            self.seen.push(self.key.as_slice().into(), Entry::Open);
            self.shrink();
            return Seen::Never;
        }
        match self.seen.get(&*self.key) {
            Some(Entry::Answered(answer, _)) => Seen::Answered(answer),
            _ => Seen::Unanswered,
        }
    }

    /// The answer to a request, of so many bytes. Only the first one is kept, and only while the request is known.
    pub fn answered(&mut self, src: &str, msg_id: &str, bytes: usize, answer: impl FnOnce() -> A) {
        self.find(src, msg_id);
        let Some(entry @ (Entry::Open | Entry::Silent)) = self.seen.get_mut(&*self.key) else { return };
        if bytes <= self.config.bytes / 2 {
            *entry = Entry::Answered(answer(), bytes);
            self.bytes += bytes;
            self.shrink();
        } else {
            *entry = Entry::Silent;
        }
    }

    /// Nobody works on the request any more, whether it has an answer or not.
    pub fn closed(&mut self, src: &str, msg_id: &str) {
        self.find(src, msg_id);
        if let Some(entry @ Entry::Open) = self.seen.peek_mut(&*self.key) {
            *entry = Entry::Silent;
        }
    }

    /// The request was not done, and may come again.
    pub fn forget(&mut self, src: &str, msg_id: &str) {
        self.find(src, msg_id);
        if let Some((key, entry)) = self.seen.pop_entry(&*self.key) {
            self.bytes -= size(&key, &entry);
        }
    }

    fn find(&mut self, src: &str, msg_id: &str) {
        self.key.clear();
        self.key.extend_from_slice(msg_id.as_bytes());
        // No number has a space, whatever is in a name.
        self.key.push(b' ');
        self.key.extend_from_slice(src.as_bytes());
    }

    /// Forgets what is too much. What is worked on stays: others bound that.
    fn shrink(&mut self) {
        for _ in 0..self.seen.len() {
            if self.seen.len() <= self.config.entries && self.bytes <= self.config.bytes {
                return;
            }
            match self.seen.pop_lru() {
                Some((key, Entry::Open)) => drop(self.seen.push(key, Entry::Open)),
                Some((key, entry)) => self.bytes -= size(&key, &entry),
                None => return,
            }
        }
    }
}

fn size<A>(key: &[u8], entry: &Entry<A>) -> usize {
    let answer = if let Entry::Answered(_, bytes) = entry { *bytes } else { 0 };
    key.len() + ENTRY_BYTES + answer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dedup(entries: usize, bytes: usize) -> Dedup<String> {
        Dedup::new(DedupConfig { entries, bytes })
    }

    fn answer(dedup: &mut Dedup<String>, src: &str, msg_id: &str, answer: &str) {
        dedup.answered(src, msg_id, answer.len(), || answer.to_owned());
    }

    #[test]
    fn a_request_is_known_by_its_sender_and_number() {
        let mut dedup = dedup(9, 10_000);
        assert_eq!(dedup.see("c1", "1"), Seen::Never);
        assert_eq!(dedup.see("c1", "1"), Seen::Unanswered);
        answer(&mut dedup, "c1", "1", "yes");
        answer(&mut dedup, "c1", "1", "no");
        assert_eq!(dedup.see("c1", "1"), Seen::Answered(&"yes".to_owned()));
        for (src, msg_id) in [("c1", "11"), ("c11", "1"), ("c1\"1", "1"), ("c", "11")] {
            assert_eq!(dedup.see(src, msg_id), Seen::Never, "{src} {msg_id}");
        }
        answer(&mut dedup, "c2", "1", "to nobody");
        assert_eq!(dedup.see("c2", "1"), Seen::Never);
        dedup.forget("c2", "1");
        assert_eq!(dedup.see("c2", "1"), Seen::Never);
    }

    #[test]
    fn what_was_not_used_for_the_longest_time_goes_first_unless_it_is_worked_on() {
        let mut dedup = dedup(2, 10_000);
        dedup.see("open", "1");
        dedup.see("b", "1");
        dedup.closed("b", "1");
        dedup.see("c", "1");
        assert_eq!(dedup.see("open", "1"), Seen::Unanswered);
        assert_eq!(dedup.see("b", "1"), Seen::Never);
        // All are worked on: there are more of them than there should be, for a while.
        assert_eq!(dedup.len(), 3);
        for src in ["open", "b", "c"] {
            dedup.closed(src, "1");
        }
        dedup.see("d", "1");
        assert_eq!(dedup.len(), 2);
    }

    #[test]
    fn bytes_have_a_bound() {
        let mut dedup = dedup(1000, 1000);
        for n in 0..50 {
            dedup.see("c1", &n.to_string());
            answer(&mut dedup, "c1", &n.to_string(), &"x".repeat(200));
            assert!(dedup.bytes <= 1000);
        }
        assert_eq!(dedup.len(), 2);
        // An answer that would push everything else out is not kept, but its request is.
        dedup.see("c1", "99");
        answer(&mut dedup, "c1", "99", &"x".repeat(600));
        assert_eq!(dedup.see("c1", "99"), Seen::Unanswered);
        for n in 0..50 {
            dedup.forget("c1", &n.to_string());
        }
        dedup.forget("c1", "99");
        assert_eq!((dedup.len(), dedup.bytes), (0, 0));
    }
}
