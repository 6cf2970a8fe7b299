//! From the list to Grafana's JSON (dashboard model of Grafana 10.4, schemaVersion 39).

use serde_json::{Value, json};

use super::list::{Annotation, Dashboard, List, Panel, Query, Step};

/// Units across.
pub const GRID: u32 = 24;

/// The file of a dashboard, octet for octet.
pub fn file(list: &List, board: &Dashboard) -> String {
    format!("{:#}\n", dashboard(list, board))
}

fn source() -> Value {
    json!({ "type": "prometheus", "uid": "${datasource}" })
}

fn dashboard(list: &List, board: &Dashboard) -> Value {
    let link = json!({
        "type": "dashboards", "title": "Windrose", "tags": ["windrose"], "asDropdown": true, "includeVars": true, "keepTime": true, "targetBlank": false,
        "icon": "external link", "tooltip": "", "url": "",
    });
    let grafana = json!({
        "builtIn": 1, "name": "Annotations & Alerts", "type": "dashboard", "enable": true, "hide": true, "iconColor": list.colour("sky"),
        "datasource": { "type": "grafana", "uid": "-- Grafana --" },
    });
    let annotations: Vec<Value> = std::iter::once(grafana).chain(list.annotation.iter().map(|mark| annotation(list, mark))).collect();
    json!({
        "uid": board.uid,
        "title": board.title,
        "description": board.description,
        "tags": ["windrose"],
        "schemaVersion": 39,
        "version": 1,
        "editable": false,
        "graphTooltip": 1,
        "refresh": "30s",
        "timezone": "browser",
        "time": { "from": "now-1h", "to": "now" },
        "fiscalYearStartMonth": 0,
        "liveNow": false,
        "weekStart": "",
        "timepicker": { "refresh_intervals": ["10s", "30s", "1m", "5m"] },
        "links": [link],
        "annotations": { "list": annotations },
        "templating": { "list": variables(list, board) },
        "panels": panels(list, board),
    })
}

fn annotation(list: &List, mark: &Annotation) -> Value {
    let Annotation { name, colour, expr, title, empty: _ } = mark;
    json!({
        "name": name, "datasource": source(), "enable": true, "hide": false, "iconColor": list.colour(colour), "expr": expr, "titleFormat": title,
        "textFormat": "", "tagKeys": "", "step": "60s", "useValueForTime": false,
    })
}

fn variables(list: &List, board: &Dashboard) -> Vec<Value> {
    let chosen = json!({
        "name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus", "refresh": 1, "regex": "", "hide": 0, "multi": false,
        "includeAll": false, "skipUrlSync": false, "current": {}, "options": [],
    });
    let others = board.variables.iter().map(|name| {
        let variable = list.variable.get(name).unwrap_or_else(|| panic!("no variable is called `{name}`"));
        let many = !board.single.contains(name);
        let mut json = json!({
            "name": name, "label": variable.label, "description": variable.description, "type": "query", "datasource": source(),
            "definition": variable.query, "query": { "query": variable.query, "refId": "StandardVariableQuery" }, "refresh": 2, "sort": 1, "regex": "",
            "hide": 0, "skipUrlSync": false, "multi": many, "includeAll": many, "current": {}, "options": [],
        });
        if many {
            json["allValue"] = ".+".into();
            json["current"] = json!({ "selected": true, "text": ["All"], "value": ["$__all"] });
        }
        json
    });
    std::iter::once(chosen).chain(others).collect()
}

/// Rows from top to bottom, panels in them from left to right.
fn panels(list: &List, board: &Dashboard) -> Vec<Value> {
    let mut all = Vec::new();
    let mut y = 0;
    for row in &board.row {
        all.push(json!({ "id": all.len() + 1, "type": "row", "title": row.title, "collapsed": false, "gridPos": { "x": 0, "y": y, "w": GRID, "h": 1 }, "panels": [] }));
        y += 1;
        let (mut x, mut tallest) = (0, 0);
        for one in &row.panel {
            let (w, h) = size(one);
            if x + w > GRID {
                (x, y, tallest) = (0, y + tallest, 0);
            }
            all.push(panel(list, one, all.len() + 1, json!({ "x": x, "y": y, "w": w, "h": h })));
            (x, tallest) = (x + w, tallest.max(h));
        }
        y += tallest;
    }
    all
}

fn size(panel: &Panel) -> (u32, u32) {
    let (w, h) = match panel.kind.as_str() {
        "stat" => (3, 4),
        "bargauge" => (5, 4),
        "state-timeline" | "status-history" => (24, 7),
        _ => (8, 8),
    };
    (panel.w.unwrap_or(w), panel.h.unwrap_or(h))
}

