//! How accounts of decisions are written: a segment is a magic word and frames (`store/frames.rs`), a frame's block of one of four kinds.
//!
//! ```text
//! segment  = "WRDEC1\n\0" frame*
//! block    = 0 text* | 1 name of a service* | 2 record* | 3 from · until: what was decided between these moments is lost
//! record   = at · generation · cause · configuration · services · octets of the account (0: they are gone) · account
//! services = how many runs · (how many to pass over · how many that follow)*
//! ```
//!
//! Texts and services are numbered as they come, in each segment anew. An account is a list of such numbers, with shares and weights between them: what is said
//! again costs two octets a sentence. Numbers are LEB128; times are the distance from the record before, in milliseconds.
//!
//! Pure: octets in, octets out.

use std::collections::HashMap;
use std::sync::Arc;

use crate::control::{Account, AccountAnswer, AccountClients, AccountEndpoint, AccountFamily, AccountLeaf, AccountVerdict, CAUSES, PastDecision};
use crate::model::{Sticky, Timestamp};
use crate::policy::{Rung, Turn, TurnBy};
use crate::store::frames::{BLOCK_MAX, frame, put, put_frame, put_signed, put_text, take, take_signed, take_text};
use crate::store::segments::Magic;

/// What a segment begins with.
pub(super) const MAGIC: &Magic = b"WRDEC1\n\0";

const TEXTS: u8 = 0;
const NAMES: u8 = 1;
const RECORDS: u8 = 2;
const LOST: u8 = 3;

/// A verdict's octet says with this that no pool has an address of the family.
const ABSENT: u8 = 0x80;

/// Writes one segment.
#[derive(Debug, Default)]
pub(super) struct Writer {
    texts: HashMap<Arc<str>, u32>,
    names: HashMap<Arc<str>, u32>,
    /// Texts and names that no frame has yet.
    new: [Vec<u8>; 2],
    records: Vec<u8>,
    /// When the last record of `records` was made.
    last: i64,
    frames: Vec<u8>,
}

impl Writer {
    /// Puts a record down; false: it is too large to be kept.
    pub(super) fn record(&mut self, kept: &PastDecision, services: &[Arc<str>]) -> bool {
        let PastDecision { at, generation, cause, configuration, account } = kept;
        let mut numbers: Vec<u32> = services.iter().map(|name| self.number(NAMES, name)).collect();
        numbers.sort_unstable();
        let configuration = self.number(TEXTS, configuration);
        let account = account.as_ref().map(|account| self.account(account)).unwrap_or_default();
        if BLOCK_MAX / 2 < account.len() {
            return false;
        }
        if BLOCK_MAX / 2 < self.records.len() {
            self.close();
        }
        let mut octets = Vec::new();
        put_signed(&mut octets, at.0 - self.last);
        put(&mut octets, *generation);
        octets.push(CAUSES.iter().position(|known| known == cause).unwrap_or(1) as u8);
        put(&mut octets, configuration.into());
        let runs: Vec<&[u32]> = numbers.chunk_by(|a, b| b - a == 1).collect();
        put(&mut octets, runs.len() as u64);
        let mut next = 0;
        for run in runs {
            let first = run.first().copied().unwrap_or(next);
            put(&mut octets, (first - next).into());
            put(&mut octets, run.len() as u64);
            next = first + run.len() as u32;
        }
        put(&mut octets, account.len() as u64);
        octets.extend_from_slice(&account);
        if BLOCK_MAX < octets.len() {
            return false;
        }
        self.last = at.0;
        self.records.extend_from_slice(&octets);
        true
    }

    /// Says that what was decided between these moments is not here.
    pub(super) fn lost(&mut self, from: Timestamp, until: Timestamp) {
        self.close();
        let mut block = vec![LOST];
        put_signed(&mut block, from.0);
        put_signed(&mut block, until.0);
        put_frame(&mut self.frames, &block);
    }

    /// What has been put down, as frames.
    pub(super) fn frames(&mut self) -> Vec<u8> {
        self.close();
        std::mem::take(&mut self.frames)
    }

    fn close(&mut self) {
        for kind in [TEXTS, NAMES] {
            self.put_new(kind);
        }
        if !self.records.is_empty() {
            let block = [&[RECORDS][..], &self.records].concat();
            put_frame(&mut self.frames, &block);
            self.records.clear();
        }
        self.last = 0;
    }

    fn put_new(&mut self, kind: u8) {
        let new = self.new.get_mut(usize::from(kind)).map(std::mem::take).unwrap_or_default();
        if !new.is_empty() {
            put_frame(&mut self.frames, &[&[kind][..], &new].concat());
        }
    }

