//! [`Scaling`]: when a pool gets a worker more or less.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use roa_core::{HumanDuration, Violations};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Hours;
use crate::Written;

/// The most workers that a pool may have.
const MOST_WORKERS: u32 = 1_000;

/// By which rule a pool gets a worker more or less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ScalingPolicy {
    /// It has as many as `replicas` says.
    #[default]
    None,
    /// By what is given away of processors and memory.
    CapacityBased,
    /// By how many labs each has.
    LabCountBased,
    /// By the time of day.
    Scheduled,
    /// By all of these.
    Hybrid,
}

impl ScalingPolicy {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::None, Self::CapacityBased, Self::LabCountBased, Self::Scheduled, Self::Hybrid];

    /// The word in `spec.scaling.policy`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "None",
            Self::CapacityBased => "CapacityBased",
            Self::LabCountBased => "LabCountBased",
            Self::Scheduled => "Scheduled",
            Self::Hybrid => "Hybrid",
        }
    }
}

impl fmt::Display for ScalingPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ScalingPolicy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|policy| policy.as_str() == text);
        found.ok_or_else(|| format!("is {text:?}, expected {}", Self::ALL.map(Self::as_str).join(" or ")))
    }
}

/// When a pool gets a worker more or less.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Scaling {
    /// By which rule: None, CapacityBased, LabCountBased, Scheduled or Hybrid.
    pub policy: Written<ScalingPolicy>,
    /// The fewest workers, at least 1.
    pub min: u32,
    /// The most workers, at most 1000.
    pub max: u32,
    /// Up from this part of the ready workers' processors, over 0 to 1.
    pub cpu_up: f64,
    /// Down below this part of each worker's processors.
    pub cpu_down: f64,
    /// Up from this part of the ready workers' memory, over 0 to 1.
    pub memory_up: f64,
    /// Down below this part of each worker's memory.
    pub memory_down: f64,
    /// Up from so many labs for each ready worker.
    pub labs_per_worker_up: f64,
    /// Down below so many labs on each worker.
    pub labs_per_worker_down: f64,
    /// How long after a step up the next one comes.
    pub cooldown_up: Written<HumanDuration>,
    /// How long after any step the next one down comes.
    pub cooldown_down: Written<HumanDuration>,
    /// For Scheduled and Hybrid: when the pool is large, in UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hours: Option<Hours>,
}

impl Default for Scaling {
    fn default() -> Self {
        Self {
            policy: ScalingPolicy::None.into(),
            min: 1,
            max: 10,
            cpu_up: 0.75,
            cpu_down: 0.30,
            memory_up: 0.80,
            memory_down: 0.40,
            labs_per_worker_up: 15.0,
            labs_per_worker_down: 3.0,
            cooldown_up: HumanDuration(Duration::from_secs(600)).into(),
            cooldown_down: HumanDuration(Duration::from_secs(1200)).into(),
            hours: None,
        }
    }
}

impl Scaling {
    /// The rule.
    #[must_use]
    pub fn policy(&self) -> ScalingPolicy {
        self.policy.get().copied().unwrap_or_default()
    }

    /// How long after a step up the next one comes.
    #[must_use]
    pub fn cooldown_up(&self) -> Duration {
        self.cooldown_up.get().map_or(Duration::ZERO, |cooldown| cooldown.0)
    }

    /// How long after any step the next one down comes.
    #[must_use]
    pub fn cooldown_down(&self) -> Duration {
        self.cooldown_down.get().map_or(Duration::ZERO, |cooldown| cooldown.0)
    }

    /// What is wrong with it.
    #[must_use]
    pub fn validate(&self) -> Violations {
        let mut found = Violations::none();
        for (path, problem) in [
            ("policy", self.policy.problem()),
            ("cooldownUp", self.cooldown_up.problem()),
            ("cooldownDown", self.cooldown_down.problem()),
        ] {
            problem.into_iter().for_each(|problem| found.push(path, problem));
        }
        found.merge(self.validate_bounds());
        found.merge(self.validate_thresholds());
        match (&self.hours, self.policy()) {
            (Some(hours), _) => found.merge(hours.validate().nested("hours")),
            (None, ScalingPolicy::Scheduled) => {
                found.push("hours", "are missing, expected start and end: the policy is Scheduled");
            }
            (None, _) => {}
        }
        found
    }

    fn validate_bounds(&self) -> Violations {
        let (min, max) = (self.min, self.max);
        let mut found = Violations::unless(min >= 1, "min", format!("is {min}, expected at least 1"));
        let message = format!("is {max}, expected {min} (min) to {MOST_WORKERS}");
        found.merge(Violations::unless((min..=MOST_WORKERS).contains(&max), "max", message));
        found
    }

    /// An upper threshold is above its lower one: else a pool would go up and down for ever.
    fn validate_thresholds(&self) -> Violations {
        let pairs = [
            ("cpuUp", self.cpu_up, "cpuDown", self.cpu_down, 1.0),
            ("memoryUp", self.memory_up, "memoryDown", self.memory_down, 1.0),
            ("labsPerWorkerUp", self.labs_per_worker_up, "labsPerWorkerDown", self.labs_per_worker_down, 10_000.0),
        ];
        let mut found = Violations::none();
        for (up_path, up, down_path, down, most) in pairs {
            let in_range = up > 0.0 && up <= most;
            found.merge(Violations::unless(in_range, up_path, format!("is {up}, expected more than 0 to {most}")));
            let below = (0.0..up).contains(&down) || !in_range && down >= 0.0;
            found.merge(Violations::unless(below, down_path, format!("is {down}, expected 0 to less than {up_path}")));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn problems(json: Value) -> Vec<String> {
        let scaling: Scaling = serde_json::from_value(json).unwrap();
        scaling.validate().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_defaults_are_those_of_the_format_and_pass() {
        let json = serde_json::to_value(Scaling::default()).unwrap();
        let expected = json!({
            "policy": "None", "min": 1, "max": 10, "cpuUp": 0.75, "cpuDown": 0.3, "memoryUp": 0.8, "memoryDown": 0.4,
            "labsPerWorkerUp": 15.0, "labsPerWorkerDown": 3.0, "cooldownUp": "10m", "cooldownDown": "20m"
        });
        assert_eq!(json, expected);
        assert!(problems(json!({})).is_empty());
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let found = problems(json!({
            "policy": "Sometimes", "min": 0, "max": 1001, "cpuUp": 1.5, "memoryUp": 0.2, "memoryDown": 0.2,
            "labsPerWorkerUp": 0, "labsPerWorkerDown": -1, "cooldownUp": "soon", "cooldownDown": "-1m",
            "hours": {"start": "25:00"}
        }));
        let expected = [
            "policy: is \"Sometimes\", expected None or CapacityBased",
            "cooldownUp: parse duration",
            "cooldownDown: parse duration",
            "min: is 0, expected at least 1",
            "max: is 1001, expected 0 (min) to 1000",
            "cpuUp: is 1.5, expected more than 0 to 1",
            "memoryDown: is 0.2, expected 0 to less than memoryUp",
            "labsPerWorkerUp: is 0, expected more than 0",
            "labsPerWorkerDown: is -1, expected 0",
            "hours.start: is \"25:00\"",
            "hours.end: is missing",
        ];
        assert_eq!(found.len(), expected.len(), "{found:#?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.starts_with(expected), "{found:?} should begin with {expected:?}");
        }
        assert_eq!(problems(json!({"policy": "Scheduled"})).len(), 1);
        assert_eq!(problems(json!({"min": 5, "max": 4})), ["max: is 4, expected 5 (min) to 1000"]);
    }
}
