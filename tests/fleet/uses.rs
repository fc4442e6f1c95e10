//! Spec §1 across nodes: the three flagship uses with stock curl, every party at another node.

use crate::clients::{Upload, live_sender, receiver};
use crate::common::uses::pass_tokens;
use crate::common::{Curl, sha256, unique};
use crate::fleet::Fleet;
use crate::history::body;

#[test]
fn the_flagship_uses_work_across_nodes() {
    let fleet = Fleet::start(3);
    for producer in 0..3 {
        tokens_reach_every_reader_as_they_are_written(&fleet, producer);
    }
    two_talk_to_each_other(&fleet);
    an_image_reaches_thirty_runners(&fleet);
    fleet.assert_empty();
}

/// One producer, a reader at each node: each token is seen by all before the next is written.
fn tokens_reach_every_reader_as_they_are_written(fleet: &Fleet, producer: usize) {
    let target = format!("{}?n=3", unique());
    let readers: Vec<Curl> = (0..3).map(|at| receiver(fleet, at, &target)).collect();
    let producer = live_sender(fleet, producer, &target);
    pass_tokens(producer, readers, 50);
}

/// A call: two names, in opposite directions, taking turns by packets of sound.
fn two_talk_to_each_other(fleet: &Fleet) {
    const PACKET: usize = 80;
    let (there, back) = (unique(), unique());
    let speak = |at: usize, name: &str| {
        let url = fleet.url(at, name);
        Curl::start(&["-sS", "-T", "-", "-H", "Content-Type: audio/ogg", &url])
    };
    let listen = |at: usize, name: &str| {
        Curl::start(&["-fsSN", "-w", "%{content_type}", &fleet.url(at, name)])
    };
    let mut speakers = [speak(0, &there), speak(1, &back)];
    let listeners = [listen(1, &there), listen(0, &back)];
    let sounds = [body(1, PACKET * 50), body(2, PACKET * 50)];
    for packet in 0..50 {
        for side in [0, 1] {
            speakers[side].write(&sounds[side][packet * PACKET..][..PACKET]);
            listeners[side].expect_bytes((packet + 1) * PACKET);
        }
    }
    // Ctrl-C on one side ends that direction for the other, and not as if it were complete.
    let [first, mut second] = speakers;
    first.signal(rustix::process::Signal::INT);
    let [hears_first, hears_second] = listeners;
    assert!(hears_first.ended().expect(18).stdout.starts_with(&sounds[0]));
    second.close();
    second.ended().expect(0);
    assert_eq!(hears_second.ended().expect(0).stdout, [&sounds[1][..], b"audio/ogg"].concat());
}

/// One upload, thirty identical copies, ten at each node.
fn an_image_reaches_thirty_runners(fleet: &Fleet) {
    let upload = Upload::of(3, 3 << 20);
    let name = unique();
    let target = format!("{name}?n=30");
    let retry = ["-fsS", "--retry", "10", "--retry-connrefused"];
    let runner = |at: usize| Curl::start(&[&retry[..], &[&fleet.url(at % 3, &target)]].concat());
    let runners: Vec<Curl> = (0..30).map(runner).collect();
    let url = fleet.url(1, &name);
    let file = upload.file();
    let builder =
        Curl::start(&["-sS", "--fail-with-body", "-H", "X-Pipe-N: 30", "-T", &file, &url]);
    let digest = sha256(&upload.body);
    for runner in runners {
        assert_eq!(sha256(&runner.ended().expect(0).stdout), digest);
    }
    let ended = builder.ended();
    assert!(ended.expect(0).text().contains(" bytes to 30 of 30 receiver(s) in "), "{ended:?}");
    fleet.assert_usable(&name, 0, 2);
}
