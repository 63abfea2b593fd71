//! The service under test: finding its binary, preparing its database, starting it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::bench::Bench;
use crate::load::{Until, User};
use crate::script::{Script, TokenPair};
use crate::server::{Server, free_port};

/// The name of the package and of its binary.
const PACKAGE: &str = "bookstore-auth";

/// The folder of the workspace: where this crate was compiled from, or else the current folder.
pub(crate) fn workspace() -> Result<PathBuf> {
    let compiled = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for folder in [compiled, std::env::current_dir()?] {
        if folder.join("crates/cli/Cargo.toml").is_file() {
            return Ok(folder.canonicalize()?);
        }
    }
    bail!("run this in the folder of the workspace")
}

/// Builds the release binary (cargo finds at once when there is nothing to do) and gives its path.
pub(crate) fn build() -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["build", "--release", "--package", PACKAGE, "--message-format", "json-render-diagnostics"])
        .current_dir(workspace()?)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run cargo; name a binary with --binary")?;
    if !output.status.success() {
        bail!("cargo could not build {PACKAGE}");
    }
    executable(&String::from_utf8_lossy(&output.stdout)).context("cargo did not say where the binary is")
}

/// The path of our binary in cargo's messages.
fn executable(messages: &str) -> Option<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["target"]["name"] == PACKAGE)
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
}

/// Starts the service in production mode on the database in `folder`, with every setting at its default but
/// the ones a measurement needs, and `extra`.
pub(crate) async fn start(bench: &Bench, folder: &Path, extra: &[(&str, &str)]) -> Result<Server> {
    let port = free_port()?;
    let mut settings = vec![
        ("SECRET_KEY", bench.secret.clone()),
        ("BIND", format!("127.0.0.1:{port}")),
        ("DATA_DIR", folder.display().to_string()),
        // The bench logs the same accounts in again and again from a few addresses, which is what throttling stops.
        ("THROTTLE", "off".to_owned()),
        // Explicit, so that the bare handler and the bare loop get the same numbers.
        ("WORKER_THREADS", bench.workers.to_string()),
        ("HASH_THREADS", bench.cores.to_string()),
    ];
    settings.extend(extra.iter().map(|(name, value)| (*name, (*value).to_owned())));
    let settings: Vec<(String, String)> =
        settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Server::start(&bench.service, &["serve".into()], &settings, folder, port, &[200]).await
}

/// Logs accounts of the population in until `count` sessions are open and gives their tokens.
pub(crate) async fn open_sessions(
    server: &mut Server,
    population: u64,
    count: usize,
) -> Result<Vec<TokenPair>> {
    let endpoint = server.endpoint;
    let script = |number| match Script::login(population, number) {
        Script::Login { population, draw, .. } => Script::Login { population, draw, pairs: Some(Vec::new()) },
        other => other,
    };
    let mut users: Vec<User> =
        (0..count.min(16)).map(|number| User::new(endpoint, number, script(number))).collect();
    server.load(&mut users, Until::Answered(count as u64)).await?;
    let pairs: Vec<TokenPair> = users
        .into_iter()
        .flat_map(|user| match user.into_script() {
            Script::Login { pairs: Some(pairs), .. } => pairs,
            _ => Vec::new(),
        })
        .collect();
    if pairs.len() != count {
        bail!("{} sessions instead of {count}", pairs.len());
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_binary_is_found_in_cargos_messages() {
        let messages = concat!(
            "{\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"other\"},\"executable\":\"/x/other\"}\n",
            "not json\n",
            "{\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"bookstore-auth\"},\"executable\":\"/x/bookstore-auth\"}\n",
        );
        assert_eq!(executable(messages), Some(PathBuf::from("/x/bookstore-auth")));
        assert_eq!(executable("{\"reason\":\"build-finished\"}"), None);
    }

    #[test]
    fn the_workspace_is_found() {
        assert!(workspace().unwrap().join("Cargo.lock").is_file());
    }
}
