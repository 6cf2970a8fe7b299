//! How many TCP connections there may be, in all and per client; who goes when a new one comes; who has waited too long.
//!
//! Nobody is turned away at the door: when all seats are taken, the connection that has waited longest since its last
//! response (or since it came) makes room. So thousands of idle, dripping or never-reading connections can't keep a new
//! client from its answer. A client over its own limit makes room itself: its connection that waited longest.
//!
//! Sessions only note in their own seats what they wait for and until when. All else looks at the notes: the keeper ends
//! those that are overdue, a newcomer's seat is found by them. The order is lazy: a stamp newer than the one on record is
//! noticed when its turn to go has come. Never here: a lock on the path of a query, a timer per connection.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ipnet::IpNet;
use tokio::task::AbortHandle;

use super::vitals::Vitals;
use crate::client::host_prefix;

/// A session without a query ends no later than this after its last response (RFC 7766, section 6.2.3: "of the order of a
/// few seconds").
pub const IDLE_DEADLINE: Duration = Duration::from_secs(10);
/// What clients may be told to count on (RFC 7828): a session with no query ends no earlier than this.
pub const IDLE_PROMISE: Duration = Duration::from_millis(9_500);
/// A message must be complete this long after its first byte: slow drips hold no session.
pub const MESSAGE_DEADLINE: Duration = Duration::from_secs(5);
/// The client must take the responses to what it sent within this: one that never reads is cut.
pub const WRITE_DEADLINE: Duration = Duration::from_secs(5);
/// How often the keeper looks: deadlines come true up to this early.
const LOOKS_PER_DEADLINE: u32 = 20;

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

/// How long a session waits for what.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// From the last response (or the beginning) to the first byte of the next query.
    pub idle: Duration,
    /// From the first byte of a message to its last.
    pub message: Duration,
    /// For one write of responses.
    pub write: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self { idle: IDLE_DEADLINE, message: MESSAGE_DEADLINE, write: WRITE_DEADLINE }
    }
}

impl Deadlines {
    /// How often [`Seats::end_overdue`] must be called.
    pub fn look_every(&self) -> Duration {
        self.idle.min(self.message).min(self.write) / LOOKS_PER_DEADLINE
    }
}

/// What a session waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Waits {
    /// The next query.
    Query,
    /// The rest of a query that has begun.
    Rest,
    /// A client that doesn't read its responses.
    Reader,
}

/// All seats.
#[derive(Debug)]
pub struct Seats {
    limits: Limits,
    deadlines: Deadlines,
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
    /// The thread that its session runs on.
    thread: usize,
    /// Last response. Written by its session alone, as are `waits` and `due`.
    active: AtomicU64,
    /// A [`Waits`].
    waits: AtomicU8,
    /// When it must have come.
    due: AtomicU64,
    /// The stamp under which `order` has it. Written under the table's lock alone.
    recorded: AtomicU64,
    exit: Mutex<Exit>,
}

/// How a session is made to leave from outside.
#[derive(Debug, Default)]
struct Exit {
    /// The seat is another's already.
    dismissed: bool,
    session: Option<AbortHandle>,
}

/// A taken seat; free again when dropped.
#[derive(Debug)]
pub struct Taken {
    seats: Arc<Seats>,
    seat: Arc<Seat>,
}

/// Where the session of a taken seat is told to leave.
#[derive(Debug)]
pub struct Door(Arc<Seat>);

impl Seats {
    /// Empty seats.
    pub fn new(limits: Limits, deadlines: Deadlines, vitals: Arc<Vitals>) -> Arc<Self> {
        Arc::new(Self { limits, deadlines, vitals, opened: Instant::now(), table: Mutex::default() })
    }

