//! The connection between the two processes: messages, each with the descriptors that belong to it.
//!
//! A message is its length (4 octets, big-endian) and JSON. Its descriptors are sent with its first octet, and nobody reads beyond the message that is
//! awaited, so they can't be mistaken for another's (unix(7), SCM_RIGHTS).

use std::io::{Error, ErrorKind, IoSlice, IoSliceMut, Result};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, recvmsg, sendmsg};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::Interest;
use tokio::net::UnixStream;

/// Descriptors that one message may carry; the kernel takes 253.
pub(super) const DESCRIPTORS_MAX: usize = 128;
/// Longest message, bytes: room for what a million services remember.
const BYTES_MAX: usize = 512 << 20;

/// One end of the connection.
#[derive(Debug)]
pub(in crate::app) struct Link {
    stream: UnixStream,
}

impl Link {
    pub(super) fn new(stream: UnixStream) -> Self {
        Self { stream }
    }

    /// The process at the other end.
    pub(super) fn pid(&self) -> Option<u32> {
        self.stream.peer_cred().ok()?.pid()?.try_into().ok()
    }

    /// Sends a message with at most [`DESCRIPTORS_MAX`] descriptors.
    pub(super) async fn send(&self, message: &impl Serialize, descriptors: &[BorrowedFd<'_>]) -> Result<()> {
        if DESCRIPTORS_MAX < descriptors.len() {
            return Err(ErrorKind::InvalidInput.into());
        }
        let body = serde_json::to_vec(message)?;
        let length = u32::try_from(body.len()).ok().filter(|_| body.len() <= BYTES_MAX).ok_or(ErrorKind::InvalidInput)?;
        let bytes = [&length.to_be_bytes(), &*body].concat();
        let mut rest = &*bytes;
        let mut descriptors = descriptors;
        while !rest.is_empty() {
            let write = || {
                let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
                let mut control = SendAncillaryBuffer::new(&mut space);
                if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
                    return Err(ErrorKind::InvalidInput.into());
                }
                Ok(sendmsg(&self.stream, &[IoSlice::new(rest)], &mut control, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)?)
            };
            let sent = self.stream.async_io(Interest::WRITABLE, write).await?;
            rest = rest.get(sent..).unwrap_or_default();
            descriptors = &[];
        }
        Ok(())
    }

    /// The next message with its descriptors; `None` when the other end is closed.
    pub(super) async fn receive<T: DeserializeOwned>(&self) -> Result<Option<(T, Vec<OwnedFd>)>> {
        let mut descriptors = Vec::new();
        let mut head = [0; 4];
        if !self.fill(&mut head, &mut descriptors).await? {
            return Ok(None);
        }
        let length = usize::try_from(u32::from_be_bytes(head)).ok().filter(|length| *length <= BYTES_MAX).ok_or(ErrorKind::InvalidData)?;
        let mut body = vec![0; length];
        if !self.fill(&mut body, &mut descriptors).await? {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        Ok(Some((serde_json::from_slice(&body)?, descriptors)))
    }

    /// Reads until `room` is full; `false` if the end came before the first octet.
    async fn fill(&self, room: &mut [u8], descriptors: &mut Vec<OwnedFd>) -> Result<bool> {
        let mut done = 0;
        while done < room.len() {
            let rest = room.get_mut(done..).unwrap_or_default();
            let got = self.stream.async_io(Interest::READABLE, || self.read(rest, descriptors)).await?;
            match got {
                0 if done == 0 => return Ok(false),
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                got => done += got,
            }
        }
        Ok(true)
    }

    fn read(&self, room: &mut [u8], descriptors: &mut Vec<OwnedFd>) -> Result<usize> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
        let got = recvmsg(&self.stream, &mut [IoSliceMut::new(room)], &mut control, flags)?;
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(received) = message {
                descriptors.extend(received);
            }
        }
        if got.flags.contains(rustix::net::ReturnFlags::CTRUNC) {
            return Err(Error::other("descriptors did not fit: raise the limit on open files (`ulimit -n`, systemd: LimitNOFILE=)"));
        }
        Ok(got.bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::fd::AsFd;

    use super::*;

    #[tokio::test]
    async fn messages_and_their_descriptors_arrive_together_whatever_their_size() {
        let (one, other) = UnixStream::pair().unwrap();
        let (one, other) = (Link::new(one), Link::new(other));
        let (mut near, far) = std::os::unix::net::UnixStream::pair().unwrap();
        let long = "x".repeat(3 << 20);
        let send = async {
            one.send(&"plain", &[]).await.unwrap();
            one.send(&"many", &vec![far.as_fd(); DESCRIPTORS_MAX]).await.unwrap();
            one.send(&long, &[far.as_fd()]).await.unwrap();
            assert!(one.send(&"too many", &vec![far.as_fd(); DESCRIPTORS_MAX + 1]).await.is_err());
            drop(one);
        };
        let receive = async {
            let mut got = Vec::new();
            while let Some((message, descriptors)) = other.receive::<String>().await.unwrap() {
                got.push((message.len(), descriptors));
            }
            got
        };
        let ((), got) = tokio::join!(send, receive);
        let counts: Vec<(usize, usize)> = got.iter().map(|(length, descriptors)| (*length, descriptors.len())).collect();
        assert_eq!(counts, [(5, 0), (4, DESCRIPTORS_MAX), (3 << 20, 1)]);
        drop(far);
        let (_, descriptors) = got.into_iter().next_back().unwrap();
        std::os::unix::net::UnixStream::from(descriptors.into_iter().next().unwrap()).write_all(b"hi").unwrap();
        let mut heard = [0; 2];
        near.read_exact(&mut heard).unwrap();
        assert_eq!(&heard, b"hi", "the descriptor is the same socket");
    }

    #[tokio::test]
    async fn the_end_in_the_middle_of_a_message_is_an_error() {
        let (mut one, other) = std::os::unix::net::UnixStream::pair().unwrap();
        other.set_nonblocking(true).unwrap();
        let other = Link::new(UnixStream::from_std(other).unwrap());
        one.write_all(&[0, 0, 0, 9, b'"']).unwrap();
        drop(one);
        assert!(other.receive::<String>().await.is_err());
    }

    #[tokio::test]
    async fn the_process_at_the_other_end_is_known() {
        let (one, _other) = UnixStream::pair().unwrap();
        assert_eq!(Link::new(one).pid(), Some(std::process::id()));
    }
}
