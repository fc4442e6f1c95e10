//! The receivers' side of a trunk that has started: opens their lanes with what comes over it, fans
//! the bytes out to them, and says of each what becomes of it.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::BytesMut;
use hoody_pipe_cluster::NodeId;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio::time::{sleep, timeout};

use super::frames::{Opened, Said};
use super::inlet::{Cut, Inlet};
use super::reports::Reports;
use super::{FAREWELL_MAX, LEFT_MAX, silent};
use crate::edge::{Edge, Offer, start};
use crate::flow::{Bell, Event, Fanout, Lane};

/// The receivers of a trunk that has started.
pub struct Landing {
    pub edge: Edge,
    /// Where the sender is.
    pub node: NodeId,
    pub offers: Vec<Offer>,
    /// Hangs on all lanes.
    pub bell: Arc<Bell>,
}

type Inward = Inlet<OwnedReadHalf>;

/// Serves the receivers to the end. `ahead` was read of the stream before. Dropping it cuts them all.
pub async fn run(mut landing: Landing, stream: TcpStream, ahead: BytesMut) {
    landing.offers.iter_mut().for_each(Offer::start);
    let (read, write) = stream.into_split();
    let (mut inlet, reports) = (Inlet::new(read, ahead), Reports::new(write));
    if let Some((lanes, bell)) = open(&mut landing, &mut inlet, &reports).await {
        let window = landing.edge.settings().window;
        let mut fanout = Fanout::new(inlet, lanes, bell, window, false, None);
        carry(&landing, &mut fanout, &reports).await;
        inlet = fanout.into_source();
    }
    // Whoever has seen nothing attaches again.
    landing.offers.clear();
    reports.close().await;
    // What was said last arrives only if nothing is left unread here.
    let _ = timeout(FAREWELL_MAX, inlet.discard()).await;
}

/// Waits for the head; the lanes with their first bytes on the way. `None` if there is no stream:
/// whoever is left was told so, or has seen nothing and attaches again.
async fn open(
    landing: &mut Landing,
    inlet: &mut Inward,
    reports: &Reports,
) -> Option<(Vec<Lane>, Arc<Bell>)> {
    let opened = awaited(landing, inlet, reports).await?;
    let offers = std::mem::take(&mut landing.offers);
    let (head, id, stall) = match opened {
        Opened::Stream { head, id, stall } => (head, id, stall),
        Opened::Failed(why) => {
            start::turn_away(offers, &why);
            return None;
        }
    };
    inlet.expect(head.length);
    let stall = (stall, landing.edge.settings().stall);
    let (lanes, lost) = start::open(offers, &head, &id, stall);
    (0..lost).for_each(|_| reports.say(Said::Lost));
    Some((lanes, landing.bell.clone()))
}

/// The head, while anybody is there to get it.
async fn awaited(landing: &mut Landing, inlet: &mut Inward, reports: &Reports) -> Option<Opened> {
    let (cluster, node) = (landing.edge.cluster().clone(), landing.node);
    let silent = silent(&cluster, node);
    tokio::pin!(silent);
    while !landing.offers.is_empty() {
        tokio::select! {
            biased;
            () = poll_fn(|cx| landing.bell.poll_heard(cx)) => {
                (0..start::drop_gone(&mut landing.offers)).for_each(|_| reports.say(Said::Lost));
            }
            opened = inlet.opened() => return opened.ok(),
            _ = reports.flow() => return None,
            () = &mut silent => return None,
        }
    }
    None
}

/// Fans the bytes out until nobody is left, or until it ends in either way. When the sender's side has hung
/// up, the transfer has failed there, before or after the last chunk: whoever cannot have the rest soon
/// is cut.
async fn carry(landing: &Landing, fanout: &mut Fanout<Inward>, reports: &Reports) {
    let silent = silent(landing.edge.cluster(), landing.node);
    let cut = async {
        reports.hung_up().await;
        sleep(LEFT_MAX).await;
    };
    tokio::pin!(silent, cut);
    let mut complete = false;
    loop {
        let event = tokio::select! {
            biased;
            event = poll_fn(|cx| next(fanout, complete, cx)) => match event {
                Some(event) => event,
                None => return,
            },
            _ = reports.flow() => return,
            () = &mut silent => return,
            () = &mut cut => return,
        };
        match event {
            Event::LaneLost => reports.say(Said::Lost),
            Event::LaneStalled(limit) => reports.say(Said::Stalled { limit }),
            // The sender's side has freed the name before it sent the end.
            Event::BodyComplete => {
                fanout.release();
                complete = true;
            }
            Event::Finished => return reports.say(Said::Whole { receivers: fanout.whole() }),
            Event::AllGone | Event::Idle | Event::Failed(Cut) => return,
        }
    }
}

/// What happens next; `None`: the sender's side has let go after its last chunk. Whoever can have everything
/// at once comes first.
fn next(
    fanout: &mut Fanout<Inward>,
    complete: bool,
    cx: &mut Context<'_>,
) -> Poll<Option<Event<Cut>>> {
    match fanout.poll_next(cx) {
        Poll::Pending if complete => fanout.source().poll_let_go(cx).map(|()| None),
        event => event.map(Some),
    }
}
