//! `$1` means the same on every engine, except on SQLite: there it is a *name*, numbered by first appearance, so that
//! binding by position silently swaps the values of `$2 .. $1`. `?1` is SQLite's spelling of what we mean.

/// Rewrites `$n` to `?n`, leaving quoted text and comments alone.
pub(super) fn numbered(sql: &str) -> String {
    let mut rewritten = String::with_capacity(sql.len());
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '\'' | '"' => quoted(rest, first),
            '-' if rest.starts_with("--") => until(rest, "\n"),
            '/' if rest.starts_with("/*") => until(rest, "*/"),
            '$' if rest[1..].starts_with(|next: char| next.is_ascii_digit()) => {
                rewritten.push('?');
                rest = &rest[1..];
                continue;
            }
            other => other.len_utf8(),
        };
        rewritten.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    rewritten
}

/// The length of a quoted text with its quotes. A doubled quote inside looks like two texts in a row: as good here.
fn quoted(text: &str, quote: char) -> usize {
    text[1..].find(quote).map_or(text.len(), |at| at + 2)
}

fn until(text: &str, end: &str) -> usize {
    text[2..].find(end).map_or(text.len(), |at| at + 2 + end.len())
}

#[cfg(test)]
mod tests {
    use super::numbered;

    #[test]
    fn only_parameters_are_rewritten() {
        for (given, expected) in [
            ("SELECT $2, $1, $12", "SELECT ?2, ?1, ?12"),
            ("SELECT '$1', \"$2\", $3", "SELECT '$1', \"$2\", ?3"),
            ("SELECT 'it''s $1' || $1", "SELECT 'it''s $1' || ?1"),
            ("SELECT $1 -- $2\n, $2 /* $3 */ + $3", "SELECT ?1 -- $2\n, ?2 /* $3 */ + ?3"),
            ("SELECT 'ß$1', $1 -- ü$1", "SELECT 'ß$1', ?1 -- ü$1"),
            ("SELECT '$1", "SELECT '$1"),
            ("SELECT $ /* $1", "SELECT $ /* $1"),
            ("", ""),
        ] {
            assert_eq!(numbered(given), expected);
        }
    }
}
