//! Monitors that bring files, and what makes a target another one.

use rcgen::{CertificateParams, KeyPair};

use crate::model::Verify;

use super::*;

/// A folder with a certificate, its key, and rubbish.
fn shop() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["api.example.com".to_string()]).unwrap().self_signed(&key).unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("c.pem", &certificate.pem());
    write("c.key", &key.serialize_pem());
    write("other.key", &KeyPair::generate().unwrap().serialize_pem());
    write("rubbish.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    write("html.pem", "<html>login</html>");
    folder
}

fn load_in(folder: &Path, monitor: &str) -> Result<Loaded, Problems> {
    let text = format!("schema = 1\n[monitor.m]\n{monitor}\n[pool.a]\nmonitor = 'm'\nendpoints = ['192.0.2.1']\n");
    load_text(&text, &folder.join("w.toml"))
}

#[track_caller]
fn refused(folder: &Path, monitor: &str) -> String {
    let problems = load_in(folder, monitor).map(|_| ()).unwrap_err().0;
    problems.iter().map(|problem| format!("{}: {}", problem.path, problem.message)).collect::<Vec<_>>().join("; ")
}

fn key_of(folder: &Path, monitor: &str) -> String {
    load_in(folder, monitor).unwrap_or_else(|problems| panic!("{problems}")).estate.targets[0].key.to_string()
}

#[test]
fn certificates_and_keys_are_read_and_rubbish_is_a_problem() {
    let folder = shop();
    let loaded =
        load_in(folder.path(), "tls = 443\nsni = 'api.example.com'\nca = 'c.pem'\ncert = 'c.pem'\nkey = 'c.key'\nexpires_within = '14d'\nexpiry_down = true")
            .unwrap();
    let terms = loaded.estate.monitors[0].check.tls().unwrap();
    assert_eq!((terms.sni.as_deref(), terms.verify, terms.expiry_down), (Some("api.example.com"), Verify::Full, true));
    assert_eq!(terms.expires_within, Some(Duration::from_secs(14 * 86_400)));
    assert_eq!(terms.ca.as_ref().unwrap().certificates, terms.identity.as_ref().unwrap().chain);
    assert!(["c.pem", "c.key"].iter().all(|name| loaded.files.iter().any(|file| file.ends_with(name))), "a reload looks at them");

    let tls = |keys: &str| refused(folder.path(), &format!("tls = 443\nsni = 'x'\n{keys}"));
    assert!(tls("ca = 'rubbish.pem'").starts_with("monitor.m.ca: `rubbish.pem`: certificate 1 in it can't be trusted"), "{}", tls("ca = 'rubbish.pem'"));
    assert_eq!(tls("ca = 'html.pem'"), "monitor.m.ca: `html.pem`: there is no certificate in it");
    assert_eq!(tls("cert = 'c.pem'\nkey = 'html.pem'"), "monitor.m.key: `html.pem` holds no private key");
    assert!(tls("cert = 'c.pem'\nkey = 'other.key'").starts_with("monitor.m.cert: `c.pem` and `other.key` can't be used together"));
}

