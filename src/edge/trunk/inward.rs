//! The receivers' side of trunks until they start: whose lanes are expected here, and one task for
//! each trunk that collects them and dials. What is decided is in [`crate::edge::dialing`].

use std::collections::HashMap;
use std::future::{poll_fn, ready};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hoody_pipe_cluster::NodeId;
use tokio::sync::mpsc;
use tokio::time::sleep_until;

use super::connect::{self, Picked, Unanswered};
use super::frames::Dial;
use super::landing::{self, Landing};
use crate::edge::dialing::{Act, Answered, Dialing, Input};
use crate::edge::{Descriptor, Edge, Offer, rejections, start};
use crate::flow::Bell;
use crate::pipe::{Answer, Failure, PartyId, Role, Seat, TransferId};

/// Most trunks that are expected at once; beyond it a match is undone. Each has a waiting receiver.
const EXPECTED_MAX: usize = 65_536;

/// Nobody has offered a lane for so long: nobody will.
const EXPECTED_FOR: Duration = Duration::from_secs(10);

/// All trunks of this node's receivers that have not started.
#[derive(Debug, Default)]
pub struct Inwards(Mutex<Book>);

#[derive(Debug, Default)]
struct Book {
    trunks: HashMap<TransferId, Expected>,
    /// When to look next for those that are forgotten.
    sweep: Option<Instant>,
}

/// One trunk that is to be dialled.
#[derive(Debug)]
enum Expected {
    /// No lane is here yet.
    Begun { at: Instant, seats: Vec<Seat> },
    /// Its task takes the lanes.
    Collecting(mpsc::Sender<Offer>),
}

impl Inwards {
    /// Listens to what an owner says to this node, `me`: a match with a sender elsewhere needs a trunk.
    /// To be said before the receivers hear of it.
    pub fn heed(&self, me: u64, answer: &Answer) {
        if let Answer::Begin { transfer, sender, receivers, role: Role::Receiver } = answer
            && sender.party.origin != me
        {
            self.begin(*transfer, receivers);
        }
    }

    /// A match begins, with these receivers of this node and a sender elsewhere: one trunk for all of
    /// them.
    fn begin(&self, transfer: TransferId, receivers: &[Seat]) {
        self.book().begin(Instant::now(), transfer, receivers);
    }

    /// A receiver of this node offers its lane to a sender elsewhere. Undone if nobody expects it.
    pub fn offer(&self, edge: &Edge, sender: PartyId, offer: Offer) {
        let transfer = offer.claim.transfer;
        let mut book = self.book();
        let Some(trunk) = book.trunks.get_mut(&transfer) else { return };
        let offers = match trunk {
            Expected::Collecting(offers) => offers.clone(),
            Expected::Begun { seats, .. } => {
                let seats = std::mem::take(seats);
                let (offers, inbox) = mpsc::channel(seats.len().max(1));
                *trunk = Expected::Collecting(offers.clone());
                let task = Inward::new(edge.clone(), transfer, sender, seats, inbox);
                tokio::task::spawn_local(task.run());
                offers
            }
        };
        drop(book);
        // There is room for one lane of each receiver; what comes beyond it is undone.
        let _ = offers.try_send(offer);
    }

    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.book().trunks.is_empty()
    }

    fn forget(&self, transfer: TransferId) {
        self.book().trunks.remove(&transfer);
    }

    /// Plain data, consistent between statements: a poisoned lock is usable.
    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    /// Notes a trunk that is to be dialled, unless too many are.
    fn begin(&mut self, now: Instant, transfer: TransferId, receivers: &[Seat]) {
        // Of a receiver that has left meanwhile no lane comes, and nobody says so.
        if self.trunks.len() >= EXPECTED_MAX || self.sweep.is_none_or(|at| at <= now) {
            self.trunks.retain(|_, trunk| !trunk.is_forgotten(now));
            self.sweep = Some(now + EXPECTED_FOR);
        }
        if self.trunks.len() < EXPECTED_MAX {
            let begun = Expected::Begun { at: now, seats: receivers.to_vec() };
            self.trunks.entry(transfer).or_insert(begun);
        }
    }
}

