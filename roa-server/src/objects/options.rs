//! [`WriteOptions`]: how a write is to be done.

use roa_core::names;

use crate::http::{ApiError, Call, FieldChecks};

/// Who writes, if nothing says so.
const UNKNOWN: &str = "unknown";

/// How a write is to be done.
#[derive(Debug, Clone)]
pub(crate) struct WriteOptions {
    pub(crate) dry_run: bool,
    pub(crate) checks: FieldChecks,
    /// Who writes, as the record of fields knows it.
    pub(crate) manager: String,
    /// Whether the client itself said who writes.
    pub(crate) names_manager: bool,
    /// Whether an apply takes fields away from others.
    pub(crate) force: bool,
}

impl WriteOptions {
    /// # Errors
    /// 400 for an option that is not understood.
    pub(crate) fn of(call: &Call) -> Result<Self, ApiError> {
        let query = &call.query;
        let named = query.get("fieldManager");
        if let Some(named) = named {
            names::field_manager(named).map_err(|reason| ApiError::bad_request(format!("fieldManager {reason}")))?;
        }
        let manager = named.map_or_else(|| from_agent(call.user_agent()), str::to_owned);
        Ok(Self {
            dry_run: query.dry_run()?,
            checks: query.field_checks()?,
            manager,
            names_manager: named.is_some(),
            force: query.flag("force")?,
        })
    }
}

/// The program's name in a user agent such as `kubectl/v1.32.4 (linux/amd64)`.
fn from_agent(agent: Option<&str>) -> String {
    let name = agent.and_then(|agent| agent.split(['/', ' ']).next()).unwrap_or_default();
    let proper = names::field_manager(name).is_ok();
    if proper { name.to_owned() } else { UNKNOWN.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_without_a_name_is_unknown() {
        assert_eq!(from_agent(Some("kubectl/v1.32.4 (linux/amd64)")), "kubectl");
        assert_eq!(from_agent(None), "unknown");
        assert_eq!(from_agent(Some("/")), "unknown");
    }
}
