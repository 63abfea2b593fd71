//! What is refused, what is shown, and that no secret is.

use std::net::TcpListener;

use crate::place::{KEY, Place};

// KY-02: each with exit code 2, its reason, how to mend it, and nothing made on the disk.
#[test]
fn production_refuses_bad_configurations() {
    type Case<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str]);
    let cases: &[Case<'_>] = &[
        (&[], &["SECRET_KEY is not set"]),
        (&[("SECRET_KEY", "t=5r$2#b(9@z&k")], &["has 14 bytes", "ALLOW_SHORT_SECRET_KEY"]),
        (&[("SECRET_KEY", "changeme-changeme-changeme-changeme-changeme")], &["example"]),
        (&[("SECRET_KEY", KEY), ("TRUSTED_PROXIES", "0.0.0.0/0")], &["anybody could then say"]),
        (&[("SECRET_KEY", KEY), ("ISSUER", "http://auth.example")], &["not https"]),
        (
            &[("SECRET_KEY", KEY), ("CONFIG_FILE", "auth.toml")],
            &["refresh_gracee", "did you mean refresh_grace?"],
        ),
        (
            &[("BIND", "somewhere"), ("ACCESS_TOKEN_LIFETIME", "soon"), ("DATABASE_URL", "oracle:x")],
            &["4 problems", "SECRET_KEY", "BIND", "ACCESS_TOKEN_LIFETIME", "DATABASE_URL"],
        ),
    ];
    // Were one of them accepted, the start would fail at the address, with another exit code.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    for (environment, reasons) in cases {
        let mut place = Place::new(&[("BIND", &taken.local_addr().unwrap().to_string())]);
        environment.iter().for_each(|(name, value)| place.set(name, value));
        place.write("auth.toml", "refresh_gracee = '5s'\n");
        let said = place.run(&["serve"]).failed(2);
        for reason in *reasons {
            assert!(said.contains(reason), "{environment:?}: {said}");
        }
        assert!(said.contains("To mend it:"), "{said}");
        assert!(!said.contains("oracle:secret"), "{said}");
        assert_eq!(place.files(), ["auth.toml"]);
    }
}

// KY-02: the development mode off loopback.
#[test]
fn development_refuses_other_machines() {
    let said = Place::new(&[("BIND", "0.0.0.0:0")]).run(&["dev"]).failed(2);
    assert!(said.contains("this machine only") && said.contains("bookstore-auth serve"), "{said}");
}

// KY-01: masked in `config`, absent from every complaint.
#[test]
fn config_shows_what_is_in_force_without_secrets() {
    let mut place = Place::new(&[
        ("SECRET_KEY", KEY),
        ("SECRET_KEY_FALLBACKS", "w0)t=5r$2#b(9@z&k_e*u1-q+7y%p3h8m6nOLD"),
    ]);
    place.write(".env", "BIND=127.0.0.1:9\nREDIS_URL=redis://CANARY\nAUDIENCE='a b'\n");
    place.write("auth.toml", "session_lifetime = '12d'\n");
    let shown = place.run(&["config", "--config", "auth.toml"]);
    let line =
        |name: &str| shown.out.lines().find(|line| line.split(' ').next() == Some(name)).unwrap().to_owned();
    for (name, value, source) in [
        ("SECRET_KEY", "******** (40 bytes)", "environment"),
        ("BIND", "127.0.0.1:9", ".env"),
        ("AUDIENCE", "a b", ".env"),
        ("SESSION_LIFETIME", "12d", "auth.toml"),
        ("REFRESH_GRACE", "10s", "default"),
        ("DATABASE_URL", "sqlite:data/auth.db", "default"),
        ("ISSUER", "(not set)", "default"),
    ] {
        assert!(line(name).contains(value) && line(name).ends_with(source), "{}", line(name));
    }
    assert!(shown.err.contains("ignored: REDIS_URL\n"), "{}", shown.err);
    let all = format!("{shown:?}");
    assert!(!all.contains("w0)t=5r") && !all.contains("CANARY"), "{all}");
    assert_eq!(shown.code, 0);

    place.set("BIND", "nowhere");
    place.set("SECRET_KEY", "CANARYCANARY");
    let bad = place.run(&["config"]);
    assert!(
        bad.code == 2 && bad.err.contains("2 problems") && !format!("{bad:?}").contains("CANARY"),
        "{bad:?}"
    );
}

#[test]
fn config_knows_both_modes() {
    let place = Place::new(&[]);
    let dev = place.run(&["config", "--mode", "dev"]).ok();
    assert!(dev.contains("(made by dev)") && dev.contains("127.0.0.1:8000"), "{dev}");
    assert!(place.files().is_empty(), "looking makes nothing");
    assert!(place.run(&["config"]).out.contains("0.0.0.0:8000"));
}

#[test]
fn the_command_line_explains_itself() {
    let place = Place::new(&[]);
    assert!(place.run(&["--version"]).ok().starts_with("bookstore-auth "));
    let help = place.run(&["--help"]).ok();
    for command in
        ["dev", "serve", "config", "migrate", "user", "backup", "restore", "import", "openapi", "healthcheck"]
    {
        assert!(help.contains(&format!("  {command} ")), "{help}");
        assert!(place.run(&[command, "--help"]).ok().contains("Usage: bookstore-auth"));
    }
    assert!(place.run(&["serve", "--help"]).ok().contains("SECRET_KEY_FALLBACKS"));
    place.run(&[]).failed(2);
    place.run(&["launch"]).failed(2);
    place.run(&["user", "create", "ann", "--password", "x"]).failed(2);
    for shell in ["bash", "zsh", "fish"] {
        assert!(place.run(&["completions", shell]).ok().contains("set-password"), "{shell}");
    }
    let description: serde_json::Value = serde_json::from_str(&place.run(&["openapi"]).ok()).unwrap();
    assert_eq!(description["openapi"], "3.1.0");
    assert!(place.files().is_empty());
}
