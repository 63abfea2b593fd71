use proptest::prelude::*;

use super::*;

fn built_in() -> Templates {
    Templates::built_in().expect("the texts that come with the program")
}

#[test]
fn every_mail_has_a_text_and_names_no_value_that_it_does_not_have() {
    let templates = built_in();
    for template in Template::ALL {
        let rendered = templates.render(template, ENGLISH, &template.samples()).expect("a text");
        assert!(!rendered.subject.is_empty() && rendered.html.contains("<html"), "{rendered:?}");
        assert!(!rendered.subject.contains("reader"), "subjects hold nothing that a user chose");
        if let Some(link) = template.samples().get("link") {
            assert!(rendered.text.contains(link), "{template:?}");
        }
        assert_eq!(Template::of(template.name()), Some(template));
    }
}

#[test]
fn an_operators_texts_go_over_ours_and_missing_languages_are_english() {
    let folder = tempfile::tempdir().expect("a folder");
    let german = folder.path().join("de");
    std::fs::create_dir(&german).expect("a folder");
    std::fs::write(
        german.join("reset_password.txt"),
        "Subject: Neues Passwort\n\nHallo {{ username }}: {{ link }}\n",
    )
    .expect("a file");
    let templates = Templates::load(Some(folder.path())).expect("good texts");
    assert!(templates.has_language("de") && !templates.has_language("fr"));
    let samples = Template::ResetPassword.samples();
    let rendered = templates.render(Template::ResetPassword, "de", &samples).expect("a text");
    assert_eq!(rendered.subject, "Neues Passwort");
    assert_eq!(rendered.text, "Hallo reader: https://shop.example/#token=x");
    assert!(rendered.html.contains("reader"), "the HTML is the one of English");
    let other = templates.render(Template::VerifyEmail, "de", &Template::VerifyEmail.samples());
    assert!(other.expect("a text").subject.is_ascii());
}

#[test]
fn bad_texts_are_found_at_the_start() {
    for (file, content) in [
        ("reset_password.txt", "Neues Passwort"),
        ("reset_password.txt", "Subject: x\n\n{{ pasword }}"),
        ("reset_password.html", "{{ username"),
        ("reset_pasword.html", "x"),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let language = folder.path().join("en");
        std::fs::create_dir(&language).expect("a folder");
        std::fs::write(language.join(file), content).expect("a file");
        assert!(Templates::load(Some(folder.path())).is_err(), "{file}: {content}");
    }
}

fn hostile() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        Just("\r\nBcc: victim@example.com\r\n\r\n".to_owned()),
        Just("<img src=x onerror=alert(1)>".to_owned()),
        Just("{{7*7}}".to_owned()),
        Just("{% for x in range(9) %}x{% endfor %}".to_owned()),
        Just("\u{2028}\u{85}\0".to_owned()),
        any::<String>(),
    ];
    proptest::collection::vec(part, 1..4).prop_map(|parts| parts.concat())
}

proptest! {
    // RC-12
    #[test]
    fn no_value_makes_a_header_a_tag_or_a_template(value in hostile()) {
        let templates = built_in();
        for template in Template::ALL {
            let mut values = template.samples();
            let plain = templates.render(template, ENGLISH, &values).expect("a text");
            for slot in values.values_mut() {
                slot.clone_from(&value);
            }
            let rendered = templates.render(template, ENGLISH, &values).expect("a text");
            prop_assert!(!rendered.subject.chars().any(char::is_control));
            let lines = |text: &str| text.lines().count();
            prop_assert!(lines(&rendered.text) <= lines(&plain.text), "no line of its own");
            let tags = |html: &str| html.matches('<').count();
            prop_assert_eq!(tags(&rendered.html), tags(&plain.html), "no tag of its own");
            // What looks like a template stays as it was written.
            prop_assert!(!value.contains("{{7*7}}") || rendered.text.contains("{{7*7}}"));
        }
    }
}
