//! A client's connection as the exchanges see it: bytes in, bytes out, plain or through TLS.
//!
//! Everything takes `&self`: a request's body, its answer and the watch on its client share one
//! connection on one thread. Knows no HTTP.

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice, IoSliceMut};
use std::net::Shutdown;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use socket2::SockRef;
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::{presence, socket};
use crate::flow::Hub;

/// Most buffers that one write takes (IOV_MAX).
const PARTS_MAX: usize = 1024;

/// A connection. Dropping it closes the socket without a word, which over TLS is no clean end.
pub struct Transport {
    socket: Socket,
    /// Borrowed for the length of one poll, never across an await.
    tls: Option<Box<RefCell<TlsStream<Socket>>>>,
}

/// A client's socket: what lies below TLS, and what is watched and measured. A cheap handle for one
/// thread.
#[derive(Clone)]
pub struct Socket(Rc<Inner>);

struct Inner {
    stream: TcpStream,
    sent: Cell<u64>,
}

impl Transport {
    /// The socket as it is.
    pub fn plain(socket: Socket) -> Self {
        Self { socket, tls: None }
    }

    /// The socket below `tls`, whose handshake is done.
    pub fn secure(mut tls: TlsStream<Socket>) -> Self {
        tls.get_mut().1.set_buffer_limit(Some(socket::TLS_UNSENT_MAX));
        let socket = tls.get_ref().0.clone();
        Self { socket, tls: Some(Box::new(RefCell::new(tls))) }
    }

    /// The stream itself, where it is plain and nobody else holds it.
    pub fn into_stream(self) -> Option<TcpStream> {
        let Self { socket, tls: None } = self else { return None };
        Rc::try_unwrap(socket.0).ok().map(|inner| inner.stream)
    }

    /// The socket below, for watching it and for its options.
    pub fn socket(&self) -> &Socket {
        &self.socket
    }

    /// Does it speak TLS?
    pub fn is_secure(&self) -> bool {
        self.tls.is_some()
    }

    /// Reads some bytes; 0 is the end.
    pub fn poll_read(&self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        self.poll_readv(cx, &mut [IoSliceMut::new(into)])
    }

    /// Reads some bytes into several buffers; 0 is the end. Through TLS only the first buffer with
    /// any room is filled.
    pub fn poll_readv(
        &self,
        cx: &mut Context<'_>,
        into: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        let Some(tls) = &self.tls else {
            return socket::poll_readv(self.socket.stream(), cx, into);
        };
        let Some(first) = into.iter_mut().find(|part| !part.is_empty()) else {
            return Poll::Ready(Ok(0));
        };
        let mut buf = ReadBuf::new(first);
        ready!(Pin::new(&mut *tls.borrow_mut()).poll_read(cx, &mut buf))?;
        Poll::Ready(Ok(buf.filled().len()))
    }

    /// Moves at most `most` bytes into a pipe, of a plain connection; 0 is the end.
    ///
    /// # Errors
    /// Through TLS always: its bytes are not those of the socket.
    pub fn poll_splice(
        &self,
        cx: &mut Context<'_>,
        into: &mut Hub,
        most: usize,
    ) -> Poll<io::Result<usize>> {
        match &self.tls {
            None => socket::poll_splice(self.socket.stream(), cx, into, most),
            Some(_) => Poll::Ready(Err(io::ErrorKind::Unsupported.into())),
        }
    }

