//! TLS for the API: certificates from files, or one that is made at the start.
