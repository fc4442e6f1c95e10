//! A sender at its edge, from its arrival to the end of its transfer: the only place that commits.
//!
//! Drives the party machine, the gathering of lanes, the fan-out and their clocks on the sender's
//! thread, and tells the front what to say. Knows no HTTP: what a notice looks like, how the client
//! is watched and how its body is read is the front's business.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::Edge;
use super::attached::Attached;
use super::gather::Gather;
use super::inbox::Post;
use super::ledger;
use super::offer::Offer;
use super::party::{Act, Input};
use super::rejections;
use super::reporting::Transfer;
use super::stage::Stage;
use super::start;
use super::wish::{Body, SendEvent, SendWish};
use crate::flow::{self, Bell, Fanout};
use crate::meter::{self, Loss};
use crate::pipe::{Answer, Call, Failure, Head, Notice, Outcome, Role, Sum};

/// A waiting sender hears something at least this often (spec §9).
const HEARTBEAT: Duration = Duration::from_secs(25);

/// One sender. Dropping it leaves: a waiting one gives up its place, a running transfer is cut.
pub struct Sending<B: Body> {
    attached: Attached,
    wish: SendWish,
    body: Option<B>,
    stage: Stage<B>,
    events: VecDeque<SendEvent>,
    bell: Arc<Bell>,
    /// Receivers at the name while waiting, for the heartbeat.
    there: u16,
    /// It came last, and has had no match yet.
    fresh: bool,
    /// When the last notice was given while waiting.
    last: Instant,
    /// The body was read to its end.
    uploaded: bool,
}

impl<B: Body> Sending<B> {
    /// A sender that asks for its place now.
    pub fn new(edge: &Edge, wish: SendWish, body: B) -> Self {
        let (path, label) = (wish.path.clone(), wish.label.clone());
        let attached = Attached::new(edge.clone(), path, Role::Sender, wish.n, label);
        let last = attached.arrived();
        let mut sending = Self {
            attached,
            wish,
            body: Some(body),
            stage: Stage::Waiting,
            events: VecDeque::new(),
            bell: Arc::default(),
            there: 0,
            fresh: false,
            last,
            uploaded: false,
        };
        sending.feed(Input::Arrive);
        sending
    }

