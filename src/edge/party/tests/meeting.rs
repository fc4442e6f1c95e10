//! Parties and the machine of one name together, in every order in which calls, answers and lanes
//! can overtake each other. Knows only what may be said, and what must hold when all is quiet.

use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};

use super::world::{OWNERS, Op, Owner, PARTIES, SPECTATORS, World};

fn op() -> impl Strategy<Value = Op> {
    let who = || 0..PARTIES;
    prop_oneof![
        12 => Just(Op::Arrive),
        40 => who().prop_map(|i| Op::Call(i, 0)),
        40 => who().prop_map(|i| Op::Hear(i, 0)),
        40 => who().prop_map(Op::Meet),
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

/// What happens in a fleet. A DELETE, a defect and a spectator's end are another matter.
fn upheaval() -> impl Strategy<Value = Op> {
    let who = || 0..PARTIES;
    let owner = || 0..OWNERS;
    prop_oneof![
        12 => Just(Op::Arrive),
        50 => (who(), owner()).prop_map(|(i, o)| Op::Call(i, o)),
        50 => (who(), owner()).prop_map(|(i, o)| Op::Hear(i, o)),
        40 => who().prop_map(Op::Meet),
        1 => (who(), owner()).prop_map(|(i, o)| Op::Late(i, o)),
        2 => who().prop_map(Op::Leave),
        2 => who().prop_map(Op::Deadline),
        3 => who().prop_map(Op::GiveUp),
        2 => who().prop_map(Op::Report),
        2 => who().prop_map(Op::Release),
        2 => who().prop_map(Op::End),
        3 => owner().prop_map(Op::View),
        12 => who().prop_map(Op::Learn),
        5 => owner().prop_map(Op::OwnerLearns),
        1 => owner().prop_map(Op::OwnerSkips),
        4 => (who(), owner(), any::<bool>()).prop_map(|(i, o, late)| Op::Break(i, o, late)),
        6 => (who(), owner()).prop_map(|(i, o)| Op::Notice(i, o)),
        6 => (who(), owner()).prop_map(|(i, o)| Op::Relink(i, o)),
        4 => Just(Op::Time),
    ]
}

/// The same runs each time; a failure is shrunk to its shortest history.
fn config(cases: u32) -> Config {
    Config { cases, rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..Config::default() }
}

/// Everything is delivered, nobody is parked apart, and when all have left nothing is left.
fn live_through(mut world: World, ops: Vec<Op>) {
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
    world.owners.iter().for_each(Owner::check_empty);
}

proptest! {
    #![proptest_config(config(400))]

    #[test]
    fn nobody_is_parked_apart_and_nothing_is_left(
        ops in proptest::collection::vec(op(), 0..250),
    ) {
        live_through(World::default(), ops);
    }

    #[test]
    fn those_who_want_another_number_wait_behind_each_other(
        ops in proptest::collection::vec(op(), 0..250),
    ) {
        live_through(World::mixed(), ops);
    }

    #[test]
    fn a_defect_at_any_moment_moves_everybody_to_the_next_machine(
        before in proptest::collection::vec(op(), 0..120),
        after in proptest::collection::vec(op(), 0..120),
    ) {
        live_through(World::default(), [before, vec![Op::Defect], after].concat());
    }
}

proptest! {
    #![proptest_config(config(200))]

    #[test]
    fn views_and_broken_links_part_nobody_and_leave_nothing(
        before in proptest::collection::vec(upheaval(), 0..250),
        after in proptest::collection::vec(upheaval(), 0..150),
    ) {
        // In between most of them find each other, so that transfers run.
        live_through(World::default(), [before, vec![Op::Quiet], after].concat());
    }

    #[test]
    fn nor_do_they_where_not_all_want_the_same_number(
        before in proptest::collection::vec(upheaval(), 0..250),
        after in proptest::collection::vec(upheaval(), 0..150),
    ) {
        live_through(World::mixed(), [before, vec![Op::Quiet], after].concat());
    }
}
