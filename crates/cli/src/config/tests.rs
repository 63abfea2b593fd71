//! The configuration as a whole: which ones are refused, and what the others mean.

use std::path::Path;

use super::*;

const GOOD_KEY: &str = "g!x^4w0)t=5r$2#b(9@z&k_e*u1-q+7y%p3h8m6n";
const OTHER_KEY: &str = "9d3fa1c47be05682f1d94c3ab8e76f20aa41c8d2";

fn inputs(folder: &Path, environment: &[(&str, &str)]) -> Inputs {
    Inputs {
        environment: environment.iter().map(|(name, value)| (name.into(), value.into())).collect(),
        folder: folder.to_owned(),
        file: None,
    }
}

fn load_from(mode: Mode, environment: &[(&str, &str)]) -> Result<Loaded, Problems> {
    load(&inputs(Path::new("/nonexistent"), environment), mode, Needs::Server)
}

fn production(extra: &[(&str, &str)]) -> Result<Loaded, Problems> {
    let mut environment = vec![("SECRET_KEY", GOOD_KEY)];
    environment.retain(|(name, _)| !extra.iter().any(|(other, _)| other == name));
    environment.extend(extra);
    load_from(Mode::Serve, &environment)
}

#[test]
fn every_setting_of_the_table_is_read() {
    let sources = Sources::default();
    for mode in [Mode::Dev, Mode::Serve] {
        let mut reader = reader::Reader::new(&sources, mode, Path::new(""));
        settings::settle(&mut reader, Needs::Server);
        let table: std::collections::BTreeSet<&str> =
            table::SETTINGS.iter().map(|setting| setting.name).collect();
        assert_eq!(reader.seen, table);
    }
}

#[test]
fn development_needs_nothing() {
    let Loaded { config, warnings } = load_from(Mode::Dev, &[]).unwrap();
    assert_eq!(warnings, Vec::<String>::new());
    assert_eq!(config.bind.to_string(), "127.0.0.1:8000");
    assert_eq!(config.database.file(), Some(Path::new("data/auth.db")));
    assert_eq!(config.origins, Origins::Any);
    assert!(config.docs && !config.passwords.full && config.keys.signing.is_none());
}

#[test]
fn production_needs_only_a_key() {
    let Loaded { config, warnings } = production(&[]).unwrap();
    assert_eq!(warnings, Vec::<String>::new());
    assert_eq!(config.bind.to_string(), "0.0.0.0:8000");
    assert_eq!(config.origins, Origins::List(vec![]));
    assert!(
        !config.docs && config.passwords.full && config.throttle && config.tokens.rotation && config.migrate
    );
    assert_eq!(config.tokens.access_lifetime.as_secs(), 900);
    assert_eq!(config.tokens.refresh_lifetime.as_secs(), 604_800);
    assert_eq!(config.keys.legacy_until, Deadline::Auto);
}

#[test]
fn mail_is_whole_or_off() {
    let whole = [
        ("SMTP_HOST", "mail.shop.example"),
        ("MAIL_FROM", "Shop <no-reply@shop.example>"),
        ("LINK_URL", "https://shop.example/account/"),
    ];
    assert!(production(&[]).unwrap().config.mail.is_none());
    assert!(load_from(Mode::Dev, &[]).unwrap().config.mail.is_some(), "a folder");
    let mail = production(&whole).unwrap().config.mail.unwrap();
    assert_eq!(mail.link_url, "https://shop.example/account");
    let cases: &[((&str, &str), &str)] = &[
        (("MAIL_FROM", ""), "MAIL_FROM is not"),
        (("MAIL_FROM", "nobody"), "MAIL_FROM is \"nobody\""),
        (("LINK_URL", ""), "LINK_URL is not"),
        (("LINK_URL", "http://shop.example"), "LINK_URL is"),
        (("SMTP_TLS", "off"), "SMTP_TLS is off"),
        (("SMTP_USERNAME", "sender"), "belong together"),
        (("MAIL_LANGUAGE", "de"), "there are no texts in it"),
        (("MAIL_TEMPLATES", "/nonexistent"), "MAIL_TEMPLATES"),
    ];
    for ((name, value), expected) in cases {
        let mut settings: Vec<_> = whole.into_iter().filter(|(other, _)| other != name).collect();
        settings.push((name, value));
        let said = production(&settings).unwrap_err().to_string();
        assert!(said.contains(expected), "{name}={value}: {said}");
    }
    let said = production(&[("EMAIL_VERIFICATION", "required")]).unwrap_err().to_string();
    assert!(said.contains("EMAIL_VERIFICATION is required"), "{said}");
}

