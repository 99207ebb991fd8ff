//! What a lab needs of a machine: [`ResourceRequest`] as it is asked for, [`Resources`] as it is counted.

use std::ops::{Add, Sub};

use roa_core::Violations;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Quantity, Written};

/// The most processors that a lab may ask for.
const MAX_CPU: Quantity = Quantity::whole(8);
/// What a lab gets that asks for nothing, of a template that says nothing.
const DEFAULT: Resources = Resources { cpu: Quantity::whole(1), memory: Quantity::mebi(1024) };

/// What a manifest asks for; what it does not name is left to the template, and then to the defaults.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ResourceRequest {
    /// Processors, more than 0 and at most 8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Written<Quantity>>,
    /// Bytes of memory, more than 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Written<Quantity>>,
}

/// An amount of each resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Resources {
    /// Processors.
    pub cpu: Quantity,
    /// Bytes of memory.
    pub memory: Quantity,
}

impl ResourceRequest {
    /// A request for exactly this.
    #[must_use]
    pub fn of(resources: Resources) -> Self {
        Self { cpu: Some(resources.cpu.into()), memory: Some(resources.memory.into()) }
    }

    /// Whether it asks for nothing.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.cpu.is_none() && self.memory.is_none()
    }

    /// What is wrong with it.
    #[must_use]
    pub fn validate(&self) -> Violations {
        let mut found = Violations::none();
        for (path, amount) in [("cpu", &self.cpu), ("memory", &self.memory)] {
            if let Some(problem) = amount.as_ref().and_then(Written::problem) {
                found.push(path, problem);
            }
        }
        if let Some(cpu) = value(self.cpu.as_ref()).filter(|&cpu| cpu > MAX_CPU) {
            found.push("cpu", format!("is {cpu}, expected at most {MAX_CPU}"));
        }
        found
    }

    /// The amounts: its own, else those of `fallback`, else 1 processor and 1Gi.
    #[must_use]
    pub fn or(&self, fallback: &Self) -> Resources {
        Resources {
            cpu: value(self.cpu.as_ref()).or_else(|| value(fallback.cpu.as_ref())).unwrap_or(DEFAULT.cpu),
            memory: value(self.memory.as_ref()).or_else(|| value(fallback.memory.as_ref())).unwrap_or(DEFAULT.memory),
        }
    }
}

fn value(amount: Option<&Written<Quantity>>) -> Option<Quantity> {
    amount.and_then(Written::get).copied()
}

impl Resources {
    /// Nothing.
    pub const ZERO: Self = Self { cpu: Quantity::ZERO, memory: Quantity::ZERO };
}

impl Add for Resources {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { cpu: self.cpu + other.cpu, memory: self.memory + other.memory }
    }
}

/// The difference; nothing of what is less.
impl Sub for Resources {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self { cpu: self.cpu - other.cpu, memory: self.memory - other.memory }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(json: &str) -> ResourceRequest {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn what_is_not_named_comes_from_the_template_and_then_from_the_defaults() {
        let template = request(r#"{"cpu": "250m"}"#);
        let resources = request(r#"{"memory": "1.5Gi"}"#).or(&template);
        assert_eq!(resources, Resources { cpu: Quantity::milli(250), memory: Quantity::mebi(1536) });
        assert_eq!(ResourceRequest::default().or(&ResourceRequest::default()), DEFAULT);
        assert_eq!(ResourceRequest::of(DEFAULT).or(&template), DEFAULT);
    }

    #[test]
    fn lesson_58_every_wrong_amount_is_told() {
        let found = request(r#"{"cpu": "nan", "memory": "0Gi"}"#).validate().to_string();
        assert!(
            found.contains("cpu: parse quantity \"nan\"") && found.contains("memory: parse quantity \"0Gi\""),
            "{found}"
        );
        assert_eq!(request(r#"{"cpu": 9}"#).validate().to_string(), "cpu: is 9, expected at most 8");
        for good in [r#"{"cpu": 8}"#, r#"{"cpu": "500m", "memory": "1.5Gi"}"#, r#"{"cpu": 0.5}"#, "{}"] {
            assert_eq!(request(good).validate().to_string(), "");
        }
        assert!(
            !request(r#"{"cpu": "-1"}"#).validate().is_empty() && !request(r#"{"cpu": "8001m"}"#).validate().is_empty()
        );
    }
}
