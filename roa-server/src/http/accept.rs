//! [`Accept`]: in which forms a client takes an answer, best first.

use hyper::HeaderMap;
use hyper::header::ACCEPT;

use super::ApiError;

/// Ranges of one header that are looked at.
const MAX_RANGES: usize = 32;

/// Media ranges, best first.
#[derive(Debug, Clone)]
pub(crate) struct Accept(Vec<Range>);

#[derive(Debug, Clone)]
struct Range {
    media: String,
    parameters: Vec<(String, String)>,
}

/// How objects are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Form {
    /// As they are.
    Object,
    /// As rows of a table, with as much of the object as was asked for.
    Table(IncludeObject),
    /// Their metadata alone.
    Metadata,
}

/// How much of an object stands in its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum IncludeObject {
    /// Nothing.
    None,
    /// Its metadata.
    Metadata,
    /// All.
    Object,
}

/// How discovery is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DiscoveryForm {
    /// One document for all groups.
    Aggregated,
    /// The same, before it was stable.
    AggregatedBeta,
    /// A document for each group and version.
    Plain,
}

impl Accept {
    /// The forms that a request takes; all, if it does not say.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let mut ranges: Vec<_> =
            values.flat_map(|value| value.split(',')).take(MAX_RANGES).filter_map(Range::parse).collect();
        ranges.retain(|(quality, _)| *quality > 0);
        ranges.sort_by_key(|(quality, _)| std::cmp::Reverse(*quality));
        let mut ranges: Vec<_> = ranges.into_iter().map(|(_, range)| range).collect();
        if !headers.contains_key(ACCEPT) {
            ranges.push(Range { media: "*/*".to_owned(), parameters: Vec::new() });
        }
        Self(ranges)
    }

    /// How to show objects.
    ///
    /// # Errors
    /// 406 if no form is acceptable.
    pub(crate) fn form(&self, include: IncludeObject) -> Result<Form, ApiError> {
        self.0.iter().find_map(|range| range.form(include)).ok_or_else(|| {
            ApiError::not_acceptable("application/json, application/json;as=Table;v=v1;g=meta.k8s.io, application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io")
        })
    }

    /// How to tell discovery.
    ///
    /// # Errors
    /// 406 if no form is acceptable.
    pub(crate) fn discovery(&self) -> Result<DiscoveryForm, ApiError> {
        let form = self.0.iter().find_map(Range::discovery);
        form.ok_or_else(|| ApiError::not_acceptable("application/json"))
    }

    /// Which of these media types the client likes best.
    ///
    /// # Errors
    /// 406 if it takes none of them.
    pub(crate) fn first_of(&self, media: &[&'static str]) -> Result<&'static str, ApiError> {
        let best = self.0.iter().find_map(|range| media.iter().find(|media| range.takes(media)));
        best.copied().ok_or_else(|| ApiError::not_acceptable(&media.join(", ")))
    }

    /// Whether plain JSON is acceptable.
    pub(crate) fn takes_json(&self) -> bool {
        self.0.iter().any(|range| range.is_json() && range.get("as").is_none())
    }
}

impl Range {
    /// The quality in thousandths, and the range.
    fn parse(text: &str) -> Option<(u16, Self)> {
        let mut parts = text.split(';').map(str::trim);
        let media = parts.next().filter(|media| media.contains('/'))?.to_ascii_lowercase();
        let pairs = parts.filter_map(|part| part.split_once('='));
        let parameters: Vec<_> =
            pairs.map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned())).collect();
        let range = Self { media, parameters };
        Some((range.get("q").map_or(1000, thousandths), range))
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn takes(&self, media: &str) -> bool {
        let of_kind = self.media.strip_suffix("/*").is_some_and(|kind| media.starts_with(&format!("{kind}/")));
        self.media == "*/*" || self.media == media || of_kind
    }

    fn is_json(&self) -> bool {
        matches!(self.media.as_str(), "application/json" | "application/*" | "*/*")
    }

    fn form(&self, include: IncludeObject) -> Option<Form> {
        if !self.is_json() {
            return None;
        }
        match (self.get("as"), self.get("g"), self.get("v")) {
            (None, ..) => Some(Form::Object),
            (Some("Table"), Some("meta.k8s.io"), Some("v1")) => Some(Form::Table(include)),
            (Some("PartialObjectMetadata" | "PartialObjectMetadataList"), Some("meta.k8s.io"), Some("v1")) => {
                Some(Form::Metadata)
            }
            _ => None,
        }
    }

    fn discovery(&self) -> Option<DiscoveryForm> {
        if !self.is_json() {
            return None;
        }
        match (self.get("as"), self.get("g"), self.get("v")) {
            (None, ..) => Some(DiscoveryForm::Plain),
            (Some("APIGroupDiscoveryList"), Some("apidiscovery.k8s.io"), Some("v2")) => Some(DiscoveryForm::Aggregated),
            (Some("APIGroupDiscoveryList"), Some("apidiscovery.k8s.io"), Some("v2beta1")) => {
                Some(DiscoveryForm::AggregatedBeta)
            }
            _ => None,
        }
    }
}

