//! A wake-up whose time is set once, not in each wait: a timeout of the poll's costs the kernel a timer each time.

use mio::{Poll, Token};

use crate::time::Duration;

/// Wakes the poll after a while, where the system has a descriptor for that.
#[derive(Debug)]
pub(super) struct Alarm {
    #[cfg(target_os = "linux")]
    timer: Option<std::os::fd::OwnedFd>,
    is_set: bool,
}

impl Alarm {
    /// Whether it was set, and wakes the poll or has done so. If not, the poll needs a timeout.
    pub(super) const fn is_set(&self) -> bool {
        self.is_set
    }
}

#[cfg(target_os = "linux")]
impl Alarm {
    pub(super) fn new(poll: &Poll, token: Token) -> Self {
        use rustix::time::{TimerfdClockId, TimerfdFlags, timerfd_create};
        use std::os::fd::AsRawFd as _;

        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags).ok().filter(|timer| {
            let mut source = mio::unix::SourceFd(&timer.as_raw_fd());
            // Each time it goes off is an event, whether it is read or not.
            poll.registry().register(&mut source, token, mio::Interest::READABLE).is_ok()
        });
        Self { timer, is_set: false }
    }

    /// Sets it, anew if need be.
    pub(super) fn set(&mut self, after: Duration) {
        use rustix::time::{Itimerspec, TimerfdTimerFlags, Timespec, timerfd_settime};

        let it_value = Timespec::try_from(std::time::Duration::from(after));
        self.is_set = match (&self.timer, it_value) {
            (Some(timer), Ok(it_value)) => {
                let once = Itimerspec { it_interval: Timespec::default(), it_value };
                timerfd_settime(timer, TimerfdTimerFlags::empty(), &once).is_ok()
            }
            _ => false,
        };
    }
}

#[cfg(not(target_os = "linux"))]
impl Alarm {
    pub(super) fn new(_: &Poll, _: Token) -> Self {
        Self { is_set: false }
    }

    pub(super) fn set(&mut self, _: Duration) {}
}
