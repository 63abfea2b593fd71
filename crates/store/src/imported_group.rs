//! Groups that an import brought: which group of ours each of them is, and what both sides held then.

use domain::group::GroupId;

use crate::imported_user::Memory;
use crate::{Param, Result, Tx};

const FIND: &str =
    "SELECT group_id, source_digest, our_digest FROM imported_groups WHERE source = $1 AND source_id = $2";
const SAVE: &str = "INSERT INTO imported_groups (source, source_id, group_id, source_digest, our_digest) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (source, source_id) DO UPDATE SET group_id = excluded.group_id, source_digest = excluded.source_digest, our_digest = excluded.our_digest";

/// Every statement of this file.
pub const STATEMENTS: &[&str] = &[FIND, SAVE];

/// The group of ours that a group of `source` became, and what is remembered of both. It may be deleted here.
pub async fn find(tx: &mut Tx, source: &str, source_id: i64) -> Result<Option<(GroupId, Memory)>> {
    let Some(row) = tx.query_opt(FIND, &[source.into(), source_id.into()]).await? else { return Ok(None) };
    let memory = Memory { source_digest: row.blob(1)?.to_vec(), our_digest: row.blob(2)?.to_vec() };
    Ok(Some((GroupId::new(row.int(0)?), memory)))
}

/// Remembers a group of `source`.
pub async fn save(tx: &mut Tx, source: &str, source_id: i64, group: GroupId, memory: &Memory) -> Result<()> {
    let params = [
        source.into(),
        source_id.into(),
        group.get().into(),
        Param::Blob(&memory.source_digest),
        Param::Blob(&memory.our_digest),
    ];
    tx.execute(SAVE, &params).await.map(drop)
}