#[test]
fn a_private_key_is_in_no_debug_text_and_one_that_all_can_read_is_warned_of() {
    use std::os::unix::fs::PermissionsExt;
    let folder = shop();
    let monitor = "url = 'https://api.example.com/'\ncert = 'c.pem'\nkey = 'c.key'";
    std::fs::set_permissions(folder.path().join("c.key"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let loaded = load_in(folder.path(), monitor).unwrap();
    let of_key =
        |loaded: Loaded| loaded.warnings.into_iter().filter(|warning| warning.path == "monitor.m.key").map(|warning| warning.message).collect::<Vec<_>>();
    assert_eq!(of_key(loaded.clone()), ["everybody on this host can read `c.key`"]);
    let debug = format!("{:?}", loaded.estate);
    assert!(debug.contains("secret: Secret(…)"), "{debug}");
    std::fs::set_permissions(folder.path().join("c.key"), std::fs::Permissions::from_mode(0o600)).unwrap();
    assert!(of_key(load_in(folder.path(), monitor).unwrap()).is_empty());
}

#[test]
fn what_is_asked_makes_the_target_and_what_a_file_holds_does_not() {
    let folder = shop();
    let key = |monitor: &str| key_of(folder.path(), monitor);
    let tls = "tls = 443\nsni = 'x'\n";
    let mut keys = vec![key("tcp = 443"), key("tcp = 443\nsend = 'a'"), key("tcp = 443\nexpect = 'a'"), key("tcp = 443\nsend = 'a'\nexpect = 'a'")];
    keys.extend(
        ["", "verify = 'none'", "ca = 'c.pem'", "cert = 'c.pem'\nkey = 'c.key'", "expires_within = '2d'\nexpiry_down = true"]
            .map(|more| key(&format!("{tls}{more}"))),
    );
    let count = keys.len();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), count, "{keys:?}");
    assert_eq!(key(&format!("{tls}expires_within = '2d'")), key(tls), "a warning changes no verdict");
    let before = key(&format!("{tls}cert = 'c.pem'\nkey = 'c.key'"));
    let renewed = shop();
    assert_eq!(key_of(renewed.path(), &format!("{tls}cert = 'c.pem'\nkey = 'c.key'")), before);
}

#[test]
fn a_header_from_a_file_is_sent_trimmed_and_shown_nowhere() {
    let folder = shop();
    let token = folder.path().join("token");
    let monitor = "url = 'http://{address}/'\nuser_agent = 'probe'\nheaders = { X-A = 'inl1ne', Authorization = { file = 'token' } }";
    std::fs::write(&token, "Bearer t0ken\n").unwrap();
    let loaded = load_in(folder.path(), monitor).unwrap();
    let Check::Http(http) = &loaded.estate.monitors[0].check else { panic!() };
    let sent: Vec<_> = http.headers.iter().map(|header| (&*header.name, &**header.value.expose())).collect();
    assert_eq!(sent, [("User-Agent", "probe"), ("X-A", "inl1ne"), ("Authorization", "Bearer t0ken")]);
    assert!(loaded.files.iter().any(|file| file.ends_with("token")), "a reload looks at it");
    let shown = format!("{:?} {:?}", loaded.estate, summary(&loaded));
    assert!(!shown.contains("t0ken") && !shown.contains("inl1ne"), "{shown}");
    assert!(!format!("{loaded:?}").contains("t0ken"), "nor in a problem or warning");
    // A renewed token keeps the verdict.
    let key = loaded.estate.targets[0].key.to_string();
    std::fs::write(&token, "Bearer renewed\n").unwrap();
    assert_eq!(key_of(folder.path(), monitor), key);
    // What is wrong with it is told without it.
    for (text, why) in [("\n", "is empty"), ("t0ken\nt0ken\n", "a character that headers can't have"), (&*"t0ken".repeat(1000), "is too long for a secret")] {
        std::fs::write(&token, text).unwrap();
        let problems = load_in(folder.path(), monitor).map(|_| ()).unwrap_err();
        let told = format!("{problems} {problems:?}");
        assert!(told.contains(why) && !told.contains("t0ken"), "{told}");
    }
}

#[test]
fn an_endpoint_may_be_probed_elsewhere_than_it_is_answered() {
    let pools = "schema = 1\n[monitor.m]\ntcp = 80\nsource = ['192.0.2.7', '2001:db8::7']\n[pool.a]\nmonitor = 'm'\nendpoints = [{ address = '192.0.2.1', connect = '10.0.0.1:9000' }, { address = '192.0.2.2', connect = '2001:db8::2' }, '192.0.2.3', { address = '192.0.2.4', connect = '10.0.0.1:9000' }]\n";
    let estate = load_text(pools, Path::new("w.toml")).unwrap().estate;
    let targets: Vec<_> =
        estate.targets.iter().map(|target| (target.address.to_string(), target.port, estate.judgement(target.judgement).endpoints.len())).collect();
    assert_eq!(targets, [("10.0.0.1".to_string(), Some(9000), 2), ("2001:db8::2".to_string(), None, 1), ("192.0.2.3".to_string(), None, 1)]);
    assert!(estate.targets[0].key.starts_with("m@10.0.0.1:9000#"), "{}", estate.targets[0].key);
    assert_eq!(
        estate.pools.iter().flat_map(|pool| &pool.endpoints).map(|endpoint| estate.address_text(*endpoint)).collect::<Vec<_>>(),
        ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"]
    );
    let source = estate.monitors[0].source;
    assert_eq!(source.towards("10.0.0.1".parse().unwrap()), Some("192.0.2.7".parse().unwrap()));
    assert_eq!(source.towards("2001:db8::2".parse().unwrap()), Some("2001:db8::7".parse().unwrap()));
}

