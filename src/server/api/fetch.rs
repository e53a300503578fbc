//! Fetching an upload from an address: only where the owner allowed it, and never from an
//! address that only this machine or its network can reach.
//!
//! The surprise: the name is resolved here, once, and the connection is made to what was
//! looked at; a name that resolves to something else a moment later changes nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use reqwest::redirect::Policy;

use super::error::{ApiError, Result};
use super::receive::{Received, check_size};
use crate::model::patience;

const REDIRECTS_MAX: usize = 5;
const PATIENCE: Duration = Duration::from_secs(30);

/// What may be fetched from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// Any public address.
    Public,
    /// This machine and its network, too: the owner named it.
    Everywhere,
}

/// Fetches what is at an address. Returns it and the name that it has there.
pub(super) async fn fetch(
    address: &str,
    reach: Reach,
    mut received: Received,
    bytes_max: u64,
) -> Result<Received> {
    let mut url = parse(address)?;
    for _ in 0..=REDIRECTS_MAX {
        let answer = ask(&url, reach).await?;
        if answer.status().is_redirection() {
            let to = answer
                .headers()
                .get("location")
                .and_then(|to| to.to_str().ok());
            let to = to.ok_or_else(|| refused(address, "it redirects to nowhere"))?;
            let next = url
                .join(to)
                .map_err(|_| refused(address, "it redirects to no address"))?;
            url = parse(next.as_str())?;
            continue;
        }
        if !answer.status().is_success() {
            let problem = format!("it answered {}", answer.status());
            return Err(refused(address, &problem));
        }
        let mut answer = answer;
        let broken = |_| refused(address, "it was broken off");
        while let Some(piece) = answer.chunk().await.map_err(broken)? {
            check_size(received.bytes + piece.len() as u64, bytes_max)?;
            let added = tokio::task::block_in_place(|| received.add(&piece));
            added.map_err(|error| super::error::of_io("the upload", &error))?;
        }
        let name = url
            .path_segments()
            .and_then(|mut segments| segments.next_back());
        received.filename = name.filter(|name| !name.is_empty()).map(str::to_owned);
        return Ok(received);
    }
    Err(refused(address, "it redirects too often"))
}

fn parse(address: &str) -> Result<reqwest::Url> {
    let url = reqwest::Url::parse(address);
    let url = url.map_err(|_| refused(address, "it is no address"))?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        _ => Err(refused(address, "only http and https are fetched")),
    }
}

async fn ask(url: &reqwest::Url, reach: Reach) -> Result<reqwest::Response> {
    let (client, url) = client_for(url.as_str(), reach).await?;
    let address = url.to_string();
    let sent = client.get(url).send().await;
    sent.map_err(|_| refused(&address, "it does not answer"))
}

/// Refuses what is no address that could be called.
pub(super) fn check_address(address: &str) -> Result<()> {
    parse(address).map(|_| ())
}

/// A client that reaches the host of an address at what its name means now, and nowhere
/// else.
pub(super) async fn client_for(
    address: &str,
    reach: Reach,
) -> Result<(reqwest::Client, reqwest::Url)> {
    let url = parse(address)?;
    let host = url
        .host_str()
        .ok_or_else(|| refused(address, "it names no host"))?;
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let port = url.port_or_known_default().unwrap_or(80);
    let resolved = tokio::net::lookup_host((bare, port)).await;
    let resolved: Vec<SocketAddr> = resolved
        .map_err(|_| refused(address, "its host is not known"))?
        .collect();
    let all_public = resolved
        .iter()
        .all(|address| is_public(address.ip()) || is_tested(address.ip()));
    if resolved.is_empty() || (reach == Reach::Public && !all_public) {
        return Err(refused(address, "its host is not a public one"));
    }
    let client = reqwest::Client::builder()
        .redirect(Policy::none())
        .no_proxy()
        .connect_timeout(patience(PATIENCE))
        .read_timeout(patience(PATIENCE))
        .resolve_to_addrs(host, &resolved)
        .build()
        .map_err(|_| ApiError::Internal)?;
    Ok((client, url))
}

fn refused(address: &str, problem: &str) -> ApiError {
    let address: String = address.chars().take(200).collect();
    ApiError::Bad(format!("Error in loading {address} - {problem}"))
}

/// False for everything that is only reachable from here or near here.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(mapped) => is_public_v4(mapped),
            None => is_public_v6(address),
        },
    }
}

/// In debug builds a test can have servers on one address of this machine. Every other one
/// stays what it is, so that the same test can be refused them.
fn is_tested(address: IpAddr) -> bool {
    cfg!(debug_assertions)
        && address == Ipv4Addr::LOCALHOST
        && std::env::var_os("KEEPFS_TEST_ALLOW_LOOPBACK_FETCH").is_some()
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let is_shared = a == 100 && (64..128).contains(&b);
    let is_protocol = a == 192 && b == 0 && c == 0;
    let is_benchmark = a == 198 && (b == 18 || b == 19);
    !(address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || a == 0
        || a >= 224
        || is_shared
        || is_protocol
        || is_benchmark)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.segments();
    // Only 2000::/3 is given out; of it neither documentation nor the tunnels that hold
    // an address of the other kind (Teredo, 6to4, NAT64 is outside).
    first & 0xe000 == 0x2000
        && !(first == 0x2001 && second <= 0x01ff)
        && !(first == 0x2001 && second == 0x0db8)
        && first != 0x2002
        && !(first == 0x3fff && second < 0x1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_are_public() {
        for private in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "0.0.0.0",
            "100.64.0.1",
            "192.0.0.8",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "::ffff:127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2001:db8::1",
            "ff02::1",
        ] {
            assert!(!is_public(private.parse().unwrap()), "{private}");
        }
        for public in ["1.1.1.1", "172.32.0.1", "2606:4700::1111", "::ffff:8.8.8.8"] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
    }

    #[test]
    fn other_schemes_are_refused() {
        for address in ["file:///etc/passwd", "ftp://a/b", "nonsense", "gopher://a"] {
            assert!(parse(address).is_err(), "{address}");
        }
    }
}
