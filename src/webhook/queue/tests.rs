//! Queues over time: gathered, tried again, given up, and found again after a kill.

use super::*;

const NAME: &str = "ops";

fn name() -> Arc<str> {
    NAME.into()
}

fn happening(sequence: u64, kind: &str, region: Option<&str>) -> Arc<Happening> {
    let text = json!({ "sequence": sequence, "type": format!("windrose.{kind}"), "data": { "summary": format!("event {sequence}") } }).to_string();
    Arc::new(Happening {
        sequence,
        at: Timestamp(0),
        kind: kind.into(),
        severity: "warning".into(),
        service: None,
        region: region.map(Into::into),
        summary: format!("event {sequence}").into(),
        text: text.into(),
    })
}

fn at(seconds: i64) -> Timestamp {
    Timestamp(seconds * 1000)
}

/// A queue and the store's side of it.
struct World {
    queue: Queue,
    store: BTreeMap<Key, Arc<str>>,
    sequence: u64,
}

impl World {
    fn new() -> Self {
        Self { queue: Queue::from_records(Vec::new(), 0), store: BTreeMap::new(), sequence: 0 }
    }

    fn keep(&mut self, words: Words) {
        for (key, word) in words {
            match word {
                Some(text) => drop(self.store.insert(key, text)),
                None => drop(self.store.remove(&key)),
            }
        }
    }

    fn happens(&mut self, kind: &str, region: Option<&str>, now: Timestamp) {
        self.sequence += 1;
        self.queue.happened(&happening(self.sequence, kind, region), true, now);
    }

    fn advance(&mut self, now: Timestamp) -> usize {
        let (words, dropped) = self.queue.advance(&name(), now);
        self.keep(words);
        dropped
    }

    fn attempt(&mut self, result: Result<(), (String, bool)>, now: Timestamp) -> Option<(Attempt, Stand)> {
        let attempt = self.queue.due(now)?;
        let (words, stand) = self.queue.attempted(&name(), attempt.number, result, 0.5, now);
        self.keep(words);
        Some((attempt, stand))
    }

    fn killed(&self) -> Queue {
        Queue::from_records(self.store.iter().map(|(key, text)| (key.clone(), text.clone())).collect(), 999)
    }
}

fn refused() -> Result<(), (String, bool)> {
    Err(("it answered 500".into(), false))
}

#[test]
fn twelve_endpoints_of_a_region_are_one_message() {
    let mut world = World::new();
    (0..12).for_each(|_| world.happens("endpoint.down", Some("eu-west"), at(0)));
    world.advance(at(0));
    assert!(world.queue.due(at(0)).is_none(), "it is gathered for a second");
    world.advance(at(1));
    let (attempt, stand) = world.attempt(Ok(()), at(1)).unwrap();
    assert_eq!((attempt.events.len(), attempt.count, stand), (12, 12, Stand::Delivered));
    assert_eq!(world.queue.listed(&name())[0].summary, "12 endpoints down of eu-west");
    // Stragglers come together ten seconds after that, other regions and kinds at once.
    (0..3).for_each(|second| world.happens("endpoint.down", Some("eu-west"), at(2 + second)));
    world.happens("endpoint.down", Some("us-east"), at(4));
    world.happens("failover.started", Some("eu-west"), at(4));
    world.advance(at(5));
    let counts: Vec<usize> = std::iter::from_fn(|| world.attempt(Ok(()), at(5))).map(|(attempt, _)| attempt.count).collect();
    assert_eq!(counts, [1, 1]);
    world.advance(at(10));
    assert!(world.queue.due(at(10)).is_none());
    world.advance(at(11));
    assert_eq!(world.attempt(Ok(()), at(11)).unwrap().0.count, 3);
    assert_eq!(world.store.len(), 1, "only the cursor stays: {:?}", world.store);
}

