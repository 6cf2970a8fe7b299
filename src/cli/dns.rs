//! A small DNS client: one question at a time over UDP, over TCP when the answer was cut. Asks one server; never resolves on its own.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use hickory_proto::op::{Edns, Message, Query};
use hickory_proto::rr::{Name, RData, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

/// Largest response that we say we take over UDP: what a path takes without fragments.
const UDP_SIZE: u16 = 1232;
/// UDP attempts before giving up.
const ATTEMPTS: u32 = 3;
/// Longest wait of [`lookup`] for each attempt.
const LOOKUP_WAIT: Duration = Duration::from_secs(1);

/// A question, its name checked.
#[derive(Clone, Debug)]
pub struct Question {
    /// Fully qualified.
    pub name: Name,
    /// Type.
    pub type_: RecordType,
}

impl Question {
    /// From what was typed.
    pub fn parse(name: &str, type_: &str) -> Result<Self, String> {
        let mut parsed = Name::from_ascii(name).map_err(|_| format!("`{name}` is not a host name"))?;
        parsed.set_fqdn(true);
        let type_ = RecordType::from_str(&type_.to_ascii_uppercase()).map_err(|_| format!("`{type_}` is not a record type such as A, AAAA or TXT"))?;
        Ok(Self { name: parsed, type_ })
    }

    /// A query with a random id.
    pub fn message(&self) -> Message {
        let mut edns = Edns::new();
        edns.set_max_payload(UDP_SIZE);
        let mut message = Message::query();
        message.add_query(Query::query(self.name.clone(), self.type_)).set_edns(edns);
        message
    }

    /// Is this a response to that query (RFC 5452, section 9.1: id and question agree; the socket is connected)?
    pub fn is_answered_by(&self, response: &Message) -> bool {
        response.metadata.message_type == hickory_proto::op::MessageType::Response
            && response.queries.first().is_none_or(|query| query.query_type() == self.type_ && *query.name() == self.name)
    }
}

/// The addresses that `server` answers for `name` (A). Made for the demo's tour.
pub async fn lookup(server: SocketAddr, name: &str) -> std::io::Result<Vec<IpAddr>> {
    let question = Question::parse(name, "A").map_err(std::io::Error::other)?;
    Ok(addresses(&ask(server, &question, false, LOOKUP_WAIT).await?))
}

/// The addresses in a response's answer section.
pub fn addresses(response: &Message) -> Vec<IpAddr> {
    let address = |data: &RData| match data {
        RData::A(a) => Some(IpAddr::V4(a.0)),
        RData::AAAA(aaaa) => Some(IpAddr::V6(aaaa.0)),
        _ => None,
    };
    response.answers.iter().filter_map(|record| address(&record.data)).collect()
}

/// Where the first CNAME of a response leads, without the dot at the end.
pub fn alias(response: &Message) -> Option<String> {
    response.answers.iter().find_map(|record| match &record.data {
        RData::CNAME(target) => Some(target.0.to_ascii().trim_end_matches('.').to_string()),
        _ => None,
    })
}

/// Asks once. `wait` bounds each attempt.
pub async fn ask(server: SocketAddr, question: &Question, tcp: bool, wait: Duration) -> std::io::Result<Message> {
    if tcp {
        return within(wait, ask_tcp(server, question)).await;
    }
    let response = ask_udp(server, question, wait).await?;
    // RFC 7766, section 5: a truncated response is asked again over TCP.
    if response.metadata.truncation { within(wait, ask_tcp(server, question)).await } else { Ok(response) }
}

/// A socket that hears this server alone.
pub async fn udp_to(server: SocketAddr) -> std::io::Result<UdpSocket> {
    let any: SocketAddr = if server.is_ipv4() { (Ipv4Addr::UNSPECIFIED, 0).into() } else { (Ipv6Addr::UNSPECIFIED, 0).into() };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(server).await?;
    Ok(socket)
}

async fn ask_udp(server: SocketAddr, question: &Question, wait: Duration) -> std::io::Result<Message> {
    let socket = udp_to(server).await?;
    let mut last = None;
    for _ in 0..ATTEMPTS {
        match within(wait, exchange(&socket, question)).await {
            Ok(response) => return Ok(response),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| std::io::ErrorKind::TimedOut.into()))
}

async fn exchange(socket: &UdpSocket, question: &Question) -> std::io::Result<Message> {
    let query = question.message();
    socket.send(&query.to_vec().map_err(std::io::Error::other)?).await?;
    let mut buffer = [0; 4096];
    loop {
        let length = socket.recv(&mut buffer).await?;
        let response = buffer.get(..length).and_then(|packet| Message::from_vec(packet).ok());
        if let Some(response) = response.filter(|response| response.metadata.id == query.metadata.id && question.is_answered_by(response)) {
            return Ok(response);
        }
    }
}

async fn ask_tcp(server: SocketAddr, question: &Question) -> std::io::Result<Message> {
    let mut stream = TcpStream::connect(server).await?;
    exchange_tcp(&mut stream, question).await
}

/// One question over a standing connection.
pub async fn exchange_tcp(stream: &mut TcpStream, question: &Question) -> std::io::Result<Message> {
    let packet = question.message().to_vec().map_err(std::io::Error::other)?;
    let length = u16::try_from(packet.len()).map_err(std::io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), packet.as_slice()].concat()).await?;
    let length = stream.read_u16().await?;
    let mut response = vec![0; usize::from(length)];
    stream.read_exact(&mut response).await?;
    Message::from_vec(&response).map_err(std::io::Error::other)
}

/// A record's data as a master file has it (RFC 1035, section 5.1): every character-string quoted, escaped and apart.
pub fn data_text(data: &RData) -> String {
    match data {
        RData::TXT(txt) => txt.txt_data.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(" "),
        RData::HINFO(host) => format!("{} {}", quoted(&host.cpu), quoted(&host.os)),
        RData::CAA(caa) => format!("{} {} {}", caa.flags(), caa.tag, quoted(&caa.value)),
        RData::NAPTR(rule) => {
            let (flags, services, regexp) = (quoted(&rule.flags), quoted(&rule.services), quoted(&rule.regexp));
            format!("{} {} {flags} {services} {regexp} {}", rule.order, rule.preference, rule.replacement)
        }
        other => other.to_string(),
    }
}

/// `"a \"b\" \195\188"`: what is not printable ASCII goes by its decimal code.
fn quoted(text: &[u8]) -> String {
    let mut out = String::from("\"");
    for byte in text {
        match byte {
            b'"' | b'\\' => out.extend(['\\', char::from(*byte)]),
            b' '..=b'~' => out.push(char::from(*byte)),
            _ => out.push_str(&format!("\\{byte:03}")),
        }
    }
    out.push('"');
    out
}

async fn within<T>(wait: Duration, work: impl Future<Output = std::io::Result<T>>) -> std::io::Result<T> {
    tokio::time::timeout(wait, work).await.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn character_strings_are_shown_as_a_master_file_has_them() {
        use hickory_proto::rr::rdata::{HINFO, TXT};
        let strings: [&[u8]; 4] = [b"hello", b"wo\"r\\ld", b"", b"\xc3\xbc\n~"];
        assert_eq!(data_text(&RData::TXT(TXT::from_bytes(strings.to_vec()))), r#""hello" "wo\"r\\ld" "" "\195\188\010~""#);
        assert_eq!(data_text(&RData::HINFO(HINFO::new("x 86".into(), "li\"nux".into()))), r#""x 86" "li\"nux""#);
        assert_eq!(data_text(&RData::A(Ipv4Addr::LOCALHOST.into())), "127.0.0.1");
    }
}
