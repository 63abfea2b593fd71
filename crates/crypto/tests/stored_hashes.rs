//! Stored hashes: vectors made by Django 5.2.19 with argon2-cffi 25.1.0 and bcrypt 5.0.0, the vectors of RFC 9106, and
//! damaged text.

use argon2::{Algorithm, Argon2, AssociatedData, Block, ParamsBuilder, Version};
use crypto::password::{self, Arena, Kind, Outcome, Params};
use proptest::prelude::*;

const UNICODE: &str = "pässwörd ﬁ 日本語 😀";
const LONG: &str =
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";

/// Password and what `django.contrib.auth.hashers` stored for it; each was checked there.
#[rustfmt::skip]
const DJANGO: &[(&str, &str)] = &[
    ("password", "pbkdf2_sha256$1000$NKN3eUQDEYGOiPmVEYy5jM$YKnboq7nU8Pr8peq667gC3+UOPpKZveWKho0oD6d1BQ="),
    (UNICODE, "pbkdf2_sha256$1000$ywsiaA9lySzFjDTibC0p1E$R4GZTSaD01iRospyqekVh7JFWF0X2xmJIzu/oiba2zo="),
    (" spaced out\t", "pbkdf2_sha256$1000$UTBzg6EyZqBgfaZdotx9fa$XOZl7Rtp3EsFcUKB+XxOOqTPF0N7sOJwq5i9C3DKyC8="),
    (LONG, "pbkdf2_sha256$1000$Yz0EIOc0dTwROOkhxwFvFt$PZuVtwwrColhM9PdQuF/nG2hbH/PMJKZJXZwx0EwNTE="),
    ("password", "pbkdf2_sha256$1$s$lGLTCndLTA4cK3kxNvcclG1qFNlw/8mPMHA2nv/Wc4E="),
    ("password", "pbkdf2_sha256$1200$sält/+= ☃$eMYdGqzZzVuq7AvvrNgBzVt6i/FPfzQG746nZdVQE7k="),
    ("password", "pbkdf2_sha256$1000000$AtBPVI5yW9d9VuT8fslKpJ$BRS3KrPdaj86ctTXzeY0ti7wm8KA9pA9JvwPO49Gl48="),
    ("", "pbkdf2_sha256$1000$seasalt$XHfRVmyEZRTCcSbqGP00JKv0fRwYHK0ogjPZdSJxCXk="),
    ("password", "pbkdf2_sha256$1000$xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx$MQERmJ+VVH6rMIiGkR5ZOqCgHddcAhigqB6ryXMyUUM="),
    ("nul\0byte", "pbkdf2_sha256$1000$seasalt$m+jtFS/NUxsT3ByQBO1p4I17DtYL+QnYU4Khvkox3qw="),
    ("password", "pbkdf2_sha1$1000$8wCH7gojSEGnYdLHCIoZcn$uCdVw3BmWGoZ6gjMBafrOPb650Y="),
    (UNICODE, "pbkdf2_sha1$1000$3mgiOTpHQchMjuj4GqiLgT$oXkJlwpGCeeLKW2tbdaedDzIUpQ="),
    (UNICODE, "argon2$argon2id$v=19$m=102400,t=2,p=8$Vm04S0lKYVkxSzl0NzdGQUwxM3VYRg$EasLjBwnQdw7wBj8idqfs/hzigvWsun+w2x60nk289I"),
    ("password", "argon2$argon2id$v=19$m=512,t=2,p=2$c2hxNmdSdUM2NXRNNnlsRGV4MnNRNA$JCSvumMV9tquXuoqQlxb7fFvg4YAMhgosXv/1Q4gF/A"),
    (UNICODE, "argon2$argon2id$v=19$m=512,t=2,p=2$bGtTUTZQS3RRQ3psRWpCQk1VU2E2dA$02MsRyHAYAIEiU1lz5+Zd5QXL9OXIAsl92dxV1TvFmU"),
    (" spaced out\t", "argon2$argon2id$v=19$m=512,t=2,p=2$NUlTYjdQNmRyNWo5WjF4NVp6aDVmSA$ex8Lx2RTzLjeCzkb1mpizEaMaJTgeEzXWsbDOLwzvpo"),
    (LONG, "argon2$argon2id$v=19$m=512,t=2,p=2$YzhiRUZlcXVFRE1RdGlHQVR0RXdlVg$U5m8D9VaMoJrPgDRsSMPXYss1MnUzzJh16p4CAMRThM"),
    ("password", "argon2$argon2id$v=19$m=8,t=1,p=1$N3lENjNxdWd3NHhDM3VsQnhaa0Q5Zw$EF8bg+usdBe9qfL3q0PWYgluaeoKkNEbCDE99TJAdVs"),
    (UNICODE, "argon2$argon2id$v=19$m=8,t=1,p=1$Q3o3enNSeWhTRUY1U3V1WkthZ0owNw$SYWP8AryyvSUNK642ql2rTg4ZgeMakRtfe+JA6h0zMs"),
    (" spaced out\t", "argon2$argon2id$v=19$m=8,t=1,p=1$TnpyaUpkZUZtUnpxUFNsajVxM2V0SA$4GVj6E1YVRFvHygjY+cr+fC2ogE2Kc7N8MHb+eppY+I"),
    (LONG, "argon2$argon2id$v=19$m=8,t=1,p=1$RncxWlFlRnhiSklrWnVuNFJ2NHVrQw$Isx8SIiI4tHaoYKu0d+BUPH3CUvseH+3rV/CnHXEg0I"),
    ("password", "argon2$argon2id$v=19$m=1024,t=3,p=4$RTd0VXhaR3ZSQTd5WHpiMXhXOVNyUg$KFxDsznTbeePcvbMryFwSxZQKtuz8h5ZU2f/eHjT0eA"),
    (UNICODE, "argon2$argon2id$v=19$m=1024,t=3,p=4$WWF6VFRYV09aV0tqTE5yWFFTSEJObQ$RuWpylmuLH7ptPIJb6c/nA8VoRQOtrsXXmJMm5HjYiM"),
    (" spaced out\t", "argon2$argon2id$v=19$m=1024,t=3,p=4$Yk1heDNJREE4REk1R01FRVhjbTgwVA$Jm7Susr+Zhs3c1V2C95PRkwDW+uKwt+lDyngBeDCwSQ"),
    (LONG, "argon2$argon2id$v=19$m=1024,t=3,p=4$ZFU0NWxKRnNNVFg2THh1c0lhSjNVbg$AixpFKUKEVnxPRMD/A6f8+gVoZiYTztMG8OhzDfmCaU"),
    ("password", "argon2$argon2i$v=19$m=64,t=2,p=1$c29tZXNhbHQ$mJ2mVFjovhRArlVdCzyKw6ZYTg0ikLncyRWminHkHB4"),
    ("password", "argon2$argon2d$v=19$m=64,t=2,p=1$c29tZXNhbHQ$+SDZVThkhGWr7rpq4G6lMu0m3zFK/2AVAjfY/hFvYs0"),
    ("password", "argon2$argon2i$v=16$m=64,t=2,p=1$c29tZXNhbHQ$Mt/jIl5zTh7I68ndaONWnw"),
    ("password", "argon2$argon2id$v=19$m=64,t=2,p=1$c29tZXNhbHQ$CpahY97MNWo2uyGWQjji4g"),
    ("password", "argon2$argon2id$v=19$m=64,t=2,p=1$c29tZXNhbHQ$OvE0NxkZXwrshcOKhVqbdze9YDe+969lSgRXzOzsHtU/X3oEPipwVDLJWYGfasYtiLVw2fdnYDycCqOc4znsHw"),
    ("password", "bcrypt_sha256$$2b$04$SgcqD2TIH9ORwOKzTP3QnuxaeTHLH2/y57hdCskcZvflfYyDaod2W"),
    (UNICODE, "bcrypt_sha256$$2b$04$gD18EJEECyQAjTQQTA28DORbXkFsClit4xEVm4cl18IIJzWx4uHjO"),
    (" spaced out\t", "bcrypt_sha256$$2b$04$wXUnecFRP622/SXdBsQleeC/lqXMTdSv2HePcZNHh8eJR2aliwuLe"),
    (LONG, "bcrypt_sha256$$2b$04$FdZqfntxklDR8oyFSkqz2utqcKJJ5xD3RV4tq34L.imDSpU4MRMrm"),
    ("password", "bcrypt_sha256$$2b$12$sH04PSPlfXPVTfSM2G.sBuslsj5dVPdvyxpw9z3Yjw.kddqMa7f2K"),
    ("password", "bcrypt$$2b$04$mjVDwdMfXq3d9qoouv2GveWKGvva7XFFRqE/LAPKLsXD15y2w78G2"),
    (UNICODE, "bcrypt$$2b$04$yweWwBJiS5PZOjdKYygmXua18rbDOH8blAnwC8YjEGFWMIzJCIEDK"),
    (" spaced out\t", "bcrypt$$2b$04$j4WmWGHjtqh.239YzDhVbupcIkpLeF2ogcxoGM7LPZ9qxfb3WnOc."),
    ("password", "bcrypt$$2a$04$itl65PBtV1YgigXjvs3e9.r68yBuaA/QFvcfNugFyUyNR1F0E6sYm"),
    ("password", "scrypt$16$WOcF5VnELYSxlk5iF7NlMS$8$1$TG+3sEdEeqyhoy9LAG5I6Mmsi7896+1iDADvmL3PAh29jzsuqCMD/1ng3coUw25f96MirMR9Avr2xAvUD7kzAQ=="),
    (UNICODE, "scrypt$16$d0ANAnoUDzclEiquQi95gI$8$1$bDVeeHck1ZOC5F8+hoLg5xRG5z7e5nTaxblBzQDgY7HLfPpSKujbL2jsx39Q/PchzlpmXLf7lqfwYM2VWcAqLQ=="),
    (" spaced out\t", "scrypt$16$KY6bQH98XeNRSZQnWIfjdx$8$1$CLVhVeH0HAlodk7osAl3P0tKm+dljYPA2RVf+44CK7i3GiGh/aGn1kr483aJe4+wj87QVRdGdIaq9dc0yJ37Qg=="),
    (LONG, "scrypt$16$EAMUzLtW3V4CnTYZJ9EwHM$8$1$CEi8Kw47/C6yBN9AtfBPBEDU2t/ty43dFlpGLRdepUqrYJkqOAiwEVfC/5e3rUapKeoyJmhwHrp5tQsH4V6LUw=="),
    ("password", "scrypt$16384$eekLHLeABnZIQxGNypWvKJ$8$5$UE+BsvGpQyFVz3fXcMZcklT+Gyg5GQ4hMGyQYmpJodvVPXnZWCh3el9ePHSN94FfC7lKb9o1aUcE6iG6T7FuSw=="),
    ("password", "scrypt$1024$odd=salt,☃$1$3$jg7ifqsZgsNBSd6jtSzMANec9kJbHyXDaKAYTEIlNO0fqSLPMmENQlpUDj+QL4LGUfj3RdI0FeSdbhF1naZnwg=="),
    ("nul\0byte", "bcrypt$$2b$04$QgWF9wfpMZNO1oxirtBNletfgxeRBu2yt9gCWH9kZis9tF2TpBdAW"),
    ("x", "bcrypt$$2y$04$z0KYhoo6gd96SXtw/3F0IuKcpSAyTB2soY/3J3eVyAj4J.TzRdqC6"),
];

