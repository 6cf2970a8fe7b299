//! Why services are answered as they are, as sentences: for `_explain` queries, and there only where somebody may ask them.
//!
//! Made when a decision is, so it says what was known then. In chunks as decisions are, so that a publish costs what changes.

use std::sync::Arc;

use crate::model::{ServiceId, Timestamp};

/// Services per chunk.
const CHUNK: usize = 256;

/// Why one service is answered as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Why {
    /// Its name.
    pub service: Arc<str>,
    /// Whose policy it is, and of which revision.
    pub whose: Arc<str>,
    /// When it was decided.
    pub at: Timestamp,
    /// The steps, one sentence each with its topic before it. Shared by services that are decided alike.
    pub steps: Arc<[Box<str>]>,
}

/// By service.
#[derive(Clone, Debug, Default)]
pub struct Explained {
    chunks: Vec<Arc<[Option<Arc<Why>>]>>,
}

impl Explained {
    /// Of all services, in [`ServiceId`] order.
    pub fn new(services: impl IntoIterator<Item = Option<Arc<Why>>>) -> Self {
        let mut services = services.into_iter();
        let chunk = || Some(services.by_ref().take(CHUNK).collect::<Arc<[_]>>()).filter(|chunk| !chunk.is_empty());
        Self { chunks: std::iter::from_fn(chunk).collect() }
    }

    /// With some replaced.
    pub fn with(mut self, changes: impl IntoIterator<Item = (ServiceId, Arc<Why>)>) -> Self {
        for (service, why) in changes {
            let chunk = self.chunks.get_mut(service.index() / CHUNK).map(Arc::make_mut);
            if let Some(place) = chunk.and_then(|chunk| chunk.get_mut(service.index() % CHUNK)) {
                *place = Some(why);
            }
        }
        self
    }

    /// Why this one is answered as it is.
    pub fn of(&self, service: ServiceId) -> Option<&Why> {
        self.chunks.get(service.index() / CHUNK)?.get(service.index() % CHUNK)?.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_is_replaced_and_the_rest_is_shared() {
        let why = |name: &str| Arc::new(Why { service: name.into(), whose: "".into(), at: Timestamp(1), steps: Arc::default() });
        let before = Explained::new((0..600).map(|at| (at != 7).then(|| why("old"))));
        let after = before.clone().with([(ServiceId(300), why("new")), (ServiceId(7), why("new")), (ServiceId(9_999), why("new"))]);
        let name = |explained: &Explained, at: u32| explained.of(ServiceId(at)).map(|why| why.service.to_string());
        assert_eq!(
            [name(&before, 300), name(&after, 300), name(&before, 7), name(&after, 7)],
            [Some("old".into()), Some("new".into()), None, Some("new".into())]
        );
        assert_eq!((name(&after, 599), name(&after, 600)), (Some("old".into()), None));
        assert!(Arc::ptr_eq(&before.chunks[2], &after.chunks[2]) && !Arc::ptr_eq(&before.chunks[1], &after.chunks[1]));
    }
}
