//! [`Client`]: what is done to objects, a request each.

use std::sync::Arc;
use std::time::Duration;

use hyper::Method;
use roa_core::{Clock, ClockExt as _};
use serde_json::{Value as Json, json};
use tokio::sync::OnceCell;

use super::lines::Pieces;
use super::{Ask, ClientError, Follow, Http, Kind, Kinds};
use crate::admin::encode;
use crate::config::nearest_word;

/// Objects of one page of a list.
const PAGE: usize = 500;
/// Who a client writes as.
const MANAGER: &str = "roa-cli";
/// How long a server that was just started may take to know the kinds that its store declares, and how often to look.
const SETTLES: Duration = Duration::from_millis(500);
const LOOK_AGAIN: Duration = Duration::from_millis(25);
/// The types of answers.
const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";
const METADATA: &str = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";

/// In which form objects are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// As they are.
    Object,
    /// Rows of a table, with the metadata of their objects.
    Table,
    /// Rows of a table, with their objects.
    FullTable,
    /// Their metadata alone.
    Metadata,
}

impl Form {
    const fn accept(self) -> &'static str {
        match self {
            Self::Object => "application/json",
            Self::Table | Self::FullTable => TABLE,
            Self::Metadata => METADATA,
        }
    }

    /// What the query says of it.
    const fn parameter(self) -> &'static str {
        match self {
            Self::FullTable => "&includeObject=Object",
            _ => "",
        }
    }
}

/// Which objects of a kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Selectors {
    pub(crate) labels: Option<String>,
    pub(crate) fields: Option<String>,
}

impl Selectors {
    /// The object of that name.
    pub(crate) fn name(name: &str) -> Self {
        Self { labels: None, fields: Some(format!("metadata.name={name}")) }
    }

    fn query(&self) -> String {
        let one = |name: &str, value: &Option<String>| {
            value.iter().map(|value| format!("&{name}={}", encode(value))).collect::<String>()
        };
        one("labelSelector", &self.labels) + &one("fieldSelector", &self.fields)
    }
}

/// A whole list.
#[derive(Debug, Default)]
pub(crate) struct Listed {
    /// As of when.
    pub(crate) version: String,
    /// The columns, of a table.
    pub(crate) columns: Vec<Json>,
    /// Objects, or rows of a table.
    pub(crate) items: Vec<Json>,
}

/// What came of an apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Applied {
    Created,
    Configured,
    Unchanged,
}

/// How to delete.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Deleting {
    /// What becomes of what it owns; the kind decides if this does not say.
    pub(crate) propagation: Option<&'static str>,
    pub(crate) dry_run: bool,
}

/// Objects, over the API.
#[derive(Debug)]
pub(crate) struct Client {
    http: Http,
    kinds: OnceCell<Kinds>,
    /// The namespace of commands that name none.
    namespace: String,
    clock: Arc<dyn Clock>,
    /// Whether the server has just been started, and may not know all declared kinds yet.
    settling: bool,
}

impl Client {
    pub(super) fn new(http: Http, namespace: Option<String>, clock: Arc<dyn Clock>, settling: bool) -> Self {
        let namespace = namespace.unwrap_or_else(|| "default".to_owned());
        Self { http, kinds: OnceCell::new(), namespace, clock, settling }
    }

    pub(crate) const fn http(&self) -> &Http {
        &self.http
    }

    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// The namespace that is meant if `named` is not.
    pub(crate) fn namespace<'a>(&'a self, named: Option<&'a str>) -> &'a str {
        named.unwrap_or(&self.namespace)
    }

    /// What the server serves; asked once.
    pub(crate) async fn kinds(&self) -> Result<&Kinds, ClientError> {
        self.kinds.get_or_try_init(|| Kinds::discover(&self.http)).await
    }

    /// What it serves now: kinds may have been declared since.
    pub(crate) async fn kinds_now(&self) -> Result<Kinds, ClientError> {
        Kinds::discover(&self.http).await
    }

