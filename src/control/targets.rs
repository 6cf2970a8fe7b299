//! What an override's target means in the estate at hand: names, patterns (`region/eu-*`) and tags (`tag/az-1`).
//!
//! Patterns and tags are live: they are looked up again with each configuration, so an endpoint that comes later is under them at once. `*` stands for
//! any characters, also none; names themselves can't have one. Never here: what an override does, or which of several counts (`policy`).

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::model::{EndpointId, Estate, PoolId, RegionId, did_you_mean};
use crate::policy::{OverrideTarget, Reach};

use super::record::OverrideTargetName;

impl OverrideTargetName {
    /// How directly it names what it is about: the nearer one counts where two disagree.
    pub fn reach(&self) -> Reach {
        let (one, other) = match self {
            Self::Tag(_) => return Reach::Tag,
            Self::Region(name) | Self::Pool(name) | Self::Service(name) => (name, None),
            Self::Endpoint(pool, name) => (pool, Some(name)),
        };
        if std::iter::once(one).chain(other).any(|name| name.contains('*')) { Reach::Pattern } else { Reach::Name }
    }

    /// It is about this region as a whole.
    pub fn covers_region(&self, estate: &Estate, region: RegionId) -> bool {
        matches!(self, Self::Region(pattern) if fits(pattern, &estate.region(region).name))
    }

    /// It is about this pool as a whole, or its region.
    pub fn covers_pool(&self, estate: &Estate, id: PoolId) -> bool {
        let pool = estate.pool(id);
        matches!(self, Self::Pool(pattern) if fits(pattern, &pool.name)) || self.covers_region(estate, pool.region)
    }

    /// It is about this endpoint, its pool, or its region.
    pub fn covers_endpoint(&self, estate: &Estate, id: EndpointId) -> bool {
        let endpoint = estate.endpoint(id);
        match self {
            Self::Endpoint(pool, name) => fits(pool, &estate.pool(endpoint.pool).name) && fits(name, &endpoint.name),
            Self::Tag(pattern) => estate.tags.iter().any(|(tag, tagged)| fits(pattern, tag) && tagged.contains(&id)),
            _ => self.covers_pool(estate, endpoint.pool),
        }
    }

    /// What it is about now, by name, in file order: regions, pools or endpoints.
    pub fn matches(&self, estate: &Estate) -> Vec<String> {
        if let Self::Service(name) = self {
            return estate.service_named(name).map(|_| name.to_string()).into_iter().collect();
        }
        let name = |target: &OverrideTarget| match target {
            OverrideTarget::Region(id) => estate.region(*id).name.to_string(),
            OverrideTarget::Pool(id) => estate.pool(*id).name.to_string(),
            OverrideTarget::Endpoint(id) => estate.endpoint_label(*id),
        };
        targets_of(estate, self).iter().map(name).collect()
    }

    /// Why nothing fits, when nothing does: one sentence, with the nearest name that exists.
    pub(super) fn nothing_fits(&self, estate: &Estate) -> String {
        let near = |name: &str, known: &mut dyn Iterator<Item = &Arc<str>>| {
            did_you_mean(name, known.map(|known| &**known)).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default()
        };
        match self {
            Self::Tag(name) if estate.tags.is_empty() => {
                format!("no endpoint has the tag `{name}`: the file gives no tags at all (tags = [\"{name}\"] on pools or endpoints)")
            }
            Self::Tag(name) => format!("no endpoint has the tag `{name}`{}", near(name, &mut estate.tags.keys())),
            Self::Region(name) => format!("there is no region `{name}`{}", near(name, &mut estate.regions.iter().map(|region| &region.name))),
            Self::Pool(name) => format!("there is no pool `{name}`{}", near(name, &mut estate.pools.iter().map(|pool| &pool.name))),
            Self::Endpoint(pool, name) => match estate.pools.iter().find(|known| fits(pool, &known.name)) {
                None => format!("there is no pool `{pool}`{}", near(pool, &mut estate.pools.iter().map(|pool| &pool.name))),
                Some(known) => {
                    format!("there is no endpoint `{name}`{}", near(name, &mut known.endpoints.iter().map(|id| &estate.endpoint(*id).name)))
                }
            },
            Self::Service(name) => format!("there is no service `{name}`{}", near(name, &mut estate.services.iter().map(|service| &service.name))),
        }
    }
}

