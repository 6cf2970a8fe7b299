//! Asking a thousand times, and counting what came.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hickory_proto::op::Message;

use super::dns::{self, Question};

/// Queries on their way at once.
const WINDOW: u32 = 32;
/// Rounds in which lost queries are sent again.
const ROUNDS: u32 = 3;

/// What came.
#[derive(Debug, Default)]
pub struct Tally {
    /// How often each set of addresses was answered, as text; sets are sorted. Of a CNAME that leads elsewhere: how often each name was.
    pub sets: BTreeMap<Vec<String>, u32>,
    /// How often each response code came.
    pub rcodes: BTreeMap<String, u32>,
    /// Smallest and largest TTL of the answers.
    pub ttl: Option<(u32, u32)>,
    /// Queries that nothing came back for.
    pub lost: u32,
    /// From first to last.
    pub took: Duration,
}

impl Tally {
    /// Responses of any code.
    pub fn responses(&self) -> u32 {
        self.rcodes.values().sum()
    }

    fn add(&mut self, response: &Message) {
        *self.rcodes.entry(rcode(response)).or_default() += 1;
        let mut addresses = dns::addresses(response);
        addresses.sort();
        let mut set: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        if set.is_empty() {
            set.extend(dns::alias(response));
        }
        if !set.is_empty() {
            *self.sets.entry(set).or_default() += 1;
        }
        for record in &response.answers {
            let (low, high) = self.ttl.unwrap_or((record.ttl, record.ttl));
            self.ttl = Some((low.min(record.ttl), high.max(record.ttl)));
        }
    }
}

/// A response code as RFC 1035 and its followers spell it: `NOERROR`, `NXDOMAIN`.
pub fn rcode(response: &Message) -> String {
    use hickory_proto::op::ResponseCode as R;
    match response.metadata.response_code {
        R::NoError => "NOERROR".to_string(),
        R::FormErr => "FORMERR".to_string(),
        R::ServFail => "SERVFAIL".to_string(),
        R::NXDomain => "NXDOMAIN".to_string(),
        R::NotImp => "NOTIMP".to_string(),
        R::Refused => "REFUSED".to_string(),
        other => format!("RCODE{}", u16::from(other)),
    }
}

/// Asks `count` times from one port, so that one worker's sequence is seen whole, [`WINDOW`] at a time.
pub async fn count(server: SocketAddr, question: &Question, count: u32, tcp: bool, wait: Duration) -> std::io::Result<Tally> {
    let began = Instant::now();
    let mut tally = Tally::default();
    if tcp {
        let mut stream = tokio::time::timeout(wait, tokio::net::TcpStream::connect(server)).await??;
        for _ in 0..count {
            tally.add(&tokio::time::timeout(wait, dns::exchange_tcp(&mut stream, question)).await??);
        }
    } else {
        let socket = dns::udp_to(server).await?;
        let mut left = count;
        while left > 0 {
            let batch = left.min(WINDOW);
            let lost = window(&socket, server, question, batch, wait, &mut tally).await?;
            tally.lost += lost;
            left -= batch;
            // A server that answers nothing at all is not asked a million times.
            if lost == batch && tally.responses() == 0 {
                tally.lost += left;
                break;
            }
        }
    }
    tally.took = began.elapsed();
    Ok(tally)
}

/// One window of queries; gives how many were lost.
async fn window(
    socket: &tokio::net::UdpSocket,
    server: SocketAddr,
    question: &Question,
    batch: u32,
    wait: Duration,
    tally: &mut Tally,
) -> std::io::Result<u32> {
    let mut open: HashMap<u16, Vec<u8>> = HashMap::new();
    while open.len() < batch as usize {
        let query = question.message();
        open.insert(query.metadata.id, query.to_vec().map_err(std::io::Error::other)?);
    }
    let mut buffer = [0; 4096];
    for _ in 0..ROUNDS {
        for packet in open.values() {
            socket.send(packet).await?;
        }
        let deadline = tokio::time::Instant::now() + wait / ROUNDS;
        while !open.is_empty() {
            let Ok(received) = tokio::time::timeout_at(deadline, socket.recv(&mut buffer)).await else { break };
            let Some(response) = buffer.get(..received?).and_then(|packet| Message::from_vec(packet).ok()) else { continue };
            if !question.is_answered_by(&response) || open.remove(&response.metadata.id).is_none() {
                continue;
            }
            let whole = if response.metadata.truncation { dns::ask(server, question, true, wait).await? } else { response };
            tally.add(&whole);
        }
        if open.is_empty() {
            break;
        }
    }
    Ok(u32::try_from(open.len()).unwrap_or(u32::MAX))
}
