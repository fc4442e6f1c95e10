//! Who watches a name, and what each of them was shown last. Pure; what there is to see is said by
//! the name.

use std::sync::Arc;

use super::progress::Snapshot;
use super::rendezvous::Output;
use super::{Answer, PartyId, ReplyTo, Seat, TransferId};

/// Most spectators that one answer is for, so that it fits into a frame of 64 KiB: one of them takes at
/// most 27 bytes. Four times the default cap of one name.
pub const TOGETHER_MAX: usize = 1024;

/// The spectators of one name. They take no slot and fix no `n`.
#[derive(Debug, Default)]
pub(super) struct Watchers(Vec<Watcher>);

#[derive(Debug)]
struct Watcher {
    party: PartyId,
    to: ReplyTo,
    /// The transfer it was shown: it sees that one to its end, whatever comes to the name meanwhile.
    follows: Option<TransferId>,
    last: Option<Arc<Snapshot>>,
}

/// What was looked at in one step.
struct Sights<'a> {
    view: &'a View<'a>,
    /// By what is followed: the transfers of one name, which are few.
    seen: Vec<(Option<TransferId>, Option<Sight>)>,
}

/// What is followed from now on, and how it looks.
type Sight = (Option<TransferId>, Arc<Snapshot>);

impl Sights<'_> {
    fn of(&mut self, follows: Option<TransferId>) -> Option<Sight> {
        if let Some((_, sight)) = self.seen.iter().find(|(x, _)| *x == follows) {
            return sight.clone();
        }
        let sight = (self.view)(follows).map(|(now, snapshot)| (now, Arc::new(snapshot)));
        self.seen.push((follows, sight.clone()));
        sight
    }
}

/// What there is to see: of a transfer, or, without one, of the name. Nothing while that is not certain.
pub(super) type View<'a> =
    dyn Fn(Option<TransferId>) -> Option<(Option<TransferId>, Snapshot)> + 'a;

impl Watchers {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn is_there(&self, party: PartyId) -> bool {
        self.0.iter().any(|w| w.party == party)
    }

    /// One more; it is shown what there is at the next [`Watchers::show`]. One that is here already
    /// is shown everything again.
    pub(super) fn add(&mut self, party: PartyId, to: ReplyTo) {
        self.remove(party);
        self.0.push(Watcher { party, to, follows: None, last: None });
    }

    pub(super) fn remove(&mut self, party: PartyId) {
        self.0.retain(|w| w.party != party);
        if self.0.is_empty() {
            self.0 = Vec::new();
        }
    }

    /// Who came over this link has to come anew.
    pub(super) fn lose(&mut self, link: ReplyTo) {
        self.0.retain(|w| w.to != link);
    }

    /// Shows each what is new to it. Who has seen an end is done. What several follow is looked at
    /// once, and said once over each link. Where nothing is certain each keeps its last picture.
    pub(super) fn show(&mut self, view: &View<'_>, out: &mut Vec<Output>) {
        let begin = out.len();
        let mut sights = Sights { view, seen: Vec::new() };
        self.0.retain_mut(|w| {
            let Some((follows, snapshot)) = sights.of(w.follows) else { return true };
            w.follows = follows;
            if w.last.as_ref().is_some_and(|last| last.is_like(&snapshot)) {
                return true;
            }
            let over = snapshot.is_over();
            if !over {
                w.last = Some(snapshot.clone());
            }
            match together(&mut out[begin..], w.to, &snapshot) {
                Some(watchers) => watchers.push(w.party),
                None => {
                    let (watchers, snapshot) = (vec![w.party], Some(snapshot));
                    let answer = Answer::Snapshot { watchers, snapshot };
                    out.push(Output { to: w.to, answer });
                }
            }
            !over
        });
    }

    /// What all are told when the machine is lost: watch again.
    pub(super) fn lost(&self) -> impl Iterator<Item = Output> {
        self.0.iter().map(|w| {
            let seat = Seat { party: w.party, attempt: 0 };
            Output { to: w.to, answer: Answer::Lost { seat } }
        })
    }
}

/// Those who are shown the same over this link already, if there is room for one more.
fn together<'a>(
    shown: &'a mut [Output],
    link: ReplyTo,
    sight: &Arc<Snapshot>,
) -> Option<&'a mut Vec<PartyId>> {
    shown.iter_mut().filter(|output| output.to == link).find_map(|output| {
        match &mut output.answer {
            Answer::Snapshot { watchers, snapshot: Some(seen) }
                if Arc::ptr_eq(seen, sight) && watchers.len() < TOGETHER_MAX =>
            {
                Some(watchers)
            }
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_answer_is_for_more_than_fit_into_a_frame() {
        let mut watchers = Watchers::default();
        for seq in 0..2 * TOGETHER_MAX as u64 + 1 {
            watchers.add(PartyId { origin: 1, boot: 1, seq }, ReplyTo(2));
        }
        let mut out = Vec::new();
        watchers.show(&|_| Some((None, Snapshot::idle())), &mut out);
        let sizes: Vec<usize> = out
            .iter()
            .map(|output| match &output.answer {
                Answer::Snapshot { watchers, .. } => watchers.len(),
                answer => panic!("{answer:?}"),
            })
            .collect();
        assert_eq!(sizes, [TOGETHER_MAX, TOGETHER_MAX, 1]);
    }
}
