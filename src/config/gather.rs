//! Services' texts made anew, one after the other.
//!
//! While a file of 100,000 services is read, a hundred million octets of the parser's lie between the few that stay. Copied to one place, those that
//! stay keep no others from being given back to the system. Never here: anything that changes what a configuration means.

use std::sync::Arc;

use crate::model::{Names, Service};

/// The same services, in new memory. Call it when everything else that reading has made is gone.
pub(super) fn gather(mut services: Vec<Service>) -> Vec<Service> {
    // Two large pieces hold all texts while the small ones are given back.
    let (mut ids, mut names) = (String::new(), Names::default());
    let mut ends = Vec::with_capacity(services.len());
    let nothing: Arc<str> = Arc::from("");
    for service in &mut services {
        ids.push_str(&service.name);
        names.append(&service.names);
        ends.push((ids.len(), names.octets()));
        (service.name, service.names) = (nothing.clone(), Names::default());
    }
    let mut gathered = Vec::with_capacity(services.len());
    let (mut id, mut octet) = (0, 0);
    for (service, (id_end, octets_end)) in services.into_iter().zip(ends) {
        let name = ids.get(id..id_end).unwrap_or_default().into();
        gathered.push(Service { name, names: names.copied(octet..octets_end), ..service });
        (id, octet) = (id_end, octets_end);
    }
    gathered
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::testing::estate;

    #[test]
    fn nothing_changes_but_where_texts_lie() {
        let services = || estate("pool prod: 10.0.0.1; service orders: failover prod; service portal: failover prod").services;
        let mut before = services();
        before[1].names.append(&services()[0].names);
        let after = gather(before.clone());
        let texts = |services: &[Service]| services.iter().map(|service| (service.name.clone(), service.names.clone())).collect::<Vec<_>>();
        assert_eq!(texts(&after), texts(&before));
        assert!(!Arc::ptr_eq(&after[0].name, &before[0].name));
        assert!(gather(Vec::new()).is_empty());
    }
}
