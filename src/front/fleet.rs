//! The fleet as this node sees it, as JSON for operators: `/cluster` of the admin listener (spec
//! §19). Knows no paths and no clients.

use hoody_pipe_cluster::{Cluster, Health, NodeId, View};
use serde::Serialize;

use crate::pipe::Load;

/// What this node is called, and its handle on the others. A cheap handle.
#[derive(Clone)]
pub struct Fleet {
    /// The newest view comes from here.
    pub cluster: Cluster,
    /// `--node-id`.
    pub node: String,
    /// `--region`.
    pub region: String,
}

/// The answer, in the order of the specification.
#[derive(Serialize)]
struct Shown<'a> {
    node: &'a str,
    region: &'a str,
    /// What this node is to the others. A fleet of one leads itself.
    state: &'static str,
    leader: &'a str,
    /// The election that made the leader; 0: none was held.
    term: u64,
    epoch: u64,
    members: Vec<Member<'a>>,
    pipes: Pipes,
}

#[derive(Serialize)]
struct Member<'a> {
    id: String,
    /// Where other nodes reach it; null without such a listener.
    addr: Option<String>,
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
        owners(&self.cluster.view())
    }

    /// The JSON of `/cluster`; `load` is that of this owner.
    pub fn shown(&self, load: Load) -> Vec<u8> {
        let view = self.cluster.view();
        let shown = Shown {
            node: &self.node,
            region: &self.region,
            state: "leader",
            leader: &self.node,
            term: 0,
            epoch: view.epoch().0,
            members: view.members().iter().map(|member| self.member(&view, member)).collect(),
            pipes: Pipes { waiting: load.waiting, streaming: load.active },
        };
        serde_json::to_vec(&shown).expect("plain facts are JSON")
    }

    fn member(&self, view: &View, member: &hoody_pipe_cluster::Member) -> Member<'_> {
        let (health, weight) = match member.health {
            Health::Up => ("up", 1.0),
        };
        Member {
            id: self.name_of(member.id),
            addr: None,
            region: &self.region,
            health,
            voter: true,
            share: weight / owners(view) as f64,
        }
    }

    fn name_of(&self, id: NodeId) -> String {
        match id == self.cluster.me() {
            true => self.node.clone(),
            false => format!("{:016x}", id.0),
        }
    }
}

/// Each member that is up owns an equal share; a view has at least one.
fn owners(view: &View) -> usize {
    view.members().iter().filter(|member| member.health == Health::Up).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fleet_of_one_leads_itself_and_owns_everything() {
        let cluster = Cluster::alone("node-a").unwrap();
        let fleet = Fleet { cluster, node: "node-a".into(), region: "eu".into() };
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
}
