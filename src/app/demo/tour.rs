//! `demo --tour`: failover, 80/20, an operator's failover, undo, drain and explain, played by itself with commentary.
//!
//! It types what a person would type (this executable's own commands, over the admin socket) and checks what DNS answers.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::process::Command;
use tokio::sync::Mutex;

use crate::cli;

use super::gateways::{Gateways, REGIONS};

/// Longest wait for an answer to change.
const PATIENCE: Duration = Duration::from_secs(15);

/// Answers counted for a split.
const COUNTED: u32 = 1000;

/// What the tour plays on.
pub(super) struct Stage {
    pub folder: PathBuf,
    pub dns: SocketAddr,
    pub gateways: Arc<Mutex<Gateways>>,
}

/// All acts. The first thing that is not as announced ends it.
pub(super) async fn play(stage: &Stage) -> Result<(), String> {
    let began = Instant::now();
    let (prod, dr) = (IpAddr::V4(REGIONS[0].1), IpAddr::V4(REGIONS[1].1));
    println!("windrose demo --tour: DNS on {}, two fake regions: prod {prod}, dr {dr}", stage.dns);

    act(1, "orders is active/passive: every answer is prod");
    stage.expect_only("orders.windrose.test", prod, 200).await?;
    println!("    200 answers, all {prod}");

    act(2, "prod breaks; two probes fail, a second apart, then DNS answers dr");
    stage.gateways.lock().await.break_region("prod")?;
    let took = stage.wait_for("orders.windrose.test", dr).await?;
    println!("    orders.windrose.test -> {dr}, {:.1} s after the break", took.as_secs_f64());
    stage.type_in(&["status"]).await?;

    act(3, "prod is repaired; it must pass twice, then stay up for its failback time of 3 s");
    stage.gateways.lock().await.fix_region("prod").await?;
    let took = stage.wait_for("orders.windrose.test", prod).await?;
    println!("    orders.windrose.test -> {prod}, {:.1} s after the repair", took.as_secs_f64());
    stage.wait_for("search.windrose.test", prod).await?;

    act(4, "search is split 80/20: exactly, not by dice");
    stage.expect_share("search.windrose.test", prod, 80.0).await?;

    act(5, "an operator moves the split to 50/50; acknowledged means answered");
    stage.type_in(&["split", "search", "prod=50", "dr=50", "--reason", "tour"]).await?;
    stage.expect_share("search.windrose.test", prod, 50.0).await?;

    act(6, "an operator fails orders over to dr");
    stage.type_in(&["failover", "orders", "--reason", "tour"]).await?;
    stage.expect_only("orders.windrose.test", dr, 200).await?;

    act(7, "and undoes it");
    stage.type_in(&["undo", "orders", "--reason", "tour"]).await?;
    stage.expect_only("orders.windrose.test", prod, 200).await?;

    act(8, "prod is drained for ten minutes: no new answers while anything else is up");
    stage.type_in(&["drain", "region", "prod", "--for", "10m", "--reason", "tour"]).await?;
    stage.expect_only("search.windrose.test", dr, 200).await?;

    act(9, "why is search answered by dr?");
    stage.type_in(&["explain", "search.windrose.test"]).await?;

    act(10, "the drain ends");
    stage.type_in(&["undrain", "region", "prod"]).await?;
    stage.expect_share("search.windrose.test", prod, 50.0).await?;

    println!("\ntour done in {:.0} s: everything was as announced", began.elapsed().as_secs_f64());
    Ok(())
}

fn act(number: u32, what: &str) {
    println!("\n{number:>2}  {what}");
}

impl Stage {
    /// Runs a command of this executable as a person would, and shows it.
    async fn type_in(&self, arguments: &[&str]) -> Result<(), String> {
        println!(
            "    $ windrose {}",
            arguments
                .iter()
                .map(|argument| if argument.contains(' ') { format!("\"{argument}\"") } else { argument.to_string() })
                .collect::<Vec<_>>()
                .join(" ")
        );
        let myself = std::env::current_exe().map_err(|error| format!("can't find this executable: {error}"))?;
        let running = Command::new(myself).args(arguments).env("WINDROSE_SOCKET", self.folder.join("admin.sock")).kill_on_drop(true).output();
        let output = tokio::time::timeout(PATIENCE, running)
            .await
            .map_err(|_| format!("windrose {} did not end", arguments.join(" ")))?
            .map_err(|error| format!("can't run windrose {}: {error}", arguments.join(" ")))?;
        for line in String::from_utf8_lossy(&output.stdout).lines().chain(String::from_utf8_lossy(&output.stderr).lines()) {
            println!("    {line}");
        }
        if output.status.success() { Ok(()) } else { Err(format!("windrose {} ended with {}", arguments.join(" "), output.status)) }
    }

    async fn first(&self, name: &str) -> Option<IpAddr> {
        cli::lookup(self.dns, name).await.ok().and_then(|addresses| addresses.first().copied())
    }

    /// Asks until the answer is `wanted`; gives how long it took.
    async fn wait_for(&self, name: &str, wanted: IpAddr) -> Result<Duration, String> {
        let began = Instant::now();
        let mut every = tokio::time::interval(Duration::from_millis(50));
        while began.elapsed() < PATIENCE {
            every.tick().await;
            if self.first(name).await == Some(wanted) {
                return Ok(began.elapsed());
            }
        }
        Err(format!("{name} was not answered with {wanted} within {} s", PATIENCE.as_secs()))
    }

    async fn expect_only(&self, name: &str, wanted: IpAddr, answers: u32) -> Result<(), String> {
        for _ in 0..answers {
            let got = self.first(name).await;
            if got != Some(wanted) {
                return Err(format!("{name} was answered with {got:?}, not {wanted}"));
            }
        }
        Ok(())
    }

    /// Within half a per cent of 1,000 answers, per worker that got some.
    async fn expect_share(&self, name: &str, of: IpAddr, percent: f64) -> Result<(), String> {
        let mut hits = 0;
        for _ in 0..COUNTED {
            hits += u32::from(self.first(name).await == Some(of));
        }
        let share = f64::from(hits) * 100.0 / f64::from(COUNTED);
        println!("    {COUNTED} answers: {share:.1} % {of} (wanted {percent} %)");
        if (share - percent).abs() <= 1.5 { Ok(()) } else { Err(format!("{name}: {of} got {share:.1} %, wanted {percent} %")) }
    }
}
