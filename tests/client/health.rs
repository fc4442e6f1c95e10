//! `health`, as the health check of a container uses it.

use rustix::process::Signal;

use crate::client::Client;
use crate::common::{SOON, Server, eventually, unique};
use crate::send::closed_port;

#[test]
fn it_tells_by_its_exit_code_whether_a_node_wants_clients() {
    let server = Server::start(&["--admin-listen", "127.0.0.1:0"]);
    let url = |probe: &str| format!("http://{}{probe}", server.admin());
    let ended = Client::run(&["health", &url("/readyz")]);
    assert_eq!((ended.expect(0).text(), ended.stderr.as_str()), (String::new(), ""));
    let _running = server.streaming(&unique(), 1);
    server.signal(Signal::TERM);
    eventually("it wants no more", SOON, || {
        let ended = Client::run(&["health", &url("/readyz")]);
        ended.stderr.contains("draining") && ended.expect(3).text().is_empty()
    });
    Client::run(&["health", &url("/livez")]).expect(0);
    Client::run(&["health", &format!("http://{}/readyz", closed_port())]).expect(4);
    Client::run(&["health", "127.0.0.1:9090"]).expect(2);
}
