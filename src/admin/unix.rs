//! The unix socket: its file, and who is at the other end.

use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;

use tokio::net::{UnixListener, UnixStream};
use tracing::warn;

use super::auth::Peer;
use super::listen::BindError;

/// Owner and group may connect.
const MODE: u32 = 0o660;
/// Members of this group may operate, if it exists.
const GROUP: &str = "windrose";

/// Binds, with mode 0660 from the first moment on. A socket file that nobody listens on is replaced.
pub(super) async fn bind(path: &Path) -> Result<UnixListener, BindError> {
    let failed = |source: std::io::Error| BindError::Socket { path: path.into(), source };
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => (),
        Err(error) => return Err(failed(error)),
        Ok(found) if !found.file_type().is_socket() => return Err(BindError::NotASocket(path.into())),
        Ok(_) => match UnixStream::connect(path).await {
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => (),
            Err(error) if error.kind() == ErrorKind::NotFound => (),
            // Somebody listens, or we may not even ask.
            Ok(_) => return Err(BindError::SocketInUse(path.into())),
            Err(error) => return Err(failed(error)),
        },
    }
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    // Bound aside and renamed: nobody can connect before the mode is right.
    let aside = path.with_added_extension("new");
    match std::fs::remove_file(&aside) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(error)),
        _ => (),
    }
    let listener = UnixListener::bind(&aside).map_err(failed)?;
    std::fs::set_permissions(&aside, std::fs::Permissions::from_mode(MODE)).map_err(failed)?;
    if let Some(group) = std::fs::read_to_string("/etc/group").ok().and_then(|groups| group_id(&groups, GROUP))
        && let Err(error) = std::os::unix::fs::chown(&aside, None, Some(group))
    {
        warn!(path = %path.display(), "the group `{GROUP}` can't be given the admin socket ({error}); only this user and root can use it");
    }
    std::fs::rename(&aside, path).map_err(failed)?;
    Ok(listener)
}

/// The listener of the process before, if its file is still there: else nobody would find it.
pub(super) fn taken(path: &Path, left: OwnedFd) -> Option<UnixListener> {
    if !std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
        return None;
    }
    let listener = std::os::unix::net::UnixListener::from(left);
    listener.set_nonblocking(true).and_then(|()| UnixListener::from_std(listener)).ok()
}

/// Who is at the other end; `None` if the system doesn't say, and then nobody is served.
pub(super) async fn peer(stream: &UnixStream) -> Option<Peer> {
    let uid = stream.peer_cred().ok()?.uid();
    let own = own_uid()?;
    let users = tokio::fs::read_to_string("/etc/passwd").await.unwrap_or_default();
    Some(Peer::Socket { user: user_name(&users, uid).unwrap_or(uid.to_string()), owner: uid == 0 || uid == own })
}

/// The user that this process runs as: a socket pair knows it.
fn own_uid() -> Option<u32> {
    let (one, _other) = UnixStream::pair().ok()?;
    Some(one.peer_cred().ok()?.uid())
}

/// The name of `uid` in the text of `passwd(5)`.
fn user_name(users: &str, uid: u32) -> Option<String> {
    fields_by(users, 2, &uid.to_string()).and_then(|fields| fields.first().map(|name| name.to_string()))
}

/// The number of `name` in the text of `group(5)`.
fn group_id(groups: &str, name: &str) -> Option<u32> {
    fields_by(groups, 0, name).and_then(|fields| fields.get(2)?.parse().ok())
}

fn fields_by<'a>(text: &'a str, at: usize, wanted: &str) -> Option<Vec<&'a str>> {
    text.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|fields| fields.get(at) == Some(&wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_and_groups_are_found_in_their_files() {
        let users = "root:x:0:0:root:/root:/bin/sh\nanna:x:1001:1001::/home/anna:/bin/sh\n";
        assert_eq!(user_name(users, 1001).as_deref(), Some("anna"));
        assert_eq!(user_name(users, 7), None);
        assert_eq!(group_id("adm:x:4:\nwindrose:x:990:anna\n", "windrose"), Some(990));
        assert_eq!(group_id("windrosey:x:990:\nbroken\n", "windrose"), None);
    }

    #[tokio::test]
    async fn the_socket_is_for_owner_and_group_and_replaced_only_when_nobody_listens() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run/admin.sock");
        let first = bind(&path).await.unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
        assert!(matches!(bind(&path).await, Err(BindError::SocketInUse(_))));
        drop(first);
        assert!(path.exists(), "a killed daemon leaves its file");
        let _second = bind(&path).await.unwrap();
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[tokio::test]
    async fn a_file_that_is_no_socket_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("precious");
        std::fs::write(&path, "data").unwrap();
        assert!(matches!(bind(&path).await, Err(BindError::NotASocket(_))));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "data");
    }

    #[tokio::test]
    async fn the_daemons_own_user_is_known() {
        let (one, _other) = UnixStream::pair().unwrap();
        assert!(matches!(peer(&one).await, Some(Peer::Socket { owner: true, .. })));
    }
}