impl Expected {
    fn is_forgotten(&self, now: Instant) -> bool {
        matches!(self, Self::Begun { at, .. } if *at + EXPECTED_FOR <= now)
    }
}

/// One trunk before its start, on the thread of the first receiver that has offered its lane. Dropping
/// it hangs up and undoes all lanes.
struct Inward {
    edge: Edge,
    transfer: TransferId,
    sender: PartyId,
    seats: Vec<Seat>,
    dialing: Dialing,
    inbox: mpsc::Receiver<Offer>,
    offers: Vec<Offer>,
    bell: Arc<Bell>,
    /// Its connection, from the first dial on.
    open: Option<Descriptor>,
}

/// A dial under way.
type Ringing = Pin<Box<dyn Future<Output = Result<Picked, Unanswered>>>>;

/// What happens to a trunk before its start.
enum Happened {
    Offered(Box<Offer>),
    Left,
    Answered(Result<Picked, Unanswered>),
    Clock,
}

impl Inward {
    fn new(
        edge: Edge,
        transfer: TransferId,
        sender: PartyId,
        seats: Vec<Seat>,
        inbox: mpsc::Receiver<Offer>,
    ) -> Self {
        let dialing = Dialing::new(Instant::now(), seats.clone());
        let (offers, bell) = (Vec::with_capacity(seats.len()), Arc::default());
        Self { edge, transfer, sender, seats, dialing, inbox, offers, bell, open: None }
    }

    async fn run(mut self) {
        let up = self.collect_and_dial().await;
        self.edge.inwards().forget(self.transfer);
        let Self { edge, sender, offers, bell, open: _open, .. } = self;
        let node = NodeId(sender.origin);
        match up {
            Some(Picked::Up { stream, ahead }) => {
                landing::run(Landing { edge, node, offers, bell }, stream, ahead).await;
            }
            Some(Picked::Late) => {
                offers.iter().for_each(|_| rejections::failed(&Failure::Unavailable));
                start::turn_away(offers, &Failure::Unavailable);
            }
            Some(Picked::Undone) | None => {}
        }
    }

    /// What the machine has come to; `None` if all let go.
    async fn collect_and_dial(&mut self) -> Option<Picked> {
        let mut ringing: Option<Ringing> = None;
        loop {
            let happened = self.happens(&mut ringing).await;
            let (input, picked) = match happened {
                Happened::Offered(offer) => {
                    let input = Input::Offered(*offer.claim.seats.first()?);
                    offer.lane.hang(self.bell.clone());
                    self.offers.push(*offer);
                    (input, None)
                }
                Happened::Answered(answer) => {
                    ringing = None;
                    heard(answer)
                }
                Happened::Left => (Input::Left, None),
                Happened::Clock => (Input::Clock, None),
            };
            match self.dialing.step(Instant::now(), input) {
                None => {}
                Some(Act::Refuse) => drop(self.offers.pop()),
                Some(Act::Dial { attempt }) => ringing = Some(self.dial(attempt)),
                Some(Act::GiveUp) => return None,
                Some(Act::Start | Act::TurnAway) => return picked,
            }
        }
    }

    /// The next thing that happens. Cancel-safe. An answer comes first: once the transfer is on, whoever
    /// has left takes nobody along.
    async fn happens(&mut self, ringing: &mut Option<Ringing>) -> Happened {
        let offers = &self.offers;
        let left = async {
            while !offers.iter().any(|offer| offer.lane.is_gone()) {
                poll_fn(|cx| self.bell.poll_heard(cx)).await;
            }
        };
        let answer = poll_fn(|cx| match ringing {
            Some(dial) => dial.as_mut().poll(cx),
            None => std::task::Poll::Pending,
        });
        tokio::select! {
            biased;
            answer = answer => Happened::Answered(answer),
            () = left => Happened::Left,
            Some(offer) = self.inbox.recv() => Happened::Offered(Box::new(offer)),
            () = sleep_until(self.dialing.until().into()) => Happened::Clock,
        }
    }