// KY-02: the table of configurations that production refuses, each with its reason.
#[test]
fn bad_configurations_are_refused() {
    let cases: &[(&[(&str, &str)], &str)] = &[
        (&[("SECRET_KEY", "")], "SECRET_KEY is not set"),
        (&[("SECRET_KEY", "g!x^4w0)t=5r$2#b(9@z")], "SECRET_KEY has 20 bytes"),
        (&[("SECRET_KEY", "change-me-change-me-change-me-change-me")], "example or a pattern"),
        (&[("SECRET_KEY", "dev-only-9d3fa1c47be05682f1d94c3ab8e76f20")], "made by `bookstore-auth dev`"),
        (&[("SECRET_KEY_FILE", "/nonexistent/key"), ("SECRET_KEY", "")], "cannot be read"),
        (&[("SECRET_KEY_FILE", "/nonexistent/key")], "are both set"),
        (&[("SECRET_KEY_FALLBACKS", GOOD_KEY)], "holds SECRET_KEY itself"),
        (&[("SECRET_KEY_FALLBACKS", "g!x^4w0)t=5r")], "a key in SECRET_KEY_FALLBACKS has 12 bytes"),
        (&[("BIND", "8000")], "not an address and a port"),
        (&[("DATABASE_URL", "mysql://a:CANARY@b/c")], "does not begin with sqlite:"),
        (&[("DATABASE_URL", "postgres://a:CANARY@b/c?sslmode=maybe")], "has an sslmode that is not"),
        (&[("DATABASE_URL", "postgres://a:CANARY@b/c?password=CANARY")], "not known"),
        (&[("DATABASE_URL", "postgres://a:CANARY@b")], "does not name a database"),
        (&[("DATABASE_POOL", "1")], "too small"),
        (&[("ACCESS_TOKEN_LIFETIME", "900")], "does not say its unit"),
        (&[("ACCESS_TOKEN_LIFETIME", "0")], "too short"),
        (&[("ACCESS_TOKEN_LIFETIME", "31d")], "longer than SESSION_LIFETIME (30d)"),
        (&[("REFRESH_TOKEN_LIFETIME", "60d")], "longer than SESSION_LIFETIME (30d)"),
        (&[("REFRESH_GRACE", "1h")], "too long"),
        (&[("REFRESH_ROTATION", "maybe")], "neither on nor off"),
        (&[("VERIFY_INVALID_STATUS", "200")], "none of the words"),
        (&[("PASSWORD_MIN_LENGTH", "0")], "too small"),
        (&[("PASSWORD_POLICY", "none")], "none of the words"),
        (&[("CORS_ALLOWED_ORIGINS", "null")], "does not begin with https://"),
        (&[("TRUSTED_PROXIES", "0.0.0.0/0")], "anybody could then say"),
        (&[("ISSUER", "http://auth.example")], "not https"),
        (&[("METRICS_BIND", "0.0.0.0:8000")], "METRICS_BIND and BIND are both 0.0.0.0:8000"),
        (&[("ADMIN_API", "on"), ("ADMIN_BIND", "0.0.0.0:8000")], "ADMIN_BIND and BIND are both 0.0.0.0:8000"),
        (
            &[("ADMIN_API", "on"), ("ADMIN_BIND", "127.0.0.1:9"), ("METRICS_BIND", "127.0.0.1:9")],
            "METRICS_BIND and ADMIN_BIND are both",
        ),
        (&[("ADMIN_BIND", "127.0.0.1:9001")], "the routes of administrators are off"),
        (&[("HASH_THREADS", "none")], "not a whole number"),
        (&[("COMMIT_BATCH", "0")], "too small"),
        (&[("REVOCATION_BOUND", "2m")], "longer than FEED_MAX_STALENESS"),
        (&[("LOG_LEVEL", "loud")], "none of the words"),
        (&[("MIGRATE", "maybe")], "none of the words"),
        (&[("LEGACY_TOKENS_UNTIL", "tomorrow")], "not a date"),
        (&[("SIGNING_ALG", "none")], "none of the words"),
        (&[("SIGNING_ALG", "EdDSA")], "KEY_ENCRYPTION_KEY is not set"),
        (&[("SIGNING_ALG", "EdDSA"), ("KEY_ENCRYPTION_KEY", GOOD_KEY)], "is SECRET_KEY, or is made from it"),
        (&[("KEY_ENCRYPTION_KEY", GOOD_KEY)], "is SECRET_KEY, or is made from it"),
        (
            &[("KEY_ENCRYPTION_KEY", OTHER_KEY), ("SECRET_KEY_FALLBACKS", OTHER_KEY)],
            "a key in SECRET_KEY_FALLBACKS",
        ),
        (&[("KEY_ENCRYPTION_KEY", "Qm4vX9cT2nLb7RkW0zHs")], "KEY_ENCRYPTION_KEY has 20 bytes"),
        (
            &[("KEY_ENCRYPTION_KEY", "dev-only-9d3fa1c47be05682f1d94c3ab8e76f20")],
            "made by `bookstore-auth dev`",
        ),
        (
            &[("KEY_ENCRYPTION_KEY_FILE", "/nonexistent/key")],
            "KEY_ENCRYPTION_KEY_FILE /nonexistent/key cannot be read",
        ),
        (&[("KEY_ENCRYPTION_KEY", OTHER_KEY), ("KEY_ENCRYPTION_KEY_FILE", "/x")], "are both set"),
        (&[("HS256_VERIFY_UNTIL", "tomorrow")], "not a date"),
        (
            &[("KEY_PUBLISH_AHEAD", "2d"), ("KEY_ROTATION_INTERVAL", "1d")],
            "longer than KEY_ROTATION_INTERVAL (1d)",
        ),
        (&[("TOKEN_PROFILE", "rfc9068"), ("ISSUER", "a"), ("AUDIENCE", "b")], "needs public keys"),
        (&[("CONFIG_FILE", "/nonexistent/auth.toml")], "cannot be read"),
    ];
    for (environment, reason) in cases {
        let problems = production(environment).expect_err(reason);
        assert_eq!(problems.0.len(), 1, "{environment:?}: {problems}");
        assert!(problems.0[0].what.contains(reason), "{environment:?}: {problems}");
        assert!(!problems.0[0].mend.is_empty());
        assert!(!problems.to_string().contains("CANARY"), "{problems}");
    }
}

