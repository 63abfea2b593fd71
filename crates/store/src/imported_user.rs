//! Users that an import brought: what the source held then and what we held, so that a later run knows who has changed
//! a row since.

use std::collections::{HashMap, HashSet};
use std::fmt::Write;

use domain::group::{GroupId, PermissionId};
use domain::time::Timestamp;
use domain::user::{NameKey, User, UserId, Username};
use serde_json::json;

use crate::user::{Credentials, NewPassword, NewUser};
use crate::{Dialect, Error, Param, Result, Row, Tx};

/// The digests of a row at its last import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Of the row in the source.
    pub source_digest: Vec<u8>,
    /// Of the row here.
    pub our_digest: Vec<u8>,
}

const FIND: &str = "SELECT source_digest, our_digest FROM imported_users WHERE source = $1 AND user_id = $2";
const SAVE: &str = "INSERT INTO imported_users (source, user_id, source_digest, our_digest) VALUES ($1, $2, $3, $4) ON CONFLICT (source, user_id) DO UPDATE SET source_digest = excluded.source_digest, our_digest = excluded.our_digest";
const UPDATE_USER: &str = "UPDATE users SET username = $2, username_key = $3, username_claim = $4, email = $5, first_name = $6, last_name = $7, password_hash = $8, password_scheme = $9, password_trims = $10, is_staff = $11, is_superuser = $12, created_at = $13, last_login_at = $14, disabled_at = $15, email_verified_at = CASE WHEN email = $5 THEN email_verified_at END, email_claim = CASE WHEN email = $5 THEN email_claim END, not_before = CASE WHEN CAST($17 AS BIGINT) = 1 THEN CAST($16 AS BIGINT) ELSE not_before END, epoch = epoch + CAST($17 AS BIGINT) WHERE id = $1 RETURNING epoch";
const FIND_CREDENTIALS_BY_ID: &str = "SELECT id, username, email, first_name, last_name, is_staff, is_superuser, epoch, not_before, created_at, last_login_at, disabled_at, email_verified_at, pending_email, delete_at, password_hash, password_trims, login_failures FROM users WHERE id = $1";
const FIND_OTHER_WITH_NAME: &str = "SELECT id FROM users WHERE username = $1 AND (username_claim = $3 OR (username_key = $3 AND username_claim IS DISTINCT FROM username_key)) AND id <> $2";
const FIND_OTHER_WITH_CLAIM: &str = "SELECT id FROM users WHERE username_claim = $1 AND id <> $2";
const RAISE_SEQUENCE: &str = "UPDATE sqlite_sequence SET seq = $1 WHERE name = 'users' AND seq < $1";
const START_SEQUENCE: &str = "INSERT INTO sqlite_sequence (name, seq) SELECT 'users', $1 WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'users')";

// What is there under a run of ids: most batches are one, and a range costs less than a list.
const KNOWN_BETWEEN: &str =
    "SELECT user_id, source_digest FROM imported_users WHERE source = $1 AND user_id BETWEEN $2 AND $3";
const TAKEN_BETWEEN: &str = "SELECT id, 1 FROM users WHERE id BETWEEN $1 AND $2 UNION ALL SELECT id, 0 FROM deleted_users WHERE id BETWEEN $1 AND $2";

// Many rows in one statement where a statement is a round trip; ids come as a JSON list on both engines.
const KNOWN_SQLITE: &str = "SELECT user_id, source_digest FROM imported_users WHERE source = $1 AND user_id IN (SELECT value FROM json_each($2))";
const TAKEN_SQLITE: &str = "SELECT id, 1 FROM users WHERE id IN (SELECT value FROM json_each($1)) UNION ALL SELECT id, 0 FROM deleted_users WHERE id IN (SELECT value FROM json_each($1))";
const INSERT_NEW_SQLITE: &str = "INSERT INTO users (id, username, username_key, username_claim, email, first_name, last_name, password_hash, password_scheme, password_trims, is_staff, is_superuser, created_at, last_login_at, disabled_at) VALUES ($1, $2, $3, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) ON CONFLICT DO NOTHING";
const ANY_WITHOUT_CLAIM: &str =
    "SELECT 1 FROM users WHERE username_claim IS DISTINCT FROM username_key LIMIT 1";
const NAME_WITHOUT_CLAIM: &str =
    "SELECT 1 FROM users WHERE username = $1 AND username_claim IS DISTINCT FROM username_key";
