//! What is wrong with a configuration, all of it at once, each with how to mend it.

use std::fmt;

/// One problem. Neither text may hold a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// What is wrong.
    pub(crate) what: String,
    /// How to mend it.
    pub(crate) mend: String,
}

impl Problem {
    /// A problem and how to mend it.
    pub(crate) fn new(what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { what: what.into(), mend: mend.into() }
    }
}

/// Every problem of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problems(pub(crate) Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => writeln!(out, "the configuration has a problem:")?,
            count => writeln!(out, "the configuration has {count} problems:")?,
        }
        for (index, problem) in self.0.iter().enumerate() {
            write!(out, "\n  {}. {}\n     To mend it: {}\n", index + 1, problem.what, problem.mend)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// The known word nearest to a mistyped one, if any is near.
pub(crate) fn nearest<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let typed = typed.to_ascii_uppercase();
    known
        .into_iter()
        .map(|name| (strsim::jaro_winkler(&typed, &name.to_ascii_uppercase()), name))
        .filter(|(likeness, _)| *likeness > 0.85)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_word() {
        let known = ["BIND", "DATABASE_URL", "REFRESH_GRACE", "SECRET_KEY"];
        assert_eq!(nearest("databse_url", known), Some("DATABASE_URL"));
        assert_eq!(nearest("refresh-grace", known), Some("REFRESH_GRACE"));
        assert_eq!(nearest("colour", known), None);
    }

    #[test]
    fn all_problems_are_listed() {
        let text = Problems(vec![Problem::new("A is bad.", "do a."), Problem::new("B is bad.", "do b.")])
            .to_string();
        assert_eq!(
            text,
            "the configuration has 2 problems:\n\n  1. A is bad.\n     To mend it: do a.\n\n  2. B is bad.\n     To mend it: do b.\n"
        );
    }
}
