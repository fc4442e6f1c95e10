//! Spec §22 and §28: fleets that lose more than one node, or a node its place or its disk.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::clients::side_by_side;
use crate::common::reading::expect_complete;
use crate::common::{End, PATIENCE, eventually, timed, unique};
use crate::fleet::{Fleet, measured, member, remark};
use crate::membership::voters;

/// Longer than whoever is forgotten could learn of it by listening.
const UNTOLD: Duration = Duration::from_secs(23);

/// Row 11.
const KILLED: Duration = Duration::from_secs(5);

#[test]
fn a_fleet_bears_the_loss_of_more_than_one() {
    side_by_side(&[
        ("two of five", two_of_five),
        ("down to one", down_to_one),
        ("forgotten while frozen", forgotten),
        ("a broken disk", broken_disk),
        ("every disk is lost in turn", wiped_in_turn),
    ]);
}

/// Two at once, and one of them leads: a kernel that refuses connections leaves no doubt.
fn two_of_five() {
    let mut fleet = Fleet::start(5);
    eventually("three of five vote", PATIENCE * 3, || voters(&fleet.cluster(0)).len() == 3);
    // Most of the voters must be left.
    let leader = fleet.leader();
    let learns =
        |at: &usize| member(&fleet.cluster(leader), &fleet.peer(*at)).unwrap()["voter"] == false;
    let dead = [leader, (0..5).find(learns).unwrap()];
    let left: Vec<usize> = (0..5).filter(|at| !dead.contains(at)).collect();
    let names: Vec<String> = dead.iter().map(|&owner| fleet.name_owned_by(owner)).collect();
    let mut waiting: Vec<_> =
        names.iter().map(|name| fleet.node(left[0]).waiting_sender(name, 1)).collect();
    dead.iter().for_each(|&at| fleet.kill(at));
    let start = Instant::now();
    for (sender, name) in waiting.iter_mut().zip(&names) {
        let mut receiver = fleet.node(left[1]).get(name);
        sender.line_until("[INFO] Streaming to 1 receiver(s)...");
        sender.finish();
        receiver.head().expect(200);
        assert_eq!(receiver.rest(), (vec![], End::Clean));
    }
    measured("two of five killed at once: waiting pairs meet", start.elapsed(), KILLED);
    fleet.settled();
}

/// Spec §22: nodes are taken away one after the other, leaders first; who is left can always agree.
fn down_to_one() {
    let mut fleet = Fleet::start(5);
    let name = unique();
    for left in (1..5).rev() {
        let at = fleet.leader();
        let mut leaver = fleet.take(at);
        leaver.signal(Signal::TERM);
        let (code, time) = timed(|| leaver.exit_code(Duration::from_secs(20)));
        assert_eq!(code, Some(0), "{}", leaver.log());
        measured(&format!("{left} of five are left: the leaver has gone"), time, LEFT);
        let (_, time) = timed(|| fleet.settled());
        measured(&format!("{left} of five are left: they agree"), time, Duration::from_secs(5));
        let up = fleet.up();
        fleet.assert_usable(&name, up[0], up[left - 1]);
    }
    let joiner = (0..5).find(|at| !fleet.up().contains(at)).unwrap();
    fleet.run(joiner);
    let (_, time) = timed(|| fleet.settled());
    // It votes when it has been up for 10 s, and is ready then.
    measured("the last of five lets one in", time, Duration::from_secs(15));
}

/// The time in which newcomers are served, and, for who must give its vote up first, the rest of 8 s.
const LEFT: Duration = Duration::from_secs(9);

/// A learner whose name another node took while it hung: it hears of nothing any more, finds that out,
/// and comes back when it may.
fn forgotten() {
    let mut fleet = Fleet::start(3);
    let learner = fleet.add();
    fleet.run(learner);
    fleet.settled();
    assert_eq!(voters(&fleet.cluster(0)).len(), 3, "the fourth only learns");
    fleet.freeze(learner);
    fleet.settled();
    let twin = fleet.add();
    let mut flags = fleet.flags_of(twin);
    let at = flags.iter().position(|flag| flag == "--node-id").unwrap();
    flags[at + 1] = Fleet::name(learner);
    fleet.run_with(twin, &flags);
    fleet.settled();
    assert_eq!(fleet.health(0, learner), None, "it is no member any more");
    // For 10 s more Raft tells it so, and for 10 s more it would believe what waits in its sockets.
    let gone = Instant::now();
    eventually("nobody tells it any more", PATIENCE * 2, || gone.elapsed() > UNTOLD);
    fleet.kill(twin);
    fleet.settled();
    fleet.thaw(learner);
    let (_, time) = timed(|| fleet.settled());
    measured("forgotten while it hung: a member again", time, Duration::from_secs(10));
    fleet.assert_usable(&unique(), learner, 0);
}

