//! One metric with its samples, as the exposition format wants them.

use prometheus::proto;

use super::catalog::{Kind, Metric};

/// A metric being written: one row per set of label values.
#[derive(Debug)]
pub struct Series {
    metric: Metric,
    rows: Vec<proto::Metric>,
}

impl Series {
    /// Without rows; such a metric is not written at all.
    pub fn new(metric: Metric) -> Self {
        Self { metric, rows: Vec::new() }
    }

    /// One gauge or counter with a single row and no labels.
    pub fn single(metric: Metric, value: f64) -> Self {
        let mut series = Self::new(metric);
        series.push(&[], value);
        series
    }

    /// A row; `values` in the order of the metric's labels.
    pub fn push(&mut self, values: &[&str], value: f64) {
        let mut row = self.row(values);
        if self.metric.kind == Kind::Counter {
            let mut counter = proto::Counter::default();
            counter.set_value(value);
            row.set_counter(counter);
        } else {
            let mut gauge = proto::Gauge::default();
            gauge.set_value(value);
            row.set_gauge(gauge);
        }
        self.rows.push(row);
    }

    /// A row of a histogram. `counts[i]` is the number of observations in the bucket up to `bounds[i]` alone; one more count, for those above the last bound.
    pub fn push_histogram(&mut self, values: &[&str], bounds: &[f64], counts: &[u64], sum: f64) {
        let mut cumulative = 0;
        let mut buckets = Vec::with_capacity(bounds.len());
        for (bound, count) in bounds.iter().zip(counts) {
            cumulative += count;
            let mut bucket = proto::Bucket::default();
            bucket.set_upper_bound(*bound);
            bucket.set_cumulative_count(cumulative);
            buckets.push(bucket);
        }
        let mut histogram = proto::Histogram::default();
        histogram.set_bucket(buckets);
        histogram.set_sample_count(counts.iter().sum());
        histogram.set_sample_sum(sum);
        let mut row = self.row(values);
        row.set_histogram(histogram);
        self.rows.push(row);
    }

    fn row(&self, values: &[&str]) -> proto::Metric {
        debug_assert_eq!(values.len(), self.metric.labels.len(), "{}", self.metric.name);
        let labels = self.metric.labels.iter().zip(values).map(|(name, value)| {
            let mut label = proto::LabelPair::default();
            label.set_name((*name).to_string());
            label.set_value((*value).to_string());
            label
        });
        proto::Metric::from_label(labels.collect())
    }

    /// The family for the encoder; `None` without rows.
    pub fn family(self) -> Option<proto::MetricFamily> {
        let mut family = proto::MetricFamily::default();
        family.set_name(self.metric.name.to_string());
        family.set_help(self.metric.help.to_string());
        family.set_field_type(match self.metric.kind {
            Kind::Gauge => proto::MetricType::GAUGE,
            Kind::Counter => proto::MetricType::COUNTER,
            Kind::Histogram => proto::MetricType::HISTOGRAM,
        });
        (!self.rows.is_empty()).then(|| {
            family.set_metric(self.rows);
            family
        })
    }
}

/// 1 or 0.
pub fn flag(yes: bool) -> f64 {
    f64::from(u8::from(yes))
}
