//! The settings of a fleet, which make sense together only (spec §23).
//!
//! Knows nothing of how nodes agree: only what would make them two fleets, or none, by a slip of the
//! pen.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::defaults;
use super::place::Place;
use super::secret::{self, Secret};
use super::settings::Settings;
use super::values::{Address, Count};

/// What a node has to know to be one of several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fleet {
    /// `--cluster-listen`: where other nodes connect to. Never port 0.
    pub listen: SocketAddr,
    /// `--cluster-advertise`: the host and port they are told; one of `peers`.
    pub advertise: String,
    /// `--cluster-peers`: host and port of all first members, without duplicates.
    pub peers: Vec<String>,
    /// `--bootstrap-expect`: more than half of `peers`, and at most all of them.
    pub expect: usize,
    /// The secret, of at least 16 bytes.
    pub secret: Secret,
    /// `--data-dir`: where the membership is kept.
    pub data_dir: PathBuf,
}

impl Fleet {
    /// What was said of a fleet, if anything; `variable` is the value of [`secret::VARIABLE`].
    ///
    /// # Errors
    /// Something is missing or does not fit the rest; the text says what to write.
    pub(super) fn of(said: &Settings, variable: Option<OsString>) -> Result<Option<Self>, String> {
        // Deployment files often set what they leave out to nothing.
        let variable = variable.filter(|value| !value.is_empty());
        let Some(Address(listen)) = said.cluster_listen else {
            return match lonely(said, variable.is_some()) {
                None => Ok(None),
                Some(what) => Err(format!(
                    "{what} is for a fleet, and this node would be on its own; add --cluster-listen \
                     ADDRESS:PORT, such as --cluster-listen 10.0.0.1:7946, or leave it out"
                )),
            };
        };
        let Place(advertise) = advertise(listen, said.cluster_advertise.clone())?;
        let peers = peers(said.cluster_peers.as_deref().unwrap_or_default(), &advertise)?;
        let expect = expect(said.bootstrap_expect.map(|Count(count)| count), peers.len())?;
        Ok(Some(Self {
            listen,
            advertise,
            peers,
            expect,
            secret: Secret::of(said.cluster_secret_file.as_deref(), variable)?,
            data_dir: said.data_dir.clone().unwrap_or_else(|| defaults::DATA_DIR.into()),
        }))
    }
}

/// Something that only a fleet has a use for.
fn lonely(said: &Settings, variable: bool) -> Option<&'static str> {
    let all = [
        (said.cluster_advertise.is_some(), "--cluster-advertise"),
        (said.cluster_peers.is_some(), "--cluster-peers"),
        (said.cluster_secret_file.is_some(), "--cluster-secret-file"),
        (said.bootstrap_expect.is_some(), "--bootstrap-expect"),
        (said.data_dir.is_some(), "--data-dir"),
        (variable, secret::VARIABLE),
    ];
    all.into_iter().find_map(|(said, what)| said.then_some(what))
}

fn advertise(listen: SocketAddr, said: Option<Place>) -> Result<Place, String> {
    if listen.port() == 0 {
        return Err("--cluster-listen needs a port that others know, such as 7946".to_owned());
    }
    match said {
        Some(place) => Ok(place),
        None if listen.ip().is_unspecified() => Err(format!(
            "--cluster-listen {listen} does not tell where others reach this node; add \
             --cluster-advertise HOST:PORT, as it stands in --cluster-peers"
        )),
        None => Ok(Place(listen.to_string())),
    }
}

fn peers(said: &[Place], me: &str) -> Result<Vec<String>, String> {
    let peers: Vec<String> = said.iter().map(|Place(peer)| peer.clone()).collect();
    if peers.is_empty() {
        return Err("a fleet needs --cluster-peers HOST:PORT,...: all first members, this node \
                    among them, the same list on every node"
            .to_owned());
    }
    if let Some(twice) = peers.iter().enumerate().find(|(i, peer)| peers[..*i].contains(peer)) {
        return Err(format!("{} stands twice in --cluster-peers; name each node once", twice.1));
    }
    if !peers.iter().any(|peer| peer == me) {
        return Err(format!(
            "{me}, where others reach this node, is not in --cluster-peers ({}); the list is the \
             same on every node and contains them all: add it there, or say with \
             --cluster-advertise which of them this node is",
            peers.join(",")
        ));
    }
    Ok(peers)
}

