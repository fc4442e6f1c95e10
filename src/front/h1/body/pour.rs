//! The same body moved by the kernel, from its socket into the pipe that is the window. Of a chunked body
//! only what lies between the chunks is read.

use std::io;
use std::task::{Context, Poll};

use super::{Fill, Framing, SocketBody, is_late, lost_after, usize_of};
use crate::flow::{Hub, Pour, STRETCH_MIN};
use crate::pipe::Failure;

impl Pour for SocketBody<'_> {
    type Error = Failure;

    fn stretch(&self) -> u64 {
        match &self.framing {
            Framing::Length(left) => *left,
            Framing::Chunked(decoder) => decoder.newest(),
        }
    }

    fn poll_pour(&mut self, cx: &mut Context<'_>, into: &mut Hub) -> Poll<Result<Fill, Failure>> {
        let mut bytes = 0;
        loop {
            if self.pour_spill(into, &mut bytes).is_err() {
                return lost_after(bytes);
            }
            let (left, end) = (self.framing.remaining(), self.framing.ended());
            let full = into.room() == 0 || !self.spill.is_empty();
            if end || full || bytes > 0 && self.turns_small() {
                // Of chunks the end is told by itself: data is never held back for it. A known length
                // has to be over before its last byte is shown (spec §8).
                let apart = bytes > 0 && matches!(self.framing, Framing::Chunked(_));
                return Poll::Ready(Ok(Fill { bytes, end: end && !apart }));
            }
            let moved = match left {
                0 => self.poll_framing(cx),
                left => self.io.poll_splice(cx, into, usize_of(left)),
            };
            match moved {
                Poll::Ready(Ok(0) | Err(_)) => return lost_after(bytes),
                Poll::Ready(Ok(moved)) if left > 0 => {
                    self.framing.data(moved as u64);
                    bytes += moved;
                }
                Poll::Ready(Ok(_)) => {}
                Poll::Pending if self.is_late(cx) => return lost_after(bytes),
                Poll::Pending if bytes > 0 => return Poll::Ready(Ok(Fill { bytes, end: false })),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl SocketBody<'_> {
    /// Decodes what has been read already: framing is consumed, data is copied into the pipe, as much
    /// as it takes.
    fn pour_spill(&mut self, into: &mut Hub, bytes: &mut usize) -> io::Result<()> {
        while !self.spill.is_empty() && !self.framing.ended() {
            if let (0, Framing::Chunked(decoder)) = (self.framing.remaining(), &mut self.framing) {
                let used = decoder.framing(&self.spill).map_err(io::Error::other)?;
                let _ = self.spill.split_to(used);
                continue;
            }
            let most = self.spill.len().min(usize_of(self.framing.remaining()));
            let poured = match into.write(&self.spill[..most]) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock && *bytes > 0 => return Ok(()),
                poured => poured?,
            };
            if poured == 0 {
                return Ok(());
            }
            let _ = self.spill.split_to(poured);
            self.framing.data(poured as u64);
            *bytes += poured;
        }
        Ok(())
    }

    /// Reads what lies between two chunks, and hardly anything of the second one.
    fn poll_framing(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let Framing::Chunked(decoder) = &self.framing else { return Poll::Ready(Ok(0)) };
        self.spill.resize(decoder.likely_framing(), 0);
        let read = self.io.poll_read(cx, &mut self.spill);
        self.spill.truncate(if let Poll::Ready(Ok(read)) = read { read } else { 0 });
        read
    }

    /// The next chunk would be better copied: whoever has asked for more has to think again.
    fn turns_small(&self) -> bool {
        match &self.framing {
            Framing::Length(_) => false,
            Framing::Chunked(decoder) => decoder.remaining() > 0 && decoder.newest() < STRETCH_MIN,
        }
    }

    fn is_late(&mut self, cx: &mut Context<'_>) -> bool {
        let trailing = matches!(&self.framing, Framing::Chunked(decoder) if decoder.in_trailers());
        trailing && is_late(&mut self.late, cx)
    }
}

impl Framing {
    /// Data bytes that come next; 0: the end, or framing.
    fn remaining(&self) -> u64 {
        match self {
            Self::Length(left) => *left,
            Self::Chunked(decoder) => decoder.remaining(),
        }
    }

    /// So many of them were moved.
    fn data(&mut self, bytes: u64) {
        match self {
            Self::Length(left) => *left -= bytes,
            Self::Chunked(decoder) => decoder.data(bytes),
        }
    }
}
