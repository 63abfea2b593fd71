use proptest::prelude::*;

use super::*;

fn parsed(raw: &str) -> Result<String, Vec<Message>> {
    EmailAddress::parse(raw).map(|address| address.0)
}

#[test]
fn addresses_are_trimmed_and_their_domain_is_lowered() {
    for (raw, stored) in [
        ("", ""),
        (" \u{a0}\u{1f}", ""),
        ("\t a@example.com \n", "a@example.com"),
        ("MiXed.Case@EXAMPLE.Com", "MiXed.Case@example.com"),
        ("Me@EX\u{c4}MPLE.Com", "Me@ex\u{e4}mple.com"),
        ("A@\u{39f}\u{3a3}.COM", "A@\u{3bf}\u{3c3}.com"),
        ("A@\u{130}X.COM", "A@i\u{307}x.com"),
        ("\"a@b\"@B.co", "\"a@b\"@b.co"),
    ] {
        assert_eq!(parsed(raw), Ok(stored.to_owned()));
    }
    assert!(EmailAddress::parse(" ").is_ok_and(|address| address.is_blank()));
}

#[test]
fn what_django_takes_is_taken() {
    let longest =
        ["a@", &"b".repeat(63), ".", &"c".repeat(63), ".", &"d".repeat(63), ".", &"e".repeat(56), ".com"];
    for raw in [
        "a@b.co",
        "a+b@example.com",
        "!#$%&'*+-/=?^_`{|}~@b.co",
        "a@localhost",
        "a@[127.0.0.1]",
        "a@[::1]",
        "a@[::ffff:1.2.3.4]",
        "\"a\\\"b\"@example.com",
        "\"\\ \\\t\"@example.com",
        "\"\u{1}\"@example.com",
        "\"\"@example.com",
        "a@b.12",
        "a@1.2.3.44",
        "a@b.c--d",
        "a@b.-ab",
        "a@xn--exmple-cua.com",
        "a@例子.测试",
        "a@b。com",
        "\u{212a}@example.com",
        "\u{130}@ba\u{17f}.com",
        "a@exam\u{200b}ple.com",
        "a@\u{3bf}\u{3c2}.gr",
        &longest.concat(),
    ] {
        assert!(parsed(raw).is_ok(), "{raw:?}");
    }
}

// IN-04
#[test]
fn what_is_no_address_is_refused() {
    for raw in [
        "abc",
        "@example.com",
        "a@",
        "a@b@c.com",
        "a b@example.com",
        "a\nb@example.com",
        "a@b.com\r\nBcc: c@d.com",
        "a@b.com\r\nBcc:",
        "\"a\nb\"@example.com",
        "\"a\\\nb\"@example.com",
        "\"a\tb\"@example.com",
        "\"a\"b\"@example.com",
        "\"@example.com",
        "a..b@example.com",
        ".a@example.com",
        "a.@example.com",
        "a@b.com.",
        "a@.com",
        "a@-b.com",
        "a@b-.com",
        "a@b.c-",
        "a@b.c",
        "a@127.0.0.1",
        "a@[256.0.0.1]",
        "a@[127.0.0.01]",
        "a@[1::2::3]",
        "a@[127.0.0.1",
        "a@[fe80::1%eth0]",
        "\u{e9}@example.com",
        "\u{df}@example.com",
        "a,b@example.com",
        "A <a@example.com>",
        "mailto:a@example.com",
        "a@b%20c.com",
        "a@b.com:25",
        "a@xn--example-.org",
        "a@\u{e4}..com",
        "a@b.\u{43a}\u{43e}\u{43c}.",
        "a@b_c.com",
    ] {
        assert_eq!(parsed(raw), Err(vec![INVALID.into()]), "{raw:?}");
    }
    assert_eq!(parsed(&["a@", &"b".repeat(64), ".com"].concat()), Err(vec![INVALID.into()]));
    assert_eq!(parsed(&["a@b.", &"c".repeat(64)].concat()), Err(vec![INVALID.into()]));
}

