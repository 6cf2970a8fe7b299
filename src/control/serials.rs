//! Serials of zones with secondaries, which count up by themselves (SEMANTICS, 23).
//!
//! ```text
//! content changes ─▶ changed ─▶ next = max(served + 1, file) ─▶ committed with what was learned ─▶ served, published, told
//!                       ▲                at most once a second            │ (a store that refuses: served all the same)
//!                       └─────────────────────────────────────────────────┘
//! ```
//!
//! A serial is served when it is durable, so one that any secondary has seen is never given to other content, not even after `kill -9`.
//! A start counts as a change: what was transferred before is not remembered. Without a store a zone begins with the file's serial each time.
//!
//! Never here: a zone without secondaries; its SOA is the file's.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::model::{Now, Secondary, ServiceId};
use crate::snapshot::{Compiled, Content, Found, Snapshot, content};
use crate::wire::{Lowered, Name};

use super::core::{Core, Serving, StoreState};
use super::event::{Effect, Effects};

/// A zone's serial rises at most this often.
const RAISE_EVERY: Duration = Duration::from_secs(1);

/// What the secondaries of a zone should know.
#[derive(Clone, Debug)]
pub struct Announced {
    /// The zone.
    pub zone: Name,
    /// Its serial, which is answered already.
    pub serial: u32,
    /// Who should know.
    pub secondaries: Arc<[Secondary]>,
}

/// All of it; owned by the core.
#[derive(Debug, Default)]
pub(super) struct Serials {
    /// Zones with secondaries.
    zones: BTreeMap<Name, ZoneSerial>,
    /// By service: the zones with secondaries that have one of its names. Empty if there are none.
    zones_of: Vec<Vec<Name>>,
    /// What the store has, for zones of any time.
    stored: BTreeMap<Name, u32>,
    /// A serial is due that the published snapshot lacks.
    pub publish: bool,
    /// Secondaries are to be told.
    tell: bool,
}

#[derive(Clone, Copy, Debug)]
struct ZoneSerial {
    /// Its place among the zones.
    number: u16,
    served: u32,
    /// The store is asked to keep this one; served once it does.
    next: Option<u32>,
    /// Content changed since `served` was published.
    changed: bool,
    /// Not raised before this `mono`.
    not_before: Duration,
}

impl Serials {
    /// As the store has it.
    pub(super) fn remember(&mut self, zone: Name, serial: u32) {
        self.stored.insert(zone, serial);
    }

    /// The content of these services' zones changed.
    pub(super) fn touch(&mut self, service: ServiceId) {
        for zone in self.zones_of.get(service.index()).into_iter().flatten() {
            if let Some(zone) = self.zones.get_mut(zone) {
                zone.changed = true;
            }
        }
    }

    /// The serial that is being written, or else the one that is served.
    pub(super) fn to_store(&self, zone: &Name) -> Option<u32> {
        self.zones.get(zone).map(|zone| zone.next.unwrap_or(zone.served))
    }

    /// These serials are durable, or will not be soon: they are served from the next publish on.
    pub(super) fn serve(&mut self, zones: &BTreeSet<Name>, durable: bool) {
        for name in zones {
            let Some(zone) = self.zones.get_mut(name) else { continue };
            if let Some(next) = zone.next.take() {
                zone.served = next;
                (self.publish, self.tell) = (true, true);
            }
            if durable {
                self.stored.insert(name.clone(), zone.served);
            }
        }
    }

    /// The next moment at which a serial may rise.
    pub(super) fn next_at(&self) -> Option<Duration> {
        self.zones.values().filter(|zone| zone.changed && zone.next.is_none()).map(|zone| zone.not_before).min()
    }

    /// By zone number, for the snapshot.
    pub(super) fn table(&self) -> Arc<[Option<u32>]> {
        let end = self.zones.values().map(|zone| usize::from(zone.number) + 1).max().unwrap_or(0);
        let mut table = vec![None; end];
        for zone in self.zones.values() {
            table[usize::from(zone.number)] = Some(zone.served);
        }
        table.into()
    }

    /// What is served of a zone; `None`: the file's.
    pub(super) fn served(&self, zone: &Name) -> Option<u32> {
        self.zones.get(zone).map(|zone| zone.served)
    }
}

