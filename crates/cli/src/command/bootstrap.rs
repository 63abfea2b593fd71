//! `bootstrap-token`.

use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;
use service::admin::bootstrap;

use super::output::print;
use super::user::{utc, with_app};
use crate::args::BootstrapToken;
use crate::config::{Inputs, Needs};

pub(super) fn run(inputs: &Inputs, args: &BootstrapToken) -> anyhow::Result<ExitCode> {
    let lifetime = Duration::from_secs(60 * u64::from(args.minutes));
    with_app(inputs, Needs::Database, true, async |app| {
        let token = bootstrap::make(app, lifetime).await?;
        let expires_at = utc(token.expires_at);
        if args.json {
            let shown = json!({ "token": token.text, "expires_at": expires_at });
            return Ok(print(&format!("{shown}\n"))?);
        }
        eprintln!("good once, until {expires_at}, for POST /admin/api/bootstrap/");
        Ok(print(&format!("{}\n", token.text))?)
    })?;
    Ok(ExitCode::SUCCESS)
}
