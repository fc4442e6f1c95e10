//! A sender at its edge, from its arrival to the end of its transfer: the only place that commits.
//!
//! Drives the party machine, the gathering of lanes, the fan-out and their clocks on the sender's
//! thread, and tells the front what to say. Knows no HTTP: what a notice looks like, how the client
//! is watched and how its body is read is the front's business.

mod counting;
mod ending;

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::Edge;
use super::attached::Attached;
use super::gather::Gather;
use super::inbox::Post;
use super::offer::Offer;
use super::parting::Parting;
use super::party::{Act, Input};
use super::rejections;
use super::reporting::Transfer;
use super::stage::Stage;
use super::start;
use super::trunk::Meeting;
use super::wish::{Body, SendEvent, SendWish};
use crate::flow::{self, Bell, Fanout};
use crate::meter::{self, Loss};
use crate::pipe::{Answer, Failure, Head, Notice, Role};

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
    /// An end that nobody may see yet.
    parting: Option<Parting>,
    /// Lets the trunks of its match in, if it has receivers on other nodes.
    meeting: Option<Meeting>,
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
            parting: None,
            meeting: None,
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

    /// The client is gone. Ends like [`Self::lose`], and returns when receivers have seen the end too:
    /// at once, unless another node has to say first that the name is free.
    pub async fn leave(mut self) {
        self.lose();
        while self.next().await != SendEvent::Over {}
    }

    /// The body, for reading what is left of it. `None` after a failure that kept it.
    pub fn into_body(mut self) -> Option<B> {
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Streaming(_, fanout) => Some(fanout.into_source()),
            _ => self.body.take(),
        }
    }

    #[cfg(test)]
    pub(super) fn seat(&self) -> crate::pipe::Seat {
        self.attached.party.seat()
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
        if let Some(parting) = self.parting.take_if(|parting| parting.is_ended_by(&post)) {
            self.show(parting.end);
        }
        match post {
            Post::Answer(from, Answer::Tell { notice, .. }) => {
                if self.attached.party.turned_to() == Some(from) {
                    self.told(notice);
                }
            }
            Post::Answer(_, Answer::Abort { transfer, why, .. }) => {
                if self.stage.transfer() == Some(transfer) {
                    self.fail(why);
                }
            }
            Post::Lane(offer) => self.on_lane(*offer),
            Post::Shutdown => self.fail(Failure::ShuttingDown),
            post => {
                if let Some(input) = self.attached.input(post) {
                    self.feed(input);
                }
            }
        }
    }

    fn say(&mut self, notice: Notice) {
        self.last = Instant::now();
        self.events.push_back(SendEvent::Notice(notice));
    }

    fn on_lane(&mut self, offer: Offer) {
        if let Stage::Gathering(gather) = &mut self.stage {
            offer.lane.hang(self.bell.clone());
            // One that is not let in, or makes way for a newer one, is undone.
            drop(gather.add(offer.claim.clone(), offer));
            if gather.is_full() {
                self.events.push_back(SendEvent::Confirm { fresh: self.fresh });
            }
        }
    }

    fn feed(&mut self, input: Input) {
        for act in self.attached.step(input) {
            match act {
                Act::Admitted { k } => self.admitted(k),
                Act::Counted { k } => self.counted(k),
                Act::Meet { transfer, sender, receivers } => {
                    self.meeting = self.attached.edge.meet(transfer, &receivers);
                    let gather = Gather::new(Instant::now(), transfer, sender, receivers);
                    self.stage = Stage::Gathering(Box::new(gather));
                }
                Act::LetGo => {
                    (self.stage, self.fresh, self.meeting) = (Stage::Waiting, false, None);
                }
                Act::Refused(why) => {
                    rejections::refused(&why);
                    self.events.push_back(SendEvent::Refused(why));
                    self.stage = Stage::Over;
                }
                Act::Failed(why) => self.fail(why),
                Act::Ready { owner, .. } => self.announce(owner, false),
                Act::Resume { owner, .. } => self.announce(owner, true),
                Act::Attach { .. }
                | Act::Leave { .. }
                | Act::Withdraw { .. }
                | Act::Unready { .. } => {}
            }
        }
    }

    fn poll_stage(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_ending() {
            return Poll::Pending;
        }
        match &mut self.stage {
            Stage::Waiting => Poll::Pending,
            Stage::Gathering(gather) => {
                let gone =
                    |gather: &Gather<Offer>| gather.lanes().any(|offer| offer.lane.is_gone());
                let broken = self.bell.poll_heard(cx).map(|()| gone(gather));
                if let (true, x) = (broken == Poll::Ready(true), gather.transfer()) {
                    self.feed(Input::Undone(x));
                }
                broken.map(|_| ())
            }
            Stage::Opening(_, lanes) => {
                if self.bell.poll_heard(cx).is_ready() {
                    let lost = start::drop_gone(lanes);
                    let none = lanes.is_empty();
                    (0..lost).for_each(|_| self.lost_one());
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
        let Stage::Gathering(gather) = &self.stage else { return };
        let id = gather.transfer();
        if !gather.lanes().all(|offer| offer.lane.is_there()) {
            return self.feed(Input::Undone(id));
        }
        let Stage::Gathering(gather) = std::mem::replace(&mut self.stage, Stage::Over) else {
            return;
        };
        let (roll, mut lanes) = gather.into_parts();
        self.meeting.iter_mut().for_each(Meeting::started);
        lanes.iter_mut().for_each(Offer::start);
        let hashed = self.wish.sha256 || lanes.iter().any(|offer| offer.wants.sha256);
        let transfer = Transfer::begin(id, roll, hashed);
        self.stage = Stage::Opening(Box::new(transfer), lanes);
        self.feed(Input::Started(id));
        self.say(Notice::Streaming { n: self.wish.n });
    }

    /// Tells this owner of the transfer: that it has started, or again how it stands.
    fn announce(&self, owner: u64, again: bool) {
        let (total, label) = (self.wish.length, self.wish.label.clone());
        let call = match again {
            true => self.stage.resume(total, label, self.uploaded),
            false => self.stage.ready(total, label),
        };
        call.map(|call| self.attached.say(owner, call));
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
        let fanout = fanout.through(self.attached.edge.pipes());
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

    fn poll_clock(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(until) = self.parting.as_ref().map(Parting::until) {
            return self.attached.poll_until(cx, until).map(|()| {
                let end = self.parting.take().map(|parting| parting.end);
                end.into_iter().for_each(|end| self.show(end));
            });
        }
        if let Some(until) = self.attached.leaving() {
            return self.attached.poll_until(cx, until).map(|()| self.feed(Input::Deadline));
        }
        let deadline = self.attached.arrived() + self.wish.wait;
        let heartbeat = self.last + HEARTBEAT;
        let hopeless = self.attached.party.hopeless_at();
        let next = match &self.stage {
            Stage::Waiting => hopeless.map_or(deadline, |at| at.min(deadline)).min(heartbeat),
            Stage::Gathering(gather) => gather.until(),
            Stage::Opening(..) | Stage::Streaming(..) => return self.poll_report(cx),
            Stage::Over => return Poll::Pending,
        };
        self.attached.poll_until(cx, next).map(|()| match &self.stage {
            Stage::Gathering(gather) => {
                let transfer = gather.transfer();
                self.feed(Input::Undone(transfer));
            }
            _ if next == deadline => self.feed(Input::Deadline),
            _ if Some(next) == hopeless => self.feed(Input::Hopeless),
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
        self.stage.report().into_iter().for_each(|call| self.attached.tell(call));
        Poll::Ready(())
    }

    fn heartbeat(&mut self, deadline: Instant) {
        let left = deadline.saturating_duration_since(Instant::now());
        let left_s = left.as_millis().div_ceil(1000);
        let left_s = u64::try_from(left_s).unwrap_or(u64::MAX);
        self.say(Notice::StillWaiting { k: self.there, n: self.wish.n, left_s });
    }
}
