//! The link of a node to itself: no queue, no task, no codec.
//!
//! The edge end sends frames up, the owner end sends frames down. [`End::send`] calls the handler of the other end on the
//! caller's own thread and returns when it has returned. What the frames mean, and who handles
//! them, is not known here.
//!
//! Order: frames of one caller arrive in the order they were sent. Two threads that send at the
//! same moment may arrive in either order.
//!
//! A handler may send on its own end before it returns, and the other side hears it at once, within
//! its own call of `send`. So never hold a lock while sending that your own handler takes.

use std::fmt;
use std::sync::{Arc, OnceLock};

use super::LinkId;

/// Takes the frames that arrive at one end.
pub type Handler<T> = Arc<dyn Fn(LinkId, T) + Send + Sync>;

/// The end at the edge: sends `Up`, hears `Down`.
pub type EdgeEnd<Up, Down> = End<Up, Down>;

/// The end at the owner: sends `Down`, hears `Up`.
pub type OwnerEnd<Up, Down> = End<Down, Up>;

/// One end of a link: sends `Out` to the other end and hears `In` from it. Cheap to clone.
pub struct End<Out, In> {
    id: LinkId,
    /// Where the other end hears.
    there: Arc<Ear<Out>>,
    /// Where this end hears.
    here: Arc<Ear<In>>,
}

/// A handler that is set once, after both ends exist: each handler usually wants to answer.
type Ear<T> = OnceLock<Handler<T>>;

/// Makes the link of a node to itself. Both ends must [`End::listen`] before the first frame.
pub fn local<Up, Down>(id: LinkId) -> (EdgeEnd<Up, Down>, OwnerEnd<Up, Down>) {
    let (up, down) = (Arc::new(OnceLock::new()), Arc::new(OnceLock::new()));
    let edge = End { id, there: Arc::clone(&up), here: Arc::clone(&down) };
    (edge, End { id, there: down, here: up })
}

impl<Out, In> End<Out, In> {
    /// Which link this is an end of; the same at both ends.
    pub fn id(&self) -> LinkId {
        self.id
    }

    /// Gives the frames that arrive here to `handler`, from now on.
    ///
    /// The link keeps the handler alive. A handler that owns what owns this end should hold it
    /// weakly, or neither is ever dropped.
    ///
    /// # Panics
    /// This end listens already. That is a defect of the assembly, found at the first start.
    pub fn listen(&self, handler: impl Fn(LinkId, In) + Send + Sync + 'static) {
        assert!(self.here.set(Arc::new(handler)).is_ok(), "an end of a link listens once");
    }

    /// Hands a frame to the other end and returns when its handler is done.
    ///
    /// # Panics
    /// The other end does not listen yet. That is a defect of the assembly, as above.
    pub fn send(&self, frame: Out) {
        let handler = self.there.get().expect("both ends listen before the first frame");
        handler(self.id, frame);
    }
}

impl<Out, In> Clone for End<Out, In> {
    fn clone(&self) -> Self {
        Self { id: self.id, there: Arc::clone(&self.there), here: Arc::clone(&self.here) }
    }
}

impl<Out, In> fmt::Debug for End<Out, In> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("End").field(&self.id).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc::{Receiver, sync_channel};
    use std::thread;

    use super::*;

    const ID: LinkId = LinkId(7);

    #[derive(Debug, PartialEq)]
    struct Up(u32);

    #[derive(Debug, PartialEq)]
    struct Down(u32);

    /// Lets an end put what it hears into a queue that the test reads afterwards.
    fn ear<Out, In: Send + 'static>(end: &End<Out, In>) -> Receiver<(LinkId, In)> {
        let (heard, queue) = sync_channel(1000);
        end.listen(move |id, frame| heard.try_send((id, frame)).unwrap());
        queue
    }

    #[test]
    fn frames_arrive_in_order_before_send_returns() {
        let (edge, owner) = local(ID);
        let (downs, ups) = (ear(&edge), ear(&owner));
        edge.send(Up(1));
        assert_eq!(ups.try_recv(), Ok((ID, Up(1))));
        edge.send(Up(2));
        edge.clone().send(Up(3));
        owner.send(Down(4));
        assert_eq!([ups.try_recv(), ups.try_recv()], [Ok((ID, Up(2))), Ok((ID, Up(3)))]);
        assert_eq!(downs.try_recv(), Ok((ID, Down(4))));
        assert!(ups.try_recv().is_err() && downs.try_recv().is_err());
        assert_eq!((edge.id(), owner.id()), (ID, ID));
    }

    #[test]
    fn a_handler_runs_on_the_thread_that_sends() {
        let (edge, owner) = local::<Up, Down>(ID);
        let seen = Arc::new(Mutex::new(None));
        let note = Arc::clone(&seen);
        owner.listen(move |_, _| *note.lock().unwrap() = Some(thread::current().id()));
        let sender = thread::spawn(move || {
            edge.send(Up(1));
            thread::current().id()
        });
        assert_eq!(Some(sender.join().unwrap()), *seen.lock().unwrap());
    }

    #[test]
    fn a_handler_may_answer_before_it_returns() {
        let (edge, owner) = local(ID);
        let downs = ear(&edge);
        let answer = owner.clone();
        owner.listen(move |_, Up(x)| answer.send(Down(x + 1)));
        edge.send(Up(1));
        assert_eq!(downs.try_recv(), Ok((ID, Down(2))));
    }

    #[test]
    fn frames_of_each_thread_keep_their_order() {
        let (edge, owner) = local::<Up, Down>(ID);
        let ups = ear(&owner);
        thread::scope(|scope| {
            for thread in 0..4 {
                let edge = edge.clone();
                scope.spawn(move || (0..100).for_each(|i| edge.send(Up(thread * 1000 + i))));
            }
        });
        let all: Vec<u32> = ups.try_iter().map(|(_, Up(x))| x).collect();
        for thread in 0..4 {
            let own: Vec<u32> = all.iter().filter(|x| *x / 1000 == thread).copied().collect();
            assert_eq!(own, (0..100).map(|i| thread * 1000 + i).collect::<Vec<_>>());
        }
    }

    #[test]
    #[should_panic(expected = "both ends listen before the first frame")]
    fn sending_to_nobody_is_a_defect() {
        local::<Up, Down>(ID).0.send(Up(1));
    }

    #[test]
    #[should_panic(expected = "an end of a link listens once")]
    fn listening_twice_is_a_defect() {
        let (edge, _owner) = local::<Up, Down>(ID);
        edge.listen(|_, _| ());
        edge.listen(|_, _| ());
    }
}