#[test]
fn what_fails_is_tried_again_later_and_later_for_a_day() {
    let mut world = World::new();
    world.happens("store.lost", None, at(0));
    world.advance(at(1));
    let (mut now, mut waits) = (1, Vec::new());
    loop {
        let (_, stand) = world.attempt(refused(), at(now)).unwrap();
        if stand == Stand::GaveUp {
            break;
        }
        let next = world.queue.next_at().unwrap().since(at(now)).as_secs();
        waits.push(next);
        assert!(world.queue.due(at(now + next as i64 - 1)).is_none());
        now += next as i64;
    }
    assert_eq!(waits[..5], [5, 10, 20, 40, 80]);
    assert_eq!(waits.iter().max(), Some(&3600));
    assert!((86_400..86_400 + 3_700).contains(&now), "{now}");
    assert_eq!(world.queue.listed(&name())[0].stand, Stand::GaveUp);
    assert_eq!(world.store.len(), 1);
}

#[test]
fn a_receiver_that_is_gone_for_good_is_not_asked_again_and_one_that_is_back_gets_all_at_once() {
    let mut world = World::new();
    world.happens("store.lost", None, at(0));
    world.advance(at(1));
    assert_eq!(world.attempt(Err(("it answered 410".into(), true)), at(1)).unwrap().1, Stand::GaveUp);
    for kind in ["a.a", "b.b", "c.c"] {
        world.happens(kind, None, at(2));
    }
    world.advance(at(3));
    for _ in 0..3 {
        assert_eq!(world.attempt(refused(), at(3)).unwrap().1, Stand::Waiting);
    }
    for _ in 0..3 {
        world.attempt(refused(), at(9));
    }
    assert!(world.queue.due(at(10)).is_none());
    assert_eq!(world.attempt(Ok(()), at(20)).unwrap().1, Stand::Delivered);
    assert!(world.attempt(Ok(()), at(20)).is_some() && world.attempt(Ok(()), at(20)).is_some());
}

#[test]
fn a_kill_loses_nothing_that_happened() {
    let mut world = World::new();
    world.happens("endpoint.down", Some("eu"), at(0));
    world.advance(at(1));
    world.attempt(refused(), at(1));
    world.happens("endpoint.up", Some("eu"), at(2));
    world.happens("store.lost", None, at(2));
    let mut next = world.killed();
    assert_eq!(next.seen(), 1, "what was not yet a message is to be read again");
    assert_eq!(next.listed(&name()).len(), 1);
    assert_eq!((next.listed(&name())[0].attempts, &*next.listed(&name())[0].id), (1, "msg_ops_1"));
    for sequence in 2..=3 {
        next.happened(&happening(sequence, if sequence == 2 { "endpoint.up" } else { "store.lost" }, None), true, at(3));
    }
    next.happened(&happening(3, "store.lost", None), true, at(3));
    next.advance(&name(), at(20));
    assert_eq!(next.listed(&name()).iter().map(|delivery| delivery.events).sum::<usize>(), 3);
}

#[test]
fn the_queue_is_bounded_and_the_oldest_go() {
    let mut world = World::new();
    let mut dropped = 0;
    for round in 0..(WAITING_MAX as i64 + 5) {
        world.happens(&format!("kind.{round}"), None, at(2 * round));
        dropped += world.advance(at(2 * round + 1));
    }
    assert_eq!((dropped, world.queue.waiting.len()), (5, WAITING_MAX));
    assert_eq!(world.store.len(), WAITING_MAX + 1);
    assert!(world.queue.listed(&name()).len() <= WAITING_MAX + DONE_MAX);
}

#[test]
fn events_that_nobody_wants_are_passed_over() {
    let mut queue = Queue::from_records(Vec::new(), 7);
    queue.happened(&happening(7, "a.b", None), true, at(0));
    queue.happened(&happening(8, "a.b", None), false, at(0));
    let (words, _) = queue.advance(&name(), at(5));
    assert_eq!(words, [(Key::Webhook(name()), Some("8".into()))]);
    assert!(queue.due(at(5)).is_none() && queue.advance(&name(), at(6)).0.is_empty());
}