/// The forms of other programs; made with Python's hashlib (OpenSSL) for [`UNICODE`], the last two are passlib's spelling.
const OTHERS: [(&str, &str); 5] = [
    (
        "$pbkdf2-sha256$i=1000,l=32$MDEyMzQ1Njc4OWFiY2RlZg$7evBE7itRsqRhaUO7HF+DaUiGdLFQCChIPjUqklXOAU",
        "pbkdf2_sha256$1000",
    ),
    (
        "$pbkdf2-sha512$i=1000$MDEyMzQ1Njc4OWFiY2RlZg$RjrCqJFBL4/7UpSIhk4bKRBQM9f17m2bdxOzVKQNP7br5LGjJlqzBM0Pu/md12zZ4IzBgH+AJhu1GHCTRM745g",
        "pbkdf2_sha512$1000",
    ),
    (
        "$scrypt$ln=4,r=8,p=1$MDEyMzQ1Njc4OWFiY2RlZg$lifJ02kpEERaR2FC8pjt+rXkYU7EI4ldBVnxaEWKAmo",
        "scrypt$16,8,1",
    ),
    (
        "$pbkdf2-sha256$1000$MDEyMzQ1Njc4OWFiY2RlZg$7evBE7itRsqRhaUO7HF.DaUiGdLFQCChIPjUqklXOAU",
        "pbkdf2_sha256$1000",
    ),
    ("$pbkdf2$1000$MDEyMzQ1Njc4OWFiY2RlZg$OqwawkILlHYnNGIqeiNYbY7qby8", "pbkdf2_sha1$1000"),
];

