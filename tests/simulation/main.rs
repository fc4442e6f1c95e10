//! Fleets of three to seven nodes through thousands of storms: the real machines of names, parties,
//! gathers, dials and desks, over simulated links, trunks and clients, on a virtual clock. All that
//! happens follows from the seed.
//!
//! * `cargo test --test simulation -- --nocapture` runs 2,000 seeds and shows what was covered.
//! * `SIMULATION_SEEDS=100000` runs more, `SIMULATION_FROM=5000` others.
//! * `SIMULATION_SEED=17` runs one and prints all that happens in it.

mod asking;
mod clients;
mod coverage;
mod ending;
mod faults;
mod inward;
mod ledger;
mod links;
mod mutants;
mod node;
mod outward;
mod owner;
mod queue;
mod receiving;
mod sending;
mod trace;
mod trunks;
mod weather;
mod world;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use coverage::Coverage;
use ledger::Flaw;
use mutants::Mutant;
use world::World;

/// Seeds of one run of the tests.
const SEEDS: u64 = 2000;

fn run(seed: u64, mutant: Option<Mutant>, trace: bool) -> World {
    let mut world = World::new(seed, mutant, trace);
    world.run();
    world
}

/// Runs these seeds on all processors, until the first flaw. Says what was covered.
fn run_all(seeds: std::ops::Range<u64>, mutant: Option<Mutant>) -> (Coverage, Option<(u64, Flaw)>) {
    let next = AtomicU64::new(seeds.start);
    let all = Mutex::new((Coverage::default(), None::<(u64, Flaw)>));
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    let world = run(seed, mutant, false);
                    let mut all = all.lock().expect("no run panics while it adds up");
                    all.0.add(&world.seen);
                    if let Some(flaw) = world.flaw {
                        if all.1.as_ref().is_none_or(|(first, _)| seed < *first) {
                            all.1 = Some((seed, flaw));
                        }
                        next.store(seeds.end, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    all.into_inner().expect("no run panics while it adds up")
}

fn env(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn no_storm_breaks_a_rule() {
    if let Some(seed) = env("SIMULATION_SEED") {
        let world = run(seed, None, true);
        println!("{:?}\n{}{}", world.weather, world.trace.text(), world.seen);
        assert!(world.flaw.is_none(), "{:?}", world.flaw);
        return;
    }
    let from = env("SIMULATION_FROM").unwrap_or(1);
    let seeds = env("SIMULATION_SEEDS").unwrap_or(SEEDS);
    let begin = std::time::Instant::now();
    let (seen, flaw) = run_all(from..from + seeds, None);
    println!("{seen}in {:?}", begin.elapsed());
    if let Some((seed, flaw)) = flaw {
        let world = run(seed, None, true);
        panic!(
            "\n{}\nseed {seed} breaks {} at {}: {}\nreplay it with SIMULATION_SEED={seed}\n{:?}",
            world.trace.text(),
            flaw.rule,
            flaw.at,
            flaw.what,
            world.weather
        );
    }
    covers(&seen);
}

/// A rule, where its absence is looked for, and which checks may be the first to notice it.
struct Demo {
    off: Mutant,
    seeds: std::ops::Range<u64>,
    rules: &'static [&'static str],
}

const DEMOS: &[Demo] = &[
    Demo { off: Mutant::NoAttempts, seeds: 1..2000, rules: &["I5", "I6", "I7"] },
    Demo { off: Mutant::OwnerCommits, seeds: 1..500, rules: &["I4"] },
    Demo { off: Mutant::FirstLane, seeds: 1..500, rules: &["I4"] },
    Demo { off: Mutant::EndOfTrunk, seeds: 1..500, rules: &["I1"] },
    Demo { off: Mutant::DeafDrain, seeds: 1..2000, rules: &["P4", "I8"] },
    Demo { off: Mutant::OldLinks, seeds: 1..4000, rules: &["I6", "I7", "I8"] },
    Demo { off: Mutant::NoResume, seeds: 1..500, rules: &["K1"] },
    Demo { off: Mutant::NotHeld, seeds: 1..4000, rules: &["K1"] },
    Demo { off: Mutant::NoFreed, seeds: 1..500, rules: &["K3"] },
    Demo { off: Mutant::LateTrunk, seeds: 1..6000, rules: &["I1", "I2"] },
    Demo { off: Mutant::MovedIgnored, seeds: 1..4000, rules: &["I6", "I7"] },
    Demo { off: Mutant::HastyLook, seeds: 1..500, rules: &["I9"] },
    // Rare: a party has to come back over an owner that missed a view.
    Demo { off: Mutant::SkippedViews, seeds: 33_000..40_000, rules: &["I9"] },
    Demo { off: Mutant::PinnedLeaves, seeds: 1..500, rules: &["I5", "I6"] },
];

#[test]
fn no_rule_is_there_for_nothing() {
    for Demo { off, seeds, rules } in DEMOS {
        let (_, flaw) = run_all(seeds.clone(), Some(*off));
        let (seed, flaw) = flaw.unwrap_or_else(|| panic!("{off:?} is noticed by no check"));
        println!("{off:?}: seed {seed} breaks {}: {}", flaw.rule, flaw.what);
        assert!(rules.contains(&flaw.rule), "{off:?} breaks {}, not one of {rules:?}", flaw.rule);
    }
}

/// At least so often each of these happens in a thousand seeds: less would show nothing.
const LEAST: &[(&str, u64)] = &[
    ("clients", 20_000),
    ("committed", 5_000),
    ("rehomed", 800),
    ("completed", 4_000),
    ("whole", 8_000),
    ("cut", 800),
    ("undone", 100),
    ("withdrawn", 5_000),
    ("moved", 1_000),
    ("evicted", 2_000),
    ("held", 2_000),
    ("held_in_vain", 10),
    ("held_back", 3),
    ("answered", 5_000),
    ("shown_waiting", 300),
    ("collected", 5_000),
    ("superseded", 500),
    ("resumed", 3_000),
    ("freed", 5_000),
    ("freed_in_vain", 30),
    ("redials", 50),
    ("dials_held", 1_000),
    ("turned_away", 10),
    ("ends_checked", 4_000),
    ("transfers_known", 1_000),
    ("crashes", 300),
    ("pauses", 300),
    ("drains", 100),
    ("breaks", 5_000),
    ("trunk_breaks", 400),
    ("views_only", 150),
];

/// Was there enough of everything?
fn covers(seen: &Coverage) {
    let all = seen.all();
    for (what, least) in LEAST {
        let (_, times) = all.iter().find(|(name, _)| name == what).expect("it is counted");
        let enough = least * seen.seeds / 1000;
        assert!(*times >= enough, "{what} has happened {times} times, not {enough}");
    }
}
