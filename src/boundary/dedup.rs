//! The answers to the newest requests, for those that come again.

use lru::LruCache;

use crate::time::{Duration, Instant};

/// How many answers are kept for requests that come again. It may grow: end yours with `..DedupConfig::default()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DedupConfig {
    /// So many requests. A request is forgotten when so many others came after it was last seen, unless it is still
    /// worked on.
    pub entries: usize,
    /// About so many bytes in all. An answer that does not fit is not kept.
    pub bytes: usize,
    /// A request that comes again longer than this after it was last seen is another one, unless it is still worked on.
    pub within: Duration,
}

impl Default for DedupConfig {
    /// 10,000 requests, 64 MiB, 5 seconds: then a client has given up.
    fn default() -> Self {
        Self { entries: 10_000, bytes: 64 * 1024 * 1024, within: Duration::from_secs(5) }
    }
}

/// What an entry takes beside its key and its answer.
const ENTRY_BYTES: usize = 160;

/// A request with a longer name is not remembered.
const NAME_MAX: usize = 1024;

/// The requests that were seen last, by `src`, `msg_id` and content, with their answers. What was not used for the
/// longest time is forgotten first.
///
/// No request gets the answer of another one. A sender that is started again numbers from 0 again: if one of its numbers
/// comes with another content than before, that is what has happened, and what it asked before counts no more. What
/// cannot be told from a repetition is the same question under the same number within [`DedupConfig::within`].
#[derive(Debug)]
pub(crate) struct Dedup<A> {
    config: DedupConfig,
    seen: LruCache<Box<[u8]>, Entry<A>>,
    /// In which of its lives, as far as can be told, each sender is that was started again.
    lives: LruCache<Box<str>, u64>,
    lives_ever: u64,
    /// What everything takes.
    bytes: usize,
    key: Vec<u8>,
}

#[derive(Debug)]
struct Entry<A> {
    /// What was asked, and in which life of its sender.
    content: u128,
    life: u64,
    seen: Instant,
    answer: Answer<A>,
}

#[derive(Debug)]
enum Answer<A> {
    /// It is worked on. It must not be forgotten, or it might be worked on twice.
    Open,
    /// It has no answer that could be given again.
    Silent,
    /// It has an answer of so many bytes.
    Answered(A, usize),
}

