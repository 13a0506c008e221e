//! One question to one server: over TLS; or over UDP, and over TCP if the reply does not fit or is not to be trusted.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use hickory_resolver::net::NetError;
use hickory_resolver::net::udp::UdpClientStream;
use hickory_resolver::net::xfer::{DnsRequestSender, FirstAnswer};
use hickory_resolver::proto::op::{
    DnsRequest, DnsRequestOptions, Message, MessageType, OpCode, Query,
};
use hickory_resolver::proto::rr::RecordType;
use hickory_resolver::proto::rr::rdata::opt::EdnsOption;
use smolkit_runtime::time::timeout;

use super::line::Line;
use super::metrics::Counters;
use super::provider::{Provider, Refused, Transport, connect};
use super::skim::{HEADER_BYTES, skim};
use super::upstream::Server;

/// The size of a datagram that no network cuts (RFC 9715 §3, the value of the "DNS flag day 2020").
const DATAGRAM_BYTES: u16 = 1_232;

/// The option of EDNS that means nothing (RFC 7830), and to what its length makes the question's a multiple of (RFC 8467 §4.1).
const PADDING: u16 = 12;
const PADDED_TO_BYTES: usize = 128;
const OPTION_HEADER_BYTES: usize = 4;

/// How to ask.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    /// For each of UDP and TCP, or for TLS.
    pub(super) timeout: Duration,
    /// EDNS (RFC 6891), which some old servers refuse.
    pub(super) edns: bool,
    /// Letters of the name in random case, which the reply must repeat ("0x20").
    pub(super) randomize_case: bool,
    pub(super) tcp_only: bool,
    /// Makes all questions about equally long.
    pub(super) pads: bool,
}

/// Why a server gave no usable reply.
#[derive(Clone, Debug)]
pub(super) struct Failed {
    pub(super) kind: io::ErrorKind,
    pub(super) text: String,
}

impl Failed {
    pub(super) fn new(kind: io::ErrorKind, text: impl Into<String>) -> Failed {
        Failed { kind, text: text.into() }
    }
}

/// Asks. The reply is to this question and from this server; whatever else arrives meanwhile is left out.
pub(super) async fn exchange(
    server: &Server,
    question: &Query,
    manner: Manner,
    counters: &Counters,
) -> Result<Message, Failed> {
    #[cfg(feature = "_tls")]
    if let Some(tls) = &server.tls {
        return whole(tls.exchange(question, manner, counters).await?, "TLS");
    }
    let server = server.addr;
    if !manner.tcp_only {
        counters.sent();
        match over_udp(server, question, manner).await {
            Ok(message) if !message.truncation => return Ok(message),
            // It did not fit; or somebody guessed the number and the port, but not the case of the letters, or not what a reply looks like.
            Ok(_) | Err(NetError::QueryCaseMismatch | NetError::Proto(_)) => {}
            Err(error) => return Err(failed(error, "UDP", manner)),
        }
    }
    counters.sent_over_tcp();
    match timeout(manner.timeout, over_tcp(server, question, manner)).await {
        Ok(Ok(message)) => whole(message, "TCP"),
        Ok(Err(error)) => Err(failed(error, "TCP", manner)),
        Err(_) => Err(failed(NetError::Timeout, "TCP", manner)),
    }
}

/// Where replies have room enough, half a one is none.
fn whole(message: Message, how: &str) -> Result<Message, Failed> {
    if message.truncation {
        let text = format!("the reply is cut off even over {how}");
        return Err(Failed::new(io::ErrorKind::InvalidData, text));
    }
    Ok(message)
}

/// hickory takes a random number and a random port, and waits for the reply that has this number and question. It asks once: who asks
/// again takes another number and port.
async fn over_udp(
    server: SocketAddr,
    question: &Query,
    manner: Manner,
) -> Result<Message, NetError> {
    let mut stream = UdpClientStream::builder(server, Provider)
        .with_timeout(Some(manner.timeout))
        .with_max_retries(1)
        .build();
    let reply = stream.send_message(request(question, manner)).first_answer().await;
    if let Some(Refused(code)) = reply.as_ref().err().and_then(refusal) {
        let mut message = Message::response(0, OpCode::Query);
        message.metadata.response_code = *code;
        return Ok(message);
    }
    let reply = reply?;
    let (message, bytes) = reply.into_parts();
    quieten(message, bytes, question, manner)
}

