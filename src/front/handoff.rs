//! Where the maker of a receiver's lane leaves the lane's other end for the task that empties it.
//! Knows nothing of what is left there.

use std::cell::{Cell, RefCell};

use tokio::sync::Notify;

/// A place for one thing at a time, on one thread. What is left there replaces what was not fetched.
pub struct Handoff<T> {
    place: RefCell<Option<T>>,
    closed: Cell<bool>,
    news: Notify,
}

impl<T> Handoff<T> {
    /// An empty place.
    pub fn new() -> Self {
        Self { place: RefCell::new(None), closed: Cell::new(false), news: Notify::new() }
    }

    /// Leaves `thing` there.
    pub fn leave(&self, thing: T) {
        *self.place.borrow_mut() = Some(thing);
        self.news.notify_one();
    }

    /// Nothing more will be left there.
    pub fn close(&self) {
        self.closed.set(true);
        self.news.notify_one();
    }

    /// Fetches the next thing; `None` when nothing more will come. Cancel-safe.
    pub async fn next(&self) -> Option<T> {
        loop {
            if let Some(thing) = self.place.borrow_mut().take() {
                return Some(thing);
            }
            if self.closed.get() {
                return None;
            }
            self.news.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn the_last_thing_left_is_fetched_and_then_the_end() {
        let handoff = Handoff::new();
        handoff.leave(1);
        handoff.leave(2);
        handoff.close();
        assert_eq!((handoff.next().await, handoff.next().await), (Some(2), None));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn who_waits_is_told() {
        let handoff = Handoff::new();
        let (got, ()) = tokio::join!(handoff.next(), async {
            tokio::task::yield_now().await;
            handoff.leave("x");
        });
        assert_eq!(got, Some("x"));
    }
}
