//! Links between nodes.

use bytes::Bytes;
use tokio::io::{AsyncWrite, duplex};

use super::*;
use crate::link::{FRAME_MAX, LinkId, QUEUE_MAX, SILENCE_MAX};

/// A node whose view has the other one, and the link between them.
async fn linked() -> (Node, Node, Wire, LinkId, Incoming) {
    let (mut a, mut b) = (Node::new(A).await, Node::new(B).await);
    let wire = Wire::to(&b.addr).await;
    a.sees(1, &[(B, &wire.addr)]);
    let LinkEvent::Up { node: B, link } = a.event().await else { panic!("no link") };
    let incoming = b.incoming().await;
    (a, b, wire, link, incoming)
}

fn frame(number: u32) -> Bytes {
    Bytes::copy_from_slice(&number.to_be_bytes())
}

async fn next(link: &mut Incoming) -> Option<Bytes> {
    soon(link.next()).await
}

#[tokio::test]
async fn frames_arrive_in_order_both_ways() {
    let (mut a, b, _wire, link, mut incoming) = linked().await;
    assert_eq!((a.cluster.link_to(B), b.cluster.link_to(A)), (Some(link), None));
    assert_eq!(
        (incoming.from, incoming.number),
        (A, LinkNumber { boot: 1, seq: incoming.number.seq })
    );
    let sender = incoming.sender();
    for number in 0..1000 {
        assert_eq!(a.cluster.send(B, frame(number)), Some(link));
        assert!(sender.send(frame(number)));
    }
    let large = Bytes::from(vec![1; FRAME_MAX]);
    assert!(a.cluster.send(B, large.clone()).is_some() && sender.send(large.clone()));
    for number in 0..1000 {
        assert_eq!(next(&mut incoming).await, Some(frame(number)));
        assert_eq!(a.event().await, LinkEvent::Frame { node: B, link, frame: frame(number) });
    }
    assert_eq!(next(&mut incoming).await, Some(large.clone()));
    assert_eq!(a.event().await, LinkEvent::Frame { node: B, link, frame: large });
    assert!(a.cluster.silence(B).is_some() && b.cluster.silence(A).is_some());
    assert!(a.net().contacts.linked(B) && !b.net().contacts.linked(A));
}

#[tokio::test]
async fn a_link_that_is_cut_is_lost_at_both_ends_and_made_again() {
    let (mut a, mut b, wire, link, mut incoming) = linked().await;
    wire.cut();
    assert_eq!(a.event().await, LinkEvent::Down { node: B, link });
    assert_eq!(next(&mut incoming).await, None);
    assert!(!incoming.sender().send(frame(1)));
    let LinkEvent::Up { node: B, link: again } = a.event().await else { panic!("no link") };
    assert!(again > link);
    let newer = b.incoming().await;
    assert!(newer.number > incoming.number && newer.id > incoming.id);
    assert_eq!(a.cluster.send(B, frame(1)), Some(again));
}

#[tokio::test]
async fn an_owner_that_lets_go_of_a_link_closes_it() {
    let (mut a, _b, _wire, link, incoming) = linked().await;
    drop(incoming);
    assert_eq!(a.event().await, LinkEvent::Down { node: B, link });
}

#[tokio::test]
async fn silence_ends_a_link_at_both_ends() {
    let (mut a, _b, wire, link, mut incoming) = linked().await;
    wire.hold();
    assert_eq!(a.event().await, LinkEvent::Down { node: B, link });
    assert_eq!(next(&mut incoming).await, None);
    assert!(a.cluster.silence(B).is_some_and(|silence| silence >= SILENCE_MAX));
    assert_eq!((a.cluster.link_to(B), a.cluster.send(B, frame(1))), (None, None));
    assert!(!a.net().contacts.linked(B));
}