const KNOWN_POSTGRES: &str = "SELECT user_id, source_digest FROM imported_users WHERE source = $1 AND user_id IN (SELECT CAST(value AS BIGINT) FROM json_array_elements_text(CAST(CAST($2 AS TEXT) AS JSON)))";
const TAKEN_POSTGRES: &str = "SELECT id, 1 FROM users WHERE id IN (SELECT CAST(value AS BIGINT) FROM json_array_elements_text(CAST(CAST($1 AS TEXT) AS JSON))) UNION ALL SELECT id, 0 FROM deleted_users WHERE id IN (SELECT CAST(value AS BIGINT) FROM json_array_elements_text(CAST(CAST($1 AS TEXT) AS JSON)))";
const INSERT_NEW_POSTGRES: &str = "INSERT INTO users (id, username, username_key, username_claim, email, first_name, last_name, password_hash, password_scheme, password_trims, is_staff, is_superuser, created_at, last_login_at, disabled_at) SELECT id, n, k, k, e, f, l, h, s, t, a, u, c, o, d FROM json_to_recordset(CAST(CAST($1 AS TEXT) AS JSON)) AS r (id BIGINT, n TEXT, k TEXT, e TEXT, f TEXT, l TEXT, h TEXT, s TEXT, t BIGINT, a BIGINT, u BIGINT, c BIGINT, o BIGINT, d BIGINT) ON CONFLICT DO NOTHING RETURNING id";
const SAVE_NEW_POSTGRES: &str = "INSERT INTO imported_users (source, user_id, source_digest, our_digest) SELECT CAST($1 AS TEXT), id, decode(s, 'hex'), decode(o, 'hex') FROM json_to_recordset(CAST(CAST($2 AS TEXT) AS JSON)) AS r (id BIGINT, s TEXT, o TEXT)";

const LOCK_CREDENTIALS_BY_ID: &str = "SELECT id, username, email, first_name, last_name, is_staff, is_superuser, epoch, not_before, created_at, last_login_at, disabled_at, email_verified_at, pending_email, delete_at, password_hash, password_trims, login_failures FROM users WHERE id = $1 FOR NO KEY UPDATE";
const LAST_ID: &str = "SELECT last_value FROM users_id_seq";
const LOCK_USERS: &str = "LOCK TABLE users IN SHARE ROW EXCLUSIVE MODE";
const RAISE_LAST_ID: &str = "SELECT setval('users_id_seq', $1) FROM users_id_seq WHERE last_value < $1";

/// Every statement of this file that both engines read.
pub const STATEMENTS: &[&str] = &[
    FIND,
    SAVE,
    UPDATE_USER,
    FIND_CREDENTIALS_BY_ID,
    FIND_OTHER_WITH_NAME,
    FIND_OTHER_WITH_CLAIM,
    KNOWN_BETWEEN,
    TAKEN_BETWEEN,
];
/// Those for SQLite.
pub const SQLITE_STATEMENTS: &[&str] = &[
    RAISE_SEQUENCE,
    START_SEQUENCE,
    KNOWN_SQLITE,
    TAKEN_SQLITE,
    ANY_WITHOUT_CLAIM,
    NAME_WITHOUT_CLAIM,
    INSERT_NEW_SQLITE,
];
/// Those for PostgreSQL.
pub const POSTGRES_STATEMENTS: &[&str] = &[
    LOCK_CREDENTIALS_BY_ID,
    LAST_ID,
    LOCK_USERS,
    RAISE_LAST_ID,
    KNOWN_POSTGRES,
    TAKEN_POSTGRES,
    INSERT_NEW_POSTGRES,
    SAVE_NEW_POSTGRES,
];

/// What there is already under the ids of a batch.
#[derive(Debug, Default)]
pub struct Present {
    /// Digests of rows of the source that came before, as the source had them.
    pub known: HashMap<i64, Vec<u8>>,
    /// Ids of accounts: true; ids of accounts that were deleted: false.
    pub taken: HashMap<i64, bool>,
}

/// An account that is not here yet, with what is remembered of it.
pub struct Fresh<'a> {
    /// The account; it has an id.
    pub user: NewUser<'a>,
    /// The key of its name.
    pub key: &'a NameKey,
    /// What is remembered.
    pub source_digest: [u8; 32],
    /// What is remembered.
    pub our_digest: [u8; 32],
}

/// A range of ids is looked up as such when it has at most this many times as many ids as are asked for.
const SPARSEST: u64 = 4;

