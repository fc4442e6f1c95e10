//! Finding the owner of a name. Wanted: at most 1 µs at 200 nodes.

use divan::{Bencher, black_box};
use hoody_pipe_cluster::{Epoch, Health, Member, NodeId, Seed, View};

/// A fleet of so many nodes, all up.
fn view(nodes: usize) -> View {
    let member = |at: usize| {
        let name = format!("node-{at}");
        let (id, addr) = (NodeId::of_name(&name), Some(format!("10.0.0.{at}:7946")));
        Member { id, name, addr, region: String::new(), boot: 1, health: Health::Up }
    };
    View::of(Epoch(1), Seed([7; 16]), (0..nodes).map(member).collect())
}

#[divan::bench(args = [3, 20, 200])]
fn owner(bencher: Bencher<'_, '_>, nodes: usize) {
    let view = view(nodes);
    bencher.bench_local(|| view.owner(black_box(b"run-42/tokens")));
}

#[divan::bench]
fn owner_of_a_long_name_at_200(bencher: Bencher<'_, '_>) {
    let (view, name) = (view(200), [b'x'; 1024]);
    bencher.bench_local(|| view.owner(black_box(&name)));
}
