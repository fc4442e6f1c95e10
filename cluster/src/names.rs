//! Addresses of the others' host names, remembered: while no name server answers, the last known
//! ones serve on, and nobody waits for it who has them.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::net::lookup_host;
use tokio::sync::watch;
use tokio::time::timeout;

/// A name server that says nothing for so long is out of order. Less than the time for a connection,
/// so that the known addresses are still tried within it.
const LOOKUP_MAX: Duration = Duration::from_secs(1);

/// Most names that are remembered, well above the members of a fleet.
const NAMES_MAX: usize = 1024;

/// Looks names up. A cheap handle; all clones remember the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names(Arc<Mutex<HashMap<String, Known>>>);

/// What is known of one name.
#[derive(Debug)]
struct Known {
    /// Empty: nothing was found yet.
    addrs: watch::Sender<Vec<SocketAddr>>,
    /// A lookup is under way: the system may take long to give one up, and no second one joins it.
    asked: bool,
}

impl Names {
    /// The addresses, now and later; and whether the caller has to look the name up.
    fn recall(&self, name: &str) -> (watch::Receiver<Vec<SocketAddr>>, bool) {
        let mut names = self.lock();
        if names.len() >= NAMES_MAX && !names.contains_key(name) {
            names.clear();
        }
        let fresh = || Known { addrs: watch::Sender::new(Vec::new()), asked: false };
        let known = names.entry(name.to_owned()).or_insert_with(fresh);
        let asks = !std::mem::replace(&mut known.asked, true);
        (known.addrs.subscribe(), asks)
    }

    /// A lookup is over. If it has found nothing, what was known stays.
    fn learn(&self, name: &str, found: Vec<SocketAddr>) {
        let mut names = self.lock();
        let Some(known) = names.get_mut(name) else { return };
        known.asked = false;
        // Told in any case: who waits for a first address need not wait longer.
        known.addrs.send_modify(|addrs| {
            if !found.is_empty() {
                *addrs = found;
            }
        });
    }

    /// Plain data, consistent between statements: a poisoned lock is usable.
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The addresses of a host, with port 0; none if none is known within [`LOOKUP_MAX`].
    pub(crate) async fn addrs(&self, name: &str) -> Vec<SocketAddr> {
        self.find(name, ask).await
    }

    /// The addresses known at once, with a lookup behind that serves the next connection; or, of a name
    /// that is not known yet, what that lookup finds in time. `lookup` is made once at a time.
    async fn find<F>(&self, name: &str, lookup: impl FnOnce(String) -> F) -> Vec<SocketAddr>
    where
        F: Future<Output = Vec<SocketAddr>> + Send + 'static,
    {
        let (mut addrs, asks) = self.recall(name);
        if asks {
            let (names, name) = (self.clone(), name.to_owned());
            let lookup = lookup(name.clone());
            tokio::spawn(async move { names.learn(&name, lookup.await) });
        }
        let known = addrs.borrow_and_update().clone();
        if !known.is_empty() {
            return known;
        }
        // Out of time, or forgotten: as if nothing was found.
        let _ = timeout(LOOKUP_MAX, addrs.changed()).await;
        addrs.borrow().clone()
    }
}

/// Asks the system.
async fn ask(name: String) -> Vec<SocketAddr> {
    // Whoever asks puts the port in.
    let found = lookup_host((name.as_str(), 0)).await;
    found.map_or_else(|_| Vec::new(), Iterator::collect)
}

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let (names, name) = (self.clone(), name.as_str().to_owned());
        Box::pin(async move {
            let addrs: Addrs = match names.addrs(&name).await {
                none if none.is_empty() => return Err("no address is known for this host".into()),
                known => Box::new(known.into_iter()),
            };
            Ok(addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use tokio::task::yield_now;
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_known_name_costs_no_time_and_is_looked_up_behind() {
        let names = Names::default();
        let (old, new) = (addr("127.0.0.1:0"), addr("127.0.0.2:0"));
        assert_eq!(names.find("a", |_| ready(vec![])).await, []);
        assert_eq!(names.find("a", move |_| ready(vec![old])).await, [old]);
        assert_eq!(names.find("a", |_| ready(vec![])).await, [old]);
        yield_now().await;
        assert_eq!(names.find("a", move |_| ready(vec![new])).await, [old]);
        yield_now().await;
        let begun = Instant::now();
        for _ in 0..2 {
            assert_eq!(names.find("a", |_| pending()).await, [new], "a silent name server");
        }
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_is_looked_up_once_at_a_time_and_not_waited_for_long() {
        let names = Names::default();
        let begun = Instant::now();
        assert_eq!(names.find("a", |_| pending()).await, []);
        assert_eq!(names.find("a", |_| async { panic!("a second lookup") }).await, []);
        assert_eq!(begun.elapsed(), 2 * LOOKUP_MAX);
        assert_eq!(names.find("b", |_| ready(vec![])).await, [], "another name is its own");
    }

    #[tokio::test]
    async fn no_more_names_are_remembered_than_there_is_room_for() {
        let names = Names::default();
        for number in 0..=NAMES_MAX {
            let local = addr("127.0.0.1:0");
            assert_eq!(names.find(&number.to_string(), move |_| ready(vec![local])).await, [local]);
        }
        assert_eq!(names.lock().len(), 1);
    }

    fn addr(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }
}
