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
    let metadata = &object["metadata"];
    let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
    let (name, namespace, uid) = (text(&metadata["name"]), text(&metadata["namespace"]), text(&metadata["uid"]));
    let shown = kind.short_object(&name);
    let clock = client.clock();
    let told = clock.monotonic() + WORTH_A_WORD;
    let mut telling = true;
    loop {
        let Some(mut current) = client.find(kind, &namespace, &name).await? else { return Ok(()) };
        if current["metadata"]["uid"] != uid.as_str() {
            return Ok(());
        }
        let version = text(&current["metadata"]["resourceVersion"]);
        let place = Some(namespace.as_str()).filter(|_| kind.namespaced);
        let mut follow = client.follow(kind, place, &Selectors::name(&name), Form::Object, &version);
        loop {
            let seen = tokio::select! {
                seen = follow.next() => seen?,
                () = clock.sleep_until(told), if telling => {
                    telling = false;
                    note(&format!("waiting for {shown}: {}", keeps(&current)));
                    continue;
                }
                () = clock.sleep_until(deadline) => return Err(still_there(&shown, &current)),
            };
            match seen {
                Seen::Change(Change::Deleted, gone) if gone["metadata"]["uid"] == uid.as_str() => return Ok(()),
                Seen::Change(_, now) if now["metadata"]["uid"] == uid.as_str() => current = now,
                Seen::Change(..) => return Ok(()),
                Seen::Lost(why) => note(&format!("{why}; trying again")),
                Seen::Resumed => note("the server answers again"),
                Seen::Expired => break,
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
