//! Zone transfers on a stream (RFC 5936): message by message from one snapshot, as fast as the client reads.
//!
//! ```text
//! a place among the few ─▶ make a message (64 KiB) ─▶ write it (deadline) ─▶ … ─▶ done
//!        └─ none in time: SERVFAIL                        └─ too slow, gone, dismissed: cut
//! ```
//!
//! Never here: who may have a zone and what it holds (`answer`), more than one message in memory per transfer, a wait without a deadline.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use super::session::{Dismissal, End};
use crate::answer::{Made, Told, Transfer};
use crate::metrics::TransferMetrics;

/// Transfers at once; each holds a snapshot and a message.
pub const TRANSFERS_MAX: usize = 16;
/// How long one waits for its turn.
pub const TURN_DEADLINE: Duration = Duration::from_secs(10);
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
pub struct Outgoing {
    /// What is sent.
    pub transfer: Box<Transfer>,
    /// To whom.
    pub client: SocketAddr,
    /// What it is counted with.
    pub transfers: Arc<Transfers>,
}

impl Outgoing {
    /// Sends all of it; `Err`: the session ends. `written` is told after each message, each of which must be taken within `write`.
    pub async fn send<S: AsyncWrite + Unpin>(
        self,
        stream: &mut S,
        write: Duration,
        dismissal: &mut impl Dismissal,
        mut written: impl FnMut(),
    ) -> Result<(), End> {
        let Self { mut transfer, client, transfers } = self;
        let (zone, serial, began) = (transfer.zone().to_string(), transfer.serial(), Instant::now());
        let mut out = vec![0; FRAMED_OCTETS_MAX];
        let turn = tokio::select! {
            turn = timeout(transfers.turn_deadline, transfers.turns.acquire()) => turn,
            () = dismissal.while_writing() => return Err(End::Dismissed),
        };
        let Ok(Ok(_turn)) = turn else {
            transfers.count(&zone, "busy");
            tracing::warn!(%zone, %client, "transfer of {zone} to {client} put off: {TRANSFERS_MAX} are under way");
            let length = out.get_mut(2..).and_then(|out| transfer.fail(seconds(), out)).ok_or(End::Broken)?;
            return put(stream, &mut out, length, write, dismissal).await;
        };
        let end = loop {
            let made = out.get_mut(2..).map_or(Made::TooLarge, |out| transfer.make(seconds(), out));
            match made {
                Made::Message(length) => match put(stream, &mut out, length, write, dismissal).await {
                    Ok(()) if began.elapsed() < TRANSFER_DEADLINE => written(),
                    Ok(()) => break Err(End::Unread),
                    Err(end) => break Err(end),
                },
                Made::Nothing => tokio::task::yield_now().await,
                Made::End => break Ok(()),
                Made::TooLarge => {
                    tracing::error!(%zone, "zone {zone} can't be transferred: one of its records is larger than a message can be");
                    break Err(End::Broken);
                }
            }
        };
        let (records, took) = (transfer.records(), began.elapsed().as_secs_f64());
        match end {
            Ok(()) => {
                transfers.count(&zone, "done");
                tracing::info!(%zone, serial, %client, records, "zone {zone}, serial {serial}, went to {client}: {records} records in {took:.3} s");
            }
            Err(why) => {
                transfers.count(&zone, "aborted");
                tracing::warn!(%zone, serial, %client, "transfer of {zone} to {client} broke off after {records} records and {took:.3} s: {why:?}");
            }
        }
        end
    }
}

/// Writes the `length` octets from the third on, with their length before them.
async fn put<S: AsyncWrite + Unpin>(stream: &mut S, out: &mut [u8], length: usize, write: Duration, dismissal: &mut impl Dismissal) -> Result<(), End> {
    let octets = u16::try_from(length).map_err(|_| End::Broken)?.to_be_bytes();
    out.get_mut(..2).ok_or(End::Broken)?.copy_from_slice(&octets);
    let message = out.get(..2 + length).ok_or(End::Broken)?;
    let written = tokio::select! {
        biased;
        written = timeout(write, stream.write_all(message)) => written,
        () = dismissal.while_writing() => return Err(End::Dismissed),
    };
    match written {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(End::Broken),
        Err(_) => Err(End::Unread),
    }
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

    struct Never;

    impl Dismissal for Never {
        fn is_due(&self) -> bool {
            false
        }
        fn while_reading(&mut self) -> impl Future<Output = ()> + Send {
            std::future::pending()
        }
        fn while_writing(&mut self) -> impl Future<Output = ()> + Send {
            std::future::pending()
        }
    }

    /// A transfer of a zone with so many hosts.
    fn outgoing(hosts: u32, transfers: &Arc<Transfers>) -> Outgoing {
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
        Outgoing { transfer, client, transfers: transfers.clone() }
    }

    const LONG: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn every_message_passes_however_small_the_pipe() {
        let transfers = Arc::new(Transfers::default());
        for pipe in [7, 4096, 1 << 20] {
            let (mut near, mut far) = duplex(pipe);
            let mut messages = 0;
            let sending = async {
                let sent = outgoing(10_000, &transfers).send(&mut near, LONG, &mut Never, || messages += 1).await;
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
            assert!(messages > 1);
        }
    }

    #[tokio::test]
    async fn a_client_that_never_reads_is_cut_and_its_place_is_free_again() {
        let transfers = Arc::new(Transfers { turns: Semaphore::new(1), ..Transfers::default() });
        for _ in 0..2 {
            let (mut near, _far) = duplex(1000);
            let sent = outgoing(10_000, &transfers).send(&mut near, Duration::from_millis(50), &mut Never, || {}).await;
            assert_eq!(sent, Err(End::Unread));
        }
        assert_eq!(transfers.turns.available_permits(), 1);
    }

    #[tokio::test]
    async fn one_too_many_is_put_off_with_servfail() {
        let transfers = Arc::new(Transfers { turns: Semaphore::new(0), turn_deadline: Duration::from_millis(20), ..Transfers::default() });
        let (mut near, mut far) = duplex(1000);
        assert_eq!(outgoing(1, &transfers).send(&mut near, LONG, &mut Never, || {}).await, Ok(()));
        let length = far.read_u16().await.unwrap();
        let mut message = vec![0; usize::from(length)];
        far.read_exact(&mut message).await.unwrap();
        assert_eq!((message[..4].to_vec(), message[6..12].to_vec()), (vec![0x12, 0x34, 0x80, 2], vec![0; 6]));
    }
}