    fn number(&mut self, kind: u8, text: &Arc<str>) -> u32 {
        let known = if kind == TEXTS { &mut self.texts } else { &mut self.names };
        if let Some(number) = known.get(text) {
            return *number;
        }
        let number = u32::try_from(known.len()).unwrap_or(u32::MAX);
        known.insert(text.clone(), number);
        // Longer ones than anybody makes are cut: a block must hold them.
        let cut = text.floor_char_boundary(1 << 15);
        let full = self.new.get_mut(usize::from(kind)).is_some_and(|new| {
            put_text(new, text.get(..cut).unwrap_or_default());
            BLOCK_MAX < new.len()
        });
        if full {
            self.put_new(kind);
        }
        number
    }

    fn put_text_number(&mut self, octets: &mut Vec<u8>, text: &Arc<str>) {
        let number = self.number(TEXTS, text);
        put(octets, number.into());
    }

    fn account(&mut self, account: &Account) -> Vec<u8> {
        let Account { whose, sticky, by_name, answers, clients } = account;
        let mut octets = Vec::new();
        self.put_text_number(&mut octets, whose);
        match sticky {
            Some(Sticky { ipv4_prefix, ipv6_prefix }) => octets.extend([1, *ipv4_prefix, *ipv6_prefix]),
            None => octets.push(0),
        }
        octets.push((*by_name).into());
        match clients {
            Some(AccountClients { mark, form }) => {
                octets.push(1);
                octets.extend(mark.to_le_bytes());
                self.put_text_number(&mut octets, form);
            }
            None => octets.push(0),
        }
        put(&mut octets, answers.len() as u64);
        for answer in answers {
            put(&mut octets, answer.ttl.into());
            put(&mut octets, answer.open_steps().len() as u64);
            answer.open_steps().iter().for_each(|step| self.put_text_number(&mut octets, step));
            answer.families.iter().for_each(|family| self.family(&mut octets, family));
        }
        octets
    }

    fn family(&mut self, octets: &mut Vec<u8>, family: &AccountFamily) {
        let AccountFamily { verdict, absent, leaves } = family;
        let word = match verdict {
            AccountVerdict::Answer => 0,
            AccountVerdict::NoData => 1,
            AccountVerdict::ServFail => 2,
        };
        octets.push(word | if *absent { ABSENT } else { 0 });
        put(octets, leaves.len() as u64);
        for AccountLeaf { pools, share, rung, endpoints, ways } in leaves {
            octets.push(Rung::ALL.iter().position(|known| known == rung).unwrap_or(0) as u8);
            put(octets, (*share).into());
            put(octets, pools.len() as u64);
            pools.iter().for_each(|pool| self.put_text_number(octets, pool));
            put(octets, endpoints.len() as u64);
            for AccountEndpoint { id, address, addresses } in endpoints {
                self.put_text_number(octets, id);
                self.put_text_number(octets, address);
                put(octets, addresses.len() as u64);
                addresses.iter().for_each(|address| self.put_text_number(octets, address));
            }
            put(octets, ways.len() as u64);
            for way in ways {
                put(octets, way.len() as u64);
                for Turn { key, weight, by } in way {
                    octets.extend(key.to_le_bytes());
                    octets.extend(weight.to_le_bytes());
                    match by {
                        TurnBy::Draw => octets.push(0),
                        TurnBy::Client { choice, from } => {
                            octets.push(1);
                            octets.extend(choice.to_le_bytes());
                            octets.extend(from.to_le_bytes());
                        }
                        TurnBy::Turn(from) => {
                            octets.push(2);
                            octets.extend(from.to_le_bytes());
                        }
                    }
                }
            }
        }
    }
}

/// Reads one segment, for one service.
#[derive(Debug, Default)]
pub(super) struct Reader {
    texts: Vec<Arc<str>>,
    names: u32,
    /// Number of the service that is asked for.
    service: Option<u32>,
    /// What it was explained by, in the order in which it was written.
    pub(super) kept: Vec<PastDecision>,
    /// From when until when what was decided is lost.
    pub(super) lost: Vec<(Timestamp, Timestamp)>,
}

impl Reader {
    /// Everything up to the first frame that is torn or wrong. Tells how many octets were read.
    pub(super) fn read(&mut self, segment: &[u8], service: &str) -> usize {
        let Some(mut rest) = segment.strip_prefix(MAGIC) else { return 0 };
        while let Some((block, after)) = frame(rest) {
            let kept = self.kept.len();
            if self.block(block, service).is_none() {
                self.kept.truncate(kept);
                break;
            }
            rest = after;
        }
        segment.len() - rest.len()
    }

    fn block(&mut self, block: &[u8], service: &str) -> Option<()> {
        let (kind, mut octets) = block.split_first()?;
        let rest = &mut octets;
        let mut at = 0;
        while !rest.is_empty() {
            match *kind {
                TEXTS => self.texts.push(take_text(rest)?.into()),
                NAMES => {
                    if take_text(rest)? == service {
                        self.service = Some(self.names);
                    }
                    self.names += 1;
                }
                RECORDS => {
                    let kept = self.record(rest, &mut at)?;
                    self.kept.extend(kept);
                }
                LOST => self.lost.push((Timestamp(take_signed(rest)?), Timestamp(take_signed(rest)?))),
                _ => return None,
            }
        }
        Some(())
    }

