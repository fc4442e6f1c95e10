//! Fleets in one process, over real sockets and real disks: they form, nodes come, crash, return,
//! drain and leave. What a node says of its view is all that is looked at.

mod site;

use std::time::{Duration, Instant};

use hoody_pipe_cluster::{Health, Secret};
use site::{Node, Site, all, secret, sites, until};

/// What nobody may do is watched for so long: six looks around.
const WATCHED: Duration = Duration::from_secs(3);

fn start(sites: &[Site]) -> Vec<Node> {
    let list = Site::list(sites);
    sites.iter().map(|site| site.start(&list, sites.len())).collect()
}

async fn all_up(nodes: &[&Node]) {
    all(nodes, |node| node.healths().len() == nodes.len() && node.sees_all(Health::Up)).await;
}

/// A fleet of so many that are all up.
async fn fleet(net: u8, count: u8) -> (Vec<Site>, Vec<Node>) {
    let sites = sites(net, count);
    let nodes = start(&sites);
    all_up(&nodes.iter().collect::<Vec<_>>()).await;
    (sites, nodes)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_forms_in_any_order_and_a_fourth_joins() {
    let sites = sites(1, 4);
    let list = Site::list(&sites[..3]);
    let c = sites[2].start(&list, 3);
    until(|| c.cluster.status().state == "joining").await;
    let a = sites[0].start(&list, 3);
    let b = sites[1].start(&list, 3);
    all_up(&[&a, &b, &c]).await;
    let views = [&a, &b, &c].map(|node| node.cluster.view());
    assert!(
        views.iter().all(|view| view.member(a.cluster.me()) == views[0].member(a.cluster.me()))
    );
    assert_eq!(a.cluster.status().voters.len(), 3);
    assert_eq!((a.cluster.boot(), a.cluster.is_alone()), (1, false));
    // A fourth has its own list; those of the others stay as they are.
    let d = sites[3].start(&Site::list(&sites), 4);
    all_up(&[&a, &b, &c, &d]).await;
    for key in 0..100u32 {
        let owners = [&a, &b, &c, &d].map(|node| node.cluster.owner(&key.to_be_bytes()));
        assert!(owners[0].is_some() && owners.iter().all(|owner| *owner == owners[0]));
    }
    assert_eq!(d.cluster.status().voters.len(), 3, "three voters are enough for four");
    let status = d.cluster.status();
    assert_eq!((status.state, status.leader), ("learner", a.cluster.status().leader));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_of_the_list_is_enough_and_the_rest_joins_later() {
    let sites = sites(2, 3);
    let list = Site::list(&sites);
    let (b, c) = (sites[1].start(&list, 2), sites[2].start(&list, 2));
    all_up(&[&b, &c]).await;
    let a = sites[0].start(&list, 2);
    all_up(&[&a, &b, &c]).await;
    // It has the log and a link now, and gets its vote when it has been up for ten seconds.
    until(|| b.cluster.status().voters.len() == 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_keeps_the_identity_and_a_wiped_disk_takes_over_the_name() {
    let (mut sites, mut nodes) = fleet(3, 3).await;
    let list = Site::list(&sites);
    let old = nodes.pop().unwrap();
    let me = old.cluster.me();
    old.kill().await;
    let again = sites[2].start(&list, 3);
    assert_eq!((again.cluster.me(), again.cluster.boot()), (me, 2));
    let lives = |node: &Node| node.cluster.view().member(me).map(|it| (it.boot, it.health));
    all(&[&nodes[0], &nodes[1], &again], |node| lives(node) == Some((2, Health::Up))).await;
    again.kill().await;
    sites[2].wipe();
    let fresh = sites[2].start(&list, 3);
    assert!(fresh.cluster.me() != me && fresh.cluster.boot() == 1);
    all_up(&[&nodes[0], &nodes[1], &fresh]).await;
    assert_eq!(fresh.cluster.view().member(me), None, "the name is another node's now");
    let voters = [&nodes[0], &nodes[1], &fresh].map(|node| node.cluster.me());
    until(|| {
        let status = nodes[0].cluster.status();
        status.voters.len() == 3 && voters.iter().all(|it| status.voters.contains(it))
    })
    .await;
}

/// Each is relied upon before the next one goes: whoever was wiped has its vote back by then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_nodes_of_a_fleet_can_lose_their_disks_in_turn() {
    let (mut sites, mut nodes) = fleet(13, 3).await;
    let list = Site::list(&sites);
    let mut old = Vec::new();
    for site in &mut sites {
        let node = nodes.remove(0);
        old.push(node.cluster.me());
        node.kill().await;
        site.wipe();
        nodes.push(site.start(&list, 3));
        all(&nodes.iter().collect::<Vec<_>>(), |node| node.cluster.status().serves).await;
    }
    all_up(&nodes.iter().collect::<Vec<_>>()).await;
    let voters = nodes[0].cluster.status().voters;
    assert!(voters.len() == 3 && old.iter().all(|id| !voters.contains(id)), "{voters:?}");
}

/// The position of the leader.
fn leader_of(nodes: &[Node]) -> usize {
    let leader = nodes[0].cluster.status().leader.expect("it is known");
    nodes.iter().position(|node| node.cluster.me() == leader).expect("it is one of them")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_nobody_reaches_owns_nothing_and_leads_no_more() {
    let (_sites, mut nodes) = fleet(14, 3).await;
    let at = leader_of(&nodes);
    let deaf = nodes.remove(at);
    let me = deaf.cluster.me();
    deaf.set_deaf(true);
    let rest: Vec<&Node> = nodes.iter().collect();
    all(&rest, |node| node.health(me) == Some(Health::Down)).await;
    assert!((0..100u32).all(|key| nodes[0].cluster.owner(&key.to_be_bytes()) != Some(me)));
    all(&rest, |node| node.cluster.status().leader.is_some_and(|it| it != me)).await;
    until(|| !deaf.cluster.status().serves).await;
    assert_eq!(deaf.health(me), Some(Health::Down), "it has seen to it itself");
    deaf.set_deaf(false);
    all_up(&[&nodes[0], &nodes[1], &deaf]).await;
    until(|| deaf.cluster.status().serves).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_nobody_reaches_owns_nothing_and_does_not_take_the_lead() {
    let (_sites, mut nodes) = fleet(15, 3).await;
    let deaf = nodes.remove((leader_of(&nodes) + 1) % 3);
    let (me, term) = (deaf.cluster.me(), deaf.cluster.status().term);
    deaf.set_deaf(true);
    let rest: Vec<&Node> = nodes.iter().collect();
    all(&rest, |node| node.health(me) == Some(Health::Down)).await;
    until(|| !deaf.cluster.status().serves).await;
    for node in rest {
        let status = node.cluster.status();
        assert!(status.term == term && status.leader != Some(me), "{status:?}");
    }
    deaf.set_deaf(false);
    all_up(&[&nodes[0], &nodes[1], &deaf]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_leader_is_down_soon_and_up_again_when_it_returns() {
    let (sites, mut nodes) = fleet(4, 3).await;
    let leader = nodes[0].cluster.status().leader.unwrap();
    let at = nodes.iter().position(|node| node.cluster.me() == leader).unwrap();
    let epoch = nodes[at].cluster.view().epoch();
    nodes.remove(at).kill().await;
    let rest: Vec<&Node> = nodes.iter().collect();
    all(&rest, |node| node.health(leader) == Some(Health::Down)).await;
    all(&rest, |node| node.cluster.status().leader.is_some_and(|it| it != leader)).await;
    all(&rest, |node| node.cluster.view().epoch() > epoch).await;
    for key in 0..100u32 {
        assert_ne!(nodes[0].cluster.owner(&key.to_be_bytes()), Some(leader));
    }
    let back = sites[at].start(&Site::list(&sites), 3);
    all_up(&[&nodes[0], &nodes[1], &back]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_drains_leaves_and_returns() {
    let (sites, mut nodes) = fleet(5, 3).await;
    // The leader is the hardest to part with.
    let leader = nodes[0].cluster.status().leader.unwrap();
    let at = nodes.iter().position(|node| node.cluster.me() == leader).unwrap();
    let leaver = nodes.remove(at);
    leaver.cluster.drain().await;
    assert_eq!(leaver.health(leader), Some(Health::Draining));
    assert!((0..100u32).all(|key| leaver.cluster.owner(&key.to_be_bytes()) != Some(leader)));
    let rest: Vec<&Node> = nodes.iter().collect();
    all(&rest, |node| node.health(leader) == Some(Health::Draining)).await;
    leaver.cluster.leave().await;
    assert_eq!(leaver.cluster.status().state, "stopped");
    leaver.kill().await;
    all(&rest, |node| node.health(leader) == Some(Health::Down)).await;
    all(&rest, |node| node.cluster.status().leader.is_some_and(|it| it != leader)).await;
    let voters = nodes[0].cluster.status().voters;
    assert!(voters.contains(&leader), "a good-bye keeps the vote for a while");
    let back = sites[at].start(&Site::list(&sites), 3);
    all_up(&[&nodes[0], &nodes[1], &back]).await;
    assert_eq!(nodes[0].cluster.status().voters, voters);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_majority_the_view_stays_as_it_was() {
    let (sites, mut nodes) = fleet(6, 3).await;
    let last = nodes.pop().unwrap();
    let view = last.cluster.view();
    let lost: Vec<_> = nodes.iter().map(|node| node.cluster.me()).collect();
    for node in nodes {
        node.kill().await;
    }
    // Longer than anybody may be silent.
    let silent = |id| last.cluster.silence(id).is_some_and(|it| it > Duration::from_secs(7));
    until(|| lost.iter().all(|id| silent(*id))).await;
    // At most one of them was marked down, when the other could still agree.
    let up = last.healths().into_iter().filter(|(_, health)| *health == Health::Up).count();
    assert!(up >= 2 && last.cluster.view().members().len() == view.members().len());
    assert!(last.cluster.owner(b"any").is_some());
    let list = Site::list(&sites);
    let (a, b) = (sites[0].start(&list, 3), sites[1].start(&list, 3));
    all_up(&[&a, &b, &last]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_one_of_a_fleet_does_not_wait_for_its_good_bye_to_be_heard() {
    let (_sites, mut nodes) = fleet(21, 3).await;
    let last = nodes.pop().unwrap();
    for node in nodes {
        node.kill().await;
    }
    assert!(!last.cluster.drain().await, "there is nobody to agree");
    let begun = Instant::now();
    last.cluster.leave().await;
    assert!(begun.elapsed() < Duration::from_millis(1400), "{:?}", begun.elapsed());
    assert_eq!(last.cluster.status().state, "stopped");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_that_shrinks_to_one_node_can_agree_at_every_step() {
    let (sites, mut nodes) = fleet(12, 5).await;
    while nodes.len() > 1 {
        // The leader is the hardest to part with.
        let leader = nodes[0].cluster.status().leader.unwrap();
        let at = nodes.iter().position(|node| node.cluster.me() == leader).unwrap();
        let leaver = nodes.remove(at);
        assert!(leaver.cluster.drain().await, "{} are left", nodes.len());
        leaver.cluster.leave().await;
        leaver.kill().await;
        let rest: Vec<&Node> = nodes.iter().collect();
        all(&rest, |node| node.health(leader) == Some(Health::Down)).await;
        all(&rest, |node| node.cluster.status().leader.is_some_and(|it| it != leader)).await;
    }
    let last = nodes[0].cluster.me();
    assert_eq!(nodes[0].cluster.status().voters, [last]);
    // It can agree to newcomers, and gives them votes.
    let name = nodes[0].cluster.view().member(last).unwrap().name.clone();
    let site = sites.iter().find(|site| site.name != name).unwrap();
    let back = site.start(&Site::list(&sites), 5);
    let me = back.cluster.me();
    all(&[&nodes[0], &back], |node| node.health(me) == Some(Health::Up)).await;
    until(|| nodes[0].cluster.status().voters.len() == 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_fleet_that_was_stopped_comes_back() {
    let (sites, nodes) = fleet(7, 3).await;
    let epoch = nodes[0].cluster.view().epoch();
    for node in nodes {
        node.kill().await;
    }
    let nodes = start(&sites);
    assert!(nodes.iter().all(|node| node.cluster.boot() == 2));
    let back = |node: &Node| node.cluster.view().members().iter().all(|member| member.boot == 2);
    all(&nodes.iter().collect::<Vec<_>>(), back).await;
    all_up(&nodes.iter().collect::<Vec<_>>()).await;
    assert!(nodes[0].cluster.view().epoch() > epoch);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_with_another_list_or_secret_or_a_name_in_use_stay_outside() {
    let sites = sites(8, 5);
    let list = Site::list(&sites[..3]);
    let mut turned = list.clone();
    turned.reverse();
    let (a, b) = (sites[0].start(&list, 3), sites[1].start(&list, 3));
    let c = sites[2].start(&turned, 3);
    let me = [&a, &b, &c].map(|node| node.cluster.me());
    all(&[&a, &b], |node| node.cluster.silence(me[2]).is_some()).await;
    tokio::time::sleep(WATCHED).await;
    assert!([&a, &b, &c].iter().all(|node| node.healths().is_empty()), "nobody founds a fleet");
    c.kill().await;
    let c = sites[2].start(&list, 3);
    all_up(&[&a, &b, &c]).await;
    let everybody = Site::list(&sites);
    let other = Secret::new("another secret, not that one").unwrap();
    let stranger = sites[3].start_as("stranger", other, &everybody, 5);
    let twin = sites[4].start_as(&sites[0].name, secret(), &everybody, 5);
    until(|| a.cluster.silence(twin.cluster.me()).is_some()).await;
    tokio::time::sleep(WATCHED).await;
    assert_eq!(a.healths().len(), 3);
    for outside in [&stranger, &twin] {
        assert_eq!((outside.cluster.status().state, outside.healths().len()), ("joining", 0));
    }
    assert_eq!(a.cluster.silence(stranger.cluster.me()), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_five_first_members_three_keep_their_vote_and_a_dead_one_is_replaced() {
    let (_sites, mut nodes) = fleet(11, 5).await;
    until(|| nodes[0].cluster.status().voters.len() == 3).await;
    let voters = nodes[0].cluster.status().voters;
    let at = nodes.iter().position(|node| voters.contains(&node.cluster.me())).unwrap();
    let dead = nodes[at].cluster.me();
    nodes.remove(at).kill().await;
    until(|| {
        let now = nodes[0].cluster.status().voters;
        now.len() == 3 && !now.contains(&dead)
    })
    .await;
    let rest: Vec<&Node> = nodes.iter().collect();
    all(&rest, |node| node.health(dead) == Some(Health::Down)).await;
    assert_eq!(nodes[0].healths().len(), 5, "it may come back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_of_one_is_a_fleet_that_others_join() {
    let sites = sites(10, 2);
    let first = sites[0].start(&Site::list(&sites[..1]), 1);
    all_up(&[&first]).await;
    let second = sites[1].start(&Site::list(&sites), 2);
    all_up(&[&first, &second]).await;
    assert_eq!(second.cluster.owner(b"any"), first.cluster.owner(b"any"));
    assert_eq!(first.cluster.status().state, "leader");
}

#[test]
fn settings_that_could_make_two_fleets_are_refused() {
    let sites = sites(9, 4);
    let list = Site::list(&sites);
    let why = |list: &[String], expect| {
        format!("{:#}", sites[0].try_start(list, expect).expect_err("it is refused"))
    };
    assert!(why(&list, 2).contains("more than half"));
    assert!(why(&list, 5).contains("only 4"));
    assert!(why(&list[1..], 3).contains("own address"));
    let twice = [&list[..], &list[..1]].concat();
    assert!(why(&twice, 4).contains("twice"));
}
