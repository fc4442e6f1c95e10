//! The fan-out into memory, and the framing of chunks.

use std::convert::Infallible;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use hoody_pipe::flow::chunked::{CHUNK_HEAD_MAX, Decoder, chunk_head};
use hoody_pipe::flow::{
    Bell, DuctOut, Event, Fanout, Fill, Framing, LaneHold, Source, Taken, Way, duct, lane,
};

/// Bytes of a body, and of the window that is the default.
const BODY: usize = 8 << 20;
const WINDOW: usize = 256 << 10;

/// A body that costs nothing to read.
struct Memory {
    left: usize,
}

impl Source for Memory {
    type Error = Infallible;

    fn poll_fill(
        &mut self,
        _: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<Result<Fill, Infallible>> {
        let bytes = into.len().min(self.left);
        self.left -= bytes;
        Poll::Ready(Ok(Fill { bytes, end: self.left == 0 }))
    }
}

/// A lane's other end, until all has come out of it.
struct Taker {
    outlet: Option<DuctOut>,
    _hold: LaneHold,
}

impl Taker {
    /// Takes what is there; says so at the end.
    fn take(&mut self, cx: &mut Context<'_>) {
        while let Some(mut outlet) = self.outlet.take() {
            match outlet.poll_take(cx, usize::MAX) {
                Poll::Ready(Taken::End) => outlet.acknowledge(),
                Poll::Ready(Taken::Bytes(bytes)) => {
                    drop(black_box(bytes));
                    self.outlet = Some(outlet);
                }
                Poll::Ready(Taken::Cut) => unreachable!("nobody cuts"),
                Poll::Pending => {
                    self.outlet = Some(outlet);
                    return;
                }
            }
        }
    }
}

/// Lanes into memory: what the product does for receivers over TLS, before any encryption.
#[divan::bench(args = [1, 30, 256], sample_count = 20)]
fn fan_out_of_8_mib(bencher: Bencher<'_, '_>, receivers: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime of one thread");
    bencher
        .counter(BytesCount::new(BODY * receivers))
        .bench_local(|| runtime.block_on(fan(receivers)));
}

async fn fan(receivers: usize) {
    let bell = Arc::new(Bell::default());
    let (mut lanes, mut takers) = (Vec::new(), Vec::new());
    for _ in 0..receivers {
        let (inlet, outlet) = duct();
        let (mut lane, hold) = lane(Way::duct(inlet));
        lane.hang(bell.clone());
        lane.start(Bytes::new(), Framing::Plain, None).expect("a duct opens");
        lanes.push(lane);
        takers.push(Taker { outlet: Some(outlet), _hold: hold });
    }
    let mut fanout = Fanout::new(Memory { left: BODY }, lanes, bell, WINDOW, false, None);
    poll_fn(|cx| {
        while let Poll::Ready(event) = fanout.poll_next(cx) {
            match event {
                Event::BodyComplete => fanout.release(),
                Event::Finished => return Poll::Ready(()),
                other => unreachable!("{other:?}"),
            }
        }
        takers.iter_mut().for_each(|taker| taker.take(cx));
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Chunk lines in a body of chunks of 64 KiB, whose data is consumed elsewhere.
#[divan::bench]
fn read_1000_chunk_heads(bencher: Bencher<'_, '_>) {
    let count = 1000_usize;
    bencher.counter(ItemsCount::new(count)).bench_local(|| {
        let mut decoder = Decoder::new();
        for at in 0..count {
            let line = if at == 0 { &b"10000\r\n"[..] } else { b"\r\n10000\r\n" };
            let read = decoder.framing(black_box(line));
            assert_eq!(read, Ok(line.len()), "a well-formed chunk");
            decoder.data(decoder.remaining());
        }
        decoder
    });
}

#[divan::bench(args = [50, 65_536, 1_048_576])]
fn write_a_chunk_head(len: usize) -> usize {
    let mut buffer = [0; CHUNK_HEAD_MAX];
    black_box(chunk_head(&mut buffer, black_box(len))).len()
}
