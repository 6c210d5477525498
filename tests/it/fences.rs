//! Commands and YAML in Markdown files are true.
