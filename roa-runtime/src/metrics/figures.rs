//! [`Figures`]: what is read when a scrape asks for it: depths, ages, counts that live elsewhere.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::locks;

/// One figure of one part of a process.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    pub(crate) help: &'static str,
    /// The label that tells the parts apart, and the part.
    pub(crate) label: (&'static str, String),
    /// A second label, where there is one.
    pub(crate) second: Option<(&'static str, &'static str)>,
    pub(crate) value: Value,
}

/// A figure's value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Value {
    /// Goes up and down.
    Gauge(f64),
    /// Only goes up.
    Counter(u64),
}

impl Figure {
    /// A number that goes up and down.
    #[expect(clippy::cast_precision_loss, reason = "no depth comes near 2^52")]
    pub(crate) fn count(name: &'static str, help: &'static str, component: &str, value: usize) -> Self {
        Self::gauge(name, help, component, value as f64)
    }

    /// An age in seconds; 0 if there is none.
    pub(crate) fn age(name: &'static str, help: &'static str, component: &str, age: Option<Duration>) -> Self {
        Self::gauge(name, help, component, age.unwrap_or_default().as_secs_f64())
    }

    fn gauge(name: &'static str, help: &'static str, component: &str, value: f64) -> Self {
        let label = ("component", component.to_owned());
        Self { name, help, label, second: None, value: Value::Gauge(value) }
    }

    /// A number that only goes up.
    pub(crate) fn counter(name: &'static str, help: &'static str, component: &str, value: u64) -> Self {
        let label = ("component", component.to_owned());
        Self { name, help, label, second: None, value: Value::Counter(value) }
    }

    /// The same with a second label.
    pub(crate) const fn with(mut self, name: &'static str, value: &'static str) -> Self {
        self.second = Some((name, value));
        self
    }
}

type Source = Box<dyn Fn() -> Vec<Figure> + Send + Sync>;

/// Where figures come from. A clone has the same sources.
#[derive(Clone, Default)]
pub(crate) struct Figures(Arc<Mutex<Vec<Source>>>);

impl Figures {
    /// Asks this too from now on. There are as many as parts of the process.
    pub(crate) fn from(&self, source: impl Fn() -> Vec<Figure> + Send + Sync + 'static) {
        locks::lock(&self.0).push(Box::new(source));
    }

    fn read(&self) -> BTreeMap<&'static str, Vec<Figure>> {
        let mut families: BTreeMap<&'static str, Vec<Figure>> = BTreeMap::new();
        for figure in locks::lock(&self.0).iter().flat_map(|source| source()) {
            families.entry(figure.name).or_default().push(figure);
        }
        families
    }
}

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for (name, family) in self.read() {
            let Some(first) = family.first() else { continue };
            match first.value {
                Value::Gauge(value) => encode(&mut encoder, name, &family, &ConstGauge::new(value))?,
                Value::Counter(value) => encode(&mut encoder, name, &family, &ConstCounter::new(value))?,
            }
        }
        Ok(())
    }
}

fn encode(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    family: &[Figure],
    sample: &impl EncodeMetric,
) -> Result<(), fmt::Error> {
    let help = family.first().map_or("", |figure| figure.help);
    let mut metric = encoder.encode_descriptor(name, help, None, sample.metric_type())?;
    for figure in family {
        let (label, part) = &figure.label;
        let mut labels = vec![(*label, part.as_str())];
        labels.extend(figure.second);
        let encoder = metric.encode_family(&labels)?;
        match figure.value {
            Value::Gauge(value) => ConstGauge::new(value).encode(encoder)?,
            Value::Counter(value) => ConstCounter::new(value).encode(encoder)?,
        }
    }
    Ok(())
}

impl fmt::Debug for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Figures({} sources)", locks::lock(&self.0).len())
    }
}
