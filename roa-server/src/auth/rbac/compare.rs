//! Whether some rules cover others, in a bounded number of steps.

use std::collections::{BTreeSet, HashSet};

use super::Rule;
use super::rule::ALL;

/// More single permissions than this in one role are not compared, and refused.
const MAX_PERMISSIONS: usize = 100_000;
/// More comparisons of one permission with one rule are not made, and what is given is refused.
const MAX_COMPARISONS: usize = 2_000_000;

/// What of `given` no rule of `held` covers, in words; nothing if all is.
pub(super) fn missing(held: &[Rule], given: &[Rule]) -> Result<(), String> {
    let held: Vec<Held<'_>> = held.iter().map(Held::of).collect();
    let (mut permissions, mut comparisons) = (0_usize, 0_usize);
    for rule in given {
        let given = Given::of(rule);
        permissions = permissions.saturating_add(given.size());
        if permissions > MAX_PERMISSIONS {
            return Err(format!("more than {MAX_PERMISSIONS} single permissions can't be compared"));
        }
        for wanted in given.permissions() {
            let mut covered = false;
            for held in &held {
                comparisons = comparisons.saturating_add(held.weight(&wanted));
                covered = held.covers(&wanted);
                if covered || comparisons > MAX_COMPARISONS {
                    break;
                }
            }
            if comparisons > MAX_COMPARISONS {
                return Err(format!("more than {MAX_COMPARISONS} comparisons with what is held can't be made"));
            }
            if !covered {
                return Err(wanted.describe());
            }
        }
    }
    Ok(())
}

/// One verb on one resource (of one name, or of all), or on one path.
#[derive(Debug, Clone, Copy)]
enum Permission<'a> {
    Resource { verb: &'a str, group: &'a str, resource: &'a str, name: Option<&'a str> },
    Path { verb: &'a str, path: &'a str },
}

impl Permission<'_> {
    fn describe(&self) -> String {
        match self {
            Self::Path { verb, path } => format!("{{NonResourceURLs:[{path:?}], Verbs:[{verb:?}]}}"),
            Self::Resource { verb, group, resource, name } => {
                let names = name.map(|name| format!(", ResourceNames:[{name:?}]")).unwrap_or_default();
                format!("{{APIGroups:[{group:?}], Resources:[{resource:?}]{names}, Verbs:[{verb:?}]}}")
            }
        }
    }
}

/// A rule that is given, with nothing named twice.
struct Given<'a> {
    verbs: BTreeSet<&'a str>,
    groups: BTreeSet<&'a str>,
    resources: BTreeSet<&'a str>,
    /// `None` for all names.
    names: BTreeSet<Option<&'a str>>,
    paths: BTreeSet<&'a str>,
}

impl<'a> Given<'a> {
    fn of(rule: &'a Rule) -> Self {
        let all = rule.resource_names.is_empty().then_some(None);
        Self {
            verbs: each(&rule.verbs),
            groups: each(&rule.api_groups),
            resources: each(&rule.resources),
            names: rule.resource_names.iter().map(|name| Some(name.as_str())).chain(all).collect(),
            paths: each(&rule.non_resource_urls),
        }
    }

    /// How many permissions it has.
    fn size(&self) -> usize {
        let resources = [self.groups.len(), self.resources.len(), self.names.len()];
        let resources = resources.into_iter().fold(1, usize::saturating_mul);
        self.verbs.len().saturating_mul(resources.saturating_add(self.paths.len()))
    }

    fn permissions(&self) -> impl Iterator<Item = Permission<'a>> {
        self.verbs.iter().flat_map(move |&verb| {
            let paths = self.paths.iter().map(move |&path| Permission::Path { verb, path });
            let groups = self.groups.iter();
            let pairs = groups.flat_map(move |&group| self.resources.iter().map(move |&resource| (group, resource)));
            let resources = pairs.flat_map(move |(group, resource)| {
                self.names.iter().map(move |&name| Permission::Resource { verb, group, resource, name })
            });
            resources.chain(paths)
        })
    }
}

