//! The fleet as this node sees it, for operators: `/cluster` of the admin listener as JSON, and why the
//! node is not ready for clients (spec §19). Knows no paths and no clients.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use hoody_pipe_cluster::{self as cluster, Cluster, Epoch, Health, NodeId, View};
use serde::Serialize;

use crate::meter;
use crate::pipe::Load;

/// With less room on its disk, in bytes, a node may be unable to write down the next change of the
/// membership.
const ROOM_LEAST: u64 = 1 << 20;

/// What this node is called, and its handle on the others. A cheap handle.
#[derive(Clone)]
pub struct Fleet {
    /// The newest view comes from here.
    pub cluster: Cluster,
    /// `--node-id`.
    pub node: String,
    /// `--region`.
    pub region: String,
    /// `--data-dir`; `None` without a fleet.
    pub data_dir: Option<PathBuf>,
}

/// The answer, in the order of the specification.
#[derive(Serialize)]
struct Shown<'a> {
    node: &'a str,
    region: &'a str,
    /// What this node is to the others. A fleet of one leads itself.
    state: &'static str,
    /// Null while none is known.
    leader: Option<String>,
    /// The election that made the leader; 0: none was held.
    term: u64,
    epoch: u64,
    members: Vec<Member<'a>>,
    pipes: Pipes,
}

#[derive(Serialize)]
struct Member<'a> {
    id: &'a str,
    /// Where other nodes reach it; null without such a listener.
    addr: Option<&'a str>,
    region: &'a str,
    health: &'static str,
    voter: bool,
    /// Its part of all names, 0 to 1.
    share: f64,
}

#[derive(Serialize)]
struct Pipes {
    waiting: usize,
    streaming: usize,
}

impl Fleet {
    /// How many members own names.
    pub fn ring_nodes(&self) -> usize {
        owners(&self.cluster.view()).len()
    }

    /// How many links to owners stand.
    pub fn links_as_edge(&self) -> usize {
        let view = self.cluster.view();
        let linked = |member: &&cluster::Member| self.cluster.link_to(member.id).is_some();
        view.members().iter().filter(linked).count()
    }

    /// Why clients should go elsewhere as far as the fleet is concerned, one line for each reason.
    pub fn unready(&self) -> impl Iterator<Item = &'static str> + use<> {
        let room = self.data_dir.as_deref().is_none_or(has_room);
        let status = self.cluster.status();
        let writes = room && status.state != "stopped";
        let life = (self.cluster.me(), self.cluster.boot());
        reasons(&self.cluster.view(), life, status.serves, writes)
    }

    /// Counts the changes of the membership that moved names, for as long as the process lives.
    pub async fn count_moves(self) {
        let mut changes = self.cluster.changes();
        let mut before = owners(&changes.borrow_and_update());
        while changes.changed().await.is_ok() {
            let now = owners(&changes.borrow_and_update());
            if !before.is_empty() && now != before {
                meter::owners_changed();
            }
            before = now;
        }
    }

    /// The JSON of `/cluster`; `load` is that of this owner.
    pub fn shown(&self, load: Load) -> Vec<u8> {
        let (view, status) = (self.cluster.view(), self.cluster.status());
        serde_json::to_vec(&self.told(&view, &status, load)).expect("plain facts are JSON")
    }

    fn told<'a>(&'a self, view: &'a View, status: &cluster::Status, load: Load) -> Shown<'a> {
        let name = |id| view.member(id).map_or_else(|| anonymous(id), |member| member.name.clone());
        Shown {
            node: &self.node,
            region: &self.region,
            state: status.state,
            leader: status.leader.map(name),
            term: status.term,
            epoch: view.epoch().0,
            members: view.members().iter().map(|one| self.member(view, status, one)).collect(),
            pipes: Pipes { waiting: load.waiting, streaming: load.active },
        }
    }

    fn member<'a>(
        &'a self,
        view: &View,
        status: &cluster::Status,
        member: &'a cluster::Member,
    ) -> Member<'a> {
        // A fleet of one has no use for its own label.
        let alone = self.cluster.is_alone();
        let owners = owners(view);
        Member {
            id: &member.name,
            addr: member.addr.as_deref(),
            region: if alone { &self.region } else { &member.region },
            health: word(member.health),
            voter: status.voters.contains(&member.id),
            share: if owners.contains(&member.id) { 1.0 / owners.len() as f64 } else { 0.0 },
        }
    }
}

/// Who drains says so itself. A view on the disk may still speak of an earlier life of this node: only
/// one that knows of this one (`boot`) makes it a member. Nor has one joined while its vote is on the way,
/// or while the others do not reach it (`serves`).
fn reasons(
    view: &View,
    (me, boot): (NodeId, u64),
    serves: bool,
    writes: bool,
) -> impl Iterator<Item = &'static str> + use<> {
    let member = view.member(me).filter(|member| member.boot == boot);
    let health = member.map(|member| member.health);
    let joined = serves && matches!(health, Some(Health::Up | Health::Draining));
    let all = [
        (!joined, "not joined\n"),
        (view.epoch() == Epoch(0), "no membership view\n"),
        (!writes, "data directory full or broken\n"),
    ];
    all.into_iter().filter_map(|(so, line)| so.then_some(line))
}

fn word(health: Health) -> &'static str {
    match health {
        Health::Joining => "joining",
        Health::Up => "up",
        Health::Draining => "draining",
        Health::Down => "down",
    }
}

