//! A cell of a CSV file that a spreadsheet would take for a formula is written with an apostrophe before it, and read without
//! it (AD-06, OWASP CSV Injection).

use std::borrow::Cow;

/// Spreadsheets take what begins with one of these for a formula; the apostrophe itself is here so that reading is exact.
const MARKED: [char; 8] = ['=', '+', '-', '@', '\t', '\r', '\n', '\''];

/// As it is written.
pub(super) fn written(text: &str) -> Cow<'_, str> {
    if text.starts_with(MARKED) { Cow::Owned(format!("'{text}")) } else { Cow::Borrowed(text) }
}

/// As it is read: only an apostrophe that [`written`] may have put there is taken away.
pub(super) fn read(cell: &str) -> &str {
    match cell.strip_prefix('\'') {
        Some(rest) if rest.starts_with(MARKED) => rest,
        _ => cell,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // AD-06
    #[test]
    fn formulas_are_inert_and_come_back() {
        for text in ["=1+1", "+1", "-1", "@x", "\tx", "\rx", "\nx", "'x", "''=x", "'", "ann", "", "a=b", "’x"]
        {
            let cell = written(text);
            assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']), "{cell:?}");
            assert_eq!(read(&cell), text);
        }
        assert_eq!(read("'ann"), "'ann", "another program's apostrophe");
    }
}