/// What is known of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen<'a, A> {
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
        let (seen, lives) = (LruCache::unbounded(), LruCache::unbounded());
        Self { config, seen, lives, lives_ever: 0, bytes: 0, key: Vec::new() }
    }

    /// How many requests are known.
    pub fn len(&self) -> usize {
        self.seen.len()
    }

    /// What is known of the request of this `content` that `src` sent with this `msg_id`. One that is new is being
    /// worked on until it is [`answered`](Self::answered), [`closed`](Self::closed) or [`forgotten`](Self::forget).
    pub fn see(&mut self, now: Instant, src: &str, msg_id: &str, content: u128) -> Seen<'_, A> {
        if src.len() + msg_id.len() > NAME_MAX {
            return Seen::Never;
        }
        self.find(src, msg_id);
        let life = self.lives.get(src).copied().unwrap_or(0);
        let (is_known, was_open) = match self.seen.peek(&*self.key) {
            None => (false, false),
            Some(entry) => {
                let is_open = matches!(entry.answer, Answer::Open);
                let is_recent = is_open || now - entry.seen <= self.config.within;
                let is_same = entry.content == content && entry.life == life && is_recent;
                (is_same, is_open && !is_same)
            }
        };
        if is_known {
            return match self.seen.get_mut(&*self.key) {
                Some(Entry { seen, answer, .. }) => {
                    *seen = now;
                    if let Answer::Answered(answer, _) = answer {
                        Seen::Answered(answer)
                    } else {
                        Seen::Unanswered
                    }
                }
                None => Seen::Never,
            };
        }
        let life = if self.remove().is_some_and(|entry| entry.content != content) {
            self.next_life(src)
        } else {
            life
        };
        // Of two that are worked on under one number nobody can tell whose answer comes.
        let answer = if was_open { Answer::Silent } else { Answer::Open };
        self.bytes += self.key.len() + ENTRY_BYTES;
        self.seen.push(self.key.as_slice().into(), Entry { content, life, seen: now, answer });
        self.shrink();
        Seen::Never
    }

    /// The answer to a request, of so many bytes. Only the first one is kept, and only while the request is known.
    pub fn answered(&mut self, src: &str, msg_id: &str, bytes: usize, answer: impl FnOnce() -> A) {
        self.find(src, msg_id);
        let Some(Entry { answer: state @ Answer::Open, .. }) = self.seen.get_mut(&*self.key) else { return };
        if bytes <= self.config.bytes / 2 {
            *state = Answer::Answered(answer(), bytes);
            self.bytes += bytes;
            self.shrink();
        } else {
            *state = Answer::Silent;
        }
    }

    /// Nobody works on the request any more, whether it has an answer or not.
    pub fn closed(&mut self, src: &str, msg_id: &str) {
        self.find(src, msg_id);
        if let Some(Entry { answer: answer @ Answer::Open, .. }) = self.seen.peek_mut(&*self.key) {
            *answer = Answer::Silent;
        }
    }

    /// The request was not done, and may come again.
    pub fn forget(&mut self, src: &str, msg_id: &str) {
        self.find(src, msg_id);
        self.remove();
    }

    /// Takes the entry out that was found.
    fn remove(&mut self) -> Option<Entry<A>> {
        let (key, entry) = self.seen.pop_entry(&*self.key)?;
        self.bytes -= size(&key, &entry);
        Some(entry)
    }

    /// A sender was started again. What it asked in its earlier lives is forgotten before its life is, as whatever
    /// counts among the newest is younger than that.
    fn next_life(&mut self, src: &str) -> u64 {
        self.lives_ever += 1;
        self.lives.push(src.into(), self.lives_ever);
        if self.lives.len() > self.config.entries {
            self.lives.pop_lru();
        }
        self.lives_ever
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
                Some((key, entry)) if matches!(entry.answer, Answer::Open) => {
                    drop(self.seen.push(key, entry));
                }
                Some((key, entry)) => self.bytes -= size(&key, &entry),
                None => return,
            }
        }
    }
}

