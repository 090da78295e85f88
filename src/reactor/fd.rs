//! Non-blocking access to descriptors that are shared with other processes.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use mio::unix::SourceFd;
use mio::{Interest, Poll, Token};
use rustix::fs::{FileType, Mode, OFlags, fcntl_getfl, fcntl_setfl, fstat, open};

/// Stdin or stdout, such that reading and writing never block where they could.
///
/// `O_NONBLOCK` belongs to the open file description, which a shell, its terminal and other processes
/// may share: set on theirs, it would break their own reads and writes, during the run and after it. So
/// pipes and terminals are opened once more, for a description of our own. Where that fails, and for
/// sockets, which have no path, the flag is set on the shared description and put back on drop.
/// Regular files never block, and are used as they are.
#[derive(Debug)]
pub(super) struct Descriptor {
    shared: BorrowedFd<'static>,
    private: Option<OwnedFd>,
    restore: Option<OFlags>,
    is_byte_stream: bool,
}

impl Descriptor {
    pub(super) fn stdin() -> io::Result<Self> {
        Self::new(rustix::stdio::stdin(), OFlags::RDONLY)
    }

    pub(super) fn stdout() -> io::Result<Self> {
        Self::new(rustix::stdio::stdout(), OFlags::WRONLY)
    }

    fn new(shared: BorrowedFd<'static>, access: OFlags) -> io::Result<Self> {
        let kind = FileType::from_raw_mode(fstat(shared)?.st_mode);
        // Linux knows pipes of packets too, but their readers cannot tell, and nobody makes one a stdin.
        let is_byte_stream = kind == FileType::Fifo;
        let mut descriptor = Self { shared, private: None, restore: None, is_byte_stream };
        match kind {
            FileType::RegularFile | FileType::Directory => return Ok(descriptor),
            FileType::Fifo | FileType::CharacterDevice => descriptor.private = open_again(shared, access),
            _ => {}
        }
        if is_byte_stream {
            widen(shared);
        }
        if descriptor.private.is_none() {
            let flags = fcntl_getfl(shared)?;
            if !flags.contains(OFlags::NONBLOCK) {
                fcntl_setfl(shared, flags | OFlags::NONBLOCK)?;
                descriptor.restore = Some(flags);
            }
        }
        Ok(descriptor)
    }

    /// Whether a short read means that nothing is left. Elsewhere it may mean the end of a line or of a packet,
    /// with more behind it.
    pub(super) const fn is_byte_stream(&self) -> bool {
        self.is_byte_stream
    }

    /// Asks the poll to tell when the descriptor is ready. `false` if that is not possible, as with
    /// regular files and `/dev/null`, which epoll refuses: they always are.
    pub(super) fn watch(&self, poll: &Poll, token: Token, interest: Interest) -> io::Result<bool> {
        let raw = self.as_fd().as_raw_fd();
        match poll.registry().register(&mut SourceFd(&raw), token, interest) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(super) fn unwatch(&self, poll: &Poll) -> io::Result<()> {
        poll.registry().deregister(&mut SourceFd(&self.as_fd().as_raw_fd()))
    }
}

/// Has a pipe hold more than the 64 KiB that Linux starts with, if the system lets it: while it holds only as much as
/// one read takes, its two ends wait for each other. Not more, because all pipes of a user share a limit.
fn widen(pipe: BorrowedFd<'_>) {
    #[cfg(target_os = "linux")]
    {
        use crate::wire::lines::READ_SIZE;
        use rustix::pipe::{fcntl_getpipe_size, fcntl_setpipe_size};

        const SIZE: usize = 4 * READ_SIZE;
        if fcntl_getpipe_size(pipe).is_ok_and(|size| size < SIZE) {
            let _ = fcntl_setpipe_size(pipe, SIZE);
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = pipe;
}

/// A description of our own for what a descriptor refers to, non-blocking; `None` where the system does
/// not let us, such as without `/proc`.
pub(super) fn open_again(fd: BorrowedFd<'_>, access: OFlags) -> Option<OwnedFd> {
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    open(path, access | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()).ok()
}

impl AsFd for Descriptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.private.as_ref().map_or(self.shared, AsFd::as_fd)
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        if let Some(flags) = self.restore {
            // Nothing can be done about a failure here, and it takes a closed descriptor to fail.
            let _ = fcntl_setfl(self.shared, flags);
        }
    }
}
