//! The lab domain, as configured.

use std::sync::Arc;

use anyhow::Context as _;
use prometheus_client::registry::Registry;
use roa_core::{Clock, KeyOf};
use roa_lab::provision::{ProcessConfig, ProcessProvisioner, SimulatedProvisioner};
use roa_lab::{
    Capacity, LabController, LabInstance, LabMetrics, LabPolicy, LabReconciler, LabSettings, LabTemplate, LabWorker,
    LabWorkerPool, PoolController, Provisioners, Scheduling, SimulatedWorkers, Strategy, WorkerController,
    WorkerProvisioners, WorkerReconciler, concerns_labs, labs_concerned_by,
};
use roa_runtime::{
    BackoffPolicy, BreakerConfig, BulkheadConfig, Clocks, ControllerConfig, Filter, Manager, QueueConfig,
    ReconcilerConfig, RetryBudgetConfig, RuntimeMetrics, Trip,
};

use super::node;
use crate::config::settings::{Config, LabConfig, SchedulerConfig, SchedulerStrategy, WorkerConfig};

/// Adds the controllers and reconcilers of labs, workers and pools, as far as they are to run.
pub(super) async fn add(
    manager: &mut Manager,
    config: &Config,
    clocks: &Clocks,
    registry: &mut Registry,
    metrics: &RuntimeMetrics,
) -> anyhow::Result<()> {
    let (owned, domain) = (config.clone(), Arc::clone(&clocks.domain));
    let outside = tokio::task::spawn_blocking(move || outside(&owned, domain));
    let (node, provisioners) = outside.await.context("failed to prepare the data directory")??;
    let provisioners = provisioners.behind_bulkheads(bulkhead(&config.lab), &clocks.io, metrics);
    let provisioners = provisioners.behind_breakers(&breaker(&config.lab), &clocks.domain, metrics);
    let settings = LabSettings {
        policy: policy(&config.lab),
        capacity: capacity(&config.lab.worker)?,
        node,
        provisioners,
        workers: WorkerProvisioners::default(),
        scheduling: scheduling(&config.lab.scheduler),
        metrics: LabMetrics::register(registry.sub_registry_with_prefix("lab")),
    };
    let components = &config.lab.components;
    if !components.watcher {
        // Without a watcher nothing is seen, so that nothing is done.
        return Ok(());
    }
    // Before the first controller: what each reads.
    manager.cache::<LabTemplate>()?;
    manager.cache::<LabInstance>()?;
    manager.cache::<LabWorker>()?;
    manager.cache::<LabWorkerPool>()?;
    let settings = with_workers(manager, settings, components.provisioner);
    if components.controller {
        add_controllers(manager, config, &settings)?;
    }
    if components.reconciler {
        let sweeps = ReconcilerConfig { interval: config.lab.sweep_interval.0, ..ReconcilerConfig::default() };
        manager.add_reconciler::<LabInstance, _>(LabReconciler::new(settings.clone()), sweeps.clone())?;
        manager.add_reconciler::<LabWorker, _>(WorkerReconciler::new(settings), sweeps)?;
    }
    Ok(())
}

/// The same with those who bring workers up; one of them gives the signs of life of its own.
fn with_workers(manager: &mut Manager, settings: LabSettings, wanted: bool) -> LabSettings {
    if !wanted {
        return settings;
    }
    let simulated = Arc::new(SimulatedWorkers::new(settings.policy.heartbeat));
    manager.add_runnable(simulated.clone());
    LabSettings { workers: WorkerProvisioners::new().with(simulated), ..settings }
}

fn add_controllers(manager: &mut Manager, config: &Config, settings: &LabSettings) -> roa_core::Result<()> {
    let labs = manager.cache::<LabInstance>()?;
    let most = &config.lab.concurrency;
    let controller = LabController::new(settings.clone()).following(&labs);
    // Without others, there are no labs that another process handles.
    if manager.membership().is_some() {
        manager.add_runnable(Arc::new(controller.agent(manager.territory().clone())));
    }
    manager
        .controller::<LabInstance, _>(controller, at_once(config, most.labs))
        .refers_to::<LabTemplate, _>(Filter::specs(), |lab| KeyOf::new(&lab.metadata.namespace, &lab.spec.template))?
        .watches::<LabWorker, _>(Filter::updates(concerns_labs), move |worker| labs_concerned_by(worker, &labs))?
        .add()?;
    manager.add_controller::<LabWorker, _>(WorkerController::new(settings.clone()), at_once(config, most.workers))?;
    manager
        .controller::<LabWorkerPool, _>(PoolController::new(settings.clone()), at_once(config, most.pools))
        .owns::<LabWorker>(Filter::all())?
        .add()?;
    Ok(())
}

/// What is outside of the store: the data directory, the node's id, the provisioners.
fn outside(config: &Config, clock: Arc<dyn Clock>) -> anyhow::Result<(String, Provisioners)> {
    let data_dir = &config.data_dir;
    make_private(data_dir).with_context(|| format!("failed to make {}", data_dir.display()))?;
    let data_dir = data_dir.canonicalize().with_context(|| format!("failed to find {}", data_dir.display()))?;
    let node = node::id(&data_dir)?;
    if !config.lab.components.provisioner {
        return Ok((node, Provisioners::default()));
    }
    let roa = std::env::current_exe().context("failed to find the program that labs are run by: this one")?;
    let process = ProcessProvisioner::new(ProcessConfig::new(data_dir, roa))?;
    let simulated = SimulatedProvisioner::new(clock, MAX_SIMULATED);
    Ok((node, Provisioners::default().with(Arc::new(process)).with(Arc::new(simulated))))
}

