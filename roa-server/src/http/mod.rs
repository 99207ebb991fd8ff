//! The HTTP of the API: from a connection to an answer.