fn refusal(error: &NetError) -> Option<&Refused> {
    match error {
        NetError::Io(error) => error.get_ref()?.downcast_ref(),
        _ => None,
    }
}

/// One question, one connection.
async fn over_tcp(
    server: SocketAddr,
    question: &Query,
    manner: Manner,
) -> Result<Message, NetError> {
    let stream = connect(server).await?;
    Line::new(Transport(stream), server).ask(question, manner).await
}

/// A question with a random number.
pub(super) fn request(question: &Query, manner: Manner) -> DnsRequest {
    let mut options = DnsRequestOptions::default();
    options.use_edns = manner.edns;
    options.edns_payload_len = DATAGRAM_BYTES;
    options.case_randomization = manner.randomize_case;
    // hickory would ask again by itself.
    options.retry_interval = manner.timeout;
    let mut request = DnsRequest::from_query(question.clone(), options);
    if let (true, Ok(bytes)) = (manner.pads, request.to_vec()) {
        let length = (bytes.len() + OPTION_HEADER_BYTES) % PADDED_TO_BYTES;
        let padding = vec![0; (PADDED_TO_BYTES - length) % PADDED_TO_BYTES];
        if let Some(edns) = &mut request.edns {
            edns.options_mut().insert(EdnsOption::Unknown(PADDING, padding));
        }
    }
    request
}

/// Reads what came over a connection, if it is the reply to `request`.
pub(super) fn read(
    mut bytes: Vec<u8>,
    request: &DnsRequest,
    question: &Query,
    manner: Manner,
) -> Result<Option<Message>, NetError> {
    skim(&mut bytes, question.query_type).map_err(|fault| format!("malformed reply: {fault}"))?;
    let message = Message::from_vec(&bytes)?;
    if !answers(&message, request, manner) {
        return Ok(None);
    }
    quieten(message, bytes, question, manner).map(Some)
}

/// Whether `message` is a reply to `request`: name, type and class, and the case of the letters.
fn answers(message: &Message, request: &DnsRequest, manner: Manner) -> bool {
    let ([answered], [asked]) = (&message.queries[..], &request.queries[..]) else { return false };
    message.metadata.message_type == MessageType::Response
        && answered == asked
        && (!manner.randomize_case || answered.name.eq_case(&asked.name))
}

/// Takes the random case out of the names that users see. Those in the records end in pointers to the name of the question, and so in its letters.
fn quieten(
    message: Message,
    mut bytes: Vec<u8>,
    question: &Query,
    manner: Manner,
) -> Result<Message, NetError> {
    let has_names =
        matches!(question.query_type, RecordType::MX | RecordType::PTR | RecordType::SRV);
    if !manner.randomize_case || !has_names {
        return Ok(message);
    }
    // The message has this one question, in full: an earlier name that it could point to there is not. Lengths are no letters.
    let name = HEADER_BYTES..HEADER_BYTES + question.name.len();
    bytes.get_mut(name).unwrap_or_default().make_ascii_lowercase();
    Ok(Message::from_vec(&bytes)?)
}

pub(super) fn failed(error: NetError, how: &str, manner: Manner) -> Failed {
    let (kind, text) = match error {
        NetError::Timeout => {
            (io::ErrorKind::TimedOut, format!("no answer within {:?}", manner.timeout))
        }
        NetError::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            (error.kind(), "it closed the connection without an answer".to_owned())
        }
        NetError::Io(error) => (error.kind(), error.to_string()),
        NetError::Proto(error) => (io::ErrorKind::InvalidData, format!("malformed reply: {error}")),
        error => (io::ErrorKind::InvalidData, error.to_string()),
    };
    Failed { kind, text: format!("{text} ({how})") }
}
