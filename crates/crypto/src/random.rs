//! The one source of randomness (aws-lc-rs, seeded by the operating system).

/// `N` bytes from the cryptographically secure generator.
///
/// The process is aborted when the generator fails: salts, token ids and session ids made without randomness would be
/// worse than no service at all.
pub fn fill<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    if aws_lc_rs::rand::fill(&mut bytes).is_err() {
        std::process::abort();
    }
    bytes
}

#[cfg(test)]
mod tests {
    #[test]
    fn two_calls_differ() {
        assert_ne!(super::fill::<16>(), super::fill::<16>());
        assert!(super::fill::<0>().is_empty());
    }
}
