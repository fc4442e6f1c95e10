//! What this node remembers of pipes that are over: for 30 s under their name and their id, for ten
//! minutes under the id if somebody chose it or had the bytes hashed (spec §16). And who holds which
//! id. Bounded; the oldest goes first.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::progress::{Past, Snapshot};
use super::{PipePath, PublicId};

/// How long a pipe that is over stays visible (spec §16, linger).
const LINGER: Duration = Duration::from_secs(30);

/// How long a receipt is kept (spec §16).
const KEPT: Duration = Duration::from_secs(600);

/// How much lingers at once: all of 30 s at 2,000 transfers a second, more than one node arranges. One
/// takes about 510 bytes, and a long name up to 1 KiB more: 32 MiB when full, 100 MiB at worst.
const LINGERING_MAX: usize = 1 << 16;

/// All ids and all that is over on one node.
#[derive(Debug)]
pub(super) struct Receipts {
    /// Every id that is taken: its transfer waits, runs or is over.
    ids: HashMap<PublicId, Hold>,
    /// What each name shows.
    names: HashMap<PipePath, Arc<Receipt>>,
    /// All that is younger than [`LINGER`], oldest first.
    lingering: VecDeque<Arc<Receipt>>,
    /// Receipts for [`KEPT`], oldest first.
    kept: VecDeque<Arc<Receipt>>,
    /// How many of those are kept at most (`--max-receipts`).
    kept_max: usize,
}

/// Who holds an id.
#[derive(Debug)]
enum Hold {
    Living,
    Over {
        receipt: Arc<Receipt>,
        /// It is among those that linger, those that are kept, or both.
        lingers: bool,
        kept: bool,
    },
}

/// One pipe that is over.
#[derive(Debug)]
struct Receipt {
    path: PipePath,
    since: Instant,
    last: Snapshot,
}

impl Receipts {
    /// Nothing yet. `kept_max`: receipts for ten minutes; what lingers has a bound of its own.
    pub(super) fn new(kept_max: usize) -> Self {
        let (lingering, kept) = (VecDeque::new(), VecDeque::new());
        Self { ids: HashMap::new(), names: HashMap::new(), lingering, kept, kept_max }
    }

    /// Takes this id if nobody holds it. Whoever had it before takes it `again` in any case.
    pub(super) fn take(&mut self, now: Instant, id: &PublicId, again: bool) -> bool {
        self.expire(now);
        let free = again || !self.ids.contains_key(id);
        if free {
            self.ids.insert(id.clone(), Hold::Living);
        }
        free
    }

    /// An id that was taken by a sender who was then refused.
    pub(super) fn give_back(&mut self, id: &PublicId) {
        if let Some(Hold::Living) = self.ids.get(id) {
            self.ids.remove(id);
        }
    }

    /// A pipe at this name is over.
    pub(super) fn add(&mut self, now: Instant, path: &PipePath, past: Past) {
        self.expire(now);
        let Past { last, named, kept } = past;
        let id = last.id.clone();
        let receipt = Arc::new(Receipt { path: path.clone(), since: now, last });
        if named {
            self.names.insert(path.clone(), receipt.clone());
        }
        if let Some(id) = id {
            let receipt = receipt.clone();
            self.ids.insert(id, Hold::Over { receipt, lingers: true, kept });
        }
        if kept {
            self.kept.push_back(receipt.clone());
        }
        self.lingering.push_back(receipt);
        while self.lingering.len() > LINGERING_MAX {
            self.drop_lingering();
        }
        while self.kept.len() > self.kept_max {
            self.drop_kept();
        }
    }

    /// A new party has come to this name: it shows what is over no more.
    pub(super) fn forget(&mut self, path: &PipePath) {
        self.names.remove(path);
    }

    /// Names that are not to be kept show what is over no more.
    pub(super) fn retain(&mut self, keep: impl Fn(&PipePath) -> bool) {
        self.names.retain(|path, _| keep(path));
    }

    /// What this name shows, or what is left of that transfer of it.
    pub(super) fn recall(
        &mut self,
        now: Instant,
        path: &PipePath,
        id: Option<&PublicId>,
    ) -> Option<Snapshot> {
        self.expire(now);
        let Some(id) = id else {
            return self.names.get(path).map(|receipt| receipt.last.clone());
        };
        match self.ids.get(id)? {
            Hold::Over { receipt, .. } if receipt.path == *path => Some(receipt.last.clone()),
            Hold::Over { .. } | Hold::Living => None,
        }
    }

