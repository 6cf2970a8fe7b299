//! `windrose query`: what DNS answers, once as records, many times as a split beside the one that is wanted.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::Message;
use serde_json::{Value, json};

use crate::admin::api::{Explain, Overview};

use super::args::QueryArgs;
use super::client::{Client, Got, Place};
use super::count::{self, Tally, rcode};
use super::dns::{self, Question};
use super::exit::{Exit, Failure};
use super::report::Report;
use super::table::{Grid, Paint, Tone, count as counted};

/// How far an answered share may be from the wanted one, per cent points, however many were asked.
const FIT_POINTS: f64 = 0.5;
/// Answers by which one worker's sequence may be off for a while: 80 ± 2 in any hundred.
const FIT_ANSWERS: f64 = 2.0;
/// Cells of a bar.
const BAR: usize = 20;

/// Asks and tells. `client` may be missing where the DNS address is given: then addresses are shown, not pools.
pub async fn run(client: Result<Client, Failure>, args: &QueryArgs, wait: Duration, paint: Paint) -> Result<Report, Failure> {
    let question = Question::parse(&args.name, &args.type_).map_err(|why| Failure::local(Exit::Usage, why))?;
    let server = match args.server_dns {
        Some(server) => server,
        None => dns_address(client.as_ref().map_err(restated)?).await?,
    };
    let lost = |why: String| Failure::Unreachable {
        place: format!("DNS at {server}"),
        why,
        hint: "is it the address of `[dns] listen`? --server-dns names another".to_string(),
    };
    if args.count == 1 {
        let response = dns::ask(server, &question, args.tcp, wait / 3).await.map_err(|error| lost(format!("no answer: {error}")))?;
        return Ok(once(&question, server, &response));
    }
    let tally = count::count(server, &question, args.count, args.tcp, wait).await.map_err(|error| lost(format!("no answer: {error}")))?;
    if tally.responses() == 0 {
        return Err(lost(format!("no answer to any of {} queries", args.count)));
    }
    let (explain, aside) = match wanted(client, &question).await {
        Ok(explain) => (Some(explain), String::new()),
        Err(failure) => {
            (None, format!("the wanted shares are not known, so addresses are shown: {}", failure.text(false, Paint::PLAIN).lines().next().unwrap_or_default()))
        }
    };
    let split = Split::new(&tally, explain.as_ref());
    let unmet = args.exit_code && split.fits == Some(false);
    let note = if aside.is_empty() { aside } else { format!("{aside}\n") };
    Ok(Report::new(split.text(&tally, paint), split.json(&question, server, &tally)).note(note).condition(unmet))
}

/// A failure to set up the client, for a command that could do without one but lacks the address.
fn restated(failure: &Failure) -> Failure {
    let first = failure.text(false, Paint::PLAIN).lines().next().unwrap_or_default().to_string();
    Failure::local(failure.exit(), format!("the DNS address is not known: {first}")).hint("give it with --server-dns 127.0.0.1:53")
}

/// The decision for this name now.
async fn wanted(client: Result<Client, Failure>, question: &Question) -> Result<Explain, Failure> {
    let type_ = question.type_.to_string();
    if !matches!(type_.as_str(), "A" | "AAAA") {
        return Err(Failure::local(Exit::Usage, "only A and AAAA have shares"));
    }
    let name = question.name.to_ascii();
    let got: Got<Explain> = client?.get(&["explain"], &[("name", name.trim_end_matches('.')), ("type", &type_)]).await?;
    Ok(got.value)
}

/// The first address at which the server says that DNS listens; a wildcard is asked where the API is.
async fn dns_address(client: &Client) -> Result<SocketAddr, Failure> {
    let got: Got<Overview> = client.get(&["overview"], &[]).await?;
    let listens: Vec<SocketAddr> = got.value.dns.iter().filter_map(|address| address.parse().ok()).collect();
    let first = listens.iter().find(|address| address.is_ipv4()).or(listens.first()).copied();
    let mut address = first.ok_or_else(|| Failure::local(Exit::Failed, "the server names no DNS address").hint("give it with --server-dns 127.0.0.1:53"))?;
    if address.ip().is_unspecified() {
        let own = match &client.place {
            Place::Server(url) => url.host_str().and_then(|host| host.trim_matches(['[', ']']).parse::<IpAddr>().ok()),
            Place::Socket(_) => None,
        };
        let loopback = if address.is_ipv4() { IpAddr::from([127, 0, 0, 1]) } else { IpAddr::from(std::net::Ipv6Addr::LOCALHOST) };
        address.set_ip(own.unwrap_or(loopback));
    }
    Ok(address)
}

/// One response as master-file lines.
fn once(question: &Question, server: SocketAddr, response: &Message) -> Report {
    let code = rcode(response);
    let mut grid = Grid::new(&["", "", "", ""]);
    let mut records = Vec::new();
    for record in &response.answers {
        let (name, type_, data) = (record.name.to_ascii(), record.record_type().to_string(), dns::data_text(&record.data));
        records.push(json!({"name": name, "ttl": record.ttl, "type": type_, "data": data}));
        grid.row(vec![name.into(), record.ttl.to_string().into(), type_.into(), data.into()]);
    }
    let raw = json!({"name": question.name.to_ascii(), "type": question.type_.to_string(), "server": server.to_string(), "rcode": code,
                     "authoritative": response.metadata.authoritative, "answers": records});
    let text = match (code.as_str(), grid.is_empty()) {
        ("NOERROR", false) => grid.render(Paint::PLAIN),
        ("NOERROR", true) if response.metadata.authoritative => "NODATA: the name has no records of this type\n".to_string(),
        ("NOERROR", true) => "no answer here: a referral\n".to_string(),
        (code, _) => format!("{code}\n"),
    };
    Report::new(text, raw)
}

