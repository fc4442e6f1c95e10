//! The pace of a fan-out: window, lockstep, and the limits on stalling and on silence.

use super::*;

/// A source that never ends and is always there; notes how much it was asked for.
#[derive(Default)]
pub(super) struct Endless {
    given: usize,
    asked: Vec<usize>,
}

impl Source for Endless {
    type Error = ();

    fn poll_fill(&mut self, _: &mut Context<'_>, into: &mut [u8]) -> Poll<Result<Fill, ()>> {
        self.asked.push(into.len());
        self.asked.dedup();
        for byte in into.iter_mut() {
            *byte = endless(self.given);
            self.given += 1;
        }
        Poll::Ready(Ok(Fill { bytes: into.len(), end: false }))
    }

    fn pour(&mut self) -> Option<&mut dyn Pour<Error = ()>> {
        Some(self)
    }
}

impl Pour for Endless {
    type Error = ();

    fn stretch(&self) -> u64 {
        u64::MAX
    }

    fn poll_pour(&mut self, _: &mut Context<'_>, into: &mut Hub) -> Poll<Result<Fill, ()>> {
        let bytes: Vec<u8> = (self.given..).take(into.room()).map(endless).collect();
        let bytes = into.write(&bytes).unwrap();
        self.given += bytes;
        Poll::Ready(Ok(Fill { bytes, end: false }))
    }
}

fn endless(at: usize) -> u8 {
    u8::try_from(at % 251).unwrap()
}

#[test]
fn a_silent_source_has_its_limit() {
    both(async |road| {
        let bell = Arc::new(Bell::default());
        let (lane, mut hold, mut client) = client(&bell, Framing::Plain, None).await;
        let (feed, limit) = (Feed::default(), Some(Duration::from_millis(20)));
        let mut fanout =
            Fanout::new(feed.clone(), vec![lane], bell, 16 << 10, false, limit).on(road);
        feed.push(Step::Data(b"x".to_vec()));
        let began = Instant::now();
        assert_eq!(poll_fn(|cx| fanout.poll_next(cx)).await, Event::Idle);
        assert!(began.elapsed() >= Duration::from_millis(20));
        drop(fanout);
        assert_eq!(end_of(&mut hold).await, LaneEnd::Cut);
        let mut got = String::new();
        client.read_to_string(&mut got).await.unwrap();
        assert_eq!(got, format!("{PREFACE}x"), "what was sent before the silence");
    });
}

/// Reads to the end, and checks that it is the endless stream. Returns the body's length.
async fn read_endless(mut client: TcpStream) -> usize {
    let mut got = Vec::new();
    client.read_to_end(&mut got).await.unwrap();
    let body = got.strip_prefix(PREFACE.as_bytes()).unwrap();
    assert!(body.iter().enumerate().all(|(at, byte)| *byte == endless(at)), "bytes differ");
    body.len()
}

#[test]
fn the_source_is_never_more_than_a_window_ahead_and_who_stalls_is_cut() {
    const MOST: usize = 40_000;
    both(async |road| {
        let bell = Arc::new(Bell::default());
        let limit = Duration::from_millis(60);
        let (slow, mut slow_hold, slow_client) = client(&bell, Framing::Plain, Some(limit)).await;
        let (fast, _fast_hold, mut fast_client) = client(&bell, Framing::Plain, None).await;
        let source = Endless::default();
        let mut fanout = Fanout::new(source, vec![slow, fast], bell, MOST, false, None).on(road);

        let mut fast_got = 0;
        let mut buffer = vec![0; 64 << 10];
        let event = loop {
            tokio::select! {
                event = poll_fn(|cx| fanout.poll_next(cx)) => break event,
                read = fast_client.read(&mut buffer) => fast_got += read.unwrap(),
            }
        };
        assert_eq!(event, Event::LaneStalled(limit));
        assert_eq!(end_of(&mut slow_hold).await, LaneEnd::Cut);
        let read = usize::try_from(fanout.total()).unwrap();
        let taken = read_endless(slow_client).await;
        assert!((1..=MOST).contains(&(read - taken)), "{read} read, {taken} taken");
        assert!(fast_got <= PREFACE.len() + taken + MOST, "nor is any other receiver");

        // The others go on.
        let goal = fast_got + 10 * MOST;
        while fast_got < goal {
            tokio::select! {
                event = poll_fn(|cx| fanout.poll_next(cx)) => panic!("{event:?}"),
                read = fast_client.read(&mut buffer) => fast_got += read.unwrap(),
            }
        }
    });
}

#[test]
fn the_window_grows_while_it_is_full_and_never_beyond_its_limit() {
    for max in [256 << 10, 100_000, 1000] {
        run(async {
            let bell = Arc::new(Bell::default());
            let (lane, _hold, mut client) = client(&bell, Framing::Plain, None).await;
            let source = Endless::default();
            let mut fanout = Fanout::new(source, vec![lane], bell, max, false, None);
            let (mut got, mut buffer) = (0, vec![0; 64 << 10]);
            while got < 8 * max {
                tokio::select! {
                    event = poll_fn(|cx| fanout.poll_next(cx)) => panic!("{event:?}"),
                    read = client.read(&mut buffer) => got += read.unwrap(),
                }
            }
            let asked = fanout.into_source().asked;
            assert_eq!(asked.first(), Some(&max.min(16 << 10)));
            assert_eq!(asked.iter().max(), Some(&max), "{asked:?}");
        });
    }
}

#[test]
fn tokens_do_not_make_the_window_grow() {
    both(async |road| {
        let mut s = Stage::new(road, 1, Framing::Plain).await;
        s.all_read(PREFACE).await;
        for _ in 0..100 {
            s.feed.push(Step::Data(b"a token".to_vec()));
            s.all_read("a token").await;
        }
        assert_eq!(s.fanout.store.held(), (crate::flow::store::FIRST, false));
    });
}

#[test]
fn a_slow_reader_gets_every_byte_in_order() {
    both(async |road| {
        let mut s = Stage::new(road, 1, Framing::Chunked).await;
        s.all_read(PREFACE).await;
        let body: Vec<u8> = (0..3_000_000).map(endless).collect();
        s.feed.push(Step::Data(body.clone()));
        s.feed.push(Step::End(b"!".to_vec()));
        let (mut got, mut buffer) = (Vec::new(), vec![0; 50_000]);
        loop {
            tokio::select! {
                event = poll_fn(|cx| s.fanout.poll_next(cx)) => match event {
                    Event::BodyComplete => s.fanout.release(),
                    Event::Finished => break,
                    other => panic!("{other:?}"),
                },
                read = s.clients[0].read(&mut buffer) => {
                    got.extend_from_slice(&buffer[..read.unwrap()]);
                }
            }
        }
        s.clients[0].read_to_end(&mut got).await.unwrap();
        assert!(got.ends_with(b"!\r\n0\r\n\r\n"));
        assert!(unchunk(&got) == [&body[..], b"!"].concat(), "bytes differ");
    });
}

/// The data of a chunked body.
fn unchunk(mut body: &[u8]) -> Vec<u8> {
    let (mut decoder, mut data) = (crate::flow::chunked::Decoder::new(), Vec::new());
    while !decoder.ended() {
        let framing = decoder.framing(body).unwrap();
        body = &body[framing..];
        let len = usize::try_from(decoder.remaining()).unwrap();
        data.extend_from_slice(&body[..len]);
        decoder.data(len as u64);
        body = &body[len..];
    }
    data
}