    /// A seat for a client, whose session will run on `thread`; whoever must go for it is made to.
    pub fn take(self: &Arc<Self>, address: IpAddr, thread: usize) -> Taken {
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
        let now = self.micros(Instant::now());
        let seat = Arc::new(Seat {
            id,
            client,
            thread,
            active: AtomicU64::new(now),
            waits: AtomicU8::new(Waits::Query as u8),
            due: AtomicU64::new(now.saturating_add(micros(self.deadlines.idle))),
            recorded: AtomicU64::new(now),
            exit: Mutex::default(),
        });
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

    /// Ends the sessions that would be overdue before the next look ([`Deadlines::look_every`]).
    pub fn end_overdue(&self) {
        let soon = self.micros(Instant::now() + self.deadlines.look_every());
        let mut table = self.table();
        let overdue: Vec<Arc<Seat>> = table.order.values().filter(|seat| seat.due.load(Ordering::Relaxed) <= soon).cloned().collect();
        for seat in overdue {
            table.remove(&seat);
            seat.dismiss();
            if seat.waits.load(Ordering::Relaxed) != Waits::Query as u8 {
                Vitals::add(&self.vitals.tcp_cut, 1);
            }
        }
    }

    /// Ends the sessions of a thread that are not about to write: the daemon ends. Called on that thread, so that none of
    /// them is in the middle of something.
    pub fn end_waiting(&self, thread: usize) {
        let mut table = self.table();
        let is_waiting = |seat: &&Arc<Seat>| seat.thread == thread && seat.waits.load(Ordering::Relaxed) != Waits::Reader as u8;
        let waiting: Vec<Arc<Seat>> = table.order.values().filter(is_waiting).cloned().collect();
        for seat in waiting {
            table.remove(&seat);
            seat.dismiss();
        }
    }

    fn evict(&self, table: &mut Table, seat: &Seat) {
        table.remove(seat);
        seat.dismiss();
        Vitals::add(&self.vitals.tcp_evicted, 1);
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn micros(&self, at: Instant) -> u64 {
        micros(at.saturating_duration_since(self.opened))
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
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
        let mut exit = self.exit();
        exit.dismissed = true;
        // Its future is dropped where it runs, and its connection with it; not here, and not before this returns.
        exit.session.iter().for_each(AbortHandle::abort);
    }

    fn exit(&self) -> MutexGuard<'_, Exit> {
        self.exit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Door {
    /// Makes the session known that has the seat.
    pub fn leads(&self, session: AbortHandle) {
        let mut exit = self.0.exit();
        if exit.dismissed {
            session.abort();
        }
        exit.session = Some(session);
    }
}

impl Taken {
    /// The seat's door, for whoever spawns the session.
    pub fn door(&self) -> Door {
        Door(Arc::clone(&self.seat))
    }

    /// Responses are on their way since `at`: of all connections, this is the last that must go.
    pub fn answered(&self, at: Instant) {
        self.seat.active.store(self.seats.micros(at), Ordering::Relaxed);
    }

    /// What the session waits for from `since` on. Only a response puts the end off for good: a client that begins one message
    /// after another, or sends what deserves no response, doesn't keep its session.
    pub fn waits(&self, what: Waits, since: Instant) {
        let Deadlines { idle, message, write } = self.seats.deadlines;
        let idle_due = self.seat.active.load(Ordering::Relaxed).saturating_add(micros(idle));
        let due = match what {
            Waits::Query => idle_due,
            Waits::Rest => self.seats.micros(since + message).min(idle_due.saturating_add(micros(message))),
            Waits::Reader => self.seats.micros(since + write),
        };
        self.seat.due.store(due, Ordering::Relaxed);
        self.seat.waits.store(what as u8, Ordering::Relaxed);
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        // Never both locks at once here: the others take the table's first.
        let dismissed = self.seat.exit().dismissed;
        if !dismissed {
            self.seats.table().remove(&self.seat);
        }
        self.seats.vitals.tcp_connections.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seats(total: usize, per_client: usize) -> Arc<Seats> {
        Seats::new(Limits { total, per_client }, Deadlines::default(), Arc::default())
    }

    fn client(number: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, number])
    }

    impl Taken {
        fn is_dismissed(&self) -> bool {
            self.seat.exit().dismissed
        }
    }

    /// Stamps with a time of our own.
    fn stamp(taken: &Taken, at: u64) {
        taken.seat.active.store(1_000_000_000 + at, Ordering::Relaxed);
    }

    #[test]
    fn who_was_idle_longest_goes_first_whatever_the_order_of_coming() {
        let seats = seats(4, 4);
        let taken: Vec<Taken> = (0..4).map(|number| seats.take(client(number), 0)).collect();
        for (place, at) in [(0, 30), (1, 10), (2, 40), (3, 20)] {
            stamp(&taken[place], at);
        }
        let mut gone = Vec::new();
        for _ in 0..4 {
            seats.evict_oldest(1);
            gone.extend((0..4).filter(|place| taken[*place].is_dismissed() && !gone.contains(place)).collect::<Vec<_>>());
        }
        assert_eq!(gone, [1, 3, 0, 2]);
        seats.evict_oldest(1);
    }

    #[test]
    fn a_shortage_of_descriptors_takes_the_older_half_at_most() {
        let seats = seats(10, 10);
        let taken: Vec<Taken> = (0..9).map(|number| seats.take(client(number), 0)).collect();
        (0..9).for_each(|place| stamp(&taken[place], place as u64));
        let gone = || taken.iter().map(Taken::is_dismissed).collect::<Vec<_>>();
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
            taken.push(seats.take(client(round % 7), 0));
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

    /// The state in which a look at `after` from now finds a session.
    fn is_over(seats: &Arc<Seats>, taken: &Taken, after: Duration) -> bool {
        micros(seats.opened.elapsed() + after) >= taken.seat.due.load(Ordering::Relaxed)
    }

    #[test]
    fn each_kind_of_waiting_has_its_own_deadline() {
        let seats = seats(9, 9);
        let taken = seats.take(client(1), 0);
        let seconds = Duration::from_secs;
        let now = Instant::now();
        for (what, due) in [(Waits::Query, 10), (Waits::Rest, 5), (Waits::Reader, 5)] {
            taken.waits(what, now);
            assert!(!is_over(&seats, &taken, seconds(due) - Duration::from_millis(500)), "{what:?}");
            assert!(is_over(&seats, &taken, seconds(due)), "{what:?}");
        }
        // A response puts the end off.
        taken.answered(now + seconds(8));
        taken.waits(Waits::Query, now + seconds(8));
        assert!(!is_over(&seats, &taken, seconds(17)));
        assert!(is_over(&seats, &taken, seconds(18)));
        // Messages begun one after another, which get none, don't.
        taken.waits(Waits::Rest, now + seconds(100));
        assert!(is_over(&seats, &taken, seconds(23)));
    }

    #[test]
    fn the_promise_to_clients_is_kept_by_the_idle_deadline() {
        assert!(IDLE_PROMISE + Deadlines::default().look_every() <= IDLE_DEADLINE);
    }

    #[test]
    fn the_keeper_ends_what_is_overdue_and_nothing_else() {
        let seats = seats(9, 9);
        let taken: Vec<Taken> = (0..4).map(|number| seats.take(client(number), 0)).collect();
        taken[1].seat.due.store(0, Ordering::Relaxed);
        taken[2].waits(Waits::Reader, Instant::now());
        taken[2].seat.due.store(0, Ordering::Relaxed);
        seats.end_overdue();
        assert_eq!(taken.iter().map(Taken::is_dismissed).collect::<Vec<_>>(), [false, true, true, false]);
        assert_eq!(seats.vitals.tcp_cut.load(Ordering::Relaxed), 1, "one was idle, one did not read");
        assert_eq!(seats.table().order.len(), 2);
    }

    #[test]
    fn at_the_end_of_the_daemon_only_sessions_that_write_stay_for_a_moment() {
        let seats = seats(9, 9);
        let taken: Vec<Taken> = [(1, 0), (2, 0), (3, 1), (4, 0)].map(|(number, thread)| seats.take(client(number), thread)).into();
        taken[1].waits(Waits::Reader, Instant::now());
        taken[3].waits(Waits::Rest, Instant::now());
        seats.end_waiting(0);
        assert_eq!(taken.iter().map(Taken::is_dismissed).collect::<Vec<_>>(), [true, false, false, true]);
    }

    #[tokio::test]
    async fn a_session_that_must_leave_before_its_door_is_known_leaves_too() {
        let seats = seats(1, 1);
        for early in [true, false] {
            let first = seats.take(client(1), 0);
            let door = first.door();
            let session = tokio::spawn(std::future::pending::<()>());
            if early {
                let _second = seats.take(client(2), 0);
                door.leads(session.abort_handle());
            } else {
                door.leads(session.abort_handle());
                let _second = seats.take(client(2), 0);
            }
            let ended = tokio::time::timeout(Duration::from_secs(5), session).await.unwrap();
            assert!(ended.unwrap_err().is_cancelled());
        }
    }
}