fn panel(list: &List, panel: &Panel, id: usize, place: Value) -> Value {
    let queries = panel.queries();
    let mut defaults = json!({
        "unit": panel.unit.as_deref().filter(|_| panel.kind != "table").unwrap_or("short"),
        "noValue": panel.none.as_deref().unwrap_or(if panel.since.is_some() { "nothing yet" } else { "no data" }),
        "color": { "mode": if draws_series(panel) && panel.kind != "bargauge" { "palette-classic-by-name" } else { "thresholds" } },
        "mappings": if panel.kind == "table" { Vec::new() } else { mappings(list, panel) },
        "thresholds": { "mode": "absolute", "steps": steps(list, panel) },
    });
    if let Some(custom) = custom(panel) {
        defaults["custom"] = custom;
    }
    if panel.kind == "stat" {
        defaults["decimals"] = panel.decimals.map_or_else(|| if panel.graph || panel.unit.is_some() { Value::Null } else { 0.into() }, Into::into);
    }
    if draws_series(panel) {
        defaults["min"] = 0.into();
    }
    if let Some(max) = panel.max {
        defaults["max"] = max.into();
    }
    let targets: Vec<Value> = queries.iter().zip("ABCDEFGH".chars()).map(|(query, letter)| target(panel, query, letter)).collect();
    let mut json = json!({
        "id": id,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": source(),
        "gridPos": place,
        "fieldConfig": { "defaults": defaults, "overrides": overrides(list, panel, &queries) },
        "options": options(panel),
        "targets": targets,
    });
    if panel.kind == "table" {
        json["transformations"] = columns(panel, &queries);
    }
    json
}

/// Panels whose series are told apart by colour and legend.
fn draws_series(panel: &Panel) -> bool {
    matches!(panel.kind.as_str(), "timeseries" | "bargauge")
}

fn target(panel: &Panel, query: &Query, letter: char) -> Value {
    let instant = matches!(panel.kind.as_str(), "table" | "bargauge") || (panel.kind == "stat" && !panel.graph);
    let mut json = json!({
        "datasource": source(), "editorMode": "code", "expr": query.expr.trim(), "refId": letter.to_string(),
        "legendFormat": query.legend.as_deref().unwrap_or("__auto"), "instant": instant, "range": !instant,
    });
    match panel.kind.as_str() {
        "table" => json["format"] = "table".into(),
        "heatmap" => json["format"] = "heatmap".into(),
        _ => {}
    }
    json
}

fn value_map(list: &List, map: &str) -> Value {
    let words = list.words(map).iter().enumerate();
    let options: serde_json::Map<String, Value> =
        words.map(|(at, (value, (text, colour)))| (value.clone(), json!({ "text": text, "color": list.colour(colour), "index": at }))).collect();
    json!({ "type": "value", "options": options })
}

fn nothing(list: &List, text: &str) -> Value {
    json!({ "type": "special", "options": { "match": "null+nan", "result": { "text": text, "color": list.colour("grey"), "index": 20 } } })
}

fn mappings(list: &List, panel: &Panel) -> Vec<Value> {
    let mut all: Vec<Value> = panel.map.iter().map(|map| value_map(list, map)).collect();
    if !draws_series(panel) && panel.kind != "heatmap" {
        all.push(nothing(list, "NO DATA"));
    }
    all
}

fn steps(list: &List, panel: &Panel) -> Vec<Value> {
    let step = |step: &Step| match step {
        Step::Always(colour) => json!({ "color": list.colour(colour), "value": null }),
        Step::From(value, colour) => json!({ "color": list.colour(colour), "value": value }),
    };
    if panel.steps.is_empty() {
        // A plain number is not a verdict.
        let plain = if matches!(panel.kind.as_str(), "stat" | "bargauge") { "blue" } else { "grey" };
        return vec![json!({ "color": list.colour(plain), "value": null })];
    }
    panel.steps.iter().map(step).collect()
}

fn custom(panel: &Panel) -> Option<Value> {
    match panel.kind.as_str() {
        "timeseries" => Some(json!({
            "drawStyle": "line", "lineInterpolation": "linear", "lineWidth": 2, "fillOpacity": if panel.stack { 30 } else { 0 }, "showPoints": "never",
            "spanNulls": false, "stacking": { "mode": if panel.stack { "normal" } else { "none" }, "group": "A" }, "axisSoftMin": 0,
        })),
        "state-timeline" => Some(json!({ "lineWidth": 0, "fillOpacity": 85, "spanNulls": false })),
        "status-history" => Some(json!({ "lineWidth": 1, "fillOpacity": 85 })),
        "table" => Some(json!({ "align": "auto", "cellOptions": { "type": "auto" }, "filterable": true })),
        "heatmap" => Some(json!({ "scaleDistribution": { "type": "linear" }, "hideFrom": { "legend": false, "tooltip": false, "viz": false } })),
        _ => None,
    }
}

