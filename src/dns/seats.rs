//! How many TCP connections there may be, in all and per client, and who goes when a new one comes.
//!
//! Nobody is turned away at the door: when all seats are taken, the connection that has waited longest since its last
//! response (or since it came) makes room. So thousands of idle, dripping or never-reading connections can't keep a new
//! client from its answer. A client over its own limit makes room itself.
//!
//! The order is lazy: a session only stamps its own seat; a stamp newer than the one on record is noticed when its turn
//! to go has come. Never here: a lock on the path of a query.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use ipnet::IpNet;
use tokio::sync::Notify;

use super::vitals::Vitals;
use crate::client::host_prefix;

/// Connections in all.
pub const CONNECTIONS_MAX: usize = 10_000;
/// Connections of one client: an IPv4 address, or an IPv6 /64, which is what one host usually has.
pub const CONNECTIONS_PER_CLIENT_MAX: usize = 250;
/// File descriptors that connections leave to probes, the store and the API: a flood of connections must not blind us.
pub const DESCRIPTORS_RESERVED: usize = 256;
/// Connections that there may be however few descriptors there are.
const CONNECTIONS_MIN: usize = 16;

/// The two limits.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// In all.
    pub total: usize,
    /// Per client.
    pub per_client: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { total: CONNECTIONS_MAX, per_client: CONNECTIONS_PER_CLIENT_MAX }
    }
}

impl Limits {
    /// The defaults, or fewer if the limit on open files of this process (`ulimit -n`, `LimitNOFILE`) is too low for them.
    pub fn of_this_process() -> Self {
        let limits = Self::default();
        let Some(descriptors) = std::fs::read_to_string("/proc/self/limits").ok().as_deref().and_then(open_files_max) else { return limits };
        let total = limits.total.min(descriptors.saturating_sub(DESCRIPTORS_RESERVED)).max(CONNECTIONS_MIN);
        if total < limits.total {
            tracing::info!(
                descriptors,
                connections = total,
                "room for {total} DNS connections over TCP: {descriptors} files may be open; \
                 for {CONNECTIONS_MAX} raise `ulimit -n` (systemd: `LimitNOFILE=`)"
            );
        }
        Self { total, ..limits }
    }
}

/// The soft limit on open files in the text of `/proc/self/limits` (proc(5)).
fn open_files_max(limits: &str) -> Option<usize> {
    limits.lines().find_map(|line| line.strip_prefix("Max open files"))?.split_whitespace().next()?.parse().ok()
}

/// All seats.
#[derive(Debug)]
pub struct Seats {
    limits: Limits,
    vitals: Arc<Vitals>,
    /// Stamps are microseconds since then.
    opened: Instant,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    /// By stamp on record, then id: the first is who has been idle longest, if its own stamp agrees.
    order: BTreeMap<(u64, u64), Arc<Seat>>,
    /// The same seats by client.
    clients: HashMap<IpNet, Vec<Arc<Seat>>>,
    next_id: u64,
}

/// One connection's place.
#[derive(Debug)]
struct Seat {
    id: u64,
    client: IpNet,
    /// Last response. Written by its session alone.
    active: AtomicU64,
    /// The stamp under which `order` has it. Written under the table's lock alone.
    recorded: AtomicU64,
    /// Set when it must go; `leave` then wakes the session.
    evicted: AtomicBool,
    leave: Notify,
}

/// A taken seat; free again when dropped.
#[derive(Debug)]
pub struct Taken {
    seats: Arc<Seats>,
    seat: Arc<Seat>,
}

impl Seats {
    /// Empty seats.
    pub fn new(limits: Limits, vitals: Arc<Vitals>) -> Arc<Self> {
        Arc::new(Self { limits, vitals, opened: Instant::now(), table: Mutex::default() })
    }

