//! The old process: gives what it has to the one that asks, or goes on as before.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;
use tracing::{info, warn};

use crate::admin;
use crate::admin::upgrade::{TakenOver, Taker};
use crate::dns::{self, Parcel};

use super::link::{DESCRIPTORS_MAX, Link};
use super::{Message, Place, READY_MAX, REST_MAX, Secret, WORD_MAX};
use crate::app::control_loop::Order;
use crate::app::secret;
use crate::model::CookieSecret;

/// Why a second one is not consented to.
const BUSY: &str = "this server is handing over to another process already";

/// Why an upgrade does not come to its end when this process is told to end.
const STOPPING: &str = "this server is stopping";
/// Longest wait for the end of a hand-over when this process is told to end, and how often that is looked at.
const STOP_MAX: Duration = Duration::from_secs(2);
const STOP_LOOK: Duration = Duration::from_millis(20);

/// What can be given, known when everything runs.
#[derive(Debug)]
pub(in crate::app) struct Estate {
    pub dns: Arc<Vec<dns::Sockets>>,
    pub admin: Arc<admin::Sockets>,
}

/// Gives, once.
#[derive(Debug)]
pub(in crate::app) struct Giver {
    orders: mpsc::Sender<Order>,
    estate: OnceLock<Estate>,
    /// A hand-over is under way, or was made.
    busy: AtomicBool,
    ended: watch::Sender<Option<Ended>>,
    farewell: mpsc::Sender<Farewell>,
    /// This process is told to end.
    stop: watch::Sender<bool>,
}

/// How a hand-over ended.
#[derive(Clone, Debug)]
pub(super) struct Ended {
    /// The process that asked.
    pub pid: Option<u32>,
    /// Who serves now, or why this one does.
    pub outcome: Result<TakenOver, String>,
}

/// Another process has taken over: what is left to be done.
#[derive(Debug)]
pub(in crate::app) struct Farewell {
    link: Link,
    /// The socket's file is the other's.
    pub takes_socket: bool,
}

impl Giver {
    /// `farewell` is told when this process is to end.
    pub(in crate::app) fn new(orders: mpsc::Sender<Order>, farewell: mpsc::Sender<Farewell>) -> Arc<Self> {
        let ended = watch::Sender::new(None);
        Arc::new(Self { orders, estate: OnceLock::new(), busy: AtomicBool::new(false), ended, farewell, stop: watch::Sender::new(false) })
    }

    /// Everything runs: from now on it can be given.
    pub(in crate::app) fn may_give(&self, dns: Arc<Vec<dns::Sockets>>, admin: Arc<admin::Sockets>) {
        let _once = self.estate.set(Estate { dns, admin });
    }

    /// This process ends for another reason: whoever is taking over hears that it is off, and ends, too.
    pub(in crate::app) async fn stop(&self) {
        self.stop.send_replace(true);
        let until_free = async {
            while self.busy.load(Ordering::Acquire) {
                tokio::time::sleep(STOP_LOOK).await;
            }
        };
        let _either_way = timeout(STOP_MAX, until_free).await;
    }

    /// How hand-overs end, from now on.
    pub(super) fn watch(&self) -> watch::Receiver<Option<Ended>> {
        let mut ended = self.ended.subscribe();
        ended.mark_unchanged();
        ended
    }

    /// Whether a hand-over can begin now, and why not.
    pub(super) fn is_free(&self) -> Result<(), String> {
        if std::process::id() == 1 {
            return Err("this server is the first process of its container, which would end with it; start another container instead".to_string());
        }
        if self.estate.get().is_none() {
            return Err("this server does not answer DNS yet; try again in a moment".to_string());
        }
        if self.busy.load(Ordering::Acquire) { Err(BUSY.to_string()) } else { Ok(()) }
    }

    /// Consents to a hand-over, one at a time.
    pub(in crate::app) fn consent(self: &Arc<Self>) -> Result<Taker, String> {
        self.is_free()?;
        if self.busy.swap(true, Ordering::AcqRel) {
            return Err(BUSY.to_string());
        }
        let consent = Consent { giver: self.clone(), is_used: false };
        Ok(Box::new(move |stream| drop(tokio::spawn(consent.run(stream)))))
    }

    /// Everything up to the point of no return; gives what the new process said when it was ready.
    async fn give(&self, link: &Link) -> Result<(String, bool), String> {
        let (rested, rests) = oneshot::channel();
        self.orders.send(Order::Rest(rested)).await.map_err(|_| STOPPING.to_string())?;
        let rested = timeout(REST_MAX, rests).await.ok().and_then(Result::ok).ok_or("the core did not come to rest; this is a bug")?;
        self.send_sockets(link).await.map_err(lost)?;
        let secret = secret::drawn().map(|CookieSecret(secret)| Secret(secret));
        let legacy = Message::Legacy { core: Box::new(rested.legacy), secret };
        timeout(WORD_MAX, link.send(&legacy, &[])).await.map_err(|_| "the new process does not listen".to_string())?.map_err(lost)?;
        match timeout(READY_MAX, link.receive()).await {
            Ok(Ok(Some((Message::Ready { version, takes_socket }, _)))) => Ok((version, takes_socket)),
            Ok(Ok(Some((Message::Abort(why), _)))) => Err(why),
            Ok(Ok(Some((other, _)))) => Err(format!("the new process said something unexpected: {other:?}")),
            Ok(Ok(None)) => Err("the new process ended before it was ready; its log says why".to_string()),
            Ok(Err(error)) => Err(lost(error)),
            Err(_) => Err(format!("the new process was not ready within {} s", READY_MAX.as_secs())),
        }
    }

