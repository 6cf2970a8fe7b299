//! Tags, `traffic_from`, and the blocks of `docs/gitops.md` and `docs/overrides.md`.

use super::*;
use crate::model::EndpointId;

const POOLS: &str = "[monitor.m]\ntcp = 80\n[pool.prod]\nmonitor = 'm'\ntags = ['az-1', 'spot']\nendpoints = ['192.0.2.1', { address = '192.0.2.2', tags = 'az-2' }]\n[pool.dr]\nmonitor = 'm'\nendpoints = [{ name = 'a', address = '192.0.2.3', tags = ['az-2'] }]\n";
const ZONE: &str = "[zone.'example.com']\nrecords = \"\"\"\n@ 60 IN SOA ns1 h 1 1 1 1 1\n@ 60 IN NS ns1\nns1 60 IN A 192.0.2.53\n\"\"\"\n";

fn loaded(text: &str) -> Loaded {
    load_text(&format!("schema = 1\n{text}"), Path::new("w.toml")).unwrap_or_else(|problems| panic!("{problems}"))
}

fn refused(text: &str) -> Vec<String> {
    let problems = load_text(&format!("schema = 1\n{text}"), Path::new("w.toml")).map(|_| ()).unwrap_err().0;
    problems.iter().map(|problem| format!("{}: {}", problem.path, problem.message)).collect()
}

#[test]
fn endpoints_have_their_own_tags_and_their_pools() {
    let tags = loaded(POOLS).estate.tags;
    let of = |tag: &str| tags[tag].iter().copied().collect::<Vec<_>>();
    assert_eq!(of("az-1"), [EndpointId(0), EndpointId(1)]);
    assert_eq!(of("spot"), of("az-1"));
    assert_eq!(of("az-2"), [EndpointId(1), EndpointId(2)]);
}

#[test]
fn tags_are_names_and_stand_once() {
    let pool = |tags: &str| format!("[monitor.m]\ntcp = 80\n[pool.p]\nmonitor = 'm'\ntags = {tags}\nendpoints = ['192.0.2.1']\n");
    assert_eq!(refused(&pool("['AZ 1']")), ["pool.p.tags.AZ 1: `AZ 1` can't be a name"]);
    assert_eq!(refused(&pool("['a*']")), ["pool.p.tags.a*: `a*` can't be a name"]);
    assert_eq!(refused(&pool("['a', 'a']")), ["pool.p.tags: `a` stands twice"]);
}

#[test]
fn a_managed_service_is_known_with_the_place_of_its_policy() {
    let service = "[service.orders]\nname = 'orders.example.com'\npolicy = { failover = ['prod', 'dr'] }\ntraffic_from = 'file'\n[service.search]\nname = 'search.example.com'\npolicy = { failover = ['prod', 'dr'] }\ntraffic_from = 'operators'\n";
    let text = format!("schema = 1\n{ZONE}{POOLS}{service}");
    let loaded = load_text(&text, Path::new("w.toml")).unwrap_or_else(|problems| panic!("{problems}"));
    let line = 1 + text.lines().position(|line| line.starts_with("policy")).unwrap();
    assert_eq!(loaded.estate.managed.into_iter().collect::<Vec<_>>(), [("orders".into(), format!("w.toml:{line}:10").into())]);
    let other = service.replace("'operators'", "'git'");
    assert_eq!(refused(&format!("{ZONE}{POOLS}{other}")), ["service.search.traffic_from: traffic can't come from `git`"]);
}

#[test]
fn the_blocks_of_the_pages_about_overrides_and_gitops_are_sound() {
    for (page, tags, managed) in [(include_str!("../../../docs/overrides.md"), 3, 0), (include_str!("../../../docs/gitops.md"), 0, 1)] {
        let blocks: Vec<&str> = page.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
        assert!(!blocks.is_empty());
        for block in blocks {
            let loaded = loaded(&format!("{}{block}", ZONE.replace("example.com", "api.example.com")));
            assert!(loaded.warnings.is_empty(), "{block}\n{:?}", loaded.warnings);
            assert_eq!((loaded.estate.tags.len(), loaded.estate.managed.len()), (tags, managed));
        }
    }
}

#[test]
fn the_hash_is_of_every_file_and_of_no_path() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!("schema = 1\n[dns]\nreveal = ['config']\n{ZONE}[key.k]\nalgorithm = 'hmac-sha256'\nsecret_file = 'k.secret'\n");
    let hash = |folder: &Path, secret: &str, text: &str| {
        std::fs::write(folder.join("k.secret"), secret).unwrap();
        let loaded = load_text(text, &folder.join("w.toml")).unwrap_or_else(|problems| panic!("{problems}"));
        assert_eq!(loaded.answers.config.as_deref(), Some(loaded.hash.as_str()));
        loaded.hash
    };
    let secret = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0MDA=";
    let first = hash(folder.path(), secret, &text);
    assert_eq!((first.len(), first.bytes().all(|digit| digit.is_ascii_hexdigit())), (16, true));
    let elsewhere = tempfile::tempdir().unwrap();
    assert_eq!(hash(elsewhere.path(), secret, &text), first);
    assert_ne!(hash(folder.path(), &secret.replace("MDA", "MDE"), &text), first);
    assert_ne!(hash(folder.path(), secret, &format!("{text}# a comment\n")), first);
}
