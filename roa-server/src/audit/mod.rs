//! The audit log: who wrote what, and whether it was allowed.
