//! A value that somebody waits for, and its way there.

use std::cell::RefCell;
use std::mem;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// The two ends: of the one comes what is put into the other.
pub(super) fn oneshot<T>() -> (Sender<T>, Receiver<T>) {
    let shared = Rc::new(RefCell::new(Shared { state: State::Empty, waker: None }));
    (Sender(Rc::clone(&shared)), Receiver(shared))
}

/// Puts the value in. If it is dropped before, whoever waits panics.
#[derive(Debug)]
pub(super) struct Sender<T>(Rc<RefCell<Shared<T>>>);

/// Waits for the value.
#[derive(Debug)]
pub(super) struct Receiver<T>(Rc<RefCell<Shared<T>>>);

#[derive(Debug)]
struct Shared<T> {
    state: State<T>,
    waker: Option<Waker>,
}

#[derive(Debug)]
enum State<T> {
    Empty,
    Sent(T),
    /// Nothing will come: what was to send it panicked.
    Closed,
}

impl<T> Sender<T> {
    pub(super) fn send(self, value: T) {
        self.0.borrow_mut().state = State::Sent(value);
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut shared = self.0.borrow_mut();
        if matches!(shared.state, State::Empty) {
            shared.state = State::Closed;
        }
        if let Some(waker) = shared.waker.take() {
            waker.wake();
        }
    }
}

impl<T> Future for Receiver<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let mut shared = self.0.borrow_mut();
        match mem::replace(&mut shared.state, State::Empty) {
            State::Sent(value) => Poll::Ready(value),
            State::Closed => panic!("what this handler waited for panicked"),
            State::Empty => {
                shared.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}