/// A rule that is held, laid out so that one look tells whether something is named.
struct Held<'a> {
    verbs: HashSet<&'a str>,
    groups: HashSet<&'a str>,
    resources: HashSet<&'a str>,
    /// No names are all names.
    names: HashSet<&'a str>,
    paths: HashSet<&'a str>,
    /// The paths that are beginnings of others.
    beginnings: BTreeSet<&'a str>,
}

impl<'a> Held<'a> {
    fn of(rule: &'a Rule) -> Self {
        Self {
            verbs: each(&rule.verbs),
            groups: each(&rule.api_groups),
            resources: each(&rule.resources),
            names: each(&rule.resource_names),
            paths: each(&rule.non_resource_urls),
            beginnings: rule.non_resource_urls.iter().filter_map(|path| path.strip_suffix(ALL)).collect(),
        }
    }

    /// How many looks it takes to tell whether it covers a permission.
    fn weight(&self, wanted: &Permission<'_>) -> usize {
        match wanted {
            Permission::Path { .. } => 1 + self.beginnings.len(),
            Permission::Resource { .. } => 1,
        }
    }

    /// Whether it allows all that a permission does. A star in the permission only a star covers.
    fn covers(&self, wanted: &Permission<'_>) -> bool {
        match *wanted {
            Permission::Path { verb, path } => {
                let begins = || self.beginnings.iter().any(|beginning| path.starts_with(beginning));
                has(&self.verbs, verb) && (self.paths.contains(path) || begins())
            }
            Permission::Resource { verb, group, resource, name } => {
                let named = self.names.is_empty() || name.is_some_and(|name| self.names.contains(name));
                has(&self.verbs, verb) && has(&self.groups, group) && self.covers_resource(resource) && named
            }
        }
    }

    fn covers_resource(&self, wanted: &str) -> bool {
        let of_every = || wanted.split_once('/').is_some_and(|(_, sub)| self.resources.contains(&*format!("*/{sub}")));
        has(&self.resources, wanted) || of_every()
    }
}

fn has(named: &HashSet<&str>, wanted: &str) -> bool {
    named.contains(wanted) || named.contains(ALL)
}

fn each<'a, C: FromIterator<&'a str>>(list: &'a [String]) -> C {
    list.iter().map(String::as_str).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(name: &str, resources: &[&str], count: usize) -> Vec<Rule> {
        let one = |at| {
            let mut rule = Rule::on_resources(&["get"], &["lab"], resources);
            rule.resource_names = vec![format!("{name}-{at}")];
            rule
        };
        (0..count).map(one).collect()
    }

    #[test]
    fn what_is_named_a_hundred_times_is_compared_once() {
        let held = names("a", &["labtemplates"; 100], 100);
        let given = names("a", &["labinstances"; 100], 100);
        assert_eq!(Given::of(&given[0]).size(), 1);
        assert!(missing(&held, &given).unwrap_err().contains("labinstances"));
        assert_eq!(missing(&held, &held), Ok(()));
    }

    #[test]
    fn t8_very_many_comparisons_are_refused_rather_than_made() {
        let held = names("a", &["labs"], 5_000);
        assert_eq!(missing(&held, &held[..300]), Ok(()));
        let refused = missing(&held, &held).unwrap_err();
        assert!(refused.contains("more than 2000000 comparisons"), "{refused}");
        let beginnings: Vec<String> = (0..5_000).map(|at| format!("/{at}/*")).collect();
        let held = [Rule { non_resource_urls: beginnings, ..Rule::on_paths(&["get"], &[]) }];
        let given: Vec<String> = (0..5_000).map(|at| format!("/4999/{at}")).collect();
        let given = [Rule { non_resource_urls: given, ..Rule::on_paths(&["get"], &[]) }];
        assert!(missing(&held, &given).unwrap_err().contains("comparisons"));
    }
}