#[tokio::test]
async fn an_address_that_refuses_is_counted_until_a_link_stands() {
    let (mut a, mut b) = (Node::new(A).await, Node::new(B).await);
    a.sees(1, &[(B, NOBODY)]);
    let twice = async {
        while a.net().contacts.refused(B) < 2 {
            tokio::task::yield_now().await;
        }
    };
    soon(twice).await;
    // It has moved: the link follows at once.
    a.sees(2, &[(B, &b.addr)]);
    assert!(matches!(a.event().await, LinkEvent::Up { node: B, .. }));
    assert_eq!(a.net().contacts.refused(B), 0);
    b.incoming().await;
}

#[tokio::test]
async fn a_node_that_is_no_member_any_more_loses_its_link() {
    let (mut a, _b, _wire, link, _incoming) = linked().await;
    a.sees(2, &[]);
    assert_eq!(a.event().await, LinkEvent::Down { node: B, link });
    assert_eq!(a.cluster.link_to(B), None);
}

#[tokio::test]
async fn a_mesh_that_is_closed_ends_its_links_and_takes_no_more() {
    let (mut a, b, _wire, link, mut incoming) = linked().await;
    b.net().mesh.close();
    assert_eq!(next(&mut incoming).await, None);
    assert_eq!(a.event().await, LinkEvent::Down { node: B, link });
    let (_edge, mut late) = by_hand(&b, (9, 9));
    assert_eq!(next(&mut late).await, None);
}

#[tokio::test]
async fn an_edge_that_closes_its_mesh_leaves_its_owners() {
    let (mut a, _b, _wire, link, mut incoming) = linked().await;
    a.net().mesh.close();
    assert_eq!(next(&mut incoming).await, None);
    assert_eq!(a.event().await, LinkEvent::Down { node: B, link });
    assert_eq!(a.cluster.link_to(B), None);
}

#[tokio::test]
async fn what_does_not_keep_up_loses_the_link() {
    let (mut a, _b, wire, link, incoming) = linked().await;
    wire.hold();
    let piece = Bytes::from(vec![1; FRAME_MAX]);
    let sender = incoming.sender();
    // The kernel takes some of it; what waits here has a bound.
    let most = 4 * QUEUE_MAX / FRAME_MAX;
    assert!((0..most).any(|_| a.cluster.send(B, piece.clone()).is_none()));
    assert!((0..most).any(|_| !sender.send(piece.clone())));
    assert_eq!(a.event().await, LinkEvent::Down { node: B, link });
    assert!(!sender.send(frame(1)));
}

#[tokio::test]
async fn a_node_with_another_secret_gets_no_link() {
    let a = Node::new(A).await;
    let mut b = Node::with(B, 1, Secret::new([9; 16]).unwrap()).await;
    a.sees(1, &[(B, &b.addr)]);
    for _ in 0..3 {
        assert!(soon(b.denied.recv()).await.unwrap().starts_with("/link/1/"));
    }
    assert!(b.incoming.try_recv().is_err());
    assert_eq!((a.cluster.link_to(B), b.cluster.silence(A)), (None, None));
}

#[tokio::test]
async fn a_replayed_request_for_a_link_is_refused() {
    let (a, mut b) = (Node::new(A).await, Node::new(B).await);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    a.sees(1, &[(B, &listener.local_addr().unwrap().to_string())]);
    // Stands in the middle, and sees what A says to B.
    let mut requests = Vec::new();
    while requests.len() < 2 {
        let (mut near, _) = soon(listener.accept()).await.unwrap();
        while let Some(Request { target, header, .. }) = soon(Request::read(&mut near)).await {
            let head = format!(
                "GET {target} HTTP/1.1\r\n{}: {}\r\n\r\n",
                crate::PEER_HEADER,
                header.unwrap()
            );
            let mut far = TcpStream::connect(&b.addr).await.unwrap();
            far.write_all(head.as_bytes()).await.unwrap();
            requests.push(head);
            if requests.len() == 2 {
                break;
            }
            let mut answer = Vec::new();
            while !answer.ends_with(b"\r\n\r\n") {
                answer.push(soon(far.read_u8()).await.unwrap());
            }
            near.write_all(&answer).await.unwrap();
        }
    }
    let _link = b.incoming().await;
    while b.denied.try_recv().is_ok() {}
    let mut again = TcpStream::connect(&b.addr).await.unwrap();
    again.write_all(requests[1].as_bytes()).await.unwrap();
    assert!(soon(b.denied.recv()).await.unwrap().starts_with("/link/1/"));
    assert!(b.incoming.try_recv().is_err());
}