impl Core {
    /// After the index was built anew: which zones have secondaries now, and whose content differs from before.
    pub(super) fn renew_serials(&mut self, next: Snapshot) -> Snapshot {
        let estate = self.configuration.estate.clone();
        let mut zones = BTreeMap::new();
        if estate.secondaries.is_empty() {
            self.serials.tell |= !self.serials.zones.is_empty();
            (self.serials.zones, self.serials.zones_of) = (zones, Vec::new());
            return next;
        }
        let next = next.with_content(Arc::new(Content { estate: estate.clone(), zones: self.configuration.zones.clone() }));
        for (number, zone) in (0_u16..).zip(&self.configuration.zones) {
            if estate.secondaries_of(&zone.apex).is_empty() {
                continue;
            }
            let known = self.serials.zones.get(&zone.apex).copied();
            let entry = match (known, self.serials.stored.get(&zone.apex)) {
                (Some(before), _) => {
                    let differs = self.snapshot.as_ref().map(|old| old.fingerprint(before.number)) != Some(next.fingerprint(number));
                    let raised = crate::zone::is_older(before.served, zone.serial());
                    ZoneSerial { number, changed: before.changed || differs || raised, ..before }
                }
                // A start, or secondaries that came back.
                (None, Some(stored)) => ZoneSerial { number, served: *stored, next: None, changed: true, not_before: Duration::ZERO },
                // Never before: the file's, kept from now on.
                (None, None) => {
                    self.commits.learned.serials.insert(zone.apex.clone());
                    ZoneSerial { number, served: zone.serial(), next: None, changed: false, not_before: Duration::ZERO }
                }
            };
            zones.insert(zone.apex.clone(), entry);
        }
        self.serials.zones_of = zones_of(&next, &zones);
        self.serials.zones = zones;
        self.serials.tell = true;
        next
    }

    /// Answers are about to change from those of the published snapshot to these.
    pub(super) fn transferable_changed(&mut self, changes: &[(ServiceId, Compiled)]) {
        // After a reload fingerprints tell, for numbers of services mean something else.
        let Some(before) = self.snapshot.clone().filter(|_| !self.rebuild && !self.serials.zones_of.is_empty()) else { return };
        for (service, after) in changes {
            if !before.compiled(*service).is_some_and(|before| content::present(before).eq(content::present(after))) {
                self.serials.touch(*service);
            }
        }
    }

    /// Zones whose content changed get the next serial, those whose last rise is long enough ago.
    pub(super) fn raise_serials(&mut self, now: Now) {
        let file: BTreeMap<&Name, u32> = self.configuration.zones.iter().map(|zone| (&zone.apex, zone.serial())).collect();
        let mut raised = BTreeSet::new();
        for (name, zone) in &mut self.serials.zones {
            if zone.changed && zone.next.is_none() && zone.not_before <= now.mono {
                zone.next = Some(next_serial(zone.served, file.get(name).copied().unwrap_or(0)));
                (zone.changed, zone.not_before) = (false, now.mono + RAISE_EVERY);
                raised.insert(name.clone());
            }
        }
        if self.store == StoreState::Absent {
            self.serials.serve(&raised, false);
            return;
        }
        self.commits.learned.serials.extend(raised);
    }

    /// Says who should know which serial, once DNS answers and whenever that changes.
    pub(super) fn tell_secondaries(&mut self, effects: &mut Effects) {
        if self.serving != Serving::Told || !std::mem::take(&mut self.serials.tell) {
            return;
        }
        let estate = &self.configuration.estate;
        let announced = estate
            .secondaries
            .iter()
            .filter_map(|(zone, secondaries)| Some(Announced { zone: zone.clone(), serial: self.serials.served(zone)?, secondaries: secondaries.clone() }));
        effects.push(Effect::Secondaries(announced.collect()));
    }
}

/// max(served + 1, file) by RFC 1982. 0 is left out: some servers take it for "none".
fn next_serial(served: u32, file: u32) -> u32 {
    let next = match served.wrapping_add(1) {
        0 => 1,
        next => next,
    };
    if crate::zone::is_older(next, file) { file } else { next }
}

/// For each service the zones with secondaries that its names lie in.
fn zones_of(snapshot: &Snapshot, zones: &BTreeMap<Name, ZoneSerial>) -> Vec<Vec<Name>> {
    let Some(content) = snapshot.content() else { return Vec::new() };
    let by_number: BTreeMap<u16, &Name> = zones.iter().map(|(name, zone)| (zone.number, name)).collect();
    let mut lowered = Lowered::default();
    let services = content.estate.services.iter().map(|service| {
        let mut found: Vec<Name> = Vec::new();
        for name in service.names.wires() {
            lowered.set(name);
            if let Found::Name(slot) = snapshot.names().find(&lowered)
                && let Some(zone) = by_number.get(&slot.zone())
                && !found.contains(zone)
            {
                found.push((*zone).clone());
            }
        }
        found
    });
    services.collect()
}

#[cfg(test)]
mod tests {
    use super::next_serial;

    #[test]
    fn a_serial_only_grows_and_the_file_may_push_it() {
        assert_eq!(next_serial(7, 7), 8);
        assert_eq!(next_serial(7, 2026112101), 2026112101);
        assert_eq!(next_serial(2026112101, 7), 2026112102);
        assert_eq!(next_serial(u32::MAX, 5), 5);
        assert_eq!(next_serial(u32::MAX, u32::MAX), 1);
    }
}
