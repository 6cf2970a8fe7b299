//! From a configuration's text to something that answers: the road that `windrose serve` takes, without its sockets.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use windrose::answer::{Asked, Counters, Cx, Handled, Limiter, Transport, Work, answer, answer_slow};
use windrose::client::{Clients, Origins, Questions};
use windrose::config::{Loaded, load_text};
use windrose::control::{Configuration, Core, Effect, Effects, Event, Revision, Start};
use windrose::health::{Outcome, ProbeReport, Reason};
use windrose::model::{CookieSecret, Estate, Now, TargetId, Timestamp};
use windrose::snapshot::{CellMap, Snapshot};
use windrose::zone::Zone;

/// A configuration with something of everything.
pub const RICH: &str = include_str!("rich.toml");

/// A snapshot, and one worker.
pub struct World {
    pub snapshot: Arc<Snapshot>,
    pub cx: Cx,
}

/// When everything here happens.
pub const BEGIN: Now = Now { mono: Duration::ZERO, wall: Timestamp(1_800_000_000_000) };

/// A core after its first round of probes. Endpoints that are probed are all down, those of `always` monitors are up.
pub struct Started {
    pub core: Core,
    pub now: Now,
    pub snapshot: Arc<Snapshot>,
}

impl Started {
    /// Of a configuration without problems.
    pub fn of_text(text: &str) -> Self {
        Self::new(load_text(text, Path::new("rich.toml")).unwrap_or_else(|problems| panic!("{problems}")))
    }

    /// The same of a configuration that is loaded already.
    pub fn new(loaded: Loaded) -> Self {
        let Loaded { mut answers, estate, zones, .. } = loaded;
        // Equal queries come without end here, and one that is silently dropped proves nothing.
        answers.rate_limit = None;
        answers.cookies.secrets.push(CookieSecret([7; 16]));
        answers.nsid.get_or_insert_with(|| "ns1".into());
        answers.id.get_or_insert_with(|| "ns1".into());
        let zones = zones.into_iter().map(Arc::new).collect();
        let clients = Arc::new(Clients::build(&estate, &Questions::of(&estate), &Origins::default()));
        let (estate, answers) = (Arc::new(estate), Arc::new(answers));
        let configuration =
            Configuration { estate, zones, answers, clients, databases: Default::default(), needs_restart: Vec::new(), hash: "0123456789abcdef".into() };
        let stale_after = Duration::from_secs(600);
        let start = Start { configuration, stored: Vec::new(), latency: Default::default(), revision: Revision(0), stale_after, without_store: true };
        let mut now = BEGIN;
        let mut core = Core::start(start, now);
        let mut effects = Effects::new();
        core.settle(now, &mut effects);
        let targets = core.estate().targets.len();
        // More than any `down_after` that is worth the time; what asks for more stays unknown.
        for target in (0..10).flat_map(|_| 0..targets.min(100)) {
            core.handle(now, Event::Probed { plan: core.plan(), target: TargetId::at(target), report: failed(now) }, &mut effects);
        }
        now.mono += Duration::from_secs(10);
        core.settle(now, &mut effects);
        let published = effects.into_iter().filter_map(|effect| if let Effect::Publish(snapshot) = effect { Some(snapshot) } else { None });
        let snapshot = published.last().expect("the core published");
        Self { core, now, snapshot }
    }
}

impl World {
    /// Of a configuration without problems.
    pub fn of_text(text: &str) -> Self {
        Self::of_snapshot(Started::of_text(text).snapshot)
    }

    /// The same of a configuration that is loaded already.
    pub fn of_loaded(loaded: Loaded) -> Self {
        Self::of_snapshot(Started::new(loaded).snapshot)
    }

    /// Zones alone.
    pub fn of_zones(zones: &[Arc<Zone>]) -> Self {
        Self::of_snapshot(Arc::new(Snapshot::build(1, zones, &Estate::default(), Vec::new(), &mut CellMap::default())))
    }

    fn of_snapshot(snapshot: Arc<Snapshot>) -> Self {
        let mut cx = Cx::new(Counters::new(), Limiter::new(7), 7);
        cx.begin(&snapshot, BEGIN);
        Self { snapshot, cx }
    }

    /// One query into `out`, as a worker does it: signed ones and transfers, too. `Slow`: one of these gets silence.
    pub fn handle(&mut self, query: &[u8], transport: Transport, out: &mut [u8]) -> Handled {
        let asked = Asked { client: [198, 51, 100, 7].into(), port: 40_000, transport };
        match answer(&self.snapshot, query, asked, &mut self.cx, out) {
            Handled::Slow(slow) => match answer_slow(&self.snapshot, query, asked, 1_800_000_000, &mut self.cx, out).0 {
                Work::Reply(octets) => Handled::Reply(octets),
                Work::Silence => Handled::Slow(slow),
                Work::Transfer(transfer) => panic!("a transfer of {} to a stranger", transfer.zone()),
            },
            handled => handled,
        }
    }
}

/// A probe that nobody answered.
pub fn failed(now: Now) -> ProbeReport {
    let outcome = Outcome::Fail { reason: Reason::Timeout, message: "no answer".into() };
    ProbeReport::new(outcome, now.wall, Duration::from_millis(5))
}
