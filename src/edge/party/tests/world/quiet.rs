//! The model when everything has arrived, and what holds then.

use super::*;

impl World {
    /// Lets everything that is under way arrive; everybody learns of the newest view, and all links
    /// stand. A match that cannot start is given up.
    pub(in super::super) fn settle(&mut self) {
        for _ in 0..10_000 {
            let mut busy = false;
            for o in 0..OWNERS {
                busy |= self.owner_learns(o, 1);
                for i in 0..self.clients.len() {
                    busy |= self.clients[i].roads[o].notice() | self.relink(i, o);
                    busy |= self.call(i, o, false) | self.hear(i, o);
                }
            }
            for i in 0..self.clients.len() {
                busy |= self.learn(i) | self.hear_others(i);
            }
            if busy || (0..self.clients.len()).any(|i| self.give_up(i)) {
                continue;
            } else if self.owners.iter().any(|owner| owner.machine.wakes().is_some()) {
                self.pass(LONG);
            } else {
                return;
            }
        }
        panic!("never quiet");
    }

    /// When all is quiet, each party that waits has its place at the owner of the newest view, nobody
    /// has one who does not, and nothing is left at the other owner.
    pub(in super::super) fn check_quiet(&self) {
        let o = self.views.last().copied().unwrap();
        let Owner { machine, node, .. } = &self.owners[o];
        let waiting = self.clients.iter().filter(|c| c.stage == Stage::Waiting);
        let mut waiting: Vec<Seat> = waiting.map(|c| c.party.seat()).collect();
        let mut present = machine.present();
        waiting.sort_by_key(|seat| seat.party);
        present.sort_by_key(|seat| seat.party);
        assert_eq!(waiting, present, "who waits, and who has a place: {machine:?}");
        let watching = self.watching.iter().filter(|watching| **watching).count();
        assert_eq!(machine.spectators(), watching);
        let held: HashSet<PublicId> = machine.ids().collect();
        assert_eq!(held, node.living, "ids of what waits or runs, and of nothing else");
        for i in 0..self.clients.len() {
            let told = self.sends(i).is_none() || held.contains(&label(i));
            assert!(told, "the owner does not know the transfer of sender {i}: {machine:?}");
        }
        for party in &self.cancelled {
            let client = &self.clients[usize::try_from(party.seq).unwrap()];
            assert_eq!(client.stage, Stage::Over, "{party:?} was cancelled and is still there");
        }
        let free = [N, OTHER_N].iter().any(|&n| self.waits_for(n));
        let idle = (0..self.clients.len()).all(|i| self.sends(i).is_none());
        assert!(!(free && idle), "they wait apart: {machine:?}");
        self.owners.iter().enumerate().filter(|(other, _)| *other != o).for_each(|(_, owner)| {
            owner.check_empty();
        });
    }

    /// Do a sender and as many receivers as it wants wait?
    fn waits_for(&self, n: u16) -> bool {
        let waits = |role| {
            let all = self.clients.iter().enumerate();
            let waiting = all.filter(|(_, c)| c.stage == Stage::Waiting && c.party.role == role);
            waiting.filter(|(i, _)| self.n(*i) == n).count()
        };
        waits(Role::Sender) > 0 && waits(Role::Receiver) >= usize::from(n)
    }
}
