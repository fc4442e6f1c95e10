//! What tests of one node and of several say in the same words: uses of the product with stock curl.

use std::time::Duration;

use super::{Curl, Raw, Server, eventually, unique};

/// One producer that is still at it, and its readers: each of so many tokens is seen by all before the
/// next is written, and in the end all have the same.
#[track_caller]
pub fn pass_tokens(mut producer: Curl, readers: Vec<Curl>, count: usize) {
    let mut all = String::new();
    for token in 0..count {
        let line = format!("{{\"delta\":\"token {token}\"}}\n");
        producer.write(line.as_bytes());
        all.push_str(&line);
        for reader in &readers {
            reader.expect_output(&line);
        }
    }
    producer.close();
    for reader in readers {
        assert_eq!(reader.ended().expect(0).text(), all);
    }
    let ended = producer.ended();
    assert!(ended.expect(0).text().ends_with("[INFO] Transfer complete.\n"), "{ended:?}");
}

/// A sender that uploads for as long as it can, and so ends soon after its transfer has failed: one that
/// is blocked on a silent stdin does not notice.
#[track_caller]
pub fn ends_when_fed(mut sender: Curl) -> super::curl::Ended {
    let mut stdin = sender.take_stdin();
    let feeding = std::thread::spawn(move || {
        use std::io::Write;
        while stdin.write_all(b"more\n").is_ok() {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let ended = sender.ended();
    feeding.join().expect("it ends with its pipe");
    ended
}

/// Waits until a draining node takes no new requests; the one that it has refused.
#[track_caller]
pub fn first_refused(server: &Server) -> Raw {
    let mut refused = None;
    eventually("new requests are refused", Duration::from_secs(12), || {
        let mut probe = server.get(&format!("{}?n=7", unique()));
        std::thread::sleep(Duration::from_millis(50));
        let answered = probe.is_answered();
        refused = answered.then_some(probe);
        answered
    });
    refused.expect("one was")
}
