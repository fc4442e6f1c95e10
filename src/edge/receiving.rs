//! A receiver at its edge, from its arrival to the end of its lane. Knows no HTTP: the front makes
//! the lane and what it opens with.

use std::io;
use std::task::{Context, Poll};
use std::time::Instant;

use super::attached::Attached;
use super::inbox::Post;
use super::party::{Act, Input};
use super::wish::{ReceiveWish, Received};
use super::{Claim, Edge, Offer, Outfit, rejections};
use crate::flow::{self, LaneEnd, LaneHold};
use crate::pipe::{Failure, Role, Seat, TransferId};

/// Makes a way to the client, and what it opens with.
pub type MakeWay<'a> = &'a mut dyn FnMut() -> io::Result<Outfit>;

/// One receiver. Dropping it leaves: its place is free, its lane is dropped from the fan-out.
pub struct Receiving {
    attached: Attached,
    wish: ReceiveWish,
    lane: Option<(TransferId, LaneHold)>,
    /// The sender of its match is at another node.
    abroad: bool,
    /// The node stops: it will not attach again.
    stopping: bool,
    done: Option<Received>,
}

impl Receiving {
    /// A receiver that asks for its place now.
    pub fn new(edge: &Edge, wish: ReceiveWish) -> Self {
        let attached = Attached::new(edge.clone(), wish.path.clone(), Role::Receiver, wish.n, None);
        let (abroad, stopping) = (false, false);
        let mut receiving = Self { attached, wish, lane: None, abroad, stopping, done: None };
        receiving.attached.step(Input::Arrive);
        receiving
    }

    /// Waits for the end of the request. `lane` makes the way to the client and says what it opens
    /// with; it is called for each match. Cancel-safe.
    pub async fn outcome(&mut self, lane: MakeWay<'_>) -> Received {
        std::future::poll_fn(|cx| self.poll_outcome(cx, lane)).await
    }

    #[cfg(test)]
    pub(super) fn seat(&self) -> Seat {
        self.attached.party.seat()
    }

    fn poll_outcome(&mut self, cx: &mut Context<'_>, lane: MakeWay<'_>) -> Poll<Received> {
        loop {
            if let Some(done) = self.done.take() {
                rejections::received(&done);
                return Poll::Ready(done);
            }
            if let Poll::Ready(post) = self.attached.poll_post(cx) {
                self.on_post(post, lane);
            } else if self.poll_lane(cx).is_pending() && self.poll_clock(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    fn on_post(&mut self, post: Post, lane: MakeWay<'_>) {
        match post {
            Post::Shutdown => self.shut_down(),
            Post::Lane(_) => debug_assert!(false, "lanes are offered to senders"),
            post => {
                let input = self.attached.input(post);
                for act in input.map(|input| self.step(input)).unwrap_or_default() {
                    if let Act::Meet { transfer, sender, .. } = act {
                        self.meet(transfer, sender, lane);
                    }
                }
            }
        }
    }

    /// Feeds the machine; what ends the request is noted, the rest is returned.
    fn step(&mut self, input: Input) -> Vec<Act> {
        let mut acts = self.attached.step(input);
        acts.retain(|act| match act {
            Act::Refused(why) => {
                self.done = Some(Received::Refused(why.clone()));
                false
            }
            Act::Failed(why) => {
                self.done = Some(Received::Failed(why.clone()));
                false
            }
            Act::LetGo => {
                self.lane = None;
                false
            }
            _ => true,
        });
        acts
    }

    /// Offers a lane to the sender's side. Without a way (no descriptor to spare, or no client any
    /// more) this receiver has to go, and the match is undone.
    fn meet(&mut self, transfer: TransferId, sender: Seat, lane: MakeWay<'_>) {
        let Ok(Outfit { way, start, open }) = lane() else {
            self.done = Some(Received::NoLane);
            return;
        };
        let (lane, hold) = flow::lane(way);
        self.abroad = !self.attached.edge.is_me(sender.party.origin);
        self.lane = Some((transfer, hold));
        let seats = [self.attached.party.seat()].into();
        let (claim, start) = (Claim { transfer, seats, attempt: 1 }, Some(start));
        let offer = Offer { claim, lane, wants: self.wish.wants, start, open };
        self.attached.edge.offer(sender.party, offer);
    }

    /// Its sender's side ends the transfer and answers for it, if that is this node too.
    fn shut_down(&mut self) {
        match &self.lane {
            Some((_, hold)) if self.abroad => hold.give_up(),
            Some(_) => {}
            None => return self.stop(),
        }
        self.stopping = true;
    }

    fn stop(&mut self) {
        self.done = Some(Received::Failed(Failure::ShuttingDown));
    }

    fn poll_lane(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some((transfer, hold)) = &mut self.lane else { return Poll::Pending };
        let transfer = *transfer;
        hold.poll_ended(cx).map(|end| {
            self.lane = None;
            if end == LaneEnd::Undone && self.stopping {
                return self.stop();
            }
            if end == LaneEnd::Undone {
                self.step(Input::Undone(transfer));
                return;
            }
            self.step(Input::Started(transfer));
            self.done = Some(match end {
                LaneEnd::Whole => Received::Whole,
                LaneEnd::Cut | LaneEnd::Undone => Received::Cut,
            });
        })
    }

    fn poll_clock(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = self.attached.arrived() + self.wish.wait;
        let now = Instant::now();
        let next = if let Some(until) = self.attached.leaving() {
            until
        } else if self.lane.is_some() && deadline <= now {
            // Its deadline has passed while it was pinned: it is told if the match is undone.
            return Poll::Pending;
        } else {
            self.attached.party.hopeless_at().map_or(deadline, |at| at.min(deadline))
        };
        self.attached.poll_until(cx, next).map(|()| {
            let hopeless = Some(next) == self.attached.party.hopeless_at();
            self.step(if hopeless { Input::Hopeless } else { Input::Deadline });
        })
    }
}
