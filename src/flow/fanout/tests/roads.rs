//! Which road a stream takes: it begins by copying, and the kernel moves what shows volume.

use super::pace::Endless;
use super::*;
use crate::flow::duct;

/// Runs a fan-out of an endless source until so many bytes have come out at its one client.
async fn flow(fanout: &mut Fanout<Endless>, client: &mut TcpStream, most: usize) {
    let (mut got, mut buffer) = (0, vec![0; 64 << 10]);
    while got < most {
        tokio::select! {
            event = poll_fn(|cx| fanout.poll_next(cx)) => panic!("{event:?}"),
            read = client.read(&mut buffer) => got += read.unwrap(),
        }
    }
}

const WINDOW: usize = 256 << 10;

/// Is a stream of volume poured, with this many descriptors for pipes?
async fn is_poured(hash: bool, descriptors: usize) -> bool {
    let bell = Arc::new(Bell::default());
    let (lane, _hold, mut client) = client(&bell, Framing::Plain, None).await;
    let (source, pipes) = (Endless::default(), Pipes::new(descriptors));
    let mut fanout = Fanout::new(source, vec![lane], bell, WINDOW, hash, None).through(pipes);
    assert_eq!(fanout.store.held(), (crate::flow::store::FIRST, false), "it begins by copying");
    flow(&mut fanout, &mut client, 4 * WINDOW).await;
    fanout.store.held().1
}

#[test]
fn volume_is_poured_unless_it_has_to_be_seen_or_there_are_no_pipes() {
    run(async {
        assert!(is_poured(false, 4).await);
        assert!(!is_poured(true, 4).await, "what is hashed is copied");
        assert!(!is_poured(false, 1).await, "no descriptors");
    });
}

#[test]
fn one_lane_that_is_no_socket_makes_all_copied() {
    run(async {
        let bell = Arc::new(Bell::default());
        let (plain, _hold, mut client) = client(&bell, Framing::Plain, None).await;
        let (inlet, mut outlet) = duct();
        let (mut framed, _other) = lane(Way::duct(inlet));
        framed.start(Bytes::new(), Framing::Plain, None).unwrap();
        let (source, lanes) = (Endless::default(), vec![plain, framed]);
        let fanout = Fanout::new(source, lanes, bell, WINDOW, false, None);
        let mut fanout = fanout.through(Some(pipes()));
        let drained = async {
            loop {
                poll_fn(|cx| outlet.poll_take(cx, usize::MAX)).await;
            }
        };
        tokio::select! {
            () = flow(&mut fanout, &mut client, 8 * WINDOW) => {}
            () = drained => {}
        }
        assert_eq!(fanout.store.held(), (WINDOW, false));
    });
}

#[test]
fn a_stream_that_becomes_slow_gives_its_pipes_back_and_gets_them_again() {
    run(async {
        let bell = Arc::new(Bell::default());
        let (lane, _hold, mut client) = client(&bell, Framing::Plain, None).await;
        let (feed, all) = (Feed::default(), pipes());
        let fanout = Fanout::new(feed.clone(), vec![lane], bell, 64 << 10, false, None);
        let mut fanout = fanout.through(Some(all.clone()));
        let mut got = vec![0; PREFACE.len()];
        for _ in 0..3 {
            feed.push(Step::Data(vec![7; 1 << 20]));
            got.resize(got.len() + (1 << 20), 0);
            read(&mut fanout, &mut client, &mut got).await;
            assert_eq!(all.descriptors(), 2, "it is poured");
            for _ in 0..20 {
                feed.push(Step::Data(b"token".to_vec()));
                got.resize(b"token".len(), 0);
                read(&mut fanout, &mut client, &mut got).await;
                assert_eq!(got, b"token");
            }
            assert_eq!(all.descriptors(), 0, "it is copied");
            got.clear();
        }
    });
}

/// Reads exactly this much while the fan-out runs, in which nothing else happens.
async fn read(fanout: &mut Fanout<Feed>, client: &mut TcpStream, into: &mut [u8]) {
    tokio::select! {
        event = poll_fn(|cx| fanout.poll_next(cx)) => panic!("{event:?}"),
        read = client.read_exact(into) => drop(read.unwrap()),
    }
}
