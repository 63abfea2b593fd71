//! Arguments of `bootstrap-token` and `api-key`.

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum ApiKey {
    /// Make a key for an account and show it, once
    Create(ApiKeyCreate),
    /// List keys in the order of their ids
    List(ApiKeyList),
    /// Revoke a key: it gives no tokens, and those that it gave are refused
    Revoke {
        /// The id of the key
        id: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ApiKeyCreate {
    /// The name or the id of the account that it acts for
    #[arg(value_name = "NAME|ID")]
    pub(crate) user: String,
    /// What people call it
    #[arg(long)]
    pub(crate) name: String,
    /// The permissions that it is limited to, separated by spaces
    #[arg(long, default_value = "")]
    pub(crate) scope: String,
    /// For how many days it is good; API_KEY_MAX_LIFETIME at most
    #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u32).range(1..=3650))]
    pub(crate) days: u32,
    /// Print JSON: {"id": .., "key": .., "expires_at": ..}
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ApiKeyList {
    /// Only those of this account
    #[arg(long, value_name = "NAME|ID")]
    pub(crate) user: Option<String>,
    /// Begin after this id
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    pub(crate) after: String,
    /// How many to list
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) limit: u32,
    /// Print JSON: {"api_keys": [..], "next": ID or null}
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct BootstrapToken {
    /// For how many minutes it is good
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=1440))]
    pub(crate) minutes: u32,
    /// Print JSON: {"token": .., "expires_at": ..}
    #[arg(long)]
    pub(crate) json: bool,
}
