//! What everybody may do, whatever the roles say: look whether the server lives, and what there is to ask for.

use std::sync::LazyLock;

use super::Rule;
use crate::auth::{AUTHENTICATED, User};

/// Those who were recognised may see what there is, and ask about themselves.
static FOR_USERS: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    let paths = ["/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*"];
    vec![
        Rule::on_paths(&["get", "head"], &paths),
        Rule::on_resources(
            &["create"],
            &["authorization.k8s.io"],
            &["selfsubjectaccessreviews", "selfsubjectrulesreviews"],
        ),
        Rule::on_resources(&["create"], &["authentication.k8s.io"], &["selfsubjectreviews"]),
    ]
});

static FOR_ALL: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    let paths = ["/healthz", "/healthz/*", "/livez", "/livez/*", "/readyz", "/readyz/*", "/version", "/version/"];
    vec![Rule::on_paths(&["get", "head"], &paths)]
});

pub(super) fn rules(user: &User) -> impl Iterator<Item = &'static Rule> {
    let for_users: &[Rule] = if user.is_in(AUTHENTICATED) { &FOR_USERS } else { &[] };
    FOR_ALL.iter().chain(for_users)
}
