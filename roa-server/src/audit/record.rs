//! [`AuditRecord`]: a line of the audit log.

use roa_core::{Revision, Timestamp};
use serde::{Serialize, Serializer};

use crate::auth::{Decision, User};

/// No text of a record has more bytes, and no list more texts.
const MAX_TEXT: usize = 512;
const MAX_GROUPS: usize = 32;

/// What somebody asked for, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditRecord {
    /// When it was answered.
    pub time: Timestamp,
    /// The request's id, as in the server's log.
    pub request_id: String,
    /// In whose name it was done.
    pub user: User,
    /// Who asked, if in somebody else's name.
    pub impersonated_by: Option<User>,
    /// From where: an address, or the path of a Unix socket.
    pub source: String,
    /// The verb, as roles know it.
    pub verb: String,
    /// On what.
    pub object: AuditedObject,
    /// Its revision after it, if it was changed.
    pub resource_version: Option<Revision>,
    /// Whether nothing was to be changed in truth.
    pub dry_run: bool,
    /// The status code of the answer.
    pub code: u16,
    /// `allow` or `deny`.
    pub decision: &'static str,
    /// Why.
    pub reason: String,
}

/// Which object a record speaks of; what is not known is empty.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditedObject {
    /// The API group.
    #[serde(serialize_with = "cut", skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// The version.
    #[serde(serialize_with = "cut", skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// The plural; for what is no resource, the path.
    #[serde(serialize_with = "cut")]
    pub resource: String,
    /// Such as `status`.
    #[serde(serialize_with = "cut", skip_serializing_if = "String::is_empty")]
    pub subresource: String,
    /// The namespace.
    #[serde(serialize_with = "cut", skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// The name; of one that was created, as it was given.
    #[serde(serialize_with = "cut", skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The identity.
    #[serde(serialize_with = "cut", skip_serializing_if = "String::is_empty")]
    pub uid: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    time: Timestamp,
    request_id: &'a str,
    user: Who<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    impersonated_by: Option<Who<'a>>,
    source: &'a str,
    verb: &'a str,
    object: &'a AuditedObject,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_version: Option<Revision>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    dry_run: bool,
    code: u16,
    decision: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: &'a str,
}

#[derive(Serialize)]
struct Who<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    uid: &'a str,
    groups: Vec<&'a str>,
}

impl AuditRecord {
    /// A record of a request by `user`, and of the decision about it; the rest is to be filled in.
    #[must_use]
    pub fn new(
        time: Timestamp,
        user: User,
        verb: impl Into<String>,
        object: AuditedObject,
        decision: &Decision,
    ) -> Self {
        Self {
            time,
            request_id: String::new(),
            user,
            impersonated_by: None,
            source: String::new(),
            verb: verb.into(),
            object,
            resource_version: None,
            dry_run: false,
            code: 0,
            decision: decision.as_str(),
            reason: decision.reason().to_owned(),
        }
    }

    /// The line, with its end. It is bounded, and whatever a user may have put in a name, it is one line.
    #[must_use]
    pub fn line(&self) -> Vec<u8> {
        let line = Line {
            time: self.time,
            request_id: begin(&self.request_id),
            user: who(&self.user),
            impersonated_by: self.impersonated_by.as_ref().map(who),
            source: begin(&self.source),
            verb: begin(&self.verb),
            object: &self.object,
            resource_version: self.resource_version,
            dry_run: self.dry_run,
            code: self.code,
            decision: self.decision,
            reason: begin(&self.reason),
        };
        // Text, numbers and lists of them have no way to fail.
        let mut bytes = serde_json::to_vec(&line).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }
}

fn who(user: &User) -> Who<'_> {
    let groups = user.groups.iter().take(MAX_GROUPS).map(|group| begin(group)).collect();
    Who { name: begin(&user.name), uid: begin(&user.uid), groups }
}

/// What a record shows of a text that may be of any length.
fn begin(text: &str) -> &str {
    let end = (0..=MAX_TEXT.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    text.get(..end).unwrap_or_default()
}

#[expect(clippy::ptr_arg, reason = "the signature that serde asks for")]
fn cut<S: Serializer>(text: &String, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(begin(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value as Json, json};

    fn record() -> AuditRecord {
        let object = AuditedObject { resource: "labs".into(), name: "a\nb".into(), ..AuditedObject::default() };
        let time = Timestamp::from_unix_seconds(1_800_000_000).unwrap();
        let mut record =
            AuditRecord::new(time, User::new("alice", ["ops"]), "create", object, &Decision::Allow("because".into()));
        (record.request_id, record.source, record.code) = ("r1".into(), "127.0.0.1:1".into(), 201);
        record.resource_version = Revision::new(7).ok();
        record
    }

    #[test]
    fn t23_a_record_says_who_did_what_and_why_it_was_allowed() {
        let line: Json = serde_json::from_slice(&record().line()).unwrap();
        let expected = json!({
            "time": "2027-01-15T08:00:00Z", "requestId": "r1", "source": "127.0.0.1:1", "verb": "create", "code": 201,
            "user": {"name": "alice", "groups": ["ops", "system:authenticated"]},
            "object": {"resource": "labs", "name": "a\nb"}, "resourceVersion": "7",
            "decision": "allow", "reason": "because",
        });
        assert_eq!(line, expected);
    }

    #[test]
    fn t23_a_record_is_one_bounded_line_whatever_stands_in_it() {
        let mut record = record();
        record.object.name = "é\n".repeat(10_000);
        record.user = User::new("\"}\n".repeat(10_000), (0..1_000).map(|number| format!("{number}\n")));
        let line = record.line();
        assert!(line.len() < 8_192 && line.iter().filter(|&&byte| byte == b'\n').count() == 1, "{}", line.len());
        assert!(serde_json::from_slice::<Json>(&line).is_ok());
    }
}
