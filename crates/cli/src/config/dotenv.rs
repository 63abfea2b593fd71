//! `.env` files, read literally.
//!
//! The replaced service kept its settings in `.env`, and its secrets hold `$`, `#` and `(`. So nothing is interpolated,
//! nothing after a `#` inside a line is a comment, and no backslash means anything: a line is `NAME=value`, both trimmed;
//! a value that stands wholly in matching quotes loses them. Lines that start with `#` and empty lines are skipped, a
//! leading `export ` is allowed. Of a name that comes twice the last value counts.

/// A line that is not `NAME=value`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadLine {
    /// Counted from one.
    pub(crate) line: usize,
}

/// The names and values in the order they were written, and the lines that could not be read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct DotEnv {
    /// Names and values.
    pub(crate) values: Vec<(String, String)>,
    /// Lines that could not be read. What they hold is not kept: it may be a secret.
    pub(crate) bad: Vec<BadLine>,
}

/// Reads the text of a `.env` file.
pub(crate) fn parse(text: &str) -> DotEnv {
    let mut result = DotEnv::default();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let assignment = line.strip_prefix("export ").unwrap_or(line);
        match assignment.split_once('=') {
            Some((name, value)) if is_name(name.trim()) => {
                result.values.push((name.trim().to_owned(), unquote(value.trim()).to_owned()));
            }
            _ => result.bad.push(BadLine { line: index + 1 }),
        }
    }
    result
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

fn unquote(value: &str) -> &str {
    for quote in ['"', '\''] {
        if let Some(inner) = value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote)) {
            return inner;
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> String {
        let parsed = parse(text);
        assert_eq!(parsed.bad, [], "{text}");
        parsed.values.into_iter().next().map(|(_, value)| value).unwrap()
    }

    #[test]
    fn values_are_literal() {
        let cases = [
            ("A=b", "b"),
            ("A = b ", "b"),
            ("export A=b", "b"),
            ("A=$HOME ${X} $(id) `id`", "$HOME ${X} $(id) `id`"),
            ("A=x#y # not a comment", "x#y # not a comment"),
            ("A=(a=b)&c\\n", "(a=b)&c\\n"),
            ("A=\"quoted # $x\"", "quoted # $x"),
            ("A='single \"inner\"'", "single \"inner\""),
            ("A=\" keeps spaces \"", " keeps spaces "),
            ("A=\"unbalanced", "\"unbalanced"),
            ("A=mixed'\"", "mixed'\""),
            ("A=\"a\"b\"", "a\"b"),
            ("A=\"", "\""),
            ("A=\"\"", ""),
            ("A=", ""),
            ("\u{feff}A=b\r\n", "b"),
        ];
        for (text, expected) in cases {
            assert_eq!(value(text), expected, "{text}");
        }
    }

    #[test]
    fn skips_comments_and_names_bad_lines_without_their_content() {
        let parsed = parse("# SECRET_KEY=x\n\n  # more\nBIND=a\nthe secret itself\n=x\nBIND=b\n");
        assert_eq!(parsed.bad, [BadLine { line: 5 }, BadLine { line: 6 }]);
        assert_eq!(parsed.values, [("BIND".into(), "a".into()), ("BIND".into(), "b".into())]);
        assert!(!format!("{:?}", parsed.bad).contains("secret"));
    }
}
