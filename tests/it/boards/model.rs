//! The JSON against Grafana's dashboard model, as far as it is documented: Grafana itself can't run here.
//!
//! What Grafana does not know it drops without a word, so keys are compared with closed lists.

use std::collections::BTreeSet;

use serde_json::Value;

use super::grafana::GRID;
use super::list::List;
use super::made;

const DASHBOARD: [&str; 19] = [
    "uid",
    "title",
    "description",
    "tags",
    "schemaVersion",
    "version",
    "editable",
    "graphTooltip",
    "refresh",
    "timezone",
    "time",
    "fiscalYearStartMonth",
    "liveNow",
    "weekStart",
    "timepicker",
    "links",
    "annotations",
    "templating",
    "panels",
];
const PANEL: [&str; 10] = ["id", "type", "title", "description", "datasource", "gridPos", "fieldConfig", "options", "targets", "transformations"];
const DEFAULTS: [&str; 9] = ["unit", "decimals", "min", "max", "noValue", "color", "mappings", "thresholds", "custom"];
const TARGET: [&str; 8] = ["datasource", "editorMode", "expr", "refId", "legendFormat", "instant", "range", "format"];
/// Units of Grafana's list that we use.
const UNITS: [&str; 7] = ["short", "percentunit", "s", "reqps", "cps", "pps", "bytes"];

fn dashboards() -> Vec<(String, Value)> {
    let made = made(&List::read()).into_iter().filter(|(path, _)| path.ends_with(".json"));
    made.map(|(path, text)| (path, serde_json::from_str(&text).expect("JSON"))).collect()
}

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

#[test]
fn dashboards_have_every_key_of_the_model_and_no_other() {
    for (file, board) in dashboards() {
        assert_eq!(keys(&board), DASHBOARD.into_iter().collect(), "{file}");
        assert_eq!((&board["schemaVersion"], &board["editable"], &board["timezone"]), (&39.into(), &false.into(), &"browser".into()), "{file}");
        assert!(board.get("id").is_none(), "{file}: the id is Grafana's to give");
        assert!(file.ends_with(&format!("/{}.json", board["uid"].as_str().expect("text"))), "{file}");
    }
}

#[test]
fn panels_have_keys_of_the_model_a_unit_and_the_chosen_data_source() {
    for (file, board) in dashboards() {
        let mut ids = BTreeSet::new();
        for panel in list(&board["panels"]) {
            let place = format!("{file}: {}", panel["title"]);
            assert!(ids.insert(panel["id"].as_u64().filter(|id| *id > 0).expect("an id")), "{place}: its id stands twice");
            if panel["type"] == "row" {
                assert_eq!(keys(panel), ["id", "type", "title", "collapsed", "gridPos", "panels"].into_iter().collect(), "{place}");
                continue;
            }
            let known: BTreeSet<&str> = PANEL.into_iter().collect();
            assert!(keys(panel).is_subset(&known), "{place}");
            assert_eq!(panel["datasource"], serde_json::json!({ "type": "prometheus", "uid": "${datasource}" }), "{place}");
            assert!(panel["description"].as_str().is_some_and(|text| !text.is_empty()), "{place}: no description");
            let defaults = &panel["fieldConfig"]["defaults"];
            assert!(keys(defaults).is_subset(&DEFAULTS.into_iter().collect()), "{place}");
            assert!(UNITS.contains(&defaults["unit"].as_str().unwrap_or_default()), "{place}: unit {}", defaults["unit"]);
            assert!(list(&defaults["thresholds"]["steps"]).first().is_some_and(|first| first["value"].is_null()), "{place}: the first step has no value");
            let targets = list(&panel["targets"]);
            let letters: Vec<&str> = targets.iter().filter_map(|target| target["refId"].as_str()).collect();
            assert!(!targets.is_empty() && letters.iter().collect::<BTreeSet<_>>().len() == targets.len(), "{place}: {letters:?}");
            for target in targets {
                assert!(keys(target).is_subset(&TARGET.into_iter().collect()), "{place}");
                assert_eq!(target["datasource"], panel["datasource"], "{place}");
                assert_ne!(target["instant"], target["range"], "{place}");
            }
            let columns = panel.get("transformations").map(list);
            assert_eq!(columns.is_some(), panel["type"] == "table", "{place}");
            for id in columns.into_iter().flatten().map(|transformation| &transformation["id"]) {
                assert!(id == "merge" || id == "organize", "{place}: {id}");
            }
            for property in list(&panel["fieldConfig"]["overrides"]).iter().flat_map(|one| list(&one["properties"])) {
                let id = property["id"].as_str().unwrap_or_default();
                assert!(["unit", "decimals", "mappings", "links", "color", "custom.cellOptions", "custom.lineStyle"].contains(&id), "{place}: {id}");
            }
        }
    }
}

#[test]
fn panels_lie_in_the_grid_and_none_over_another() {
    for (file, board) in dashboards() {
        let mut places: Vec<(String, [u64; 4])> = Vec::new();
        for panel in list(&board["panels"]) {
            let title = panel["title"].as_str().unwrap_or_default().to_string();
            let [x, y, w, h] = ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().expect("a number"));
            assert!(0 < w && 0 < h && x + w <= u64::from(GRID), "{file}: `{title}` is not inside the grid");
            for (other, [ox, oy, ow, oh]) in &places {
                assert!(ox + ow <= x || x + w <= *ox || oy + oh <= y || y + h <= *oy, "{file}: `{title}` lies over `{other}`");
            }
            places.push((title, [x, y, w, h]));
        }
        assert!(places.len() > 15, "{file} has {} panels", places.len());
    }
}

#[test]
fn the_data_source_is_a_variable_and_the_first() {
    for (file, board) in dashboards() {
        let variables = list(&board["templating"]["list"]);
        assert_eq!(
            (&variables[0]["name"], &variables[0]["type"], &variables[0]["query"]),
            (&"datasource".into(), &"datasource".into(), &"prometheus".into()),
            "{file}"
        );
        let names: BTreeSet<&str> = variables.iter().filter_map(|variable| variable["name"].as_str()).collect();
        assert_eq!(names.len(), variables.len(), "{file}");
        for variable in &variables[1..] {
            assert_eq!(variable["datasource"]["uid"], "${datasource}", "{file}: {}", variable["name"]);
            assert_eq!(variable["multi"] == true, variable["allValue"] == ".+", "{file}: {}", variable["name"]);
        }
        for mark in list(&board["annotations"]["list"]).iter().filter(|mark| mark["builtIn"].is_null()) {
            assert_eq!(mark["datasource"]["uid"], "${datasource}", "{file}: {}", mark["name"]);
        }
    }
}

#[test]
fn links_between_dashboards_lead_to_dashboards() {
    let all = dashboards();
    let uids: BTreeSet<&str> = all.iter().filter_map(|(_, board)| board["uid"].as_str()).collect();
    let text: String = all.iter().map(|(_, board)| board.to_string()).collect();
    let linked: Vec<&str> = text.split("\"/d/").skip(1).filter_map(|rest| rest.split('?').next()).collect();
    assert!(!linked.is_empty());
    assert!(linked.iter().all(|uid| uids.contains(uid)), "{linked:?}");
}
