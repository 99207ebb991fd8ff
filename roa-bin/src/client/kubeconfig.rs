//! [`Login`]: where to go and what to show there, from a kubeconfig as `roa kubeconfig` prints it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::ClientConfig;
use serde::Deserialize;

use super::tls::{self, Identity, Trust};
use super::{ClientError, Endpoint};

/// Bytes of the largest file.
const MAX_FILE: u64 = 1 << 20;

/// Where to go, and what to show there.
#[derive(Clone)]
pub(crate) struct Login {
    pub(super) endpoint: Endpoint,
    pub(super) token: Option<String>,
    /// The namespace of commands that name none.
    pub(super) namespace: Option<String>,
    trust: Trust,
    identity: Option<Identity>,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Login({})", self.endpoint)
    }
}

impl Login {
    /// With nothing to show.
    pub(crate) const fn anonymous(endpoint: Endpoint) -> Self {
        Self { endpoint, token: None, namespace: None, trust: Trust::System, identity: None }
    }

    /// With a token.
    pub(crate) fn with_token(endpoint: Endpoint, token: String) -> Self {
        Self { endpoint, token: Some(token), namespace: None, trust: Trust::System, identity: None }
    }

    /// The same, elsewhere.
    pub(crate) fn at(mut self, endpoint: Endpoint) -> Self {
        self.endpoint = endpoint;
        self
    }

    /// The same, trusting only these authorities, in PEM.
    pub(crate) fn trusting(mut self, authorities: Vec<u8>) -> Self {
        self.trust = Trust::Authorities(authorities);
        self
    }

    /// As the current context of a kubeconfig says. Reads the files that it names; blocks that long.
    ///
    /// # Errors
    /// What is wrong with which file.
    pub(crate) fn read(path: &Path) -> Result<Self, ClientError> {
        let text = read(path)?;
        let told = |why: String| ClientError::Login { what: format!("{}: {why}", path.display()) };
        let text = String::from_utf8(text).map_err(|_| told("it is no UTF-8".to_owned()))?;
        // What a parser says of a bad file may hold a part of a token.
        let file: File = serde_saphyr::from_str(&text).map_err(|_| told("it is no kubeconfig".to_owned()))?;
        file.login(path.parent().unwrap_or(Path::new(""))).map_err(told)
    }

    pub(super) fn tls_config(&self) -> Result<Arc<ClientConfig>, String> {
        tls::config(&self.trust, self.identity.as_ref())
    }
}

