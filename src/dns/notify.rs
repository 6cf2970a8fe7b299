//! Tells secondaries that a zone has a new serial (RFC 1996), over UDP, until they answer or have had enough chances.
//!
//! ```text
//! control says what secondaries should know ─▶ who has not been told this serial ─▶ NOTIFY ─▶ response ─▶ told
//!                                                          ▲                         │ none: wait longer each time
//!                                                          └─────────────────────────┘ (at most ATTEMPTS_MAX)
//! ```
//!
//! One task, one socket per address family, at most one NOTIFY per zone and secondary on its way. A newer serial begins anew.
//! A secondary that never answers is logged and left to its own refresh timer. Never here: what a serial is, an answer to NOTIFYs of others.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use crate::control::Announced;
use crate::metrics::TransferMetrics;
use crate::model::Secondary;
use crate::wire::tsig::{Signer, Tsig};
use crate::wire::{HEADER_OCTETS, Header, Name, Opcode, Question, rtype};

use super::transfer::seconds;

/// NOTIFYs that a secondary gets before it is left alone.
pub const ATTEMPTS_MAX: u32 = 7;
/// From the first to the second; twice as long each time: the last is given up after about two minutes.
pub const FIRST_WAIT: Duration = Duration::from_secs(1);
/// How long a full send buffer may hold the others up.
const SEND_DEADLINE: Duration = Duration::from_millis(100);
/// Longest message: a header, a question, a SOA record, a signature.
const MESSAGE_OCTETS_MAX: usize = 1232;

/// What is told, from control to the task.
pub type Board = watch::Sender<Arc<[Announced]>>;

/// A board with nothing on it, and its reader.
pub fn board() -> (Board, watch::Receiver<Arc<[Announced]>>) {
    watch::channel(Arc::default())
}

