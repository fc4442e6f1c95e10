//! Where the bytes of a transfer are between its source and its lanes: in our memory, or in the kernel.
//! Which of the two is decided here and nowhere else. Knows neither what the bytes are nor who gets
//! them.

use std::task::{Context, Poll};

use super::kernel::{Hub, Pipes};
use super::window::Window;
use super::{Fill, Lane, Source};

/// The window of a new transfer. Tokens and small files never need more; a stream that fills it gets
/// four times as much, up to `--window`.
pub(super) const FIRST: usize = 16 << 10;

/// How much more a stream gets that fills its window.
const STEP: usize = 4;

/// A stream that fills a window of this size is worth pipes, however large the window may be.
const VOLUME: usize = 256 << 10;

/// A chunk has to be this long: each costs two more calls, which have to pay for all lanes together.
pub const STRETCH_MIN: u64 = 16 << 10;

/// The same where only one lane pays for them.
const STRETCH_MIN_ALONE: u64 = 256 << 10;

/// So many windows in a row with less than [`FIRST`] in them: a stream that has become slow needs no
/// pipes any more.
const SMALL_MAX: u32 = 16;

/// The window of one transfer.
pub(super) struct Store {
    kind: Kind,
    /// What the window in our memory may grow to.
    max: usize,
    /// Where pipes are to be had; `None`: they are not wanted, or there were none.
    pipes: Option<Pipes>,
    /// Windows in a row that were small.
    small: u32,
}

enum Kind {
    Memory(Window),
    Kernel(Box<Hub>),
}

/// What the lanes may take of the window.
pub(super) enum Shown<'a> {
    /// These bytes.
    Memory(&'a [u8]),
    /// So many bytes of this one; `only`: for a single lane.
    Kernel { hub: &'a mut Hub, len: usize, only: bool },
}

impl Shown<'_> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Memory(bytes) => bytes.len(),
            Self::Kernel { len, .. } => *len,
        }
    }
}

impl Store {
    /// An empty window in our memory that may grow to `max` bytes.
    pub(super) fn new(max: usize) -> Self {
        Self { kind: Kind::Memory(first(max)), max, pipes: None, small: 0 }
    }

    /// The kernel may hold the window, in these pipes.
    pub(super) fn allow(&mut self, pipes: Pipes) {
        self.pipes = Some(pipes);
    }

    /// Does the window with so many bytes take more?
    pub(super) fn is_full(&self, filled: usize) -> bool {
        match &self.kind {
            Kind::Memory(_) => filled == self.max,
            // What lanes have of a pipe cannot be told apart from what comes after it.
            Kind::Kernel(_) => filled > 0,
        }
    }

    /// Reads into the window behind its first `filled` bytes.
    pub(super) fn poll_fill<S: Source>(
        &mut self,
        cx: &mut Context<'_>,
        filled: usize,
        source: &mut S,
    ) -> Poll<Result<Fill, S::Error>> {
        self.grow(filled);
        match (&mut self.kind, source.pour()) {
            (Kind::Memory(window), _) => source.poll_fill(cx, &mut window[filled..]),
            (Kind::Kernel(hub), Some(pour)) => pour.poll_pour(cx, hub),
            // Whoever could be poured once can be poured for ever.
            (Kind::Kernel(_), None) => Poll::Pending,
        }
    }

    /// The bytes behind the first `from`, if they are in our memory.
    pub(super) fn bytes(&self, from: usize, len: usize) -> &[u8] {
        match &self.kind {
            Kind::Memory(window) => &window[from..from + len],
            Kind::Kernel(_) => &[],
        }
    }

    /// The first `len` bytes, for so many lanes.
    pub(super) fn shown(&mut self, len: usize, lanes: usize) -> Shown<'_> {
        match &mut self.kind {
            Kind::Memory(window) => Shown::Memory(&window[..len]),
            Kind::Kernel(hub) => Shown::Kernel { hub, len, only: lanes == 1 },
        }
    }

    /// All lanes have its `filled` bytes: it starts anew, and may be another one. This is where it is
    /// decided which way a transfer goes.
    pub(super) fn renew<S: Source>(&mut self, filled: usize, source: &mut S, lanes: &[Lane]) {
        self.grow(filled);
        let volume = filled >= self.max.min(VOLUME);
        match &mut self.kind {
            Kind::Memory(_) if volume && is_worth_it(source, lanes) => {
                // Asked for once: who was refused copies to the end.
                let hub = self.pipes.take_if(|_| lanes.iter().all(Lane::is_socket));
                let hub = hub
                    .as_ref()
                    .and_then(|pipes| Some((pipes.hub(self.max, lanes.len())?, pipes.clone())));
                if let Some((hub, pipes)) = hub {
                    (self.kind, self.pipes) = (Kind::Kernel(Box::new(hub)), Some(pipes));
                }
            }
            Kind::Memory(_) => {}
            Kind::Kernel(hub) => {
                self.small = if filled < FIRST { self.small + 1 } else { 0 };
                let slow = self.small == SMALL_MAX;
                if slow || !is_worth_it(source, lanes) || hub.clear().is_err() {
                    (self.kind, self.small) = (Kind::Memory(first(self.max)), 0);
                }
            }
        }
    }

    /// A window in our memory that is full becomes larger, up to its limit.
    fn grow(&mut self, filled: usize) {
        if let Kind::Memory(window) = &mut self.kind
            && filled == window.len()
            && filled < self.max
        {
            window.grow((filled * STEP).min(self.max));
        }
    }

    #[cfg(test)]
    pub(super) fn pour(&mut self, pipes: &Pipes, lanes: usize) {
        let hub = pipes.hub(self.max, lanes).expect("there are enough");
        (self.kind, self.pipes) = (Kind::Kernel(Box::new(hub)), Some(pipes.clone()));
    }

    #[cfg(test)]
    pub(super) fn held(&self) -> (usize, bool) {
        match &self.kind {
            Kind::Memory(window) => (window.len(), false),
            Kind::Kernel(_) => (0, true),
        }
    }
}

fn first(max: usize) -> Window {
    Window::new(max.clamp(1, FIRST))
}

/// Does what comes next come in stretches that pay for the calls they cost?
fn is_worth_it<S: Source>(source: &mut S, lanes: &[Lane]) -> bool {
    let least = if lanes.len() > 1 { STRETCH_MIN } else { STRETCH_MIN_ALONE };
    source.pour().is_some_and(|pour| pour.stretch() >= least)
}
