//! Who asks the owner of a name something without taking part: a DELETE, a status, a spectator. Which
//! owner it asks, and when it has to ask again.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::time::{sleep_until, timeout};

use super::backoff::Backoff;
use super::course::Course;
use super::inbox::{Inbox, Post};
use super::party::{Input, UNREACHABLE_MAX};
use super::wire::Up;
use super::{Edge, rejections};
use crate::pipe::{Answer, Call, Failure, PartyId, PipePath, PublicId, Snapshot};

/// How long an answer may take, whoever has to be asked for it, before the owner counts as out of
/// reach: as for one who waits (spec §22). An owner that is lost has another within 10 s (spec §28, row 14),
/// and that one collects for 2 s at most. Locally an answer takes microseconds.
pub(super) const ANSWER_MAX: Duration = UNREACHABLE_MAX;

/// One who asks. Dropping it forgets the question.
pub(super) struct Asking {
    edge: Edge,
    path: PipePath,
    pub(super) asker: PartyId,
    inbox: Arc<Inbox>,
    course: Course,
    /// It has asked somebody who may still answer.
    asked: bool,
    /// Whom it has asked and then lost: perhaps before they had heard it, perhaps after. Each node once.
    unheard: Vec<u64>,
    /// How often its owner was lost, and the pauses after it.
    lost: (u32, Backoff),
    /// Ask again at this moment.
    retry: Option<Instant>,
}

/// What a post is to one who asks.
#[derive(Debug)]
pub(super) enum Heard {
    /// The owner answers.
    Answer(Answer),
    /// The question has to be asked now.
    Again,
    /// The node stops.
    Shutdown,
    /// Nothing.
    Nothing,
}

impl Asking {
    /// One who has not asked yet.
    pub(super) fn new(edge: &Edge, path: PipePath, (asker, inbox): (PartyId, Arc<Inbox>)) -> Self {
        let (edge, course, asked, unheard) = (edge.clone(), Course::default(), false, Vec::new());
        let (lost, retry) = ((0, Backoff::new(Instant::now())), None);
        let mut asking = Self { edge, path, asker, inbox, course, asked, unheard, lost, retry };
        asking.learn();
        asking
    }

    /// Asks the owner in the newest view; who was asked before, if another, is told `instead`. Without
    /// an owner or a link it is asked when there is one.
    pub(super) fn ask(&mut self, call: Call, instead: Option<Call>) {
        let lost = self.course.at().filter(|owner| self.asked && !self.unheard.contains(owner));
        self.unheard.extend(lost);
        (self.retry, self.asked) = (None, false);
        let Some(owner) = self.course.goal() else { return };
        if let Some((before, call)) = self.course.turn(owner).zip(instead) {
            self.say(before, call);
        }
        let link = self.say(owner, call);
        self.course.sent(link);
        self.asked = link.is_some();
    }

    /// Says something to whoever was asked last.
    pub(super) fn tell(&self, call: Call) {
        self.course.at().map(|owner| self.say(owner, call));
    }

    /// The next post, or [`Heard::Again`] when it is time to ask again. Cancel-safe.
    pub(super) async fn next(&mut self) -> Heard {
        let retry = self.retry;
        let post = tokio::select! {
            post = poll_fn(|cx| self.inbox.poll_take(cx)) => post,
            () = until(retry) => return Heard::Again,
        };
        self.hear(post)
    }

    /// What has come already, if something has.
    pub(super) fn more(&mut self) -> Option<Heard> {
        let post = self.inbox.take()?;
        Some(self.hear(post))
    }

    /// Has nobody but who has answered heard the question? An owner that is asked twice answers as at
    /// first; of one that was lost nobody can tell.
    fn is_sole(&self) -> bool {
        self.unheard.iter().all(|owner| self.course.at() == Some(*owner))
    }

    /// See [`Inbox::poll_urgent`].
    pub(super) fn poll_urgent(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.inbox.poll_urgent(cx)
    }

