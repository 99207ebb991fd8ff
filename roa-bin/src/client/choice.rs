//! Which objects a command means: `KIND NAME…`, `KIND/NAME…`, `KIND,KIND` or a category.

use super::{Client, ClientError, Kind};

/// Objects of one kind that a command means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chosen {
    pub(crate) kind: Kind,
    /// All that are selected, if there is none.
    pub(crate) names: Vec<String>,
}

/// What words of a command line mean.
///
/// # Errors
/// There is no such kind, or the words don't go together.
pub(crate) async fn choose(client: &Client, words: &[String]) -> Result<Vec<Chosen>, ClientError> {
    let Some((first, rest)) = words.split_first() else {
        return Err(ClientError::usage("no kind is named, expected KIND [NAME...] or KIND/NAME..."));
    };
    if first.contains('/') {
        return pairs(client, words).await;
    }
    if let Some(pair) = rest.iter().find(|word| word.contains('/')) {
        return Err(ClientError::usage(format!("{pair:?} has a kind of its own, but {first:?} before it has no name")));
    }
    let kinds = kinds(client, first).await?;
    if kinds.len() > 1 && !rest.is_empty() {
        return Err(ClientError::usage(format!("{first:?} are several kinds, expected one before names")));
    }
    Ok(kinds.into_iter().map(|kind| Chosen { kind, names: rest.to_vec() }).collect())
}

/// One object.
///
/// # Errors
/// As [`choose`]; or it is none, or several.
pub(crate) async fn one(client: &Client, words: &[String]) -> Result<(Kind, String), ClientError> {
    let mut chosen = choose(client, words).await?;
    match (chosen.pop(), chosen.is_empty()) {
        (Some(Chosen { kind, mut names }), true) if names.len() == 1 => Ok((kind, names.remove(0))),
        _ => Err(ClientError::usage(format!("{:?} names not one object, expected KIND/NAME", words.join(" ")))),
    }
}

async fn pairs(client: &Client, words: &[String]) -> Result<Vec<Chosen>, ClientError> {
    let mut chosen: Vec<Chosen> = Vec::new();
    for word in words {
        let pair =
            word.split_once('/').filter(|(kind, name)| !kind.is_empty() && !name.is_empty() && !name.contains('/'));
        let Some((kind, name)) = pair else {
            return Err(ClientError::usage(format!("{word:?} names no object, expected KIND/NAME")));
        };
        let kind = client.kind(kind).await?;
        match chosen.iter_mut().find(|known| known.kind == kind) {
            Some(known) => known.names.push(name.to_owned()),
            None => chosen.push(Chosen { kind, names: vec![name.to_owned()] }),
        }
    }
    Ok(chosen)
}

async fn kinds(client: &Client, list: &str) -> Result<Vec<Kind>, ClientError> {
    let mut found: Vec<Kind> = Vec::new();
    for word in list.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        let category = client.kinds().await?.category(word);
        let kinds =
            if category.is_empty() { vec![client.kind(word).await?] } else { category.into_iter().cloned().collect() };
        kinds.into_iter().for_each(|kind| {
            if !found.contains(&kind) {
                found.push(kind);
            }
        });
    }
    if found.is_empty() { Err(ClientError::usage(format!("{list:?} names no kind"))) } else { Ok(found) }
}