/// An edge that is driven by hand: what it writes becomes the link of that number at B.
fn by_hand(b: &Node, number: (u64, u64)) -> (impl AsyncWrite + Unpin, Incoming) {
    let (near, far) = duplex(1 << 20);
    let number = LinkNumber { boot: number.0, seq: number.1 };
    (near, b.net().mesh.accept(A, number, far))
}

async fn say(edge: &mut (impl AsyncWrite + Unpin), number: u32) {
    edge.write_all(&[&4u32.to_be_bytes()[..], &number.to_be_bytes()].concat()).await.unwrap();
}

#[tokio::test]
async fn a_newer_link_of_an_edge_ends_the_older_one() {
    let b = Node::new(B).await;
    let (mut old_edge, mut old) = by_hand(&b, (1, 5));
    say(&mut old_edge, 1).await;
    say(&mut old_edge, 2).await;
    assert_eq!(next(&mut old).await, Some(frame(1)));
    for newer in [(1, 6), (2, 1)] {
        let (mut edge, mut link) = by_hand(&b, newer);
        say(&mut edge, 3).await;
        // Nothing more is read from the old one, and nothing from the new one before it is let go of.
        assert_eq!(next(&mut old).await, None);
        assert!(!old.sender().send(frame(9)));
        assert!(timeout(Duration::ZERO, link.next()).await.is_err());
        drop(old);
        assert_eq!(next(&mut link).await, Some(frame(3)));
        old = link;
    }
}

#[tokio::test]
async fn an_older_link_that_arrives_late_is_over_at_once() {
    let b = Node::new(B).await;
    let (mut edge, mut link) = by_hand(&b, (2, 1));
    for older in [(2, 1), (1, 9), (2, 0)] {
        let (mut late_edge, mut late) = by_hand(&b, older);
        // It may be closed at the other end already.
        let _ = late_edge.write_all(b"\0\0\0\x01x").await;
        assert_eq!(next(&mut late).await, None);
    }
    say(&mut edge, 4).await;
    assert_eq!(next(&mut link).await, Some(frame(4)));
    drop(link);
    let (_late_edge, mut late) = by_hand(&b, (1, 10));
    assert_eq!(next(&mut late).await, None, "also when the newer one is gone");
}

#[tokio::test(start_paused = true)]
async fn a_slow_owner_does_not_take_its_own_slowness_for_silence() {
    let b = Node::new(B).await;
    let (mut edge, mut link) = by_hand(&b, (1, 1));
    say(&mut edge, 1).await;
    tokio::time::advance(SILENCE_MAX * 3).await;
    assert_eq!(next(&mut link).await, Some(frame(1)));
    // Asked again and again, it still notices.
    let asked = async {
        loop {
            match timeout(SILENCE_MAX / 3, link.next()).await {
                Ok(frame) => return frame,
                Err(_) => continue,
            }
        }
    };
    assert_eq!(timeout(SILENCE_MAX * 3, asked).await, Ok(None));
}

#[tokio::test]
async fn what_is_no_frame_ends_the_link() {
    let b = Node::new(B).await;
    let (mut edge, mut link) = by_hand(&b, (1, 1));
    edge.write_all(&(FRAME_MAX as u32 + 1).to_be_bytes()).await.unwrap();
    assert_eq!(next(&mut link).await, None);
    let (mut edge, mut link) = by_hand(&b, (1, 2));
    edge.write_all(&[0, 0, 0, 9, 1]).await.unwrap();
    drop(edge);
    assert_eq!(next(&mut link).await, None, "half a frame is none");
}