/// A node that is no member of the view, such as a leader that was forgotten a moment ago.
fn anonymous(id: NodeId) -> String {
    format!("{:016x}", id.0)
}

/// Each of them has an equal share of all names.
fn owners(view: &View) -> BTreeSet<NodeId> {
    view.owners().collect()
}

/// A folder that cannot be looked at is no reason to send clients away: they need no disk.
fn has_room(folder: &Path) -> bool {
    let about = rustix::fs::statvfs(folder);
    about.map_or(true, |disk| disk.f_bavail.saturating_mul(disk.f_frsize) >= ROOM_LEAST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fleet_of_one_leads_itself_and_owns_everything() {
        let cluster = Cluster::alone("node-a", 1).unwrap();
        let fleet = Fleet { cluster, node: "node-a".into(), region: "eu".into(), data_dir: None };
        let want = concat!(
            r#"{"node":"node-a","region":"eu","state":"leader","leader":"node-a","term":0,"#,
            r#""epoch":1,"members":[{"id":"node-a","addr":null,"region":"eu","health":"up","#,
            r#""voter":true,"share":1.0}],"pipes":{"waiting":2,"streaming":3}}"#
        );
        assert_eq!(
            String::from_utf8(fleet.shown(Load { waiting: 2, active: 3, spectators: 9 })).unwrap(),
            want
        );
        assert_eq!(fleet.ring_nodes(), 1);
    }

    fn view() -> View {
        let all = [(1, Health::Up), (2, Health::Draining), (3, Health::Up), (4, Health::Joining)];
        view_of(all.into_iter().chain([(5, Health::Down)]))
    }

    fn view_of(members: impl IntoIterator<Item = (u64, Health)>) -> View {
        let member = |(id, health)| cluster::Member {
            id: NodeId(id),
            name: format!("node-{id}"),
            addr: Some(format!("10.0.0.{id}:7946")),
            region: "eu".into(),
            boot: 1,
            health,
        };
        let all = members.into_iter().map(member).collect();
        View::of(Epoch(17), cluster::Seed([0; 16]), all)
    }

    #[test]
    fn a_fleet_that_stops_as_a_whole_shares_among_those_that_drain() {
        let cluster = Cluster::alone("node-1", 1).unwrap();
        let fleet = Fleet { cluster, node: "node-1".into(), region: "eu".into(), data_dir: None };
        let view = view_of([(1, Health::Draining), (2, Health::Draining), (3, Health::Down)]);
        let status = fleet.cluster.status();
        let share = |it: &cluster::Member| fleet.member(&view, &status, it).share;
        assert_eq!(view.members().iter().map(share).collect::<Vec<_>>(), [0.5, 0.5, 0.0]);
    }

    #[test]
    fn a_fleet_shows_its_members_and_their_shares() {
        let cluster = Cluster::alone("node-1", 1).unwrap();
        let fleet = Fleet { cluster, node: "node-1".into(), region: "eu".into(), data_dir: None };
        let status = cluster::Status {
            state: "follower",
            leader: Some(NodeId(3)),
            term: 2,
            voters: vec![NodeId(1), NodeId(3)],
            serves: true,
        };
        let load = Load { waiting: 0, active: 0, spectators: 0 };
        let view = view();
        let shown = serde_json::to_value(fleet.told(&view, &status, load)).unwrap();
        assert_eq!((&shown["leader"], &shown["epoch"]), (&"node-3".into(), &17.into()));
        let members = shown["members"].as_array().unwrap().iter();
        let members: Vec<_> = members
            .map(|one| {
                (one["health"].as_str().unwrap(), one["voter"] == true, one["share"].as_f64())
            })
            .collect();
        let want = [
            ("up", true, Some(0.5)),
            ("draining", false, Some(0.0)),
            ("up", true, Some(0.5)),
            ("joining", false, Some(0.0)),
            ("down", false, Some(0.0)),
        ];
        assert_eq!(members, want);
        assert_eq!(shown["members"][1]["addr"], "10.0.0.2:7946");
        for (leader, want) in
            [(None, serde_json::Value::Null), (Some(NodeId(9)), "0000000000000009".into())]
        {
            let status = cluster::Status { leader, ..status.clone() };
            let shown = serde_json::to_value(fleet.told(&view, &status, load)).unwrap();
            assert_eq!(shown["leader"], want);
        }
    }

    #[test]
    fn a_node_is_ready_when_it_is_a_member_and_can_write_down_changes() {
        let told =
            |view: &View, me, room| reasons(view, (NodeId(me), 1), true, room).collect::<String>();
        for (me, want) in
            [(1, ""), (2, ""), (4, "not joined\n"), (5, "not joined\n"), (9, "not joined\n")]
        {
            assert_eq!(told(&view(), me, true), want, "{me}");
        }
        let restarted: String = reasons(&view(), (NodeId(1), 2), true, true).collect();
        assert_eq!(restarted, "not joined\n", "the view is of an earlier life");
        let without_vote: String = reasons(&view(), (NodeId(1), 1), false, true).collect();
        assert_eq!(without_vote, "not joined\n", "it is up, and its vote is on the way");
        assert_eq!(told(&view(), 1, false), "data directory full or broken\n");
        assert_eq!(told(&View::unknown(), 1, true), "not joined\nno membership view\n");
        assert!(has_room(Path::new("/")) && has_room(Path::new("/nonexistent")));
        assert!(!has_room(Path::new("/proc")), "a disk without any room");
    }
}
