//! Secondaries of zones and their keys.

use super::*;

const SECRET: &str = "MDEyMzQ1Njc4OWFiY2RlZg==";

#[test]
fn secondaries_and_their_keys_come_to_the_estate() {
    let text = format!(
        "[key.'Transfer.Key']\nsecret = '{SECRET}'\n[key.long]\nalgorithm = 'HMAC-SHA512'\nsecret_file = 'key.b64'\n\
         [zone.'example.com']\nfile = 'z'\nsecondaries = ['192.0.2.53', '192.0.2.54:5353', {{ address = '[2001:db8::53]:54', key = 'transfer.key' }}, {{ address = '2001:db8::54', key = 'long' }}]\n"
    );
    let folder = folder();
    std::fs::write(folder.path().join("key.b64"), format!("{SECRET}\n")).unwrap();
    let loaded = load_text(&with_schema(&text), &folder.path().join("w.toml")).unwrap_or_else(|problems| panic!("{problems}"));
    let secondaries = loaded.estate.secondaries_of(&"example.com".parse().unwrap());
    let shown: Vec<String> = secondaries
        .iter()
        .map(|secondary| {
            format!("{} {}", secondary.address, secondary.key.as_ref().map_or(String::new(), |key| format!("{} {}", key.name, key.algorithm.word())))
        })
        .collect();
    assert_eq!(shown, ["192.0.2.53:53 ", "192.0.2.54:5353 ", "[2001:db8::53]:54 transfer.key hmac-sha256", "[2001:db8::54]:53 long hmac-sha512"]);
    assert!(loaded.files.iter().any(|file| file.ends_with("key.b64")));
    let shown = format!("{loaded:?}");
    assert!(!shown.contains(SECRET) && !shown.contains("0123456789abcdef"), "a secret in Debug");
}

#[test]
fn every_problem_with_keys_and_secondaries_is_told_and_no_secret_is_shown() {
    let text = format!(
        "[key.good]\nsecret = '{SECRET}'\n[key.a]\nalgorithm = 'hmac-sha265'\nsecret = '{SECRET}'\n[key.b]\n[key.c]\nsecret = 'c2hvcnQ='\n[key.d]\nsecret = 'not/base64!'\n\
         [key.e]\nsecret_file = 'nowhere'\n[key.f]\nsecret = '{SECRET}'\nsecret_file = 'z'\n[key.GOOD]\nsecret = '{SECRET}'\n[key.'x..y']\nsecret = '{SECRET}'\n\
         [zone.'example.com']\nfile = 'z'\nsecondaries = ['ns.test', '0.0.0.0', '192.0.2.1', {{ address = '192.0.2.1:53' }}, {{ address = '192.0.2.2', key = 'god' }}, {{ key = 'good' }}, {{ address = '192.0.2.3', port = 1 }}]\n"
    );
    let found: Vec<String> = problems(&text).into_iter().map(|(line, column, path, message)| format!("{line}:{column} {path}: {message}")).collect();
    let expected = [
        "4:13 key.\"a\".algorithm: `hmac-sha265` is not an algorithm for keys",
        "6:6 key.\"b\": `secret` or `secret_file` is missing",
        "7:6 key.\"c\".secret: secret has 5 octets, of which 16 are the least that can't be guessed",
        "9:6 key.\"d\".secret: secret is not base64",
        "12:15 key.\"e\".secret_file: `nowhere` can't be read: No such file or directory (os error 2)",
        "13:6 key.\"f\": `secret` and `secret_file` exclude each other",
        "16:6 key.\"GOOD\": key `good` stands twice",
        "18:6 key.\"x..y\": `x..y` has an empty label",
        "22:16 zone.\"example.com\".secondaries[0].address: `ns.test` is not an IP address",
        "22:27 zone.\"example.com\".secondaries[1].address: `0.0.0.0` is nobody's address",
        "22:51 zone.\"example.com\".secondaries[3]: `192.0.2.1:53` stands twice",
        "22:112 zone.\"example.com\".secondaries[4].key: there is no key `god`",
        "22:121 zone.\"example.com\".secondaries[5]: `address` is missing",
        "22:164 zone.\"example.com\".secondaries[6].port: unknown key",
    ];
    assert_eq!(found, expected);
    let folder = folder();
    let Err(all) = load_text(&text, &folder.path().join("w.toml")) else { panic!("it has problems") };
    assert!(!all.to_string().contains(SECRET) && !all.to_string().contains("not/base64"), "{all}");
    assert!(all.to_string().contains("did you mean good?") || all.to_string().contains("did you mean `good`?"), "{all}");
}
