//! A receiver at its edge, from its arrival to the end of its lane. Knows no HTTP: the front makes
//! the lane and what it opens with.

use std::io;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::attached::Attached;
use super::inbox::Post;
use super::party::{Act, Input};
use super::wish::{ReceiveWish, Received};
use super::{Edge, Offer, Outfit, rejections};
use crate::flow::{self, LaneEnd, LaneHold};
use crate::pipe::{Failure, Role, Seat, TransferId};

/// How long the owner may take to say whether a sender is there, when a wait has passed.
const LEFT_MAX: Duration = Duration::from_secs(1);

/// Makes a way to the client, and what it opens with.
pub type MakeWay<'a> = &'a mut dyn FnMut() -> io::Result<Outfit>;

/// One receiver. Dropping it leaves: its place is free, its lane is dropped from the fan-out.
pub struct Receiving {
    attached: Attached,
    wish: ReceiveWish,
    lane: Option<(TransferId, LaneHold)>,
    /// The owner was asked whether a sender is there; when to stop waiting for the answer.
    leaving: Option<Instant>,
    /// The node stops: it will not attach again.
    stopping: bool,
    done: Option<Received>,
}

impl Receiving {
    /// A receiver that asks for its place now.
    pub fn new(edge: &Edge, wish: ReceiveWish) -> Self {
        let attached = Attached::new(edge.clone(), wish.path.clone(), Role::Receiver, wish.n, None);
        let mut receiving =
            Self { attached, wish, lane: None, leaving: None, stopping: false, done: None };
        receiving.attached.step(Input::Arrive);
        receiving
    }

    /// Waits for the end of the request. `lane` makes the way to the client and says what it opens
    /// with; it is called for each match. Cancel-safe.
    pub async fn outcome(&mut self, lane: MakeWay<'_>) -> Received {
        std::future::poll_fn(|cx| self.poll_outcome(cx, lane)).await
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
            Post::Answer(answer) => {
                for act in self.step(Input::Owner(answer)) {
                    if let Act::Meet { transfer, sender, .. } = act {
                        self.meet(transfer, sender, lane);
                    }
                }
            }
            // Whoever has its lane ends the transfer, and answers for it.
            Post::Shutdown if self.lane.is_some() => self.stopping = true,
            Post::Shutdown => self.stop(),
            Post::Lane(_) => debug_assert!(false, "lanes are offered to senders"),
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
        self.lane = Some((transfer, hold));
        let (seat, wants) = (self.attached.party.seat(), self.wish.wants);
        let start = Some(start);
        self.attached.edge.offer(sender.party, Offer { transfer, seat, lane, wants, start, open });
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
        let next = if self.attached.party.is_leaving() {
            *self.leaving.get_or_insert(now + LEFT_MAX)
        } else if self.lane.is_some() && deadline <= now {
            // Its deadline has passed while it was pinned: it is told if the match is undone.
            return Poll::Pending;
        } else {
            deadline
        };
        self.attached.poll_until(cx, next).map(|()| {
            self.step(Input::Deadline);
        })
    }
}