/// Looks up the ids of a batch; there may be more in the answer.
pub async fn present(tx: &mut Tx, source: &str, ids: &[i64]) -> Result<Present> {
    let (Some(first), Some(last)) = (ids.iter().min(), ids.iter().max()) else {
        return Ok(Present::default());
    };
    let (known, taken) = if last.abs_diff(*first) < SPARSEST * ids.len() as u64 {
        let known = tx.query(KNOWN_BETWEEN, &[source.into(), (*first).into(), (*last).into()]).await?;
        (known, tx.query(TAKEN_BETWEEN, &[(*first).into(), (*last).into()]).await?)
    } else {
        let list = json!(ids).to_string();
        let (known, taken) = match tx.dialect() {
            Dialect::Sqlite => (KNOWN_SQLITE, TAKEN_SQLITE),
            Dialect::Postgres => (KNOWN_POSTGRES, TAKEN_POSTGRES),
        };
        let known = tx.query(known, &[source.into(), list.as_str().into()]).await?;
        (known, tx.query(taken, &[list.as_str().into()]).await?)
    };
    let mut present = Present::default();
    for row in known {
        present.known.insert(row.int(0)?, row.blob(1)?.to_vec());
    }
    for row in taken {
        present.taken.insert(row.int(0)?, row.flag(1)?);
    }
    Ok(present)
}

