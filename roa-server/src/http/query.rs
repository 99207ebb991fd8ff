//! [`Query`]: the parameters of a request. What is not known is ignored, as Kubernetes does.

use std::num::NonZeroUsize;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use roa_core::{FieldSelector, LabelSelector, Revision};

use super::ApiError;

/// Parameters that one request may have.
const MAX_PAIRS: usize = 64;

/// The parameters of a request, decoded.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query(Vec<(String, String)>);

/// What to do about fields that the kind does not have, or that are there twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FieldChecks {
    /// Drop them.
    Ignore,
    /// Drop them, and say so.
    Warn,
    /// Refuse the object.
    Strict,
}

impl Query {
    /// # Errors
    /// 400 for text that is no UTF-8, or too many parameters.
    pub(crate) fn parse(query: Option<&str>) -> Result<Self, ApiError> {
        // Some clients begin with an empty pair: `?&labelSelector=`.
        let pairs: Vec<_> = query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()).collect();
        if pairs.len() > MAX_PAIRS {
            return Err(ApiError::bad_request(format!("more than {MAX_PAIRS} query parameters")));
        }
        let decoded = pairs.into_iter().map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode(name)?, decode(value)?))
        });
        Ok(Self(decoded.collect::<Result<_, _>>()?))
    }

    /// The value of a parameter; empty counts as absent.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// Whether a parameter is there, with or without a value.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }

    /// # Errors
    /// 400 if it is neither true nor false.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, ApiError> {
        match self.get(name) {
            None | Some("false" | "0" | "False" | "FALSE" | "f" | "F") => Ok(false),
            Some("true" | "1" | "True" | "TRUE" | "t" | "T") => Ok(true),
            Some(other) => Err(ApiError::bad_request(format!("{name} is {other:?}, expected true or false"))),
        }
    }

    /// # Errors
    /// 400 if it is no whole number.
    pub(crate) fn number(&self, name: &str) -> Result<Option<u64>, ApiError> {
        let parse = |text: &str| {
            text.parse().map_err(|_| ApiError::bad_request(format!("{name} is {text:?}, expected a whole number")))
        };
        self.get(name).map(parse).transpose()
    }

    /// # Errors
    /// 400 if it does not parse.
    pub(crate) fn labels(&self) -> Result<LabelSelector, ApiError> {
        let parse =
            |text: &str| text.parse().map_err(|error| ApiError::bad_request(format!("unable to parse: {error}")));
        self.get("labelSelector").map_or_else(|| Ok(LabelSelector::default()), parse)
    }

    /// # Errors
    /// 400 if it does not parse.
    pub(crate) fn fields(&self) -> Result<FieldSelector, ApiError> {
        let parse =
            |text: &str| text.parse().map_err(|error| ApiError::bad_request(format!("unable to parse: {error}")));
        self.get("fieldSelector").map_or_else(|| Ok(FieldSelector::default()), parse)
    }

    /// # Errors
    /// 400 if it is no number.
    pub(crate) fn limit(&self) -> Result<Option<NonZeroUsize>, ApiError> {
        let limit = self.number("limit")?;
        Ok(limit.and_then(|limit| NonZeroUsize::new(usize::try_from(limit).unwrap_or(usize::MAX))))
    }

    /// How long a watch is to last.
    ///
    /// # Errors
    /// 400 if it is no number.
    pub(crate) fn timeout(&self) -> Result<Option<Duration>, ApiError> {
        Ok(self.number("timeoutSeconds")?.filter(|seconds| *seconds > 0).map(Duration::from_secs))
    }

    /// A `resourceVersion`; `Ok(None)` if there is none.
    ///
    /// # Errors
    /// 400 if it is not one of ours.
    pub(crate) fn resource_version(&self) -> Result<Option<Version>, ApiError> {
        self.get("resourceVersion").map(Version::parse).transpose()
    }

    /// # Errors
    /// 400 if it is anything but `All`.
    pub(crate) fn dry_run(&self) -> Result<bool, ApiError> {
        match self.get("dryRun") {
            None => Ok(false),
            Some("All") => Ok(true),
            Some(other) => {
                Err(ApiError::bad_request(format!("dryRun: Unsupported value: {other:?}: supported values: \"All\"")))
            }
        }
    }

    /// # Errors
    /// 400 if it is none of the three.
    pub(crate) fn field_checks(&self) -> Result<FieldChecks, ApiError> {
        match self.get("fieldValidation") {
            None | Some("Warn") => Ok(FieldChecks::Warn),
            Some("Strict") => Ok(FieldChecks::Strict),
            Some("Ignore") => Ok(FieldChecks::Ignore),
            Some(other) => Err(ApiError::bad_request(format!(
                "fieldValidation: Unsupported value: {other:?}: supported values: \"Ignore\", \"Strict\", \"Warn\""
            ))),
        }
    }
}

/// A `resourceVersion` that a client sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    /// `0`: any will do.
    Any,
    /// A revision.
    At(Revision),
}

impl Version {
    fn parse(text: &str) -> Result<Self, ApiError> {
        if text == "0" {
            return Ok(Self::Any);
        }
        let number = text.parse().ok().and_then(|number| Revision::new(number).ok());
        number.map(Self::At).ok_or_else(|| {
            ApiError::bad_request(format!(
                "resourceVersion: Invalid value: {text:?}: expected a number that the server gave"
            ))
        })
    }
}

fn decode(text: &str) -> Result<String, ApiError> {
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8();
    decoded.map(std::borrow::Cow::into_owned).map_err(|_| ApiError::bad_request("the query is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> Query {
        Query::parse(Some(text)).unwrap()
    }

    #[test]
    fn empty_pairs_and_unknown_parameters_are_skipped() {
        let query = query("&labelSelector=a%3Db&timeout=2s&x&limit=");
        assert_eq!(query.get("labelSelector"), Some("a=b"));
        assert_eq!(query.limit().unwrap(), None);
        assert!(query.has("x"));
    }

    #[test]
    fn what_can_not_be_understood_is_refused() {
        assert_eq!(query("limit=x").limit().unwrap_err().code, 400);
        assert_eq!(query("dryRun=None").dry_run().unwrap_err().code, 400);
        assert_eq!(query("fieldValidation=strict").field_checks().unwrap_err().code, 400);
        assert_eq!(query("watch=maybe").flag("watch").unwrap_err().code, 400);
        assert_eq!(query("resourceVersion=-1").resource_version().unwrap_err().code, 400);
        assert_eq!(Query::parse(Some("a=%ff")).unwrap_err().code, 400);
        assert_eq!(Query::parse(Some(&"a=b&".repeat(100))).unwrap_err().code, 400);
    }

    #[test]
    fn a_version_of_zero_is_any() {
        assert_eq!(query("resourceVersion=0").resource_version().unwrap(), Some(Version::Any));
        assert_eq!(query("resourceVersion=").resource_version().unwrap(), None);
    }
}
