//! Routes: which provider answers for a name.
