//! The tick: detector and autopilot see what this node sees, and if it leads, what they say is
//! agreed upon. Whom the others cannot reach lets another one lead.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

use super::Core;
use crate::autopilot::{Autopilot, Bench};
use crate::detector::{Detector, REFUSALS, SILENT, Sight, Verdict, own_silence};
use crate::placement::Seed;
use crate::raft::{Figures, LEASE};
use crate::roll::{Command, Roll};
use crate::view::{Health, Member, NodeId};

/// Between two looks: a node that is gone is marked so within a second of its last word.
const TICK: Duration = Duration::from_millis(200);

/// Runs for as long as this node does.
pub(super) async fn lead(core: Arc<Core>) {
    let (mut detector, mut autopilot) = (Detector::default(), Autopilot::default());
    let (mut leader, mut stood, mut failed) = (None, 0, false);
    let begun = Instant::now();
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let now = begun.elapsed();
        let (roll, figures) = (core.consensus.roll(), core.consensus.figures());
        if figures.leader.is_some() && figures.leader != leader && tell_leader(&roll, &figures) {
            leader = figures.leader;
        }
        if let (Some(why), false) = (&figures.failure, failed) {
            failed = true;
            tracing::error!("the membership stays as it is until the next start: {why}");
        }
        if stood != figures.term && core.succeeds(&figures) {
            // Its own attempt makes the next term; one is enough, then chance decides as always.
            stood = figures.term + 1;
            core.consensus.stand().await;
        }
        core.step_aside(&roll, &figures);
        core.note_reliance();
        // Both are asked on every node: a new leader shall know what the old one knew.
        let verdicts = detector.step(now, &roll, |id| core.sight(id, &roll, &figures));
        let action = autopilot.step(
            now,
            &Bench {
                me: core.me,
                roll: &roll,
                voters: &figures.voters,
                learners: &figures.learners,
                caught_up: &figures.caught_up,
                unsettled: figures.unsettled,
            },
        );
        if !figures.leads {
            continue;
        }
        if !core.carry_out(&roll, verdicts, || detector.was_awake(begun.elapsed())).await {
            continue;
        }
        if let Some(action) = action {
            match core.consensus.act(action).await {
                Ok(()) => tracing::debug!(?action, "the voters have changed"),
                Err(error) => tracing::debug!(?action, %error, "the voters have not changed"),
            }
            detector.was_awake(begun.elapsed());
        }
    }
}

/// Writes down who leads, if its name is known already: the first of all leads before anybody is a
/// member.
fn tell_leader(roll: &Roll, figures: &Figures) -> bool {
    let member = figures.leader.and_then(|leader| roll.view().member(leader));
    let Some(Member { id, name, .. }) = member else { return false };
    let (epoch, term) = (roll.view().epoch().0, figures.term);
    let id = format_args!("{:016x}", id.0);
    tracing::info!(node = name, %id, term, epoch, "a node leads the fleet");
    true
}

impl Core {
    /// Is the leader certainly gone, and is it this node that should follow it at once? The time to
    /// the next election is meant for leaders that are merely slow.
    fn succeeds(&self, figures: &Figures) -> bool {
        let contacts = self.contacts();
        let gone = |id: &NodeId| *id != self.me && contacts.refused(*id) >= REFUSALS;
        let Some(leader) = figures.leader else { return false };
        let released = contacts.silence(leader).is_some_and(|silence| silence > LEASE);
        let first = figures.voters.iter().find(|id| !gone(id));
        released && gone(&leader) && first == Some(&self.me)
    }

    /// What this node knows of another; of itself, whether the others reach it.
    fn sight(&self, id: NodeId, roll: &Roll, figures: &Figures) -> Sight {
        let (contacts, me) = (self.contacts(), id == self.me);
        Sight {
            silence: if me { Some(self.own_silence(roll)) } else { contacts.unanswered(id) },
            refused: if me { 0 } else { contacts.refused(id) },
            linked: me || contacts.linked(id),
            caught_up: figures.caught_up.contains(&id),
        }
    }

    /// For how long most of the others that are up have not reached this node, though it reaches them.
    fn own_silence(&self, roll: &Roll) -> Duration {
        let up = |member: &&Member| member.id != self.me && member.health == Health::Up;
        let others = roll.view().members().iter().filter(up);
        own_silence(others.map(|member| self.contacts().unreached_by(member.id)))
    }

    /// Lets others lead for as long as they should, and tells the operator.
    fn step_aside(&self, roll: &Roll, figures: &Figures) {
        let aside = self.is_better_led(roll, figures);
        let addr = &self.settings.advertise;
        match (self.consensus.bar(aside), aside) {
            (true, true) => tracing::warn!(addr, "other nodes do not reach this one"),
            (true, false) => tracing::info!(addr, "other nodes reach this one again"),
            (false, _) => {}
        }
    }

    /// Can others lead, and should they, since they do not reach this node to ask for anything? A leader
    /// first sees to it that it owns nothing any more.
    fn is_better_led(&self, roll: &Roll, figures: &Figures) -> bool {
        let down = |id| roll.view().member(id).is_none_or(|it| it.health == Health::Down);
        let leads_on = figures.state == "leader" && !down(self.me);
        let well = |id: &&NodeId| self.contacts().linked(**id) && !down(**id);
        let others = figures.voters.iter().filter(well).count();
        others * 2 > figures.voters.len() && !leads_on && self.own_silence(roll) >= SILENT
    }

    /// Has the fleet agree upon these verdicts; the first of all is which fleet it is. Says whether
    /// it did: what comes after rests on it. Calls `awake` after each wait.
    async fn carry_out(
        &self,
        roll: &Roll,
        verdicts: Vec<Verdict>,
        mut awake: impl FnMut(),
    ) -> bool {
        let mut commands: Vec<Command> = Vec::new();
        if let (None, Some(fleet)) = (roll.fleet(), self.bonds.fleet()) {
            match Seed::random() {
                Ok(seed) => commands.push(Command::Found { fleet, seed }),
                Err(error) => tracing::error!(%error, "cannot draw the seed of the fleet"),
            }
        }
        let judged = verdicts.into_iter().map(|Verdict { id, boot, health }| Command::SetHealth {
            id,
            boot,
            health,
            farewell: false,
        });
        commands.extend(judged);
        for command in commands {
            let agreed = self.consensus.write(command).await;
            awake();
            if let Err(error) = agreed {
                tracing::debug!(%error, "a verdict was not agreed upon");
                return false;
            }
        }
        true
    }
}
