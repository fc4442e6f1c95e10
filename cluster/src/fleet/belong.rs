//! Finding the fleet, founding it if there is none, and staying in it as what this node wants to be.
//!
//! A shell around [`crate::bootstrap`], and the asking side of [`super::answer`].

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::{Aim, Core};
use crate::bootstrap::{Card, Seen, Step, leader_of};
use crate::codec;
use crate::peers::CallError;
use crate::roll::FleetId;
use crate::view::{Health, NodeId};
use crate::words::{HEALTH, HELLO, JOIN, Join, PLEDGE, Proposal, Reply, Wish};

/// Between two looks around.
const PAUSE: Duration = Duration::from_millis(500);

/// Without a leader for so long is worth a line: far longer than an election takes.
const PATIENCE: Duration = Duration::from_secs(10);

/// A node that does not say who it is within this is not seen. With a round trip of 400 ms (spec §28,
/// row 21) a connection, its listener's clock and the question take 1.2 s.
const ANSWER_MAX: Duration = Duration::from_millis(1500);

/// A wish may take the leader an agreement ([`crate::raft::WRITE_MAX`]).
const WISH_MAX: Duration = Duration::from_millis(2500);

/// What was said to the operator already: each thing once, not twice a second.
#[derive(Default)]
struct Said(HashSet<String>);

impl Said {
    /// Is it news?
    fn first(&mut self, what: String) -> bool {
        self.0.insert(what)
    }
}

/// A place in the list, the address there, and what it has answered.
type Answered = (usize, String, Result<Card, CallError>);

/// Since when this node gets no answer from a leader, and whether the operator knows.
#[derive(Default)]
struct OutOfTouch {
    since: Option<Instant>,
    told: bool,
}

impl OutOfTouch {
    /// Takes note of how it is now. True once each time it has lasted for [`PATIENCE`].
    fn is_news(&mut self, now: Instant, in_touch: bool) -> bool {
        if in_touch {
            *self = Self::default();
            return false;
        }
        let since = *self.since.get_or_insert(now);
        now >= since + PATIENCE && !std::mem::replace(&mut self.told, true)
    }
}

/// Runs for as long as this node does.
pub(super) async fn belong(core: Arc<Core>) {
    let mut said = Said::default();
    while core.bonds.fleet().is_none() {
        if let Err(error) = core.look_for_a_fleet(&mut said).await {
            tracing::error!(%error, "cannot join or found a fleet");
        }
        if core.bonds.fleet().is_none() {
            sleep(PAUSE).await;
        }
    }
    let mut aims = core.aim.subscribe();
    let (mut doubt, mut out_of_touch) = (false, OutOfTouch::default());
    loop {
        let aim = *aims.borrow_and_update();
        let mut in_touch = true;
        if aim != Aim::Leave && !core.is_settled(aim) {
            let reply = core.settle(aim, doubt, &mut said).await;
            in_touch = reply != Reply::Later;
            // By turns: to ask around takes a second where somebody is silent.
            doubt = !doubt && reply == Reply::Later;
            match reply {
                Reply::Refused(why) if said.first(why.clone()) => {
                    tracing::error!("the fleet refuses this node: {why}");
                }
                Reply::Refused(_) | Reply::Later | Reply::Done => {}
            }
        }
        if out_of_touch.is_news(Instant::now(), in_touch) {
            let secs = PATIENCE.as_secs();
            tracing::warn!("no leader of the fleet has answered for {secs} s, the view may be old");
        }
        tokio::select! {
            () = sleep(PAUSE) => {}
            changed = aims.changed() => if changed.is_err() { return },
        }
    }
}

impl Core {
    async fn look_for_a_fleet(&self, said: &mut Said) -> anyhow::Result<()> {
        let list = &self.settings.peers;
        let expect = self.settings.expect;
        let held = self.bonds.get().bond().pledge.clone();
        let cards = self.cards(list).await;
        for (_, addr, card) in &cards {
            self.complain(addr, card.as_ref(), said);
        }
        let seen = seen(cards);
        match self.bonds.change(|standing| standing.look(list, held.as_ref(), &seen, expect))? {
            Step::Found => self.found(&seen).await,
            Step::Belong => Ok(()),
            Step::Wait => {
                let line = format!("{} of {expect} first members are in sight", seen.len());
                if said.first(line.clone()) {
                    tracing::info!("waiting for a fleet: {line}");
                }
                Ok(())
            }
        }
    }

