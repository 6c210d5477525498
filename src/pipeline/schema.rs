//! The JSON schema of a pipeline file, for editors.
