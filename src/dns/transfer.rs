//! Zone transfers on a stream (RFC 5936): message by message from one snapshot, as fast as the client reads.
//!
//! ```text
//! a place among the few ─▶ make a message (64 KiB) ─▶ write it (deadline) ─▶ … ─▶ done
//!        └─ none in time: SERVFAIL                        └─ too slow, gone, evicted: its session is dropped
//! ```
//!
//! Never here: who may have a zone and what it holds (`answer`), more than one message in memory per transfer, a wait without a deadline.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use super::session::End;
use crate::answer::{Made, Told, Transfer};
use crate::metrics::TransferMetrics;

/// Transfers at once; each holds a snapshot and a message.
pub const TRANSFERS_MAX: usize = 16;
/// How long one waits for its turn.
pub const TURN_DEADLINE: Duration = Duration::from_secs(10);
/// How often who waits for its turn says so.
const TURN_LOOK: Duration = Duration::from_secs(1);
/// No transfer takes longer: it would keep an old snapshot alive.
pub const TRANSFER_DEADLINE: Duration = Duration::from_secs(600);
/// Longest message and its two octets of length.
const FRAMED_OCTETS_MAX: usize = 2 + u16::MAX as usize;

/// What transfers share.
#[derive(Debug)]
pub struct Transfers {
    turns: Semaphore,
    turn_deadline: Duration,
    counts: OnceLock<Arc<TransferMetrics>>,
}

impl Default for Transfers {
    fn default() -> Self {
        Self { turns: Semaphore::new(TRANSFERS_MAX), turn_deadline: TURN_DEADLINE, counts: OnceLock::new() }
    }
}

impl Transfers {
    /// Where outcomes are counted from now on. The first call counts.
    pub fn count_with(&self, metrics: Arc<TransferMetrics>) {
        let _first = self.counts.set(metrics);
    }

    fn count(&self, zone: &str, outcome: &str) {
        if let Some(metrics) = self.counts.get() {
            metrics.transferred(zone, outcome);
        }
    }

    /// Counts and logs what became of a query for a transfer, or of a signed one. What strangers cause is no more than a line for debugging.
    pub fn tell(&self, told: &Told, client: SocketAddr) {
        let Told { zone, outcome } = told;
        let Some(zone) = zone else {
            tracing::debug!(%client, outcome, "a signed query from {client} was refused: {outcome}");
            return;
        };
        match *outcome {
            "begun" => (),
            "current" => {
                self.count(&zone.to_string(), outcome);
                tracing::debug!(%zone, %client, "{client} has the present {zone}");
            }
            _ => {
                self.count(&zone.to_string(), outcome);
                tracing::debug!(%zone, %client, outcome, "transfer of {zone} to {client} refused: {outcome}");
            }
        }
    }
}

/// A transfer that waits for its stream.
#[derive(Debug)]
pub struct Sending {
    /// What is sent.
    pub transfer: Box<Transfer>,
    /// To whom.
    pub client: SocketAddr,
    /// What it is counted with.
    pub transfers: Arc<Transfers>,
}

impl Sending {
    /// Sends all of it; `Err`: the session ends. `waits` is called at the beginning of each wait: whoever drops this when one takes too long ends it.
    pub async fn send<S: AsyncWrite + Unpin>(self, stream: &mut S, mut waits: impl FnMut()) -> Result<(), End> {
        let Self { transfer, client, transfers } = self;
        let began = Instant::now();
        let mut out = vec![0; FRAMED_OCTETS_MAX];
        let turn = loop {
            waits();
            match timeout(TURN_LOOK.min(transfers.turn_deadline), transfers.turns.acquire()).await {
                Err(_) if began.elapsed() < transfers.turn_deadline => {}
                turn => break turn,
            }
        };
        let Ok(Ok(_turn)) = turn else {
            let zone = transfer.zone().to_string();
            transfers.count(&zone, "busy");
            tracing::warn!(%zone, %client, "transfer of {zone} to {client} put off: {TRANSFERS_MAX} are under way");
            let length = out.get_mut(2..).and_then(|out| transfer.fail(seconds(), out)).ok_or(End::Broken)?;
            return put(stream, &mut out, length).await;
        };
        let mut sent = Sent { transfer, client, began, transfers: &transfers, end: Err("its client did not read in time, or the connection was needed") };
        loop {
            match out.get_mut(2..).map_or(Made::TooLarge, |out| sent.transfer.make(seconds(), out)) {
                Made::Message(length) => {
                    waits();
                    if let Err(end) = put(stream, &mut out, length).await {
                        sent.end = Err("the connection broke");
                        return Err(end);
                    }
                    if began.elapsed() > TRANSFER_DEADLINE {
                        sent.end = Err("it took too long");
                        return Err(End::Broken);
                    }
                }
                Made::Nothing => tokio::task::yield_now().await,
                Made::End => {
                    sent.end = Ok(());
                    return Ok(());
                }
                Made::TooLarge => {
                    sent.end = Err("one of its records is larger than a message can be");
                    return Err(End::Broken);
                }
            }
        }
    }
}

/// Counts and tells what became of a transfer, however it ends.
struct Sent<'a> {
    transfer: Box<Transfer>,
    client: SocketAddr,
    began: Instant,
    transfers: &'a Transfers,
    /// Why it broke off; before its end: what it means to be dropped.
    end: Result<(), &'static str>,
}

