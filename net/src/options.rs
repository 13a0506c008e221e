//! Options that several kinds of sockets have, each described once.

use std::time::Duration;

/// The longest time that the system takes.
const LONGEST: u64 = i32::MAX as u64;

/// Rounded up: zero has a meaning of its own.
pub(crate) fn whole_seconds(time: Duration) -> Duration {
    let part = u64::from(time.subsec_nanos() > 0);
    Duration::from_secs(time.as_secs().saturating_add(part).min(LONGEST))
}

/// Rounded up, to one at least: the system takes zero for "not set".
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn whole_milliseconds(time: Duration) -> Duration {
    let millis = time.as_nanos().div_ceil(1_000_000).clamp(1, u128::from(LONGEST));
    Duration::from_millis(u64::try_from(millis).unwrap_or(LONGEST))
}

/// `get(theirs), set(theirs): type` of socket2, for a socket with a descriptor.
macro_rules! option {
    ($owner:ident; $(#[$doc:meta])* $get:ident($their_get:ident), $set:ident($their_set:ident): $type:ty) => {
        impl $owner {
            $(#[$doc])*
            ///
            /// # Errors
            ///
            /// Those of `getsockopt(2)`.
            pub fn $get(&self) -> std::io::Result<$type> {
                socket2::SockRef::from(self).$their_get()
            }

            #[doc = concat!("Sets what [`", stringify!($get), "`](", stringify!($owner), "::", stringify!($get), ") returns.")]
            ///
            /// # Errors
            ///
            /// Those of `setsockopt(2)`.
            pub fn $set(&self, value: $type) -> std::io::Result<()> {
                socket2::SockRef::from(self).$their_set(value)
            }
        }
    };
}

/// The named options for a type that has a descriptor.
macro_rules! options {
    ($owner:ident: $first:ident $($more:ident)+) => {
        $crate::options::options!($owner: $first);
        $crate::options::options!($owner: $($more)+);
    };
    ($owner:ident: reuse) => {
        $crate::options::option! { $owner;
            /// Whether it may bind to an address with connections in TIME_WAIT, and for UDP to one that others have with this option (`SO_REUSEADDR`).
            reuse_addr(reuse_address), set_reuse_addr(set_reuse_address): bool
        }
        $crate::options::option! { $owner;
            /// Whether other sockets with this option may share its address; what comes is shared among them (`SO_REUSEPORT`).
            reuse_port(reuse_port), set_reuse_port(set_reuse_port): bool
        }
    };
    ($owner:ident: buffers) => {
        $crate::options::option! { $owner;
            /// The size of the receive buffer in bytes (`SO_RCVBUF`). Linux doubles what is set, and goes no further than `net.core.rmem_max`.
            recv_buffer_size(recv_buffer_size), set_recv_buffer_size(set_recv_buffer_size): usize
        }
        $crate::options::option! { $owner;
            /// The size of the send buffer in bytes (`SO_SNDBUF`). Linux doubles what is set, and goes no further than `net.core.wmem_max`.
            send_buffer_size(send_buffer_size), set_send_buffer_size(set_send_buffer_size): usize
        }
    };
    ($owner:ident: nodelay) => {
        $crate::options::option! { $owner;
            /// Whether small writes are sent at once (`TCP_NODELAY`).
            nodelay(tcp_nodelay), set_nodelay(set_tcp_nodelay): bool
        }
    };
    ($owner:ident: linger) => {
        impl $owner {
            /// What happens to unsent bytes when the socket is closed (`SO_LINGER`): zero drops them and resets the connection. Anything longer blocks the
            /// thread that closes it.
            ///
            /// # Errors
            ///
            /// Those of `getsockopt(2)`.
            pub fn linger(&self) -> std::io::Result<Option<std::time::Duration>> {
                socket2::SockRef::from(self).linger()
            }

            #[doc = concat!("Sets what [`linger`](", stringify!($owner), "::linger) returns. The system counts in seconds: part of one is a whole one.")]
            ///
            /// # Errors
            ///
            /// Those of `setsockopt(2)`.
            pub fn set_linger(&self, linger: Option<std::time::Duration>) -> std::io::Result<()> {
                let linger = linger.map($crate::options::whole_seconds);
                socket2::SockRef::from(self).set_linger(linger)
            }
        }
    };
    ($owner:ident: keepalive) => {
        $crate::options::option! { $owner;
            /// Whether a connection without traffic is asked whether it lives (`SO_KEEPALIVE`), in the system's intervals unless
            #[doc = concat!("[`set_keepalive_intervals`](", stringify!($owner), "::set_keepalive_intervals) says others.")]
            keepalive(keepalive), set_keepalive(set_keepalive): bool
        }

        impl $owner {
            /// After how long without traffic the other end is asked whether it lives, in what intervals, and after how many questions without an
            /// answer the connection is lost. Sets `SO_KEEPALIVE` too. The system counts in seconds: part of one is a whole one.
            ///
            /// # Errors
            ///
            /// Those of `setsockopt(2)`: `InvalidInput` for no time at all or more than 32,767 s, and for no questions or more than 127.
            pub fn set_keepalive_intervals(
                &self,
                idle: std::time::Duration,
                interval: std::time::Duration,
                retries: u32,
            ) -> std::io::Result<()> {
                let [idle, interval] = [idle, interval].map($crate::options::whole_seconds);
                let keepalive =
                    socket2::TcpKeepalive::new().with_time(idle).with_interval(interval);
                let socket = socket2::SockRef::from(self);
                socket.set_tcp_keepalive(&keepalive.with_retries(retries))
            }

            #[doc = concat!("What [`set_keepalive_intervals`](", stringify!($owner), "::set_keepalive_intervals) has set, or the system's own: ")]
            /// the time without traffic, the interval, and how many questions.
            ///
            /// # Errors
            ///
            /// Those of `getsockopt(2)`.
            pub fn keepalive_intervals(
                &self,
            ) -> std::io::Result<(std::time::Duration, std::time::Duration, u32)> {
                let socket = socket2::SockRef::from(self);
                let (idle, interval) =
                    (socket.tcp_keepalive_time()?, socket.tcp_keepalive_interval()?);
                Ok((idle, interval, socket.tcp_keepalive_retries()?))
            }
        }
    };
    ($owner:ident: user_timeout) => {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        impl $owner {
            /// How long sent data may stay unacknowledged before the connection is lost (`TCP_USER_TIMEOUT`); `None` leaves that to the system.
            ///
            /// # Errors
            ///
            /// Those of `getsockopt(2)`.
            pub fn user_timeout(&self) -> std::io::Result<Option<std::time::Duration>> {
                socket2::SockRef::from(self).tcp_user_timeout()
            }

            #[doc = concat!("Sets what [`user_timeout`](", stringify!($owner), "::user_timeout) returns. The system counts in milliseconds: part of one, and none, is a whole one.")]
            ///
            /// # Errors
            ///
            /// Those of `setsockopt(2)`.
            pub fn set_user_timeout(&self, timeout: Option<std::time::Duration>) -> std::io::Result<()> {
                let timeout = timeout.map($crate::options::whole_milliseconds);
                socket2::SockRef::from(self).set_tcp_user_timeout(timeout)
            }
        }
    };
    ($owner:ident: tos) => {
        $crate::options::option! { $owner;
            /// The type of service of IPv4 packets (`IP_TOS`): DSCP and two bits for congestion, which TCP on Linux keeps for itself. Of more than eight bits Linux takes the lowest.
            tos_v4(tos_v4), set_tos_v4(set_tos_v4): u32
        }
        #[cfg(any(target_os = "linux", target_os = "android"))]
        $crate::options::option! { $owner;
            /// The type of service of IPv6 packets (`IPV6_TCLASS`), with eight bits likewise; more are an error.
            tos_v6(tclass_v6), set_tos_v6(set_tclass_v6): u32
        }
    };
    ($owner:ident: ttl) => {
        $crate::options::option! { $owner;
            /// The time to live of the IPv4 packets it sends (`IP_TTL`), in hops: 1 to 255. It says nothing about IPv6.
            ttl(ttl_v4), set_ttl(set_ttl_v4): u32
        }
    };
    ($owner:ident: broadcast) => {
        $crate::options::option! { $owner;
            /// Whether it may send to broadcast addresses (`SO_BROADCAST`).
            broadcast(broadcast), set_broadcast(set_broadcast): bool
        }
    };
    ($owner:ident: multicast) => {
        $crate::options::option! { $owner;
            /// Whether its own IPv4 multicasts come back to this host (`IP_MULTICAST_LOOP`).
            multicast_loop_v4(multicast_loop_v4), set_multicast_loop_v4(set_multicast_loop_v4): bool
        }
        $crate::options::option! { $owner;
            /// The time to live of its IPv4 multicasts (`IP_MULTICAST_TTL`), in hops: 1, the default, keeps them in the local network.
            multicast_ttl_v4(multicast_ttl_v4), set_multicast_ttl_v4(set_multicast_ttl_v4): u32
        }
        $crate::options::option! { $owner;
            /// Whether its own IPv6 multicasts come back to this host (`IPV6_MULTICAST_LOOP`).
            multicast_loop_v6(multicast_loop_v6), set_multicast_loop_v6(set_multicast_loop_v6): bool
        }
        $crate::options::option! { $owner;
            /// How many routers its IPv6 multicasts may pass (`IPV6_MULTICAST_HOPS`): 1, the default, keeps them in the local network.
            multicast_hops_v6(multicast_hops_v6), set_multicast_hops_v6(set_multicast_hops_v6): u32
        }
        $crate::options::option! { $owner;
            /// The index of the network interface that its IPv6 multicasts leave through (`IPV6_MULTICAST_IF`); 0 leaves that to the system.
            multicast_if_v6(multicast_if_v6), set_multicast_if_v6(set_multicast_if_v6): u32
        }

        impl $owner {
            /// The address of the network interface that its IPv4 multicasts leave through (`IP_MULTICAST_IF`); `0.0.0.0` leaves that to the system.
            ///
            /// # Errors
            ///
            /// Those of `getsockopt(2)`.
            pub fn multicast_if_v4(&self) -> std::io::Result<std::net::Ipv4Addr> {
                socket2::SockRef::from(self).multicast_if_v4()
            }

            #[doc = concat!("Sets what [`multicast_if_v4`](", stringify!($owner), "::multicast_if_v4) returns.")]
            ///
            /// # Errors
            ///
            /// `AddrNotAvailable` if no interface has this address; the others of `setsockopt(2)`.
            pub fn set_multicast_if_v4(&self, interface: std::net::Ipv4Addr) -> std::io::Result<()> {
                socket2::SockRef::from(self).set_multicast_if_v4(&interface)
            }
        }
    };
    ($owner:ident: only_v6) => {
        $crate::options::option! { $owner;
            /// Whether an IPv6 socket takes IPv6 alone (`IPV6_V6ONLY`).
            only_v6(only_v6), set_only_v6(set_only_v6): bool
        }
    };
    ($owner:ident: device) => {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        impl $owner {
            /// Binds it to a network interface (`SO_BINDTODEVICE`); `None` unbinds.
            ///
            /// # Errors
            ///
            /// `PermissionDenied`, ENODEV and the others of `setsockopt(2)`.
            pub fn bind_device(&self, interface: Option<&str>) -> std::io::Result<()> {
                socket2::SockRef::from(self).bind_device(interface.map(str::as_bytes))
            }

            /// The network interface that it is bound to.
            ///
            /// # Errors
            ///
            /// Those of `getsockopt(2)`.
            pub fn device(&self) -> std::io::Result<Option<String>> {
                let name = socket2::SockRef::from(self).device()?;
                Ok(name.map(|name| String::from_utf8_lossy(&name).into_owned()))
            }
        }
    };
}

pub(crate) use {option, options};

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: no time becomes a shorter one, and none of them zero. Method: the ends of what there is.
    #[test]
    fn times_are_rounded_up() {
        let seconds = |millis| whole_seconds(Duration::from_millis(millis)).as_millis();
        assert_eq!([0, 1, 999, 1_000, 1_001].map(seconds), [0, 1_000, 1_000, 1_000, 2_000]);
        assert_eq!(whole_seconds(Duration::MAX), Duration::from_secs(LONGEST));
        #[cfg(any(target_os = "linux", target_os = "android"))]
        {
            let millis = |micros| whole_milliseconds(Duration::from_micros(micros)).as_micros();
            assert_eq!([0, 1, 1_000, 1_001].map(millis), [1_000, 1_000, 1_000, 2_000]);
            assert_eq!(whole_milliseconds(Duration::MAX), Duration::from_millis(LONGEST));
        }
    }
}
