//! [`ControllerBuilder`]: a controller and what leads to its calls.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use roa_core::{Controller, KeyOf, Object, Result, Spec};

use super::Manager;
use super::component::Controlling;
use crate::{ControllerConfig, ControllerDriver, Filter};

/// Says to a driver what else leads to calls.
type Wiring<C> = Box<dyn FnOnce(&ControllerDriver<C>) + Send>;

/// A controller that is being added to a [`Manager`]: which changes of its own objects lead to calls, and of which others.
/// The caches of the other kinds are the manager's, and are filled before the first call.
///
/// ```
/// # use roa_core::{Controller, KeyOf, Object, Result, Spec};
/// # use roa_runtime::{ControllerConfig, Filter, Manager};
/// # trait Lab: Spec { fn template(&self) -> &str; }
/// # fn add<L: Lab, Template: Spec, Machine: Spec, C: Controller<Resource = Object<L>>>(
/// #     manager: &mut Manager,
/// #     controller: C,
/// # ) -> Result<()> {
/// manager
///     .controller::<L, _>(controller, ControllerConfig::default())
///     .only(Filter::specs())
///     .owns::<Machine>(Filter::all())?
///     .refers_to::<Template, _>(Filter::specs(), |lab| KeyOf::new(&lab.metadata.namespace, lab.spec.template()))?
///     .add()?;
/// # Ok(())
/// # }
/// ```
#[must_use = "a controller is added by `add`"]
pub struct ControllerBuilder<'a, S: Spec, C: Controller> {
    manager: &'a mut Manager,
    controller: C,
    config: ControllerConfig,
    wirings: Vec<Wiring<C>>,
    kind: PhantomData<fn() -> S>,
}

impl<'a, S, C> ControllerBuilder<'a, S, C>
where
    S: Spec,
    C: Controller<Resource = Object<S>>,
{
    pub(super) fn new(manager: &'a mut Manager, controller: C, config: ControllerConfig) -> Self {
        Self { manager, controller, config, wirings: Vec::new(), kind: PhantomData }
    }

    /// Changes of its own objects that `filter` leaves out lead to no call.
    pub fn only(self, filter: Filter<Object<S>>) -> Self {
        self.wired(move |driver| driver.only(filter))
    }

    /// A change of an object of the kind `T` leads to calls for those that own it, by uid.
    ///
    /// # Errors
    /// [`roa_core::Error::UnknownKind`] if the kind is not registered.
    pub fn owns<T: Spec>(self, filter: Filter<Object<T>>) -> Result<Self> {
        let cache = self.manager.cache::<T>()?;
        Ok(self.wired(move |driver| driver.owns(&cache, filter)))
    }

    /// A change of an object of the kind `T` leads to calls for the objects that `concerned` names, given that object as
    /// it was and as it is.
    ///
    /// # Errors
    /// [`roa_core::Error::UnknownKind`] if the kind is not registered.
    pub fn watches<T, I>(
        self,
        filter: Filter<Object<T>>,
        concerned: impl Fn(&Object<T>) -> I + Send + Sync + 'static,
    ) -> Result<Self>
    where
        T: Spec,
        I: IntoIterator<Item = KeyOf<S>>,
    {
        let cache = self.manager.cache::<T>()?;
        Ok(self.wired(move |driver| driver.watches(&cache, filter, concerned)))
    }

    /// A change of an object of the kind `T` leads to calls for those of this controller's objects that refer to it, as
    /// `references` says; also when what they refer to comes into being. An object that was given up is tried again if
    /// what it refers to comes, goes, or has another spec.
    ///
    /// # Errors
    /// [`roa_core::Error::UnknownKind`] if the kind is not registered.
    pub fn refers_to<T, I>(
        self,
        filter: Filter<Object<T>>,
        references: impl Fn(&Object<S>) -> I + Send + Sync + 'static,
    ) -> Result<Self>
    where
        T: Spec,
        I: IntoIterator<Item = KeyOf<T>>,
    {
        let cache = self.manager.cache::<T>()?;
        Ok(self.wired(move |driver| driver.refers_to(&cache, filter, references)))
    }

    fn wired(mut self, wiring: impl FnOnce(&ControllerDriver<C>) + Send + 'static) -> Self {
        self.wirings.push(Box::new(wiring));
        self
    }

    /// Adds it. Its driver shows what is queued.
    ///
    /// # Errors
    /// [`roa_core::Error::UnknownKind`] if its kind is not registered.
    pub fn add(self) -> Result<ControllerDriver<C>> {
        let driver = self.manager.driver::<S, C>(self.controller, self.config)?;
        for wiring in self.wirings {
            wiring(&driver);
        }
        self.manager.components.push(Arc::new(Controlling::<S, C>::new(driver.clone())));
        Ok(driver)
    }
}

impl<S: Spec, C: Controller> fmt::Debug for ControllerBuilder<'_, S, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ControllerBuilder({}, {} wirings)", self.controller.name(), self.wirings.len())
    }
}
