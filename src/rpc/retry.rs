//! How often a call is tried, and how long each try waits.

use fastrand::Rng;

use crate::time::Duration;
use crate::wire::error::ErrorCode;

/// A row of waits that grow by a factor, up to a cap, each a little longer by chance.
///
/// Wait `k`, from 0, is `base * factor^k`, plus a random part of up to `jitter` of that, and at most `cap`. It may grow:
/// end yours with `..Backoff::constant(wait)` or `..Backoff::exponential(base, cap)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backoff {
    /// The first wait.
    pub base: Duration,
    /// How many times as long as the one before each wait is: 1 or more.
    pub factor: f64,
    /// No wait is longer than this, jitter included.
    pub cap: Duration,
    /// The largest random part, as a fraction of the wait: 0 to 1.
    pub jitter: f64,
}

impl Backoff {
    /// The same wait each time.
    pub const fn constant(wait: Duration) -> Self {
        Self { base: wait, factor: 1.0, cap: wait, jitter: 0.0 }
    }

    /// Doubling waits with a jitter of up to a tenth.
    pub const fn exponential(base: Duration, cap: Duration) -> Self {
        Self { base, factor: 2.0, cap, jitter: 0.1 }
    }

    /// Wait number `k`, from 0.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "a wait is positive, and a microsecond more or less in a thousand years does no harm"
    )]
    pub fn wait(&self, k: u32, rng: &mut Rng) -> Duration {
        let exponent = i32::try_from(k).unwrap_or(i32::MAX);
        let wait =
            self.base.as_micros() as f64 * self.factor.powi(exponent) * (1.0 + self.jitter * rng.f64());
        // A float that is too large for an integer saturates.
        Duration::from_micros(wait as u64).min(self.cap)
    }
}

/// What a call may do to get its answer.
///
/// Attempt `k` waits for as long as `wait` says. Then the next one is made, with a `msg_id` of its own; an
/// answer to any of them ends the call. An error that is worth another attempt does not cut the wait short,
/// so a peer that is in trouble is not hammered.
///
/// It may grow: begin with one that is made, and end yours with that.
///
/// ```
/// # use messenger::{Duration, Policy, RetryOn};
/// let policy = Policy { retry: RetryOn::Timeout, ..Policy::repeat(3, Duration::from_millis(500)) };
/// # assert_eq!(policy.attempts, 3);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Policy {
    /// How many attempts there are, the first one included; at least one is made, and at most
    /// [`ATTEMPTS_MAX`](Self::ATTEMPTS_MAX).
    pub attempts: u32,
    /// How long each attempt waits for an answer.
    pub wait: Backoff,
    /// The end of it all, counted from the first attempt.
    pub deadline: Duration,
    /// What is worth another attempt.
    pub retry: RetryOn,
}

/// What is worth another attempt. Errors that are definite never are, but for code 11, which says that the
/// request took no effect and may work later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum RetryOn {
    /// Code 11 alone: right for every request.
    Unavailable,
    /// Also no answer in time. The peer may then handle the request twice, so this is for requests that are
    /// idempotent.
    Timeout,
    /// Also answers with a code that leaves open what happened (0, 13 and unknown ones): for requests that are
    /// idempotent, too.
    Indefinite,
}

impl Policy {
    /// The most attempts that a call makes. Each is remembered as long as the call waits: an answer may be to any of
    /// them.
    pub const ATTEMPTS_MAX: u32 = 10_000;

    /// One attempt that waits this long.
    ///
    /// ```
    /// # use messenger::{Duration, Policy};
    /// let policy = Policy::once(Duration::from_millis(300));
    /// assert_eq!(policy.attempts, 1);
    /// ```
    pub const fn once(wait: Duration) -> Self {
        Self { attempts: 1, wait: Backoff::constant(wait), deadline: wait, retry: RetryOn::Unavailable }
    }

    /// Several attempts of the same length, for a request that is idempotent.
    ///
    /// ```
    /// # use messenger::{Duration, Policy};
    /// let policy = Policy::repeat(3, Duration::from_millis(500));
    /// assert_eq!(policy.deadline, Duration::from_millis(1500));
    /// ```
    pub const fn repeat(attempts: u32, wait: Duration) -> Self {
        let deadline = Duration::from_micros(wait.as_micros().saturating_mul(attempts as u64));
        Self { attempts, wait: Backoff::constant(wait), deadline, retry: RetryOn::Indefinite }
    }

    /// Several attempts, each of which waits twice as long as the one before, up to `cap`, for a request that is
    /// idempotent.
    ///
    /// ```
    /// # use messenger::{Duration, Policy};
    /// // Waits of 0.1, 0.2, 0.4, 0.8 and 1 second, each up to a tenth longer.
    /// let policy = Policy::backoff(5, Duration::from_millis(100), Duration::from_secs(1));
    /// assert_eq!(policy.attempts, 5);
    /// ```
    pub const fn backoff(attempts: u32, base: Duration, cap: Duration) -> Self {
        Self { wait: Backoff::exponential(base, cap), ..Self::repeat(attempts, cap) }
    }

    /// Whether no answer is worth another attempt.
    pub fn may_retry_silence(&self) -> bool {
        self.retry >= RetryOn::Timeout
    }

    /// Whether an answer with this error code is worth another attempt.
    pub const fn may_retry(&self, code: ErrorCode) -> bool {
        matches!(code, ErrorCode::TEMPORARILY_UNAVAILABLE)
            || (matches!(self.retry, RetryOn::Indefinite) && !code.is_definite())
    }
}

impl Default for Policy {
    /// One attempt of a second. A client gives up after five, so a call on its behalf has to end before.
    fn default() -> Self {
        Self::once(Duration::from_secs(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_cap_with_a_tenth_of_jitter() {
        let backoff = Backoff::exponential(Duration::from_millis(100), Duration::from_secs(2));
        let mut rng = Rng::with_seed(7);
        for _ in 0..1000 {
            for (k, millis) in [100, 200, 400, 800, 1600].into_iter().enumerate() {
                let wait = backoff.wait(u32::try_from(k).unwrap(), &mut rng).as_micros();
                assert!((millis * 1000..=millis * 1100).contains(&wait), "{wait} µs for try {k}");
            }
            for k in [5, 6, 1000, u32::MAX] {
                assert_eq!(backoff.wait(k, &mut rng), Duration::from_secs(2));
            }
        }
    }

    #[test]
    fn equal_seeds_give_equal_waits() {
        let backoff = Backoff::exponential(Duration::from_millis(100), Duration::from_secs(2));
        let row = |seed| {
            let mut rng = Rng::with_seed(seed);
            (0..5).map(|k| backoff.wait(k, &mut rng)).collect::<Vec<_>>()
        };
        assert_eq!(row(1), row(1));
        assert_ne!(row(1), row(2));
    }

    #[test]
    fn only_what_took_no_effect_or_may_happen_twice_is_retried() {
        let (once, twice) = (Policy::default(), Policy::repeat(3, Duration::from_secs(1)));
        let retried =
            |policy: &Policy| (0..40).filter(|&code| policy.may_retry(ErrorCode(code))).collect::<Vec<_>>();
        assert_eq!(retried(&once), [11]);
        let never = [1, 10, 12, 14, 20, 21, 22, 30];
        assert_eq!(retried(&twice), (0..40).filter(|code| !never.contains(code)).collect::<Vec<_>>());
    }
}
