//! Services to decide, and what touched them.
//!
//! One probe may touch a hundred thousand services: touching one is a few instructions, and they come out in the order of their ids.

use crate::model::ServiceId;

use super::core::Cause;

/// See above.
#[derive(Debug, Default)]
pub(super) struct Dirty {
    /// By service: 0, or one more than the place of its cause.
    marks: Vec<u32>,
    services: Vec<ServiceId>,
    causes: Vec<Cause>,
}

impl Dirty {
    /// This service must be decided again; of several causes the greatest is kept.
    pub(super) fn touch(&mut self, service: ServiceId, cause: Cause) {
        let place = self.place(cause);
        if self.marks.len() <= service.index() {
            self.marks.resize(service.index() + 1, 0);
        }
        let Some(mark) = self.marks.get_mut(service.index()) else { return };
        match (*mark as usize).checked_sub(1).and_then(|known| self.causes.get(known)) {
            None => self.services.push(service),
            Some(known) if *known < cause => {}
            Some(_) => return,
        }
        *mark = place;
    }

    /// One more than where this cause stands. They come in runs.
    fn place(&mut self, cause: Cause) -> u32 {
        if self.causes.last() != Some(&cause) {
            self.causes.push(cause);
        }
        u32::try_from(self.causes.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.services.is_empty()
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// All of them, ascending; none is left.
    pub(super) fn take(&mut self) -> Vec<(ServiceId, Cause)> {
        let mut services = std::mem::take(&mut self.services);
        let causes = std::mem::take(&mut self.causes);
        services.sort_unstable();
        let taken = services.into_iter().filter_map(|service| {
            let place = std::mem::take(self.marks.get_mut(service.index())?) as usize;
            Some((service, *causes.get(place.checked_sub(1)?)?))
        });
        taken.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_service_comes_out_once_in_order_with_its_greatest_cause() {
        let health = Cause::Health { failing_since: None };
        let mut dirty = Dirty::default();
        for (service, cause) in [(7, health), (2, Cause::Operator), (7, Cause::Config), (2, health), (300, health), (7, health)] {
            dirty.touch(ServiceId(service), cause);
        }
        assert_eq!(dirty.take(), [(ServiceId(2), Cause::Operator), (ServiceId(7), Cause::Config), (ServiceId(300), health)]);
        assert!(dirty.is_empty() && dirty.take().is_empty());
        dirty.touch(ServiceId(7), health);
        assert_eq!(dirty.take(), [(ServiceId(7), health)]);
    }
}
