//! Signs of congestion.

/// What a packet says about congestion (RFC 3168 §5). A sender that does not react to it says nothing.
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
