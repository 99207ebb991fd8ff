//! `roa wait`: waits until objects are as they should be.

use std::str::FromStr;

use roa_core::{FieldPath, Monotonic};
use serde_json::Value as Json;

use super::gone::until_gone;
use crate::cli::{LogArgs, WaitArgs};
use crate::client::{Change, Chosen, Client, ClientError, Form, Kind, Seen, Selectors, choose, with_client};
use crate::report::Failure;
use crate::show::{note, safe, say};

/// Prints a line for each object that is as it should be.
///
/// # Errors
/// One of them is not in time.
pub(crate) fn run(args: &WaitArgs, log: &LogArgs) -> Result<(), Failure> {
    with_client(&args.access, log, async |client| wait(client, args).await)
}

/// What to wait for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Awaited {
    Condition { name: String, status: String },
    Field { path: FieldPath, value: String },
    Created,
    Gone,
}

impl FromStr for Awaited {
    type Err = ClientError;

    fn from_str(text: &str) -> Result<Self, ClientError> {
        let wrong = |reason: &str| ClientError::Usage {
            what: format!("--for={text}: {reason}"),
            hint: Some("expected condition=TYPE[=STATUS], jsonpath=PATH=VALUE, create or delete".to_owned()),
        };
        match text.split_once('=') {
            None if text == "delete" => Ok(Self::Gone),
            None if text == "create" => Ok(Self::Created),
            Some(("condition", rest)) if !rest.is_empty() => {
                let (name, status) = rest.split_once('=').unwrap_or((rest, "True"));
                Ok(Self::Condition { name: name.to_owned(), status: status.to_owned() })
            }
            Some(("jsonpath", rest)) => {
                // A path may hold a comparison; the value is what stands behind the last sign.
                let (path, value) = rest.rsplit_once('=').ok_or_else(|| wrong("no value is named"))?;
                let path = path
                    .trim_matches('\'')
                    .parse()
                    .map_err(|error: roa_core::FieldPathError| wrong(&error.to_string()))?;
                Ok(Self::Field { path, value: value.trim_matches('\'').to_owned() })
            }
            _ => Err(wrong("it is nothing to wait for")),
        }
    }
}

impl Awaited {
    fn is_met(&self, object: &Json) -> bool {
        match self {
            Self::Created => true,
            Self::Gone => false,
            Self::Condition { name, status } => {
                condition(object, name).is_some_and(|found| found["status"].as_str() == Some(status))
            }
            Self::Field { path, value } => path.first(object).is_some_and(|found| text(found) == *value),
        }
    }

    /// How it stands.
    fn state(&self, object: &Json) -> String {
        match self {
            Self::Condition { name, .. } => match condition(object, name) {
                None => format!("it has no condition {name}"),
                Some(found) => {
                    let message = found["message"].as_str().filter(|message| !message.is_empty());
                    let message = message.map(|message| format!(": {}", safe(message))).unwrap_or_default();
                    format!("{name} is {}{message}", text(&found["status"]))
                }
            },
            Self::Field { path, .. } => {
                let found = path.first(object).map_or_else(|| "not there".to_owned(), text);
                format!("{} is {}", path.as_str(), safe(&found))
            }
            Self::Created => "it is not there".to_owned(),
            Self::Gone => "it is still there".to_owned(),
        }
    }
}

fn condition<'a>(object: &'a Json, name: &str) -> Option<&'a Json> {
    let all = object["status"]["conditions"].as_array()?;
    all.iter().find(|condition| condition["type"].as_str().is_some_and(|known| known.eq_ignore_ascii_case(name)))
}

fn text(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

async fn wait(client: &Client, args: &WaitArgs) -> anyhow::Result<()> {
    let awaited: Awaited = args.condition.parse()?;
    let namespace = client.namespace(args.place.namespace.as_deref());
    let deadline = client.clock().monotonic() + args.timeout.0;
    for Chosen { kind, names } in choose(client, &args.objects).await? {
        if names.is_empty() {
            return Err(ClientError::usage(format!("no {} is named, expected KIND/NAME", kind.singular)).into());
        }
        for name in &names {
            let what = Wanted { client, kind: &kind, namespace, name };
            match awaited {
                Awaited::Gone => what.gone(deadline).await?,
                _ => what.met(&awaited, deadline).await?,
            }
            let word = match &awaited {
                Awaited::Gone => "deleted",
                Awaited::Created => "created",
                _ => "condition met",
            };
            say(&format!("{} {word}", kind.object(name)))?;
        }
    }
    Ok(())
}

/// One object that is waited for.
struct Wanted<'a> {
    client: &'a Client,
    kind: &'a Kind,
    namespace: &'a str,
    name: &'a str,
}

