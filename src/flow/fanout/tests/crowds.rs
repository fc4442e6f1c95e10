//! Lanes that stand for several receivers, of whom the far side reports.

use super::*;
use crate::flow::{Loss, Report, crowd};

/// A fan-out to one crowd and one plain client.
struct Mixed {
    feed: Feed,
    fanout: Fanout<Feed>,
    crowd: Option<LaneHold>,
    /// The far side of the crowd's lane, and the plain client.
    ends: Vec<TcpStream>,
    _plain: LaneHold,
}

impl Mixed {
    async fn new(road: Road, receivers: u16) -> Self {
        let (bell, feed) = (Arc::new(Bell::default()), Feed::default());
        let (plain, hold, client) = client(&bell, Framing::Plain, None).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let far = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (near, _) = listener.accept().await.unwrap();
        let (mut lane, crowd) = crowd(Way::socket(near.into_std().unwrap().into()), receivers);
        lane.hang(bell.clone());
        lane.start(Bytes::from_static(PREFACE.as_bytes()), Framing::Chunked, None).unwrap();
        let fanout =
            Fanout::new(feed.clone(), vec![plain, lane], bell, 64 << 10, false, None).on(road);
        Self { feed, fanout, crowd: Some(crowd), ends: vec![far, client], _plain: hold }
    }

    fn report(&self, report: Report) {
        assert!(self.crowd.as_ref().unwrap().report(report));
    }

    async fn event(&mut self) -> Event<&'static str> {
        poll_fn(|cx| self.fanout.poll_next(cx)).await
    }

    /// Nothing happens although the reactor was asked for news again and again.
    async fn is_quiet(&mut self) {
        for _ in 0..20 {
            tokio::select! {
                biased;
                event = poll_fn(|cx| self.fanout.poll_next(cx)) => panic!("{event:?}"),
                () = tokio::task::yield_now() => {}
            }
        }
    }

    /// One end gets exactly this while the fan-out runs, in which nothing else happens.
    async fn gets(&mut self, end: usize, want: &str) {
        let mut got = vec![0; want.len()];
        tokio::select! {
            event = poll_fn(|cx| self.fanout.poll_next(cx)) => panic!("{event:?}"),
            read = self.ends[end].read_exact(&mut got) => drop(read.unwrap()),
        }
        assert_eq!(String::from_utf8_lossy(&got), want);
    }
}

#[test]
fn a_crowd_counts_for_all_who_are_behind_it() {
    both(async |road| {
        let mut m = Mixed::new(road, 3).await;
        m.gets(0, PREFACE).await;
        m.gets(1, PREFACE).await;
        m.feed.push(Step::Data(b"hello ".to_vec()));
        m.gets(0, "6\r\nhello \r\n").await;
        m.gets(1, "hello ").await;
        assert_eq!((m.fanout.receivers(), m.fanout.delivered()), (4, 4 * 6));
        m.report(Report::Lost(Loss::Left));
        assert_eq!(m.event().await, Event::LaneLost);
        m.report(Report::Lost(Loss::Stalled(Duration::from_secs(7))));
        assert_eq!(m.event().await, Event::LaneStalled(Duration::from_secs(7)));
        assert_eq!((m.fanout.receivers(), m.fanout.delivered()), (2, 4 * 6));
        m.feed.push(Step::End(b"world".to_vec()));
        assert_eq!(m.event().await, Event::BodyComplete);
        m.fanout.release();
        m.gets(0, "5\r\nworld\r\n0\r\n\r\n").await;
        m.is_quiet().await;
        m.report(Report::Whole(1));
        assert_eq!(m.event().await, Event::Finished);
        assert_eq!((m.fanout.whole(), m.fanout.delivered()), (2, 2 * 6 + 2 * 11));
        assert_eq!(end_of(m.crowd.as_mut().unwrap()).await, LaneEnd::Whole);
    });
}

#[test]
fn a_crowd_whose_connection_ends_is_lost_as_a_whole_at_any_moment() {
    both(async |road| {
        for ended in [false, true] {
            let mut m = Mixed::new(road, 3).await;
            m.report(Report::Lost(Loss::Left));
            assert_eq!(m.event().await, Event::LaneLost);
            if ended {
                m.feed.push(Step::End(b"bye".to_vec()));
                assert_eq!(m.event().await, Event::BodyComplete);
                m.fanout.release();
                m.gets(0, &format!("{PREFACE}3\r\nbye\r\n0\r\n\r\n")).await;
            }
            m.crowd = None;
            assert_eq!([m.event().await, m.event().await], [Event::LaneLost, Event::LaneLost]);
            if !ended {
                m.is_quiet().await;
                m.feed.push(Step::End(b"bye".to_vec()));
                assert_eq!(m.event().await, Event::BodyComplete);
                m.fanout.release();
            }
            assert_eq!(m.event().await, Event::Finished);
            assert_eq!(m.fanout.whole(), 1, "the plain one");
        }
    });
}

#[test]
fn what_a_crowd_said_last_counts_although_its_connection_has_failed() {
    both(async |road| {
        let mut m = Mixed::new(road, 1).await;
        m.gets(0, PREFACE).await;
        m.gets(1, PREFACE).await;
        // The connection is reset: writing fails from now on.
        socket2::SockRef::from(&m.ends[0]).set_linger(Some(Duration::ZERO)).unwrap();
        m.ends.remove(0);
        for _ in 0..3 {
            m.feed.push(Step::Data(b"y".to_vec()));
            m.is_quiet().await;
        }
        m.report(Report::Lost(Loss::Stalled(Duration::from_secs(7))));
        assert_eq!(m.event().await, Event::LaneStalled(Duration::from_secs(7)));
        assert_eq!(m.fanout.receivers(), 1);
    });
}

#[test]
fn an_end_that_was_not_written_is_nobodys() {
    both(async |road| {
        let mut m = Mixed::new(road, 2).await;
        m.report(Report::Whole(2));
        m.is_quiet().await;
        m.crowd = None;
        assert_eq!([m.event().await, m.event().await], [Event::LaneLost, Event::LaneLost]);
    });
}