/// `0.85` as 850; what is no number counts as 1.
fn thousandths(text: &str) -> u16 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits: String = fraction.chars().chain("000".chars()).take(3).collect();
    match (whole, digits.parse::<u16>()) {
        ("0", Ok(thousandths)) => thousandths,
        _ => 1000,
    }
}

impl IncludeObject {
    /// What the parameter `includeObject` asks for.
    ///
    /// # Errors
    /// 400 if it is none of the three.
    pub(crate) fn parse(text: Option<&str>) -> Result<Self, ApiError> {
        match text {
            None | Some("Metadata") => Ok(Self::Metadata),
            Some("None") => Ok(Self::None),
            Some("Object") => Ok(Self::Object),
            Some(other) => {
                Err(ApiError::bad_request(format!("includeObject is {other:?}, expected None, Metadata or Object")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accept(value: &str) -> Accept {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, value.parse().unwrap());
        Accept::of(&headers)
    }

    fn form(value: &str) -> Option<Form> {
        accept(value).form(IncludeObject::Metadata).ok()
    }

    #[test]
    fn the_best_form_that_is_known_is_taken() {
        let table = "application/json;as=Table;v=v1;g=meta.k8s.io";
        assert_eq!(form(&format!("{table},application/json")), Some(Form::Table(IncludeObject::Metadata)));
        assert_eq!(form("application/json;as=Table;v=v9;g=meta.k8s.io, application/json"), Some(Form::Object));
        assert_eq!(form("application/vnd.kubernetes.protobuf,application/json"), Some(Form::Object));
        assert_eq!(form("application/json, */*;q=0.8"), Some(Form::Object));
        assert_eq!(form(&format!("application/json;q=0.5,{table};q=0.9")), Some(Form::Table(IncludeObject::Metadata)));
        assert_eq!(form("application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"), Some(Form::Metadata));
        assert_eq!(form("text/html"), None);
        assert_eq!(form("application/json;q=0"), None);
    }

    #[test]
    fn a_client_that_does_not_say_takes_json() {
        assert_eq!(Accept::of(&HeaderMap::new()).form(IncludeObject::None).unwrap(), Form::Object);
    }

    #[test]
    fn the_best_of_several_types_is_taken() {
        let of = |value: &str| accept(value).first_of(&["application/json", "application/x+protobuf"]).ok();
        assert_eq!(of("application/x+protobuf"), Some("application/x+protobuf"));
        assert_eq!(of("application/x+protobuf;q=0.5, application/json"), Some("application/json"));
        assert_eq!(
            (of("*/*"), of("application/*"), of("text/*")),
            (Some("application/json"), Some("application/json"), None)
        );
    }

    #[test]
    fn discovery_names_its_form() {
        let value = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";
        assert_eq!(accept(value).discovery().unwrap(), DiscoveryForm::Aggregated);
        assert_eq!(accept("*/*").discovery().unwrap(), DiscoveryForm::Plain);
    }
}