/// How many simulated labs there may be.
const MAX_SIMULATED: usize = 1_000_000;

fn make_private(directory: &std::path::Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

fn policy(lab: &LabConfig) -> LabPolicy {
    LabPolicy {
        poll: lab.poll_interval.0,
        sweep: lab.sweep_interval.0,
        provisioning_timeout: lab.provisioning_timeout.0,
        max_retries: lab.max_retries,
        retry_backoff: lab.retry_backoff.0,
        default_duration: lab.default_duration.0,
        cleanup_grace: lab.cleanup_grace.0,
        max_provisionings: lab.max_concurrent_provisionings,
        heartbeat: lab.worker.heartbeat.0,
        ..LabPolicy::default()
    }
}

fn scheduling(scheduler: &SchedulerConfig) -> Scheduling {
    let strategy = match scheduler.strategy {
        SchedulerStrategy::BestFit => Strategy::BestFit,
        SchedulerStrategy::LeastUtilized => Strategy::LeastUtilized,
        SchedulerStrategy::LeastLabs => Strategy::LeastLabs,
        SchedulerStrategy::RoundRobin => Strategy::RoundRobin,
        SchedulerStrategy::Random => Strategy::Random,
    };
    Scheduling { strategy, seed: scheduler.seed }
}

fn breaker(lab: &LabConfig) -> BreakerConfig {
    let default = Provisioners::default_breaker();
    let open_for = lab.breaker_open_for.0;
    let trip = Trip::Consecutive(lab.breaker_failures);
    BreakerConfig { trip, open_for, open_max: default.open_max.max(open_for), ..default }
}

fn bulkhead(lab: &LabConfig) -> BulkheadConfig {
    BulkheadConfig {
        max_concurrent: lab.bulkhead_calls,
        max_waiting: lab.bulkhead_waiting,
        max_wait: lab.bulkhead_wait.0,
    }
}

fn capacity(worker: &WorkerConfig) -> anyhow::Result<Capacity> {
    let mut capacity = Capacity::default();
    if let Some(cpu) = &worker.cpu {
        capacity.cpu = cpu.parse().context("failed to read lab.worker.cpu")?;
    }
    if let Some(memory) = &worker.memory {
        capacity.memory = memory.parse().context("failed to read lab.worker.memory")?;
    }
    capacity.labs = worker.max_labs.unwrap_or(capacity.labs);
    Ok(capacity)
}

/// The same with a bound of its own on what is handled at once, if there is one.
fn at_once(config: &Config, most: Option<usize>) -> ControllerConfig {
    let controller = controller(config);
    ControllerConfig { workers: most.unwrap_or(controller.workers), ..controller }
}

/// How controllers are driven.
pub(super) fn controller(config: &Config) -> ControllerConfig {
    let runtime = &config.runtime;
    let backoff = BackoffPolicy { base: runtime.retry_base.0, max: runtime.retry_max.0, ..BackoffPolicy::default() };
    ControllerConfig {
        workers: runtime.workers,
        timeout: runtime.reconcile_timeout.0,
        max_retries: runtime.max_retries,
        max_panics: runtime.max_panics,
        retry_budget: Some(RetryBudgetConfig {
            percent: runtime.retry_budget_percent,
            per_second: runtime.retry_budget_per_second,
            burst: runtime.retry_budget_burst,
        }),
        queue: QueueConfig { backoff, ..QueueConfig::default() },
        ..ControllerConfig::default()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::settings::Profile;

    #[test]
    fn the_profiles_of_the_configuration_are_those_of_the_labs() {
        let policy_of = |profile| policy(&Config::defaults(profile, Path::new("d")).lab);
        assert_eq!(policy_of(Profile::Development), LabPolicy::development());
        assert_eq!(policy_of(Profile::Production), LabPolicy::production());
        assert_eq!(policy_of(Profile::Default), LabPolicy::default());
    }

    #[test]
    fn a_controller_handles_as_many_at_once_as_it_may_or_as_all_may() {
        let mut config = Config::defaults(Profile::Default, Path::new("d"));
        config.runtime.workers = 7;
        assert_eq!(at_once(&config, config.lab.concurrency.labs).workers, 7);
        config.lab.concurrency.labs = Some(3);
        assert_eq!(at_once(&config, config.lab.concurrency.labs).workers, 3);
    }

    #[test]
    fn the_breaker_of_the_configuration_is_that_of_the_labs_and_never_closes_before_it_opened() {
        let mut lab = Config::defaults(Profile::Default, Path::new("d")).lab;
        assert_eq!(breaker(&lab), Provisioners::default_breaker());
        lab.breaker_open_for.0 = std::time::Duration::from_secs(3600);
        assert_eq!(breaker(&lab).open_max, breaker(&lab).open_for);
    }
}
