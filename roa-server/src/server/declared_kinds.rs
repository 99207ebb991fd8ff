//! [`DeclaredKinds`]: the kinds that definitions in the store declare, for those who work on objects of any kind.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use roa_core::{Clock, ClockExt, Context, Error, KindRegistry, Result, Start};
use roa_runtime::{HubItem, LiveKinds, Runnable, Selection, WatchHub};

use super::declared::{RETRY, declare, take};
use crate::crd;

/// Follows the definitions of kinds in the store, and keeps [`LiveKinds`] at what they declare: for the garbage collector
/// and the controller of namespaces, which have to know every kind. It writes nothing. To be given to a manager.
pub struct DeclaredKinds {
    own: Arc<KindRegistry>,
    kinds: LiveKinds,
    hub: WatchHub,
    clock: Arc<dyn Clock>,
}

impl DeclaredKinds {
    /// The kinds that the program has of its `own`, and those that definitions declare; `clock` measures back-off.
    #[must_use]
    pub fn new(own: Arc<KindRegistry>, hub: WatchHub, clock: Arc<dyn Clock>) -> Self {
        Self { kinds: LiveKinds::new(Arc::clone(&own)), own, hub, clock }
    }

    /// The kinds of the moment.
    #[must_use]
    pub const fn kinds(&self) -> &LiveKinds {
        &self.kinds
    }

    async fn follow(&self) -> Result<()> {
        let prefix = crd::definition_kind().prefix(None)?;
        let mut watch = self.hub.watch(Selection::prefix(prefix), Start::Snapshot).await?;
        let (mut known, mut synced) = (BTreeMap::new(), false);
        loop {
            match watch.next().await {
                Some(Ok(HubItem::Events(slice))) => take(&mut known, &slice),
                Some(Ok(HubItem::Synced(_))) => synced = true,
                Some(Ok(_)) => continue,
                Some(Err(end)) => return Err(Error::unavailable(end.to_string())),
                None => return Err(Error::unavailable("the watch ended")),
            }
            if synced {
                self.kinds.set(Arc::new(declare(&self.own, &known).0));
            }
        }
    }
}

#[async_trait]
impl Runnable for DeclaredKinds {
    fn name(&self) -> &'static str {
        "declared-kinds"
    }

    async fn run(&self, cx: &Context) {
        let follow = async {
            loop {
                if let Err(error) = self.follow().await {
                    tracing::debug!(%error, "definitions of kinds are followed anew");
                }
                self.clock.sleep(RETRY).await;
            }
        };
        tokio::select! {
            biased;
            () = cx.cancelled() => {}
            () = follow => {}
        }
    }
}

impl fmt::Debug for DeclaredKinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeclaredKinds({} kinds)", self.kinds.get().iter().count())
    }
}
