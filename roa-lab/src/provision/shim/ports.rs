//! Which port a lab gets.

use std::io;
use std::net::{IpAddr, TcpListener};
use std::ops::RangeInclusive;
use std::process;

/// A port that is free now. Another program can take it before the lab does: whoever uses it must see to that.
pub(super) fn pick(address: IpAddr, range: Option<&RangeInclusive<u16>>) -> io::Result<u16> {
    let Some(range) = range else { return Ok(TcpListener::bind((address, 0))?.local_addr()?.port()) };
    // Labs that start together begin to look in different places.
    let first = usize::try_from(process::id()).unwrap_or_default().checked_rem(range.len()).unwrap_or_default();
    let mut candidates = range.clone().skip(first).chain(range.clone().take(first)).filter(|port| *port != 0);
    candidates.find(|port| !is_taken(address, *port)).ok_or_else(|| {
        let message = format!("no port from {} to {} is free on {address}", range.start(), range.end());
        io::Error::new(io::ErrorKind::AddrInUse, message)
    })
}

/// Whether another program listens there.
pub(super) fn is_taken(address: IpAddr, port: u16) -> bool {
    TcpListener::bind((address, port)).is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[test]
    fn without_a_range_any_free_port_will_do() {
        let port = pick(LOOPBACK, None).unwrap();
        assert!(port > 0 && !is_taken(LOOPBACK, port));
    }

    #[test]
    fn a_taken_port_of_a_range_is_passed_over() {
        let holder = TcpListener::bind((LOOPBACK, 0)).unwrap();
        let taken = holder.local_addr().unwrap().port();
        assert!(is_taken(LOOPBACK, taken));
        let range = taken.saturating_sub(20)..=taken;
        let port = pick(LOOPBACK, Some(&range)).unwrap();
        assert!(range.contains(&port) && port != taken);

        let error = pick(LOOPBACK, Some(&(taken..=taken))).unwrap_err();
        assert!(error.to_string().contains(&format!("no port from {taken} to {taken}")), "{error}");
    }

    #[test]
    fn an_empty_range_has_no_port() {
        #[expect(clippy::reversed_empty_ranges, reason = "what an operator may write by mistake")]
        let range = 10..=5;
        assert!(pick(LOOPBACK, Some(&range)).is_err());
    }
}
