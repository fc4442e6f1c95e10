//! Transfers between clients that speak differently, in size and in number.

use crate::common::{SOON, eventually, full, pattern, sha256, unique};
use crate::kit::{ALL, Relay};

#[test]
fn thirty_receivers_of_all_kinds_get_the_same() {
    let relay = Relay::start(&[]);
    let body = pattern(3 << 20);
    let file = relay.folder.path("body");
    std::fs::write(&file, &body).unwrap();
    for from in ALL {
        let name = format!("{}?n=30", unique());
        let receivers: Vec<_> =
            (0..30).map(|at| relay.receiver(ALL[at % ALL.len()], &name)).collect();
        let sender = relay.run(from, &["-sS", "--fail-with-body", "-T", &file], &name);
        assert!(sender.expect(0).text().contains("to 30 of 30 receiver(s)"), "{from:?}");
        for receiver in receivers {
            assert_eq!(sha256(&receiver.ended().expect(0).stdout), sha256(&body), "{from:?}");
        }
    }
}

#[test]
fn bulk_is_exact_and_memory_stays_small() {
    let relay = Relay::start(&[]);
    let before = relay.server.resident_kib();
    let body = pattern(if full() { 1 << 30 } else { 112 << 20 });
    let file = relay.folder.path("body");
    std::fs::write(&file, &body).unwrap();
    let digest = sha256(&body);
    let name = unique();
    // To files, as the harness would keep every byte.
    let outs: Vec<String> = (0..ALL.len()).map(|at| relay.folder.path(&format!("o{at}"))).collect();
    let receivers: Vec<_> = ALL
        .iter()
        .zip(&outs)
        .map(|(to, out)| relay.curl(*to, &["-fsSN", "-o", out], &format!("{name}?n=4")))
        .collect();
    let target = format!("{name}?n=4&sha256");
    let sender = relay.run(crate::kit::Tls1, &["-sS", "--fail-with-body", "-T", &file], &target);
    assert!(sender.expect(0).text().contains(&format!("SHA-256: {digest}")));
    for (receiver, out) in receivers.into_iter().zip(&outs) {
        receiver.ended().expect(0);
        assert!(sha256(&std::fs::read(out).unwrap()) == digest);
    }
    let grown = relay.server.peak_kib().saturating_sub(before);
    assert!(grown < 16 << 10, "{grown} KiB");
}

#[test]
fn one_byte_in_gives_one_byte_out() {
    let relay = Relay::start(&[]);
    for to in ALL {
        for from in ALL {
            let name = unique();
            let receiver = relay.receiver(to, &name);
            let mut sender = relay.curl(from, &["-sS", "-T", "-"], &name);
            for count in 1..=16 {
                sender.write(b"x");
                receiver.expect_bytes(count);
            }
            sender.close();
            sender.ended().expect(0);
            receiver.ended().expect(0);
        }
    }
}

#[test]
fn nothing_is_left_behind() {
    let relay = Relay::start(&[]);
    // Its workers open theirs while they start.
    let mut before = 0;
    eventually("all workers have started", SOON, || {
        let now = relay.server.descriptors();
        std::thread::sleep(std::time::Duration::from_millis(200));
        std::mem::replace(&mut before, now) == now
    });
    for protocol in ALL {
        let name = unique();
        let receiver = relay.receiver(protocol, &name);
        relay.run(protocol, &["-sS", "-d", "x"], &name).expect(0);
        receiver.ended().expect(0);
        let what = format!("{protocol:?}: descriptors are closed");
        eventually(&what, SOON, || relay.server.descriptors() <= before);
    }
}
