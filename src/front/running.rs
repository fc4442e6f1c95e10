//! A server that has been started, and how it is stopped. Knows nothing of what is served.

use std::io;

use actix_server::{Server, ServerHandle};
use tokio::task::JoinHandle;

/// A server on threads of its own. It goes on when this is dropped.
pub struct Running {
    handle: ServerHandle,
    serving: JoinHandle<io::Result<()>>,
}

impl Running {
    /// Watches over a server from now on.
    pub fn of(server: Server) -> Self {
        Self { handle: server.handle(), serving: tokio::spawn(server) }
    }

    /// Stops it, at once or (`politely`) after the answers that are on their way, and returns when it
    /// has stopped.
    ///
    /// # Errors
    /// It has crashed.
    pub async fn stop(self, politely: bool) -> io::Result<()> {
        self.handle.stop(politely).await;
        self.serving.await.map_err(io::Error::from)?
    }
}
