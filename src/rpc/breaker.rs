//! A circuit breaker: stop asking a peer that does not answer.

use fastrand::Rng;

use crate::time::{Duration, Instant};

/// When a breaker opens, and how it finds out that it may close again. It may grow: end yours with
/// `..BreakerConfig::default()`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BreakerConfig {
    /// So many failures in a row open it.
    pub failures: u32,
    /// It stays open for this long, and up to half as long again by chance, lest all nodes come back at once.
    pub cool_down: Duration,
    /// Then so many calls are let through; if all of them succeed it closes, and one that fails opens it.
    pub probes: u32,
}

impl Default for BreakerConfig {
    /// Five failures, one second, one probe.
    fn default() -> Self {
        Self { failures: 5, cool_down: Duration::from_secs(1), probes: 1 }
    }
}

/// The breaker of one peer.
#[derive(Clone, Debug)]
pub(crate) struct Breaker {
    config: BreakerConfig,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed { failures: u32 },
    Open { until: Instant },
    HalfOpen { started: u32, succeeded: u32, until: Instant },
}

impl Breaker {
    /// A closed breaker.
    pub const fn new(config: BreakerConfig) -> Self {
        Self { config, state: State::Closed { failures: 0 } }
    }

    /// Whether a call may be made now. Say how it went with [`succeeded`](Self::succeeded) or
    /// [`failed`](Self::failed).
    pub fn allows(&mut self, now: Instant) -> bool {
        match &mut self.state {
            State::Closed { .. } => true,
            State::Open { until } if now < *until => false,
            State::HalfOpen { started, until, .. } if *started >= self.config.probes && now < *until => false,
            State::HalfOpen { started, until, .. } if *started < self.config.probes => {
                *started += 1;
                *until = now + self.config.cool_down;
                true
            }
            // The cool-down is over, or the probes never came to an end.
            State::Open { .. } | State::HalfOpen { .. } => {
                let until = now + self.config.cool_down;
                self.state = State::HalfOpen { started: 1, succeeded: 0, until };
                true
            }
        }
    }

    /// The peer answered.
    pub fn succeeded(&mut self) {
        match &mut self.state {
            State::Closed { failures } => *failures = 0,
            // The answer to a call from before it opened says little about now.
            State::Open { .. } => {}
            State::HalfOpen { succeeded, .. } => {
                *succeeded += 1;
                if *succeeded >= self.config.probes {
                    self.state = State::Closed { failures: 0 };
                }
            }
        }
    }

    /// The peer did not answer, or not with what it was asked for.
    pub fn failed(&mut self, now: Instant, rng: &mut Rng) {
        match &mut self.state {
            State::Closed { failures } if *failures + 1 < self.config.failures => *failures += 1,
            State::Open { .. } => {}
            State::Closed { .. } | State::HalfOpen { .. } => {
                let cool_down = self.config.cool_down.as_micros();
                let until = now + Duration::from_micros(cool_down + rng.u64(0..=cool_down / 2));
                self.state = State::Open { until };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: BreakerConfig =
        BreakerConfig { failures: 3, cool_down: Duration::from_millis(100), probes: 2 };

    fn at(millis: u64) -> Instant {
        Instant::from_micros(millis * 1000)
    }

    #[test]
    fn opens_after_failures_in_a_row_and_closes_after_good_probes() {
        let (mut breaker, mut rng) = (Breaker::new(CONFIG), Rng::with_seed(1));
        for _ in 0..2 {
            breaker.failed(at(0), &mut rng);
        }
        breaker.succeeded();
        for _ in 0..2 {
            breaker.failed(at(0), &mut rng);
            assert!(breaker.allows(at(0)), "not in a row");
        }
        breaker.failed(at(0), &mut rng);
        assert!(!breaker.allows(at(99)), "open for the cool-down");
        assert!(breaker.allows(at(150)), "and at most half as long again");
        assert!(breaker.allows(at(150)));
        assert!(!breaker.allows(at(150)), "two probes and no more");
        breaker.succeeded();
        assert!(!breaker.allows(at(151)), "one good probe is not enough");
        breaker.succeeded();
        assert!((0..10).all(|_| breaker.allows(at(151))), "closed");
    }

    #[test]
    fn a_bad_probe_opens_it_again() {
        let (mut breaker, mut rng) = (Breaker::new(CONFIG), Rng::with_seed(1));
        for _ in 0..3 {
            breaker.failed(at(0), &mut rng);
        }
        assert!(breaker.allows(at(150)));
        breaker.failed(at(160), &mut rng);
        assert!(!breaker.allows(at(259)));
        assert!(breaker.allows(at(310)));
    }

    #[test]
    fn probes_that_never_end_do_not_keep_it_shut_for_ever() {
        let (mut breaker, mut rng) = (Breaker::new(CONFIG), Rng::with_seed(1));
        for _ in 0..3 {
            breaker.failed(at(0), &mut rng);
        }
        assert!(breaker.allows(at(150)) && breaker.allows(at(150)));
        assert!(!breaker.allows(at(249)));
        assert!(breaker.allows(at(250)));
    }
}
