//! `why` of every kind: why an object is as it is, told by the process that handles it, or else by the store.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use async_trait::async_trait;
use roa_core::{Error, KindDescriptor, ResourceStore, Store};
use roa_runtime::{Explainer, Explanation, explain_from_store};
use roa_server::{Subresource, SubresourceAnswer, SubresourceError, SubresourceMedia, SubresourceRequest};
use serde::{Deserialize, Serialize};

use crate::admin::{ask, encode};
use crate::engine::DIVIDED;

/// An explanation, and what must be said of where it comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Told {
    #[serde(flatten)]
    pub(crate) why: Explanation,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) note: Option<String>,
}

/// Which object.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) kind: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl Asked {
    fn path(&self) -> String {
        let parts = [&self.kind, &self.namespace, &self.name].map(|part| encode(part));
        format!("/why/{}", parts.join("/").replace("//", "/"))
    }
}

/// What a process says, over its admin socket.
pub(crate) async fn ask_process(socket: &Path, asked: &Asked) -> anyhow::Result<Explanation> {
    let answer = ask(socket, &asked.path()).await?;
    match answer.status {
        200 => {
            serde_json::from_str(&answer.body).context("the answer is no explanation; is it another version of roa?")
        }
        _ => bail!("{}", answer.body.trim()),
    }
}

/// What the process says that handles the object, if that is another one and on this machine; else what was told.
pub(crate) async fn ask_owner(mut told: Told, asked: &Asked) -> Told {
    let Some(owner) = told.why.owner.clone().filter(|owner| !owner.is_self) else { return told };
    let (Some(process), Some(address)) = (&owner.process, &owner.address) else { return told };
    match ask_process(Path::new(address), asked).await {
        Ok(better) if better.process.as_deref() == Some(process) => Told { why: better, note: None },
        Ok(_) => {
            told.note = Some(format!("{process} handles it; another process answers on {address} by now"));
            told
        }
        Err(error) => {
            told.note = Some(format!("{process} handles it, but can't be asked on {address}: {error:#}"));
            told
        }
    }
}

/// Why objects are as they are.
#[derive(Debug)]
pub(super) struct Why {
    store: Arc<dyn Store>,
    resources: ResourceStore,
    explainer: Option<Explainer>,
}

impl Why {
    pub(super) fn new(store: Arc<dyn Store>, resources: ResourceStore, explainer: Option<Explainer>) -> Self {
        Self { store, resources, explainer }
    }

    async fn explain(&self, asked: &SubresourceRequest) -> Result<Explanation, Error> {
        let (kind, metadata) = (&*asked.kind, &asked.object.metadata);
        // Kinds that are declared at run time have no controller here.
        let handled = self.resources.kinds().by_plural(&kind.group, &kind.plural).is_some();
        match self.explainer.as_ref().filter(|_| handled) {
            Some(explainer) => explainer.explain(&kind.plural, &metadata.namespace, &metadata.name).await,
            None => {
                let key = kind.key(&metadata.namespace, &metadata.name)?;
                explain_from_store(&self.store, &self.resources, kind, &key, Some(DIVIDED)).await
            }
        }
    }
}

#[async_trait]
impl Subresource for Why {
    fn name(&self) -> &'static str {
        "why"
    }

    fn description(&self) -> &'static str {
        "Why the object is as it is: who acted last, what it waits for, when it is handled next."
    }

    fn is_of(&self, _kind: &KindDescriptor) -> bool {
        true
    }

    fn media(&self) -> SubresourceMedia {
        SubresourceMedia::Json
    }

    async fn read(&self, asked: SubresourceRequest) -> Result<SubresourceAnswer, SubresourceError> {
        let why = self.explain(&asked).await?;
        let metadata = &asked.object.metadata;
        let (namespace, name) = (metadata.namespace.clone(), metadata.name.clone());
        let object = Asked { kind: asked.kind.plural.to_string(), namespace, name };
        let told = ask_owner(Told { why, note: None }, &object).await;
        let json = serde_json::to_value(&told).map_err(|error| Error::corrupt(error.to_string()))?;
        Ok(SubresourceAnswer::json(&json))
    }
}