#[test]
fn every_fault_is_reported_in_djangos_order() {
    let long: Message = "Ensure this field has no more than 254 characters.".into();
    let null: Message = field::NULL_CHARACTERS.into();
    assert_eq!(parsed(&("a".repeat(5000) + "@example.com")), Err(vec![long.clone()]));
    assert_eq!(parsed("a\0"), Err(vec![null.clone(), INVALID.into()]));
    assert_eq!(
        EmailAddress::messages_with_surrogate(&("!".repeat(255) + "\0\u{fffd}"), 0xd800),
        [long, null, field::surrogate(0xd800), INVALID.into()]
    );
}

#[test]
fn a_domain_in_other_letters_is_the_one_that_it_is_in_the_dns() {
    // RC-09, IN-04
    let key = EmailKey::of("user@xn--bcher-kva.example");
    assert_eq!(key.as_str(), "user@xn--bcher-kva.example");
    for typed in [
        " User@BÜCHER.example",
        "user@bücher.example",
        "user@bücher.EXAMPLE",
        "user@bücher。example",
        "user@XN--BCHER-KVA.example",
    ] {
        assert_eq!(EmailKey::of(typed), key, "{typed}");
        assert!(EmailKey::of(typed).spellings().any(|one| one == "user@bücher.example"), "{typed}");
    }
    // As imports have found it, and as the database folds it.
    for typed in ["user@BÜCHER.example", "user@bücher.example", "user@xn--bcher-kva.example"] {
        assert!(EmailKey::of(typed).spellings().any(|one| one == "user@bÜcher.example"), "{typed}");
    }
    assert!(EmailKey::of("a@straße.de").spellings().all(|one| !one.contains("ss")), "another domain");
    let mailbox = |raw: &str| EmailAddress::from_stored(raw.to_owned()).mailbox().into_owned();
    assert_eq!(mailbox("Eva@BÜCHER.example"), "Eva@xn--bcher-kva.example");
    assert_eq!(mailbox("Eva@Example.COM"), "Eva@Example.COM");
    // Not transitional: where mail goes today, a sharp s is a letter of its own.
    assert_eq!(EmailKey::of("a@straße.de").as_str(), "a@xn--strae-oqa.de");
    // Another mailbox before the @, and what is no domain, stay what they are.
    assert_ne!(EmailKey::of("mıke@example.com"), EmailKey::of("mike@example.com"));
    for plain in ["User@Example.COM", "user@xn--ü", "no address", "a@[::1]", "ü"] {
        assert_eq!(EmailKey::of(plain).as_str(), plain.to_ascii_lowercase());
        assert_eq!(EmailKey::of(plain).spellings().count(), 1);
    }
}

proptest! {
    // IN-04: no line break, no space outside quotes, one domain without an @; and nothing panics.
    #[test]
    fn an_accepted_address_is_safe_to_write_into_a_header(
        local in "[a-z\"\\\\ @.\r\n\t]{0,8}",
        domain in "[a-z0-9.\\-\\[\\]:@ \r\nä。İ]{0,12}",
    ) {
        if let Ok(address) = parsed(&format!("{local}@{domain}")) {
            prop_assert!(!address.contains(['\r', '\n', '\0']));
            if let Some((local, domain)) = address.rsplit_once('@') {
                prop_assert!(!domain.is_empty() && !domain.contains(char::is_whitespace));
                prop_assert!(local.starts_with('"') || !local.contains([' ', '@', '\t']));
                prop_assert_eq!(parsed(&address), Ok(address.clone()), "stored addresses parse to themselves");
            }
        }
    }

    #[test]
    fn a_key_is_the_key_of_each_of_its_spellings(domain in "[a-zA-ZäÜßé山Са.-]{1,12}") {
        let key = EmailKey::of(&format!("a@{domain}"));
        prop_assert!(key.spellings().count() <= EmailKey::MOST_SPELLINGS);
        for spelling in key.spellings() {
            prop_assert_eq!(&EmailKey::of(spelling), &key);
        }
    }

    #[test]
    fn whatever_comes_in_nothing_panics(raw in any::<String>(), domain in any::<String>()) {
        let _ = EmailAddress::parse(&raw);
        let _ = EmailAddress::parse(&format!("a@{domain}"));
        let _ = EmailKey::of(&format!("a@{domain}"));
    }
}