#[test]
fn production_warns_of_what_it_is_told_to_risk() {
    let risky = [
        ("CORS_ALLOWED_ORIGINS", "*"),
        ("PASSWORD_MIN_LENGTH", "7"),
        ("ACCESS_TOKEN_LIFETIME", "8d"),
        ("DATABASE_URL", "postgres://a:CANARY@b/c?sslmode=require"),
    ];
    let warnings = production(&risky).unwrap().warnings;
    assert_eq!(warnings.len(), 3, "{warnings:?}");
    assert!(warnings[2].contains("verify-full") && !warnings[2].contains("CANARY"), "{warnings:?}");
    assert!(warnings[0].contains("every web page") && warnings[1].contains("can be guessed"), "{warnings:?}");
}

#[test]
fn all_problems_are_found_at_once() {
    let problems =
        load_from(Mode::Serve, &[("BIND", "x"), ("SESSION_LIFETIME", "x"), ("THROTTLE", "x")]).unwrap_err();
    let text = problems.to_string();
    assert_eq!(problems.0.len(), 4, "{text}");
    for name in ["SECRET_KEY", "BIND", "SESSION_LIFETIME", "THROTTLE"] {
        assert!(text.contains(name), "{text}");
    }
}

// KY-02: the development mode off loopback.
#[test]
fn development_stays_on_this_machine() {
    for (name, value) in [
        ("BIND", "0.0.0.0:8000"),
        ("BIND", "[::]:8000"),
        ("METRICS_BIND", "192.0.2.1:9000"),
        ("ADMIN_BIND", "192.0.2.1:9001"),
    ] {
        let problems = load_from(Mode::Dev, &[(name, value)]).unwrap_err();
        assert!(problems.0[0].what.contains("this machine only"), "{problems}");
    }
    assert!(load_from(Mode::Dev, &[("BIND", "[::1]:8000")]).is_ok());
    assert!(load_from(Mode::Dev, &[("SECRET_KEY", "secret"), ("PASSWORD_MIN_LENGTH", "1")]).is_ok());
}

