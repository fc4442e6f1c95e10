//! Parties and the machine of one name together, in every order in which calls, answers and lanes
//! can overtake each other. Knows only what may be said, and what must hold when all is quiet.

use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};

use super::world::{Op, PARTIES, SPECTATORS, World};

fn op() -> impl Strategy<Value = Op> {
    let who = || 0..PARTIES;
    prop_oneof![
        12 => Just(Op::Arrive),
        40 => who().prop_map(Op::Call),
        40 => who().prop_map(Op::Hear),
        3 => who().prop_map(Op::Leave),
        3 => who().prop_map(Op::Deadline),
        4 => who().prop_map(Op::GiveUp),
        3 => who().prop_map(Op::Report),
        3 => who().prop_map(Op::Release),
        3 => who().prop_map(Op::End),
        1 => Just(Op::Cancel),
        3 => (0..SPECTATORS).prop_map(Op::Watch),
        2 => (0..SPECTATORS).prop_map(Op::Unwatch),
    ]
}

/// The same runs each time; a failure is shrunk to its shortest history.
fn config() -> Config {
    Config {
        cases: 400,
        rng_seed: RngSeed::Fixed(1),
        failure_persistence: None,
        ..Config::default()
    }
}

/// Everything is delivered, nobody is parked apart, and when all have left nothing is left.
fn live_through(ops: Vec<Op>) {
    let mut world = World::default();
    for op in ops {
        world.run(op);
    }
    world.settle();
    world.check_quiet();
    for i in 0..world.clients.len() {
        world.gone(i);
    }
    world.settle();
    (0..SPECTATORS).for_each(|i| world.unwatch(i));
    assert!(world.machine.is_idle(), "{:?}", world.machine);
    assert!(world.node.living.is_empty(), "ids are left");
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn nobody_is_parked_apart_and_nothing_is_left(
        ops in proptest::collection::vec(op(), 0..250),
    ) {
        live_through(ops);
    }

    #[test]
    fn a_defect_at_any_moment_moves_everybody_to_the_next_machine(
        before in proptest::collection::vec(op(), 0..120),
        after in proptest::collection::vec(op(), 0..120),
    ) {
        live_through([before, vec![Op::Defect], after].concat());
    }
}