/// With half of the list or less, two fleets could form side by side.
fn expect(said: Option<usize>, peers: usize) -> Result<usize, String> {
    let (least, expect) = (peers / 2 + 1, said.unwrap_or(peers));
    match (least..=peers).contains(&expect) {
        true => Ok(expect),
        false => Err(format!(
            "--bootstrap-expect {expect} does not fit --cluster-peers: with {peers} of them it must \
             be from {least} (more than half, or two fleets could form) to {peers}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "0123456789abcdef";

    fn said(listen: &str, advertise: &str, peers: &str) -> Settings {
        let places = peers.split(',').filter(|peer| !peer.is_empty());
        Settings {
            cluster_listen: Some(listen.parse().unwrap()),
            cluster_advertise: (!advertise.is_empty()).then(|| advertise.parse().unwrap()),
            cluster_peers: Some(places.map(|peer| peer.parse().unwrap()).collect()),
            ..Settings::default()
        }
    }

    fn fleet(said: &Settings) -> Result<Fleet, String> {
        Fleet::of(said, Some(SECRET.into())).map(|fleet| fleet.expect("there is a listener"))
    }

    #[test]
    fn what_is_not_said_follows_from_the_rest() {
        let got = fleet(&said("10.0.0.1:7946", "", "10.0.0.1:7946,B:7946,c:7946")).unwrap();
        assert_eq!(got.advertise, "10.0.0.1:7946");
        assert_eq!(got.peers, ["10.0.0.1:7946", "b:7946", "c:7946"]);
        assert_eq!((got.expect, got.secret.bytes()), (3, SECRET.as_bytes()));
        assert_eq!(got.data_dir, PathBuf::from("./hoody-pipe-data"));
        let got = fleet(&said("0.0.0.0:1", "Node-B:7946", "node-a:7946,node-b:7946")).unwrap();
        assert_eq!((got.advertise.as_str(), got.expect), ("node-b:7946", 2));
        assert_eq!(Fleet::of(&Settings::default(), None), Ok(None));
    }

    #[test]
    fn what_does_not_fit_is_refused_with_advice() {
        for (said, want) in [
            (said("0.0.0.0:7946", "", "a:7946"), "add --cluster-advertise HOST:PORT"),
            (said("[::]:7946", "", "a:7946"), "add --cluster-advertise HOST:PORT"),
            (said("10.0.0.1:0", "", "10.0.0.1:7946"), "needs a port that others know"),
            (said("10.0.0.1:7946", "", ""), "a fleet needs --cluster-peers HOST:PORT,..."),
            (said("10.0.0.1:7946", "", "a:7946,b:7946"), "not in --cluster-peers (a:7946,b:7946)"),
            (said("10.0.0.1:7946", "", "10.0.0.1:7947"), "10.0.0.1:7946, where others reach"),
            (said("10.0.0.1:1", "a:1", "a:1,b:1,A:1"), "a:1 stands twice in --cluster-peers"),
        ] {
            let error = fleet(&said).unwrap_err();
            assert!(error.contains(want), "{error}");
        }
    }

    #[test]
    fn two_fleets_can_never_form_from_one_list() {
        const ALL: [&str; 5] = ["a:1", "b:1", "c:1", "d:1", "e:1"];
        for (peers, good) in [(1, 1..=1), (2, 2..=2), (3, 2..=3), (4, 3..=4), (5, 3..=5)] {
            let mut said = said("10.0.0.1:1", "a:1", &ALL[..peers].join(","));
            assert_eq!(fleet(&said).unwrap().expect, peers, "all of them, if nothing is said");
            for expect in 1..=6 {
                said.bootstrap_expect = Some(Count(expect));
                let got = fleet(&said);
                assert_eq!(got.is_ok(), good.contains(&expect), "{expect} of {peers}: {got:?}");
            }
        }
    }

    #[test]
    fn a_node_on_its_own_has_no_use_for_the_rest() {
        let mut all = said("10.0.0.1:7946", "10.0.0.1:7946", "10.0.0.1:7946");
        all.cluster_listen = None;
        all.cluster_secret_file = Some("x".into());
        all.bootstrap_expect = Some(Count(1));
        all.data_dir = Some("x".into());
        for flag in [
            "--cluster-advertise",
            "--cluster-peers",
            "--cluster-secret-file",
            "--bootstrap-expect",
            "--data-dir",
            secret::VARIABLE,
        ] {
            let error = Fleet::of(&all, Some(SECRET.into())).unwrap_err();
            assert!(error.starts_with(&format!("{flag} is for a fleet")), "{error}");
            match flag {
                "--cluster-advertise" => all.cluster_advertise = None,
                "--cluster-peers" => all.cluster_peers = None,
                "--cluster-secret-file" => all.cluster_secret_file = None,
                "--bootstrap-expect" => all.bootstrap_expect = None,
                _ => all.data_dir = None,
            }
        }
        assert_eq!(Fleet::of(&all, None), Ok(None));
        assert_eq!(Fleet::of(&all, Some("".into())), Ok(None), "an empty variable says nothing");
    }

    #[test]
    fn a_fleet_without_a_secret_does_not_start() {
        let mut said = said("10.0.0.1:7946", "", "10.0.0.1:7946");
        assert!(Fleet::of(&said, None).unwrap_err().starts_with("a fleet needs a secret"));
        assert!(
            Fleet::of(&said, Some("".into())).unwrap_err().starts_with("a fleet needs a secret")
        );
        assert!(Fleet::of(&said, Some("short".into())).unwrap_err().contains("fewer than 16"));
        said.cluster_secret_file = Some("/nonexistent".into());
        let error = Fleet::of(&said, Some("".into())).unwrap_err();
        assert!(!error.contains("twice"), "{error}");
    }
}