// PW-09
#[test]
fn hashes_of_other_programs_verify_and_are_to_be_upgraded() {
    for (stored, scheme) in OTHERS {
        assert_eq!(
            (password::kind_of(stored), password::scheme_of(stored).as_str()),
            (Kind::Foreign, scheme),
            "{stored}"
        );
        assert_eq!(verify(UNICODE, stored), Outcome::Outdated, "{stored}");
        assert_eq!(verify("password", stored), Outcome::Wrong, "{stored}");
    }
    for (text, stored) in
        DJANGO.iter().filter(|(_, stored)| stored.starts_with("bcrypt$") && !is_dear(stored))
    {
        let plain = stored.trim_start_matches("bcrypt$");
        assert_eq!(
            (password::kind_of(plain), verify(text, plain)),
            (Kind::Foreign, Outcome::Outdated),
            "{plain}"
        );
        assert_eq!(verify("another", plain), Outcome::Wrong);
    }
    let costly = [
        ("i=1000,l=32", "i=3000001,l=32"),
        ("i=1000,l=32", "i=1000,l=33"),
        ("i=1000,l=32", "i=0,l=32"),
        ("ln=4", "ln=32"),
        ("ln=4", "ln=30"),
        ("ln=4,r=8", "ln=0,r=8"),
        ("ln=4,r=8", "r=8,ln=4"),
        ("HF+D", "H.+D"),
        ("$pbkdf2-sha512", "$pbkdf2-sha384"),
    ];
    for (from, to) in costly {
        let (stored, _) = OTHERS.iter().find(|(stored, _)| stored.contains(from)).unwrap();
        let broken = stored.replace(from, to);
        assert_eq!(
            (password::kind_of(&broken), password::scheme_of(&broken).as_str()),
            (Kind::Broken, "unusable"),
            "{broken}"
        );
    }
}

