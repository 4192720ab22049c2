//! The listening sockets: one a shard, all on one port (`SO_REUSEPORT`), the kernel spreading new
//! connections over them by a hash of their addresses.

use std::io;
use std::net::{IpAddr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};

use crate::limits::LISTEN_BACKLOG;

/// Binds one socket a shard.
///
/// # Errors
/// The address cannot be had; in particular if any other program listens there, which
/// `SO_REUSEPORT` alone would quietly allow to a second program of the same user.
pub(crate) fn bind(address: IpAddr, port: u16, shards: u16) -> io::Result<(SocketAddr, Vec<Socket>)> {
    drop(listen(SocketAddr::new(address, port), false)?);
    let first = listen(SocketAddr::new(address, port), true)?;
    let bound = first.local_addr()?.as_socket().ok_or(io::ErrorKind::AddrNotAvailable)?;
    let mut sockets = vec![first];
    for _ in 1..shards {
        sockets.push(listen(bound, true)?);
    }
    Ok((bound, sockets))
}

fn listen(address: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    // Accepted sockets inherit it: what is sent is whole messages, never to be held back.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    socket.listen(LISTEN_BACKLOG)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn shards_share_a_port_but_a_second_worker_does_not_get_it() {
        let (address, sockets) = bind(Ipv4Addr::LOCALHOST.into(), 0, 3).unwrap();
        assert_eq!(sockets.len(), 3);
        let second = bind(address.ip(), address.port(), 1);
        assert_eq!(second.unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }
}
