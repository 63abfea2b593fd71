//! CSV and JSON Lines: what comes in, what is named, and that what goes out comes in again.

use domain::time::Timestamp;
use import::Error;
use import::file::{Format, ImportOptions, export, import};
use import::report::{NoteKind, Report};
use service::{group, user};
use testkit::app::TestApp;

const HASH: &str = "pbkdf2_sha256$1000$NaClNaClNaClNaCl01$UvwbNXHJ9taEZuNuG74/3I856IGeAfjgQYOtcPHS3hQ=";
/// `password`, by bcrypt.
const BCRYPT: &str = "$2b$04$mjVDwdMfXq3d9qoouv2GveWKGvva7XFFRqE/LAPKLsXD15y2w78G2";

async fn try_import(service: &TestApp, format: Format, text: &str, dry_run: bool) -> Result<Report, Error> {
    let input = Box::new(std::io::Cursor::new(text.to_owned().into_bytes()));
    import(&service.app, ImportOptions { input, format, dry_run, notes: None }, |_| {}).await
}

async fn csv(service: &TestApp, text: &str) -> Report {
    try_import(service, Format::Csv, text, false).await.unwrap()
}

async fn exported(service: &TestApp, format: Format) -> String {
    let mut out = Vec::new();
    export(&service.app, &mut out, format, true).await.unwrap();
    String::from_utf8(out).unwrap()
}

fn counts(report: &Report) -> [u64; 5] {
    [report.read, report.created, report.updated, report.unchanged, report.skipped]
}

#[tokio::test]
async fn users_come_from_csv_with_groups_and_log_in() {
    let service = TestApp::start().await;
    let text = format!(
        "\u{feff}username,email,password_hash,groups,is_staff,date_joined\r\nann,ann@example.com,{HASH},\"[\"\"Editors\"\"]\",true,2024-05-01T12:00:00.5Z\r\n\
         ben,,{BCRYPT},Editors; Readers,,\r\ncarl,,,,,\r\n"
    );
    let report = csv(&service, &text).await;
    assert_eq!((counts(&report), report.notes.len()), ([3, 3, 0, 0, 0], 0), "{report:?}");
    assert_eq!((report.groups.read, report.groups.created), (2, 2));
    service.login("ann", " wanderlust-42 ").await; // Django's form: trimmed as Django did
    service.login("ben", "password").await;
    assert_eq!(service.try_login("ben", " password").await.status, 401);
    assert_eq!(service.try_login("carl", "").await.status, 400);
    let ann = user::find(&service.app, "ann").await.unwrap();
    assert!(ann.is_staff && ann.created_at == Timestamp::from_micros(1_714_564_800_500_000));
    let ben = user::find(&service.app, "ben").await.unwrap();
    let names = group::of_user(&service.app, &ben).await.unwrap().groups;
    assert_eq!(names.iter().map(|group| group.name.as_str()).collect::<Vec<_>>(), ["Editors", "Readers"]);
    // Repeatable; what changed in the file only is followed, what changed here too is not.
    assert_eq!(counts(&csv(&service, &text).await), [3, 0, 0, 3, 0]);
    user::set_password(&service.app, ben.id, "violet-umbrella-42").await.unwrap();
    let changed = text.replace("ann@", "anna@").replace("; Readers", "");
    let report = csv(&service, &changed).await;
    assert_eq!((counts(&report), report.notes[0].kind), ([3, 0, 1, 1, 1], NoteKind::Conflict));
}