/// Made by argon2-cffi with the parameters of [`Params::default`]. The password is "password".
const NATIVE: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZg$0qsHs573+LgGInzYb7sRqlOTBmqY4X6srNEm6ybpJ20";

fn verify(password: &str, stored: &str) -> Outcome {
    verify_today(password, stored, Params::default())
}

fn verify_today(password: &str, stored: &str, today: Params) -> Outcome {
    password::verify(password.as_bytes(), stored, today, &mut Arena::new(today.memory_kib())).expect("memory")
}

// PW-09
#[test]
fn django_hashes_verify_and_are_to_be_upgraded() {
    for (text, stored) in DJANGO {
        assert_eq!(password::kind_of(stored), Kind::Foreign, "{stored}");
        assert_eq!(verify(text, stored), Outcome::Outdated, "{stored}");
    }
}

// PW-07: never on failure
#[test]
fn other_passwords_do_not_verify() {
    for (text, stored) in DJANGO {
        let mut others = vec![format!("{text}x"), format!(" {text}"), text.to_uppercase(), String::new()];
        others.retain(|other| other != text);
        // The dear ones get one wrong password.
        others.truncate(if is_dear(stored) { 1 } else { others.len() });
        for other in others {
            assert_eq!(verify(&other, stored), Outcome::Wrong, "{other:?} {stored}");
        }
    }
}

fn is_dear(stored: &str) -> bool {
    ["$1000000$", "$12$", "m=102400", "$16384$"].iter().any(|cost| stored.contains(cost))
}

// PW-02: what bcrypt cuts off is a property of that format alone
#[test]
fn only_plain_bcrypt_forgets_what_follows_the_72nd_byte() {
    let stored = DJANGO.iter().filter(|(text, _)| *text == LONG);
    let mut seen = 0;
    for (text, stored) in stored {
        let altered = format!("{}y", &text[..99]);
        assert_eq!(verify(&altered, stored), Outcome::Wrong, "{stored}");
        seen += 1;
    }
    assert!(seen >= 6);
    let long = "y".repeat(72);
    let stored = format!("bcrypt${}", bcrypt::hash_with_salt(&long, 4, *b"0123456789abcdef").unwrap());
    assert_eq!(verify(&long, &stored), Outcome::Outdated);
    assert_eq!(verify(&format!("{long}z"), &stored), Outcome::Outdated);
    assert_eq!(verify(&long[..71], &stored), Outcome::Wrong);
}

