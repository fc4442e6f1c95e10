//! `?status` and `?progress` (spec §16) over every protocol.

use crate::common::{PATIENCE, SOON, eventually, unique};
use crate::kit::{ALL, Relay};

#[test]
fn a_snapshot_is_the_same_everywhere() {
    let relay = Relay::start(&[]);
    for protocol in ALL {
        let name = unique();
        let target = format!("{name}?status");
        let idle = relay.run(protocol, &["-fsS"], &target).expect(0).text();
        assert!(idle.contains("\"state\":\"idle\""), "{idle}");
        let mut sender = relay.waiting_sender(protocol, &name);
        let all = ALL.map(|other| relay.run(other, &["-fsS"], &target).expect(0).text());
        assert!(all[0].contains("\"state\":\"waiting\"") && all[0].contains("\"hasSender\":true"));
        assert!(all.iter().all(|one| *one == all[0]), "{all:#?}");
        let headers = relay.run(protocol, &["-sSI"], &target).expect(0).text();
        assert!(headers.to_ascii_lowercase().contains("content-type: application/json"));
        let receiver = relay.receiver(protocol, &name);
        sender.write(b"x");
        receiver.expect_output("x");
        sender.close();
        receiver.ended().expect(0);
        sender.ended().expect(0);
        eventually("its end is told", SOON, || {
            relay.run(protocol, &["-fsS"], &target).text().contains("\"state\":\"complete\"")
        });
    }
}

#[test]
fn a_spectator_sees_a_transfer_to_its_end() {
    let relay = Relay::start(&[]);
    for protocol in ALL {
        let name = unique();
        let spectator = relay.curl(protocol, &["-fsSN"], &format!("{name}?progress"));
        spectator.expect_output("event: state");
        spectator.expect_output("\"state\":\"idle\"");
        let receiver = relay.receiver(protocol, &name);
        relay.run(protocol, &["-sS", "-d", "abc"], &name).expect(0);
        receiver.ended().expect(0);
        let said = spectator.ended().expect(0).text();
        assert!(said.contains("event: done") && said.contains("\"bytesTransferred\":3"), "{said}");
    }
}

#[test]
fn a_spectator_may_leave() {
    let relay = Relay::start(&["--max-spectators-per-pipe", "1"]);
    for protocol in ALL {
        let target = format!("{}?progress", unique());
        let spectator = relay.curl(protocol, &["-fsSN"], &target);
        spectator.expect_output("event: state");
        assert_eq!(relay.status(protocol, &["-m", "5"], &target), "429");
        spectator.kill();
        eventually("its place is free", PATIENCE, || {
            let next = relay.curl(protocol, &["-sSN"], &target);
            eventually("it is answered", PATIENCE, || !next.output().is_empty());
            String::from_utf8_lossy(&next.output()).contains("event: state")
        });
    }
}
