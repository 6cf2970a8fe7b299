//! `grpc = "service"`: the service that is asked for, and how.

use std::ops::Range;

use crate::config::file::Monitor as Table;
use crate::config::problem::Sink;
use crate::config::read::{At, PortOrYes};
use crate::model::GrpcCheck;

use super::url::host_name;
use super::{Context, refuse_beside, tls};

/// Longer names are none.
const SERVICE_OCTETS_MAX: usize = 512;

pub(super) fn grpc(table: &Table, span: &Range<usize>, path: &str, cx: &mut Context<'_>, sink: &mut Sink<'_>) -> GrpcCheck {
    let Table { grpc, port, host, sni, tls: encrypted, .. } = table;
    if port.is_absent() {
        sink.missing(span, path, "`port` is missing", "add port = 50051: gRPC has no port of its own");
    }
    let service = grpc.get().map(|found| {
        let sound = found.value.bytes().all(|octet| octet.is_ascii_graphic());
        if !sound || found.value.len() > SERVICE_OCTETS_MAX {
            let help = "write it like grpc = \"orders.v1.Orders\"; grpc = \"\" asks for the whole server";
            sink.problem(&found.span, format_args!("{path}.grpc"), format!("`{}` is not the name of a service", found.value), help);
        }
        found.value.clone()
    });
    if let Some(found) = host.get().filter(|found| !host_name(&found.value, true)) {
        let message = format!("`{}` is not a host name", found.value);
        sink.problem(&found.span, format_args!("{path}.host"), message, "write it like host = \"api.example.com\"");
    }
    let encrypted = match encrypted.get() {
        Some(At { value: PortOrYes::Yes(yes), .. }) => *yes,
        Some(At { value: PortOrYes::Port(_), span }) => {
            sink.problem(span, format_args!("{path}.tls"), "beside `grpc` it is true or false", "tls = true, and the port as port = 443");
            false
        }
        None => false,
    };
    if !encrypted {
        refuse_beside("grpc` without `tls = true", &tls::keys(table), path, sink);
    } else if host.is_absent() && sni.is_absent() && tls::verifies_names(table) {
        sink.missing(span, path, "gRPC over TLS needs a name to verify", "add host = \"api.example.com\": the name that the certificate is for");
    }
    GrpcCheck {
        port: super::port(port, 50_051, format_args!("{path}.port"), sink),
        service: service.unwrap_or_default(),
        host: host.get().map(|host| host.value.clone()),
        tls: encrypted.then(|| tls::terms(table, path, cx, sink)),
    }
}