fn options(panel: &Panel) -> Value {
    let reduce = json!({ "calcs": ["lastNotNull"], "fields": "", "values": false });
    let list_legend = json!({ "displayMode": "list", "placement": "bottom", "showLegend": true });
    match panel.kind.as_str() {
        "stat" => json!({
            "colorMode": if panel.map.is_some() { "background" } else { "value" }, "graphMode": if panel.graph { "area" } else { "none" },
            "justifyMode": "center", "orientation": "auto", "textMode": if panel.legend.is_some() { "value_and_name" } else { "value" }, "wideLayout": true,
            "reduceOptions": reduce,
        }),
        "bargauge" => json!({
            "displayMode": "basic", "orientation": "horizontal", "reduceOptions": reduce, "showUnfilled": true, "valueMode": "text", "namePlacement": "auto",
            "sizing": "auto", "minVizWidth": 8, "minVizHeight": 16, "maxVizHeight": 300,
        }),
        "timeseries" => json!({
            "legend": { "displayMode": "table", "placement": "bottom", "showLegend": true, "calcs": ["lastNotNull", "max"] },
            "tooltip": { "mode": "multi", "sort": "desc" },
        }),
        "state-timeline" => json!({
            "mergeValues": true, "showValue": "auto", "alignValue": "left", "rowHeight": 0.85, "legend": list_legend, "tooltip": { "mode": "single", "sort": "none" },
        }),
        "status-history" => json!({
            "showValue": "auto", "rowHeight": 0.9, "colWidth": 0.9, "legend": list_legend, "tooltip": { "mode": "single", "sort": "none" },
        }),
        "table" => json!({ "showHeader": true, "cellHeight": "sm", "footer": { "show": false, "reducer": ["sum"], "countRows": false, "fields": "" } }),
        "heatmap" => json!({
            "calculate": false, "cellGap": 1, "color": { "mode": "scheme", "scheme": "Cividis", "steps": 64, "exponent": 0.5, "fill": "dark-orange", "reverse": false },
            "exemplars": { "color": "rgba(255,0,255,0.7)" }, "filterValues": { "le": 1e-9 }, "legend": { "show": true }, "rowsFrame": { "layout": "auto" },
            "showValue": "auto", "tooltip": { "mode": "single", "showColorScale": false, "yHistogram": false },
            "yAxis": { "axisPlacement": "left", "reverse": false, "unit": panel.unit.as_deref().unwrap_or("short") },
        }),
        other => panic!("panels of type `{other}` are not known here"),
    }
}

/// What differs from series to series, or from column to column.
fn overrides(list: &List, panel: &Panel, queries: &[Query]) -> Vec<Value> {
    let mut all = Vec::new();
    let by_name = |name: &str, properties: Value| json!({ "matcher": { "id": "byName", "options": name }, "properties": properties });
    for (series, colour) in &panel.colours {
        all.push(by_name(series, json!([{ "id": "color", "value": { "mode": "fixed", "fixedColor": list.colour(colour) } }])));
    }
    if let Some(end) = &panel.dashed {
        let dash = json!([{ "id": "custom.lineStyle", "value": { "fill": "dash", "dash": [10, 10] } }]);
        all.push(json!({ "matcher": { "id": "byRegexp", "options": format!("/{end}$/") }, "properties": dash }));
    }
    if panel.kind != "table" {
        return all;
    }
    if let (Some(uid), Some(key)) = (&panel.open, panel.key.first()) {
        let url = format!("/d/{uid}?var-{key}=${{__value.text}}&${{datasource:queryparam}}&${{__url_time_range}}");
        all.push(by_name(&title(key), json!([{ "id": "links", "value": [{ "title": format!("Open this {key}"), "url": url }] }])));
    }
    for Query { name, unit, map, .. } in queries {
        let mut properties = Vec::new();
        if let Some(unit) = unit {
            properties.push(json!({ "id": "unit", "value": unit }));
            if unit == "percentunit" {
                properties.push(json!({ "id": "decimals", "value": 1 }));
            }
        }
        if let Some(map) = map {
            properties.push(json!({ "id": "mappings", "value": [value_map(list, map), nothing(list, "NO DATA")] }));
            properties.push(json!({ "id": "custom.cellOptions", "value": { "type": "color-text" } }));
        } else if unit.is_some() {
            properties.push(json!({ "id": "mappings", "value": [nothing(list, "–")] }));
        }
        if !properties.is_empty() {
            all.push(by_name(name.as_deref().unwrap_or("Value"), properties.into()));
        }
    }
    all
}

/// Labels first, then a column for each query.
fn columns(panel: &Panel, queries: &[Query]) -> Value {
    let mut order = serde_json::Map::new();
    let mut names = serde_json::Map::new();
    for (at, label) in panel.key.iter().enumerate() {
        order.insert(label.clone(), at.into());
        names.insert(label.clone(), title(label).into());
    }
    for (at, (query, letter)) in queries.iter().zip("ABCDEFGH".chars()).enumerate() {
        // Grafana numbers the columns only where there are several.
        let column = if queries.len() == 1 { "Value".to_string() } else { format!("Value #{letter}") };
        order.insert(column.clone(), (panel.key.len() + at).into());
        names.insert(column, query.name.clone().unwrap_or_default().into());
    }
    let hidden = json!({ "Time": true, "__name__": true, "job": true });
    json!([
        { "id": "merge", "options": {} },
        { "id": "organize", "options": { "excludeByName": hidden, "indexByName": order, "renameByName": names } },
    ])
}

/// `region` → `Region`
fn title(label: &str) -> String {
    let mut letters = label.chars();
    letters.next().map(|first| first.to_uppercase().collect::<String>() + letters.as_str()).unwrap_or_default()
}