    fn expire(&mut self, now: Instant) {
        let is_over = |queue: &VecDeque<Arc<Receipt>>, time| {
            queue.front().is_some_and(|oldest| oldest.since + time <= now)
        };
        while is_over(&self.lingering, LINGER) {
            self.drop_lingering();
        }
        while is_over(&self.kept, KEPT) {
            self.drop_kept();
        }
    }

    fn drop_lingering(&mut self) {
        let Some(oldest) = self.lingering.pop_front() else { return };
        if self.names.get(&oldest.path).is_some_and(|shown| Arc::ptr_eq(shown, &oldest)) {
            self.names.remove(&oldest.path);
        }
        self.let_go(&oldest, |lingers, _| *lingers = false);
    }

    fn drop_kept(&mut self) {
        let Some(oldest) = self.kept.pop_front() else { return };
        self.let_go(&oldest, |_, kept| *kept = false);
    }

    /// An id is free when its receipt neither lingers nor is kept; unless it was taken up again.
    fn let_go(&mut self, oldest: &Arc<Receipt>, change: impl FnOnce(&mut bool, &mut bool)) {
        let Some(id) = &oldest.last.id else { return };
        let Some(Hold::Over { receipt, lingers, kept }) = self.ids.get_mut(id) else { return };
        if !Arc::ptr_eq(receipt, oldest) {
            return;
        }
        change(lingers, kept);
        if !*lingers && !*kept {
            self.ids.remove(id);
        }
    }

