//! Character classes as Python has them, because the service we replace was written in it.

use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};

/// Python's `str.isspace`: what `str.strip` removes. Unlike Rust's `char::is_whitespace` it includes U+001C..1F.
pub(crate) fn is_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{1c}'..='\u{1f}')
}

/// Python's `str.strip()`.
pub(crate) fn trim(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// Python's `\w`: letters and numbers of any script (general categories L and N), and the underscore.
pub(crate) fn is_word(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_alphanumeric() || c == '_';
    }
    matches!(c.general_category_group(), GeneralCategoryGroup::Letter | GeneralCategoryGroup::Number)
}

/// Python's `str.isdigit` for one character: decimal digits, and digits in special forms (superscript, circled).
pub(crate) fn is_digit(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_digit();
    }
    c.general_category() == GeneralCategory::DecimalNumber || is_special_digit(c)
}

/// Numeric_Type=Digit of the Unicode character database (no crate of ours carries that property).
fn is_special_digit(c: char) -> bool {
    matches!(c,
        '\u{b2}'..='\u{b3}' | '\u{b9}' | '\u{1369}'..='\u{1371}' | '\u{19da}' | '\u{2070}' | '\u{2074}'..='\u{2079}'
        | '\u{2080}'..='\u{2089}' | '\u{2460}'..='\u{2468}' | '\u{2474}'..='\u{247c}' | '\u{2488}'..='\u{2490}'
        | '\u{24ea}' | '\u{24f5}'..='\u{24fd}' | '\u{24ff}' | '\u{2776}'..='\u{277e}' | '\u{2780}'..='\u{2788}'
        | '\u{278a}'..='\u{2792}' | '\u{10a40}'..='\u{10a43}' | '\u{10e60}'..='\u{10e68}' | '\u{11052}'..='\u{1105a}'
        | '\u{1f100}'..='\u{1f10a}')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Printed by Python 3.11: `[c for c in range(0x110000) if chr(c).isspace()]`.
    const PYTHON_SPACES: [u32; 29] = [
        0x9, 0xa, 0xb, 0xc, 0xd, 0x1c, 0x1d, 0x1e, 0x1f, 0x20, 0x85, 0xa0, 0x1680, 0x2000, 0x2001, 0x2002,
        0x2003, 0x2004, 0x2005, 0x2006, 0x2007, 0x2008, 0x2009, 0x200a, 0x2028, 0x2029, 0x202f, 0x205f,
        0x3000,
    ];

    #[test]
    fn spaces_are_pythons() {
        let ours: Vec<u32> =
            (0..=0x10_ffff).filter_map(char::from_u32).filter(|c| is_space(*c)).map(u32::from).collect();
        assert_eq!(ours, PYTHON_SPACES);
    }

    #[test]
    fn trims_only_the_ends() {
        assert_eq!(trim("\u{1c}\u{a0} a b\u{85}\u{3000}\n"), "a b");
        assert_eq!(
            trim("\u{200b}a\u{180e}"),
            "\u{200b}a\u{180e}",
            "zero-width characters are no white space"
        );
        assert_eq!(trim(" \t\u{2028}"), "");
    }

    #[test]
    fn word_characters_are_letters_numbers_and_the_underscore() {
        for c in ['a', 'Z', '0', '_', 'é', 'ﬁ', '½', '²', 'Ⅷ', '漢', '\u{17000}', '\u{3021}', 'ـ'] {
            assert!(is_word(c), "{c:?}");
        }
        for c in [' ', '-', '@', '\u{301}', '€', '\u{203f}', '\u{e000}', '\u{ffff}', '°', '\u{200b}'] {
            assert!(!is_word(c), "{c:?}");
        }
    }

    #[test]
    fn digits_include_special_forms_but_no_other_numbers() {
        for c in ['7', '٣', '²', '①', '➉', '\u{1f10a}'] {
            assert_eq!(is_digit(c), c != '➉', "{c:?}");
        }
        for c in ['½', 'Ⅷ', '一', 'a'] {
            assert!(!is_digit(c), "{c:?}");
        }
    }
}
