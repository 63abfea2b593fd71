//! Domain names in letters of the world to ASCII, by RFC 3490 (IDNA 2003) as Python's `idna` codec does it.
//!
//! It only serves to accept the addresses that the service we replace accepted; whoever sends mail or connects
//! somewhere uses today's rules (UTS 46). Unassigned code points are allowed, as in query strings.

use stringprep::tables;
use unicode_normalization::UnicodeNormalization;

const MAX_LABEL: usize = 63;

/// The ASCII form of a domain with other letters in it; `None` when it has none, or is ASCII already.
pub(super) fn to_ascii(domain: &str) -> Option<String> {
    if domain.is_ascii() {
        return None;
    }
    let mut labels: Vec<&str> = domain.split(['.', '\u{3002}', '\u{ff0e}', '\u{ff61}']).collect();
    let trailing_dot = labels.last() == Some(&"");
    if trailing_dot {
        labels.pop();
    }
    let mut ascii = labels.into_iter().map(label_to_ascii).collect::<Option<Vec<_>>>()?.join(".");
    if trailing_dot {
        ascii.push('.');
    }
    Some(ascii)
}

fn label_to_ascii(label: &str) -> Option<String> {
    let label = if label.is_ascii() { label.to_owned() } else { nameprep(label)? };
    let encoded = match label.is_ascii() {
        true => label,
        false if label.starts_with("xn--") => return None,
        // Every character costs at least one in the encoding: a bound on the work.
        false if label.chars().count() > MAX_LABEL => return None,
        false => format!("xn--{}", punycode(&label)?),
    };
    (1..=MAX_LABEL).contains(&encoded.len()).then_some(encoded)
}

/// RFC 3491: map, normalise, refuse prohibited characters and mixed directions.
fn nameprep(label: &str) -> Option<String> {
    let mut mapped = String::with_capacity(label.len());
    for c in label.chars().filter(|c| !tables::commonly_mapped_to_nothing(*c)) {
        // The table knows Unicode 3.2; Python lower-cases later letters.
        match tables::unassigned_code_point(c) {
            true => mapped.extend(c.to_lowercase()),
            false => mapped.extend(tables::case_fold_for_nfkc(c)),
        }
    }
    let normal = nfkc_unicode_3_2(&mapped);
    (!normal.chars().any(is_prohibited) && has_one_direction(&normal)).then_some(normal)
}

/// NFKC as of Unicode 3.2: what was unassigned then stays as it is.
fn nfkc_unicode_3_2(text: &str) -> String {
    let mut normal = String::with_capacity(text.len());
    for run in text.split_inclusive(tables::unassigned_code_point) {
        let known = run.trim_end_matches(tables::unassigned_code_point);
        normal.extend(known.nfkc());
        normal.push_str(&run[known.len()..]);
    }
    normal
}

/// Tables C.1.2, C.2.2 and C.3 to C.9 of RFC 3454 (a Rust text holds no surrogates, C.5).
fn is_prohibited(c: char) -> bool {
    tables::non_ascii_space_character(c)
        || tables::non_ascii_control_character(c)
        || tables::private_use(c)
        || tables::non_character_code_point(c)
        || tables::inappropriate_for_plain_text(c)
        || tables::inappropriate_for_canonical_representation(c)
        || tables::change_display_properties_or_deprecated(c)
        || tables::tagging_character(c)
}

/// RFC 3454 section 6: a label with right-to-left letters begins and ends with one and has no left-to-right letters.
fn has_one_direction(label: &str) -> bool {
    let is_rtl = |c: char| !tables::unassigned_code_point(c) && tables::bidi_r_or_al(c);
    let is_ltr = |c: char| !tables::unassigned_code_point(c) && tables::bidi_l(c);
    if !label.chars().any(is_rtl) {
        return true;
    }
    !label.chars().any(is_ltr) && label.starts_with(is_rtl) && label.ends_with(is_rtl)
}

/// RFC 3492 section 6.3. `None` when a number overflows, which cannot happen in a label of 63 characters.
fn punycode(label: &str) -> Option<String> {
    let mut output: String = label.chars().filter(char::is_ascii).collect();
    let basic = u32::try_from(output.len()).ok()?;
    if basic > 0 {
        output.push('-');
    }
    let total = u32::try_from(label.chars().count()).ok()?;
    let (mut n, mut delta, mut bias, mut handled) = (128, 0_u32, 72, basic);
    while handled < total {
        let next = label.chars().map(u32::from).filter(|c| *c >= n).min()?;
        delta = delta.checked_add((next - n).checked_mul(handled + 1)?)?;
        n = next;
        for c in label.chars().map(u32::from) {
            if c < n {
                delta = delta.checked_add(1)?;
            }
            if c == n {
                push_number(&mut output, delta, bias);
                bias = adapt(delta, handled + 1, handled == basic);
                delta = 0;
                handled += 1;
            }
        }
        delta += 1;
        n += 1;
    }
    Some(output)
}

fn push_number(output: &mut String, mut number: u32, bias: u32) {
    let digit = |value: u32| char::from_digit(if value < 26 { value + 10 } else { value - 26 }, 36);
    for k in (36_u32..).step_by(36) {
        let threshold = k.saturating_sub(bias).clamp(1, 26);
        if number < threshold {
            break;
        }
        output.extend(digit(threshold + (number - threshold) % (36 - threshold)));
        number = (number - threshold) / (36 - threshold);
    }
    output.extend(digit(number));
}

fn adapt(delta: u32, points: u32, first: bool) -> u32 {
    let mut delta = if first { delta / 700 } else { delta / 2 };
    delta += delta / points;
    let mut k = 0;
    while delta > 455 {
        delta /= 35;
        k += 36;
    }
    k + 36 * delta / (delta + 38)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_encoded_as_in_rfc_3492() {
        // Section 7.1: (A) Arabic, (B) Chinese, (D) Czech, (L) Japanese with ASCII, (S) ASCII only beside.
        for (label, encoded) in [
            ("ليهمابتكلموشعربي؟", "egbpdaj6bu4bxfgehfvwxn"),
            ("他们为什么不说中文", "ihqwcrb4cv8a8dqg056pqjye"),
            ("pročprostěnemluvíčesky", "proprostnemluvesky-uyb24dma41a"),
            ("3年b組金八先生", "3b-ww4c5e180e575a65lsy2b"),
        ] {
            assert_eq!(punycode(label).as_deref(), Some(encoded));
        }
    }

    #[test]
    fn domains_are_mapped_as_python_maps_them() {
        for (domain, ascii) in [
            ("exämple.com", Some("xn--exmple-cua.com")),
            ("例子.测试", Some("xn--fsqu00a.xn--0zwm56d")),
            ("BÜCHER。ex．com", Some("xn--bcher-kva.ex.com")),
            ("straße.de", Some("strasse.de")),
            ("exam\u{200b}ple.com", Some("example.com")),
            ("b\u{212a}.com.", Some("bk.com.")),
            ("אב.com", Some("xn--4dbc.com")),
            ("אaב.com", None),
            ("ä..com", None),
            ("ä\u{a0}.com", Some("xn-- -zfa.com")),
            ("ä\u{1680}.com", None),
            ("ä\u{202e}.com", None),
            ("xn--ä.com", None),
            ("example.com", None),
        ] {
            assert_eq!(to_ascii(domain).as_deref(), ascii, "{domain}");
        }
        assert_eq!(to_ascii(&("ä".repeat(63) + ".com")), None, "the encoded label is too long");
    }
}
