//! Budgets: a ceiling is set aside before a call, the truth is settled after.