#[test]
fn names_and_local_addresses_are_good_issuers() {
    for issuer in [
        "bookstore",
        "https://auth.example",
        "http://localhost:8000",
        "http://127.0.0.1/x",
        "http://[::1]:80",
    ] {
        assert!(production(&[("ISSUER", issuer)]).is_ok(), "{issuer}");
    }
    for issuer in ["http://127.0.0.1.example", "https://", "ftp://a"] {
        assert!(production(&[("ISSUER", issuer)]).is_err(), "{issuer}");
    }
}

#[test]
fn commands_on_the_database_ask_for_no_key() {
    let folder = tempfile::tempdir().unwrap();
    let loaded =
        load(&inputs(folder.path(), &[("SECRET_KEY_FILE", "/nonexistent")]), Mode::Serve, Needs::Database);
    assert!(loaded.unwrap().config.keys.signing.is_none());
}

#[test]
fn keys_are_read_to_the_letter() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(".env"), format!("SECRET_KEY='{GOOD_KEY}'\n")).unwrap();
    let loaded = load(
        &inputs(folder.path(), &[("SECRET_KEY_FALLBACKS", &format!("{OTHER_KEY} {OTHER_KEY}2"))]),
        Mode::Serve,
        Needs::Server,
    );
    let keys = loaded.unwrap().config.keys;
    assert_eq!(keys.signing.unwrap().as_bytes(), GOOD_KEY.as_bytes());
    assert_eq!(keys.fallbacks.len(), 2);
    std::fs::write(folder.path().join("key"), format!("{OTHER_KEY}\n")).unwrap();
    std::fs::write(folder.path().join(".env"), "SECRET_KEY_FILE=key\n").unwrap();
    let loaded = load(&inputs(folder.path(), &[]), Mode::Serve, Needs::Server).unwrap();
    assert_eq!(loaded.config.keys.signing.unwrap().as_bytes(), OTHER_KEY.as_bytes());
}

// Public keys need no shared secret; without one nothing is signed or taken with it.
#[test]
fn public_keys_stand_alone() {
    let given = [("SIGNING_ALG", "eddsa"), ("KEY_ENCRYPTION_KEY", OTHER_KEY), ("SECRET_KEY", "")];
    let keys = production(&given).unwrap().config.keys;
    assert_eq!((keys.algorithm, keys.signing), (crypto::jws::Algorithm::EdDsa, None));
    assert_eq!(keys.encryption.unwrap().as_bytes(), OTHER_KEY.as_bytes());
    let rfc9068 = [given[0], given[1], ("TOKEN_PROFILE", "rfc9068"), ("ISSUER", "a"), ("AUDIENCE", "b")];
    assert!(production(&rfc9068).unwrap().config.keys.rfc9068);
    let problems = production(&rfc9068[..3]).unwrap_err();
    assert_eq!(problems.0.len(), 2, "{problems}");
    // A command that needs no keys asks for none.
    let folder = tempfile::tempdir().unwrap();
    let keys = load(&inputs(folder.path(), &given[..1]), Mode::Serve, Needs::Database).unwrap().config.keys;
    assert!(!keys.algorithm.is_public() && keys.encryption.is_none());
}

// KY-01: no secret in Debug output, in `config`, or in a problem.
#[test]
fn secrets_are_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let environment = [
        ("SECRET_KEY", GOOD_KEY),
        ("SECRET_KEY_FALLBACKS", OTHER_KEY),
        ("KEY_ENCRYPTION_KEY", "9d3fa1c47be05682f1d94c3ab8e7CANARY"),
        ("PASSWORD_MIN_LENGTH", "x"),
        ("DATABASE_URL", "postgres://ann:CANARYpw@db/x"),
    ];
    let given = inputs(folder.path(), &environment);
    let problems = load(&given, Mode::Serve, Needs::Server).unwrap_err().to_string();
    let (mut faults, mut warnings) = (Vec::new(), Vec::new());
    let sources = Sources::read(&given, &mut faults, &mut warnings);
    let shown = in_force(&sources, Mode::Serve);
    let debug = format!("{:?}", production(&environment[..3]).unwrap());
    for text in [problems, shown.clone(), debug] {
        for secret in [GOOD_KEY, OTHER_KEY, "CANARY"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
    let is_masked =
        |line: &str| line.split_whitespace().take(4).eq(["SECRET_KEY", "********", "(40", "bytes)"]);
    assert!(shown.lines().any(is_masked), "{shown}");
    assert!(shown.lines().any(|line| line.starts_with("DATA_DIR") && line.ends_with("default")), "{shown}");
}
