//! Requests between nodes.

use super::*;
use crate::peers::CallError;

/// Posts from A to `node`.
async fn post(from: &Node, to: NodeId, addr: &str, body: &[u8]) -> Result<Vec<u8>, CallError> {
    let answer = from.net().peers.post(to, addr, "/raft/vote", body.to_vec(), LONG).await;
    answer.map(|(status, body)| {
        assert_eq!(status, 200);
        body.to_vec()
    })
}

#[tokio::test]
async fn a_call_is_answered_at_first_and_ever_after() {
    let (a, mut b) = (Node::new(A).await, Node::new(B).await);
    for body in [&b"one"[..], b"", &[7; 100_000]] {
        assert_eq!(post(&a, B, &b.addr, body).await.as_deref(), Ok(body));
    }
    assert_eq!(b.denied.try_recv().as_deref(), Ok("/raft/vote"), "it had to learn the clock");
    assert!(b.denied.try_recv().is_err(), "it remembers the clock");
    assert!(b.cluster.silence(A).is_some());
}

#[tokio::test]
async fn a_node_may_be_known_by_the_name_of_its_host() {
    let (a, b) = (Node::new(A).await, Node::new(B).await);
    let (_, port) = b.addr.split_once(':').unwrap();
    let body = &b"one"[..];
    assert_eq!(post(&a, B, &format!("localhost:{port}"), body).await.as_deref(), Ok(body));
}

#[tokio::test]
async fn a_restarted_node_is_asked_again_by_itself() {
    let (a, b) = (Node::new(A).await, Node::new(B).await);
    let wire = Wire::to(&b.addr).await;
    assert!(post(&a, B, &wire.addr, b"one").await.is_ok());
    let mut again = Node::new(B).await;
    wire.lead_to(&again.addr);
    wire.cut();
    // A connection that is closed while it is taken up again is nobody's fault.
    let second = async {
        loop {
            match post(&a, B, &wire.addr, b"two").await {
                Err(CallError::Unreachable) => {}
                answer => return answer,
            }
        }
    };
    assert_eq!(soon(second).await.as_deref(), Ok(&b"two"[..]));
    assert_eq!(again.denied.try_recv().as_deref(), Ok("/raft/vote"), "its clock was not known");
}

#[tokio::test]
async fn a_node_with_another_secret_is_told_nothing_and_believed_nothing() {
    let a = Node::new(A).await;
    let mut other = Node::with(B, 1, Secret::new([9; 16]).unwrap()).await;
    assert_eq!(post(&a, B, &other.addr, b"one").await, Err(CallError::Forged));
    assert_eq!(soon(other.denied.recv()).await.as_deref(), Some("/raft/vote"));
    assert!(other.cluster.silence(A).is_none(), "it was not heard");
}

#[tokio::test]
async fn an_answer_with_an_altered_body_is_not_believed() {
    let a = Node::new(A).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    let door = Node::new(B).await.cluster;
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        while let Some(Request { method, target, header, .. }) = Request::read(&mut stream).await {
            let header = header.as_deref();
            match door.admit(&PeerRequest { method: &method, target: &target, header }) {
                Ok(admitted) => {
                    let proof = admitted.proof(200, b"yes");
                    answer(&mut stream, 200, Some(proof), b"no").await;
                }
                Err(Denied { status, proof }) => answer(&mut stream, status, proof, b"").await,
            }
        }
    });
    assert_eq!(post(&a, B, &addr, b"one").await, Err(CallError::Forged));
}

#[tokio::test]
async fn nobody_there_and_nobody_answering_are_told_apart() {
    let a = Node::new(A).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    let short = Duration::from_millis(100);
    let call = a.net().peers.post(B, &addr, "/raft/vote", vec![], short).await;
    assert_eq!(call, Err(CallError::Unreachable));
    assert_eq!(post(&a, B, NOBODY, b"").await, Err(CallError::Refused));
}

#[tokio::test]
async fn a_request_of_a_trunk_is_signed_and_its_answer_proven() {
    let (a, b) = (Node::new(A).await, Node::new(B).await);
    assert!(a.cluster.sign(B, "POST", "/trunk/1").is_none(), "it knows no such member");
    a.sees(1, &[(B, &b.addr)]);
    let ask = || {
        let signed = a.cluster.sign(B, "POST", "/trunk/1").unwrap();
        assert_eq!(signed.addr, b.addr);
        let header = Some(signed.header.1.as_str());
        let request = PeerRequest { method: "POST", target: "/trunk/1", header };
        (b.cluster.admit(&request), signed)
    };
    let (first, signed) = ask();
    let Denied { status, proof } = first.unwrap_err();
    let learned = a.cluster.verify(&signed, status, proof.as_deref());
    assert_eq!(learned, Err(crate::Unproven::Stale));
    let (second, signed) = ask();
    let proof = second.unwrap().proof(200, b"");
    assert_eq!(a.cluster.verify(&signed, 200, Some(&proof)), Ok(()));
    assert!(a.cluster.silence(B).is_some(), "it was heard, although no link stands");
    assert_eq!(a.cluster.verify(&signed, 409, Some(&proof)), Err(crate::Unproven::Forged));
    assert_eq!(a.cluster.verify(&signed, 200, None), Err(crate::Unproven::Forged));
}
