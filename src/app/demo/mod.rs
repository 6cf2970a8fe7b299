//! `windrose demo`: two fake regions and one Windrose on this machine; nothing to install, no root, no files of yours.
//!
//! Everything lives in one temporary folder that goes with the demo. A second terminal finds it by its well-known socket.

mod config;
mod control;
mod gateways;
mod tour;

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use tokio::sync::Mutex;

use crate::cli::{self, DemoAction, DemoArgs};

use super::daemon::{Daemon, Start};
use gateways::Gateways;

/// Ports to begin looking from.
const DNS_PORT: u16 = 5300;
const ADMIN_PORT: u16 = 8090;
const METRICS_PORT: u16 = 9153;
const GATEWAY_PORT: u16 = 8081;

pub(super) fn main(arguments: &DemoArgs) -> ExitCode {
    if arguments.config {
        print!("{}", printed_config());
        return ExitCode::SUCCESS;
    }
    let Some(runtime) = super::runtime(0) else { return ExitCode::FAILURE };
    let outcome = runtime.block_on(async {
        match &arguments.action {
            Some(DemoAction::Break { name }) => control::ask(&folder(), "break", name).await.map(|sentence| println!("{sentence}")),
            Some(DemoAction::Fix { name }) => control::ask(&folder(), "fix", name).await.map(|sentence| println!("{sentence}")),
            None if arguments.tour => tour().await,
            None => stay().await,
        }
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("windrose demo: {sentence}");
            ExitCode::FAILURE
        }
    }
}

/// The folder of a demo of this user: what `windrose …` in a second terminal looks for.
fn folder() -> PathBuf {
    let socket = cli::demo_socket();
    socket.parent().map_or_else(|| socket.clone(), Path::to_path_buf)
}

/// What `--config` prints: the demo's file with places that suit a first own run.
fn printed_config() -> String {
    let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    config::text(&config::Places {
        dns: at(DNS_PORT),
        admin: at(ADMIN_PORT),
        metrics: at(METRICS_PORT),
        folder: Path::new("windrose-data"),
        gateway_port: GATEWAY_PORT,
    })
}

/// A running demo. Its folder goes with it.
struct Demo {
    folder: PathBuf,
    dns: SocketAddr,
    admin: SocketAddr,
    gateways: Arc<Mutex<Gateways>>,
    listener: tokio::task::JoinHandle<()>,
    daemon: Daemon,
}

impl Demo {
    async fn start(folder: PathBuf) -> Result<Self, String> {
        if std::os::unix::net::UnixStream::connect(control::socket(&folder)).is_ok() {
            return Err(format!("a demo is running already ({}); end it with Ctrl-C in its terminal", folder.display()));
        }
        let _ = std::fs::remove_dir_all(&folder);
        private_folder(&folder).map_err(|error| format!("can't make the folder {}: {error}", folder.display()))?;
        let dns = free(DNS_PORT, true)?;
        let admin = free(ADMIN_PORT, false)?;
        let metrics = free(METRICS_PORT, false)?;
        let gateways = Gateways::start(GATEWAY_PORT).await?;
        for (what, wish, got) in [
            ("DNS", DNS_PORT, dns.port()),
            ("the admin API", ADMIN_PORT, admin.port()),
            ("metrics", METRICS_PORT, metrics.port()),
            ("the fake regions", GATEWAY_PORT, gateways.port()),
        ] {
            if wish != got {
                println!("port {wish} is taken, so {what} uses {got}");
            }
        }
        let text = config::text(&config::Places { dns, admin, metrics, folder: &folder, gateway_port: gateways.port() });
        let path = folder.join("windrose.toml");
        std::fs::write(&path, text).map_err(|error| format!("can't write {}: {error}", path.display()))?;
        let loaded = crate::config::load(&path).map_err(|problems| format!("the demo's own configuration is wrong, which is a bug:\n{problems}"))?;
        let gateways = Arc::new(Mutex::new(gateways));
        let listener = control::listen(&folder, gateways.clone()).map_err(|error| format!("can't listen in {}: {error}", folder.display()))?;
        let daemon = Daemon::start(Start { path, loaded, without_store: false, program: None, inheritance: None }).await?;
        Ok(Self { folder, dns, admin, gateways, listener, daemon })
    }

    async fn stop(self) {
        self.listener.abort();
        self.daemon.stop().await;
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Mode 0700: the admin socket in it gives rights over the demo.
fn private_folder(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(false).mode(0o700).create(folder)
}

/// The first loopback port from `wish` that is free (for UDP too, if asked).
fn free(wish: u16, udp: bool) -> Result<SocketAddr, String> {
    (wish..wish.saturating_add(100))
        .map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
        .find(|address| TcpListener::bind(address).is_ok() && (!udp || UdpSocket::bind(address).is_ok()))
        .ok_or_else(|| format!("no loopback port from {wish} to {} is free", wish.saturating_add(99)))
}

/// This executable, as a person would type it.
fn myself() -> String {
    std::env::current_exe().map_or_else(|_| "windrose".to_string(), |path| path.display().to_string())
}

/// Until Ctrl-C.
async fn stay() -> Result<(), String> {
    super::logging::start("warn");
    let demo = Demo::start(folder()).await?;
    let (windrose, port, admin) = (myself(), demo.dns.port(), demo.admin);
    println!("windrose demo - two fake regions, one DNS server, all on this machine. Ctrl-C ends and removes everything.\n");
    for (name, address) in gateways::REGIONS {
        println!("  {name:<5} http://{address}:{}/healthcheck   up", demo.gateways.lock().await.port());
    }
    println!(
        "  DNS   127.0.0.1:{port} (udp, tcp)      admin API   http://{admin}/api/v1\n
In a second terminal:
  1  see the active region      dig @127.0.0.1 -p {port} +short orders.windrose.test        -> 127.0.1.1
  2  break prod                 {windrose} demo break prod
  3  watch it fail over (~3 s)  dig @127.0.0.1 -p {port} +short orders.windrose.test        -> 127.0.2.1
  4  repair it                  {windrose} demo fix prod
  5  80/20, counted             {windrose} query search.windrose.test -n 1000
  6  move traffic               {windrose} split search prod=50 dr=50
  7  take a region out          {windrose} drain region prod --for 10m --reason \"trying things\"
  8  why?                       {windrose} explain search.windrose.test
     all at once                {windrose} status
  No dig? Use: {windrose} query orders.windrose.test
"
    );
    let ended = interrupted().await;
    println!("\nstopping");
    demo.stop().await;
    ended
}

/// Ctrl-C, or what a service manager sends: both leave nothing behind.
async fn interrupted() -> Result<(), String> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| format!("can't listen for signals: {error}"))?;
    tokio::select! {
        ended = tokio::signal::ctrl_c() => ended.map_err(|error| format!("can't listen for Ctrl-C: {error}")),
        _ = terminate.recv() => Ok(()),
    }
}

/// Plays the steps by itself, in a folder of its own, so that it can run beside a demo.
async fn tour() -> Result<(), String> {
    super::logging::start("error");
    let folder = folder();
    let own = folder.with_file_name(format!("windrose-tour-{}", std::process::id()));
    let demo = Demo::start(own).await?;
    let stage = tour::Stage { folder: demo.folder.clone(), dns: demo.dns, gateways: demo.gateways.clone() };
    let outcome = tokio::select! {
        outcome = tour::play(&stage) => outcome,
        ended = interrupted() => ended.and(Err("the tour was interrupted".to_string())),
    };
    demo.stop().await;
    outcome
}
