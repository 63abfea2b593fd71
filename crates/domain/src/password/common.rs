//! Passwords that everybody tries first.

use std::io::Read;
use std::sync::OnceLock;

use flate2::read::GzDecoder;
use zeroize::Zeroizing;

use crate::text;

/// 20,000 passwords in lower case, one a line; from Django (`data/LICENSE.common-passwords`).
const COMPRESSED: &[u8] = include_bytes!("../../data/common-passwords.txt.gz");

/// Words that lead to this product (PW-05).
const CONTEXT: [&str; 4] = ["bookstore", "bookstore-auth", "bookstoreauth", "bookstore_auth"];

/// Whether it is, as a whole and but for case and outer white space, a common password.
pub(super) fn is_common(password: &str) -> bool {
    let lower = Zeroizing::new(password.to_lowercase());
    let word = text::trim(&lower);
    CONTEXT.contains(&word) || list().contains(word)
}

/// The list, unpacked once: one text and where its lines begin, half the memory of a table of strings.
struct List {
    text: String,
    /// Start and end of each line, in the order of the lines' bytes.
    lines: Vec<(u32, u32)>,
}

impl List {
    fn contains(&self, word: &str) -> bool {
        self.lines.binary_search_by(|line| self.line(*line).cmp(word)).is_ok()
    }

    fn line(&self, (start, end): (u32, u32)) -> &str {
        &self.text[start as usize..end as usize]
    }
}

fn list() -> &'static List {
    static LIST: OnceLock<List> = OnceLock::new();
    LIST.get_or_init(|| {
        let mut text = String::new();
        GzDecoder::new(COMPRESSED).read_to_string(&mut text).expect("the list is part of the program");
        let mut lines: Vec<(u32, u32)> = text
            .lines()
            .map(text::trim)
            .map(|line| {
                let start = line.as_ptr() as usize - text.as_ptr() as usize;
                (start as u32, (start + line.len()) as u32)
            })
            .collect();
        lines.sort_unstable_by_key(|(start, end)| text[*start as usize..*end as usize].to_owned());
        List { text, lines }
    })
}
