use std::net::IpAddr;

use domain::time::Timestamp;

/// Who asks, from where, and when: read once per request.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The one time of the whole request.
    pub now: Timestamp,
    /// Names the request in logs.
    pub request_id: String,
    /// The client's address, as far as trusted proxies tell it.
    pub address: IpAddr,
    /// The client's User-Agent header; may be empty.
    pub user_agent: String,
}

impl Caller {
    /// The user agent as it is stored: at most 200 characters, none of them control characters.
    pub(crate) fn short_user_agent(&self) -> String {
        self.user_agent.chars().filter(|c| !c.is_control()).take(200).collect()
    }
}