    /// Takes some bytes. Through TLS they may still be here afterwards: flush before you wait for
    /// something else or end.
    pub fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &self.tls {
            None => self.socket.poll_send(cx, &[IoSlice::new(bytes)]),
            Some(tls) => Pin::new(&mut *tls.borrow_mut()).poll_write(cx, bytes),
        }
    }

    /// Ready when all that was taken is with the kernel.
    pub fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &self.tls {
            None => Poll::Ready(Ok(())),
            Some(tls) => Pin::new(&mut *tls.borrow_mut()).poll_flush(cx),
        }
    }

    /// Ends this direction cleanly: close_notify where there is TLS, then FIN. What arrives can
    /// still be read.
    pub fn poll_half_close(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &self.tls {
            None => Poll::Ready(self.socket.half_close()),
            Some(tls) => Pin::new(&mut *tls.borrow_mut()).poll_shutdown(cx),
        }
    }

    /// Writes all of `bytes`. Not cancel-safe: a dropped call may have written a part.
    pub async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match std::future::poll_fn(|cx| self.poll_write(cx, bytes)).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                n => bytes = &bytes[n..],
            }
        }
        self.flush().await
    }

    /// Waits until all that was taken is with the kernel. Cancel-safe.
    pub async fn flush(&self) -> io::Result<()> {
        std::future::poll_fn(|cx| self.poll_flush(cx)).await
    }

    /// Writes what can be written at this moment, for what need not arrive.
    pub fn write_now(&self, bytes: &[u8]) {
        if self.tls.is_none() {
            return self.socket.send_now(bytes);
        }
        let mut cx = Context::from_waker(Waker::noop());
        // What the kernel does not take stays in TLS and goes out with the next flush.
        let _ = self.poll_write(&mut cx, bytes).is_ready() && self.poll_flush(&mut cx).is_ready();
    }

    /// Ends this direction cleanly. Bound it with a timeout.
    pub async fn half_close(&self) {
        // Only a closed socket can refuse this.
        let _ = std::future::poll_fn(|cx| self.poll_half_close(cx)).await;
    }

    /// Waits until the client closes, half-closes or resets, for clients whose input nobody reads. Of
    /// what it sends, TLS decrypts at most one read, which can still be read afterwards: behind more
    /// unread data only the end of the socket is found. Cancel-safe.
    pub async fn gone(&self) {
        let Some(tls) = &self.tls else { return presence::gone(&self.socket).await };
        let closed = std::future::poll_fn(|cx| {
            match ready!(Pin::new(&mut *tls.borrow_mut()).poll_fill_buf(cx)) {
                Ok([]) | Err(_) => Poll::Ready(()),
                // Something is unread; the watch on the socket wakes this task.
                Ok(_) => Poll::Pending,
            }
        });
        tokio::select! {
            () = closed => {}
            () = presence::gone(&self.socket) => {}
        }
    }

    /// Reads and drops what arrives, TLS or not, until the peer closes. Nothing can be read
    /// afterwards. Bound it with a timeout.
    pub async fn discard(&self) {
        socket::discard(self.socket.stream()).await;
    }
}

impl Socket {
    /// The socket of `stream`.
    pub fn new(stream: TcpStream) -> Self {
        Self(Rc::new(Inner { stream, sent: Cell::new(0) }))
    }

    /// The stream, for options and readiness. Write through the [`Transport`] only.
    pub fn stream(&self) -> &TcpStream {
        &self.0.stream
    }

    /// Bytes written to the kernel so far.
    pub fn sent(&self) -> u64 {
        self.0.sent.get()
    }

    /// Asks the kernel first and the reactor after: the reactor does not know a fresh socket yet, and
    /// TLS says why a handshake fails in a single attempt.
    fn poll_send(&self, cx: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let stream = &self.0.stream;
        let write = || rustix::io::retry_on_intr(|| rustix::io::writev(stream, parts));
        let mut written = write().map_err(io::Error::from);
        loop {
            match written {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) => return Poll::Ready(Err(e)),
                Ok(n) => {
                    self.0.sent.set(self.0.sent.get().wrapping_add(n as u64));
                    return Poll::Ready(Ok(n));
                }
            }
            ready!(stream.poll_write_ready(cx))?;
            written = stream.try_io(Interest::WRITABLE, || write().map_err(Into::into));
        }
    }

    /// Asks the kernel, not the reactor, which may not know this socket yet.
    fn send_now(&self, bytes: &[u8]) {
        if let Ok(n) = rustix::io::write(&self.0.stream, bytes) {
            self.0.sent.set(self.0.sent.get().wrapping_add(n as u64));
        }
    }

    fn half_close(&self) -> io::Result<()> {
        SockRef::from(&self.0.stream).shutdown(Shutdown::Write)
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let room = into.initialize_unfilled();
        let read = ready!(socket::poll_readv(self.stream(), cx, &mut [IoSliceMut::new(room)]))?;
        into.advance(read);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_send(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // Linux takes no more at once.
        self.poll_send(cx, &parts[..parts.len().min(PARTS_MAX)])
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.half_close())
    }
}

#[cfg(test)]
mod tests;
