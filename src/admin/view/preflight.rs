//! What a change moves, in answers a second.

use std::collections::HashMap;
use std::sync::Arc;

use crate::admin::api;
use crate::control::{Core, KindMove, Move, Taker};
use crate::metrics::Metrics;
use crate::model::Now;

/// Services whose rates are counted for one reply; the rest have none.
const RATED_MAX: usize = 10_000;

/// Moves and takers with the rates of the last minute.
pub(in crate::admin) fn preflight(core: &Core, metrics: &Metrics, moves: Vec<Move>, takers: Vec<Taker>, now: Now) -> (Vec<api::Move>, Vec<api::Taker>) {
    let mut gains: HashMap<Arc<str>, f64> = HashMap::new();
    // A sum that lacks some service would be wrong.
    let mut complete = moves.len() <= RATED_MAX;
    let mut shown = Vec::with_capacity(moves.len());
    for (at, Move { service: _, name, before, after, by_client }) in moves.into_iter().enumerate() {
        // How many of them are of which kind is not known.
        let alike = by_client.is_empty();
        let rate = (at < RATED_MAX).then(|| metrics.answers_per_second(core, &name, now)).flatten();
        complete &= rate.is_some() && alike;
        let mut moved = 0.0;
        for (pool, share) in &after {
            let gain = share - before.iter().find(|(of, _)| of == pool).map_or(0.0, |(_, share)| *share);
            if 0.0 < gain {
                moved += gain;
                *gains.entry(pool.clone()).or_default() += gain * rate.unwrap_or(0.0);
            }
        }
        shown.push(api::Move {
            service: name.to_string(),
            before: api::Shares::from_ratios(before),
            after: api::Shares::from_ratios(after),
            by_client: by_client.into_iter().map(client_move).collect(),
            answers_per_second: rate.map(tidy),
            moves_per_second: rate.filter(|_| alike).map(|rate| tidy(rate * moved)),
        });
    }
    let taker = |Taker { pool, region, up_for, services, share, capacity }: Taker| api::Taker {
        gains_per_second: complete.then(|| tidy(gains.get(&pool).copied().unwrap_or(0.0))),
        pool: pool.to_string(),
        region: region.to_string(),
        up_for: up_for.map(api::Span),
        services: services as u64,
        share: tidy(share * 100.0),
        capacity,
    };
    (shown, takers.into_iter().map(taker).collect())
}

/// What one kind of clients gets.
pub(in crate::admin) fn client_move(found: KindMove) -> api::ClientMove {
    let KindMove { who, classes, part, before, after } = found;
    api::ClientMove {
        clients: who,
        classes: classes as u64,
        percent: part.map(|part| tidy(part * 100.0)),
        before: api::Shares::from_ratios(before),
        after: api::Shares::from_ratios(after),
    }
}

/// Two decimals.
fn tidy(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}
