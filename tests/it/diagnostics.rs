//! What is wrong with a file, said well: one fixture per diagnostic code.
