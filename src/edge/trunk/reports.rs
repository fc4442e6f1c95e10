//! What the receivers' side of a trunk says of its receivers: a few words, which never wait for room.

use std::cell::RefCell;
use std::io;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncWriteExt, Interest};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::time::timeout;

use super::FAREWELL_MAX;
use super::frames::{self, Said};

/// The writing side of a trunk. At most one word for each receiver waits, and one for all.
pub struct Reports {
    io: OwnedWriteHalf,
    /// Borrowed for the length of one write, never across an await.
    waiting: RefCell<BytesMut>,
}

impl Reports {
    /// Nothing was said yet.
    pub fn new(io: OwnedWriteHalf) -> Self {
        Self { io, waiting: RefCell::default() }
    }

    /// Says something; it goes out with the next [`Reports::flow`].
    pub fn say(&self, said: Said) {
        if let Ok(frame) = frames::encode(&said) {
            self.waiting.borrow_mut().extend_from_slice(&frame);
        }
    }

    /// Sends what was said, as far as there is room, for ever; ready only with the end of the
    /// connection. Cancel-safe.
    pub async fn flow(&self) -> io::Error {
        while !self.waiting.borrow().is_empty() {
            let sent = self.io.try_write(&self.waiting.borrow());
            match sent {
                Ok(0) => return io::ErrorKind::WriteZero.into(),
                Ok(sent) => self.waiting.borrow_mut().advance(sent),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    if let Err(error) = self.io.writable().await {
                        return error;
                    }
                }
                Err(error) => return error,
            }
        }
        std::future::pending().await
    }

    /// Waits until the other side has closed its end or reset the connection, also behind bytes that nobody
    /// reads. Cancel-safe.
    pub async fn hung_up(&self) {
        // Linux tells of a closed end under this interest too, and of no bytes but urgent ones, of which
        // there are none. An error means that the runtime is going down.
        let _ = self.io.ready(Interest::PRIORITY).await;
    }

    /// The last word was said: sends all of it and the end of the connection. Best effort, within
    /// [`FAREWELL_MAX`].
    pub async fn close(mut self) {
        let _ = timeout(FAREWELL_MAX, async {
            self.io.write_all(&self.waiting.take()).await?;
            self.io.shutdown().await
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use socket2::SockRef;
    use tokio::io::AsyncReadExt;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    /// What is said goes from the one to the other.
    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (near, listener.accept().await.unwrap().0)
    }

    fn run(test: impl Future<Output = ()>) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
    }

    #[test]
    fn what_is_said_goes_out_in_order_whatever_the_room() {
        run(async {
            let (near, far) = pair().await;
            SockRef::from(&near).set_send_buffer_size(1).unwrap();
            SockRef::from(&far).set_recv_buffer_size(1).unwrap();
            let (_read, write) = near.into_split();
            let reports = Reports::new(write);
            // Far more than is ever said.
            let said: Vec<_> = (0..60_000).map(|receivers| Said::Whole { receivers }).collect();
            said.iter().for_each(|said| reports.say(*said));
            let (mut far, mut got) = (far, BytesMut::new());
            let mut heard = Vec::new();
            while heard.len() < said.len() {
                tokio::select! {
                    error = reports.flow() => panic!("{error}"),
                    read = far.read_buf(&mut got) => assert!(read.unwrap() > 0),
                }
                while let Some(said) = frames::take::<Said>(&mut got, 9).unwrap() {
                    heard.push(said);
                }
            }
            assert!(heard == said);
            SockRef::from(&far).set_linger(Some(Duration::ZERO)).unwrap();
            drop(far);
            reports.hung_up().await;
            reports.say(Said::Lost);
            let error = reports.flow().await.kind();
            let broken = [io::ErrorKind::BrokenPipe, io::ErrorKind::ConnectionReset];
            assert!(broken.contains(&error), "{error}");
        });
    }

    #[test]
    fn whoever_hangs_up_is_noticed_behind_bytes_that_nobody_reads() {
        for linger in [None, Some(Duration::ZERO)] {
            run(async {
                let (near, mut far) = pair().await;
                let (_read, write) = near.into_split();
                let reports = Reports::new(write);
                far.write_all(b"unread").await.unwrap();
                reports.io.ready(Interest::READABLE).await.unwrap();
                tokio::select! {
                    biased;
                    () = reports.hung_up() => panic!("bytes are no end"),
                    () = tokio::task::yield_now() => {}
                }
                SockRef::from(&far).set_linger(linger).unwrap();
                drop(far);
                timeout(Duration::from_secs(20), reports.hung_up()).await.expect("it is noticed");
            });
        }
    }
}
