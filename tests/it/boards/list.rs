//! `deploy/boards.toml` as types: the one list of dashboards, rules and alerts. Unknown keys fail.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::deploy;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct List {
    /// Where runbooks are; `{alert}` stands for the name.
    pub runbooks: String,
    /// What does not exist yet: the metrics that it will bring.
    pub since: BTreeMap<String, Vec<String>>,
    /// Metrics without a use, and why.
    pub unused: BTreeMap<String, String>,
    pub colours: BTreeMap<String, String>,
    /// Words and colour of values.
    pub map: BTreeMap<String, BTreeMap<String, (String, String)>>,
    pub variable: BTreeMap<String, Variable>,
    pub annotation: Vec<Annotation>,
    pub dashboard: Vec<Dashboard>,
    pub group: Vec<Group>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variable {
    pub label: String,
    pub description: String,
    pub query: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Annotation {
    pub name: String,
    pub colour: String,
    pub expr: String,
    pub title: String,
    pub empty: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dashboard {
    pub uid: String,
    pub title: String,
    pub description: String,
    pub variables: Vec<String>,
    /// Variables of which one value is chosen.
    #[serde(default)]
    pub single: Vec<String>,
    pub row: Vec<Row>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    pub title: String,
    pub panel: Vec<Panel>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Panel {
    #[serde(rename = "type")]
    pub kind: String,
    pub title: String,
    pub description: String,
    pub w: Option<u32>,
    pub h: Option<u32>,
    pub unit: Option<String>,
    pub decimals: Option<u32>,
    pub max: Option<u32>,
    #[serde(default)]
    pub stack: bool,
    /// A stat with its graph behind it.
    #[serde(default)]
    pub graph: bool,
    /// Series whose name ends so are dashed.
    pub dashed: Option<String>,
    /// Of series by name.
    #[serde(default)]
    pub colours: BTreeMap<String, String>,
    #[serde(default)]
    pub steps: Vec<Step>,
    pub map: Option<String>,
    /// Labels in front of a table.
    #[serde(default)]
    pub key: Vec<String>,
    /// The dashboard that a table's rows lead to, by its uid.
    pub open: Option<String>,
    pub name: Option<String>,
    pub legend: Option<String>,
    pub expr: String,
    #[serde(default)]
    pub more: Vec<Query>,
    /// What is written where there is no data.
    pub none: Option<String>,
    pub empty: Option<String>,
    pub since: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Query {
    pub expr: String,
    pub legend: Option<String>,
    pub name: Option<String>,
    pub unit: Option<String>,
    pub map: Option<String>,
}

impl Panel {
    /// Its own query and those behind it.
    pub fn queries(&self) -> Vec<Query> {
        let Self { expr, legend, name, unit, map, more, .. } = self;
        let first = Query { expr: expr.clone(), legend: legend.clone(), name: name.clone(), unit: unit.clone(), map: map.clone() };
        std::iter::once(first).chain(more.iter().cloned()).collect()
    }
}

/// A colour, alone or from a value on.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Step {
    Always(String),
    From(f64, String),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    pub name: String,
    #[serde(default)]
    pub record: Vec<Record>,
    #[serde(default)]
    pub alert: Vec<Alert>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    pub name: String,
    pub expr: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alert {
    pub name: String,
    pub severity: String,
    #[serde(rename = "for")]
    pub lasts: Option<String>,
    pub expr: String,
    pub summary: String,
    pub description: String,
    pub since: Option<String>,
}

impl List {
    pub fn read() -> Self {
        let text = std::fs::read_to_string(deploy("boards.toml")).expect("readable");
        toml::from_str(&text).unwrap_or_else(|error| panic!("deploy/boards.toml: {error}"))
    }

    pub fn alerts(&self) -> impl Iterator<Item = &Alert> {
        self.group.iter().flat_map(|group| &group.alert)
    }

    /// Every panel with the title of its dashboard.
    pub fn panels(&self) -> impl Iterator<Item = (&str, &Panel)> {
        self.dashboard.iter().flat_map(|board| board.row.iter().flat_map(|row| row.panel.iter().map(|panel| (board.title.as_str(), panel))))
    }

    /// `#0072B2`.
    pub fn colour(&self, name: &str) -> &str {
        self.colours.get(name).unwrap_or_else(|| panic!("no colour is called `{name}`"))
    }

    /// Words and colours of values.
    pub fn words(&self, map: &str) -> &BTreeMap<String, (String, String)> {
        self.map.get(map).unwrap_or_else(|| panic!("no map is called `{map}`"))
    }
}
