//! The one spelling of a name, and a whole meeting of 256 receivers without its actor.

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use hoody_pipe::pipe::path::canonical;
use hoody_pipe::pipe::progress::Past;
use hoody_pipe::pipe::rendezvous::{Rendezvous, Room};
use hoody_pipe::pipe::{
    Answer, Attach, Call, Outcome, PartyId, PublicId, ReplyTo, Role, Seat, Snapshot, TransferId,
};

#[divan::bench]
fn canonical_of_a_short_path() -> bool {
    canonical(black_box(b"/run-42/tokens")).is_ok()
}

/// Half of it escapes, of which half mean characters that need none.
#[divan::bench]
fn canonical_of_a_long_path(bencher: Bencher<'_, '_>) {
    let path = format!("/{}", "name%41%c3%a9".repeat(73));
    bencher.bench_local(|| canonical(black_box(path.as_bytes())).is_ok());
}

/// A node with room for everything, and no memory of what is over.
struct Ample {
    minted: u128,
}

impl Room for Ample {
    fn wait(&mut self) -> bool {
        true
    }

    fn start(&mut self) -> bool {
        true
    }

    fn watch(&mut self, _: usize) -> bool {
        true
    }

    fn expects(&mut self) -> bool {
        false
    }

    fn mint(&mut self) -> TransferId {
        self.minted += 1;
        TransferId::from_u128(self.minted)
    }

    fn take(&mut self, _: &PublicId, _: bool) -> bool {
        true
    }

    fn give_back(&mut self, _: &PublicId) {}

    fn shelve(&mut self, past: Past) {
        black_box(past);
    }

    fn forget(&mut self) {}

    fn recall(&mut self, _: Option<&PublicId>) -> Option<Snapshot> {
        None
    }
}

/// Where everybody is.
const LINK: ReplyTo = ReplyTo(1);

fn seat(seq: u64) -> Seat {
    Seat { party: PartyId { origin: 1, boot: 1, seq }, attempt: 1 }
}

/// A meeting of `n` receivers: all attach, the last one makes the match, and it runs to its end. Each
/// arrival is told to the sender.
#[divan::bench(args = [1, 30, 256])]
fn rendezvous(bencher: Bencher<'_, '_>, n: u16) {
    bencher.counter(ItemsCount::new(n)).bench_local(|| {
        let (mut name, mut node) = (Rendezvous::default(), Ample { minted: 0 });
        let mut begun = None;
        for seq in 0..=u64::from(n) {
            let role = if seq == 0 { Role::Sender } else { Role::Receiver };
            let attach = Attach { seat: seat(seq), role, n, age_ms: 0, label: None };
            let out = name.step(seq, LINK, Call::Attach(attach), &mut node);
            begun = begun.or(out.iter().find_map(|output| match output.answer {
                Answer::Begin { transfer, .. } => Some(transfer),
                _ => None,
            }));
            black_box(out);
        }
        let transfer = begun.expect("everybody is there");
        for call in end(transfer, n) {
            black_box(name.step(1_000, LINK, call, &mut node));
        }
        assert!(!name.is_waiting() && name.active() == 0, "it is over");
    });
}

/// What the sender's side says of a transfer.
fn end(transfer: TransferId, n: u16) -> [Call; 3] {
    let roll = (0..=u64::from(n)).map(seat).collect();
    let sender = seat(0).party;
    let outcome = Outcome {
        result: Ok(()),
        bytes: 1,
        whole: n,
        n,
        receivers: 0,
        elapsed_ms: 1,
        hashed: false,
        digest: None,
    };
    [
        Call::Ready { transfer, roll, total: Some(1), label: None },
        Call::Released { transfer, sender },
        Call::Ended { transfer, sender, outcome },
    ]
}