    fn hear(&mut self, post: Post) -> Heard {
        let again = match post {
            Post::Answer(from, answer) if self.course.at() == Some(from) => match answer {
                Answer::Lost { .. } => self.lose(),
                answer => return Heard::Answer(answer),
            },
            // It has turned to another owner since, and knows now what this one has done.
            Post::Answer(_, answer @ Answer::Cancelled { found: true, .. }) => {
                return Heard::Answer(answer);
            }
            Post::Answer(from, _) => {
                self.unheard.retain(|owner| *owner != from);
                false
            }
            Post::Moved { from, epoch, .. } if self.course.at() == Some(from) => {
                self.course.wait_for(epoch);
                self.asked = false;
                match self.course.goal() {
                    Some(goal) if goal == from => self.lose(),
                    goal => goal.is_some(),
                }
            }
            Post::View => self.learn() && !(self.asked && self.course.owner() == self.course.at()),
            Post::LinkUp { owner, link } => {
                self.course.owner() == Some(owner)
                    && (!self.asked || self.course.is_replaced(owner, link))
            }
            Post::LinkDown { owner, link, .. } => self.course.is_lost(owner, link),
            Post::Shutdown => return Heard::Shutdown,
            Post::Moved { .. } | Post::Lane(_) => false,
        };
        if again { Heard::Again } else { Heard::Nothing }
    }

    /// The owner does not know it any more, or has no room: true to ask again at once, as at first. Then
    /// [`Heard::Again`] comes after pauses that grow.
    pub(super) fn lose(&mut self) -> bool {
        let (count, backoff) = &mut self.lost;
        *count = count.saturating_add(1);
        let now = Instant::now();
        self.retry = backoff.pause(now, *count).map(|pause| now + pause);
        self.retry.is_none()
    }

    /// True if the newest view was not known.
    fn learn(&mut self) -> bool {
        let Input::View { epoch, owner } = self.edge.view_of(&self.path) else { return false };
        self.inbox.heed(owner);
        self.course.learn(epoch, owner)
    }

    /// See [`Edge::cancel`].
    async fn cancel(&mut self, reason: Option<String>) -> Option<bool> {
        let call = |asker| Call::Cancel { asker, reason: reason.clone() };
        match self.answer(call).await? {
            Answer::Cancelled { found, .. } => Some(found || !self.is_sole()),
            _ => None,
        }
    }

    /// Asks until it is answered; `None` if that takes too long, or the node stops.
    async fn answer(&mut self, call: impl Fn(PartyId) -> Call) -> Option<Answer> {
        let answer = timeout(ANSWER_MAX, self.answered(call)).await;
        match &answer {
            Ok(Some(Answer::Fail { why, .. })) => rejections::failed(why),
            Ok(_) => {}
            Err(_) => rejections::failed(&Failure::Unavailable),
        }
        answer.ok().flatten()
    }

    async fn answered(&mut self, call: impl Fn(PartyId) -> Call) -> Option<Answer> {
        let mut heard = Heard::Again;
        loop {
            heard = match heard {
                Heard::Answer(answer) => return Some(answer),
                Heard::Shutdown => return None,
                Heard::Again => {
                    self.ask(call(self.asker), None);
                    self.next().await
                }
                Heard::Nothing => self.next().await,
            };
        }
    }

    /// As if it had come for it.
    #[cfg(test)]
    pub(super) fn put(&self, post: Post) {
        self.inbox.put(post);
    }

    fn say(&self, owner: u64, call: Call) -> Option<u64> {
        self.edge.say(owner, Up { epoch: self.course.epoch(), path: self.path.clone(), call })
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.edge.exit(self.asker);
    }
}

impl Edge {
    /// Ends whatever is at `path`; false if nobody is there, `None` if the owner did not answer. If an
    /// earlier owner was lost with the question, and with what it has found, nobody is left, as was
    /// wanted: true.
    pub async fn cancel(&self, path: &PipePath, reason: Option<String>) -> Option<bool> {
        Asking::new(self, path.clone(), self.enter()).cancel(reason).await
    }

    /// What is at `path` now, or what became of one transfer of it; `None` if that is not known.
    ///
    /// # Errors
    /// [`Failure::Unavailable`] if the owner did not answer.
    pub async fn status(
        &self,
        path: &PipePath,
        transfer: Option<PublicId>,
    ) -> Result<Option<Arc<Snapshot>>, Failure> {
        let call = |asker| Call::Status { asker, transfer: transfer.clone() };
        let mut asking = Asking::new(self, path.clone(), self.enter());
        match asking.answer(call).await {
            Some(Answer::Snapshot { snapshot, .. }) => Ok(snapshot),
            _ => Err(Failure::Unavailable),
        }
    }
}