/// What policy is told of it, in file order; empty: nothing fits now.
pub(super) fn targets_of(estate: &Estate, target: &OverrideTargetName) -> Vec<OverrideTarget> {
    let regions = || (0..estate.regions.len()).map(RegionId::at);
    let pools = || (0..estate.pools.len()).map(PoolId::at);
    match target {
        OverrideTargetName::Region(_) => regions().filter(|id| target.covers_region(estate, *id)).map(OverrideTarget::Region).collect(),
        OverrideTargetName::Pool(pattern) => pools().filter(|id| fits(pattern, &estate.pool(*id).name)).map(OverrideTarget::Pool).collect(),
        OverrideTargetName::Endpoint(pool, name) => {
            let endpoints = pools().filter(|id| fits(pool, &estate.pool(*id).name)).flat_map(|id| &estate.pool(id).endpoints);
            endpoints.filter(|id| fits(name, &estate.endpoint(**id).name)).map(|id| OverrideTarget::Endpoint(*id)).collect()
        }
        OverrideTargetName::Tag(pattern) => {
            let tagged: BTreeSet<EndpointId> = estate.tags.iter().filter(|(tag, _)| fits(pattern, tag)).flat_map(|(_, tagged)| tagged).copied().collect();
            tagged.into_iter().map(OverrideTarget::Endpoint).collect()
        }
        OverrideTargetName::Service(_) => Vec::new(),
    }
}

/// The pools that it has a say in, each once.
pub(super) fn pools_of(estate: &Estate, target: &OverrideTargetName) -> BTreeSet<PoolId> {
    let mut pools = BTreeSet::new();
    for target in targets_of(estate, target) {
        match target {
            OverrideTarget::Region(region) => pools.extend((0..estate.pools.len()).map(PoolId::at).filter(|pool| estate.pool(*pool).region == region)),
            OverrideTarget::Pool(pool) => drop(pools.insert(pool)),
            OverrideTarget::Endpoint(endpoint) => drop(pools.insert(estate.endpoint(endpoint).pool)),
        }
    }
    pools
}

/// Does `name` fit a pattern in which `*` stands for any characters?
fn fits(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    // There is always a first part.
    let Some(mut rest) = name.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    // The earliest place of each part leaves most for those after it.
    for part in parts {
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::testing::estate;

    #[test]
    fn a_star_stands_for_any_characters_also_none() {
        for (pattern, name, fit) in [
            ("eu-*", "eu-west", true),
            ("eu-*", "eu-", true),
            ("eu-*", "us-eu-1", false),
            ("*", "", true),
            ("*west", "eu-west", true),
            ("*-*-1", "eu-west-1", true),
            ("*-*-1", "eu-1", false),
            ("a*a", "a", false),
            ("a*a", "aba", true),
            ("**", "x", true),
            ("eu", "eu-west", false),
            ("a*b*b", "ab", false),
        ] {
            assert_eq!(fits(pattern, name), fit, "{pattern} {name}");
        }
    }

    #[test]
    fn targets_are_what_fits_now_in_file_order() {
        let estate =
            estate("pool b: a=10.0.0.1 10.0.0.2 region=eu-1; pool a: 10.1.0.1 region=eu-2; pool c: 10.2.0.1; tag az-1: c/10.2.0.1 b/a; tag az-2: a/10.1.0.1");
        let matches = |target: &str| OverrideTargetName::parse(target).expect("a target").matches(&estate).join(" ");
        assert_eq!(matches("region/eu-*"), "eu-1 eu-2");
        assert_eq!(matches("pool/*"), "b a c");
        assert_eq!(matches("endpoint/*/10.*"), "b/10.0.0.2 a/10.1.0.1 c/10.2.0.1");
        assert_eq!(matches("tag/az-1"), "b/a c/10.2.0.1");
        assert_eq!(matches("tag/az-*"), "b/a a/10.1.0.1 c/10.2.0.1");
        assert_eq!(matches("tag/az"), "");
        let tag = OverrideTargetName::parse("tag/az-1").expect("a target");
        assert_eq!(pools_of(&estate, &tag), BTreeSet::from([PoolId(0), PoolId(2)]));
        assert!(tag.covers_endpoint(&estate, EndpointId(0)) && !tag.covers_endpoint(&estate, EndpointId(1)) && !tag.covers_pool(&estate, PoolId(0)));
    }
}