    /// Collects the promises of all that are seen and begins the fleet when it has them.
    async fn found(&self, seen: &[Seen]) -> anyhow::Result<()> {
        let (fleet, list) = (FleetId(getrandom::u64()?), &self.settings.peers);
        let begun = self.bonds.change(|standing| standing.begin(fleet, list, seen))?;
        let Some(pledge) = begun else { return Ok(()) };
        let proposal = Proposal { pledge: pledge.clone(), list: list.clone() };
        let body = codec::encode(&proposal)?;
        let mut asked = JoinSet::new();
        for (id, addr) in pledge.members.into_iter().filter(|(id, _)| *id != self.me) {
            let (peers, body) = (self.net.peers.clone(), body.clone());
            asked.spawn(async move {
                let answer = peers.post(id, &addr, PLEDGE, body, ANSWER_MAX).await;
                matches!(answer, Ok((200, yes)) if codec::decode(&yes).unwrap_or(false))
            });
        }
        let all = asked.join_all().await.into_iter().all(|promised| promised);
        self.bonds.change(|standing| standing.collected(all))?;
        if all {
            tracing::info!(?fleet, "this node founds the fleet");
        }
        self.consensus.found().await
    }

    /// Asks who is at these addresses, in this order. This node is among them and sees itself.
    async fn cards(&self, addrs: &[String]) -> Vec<Answered> {
        let mut asked = JoinSet::new();
        for (place, addr) in addrs.iter().cloned().enumerate() {
            let peers = self.net.peers.clone();
            let me = (addr == self.settings.advertise).then(|| self.card());
            asked.spawn(async move {
                let card = match me {
                    Some(card) => Ok(card),
                    None => ask(peers.post(NodeId(0), &addr, HELLO, Vec::new(), ANSWER_MAX)).await,
                };
                (place, addr, card)
            });
        }
        let mut cards = asked.join_all().await;
        cards.sort_by_key(|(place, _, _)| *place);
        cards
    }

    /// Tells the operator, once, what is wrong with a node that is no use as it is.
    fn complain(&self, addr: &str, card: Result<&Card, &CallError>, said: &mut Said) {
        let why = match card {
            Err(CallError::Forged) => "it has another secret, or is no node at all",
            Ok(card) if card.id == self.me && addr != self.settings.advertise => {
                "it is this very node, under a second address"
            }
            Ok(card) if card.fleet.is_none() && card.list != self.settings.peers => {
                "it was started with another list of first members"
            }
            _ => return,
        };
        if said.first(format!("{addr} {why}")) {
            tracing::error!(addr, "cannot form a fleet with a node: {why}");
        }
    }

    /// Tells the operator, once, that this node is bound to another fleet than a first member is: as
    /// after the disks of all others were lost.
    fn warn_of_another_fleet(&self, fleet: FleetId, addr: &str, card: &Card, said: &mut Said) {
        let other = card.fleet.is_some_and(|other| other != fleet);
        let listed = self.settings.peers.iter().any(|it| it == addr);
        if other && listed && said.first(format!("{addr} is in another fleet")) {
            tracing::error!(
                addr,
                "a first member is in another fleet: to join that one, wipe this node's data directory"
            );
        }
    }

    /// Is this node, in this life, what it wants to be, and in touch with its fleet?
    fn is_settled(&self, aim: Aim) -> bool {
        let roll = self.consensus.roll();
        let member = roll.view().member(self.me).filter(|member| member.boot == self.boot);
        // Who was forgotten while it was cut off hears nothing any more, whatever its own roll says.
        self.consensus.figures().in_touch
            && member.is_some_and(|member| {
                aim != Aim::Drain || matches!(member.health, Health::Draining | Health::Down)
            })
    }