/// Stores new accounts that claim their names, and remembers them; answers for each whether it was stored. One whose name
/// or id is taken, also by one before it, is left out.
pub async fn insert_fresh(tx: &mut Tx, source: &str, fresh: &[Fresh<'_>]) -> Result<Vec<bool>> {
    match tx.dialect() {
        Dialect::Sqlite => insert_one_by_one(tx, source, fresh).await,
        Dialect::Postgres => insert_together(tx, source, fresh).await,
    }
}

async fn insert_one_by_one(tx: &mut Tx, source: &str, fresh: &[Fresh<'_>]) -> Result<Vec<bool>> {
    let taken = taken_without_claim(tx, fresh).await?;
    if taken.is_empty() {
        return insert_free(tx, source, fresh).await;
    }
    let mut stored = Vec::with_capacity(fresh.len());
    for row in fresh {
        let is_free = !taken.contains(row.user.username.as_str());
        stored.push(is_free && insert_free(tx, source, std::slice::from_ref(row)).await? == [true]);
    }
    Ok(stored)
}

/// The names among these that accounts have which claim no key: no index of SQLite has them beside those of all others. There are
/// hardly ever any such accounts.
async fn taken_without_claim(tx: &mut Tx, fresh: &[Fresh<'_>]) -> Result<HashSet<String>> {
    let mut taken = HashSet::new();
    if tx.query_opt(ANY_WITHOUT_CLAIM, &[]).await?.is_some() {
        for row in fresh {
            let name = row.user.username.as_str();
            if tx.query_opt(NAME_WITHOUT_CLAIM, &[name.into()]).await?.is_some() {
                taken.insert(name.to_owned());
            }
        }
    }
    Ok(taken)
}

async fn insert_free(tx: &mut Tx, source: &str, fresh: &[Fresh<'_>]) -> Result<Vec<bool>> {
    let stored = tx.execute_each(INSERT_NEW_SQLITE, fresh.iter().map(columns)).await?;
    let memories = fresh.iter().zip(&stored).filter(|(_, stored)| **stored).map(|(row, _)| {
        let id = row.user.id.map_or(0, UserId::get);
        [source.into(), id.into(), (&row.source_digest).into(), (&row.our_digest).into()]
    });
    tx.execute_each(SAVE, memories).await?;
    Ok(stored)
}

fn columns<'a>(row: &'a Fresh<'_>) -> [Param<'a>; 14] {
    let new = &row.user;
    [
        new.id.map_or(0, UserId::get).into(),
        new.username.as_str().into(),
        row.key.as_str().into(),
        new.email.as_str().into(),
        new.first_name.into(),
        new.last_name.into(),
        new.password.hash.into(),
        new.password.scheme.into(),
        new.password.trims.into(),
        new.is_staff.into(),
        new.is_superuser.into(),
        new.created_at.micros().into(),
        new.last_login_at.map(Timestamp::micros).into(),
        new.disabled_at.map(Timestamp::micros).into(),
    ]
}

async fn insert_together(tx: &mut Tx, source: &str, fresh: &[Fresh<'_>]) -> Result<Vec<bool>> {
    let rows: Vec<_> = fresh.iter().map(as_json).collect();
    let rows = serde_json::Value::Array(rows).to_string();
    let mut stored = HashSet::new();
    for row in tx.query(INSERT_NEW_POSTGRES, &[rows.as_str().into()]).await? {
        stored.insert(row.int(0)?);
    }
    let done: Vec<bool> =
        fresh.iter().map(|row| row.user.id.is_some_and(|id| stored.remove(&id.get()))).collect();
    let digests: Vec<_> = fresh
        .iter()
        .zip(&done)
        .filter(|(_, stored)| **stored)
        .map(|(row, _)| {
            let (theirs, ours) = (hexadecimal(&row.source_digest), hexadecimal(&row.our_digest));
            json!({"id": row.user.id.map(UserId::get), "s": theirs, "o": ours})
        })
        .collect();
    let digests = serde_json::Value::Array(digests).to_string();
    tx.execute(SAVE_NEW_POSTGRES, &[source.into(), digests.as_str().into()]).await?;
    Ok(done)
}

fn as_json(row: &Fresh<'_>) -> serde_json::Value {
    let new = &row.user;
    json!({
        "id": new.id.map(UserId::get),
        "n": new.username.as_str(),
        "k": row.key.as_str(),
        "e": new.email.as_str(),
        "f": new.first_name,
        "l": new.last_name,
        "h": new.password.hash,
        "s": new.password.scheme,
        "t": i64::from(new.password.trims),
        "a": i64::from(new.is_staff),
        "u": i64::from(new.is_superuser),
        "c": new.created_at.micros(),
        "o": new.last_login_at.map(Timestamp::micros),
        "d": new.disabled_at.map(Timestamp::micros),
    })
}

fn hexadecimal(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from(b"0123456789abcdef"[usize::from(nibble)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// What is remembered of a row of `source`.
pub async fn find(tx: &mut Tx, source: &str, id: UserId) -> Result<Option<Memory>> {
    let Some(row) = tx.query_opt(FIND, &[source.into(), id.get().into()]).await? else { return Ok(None) };
    Ok(Some(Memory { source_digest: row.blob(0)?.to_vec(), our_digest: row.blob(1)?.to_vec() }))
}

/// Remembers a row of `source`.
pub async fn save(tx: &mut Tx, source: &str, id: UserId, memory: &Memory) -> Result<()> {
    let params =
        [source.into(), id.get().into(), Param::Blob(&memory.source_digest), Param::Blob(&memory.our_digest)];
    tx.execute(SAVE, &params).await.map(drop)
}

/// The account with this id, with its hash.
pub async fn find_credentials(tx: &mut Tx, id: UserId) -> Result<Option<Credentials>> {
    let row = tx.query_opt(FIND_CREDENTIALS_BY_ID, &[id.get().into()]).await?;
    row.as_ref().map(crate::user::read_credentials).transpose()
}

/// The same, and nobody else changes the account until this transaction ends. On SQLite that is so anyway.
pub async fn lock_credentials(tx: &mut Tx, id: UserId) -> Result<Option<Credentials>> {
    let statement = match tx.dialect() {
        Dialect::Sqlite => FIND_CREDENTIALS_BY_ID,
        Dialect::Postgres => LOCK_CREDENTIALS_BY_ID,
    };
    tx.query_opt(statement, &[id.get().into()]).await?.as_ref().map(crate::user::read_credentials).transpose()
}

/// The account other than `id` that has exactly this name.
pub async fn other_with_name(tx: &mut Tx, name: &Username, id: UserId) -> Result<Option<UserId>> {
    let key = name.key();
    let params = [name.as_str().into(), id.get().into(), key.as_str().into()];
    read_id(tx.query_opt(FIND_OTHER_WITH_NAME, &params).await?)
}

/// The account other than `id` that has claimed this case-folded name.
pub async fn other_with_claim(tx: &mut Tx, key: &NameKey, id: UserId) -> Result<Option<UserId>> {
    read_id(tx.query_opt(FIND_OTHER_WITH_CLAIM, &[key.as_str().into(), id.get().into()]).await?)
}

fn read_id(row: Option<Row>) -> Result<Option<UserId>> {
    row.map(|row| row.int(0).map(UserId::new)).transpose()
}

/// Overwrites an account by what the source says now, and opens a new epoch if its sessions are to end; answers the epoch.
///
/// # Errors
/// [`Error::Conflict`] when the name or the claimed key is another account's.
pub async fn update_user(
    tx: &mut Tx,
    id: UserId,
    new: &NewUser<'_>,
    ends_sessions: bool,
    now: Timestamp,
) -> Result<Option<u32>> {
    let key = new.username.key();
    // As in `user::insert`.
    if tx.dialect() == Dialect::Sqlite && other_with_name(tx, new.username, id).await?.is_some() {
        return Err(Error::Conflict);
    }
    let NewPassword { hash, scheme, trims } = new.password;
    let params = [
        id.get().into(),
        new.username.as_str().into(),
        key.as_str().into(),
        new.claims_key.then(|| key.as_str()).into(),
        new.email.as_str().into(),
        new.first_name.into(),
        new.last_name.into(),
        hash.into(),
        scheme.into(),
        trims.into(),
        new.is_staff.into(),
        new.is_superuser.into(),
        new.created_at.micros().into(),
        new.last_login_at.map(|at| at.micros()).into(),
        new.disabled_at.map(|at| at.micros()).into(),
        crate::user::first_good_second(now).into(),
        ends_sessions.into(),
    ];
    let row = tx.query_opt(UPDATE_USER, &params).await?;
    row.map(|row| crate::user::read_epoch(row.int(0)?)).transpose()
}

/// Makes the next id greater than `at_least`; never lowers it.
///
/// On PostgreSQL this holds from now on, whether the transaction commits or not, and waits for those that have added an
/// account: a sequence knows no transactions, and between looking and raising nobody may take a number.
pub async fn reserve_ids(tx: &mut Tx, at_least: i64) -> Result<()> {
    match tx.dialect() {
        Dialect::Sqlite => {
            tx.execute(START_SEQUENCE, &[at_least.into()]).await?;
            tx.execute(RAISE_SEQUENCE, &[at_least.into()]).await.map(drop)
        }
        Dialect::Postgres => {
            let last = tx.query_opt(LAST_ID, &[]).await?;
            if last.is_some_and(|row| row.int(0).is_ok_and(|last| last >= at_least)) {
                return Ok(()); // it only grows
            }
            tx.execute(LOCK_USERS, &[]).await?;
            tx.query(RAISE_LAST_ID, &[at_least.into()]).await.map(drop)
        }
    }
}

/// The fields of a stored account whose change means that somebody worked on it here; in one text, to be digested. An account
/// without groups and permissions has the text that it had before there were any.
#[must_use]
pub fn fingerprint_text(stored: &Credentials, groups: &[GroupId], permissions: &[PermissionId]) -> String {
    let User { username, email, first_name, last_name, is_staff, is_superuser, disabled_at, .. } =
        &stored.user;
    let fields = Fields {
        username: username.as_str(),
        email: email.as_str(),
        first_name,
        last_name,
        // While the mark to trim is there the password is the one that came; its hash may have been upgraded by a login.
        password: if stored.password_trims { "as imported" } else { stored.password_hash.as_str() },
        flags: [*is_staff, *is_superuser, disabled_at.is_some()],
    };
    fields.text(groups, permissions)
}

/// The same of an account that is about to be stored.
#[must_use]
pub fn fingerprint_of_new(new: &NewUser<'_>, groups: &[GroupId], permissions: &[PermissionId]) -> String {
    let fields = Fields {
        username: new.username.as_str(),
        email: new.email.as_str(),
        first_name: new.first_name,
        last_name: new.last_name,
        password: if new.password.trims { "as imported" } else { new.password.hash },
        flags: [new.is_staff, new.is_superuser, new.disabled_at.is_some()],
    };
    fields.text(groups, permissions)
}

struct Fields<'a> {
    username: &'a str,
    email: &'a str,
    first_name: &'a str,
    last_name: &'a str,
    password: &'a str,
    flags: [bool; 3],
}

impl Fields<'_> {
    fn text(&self, groups: &[GroupId], permissions: &[PermissionId]) -> String {
        let [staff, superuser, disabled] = self.flags;
        let fields = [
            self.username,
            self.email,
            self.first_name,
            self.last_name,
            self.password,
            if staff { "staff" } else { "" },
            if superuser { "superuser" } else { "" },
            if disabled { "disabled" } else { "" },
        ];
        let mut text = String::with_capacity(256);
        for field in fields {
            let comma = if text.is_empty() { "" } else { "," };
            // Writing to a String cannot fail.
            _ = write!(text, "{comma}{}:{field}", field.len());
        }
        let members = [
            ("g", sorted(groups.iter().map(|id| id.get()))),
            ("p", sorted(permissions.iter().map(|id| id.get()))),
        ];
        for (kind, ids) in members {
            ids.iter().for_each(|id| _ = write!(text, ",{kind}{id}"));
        }
        text
    }
}

fn sorted(ids: impl Iterator<Item = i64>) -> Vec<i64> {
    let mut ids: Vec<i64> = ids.collect();
    ids.sort_unstable();
    ids
}
