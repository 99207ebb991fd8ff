//! Waiting until an object is gone, and saying what it waits for.

use std::time::Duration;

use roa_core::Monotonic;
use serde_json::Value as Json;

use crate::client::{Change, Client, ClientError, Form, Kind, Seen, Selectors};
use crate::show::note;

/// After so long it is worth a word what is waited for.
const WORTH_A_WORD: Duration = Duration::from_secs(2);

/// Waits until the object with this uid is gone: another one of the same name is not it.
///
/// # Errors
/// It is still there at `deadline`, which says what keeps it; or the server refuses.
pub(super) async fn until_gone(
    client: &Client,
    kind: &Kind,
    object: &Json,
    deadline: Monotonic,
) -> Result<(), ClientError> {
    let text = |name: &str| object["metadata"][name].as_str().unwrap_or_default().to_owned();
    let tell = Some(client.clock().monotonic() + WORTH_A_WORD);
    let (name, namespace, uid) = (text("name"), text("namespace"), text("uid"));
    let mut going = Going { client, kind, shown: kind.short_object(&name), name, namespace, uid, deadline, tell };
    while let Some(current) = client.find(kind, &going.namespace, &going.name).await? {
        if going.is_another(&current) || going.follow(current).await? {
            break;
        }
    }
    Ok(())
}

/// An object that is going.
struct Going<'a> {
    client: &'a Client,
    kind: &'a Kind,
    /// As people name it.
    shown: String,
    name: String,
    namespace: String,
    uid: String,
    deadline: Monotonic,
    /// When to say what it waits for; `None` once that was said.
    tell: Option<Monotonic>,
}

impl Going<'_> {
    fn is_another(&self, object: &Json) -> bool {
        object["metadata"]["uid"] != self.uid.as_str()
    }

    /// Whether it is gone; if not, it is to be looked at again.
    async fn follow(&mut self, mut current: Json) -> Result<bool, ClientError> {
        let Self { client, kind, .. } = *self;
        let version = current["metadata"]["resourceVersion"].as_str().unwrap_or_default();
        let place = Some(self.namespace.as_str()).filter(|_| kind.namespaced);
        let mut follow = client.follow(kind, place, &Selectors::name(&self.name), Form::Object, version);
        loop {
            let next = self.tell.unwrap_or(self.deadline).min(self.deadline);
            let seen = tokio::select! {
                seen = follow.next() => seen?,
                () = client.clock().sleep_until(next) => {
                    if self.tell.take().is_none() {
                        return Err(still_there(&self.shown, &current));
                    }
                    note(&format!("waiting for {}: {}", self.shown, keeps(&current)));
                    continue;
                }
            };
            match seen {
                Seen::Change(Change::Deleted, _) => return Ok(true),
                Seen::Change(_, now) if self.is_another(&now) => return Ok(true),
                Seen::Change(_, now) => current = now,
                Seen::Lost(why) => note(&format!("{why}; trying again until it does")),
                Seen::Resumed => note("the server answers again"),
                Seen::Expired => return Ok(false),
            }
        }
    }
}

/// What keeps an object from going.
fn keeps(object: &Json) -> String {
    let finalizers = object["metadata"]["finalizers"].as_array().map(Vec::as_slice).unwrap_or_default();
    let names: Vec<_> = finalizers.iter().filter_map(Json::as_str).collect();
    match names.as_slice() {
        [] => "it is about to go".to_owned(),
        [only] => format!("the finalizer {only} is still there"),
        several => format!("the finalizers {} are still there", several.join(", ")),
    }
}

fn still_there(shown: &str, object: &Json) -> ClientError {
    let hint = "a running `roa run` takes finalizers off; `roa why` says who is to act, --timeout gives more time";
    ClientError::Waited { what: format!("{shown} is not gone yet: {}", keeps(object)), hint: Some(hint.to_owned()) }
}
