//! What a link in a mail lets its holder do, and for how long.

use std::time::Duration;

/// The longest that a link proving an address may live (NIST SP 800-63B-4 section 4.2.1.2).
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What a link in a mail is for. One for one purpose is good for no other (RC-06).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Proves that the account's address is its owner's.
    VerifyEmail,
    /// Proves the address that the account is to have.
    ChangeEmail,
    /// Sets a new password.
    ResetPassword,
    /// Keeps an account that its owner has closed.
    KeepAccount,
}

impl Purpose {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::VerifyEmail, Self::ChangeEmail, Self::ResetPassword, Self::KeepAccount];

    /// Its name, as it is stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::VerifyEmail => "verify_email",
            Self::ChangeEmail => "change_email",
            Self::ResetPassword => "reset_password",
            Self::KeepAccount => "keep_account",
        }
    }

    /// How long a link is good; `grace` is the time before a closed account is deleted.
    #[must_use]
    pub const fn lifetime(self, grace: Duration) -> Duration {
        match self {
            Self::VerifyEmail | Self::ChangeEmail => DAY,
            Self::ResetPassword => Duration::from_secs(30 * 60),
            Self::KeepAccount => grace,
        }
    }

    /// How long after a link the next one of its kind is sent at the earliest: each kills the one before it, and whoever asks
    /// for another's mails must neither fill a mailbox nor make every link in it useless.
    #[must_use]
    pub const fn pause(self) -> Duration {
        match self {
            Self::ResetPassword => Duration::from_secs(5 * 60),
            _ => Duration::from_secs(60),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // RC-02
    #[test]
    fn links_that_open_accounts_live_for_an_hour_at_most_and_others_for_a_day() {
        let grace = Duration::from_secs(7 * 24 * 60 * 60);
        for purpose in Purpose::ALL {
            let most = match purpose {
                Purpose::ResetPassword => Duration::from_secs(60 * 60),
                Purpose::VerifyEmail | Purpose::ChangeEmail => DAY,
                Purpose::KeepAccount => grace, // it opens nothing: whoever keeps an account must still log in
            };
            assert!(
                purpose.lifetime(grace) <= most && purpose.pause() < purpose.lifetime(grace),
                "{purpose:?}"
            );
        }
    }
}
