//! Requests that a web page of somebody else makes in the browser of a user of this machine.

use std::net::IpAddr;

/// Whether a request to an API that is open to this machine may come from somebody else's web page: such a page reaches
/// loopback addresses, by their own name (DNS rebinding) or by a form that is posted across sites. To be refused with
/// 403 where no one is recognised; a Unix socket no browser reaches.
///
/// Takes the headers `Host`, `Origin` and `Sec-Fetch-Site`.
///
/// ```
/// use roa_server::auth::is_foreign_page;
/// assert!(!is_foreign_page(Some("127.0.0.1:8080"), None, None));
/// assert!(is_foreign_page(Some("rebound.example.com:8080"), None, None));
/// assert!(is_foreign_page(Some("127.0.0.1:8080"), Some("https://example.com"), None));
/// ```
#[must_use]
pub fn is_foreign_page(host: Option<&str>, origin: Option<&str>, site: Option<&str>) -> bool {
    let foreign_host = host.is_some_and(|host| !is_this_machine(host));
    let foreign_origin = origin.is_some_and(|origin| {
        let own = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        own.is_none() || own != host
    });
    foreign_host || foreign_origin || matches!(site, Some("cross-site" | "same-site"))
}

fn is_this_machine(host: &str) -> bool {
    let name = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
    let name = name.map_or(host, |(name, _)| name);
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    let is_name = name.eq_ignore_ascii_case("localhost") || name.to_ascii_lowercase().ends_with(".localhost");
    is_name || address.parse().is_ok_and(|address: IpAddr| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_and_addresses_of_this_machine_are_its_own() {
        for host in ["localhost", "LOCALHOST:80", "127.0.0.1:1", "[::1]:1", "[::1]", "a.localhost:1", "127.1.2.3"] {
            assert!(!is_foreign_page(Some(host), None, None), "{host}");
        }
        for host in ["", "example.com", "127.0.0.1.example.com:1", "10.0.0.1", "localhost.example.com", "[::2]:1"] {
            assert!(is_foreign_page(Some(host), None, None), "{host}");
        }
        assert!(!is_foreign_page(None, None, None));
    }

    #[test]
    fn a_page_of_another_place_is_foreign_also_on_this_machine() {
        let host = Some("localhost:8080");
        assert!(!is_foreign_page(host, Some("http://localhost:8080"), Some("same-origin")));
        for origin in ["http://localhost:3000", "null", "https://example.com"] {
            assert!(is_foreign_page(host, Some(origin), None), "{origin}");
        }
        assert!(is_foreign_page(host, None, Some("cross-site")) && is_foreign_page(host, None, Some("same-site")));
        assert!(!is_foreign_page(host, None, Some("none")), "typed in by the user");
    }
}