    /// What happens next. Cancel-safe.
    pub async fn next(&mut self) -> SendEvent {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    /// The client's host has acknowledged everything: it is alive, the match may start.
    pub fn confirm(&mut self) {
        if let Stage::Gathering(gather) = &mut self.stage
            && gather.is_full()
        {
            self.commit();
        }
    }

    /// The body was read to its end: from here on losing the client fails nothing (spec §8).
    pub fn is_uploaded(&self) -> bool {
        self.uploaded
    }

    /// Bytes of the body that were read; for a body that is forwarded as it comes.
    pub fn taken(&self) -> u64 {
        match &self.stage {
            Stage::Streaming(_, fanout) => fanout.total(),
            _ => 0,
        }
    }

    /// Its receivers take nothing, so that nothing of its body is read either.
    pub fn is_held_up(&self) -> bool {
        matches!(&self.stage, Stage::Streaming(_, fanout) if fanout.is_held_up())
    }

    /// The client cannot complete its body any more.
    pub fn lose(&mut self) {
        self.fail(Failure::SenderLost);
    }

    /// The body, for reading what is left of it. `None` after a failure that kept it.
    pub fn into_body(mut self) -> Option<B> {
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Streaming(_, fanout) => Some(fanout.into_source()),
            _ => self.body.take(),
        }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<SendEvent> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Poll::Ready(event);
            }
            if let Poll::Ready(post) = self.attached.poll_post(cx) {
                self.on_post(post);
            } else if self.poll_stage(cx).is_pending() && self.poll_clock(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    fn on_post(&mut self, post: Post) {
        match post {
            Post::Answer(Answer::Tell { notice, .. }) => self.told(notice),
            Post::Answer(Answer::Abort { transfer, why, .. }) => {
                if self.stage.transfer() == Some(transfer) {
                    self.fail(why);
                }
            }
            Post::Answer(answer) => self.feed(Input::Owner(answer)),
            Post::Lane(offer) => self.on_lane(*offer),
            Post::Shutdown => self.fail(Failure::ShuttingDown),
        }
    }

    /// A notice of the owner, while waiting.
    fn told(&mut self, notice: Notice) {
        match notice {
            Notice::Connected => self.there += 1,
            Notice::Disconnected => self.there = self.there.saturating_sub(1),
            _ => {}
        }
        self.say(notice);
    }

    fn say(&mut self, notice: Notice) {
        self.last = Instant::now();
        self.events.push_back(SendEvent::Notice(notice));
    }

    fn on_lane(&mut self, offer: Offer) {
        if let Stage::Gathering(gather) = &mut self.stage {
            offer.lane.hang(self.bell.clone());
            gather.add(offer);
            if gather.is_full() {
                self.events.push_back(SendEvent::Confirm { fresh: self.fresh });
            }
        }
    }

    fn feed(&mut self, input: Input) {
        for act in self.attached.step(input) {
            match act {
                Act::Admitted { k } => self.admitted(k),
                Act::Meet { transfer, sender, receivers } => {
                    let gather = Gather::new(Instant::now(), transfer, sender, receivers);
                    self.stage = Stage::Gathering(Box::new(gather));
                }
                Act::LetGo => (self.stage, self.fresh) = (Stage::Waiting, false),
                Act::Refused(why) => {
                    rejections::refused(&why);
                    self.events.push_back(SendEvent::Refused(why));
                    self.stage = Stage::Over;
                }
                Act::Failed(why) => self.fail(why),
                Act::Attach { .. } | Act::Leave { .. } | Act::Unready { .. } => {}
            }
        }
    }

    fn admitted(&mut self, k: u16) {
        self.there = k;
        self.fresh = k == self.wish.n;
        self.events.push_back(SendEvent::Admitted);
        self.say(Notice::Waiting { n: self.wish.n });
        if k > 0 {
            self.say(Notice::AlreadyConnected { k });
        }
    }

    fn poll_stage(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.stage {
            Stage::Waiting => Poll::Pending,
            Stage::Gathering(gather) => {
                let broken = self.bell.poll_heard(cx).map(|()| gather.is_broken());
                if let (true, x) = (broken == Poll::Ready(true), gather.transfer) {
                    self.feed(Input::Undone(x));
                }
                broken.map(|_| ())
            }
            Stage::Opening(_, lanes) => {
                let before = lanes.len();
                if self.bell.poll_heard(cx).is_ready() {
                    lanes.retain(|offer| !offer.lane.is_gone());
                    let (gone, none) = (before - lanes.len(), lanes.is_empty());
                    (0..gone).for_each(|_| self.lost_one());
                    if none {
                        self.fail(Failure::ReceiversGone);
                    }
                    return Poll::Ready(());
                }
                let Some(body) = &mut self.body else { return Poll::Pending };
                body.poll_head(cx).map(|head| match head {
                    Ok(head) => self.open(&head),
                    Err(why) => self.fail(why),
                })
            }
            Stage::Streaming(_, fanout) => fanout.poll_next(cx).map(|event| self.flowed(event)),
            Stage::Over => {
                self.events.push_back(SendEvent::Over);
                Poll::Ready(())
            }
        }
    }

    /// Starts, all at once, if every client is still there.
    fn commit(&mut self) {
        let Stage::Gathering(gather) = &mut self.stage else { return };
        let id = gather.transfer;
        if !gather.is_alive() {
            return self.feed(Input::Undone(id));
        }
        let roll = std::mem::take(&mut gather.roll);
        let mut lanes = std::mem::take(&mut gather.lanes);
        lanes.iter_mut().for_each(Offer::start);
        let hashed = self.wish.sha256 || lanes.iter().any(|offer| offer.wants.sha256);
        let transfer = Transfer::begin(id, self.wish.n, hashed);
        self.stage = Stage::Opening(Box::new(transfer), lanes);
        self.feed(Input::Started(id));
        let (total, label) = (self.wish.length, self.wish.label.clone());
        self.attached.call(Call::Ready { transfer: id, roll, total, label });
        self.say(Notice::Streaming { n: self.wish.n });
    }

    /// The declaration is known: every receiver gets its head, and the bytes flow.
    fn open(&mut self, head: &Head) {
        let stage = std::mem::replace(&mut self.stage, Stage::Over);
        let (Stage::Opening(transfer, offers), Some(body)) = (stage, self.body.take()) else {
            return;
        };
        let settings = *self.attached.edge.settings();
        let id =
            self.wish.label.as_ref().map_or_else(|| transfer.id.to_string(), |l| l.to_string());
        let stall = (self.wish.stall, settings.stall);
        let (lanes, lost) = start::open(offers, head, &id, stall);
        (0..lost).for_each(|_| self.lost_one());
        let bell = self.bell.clone();
        let fanout =
            Fanout::new(body, lanes, bell, settings.window, transfer.hashed, settings.idle);
        self.stage = Stage::Streaming(transfer, Box::new(fanout));
    }

    fn flowed(&mut self, event: flow::Event<Failure>) {
        match event {
            flow::Event::LaneLost => self.lost_one(),
            flow::Event::LaneStalled(limit) => {
                meter::receiver_dropped(Loss::Stall);
                self.say(Notice::Dropped { limit_s: limit.as_secs() });
            }
            flow::Event::AllGone => self.fail(Failure::ReceiversGone),
            flow::Event::Failed(why) => self.fail(why),
            flow::Event::Idle => self.fail(Failure::Idle),
            flow::Event::BodyComplete => self.body_complete(),
            flow::Event::Finished => self.finish(),
        }
    }

    /// A running transfer goes on without one of its receivers.
    fn lost_one(&mut self) {
        meter::receiver_dropped(Loss::Disconnect);
        self.say(Notice::Disconnected);
    }

    /// The name is freed before the last byte, the end marker or the last line reaches anyone.
    fn body_complete(&mut self) {
        if let Stage::Streaming(transfer, fanout) = &mut self.stage {
            self.attached.call(Call::Released { transfer: transfer.id });
            fanout.release();
            self.uploaded = true;
            self.say(Notice::UploadComplete);
        }
    }

    fn finish(&mut self) {
        let Some(outcome) = self.end(Ok(())) else { return };
        let Outcome { bytes, whole, n, elapsed_ms, digest, .. } = outcome;
        if let Some(digest) = digest {
            self.say(Notice::Digest(digest));
        }
        self.say(Notice::Sent(Sum { bytes, whole, n, elapsed_ms }));
        self.say(Notice::Complete);
        self.retire();
    }

    /// Tells the owner and the operators how the transfer has ended, if there is one.
    fn end(&mut self, result: Result<(), Failure>) -> Option<Outcome> {
        let (transfer, outcome) = self.stage.outcome(result)?;
        ledger::close(&self.wish, transfer, &outcome);
        self.attached.call(Call::Ended { transfer, outcome: outcome.clone() });
        Some(outcome)
    }

    /// Ends the wait or the transfer. The name is free before the client hears of it. A match that
    /// has not started is undone: its receivers attach again, and their owner knows whether they may
    /// wait on. After the commit lanes that have started are cut, the others carry an error reply.
    fn fail(&mut self, why: Failure) {
        self.end(Err(why.clone()));
        self.attached.step(Input::Gone(Some(why.clone())));
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Opening(_, lanes) => start::turn_away(lanes, &why),
            Stage::Streaming(_, fanout) => self.body = Some(fanout.into_source()),
            Stage::Waiting | Stage::Gathering(_) => {}
            Stage::Over => return,
        }
        rejections::failed(&why);
        self.say(match why {
            Failure::ReceiversGone => Notice::AllGone,
            why => Notice::Failed(why),
        });
    }

