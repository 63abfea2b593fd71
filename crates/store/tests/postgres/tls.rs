//! DB-04: what each sslmode accepts and refuses, against a server with a certificate of its own authority.

use std::path::Path;
use std::process::Command;

use store::{Db, Error, PostgresOptions};
use testdb::Cluster;

fn openssl(folder: &Path, arguments: &str) {
    let output =
        Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output().expect("openssl");
    assert!(output.status.success(), "{output:?}");
}

/// Two authorities, and a certificate for `localhost` of the first.
fn certificates(folder: &Path) {
    for name in ["ours", "other"] {
        openssl(
            folder,
            &format!(
                "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {name}.key -out {name}.pem \
                 -days 2 -subj /CN={name} -addext basicConstraints=critical,CA:TRUE"
            ),
        );
    }
    std::fs::write(folder.join("names"), "subjectAltName=DNS:localhost\n").unwrap();
    openssl(
        folder,
        "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout server.key -out server.csr -subj /CN=localhost",
    );
    openssl(
        folder,
        "x509 -req -in server.csr -CA ours.pem -CAkey ours.key -CAcreateserial -days 2 -extfile names -out server.pem",
    );
}

async fn connects(cluster: &Cluster, host: &str, query: &str) -> Result<bool, Error> {
    let url = format!("{}?{query}", cluster.url().replace("127.0.0.1", host));
    let db = Db::open_postgres(PostgresOptions::parse(&url).unwrap()).await?;
    let mut tx = db.read().await?;
    let sql = "SELECT CASE WHEN ssl THEN 1 ELSE 0 END FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    tx.query_opt(sql, &[]).await?.unwrap().flag(0)
}

#[tokio::test]
async fn each_sslmode_checks_what_it_says() {
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path());
    let cluster = Cluster::start_with("");
    cluster.stop();
    for name in ["server.key", "server.pem"] {
        // Copied over a file of the server's, so that it is the server's own.
        let target = cluster.data().join("postgresql.auto.conf").with_file_name(name);
        std::fs::copy(folder.path().join(name), &target).unwrap();
        let owner = std::fs::metadata(cluster.data()).unwrap();
        let (user, group) =
            (std::os::unix::fs::MetadataExt::uid(&owner), std::os::unix::fs::MetadataExt::gid(&owner));
        std::os::unix::fs::chown(&target, Some(user), Some(group)).unwrap();
        std::fs::set_permissions(&target, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    }
    let path = cluster.data().join("postgresql.conf");
    let settings = std::fs::read_to_string(&path).unwrap();
    assert!(connects_when_off(&cluster).await);
    std::fs::write(&path, settings + "ssl = on\nssl_cert_file = 'server.pem'\nssl_key_file = 'server.key'\n")
        .unwrap();
    cluster.start();
    let root = |name: &str| format!("sslrootcert={}", folder.path().join(name).display());
    let (ours, other) = (root("ours.pem"), root("other.pem"));
    for (host, query, expected) in [
        ("127.0.0.1", "sslmode=disable".to_owned(), Some(false)),
        ("127.0.0.1", "sslmode=prefer".to_owned(), Some(true)),
        ("127.0.0.1", "sslmode=require".to_owned(), Some(true)),
        ("localhost", format!("sslmode=verify-full&{ours}"), Some(true)),
        ("127.0.0.1", format!("sslmode=verify-full&{ours}"), None),
        ("127.0.0.1", format!("sslmode=verify-ca&{ours}"), Some(true)),
        ("localhost", format!("sslmode=verify-full&{other}"), None),
        ("localhost", format!("sslmode=verify-ca&{other}"), None),
    ] {
        let done = connects(&cluster, host, &query).await;
        match expected {
            Some(encrypted) => assert_eq!(done.unwrap(), encrypted, "{host} {query}"),
            None => assert!(matches!(done, Err(Error::Unavailable(_))), "{host} {query}: {done:?}"),
        }
    }
    let missing = connects(&cluster, "localhost", "sslmode=verify-full&sslrootcert=/nonexistent").await;
    assert!(matches!(missing, Err(Error::Refused(_))), "{missing:?}");
}

/// A server without TLS: `prefer` goes on without, `require` does not.
async fn connects_when_off(cluster: &Cluster) -> bool {
    cluster.start();
    let prefer = connects(cluster, "127.0.0.1", "sslmode=prefer").await;
    let require = connects(cluster, "127.0.0.1", "sslmode=require").await;
    cluster.stop();
    prefer.is_ok_and(|encrypted| !encrypted) && require.is_err()
}
