//! Ctrl-C, SIGTERM and SIGHUP while nothing else looks after them.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use crate::workbench::processes::interrupted;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::iterator::{Handle, Signals};

use super::args::{NOT_ENDED, complain};

const SIGNALS: [i32; 3] = [SIGINT, SIGTERM, SIGHUP];

/// Looks after signals, which do what they do to any program unless a [`Guard`] lives or [`hold`](Self::hold) was called:
/// once a handler was there, as the driver of processes has one, the system would leave them without any effect.
pub struct Interrupts {
    is_default: Arc<AtomicBool>,
}

impl Interrupts {
    pub fn new() -> io::Result<Self> {
        let is_default = Arc::new(AtomicBool::new(true));
        for signal in SIGNALS {
            flag::register_conditional_default(signal, Arc::clone(&is_default))?;
        }
        Ok(Self { is_default })
    }

    /// Somebody else looks after them now.
    pub fn hold(&self) {
        self.is_default.store(false, Ordering::SeqCst);
    }

    /// Nobody does.
    pub fn release(&self) {
        self.is_default.store(true, Ordering::SeqCst);
    }

    /// Calls this at the first signal, which does nothing else then. The next one does what it does to any program.
    pub fn on_first(&self, mut then: impl FnMut(i32) + Send + 'static) -> io::Result<()> {
        let mut signals = Signals::new(SIGNALS)?;
        self.hold();
        let is_default = Arc::clone(&self.is_default);
        thread::spawn(move || {
            if let Some(signal) = signals.forever().next() {
                is_default.store(true, Ordering::SeqCst);
                then(signal);
            }
        });
        Ok(())
    }

    /// While this lives, a signal ends the program, and says where that is which was written until then.
    pub fn guard(&self, folder: &Path) -> io::Result<Guard<'_>> {
        let mut signals = Signals::new(SIGNALS)?;
        self.hold();
        let (handle, folder) = (signals.handle(), folder.to_owned());
        let thread = thread::spawn(move || {
            if let Some(signal) = signals.forever().next() {
                let reason = interrupted(signal);
                complain(&format_args!(
                    "{reason} before the verdict; what happened is in {}",
                    folder.display()
                ));
                std::process::exit(NOT_ENDED.into());
            }
        });
        Ok(Guard { interrupts: self, handle, thread: Some(thread) })
    }
}

/// See [`Interrupts::guard`].
pub struct Guard<'a> {
    interrupts: &'a Interrupts,
    handle: Handle,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.handle.close();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        self.interrupts.release();
    }
}
