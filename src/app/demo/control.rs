//! `windrose demo break prod` from a second terminal: one line over a unix socket beside the admin socket, one line back.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Mutex;

use super::gateways::Gateways;

/// Longest wait for the other side.
const PATIENCE: Duration = Duration::from_secs(5);

/// The socket in the demo's folder.
pub(super) fn socket(folder: &Path) -> PathBuf {
    folder.join("demo.sock")
}

/// Listens in the background.
pub(super) fn listen(folder: &Path, gateways: Arc<Mutex<Gateways>>) -> std::io::Result<tokio::task::JoinHandle<()>> {
    let listener = UnixListener::bind(socket(folder))?;
    Ok(tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = tokio::time::timeout(PATIENCE, serve(stream, &gateways)).await;
        }
    }))
}

async fn serve(mut stream: UnixStream, gateways: &Mutex<Gateways>) -> std::io::Result<()> {
    let (read, mut write) = stream.split();
    let mut line = String::new();
    BufReader::new(read.take(256)).read_line(&mut line).await?;
    let mut gateways = gateways.lock().await;
    let reply = match line.trim().split_once(' ') {
        Some(("break", name)) => gateways.break_region(name),
        Some(("fix", name)) => gateways.fix_region(name).await,
        _ => Err("say `break NAME` or `fix NAME`".to_string()),
    };
    let reply = match reply {
        Ok(sentence) => format!("ok {sentence}\n"),
        Err(sentence) => format!("no {sentence}\n"),
    };
    write.write_all(reply.as_bytes()).await
}

/// Asks a running demo to `break` or `fix` a region.
pub(super) async fn ask(folder: &Path, verb: &str, name: &str) -> Result<String, String> {
    let path = socket(folder);
    let asking = async {
        let mut stream = UnixStream::connect(&path).await?;
        stream.write_all(format!("{verb} {name}\n").as_bytes()).await?;
        let mut reply = String::new();
        stream.read_to_string(&mut reply).await?;
        Ok::<String, std::io::Error>(reply)
    };
    let reply = match tokio::time::timeout(PATIENCE, asking).await {
        Ok(Ok(reply)) => reply,
        Ok(Err(error)) => return Err(format!("no demo is running here ({}: {error}); start one with `windrose demo` in another terminal", path.display())),
        Err(_) => return Err("the demo does not answer".to_string()),
    };
    match reply.trim().split_once(' ') {
        Some(("ok", sentence)) => Ok(sentence.to_string()),
        Some((_, sentence)) => Err(sentence.to_string()),
        None => Err("the demo ended".to_string()),
    }
}