    /// A seat for a client; whoever must go for it is told so.
    pub fn take(self: &Arc<Self>, address: IpAddr) -> Taken {
        let client = host_prefix(address);
        let mut table = self.table();
        if table.clients.get(&client).is_some_and(|seats| seats.len() >= self.limits.per_client)
            && let Some(oldest) = table.oldest_of(client)
        {
            self.evict(&mut table, &oldest);
        }
        if table.order.len() >= self.limits.total
            && let Some(oldest) = table.oldest()
        {
            self.evict(&mut table, &oldest);
        }
        let id = table.next_id;
        table.next_id += 1;
        let now = self.now();
        let seat =
            Arc::new(Seat { id, client, active: AtomicU64::new(now), recorded: AtomicU64::new(now), evicted: AtomicBool::new(false), leave: Notify::new() });
        table.order.insert((now, id), Arc::clone(&seat));
        table.clients.entry(client).or_default().push(Arc::clone(&seat));
        self.vitals.tcp_connections.fetch_add(1, Ordering::Relaxed);
        Taken { seats: Arc::clone(self), seat }
    }

    /// Frees half of the seats, at most `count`, those idle longest first: descriptors ran out. The newer half stays, since
    /// it may not even have been heard yet.
    pub fn evict_oldest(&self, count: usize) {
        let mut table = self.table();
        for _ in 0..table.order.len().div_ceil(2).min(count) {
            let Some(oldest) = table.oldest() else { return };
            self.evict(&mut table, &oldest);
        }
    }

    /// Frees all: the daemon ends and has waited long enough.
    pub fn evict_all(&self) {
        let mut table = self.table();
        for seat in std::mem::take(&mut table.order).into_values() {
            seat.dismiss();
        }
        table.clients.clear();
    }

