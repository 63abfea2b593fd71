//! The bytes of a row, of which a commitment is the SHA-256: every field with its length before it, so that no two rows
//! have the same bytes.

use super::Hash;

/// Bytes of salt in a row.
pub const SALT_LENGTH: usize = 16;

/// The form of what follows. A row whose form changes gets another number; the old one stays readable.
const ROW: u8 = 1;
/// The same of a link. It differs from that of rows.
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

/// Appends the bytes of a row.
pub fn row_bytes(salt: &[u8], fields: &Fields<'_>, out: &mut Vec<u8>) {
    out.push(ROW);
    put(out, Some(salt));
    out.extend_from_slice(&fields.at.to_be_bytes());
    for text in [fields.kind, fields.result, fields.actor] {
        put(out, Some(text.as_bytes()));
    }
    put(out, fields.actor_id.map(str::as_bytes));
    put(out, fields.user_id.map(i64::to_be_bytes).as_ref().map(<[u8; 8]>::as_slice));
    put(out, fields.session_id);
    for text in [fields.address, fields.user_agent, fields.request_id, fields.detail] {
        put(out, text.map(str::as_bytes));
    }
}

fn put(out: &mut Vec<u8>, field: Option<&[u8]>) {
    let Some(field) = field else { return out.extend_from_slice(&ABSENT.to_be_bytes()) };
    // What comes from a database is far shorter; a text of 4 GiB would only make the commitment another one.
    let length = u32::try_from(field.len()).unwrap_or(ABSENT - 1);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(field);
}

/// The bytes of which the hash of the row at `position` is the SHA-256.
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

    fn bytes(((at, kind, result, actor, actor_id, user_id), (session, texts, salt)): &Owned) -> Vec<u8> {
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
        let mut out = Vec::new();
        row_bytes(salt, &fields, &mut out);
        out
    }

    proptest! {
        // LA-04
        #[test]
        fn rows_have_the_same_bytes_only_when_they_are_the_same(a in rows(), b in rows()) {
            prop_assert_eq!(bytes(&a) == bytes(&b), a == b);
            prop_assert!(a == b || !bytes(&a).starts_with(&bytes(&b)), "none begins with another");
        }
    }

    #[test]
    fn the_form_is_what_it_always_was() {
        let fields =
            Fields { at: 1, kind: "k", result: "r", actor: "a", user_id: Some(2), ..Fields::default() };
        let mut out = Vec::new();
        row_bytes(&[9], &fields, &mut out);
        let absent = [255; 4];
        let mut expected = vec![1, 0, 0, 0, 1, 9, 0, 0, 0, 0, 0, 0, 0, 1];
        for letter in *b"kra" {
            expected.extend([0, 0, 0, 1, letter]);
        }
        expected.extend(absent);
        expected.extend([0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 2]);
        expected.extend([absent; 5].concat());
        assert_eq!(out, expected);
    }

    #[test]
    fn every_part_of_a_link_counts() {
        let link = link_bytes(&[1; 32], 2, &[3; 32]);
        assert_ne!(link, link_bytes(&[0; 32], 2, &[3; 32]));
        assert_ne!(link, link_bytes(&[1; 32], 3, &[3; 32]));
        assert_ne!(link, link_bytes(&[1; 32], 2, &[0; 32]));
    }
}
