//! A real Django project moves in: users by every hasher log in with their old passwords; a run that was killed is run again.

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use rusqlite::{Connection, params};
use serde_json::{Value, json};
use testdb::Cluster;
use testkit::process::{Process, SECRET_KEY};
use testkit::wait::{self, Deadline};

use crate::{foreign, turn};

/// Makes a Django project's database and tells what is in it; none without the foreign libraries.
fn django(test: &str, database: &Value) -> Option<Value> {
    let environment = foreign::environment(test)?;
    let mut command = foreign::python(&environment);
    command
        .arg(foreign::scripts().join("django_source.py"))
        .env("PYTHONPATH", environment.join("django-import"));
    Some(foreign::ask(command, &json!({"secret": SECRET_KEY, "database": database})))
}

fn report(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("a report")
}

// PW-09, LG-12, RF-08
fn moves_in(made: &Value, from: &str) {
    let mut service = Process::prepare(&[]);
    let import = ["import", "django", "--from", from, "--json"];
    let dry = report(&service.run_command(&[&import[..], &["--dry-run"]].concat(), ""));
    let first = report(&service.run_command(&import, ""));
    let users = made["users"].as_array().expect("users");
    let unusable = users.iter().filter(|user| user["usable"] == false).count();
    assert_eq!(
        (&first["read"], &first["created"], &first["skipped"]),
        (&json!(users.len()), &json!(users.len()), &json!(0))
    );
    assert_eq!(
        (&dry["created"], &dry["notes"], &dry["groups"]),
        (&first["created"], &first["notes"], &first["groups"])
    );
    let notes = first["notes"].as_array().expect("notes");
    assert!(notes.len() == unusable && notes.iter().all(|note| note["kind"] == "unknown_hash"), "{notes:?}");
    assert_eq!(
        (&first["groups"]["created"], &first["refused_tokens"]["created"]),
        (&json!(1), &json!(2)),
        "{first}"
    );
    // One account was made and deleted there: its id is not issued again.
    assert_eq!(first["ids_reserved_to"], json!(users.len() + 1));

    service.run();
    let password = made["password"].as_str().expect("a password");
    for user in users {
        let name = user["username"].as_str().expect("a name");
        let wanted = if user["usable"] == true { 200 } else { 401 };
        assert_eq!(service.try_login(name, password).status, wanted, "{user}");
        assert_eq!(service.try_login(name, "another password").status, 401, "{user}");
    }
    for refused in ["refused", "rotated"] {
        let token = made[refused].as_str().expect("a token");
        assert_eq!((service.refresh(token).status, service.verify(token)), (401, 400), "{refused}");
    }
    assert_eq!(service.refresh(made["good"].as_str().expect("a token")).status, 200);
    let id = users[0]["id"].to_string();
    let shown = report(&service.run_command(&["user", "show", &format!("id:{id}"), "--json"], ""));
    assert_eq!(shown["groups"], json!(["Editors"]));
    assert_eq!(shown["permissions"], json!(["auth.add_user", "auth.view_group"]));
    let again = report(&service.run_command(&import, ""));
    assert_eq!((&again["unchanged"], &again["updated"]), (&json!(users.len()), &json!(0)), "{again}");
    assert_eq!(service.register("new", "violet-umbrella-42"), users.len() as i64 + 2);
}

#[test]
fn a_django_project_on_sqlite_moves_in() {
    let _turn = turn::beside_others();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("db.sqlite3");
    let database = json!({"ENGINE": "django.db.backends.sqlite3", "NAME": file});
    let Some(made) = django("a_django_project_on_sqlite_moves_in", &database) else { return };
    moves_in(&made, &format!("sqlite:{}", file.display()));
}

#[test]
fn a_django_project_on_postgresql_moves_in() {
    let _turn = turn::beside_others();
    let cluster = Cluster::start_with("");
    let address = cluster.url().trim_start_matches("postgres://tester@").to_owned();
    let (host, name) = address.split_once('/').expect("a database");
    let (host, port) = host.split_once(':').expect("a port");
    let database = json!({
        "ENGINE": "django.db.backends.postgresql", "USER": "tester", "HOST": host, "PORT": port, "NAME": name,
    });
    let Some(made) = django("a_django_project_on_postgresql_moves_in", &database) else { return };
    moves_in(&made, cluster.url());
}

const SCHEMA: &str = "CREATE TABLE auth_user (id integer PRIMARY KEY AUTOINCREMENT, username, email, first_name, last_name, password, \
    is_active, is_staff, is_superuser, date_joined, last_login)";
const USERS: &str = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1) INSERT INTO auth_user SELECT i, \
    'user' || i, '', '', '', '!', 1, 0, 0, '2024-05-01 12:00:00', NULL FROM n";

fn make(file: &Path, users: u64) {
    let connection = Connection::open(file).expect("a file");
    connection.execute_batch(SCHEMA).expect("a table");
    connection.execute(USERS, params![users as i64]).expect("users");
}

#[test]
fn an_import_that_was_killed_is_run_again() {
    const COUNT: u64 = 40_000;
    let _turn = turn::beside_others();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("db.sqlite3");
    make(&file, COUNT);
    let service = Process::prepare(&[]);
    let from = file.display().to_string();
    let import = ["import", "django", "--database", &from, "--json"];
    let mut kills = 0;
    // Killed ever later, until a run comes to its end.
    for round in 1.. {
        let mut child =
            service.command(&import).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary");
        let deadline = Deadline::after(Duration::from_millis(200) * round);
        let mut ended = None;
        while ended.is_none() && !deadline.passed() {
            ended = child.try_wait().expect("our child");
            wait::pause(Duration::from_millis(5));
        }
        if let Some(status) = ended {
            assert!(status.success(), "{status}");
            break;
        }
        child.kill().expect("our child");
        child.wait().expect("our child");
        kills += 1;
    }
    assert!(kills > 0, "it was never killed");
    let last = report(&service.run_command(&import, ""));
    assert_eq!((&last["read"], &last["unchanged"]), (&json!(COUNT), &json!(COUNT)), "{last}");
}
