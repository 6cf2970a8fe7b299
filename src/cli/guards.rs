//! Guards, gates, and changes that a second person confirms.

use reqwest::Method;

use crate::admin::api::{ChangeReply, Gate, GatePut, ServiceGuards};

use super::args::{ConfirmArgs, GateArgs, Switch};
use super::change::{policy_text, told};
use super::client::{Client, Got};
use super::exit::Failure;
use super::report::Report;
use super::table::{Cell, Grid, Paint, Tone, clock};

/// `windrose gate`
pub async fn gate(client: &Client, args: &GateArgs) -> Result<Report, Failure> {
    let GateArgs { switch, name, write } = args;
    let body = GatePut { on: *switch == Switch::On, reason: write.reason.clone() };
    let got: Got<ChangeReply> = client.write(Method::PUT, &["gates", name], Some(&body), write, None).await?;
    let mut done: String = got.value.messages.iter().map(|message| format!("{message}\n")).collect();
    if got.value.dry_run {
        done.push_str("dry run: nothing changed.   To do it: run again without --dry-run\n");
    }
    Ok(Report::done(done, got.raw))
}

/// `windrose confirm`
pub async fn confirm(client: &Client, args: &ConfirmArgs, paint: Paint) -> Result<Report, Failure> {
    let got: Got<ChangeReply> = client.write(Method::POST, &["confirmations", &args.id], None::<&()>, &args.write, None).await?;
    let what = match (&got.value.policy, &got.value.override_) {
        (Some(policy), _) => policy_text(policy),
        (None, Some(known)) => format!("{} of {}", known.kind, known.target),
        (None, None) => "done".to_string(),
    };
    let word = if got.value.dry_run { "would be confirmed" } else { "confirmed" };
    Ok(told(&format!("{} {word}: {what}", args.id), got, paint))
}

/// `windrose get guards`
pub fn guards(services: &[ServiceGuards], paint: Paint) -> String {
    let mut grid = Grid::new(&["SERVICE", "GUARD", "REGION", "VALUE", "SOURCE"]);
    for service in services {
        let mut name = service.service.as_str();
        for guard in &service.guards {
            let region = guard.region.as_deref().unwrap_or_default();
            grid.row(vec![name.into(), guard.name.as_str().into(), region.into(), guard.value.as_str().into(), guard.source.as_str().into()]);
            name = "";
        }
        if service.guards.is_empty() {
            grid.row(vec![name.into(), "none".into(), "".into(), "".into(), "".into()]);
        }
    }
    grid.render(paint)
}

/// `windrose get gates`
pub fn gates(gates: &[Gate], paint: Paint) -> String {
    let mut grid = Grid::new(&["GATE", "STATE", "SINCE", "WHO", "REASON", "ABOUT"]);
    let newest = gates.iter().filter_map(|gate| gate.switched.as_ref()).map(|switched| switched.at).max().unwrap_or_default();
    for gate in gates {
        let state = if gate.on { Cell::toned(Tone::Good, "✔ on".to_string()) } else { Cell::from("✖ off") };
        let (since, who, why) = match &gate.switched {
            Some(switched) => (clock(switched.at, newest), switched.by.as_str(), switched.reason.as_str()),
            None => (String::new(), "", ""),
        };
        grid.row(vec![gate.name.as_str().into(), state, since.into(), who.into(), why.into(), gate.about.as_str().into()]);
    }
    grid.render(paint)
}
