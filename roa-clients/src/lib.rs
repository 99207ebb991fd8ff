//! Nothing but tests: clients of Kubernetes, unmodified, against the real `roa`. They stand in a crate of their own
//! because what they need takes long to build and nothing else does.