/// Ready at that moment, if there is one.
async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use hoody_pipe_cluster::Cluster;

    use super::*;
    use crate::edge::Settings;
    use crate::edge::trunk::tests::kit::{self, Fleet};
    use crate::meter;
    use crate::pipe::{Caps, Notice, TransferId};

    /// More calls than one name takes before it turns newcomers away.
    const FLOOD: u64 = 2000;

    #[test]
    fn who_asks_a_name_with_a_full_backlog_is_answered_at_once_and_counted() {
        let text = meter::counted(|| {
            actix_rt::System::new().block_on(async {
                let (receipts, spectators_per_pipe, spectators) = (1, 1, 1);
                let caps =
                    Caps { pending: 1, active: 1, receipts, spectators_per_pipe, spectators };
                let settings = Settings { window: 1, stall: None, idle: None, copy: false, caps };
                let cluster = Cluster::alone("a", 1).unwrap();
                let edge = Edge::new(settings, cluster, TransferId::random);
                let path = PipePath::new("a").unwrap();
                // Nothing is handled before this task waits.
                let asking = Asking::new(&edge, path.clone(), edge.enter());
                for seq in 0..FLOOD {
                    let watcher = PartyId { origin: 0, boot: 0, seq: FLOOD + seq };
                    asking.course.owner().map(|me| asking.say(me, Call::Watch { watcher }));
                }
                let begin = Instant::now();
                assert_eq!(edge.cancel(&path, None).await, None);
                assert_eq!(edge.status(&path, None).await, Err(Failure::Unavailable));
                assert!(begin.elapsed() < ANSWER_MAX, "{:?}", begin.elapsed());
            });
        });
        assert!(text.contains("{reason=\"unavailable\"} 2"), "{text}");
    }

    /// A wish to end what is at a name of node b: it was heard there, and the answer was lost.
    async fn unanswered(fleet: &Fleet) -> Asking {
        fleet.owned_by(1).await;
        let sender = fleet.sender(1);
        sender.hears(Notice::Waiting { n: 1 }).await;
        let mut asking =
            Asking::new(&fleet.a.edge, PipePath::new("a").unwrap(), fleet.a.edge.enter());
        let asker = asking.asker;
        asking.ask(Call::Cancel { asker, reason: None }, None);
        let cancelled = Notice::Failed(Failure::Cancelled(None));
        assert_eq!(sender.over().await.last(), Some(&cancelled));
        loop {
            if let Heard::Answer(Answer::Cancelled { found, .. }) = asking.next().await {
                assert!(found);
                return asking;
            }
        }
    }

    #[test]
    fn an_owner_that_is_asked_again_over_another_link_answers_as_at_first() {
        kit::run(async |fleet: Fleet| {
            let mut asking = unanswered(&fleet).await;
            fleet.break_links().await;
            assert_eq!(asking.cancel(None).await, Some(true));
            let path = asking.path.clone();
            assert_eq!(fleet.a.edge.cancel(&path, None).await, Some(false), "this one is new");
        });
    }

    #[test]
    fn where_an_earlier_owner_may_have_ended_it_nobody_is_left_as_was_wanted() {
        kit::run(async |fleet: Fleet| {
            let mut asking = unanswered(&fleet).await;
            fleet.owned_by(0).await;
            assert_eq!(asking.cancel(None).await, Some(true));
        });
    }

    #[test]
    fn an_earlier_owner_that_answers_late_is_believed() {
        for found in [true, false] {
            kit::run(async move |fleet: Fleet| {
                let mut asking = unanswered(&fleet).await;
                let (asker, earlier) = (asking.asker, asking.course.at().unwrap());
                fleet.owned_by(0).await;
                while !matches!(asking.next().await, Heard::Again) {}
                asking.ask(Call::Cancel { asker, reason: None }, None);
                asking.put(Post::Answer(earlier, Answer::Cancelled { asker, found }));
                assert_eq!(asking.cancel(None).await, Some(found));
            });
        }
    }
}
