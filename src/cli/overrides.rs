//! Overrides: drain, force, freeze, and their ends.

use reqwest::Method;

use crate::admin::api::{ChangeReply, Kind, Override, OverridePatch, OverridePost, OverrideTarget, Span};

use super::args::{EndArgs, ExtendArgs, FreezeArgs, OverrideArgs, TargetKind, UnfreezeArgs, Write};
use super::asking;
use super::change::told;
use super::client::{Client, Got};
use super::exit::{Exit, Failure};
use super::report::Report;
use super::table::{Paint, clock, count};

/// What is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// `undrain`
    Drain,
    /// `unforce`
    Force,
    /// `unfreeze`
    Freeze,
    /// `unapprove`
    Approval,
}

impl Ended {
    fn covers(self, kind: Kind) -> bool {
        match self {
            Self::Drain => kind == Kind::Drain,
            Self::Force => matches!(kind, Kind::ForceUp | Kind::ForceDown),
            Self::Freeze => kind == Kind::Freeze,
            Self::Approval => kind == Kind::Approve,
        }
    }

    /// The noun, and the command that ends it.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Drain => ("drain", "undrain"),
            Self::Force => ("force-up or force-down", "unforce"),
            Self::Freeze => ("freeze", "unfreeze"),
            Self::Approval => ("approval", "unapprove"),
        }
    }
}

/// `windrose drain`, `force-up`, `force-down`
pub async fn begin(client: &Client, kind: Kind, args: &OverrideArgs, paint: Paint) -> Result<Report, Failure> {
    let OverrideArgs { kind: target, name, lasts, services, write } = args;
    let body = OverridePost {
        kind,
        target: self::target(*target, name),
        services: services.clone(),
        expires_in: lasts.map(Span),
        reason: write.reason.clone(),
        break_glass: write.break_glass.clone(),
    };
    post(client, &body, write, paint).await
}

/// `windrose freeze`
pub async fn freeze(client: &Client, args: &FreezeArgs, paint: Paint) -> Result<Report, Failure> {
    let FreezeArgs { service, lasts, write } = args;
    let target = OverrideTarget::Service(service.clone());
    let body = OverridePost {
        kind: Kind::Freeze,
        target,
        services: Vec::new(),
        expires_in: lasts.map(Span),
        reason: write.reason.clone(),
        break_glass: write.break_glass.clone(),
    };
    post(client, &body, write, paint).await
}

/// `windrose undrain`, `unforce`
pub async fn end(client: &Client, ended: Ended, args: &EndArgs, paint: Paint) -> Result<Report, Failure> {
    delete(client, ended, &target(args.kind, &args.name), &args.write, paint).await
}

/// `windrose unfreeze`
pub async fn unfreeze(client: &Client, args: &UnfreezeArgs, paint: Paint) -> Result<Report, Failure> {
    delete(client, Ended::Freeze, &OverrideTarget::Service(args.service.clone()), &args.write, paint).await
}

/// `windrose extend`
pub async fn extend(client: &Client, args: &ExtendArgs, paint: Paint) -> Result<Report, Failure> {
    let body = OverridePatch { expires_in: args.lasts.map(Span), reason: args.write.reason.clone(), break_glass: args.write.break_glass.clone() };
    let got: Got<ChangeReply> = client.write(Method::PATCH, &["overrides", &args.id], Some(&body), &args.write, None).await?;
    let headline = match &got.value.override_ {
        Some(changed) => sentence(changed, &got.value),
        None => args.id.clone(),
    };
    Ok(told(&headline, got, paint))
}

fn target(kind: TargetKind, name: &str) -> OverrideTarget {
    match kind {
        TargetKind::Region => OverrideTarget::Region(name.to_string()),
        TargetKind::Pool => OverrideTarget::Pool(name.to_string()),
        TargetKind::Endpoint => OverrideTarget::Endpoint(name.to_string()),
        TargetKind::Tag => OverrideTarget::Tag(name.to_string()),
    }
}

async fn post(client: &Client, body: &OverridePost, write: &Write, paint: Paint) -> Result<Report, Failure> {
    let target = body.target.to_string();
    let name = target.split_once('/').map_or(&*target, |(_, name)| name);
    let got = asking::change(client, (Method::POST, &["overrides"]), body, write, None, name).await?;
    let headline = match &got.value.override_ {
        Some(begun) => sentence(begun, &got.value),
        None => format!("{} {}", past(body.kind), body.target),
    };
    Ok(told(&headline, got, paint))
}

/// Ends every override of this kind on this very target.
async fn delete(client: &Client, ended: Ended, target: &OverrideTarget, write: &Write, paint: Paint) -> Result<Report, Failure> {
    let (noun, command) = ended.words();
    let target = target.to_string();
    let all: Got<Vec<Override>> = client.list(&["overrides"]).await?;
    let of_kind: Vec<&Override> = all.value.iter().filter(|known| ended.covers(known.kind)).collect();
    let found: Vec<&Override> = of_kind.iter().copied().filter(|known| known.target == target).collect();
    if found.is_empty() {
        let mut failure = Failure::local(Exit::Failed, format!("there is no {noun} on {target}"));
        for other in of_kind.iter().take(5) {
            let (kind, name) = other.target.split_once('/').unwrap_or(("", &other.target));
            let typed = if ended == Ended::Freeze { name.to_string() } else { format!("{kind} {name}") };
            failure = failure.hint(format!("there is one on {} ({}): windrose {command} {typed}", other.target, other.id));
        }
        return Err(failure);
    }
    let (mut done, mut raws) = (String::new(), Vec::new());
    for known in found {
        let nothing = None::<&()>;
        let got: Got<ChangeReply> = client.write(Method::DELETE, &["overrides", &known.id], nothing, write, None).await?;
        let ended = if got.value.dry_run { "would end" } else { "ended" };
        let headline = format!("{target}: {} {ended} ({})", known.kind.word().replace('_', "-"), known.id);
        let report = told(&headline, got, paint);
        done.push_str(&report.done);
        raws.push(report.raw);
    }
    let raw = if raws.len() == 1 { raws.swap_remove(0) } else { serde_json::json!({ "items": raws }) };
    Ok(Report::done(done, raw))
}

/// `region/eu-west drained until 14:02 UTC (o-12): 3 services move`.
fn sentence(record: &Override, reply: &ChangeReply) -> String {
    let now = reply.applied.as_ref().map_or(record.at, |applied| applied.at);
    let until = record.ends.map_or_else(|| "until somebody ends it".to_string(), |ends| format!("until {}", clock(ends, now)));
    let only = if record.services.is_empty() { String::new() } else { format!(" for {}", record.services.join(", ")) };
    let id = if reply.dry_run { String::new() } else { format!(" ({})", record.id) };
    format!("{} {}{only} {until}{id}: {}", record.target, past(record.kind), moved(reply))
}

fn moved(reply: &ChangeReply) -> String {
    if reply.moves.is_empty() { "no service moves".to_string() } else { format!("{} affected", count(reply.moves.len(), "service")) }
}

fn past(kind: Kind) -> &'static str {
    match kind {
        Kind::Drain => "drained",
        Kind::ForceUp => "forced up",
        Kind::ForceDown => "forced down",
        Kind::Freeze => "frozen",
        Kind::Approve => "approved, however old its data is,",
    }
}
