//! [`STEPS`]: the story, step by step: what the demo does, and what must be seen then.

use super::scene::Scene;

/// What the demo does at the begin of a step.
#[derive(Debug, Clone, Copy)]
pub(super) enum Act {
    Nothing,
    /// Creates these labs.
    Create(&'static [&'static str]),
    /// Deletes these labs.
    Delete(&'static [&'static str]),
    /// Deletes the pool.
    Close,
}

/// A step of the story.
pub(super) struct Step {
    /// In words.
    pub(super) story: &'static str,
    pub(super) act: Act,
    /// Whether it has happened.
    pub(super) happened: fn(&Scene) -> bool,
}

/// The story.
pub(super) const STEPS: [Step; 6] = [
    Step {
        story: "a pool is declared, and its first worker comes up",
        act: Act::Nothing,
        happened: |scene| scene.ready_workers() == 1,
    },
    Step {
        story: "two labs fill the first worker, and a second one comes",
        act: Act::Create(&["ada", "bob"]),
        happened: |scene| scene.ready_labs() == 2 && scene.ready_workers() == 2,
    },
    Step {
        story: "of three more labs one waits, and says why, until a third worker has room",
        act: Act::Create(&["cem", "dia", "eve"]),
        happened: |scene| scene.ready_labs() == 5 && scene.ready_workers() == 3 && scene.waited.is_some(),
    },
    Step {
        story: "labs go; workers without labs drain and go, one after the other, down to the fewest",
        act: Act::Delete(&["bob", "cem", "dia", "eve"]),
        happened: |scene| scene.workers.len() == 1 && scene.drained.len() == 2 && scene.ready_labs() == 1,
    },
    Step {
        story: "the pool is deleted: its last worker takes no new labs, and waits for the one that it has",
        act: Act::Close,
        happened: |scene| {
            scene.ready_labs() == 1
                && scene.workers.values().all(|worker| worker.phase == "Draining" && worker.labs == 1)
        },
    },
    Step {
        story: "the last lab goes, then its worker, then the pool",
        act: Act::Delete(&["ada"]),
        happened: |scene| scene.labs.is_empty() && scene.workers.is_empty() && scene.pool == Some(false),
    },
];