// PW-06, PW-07
#[test]
fn our_hashes_are_left_alone_until_the_parameters_change() {
    assert_eq!(password::kind_of(NATIVE), Kind::Native);
    assert_eq!(verify("password", NATIVE), Outcome::Right);
    assert_eq!(verify("Password", NATIVE), Outcome::Wrong);
    for today in [(19_456, 3, 1), (24_576, 2, 1), (19_456, 2, 2), (47_104, 1, 1)] {
        let today = Params::new(today.0, today.1, today.2).unwrap();
        assert_eq!(verify_today("password", NATIVE, today), Outcome::Outdated);
        assert_eq!(verify_today("Password", NATIVE, today), Outcome::Wrong);
    }
    // Django's with the very same parameters is foreign all the same.
    assert_eq!(verify("password", &format!("argon2{NATIVE}")), Outcome::Outdated);
    let new = password::hash(b"password", Params::default(), &mut Arena::new(19_456)).unwrap();
    assert_eq!((new.len(), verify("password", &new)), (NATIVE.len(), Outcome::Right));
}

// LG-02
#[test]
fn schemes_name_the_cost_and_nothing_else() {
    let schemes = [
        ("$1000000$", "pbkdf2_sha256$1000000"),
        ("pbkdf2_sha1$1000$", "pbkdf2_sha1$1000"),
        ("m=102400", "argon2id$m=102400,t=2,p=8"),
        ("v=16", "argon2i$v=16,m=64,t=2,p=1"),
        ("bcrypt_sha256$$2b$12$", "bcrypt_sha256$12"),
        ("bcrypt$$2a$04$", "bcrypt$4"),
        ("scrypt$16384$", "scrypt$16384,8,5"),
    ];
    for (part, scheme) in schemes {
        let (_, stored) = DJANGO.iter().find(|(_, stored)| stored.contains(part)).unwrap();
        assert_eq!(password::scheme_of(stored), scheme);
        password::dummy(b"x", scheme, Params::default(), &mut Arena::new(19_456)).unwrap();
    }
    assert_eq!(password::scheme_of(NATIVE), "argon2id$m=19456,t=2,p=1");
    assert_eq!(password::scheme_of("!"), "unusable");
    assert_eq!(password::scheme_of("md5$salt$hash"), "unusable");
}

// PW-09
#[test]
fn unknown_broken_and_too_costly_text_is_not_computed() {
    let salt_and_tag = "c29tZXNhbHQ$mJ2mVFjovhRArlVdCzyKw6ZYTg0ikLncyRWminHkHB4";
    let pbkdf2_tag = "lGLTCndLTA4cK3kxNvcclG1qFNlw/8mPMHA2nv/Wc4E=";
    let bcrypt = "bcrypt$$2b$04$mjVDwdMfXq3d9qoouv2GveWKGvva7XFFRqE/LAPKLsXD15y2w78G2";
    let mut broken: Vec<String> = [
        "m=4294967295,t=1,p=1",
        "m=4294967296,t=1,p=1",
        "m=64,t=4294967295,p=1",
        "m=64,t=0,p=1",
        "m=64,t=1,p=0",
        "m=64,t=1,p=9",
        "m=64,t=1",
        "m=64,t=1,p=1,keyid=AAAA",
        "m=+64,t=1,p=1",
        "m=064,t=1,p=1",
        "t=1,m=64,p=1",
        "",
    ]
    .iter()
    .flat_map(|costs| ["", "argon2"].map(|prefix| format!("{prefix}$argon2id$v=19${costs}${salt_and_tag}")))
    .collect();
    broken.extend(
        ["$argon2id$v=18$m=64,t=1,p=1$", "$argon2x$v=19$m=64,t=1,p=1$"]
            .map(|start| format!("{start}{salt_and_tag}")),
    );
    broken.extend(
        [
            format!("pbkdf2_sha256$10000001$s${pbkdf2_tag}"),
            format!("pbkdf2_sha256$0$s${pbkdf2_tag}"),
            format!("pbkdf2_sha256$-1$s${pbkdf2_tag}"),
            format!("pbkdf2_sha256$1_000$s${pbkdf2_tag}"),
            format!("pbkdf2_sha256$1$${pbkdf2_tag}"),
            format!("pbkdf2_sha1$1$s${pbkdf2_tag}"),
            format!("PBKDF2_sha256$1$s${pbkdf2_tag}"),
            bcrypt.replace("$04$", "$17$"),
            bcrypt.replace("$04$", "$31$"),
            bcrypt.replace("$04$", "$4$"),
            bcrypt.replace("$04$", "$00$"),
            bcrypt.replace("$2b$", "$2x$"),
            bcrypt.replace("mjVD", "mj!D"),
            bcrypt.replace("mjVD", "mj€D"),
            "x".repeat(2_000_000),
        ]
        .map(String::from),
    );
    broken.extend(
        [
            "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$",
            "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$AAAA",
            "$argon2id$v=19$m=64,t=1,p=1$$mJ2mVFjovhRArlVdCzyKw6ZYTg0ikLncyRWminHkHB4",
            "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ=$mJ2mVFjovhRArlVdCzyKw6ZYTg0ikLncyRWminHkHB4",
            "scrypt$2147483648$s$8$1$AAAA",
            "pbkdf2_sha256$abc$salt$hash",
            "5f4dcc3b5aa765d61d8327deb882cf99",
            "md5$s$5f4dcc3b5aa765d61d8327deb882cf99",
            "sha1$$5baa61e4c9b93f3f0682250b6cf8331b7ee68fd8",
            "password",
            "$",
            "$$$$$$",
            "\0",
        ]
        .map(String::from),
    );
    for stored in &broken {
        assert_eq!(password::kind_of(stored), Kind::Broken, "{stored:.80}");
        assert_eq!(password::scheme_of(stored), "unusable");
    }
    for stored in ["", "!", "!UfFRlyqpTIiAU90S8mmdFGoVTk25zA0x2tFMiExr"] {
        assert_eq!((password::kind_of(stored), verify("", stored)), (Kind::Unusable, Outcome::Wrong));
    }
    assert_eq!(verify("", &broken[0]), Outcome::Broken);
}

