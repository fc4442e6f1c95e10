//! Those who only ask what is at a name, once and without patience: what they are told must be true.
//! Mirrors the first question of `edge/asking.rs`.

use hoody_pipe::edge::wire::Up;
use hoody_pipe::pipe::{Call, PartyId, Role, Snapshot, State};

use crate::node::id_of;
use crate::queue::Ms;
use crate::sending::Stage;
use crate::world::{ClientNo, NodeNo, World};

/// Nodes may learn of a view as much later than each other as an owner waits for them, but for the way
/// of frames. Later ones it cannot know of.
const SKEW_MAX: Ms = 1000;

impl World {
    /// Somebody asks the owner in the view of a node.
    pub fn ask(&mut self, node: NodeNo, name: usize) {
        let there = &self.nodes[node];
        if !there.alive || there.paused {
            return;
        }
        let view = there.mind.view.clone();
        let Some(owner) = view.owner(self.paths[name].as_str().as_bytes()) else { return };
        let boot = there.boot;
        let asker = PartyId { origin: id_of(node).0, boot, seq: (1 << 40) + self.number() };
        let waiting = (0..self.clients.len()).filter(|&c| self.waits(c, name)).collect();
        self.ledger.asked.insert(asker, waiting);
        self.seen.asked += 1;
        let call = Call::Status { asker, transfer: None };
        let (epoch, path) = (view.epoch().0, self.paths[name].clone());
        self.say(node, owner.0, Up { epoch, path, call });
    }

    /// It is answered (I9): nobody may have waited from its question to the answer if it says so, as
    /// far as nothing was lost lately.
    pub fn shown(&mut self, asker: PartyId, snapshot: &Snapshot) {
        let Some(waiting) = self.ledger.asked.remove(&asker) else { return };
        let name = |c: ClientNo| self.clients[c].name;
        let still: Vec<ClientNo> =
            waiting.into_iter().filter(|&c| self.waits(c, name(c))).collect();
        self.seen.answered += 1;
        self.seen.shown_waiting += u64::from(!still.is_empty());
        let quiet = self.ledger.last_fault.is_none_or(|at| at + 12_000 < self.now);
        if quiet
            && self.weather.skew <= SKEW_MAX
            && snapshot.state == State::Idle
            && !still.is_empty()
        {
            self.flaw("I9", format!("{asker:?} is told that nobody is there, but {still:?} wait"));
        }
    }

    /// Does this client wait at that name, and has heard so?
    fn waits(&self, c: ClientNo, name: usize) -> bool {
        let client = &self.clients[c];
        let Some(shell) = client.shell.as_ref().filter(|_| client.name == name) else {
            return false;
        };
        let free = match client.role {
            Role::Sender => matches!(shell.stage, Stage::Waiting),
            Role::Receiver => shell.lane.is_none(),
        };
        // One that was sent in circles asks again after a pause.
        let stays = !shell.stopping && shell.leaving.is_none() && shell.retry.is_none();
        free && stays && client.sight.admitted && !client.sight.left
    }
}