    fn evict(&self, table: &mut Table, seat: &Seat) {
        table.remove(seat);
        seat.dismiss();
        Vitals::add(&self.vitals.tcp_evicted, 1);
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

impl Table {
    /// Who has been idle longest. Each look mends at most the records of sessions that were active since the last one.
    fn oldest(&mut self) -> Option<Arc<Seat>> {
        loop {
            let (key, seat) = self.order.pop_first()?;
            let active = seat.active.load(Ordering::Relaxed);
            if active == key.0 {
                self.order.insert(key, Arc::clone(&seat));
                return Some(seat);
            }
            seat.recorded.store(active, Ordering::Relaxed);
            self.order.insert((active, seat.id), seat);
        }
    }

    fn oldest_of(&self, client: IpNet) -> Option<Arc<Seat>> {
        self.clients.get(&client)?.iter().min_by_key(|seat| (seat.active.load(Ordering::Relaxed), seat.id)).cloned()
    }

    fn remove(&mut self, seat: &Seat) {
        self.order.remove(&(seat.recorded.load(Ordering::Relaxed), seat.id));
        if let Some(seats) = self.clients.get_mut(&seat.client) {
            if let Some(place) = seats.iter().position(|other| other.id == seat.id) {
                seats.swap_remove(place);
            }
            if seats.is_empty() {
                self.clients.remove(&seat.client);
            }
        }
    }
}

impl Seat {
    fn dismiss(&self) {
        self.evicted.store(true, Ordering::Release);
        self.leave.notify_one();
    }
}

impl Taken {
    /// A response was written: this connection is the last that must go.
    pub fn stamp(&self) {
        self.seat.active.store(self.seats.now(), Ordering::Relaxed);
    }

    /// Whether another took its place.
    pub fn is_evicted(&self) -> bool {
        self.seat.evicted.load(Ordering::Acquire)
    }

    /// Ready when another took its place.
    pub async fn evicted(&self) {
        while !self.is_evicted() {
            self.seat.leave.notified().await;
        }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if !self.is_evicted() {
            self.seats.table().remove(&self.seat);
        }
        self.seats.vitals.tcp_connections.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seats(total: usize, per_client: usize) -> Arc<Seats> {
        Seats::new(Limits { total, per_client }, Arc::default())
    }

    fn client(number: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, number])
    }

    /// Stamps with a time of our own.
    fn stamp(taken: &Taken, at: u64) {
        taken.seat.active.store(1_000_000_000 + at, Ordering::Relaxed);
    }

    #[test]
    fn who_was_idle_longest_goes_first_whatever_the_order_of_coming() {
        let seats = seats(4, 4);
        let taken: Vec<Taken> = (0..4).map(|number| seats.take(client(number))).collect();
        for (place, at) in [(0, 30), (1, 10), (2, 40), (3, 20)] {
            stamp(&taken[place], at);
        }
        let mut gone = Vec::new();
        for _ in 0..4 {
            seats.evict_oldest(1);
            gone.extend((0..4).filter(|place| taken[*place].is_evicted() && !gone.contains(place)).collect::<Vec<_>>());
        }
        assert_eq!(gone, [1, 3, 0, 2]);
        seats.evict_oldest(1);
    }

    #[test]
    fn a_shortage_of_descriptors_takes_the_older_half_at_most() {
        let seats = seats(10, 10);
        let taken: Vec<Taken> = (0..9).map(|number| seats.take(client(number))).collect();
        (0..9).for_each(|place| stamp(&taken[place], place as u64));
        let gone = || taken.iter().map(Taken::is_evicted).collect::<Vec<_>>();
        seats.evict_oldest(3);
        assert_eq!(gone(), [true, true, true, false, false, false, false, false, false]);
        seats.evict_oldest(100);
        assert_eq!(gone(), [true, true, true, true, true, true, false, false, false]);
    }

    #[test]
    fn seats_are_never_more_than_the_limits_and_free_ones_are_forgotten() {
        let seats = seats(5, 2);
        let mut taken = Vec::new();
        for round in 0..200_u8 {
            taken.push(seats.take(client(round % 7)));
            let table = seats.table();
            assert!(table.order.len() <= 5);
            assert!(table.clients.values().all(|seats| (1..=2).contains(&seats.len())));
            assert_eq!(table.clients.values().map(Vec::len).sum::<usize>(), table.order.len());
            drop(table);
            if round % 3 == 0 {
                drop(taken.swap_remove(usize::from(round) % taken.len()));
            }
        }
        assert_eq!(seats.vitals.tcp_connections.load(Ordering::Relaxed), taken.len());
        taken.clear();
        let table = seats.table();
        assert!(table.order.is_empty() && table.clients.is_empty());
        assert_eq!(seats.vitals.tcp_connections.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn connections_leave_descriptors_to_the_rest_of_the_daemon() {
        let text = "Limit                     Soft Limit           Hard Limit           Units     \nMax cpu time              unlimited            unlimited            seconds   \nMax open files            1024                 524288               files     \n";
        assert_eq!(open_files_max(text), Some(1024));
        assert_eq!(open_files_max("Max open files            unlimited unlimited files"), None);
        assert_eq!(open_files_max(""), None);
        let limits = Limits::of_this_process();
        assert!((CONNECTIONS_MIN..=CONNECTIONS_MAX).contains(&limits.total));
    }

    #[test]
    fn an_ipv6_client_is_its_64_bit_prefix() {
        let of = |text: &str| host_prefix(text.parse().unwrap());
        assert_eq!(of("2001:db8:0:1::1"), of("2001:db8:0:1:ffff::2"));
        assert_ne!(of("2001:db8:0:1::1"), of("2001:db8:0:2::1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }

    #[tokio::test]
    async fn the_word_to_go_is_not_lost_if_it_comes_before_anyone_listens() {
        let seats = seats(1, 1);
        let first = seats.take(client(1));
        let _second = seats.take(client(2));
        tokio::time::timeout(std::time::Duration::from_secs(5), first.evicted()).await.unwrap();
        // And once more: it stays true.
        tokio::time::timeout(std::time::Duration::from_secs(5), first.evicted()).await.unwrap();
    }
}
