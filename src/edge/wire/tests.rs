//! The frames of the protocol as bytes: what one release has said the next one understands. A frame that
//! looks different here is another protocol, and then nodes of both releases cannot be in one fleet.

#![allow(clippy::unwrap_used)]

use std::fmt::Write;
use std::sync::Arc;

use hoody_pipe_cluster::codec::{decode, encode};
use hoody_pipe_cluster::link::FRAME_MAX;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::*;
use crate::pipe::{
    Attach, Failure, MultipartFault, Notice, Outcome, PartyId, PublicId, Reject, ReplyTo, Role,
    Snapshot, State, Sum, TOGETHER_MAX, TransferId,
};

const X: TransferId = TransferId::from_u128(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10);
const PARTY: PartyId = PartyId { origin: u64::MAX, boot: 300, seq: 7 };
const SEAT: Seat = Seat { party: PARTY, attempt: 2 };

fn outcome(result: Result<(), Failure>) -> Outcome {
    let (digest, hashed) = (result.is_ok().then(|| "ab".to_owned()), result.is_ok());
    let (bytes, whole, n, receivers, elapsed_ms) = (1 << 40, 2, 3, 1, 70_000);
    Outcome { result, bytes, whole, n, receivers, elapsed_ms, hashed, digest }
}

/// All that is said over a link.
fn calls() -> Vec<Call> {
    let label = || Some(PublicId::from("run-42"));
    let (transfer, sender, roll) = (X, PARTY, || vec![SEAT, SEAT]);
    let ended = |result| Call::Ended { transfer, sender, outcome: outcome(result) };
    vec![
        Call::Attach(Attach { seat: SEAT, role: Role::Sender, n: 256, age_ms: 9, label: label() }),
        Call::Attach(Attach { seat: SEAT, role: Role::Receiver, n: 1, age_ms: 0, label: None }),
        Call::Leave { seat: SEAT, ask: true, why: Some(Failure::SenderTimedOut) },
        Call::Withdraw { seat: SEAT },
        Call::Ready { transfer, roll: roll(), total: Some(1), label: Some(PublicId::Uuid(X)) },
        Call::Resume {
            transfer,
            roll: roll(),
            total: None,
            label: label(),
            elapsed_ms: 5,
            bytes: 6,
            receivers: 7,
            released: true,
        },
        Call::Progress { transfer, bytes: u64::MAX, receivers: 1 },
        Call::Unready { transfer },
        Call::Released { transfer, sender },
        ended(Ok(())),
        ended(Err(Failure::TooShort { got: 1, declared: 2 })),
        Call::Cancel { asker: PARTY, reason: Some("why".to_owned()) },
        Call::Status { asker: PARTY, transfer: label() },
        Call::Watch { watcher: PARTY },
        Call::Unwatch { watcher: PARTY },
    ]
}

/// All that is answered.
fn answers() -> Vec<Answer> {
    let (transfer, sender, seat) = (X, PARTY, SEAT);
    let snapshot = Snapshot {
        state: State::Streaming,
        has_sender: true,
        receivers: 2,
        n: Some(3),
        bytes: 4,
        total: Some(5),
        elapsed_ms: 6,
        digest: Some("ab".to_owned()),
        id: Some(PublicId::Uuid(X)),
    };
    let tell = |notice| Answer::Tell { party: PARTY, notice };
    let begin = |role| Answer::Begin { transfer, sender: seat, receivers: vec![seat], role };
    let mut all = vec![
        Answer::Parked { seat, k: 3 },
        Answer::Fail { seat, why: Failure::Unavailable },
        Answer::Lost { seat },
        begin(Role::Sender),
        begin(Role::Receiver),
        Answer::Undo { transfer, sender },
        Answer::Abort { transfer, sender, why: Failure::Internal },
        Answer::Left { seat, sender_there: true },
        Answer::Freed { transfer, sender },
        Answer::Cancelled { asker: PARTY, found: true },
        Answer::Snapshot { watchers: vec![PARTY; 2], snapshot: Some(Arc::new(snapshot)) },
        Answer::Snapshot { watchers: vec![PARTY], snapshot: None },
    ];
    all.extend(rejects().into_iter().map(|why| Answer::Reject { seat, why }));
    all.extend(notices().into_iter().map(tell));
    all.extend(failures().into_iter().map(|why| tell(Notice::Failed(why))));
    all
}

fn rejects() -> [Reject; 7] {
    [
        Reject::Active,
        Reject::SenderTaken,
        Reject::SlotsFull { n: 2 },
        Reject::Mismatch { expected: 1, got: 2 },
        Reject::TransferTaken,
        Reject::PendingCap,
        Reject::SpectatorCap,
    ]
}

fn notices() -> [Notice; 12] {
    [
        Notice::Waiting { n: 2 },
        Notice::AlreadyConnected { k: 1 },
        Notice::Connected,
        Notice::Disconnected,
        Notice::StillWaiting { k: 1, n: 2, left_s: 3 },
        Notice::Streaming { n: 2 },
        Notice::Dropped { limit_s: 60 },
        Notice::AllGone,
        Notice::UploadComplete,
        Notice::Digest("ab".to_owned()),
        Notice::Sent(Sum { bytes: 1, whole: 2, n: 3, elapsed_ms: 4 }),
        Notice::Complete,
    ]
}

