//! What changed from one roll to the next, one line for each, for operators.
//!
//! Pure but for the writing of the lines. Knows only members, never a key.

use crate::roll::Roll;
use crate::view::{Health, Member};

/// What happened to a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Joined,
    Restarted,
    Up,
    Draining,
    Down,
    Left,
    Forgotten,
}

/// All changes of members between two rolls, each with its member.
pub(crate) fn changes<'a>(old: &'a Roll, new: &'a Roll) -> Vec<(Change, &'a Member)> {
    let mut changes = Vec::new();
    for member in old.view().members() {
        if new.view().member(member.id).is_none() {
            changes.push((Change::Forgotten, member));
        }
    }
    for member in new.view().members() {
        let known = old.view().member(member.id);
        match known {
            None => changes.push((Change::Joined, member)),
            Some(known) if known.boot != member.boot => changes.push((Change::Restarted, member)),
            Some(_) => {}
        }
        let before = known.map_or(Health::Joining, |known| known.health);
        if before != member.health {
            changes.extend(became(member.health, new.has_left(member.id)).map(|it| (it, member)));
        }
    }
    changes
}

fn became(health: Health, left: bool) -> Option<Change> {
    Some(match health {
        // Only a restart leads there.
        Health::Joining => return None,
        Health::Up => Change::Up,
        Health::Draining => Change::Draining,
        Health::Down if left => Change::Left,
        Health::Down => Change::Down,
    })
}

/// Writes the lines.
pub(crate) fn write(old: &Roll, new: &Roll) {
    let epoch = new.view().epoch().0;
    for (change, Member { name, id, .. }) in changes(old, new) {
        let id = format_args!("{:016x}", id.0);
        match change {
            Change::Joined => tracing::info!(node = name, %id, epoch, "a node joins the fleet"),
            Change::Restarted => tracing::info!(node = name, %id, epoch, "a node has restarted"),
            Change::Up => tracing::info!(node = name, %id, epoch, "a node is up"),
            Change::Draining => tracing::info!(node = name, %id, epoch, "a node is draining"),
            Change::Down => tracing::info!(node = name, %id, epoch, "a node is down"),
            Change::Left => tracing::info!(node = name, %id, epoch, "a node has said good-bye"),
            Change::Forgotten => {
                tracing::info!(node = name, %id, epoch, "a node is no longer a member");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::roll::Command;
    use crate::view::NodeId;

    #[test]
    fn every_change_is_told_once() {
        let member = |id, boot| Member {
            id: NodeId(id),
            name: format!("node-{id}"),
            addr: Some(format!("host-{id}")),
            region: String::new(),
            boot,
            health: Health::Joining,
        };
        let set = |id, boot, health| Command::SetHealth {
            id: NodeId(id),
            boot,
            health,
            farewell: health == Health::Down && id == 2,
        };
        let mut roll = Roll::new();
        for (index, (command, told)) in (1..).zip([
            (Command::Upsert(member(1, 1)), vec![Change::Joined]),
            (Command::Upsert(member(2, 1)), vec![Change::Joined]),
            (set(1, 1, Health::Up), vec![Change::Up]),
            (Command::Upsert(member(1, 2)), vec![Change::Restarted]),
            (set(1, 2, Health::Draining), vec![Change::Draining]),
            (set(1, 2, Health::Down), vec![Change::Down]),
            (Command::Upsert(member(1, 3)), vec![Change::Restarted]),
            (set(2, 1, Health::Down), vec![Change::Left]),
            (Command::Forget(NodeId(2)), vec![Change::Forgotten]),
            (Command::Forget(NodeId(2)), vec![]),
        ]) {
            let old = roll.clone();
            roll.apply(index, command.clone());
            let changes: Vec<Change> = changes(&old, &roll).into_iter().map(|it| it.0).collect();
            assert_eq!(changes, told, "{command:?}");
        }
    }
}
