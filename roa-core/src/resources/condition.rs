//! Conditions of any kind's objects, written with the time at which they last changed.

use serde_json::{Map, Value as Json};

use super::{MAX_CONFLICTS, ResourceStore};
use crate::{ConditionStatus, Conditions, DynamicObject, Error, Key, Result};

impl ResourceStore {
    /// Says in an object's status how an aspect of it is. The time of the last change is the store's own business: it moves
    /// when `status` does, by the clock of this store. Other parts of the status stay. Gives whether anything changed; an
    /// object that is gone has no conditions.
    ///
    /// ```
    /// # use roa_core::{ConditionStatus, Context, Key};
    /// # async fn reconcile(cx: &Context, key: &Key) -> roa_core::Result<()> {
    /// cx.resources().set_condition(key, "Ready", ConditionStatus::False, ("Starting", "no answer yet")).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`ResourceStore::update_status`].
    pub async fn set_condition(
        &self,
        key: &Key,
        kind: &str,
        status: ConditionStatus,
        why: (&str, &str),
    ) -> Result<bool> {
        for attempt in 1.. {
            let mut object = match self.get(key).await {
                Err(Error::NotFound { .. }) => return Ok(false),
                outcome => outcome?,
            };
            let mut conditions = object.conditions();
            if !conditions.set(kind, status, why, object.metadata.generation, self.clock.now()) {
                return Ok(false);
            }
            object.set_conditions(&conditions)?;
            match self.update_status(object).await {
                Err(Error::Conflict { .. }) if attempt < MAX_CONFLICTS => {}
                Err(Error::NotFound { .. }) => return Ok(false),
                outcome => return outcome.map(|_| true),
            }
        }
        Ok(false)
    }
}

impl DynamicObject {
    /// `status.conditions`; none if there are none, or what is there are no conditions.
    #[must_use]
    pub fn conditions(&self) -> Conditions {
        let conditions = self.status().and_then(|status| status.get("conditions")).cloned().unwrap_or_default();
        serde_json::from_value(conditions).unwrap_or_default()
    }

    fn set_conditions(&mut self, conditions: &Conditions) -> Result<()> {
        let conditions = serde_json::to_value(conditions).map_err(|error| Error::corrupt(error.to_string()))?;
        let status = self.body.entry("status").or_insert_with(|| Json::Object(Map::new()));
        if let Json::Object(fields) = status {
            fields.insert("conditions".to_owned(), conditions);
        }
        Ok(())
    }
}
