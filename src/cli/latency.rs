//! `windrose latency`: measurements from outside, pushed from a file or another program, listed, taken back.

use std::io::Read;
use std::path::Path;

use reqwest::Method;
use serde_json::{Value, json};

use crate::admin::api::{Latency, LatencyMeasurement, LatencyPut, LatencyQuery, LatencyRegion, LatencyReply, LatencyWithdrawal, List, Time};

use super::args::{LatencyCommand, Write};
use super::client::{Client, Got};
use super::exit::{Exit, Failure};
use super::report::Report;
use super::table::{Grid, Paint, count};

/// Measurements of one request: with the longest names it stays below what the server reads.
const BATCH: usize = 4_000;
/// Octets of a file that are read.
const OCTETS_MAX: u64 = 64 << 20;
/// Lines that are complained about.
const LINES_TOLD_MAX: usize = 5;

/// `windrose latency`
pub async fn run(client: &Client, command: &LatencyCommand, paint: Paint) -> Result<Report, Failure> {
    match command {
        LatencyCommand::Push { file, at } => push(client, file, at.map(Time)).await,
        LatencyCommand::List { network, region, count } => list(client, network.as_deref(), region.as_deref(), *count as usize, paint).await,
        LatencyCommand::Forget { network, region } => {
            let withdrawal = LatencyWithdrawal { network: network.clone(), region: region.clone() };
            let got: Got<LatencyReply> = client.withdraw(&["latency"], &withdrawal).await?;
            Ok(Report::done(format!("{} forgotten; {} known\n", networks(got.value.networks), networks(got.value.known)), got.raw))
        }
    }
}

async fn push(client: &Client, file: &Path, at: Option<Time>) -> Result<Report, Failure> {
    let usage = |message: String| Failure::local(Exit::Usage, message).hint("a line is NETWORK,REGION,MS or NETWORK,REGION,MS,SAMPLES; # begins a comment");
    let text = read(file).map_err(|error| usage(format!("can't read {}: {error}", file.display())))?;
    let measurements = measurements(&text).map_err(|wrong| usage(wrong.join("\n")))?;
    if measurements.is_empty() {
        return Err(usage(format!("{} has no measurements", file.display())));
    }
    let all = measurements.len();
    let (mut sum, mut told) = (LatencyReply { networks: 0, reordered: 0, forgotten: 0, known: 0 }, 0);
    for batch in measurements.chunks(BATCH) {
        let body = LatencyPut { measurements: batch.to_vec(), at };
        let sent = client.write(Method::PUT, &["latency"], Some(&body), &Write::default(), None).await;
        let got: Got<LatencyReply> = sent.map_err(|failure| match told {
            0 => failure,
            told => failure.hint(format!("the first {told} of {all} measurements count")),
        })?;
        let LatencyReply { networks, reordered, forgotten, known } = got.value;
        told += batch.len();
        sum = LatencyReply { networks: sum.networks + networks, reordered: sum.reordered + reordered, forgotten: sum.forgotten + forgotten, known };
    }
    let LatencyReply { networks: spoken, reordered, forgotten, known } = sum;
    let forgotten = if forgotten == 0 { String::new() } else { format!("; {} went to make room", networks(forgotten)) };
    let orders = count(reordered, "order");
    let text = format!("{} of {} taken: {orders} of regions changed; {} known{forgotten}\n", count(all, "measurement"), networks(spoken), networks(known));
    Ok(Report::done(text, json!({ "networks": spoken, "reordered": reordered, "forgotten": sum.forgotten, "known": known })))
}

fn networks(number: usize) -> String {
    count(number, "network")
}

/// `-` is what comes in.
fn read(file: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    match file.as_os_str() == "-" {
        true => std::io::stdin().lock().take(OCTETS_MAX).read_to_string(&mut text)?,
        false => std::fs::File::open(file)?.take(OCTETS_MAX).read_to_string(&mut text)?,
    };
    Ok(text)
}