    /// The point of no return. systemd is told before this process ends, so that it does not take its end for the service's; and by this one, since
    /// it is the main process until then, and nobody else need have a say (`NotifyAccess=main`).
    async fn yield_to(&self, link: &Link, version: String) -> Result<TakenOver, String> {
        let pid = link.pid().unwrap_or_default();
        let _ = sd_notify::notify(&[sd_notify::NotifyState::MainPid(pid)]);
        if let Err(error) = link.send(&Message::Yours, &[]).await {
            let _ = sd_notify::notify(&[sd_notify::NotifyState::MainPid(std::process::id())]);
            return Err(lost(error));
        }
        Ok(TakenOver { pid, version })
    }

    async fn send_sockets(&self, link: &Link) -> std::io::Result<()> {
        let Some(Estate { dns, admin }) = self.estate.get() else { return Ok(()) };
        let mut all: Vec<(Place, BorrowedFd<'_>)> = Vec::new();
        for dns::Sockets { address, udp, tcp } in dns.iter() {
            all.extend(udp.iter().map(|socket| (Place::DnsUdp(*address), socket.as_fd())));
            all.extend(tcp.iter().map(|socket| (Place::DnsTcp(*address), socket.as_fd())));
        }
        let admin::Sockets { tcp, unix } = &**admin;
        all.extend(tcp.iter().map(|(address, socket)| (Place::Http(*address), socket.as_fd())));
        all.extend(unix.iter().map(|(path, socket)| (Place::Unix(path.clone()), socket.as_fd())));
        for some in all.chunks(DESCRIPTORS_MAX) {
            let (places, descriptors): (Vec<Place>, Vec<BorrowedFd<'_>>) = some.iter().cloned().unzip();
            timeout(WORD_MAX, link.send(&Message::Sockets(places), &descriptors)).await??;
        }
        Ok(())
    }
}

fn lost(error: std::io::Error) -> String {
    format!("the connection to the new process broke: {error}")
}

/// The right to give, given back when it is not made use of.
struct Consent {
    giver: Arc<Giver>,
    is_used: bool,
}

impl Consent {
    async fn run(mut self, stream: UnixStream) {
        let giver = self.giver.clone();
        let link = Link::new(stream);
        let pid = link.pid();
        info!(pid, "another process asks to take over: changes are refused until it has");
        let mut stop = giver.stop.subscribe();
        let ready = tokio::select! {
            biased;
            ready = giver.give(&link) => ready,
            _ = stop.wait_for(|stop| *stop) => Err(STOPPING.to_string()),
        };
        let taken = match ready {
            Ok((version, takes_socket)) => giver.yield_to(&link, version).await.map(|taken| (taken, takes_socket)),
            Err(why) => Err(why),
        };
        match taken {
            Ok((taken, takes_socket)) => {
                info!(pid = taken.pid, version = taken.version, "windrose {} has taken over as process {}", taken.version, taken.pid);
                // Nobody else gets anything from here on.
                self.is_used = true;
                giver.ended.send_replace(Some(Ended { pid, outcome: Ok(taken) }));
                let _the_daemon_ends_already = giver.farewell.send(Farewell { link, takes_socket }).await;
            }
            Err(why) => {
                warn!(pid, "no other process took over, this one serves on: {why}");
                // Should it be alive, it must let go of the store before we can have it back: it does when it hears this, and then it ends.
                let _it_may_be_gone = timeout(WORD_MAX, link.send(&Message::Abort(why.clone()), &[])).await;
                let _until_it_ends = timeout(WORD_MAX, async { while let Ok(Some(_)) = link.receive::<Message>().await {} }).await;
                let _ = giver.orders.send(Order::Work).await;
                giver.ended.send_replace(Some(Ended { pid, outcome: Err(why) }));
            }
        }
    }
}

impl Drop for Consent {
    fn drop(&mut self) {
        if !self.is_used {
            self.giver.busy.store(false, Ordering::Release);
        }
    }
}

impl Farewell {
    /// Sends on the TCP sessions that come, until there are no more; gives how many they were.
    pub(in crate::app) async fn send_on(&self, mut sessions: mpsc::UnboundedReceiver<Parcel>) -> std::io::Result<usize> {
        let (mut some, mut sent) = (Vec::new(), 0);
        while sessions.recv_many(&mut some, DESCRIPTORS_MAX).await > 0 {
            let (streams, inputs): (Vec<OwnedFd>, Vec<Vec<u8>>) = some.drain(..).map(|Parcel { stream, input }| (stream, input)).unzip();
            let streams: Vec<BorrowedFd<'_>> = streams.iter().map(OwnedFd::as_fd).collect();
            timeout(WORD_MAX, self.link.send(&Message::Sessions(inputs), &streams)).await??;
            sent += streams.len();
        }
        Ok(sent)
    }

    /// The last word.
    pub(in crate::app) async fn gone(&self) {
        let _it_goes_on_without = timeout(WORD_MAX, self.link.send(&Message::Gone, &[])).await;
    }
}