    /// Ids whose transfers wait or run.
    #[cfg(test)]
    pub(super) fn living(&self) -> usize {
        self.ids.values().filter(|hold| matches!(hold, Hold::Living)).count()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::pipe::{Failure, State};

    const SECOND: Duration = Duration::from_secs(1);

    fn path(name: &str) -> PipePath {
        PipePath::new(name).unwrap()
    }

    fn id(text: &str) -> PublicId {
        text.into()
    }

    /// A pipe of `bytes` bytes that is over.
    fn past(text: &str, bytes: u64, kept: bool) -> Past {
        let id = Some(text).filter(|text| !text.is_empty()).map(id);
        let last = Snapshot { state: State::Complete, bytes, id, ..Snapshot::idle() };
        Past { last, named: true, kept }
    }

    fn by_name(r: &mut Receipts, now: Instant, name: &str) -> Option<u64> {
        r.recall(now, &path(name), None).map(|last| last.bytes)
    }

    fn by_id(r: &mut Receipts, now: Instant, name: &str, text: &str) -> Option<u64> {
        r.recall(now, &path(name), Some(&id(text))).map(|last| last.bytes)
    }

    /// Asks without taking.
    fn is_free(r: &mut Receipts, now: Instant, text: &str) -> bool {
        let free = r.take(now, &id(text), false);
        if free {
            r.give_back(&id(text));
        }
        free
    }

    fn assert_empty(r: &Receipts) {
        let left = (r.ids.len(), r.names.len(), r.lingering.len(), r.kept.len());
        assert_eq!(left, (0, 0, 0, 0), "{r:?}");
    }

    #[test]
    fn what_is_over_lingers_for_half_a_minute() {
        let (mut r, t) = (Receipts::new(10), Instant::now());
        r.take(t, &id("a"), true);
        r.add(t, &path("x"), past("a", 1, false));
        for at in [t, t + LINGER - SECOND] {
            assert_eq!((by_name(&mut r, at, "x"), by_id(&mut r, at, "x", "a")), (Some(1), Some(1)));
            assert_eq!((by_name(&mut r, at, "y"), by_id(&mut r, at, "y", "a")), (None, None));
            assert!(!is_free(&mut r, at, "a"));
        }
        let at = t + LINGER;
        assert_eq!((by_name(&mut r, at, "x"), by_id(&mut r, at, "x", "a")), (None, None));
        assert!(is_free(&mut r, at, "a"));
        assert_empty(&r);
    }

    #[test]
    fn a_receipt_is_kept_for_ten_minutes() {
        let (mut r, t) = (Receipts::new(10), Instant::now());
        r.add(t, &path("x"), past("a", 1, true));
        let at = t + KEPT - SECOND;
        assert_eq!((by_name(&mut r, at, "x"), by_id(&mut r, at, "x", "a")), (None, Some(1)));
        assert!(!is_free(&mut r, at, "a"));
        assert!(is_free(&mut r, t + KEPT, "a"));
        assert_empty(&r);
    }

    #[test]
    fn a_new_party_hides_it_from_the_name_but_not_from_the_id() {
        let (mut r, t) = (Receipts::new(10), Instant::now());
        r.add(t, &path("x"), past("a", 1, false));
        r.forget(&path("x"));
        assert_eq!((by_name(&mut r, t, "x"), by_id(&mut r, t, "x", "a")), (None, Some(1)));
        r.add(t + SECOND, &path("x"), past("", 2, false));
        let at = t + LINGER;
        assert_eq!((by_name(&mut r, at, "x"), by_id(&mut r, at, "x", "a")), (Some(2), None));
        assert_eq!(by_name(&mut r, at + SECOND, "x"), None);
        assert_empty(&r);
    }

    #[test]
    fn a_living_transfer_holds_its_id_for_ever() {
        let (mut r, t) = (Receipts::new(10), Instant::now());
        assert!(r.take(t, &id("a"), false) && !is_free(&mut r, t + KEPT * 9, "a"));
        assert_eq!((by_id(&mut r, t, "x", "a"), r.living()), (None, 1));
        r.give_back(&id("a"));
        assert_empty(&r);
    }

    #[test]
    fn an_id_can_be_taken_up_again() {
        let (mut r, t) = (Receipts::new(1), Instant::now());
        r.add(t, &path("x"), past("a", 1, true));
        assert!(r.take(t, &id("a"), true));
        r.add(t, &path("y"), past("b", 2, true));
        assert!(!is_free(&mut r, t + KEPT * 9, "a"), "it lives, and no receipt drives it out");
        assert_eq!(by_id(&mut r, t, "x", "a"), None);
        r.add(t, &path("x"), past("a", 3, true));
        assert_eq!(by_id(&mut r, t, "x", "a"), Some(3));
        assert!(is_free(&mut r, t + KEPT, "a"));
        assert_empty(&r);
    }

    #[test]
    fn the_oldest_receipt_goes_first() {
        let (mut r, t) = (Receipts::new(2), Instant::now());
        for (n, text) in ["a", "b", "c"].into_iter().enumerate() {
            r.add(t, &path(text), past(text, n as u64, true));
        }
        // All of them linger, whatever is kept.
        assert_eq!([by_name(&mut r, t, "a"), by_id(&mut r, t, "a", "a")], [Some(0), Some(0)]);
        let at = t + LINGER;
        assert!(is_free(&mut r, at, "a") && !is_free(&mut r, at, "b") && !is_free(&mut r, at, "c"));
        assert_eq!((by_name(&mut r, at, "c"), by_id(&mut r, at, "c", "c")), (None, Some(2)));
        let last =
            Snapshot { state: State::Failed(Failure::Idle), id: Some(id("d")), ..Snapshot::idle() };
        r.add(at, &path("d"), Past { last, named: false, kept: true });
        assert!(is_free(&mut r, at, "b") && !is_free(&mut r, at, "c"));
        assert_eq!(by_name(&mut r, at, "d"), None, "another party is there");
    }

    #[test]
    fn what_lingers_has_a_bound_of_its_own() {
        let (mut r, t) = (Receipts::new(1), Instant::now());
        r.add(t, &path("kept"), past("kept", 1, true));
        r.add(t, &path("first"), past("first", 2, false));
        for n in 2..LINGERING_MAX {
            r.add(t, &path(&n.to_string()), past(&n.to_string(), 9, false));
        }
        assert_eq!(
            (by_name(&mut r, t, "kept"), by_id(&mut r, t, "first", "first")),
            (Some(1), Some(2))
        );
        for name in ["x", "y"] {
            r.add(t, &path(name), past("", 9, false));
        }
        // Driven out of the name, not out of the receipts.
        assert_eq!((by_name(&mut r, t, "kept"), by_id(&mut r, t, "kept", "kept")), (None, Some(1)));
        assert!(is_free(&mut r, t, "first") && by_name(&mut r, t, "y") == Some(9));
        by_name(&mut r, t + KEPT, "y");
        assert_empty(&r);
    }

    #[test]
    fn without_receipts_what_is_over_lingers_all_the_same() {
        let (mut r, t) = (Receipts::new(0), Instant::now());
        r.take(t, &id("a"), false);
        r.add(t, &path("x"), past("a", 1, true));
        assert_eq!(by_id(&mut r, t, "x", "a"), Some(1));
        assert!(is_free(&mut r, t + LINGER, "a"));
        assert_empty(&r);
    }
}