    /// The kind that a word means.
    ///
    /// # Errors
    /// There is none; then the nearest is named.
    pub(crate) async fn kind(&self, word: &str) -> Result<Kind, ClientError> {
        let mut found = self.kinds().await?.find(word).cloned();
        let deadline = self.clock.monotonic() + SETTLES;
        while found.is_err() && self.settling && self.clock.monotonic() < deadline {
            self.clock.sleep(LOOK_AGAIN).await;
            found = self.kinds_now().await?.find(word).cloned();
        }
        found
    }

    /// One object, or a table with its row.
    ///
    /// # Errors
    /// If it is not there, a near name is told.
    pub(crate) async fn get(&self, kind: &Kind, namespace: &str, name: &str, form: Form) -> Result<Json, ClientError> {
        let path = format!("{}?{}", kind.path(Some(namespace), Some(name)), form.parameter().trim_start_matches('&'));
        let asked = self.http.ask(&Ask { accept: form.accept(), ..Ask::get(path.trim_end_matches('?')) }).await;
        match asked {
            Ok((_, body)) => self.parse(&body),
            Err(error) if error.is_absent() => Err(self.absent(kind, namespace, name).await),
            Err(error) => Err(error),
        }
    }

    /// The object, if it is there.
    pub(crate) async fn find(&self, kind: &Kind, namespace: &str, name: &str) -> Result<Option<Json>, ClientError> {
        match self.http.ask(&Ask::get(kind.path(Some(namespace), Some(name)))).await {
            Ok((_, body)) => self.parse(&body).map(Some),
            Err(error) if error.is_absent() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A part of an object that the server tells, as JSON.
    ///
    /// # Errors
    /// As [`get`](Self::get); or what the server says of the part.
    pub(crate) async fn part(&self, kind: &Kind, namespace: &str, name: &str, part: &str) -> Result<Json, ClientError> {
        match self.http.ask(&Ask::get(format!("{}/{part}", kind.path(Some(namespace), Some(name))))).await {
            Ok((_, body)) => self.parse(&body),
            Err(error) => Err(self.part_absent(kind, namespace, name, error).await),
        }
    }

    /// The same, byte for byte as it comes.
    ///
    /// # Errors
    /// As [`part`](Self::part).
    pub(crate) async fn part_as_it_comes(
        &self,
        kind: &Kind,
        namespace: &str,
        name: &str,
        part: &str,
    ) -> Result<Pieces, ClientError> {
        let path = format!("{}/{part}", kind.path(Some(namespace), Some(name)));
        match self.http.pieces(&Ask { accept: "*/*", ..Ask::get(path) }).await {
            Ok(pieces) => Ok(pieces),
            Err(error) => Err(self.part_absent(kind, namespace, name, error).await),
        }
    }

    /// What is not there: the part, or the object.
    async fn part_absent(&self, kind: &Kind, namespace: &str, name: &str, error: ClientError) -> ClientError {
        match self.find(kind, namespace, name).await {
            Ok(None) if error.is_absent() => self.absent(kind, namespace, name).await,
            _ => error,
        }
    }

    async fn absent(&self, kind: &Kind, namespace: &str, name: &str) -> ClientError {
        let place = if kind.namespaced { format!(" in namespace {namespace}") } else { String::new() };
        let what = format!("{}{place}", kind.short_object(name));
        ClientError::NotFound { what, hint: self.near(kind, namespace, name).await }
    }

    /// What may have been meant; a hint, so that nothing fails because of it.
    async fn near(&self, kind: &Kind, namespace: &str, name: &str) -> Option<String> {
        let everywhere = self.page(kind, None, &Selectors::default(), Form::Metadata, None).await.ok()?;
        let (items, _) = everywhere;
        let named = |item: &Json| (text(&item["metadata"]["namespace"]), text(&item["metadata"]["name"]));
        let all: Vec<(String, String)> = items.items.iter().map(named).collect();
        if let Some((elsewhere, _)) = all.iter().find(|(_, known)| known == name) {
            return Some(format!("there is one in namespace {elsewhere}: -n {elsewhere}"));
        }
        let here =
            all.iter().filter(|(place, _)| !kind.namespaced || place == namespace).map(|(_, name)| name.as_str());
        nearest_word(name, here).map(|near| format!("did you mean {near}?"))
    }

    /// All objects of a kind that are selected, as of one moment.
    pub(crate) async fn list(
        &self,
        kind: &Kind,
        namespace: Option<&str>,
        selectors: &Selectors,
        form: Form,
    ) -> Result<Listed, ClientError> {
        let (mut all, mut next) = self.page(kind, namespace, selectors, form, None).await?;
        while let Some(token) = next {
            let (page, after) = self.page(kind, namespace, selectors, form, Some(&token)).await?;
            all.items.extend(page.items);
            next = after;
        }
        Ok(all)
    }

    async fn page(
        &self,
        kind: &Kind,
        namespace: Option<&str>,
        selectors: &Selectors,
        form: Form,
        token: Option<&str>,
    ) -> Result<(Listed, Option<String>), ClientError> {
        let token = token.map(|token| format!("&continue={}", encode(token))).unwrap_or_default();
        let query = format!("limit={PAGE}{}{}{token}", selectors.query(), form.parameter());
        let ask = Ask { accept: form.accept(), ..Ask::get(format!("{}?{query}", kind.path(namespace, None))) };
        let (_, body) = self.http.ask(&ask).await?;
        let mut page = self.parse(&body)?;
        let next = text(&page["metadata"]["continue"]);
        let mut take = |name: &str| match page[name].take() {
            Json::Array(items) => items,
            _ => Vec::new(),
        };
        let mut items = take("items");
        items.extend(take("rows"));
        let columns = take("columnDefinitions");
        let version = text(&page["metadata"]["resourceVersion"]);
        Ok((Listed { version, columns, items }, Some(next).filter(|next| !next.is_empty())))
    }

    /// Applies a manifest by server-side apply. Answers with the object as it is then.
    pub(crate) async fn apply(
        &self,
        kind: &Kind,
        namespace: &str,
        manifest: &Json,
        force: bool,
        dry_run: bool,
    ) -> Result<(bool, Json), ClientError> {
        let name = manifest["metadata"]["name"].as_str().unwrap_or_default();
        let mut query = format!("?fieldManager={MANAGER}&fieldValidation=Strict&force={force}");
        if dry_run {
            query += "&dryRun=All";
        }
        let path = kind.path(Some(namespace), Some(name)) + &query;
        let body = Some(("application/apply-patch+yaml", manifest.to_string().into_bytes()));
        let ask = Ask { method: Method::PATCH, path, accept: "application/json", body };
        let (code, body) = self.http.ask(&ask).await?;
        Ok((code == 201, self.parse(&body)?))
    }

    /// Deletes an object, if it still is the one with that uid.
    pub(crate) async fn delete(
        &self,
        kind: &Kind,
        namespace: &str,
        name: &str,
        uid: &str,
        how: Deleting,
    ) -> Result<(), ClientError> {
        let mut options = json!({
            "apiVersion": "v1", "kind": "DeleteOptions", "preconditions": { "uid": uid },
        });
        if let Some(propagation) = how.propagation {
            options["propagationPolicy"] = json!(propagation);
        }
        if how.dry_run {
            options["dryRun"] = json!(["All"]);
        }
        let ask = Ask {
            method: Method::DELETE,
            path: kind.path(Some(namespace), Some(name)),
            accept: "application/json",
            body: Some(("application/json", options.to_string().into_bytes())),
        };
        self.http.ask(&ask).await.map(drop)
    }

    /// What becomes of objects after a version that a list or a get told.
    pub(crate) fn follow<'a>(
        &'a self,
        kind: &Kind,
        namespace: Option<&str>,
        selectors: &Selectors,
        form: Form,
        version: &str,
    ) -> Follow<'a> {
        let path = format!("{}?watch=true&allowWatchBookmarks=true", kind.path(namespace, None));
        let path = path + &selectors.query() + form.parameter();
        Follow::new(&self.http, Arc::clone(&self.clock), path, form.accept(), version)
    }

    fn parse(&self, body: &[u8]) -> Result<Json, ClientError> {
        serde_json::from_slice(body).map_err(|error| ClientError::Strange {
            at: self.http.endpoint().to_string(),
            why: format!("its answer is no JSON: {error}"),
        })
    }
}

fn text(value: &Json) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
