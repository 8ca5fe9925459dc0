//! Protobuf's wire format, written as a stream: lengths are computed first, then bytes are written from where they
//! stand, so that no message is held in memory.

use std::io::{self, Write};

use tilewise_graph::Constant;
use tilewise_tensor::Bytes;

use crate::onnx::wire::{Blob, Nested};

/// Wire types: how a field's payload is delimited.
const VARINT: u64 = 0;
const LENGTH: u64 = 2;
const FIXED32: u64 = 5;
const FIXED64: u64 = 1;

/// A message's fields, one after the other; `message!` makes them.
pub(crate) trait Body {
    /// Length of all fields, in bytes.
    fn body_len(&self) -> u64;
    /// Writes all fields, as many bytes as [`Body::body_len`] says.
    fn write_body(&self, sink: &mut dyn Write) -> io::Result<()>;
}

/// What can stand in a field.
pub(crate) trait Encode {
    /// True where leaving the field out says the same.
    fn is_absent(&self) -> bool;
    /// Length of the field, its number included, in bytes.
    fn item_len(&self, number: u32) -> u64;
    /// Writes the field.
    fn write_item(&self, number: u32, sink: &mut dyn Write) -> io::Result<()>;
}

/// Length of a field of a message; nothing where it is left out.
pub(crate) fn field_len(field: &impl Encode, number: u32) -> u64 {
    if field.is_absent() { 0 } else { field.item_len(number) }
}

/// Writes a field of a message.
pub(crate) fn write_field(field: &impl Encode, number: u32, sink: &mut dyn Write) -> io::Result<()> {
    if field.is_absent() { Ok(()) } else { field.write_item(number, sink) }
}

/// Bytes of a number in groups of seven bits.
fn varint_len(value: u64) -> u64 {
    u64::from(64 - (value | 1).leading_zeros()).div_ceil(7)
}

fn write_varint(mut value: u64, sink: &mut dyn Write) -> io::Result<()> {
    // Ten groups of seven bits hold 64.
    let mut bytes = [0u8; 10];
    let mut count = 0;
    while value > 0x7f {
        bytes[count] = value as u8 | 0x80;
        value >>= 7;
        count += 1;
    }
    bytes[count] = value as u8;
    sink.write_all(&bytes[..=count])
}

fn tag(number: u32, wire: u64) -> u64 {
    u64::from(number) << 3 | wire
}

fn delimited_len(number: u32, payload: u64) -> u64 {
    varint_len(tag(number, LENGTH)) + varint_len(payload) + payload
}

fn write_head(number: u32, payload: u64, sink: &mut dyn Write) -> io::Result<()> {
    write_varint(tag(number, LENGTH), sink)?;
    write_varint(payload, sink)
}

macro_rules! numbers {
    ($($rust:ty, $wire:ident, |$x:ident| $len:expr, |$y:ident, $sink:ident| $write:expr;)*) => {
        $(impl Encode for $rust {
            fn is_absent(&self) -> bool {
                // Compared by bits, so that minus zero is a number.
                self.to_le_bytes() == <$rust>::default().to_le_bytes()
            }

            fn item_len(&self, number: u32) -> u64 {
                let $x = *self;
                varint_len(tag(number, $wire)) + $len
            }

            fn write_item(&self, number: u32, $sink: &mut dyn Write) -> io::Result<()> {
                write_varint(tag(number, $wire), $sink)?;
                let $y = *self;
                $write
            }
        })*
    };
}

// A negative number is sign-extended to 64 bits, also where it has 32.
numbers! {
    u64, VARINT, |x| varint_len(x), |x, sink| write_varint(x, sink);
    i64, VARINT, |x| varint_len(x as u64), |x, sink| write_varint(x as u64, sink);
    i32, VARINT, |x| varint_len(i64::from(x) as u64), |x, sink| write_varint(i64::from(x) as u64, sink);
    f32, FIXED32, |_x| 4, |x, sink| sink.write_all(&x.to_le_bytes());
    f64, FIXED64, |_x| 8, |x, sink| sink.write_all(&x.to_le_bytes());
}

impl Encode for String {
    fn is_absent(&self) -> bool {
        self.is_empty()
    }

    fn item_len(&self, number: u32) -> u64 {
        delimited_len(number, self.len() as u64)
    }

    fn write_item(&self, number: u32, sink: &mut dyn Write) -> io::Result<()> {
        write_head(number, self.len() as u64, sink)?;
        sink.write_all(self.as_bytes())
    }
}

/// The bytes of a constant. What is scaled is computed here, and gone afterwards.
pub(crate) fn constant_bytes(constant: &Constant) -> io::Result<Bytes> {
    constant.tensor().map(|tensor| tensor.bytes().clone()).map_err(io::Error::other)
}

impl Encode for Blob {
    fn is_absent(&self) -> bool {
        matches!(self, Blob::Missing)
    }

    fn item_len(&self, number: u32) -> u64 {
        let bytes = match self {
            Blob::Missing => return 0,
            Blob::Held(bytes) => bytes.len(),
            Blob::Constant(constant) => constant.stored().bytes().len(),
        };
        delimited_len(number, bytes as u64)
    }

    fn write_item(&self, number: u32, sink: &mut dyn Write) -> io::Result<()> {
        let bytes = match self {
            Blob::Missing => return Ok(()),
            Blob::Held(bytes) => bytes.clone(),
            Blob::Constant(constant) => constant_bytes(constant)?,
        };
        write_head(number, bytes.len() as u64, sink)?;
        sink.write_all(&bytes)
    }
}

impl Encode for Nested {
    fn is_absent(&self) -> bool {
        self.bytes().is_empty()
    }

    fn item_len(&self, number: u32) -> u64 {
        delimited_len(number, self.bytes().len() as u64)
    }

    fn write_item(&self, number: u32, sink: &mut dyn Write) -> io::Result<()> {
        write_head(number, self.bytes().len() as u64, sink)?;
        sink.write_all(self.bytes())
    }
}

impl<T: Body> Encode for T {
    fn is_absent(&self) -> bool {
        false
    }

    fn item_len(&self, number: u32) -> u64 {
        delimited_len(number, self.body_len())
    }

    fn write_item(&self, number: u32, sink: &mut dyn Write) -> io::Result<()> {
        write_head(number, self.body_len(), sink)?;
        self.write_body(sink)
    }
}

impl<T: Encode> Encode for Option<T> {
    fn is_absent(&self) -> bool {
        self.is_none()
    }

    fn item_len(&self, number: u32) -> u64 {
        self.as_ref().map_or(0, |item| item.item_len(number))
    }

    fn write_item(&self, number: u32, sink: &mut dyn Write) -> io::Result<()> {
        self.as_ref().map_or(Ok(()), |item| item.write_item(number, sink))
    }
}

/// One field an item: ONNX packs none of the lists that are written here.
impl<T: Encode> Encode for Vec<T> {
    fn is_absent(&self) -> bool {
        self.is_empty()
    }

    fn item_len(&self, number: u32) -> u64 {
        self.iter().map(|item| item.item_len(number)).sum()
    }

    fn write_item(&self, number: u32, sink: &mut dyn Write) -> io::Result<()> {
        self.iter().try_for_each(|item| item.write_item(number, sink))
    }
}
