//! The bytes of a row, in two parts: the personal ones behind a random salt, and the open ones behind which the digest of
//! the personal part stands. Every field has its length before it, so that no two rows have the same bytes.

use super::Hash;

/// Bytes of salt in a row.
pub const SALT_LENGTH: usize = 16;

/// The form of what follows. A part whose form changes gets another number; the old one stays readable.
const PERSONAL: u8 = 1;
/// The same of the open part, which begins otherwise.
const OPEN: u8 = 0x41;
/// The same of a link.
const LINK: u8 = 0x81;
/// Stands for a field that is not there; no field is that long.
const ABSENT: u32 = u32::MAX;

/// A row as it is stored. The names of kinds and actors are text: a program can check rows of a later one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fields<'a> {
    /// When, in microseconds since the Unix epoch, UTC.
    pub at: i64,
    /// What happened.
    pub kind: &'a str,
    /// How it ended.
    pub result: &'a str,
    /// What sort of actor.
    pub actor: &'a str,
    /// Which one.
    pub actor_id: Option<&'a str>,
    /// Whose account it is about.
    pub user_id: Option<i64>,
    /// Which session it is about.
    pub session_id: Option<&'a [u8]>,
    /// From where.
    pub address: Option<&'a str>,
    /// With what.
    pub user_agent: Option<&'a str>,
    /// Names the request in logs.
    pub request_id: Option<&'a str>,
    /// A JSON object.
    pub detail: Option<&'a str>,
}

impl Fields<'_> {
    /// Whether anything is there that an erasure takes away.
    #[must_use]
    pub fn has_personal(&self) -> bool {
        let texts = [self.address, self.user_agent, self.request_id, self.detail];
        self.session_id.is_some() || texts.iter().any(Option::is_some)
    }
}

/// Appends the bytes of a row's personal part: what an erasure takes away. Their SHA-256 stays, and says nothing without
/// the salt.
pub fn personal_bytes(salt: &[u8], fields: &Fields<'_>, out: &mut Vec<u8>) {
    out.push(PERSONAL);
    put(out, Some(salt));
    put(out, fields.session_id);
    for text in [fields.address, fields.user_agent, fields.request_id, fields.detail] {
        put(out, text.map(str::as_bytes));
    }
}

/// Appends the bytes of which a row's commitment is the SHA-256: the digest of its personal part, and all that stays.
pub fn open_bytes(personal: &Hash, fields: &Fields<'_>, out: &mut Vec<u8>) {
    out.push(OPEN);
    out.extend_from_slice(personal);
    out.extend_from_slice(&fields.at.to_be_bytes());
    for text in [fields.kind, fields.result, fields.actor] {
        put(out, Some(text.as_bytes()));
    }
    put(out, fields.actor_id.map(str::as_bytes));
    put(out, fields.user_id.map(i64::to_be_bytes).as_ref().map(<[u8; 8]>::as_slice));
}

fn put(out: &mut Vec<u8>, field: Option<&[u8]>) {
    let Some(field) = field else { return out.extend_from_slice(&ABSENT.to_be_bytes()) };
    // What comes from a database is far shorter; a text of 4 GiB would only make the commitment another one.
    let length = u32::try_from(field.len()).unwrap_or(ABSENT - 1);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(field);
}

/// The bytes of which the hash of the row at `position` is the HMAC-SHA-256.
#[must_use]
pub fn link_bytes(previous: &Hash, position: i64, commitment: &Hash) -> [u8; 73] {
    let mut out = [0; 73];
    out[0] = LINK;
    out[1..33].copy_from_slice(previous);
    out[33..41].copy_from_slice(&position.to_be_bytes());
    out[41..].copy_from_slice(commitment);
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Owned = (
        (i64, String, String, String, Option<String>, Option<i64>),
        (Option<Vec<u8>>, [Option<String>; 4], Vec<u8>),
    );

    fn rows() -> impl Strategy<Value = Owned> {
        let text = || "[a-c]{0,2}";
        let maybe = || proptest::option::of("[a-c]{0,2}");
        (
            (0..3_i64, text(), text(), text(), maybe(), proptest::option::of(0..3_i64)),
            (
                proptest::option::of(proptest::collection::vec(0..2_u8, 0..3)),
                [maybe(), maybe(), maybe(), maybe()],
                proptest::collection::vec(0..2_u8, 0..3),
            ),
        )
    }

    fn bytes(
        ((at, kind, result, actor, actor_id, user_id), (session, texts, salt)): &Owned,
    ) -> (Vec<u8>, Vec<u8>) {
        let [address, user_agent, request_id, detail] = texts.each_ref().map(Option::as_deref);
        let fields = Fields {
            at: *at,
            kind,
            result,
            actor,
            actor_id: actor_id.as_deref(),
            user_id: *user_id,
            session_id: session.as_deref(),
            address,
            user_agent,
            request_id,
            detail,
        };
        let (mut personal, mut open) = (Vec::new(), Vec::new());
        personal_bytes(salt, &fields, &mut personal);
        open_bytes(&[0; 32], &fields, &mut open);
        (personal, open)
    }

    proptest! {
        // LA-04
        #[test]
        fn rows_have_the_same_bytes_only_when_they_are_the_same(a in rows(), b in rows()) {
            let is_same = a == b;
            let (a, b) = (bytes(&a), bytes(&b));
            prop_assert_eq!(a == b, is_same);
            prop_assert!(a.0 == b.0 || !a.0.starts_with(&b.0), "none begins with another");
            prop_assert!(a.1 == b.1 || !a.1.starts_with(&b.1), "none begins with another");
        }
    }

    #[test]
    fn the_form_is_what_it_always_was() {
        let fields =
            Fields { at: 1, kind: "k", result: "r", actor: "a", user_id: Some(2), ..Fields::default() };
        let absent = [255; 4];
        let mut out = Vec::new();
        personal_bytes(&[9], &fields, &mut out);
        assert_eq!(out, [&[1, 0, 0, 0, 1, 9][..], &[absent; 5].concat()].concat());
        out.clear();
        open_bytes(&[7; 32], &fields, &mut out);
        let mut expected = [&[0x41][..], &[7; 32], &[0, 0, 0, 0, 0, 0, 0, 1]].concat();
        for letter in *b"kra" {
            expected.extend([0, 0, 0, 1, letter]);
        }
        expected.extend(absent);
        expected.extend([0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 2]);
        assert_eq!(out, expected);
        assert!(!fields.has_personal() && Fields { detail: Some(""), ..fields }.has_personal());
    }

    #[test]
    fn every_part_of_a_link_counts() {
        let link = link_bytes(&[1; 32], 2, &[3; 32]);
        assert_ne!(link, link_bytes(&[0; 32], 2, &[3; 32]));
        assert_ne!(link, link_bytes(&[1; 32], 3, &[3; 32]));
        assert_ne!(link, link_bytes(&[1; 32], 2, &[0; 32]));
    }
}