#[tokio::test]
async fn every_complaint_names_row_and_member() {
    let service = TestApp::start().await;
    let text = "id,username,password_hash,is_active,date_joined,groups\n\
                x,ann,,,,\n1,,,,,\n2,ben,,maybe,,\n3,carl,,,2024-05-01,\n4,dora,plain text,,,\n5,eve,,,,[1]\n6,fay\n4,gus,,,,\n7,dora,,,,\n8,=HYPER,,,,\n";
    let dry = try_import(&service, Format::Csv, text, true).await.unwrap();
    let report = csv(&service, text).await;
    let said: Vec<_> =
        report.notes.iter().map(|note| (note.row.unwrap(), note.kind, note.text.as_str())).collect();
    let expected = [
        (1, NoteKind::Unusable, "id is not a number"),
        (2, NoteKind::Unusable, "username is missing"),
        (3, NoteKind::Unusable, "is_active is neither"),
        (4, NoteKind::Unusable, "date_joined is not a time"),
        (5, NoteKind::UnknownHash, "no known format"),
        (6, NoteKind::Unusable, "groups are not a list"),
        (7, NoteKind::Unusable, "2 cells where 6"),
        (8, NoteKind::IdTaken, "stands in row 5"),
        (9, NoteKind::NameTaken, "stands in row 5"),
    ];
    assert_eq!(said.len(), expected.len(), "{said:#?}");
    for ((row, kind, text), wanted) in said.iter().zip(expected) {
        assert!((*row, *kind) == (wanted.0, wanted.1) && text.contains(wanted.2), "{row} {kind:?} {text}");
    }
    assert_eq!(counts(&report), [10, 2, 0, 0, 8]);
    assert_eq!(Report { dry_run: false, ids_reserved_to: report.ids_reserved_to, ..dry }, report);
    // PW-09: what may be a password in the clear is not kept.
    assert!(!exported(&service, Format::JsonLines).await.contains("plain text"));
}

#[tokio::test]
async fn a_file_that_cannot_be_understood_is_refused_whole() {
    let service = TestApp::start().await;
    for (text, reason) in [
        ("name,email\nann,\n", "\"name\" is not known"),
        ("email\nx\n", "no column username"),
        ("username,username\nx,x\n", "twice"),
    ] {
        let error = try_import(&service, Format::Csv, text, false).await.unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
    let endless = format!("username\n\"{}", "x".repeat(3_000_000));
    assert!(try_import(&service, Format::Csv, &endless, false).await.is_err());
    let endless = "x".repeat(3_000_000);
    assert!(try_import(&service, Format::JsonLines, &endless, false).await.is_err());
    let report = try_import(&service, Format::JsonLines, "[]\n{\"username\":\"ann\",\"x\":1}\nx\n", false)
        .await
        .unwrap();
    assert_eq!((report.read, report.skipped), (3, 3));
}

#[tokio::test]
async fn what_is_exported_comes_in_elsewhere_as_it_was() {
    // AD-06
    let from = TestApp::start().await;
    from.register("zoe", "violet-umbrella-42").await;
    let text = format!(
        "{{\"id\":7,\"username\":\"=cmd\",\"first_name\":\"'=x\",\"last_name\":\"a,\\\"b\\n\",\"email\":\"+x@example.com\",\"password_hash\":\"{HASH}\",\
         \"groups\":[\"b;c\",\"a\"],\"permissions\":[\"shop.add_book\"],\"last_login\":\"2024-05-01T12:00:00.123456Z\",\"is_superuser\":true}}\n\
         {{\"id\":9,\"username\":\"ＺＯＥ\",\"is_active\":false,\"password_hash\":\"{BCRYPT}\"}}\n"
    );
    let report = try_import(&from, Format::JsonLines, &text, false).await.unwrap();
    assert_eq!(report.created, 2, "{report:?}");
    for format in [Format::Csv, Format::JsonLines] {
        let first = exported(&from, format).await;
        if format == Format::Csv {
            let starts_formula = |cell: &str| cell.trim_start_matches('"').starts_with(['=', '+', '@', '-']);
            assert!(!first.split([',', '\n']).any(starts_formula), "{first}");
        }
        let to = TestApp::start().await;
        let report = try_import(&to, format, &first, false).await.unwrap();
        assert_eq!(counts(&report), [3, 3, 0, 0, 0], "{report:?}");
        assert_eq!(exported(&to, format).await, first);
        assert_eq!(counts(&try_import(&to, format, &first, false).await.unwrap()), [3, 0, 0, 3, 0]);
        to.login("zoe", "violet-umbrella-42").await;
        to.login("=cmd", "wanderlust-42").await;
        assert_eq!(to.register("new", "violet-umbrella-42").await, 10, "LG-12");
    }
    let mut out = Vec::new();
    export(&from.app, &mut out, Format::Csv, false).await.unwrap();
    let without = String::from_utf8(out).unwrap();
    assert!(!without.contains("password") && !without.contains('$'), "{without}");
}