    fn dial(&mut self, attempt: u32) -> Ringing {
        self.open = self.open.take().or_else(|| self.edge.descriptors().open_trunk(1));
        if self.open.is_none() {
            // No room here is like no room there.
            return Box::pin(ready(Ok(Picked::Late)));
        }
        let sha256 = self.offers.iter().any(|offer| offer.wants.sha256);
        let dial = Dial { sender: self.sender, seats: self.seats.clone(), attempt, sha256 };
        let node = NodeId(self.sender.origin);
        let window = self.edge.settings().window;
        Box::pin(connect::dial(self.edge.cluster().clone(), node, self.transfer, dial, window))
    }
}

/// What an answer is to the machine, and the answer itself for when it has decided.
fn heard(answer: Result<Picked, Unanswered>) -> (Input, Option<Picked>) {
    match answer {
        Ok(picked @ Picked::Up { .. }) => (Input::Answered(Answered::Started), Some(picked)),
        Ok(Picked::Undone) => (Input::Answered(Answered::Undone), None),
        Ok(Picked::Late) => (Input::Answered(Answered::Late), Some(Picked::Late)),
        Err(Unanswered::Broken) => (Input::Broken, None),
        Err(Unanswered::Unreachable) => (Input::Unreachable, None),
    }
}

#[cfg(test)]
mod tests {
    use hoody_pipe_cluster::Cluster;

    use super::*;
    use crate::edge::{Claim, Settings, Wants};
    use crate::flow::{Framing, LaneHold, Way, lane};
    use crate::pipe::Caps;

    const X1: TransferId = TransferId::from_u128(1);
    const X2: TransferId = TransferId::from_u128(2);
    const X3: TransferId = TransferId::from_u128(3);
    const SENDER: PartyId = PartyId { origin: 2, boot: 1, seq: 1 };
    const SEATS: [Seat; 1] = [Seat { party: PartyId { origin: 1, boot: 1, seq: 1 }, attempt: 1 }];

    #[test]
    fn a_trunk_whose_receivers_never_come_is_forgotten() {
        let (mut book, now) = (Book::default(), Instant::now());
        book.begin(now, X1, &SEATS);
        book.begin(now + EXPECTED_FOR / 2, X2, &SEATS);
        assert_eq!(book.trunks.len(), 2);
        book.begin(now + EXPECTED_FOR, X3, &SEATS);
        assert!(!book.trunks.contains_key(&X1) && book.trunks.contains_key(&X2));
        book.begin(now + EXPECTED_FOR * 2, X3, &SEATS);
        assert_eq!(book.trunks.len(), 1);
    }

    fn edge() -> Edge {
        let (receipts, spectators_per_pipe, spectators) = (9, 1, 1);
        let caps = Caps { pending: 9, active: 9, receipts, spectators_per_pipe, spectators };
        let settings = Settings { window: 64 << 10, stall: None, idle: None, copy: false, caps };
        Edge::new(settings, Cluster::alone("a", 1).unwrap(), TransferId::random)
    }

    fn offer() -> (Offer, LaneHold) {
        let (here, _there) = std::os::unix::net::UnixStream::pair().unwrap();
        let (lane, hold) = lane(Way::socket(here.into()));
        let claim = Claim { transfer: X1, seats: SEATS.into(), attempt: 1 };
        let wants = Wants { stall: None, sha256: false };
        let open = Box::new(|_: crate::edge::Opening<'_>| (bytes::Bytes::new(), Framing::Plain));
        (Offer { claim, lane, wants, start: None, open }, hold)
    }

    #[test]
    fn whoever_leaves_at_the_start_takes_nobody_along() {
        actix_rt::System::new().block_on(async {
            let (_offers, inbox) = mpsc::channel(1);
            let mut inward = Inward::new(edge(), X1, SENDER, SEATS.to_vec(), inbox);
            let (offer, hold) = offer();
            offer.lane.hang(inward.bell.clone());
            inward.offers.push(offer);
            drop(hold);
            let answered = || Ok(Picked::Late);
            let mut ringing: Option<Ringing> = Some(Box::pin(std::future::ready(answered())));
            let happened = inward.happens(&mut ringing).await;
            assert!(matches!(happened, Happened::Answered(Ok(Picked::Late))));
            assert!(matches!(inward.happens(&mut None).await, Happened::Left));
        });
    }
}