fn failures() -> [Failure; 15] {
    [
        Failure::SenderTimedOut,
        Failure::ReceiverTimedOut { sender_there: true },
        Failure::SenderLost,
        Failure::ReceiversGone,
        Failure::TooShort { got: 1, declared: 2 },
        Failure::TooLong { declared: 1 },
        Failure::Multipart(MultipartFault::NoUsablePart),
        Failure::Multipart(MultipartFault::Late),
        Failure::Multipart(MultipartFault::TextTooLarge),
        Failure::Idle,
        Failure::Capacity,
        Failure::Cancelled(None),
        Failure::ShuttingDown,
        Failure::Unavailable,
        Failure::Internal,
    ]
}

fn up(call: Call) -> Up {
    Up { epoch: 1000, path: PipePath::new("/a/b").unwrap(), call }
}

fn downs() -> Vec<Down> {
    let moved = Down::Moved { seat: SEAT, epoch: 1000 };
    answers().into_iter().map(Down::Answer).chain([moved]).collect()
}

fn hex<T: Serialize>(value: &T) -> String {
    let mut text = String::new();
    for byte in encode(value).unwrap() {
        write!(text, "{byte:02x}").unwrap();
    }
    text
}

/// Each value is written as it always was, and read as what it is.
fn assert_frames<T>(values: &[T], golden: &str)
where
    T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug,
{
    let said: Vec<String> = values.iter().map(hex).collect();
    assert_eq!(said, golden.lines().collect::<Vec<_>>(), "write:\n{}\n", said.join("\n"));
    for value in values {
        let bytes = encode(value).unwrap();
        assert_eq!(decode::<T>(&bytes).unwrap(), *value);
        for end in 0..bytes.len() {
            decode::<T>(&bytes[..end]).unwrap_err();
        }
        decode::<T>(&[&bytes[..], &[0]].concat()).unwrap_err();
    }
}

#[test]
fn what_an_edge_says_has_the_bytes_it_always_had() {
    let ups = calls().into_iter().map(up).map(Rising::Call);
    let all: Vec<Rising> = ups.chain([Rising::Knows { epoch: 1000 }]).collect();
    assert_frames(&all, include_str!("up.hex"));
}

#[test]
fn what_an_owner_says_has_the_bytes_it_always_had() {
    assert_frames(&downs(), include_str!("down.hex"));
}

/// A new call has to be named here, and in `calls` if it goes over a link.
fn goes_over_a_link(call: &Call) -> bool {
    match call {
        Call::Attach(_)
        | Call::Leave { .. }
        | Call::Withdraw { .. }
        | Call::Ready { .. }
        | Call::Resume { .. }
        | Call::Progress { .. }
        | Call::Unready { .. }
        | Call::Released { .. }
        | Call::Ended { .. }
        | Call::Cancel { .. }
        | Call::Status { .. }
        | Call::Watch { .. }
        | Call::Unwatch { .. } => true,
        Call::Gone { .. } | Call::Evict | Call::Collect => false,
    }
}

#[test]
fn what_a_node_says_to_its_own_names_cannot_be_sent() {
    let own = [Call::Gone { link: ReplyTo(1) }, Call::Evict, Call::Collect];
    for call in calls().into_iter().chain(own) {
        assert_eq!(encode(&up(call.clone())).is_ok(), goes_over_a_link(&call), "{call:?}");
    }
}

#[test]
fn what_is_said_to_several_is_for_each_of_them_alone() {
    let others = [1, 2, 3].map(|seq| PartyId { seq, ..PARTY });
    let seat = |party| Seat { party, attempt: 2 };
    let begin = |role, receivers: &[PartyId]| {
        let receivers = receivers.iter().map(|&party| seat(party)).collect();
        Answer::Begin { transfer: X, sender: SEAT, receivers, role }
    };
    let shown = |watchers: &[PartyId]| Answer::Snapshot {
        watchers: watchers.to_vec(),
        snapshot: Some(Arc::new(Snapshot::idle())),
    };
    let heard = |answer| {
        let mut all = Vec::new();
        address(answer, |party, answer| all.push((party, answer)));
        all
    };
    let of_each = |answer: &dyn Fn(&[PartyId]) -> Answer| {
        others.iter().map(|&other| (other, answer(&[other]))).collect::<Vec<_>>()
    };
    let to_receivers = |who: &[PartyId]| begin(Role::Receiver, who);
    assert_eq!(heard(to_receivers(&others)), of_each(&to_receivers));
    assert_eq!(heard(shown(&others)), of_each(&shown));
    let to_sender = begin(Role::Sender, &others);
    assert_eq!(heard(to_sender.clone()), [(PARTY, to_sender)], "it has to know them all");
}

#[test]
fn whatever_is_answered_is_for_somebody() {
    for answer in answers() {
        let mut heard = 0;
        address(answer.clone(), |party, _| heard += usize::from(party == PARTY));
        assert!(heard > 0, "{answer:?}");
    }
}

#[test]
fn a_snapshot_for_as_many_as_possible_fits_into_a_frame() {
    let most = PartyId { origin: u64::MAX, boot: u64::MAX, seq: u64::MAX };
    let why = Failure::Cancelled(Some("\u{10ffff}".repeat(200)));
    let id = Some(PublicId::from(&*"x".repeat(64)));
    let (state, digest) = (State::Failed(why), Some("0".repeat(64)));
    let last = Snapshot { state, digest, id, ..Snapshot::idle() };
    let (watchers, snapshot) = (vec![most; TOGETHER_MAX], Some(Arc::new(last)));
    let frame = encode(&Down::Answer(Answer::Snapshot { watchers, snapshot })).unwrap();
    assert!(frame.len() <= FRAME_MAX, "{}", frame.len());
}