impl Wanted<'_> {
    async fn gone(&self, deadline: Monotonic) -> Result<(), ClientError> {
        match self.client.find(self.kind, self.namespace, self.name).await? {
            None => Ok(()),
            Some(object) => until_gone(self.client, self.kind, &object, deadline).await,
        }
    }

    async fn met(&self, awaited: &Awaited, deadline: Monotonic) -> Result<(), ClientError> {
        let Self { client, kind, namespace, name } = *self;
        if *awaited != Awaited::Created {
            // Nobody waits for a name that was mistyped.
            client.get(kind, namespace, name, Form::Object).await?;
        }
        let (place, selectors) = (Some(namespace).filter(|_| kind.namespaced), Selectors::name(name));
        loop {
            let listed = client.list(kind, place, &selectors, Form::Object).await?;
            let mut last = listed.items.into_iter().next();
            if last.as_ref().is_some_and(|object| awaited.is_met(object)) {
                return Ok(());
            }
            let mut follow = client.follow(kind, place, &selectors, Form::Object, &listed.version);
            loop {
                let seen = tokio::select! {
                    seen = follow.next() => seen?,
                    () = client.clock().sleep_until(deadline) => return Err(self.late(awaited, last.as_ref())),
                };
                match seen {
                    Seen::Change(Change::Deleted, _) if *awaited != Awaited::Created => return Err(self.deleted()),
                    Seen::Change(Change::Deleted, _) => last = None,
                    Seen::Change(_, object) if awaited.is_met(&object) => return Ok(()),
                    Seen::Change(_, object) => last = Some(object),
                    Seen::Lost(why) => note(&format!("{why}; trying again until it does")),
                    Seen::Resumed => note("the server answers again"),
                    Seen::Expired => break,
                }
            }
        }
    }

    fn deleted(&self) -> ClientError {
        ClientError::Waited { what: format!("{} was deleted meanwhile", self.kind.short_object(self.name)), hint: None }
    }

    fn late(&self, awaited: &Awaited, last: Option<&Json>) -> ClientError {
        let state = last.map_or_else(|| "it is not there".to_owned(), |object| awaited.state(object));
        let what = format!("{} is not as awaited in time: {state}", self.kind.short_object(self.name));
        let hint = format!("`roa why {}` says who is to act", self.kind.short_object(self.name));
        ClientError::Waited { what, hint: Some(hint) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_awaited_reads_as_kubectl_has_it() {
        let object = json!({"status": {"state": "Ready", "n": 3, "conditions": [{"type": "Ready", "status": "True"}]}});
        for text in [
            "condition=Ready",
            "condition=ready=True",
            "jsonpath={.status.state}=Ready",
            "jsonpath=.status.n=3",
            "jsonpath='{.status.conditions[?(@.type==\"Ready\")].status}'=True",
            "create",
        ] {
            assert!(text.parse::<Awaited>().unwrap().is_met(&object), "{text}");
        }
        for text in ["condition=Idle", "condition=Ready=False", "jsonpath=.status.state=Failed", "delete"] {
            assert!(!text.parse::<Awaited>().unwrap().is_met(&object), "{text}");
        }
    }

    #[test]
    fn what_is_nothing_to_wait_for_is_refused() {
        for text in ["", "ready", "condition=", "jsonpath=.status", "jsonpath={[=x"] {
            assert!(text.parse::<Awaited>().unwrap_err().is_usage(), "{text}");
        }
    }

    #[test]
    fn how_it_stands_is_told_in_words() {
        let object = json!({"status": {"conditions": [{"type": "Ready", "status": "False", "message": "no room"}]}});
        let told = |text: &str| text.parse::<Awaited>().unwrap().state(&object);
        assert_eq!(told("condition=Ready"), "Ready is False: no room");
        assert_eq!(told("condition=Idle"), "it has no condition Idle");
        assert_eq!(told("jsonpath=.status.state=Ready"), ".status.state is not there");
    }
}
