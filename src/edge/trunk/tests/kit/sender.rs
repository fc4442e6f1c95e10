//! A sender of the fleet: its client, whose body the test feeds while it runs, and its task.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::super::*;
use super::{Node, soon, until};
use crate::edge::{Body, SendEvent, SendWish, Sending};
use crate::flow::{Fill, Source};
use crate::pipe::{Failure, Head, Notice, PipePath, Seat};

/// A sender's client, and its task.
pub struct Sender {
    pub seat: Rc<Cell<Seat>>,
    body: Feed,
    notices: Rc<RefCell<Vec<Notice>>>,
    pub(super) asked: Rc<Cell<bool>>,
    confirm: mpsc::Sender<()>,
    task: JoinHandle<()>,
}

impl Sender {
    pub(super) fn new(node: &Node, n: u16, adjust: impl FnOnce(&mut SendWish)) -> Self {
        let mut wish = SendWish {
            path: PipePath::new("a").unwrap(),
            n,
            wait: Duration::from_secs(600),
            stall: None,
            sha256: false,
            length: None,
            label: None,
            protocol: "a test",
        };
        adjust(&mut wish);
        let (body, notices) = (Feed::default(), Rc::new(RefCell::new(Vec::new())));
        let (confirm, mut confirmed) = mpsc::channel(9);
        let seat = Rc::new(Cell::new(node.next_seat()));
        let asked = Rc::new(Cell::new(false));
        let mut sending = Sending::new(&node.edge, wish, body.clone());
        let (said, at, wanted) = (Rc::clone(&notices), seat.clone(), asked.clone());
        let task = tokio::task::spawn_local(async move {
            loop {
                let next = poll_fn(|cx| {
                    let next = pin!(sending.next()).poll(cx);
                    at.set(sending.seat());
                    next
                });
                tokio::select! {
                    event = next => match event {
                        SendEvent::Notice(notice) => said.borrow_mut().push(notice),
                        SendEvent::Confirm { .. } => wanted.set(true),
                        SendEvent::Over => return,
                        SendEvent::Admitted => {}
                        SendEvent::Refused(why) => panic!("{why:?}"),
                    },
                    Some(()) = confirmed.recv(), if wanted.get() => {
                        wanted.set(false);
                        sending.confirm();
                    }
                }
            }
        });
        Self { seat, body, notices, asked, confirm, task }
    }

    /// Its client is there, as soon as anybody wants to know.
    pub fn confirm(&self) {
        self.confirm.try_send(()).unwrap();
    }

    pub async fn asked_to_confirm(&self) {
        until(|| self.asked.get()).await;
    }

    pub fn head(&self) {
        self.body.push(Step::Head);
    }

    pub fn data(&self, bytes: &[u8]) {
        self.body.push(Step::Data(bytes.to_vec(), false));
    }

    pub fn end(&self, bytes: &[u8]) {
        self.body.push(Step::Data(bytes.to_vec(), true));
    }

    pub fn fail(&self, why: Failure) {
        self.body.push(Step::Fail(why));
    }

    /// Waits until nothing of its body is read any more, and something is left.
    pub async fn is_held_up(&self) {
        let left = || self.body.left();
        soon(async {
            let mut before = None;
            while left() == 0 || before != Some(left()) {
                before = Some(left());
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
        })
        .await;
    }

    /// What it was told so far.
    pub fn told(&self) -> Vec<Notice> {
        self.notices.borrow().clone()
    }

    /// Waits until it was told this.
    pub async fn hears(&self, notice: Notice) {
        until(|| self.notices.borrow().contains(&notice)).await;
    }

    /// All that it was told, when nothing more will come.
    pub async fn over(self) -> Vec<Notice> {
        soon(self.task).await.unwrap();
        self.notices.take()
    }
}

/// What a body does next.
enum Step {
    Head,
    Data(Vec<u8>, bool),
    Fail(Failure),
}

/// A body that the test feeds while it runs.
#[derive(Clone, Default)]
struct Feed(Rc<RefCell<(VecDeque<Step>, Option<Waker>)>>);

impl Feed {
    fn push(&self, step: Step) {
        let (steps, waker) = &mut *self.0.borrow_mut();
        steps.push_back(step);
        waker.take().into_iter().for_each(Waker::wake);
    }

    /// Bytes that were not read yet.
    fn left(&self) -> usize {
        let size = |step: &Step| if let Step::Data(bytes, _) = step { bytes.len() } else { 0 };
        self.0.borrow().0.iter().map(size).sum()
    }

    fn poll_step(&self, cx: &Context<'_>) -> Poll<Step> {
        let (steps, waker) = &mut *self.0.borrow_mut();
        steps.pop_front().map_or_else(
            || {
                *waker = Some(cx.waker().clone());
                Poll::Pending
            },
            Poll::Ready,
        )
    }
}

impl Body for Feed {
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Head, Failure>> {
        self.poll_step(cx).map(|step| match step {
            Step::Head => Ok(Head::default()),
            Step::Fail(why) => Err(why),
            Step::Data(..) => panic!("the head comes first"),
        })
    }
}

impl Source for Feed {
    type Error = Failure;

    fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<Result<Fill, Self::Error>> {
        self.poll_step(cx).map(|step| match step {
            Step::Data(mut bytes, end) => {
                let rest = bytes.split_off(bytes.len().min(into.len()));
                into[..bytes.len()].copy_from_slice(&bytes);
                let more = !rest.is_empty();
                if more {
                    self.0.borrow_mut().0.push_front(Step::Data(rest, end));
                }
                Ok(Fill { bytes: bytes.len(), end: end && !more })
            }
            Step::Fail(why) => Err(why),
            Step::Head => panic!("the head comes once"),
        })
    }
}