/// The answers by destination.
struct Split {
    lines: Vec<Line>,
    /// Do they fit the setting? `None`: it is not known.
    fits: Option<bool>,
    /// Largest difference, per cent points.
    largest: f64,
}

struct Line {
    /// Pools, joined by ` + `; empty: not known.
    pools: String,
    addresses: Vec<String>,
    count: u32,
    /// Per cent of all responses.
    share: f64,
    /// Per cent that the decision gives it.
    wanted: Option<f64>,
}

impl Line {
    /// The line of these pools; where they are not known, of this set of addresses. Made on first use.
    fn of<'a>(lines: &'a mut Vec<Line>, pools: String, set: &[String]) -> &'a mut Line {
        let known = lines.iter().position(|line| line.pools == pools && (!pools.is_empty() || line.addresses == set));
        let at = known.unwrap_or_else(|| {
            lines.push(Line { pools, addresses: Vec::new(), count: 0, share: 0.0, wanted: None });
            lines.len() - 1
        });
        &mut lines[at]
    }
}

impl Split {
    fn new(tally: &Tally, explain: Option<&Explain>) -> Self {
        let responses = f64::from(tally.responses().max(1));
        let leaves = explain.map(|explain| explain.distribution.as_slice()).unwrap_or_default();
        // Destinations by pools, in the decision's order; several leaves (rungs) of one pool are one destination, and so are the cuts of one large pool.
        let mut lines: Vec<Line> = Vec::new();
        for leaf in leaves {
            let line = Line::of(&mut lines, leaf.pools.join(" + "), &[]);
            line.wanted = Some(line.wanted.unwrap_or(0.0) + leaf.share);
        }
        // What the decision does not name comes last, the most frequent first.
        let mut sets: Vec<_> = tally.sets.iter().collect();
        sets.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        for (set, count) in sets {
            let serves = |leaf: &&crate::admin::api::ExplainLeaf| {
                set.iter().all(|address| leaf.endpoints.iter().flat_map(|endpoint| endpoint.answered()).any(|known| known == address))
            };
            let pools = leaves.iter().find(serves).map(|leaf| leaf.pools.join(" + ")).unwrap_or_default();
            let line = Line::of(&mut lines, pools, set);
            line.count += count;
            line.share = f64::from(line.count) * 100.0 / responses;
            if line.wanted.is_none() && !leaves.is_empty() {
                line.wanted = Some(0.0);
            }
            for address in set {
                if !line.addresses.contains(address) {
                    line.addresses.push(address.clone());
                }
            }
        }
        let largest = lines.iter().filter_map(|line| line.wanted.map(|wanted| (line.share - wanted).abs())).fold(0.0, f64::max);
        let allowed = FIT_POINTS + FIT_ANSWERS * 100.0 / responses;
        Self { fits: (!leaves.is_empty()).then_some(largest <= allowed), lines, largest }
    }

    fn text(&self, tally: &Tally, paint: Paint) -> String {
        let mut grid = Grid::new(&["", "", ">", "", ">", ""]);
        for line in &self.lines {
            let addresses = line.addresses.join(" ");
            let wanted = line.wanted.map(|wanted| format!("wanted {wanted:.1} %")).unwrap_or_default();
            grid.row(vec![
                line.pools.as_str().into(),
                addresses.into(),
                line.count.to_string().into(),
                bar(line.share).into(),
                format!("{:.1} %", line.share).into(),
                wanted.into(),
            ]);
        }
        let mut out = if grid.is_empty() { String::new() } else { grid.render(paint) };
        let codes = tally.rcodes.iter().map(|(code, count)| format!("{code} {count}")).collect::<Vec<_>>().join(", ");
        let ttl = match tally.ttl {
            Some((low, high)) if low == high => format!(", ttl {low}"),
            Some((low, high)) => format!(", ttl {low} to {high}"),
            None => String::new(),
        };
        let lost = if tally.lost == 0 { String::new() } else { format!(", {} lost", tally.lost) };
        let _ = write!(out, "{} in {:.2} s, {codes}{ttl}{lost}.", counted(tally.responses() as usize, "answer"), tally.took.as_secs_f64());
        match self.fits {
            Some(true) => {
                let _ = write!(out, "   {} fits the setting (at most {:.1} points off)", paint.tone(Tone::Good, "✔"), self.largest);
            }
            Some(false) => {
                let _ = write!(
                    out,
                    "   {} does not fit the setting: {:.1} points off. Did it change meanwhile? Ask again",
                    paint.tone(Tone::Bad, "✖"),
                    self.largest
                );
            }
            None => (),
        }
        out.push('\n');
        out
    }

    fn json(&self, question: &Question, server: SocketAddr, tally: &Tally) -> Value {
        let lines: Vec<Value> = self
            .lines
            .iter()
            .map(|line| {
                let pools: Vec<&str> = line.pools.split(" + ").filter(|pool| !pool.is_empty()).collect();
                json!({"pools": pools, "addresses": line.addresses, "count": line.count, "share": line.share, "wanted": line.wanted})
            })
            .collect();
        json!({"name": question.name.to_ascii(), "type": question.type_.to_string(), "server": server.to_string(), "answers": tally.responses(), "lost": tally.lost,
               "rcodes": tally.rcodes, "ttl": tally.ttl.map(|(low, high)| json!({"min": low, "max": high})), "split": lines, "fits": self.fits,
               "largest_difference": self.largest, "took_ms": tally.took.as_secs_f64() * 1000.0})
    }
}

fn bar(percent: f64) -> String {
    let full = ((percent / 100.0 * BAR as f64).round() as usize).min(BAR);
    format!("{}{}", "█".repeat(full), "░".repeat(BAR - full))
}
