//! Parts of an object, each in its slot: whoever makes one twice makes it once.

use super::{Api, MAX_CONFLICTS};
use crate::lifecycle::FieldValidation;
use crate::names::MAX_SUBDOMAIN;
use crate::{Error, Expected, Key, Object, OwnerReference, Resource, Result, Scope, Spec, Violations};

/// How many characters of a name tell owners of one name apart.
const DIGEST: usize = 11;

impl<S: Spec> Object<S> {
    /// A part of `owner`, to be created with [`Api::create_child`]: in the owner's namespace, owned and managed by it. Its
    /// name follows from the owner's uid and the slot alone, such as the number of a replica or the name of a step; so
    /// there can be only one in each slot.
    ///
    /// ```
    /// # use roa_core::{Object, Scope, Spec};
    /// # use serde::{Deserialize, Serialize};
    /// # #[derive(Debug, Clone, Serialize, Deserialize)]
    /// # struct Step {}
    /// # impl Spec for Step {
    /// #     type Status = ();
    /// #     const GROUP: &'static str = "example.com";
    /// #     const VERSION: &'static str = "v1";
    /// #     const KIND: &'static str = "Step";
    /// #     const PLURAL: &'static str = "steps";
    /// #     const SCOPE: Scope = Scope::Namespaced;
    /// # }
    /// # let mut release = Object::new("default", "release", Step {});
    /// # release.metadata.uid = "4f1c".into();
    /// let build = Object::child_of(&release, "build", Step {});
    /// assert!(build.metadata.name.starts_with("release-build-"));
    /// assert_eq!(build.metadata.name, Object::child_of(&release, "build", Step {}).metadata.name);
    /// assert_eq!(build.metadata.controller().unwrap().uid, release.metadata.uid);
    /// ```
    #[must_use]
    pub fn child_of<O: Spec>(owner: &Object<O>, slot: &str, spec: S) -> Self {
        let metadata = &owner.metadata;
        let digest = digest(&[&metadata.uid, slot]);
        let room = MAX_SUBDOMAIN.saturating_sub(slot.len() + DIGEST + 2);
        let stem: String = metadata.name.chars().take(room).collect();
        let name = format!("{}-{slot}-{digest}", stem.trim_end_matches(['-', '.']));
        let namespace = if S::SCOPE == Scope::Cluster { "" } else { &*metadata.namespace };
        let mut child = Self::new(namespace, name, spec);
        child.metadata.owner_references.push(OwnerReference {
            api_version: if O::GROUP.is_empty() { O::VERSION.into() } else { format!("{}/{}", O::GROUP, O::VERSION) },
            kind: O::KIND.into(),
            name: metadata.name.clone(),
            uid: metadata.uid.clone(),
            controller: Some(true),
            block_owner_deletion: Some(true),
        });
        child
    }
}

impl<R: Resource> Api<R> {
    /// Creates a part of an object, as [`Object::child_of`] makes it, unless it is there already: gives what is there
    /// then. It is created only while its owner is there, with the uid that the part names, in one commit: neither a
    /// second part of the slot nor a part of an owner that is gone can come into the store, however old the cache was
    /// that somebody looked at, and however many do it at once.
    ///
    /// # Errors
    /// [`Error::NotFound`] of the owner, if it is gone or another one of its name is there;
    /// [`Error::AlreadyExists`] if what is there under the name is no part of this owner; [`Error::Invalid`] if the
    /// object names no owner that manages it; and as [`Api::create`].
    ///
    /// # Cancel safety
    /// As [`Api::create`].
    pub async fn create_child(&self, child: &R) -> Result<R> {
        for _ in 1..MAX_CONFLICTS {
            match self.try_create_child(child).await {
                // The owner was written meanwhile, or the part was.
                Err(Error::Conflict { .. }) => {}
                outcome => return outcome,
            }
        }
        self.try_create_child(child).await
    }

    async fn try_create_child(&self, child: &R) -> Result<R> {
        let metadata = child.metadata();
        let owner = metadata.controller().ok_or_else(|| no_owner(&metadata.name))?;
        let key = self.key(&metadata.namespace, &metadata.name)?;
        if let Some(there) = self.find(&key).await? {
            let same = there.metadata().controller().is_some_and(|other| other.uid == owner.uid);
            return if same { Ok(there) } else { Err(Error::AlreadyExists { key }) };
        }
        let owner_key = self.owner_key(&metadata.namespace, owner)?;
        let mut txn = self.resources().transaction();
        let found = txn.hold(&owner_key).await?;
        if found.metadata.uid != owner.uid {
            return Err(Error::NotFound { key: owner_key });
        }
        let tree = child.merge_into(None, self.blank())?;
        let place = txn.create(tree, FieldValidation::Ignore)?;
        match txn.commit().await {
            Ok(mut written) => self.read_back(written.swap_remove(place)),
            // Somebody else made it meanwhile: the next look tells who.
            Err(Error::AlreadyExists { key }) => {
                Err(Error::Conflict { key, expected: Expected::Absent, current: None })
            }
            Err(error) => Err(error),
        }
    }

    fn owner_key(&self, namespace: &str, owner: &OwnerReference) -> Result<Key> {
        self.resources().kinds().by_manifest(&owner.api_version, &owner.kind)?.key(namespace, &owner.name)
    }
}

fn no_owner(name: &str) -> Error {
    let wrong = Violations::one("metadata.ownerReferences", "names no owner with controller: true, expected one");
    Error::invalid(name.to_owned(), wrong)
}

/// Tells owners of one name apart: the upper 44 bits of FNV-1a (Fowler, Noll, Vo) over uid and slot.
fn digest(words: &[&str]) -> String {
    let bytes = words.iter().flat_map(|word| word.bytes().chain([0]));
    let hash =
        bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    let mut digest = format!("{hash:016x}");
    digest.truncate(DIGEST);
    digest
}
