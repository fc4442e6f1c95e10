//! Which core runs what: servers on one, the driver on another. Knows nothing of what they do.

use std::process::{Child, Command};

use anyhow::Result;
use rustix::thread::{CpuSet, Pid, sched_getaffinity, sched_setaffinity};

/// Where programs may run.
#[derive(Clone, Copy)]
pub struct Cores {
    /// Everything this process was given.
    all: CpuSet,
    /// The first two of them, for the server and the driver; none if there is only one.
    pair: Option<(usize, usize)>,
    /// The third: a second node of a fleet.
    third: Option<usize>,
}

/// Who runs somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// What is measured.
    Server,
    /// A second node of what is measured. Not pinned where there are fewer than three cores.
    SecondNode,
    /// The first node of two.
    FirstNode,
    /// What measures.
    Driver,
}

impl Cores {
    /// The cores this process may use.
    ///
    /// # Errors
    /// The kernel does not say.
    pub fn find() -> Result<Self> {
        let all = sched_getaffinity(None)?;
        let mut found = (0..CpuSet::MAX_CPU).filter(|&core| all.is_set(core));
        let (first, second, third) = (found.next(), found.next(), found.next());
        Ok(Self { all, pair: first.zip(second), third })
    }

    /// How many there are.
    pub fn count(&self) -> u32 {
        self.all.count()
    }

    /// Are server and driver kept apart?
    pub fn apart(&self) -> bool {
        self.pair.is_some()
    }

    /// Can each of two nodes have a core of its own?
    pub fn nodes_apart(&self) -> bool {
        self.third.is_some()
    }

    fn set(&self, who: Who) -> CpuSet {
        let core = match who {
            Who::Server => self.pair.map(|(server, _)| server),
            Who::Driver => self.pair.map(|(_, driver)| driver),
            Who::FirstNode => self.third.and(self.pair).map(|(server, _)| server),
            Who::SecondNode => self.third,
        };
        let Some(core) = core else { return self.all };
        let mut set = CpuSet::new();
        set.set(core);
        set
    }

    /// Puts this thread, and those it will make, where `who` belongs.
    ///
    /// # Errors
    /// The kernel refuses it.
    pub fn enter(&self, who: Who) -> Result<()> {
        Ok(sched_setaffinity(None, &self.set(who))?)
    }

    /// Starts a program where `who` belongs: it sees that core alone, and makes threads for it.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn spawn(&self, who: Who, command: &mut Command) -> Result<Child> {
        let back = sched_getaffinity(None)?;
        self.enter(who)?;
        let child = command.spawn();
        sched_setaffinity(None, &back)?;
        Ok(child?)
    }

    /// Puts all threads of a process that others have started where the server belongs.
    pub fn move_server(&self, pid: u32) {
        let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return };
        for task in tasks.flatten() {
            let thread = task.file_name().to_str().and_then(|name| name.parse().ok());
            // A thread that has ended meanwhile needs no core.
            let _ = thread
                .and_then(Pid::from_raw)
                .map(|thread| sched_setaffinity(Some(thread), &self.set(Who::Server)));
        }
    }
}
