//! Signs of congestion.

/// What a packet says about congestion (RFC 3168 §5). A sender that does not react to it says nothing.
///
/// # Examples
///
/// ```
/// use smolkit_net::UdpSocket;
/// use smolkit_net::udp::{Ecn, RecvBatch, Transmit};
/// # use smolkit_runtime as smolkit;
///
/// # #[cfg(target_os = "linux")]
/// smolkit::block_on(async {
///     let socket = UdpSocket::bind("127.0.0.1:0").await?;
///     socket.set_recv_ecn(true)?;
///     let message = Transmit::new(b"hello", socket.local_addr()?).with_ecn(Ecn::Ect0);
///     socket.send_batch(&mut [message]).await?;
///     let mut batch = RecvBatch::new(1, 2_048)?;
///     socket.recv_batch(&mut batch).await?;
///     // A router on the way would have made it `Ce` if it were congested.
///     assert!(batch.iter().all(|message| message.ecn == Some(Ecn::Ect0)));
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ecn {
    /// Its sender reacts to marks.
    Ect0 = 0b10,
    /// The same; experiments (RFC 9331) tell it from the other one.
    Ect1 = 0b01,
    /// A router on the way is congested.
    Ce = 0b11,
}

impl Ecn {
    /// Of a traffic class, whose lowest two bits these are.
    pub(super) fn of_class(class: u8) -> Option<Ecn> {
        match class & 0b11 {
            0b10 => Some(Ecn::Ect0),
            0b01 => Some(Ecn::Ect1),
            0b11 => Some(Ecn::Ce),
            _ => None,
        }
    }
}
