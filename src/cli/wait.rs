//! `windrose wait`: for scripts that go on when traffic or health is where they want it.

use std::time::{Duration, Instant};

use crate::admin::api::{Service, ServicePool, State};

use super::args::{Condition, WaitArgs};
use super::client::{Client, Got};
use super::exit::{Exit, Failure};
use super::report::Report;

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Shares are shown to a tenth of a per cent: half of that is no difference.
const SAME: f64 = 0.05;

/// Looks until every condition holds, or it is too late: then the exit code says so, and what is there instead.
pub async fn run(client: &Client, args: &WaitArgs) -> Result<Report, Failure> {
    let began = Instant::now();
    loop {
        let got: Got<Service> = client.get(&["services", &args.service], &[]).await?;
        let mut unmet = Vec::new();
        for condition in &args.conditions {
            unmet.extend(missing(condition, &got.value)?.map(|instead| format!("{condition}: {instead}")));
        }
        if unmet.is_empty() {
            let done: Vec<String> = args.conditions.iter().map(ToString::to_string).collect();
            return Ok(Report::done(format!("✔ {}: {} after {}s\n", args.service, done.join(", "), began.elapsed().as_secs()), got.raw));
        }
        let left = args.within.saturating_sub(began.elapsed());
        if left.is_zero() {
            let lines: String = unmet.iter().map(|line| format!("✖ {line}\n")).collect();
            return Ok(Report::new("", got.raw).note(lines).condition(true));
        }
        tokio::time::sleep(LOOK_EVERY.min(left)).await;
    }
}

/// What is there instead; `None`: the condition holds. A pool that the service does not have is a fault, not a thing to wait for.
fn missing(condition: &Condition, service: &Service) -> Result<Option<String>, Failure> {
    let (Condition::Up(name) | Condition::Down(name) | Condition::Share(name, _)) = condition;
    let pool = service.pools.iter().find(|pool| pool.pool == *name).ok_or_else(|| {
        let near = crate::model::did_you_mean(name, service.pools.iter().map(|pool| pool.pool.as_str()));
        let failure = Failure::local(Exit::Usage, format!("{} has no pool `{name}`", service.name));
        failure.hint(near.map_or_else(|| format!("windrose describe service {}", service.name), |near| format!("did you mean `{near}`?")))
    })?;
    Ok(instead(condition, service, pool))
}

fn instead(condition: &Condition, service: &Service, pool: &ServicePool) -> Option<String> {
    let health = || format!("it is {}, with {} of {} endpoints up", pool.state.word(), pool.up, pool.of);
    match condition {
        Condition::Up(_) => (pool.state == State::Down).then(health),
        Condition::Down(_) => (pool.state != State::Down).then(health),
        Condition::Share(name, wanted) => {
            let share = service.traffic.shares.effective.get(name).unwrap_or(0.0);
            (SAME < (share - wanted).abs()).then(|| format!("it is {share:.1}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_read_as_they_are_shown() {
        for text in ["up=prod", "down=prod", "share:prod=12.5"] {
            assert_eq!(text.parse::<Condition>().unwrap().to_string(), text);
        }
        assert_eq!("share:prod=80%".parse(), Ok(Condition::Share("prod".into(), 80.0)));
        for wrong in ["", "up", "up=", "share:=5", "share:prod=101", "share:prod=NaN", "share:prod=x", "sideways=prod"] {
            assert!(wrong.parse::<Condition>().unwrap_err().contains("write"), "{wrong}");
        }
    }
}