fn size<A>(key: &[u8], entry: &Entry<A>) -> usize {
    let answer = if let Answer::Answered(_, bytes) = entry.answer { bytes } else { 0 };
    key.len() + ENTRY_BYTES + answer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dedup(entries: usize, bytes: usize) -> Dedup<String> {
        Dedup::new(DedupConfig { entries, bytes, ..DedupConfig::default() })
    }

    /// The same content each time, and no time passes.
    fn see<'a>(dedup: &'a mut Dedup<String>, src: &str, msg_id: &str) -> Seen<'a, String> {
        dedup.see(Instant::START, src, msg_id, 0)
    }

    fn answer(dedup: &mut Dedup<String>, src: &str, msg_id: &str, answer: &str) {
        dedup.answered(src, msg_id, answer.len(), || answer.to_owned());
    }

    #[test]
    fn a_request_is_known_by_its_sender_and_number() {
        let mut dedup = dedup(9, 10_000);
        assert_eq!(see(&mut dedup, "c1", "1"), Seen::Never);
        assert_eq!(see(&mut dedup, "c1", "1"), Seen::Unanswered);
        answer(&mut dedup, "c1", "1", "yes");
        answer(&mut dedup, "c1", "1", "no");
        assert_eq!(see(&mut dedup, "c1", "1"), Seen::Answered(&"yes".to_owned()));
        for (src, msg_id) in [("c1", "11"), ("c11", "1"), ("c1\"1", "1"), ("c", "11")] {
            assert_eq!(see(&mut dedup, src, msg_id), Seen::Never, "{src} {msg_id}");
        }
        answer(&mut dedup, "c2", "1", "to nobody");
        assert_eq!(see(&mut dedup, "c2", "1"), Seen::Never);
        dedup.forget("c2", "1");
        assert_eq!(see(&mut dedup, "c2", "1"), Seen::Never);
    }

    #[test]
    fn what_was_not_used_for_the_longest_time_goes_first_unless_it_is_worked_on() {
        let mut dedup = dedup(2, 10_000);
        see(&mut dedup, "open", "1");
        see(&mut dedup, "b", "1");
        dedup.closed("b", "1");
        see(&mut dedup, "c", "1");
        assert_eq!(see(&mut dedup, "open", "1"), Seen::Unanswered);
        assert_eq!(see(&mut dedup, "b", "1"), Seen::Never);
        // All are worked on: there are more of them than there should be, for a while.
        assert_eq!(dedup.len(), 3);
        for src in ["open", "b", "c"] {
            dedup.closed(src, "1");
        }
        see(&mut dedup, "d", "1");
        assert_eq!(dedup.len(), 2);
    }

    #[test]
    fn bytes_have_a_bound() {
        let mut dedup = dedup(1000, 1000);
        for n in 0..50 {
            see(&mut dedup, "c1", &n.to_string());
            answer(&mut dedup, "c1", &n.to_string(), &"x".repeat(200));
            assert!(dedup.bytes <= 1000);
        }
        assert_eq!(dedup.len(), 2);
        // An answer that would push everything else out is not kept, but its request is.
        see(&mut dedup, "c1", "99");
        answer(&mut dedup, "c1", "99", &"x".repeat(600));
        assert_eq!(see(&mut dedup, "c1", "99"), Seen::Unanswered);
        for n in 0..50 {
            dedup.forget("c1", &n.to_string());
        }
        dedup.forget("c1", "99");
        assert_eq!((dedup.len(), dedup.bytes), (0, 0));
    }

    #[test]
    fn a_sender_that_was_started_again_asks_anew() {
        let mut dedup = dedup(9, 10_000);
        for (msg_id, content) in [("1", 10), ("2", 20), ("3", 30)] {
            assert_eq!(dedup.see(Instant::START, "n2", msg_id, content), Seen::Never);
            answer(&mut dedup, "n2", msg_id, "old");
        }
        assert_eq!(dedup.see(Instant::START, "n3", "3", 30), Seen::Never);
        answer(&mut dedup, "n3", "3", "of n3");
        // Another content under a number that was used: from here on nothing of what it was told counts.
        assert_eq!(dedup.see(Instant::START, "n2", "1", 11), Seen::Never);
        assert_eq!(dedup.see(Instant::START, "n2", "2", 20), Seen::Never);
        assert_eq!(dedup.see(Instant::START, "n2", "1", 11), Seen::Unanswered);
        answer(&mut dedup, "n2", "2", "new");
        assert_eq!(dedup.see(Instant::START, "n2", "2", 20), Seen::Answered(&"new".to_owned()));
        assert_eq!(dedup.see(Instant::START, "n3", "3", 30), Seen::Answered(&"of n3".to_owned()));
    }

    #[test]
    fn of_two_under_one_number_neither_gets_the_others_answer() {
        let mut dedup = dedup(9, 10_000);
        assert_eq!(dedup.see(Instant::START, "n2", "1", 10), Seen::Never);
        assert_eq!(dedup.see(Instant::START, "n2", "1", 11), Seen::Never);
        answer(&mut dedup, "n2", "1", "to whom?");
        assert_eq!(dedup.see(Instant::START, "n2", "1", 11), Seen::Unanswered);
    }

    #[test]
    fn what_was_not_seen_for_long_is_asked_anew() {
        let mut dedup = dedup(9, 10_000);
        let at = |seconds| Instant::START + Duration::from_secs(seconds);
        dedup.see(at(0), "c1", "1", 0);
        assert_eq!(dedup.see(at(9), "c1", "1", 0), Seen::Unanswered, "it is worked on");
        answer(&mut dedup, "c1", "1", "yes");
        assert_eq!(dedup.see(at(14), "c1", "1", 0), Seen::Answered(&"yes".to_owned()));
        assert_eq!(dedup.see(at(20), "c1", "1", 0), Seen::Never);
    }
}