    /// Asks the leader for the next step to what this node wants to be. `doubt`: the one it knows was
    /// no use the last time.
    async fn settle(&self, aim: Aim, doubt: bool, said: &mut Said) -> Reply {
        let known = self.consensus.roll().view().member(self.me).map(|member| member.boot);
        let in_touch = self.consensus.figures().leader.is_some();
        if aim == Aim::Drain && known == Some(self.boot) && in_touch {
            return self.wish(Health::Draining, false, doubt, said).await;
        }
        let Some(fleet) = self.bonds.fleet() else { return Reply::Later };
        let join = Join { fleet, member: self.member() };
        match self.leader(fleet, doubt, said).await {
            Some((leader, _)) if leader == self.me => self.let_in(self.me, join).await,
            Some((leader, addr)) => self.tell(leader, &addr, JOIN, &join).await,
            None => Reply::Later,
        }
    }

    async fn wish(&self, health: Health, last: bool, doubt: bool, said: &mut Said) -> Reply {
        let Some(fleet) = self.bonds.fleet() else { return Reply::Later };
        let wish = Wish { fleet, boot: self.boot, health, last };
        match self.leader(fleet, doubt, said).await {
            Some((leader, _)) if leader == self.me => self.grant(self.me, wish).await,
            Some((leader, addr)) => self.tell(leader, &addr, HEALTH, &wish).await,
            None => Reply::Later,
        }
    }

    /// Repeats this node's good-bye until the fleet has agreed.
    pub(super) async fn say_good_bye(&self) {
        let (mut doubt, mut said) = (false, Said::default());
        while self.bonds.fleet().is_some()
            && self.wish(Health::Down, true, doubt, &mut said).await == Reply::Later
        {
            doubt = !doubt;
            sleep(PAUSE / 5).await;
        }
    }

    /// The leader and where it is: as Raft says, or, if that is in doubt, as others say. A learner that
    /// was removed hears of no election and takes the last leader it had for the leader for ever.
    async fn leader(
        &self,
        fleet: FleetId,
        doubt: bool,
        said: &mut Said,
    ) -> Option<(NodeId, String)> {
        let known = self.known_leader();
        if known.is_some() && !doubt {
            return known;
        }
        let roll = self.consensus.roll();
        let mut addrs = self.settings.peers.clone();
        addrs.extend(roll.view().members().iter().filter_map(|member| member.addr.clone()));
        addrs.sort();
        addrs.dedup();
        let seen = seen(self.cards(&addrs).await);
        for (addr, card) in &seen {
            self.warn_of_another_fleet(fleet, addr, card, said);
        }
        leader_of(fleet, self.me, seen).or(known)
    }

    /// The leader that this node's own Raft knows.
    pub(super) fn known_leader(&self) -> Option<(NodeId, String)> {
        let leader = self.consensus.figures().leader?;
        if leader == self.me {
            return Some((leader, self.settings.advertise.clone()));
        }
        let roll = self.consensus.roll();
        let addr = roll.view().member(leader).and_then(|member| member.addr.clone());
        Some((leader, addr.or_else(|| self.consensus.first_addr(leader))?))
    }

    async fn tell<T: Serialize>(&self, to: NodeId, addr: &str, target: &str, what: &T) -> Reply {
        let Ok(body) = codec::encode(what) else { return Reply::Later };
        let call = self.net.peers.post(to, addr, target, body, WISH_MAX);
        ask(call).await.unwrap_or(Reply::Later)
    }
}

/// Those that have answered.
fn seen(cards: Vec<Answered>) -> Vec<Seen> {
    cards.into_iter().filter_map(|(_, addr, card)| Some((addr, card.ok()?))).collect()
}

/// The value that a call was answered with.
async fn ask<T: DeserializeOwned>(
    call: impl Future<Output = Result<(u16, bytes::Bytes), CallError>>,
) -> Result<T, CallError> {
    match call.await? {
        (200, body) => codec::decode(&body).map_err(|_| CallError::Unreachable),
        _ => Err(CallError::Unreachable),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn to_be_out_of_touch_is_news_once_each_time_it_lasts() {
        let (begun, mut out) = (Instant::now(), OutOfTouch::default());
        let mut news =
            |second, in_touch| out.is_news(begun + Duration::from_secs(second), in_touch);
        let told: Vec<u64> = (0..60).filter(|at| news(*at, *at == 9 || *at == 40)).collect();
        assert_eq!(told, [20, 51]);
    }
}
