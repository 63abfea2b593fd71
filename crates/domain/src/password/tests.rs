use proptest::prelude::*;

use super::*;

const FULL: PasswordPolicy = PasswordPolicy { min_length: 8, checks: PolicyChecks::Full };
const LENGTH: PasswordPolicy = PasswordPolicy { min_length: 8, checks: PolicyChecks::LengthOnly };

const TOO_SHORT: &str = "This password is too short. It must contain at least 8 characters.";
const TOO_LONG: &str = "Ensure this field has no more than 128 characters.";

fn check(password: &str) -> Vec<Message> {
    FULL.check(password, &[])
}

// PW-01: lengths are counted in code points.
#[test]
fn the_minimum_is_a_number_of_code_points() {
    assert_eq!(LENGTH.check("1234567", &[]), [TOO_SHORT]);
    assert_eq!(LENGTH.check("12345678", &[]), [""; 0]);
    assert_eq!(LENGTH.check("пароль77", &[]), [""; 0]);
    assert_eq!(LENGTH.check(&"\u{1f511}".repeat(7), &[]), [TOO_SHORT]);
    assert_eq!(LENGTH.check(&"\u{1f511}".repeat(8), &[]), [""; 0]);
    assert_eq!(LENGTH.check(&"e\u{301}".repeat(7), &[]), [TOO_SHORT], "counted as it is hashed, in NFC");
    let one = PasswordPolicy { min_length: 1, checks: PolicyChecks::LengthOnly };
    assert_eq!(one.check(" ", &[]), [""; 0]);
    assert_eq!(too_short(1), "This password is too short. It must contain at least 1 character.");
}

// PW-02: the protocol's limit comes before any other work.
#[test]
fn the_protocol_takes_1_to_128_code_points() {
    assert_eq!(check(""), [field::BLANK]);
    assert_eq!(check(&"\u{1f511}x".repeat(64)), [""; 0]);
    assert_eq!(check(&"1".repeat(129)), [TOO_LONG]);
    assert_eq!(check(&"\u{1f600}".repeat(129)), [TOO_LONG]);
    assert_eq!(check("a\0"), [field::NULL_CHARACTERS]);
    assert_eq!(
        messages_with_surrogate(&("!".repeat(129) + "\0\u{fffd}"), 0xd800),
        [TOO_LONG, field::NULL_CHARACTERS, "Surrogate characters are not allowed: U+D800."]
    );
}

// PW-03: no composition rule.
#[test]
fn every_character_is_allowed() {
    for password in ["correct horse battery staple", "aaaa bbbb", "\u{200b}\u{1}\t\u{7f}~~ü漢", "qzxvkwpjy"]
    {
        assert_eq!(check(password), [""; 0], "{password:?}");
    }
}

// PW-05
#[test]
fn common_passwords_are_compared_whole() {
    for password in [
        "password1",
        "PassWord1",
        " password1 ",
        "trustno1!".trim_end_matches('!'),
        "BookStore",
        "bookstore-auth",
    ] {
        assert_eq!(check(password), [TOO_COMMON], "{password:?}");
    }
    assert_eq!(check("password"), [TOO_COMMON]);
    assert_eq!(check("password1 and then some"), [""; 0]);
    assert_eq!(check("123456"), [TOO_SHORT, TOO_COMMON, ALL_NUMERIC]);
    assert_eq!(LENGTH.check("password", &[]), [""; 0]);
}

#[test]
fn passwords_of_digits_only_are_refused() {
    assert_eq!(check("8391740265"), [ALL_NUMERIC]);
    assert_eq!(check("٨٣٩١٧٤٠٢٦²①"), [ALL_NUMERIC]);
    assert_eq!(check("8391740265½"), [""; 0]);
    assert_eq!(check("839174026 5"), [""; 0]);
}

// PW-05: the account's own words. Every expectation was printed by Django 4.2.
#[test]
fn passwords_like_the_accounts_attributes_are_refused() {
    let attributes = [("username", "ann.bookworm"), ("email address", "a.reader@library.example.com")];
    let name = "The password is too similar to the username.";
    let address = "The password is too similar to the email address.";
    for (password, messages) in [
        ("ann.bookworm", vec![name]),
        ("mrowkoob", vec![name]),
        ("BOOKWORM99", vec![name]),
        ("bookworm123", vec![name]),
        ("bookworm12345678", vec![]),
        ("reader77", vec![address]),
        ("library!", vec![address]),
        ("reader", vec![address, TOO_SHORT, TOO_COMMON]),
        ("a.reader@library.example.com", vec![address]),
        ("xkcdxkcdq", vec![]),
    ] {
        assert_eq!(FULL.check(password, &attributes), messages, "{password}");
    }
    assert_eq!(FULL.check("xkcdxkcdq", &[("username", ""), ("email address", "@ @")]), [""; 0]);
    assert_eq!(FULL.check("xkcdxkcdq", &[("username", &"xkcdxkcdq ".repeat(1000))]), [""; 0], "bounded work");
}

// PW-04: NFC and nothing else; a Django hash gets what Django hashed.
#[test]
fn only_nfc_is_applied() {
    assert_eq!(Password::new_nfc("e\u{301}").as_str(), "é");
    assert_eq!(Password::new_nfc(" ﬁ Aa\u{0}\u{200b} ").as_str(), " ﬁ Aa\u{0}\u{200b} ");
    assert_eq!(Password::as_django("\u{a0}\u{1c}e\u{301} x\u{3000}").as_str(), "e\u{301} x");
    assert_eq!(Password::new_nfc("ab").as_bytes(), b"ab");
    assert_eq!(Password::new_nfc("ab").to_bytes().as_slice(), b"ab");
}

// LA-02
#[test]
fn a_password_is_not_shown() {
    assert_eq!(format!("{:?}", Password::new_nfc("secret")), "Password(..)");
}

proptest! {
    // PW-03, PW-04
    #[test]
    fn equivalent_spellings_are_one_password(text in "\\PC{0,60}") {
        let password = Password::new_nfc(&text);
        let decomposed = Password::new_nfc(&text.nfd().collect::<String>());
        prop_assert_eq!(decomposed.as_str(), password.as_str());
        let again = Password::new_nfc(password.as_str());
        prop_assert_eq!(again.as_str(), password.as_str());
        prop_assert!(password.as_str().len() <= text.len() * 3);
    }

    #[test]
    fn the_policy_bounds_every_password(text in any::<String>(), name in "\\PC{0,30}") {
        let messages = FULL.check(&text, &[("username", &name)]);
        if messages.is_empty() {
            prop_assert!(text.chars().count() <= MAX_LENGTH && !text.contains('\0'));
            prop_assert!(text.nfc().count() >= 8, "as it is hashed");
        }
    }
}
