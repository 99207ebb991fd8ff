//! JSON patch and JSON merge patch, bounded.