/// Runs until the board is gone. `listen`: our own addresses, one of which is the sender's, because secondaries look at it.
pub async fn run(mut board: watch::Receiver<Arc<[Announced]>>, listen: Vec<SocketAddr>, metrics: Arc<TransferMetrics>) {
    let mut sockets = [None, None];
    let mut jobs: BTreeMap<(Name, SocketAddr), Job> = BTreeMap::new();
    let (mut v4, mut v6) = ([0; MESSAGE_OCTETS_MAX], [0; MESSAGE_OCTETS_MAX]);
    // What stands there from the beginning is news, too.
    board.mark_changed();
    loop {
        let due = jobs.values().filter_map(|job| job.due).min();
        let tick = async {
            match due {
                Some(due) => sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        let [ipv4, ipv6] = &sockets;
        tokio::select! {
            changed = board.changed() => {
                if changed.is_err() {
                    return;
                }
                let announced = board.borrow_and_update().clone();
                renew(&mut jobs, &announced);
                for family in jobs.keys().map(|(_, address)| usize::from(address.is_ipv6())).collect::<Vec<_>>() {
                    if let Some(place @ None) = sockets.get_mut(family) {
                        *place = open(family == 1, &listen).await.inspect_err(|error| tracing::warn!(%error, "no socket to send NOTIFY from")).ok();
                    }
                }
            }
            received = receive(ipv4.as_ref(), &mut v4) => hear(&mut jobs, v4.get(..received.0).unwrap_or_default(), received.1, &metrics),
            received = receive(ipv6.as_ref(), &mut v6) => hear(&mut jobs, v6.get(..received.0).unwrap_or_default(), received.1, &metrics),
            () = tick => {
                let now = Instant::now();
                for ((zone, address), job) in jobs.iter_mut().filter(|(_, job)| job.due.is_some_and(|due| due <= now)) {
                    let socket = sockets.get(usize::from(address.is_ipv6())).and_then(Option::as_ref);
                    job.attempt(zone, *address, socket, &metrics).await;
                }
            }
        }
    }
}

/// One secondary of one zone.
#[derive(Debug)]
struct Job {
    secondary: Secondary,
    serial: u32,
    /// When the next attempt is due; `None`: it knows, or has had its chances.
    due: Option<Instant>,
    attempts: u32,
    id: u16,
    /// The MAC of the last request.
    mac: Box<[u8]>,
}

/// Takes what is announced: new serials begin anew, what is no longer announced is forgotten.
fn renew(jobs: &mut BTreeMap<(Name, SocketAddr), Job>, announced: &[Announced]) {
    let mut before = std::mem::take(jobs);
    for Announced { zone, serial, secondaries } in announced {
        for secondary in secondaries.iter() {
            let key = (zone.clone(), secondary.address);
            let job = match before.remove(&key) {
                Some(known) if known.serial == *serial => Job { secondary: secondary.clone(), ..known },
                _ => Job { secondary: secondary.clone(), serial: *serial, due: Some(Instant::now()), attempts: 0, id: 0, mac: Box::default() },
            };
            jobs.insert(key, job);
        }
    }
}

impl Job {
    /// Sends the next NOTIFY, or gives up.
    async fn attempt(&mut self, zone: &Name, address: SocketAddr, socket: Option<&UdpSocket>, metrics: &TransferMetrics) {
        if self.attempts >= ATTEMPTS_MAX {
            self.due = None;
            metrics.notified(&zone.to_string(), "timeout");
            tracing::warn!(%zone, secondary = %address, serial = self.serial, "secondary {address} does not answer NOTIFY for {zone}; it will find serial {} by its own refresh timer", self.serial);
            return;
        }
        self.due = Some(Instant::now() + FIRST_WAIT * 2_u32.saturating_pow(self.attempts));
        self.attempts += 1;
        // Not to be guessed: a response is believed by its ID (and its signature, if there is a key).
        self.id = getrandom::u32().unwrap_or_default() as u16;
        let mut message = [0; MESSAGE_OCTETS_MAX];
        let sent = match (socket, self.write(zone, &mut message)) {
            (Some(socket), Some(length)) => {
                let send = socket.send_to(message.get(..length).unwrap_or_default(), address);
                timeout(SEND_DEADLINE, send).await.is_ok_and(|sent| sent.is_ok())
            }
            _ => false,
        };
        if !sent && self.attempts == 1 {
            metrics.notified(&zone.to_string(), "unsent");
            tracing::warn!(%zone, secondary = %address, "NOTIFY for {zone} could not be sent to {address}; trying again");
        }
    }

    /// The NOTIFY. It says that something changed and not what: the SOA record is a hint that may be left away (RFC 1996, section 3.7).
    fn write(&mut self, zone: &Name, out: &mut [u8]) -> Option<usize> {
        let [i0, i1] = self.id.to_be_bytes();
        // Opcode 4, AA (RFC 1996, section 3.6).
        let header = [i0, i1, 0x24, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        let end = HEADER_OCTETS + zone.wire().len();
        out.get_mut(..HEADER_OCTETS)?.copy_from_slice(&header);
        out.get_mut(HEADER_OCTETS..end)?.copy_from_slice(zone.wire());
        let [t0, t1] = rtype::SOA.to_be_bytes();
        out.get_mut(end..end + 4)?.copy_from_slice(&[t0, t1, 0, 1]);
        match &self.secondary.key {
            None => Some(end + 4),
            Some(key) => {
                let mut signer = Signer::request(key.clone());
                let length = signer.sign(out, end + 4, seconds())?;
                self.mac = signer.prior().into();
                Some(length)
            }
        }
    }

    /// What a response to the last NOTIFY says; `None`: it is not one.
    fn verdict(&self, zone: &Name, response: &[u8]) -> Option<&'static str> {
        let header = Header::read(response).filter(|header| header.is_response() && header.id == self.id && header.opcode() == Opcode::Notify)?;
        let start = if header.questions == 1 {
            let question = Question::read(response)?;
            let name = response.get(HEADER_OCTETS..HEADER_OCTETS + question.name_octets)?;
            if !name.eq_ignore_ascii_case(zone.wire()) || question.qtype != rtype::SOA {
                return None;
            }
            question.end()
        } else {
            HEADER_OCTETS
        };
        if let Some(key) = &self.secondary.key {
            // An unsigned refusal is believed to be one: it changes nothing but what the log says.
            let signed = Tsig::read(response, &header, start).ok()?.is_some_and(|tsig| tsig.check(response, Some(key), &self.mac, seconds()).is_ok());
            if !signed {
                return Some("badsig");
            }
        }
        Some(if response.get(3).is_some_and(|flags| flags & 0x0f == 0) { "accepted" } else { "refused" })
    }
}

/// A response came.
fn hear(jobs: &mut BTreeMap<(Name, SocketAddr), Job>, response: &[u8], from: SocketAddr, metrics: &TransferMetrics) {
    let waiting = jobs.iter_mut().filter(|((_, address), job)| *address == from && job.attempts > 0 && job.due.is_some());
    for ((zone, address), job) in waiting {
        let Some(outcome) = job.verdict(zone, response) else { continue };
        metrics.notified(&zone.to_string(), outcome);
        match outcome {
            "accepted" => tracing::debug!(%zone, secondary = %address, serial = job.serial, "secondary {address} knows that {zone} has serial {}", job.serial),
            // Perhaps somebody else's word: it gets its other chances.
            "badsig" => {
                tracing::warn!(%zone, secondary = %address, "secondary {address} answers NOTIFY for {zone} without the right signature: do both sides have the same key?");
                return;
            }
            _ => tracing::warn!(%zone, secondary = %address, "secondary {address} refuses NOTIFY for {zone}: does it know the zone and allow our address?"),
        }
        job.due = None;
        return;
    }
}

/// A socket on the first of our own addresses that fits, else on any.
async fn open(ipv6: bool, listen: &[SocketAddr]) -> io::Result<UdpSocket> {
    let own = listen.iter().map(SocketAddr::ip).find(|address| address.is_ipv6() == ipv6 && !address.is_unspecified());
    let any = if ipv6 { IpAddr::V6(Ipv6Addr::UNSPECIFIED) } else { IpAddr::V4(Ipv4Addr::UNSPECIFIED) };
    UdpSocket::bind((own.unwrap_or(any), 0)).await
}

/// The next datagram; without a socket there is none ever.
async fn receive(socket: Option<&UdpSocket>, into: &mut [u8]) -> (usize, SocketAddr) {
    let Some(socket) = socket else { return std::future::pending().await };
    loop {
        // A late ICMP report is an error here; the timer knows what to do.
        match socket.recv_from(into).await {
            Ok(received) => return received,
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::tsig::{Algorithm, TsigKey};

    const PATIENCE: Duration = Duration::from_secs(20);

    fn key(secret: &[u8]) -> Arc<TsigKey> {
        Arc::new(TsigKey::new("transfer.key".parse().unwrap(), Algorithm::HmacSha256, secret))
    }

    fn announced(serial: u32, secondaries: &[Secondary]) -> Arc<[Announced]> {
        [Announced { zone: "example.com".parse().unwrap(), serial, secondaries: secondaries.into() }].into()
    }

    async fn next(secondary: &UdpSocket) -> (Vec<u8>, SocketAddr) {
        let mut buffer = [0; 1500];
        let (length, from) = tokio::time::timeout(PATIENCE, secondary.recv_from(&mut buffer)).await.expect("a NOTIFY in time").unwrap();
        (buffer[..length].to_vec(), from)
    }

    /// The response to a NOTIFY, signed if there is a key.
    fn response(notify: &[u8], rcode: u8, key: Option<&Arc<TsigKey>>) -> Vec<u8> {
        let end = Question::read(notify).unwrap().end();
        let mut response = notify[..end].to_vec();
        response[2] |= 0x80;
        response[3] = rcode;
        response[11] = 0;
        let Some(key) = key else { return response };
        let tsig = Tsig::read(notify, &Header::read(notify).unwrap(), end).unwrap().expect("it is signed");
        let mut signer = tsig.check(notify, Some(key), &[], seconds()).expect("with our key");
        response.resize(end + signer.octets(), 0);
        signer.sign(&mut response, end, seconds()).unwrap();
        response
    }

    #[tokio::test]
    async fn a_secondary_is_asked_until_it_answers_and_again_when_the_serial_is_new() {
        let secondary = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let to = [Secondary { address: secondary.local_addr().unwrap(), key: None }];
        let (board, reader) = board();
        board.send_replace(announced(5, &to));
        let task = tokio::spawn(run(reader, vec!["127.0.0.3:53".parse().unwrap()], Arc::default()));
        let (first, from) = next(&secondary).await;
        assert_eq!(from.ip().to_string(), "127.0.0.3", "from our own address");
        assert_eq!(first[2..12], [0x24, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(&first[12..], b"\x07example\x03com\0\0\x06\0\x01");
        // No answer: it comes again. An answer to something else is none.
        secondary.send_to(&response(&[&[first[0], first[1] ^ 1], &first[2..]].concat(), 0, None), from).await.unwrap();
        let (second, from) = next(&secondary).await;
        secondary.send_to(&response(&second, 0, None), from).await.unwrap();
        // Nothing more until there is news.
        assert!(tokio::time::timeout(FIRST_WAIT * 3, secondary.recv_from(&mut [0; 100])).await.is_err(), "it was told already");
        board.send_replace(announced(6, &to));
        next(&secondary).await;
        drop(board);
        tokio::time::timeout(PATIENCE, task).await.expect("it ends with its board").unwrap();
    }

    #[tokio::test]
    async fn with_a_key_only_a_signed_answer_counts() {
        let secondary = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = secondary.local_addr().unwrap();
        let zone: Name = "example.com".parse().unwrap();
        let mut jobs = BTreeMap::new();
        renew(&mut jobs, &announced(5, &[Secondary { address, key: Some(key(b"one")) }]));
        let job = jobs.get_mut(&(zone.clone(), address)).unwrap();
        let mut message = [0; MESSAGE_OCTETS_MAX];
        job.id = 77;
        let length = job.write(&zone, &mut message).unwrap();
        let notify = &message[..length];
        assert_eq!(job.verdict(&zone, &response(notify, 0, Some(&key(b"one")))), Some("accepted"));
        assert_eq!(job.verdict(&zone, &response(notify, 5, Some(&key(b"one")))), Some("refused"));
        assert_eq!(job.verdict(&zone, &response(notify, 0, None)), Some("badsig"));
        let mut forged = response(notify, 0, Some(&key(b"one")));
        forged[3] = 5;
        assert_eq!(job.verdict(&zone, &forged), Some("badsig"));
        assert_eq!(job.verdict(&zone, notify), None, "a query is no answer");
        assert_eq!(job.verdict(&"other.test".parse().unwrap(), &response(notify, 0, Some(&key(b"one")))), None);
    }

    #[tokio::test]
    async fn what_is_known_is_not_told_again_and_what_is_gone_is_forgotten() {
        let [a, b] = ["192.0.2.1:53", "192.0.2.2:53"].map(|address| Secondary { address: address.parse().unwrap(), key: None });
        let mut jobs = BTreeMap::new();
        renew(&mut jobs, &announced(5, std::slice::from_ref(&a)));
        jobs.values_mut().for_each(|job| job.due = None);
        renew(&mut jobs, &announced(5, &[a.clone(), b]));
        let due: Vec<bool> = jobs.values().map(|job| job.due.is_some()).collect();
        assert_eq!(due, [false, true]);
        renew(&mut jobs, &announced(6, &[a]));
        let due: Vec<bool> = jobs.values().map(|job| job.due.is_some()).collect();
        assert_eq!(due, [true]);
    }
}
