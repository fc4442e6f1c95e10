//! What this node answers to others about membership; the leader's part of letting members in.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Core;
use crate::Admitted;
use crate::bootstrap::Card;
use crate::codec;
use crate::roll::Command;
use crate::view::{Health, NodeId};
use crate::words::{HEALTH, HELLO, JOIN, Join, PLEDGE, Proposal, Reply, Wish};

/// Longest name, label or address of a member, in bytes: of a host name, with a port.
const TEXT_MAX: usize = 300;

impl Core {
    /// Status and body of the answer to a request that was let in.
    pub(super) async fn answer(
        &self,
        admitted: &Admitted,
        target: &str,
        body: &[u8],
    ) -> (u16, Vec<u8>) {
        let from = admitted.from();
        match target {
            // Not one byte of a body that somebody else has written is read.
            _ if !admitted.covers(body) => (401, Vec::new()),
            HELLO => said(&self.card()),
            PLEDGE => match read(body) {
                Some(proposal) => self.promise(from, proposal),
                None => (400, Vec::new()),
            },
            JOIN => match read(body) {
                Some(join) => said(&self.let_in(from, join).await),
                None => (400, Vec::new()),
            },
            HEALTH => match read(body) {
                Some(wish) => said(&self.grant(from, wish).await),
                None => (400, Vec::new()),
            },
            _ => self.consensus.answer(target, body).await,
        }
    }

    /// Who this node is.
    pub(super) fn card(&self) -> Card {
        let standing = self.bonds.get();
        let (fleet, attempt) = (standing.fleet(), standing.attempt());
        let list = self.settings.peers.clone();
        let (leader, term) = (self.known_leader(), self.consensus.figures().term);
        Card { id: self.me, fleet, attempt, list, leader, term }
    }

    fn promise(&self, from: NodeId, proposal: Proposal) -> (u16, Vec<u8>) {
        let Proposal { pledge, list } = proposal;
        if list != self.settings.peers || pledge.founder != from {
            return said(&false);
        }
        match self.bonds.change(|standing| standing.promise(pledge)) {
            Ok(promised) => said(&promised),
            Err(error) => {
                tracing::error!(%error, "cannot keep a promise on disk");
                (500, Vec::new())
            }
        }
    }

    /// The leader lets a member in, or in again.
    pub(super) async fn let_in(&self, from: NodeId, join: Join) -> Reply {
        let Join { fleet, member } = join;
        if self.bonds.fleet() != Some(fleet) {
            return Reply::Refused("this is another fleet".to_owned());
        }
        let texts = [Some(&member.name), Some(&member.region), member.addr.as_ref()];
        if member.id != from || texts.iter().any(|text| text.is_none_or(|it| it.len() > TEXT_MAX)) {
            return Reply::Refused("this is not a member that can be".to_owned());
        }
        let roll = self.consensus.roll();
        if !self.consensus.figures().leads || roll.fleet().is_none() {
            return Reply::Later;
        }
        if let Some(why) = roll.objection(&member) {
            return Reply::Refused(why);
        }
        if roll.view().member(from).is_some_and(|known| known.boot == member.boot) {
            return Reply::Done;
        }
        self.agree(Command::Upsert(member)).await
    }

    /// The leader carries out what a member says of itself.
    pub(super) async fn grant(&self, from: NodeId, wish: Wish) -> Reply {
        let Wish { fleet, boot, health, last } = wish;
        let sayable = matches!((health, last), (Health::Draining, false) | (Health::Down, true));
        if self.bonds.fleet() != Some(fleet) || !sayable {
            return Reply::Refused("a member may only drain or leave".to_owned());
        }
        if !self.consensus.figures().leads {
            return Reply::Later;
        }
        self.agree(Command::SetHealth { id: from, boot, health, farewell: last }).await
    }

    async fn agree(&self, command: Command) -> Reply {
        match self.consensus.write(command).await {
            Ok(()) => Reply::Done,
            Err(error) => {
                tracing::debug!(%error, "a wish was not granted");
                Reply::Later
            }
        }
    }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    codec::decode(body).ok()
}

fn said<T: Serialize>(what: &T) -> (u16, Vec<u8>) {
    codec::encode(what).map_or((500, Vec::new()), |body| (200, body))
}
