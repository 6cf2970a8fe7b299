//! Moving traffic: split, failover, failback, undo, and who did it before.

use reqwest::Method;

use crate::admin::api::{ChangeReply, Failback, Failover, RevisionEntry, Traffic, TrafficPut, Undo, UndoTo};
use crate::policy::edit::{self, EditError};

use super::args::{FailbackArgs, FailoverArgs, SplitArgs, UndoArgs, Write};
use super::asking;
use super::change::{policy_text, told};
use super::client::{Client, Got};
use super::exit::{Exit, Failure};
use super::report::Report;
use super::table::{Grid, Paint, clock};

/// `windrose split`: reads the setting, edits it, writes it under the version that was seen.
pub async fn split(client: &Client, args: &SplitArgs, paint: Paint) -> Result<Report, Failure> {
    let seen = traffic(client, &args.service, &args.write).await?;
    let policy = edit::split(&seen.value.policy, &args.shares).map_err(|error| {
        let exit = match error {
            EditError::Root { .. } => Exit::Refused,
            EditError::Children { .. } | EditError::Faults(_) => Exit::Usage,
        };
        Failure::local(exit, format!("{}: {error}", args.service)).hint(format!("it is {} now", policy_text(&seen.value.policy)))
    })?;
    let body = TrafficPut { policy, reason: args.write.reason.clone(), break_glass: args.write.break_glass.clone() };
    let path: &[&str] = &["services", &args.service, "traffic"];
    let reply = asking::change(client, (Method::PUT, path), &body, &args.write, seen.etag, &args.service).await?;
    Ok(told(&headline(&args.service, &policy_text(&body.policy), &reply.value), reply, paint))
}

/// `windrose failover`
pub async fn failover(client: &Client, args: &FailoverArgs, paint: Paint) -> Result<Report, Failure> {
    let body = Failover { to: args.to.clone(), reason: args.write.reason.clone(), break_glass: args.write.break_glass.clone() };
    let reply = post(client, &args.service, "failover", &body, &args.write).await?;
    Ok(told(&headline(&args.service, &policy(&reply.value), &reply.value), reply, paint))
}

/// `windrose undo`
pub async fn undo(client: &Client, args: &UndoArgs, paint: Paint) -> Result<Report, Failure> {
    let body = Undo { to: args.to, reason: args.write.reason.clone(), break_glass: args.write.break_glass.clone() };
    let reply = post(client, &args.service, "undo", &body, &args.write).await?;
    let word = match args.to {
        None => format!("back to what was before, {}", policy(&reply.value)),
        Some(UndoTo::File) => "back to the file's policy".to_string(),
        Some(UndoTo::Revision(number)) => format!("back to revision {number}, {}", policy(&reply.value)),
    };
    Ok(told(&headline(&args.service, &word, &reply.value), reply, paint))
}

/// `windrose failback`
pub async fn failback(client: &Client, args: &FailbackArgs, paint: Paint) -> Result<Report, Failure> {
    let body = Failback { pool: args.pool.clone(), reason: args.write.reason.clone(), break_glass: args.write.break_glass.clone() };
    let reply = post(client, &args.service, "failback", &body, &args.write).await?;
    // The server says so when nothing was held.
    let what = match args.pool.as_deref() {
        _ if !reply.value.messages.is_empty() => "failback".to_string(),
        Some(pool) => format!("{pool} is used again"),
        None => "returned pools are used again".to_string(),
    };
    Ok(told(&format!("{}: {what}", args.service), reply, paint))
}

/// `windrose history`
pub async fn history(client: &Client, service: &str, paint: Paint) -> Result<Report, Failure> {
    let got: Got<Vec<RevisionEntry>> = client.list(&["services", service, "revisions"]).await?;
    if got.value.is_empty() {
        return Ok(Report::new("", got.raw).note(format!("{service} follows the file: nobody has changed it\n")));
    }
    let mut grid = Grid::new(&[">REVISION", "WHEN", "WHO", "WHAT", "POLICY", "REASON"]);
    let newest = got.value.first().map(|entry| entry.at).unwrap_or_default();
    for entry in &got.value {
        let policy = entry.policy.as_ref().map_or_else(|| "the file's".to_string(), policy_text);
        grid.row(vec![
            entry.revision.to_string().into(),
            clock(entry.at, newest).into(),
            entry.by.as_str().into(),
            entry.verb.as_str().into(),
            policy.into(),
            reason(entry).into(),
        ]);
    }
    Ok(Report::new(grid.render(paint), got.raw))
}

/// Why, and which guards were overridden for it.
fn reason(entry: &RevisionEntry) -> String {
    match entry.overridden.as_slice() {
        [] => entry.reason.clone(),
        broken => format!("{} (broke the glass: {})", entry.reason, broken.join(", ")),
    }
}

/// `search: weighted prod 50%, dr 50% (revision 43)`
fn headline(service: &str, what: &str, reply: &ChangeReply) -> String {
    if reply.dry_run { format!("{service}: {what} (dry run)") } else { format!("{service}: {what} (revision {})", reply.revision) }
}

/// The policy that was set.
fn policy(reply: &ChangeReply) -> String {
    reply.policy.as_ref().map_or_else(|| "the file's policy".to_string(), policy_text)
}

async fn post(client: &Client, service: &str, verb: &str, body: &impl serde::Serialize, write: &Write) -> Result<Got<ChangeReply>, Failure> {
    // `--if-revision` speaks numbers, `If-Match` versions: the one is looked up by the other.
    let etag = match write.if_revision {
        Some(_) => traffic(client, service, write).await?.etag,
        None => None,
    };
    if verb == "undo" {
        // The way back is never barred by a question.
        return client.write(Method::POST, &["services", service, verb], Some(body), write, etag).await;
    }
    asking::change(client, (Method::POST, &["services", service, verb]), body, write, etag, service).await
}

/// The setting as it is; a conflict if `--if-revision` says otherwise.
async fn traffic(client: &Client, service: &str, write: &Write) -> Result<Got<Traffic>, Failure> {
    let seen: Got<Traffic> = client.get(&["services", service, "traffic"], &[]).await?;
    match write.if_revision {
        Some(wanted) if wanted != seen.value.revision => {
            let by = seen.value.changed.as_ref().map(|changed| format!(", by {}: {}", changed.by, changed.reason)).unwrap_or_default();
            let detail = format!("{service} is at revision {}, not {wanted}{by}", seen.value.revision);
            Err(Failure::local(Exit::Conflict, detail).hint(format!("look with windrose history {service}, then try again")))
        }
        _ => Ok(seen),
    }
}