#[test]
fn every_detail_of_http_makes_another_target() {
    let folder = shop();
    std::fs::write(folder.path().join("token"), "x").unwrap();
    let url = "url = 'http://{address}/'\n";
    let details = [
        "",
        "method = 'HEAD'",
        "user_agent = 'x'",
        "body_regex = 'x'",
        "body = 'x'",
        "json = '$.x == 1'",
        "headers = { X = 'x' }",
        "headers = { X = { file = 'token' } }",
    ];
    let mut keys: Vec<String> = details.iter().map(|more| key_of(folder.path(), &format!("{url}{more}"))).collect();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), details.len(), "{keys:?}");
    let https = ["1.1", "2", "auto"].map(|version| key_of(folder.path(), &format!("url = 'https://x/'\nhttp = '{version}'")));
    assert!(https[0] != https[1] && https[1] != https[2], "{https:?}");
    assert_eq!(https[0], key_of(folder.path(), "url = 'https://x/'"));
    assert_eq!(key_of(folder.path(), &format!("{url}source = '192.0.2.7'")), key_of(folder.path(), url), "from where is no part of what is asked");
}

#[test]
fn a_question_is_read_and_every_part_of_it_makes_another_target() {
    let folder = shop();
    let loaded = load_in(folder.path(), "dns = 'WWW.example.com. aaaa'\nport = 5353\naddress = '2001:db8::1'").unwrap();
    let Check::Dns(dns) = &loaded.estate.monitors[0].check else { panic!() };
    assert_eq!((dns.name.to_string().trim_end_matches('.'), dns.record_type.0, &*dns.record_type.1, dns.port), ("www.example.com", 28, "AAAA", 5353));
    let variants = ["dns = 'a'", "dns = 'a TXT'", "dns = 'b A'", "dns = 'a'\nport = 54", "dns = 'a'\nrcode = 'refused'", "dns = 'a'\naddress = '192.0.2.1'"];
    let mut keys: Vec<String> = variants.iter().map(|monitor| key_of(folder.path(), monitor)).collect();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), variants.len(), "{keys:?}");
    assert_eq!(key_of(folder.path(), "dns = 'A. a'"), key_of(folder.path(), "dns = 'a A'"));
}

#[test]
fn grpc_is_asked_with_and_without_tls() {
    let folder = shop();
    let loaded = load_in(folder.path(), "grpc = ''\nport = 443\ntls = true\nhost = 'api.example.com'\nca = 'c.pem'").unwrap();
    let Check::Grpc(grpc) = &loaded.estate.monitors[0].check else { panic!() };
    assert_eq!((grpc.port, &*grpc.service, grpc.host.as_deref()), (443, "", Some("api.example.com")));
    assert!(grpc.tls.as_ref().unwrap().ca.is_some());
    let variants = [
        "grpc = ''\nport = 1",
        "grpc = 'a'\nport = 1",
        "grpc = ''\nport = 2",
        "grpc = ''\nport = 1\nhost = 'x'",
        "grpc = ''\nport = 1\nhost = 'x'\ntls = true",
    ];
    let mut keys: Vec<String> = variants.iter().map(|monitor| key_of(folder.path(), monitor)).collect();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), variants.len(), "{keys:?}");
    assert_eq!(key_of(folder.path(), "grpc = ''\nport = 1\ntls = false"), key_of(folder.path(), variants[0]));
}