/// Row 24: a disk that is full, and later one that takes nothing any more. The node is not ready, what
/// runs there goes on, and without its old disk it comes back as a new node.
fn broken_disk() {
    let mut fleet = Fleet::idle_with(3, &[]);
    let at = 2;
    let Some(disk) = SmallDisk::at(fleet.data(at)) else { return };
    (0..3).for_each(|at| fleet.run(at));
    fleet.settled();
    let (mut sender, mut receivers) = fleet.streaming(&unique(), at, &[at, 1]);
    let unready = |fleet: &Fleet| {
        let (_, why) = fleet.node(at).admin_answers("GET", "/readyz", &[]);
        why.contains("data directory full or broken")
    };
    disk.fill();
    eventually("full, it is not ready", PATIENCE, || unready(&fleet));
    disk.clear();
    eventually("with room it is ready", PATIENCE, || fleet.is_ready(at));
    disk.abort();
    // Its death is something to write down.
    fleet.kill(0);
    eventually("its Raft stops", PATIENCE, || fleet.cluster(at)["state"] == "stopped");
    assert!(unready(&fleet));
    sender.chunk(b"lives");
    sender.finish();
    for receiver in &mut receivers {
        assert_eq!(receiver.rest(), (b"lives".to_vec(), End::Clean));
    }
    expect_complete(&mut sender);
    fleet.run(0);
    eventually("the other two agree", PATIENCE, || fleet.is_ready(0));
    assert!(unready(&fleet), "not before its next start");
    fleet.kill(at);
    drop(disk);
    fleet.wipe(at);
    fleet.run(at);
    fleet.settled();
}

/// Spec §22, "disk": nodes that keep nothing are restarted one after the other, each when the one before
/// is ready. The fleet is then another one in all its parts, and still a fleet.
fn wiped_in_turn() {
    let mut fleet = Fleet::start(3);
    let name = unique();
    for at in 0..3 {
        let mut server = fleet.take(at);
        server.signal(Signal::TERM);
        assert_eq!(server.exit_code(Duration::from_secs(20)), Some(0), "{}", server.log());
        drop(server);
        fleet.wipe(at);
        fleet.run(at);
        let ready = || eventually("it is ready", PATIENCE * 3, || fleet.is_ready(at));
        let (_, time) = timed(ready);
        measured("a node that lost its disk is ready", time, Duration::from_secs(15));
        assert_eq!(voters(&fleet.cluster(at)).len(), 3, "{:#}", fleet.cluster(at));
    }
    fleet.settled();
    fleet.assert_usable(&name, 0, 2);
}

/// A disk of its own for one node. Dropping it takes it away.
struct SmallDisk {
    mount: PathBuf,
    image: PathBuf,
}

impl SmallDisk {
    /// A file system in a file; `None`, with the reason printed, where that cannot be.
    fn at(mount: PathBuf) -> Option<SmallDisk> {
        let image = mount.with_extension("image");
        File::create(&image).unwrap().set_len(24 << 20).unwrap();
        std::fs::create_dir(&mount).unwrap();
        let made = run("mkfs.ext4", &["-q".as_ref(), image.as_os_str()])
            && run(
                "mount",
                &["-o".as_ref(), "loop".as_ref(), image.as_os_str(), mount.as_os_str()],
            );
        if !made {
            remark("SKIPPED: a disk that breaks needs root, mkfs.ext4 and loop devices");
            return None;
        }
        Some(SmallDisk { mount, image })
    }

    fn filler(&self) -> PathBuf {
        self.mount.join("filler")
    }

    /// Leaves not a byte.
    fn fill(&self) {
        let mut file = File::create(self.filler()).unwrap();
        for size in [1 << 16, 1 << 12, 1] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
    }

    fn clear(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }

    /// Nothing can be written from now on, as after an error of the device.
    fn abort(&self) {
        let options = ["-o".as_ref(), "remount,abort".as_ref(), self.mount.as_os_str()];
        assert!(run("mount", &options), "the disk can be broken");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        run("umount", &["-l".as_ref(), self.mount.as_os_str()]);
        let _ = std::fs::remove_file(&self.image);
    }
}

fn run(program: &str, arguments: &[&OsStr]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