    /// The transfer is complete; its body is kept for whoever reuses the connection.
    fn retire(&mut self) {
        self.attached.step(Input::Gone(None));
        if let Stage::Streaming(_, fanout) = std::mem::replace(&mut self.stage, Stage::Over) {
            self.body = Some(fanout.into_source());
        }
    }

    fn poll_clock(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = self.attached.arrived() + self.wish.wait;
        let heartbeat = self.last + HEARTBEAT;
        let next = match &self.stage {
            Stage::Waiting => deadline.min(heartbeat),
            Stage::Gathering(gather) => gather.until,
            Stage::Opening(..) | Stage::Streaming(..) => return self.poll_report(cx),
            Stage::Over => return Poll::Pending,
        };
        self.attached.poll_until(cx, next).map(|()| match &self.stage {
            Stage::Gathering(gather) => {
                let transfer = gather.transfer;
                self.feed(Input::Undone(transfer));
            }
            _ if next == deadline => self.feed(Input::Deadline),
            _ => self.heartbeat(deadline),
        })
    }

    /// Tells the owner and the operators how far the transfer has come. Costs a compare while nothing
    /// moves.
    fn poll_report(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(at) = self.stage.report_at() else { return Poll::Pending };
        if at > Instant::now() && self.attached.poll_until(cx, at).is_pending() {
            return Poll::Pending;
        }
        self.stage.report().into_iter().for_each(|call| self.attached.call(call));
        Poll::Ready(())
    }

    fn heartbeat(&mut self, deadline: Instant) {
        let left = deadline.saturating_duration_since(Instant::now());
        let left_s = left.as_millis().div_ceil(1000);
        let left_s = u64::try_from(left_s).unwrap_or(u64::MAX);
        self.say(Notice::StillWaiting { k: self.there, n: self.wish.n, left_s });
    }
}

impl<B: Body> Drop for Sending<B> {
    fn drop(&mut self) {
        // Waiting and pinned parties leave when `attached` is dropped.
        self.end(Err(Failure::SenderLost));
    }
}
