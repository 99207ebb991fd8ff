//! [`Audited`]: what the audit log keeps of a request, whether it is answered or not.

use hyper::StatusCode;

use super::Written;
use crate::audit::{AuditLog, AuditRecord};

/// The code of a request whose client left before it was answered: what it asked for may have been done.
const LEFT: u16 = 499;

/// A record that is on its way: kept with the answer; and if there is none, since the client left or the request
/// panicked, when it is dropped.
#[derive(Debug)]
pub(crate) struct Audited {
    log: AuditLog,
    record: AuditRecord,
    kept: bool,
}

impl Audited {
    pub(super) const fn new(log: AuditLog, record: AuditRecord) -> Self {
        Self { log, record, kept: false }
    }

    /// Keeps what was answered.
    pub(super) async fn answered(mut self, code: StatusCode, written: Option<Written>) {
        if let Some(written) = written {
            (self.record.object.name, self.record.object.uid) = (written.name, written.uid);
            self.record.resource_version = written.revision;
        }
        self.record.code = code.as_u16();
        self.log.record(&self.record).await;
        self.kept = true;
    }
}

impl Drop for Audited {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        if self.record.code == 0 {
            self.record.code = LEFT;
        }
        self.log.record_now(&self.record);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use roa_core::{ManualClock, Timestamp};
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::audit::{AuditConfig, AuditMetrics, AuditedObject};
    use crate::auth::{Decision, User};

    #[tokio::test]
    async fn t23_a_request_is_kept_once_whether_it_is_answered_or_its_client_leaves() {
        let home = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(Timestamp::from_unix_seconds(1_800_000_000).unwrap()));
        let config = AuditConfig { path: Some(home.path().join("audit.log")), ..AuditConfig::default() };
        let log = AuditLog::open(&config, clock, AuditMetrics::default()).unwrap().unwrap();
        let begin = |verb| {
            let time = Timestamp::from_unix_seconds(1_800_000_000).unwrap();
            let user = User::new("alice", ["ops"]);
            let decision = Decision::Allow("because".into());
            Audited::new(log.clone(), AuditRecord::new(time, user, verb, AuditedObject::default(), &decision))
        };
        begin("create").answered(StatusCode::CREATED, None).await;
        drop(begin("delete"));
        let panicking = begin("update");
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _audited = panicking;
            panic!("as a request might");
        }));
        log.flush().await;
        let text = std::fs::read_to_string(home.path().join("audit.log")).unwrap();
        let lines: Vec<Json> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let kept: Vec<_> = lines.iter().map(|line| (line["verb"].clone(), line["code"].clone())).collect();
        let expected = [("create", 201), ("delete", 499), ("update", 499)];
        assert_eq!(kept, expected.map(|(verb, code)| (json!(verb), json!(code))));
    }
}