/// RFC 9106 sections 5.1 to 5.3.
#[test]
fn the_library_computes_the_vectors_of_rfc_9106() {
    let expected = [
        (Algorithm::Argon2d, "512b391b6f1162975371d30919734294f868e3be3984f3c1a13a4db9fabe4acb"),
        (Algorithm::Argon2i, "c814d9d1dc7f37aa13f0d77f2494bda1c8de6b016dd388d29952a4c4672b6ce8"),
        (Algorithm::Argon2id, "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659"),
    ];
    let params = ParamsBuilder::new()
        .m_cost(32)
        .t_cost(3)
        .p_cost(4)
        .output_len(32)
        .data(AssociatedData::new(&[4; 12]).unwrap())
        .build()
        .unwrap();
    for (algorithm, tag) in expected {
        let argon2 = Argon2::new_with_secret(&[3; 8], algorithm, Version::V0x13, params.clone()).unwrap();
        let mut memory = vec![Block::new(); params.block_count()];
        let mut out = [0; 32];
        argon2.hash_password_into_with_memory(&[1; 32], &[2; 16], &mut out, &mut memory).unwrap();
        let hexadecimal: String = out.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hexadecimal, tag, "{algorithm:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    // PW-09
    #[test]
    fn text_of_any_kind_is_read_without_a_panic(text in ".{0,200}", bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        for stored in [text.as_str(), &String::from_utf8_lossy(&bytes)] {
            prop_assert!(matches!(password::kind_of(stored), Kind::Broken | Kind::Unusable));
        }
    }

    // PW-09: one change anywhere, in a hash that is cheap to compute
    #[test]
    fn a_damaged_hash_never_verifies(
        (index, at, change) in (any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<char>()),
        cut in any::<bool>(),
    ) {
        let cheap: Vec<_> = DJANGO.iter().filter(|(_, stored)| !is_dear(stored)).collect();
        let (text, stored) = index.get(&cheap);
        let mut characters: Vec<char> = stored.chars().collect();
        let at = at.index(characters.len());
        if cut {
            characters.truncate(at);
        } else {
            characters[at] = change;
        }
        let damaged: String = characters.into_iter().collect();
        prop_assume!(damaged != *stored && is_cheap(&damaged));
        if password::kind_of(&damaged) == Kind::Broken {
            return Ok(());
        }
        let outcome = verify(text, &damaged);
        // The versions of bcrypt that we take compute the same.
        let same = damaged.replacen("$2a$", "$2b$", 1).replacen("$2y$", "$2b$", 1)
            == stored.replacen("$2a$", "$2b$", 1).replacen("$2y$", "$2b$", 1);
        prop_assert_eq!(outcome == Outcome::Outdated, same, "{}", damaged);
    }
}

/// Whether computing this is quick enough to be done hundreds of times: a changed digit can make a hash dear.
fn is_cheap(stored: &str) -> bool {
    let scheme = password::scheme_of(stored);
    let first_cost = scheme.split(['$', ',']).nth(1).unwrap_or("0").trim_start_matches("m=");
    let limit = if scheme.starts_with("bcrypt") { 6 } else { 20_000 };
    first_cost.parse::<u32>().unwrap_or(0) <= limit && !scheme.contains(",t=9")
}
