//! `windrose push`, `windrose freshness`, `windrose load`: an outside system tells how an endpoint is, how fresh a region's data is, how much is asked of a pool.

use reqwest::Method;

use crate::admin::api::{FreshnessPost, FreshnessReply, LoadPut, LoadReply, PoolShed, PushPost, PushReply, Span, State, Time, Told};

use super::args::{FreshnessArgs, LoadArgs, PushArgs, PushOutcome, Write};
use super::client::{Client, Got};
use super::exit::{Exit, Failure};
use super::report::Report;
use super::table::clock;

/// `windrose push`
pub async fn run(client: &Client, args: &PushArgs) -> Result<Report, Failure> {
    let PushArgs { endpoint, outcome, message, ttl, monitor } = args;
    let Some((pool, name)) = endpoint.split_once('/') else {
        return Err(Failure::local(Exit::Usage, format!("`{endpoint}` is not an endpoint")).hint("write it as POOL/NAME; windrose get endpoints lists them"));
    };
    let told = match outcome {
        PushOutcome::Pass => Told::Pass,
        PushOutcome::Fail => Told::Fail,
    };
    let body = PushPost { monitor: monitor.clone(), outcome: told, message: message.clone(), ttl: ttl.map(Span) };
    let got: Got<PushReply> = client.write(Method::POST, &["endpoints", pool, name, "push"], Some(&body), &Write::default(), None).await?;
    Ok(Report::done(format!("{}\n", sentence(told, &got.value)), got.raw))
}

/// `windrose freshness`
pub async fn freshness(client: &Client, args: &FreshnessArgs) -> Result<Report, Failure> {
    let FreshnessArgs { region, at, age } = args;
    let body = FreshnessPost { at: at.map(Time), age: age.map(Span) };
    let got: Got<FreshnessReply> = client.write(Method::PUT, &["regions", region, "freshness"], Some(&body), &Write::default(), None).await?;
    let FreshnessReply { region, data, outdated } = &got.value;
    let mut text = format!("the data of region {region} is of {}\n", clock(data.at, data.told_at));
    outdated.iter().for_each(|pool| text.push_str(&format!("  not used all the same: pool {pool}\n")));
    Ok(Report::done(text, got.raw))
}

/// `windrose load`
pub async fn load(client: &Client, args: &LoadArgs) -> Result<Report, Failure> {
    let LoadArgs { pool, load } = args;
    let got: Got<LoadReply> = client.write(Method::PUT, &["pools", pool, "load"], Some(&LoadPut { load: *load }), &Write::default(), None).await?;
    let LoadReply { pool, shed: PoolShed { over, share, load, shedding_since, why, .. } } = &got.value;
    let (load, why) = (load.unwrap_or_default(), why.as_deref().unwrap_or_default());
    let text = match shedding_since {
        Some(_) => format!("the load of pool {pool} is {load}; it gives away {share} % of its answers: {why}\n"),
        None if *over < load => {
            format!("the load of pool {pool} is {load}, over {over}; it gives away {share} % of its answers soon: it has turned a moment ago\n")
        }
        None => format!("the load of pool {pool} is {load}, at most {over}: it keeps its answers\n"),
    };
    Ok(Report::done(text, got.raw))
}

fn sentence(told: Told, reply: &PushReply) -> String {
    let PushReply { endpoint, monitor, state, holds_until } = reply;
    // What is told of an Up endpoint need not turn it at once.
    let agrees = *state == if told == Told::Pass { State::Up } else { State::Down };
    let still = if agrees { "" } else { "still " };
    let until = holds_until.map(|until| format!("; it holds until {}", clock(until, until))).unwrap_or_default();
    format!("{endpoint} is {still}{state} by {monitor}{until}")
}