fn read(path: &Path) -> Result<Vec<u8>, ClientError> {
    use std::io::Read as _;
    let failed =
        |error: std::io::Error| ClientError::Login { what: format!("failed to read {}: {error}", path.display()) };
    let mut bytes = Vec::new();
    std::fs::File::open(path).map_err(failed)?.take(MAX_FILE).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct File {
    #[serde(default)]
    current_context: String,
    #[serde(default)]
    clusters: Vec<NamedCluster>,
    #[serde(default)]
    users: Vec<NamedUser>,
    #[serde(default)]
    contexts: Vec<NamedContext>,
}

#[derive(Deserialize)]
struct NamedCluster {
    name: String,
    cluster: Cluster,
}

#[derive(Deserialize)]
struct NamedUser {
    name: String,
    #[serde(default)]
    user: User,
}

#[derive(Deserialize)]
struct NamedContext {
    name: String,
    context: Context,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Cluster {
    server: String,
    certificate_authority: Option<PathBuf>,
    certificate_authority_data: Option<String>,
    #[serde(default)]
    insecure_skip_tls_verify: bool,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
struct User {
    token: Option<String>,
    #[serde(rename = "tokenFile")]
    token_file: Option<PathBuf>,
    client_certificate: Option<PathBuf>,
    client_certificate_data: Option<String>,
    client_key: Option<PathBuf>,
    client_key_data: Option<String>,
}

#[derive(Deserialize)]
struct Context {
    cluster: String,
    #[serde(default)]
    user: String,
    namespace: Option<String>,
}

impl File {
    /// Paths in it are below `folder`.
    fn login(self, folder: &Path) -> Result<Login, String> {
        let current = self.current_context;
        let context = self.contexts.into_iter().find(|context| context.name == current);
        let context =
            context.ok_or_else(|| format!("its current-context {current:?} is none of its contexts"))?.context;
        let cluster = self.clusters.into_iter().find(|cluster| cluster.name == context.cluster);
        let cluster = cluster.ok_or_else(|| format!("its cluster {:?} is missing", context.cluster))?.cluster;
        let user = self.users.into_iter().find(|user| user.name == context.user);
        let user = user.map(|user| user.user).unwrap_or_default();
        let authority = either(folder, cluster.certificate_authority_data, cluster.certificate_authority)?;
        let trust = match authority {
            Some(pem) => Trust::Authorities(pem),
            None if cluster.insecure_skip_tls_verify => Trust::Anybody,
            None => Trust::System,
        };
        let certificate = either(folder, user.client_certificate_data, user.client_certificate)?;
        let key = either(folder, user.client_key_data, user.client_key)?;
        Ok(Login {
            endpoint: cluster.server.parse()?,
            token: token(folder, user.token, user.token_file)?,
            namespace: context.namespace.filter(|namespace| !namespace.is_empty()),
            trust,
            identity: certificate.zip(key).map(|(certificate, key)| Identity { certificate, key }),
        })
    }
}

/// What stands in the file itself, or in another that it names.
fn either(folder: &Path, data: Option<String>, file: Option<PathBuf>) -> Result<Option<Vec<u8>>, String> {
    match (data, file) {
        (Some(data), _) => {
            STANDARD.decode(data.trim()).map(Some).map_err(|_| "a certificate or key in it is no base64".to_owned())
        }
        (None, Some(file)) => read(&folder.join(file)).map(Some).map_err(|error| error.to_string()),
        (None, None) => Ok(None),
    }
}

fn token(folder: &Path, token: Option<String>, file: Option<PathBuf>) -> Result<Option<String>, String> {
    let token = match (token, file) {
        (Some(token), _) => token,
        (None, Some(file)) => {
            let path = folder.join(file);
            let bytes = read(&path).map_err(|error| error.to_string())?;
            String::from_utf8(bytes).map_err(|_| format!("{} is no UTF-8", path.display()))?
        }
        (None, None) => return Ok(None),
    };
    let token = token.trim().to_owned();
    let proper = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
    if proper { Ok(Some(token)) } else { Err("its token has characters that no token has".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(user: &str, cluster: &str) -> Result<Login, String> {
        let text = format!(
            r#"{{"current-context":"roa","clusters":[{{"name":"roa","cluster":{cluster}}}],
            "users":[{{"name":"roa","user":{user}}}],
            "contexts":[{{"name":"roa","context":{{"cluster":"roa","user":"roa","namespace":"labs"}}}}]}}"#
        );
        serde_saphyr::from_str::<File>(&text).unwrap().login(Path::new("/nowhere"))
    }

    #[test]
    fn the_current_context_says_where_and_who() {
        let login = login(r#"{"token":" abc "}"#, r#"{"server":"http://127.0.0.1:8080"}"#).unwrap();
        assert_eq!(login.endpoint.to_string(), "http://127.0.0.1:8080");
        assert_eq!((login.token.as_deref(), login.namespace.as_deref()), (Some("abc"), Some("labs")));
        assert!(!format!("{login:?}").contains("abc"));
    }

    #[test]
    fn what_is_wrong_is_named_without_a_secret() {
        let server = r#"{"server":"http://127.0.0.1:8080"}"#;
        assert!(login(r#"{"tokenFile":"t"}"#, server).unwrap_err().contains("/nowhere/t"));
        assert!(login(r#"{"token":"a b"}"#, server).unwrap_err().contains("characters"));
        let told = login("{}", r#"{"server":"https://a","certificate-authority-data":"%"}"#).unwrap_err();
        assert!(told.contains("base64"), "{told}");
        assert!(login("{}", r#"{"server":"nope"}"#).unwrap_err().contains("expected http://"));
    }
}
