//! Rules that can be switched off, to show that a check fails without each of them.

use hoody_pipe::edge::party::Input;
use hoody_pipe::pipe::{Answer, Call, Role};

use crate::clients::Post;
use crate::world::{ClientNo, World};

/// One rule that does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutant {
    /// Attempts are erased on the wire.
    NoAttempts,
    /// The owner commits: lanes start with `Begin`.
    OwnerCommits,
    /// The sender starts with its first lane.
    FirstLane,
    /// The end of a trunk counts as the end of the stream.
    EndOfTrunk,
    /// A trunk is not looked at after its last chunk.
    DeafDrain,
    /// An older link is not ended by a newer one: its frames are still read, and its places stay.
    OldLinks,
    /// A running transfer is not told again.
    NoResume,
    /// An owner with an older view drops news of transfers instead of waiting for the view.
    NotHeld,
    /// An end is shown before the name is free.
    NoFreed,
    /// A trunk that is dialled after the start is let in.
    LateTrunk,
    /// `Moved` is ignored by who knows a newer view than it names.
    MovedIgnored,
    /// A new view lets pinned parties go.
    PinnedLeaves,
    /// Who only looks is answered before older parties are back.
    HastyLook,
    /// Who has left by a view that its owner has skipped is not expected back.
    SkippedViews,
}

/// Takes the attempts off what an edge says.
pub fn erase(call: &mut Call) {
    let seats = match call {
        Call::Attach(attach) => std::slice::from_mut(&mut attach.seat),
        Call::Leave { seat, .. } | Call::Withdraw { seat } => std::slice::from_mut(seat),
        Call::Ready { roll, .. } | Call::Resume { roll, .. } => roll.as_mut_slice(),
        _ => return,
    };
    seats.iter_mut().for_each(|seat| seat.attempt = 1);
}

impl World {
    /// Notes under which seat an owner has matched a party. Without attempts, whatever is said is about
    /// the newest one.
    pub fn restore(&mut self, c: ClientNo, post: &mut Post) {
        let erased = self.lacks(Mutant::NoAttempts);
        let Some(shell) = self.shell(c) else { return };
        let mine = shell.party.seat();
        let named = match post {
            Post::Answer(_, Answer::Begin { sender, receivers, .. }) => {
                std::iter::once(sender).chain(receivers).find(|seat| seat.party == mine.party)
            }
            Post::Answer(
                _,
                Answer::Parked { seat, .. }
                | Answer::Reject { seat, .. }
                | Answer::Fail { seat, .. }
                | Answer::Lost { seat },
            )
            | Post::Moved { seat, .. } => Some(seat),
            _ => None,
        };
        if let Some(seat) = named {
            shell.named = *seat;
            if erased {
                *seat = mine;
            }
        }
    }

    /// Lets a party go that is pinned, since there is a new view.
    pub fn leave_pinned(&mut self, c: ClientNo) {
        let pinned = match self.clients[c].role {
            Role::Sender => self.transfer_of(c),
            Role::Receiver => self.lane_of(c),
        };
        if let Some(view) = self.input(c, Post::View) {
            self.feed(c, view);
        }
        if let Some(transfer) = pinned.filter(|_| self.running(c).is_none()) {
            self.drop_lane(c);
            self.feed(c, Input::Undone(transfer));
        }
    }
}
