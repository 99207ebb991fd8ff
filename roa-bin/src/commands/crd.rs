//! `roa crd`: kinds of this program, as definitions that any API server of Kubernetes takes.

use std::sync::Arc;

use roa_core::KindDescriptor;
use roa_server::crd::to_crd;

use crate::cli::CrdArgs;
use crate::client::ClientError;
use crate::config::nearest_word;
use crate::engine;
use crate::report::{Failure, is_broken_pipe};
use crate::show::{Document, document, say_all};

/// Prints YAML to stdout, a document for each kind.
///
/// # Errors
/// There is no such kind.
pub(crate) fn run(args: &CrdArgs) -> Result<(), Failure> {
    match say_all(&definitions(&args.kinds)?) {
        Err(error) if !is_broken_pipe(&error) => Err(error.into()),
        _ => Ok(()),
    }
}

fn definitions(words: &[String]) -> anyhow::Result<String> {
    let registry = engine::kinds();
    let own: Vec<_> = registry.iter().filter(|kind| is_of_users(kind)).collect();
    let chosen = if words.is_empty() {
        own
    } else {
        words.iter().map(|word| find(&own, word)).collect::<Result<Vec<_>, _>>()?
    };
    let documents = chosen.into_iter().map(|kind| {
        let mut definition = to_crd(kind);
        // Whoever takes it says how it is there.
        if let Some(fields) = definition.as_object_mut() {
            fields.remove("status");
        }
        document(&definition, Document::Yaml)
    });
    Ok(documents.collect::<anyhow::Result<Vec<_>>>()?.join("---\n"))
}

/// Whether it is a kind that API servers do not have of their own.
fn is_of_users(kind: &KindDescriptor) -> bool {
    !kind.group.is_empty() && !kind.group.ends_with(".k8s.io")
}

fn find<'a>(kinds: &[&'a Arc<KindDescriptor>], word: &str) -> Result<&'a Arc<KindDescriptor>, ClientError> {
    kinds.iter().copied().find(|kind| kind.is_called(word)).ok_or_else(|| {
        let near = nearest_word(&word.to_lowercase(), kinds.iter().map(|kind| &*kind.plural));
        let all = || kinds.iter().map(|kind| &*kind.plural).collect::<Vec<_>>().join(", ");
        let hint = near.map_or_else(|| format!("there are {}", all()), |near| format!("did you mean {near}?"));
        ClientError::NotFound { what: format!("kind {word:?}"), hint: Some(hint) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value as Json;

    #[test]
    fn what_is_printed_is_a_definition_that_the_server_itself_would_take() {
        let text = definitions(&[]).unwrap();
        assert!(text.matches("kind: CustomResourceDefinition").count() >= 4, "{text}");
        for one in text.split("---\n") {
            let definition: Json = serde_saphyr::from_str(one).unwrap();
            assert_eq!(roa_server::crd::check(&definition).to_string(), "", "{one}");
        }
    }

    #[test]
    fn a_kind_is_named_as_people_name_it() {
        let of = |word: &str| definitions(&[word.to_owned()]);
        assert!(of("lab").unwrap().contains("name: labinstances.lab.neuroglia.com"));
        let stranger = of("labinstancs").unwrap_err();
        let hint = stranger.downcast_ref::<ClientError>().and_then(ClientError::hint);
        assert_eq!(hint.as_deref(), Some("did you mean labinstances?"));
        assert!(of("leases").is_err(), "others have that of their own");
    }
}