impl Drop for Sent<'_> {
    fn drop(&mut self) {
        let Self { transfer, client, began, transfers, end } = self;
        let (zone, serial, records, took) = (transfer.zone(), transfer.serial(), transfer.records(), began.elapsed().as_secs_f64());
        transfers.count(&zone.to_string(), if end.is_ok() { "done" } else { "aborted" });
        match end {
            Ok(()) => tracing::info!(%zone, serial, %client, records, "zone {zone}, serial {serial}, went to {client}: {records} records in {took:.3} s"),
            Err(why) => {
                tracing::warn!(%zone, serial, %client, "transfer of {zone} to {client} broke off after {records} records and {took:.3} s: {why}");
            }
        }
    }
}

/// Writes the `length` octets from the third on, with their length before them.
async fn put<S: AsyncWrite + Unpin>(stream: &mut S, out: &mut [u8], length: usize) -> Result<(), End> {
    let octets = u16::try_from(length).map_err(|_| End::Broken)?.to_be_bytes();
    out.get_mut(..2).ok_or(End::Broken)?.copy_from_slice(&octets);
    stream.write_all(out.get(..2 + length).ok_or(End::Broken)?).await?;
    stream.flush().await?;
    Ok(())
}

/// Seconds since 1970, for signatures.
pub fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, duplex};

    use super::*;
    use crate::answer::{Asked, Counters, Cx, Transport, Work, answer_slow};
    use crate::model::{Estate, Secondary};
    use crate::snapshot::{CellMap, Content, Snapshot};
    use crate::wire::Name;
    use crate::zone::{RecordSet, Zone};

    /// A transfer of a zone with so many hosts.
    fn outgoing(hosts: u32, transfers: &Arc<Transfers>) -> Sending {
        let apex: Name = "example.com".parse().unwrap();
        let soa: Vec<u8> = [apex.wire(), apex.wire(), &[0; 20]].concat();
        let mut sets = vec![RecordSet { owner: apex.clone(), rtype: 6, ttl: 60, rdata: vec![soa.into()] }];
        sets.extend((0..hosts).map(|host| RecordSet {
            owner: format!("host-{host}.example.com").parse().unwrap(),
            rtype: 1,
            ttl: 60,
            rdata: vec![host.to_be_bytes().into()],
        }));
        let client: SocketAddr = "192.0.2.53:4000".parse().unwrap();
        let mut estate = Estate::default();
        estate.secondaries.push((apex.clone(), [Secondary { address: client, key: None }].into()));
        let zones = vec![Arc::new(Zone { apex, sets })];
        let snapshot = Snapshot::build(1, &zones, &estate, Vec::new(), &mut CellMap::default());
        let snapshot = Arc::new(snapshot.with_content(Arc::new(Content { estate: Arc::new(estate), zones })));
        let query = b"\x12\x34\0\0\0\x01\0\0\0\0\0\0\x07example\x03com\0\0\xfc\0\x01";
        let asked = Asked { client: client.ip(), port: client.port(), transport: Transport::Tcp };
        let mut cx = Cx::new(Counters::new(), crate::answer::Limiter::new(1), 1);
        cx.begin(&snapshot, crate::model::Now::default());
        let (Work::Transfer(transfer), Some(_)) = answer_slow(&snapshot, query, asked, 0, &mut cx, &mut [0; 512]) else { panic!("no transfer") };
        Sending { transfer, client, transfers: transfers.clone() }
    }

    #[tokio::test]
    async fn every_message_passes_however_small_the_pipe() {
        let transfers = Arc::new(Transfers::default());
        for pipe in [7, 4096, 1 << 20] {
            let (mut near, mut far) = duplex(pipe);
            let mut messages = 0;
            let sending = async {
                let sent = outgoing(10_000, &transfers).send(&mut near, || messages += 1).await;
                drop(near);
                sent
            };
            let reading = async {
                let mut records = 0;
                while let Ok(length) = far.read_u16().await {
                    let mut message = vec![0; usize::from(length)];
                    far.read_exact(&mut message).await.unwrap();
                    records += usize::from(u16::from_be_bytes([message[6], message[7]]));
                }
                records
            };
            let (sent, records) = tokio::join!(sending, reading);
            assert_eq!((sent, records), (Ok(()), 10_002));
            assert!(messages > 2, "one wait for the turn, and one for each message");
        }
    }

    #[tokio::test]
    async fn a_client_that_never_reads_is_cut_and_its_place_is_free_again() {
        let transfers = Arc::new(Transfers { turns: Semaphore::new(1), ..Transfers::default() });
        for _ in 0..2 {
            let (mut near, _far) = duplex(1000);
            let sent = timeout(Duration::from_millis(50), outgoing(10_000, &transfers).send(&mut near, || {})).await;
            assert!(sent.is_err(), "it waits until it is dropped");
        }
        assert_eq!(transfers.turns.available_permits(), 1);
    }

    #[tokio::test]
    async fn one_too_many_is_put_off_with_servfail() {
        let transfers = Arc::new(Transfers { turns: Semaphore::new(0), turn_deadline: Duration::from_millis(20), ..Transfers::default() });
        let (mut near, mut far) = duplex(1000);
        assert_eq!(outgoing(1, &transfers).send(&mut near, || {}).await, Ok(()));
        let length = far.read_u16().await.unwrap();
        let mut message = vec![0; usize::from(length)];
        far.read_exact(&mut message).await.unwrap();
        assert_eq!((message[..4].to_vec(), message[6..12].to_vec()), (vec![0x12, 0x34, 0x80, 2], vec![0; 6]));
    }
}
