//! `cancel`, and what the others make of it.

use crate::client::Client;
use crate::common::{Server, unique};
use crate::send::closed_port;

#[test]
fn it_ends_a_waiting_receiver_with_six() {
    let server = Server::start(&[]);
    let name = unique();
    let url = format!("{}?n=2", server.url(&name));
    let receiver = Client::start(&["receive", &url]);
    let mut sender = server.waiting_sender(&format!("{name}?n=2"), 2);
    // Whichever came first: both are there now.
    let _ = sender.line();
    Client::run(&["cancel", &server.url(&name), "--reason", "wrong image & more"]).expect(0);
    assert_eq!(receiver.ended().expect(6).stderr, "[ERROR] Cancelled: wrong image & more.\n");
}

#[test]
fn nobody_there_is_a_refusal() {
    let server = Server::start(&[]);
    let name = unique();
    let ended = Client::run(&["cancel", &server.url(&name)]);
    assert_eq!(ended.expect(3).stderr, format!("[ERROR] No pipe at '{name}'.\n"));
    let ended = Client::run(&["cancel", &server.url(&name), "--reason", "a\nb"]);
    ended.expect(3);
    Client::run(&["cancel", &format!("http://{}/x", closed_port())]).expect(4);
    Client::run(&["cancel", "ftp://127.0.0.1:1/x"]).expect(2);
}