    fn record(&self, rest: &mut &[u8], at: &mut i64) -> Option<Option<PastDecision>> {
        *at = at.checked_add(take_signed(rest)?)?;
        let generation = take(rest)?;
        let cause = CAUSES.get(usize::from(octet(rest)?)).copied()?;
        let configuration = self.text(rest)?;
        let (mut next, mut is_meant) = (0_u32, false);
        for _ in 0..take(rest)? {
            let first = next.checked_add(u32::try_from(take(rest)?).ok()?)?;
            next = first.checked_add(u32::try_from(take(rest)?).ok()?)?;
            is_meant |= self.service.is_some_and(|service| (first..next).contains(&service));
        }
        let octets = usize::try_from(take(rest)?).ok()?;
        let (mut account, after) = rest.split_at_checked(octets)?;
        *rest = after;
        if !is_meant {
            return Some(None);
        }
        let account = if account.is_empty() { None } else { Some(Arc::new(self.account(&mut account)?)) };
        Some(Some(PastDecision { at: Timestamp(*at), generation, cause, configuration, account }))
    }

    fn text(&self, rest: &mut &[u8]) -> Option<Arc<str>> {
        self.texts.get(usize::try_from(take(rest)?).ok()?).cloned()
    }

    /// As many as the octets say.
    fn list<T>(&self, rest: &mut &[u8], one: impl Fn(&mut &[u8]) -> Option<T>) -> Option<Vec<T>> {
        (0..take(rest)?).map(|_| one(rest)).collect()
    }

    fn account(&self, rest: &mut &[u8]) -> Option<Account> {
        let whose = self.text(rest)?;
        let sticky = if octet(rest)? == 1 { Some(Sticky { ipv4_prefix: octet(rest)?, ipv6_prefix: octet(rest)? }) } else { None };
        let by_name = octet(rest)? == 1;
        let clients = if octet(rest)? == 1 { Some(AccountClients { mark: u64::from_le_bytes(eight(rest)?), form: self.text(rest)? }) } else { None };
        let answer = |rest: &mut &[u8]| {
            let ttl = u32::try_from(take(rest)?).ok()?;
            let steps = self.list(rest, |rest| self.text(rest))?;
            Some(AccountAnswer::from_parts(steps, [self.family(rest)?, self.family(rest)?], ttl))
        };
        Some(Account { whose, sticky, by_name, answers: self.list(rest, answer)?, clients })
    }

    fn family(&self, rest: &mut &[u8]) -> Option<AccountFamily> {
        let word = octet(rest)?;
        let verdict = match word & !ABSENT {
            0 => AccountVerdict::Answer,
            1 => AccountVerdict::NoData,
            2 => AccountVerdict::ServFail,
            _ => return None,
        };
        let endpoint =
            |rest: &mut &[u8]| Some(AccountEndpoint { id: self.text(rest)?, address: self.text(rest)?, addresses: self.list(rest, |rest| self.text(rest))? });
        let leaf = |rest: &mut &[u8]| {
            Some(AccountLeaf {
                rung: *Rung::ALL.get(usize::from(octet(rest)?))?,
                share: u32::try_from(take(rest)?).ok()?,
                pools: self.list(rest, |rest| self.text(rest))?,
                endpoints: self.list(rest, endpoint)?,
                ways: self.list(rest, |rest| self.list(rest, turn))?,
            })
        };
        Some(AccountFamily { verdict, absent: word & ABSENT != 0, leaves: self.list(rest, leaf)? })
    }
}

fn turn(rest: &mut &[u8]) -> Option<Turn> {
    let (key, weight) = (u64::from_le_bytes(eight(rest)?), finite(rest)?);
    let by = match octet(rest)? {
        0 => TurnBy::Draw,
        1 => TurnBy::Client { choice: u64::from_le_bytes(eight(rest)?), from: finite(rest)? },
        2 => TurnBy::Turn(finite(rest)?),
        _ => return None,
    };
    Some(Turn { key, weight, by })
}

fn finite(rest: &mut &[u8]) -> Option<f64> {
    Some(f64::from_le_bytes(eight(rest)?)).filter(|number| number.is_finite())
}

fn octet(rest: &mut &[u8]) -> Option<u8> {
    let (octet, after) = rest.split_first()?;
    *rest = after;
    Some(*octet)
}

fn eight(rest: &mut &[u8]) -> Option<[u8; 8]> {
    let (eight, after) = rest.split_first_chunk::<8>()?;
    *rest = after;
    Some(*eight)
}
