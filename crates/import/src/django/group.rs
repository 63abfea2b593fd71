//! Groups and permissions of a Django service: a permission is named by its application and codename, as `has_perm` takes it.

use std::collections::HashMap;

use domain::group::GroupName;
use rusqlite::types::Value;
use service::App;
use service::import::{GroupOutcome, Groups, ImportedGroup, ImportedPermission, apply_groups};

use super::NAME;
use super::row::{MAX_ID, text};
use super::source::Catalog;
use crate::Error;
use crate::report::{NoteKind, Recorder};
use crate::tally::Origin;

pub(super) async fn bring(
    app: &App,
    catalog: &Catalog,
    dry_run: bool,
    recorder: &mut Recorder,
) -> Result<Groups, Error> {
    let permissions = permissions(catalog, recorder);
    let groups = groups(catalog, recorder);
    let here = apply_groups(app, NAME, &permissions, &groups, dry_run).await?;
    let counts = &mut recorder.report.permissions;
    counts.created = here.permissions_created;
    counts.unchanged = permissions.len() as u64 - here.permissions_created;
    for (group, outcome) in groups.iter().zip(&here.outcomes) {
        count(recorder, group, outcome);
    }
    Ok(here)
}

fn permissions(catalog: &Catalog, recorder: &mut Recorder) -> Vec<ImportedPermission> {
    let mut usable = Vec::new();
    for (id, application, codename, name) in &catalog.permissions {
        recorder.report.permissions.read += 1;
        match permission(*id, application, codename, name) {
            Ok(permission) => usable.push(permission),
            Err(reason) => {
                recorder.report.permissions.skipped += 1;
                leave_out(recorder, *id, codename, format!("a permission that is left out: {reason}"));
            }
        }
    }
    usable
}

fn permission(
    id: i64,
    application: &Value,
    codename: &Value,
    name: &Value,
) -> Result<ImportedPermission, String> {
    check_id(id)?;
    let codename = format!("{}.{}", text("app_label", application)?, text("codename", codename)?);
    Ok(ImportedPermission { id, codename, name: text("name", name)?.to_owned() })
}

fn groups(catalog: &Catalog, recorder: &mut Recorder) -> Vec<ImportedGroup> {
    let mut permissions: HashMap<i64, Vec<i64>> = HashMap::new();
    for (group, permission) in &catalog.group_permissions {
        permissions.entry(*group).or_default().push(*permission);
    }
    let mut usable = Vec::new();
    for (id, name) in &catalog.groups {
        recorder.report.groups.read += 1;
        match group_name(*id, name) {
            Ok(name) => {
                let permissions = permissions.remove(id).unwrap_or_default();
                usable.push(ImportedGroup { id: *id, name, permissions });
            }
            Err(reason) => {
                recorder.report.groups.skipped += 1;
                leave_out(
                    recorder,
                    *id,
                    name,
                    format!("a group that is left out with who is in it: {reason}"),
                );
            }
        }
    }
    usable
}

fn group_name(id: i64, name: &Value) -> Result<GroupName, String> {
    check_id(id)?;
    GroupName::parse(text("name", name)?).map_err(|faults| faults.join(" "))
}

fn check_id(id: i64) -> Result<(), String> {
    if (1..=MAX_ID).contains(&id) { Ok(()) } else { Err(format!("its id is not between 1 and {MAX_ID}")) }
}

fn leave_out(recorder: &mut Recorder, id: i64, name: &Value, text: String) {
    let name = if let Value::Text(name) = name { name.as_str() } else { "" };
    recorder.note(Origin { id: Some(id), row: None }.note(name, NoteKind::Group, text));
}

fn count(recorder: &mut Recorder, group: &ImportedGroup, outcome: &GroupOutcome) {
    let counts = &mut recorder.report.groups;
    let said = match outcome {
        GroupOutcome::Created => {
            counts.created += 1;
            return;
        }
        GroupOutcome::Updated => {
            counts.updated += 1;
            return;
        }
        GroupOutcome::Unchanged => {
            counts.unchanged += 1;
            return;
        }
        GroupOutcome::Merged => {
            counts.unchanged += 1;
            "a group of this name is here: its members come into it, its permissions stay as they are here"
        }
        GroupOutcome::Conflict => {
            counts.skipped += 1;
            "a group that has changed in the source and here since the last import; the group here stays as it is"
        }
        GroupOutcome::DeletedHere => {
            counts.skipped += 1;
            "a group that was deleted here and stays deleted; its members come without it"
        }
        GroupOutcome::NameTaken => {
            counts.skipped += 1;
            "a group that was renamed in the source to the name of another group here; it stays as it is here"
        }
    };
    let origin = Origin { id: Some(group.id), row: None };
    recorder.note(origin.note(group.name.as_str(), NoteKind::Group, said));
}