/// Lines of `network,region,ms[,samples]`; a first line of these words is a header. All that are wrong, up to a number.
fn measurements(text: &str) -> Result<Vec<LatencyMeasurement>, Vec<String>> {
    let (mut all, mut wrong) = (Vec::new(), Vec::new());
    let lines = text.trim_start_matches('\u{feff}').lines();
    for (number, line) in (1..).zip(lines.map(|line| line.split('#').next().unwrap_or_default().trim())) {
        if line.is_empty() || number == 1 && line.starts_with("network,") {
            continue;
        }
        match measurement(line) {
            Some(measurement) => all.push(measurement),
            None if wrong.len() < LINES_TOLD_MAX => wrong.push(format!("line {number}: `{}` is no measurement", line.escape_debug())),
            None => {}
        }
    }
    if wrong.is_empty() { Ok(all) } else { Err(wrong) }
}

fn measurement(line: &str) -> Option<LatencyMeasurement> {
    let mut fields = line.split(',').map(str::trim);
    let (network, region, ms) = (fields.next()?, fields.next()?, fields.next()?.parse().ok()?);
    let samples = fields.next().map(|samples| samples.parse().ok());
    let samples = match samples {
        Some(samples) => Some(samples?),
        None => None,
    };
    let whole = fields.next().is_none() && !network.is_empty() && !region.is_empty();
    whole.then(|| LatencyMeasurement { network: network.to_string(), region: region.to_string(), ms, samples })
}

async fn list(client: &Client, network: Option<&str>, region: Option<&str>, most: usize, paint: Paint) -> Result<Report, Failure> {
    let (mut items, mut raw, mut cursor) = (Vec::new(), Vec::new(), None);
    loop {
        let query =
            LatencyQuery { network: network.map(str::to_string), region: region.map(str::to_string), limit: Some((most - items.len()).min(1_000)), cursor };
        let got: Got<List<Latency>> = client.get_query(&["latency"], &query).await?;
        raw.extend(got.raw["items"].as_array().cloned().unwrap_or_default());
        let came = got.value.items.len();
        items.extend(got.value.items);
        cursor = got.value.next_cursor;
        if cursor.is_none() || came == 0 || most <= items.len() {
            break;
        }
    }
    let raw = json!({ "items": raw, "next_cursor": cursor.as_deref().map_or(Value::Null, Value::from) });
    if items.is_empty() {
        return Ok(Report::new("nothing is known of latency there\n", raw));
    }
    let report = Report::new(table(&items, paint), raw);
    Ok(if cursor.is_some() { report.note("there are more: name a network, or raise --count\n") } else { report })
}

fn table(items: &[Latency], paint: Paint) -> String {
    let mut grid = Grid::new(&["NETWORK", "REGION", ">MS", "MEASURED"]);
    for Latency { network, regions } in items {
        for (at, LatencyRegion { region, ms, age }) in regions.iter().enumerate() {
            let network = if at == 0 { network.as_str() } else { "" };
            grid.row(vec![network.into(), region.as_str().into(), format!("{ms:.1}").into(), format!("{age} ago").into()]);
        }
    }
    grid.render(paint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_measurements_comments_or_named_as_wrong() {
        let text = "network,region,ms,samples\n203.0.113.0/24, prod, 42.5\n\n# a comment\n2001:db8::/56,eu,9,100 # one more\n";
        let read = measurements(text).unwrap();
        let of = |network: &str, region: &str, ms, samples| LatencyMeasurement { network: network.into(), region: region.into(), ms, samples };
        assert_eq!(read, [of("203.0.113.0/24", "prod", 42.5, None), of("2001:db8::/56", "eu", 9.0, Some(100))]);
        let wrong = measurements("a,b\n1.2.3.4,prod,x\n1.2.3.4,prod,1,\n1.2.3.4,prod,1,2,3\n,prod,1\n1.2.3.4,,1\n1.2.3.4,prod,1\n").unwrap_err();
        assert_eq!(wrong.len(), LINES_TOLD_MAX);
        assert_eq!(wrong[1], "line 2: `1.2.3.4,prod,x` is no measurement");
    }

    #[test]
    fn the_table_shows_regions_in_the_order_that_counts() {
        let region = |region: &str, ms: f64| LatencyRegion { region: region.into(), ms, age: crate::admin::api::Span(std::time::Duration::from_secs(90)) };
        let items = [Latency { network: "203.0.113.0/24".into(), regions: vec![region("dr", 30.25), region("prod", 180.0)] }];
        assert_eq!(
            table(&items, Paint::PLAIN),
            "NETWORK         REGION     MS  MEASURED\n203.0.113.0/24  dr       30.2  1m 30s ago\n                prod    180.0  1m 30s ago\n"
        );
    }
}
