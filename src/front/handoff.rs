//! Where the maker of a receiver's lane leaves the lane's other end for the task that empties it, and
//! how the two of them end. Knows nothing of what is left there.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

use crate::edge::Received;

/// How long a receiver that is cut may take to accept what its lane still holds.
pub const CUT_MAX: Duration = Duration::from_secs(1);

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

    /// How a receiver's request ends: `outcome` is what its lane's other half says, `deliver` empties
    /// the lanes and says whether one was delivered to its end, `gone` is ready when the client is
    /// lost. Whoever got everything is whole, also if its lane is cut before the other half has heard
    /// of that. `None`: the client is gone, or takes nothing any more.
    pub async fn ending(
        &self,
        mut outcome: Pin<&mut impl Future<Output = Received>>,
        mut deliver: Pin<&mut impl Future<Output = bool>>,
        gone: impl Future<Output = ()>,
    ) -> Option<Received> {
        let end = tokio::select! {
            biased;
            end = &mut outcome => end,
            // A client that has everything may leave before the lane's other half has heard of it.
            whole = &mut deliver => {
                if !whole {
                    return None;
                }
                outcome.await;
                return Some(Received::Whole);
            }
            () = gone => return None,
        };
        if end != Received::Cut {
            return Some(end);
        }
        self.close();
        let whole = timeout(CUT_MAX, deliver).await == Ok(true);
        Some(if whole { Received::Whole } else { Received::Cut })
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::pin::pin;

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

    #[tokio::test(flavor = "current_thread")]
    async fn who_was_delivered_everything_is_whole_though_its_lane_is_cut() {
        for delivered_first in [true, false] {
            let handoff = Handoff::<()>::new();
            let said = Notify::new();
            let outcome = pin!(async {
                if delivered_first {
                    said.notified().await;
                }
                Received::Cut
            });
            let deliver = pin!(async {
                said.notify_one();
                true
            });
            let end = handoff.ending(outcome, deliver, pending()).await;
            assert!(end == Some(Received::Whole), "delivered first: {delivered_first}");
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn who_was_not_is_cut_or_gone() {
        let ending = async |whole: Option<bool>, cut: bool, gone: bool| {
            let handoff = Handoff::<()>::new();
            let outcome = pin!(async {
                if !cut {
                    pending::<()>().await;
                }
                Received::Cut
            });
            let deliver = pin!(async {
                match whole {
                    Some(whole) => whole,
                    None => handoff.next().await.is_some(),
                }
            });
            let left = async {
                if !gone {
                    pending::<()>().await;
                }
            };
            handoff.ending(outcome, deliver, left).await
        };
        assert!(ending(None, true, false).await == Some(Received::Cut));
        assert!(ending(Some(false), false, false).await.is_none());
        assert!(ending(None, false, true).await.is_none());
    }
}
