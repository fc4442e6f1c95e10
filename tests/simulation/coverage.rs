//! What has happened in all runs: a run in which nothing happens shows nothing.

use std::fmt;

/// Declares counters that can be added up and printed.
macro_rules! counters {
    ($($name:ident),* $(,)?) => {
        /// How often each thing has happened.
        #[derive(Debug, Clone, Default)]
        pub struct Coverage {
            $(pub $name: u64,)*
        }

        impl Coverage {
            /// Adds those of another run.
            pub fn add(&mut self, other: &Self) {
                $(self.$name += other.$name;)*
            }

            /// All of them, with their names.
            pub fn all(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name),)*]
            }
        }
    };
}

counters! {
    seeds, views_only, events, clients, attached, withdrawn, met, undone, committed, rehomed,
    asked, answered, shown_waiting, pieces, completed, whole, cut, failed, refused, timed_out, unavailable, cancelled, left, broke_off,
    started_without, moved, held, held_in_vain, held_back, evicted, collected, superseded, resumed, parted,
    freed, freed_in_vain, dials, redials, dials_held, turned_away, unwanted, ends_checked,
    transfers_known, shared, views, breaks, trunk_breaks, stalls, crashes, restarts, pauses, drains, cancels,
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for row in self.all().chunks(6) {
            let row: Vec<String> = row.iter().map(|(name, n)| format!("{name} {n}")).collect();
            writeln!(f, "{}", row.join(", "))?;
        }
        Ok(())
    }
}
